"""What a photograph keeps of its detail and colors when it becomes audio, and how well a network still recognizes it.

Every chain turns the same photographs into pictures. A linear classifier on the features of a frozen network is trained
and tested on them by cross-validation. Retention is its accuracy above chance divided by that on the photographs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from benchmarks.measuring import MISSING, turns
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sonikeras
from sonikeras import SonificationConfig, models
from sonikeras.config import _errors as errors
from sonikeras.config._progress import Progress
from sonikeras.evaluation import Report
from sonikeras.evaluation.retention import interval_text, recognition_retention
from sonikeras.reporting import Block, Code, Table, Text, write_markdown
from sonikeras.signal import metrics, pictures
from sonikeras.sources import Selection
from sonikeras.sources.images import to_gray

FOLDS = 5
PENALTY = 0.01  # `C` of the logistic regression, the best of 0.0001 to 1 on photographs in color
TIMED = 16  # photographs
BATCH = 32
COLOR, GRAY = "image, color", "image, gray"
PRESETS = ("study", "matched", "lossless", "photo", "photo_lossless")
# What each choice of "photo" brings: the preset with one change.
CHOICES: dict[str, dict[str, Any]] = {
    "gray": {"color": "gray"},
    "a fifth of the frames for chroma": {"chroma_fraction": 0.2},
    "a third": {"chroma_fraction": 1 / 3},
    "the raster of matched, 449 x 94": {"fft_length": 1024, "frame_length": 1024, "frame_step": 512, "frames": 126},
    "no guard band, 257 rows": {"min_freq": None, "max_freq": None},
    "12 iterations": {"iterations": 12},
    "40 iterations": {"iterations": 40},
    "random phase": {"initial_phase": "random"},
    "random phase, L-BFGS, 32 iterations": {"initial_phase": "random", "algorithm": "lbfgs", "iterations": 32},
    "drawing resize": {"drawing": "resize"},
    "drawing resize, 512 x 512": {"drawing": "resize", "picture_size": (512, 512)},
}


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    options = parse(arguments)
    try:
        blocks = measure(options)
    except Exception as error:
        if (message := errors.in_one_line(error)) is None:
            raise
        sys.exit(f"error: {message}")
    page = Path(options.out) / "photographs.md"
    command = f"python recipes/photographs.py {' '.join(arguments)}"
    write_markdown(page, "Photographs", [Code(command), *blocks])
    print(page.read_text("utf-8"))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data-dir", required=True, help="folder of photographs, <class>/* or {train,test}/<class>/*")
    add("--images-per-class", type=int, help="largest number. Default: all")
    add("--network", default="efficientnet_lite0", help=f"one of {', '.join(models.backbones())}. Default: %(default)s")
    add("--weights", default="imagenet", help='"imagenet", "none" or the path of a file. Default: %(default)s')
    add("--choices", action="store_true", help='also measure what each choice of the preset "photo" brings')
    add("--seeds", type=int, default=5, help="cross-validations, each with other folds. Default: %(default)s")
    add("--out", default="runs/photographs", help="folder of the page. Default: %(default)s")
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1. Received: {options.seeds}")
    return options


def measure(options: argparse.Namespace) -> list[Block]:
    selection = Selection(data_dir=options.data_dir, images_per_class=options.images_per_class)
    splits = [selection.examples(split) for split in selection.splits()]
    photos = [split.image(index, color=True) for split in splits for index in range(len(split))]
    labels = np.concatenate([split.labels for split in splits])
    names = tuple(selection.class_names())
    size = models.spec(options.network).image_size
    weights = None if options.weights == "none" else options.weights
    network = models.classifier(options.network, len(names), weights=weights).get_layer("backbone")

    chains: dict[str, SonificationConfig | None] = {COLOR: None, GRAY: None}
    chains |= {name: SonificationConfig.preset(name) for name in PRESETS}
    if options.choices:
        photo = SonificationConfig.preset("photo")
        chains |= {f"photo: {name}": photo.replace(**changes) for name, changes in CHOICES.items()}
    times = relative_times({name: config for name, config in chains.items() if config}, photos[:TIMED])

    progress = Progress("photographs", len(chains) * len(photos))
    reports: dict[str, list[Report]] = {}
    rows, original = [], np.empty(0)
    for name, config in chains.items():
        seen, quality, features = [], [], []
        for start in range(0, len(photos), BATCH):
            batch = []
            for photo in photos[start : start + BATCH]:
                picture, psnr = shown(photo, config, gray=name == GRAY)
                batch.append(resized(picture, size))
                seen.append(metrics.psnr(batch[-1], resized(photo, size)))
                quality.append(psnr)
                progress.update(len(rows) * len(photos) + len(quality))
            features.append(np.asarray(models.predict_batch(network, np.stack(batch).astype(np.float32))))
        values = np.concatenate(features)
        original = values if name == COLOR else original
        reports[name] = [cross_validated(values, labels, names, seed) for seed in range(options.seeds)]
        kept = recognition_retention(reports[name], reports[COLOR])
        rows.append(
            [
                name,
                f"{times[name]:.1f}" if config else MISSING,
                text_of(quality),
                text_of(seen),
                f"{np.square(values - original).sum() / np.square(original - original.mean(axis=0)).sum():.3f}",
                f"{kept.sonified_accuracy:.3f}",
                f"{kept.value:.3f} ({interval_text(kept.low, kept.high)})",
            ]
        )
    columns = ["", "time", "PSNR dB, raster", f"PSNR dB, {size} x {size}", "feature distance", "accuracy", "retention"]
    return [Text(f"{len(photos)} photographs of {len(names)} classes."), Table("Photographs", columns, rows)]


def shown(photo: np.ndarray, config: SonificationConfig | None, *, gray: bool) -> tuple[np.ndarray, float]:
    """What a network sees of a photograph, and the PSNR in dB of the reconstruction at the raster's own size."""
    if config is None:
        return (np.repeat(to_gray(photo)[..., None], 3, axis=-1) if gray else photo), np.inf
    audio = sonikeras.sonify(photo, config)
    audio = (np.rint(audio * 2**15) / 2**15).astype(np.float32)  # a file's 16 bits
    reconstruction = sonikeras.desonify(audio, config)
    original = photo if config.color != "gray" else to_gray(photo)
    height, width = reconstruction.shape[:2]
    smaller = cv2.resize(original, (width, height), interpolation=cv2.INTER_AREA)
    return sonikeras.picture(audio, config), metrics.psnr(reconstruction, smaller)


def resized(picture: np.ndarray, size: int) -> np.ndarray:
    return pictures.resize(picture, image_size=(size, size))


def text_of(psnr: Sequence[float]) -> str:
    """The mean over the photographs that differ."""
    differ = [value for value in psnr if np.isfinite(value)]
    return f"{np.mean(differ):.1f}" if differ else "exact"


def cross_validated(features: np.ndarray, labels: np.ndarray, names: tuple[str, ...], seed: int) -> Report:
    """The predictions of linear classifiers for all examples, each from the one that was trained without its fold."""
    start = time.perf_counter()
    probabilities = np.zeros((len(labels), len(names)), np.float32)
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(features, labels):
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, max_iter=2000))
        classifier.fit(features[train], labels[train])
        probabilities[test] = classifier.predict_proba(features[test])
    predictions = probabilities.argmax(axis=-1)
    accuracy = float(np.mean(predictions == labels))
    loss = float(-np.mean(np.log(probabilities[np.arange(len(labels)), labels] + 1e-9)))
    seconds = time.perf_counter() - start
    return Report(names, labels, predictions, probabilities, loss, accuracy, None, seconds)


def relative_times(configs: dict[str, SonificationConfig], photos: Sequence[np.ndarray]) -> dict[str, float]:
    """Processor time from image to audio, divided by that of "matched" in the same turn: the median of the turns."""

    def sonify_all(config: SonificationConfig) -> Callable[[], list[np.ndarray]]:
        return lambda: [sonikeras.sonify(photo, config) for photo in photos]

    seconds = turns({name: sonify_all(config) for name, config in configs.items()}, 5, clock=time.process_time)
    return {name: float(np.median(each / seconds["matched"])) for name, each in seconds.items()}


if __name__ == "__main__":
    main()
