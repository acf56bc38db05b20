"""The device of Keras' backend, such as a GPU, against the processor and librosa."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import measuring
from benchmarks.measuring import MISSING, table

PROCESSOR_ONLY = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}


def collect(options: argparse.Namespace) -> dict[str, Any]:
    """The same work on the device of Keras' backend, on the processor, and with librosa on one core."""
    with tempfile.TemporaryDirectory() as directory:
        files = [f"{directory}/{name}.npz" for name in ("device", "processor")]
        librosa = measuring.run(options, "librosa", cores=1)
        device = measuring.run(options, "device", files[0], cores=os.cpu_count())
        processor = measuring.run(options, "device", files[1], cores=os.cpu_count(), **PROCESSOR_ONLY)
        here, there = (np.load(file) for file in files)
        errors = {name: float(np.linalg.norm(here[name] - there[name]) / np.linalg.norm(there[name])) for name in here}
    return {"librosa": librosa, "device": device, "processor": processor, "differences": errors}


def librosa_phase_retrieval(options: argparse.Namespace) -> dict[str, float]:
    """Seconds of the study's phase retrieval an image, and its spectral convergence."""
    import sonikeras
    from sonikeras.signal.engines import magnitudes_to_audio
    from sonikeras.signal.magnitudes import image_to_magnitudes

    config = sonikeras.SonificationConfig.preset("study")
    magnitudes = [image_to_magnitudes(image) for image in measuring.images(2 if options.smoke else 8)]

    def retrieve() -> list[np.ndarray]:
        rng = np.random.default_rng(0)
        return [magnitudes_to_audio(x, config, rng=rng, engine="librosa") for x in magnitudes]

    seconds = measuring.turns({"librosa": retrieve}, options.rounds)["librosa"]
    return {
        "seconds": float(np.median(seconds)) / len(magnitudes),
        "convergence": measuring.convergence(retrieve(), magnitudes),
    }


def device(path: str, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds on the device of Keras' backend, the copy of results included. Writes results to compare to `path`."""
    import keras

    from sonikeras import layers, models
    from sonikeras.signal.magnitudes import image_to_magnitudes

    pictures = measuring.images(2 if options.smoke else 16)
    count = 4 if options.smoke else 256
    batch = np.stack([pictures[i % len(pictures)] for i in range(count)]).astype(np.float32)
    magnitudes = np.stack([image_to_magnitudes(image).T for image in pictures])
    many = np.stack([magnitudes[i % len(pictures)] for i in range(count)])

    def model(shape: tuple[int, ...], *chain: keras.Layer) -> Callable[[np.ndarray], np.ndarray]:
        return keras.Sequential([keras.Input(shape), *chain]).predict_on_batch

    study, matched = (
        model(magnitudes.shape[1:], layers.GriffinLim(algorithm=algorithm, iterations=iterations))
        for algorithm, iterations in (("fast_griffin_lim", 32), ("accelerated_griffin_lim", 14))
    )
    draw = model(batch.shape[1:], layers.ImageToAudio("study"), layers.AudioToPicture("study", (224, 224)))
    classifier = models.classifier("efficientnet_b0", 10, weights=None, freeze=True, batch_norm="training")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile(keras.optimizers.Adam(1e-3, epsilon=1e-8), loss)
    shown, labels = draw(batch[:32]), np.arange(min(count, 32)) % 10
    work: dict[str, tuple[int, Callable[[], Any]]] = {
        "Griffin-Lim, study": (count, lambda: study(many)),
        "Griffin-Lim, matched": (count, lambda: matched(many)),
        "image to picture": (count, lambda: draw(batch)),
        "training step": (len(shown), lambda: classifier.train_on_batch(shown, labels)),
    }
    seconds = measuring.turns({name: function for name, (_, function) in work.items()}, options.rounds)
    audio = study(magnitudes)
    decibels = model(audio.shape[1:], layers.Spectrogram())(audio)
    # After many iterations, rounding leads two devices to different audio that is equally good.
    few = model(magnitudes.shape[1:], layers.GriffinLim(iterations=4))(magnitudes)
    np.savez(path, **{"Griffin-Lim, 4 iterations": few, "Spectrogram": decibels})
    return {
        "name": device_name(),
        "batch": count,
        "seconds": {name: float(np.median(seconds[name])) / examples for name, (examples, _) in work.items()},
        "convergence": {
            name: measuring.convergence(list(function(magnitudes)), [x.T for x in magnitudes])
            for name, function in (("Griffin-Lim, study", study), ("Griffin-Lim, matched", matched))
        },
    }


def device_name() -> str:
    """The backend, and the device's product name where it has one."""
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


def section(results: dict[str, Any]) -> str:
    device, processor, librosa = results["device"], results["processor"], results["librosa"]
    rows = []
    for name, seconds in device["seconds"].items():
        phase_retrieval = name in device["convergence"]
        rows.append(
            [
                name,
                f"{1e3 * seconds:.2f}",
                f"{1e3 * processor['seconds'][name]:.2f}",
                f"{processor['seconds'][name] / seconds:.1f}",
                f"{librosa['seconds'] / seconds:.0f}" if phase_retrieval else MISSING,
                f"{device['convergence'][name]:.1f}" if phase_retrieval else MISSING,
            ]
        )
    head = ["per example", f"{device['name']}, ms", f"{processor['name']}, ms", "x processor", "x librosa", "SC dB"]
    differences = [[name, f"{error:.1e}"] for name, error in results["differences"].items()]
    parts = [
        f"### Accelerator, batches of {device['batch']}, with {os.cpu_count()} processor cores",
        table(head, rows),
        f"librosa on one core: {1e3 * librosa['seconds']:.0f} ms an image, {librosa['convergence']:.1f} dB.",
        table(["device against processor", "relative difference"], differences),
    ]
    return "\n\n".join(parts)


PARTS: dict[str, Callable[..., Any]] = {"librosa": librosa_phase_retrieval, "device": device}
