"""Speed and fidelity of everything that turns an image into sound, side by side in one run.

Candidates take turns, round after round, and each ratio is the median of the ratios of the rounds: a machine that slows
down slows all of them. The error stands beside the time. Each number of cores is measured in a process of its own,
since libraries take their threads when they start; so is each peak of memory.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import functools
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RATE = 22050
# Name: engine and what is changed of the preset "study". They are timed from magnitudes to audio.
SEARCHES: dict[str, tuple[str, dict[str, Any]]] = {
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
    "numba, L-BFGS, 128 rounds": ("numba", {"algorithm": "lbfgs", "iterations": 128}),
    "numba, structured start": ("numba", {"algorithm": "lbfgs", "iterations": 8, "initial_phase": "structured"}),
}
# Network: examples of a batch, and how many of them make a step of the study's 32.
STEPS = {
    "efficientnet_lite0": (32, 1),
    "efficientnet_b0": (32, 1),
    "efficientnet_b5": (8, 4),
    "efficientnet_b7": (4, 8),
    "resnet50": (32, 1),
    "resnet152": (32, 1),
}
LOSSLESS = "lossless (MDCT), from the image"
TORCH = "torch, study"


def main() -> None:
    options = parser().parse_args()
    if options.part:
        print(json.dumps(PARTS[options.part[0]](*options.part[1:], options)))
        return
    directory = Path(options.out)
    directory.mkdir(parents=True, exist_ok=True)
    if options.accelerator:
        results = accelerator(options)
        finish(results, accelerator_table(results), directory / "accelerator.md", options)
        return
    names = [*searches(options), *([TORCH] if importlib.util.find_spec("torch") else []), LOSSLESS]
    results: dict[str, Any] = {"cores": os.cpu_count(), "rounds": options.rounds}
    results["one core"] = run(options, "engines", cores=1)
    results["all cores"] = run(options, "engines", cores=os.cpu_count())
    results["memory"] = {
        name: run(options, "memory", name, cores=1) for name in (names[:1] if options.smoke else names)
    }
    results["spectrogram"] = run(options, "spectrogram", cores=1)
    results["pipeline"] = run(options, "pipeline", cores=os.cpu_count())
    few, many = (40, 80) if options.smoke else (800, 8000)
    results["frozen features"] = run(options, "frozen-features", cores=os.cpu_count())
    steps = {"efficientnet_lite0": (32, 1)} if options.smoke else STEPS
    results["steps"] = {
        name: run(options, "step", name, str(batch), str(batches), cores=os.cpu_count())
        for name, (batch, batches) in steps.items()
    }
    results["pipeline memory"] = {n: run(options, "pipeline-memory", str(n), cores=os.cpu_count()) for n in (few, many)}
    results["preparation"] = run(options, "preparation", cores=os.cpu_count())
    results["folder"] = run(options, "folder", cores=os.cpu_count())
    results["feeding"] = run(options, "feeding", cores=os.cpu_count())
    plot(results, directory / "speed_quality.png")
    finish(results, tables(results), directory / "benchmark.md", options)


def finish(results: dict[str, Any], text: str, path: Path, options: argparse.Namespace) -> None:
    print(text)
    path.write_text(text)
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1))
    print(f"\nAll is in {path.parent}")


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="runs/benchmark", help="folder for table and plot; default: runs/benchmark")
    parser.add_argument("--json", metavar="PATH", help="write all figures to this file too")
    parser.add_argument("--rounds", type=int, default=5, help="how often each candidate takes its turn; default: 5")
    parser.add_argument("--smoke", action="store_true", help="a run of a minute or two through every step")
    parser.add_argument(
        "--accelerator",
        action="store_true",
        help="measure the device of Keras' backend, a GPU say, against librosa and this machine's processor instead; "
        "with KERAS_BACKEND=jax or torch it needs no TensorFlow",
    )
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    return parser


def run(options: argparse.Namespace, *part: str, cores: int | None, **variables: str) -> Any:
    """The result of a part, in a process that has so many cores and these variables of the environment."""
    print(f"measuring: {' '.join(part)}, {cores} core(s) ...", file=sys.stderr, flush=True)
    threads = {f"{name}_NUM_THREADS": str(cores) for name in ("OMP", "MKL", "OPENBLAS")}
    own = {"TF_CPP_MIN_LOG_LEVEL": "3", "SONIKERAS_BENCHMARK_CORES": str(cores)}
    environment = os.environ | threads | own | variables
    arguments = ["--rounds", str(options.rounds), *(["--smoke"] if options.smoke else []), "--part", *part]
    result = subprocess.run([sys.executable, __file__, *arguments], env=environment, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"The part could not be measured: {' '.join(part)}\n{result.stderr}")
    return json.loads(result.stdout.splitlines()[-1])


def cores() -> int:
    return int(os.environ["SONIKERAS_BENCHMARK_CORES"])


def limit_threads() -> None:
    import cv2
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(cores())
    tf.config.threading.set_inter_op_parallelism_threads(cores())
    cv2.setNumThreads(1)


def images(count: int) -> list[np.ndarray]:
    """Real images that every installation has: crops of two photos."""
    from sklearn.datasets import load_sample_images

    starts = [(top, left) for top in (0, 127) for left in (0, 113, 227, 340)]
    crops = [photo[top:, left:][:300, :300] for top, left in starts for photo in load_sample_images().images]
    return crops[:count]


def turns(candidates: dict[str, Callable[[], Any]], rounds: int) -> dict[str, np.ndarray]:
    """Seconds that each candidate takes, `[rounds]`. A first turn, which compiles, is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(rounds + 1):
        for name, candidate in candidates.items():
            start = time.perf_counter()
            candidate()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return {name: np.array(values) for name, values in seconds.items()}


# From image to sound -------------------------------------------------------------------------------------------------


def searches(options: argparse.Namespace) -> dict[str, tuple[str, dict[str, Any]]]:
    """Those of `SEARCHES` that are measured: in a short run one of each engine, and the quickest."""
    few = ("librosa, study", "tensorflow, study", "numba, study", "numba, matched")
    return {name: search for name, search in SEARCHES.items() if name in few or not options.smoke}


def converters(options: argparse.Namespace) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """By name, functions from an image, or with `.of_magnitudes` from magnitudes, to audio."""
    import sonikeras
    from sonikeras.signal.engines import magnitudes_to_audio

    result: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
    for name, (engine, changes) in searches(options).items():
        config = sonikeras.SonificationConfig.preset("study").replace(**changes)

        def search(magnitudes: np.ndarray, config: Any = config, engine: str = engine) -> np.ndarray:
            return magnitudes_to_audio(magnitudes, config, rng=np.random.default_rng(0), engine=engine)

        result[name] = search
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)  # the sounds are spread over the cores
        result[TORCH] = torch_griffin_lim
    result[LOSSLESS] = functools.partial(sonikeras.sonify, config="lossless")
    return result


def torch_griffin_lim(magnitudes: np.ndarray) -> np.ndarray:
    """The study's search with PyTorch's transforms."""
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
    limit_threads()
    import sonikeras
    from sonikeras.signal.magnitudes import image_to_magnitudes, magnitudes_to_image

    lossless = sonikeras.SonificationConfig.preset("lossless")
    pictures = images(2 if options.smoke else 16)
    magnitudes = [image_to_magnitudes(image) for image in pictures]
    small = [magnitudes_to_image(image_to_magnitudes(image, config=lossless)) for image in pictures]
    convert = converters(options)
    inputs = {name: small if name == LOSSLESS else magnitudes for name in convert}

    def all_of(name: str) -> list[np.ndarray]:
        if cores() == 1:
            return [convert[name](x) for x in inputs[name]]
        with concurrent.futures.ThreadPoolExecutor(cores()) as pool:
            return list(pool.map(convert[name], inputs[name]))

    seconds = turns({name: functools.partial(all_of, name) for name in convert}, options.rounds)
    result = {}
    for name in convert:
        config = lossless if name == LOSSLESS else sonikeras.SonificationConfig.preset("study")
        sounds = all_of(name)
        heard = [sonikeras.desonify(audio, config) for audio in sounds]
        asked = small if name == LOSSLESS else [magnitudes_to_image(m) for m in magnitudes]
        result[name] = {
            "milliseconds": 1e3 * float(np.median(seconds[name])) / len(pictures),
            "times librosa": float(np.median(seconds["librosa, study"] / seconds[name])),
            **fidelity(heard, asked),
        }
        if name != LOSSLESS:
            result[name]["convergence"] = convergence(sounds, magnitudes)
    return result


def convergence(sounds: list[np.ndarray], magnitudes: list[np.ndarray]) -> float:
    """Mean spectral convergence in dB, `20 log10(||abs(STFT y) - S|| / ||S||)`, by librosa's transform."""
    import librosa

    heard = [np.abs(librosa.stft(np.array(audio), n_fft=1024, hop_length=512)) for audio in sounds]
    values = [np.linalg.norm(a - s) / np.linalg.norm(s) for a, s in zip(heard, magnitudes, strict=True)]
    return float(np.mean(20 * np.log10(values)))


def fidelity(heard: list[np.ndarray], asked: list[np.ndarray]) -> dict[str, Any]:
    """Mean PSNR in dB of the images heard back that differ, mean SSIM, and how many are the same to the bit."""
    import tensorflow as tf

    a, b = (tf.constant(np.stack(x)[..., None]) for x in (heard, asked))
    differ = [i for i in range(len(heard)) if not np.array_equal(heard[i], asked[i])]
    return {
        "psnr": float(np.mean([tf.image.psnr(a[i], b[i], 255) for i in differ])) if differ else None,
        "ssim": float(tf.reduce_mean(tf.image.ssim(a, b, 255))),
        "exact": len(heard) - len(differ),
    }


def memory(name: str, options: argparse.Namespace) -> float:
    """MiB that a conversion adds to a process that has its libraries loaded already."""
    limit_threads()
    import librosa

    from sonikeras import sonify  # noqa: F401
    from sonikeras.signal import _kernels  # noqa: F401
    from sonikeras.signal.magnitudes import image_to_magnitudes

    image = images(1)[0]
    librosa.stft(np.zeros(4096, np.float32))
    x = image if name == LOSSLESS else image_to_magnitudes(image)
    convert = converters(options)[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        convert(x)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


# From sound to spectrogram -------------------------------------------------------------------------------------------


def spectrogram(options: argparse.Namespace) -> dict[str, dict[str, float | None]]:
    """Levels in dB of 16 sounds with 2048 / 512, in a compiled function where the library is one of TensorFlow."""
    limit_threads()
    import keras
    import librosa

    import sonikeras

    audio = np.stack([sonikeras.sonify(image, "matched") for image in images(2 if options.smoke else 16)])
    candidates: dict[str, Callable[[], Any]] = {
        "librosa.stft": lambda: librosa.amplitude_to_db(np.abs(librosa.stft(audio)), ref=1.0, top_db=None),
        "sonikeras.layers.Spectrogram": compiled(sonikeras.layers.Spectrogram(reference=1.0, top_db=None), audio),
        "keras.layers.STFTSpectrogram": compiled(
            keras.layers.STFTSpectrogram(frame_length=2048, frame_step=512, fft_length=2048), audio[..., None]
        ),
    }
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)
        tensor, window = torch.from_numpy(audio), torch.hann_window(2048)

        def torch_levels() -> Any:
            transform = torch.stft(tensor, 2048, 512, window=window, pad_mode="constant", return_complex=True)
            return 20 * torch.log10(transform.abs().clamp(1e-5))

        candidates["torch.stft"] = torch_levels
    if importlib.util.find_spec("kapre"):
        from kapre import STFT, Magnitude, MagnitudeToDecibel

        layers = [STFT(2048, hop_length=512), Magnitude(), MagnitudeToDecibel()]
        candidates["kapre"] = compiled(keras.Sequential(layers), audio[..., None])
    seconds = turns(candidates, 4 * options.rounds)
    reference = candidates["librosa.stft"]()
    loud = reference > reference.max() - 70
    result: dict[str, dict[str, float | None]] = {}
    for name, candidate in candidates.items():
        levels = np.asarray(candidate())
        if levels.shape == reference.transpose(0, 2, 1).shape:
            levels = levels.transpose(0, 2, 1)
        same = levels.shape == reference.shape
        result[name] = {
            "milliseconds": 1e3 * float(np.median(seconds[name])) / len(audio),
            "times librosa": float(np.median(seconds["librosa.stft"] / seconds[name])),
            "largest difference": float(np.abs(levels - reference)[loud].max()) if same else None,
        }
    return result


def compiled(layer: Any, x: np.ndarray) -> Callable[[], Any]:
    import tensorflow as tf

    function, tensor = tf.function(layer), tf.constant(x)
    layer(tensor)  # builds it
    return lambda: function(tensor)


# The pipeline --------------------------------------------------------------------------------------------------------


def pipeline(options: argparse.Namespace) -> dict[str, float]:
    """Pictures, or sounds, a second of an epoch of `dataset("c10")`."""
    limit_threads()
    result = {}
    per_class = {"librosa": 5 if options.smoke else 25, "auto": 5 if options.smoke else 280}
    kinds = [("study", "librosa"), ("study", "auto"), ("matched", "auto"), ("lossless", "auto")]
    for config, engine in kinds[:2] if options.smoke else kinds:
        with tempfile.TemporaryDirectory() as cache:
            arguments = {"config": config, "engine": engine, "images_per_class": per_class[engine], "cache": cache}
            warm_up = arguments | {"images_per_class": 5, "seed": 1, "batch_size": 4}
            rate(warm_up)
            result[f"{config}, {engine}, cold"] = rate(arguments)[0]
            result[f"{config}, {engine}, from the cache"] = rate(arguments)[0]
            if (config, engine) == ("study", "auto"):
                result["sounds, from the cache"] = rate(arguments | {"output": "audio"})[0]
    return result


def rate(arguments: dict[str, Any]) -> tuple[float, int]:
    import sonikeras

    data = sonikeras.dataset("c10", shuffle=False, **arguments)
    start, count = time.perf_counter(), 0
    for x, _ in data:
        count += len(x)
    return count / (time.perf_counter() - start), count


def pipeline_memory(count: str, options: argparse.Namespace) -> float:
    """Peak MiB of a process that goes once through a pipeline of so many images, cold."""
    limit_threads()
    # The training part of c10: eight of ten images of each of ten classes.
    if rate({"images_per_class": int(count) // 8, "cache": False})[1] != int(count):
        sys.exit(f"There must be {count} images")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# Data ----------------------------------------------------------------------------------------------------------------


def image_files(directory: Path, count: int, *, start: int = 0, different: int = 10_000, side: int = 300) -> None:
    """A folder of two classes of so many image files, of which so many are different: the others are links to them."""
    import cv2
    from sklearn.datasets import load_sample_images

    photos = load_sample_images().images
    for number in range(count):
        path = directory / "ab"[number % 2] / f"{number:06}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number >= different:
            os.link(directory / "ab"[number % 2] / f"{number % different:06}.png", path)
            continue
        photo, (top, left) = photos[number % 2], divmod(start + number // 2, 340)
        cv2.imwrite(str(path), photo[top % 127 :, left:][:side, :side], [cv2.IMWRITE_PNG_COMPRESSION, 1])


def preparation(options: argparse.Namespace) -> dict[str, float]:
    """Sounds a second: of the engine on images in memory, and of `prepare`, without and with pictures.

    The time for reading the images, by as many threads, is taken off `prepare`'s.
    """
    limit_threads()
    import sonikeras

    count = 20 if options.smoke else 2000
    seconds: dict[str, list[float]] = {}

    def timed(name: str, function: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        with open(os.devnull, "w") as quiet, contextlib.redirect_stdout(quiet):
            result = function()
        seconds.setdefault(name, []).append(time.perf_counter() - start)
        return result

    def prepare(source: Path, out: Path, pictures: bool) -> None:
        sonikeras.prepare(None, out, data_dir=source, cache=False, pictures=pictures)

    for number in range(options.rounds + 1):
        if number == 1:  # the first round compiled
            seconds.clear()
        with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(cores()) as pool:
            source = Path(folder) / "images"
            image_files(source, count, start=number * count)
            paths = sorted(source.rglob("*.png"))
            pixels = timed("reading", lambda: list(pool.map(sonikeras.read_image, paths)))  # noqa: B023
            timed("engine", lambda: [None for _ in pool.map(sonikeras.sonify, pixels)])  # noqa: B023
            for name, pictures in (("prepare, sounds", False), ("prepare, sounds and pictures", True)):
                timed(name, lambda: prepare(source, Path(folder) / name, pictures))  # noqa: B023
    times = {name: np.array(values) for name, values in seconds.items()}
    result = {"engine": count / float(np.median(times["engine"]))}
    for name in ("prepare, sounds", "prepare, sounds and pictures"):
        net = times[name] - times["reading"]
        result[name] = count / float(np.median(net))
        result[f"{name}: share of the engine's speed"] = float(np.median(times["engine"] / net))
    return result


def folder(options: argparse.Namespace) -> dict[str, float]:
    """Seconds to the first batch of a folder of tiny image files, and peak of memory in its epoch, in MiB."""
    limit_threads()
    import sonikeras

    count = 1000 if options.smoke else 100_000

    def first(data_dir: str, **arguments: Any) -> Any:
        data = sonikeras.dataset(data_dir=data_dir, cache=False, **arguments)
        return data, next(iter(data))

    with tempfile.TemporaryDirectory() as directory:
        image_files(Path(directory), 100, side=16)
        first(directory)  # compiles
        first(directory, output="image")
    with tempfile.TemporaryDirectory() as directory:
        image_files(Path(directory), count, different=100, side=16)
        start = time.perf_counter()
        first(directory)
        seconds = time.perf_counter() - start
        data, _ = first(directory, output="image", batch_size=100)
        batches, sizes = int(data.cardinality()), []
        for number, _ in enumerate(data):
            if number in (batches // 10, batches - 1):
                sizes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return {
        "files": count,
        "first batch, s": seconds,
        "peak MiB after a tenth of an epoch": sizes[0],
        "peak MiB after the epoch": sizes[-1],
    }


def feeding(options: argparse.Namespace) -> dict[str, float]:
    """Share of an epoch's time in which training steps of EfficientNet-Lite0, head alone, wait for their batch."""
    limit_threads()
    import keras

    import sonikeras

    per_class = 5 if options.smoke else 100
    model = sonikeras.models.classifier("efficientnet_lite0", 10, freeze=True)
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    result = {}
    with tempfile.TemporaryDirectory() as directory:
        records = Path(directory) / "records"
        arguments = {"config": "matched", "images_per_class": per_class, "cache": Path(directory) / "cache"}
        with open(os.devnull, "w") as quiet, contextlib.redirect_stdout(quiet):
            sonikeras.prepare("c10", records, format="tfrecord", **arguments)
        for name, data in (
            ("from the cache", sonikeras.dataset("c10", **arguments)),
            ("sounds from TFRecord", sonikeras.dataset("c10", data_dir=records, stage="audio", config="matched")),
            ("pictures from TFRecord", sonikeras.dataset("c10", data_dir=records, stage="spectrogram")),
        ):
            for _ in range(2):  # the first epoch compiles
                waited, start, batches = 0.0, time.perf_counter(), iter(data)
                while True:
                    asked = time.perf_counter()
                    batch = next(batches, None)
                    if batch is None:
                        break
                    waited += time.perf_counter() - asked
                    model.train_on_batch(*batch)
                share = waited / (time.perf_counter() - start)
            result[name] = share
    return result


# Training ------------------------------------------------------------------------------------------------------------


def frozen_features(options: argparse.Namespace) -> dict[str, float]:
    """Seconds for 25 epochs of the quickstart's head: on features computed once, and with the network in each epoch.

    Sounds are in the cache for both. Of the second way one epoch is measured, after another, and taken 25 times.
    """
    limit_threads()
    import keras

    import sonikeras
    from sonikeras import training

    epochs, per_class = 25, 5 if options.smoke else 100
    parts = [sonikeras.dataset("c10", split=s, images_per_class=per_class, shuffle=False) for s in ("train", "test")]
    for part in parts:
        for _ in part:  # fills the cache
            pass
    model = sonikeras.models.classifier("efficientnet_lite0", 10, freeze=True)
    backbone, head = model.get_layer("backbone"), model.get_layer("head")

    def compiled_copy(model: keras.Model) -> keras.Model:
        model = sonikeras.models.uncompiled(model)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(1e-3, epsilon=1e-8), loss, metrics=["accuracy"])
        return model

    whole = compiled_copy(model)
    backbone.predict_on_batch(np.zeros((32, 224, 224, 3), np.float32))
    seconds = []
    for _ in range(2):  # the first compiles
        start = time.perf_counter()
        whole.fit(parts[0], validation_data=parts[1], verbose=0)
        seconds.append(time.perf_counter() - start)
    with tempfile.TemporaryDirectory() as directory, open(os.devnull, "w") as quiet, contextlib.redirect_stdout(quiet):
        start = time.perf_counter()
        train, test = (
            training.feature_dataset(*training.extract_features(backbone, part, f"{directory}/{i}"))
            for i, part in enumerate(parts)
        )
        training.fit(compiled_copy(head), train, test, epochs=epochs, directory=directory, verbose=0)
        cached = time.perf_counter() - start
    return {"with the network": epochs * seconds[-1], "on features": cached, "ratio": epochs * seconds[-1] / cached}


def step(name: str, batch: str, batches: str, options: argparse.Namespace) -> dict[str, float]:
    """Seconds of a step of the study's recipe and the process' peak in MiB: frozen network, training mode, new head."""
    limit_threads()
    import keras

    from sonikeras import models

    size, count, accumulated = models.spec(name).image_size, int(batch), int(batches)
    model = models.classifier(name, 10, weights=None, freeze=True, batch_norm="training")
    options_of_adam = {"gradient_accumulation_steps": accumulated} if accumulated > 1 else {}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3, epsilon=1e-8, **options_of_adam), loss)
    pictures = np.random.default_rng(0).uniform(0, 255, (count, size, size, 3)).astype(np.float32)
    labels = np.arange(count) % 10
    model.train_on_batch(pictures, labels)  # compiles
    seconds = []
    for _ in range(1 if options.smoke else 3):
        start = time.perf_counter()
        model.train_on_batch(pictures, labels)
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"image_size": size, "batch": count, "seconds": accumulated * float(np.median(seconds)), "MiB": peak}


# An accelerator ------------------------------------------------------------------------------------------------------

ONLY_PROCESSOR = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}


def accelerator(options: argparse.Namespace) -> dict[str, Any]:
    """The same work on the device that Keras' backend takes, on the processor alone, and by librosa on one core."""
    with tempfile.TemporaryDirectory() as directory:
        files = [f"{directory}/{name}.npz" for name in ("device", "processor")]
        librosa = run(options, "librosa-search", cores=1)
        device = run(options, "device", files[0], cores=os.cpu_count())
        processor = run(options, "device", files[1], cores=os.cpu_count(), **ONLY_PROCESSOR)
        here, there = (np.load(file) for file in files)
        errors = {name: float(np.linalg.norm(here[name] - there[name]) / np.linalg.norm(there[name])) for name in here}
    return {"librosa": librosa, "device": device, "processor": processor, "differences": errors}


def librosa_search(options: argparse.Namespace) -> dict[str, float]:
    """Seconds of librosa for a sound of the study's search, and how near it comes."""
    import sonikeras
    from sonikeras.signal.engines import magnitudes_to_audio
    from sonikeras.signal.magnitudes import image_to_magnitudes

    config = sonikeras.SonificationConfig.preset("study")
    magnitudes = [image_to_magnitudes(image) for image in images(2 if options.smoke else 8)]

    def search() -> list[np.ndarray]:
        rng = np.random.default_rng(0)
        return [magnitudes_to_audio(x, config, rng=rng, engine="librosa") for x in magnitudes]

    seconds = turns({"search": search}, options.rounds)["search"]
    return {"a sound": float(np.median(seconds)) / len(magnitudes), "convergence": convergence(search(), magnitudes)}


def device(path: str, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds on the device of Keras' backend, results copied back included, and what was computed for comparison."""
    import keras

    from sonikeras import layers, models
    from sonikeras.signal.magnitudes import image_to_magnitudes

    pictures = images(2 if options.smoke else 16)
    count = 4 if options.smoke else 256
    batch = np.stack([pictures[i % len(pictures)] for i in range(count)]).astype(np.float32)
    magnitudes = np.stack([image_to_magnitudes(image).T for image in pictures])
    many = np.stack([magnitudes[i % len(pictures)] for i in range(count)])

    def model(shape: tuple[int, ...], *chain: keras.Layer) -> Callable[[np.ndarray], np.ndarray]:
        return keras.Sequential([keras.Input(shape), *chain]).predict_on_batch

    search, matched = (
        model(magnitudes.shape[1:], layers.GriffinLim(algorithm=algorithm, iterations=iterations))
        for algorithm, iterations in (("fast_griffin_lim", 32), ("accelerated_griffin_lim", 14))
    )
    draw = model(batch.shape[1:], layers.ImageToAudio("study"), layers.AudioToPicture("study", (224, 224)))
    classifier = models.classifier("efficientnet_b0", 10, weights=None, freeze=True, batch_norm="training")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile(keras.optimizers.Adam(1e-3, epsilon=1e-8), loss)
    shown, labels = draw(batch[:32]), np.arange(min(count, 32)) % 10
    work: dict[str, tuple[int, Callable[[], Any]]] = {
        "Griffin-Lim, study": (count, lambda: search(many)),
        "Griffin-Lim, matched": (count, lambda: matched(many)),
        "image to picture": (count, lambda: draw(batch)),
        "training step": (len(shown), lambda: classifier.train_on_batch(shown, labels)),
    }
    seconds = turns({name: function for name, (_, function) in work.items()}, options.rounds)
    audio = search(magnitudes)
    levels = model(audio.shape[1:], layers.Spectrogram())(audio)
    # Of many rounds the last digits of two devices lead to different sounds that are as good.
    few = model(magnitudes.shape[1:], layers.GriffinLim(iterations=4))(magnitudes)
    np.savez(path, **{"Griffin-Lim, 4 iterations": few, "Spectrogram": levels})
    return {
        "name": device_name(),
        "batch": count,
        "seconds": {name: float(np.median(seconds[name])) / examples for name, (examples, _) in work.items()},
        "convergence": {
            name: convergence(list(function(magnitudes)), [x.T for x in magnitudes])
            for name, function in (("Griffin-Lim, study", search), ("Griffin-Lim, matched", matched))
        },
    }


def device_name() -> str:
    """What computes, by its maker's name where there is one."""
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return f"jax, {jax.devices()[0].device_kind}"
    if backend == "torch":
        import torch

        return f"torch, {torch.cuda.get_device_name() if torch.cuda.is_available() else 'cpu'}"
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return f"tensorflow, {tf.config.experimental.get_device_details(gpus[0])['device_name'] if gpus else 'cpu'}"


PARTS: dict[str, Callable[..., Any]] = {
    "engines": engines,
    "memory": memory,
    "spectrogram": spectrogram,
    "pipeline": pipeline,
    "pipeline-memory": pipeline_memory,
    "frozen-features": frozen_features,
    "step": step,
    "preparation": preparation,
    "folder": folder,
    "feeding": feeding,
    "librosa-search": librosa_search,
    "device": device,
}

# The report ----------------------------------------------------------------------------------------------------------


def tables(results: dict[str, Any]) -> str:
    """Everything as Markdown."""
    one, every, cost = results["one core"], results["all cores"], results["memory"]
    rows = []
    for name, row in one.items():
        images_exact = "exact" if row["psnr"] is None else f"{row['psnr']:.1f}"
        rows.append(
            [
                name,
                f"{row['milliseconds']:.2f}",
                f"{row['times librosa']:.1f}",
                f"{every[name]['milliseconds']:.2f}",
                f"{every[name]['times librosa']:.1f}",
                f"{row['convergence']:.1f}" if "convergence" in row else "–",
                images_exact,
                f"{row['ssim']:.4f}",
                f"{cost[name]:.0f}" if name in cost else "–",
            ]
        )
    count = results["cores"]
    parts = [
        "### Image to sound\n",
        table(
            ["", "ms", "x librosa", f"ms, {count} cores", "x librosa", "SC dB", "PSNR dB", "SSIM", "MiB"],
            rows,
        ),
        "\n### Sound to spectrogram\n",
        table(
            ["", "ms", "x librosa", "largest difference, dB"],
            [
                [
                    name,
                    f"{row['milliseconds']:.2f}",
                    f"{row['times librosa']:.1f}",
                    "–" if row["largest difference"] is None else f"{row['largest difference']:.4f}",
                ]
                for name, row in results["spectrogram"].items()
            ],
        ),
        f'\n### `dataset("c10")`, {count} cores\n',
        table(["", "a second"], [[name, f"{value:.0f}"] for name, value in results["pipeline"].items()]),
        f"\n### 25 epochs of the head, EfficientNet-Lite0, {count} cores\n",
        table(["", "s"], [[name, f"{value:.1f}"] for name, value in results["frozen features"].items()]),
        f"\n### A step of the study's recipe, 32 pictures, {count} cores\n",
        table(
            ["", "pictures", "batch", "s", "MiB"],
            [
                [name, f"{row['image_size']}", f"{row['batch']}", f"{row['seconds']:.1f}", f"{row['MiB']:.0f}"]
                for name, row in results["steps"].items()
            ],
        ),
        "\n### Peak memory of the pipeline\n",
        table(["images", "MiB"], [[str(n), f"{value:.0f}"] for n, value in results["pipeline memory"].items()]),
        f"\n### `prepare`, {count} cores\n",
        table(["", "a second"], [[name, f"{value:.3g}"] for name, value in results["preparation"].items()]),
        "\n### A folder of tiny files\n",
        table(["", ""], [[name, f"{value:.4g}"] for name, value in results["folder"].items()]),
        f"\n### Share of a training epoch that waits for data, {count} cores\n",
        table(["", "share"], [[name, f"{value:.3f}"] for name, value in results["feeding"].items()]),
    ]
    return "\n".join(parts)


def accelerator_table(results: dict[str, Any]) -> str:
    """What the accelerator does, as Markdown."""
    device, processor, librosa = results["device"], results["processor"], results["librosa"]
    rows = []
    for name, seconds in device["seconds"].items():
        searches = name in device["convergence"]
        rows.append(
            [
                name,
                f"{1e3 * seconds:.2f}",
                f"{1e3 * processor['seconds'][name]:.2f}",
                f"{processor['seconds'][name] / seconds:.1f}",
                f"{librosa['a sound'] / seconds:.0f}" if searches else "–",
                f"{device['convergence'][name]:.1f}" if searches else "–",
            ]
        )
    head = [
        "an example of it",
        f"{device['name']}, ms",
        f"{processor['name']}, ms",
        "x processor",
        "x librosa",
        "SC dB",
    ]
    same = [[name, f"{error:.1e}"] for name, error in results["differences"].items()]
    parts = [
        f"\n### An accelerator, batches of {device['batch']}, {os.cpu_count()} cores beside it\n",
        table(head, rows),
        f"\nlibrosa on one core: {1e3 * librosa['a sound']:.0f} ms a sound, {librosa['convergence']:.1f} dB.\n",
        table(["device and processor", "relative difference"], same),
    ]
    return "\n".join(parts)


def table(head: list[str], rows: list[list[str]]) -> str:
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, rule, *rows])


def plot(results: dict[str, Any], path: Path) -> None:
    """Speed against quality, one core."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.add_subplot(xscale="log")
    points = [
        (row["times librosa"], row["convergence"], name)
        for name, row in results["one core"].items()
        if "convergence" in row
    ]
    for number, (x, y, name) in enumerate(sorted(points)):
        kind = name.split(",")[0]
        color = {"numba": "tab:blue", "tensorflow": "tab:orange", "librosa": "tab:red"}.get(kind, "tab:gray")
        axes.plot(x, y, "o", color=color)
        offset = (5, 5) if number % 2 else (5, -13)  # neighbors one above, one below
        axes.annotate(name, (x, y), xytext=offset, textcoords="offset points", color=color)
    axes.set_xlim(0.7, 4 * max(points)[0])  # room for the names
    axes.margins(y=0.1)
    axes.invert_yaxis()
    axes.grid(alpha=0.3, which="both")
    axes.set(xlabel="times faster than librosa, one core", ylabel="spectral convergence, dB (higher up is better)")
    axes.set_title("From magnitudes to audio")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
