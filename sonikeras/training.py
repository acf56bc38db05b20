"""Training that loses nothing: frozen features computed once, and epochs that a second start goes on from."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from sonikeras.files import replacing
from sonikeras.progress import Progress

# Batches of features that are written together: what an interruption can cost.
_BATCHES_PER_PART = 8


def extract_features(
    backbone: keras.Model, dataset: Any, directory: str | os.PathLike, *, title: str = "features"
) -> tuple[np.ndarray, np.ndarray]:
    """Features of a frozen network, computed once and kept in a folder.

    An interrupted computation goes on where it stopped. The folder is taken to belong to this network and data set.

    Args:
        backbone: Keras model, pictures to features. It runs in inference mode.
        dataset: `tf.data.Dataset` of `(pictures, labels)` batches, of known cardinality and not shuffled.
        directory: Path of the folder.
        title: String, what the progress bar is headed with. Defaults to `"features"`.

    Returns:
        `(features, labels)`: float32 array `[examples, ...]` and int32 array `[examples]`.

    Raises:
        ValueError: The data set's cardinality is unknown.
    """
    directory = Path(directory)
    total = _known_cardinality(dataset)
    starts = range(0, total, _BATCHES_PER_PART)
    paths = [directory / f"{start:06d}.npz" for start in starts]
    first = next((i for i, path in enumerate(paths) if not path.exists()), len(paths))
    if first < len(paths):
        progress = Progress(title, total)
        step, features, labels = starts[first], [], []
        for x, y in dataset.skip(step):
            features.append(backbone.predict_on_batch(x))
            labels.append(np.asarray(y))
            step += 1
            progress.update(step)
            if len(features) == _BATCHES_PER_PART or step == total:
                with replacing(paths[(step - 1) // _BATCHES_PER_PART]) as temporary:
                    np.savez(temporary, features=np.concatenate(features), labels=np.concatenate(labels))
                features, labels = [], []
    parts = []
    for path in paths:
        with np.load(path) as part:
            parts.append((part["features"], part["labels"]))
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def feature_dataset(
    features: np.ndarray, labels: np.ndarray, *, batch_size: int = 32, shuffle_seed: int | None = None
) -> Any:
    """A `tf.data.Dataset` of batches of features, shuffled anew each epoch where a seed is given."""
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((features, labels))
    if shuffle_seed is not None:
        data = data.shuffle(len(labels), seed=shuffle_seed, reshuffle_each_iteration=True)
    return data.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def fit(
    model: keras.Model,
    train: Any,
    validation: Any = None,
    *,
    epochs: int,
    directory: str | os.PathLike,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    started: float | None = None,
    verbose: str | int = "auto",
) -> dict[str, list[float]]:
    """`model.fit` that a second call with the same folder goes on from, at the last epoch that was finished.

    The weights, the optimizer's state, the random generators of dropout and the order of the examples go on as if
    nothing had happened: an interrupted training gives the same history as an undisturbed one.

    Args:
        model: Compiled and built Keras model.
        train: `tf.data.Dataset` of batches of known cardinality, shuffled anew each epoch or not at all.
        validation: `tf.data.Dataset` of batches, or `None`. Defaults to `None`.
        epochs: Integer, number of epochs altogether.
        directory: Folder for `history.csv` (a row an epoch) and the latest checkpoint.
        callbacks: Further Keras callbacks. They know nothing of interruptions.
        started: Float, the time by `time.monotonic()` from which seconds are counted. Defaults to now.
        verbose: As of `model.fit`. Defaults to `"auto"`.

    Returns:
        Dict of lists with a value an epoch: `loss` and the metrics, `val_...`, and `seconds`, the time needed so far.
    """
    checkpoint = _Checkpoint(Path(directory), time.monotonic() if started is None else started)
    # Every iterator draws an order of the examples, also those that Keras makes to build a model, and more. So all is
    # built before, `fit` gets a single endless iterator, and epochs that are done draw their orders here.
    steps = _known_cardinality(train)
    model.optimizer.build(model.trainable_variables)
    model.test_on_batch(*next(iter(train)))
    model.reset_metrics()
    done = checkpoint.restore(model)
    for _ in range(done):
        iter(train)
    if done < epochs:
        model.fit(
            train.repeat(),
            steps_per_epoch=steps,
            validation_data=validation,
            initial_epoch=done,
            epochs=epochs,
            callbacks=[*callbacks, checkpoint],
            verbose=verbose,
            shuffle=False,  # the data set's own affair
        )
    return checkpoint.history


def _known_cardinality(dataset: Any) -> int:
    cardinality = int(dataset.cardinality())
    if cardinality < 0:
        raise ValueError(f"A data set must have a known cardinality. Received: cardinality={cardinality}")
    return cardinality


def _state(model: keras.Model) -> list[Any]:
    """All that training changes: weights, random generators, which `save_weights` leaves out, the optimizer's state."""
    return [*model.variables, *model.optimizer.variables]


class _Checkpoint(keras.callbacks.Callback):
    """Writes `history.csv`, then a checkpoint whose name says how many epochs it has seen.

    `keras.callbacks.BackupAndRestore` keeps that number in a second file, so a process killed between the two writes
    would repeat an epoch on weights that have seen it already.
    """

    def __init__(self, directory: Path, started: float) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self._directory = directory
        self._started = started

    def restore(self, model: keras.Model) -> int:
        """Loads the latest checkpoint into a model, and tells how many epochs it has seen."""
        checkpoints = self._checkpoints()
        if not checkpoints:
            return 0
        done = max(checkpoints)
        with np.load(checkpoints[done]) as values:
            for variable, value in zip(_state(model), values.values(), strict=True):
                variable.assign(value)
        with open(self._directory / "history.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))[:done]
        self.history = {name: [float(row[name]) for row in rows] for name in rows[0] if name != "epoch"}
        self._started -= self.history["seconds"][-1]
        return done

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        for name, value in {**(logs or {}), "seconds": time.monotonic() - self._started}.items():
            self.history.setdefault(name, []).append(float(value))
        with (
            replacing(self._directory / "history.csv") as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(["epoch", *self.history])
            writer.writerows([i + 1, *row] for i, row in enumerate(zip(*self.history.values(), strict=True)))
        older = self._checkpoints().values()
        with replacing(self._directory / f"checkpoint-{epoch + 1:04d}.npz") as temporary:
            np.savez(temporary, *(np.asarray(variable) for variable in _state(self.model)))
        for path in older:
            path.unlink(missing_ok=True)

    def _checkpoints(self) -> dict[int, Path]:
        return {int(path.stem.removeprefix("checkpoint-")): path for path in self._directory.glob("checkpoint-*.npz")}
