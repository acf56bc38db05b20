"""Features of a frozen network, computed once."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

from sonikeras import models
from sonikeras.config import _errors as errors
from sonikeras.config._files import read_npz, replacing
from sonikeras.config._progress import Progress
from sonikeras.signal._backend import check_tensorflow

# Batches of features per file: the most that an interruption can cost.
_BATCHES_PER_PART = 8


def extract_features(
    backbone: keras.Model, dataset: Any, directory: str | os.PathLike, *, title: str = "features"
) -> tuple[np.ndarray, np.ndarray]:
    """Computes the features of a frozen network, and stores them in a folder.

    Call it again to resume an interrupted computation. Use a folder for one network and one data set only: this is not
    checked.

    Args:
        backbone: Keras model from pictures to features. It runs in inference mode.
        dataset: `tf.data.Dataset` of `(pictures, labels)` batches, of known cardinality and not shuffled.
        directory: Path of the folder.
        title: String, the title of the progress bar. Defaults to `"features"`.

    Returns:
        `(features, labels)`: float32 array `[examples, ...]` and int32 array `[examples]`.

    Raises:
        ValueError: The data set's cardinality is unknown, or a file cannot be read. The message names the file.
    """
    directory = Path(directory)
    total = _known_cardinality(dataset)
    starts = range(0, total, _BATCHES_PER_PART)
    paths = [directory / f"{start:06d}.npz" for start in starts]
    parts = []
    for path in paths:
        try:
            parts.append(_features_in(path))
        except FileNotFoundError:
            break
        except ValueError as error:
            warnings.warn(f"These features are computed again. {error}", stacklevel=2)
            break
    first = len(parts)
    if first < len(paths):
        progress = Progress(title, total)
        step, features, labels = starts[first], [], []
        for x, y in errors.plainly(dataset.skip(step)):
            # NumPy's files do not support bfloat16.
            features.append(np.asarray(models.predict_batch(backbone, x), np.float32))
            labels.append(np.asarray(y))
            step += 1
            progress.update(step)
            if len(features) == _BATCHES_PER_PART or step == total:
                with replacing(paths[(step - 1) // _BATCHES_PER_PART]) as temporary:
                    np.savez(temporary, features=np.concatenate(features), labels=np.concatenate(labels))
                features, labels = [], []
        parts += map(_features_in, paths[first:])
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _features_in(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The features and labels in a file.

    Raises:
        FileNotFoundError: The file is missing.
        ValueError: The file is damaged.
    """
    found = read_npz(path)
    features, labels = (found.get(name, np.empty(())) for name in ("features", "labels"))
    if features.dtype != np.float32 or labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise ValueError(
            f"A file of features must contain float32 `features` and integer `labels`. Received: {path} with "
            f"{ {name: (value.dtype.name, value.shape) for name, value in found.items()} }"
        )
    if features.shape[:1] != labels.shape:
        raise ValueError(
            f"A file of features must contain one label per example. "
            f"Received: {path} with {features.shape}, {labels.shape}"
        )
    return features, labels


def feature_dataset(
    features: np.ndarray, labels: np.ndarray, *, batch_size: int = 32, shuffle_seed: int | None = None
) -> Any:
    """A `tf.data.Dataset` of batches of features.

    Args:
        features: float array `[examples, ...]`.
        labels: Integer array `[examples]`.
        batch_size: Integer. Defaults to 32.
        shuffle_seed: Integer, the seed of the order, which changes with each epoch; or `None` for a fixed order.
            Defaults to `None`.

    Returns:
        `tf.data.Dataset` of `(features, labels)` batches.
    """
    check_tensorflow("`feature_dataset`")
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((features, labels))
    if shuffle_seed is not None:
        data = data.shuffle(len(labels), seed=shuffle_seed, reshuffle_each_iteration=True)
    return data.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def _known_cardinality(dataset: Any) -> int:
    cardinality = int(dataset.cardinality())
    if cardinality < 0:
        raise ValueError(f"A data set must have a known cardinality. Received: cardinality={cardinality}")
    return cardinality
