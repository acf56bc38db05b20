"""Training that loses nothing: frozen features computed once, and epochs that a second start goes on from."""

from __future__ import annotations

import csv
import os
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from sonikeras import errors, models
from sonikeras.files import read_npz, replacing
from sonikeras.operations import check_tensorflow
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
        ValueError: The data set's cardinality is unknown, or a file cannot be read; the message names it.
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
            # Half precision has no place in NumPy's files.
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
    """The features and labels of a file.

    Raises:
        FileNotFoundError: It is not there.
        ValueError: It is damaged.
    """
    found = read_npz(path)
    features, labels = (found.get(name, np.empty(())) for name in ("features", "labels"))
    if features.dtype != np.float32 or labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise ValueError(
            f"A file of features must have float32 `features` and integer `labels`. Received: {path} with "
            f"{ {name: (value.dtype.name, value.shape) for name, value in found.items()} }"
        )
    if features.shape[:1] != labels.shape:
        raise ValueError(
            f"A file of features must have a label for each. Received: {path} with {features.shape}, {labels.shape}"
        )
    return features, labels


def feature_dataset(
    features: np.ndarray, labels: np.ndarray, *, batch_size: int = 32, shuffle_seed: int | None = None
) -> Any:
    """A `tf.data.Dataset` of batches of features, shuffled anew each epoch where a seed is given."""
    check_tensorflow("`feature_dataset`")
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
    augment: Callable[[Any, Any, Any], tuple[Any, Any]] | None = None,
    monitor: str | None = None,
    patience: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    class_weight: Mapping[int, float] | str | None = None,
    started: float | None = None,
    verbose: str | int = "auto",
) -> dict[str, list[float]]:
    """`model.fit` that a second call with the same folder goes on from, at the last epoch that was finished.

    The weights, the optimizer's state, the random generators of dropout and the order of the examples go on as if
    nothing had happened: an interrupted training gives the same history as an undisturbed one. Where the optimizer
    keeps an exponential moving average of the weights (`use_ema`), that average is what is validated and what the model
    has in the end.

    Args:
        model: Compiled and built Keras model.
        train: `tf.data.Dataset` of batches of known cardinality, shuffled anew each epoch or not at all.
        validation: `tf.data.Dataset` of batches, or `None`. Defaults to `None`.
        epochs: Integer, number of epochs altogether.
        directory: Folder for `history.csv` (a row an epoch), the latest checkpoint and the best.
        augment: Function of `(step, x, y)` to `(x, y)` for the batches of `train`, as
            `sonikeras.augmentation.Augmentation`. Defaults to `None`.
        monitor: String, a column of the history such as `"val_loss"`: the model has in the end the weights of the epoch
            in which it was lowest. Defaults to `None`: those of the last epoch.
        patience: Integer, with `monitor`: stop after so many epochs without a lower one. Defaults to `None`.
        callbacks: Further Keras callbacks. They know nothing of interruptions.
        class_weight: What the examples of each class count in the loss of training, by label, as of `model.fit`: those
            that are left out count 1. Or `"balanced"`: so much that all classes count the same, and an example 1 in the
            mean; then `train` is read once before, unless it is of `sonikeras.dataset`. Of labels that are vectors, as
            mixed ones are, the mean counts. Defaults to `None`: all count 1.
        started: Float, the time by `time.monotonic()` from which seconds are counted. Defaults to now.
        verbose: As of `model.fit`. Defaults to `"auto"`.

    Returns:
        Dict of lists with a value an epoch: `loss` and the metrics, `val_...`, and `seconds`, the time needed so far.

    Raises:
        ValueError: The cardinality of `train` is unknown, `monitor` and `patience` do not go together, `class_weight`
            breaks its rule, or a file cannot be read; the message names it.
        RuntimeError: The loss or a weight is no longer finite; the message says when, and where the last good
            checkpoint is.
    """
    if patience is not None and (monitor is None or patience < 1):
        raise ValueError(
            f"`patience` must be at least 1 and needs `monitor`. Received: patience={patience}, monitor={monitor!r}"
        )
    if monitor is not None and monitor.startswith("val_") and validation is None:
        raise ValueError(f"`monitor` needs `validation` for a column of it. Received: monitor={monitor!r}")
    checkpoint = _Checkpoint(
        Path(directory), time.monotonic() if started is None else started, monitor=monitor, patience=patience
    )
    # Every iterator draws an order of the examples, also those that Keras makes to build a model, and more. So all is
    # built before, `fit` gets a single endless iterator, and epochs that are done draw their orders here.
    steps = _known_cardinality(train)
    model.optimizer.build(model.trainable_variables)
    with errors.plain():
        weights = None if class_weight is None else _class_weights(class_weight, train, model.output_shape[-1])
        first = next(iter(train))
        model.test_on_batch(*(first if augment is None else augment(0, *first)))
        model.reset_metrics()
        done = checkpoint.restore(model)
        if done < epochs and not checkpoint.is_over():
            for _ in range(done):
                iter(train)
            averages = [keras.callbacks.SwapEMAWeights()] if _inner(model.optimizer).use_ema else []
            model.fit(
                _endless(train, augment, weights, first_step=done * steps),
                steps_per_epoch=steps,
                validation_data=validation,
                initial_epoch=done,
                epochs=epochs,
                callbacks=[*averages, *callbacks, checkpoint],
                verbose=verbose,
                shuffle=False,  # the data set's own affair
            )
    best = checkpoint.best_epoch()
    if best not in (None, len(checkpoint.history["loss"])):  # else the model has these weights already
        checkpoint.restore(model, best)
    _inner(model.optimizer).finalize_variable_values(model.trainable_variables)
    return checkpoint.history


def _endless(train: Any, augment: Callable[..., Any] | None, weights: np.ndarray | None, *, first_step: int) -> Any:
    """The batches of `train` over and over, changed and weighed."""
    import tensorflow as tf

    def weigh(x: Any, y: Any) -> tuple[Any, Any, Any]:
        if y.dtype.is_integer:
            return x, y, tf.gather(weights, tf.reshape(y, (-1,)))
        return x, y, tf.linalg.matvec(tf.cast(y, tf.float32), weights)

    batches = train.repeat()
    if augment is not None:
        numbered = tf.data.Dataset.zip(tf.data.Dataset.counter(first_step), batches)
        batches = numbered.map(lambda step, batch: augment(step, *batch))
    if weights is not None:
        batches = batches.map(weigh)
    return batches if augment is None and weights is None else batches.prefetch(tf.data.AUTOTUNE)


def check_class_weight(class_weight: Any) -> None:
    """Checks what `class_weight` may be, whatever its keys.

    Raises:
        ValueError: It is not `"balanced"`, `None`, or a dict to finite numbers of at least 0, not all of them 0.
    """
    if class_weight is None or (isinstance(class_weight, str) and class_weight == "balanced"):
        return
    rule = "'balanced', None, or a dict from classes to finite numbers of at least 0, not all of them 0"
    values = list(class_weight.values()) if isinstance(class_weight, Mapping) else []
    fine = all(isinstance(value, int | float | np.number) and np.isfinite(value) and value >= 0 for value in values)
    if not fine or not any(values):
        raise ValueError(f"`class_weight` must be {rule}. Received: class_weight={class_weight!r}")


def _class_weights(class_weight: Mapping[int, float] | str, train: Any, classes: int) -> np.ndarray:
    """What each class counts: float32 `[classes]`."""
    check_class_weight(class_weight)
    weights = np.ones(classes, np.float32)
    if isinstance(class_weight, str):
        counts = np.bincount(_labels(train), minlength=classes)
        there = counts > 0
        weights[there] = counts.sum() / (there.sum() * counts[there])
        return weights
    for label, weight in class_weight.items():
        if not isinstance(label, int | np.integer) or not 0 <= label < classes:
            raise ValueError(
                f"`class_weight` must have labels from 0 to {classes - 1} as its keys. "
                f"Received: class_weight={dict(class_weight)!r}"
            )
        weights[label] = weight
    return weights


def _labels(train: Any) -> np.ndarray:
    """The labels of a data set's examples, in any order: int array `[examples]`."""
    if (examples := getattr(train, "examples", None)) is not None:
        return examples.labels
    labels = [np.asarray(batch[1]) for batch in train]
    return np.concatenate([y.reshape(-1) if y.dtype.kind in "iu" else y.argmax(axis=-1) for y in labels])


def _inner(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The optimizer itself, inside the one that scales the loss in half precision."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _known_cardinality(dataset: Any) -> int:
    cardinality = int(dataset.cardinality())
    if cardinality < 0:
        raise ValueError(f"A data set must have a known cardinality. Received: cardinality={cardinality}")
    return cardinality


def _state(model: keras.Model) -> list[Any]:
    """All that training changes: weights, random generators, which `save_weights` leaves out, the optimizer's state."""
    return [*model.variables, *model.optimizer.variables]


class _Checkpoint(keras.callbacks.Callback):
    """Writes `history.csv`, then a checkpoint whose name says how many epochs it has seen; and stops what goes wrong.

    `keras.callbacks.BackupAndRestore` keeps that number in a second file, so a process killed between the two writes
    would repeat an epoch on weights that have seen it already.
    """

    def __init__(self, directory: Path, started: float, *, monitor: str | None, patience: int | None) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self._directory = directory
        self._started = started
        self._monitor = monitor
        self._patience = patience
        self._epoch = 0

    def restore(self, model: keras.Model, epoch: int | None = None) -> int:
        """Loads the latest checkpoint into a model, or that after `epoch`, and tells how many epochs it has seen.

        One that is damaged, or whose history is, counts as missing, after a warning: what came after is trained again.

        Raises:
            ValueError: The checkpoint after `epoch` is damaged.
        """
        checkpoints = self._checkpoints()
        if epoch is not None:
            self._load(model, checkpoints.get(epoch, self._path(epoch)))
            return epoch
        for done, path in sorted(checkpoints.items(), reverse=True):
            try:
                history = _read_history(self._directory / "history.csv", done)
                self._load(model, path)
            except ValueError as error:
                warnings.warn(f"The epochs after the last whole checkpoint are trained again. {error}", stacklevel=3)
                continue
            self.history = history
            self._started -= history["seconds"][-1]
            return done
        return 0

    def _load(self, model: keras.Model, path: Path) -> None:
        try:
            values, state = list(read_npz(path).values()), _state(model)
        except FileNotFoundError as error:
            raise ValueError(
                f"A checkpoint is gone: delete {self._directory} to train again. Received: {path}"
            ) from error
        if [value.shape for value in values] != [tuple(variable.shape) for variable in state]:
            raise ValueError(
                f"A checkpoint must have the {len(state)} variables of the model: it is damaged, or another's. Delete "
                f"it to train again. Received: {path} with {len(values)}"
            )
        for variable, value in zip(state, values, strict=True):
            variable.assign(value)

    def best_epoch(self) -> int | None:
        """The epoch, counted from 1, in which what is monitored was lowest; `None`, the last, where nothing is."""
        if not self._monitor or not self.history:
            return None
        if self._monitor not in self.history:
            raise ValueError(f"`monitor` must be one of {sorted(self.history)}. Received: monitor={self._monitor!r}")
        return int(np.argmin(np.nan_to_num(self.history[self._monitor], nan=np.inf))) + 1

    def is_over(self) -> bool:
        """Whether patience has run out."""
        best = self.best_epoch()
        return best is not None and self._patience is not None and len(self.history["loss"]) - best >= self._patience

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if logs and not np.isfinite(logs["loss"]):
            raise self._error(f"loss={float(logs['loss'])} in epoch {self._epoch}, step {batch + 1}")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        state = [np.asarray(variable) for variable in _state(self.model)]
        if not all(np.isfinite(value).all() for value in state):
            raise self._error(f"weights that are not finite at the end of epoch {self._epoch}")
        for name, value in {**(logs or {}), "seconds": time.monotonic() - self._started}.items():
            self.history.setdefault(name, []).append(float(value))
        with (
            replacing(self._directory / "history.csv") as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(["epoch", *self.history])
            writer.writerows([i + 1, *row] for i, row in enumerate(zip(*self.history.values(), strict=True)))
        with replacing(self._path(epoch + 1)) as temporary:
            np.savez(temporary, *state)
        for done, path in self._checkpoints().items():
            if done not in (epoch + 1, self.best_epoch()):
                path.unlink(missing_ok=True)
        if self.is_over():
            self.model.stop_training = True

    def _error(self, received: str) -> RuntimeError:
        checkpoints = self._checkpoints()
        good = f"is {checkpoints[max(checkpoints)]}" if checkpoints else "does not exist"
        return RuntimeError(
            "The loss and the weights must stay finite: a lower learning rate or float32 may help. "
            f"Received: {received}. The last good checkpoint {good}."
        )

    def _path(self, epoch: int) -> Path:
        return self._directory / f"checkpoint-{epoch:04d}.npz"

    def _checkpoints(self) -> dict[int, Path]:
        found = ((path, path.stem.removeprefix("checkpoint-")) for path in self._directory.glob("checkpoint-*.npz"))
        return {int(number): path for path, number in found if number.isdecimal()}


def _read_history(path: Path, epochs: int) -> dict[str, list[float]]:
    """The first epochs of a history as `fit` wrote it.

    Raises:
        ValueError: It is not there, is damaged, or has fewer.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file, strict=True)
        columns = dict(zip(header, zip(*rows[:epochs], strict=True), strict=True))
        history = {name: [float(value) for value in values] for name, values in columns.items()}
        numbers = history.pop("epoch")
        if numbers != list(range(1, epochs + 1)) or not {"loss", "seconds"} <= history.keys():
            raise ValueError(f"the columns {header}, {len(rows)} rows")
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise ValueError(
            f"The history of a training must have a number for each column and epoch. "
            f"Received: {path} ({type(error).__name__}: {error})"
        ) from error
    return history


@keras.saving.register_keras_serializable("sonikeras")
class BatchMeanAccuracy(keras.metrics.Mean):
    """Mean of the batches' accuracies, where a partial last batch weighs as much as a whole one.

    It is what the study's PyTorch notebooks print as the accuracy of an epoch. `"accuracy"` is the true one.

    Args:
        name: String. Defaults to `"batch_mean_accuracy"`.
        **kwargs: Arguments of `keras.metrics.Mean`.

    Example:
        >>> from sonikeras.training import BatchMeanAccuracy
        >>> metric = BatchMeanAccuracy()
        >>> metric.update_state([0, 1, 1], [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> metric.update_state([0], [[0.0, 1.0]])
        >>> float(metric.result())
        0.5
    """

    def __init__(self, name: str = "batch_mean_accuracy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch: integer labels `[batch]` and logits or probabilities `[batch, classes]`."""
        correct = keras.metrics.sparse_categorical_accuracy(y_true, y_pred)
        super().update_state(keras.ops.mean(correct))


class DiscriminativeAdamW(keras.optimizers.AdamW):
    """AdamW that trains some weights at a fraction of its learning rate. Their decay is at the whole of it.

    Args:
        learning_rate: Float or schedule.
        slow: Variables of the lower rate.
        factor: Float, their share of the learning rate.
        **kwargs: Arguments of `keras.optimizers.AdamW`.

    Reference:
        [Howard and Ruder, 2018](https://arxiv.org/abs/1801.06146), discriminative fine-tuning
    """

    def __init__(self, learning_rate: Any, *, slow: Iterable[Any], factor: float, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        self._slow = {variable.path for variable in slow}
        self._factor = factor

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        path = self._trainable_variables[self._get_variable_index(variable)].path
        super().update_step(gradient, variable, learning_rate * (self._factor if path in self._slow else 1))
