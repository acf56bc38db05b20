"""Files: `prepare`, a folder of tiny images, record files, and training that waits for data."""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measuring
from benchmarks.measuring import table


def collect(options: argparse.Namespace) -> dict[str, Any]:
    return {part: measuring.run(options, part, cores=os.cpu_count()) for part in PARTS}


def image_files(directory: Path, count: int, *, start: int = 0, different: int = 10_000, side: int = 300) -> None:
    """Writes a folder of two classes of image files. Beyond `different` files, the others are hard links to them."""
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
    """Images a second: of the engine alone, and of `prepare` with and without pictures.

    The time to read the images, by the same number of threads, is subtracted from `prepare`'s.
    """
    measuring.limit_threads()
    import sonikeras

    count = 20 if options.smoke else 2000
    seconds: dict[str, list[float]] = {}

    def timed(name: str, function: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        with quiet():
            result = function()
        seconds.setdefault(name, []).append(time.perf_counter() - start)
        return result

    def prepare(source: Path, out: Path, pictures: bool) -> None:
        sonikeras.prepare(None, out, data_dir=source, cache=False, pictures=pictures)

    for number in range(options.rounds + 1):
        if number == 1:  # the first round compiled
            seconds.clear()
        with (
            tempfile.TemporaryDirectory() as directory,
            concurrent.futures.ThreadPoolExecutor(measuring.cores()) as pool,
        ):
            source = Path(directory) / "images"
            image_files(source, count, start=number * count)
            paths = sorted(source.rglob("*.png"))
            pixels = timed("reading", lambda: list(pool.map(sonikeras.read_image, paths)))  # noqa: B023
            timed("engine", lambda: [None for _ in pool.map(sonikeras.sonify, pixels)])  # noqa: B023
            for name, pictures in (("prepare, audio", False), ("prepare, audio and pictures", True)):
                timed(name, lambda: prepare(source, Path(directory) / name, pictures))  # noqa: B023
    times = {name: np.array(values) for name, values in seconds.items()}
    result = {"engine": count / float(np.median(times["engine"]))}
    for name in ("prepare, audio", "prepare, audio and pictures"):
        net = times[name] - times["reading"]
        result[name] = count / float(np.median(net))
        result[f"{name}: fraction of the engine's speed"] = float(np.median(times["engine"] / net))
    return result


def folder(options: argparse.Namespace) -> dict[str, float]:
    """Seconds to the first batch of a folder of tiny image files, and peak memory of an epoch in MiB."""
    measuring.limit_threads()
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
                sizes.append(measuring.peak_memory())
    return {
        "files": count,
        "first batch, s": seconds,
        "peak MiB after a tenth of an epoch": sizes[0],
        "peak MiB after the epoch": sizes[-1],
    }


def records(options: argparse.Namespace) -> dict[str, float]:
    """TFRecord examples a second, each with the check of its CRC-32C; `tf.data` reads and checks the same files."""
    measuring.limit_threads()
    import tensorflow as tf

    import sonikeras

    with tempfile.TemporaryDirectory() as directory:
        source, out = Path(directory) / "images", Path(directory) / "records"
        image_files(source, 20 if options.smoke else 400)
        with quiet():
            sonikeras.prepare(None, out, data_dir=source, cache=False, format="tfrecord")
        data = sonikeras.dataset(data_dir=out, stage="audio")
        paths = sorted(map(str, out.rglob("train-*.tfrecord")))
        examples = data.examples

        def read() -> None:
            for index in range(len(examples)):
                examples.data(index)

        candidates = {"sonikeras": read, "tf.data.TFRecordDataset": lambda: list(tf.data.TFRecordDataset(paths))}
        seconds = measuring.turns(candidates, 4 * options.rounds)
    return {name: len(examples) / float(np.median(values)) for name, values in seconds.items()}


def feeding(options: argparse.Namespace) -> dict[str, float]:
    """Fraction of an epoch in which training steps of EfficientNet-Lite0, head only, wait for their batch."""
    measuring.limit_threads()
    import keras

    import sonikeras

    per_class = 5 if options.smoke else 100
    model = sonikeras.models.classifier("efficientnet_lite0", 10, freeze=True)
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    result = {}
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "records"
        arguments = {"config": "matched", "images_per_class": per_class, "cache": Path(directory) / "cache"}
        with quiet():
            sonikeras.prepare("c10", out, format="tfrecord", **arguments)
        for name, data in (
            ("from the cache", sonikeras.dataset("c10", **arguments)),
            ("audio from TFRecord", sonikeras.dataset("c10", data_dir=out, stage="audio", config="matched")),
            ("pictures from TFRecord", sonikeras.dataset("c10", data_dir=out, stage="spectrogram")),
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
                fraction = waited / (time.perf_counter() - start)
            result[name] = fraction
    return result


@contextlib.contextmanager
def quiet() -> Any:
    """Discards what is printed."""
    with open(os.devnull, "w") as null, contextlib.redirect_stdout(null):
        yield


def section(results: dict[str, Any]) -> str:
    count = results["cores"]
    parts = [
        (f"`prepare`, {count} cores", "images a second", "preparation", ".3g"),
        ("A folder of tiny files", "", "folder", ".4g"),
        ("TFRecord examples, read with the CRC check", "examples a second", "records", ".0f"),
        (f"Fraction of a training epoch that waits for data, {count} cores", "fraction", "feeding", ".3f"),
    ]
    return "\n\n".join(
        f"### {title}\n\n{table(['', unit], [[name, f'{value:{style}}'] for name, value in results[part].items()])}"
        for title, unit, part, style in parts
    )


PARTS: dict[str, Callable[..., Any]] = {
    "preparation": preparation,
    "folder": folder,
    "records": records,
    "feeding": feeding,
}
