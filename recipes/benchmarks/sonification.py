"""From image to audio: time, error and memory of every engine and algorithm."""

from __future__ import annotations

import argparse
import concurrent.futures
import functools
import importlib.util
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measuring
from benchmarks.measuring import MISSING, table
from sonikeras.signal import metrics

# Name: engine, and changes to the preset "study". Times are from magnitudes to audio.
CANDIDATES: dict[str, tuple[str, dict[str, Any]]] = {
    "librosa, study": ("librosa", {}),
    "tensorflow, study": ("tensorflow", {}),
    "numba, study": ("numba", {}),
    "numba, Griffin-Lim": ("numba", {"algorithm": "griffin_lim"}),
    "numba, momentum 0.85": ("numba", {"momentum": 0.85, "iterations": 18}),
    "tensorflow, ADMM": ("tensorflow", {"algorithm": "admm"}),
    "tensorflow, matched": ("tensorflow", {"algorithm": "accelerated_griffin_lim", "iterations": 14}),
    "numba, matched": ("numba", {"algorithm": "accelerated_griffin_lim", "iterations": 14}),
    "tensorflow, L-BFGS": ("tensorflow", {"algorithm": "lbfgs"}),
    "numba, L-BFGS": ("numba", {"algorithm": "lbfgs"}),
    "numba, L-BFGS, 128 iterations": ("numba", {"algorithm": "lbfgs", "iterations": 128}),
    "numba, structured start": ("numba", {"algorithm": "lbfgs", "iterations": 8, "initial_phase": "structured"}),
}
LOSSLESS = "lossless (MDCT), from the image"
SCAN = "scan (oscillators), 64 x 64, from the image"
# Photographs of another size than the raster's, in color.
FROM_PHOTOS = {f"{preset}, from a photo": preset for preset in ("matched", "photo", "photo_lossless")}
PRESETS = {LOSSLESS: "lossless", SCAN: "scan"} | FROM_PHOTOS  # what takes images
TORCH = "torch, study"
MARKERS = "o^vDPX*<>ph"


def collect(options: argparse.Namespace) -> dict[str, Any]:
    names = [*candidates(options), *([TORCH] if importlib.util.find_spec("torch") else []), *PRESETS]
    return {
        "one core": measuring.run(options, "engines", cores=1),
        "all cores": measuring.run(options, "engines", cores=os.cpu_count()),
        "memory": {
            name: measuring.run(options, "memory", name, cores=1) for name in (names[:1] if options.smoke else names)
        },
    }


def candidates(options: argparse.Namespace) -> dict[str, tuple[str, dict[str, Any]]]:
    """The measured `CANDIDATES`: for a smoke run one of each engine, and the fastest."""
    few = ("librosa, study", "tensorflow, study", "numba, study", "numba, matched")
    return {name: candidate for name, candidate in CANDIDATES.items() if name in few or not options.smoke}


def converters(options: argparse.Namespace) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Functions from magnitudes to audio by name; those of `PRESETS` take the image."""
    import sonikeras
    from sonikeras.signal.engines import magnitudes_to_audio

    result: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
    for name, (engine, changes) in candidates(options).items():
        config = sonikeras.SonificationConfig.preset("study").replace(**changes)

        def convert(magnitudes: np.ndarray, config: Any = config, engine: str = engine) -> np.ndarray:
            return magnitudes_to_audio(magnitudes, config, rng=np.random.default_rng(0), engine=engine)

        result[name] = convert
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)  # the images are spread over the cores
        result[TORCH] = torch_griffin_lim
    for name, preset in PRESETS.items():
        result[name] = functools.partial(sonikeras.sonify, config=sonikeras.SonificationConfig.preset(preset))
    return result


def torch_griffin_lim(magnitudes: np.ndarray) -> np.ndarray:
    """The study's phase retrieval with PyTorch's transforms."""
    import torch

    target, window = torch.from_numpy(magnitudes), torch.hann_window(1024)
    arguments: dict[str, Any] = {"n_fft": 1024, "hop_length": 512, "window": window}
    phase = torch.from_numpy(2 * np.pi * np.random.default_rng(0).random(magnitudes.shape))
    angles, last = torch.polar(torch.ones_like(target), phase.float()), 0
    for _ in range(32):
        audio = torch.istft(target * angles, **arguments)
        rebuilt = torch.stft(audio, pad_mode="constant", return_complex=True, **arguments)
        angles = rebuilt - 0.99 / 1.99 * last
        angles, last = angles / (angles.abs() + 1e-20), rebuilt
    return torch.istft(target * angles, **arguments).numpy()


def engines(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Milliseconds an image, the ratio to librosa and the errors of every candidate."""
    measuring.limit_threads()
    import sonikeras
    from sonikeras.signal.magnitudes import image_to_magnitudes, magnitudes_to_image
    from sonikeras.sources.audio import from_pcm16, to_pcm16

    pictures = measuring.images(2 if options.smoke else 16)
    magnitudes = [image_to_magnitudes(image) for image in pictures]
    convert = converters(options)
    inputs: dict[str, list[np.ndarray]] = {}
    for name in convert:
        config = sonikeras.SonificationConfig.preset(PRESETS.get(name, "study"))
        small = [magnitudes_to_image(image_to_magnitudes(image, config=config), config=config) for image in pictures]
        inputs[name] = pictures if name in FROM_PHOTOS else small if name in PRESETS else magnitudes

    def all_of(name: str) -> list[np.ndarray]:
        if measuring.cores() == 1:
            return [convert[name](x) for x in inputs[name]]
        with concurrent.futures.ThreadPoolExecutor(measuring.cores()) as pool:
            return list(pool.map(convert[name], inputs[name]))

    seconds = measuring.turns({name: functools.partial(all_of, name) for name in convert}, options.rounds)
    result = {}
    for name in convert:
        config = sonikeras.SonificationConfig.preset(PRESETS.get(name, "study"))
        audios = all_of(name)
        if name in PRESETS:  # as from a file
            audios = [from_pcm16(to_pcm16(audio)) for audio in audios]
        reconstructions = [sonikeras.desonify(audio, config) for audio in audios]
        originals = [at_the_raster(x, config) if name in PRESETS else magnitudes_to_image(x) for x in inputs[name]]
        result[name] = {
            "milliseconds": 1e3 * float(np.median(seconds[name])) / len(pictures),
            "times librosa": float(np.median(seconds["librosa, study"] / seconds[name])),
            **fidelity(reconstructions, originals),
        }
        if name not in PRESETS:
            result[name]["convergence"] = measuring.convergence(audios, magnitudes)
    return result


def at_the_raster(image: np.ndarray, config: Any) -> np.ndarray:
    """An image at the size of a config's raster, in the raster's colors."""
    import cv2

    from sonikeras.signal.magnitudes import as_read

    height, width = config.image_shape[:2]
    return cv2.resize(as_read(image, config), (width, height), interpolation=cv2.INTER_AREA)


def fidelity(reconstructions: list[np.ndarray], originals: list[np.ndarray]) -> dict[str, Any]:
    """Mean PSNR in dB of the images that differ, mean SSIM of all, and the number of identical images."""
    pairs = list(zip(reconstructions, originals, strict=True))
    differ = [psnr for pair in pairs if math.isfinite(psnr := metrics.psnr(*pair))]
    return {
        "psnr": float(np.mean(differ)) if differ else None,
        "ssim": float(np.mean([metrics.ssim(*pair) for pair in pairs])),
        "exact": len(pairs) - len(differ),
    }


def memory(name: str, options: argparse.Namespace) -> float:
    """MiB that a conversion adds to the peak of a process with its libraries loaded."""
    measuring.limit_threads()
    import librosa

    from sonikeras import sonify  # noqa: F401
    from sonikeras.signal import _kernels  # noqa: F401
    from sonikeras.signal.magnitudes import image_to_magnitudes

    image = measuring.images(1)[0]
    librosa.stft(np.zeros(4096, np.float32))
    x = image if name in PRESETS else image_to_magnitudes(image)
    convert = converters(options)[name]
    before = measuring.peak_memory()
    for _ in range(3):
        convert(x)
    return measuring.peak_memory() - before


def section(results: dict[str, Any]) -> str:
    every, memory_of, count = results["all cores"], results["memory"], results["cores"]
    rows = [
        [
            name,
            f"{row['milliseconds']:.2f}",
            f"{row['times librosa']:.1f}",
            f"{every[name]['milliseconds']:.2f}",
            f"{every[name]['times librosa']:.1f}",
            f"{row['convergence']:.1f}" if "convergence" in row else MISSING,
            "exact" if row["psnr"] is None else f"{row['psnr']:.1f}",
            f"{row['ssim']:.4f}",
            f"{memory_of[name]:.0f}" if name in memory_of else MISSING,
        ]
        for name, row in results["one core"].items()
    ]
    head = ["", "ms", "x librosa", f"ms, {count} cores", "x librosa", "SC dB", "PSNR dB", "SSIM", "MiB"]
    return f"### Image to audio\n\n{table(head, rows)}"


def plot(results: dict[str, Any], path: Path) -> None:
    """Draws speed against error on one core: a color for each engine, a marker for each recipe."""
    from matplotlib.figure import Figure

    points = {
        tuple(name.split(", ", 1)): (row["times librosa"], row["convergence"])
        for name, row in results["one core"].items()
        if "convergence" in row
    }
    recipes = list(dict.fromkeys(recipe for _, recipe in points))
    colors = {"librosa": "#D55E00", "torch": "#000000", "tensorflow": "#E69F00", "numba": "#0072B2"}
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.add_subplot(xscale="log")
    for (engine, recipe), (x, y) in points.items():
        axes.plot(x, y, MARKERS[recipes.index(recipe) % len(MARKERS)], color=colors[engine], ms=9, alpha=0.85)
    # One legend: engines by color, then recipes by marker.
    for engine in dict.fromkeys(engine for engine, _ in points):
        axes.plot([], [], "s", color=colors[engine], label=engine)
    for number, recipe in enumerate(recipes):
        axes.plot([], [], MARKERS[number % len(MARKERS)], color="gray", label=recipe)
    figure.legend(loc="outside right upper", frameon=False)
    axes.margins(0.08)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3, which="both")
    axes.set(xlabel="speed relative to librosa, one core", ylabel="spectral convergence (dB), better upwards")
    axes.set_title("From magnitudes to audio")
    figure.savefig(path, dpi=110)


PARTS: dict[str, Callable[..., Any]] = {"engines": engines, "memory": memory}
