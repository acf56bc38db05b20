"""Training: the head on features and with the network, and a step of every network."""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import measuring
from benchmarks.measuring import table

# Network: examples of a batch, and the number of batches in a step of the study's 32.
STEPS = {
    "efficientnet_lite0": (32, 1),
    "efficientnet_b0": (32, 1),
    "efficientnet_b5": (8, 4),
    "efficientnet_b7": (4, 8),
    "resnet50": (32, 1),
    "resnet152": (32, 1),
}


def collect(options: argparse.Namespace) -> dict[str, Any]:
    steps = dict(list(STEPS.items())[:1]) if options.smoke else STEPS
    cores = os.cpu_count()
    return {
        "frozen features": measuring.run(options, "frozen-features", cores=cores),
        "steps": {
            name: measuring.run(options, "step", name, str(batch), str(batches), cores=cores)
            for name, (batch, batches) in steps.items()
        },
    }


def frozen_features(options: argparse.Namespace) -> dict[str, float]:
    """Seconds for 25 epochs of the quickstart's head: on features computed once, and with the network in each epoch.

    The audio is in the cache for both. With the network one epoch is measured, after another, and multiplied by 25.
    """
    measuring.limit_threads()
    import keras

    import sonikeras
    from sonikeras import training

    epochs, per_class = 25, 5 if options.smoke else 100
    splits = [sonikeras.dataset("c10", split=s, images_per_class=per_class, shuffle=False) for s in ("train", "test")]
    for split in splits:
        for _ in split:  # fills the cache
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
        whole.fit(splits[0], validation_data=splits[1], verbose=0)
        seconds.append(time.perf_counter() - start)
    with tempfile.TemporaryDirectory() as directory, open(os.devnull, "w") as null, contextlib.redirect_stdout(null):
        start = time.perf_counter()
        train, test = (
            training.feature_dataset(*training.extract_features(backbone, split, f"{directory}/{i}"))
            for i, split in enumerate(splits)
        )
        training.fit(compiled_copy(head), train, test, epochs=epochs, directory=directory, verbose=0)
        cached = time.perf_counter() - start
    return {"with the network": epochs * seconds[-1], "on features": cached, "ratio": epochs * seconds[-1] / cached}


def step(name: str, batch: str, batches: str, options: argparse.Namespace) -> dict[str, float]:
    """Seconds of a training step of the study, frozen network in training mode and new head, and peak MiB."""
    measuring.limit_threads()
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
    return {
        "image_size": size,
        "batch": count,
        "seconds": accumulated * float(np.median(seconds)),
        "MiB": measuring.peak_memory(),
    }


def section(results: dict[str, Any]) -> str:
    count = results["cores"]
    epochs = [[name, f"{value:.1f}"] for name, value in results["frozen features"].items()]
    steps = [
        [name, f"{row['image_size']}", f"{row['batch']}", f"{row['seconds']:.1f}", f"{row['MiB']:.0f}"]
        for name, row in results["steps"].items()
    ]
    return (
        f"### 25 epochs of the head, EfficientNet-Lite0, {count} cores\n\n{table(['', 's'], epochs)}\n\n"
        f"### A training step of the study, 32 pictures, {count} cores\n\n"
        f"{table(['', 'picture size', 'batch', 's', 'MiB'], steps)}"
    )


PARTS: dict[str, Callable[..., Any]] = {"frozen-features": frozen_features, "step": step}
