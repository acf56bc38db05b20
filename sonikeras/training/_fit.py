"""`fit`: training that resumes after an interruption as if nothing had happened."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from sonikeras.config import _errors as errors
from sonikeras.training._checkpoints import _Checkpoint, _inner
from sonikeras.training._features import _known_cardinality


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
    """Trains a model like `model.fit`. Call it again with the same folder to resume after the last finished epoch.

    A resumed training restores the weights, the optimizer's state, the random generators of dropout and the order of
    the examples. Its history equals that of an uninterrupted training. If the optimizer keeps an exponential moving
    average of the weights (`use_ema`), the average is validated, and the model has it in the end.

    Args:
        model: Compiled and built Keras model.
        train: `tf.data.Dataset` of batches of known cardinality, reshuffled each epoch or not shuffled at all.
        validation: `tf.data.Dataset` of batches, or `None`. Defaults to `None`.
        epochs: Integer, the total number of epochs.
        directory: Folder for `history.csv` (one row per epoch), the latest checkpoint and the best one.
        augment: Function from `(step, x, y)` to `(x, y)` for the batches of `train`, such as
            `sonikeras.datasets.augmentation.Augmentation`. Defaults to `None`.
        monitor: String, a column of the history such as `"val_loss"`. In the end, the model has the weights of the
            epoch with its lowest value. Defaults to `None`: the weights of the last epoch.
        patience: Integer: training stops after this number of epochs without a lower value of `monitor`. Defaults to
            `None`.
        callbacks: Further Keras callbacks. Their state is not restored.
        class_weight: Weights of the classes in the training loss, by label, as in `model.fit`. Classes without an entry
            have weight 1. `"balanced"`: the total weight of each class is equal, and the mean weight of the examples is
            1. To count the classes, `train` is iterated once before the training, unless `sonikeras.dataset` returned
            it. For label vectors, such as those of mixup, the weights are averaged. Defaults to `None`: all weights
            are 1.
        started: Float, the start of the history's seconds as a value of `time.monotonic()`. Defaults to now.
        verbose: As in `model.fit`. Defaults to `"auto"`.

    Returns:
        Dict of lists with one value per epoch: `loss` and the metrics, `val_...`, and `seconds`, the time so far.

    Raises:
        ValueError: The cardinality of `train` is unknown, `patience` is given without `monitor`, `class_weight` breaks
            its rule, or a file cannot be read. The message names the file.
        RuntimeError: The loss or a weight is no longer finite. The message names the step and the last good checkpoint.
    """
    if patience is not None and (monitor is None or patience < 1):
        raise ValueError(
            f"`patience` must be at least 1 and needs `monitor`. Received: patience={patience}, monitor={monitor!r}"
        )
    if monitor is not None and monitor.startswith("val_") and validation is None:
        raise ValueError(f"`monitor` needs `validation` for a column 'val_...'. Received: monitor={monitor!r}")
    checkpoint = _Checkpoint(
        Path(directory), time.monotonic() if started is None else started, monitor=monitor, patience=patience
    )
    # Each iterator over `train` draws an order of the examples, also those that Keras creates to build a model. So
    # everything is built beforehand, `fit` gets a single infinite data set, and finished epochs draw their orders here.
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
                shuffle=False,  # the data set shuffles itself
            )
    best = checkpoint.best_epoch()
    if best not in (None, len(checkpoint.history["loss"])):  # otherwise the model has these weights already
        checkpoint.restore(model, best)
    _inner(model.optimizer).finalize_variable_values(model.trainable_variables)
    return checkpoint.history


def _endless(train: Any, augment: Callable[..., Any] | None, weights: np.ndarray | None, *, first_step: int) -> Any:
    """The batches of `train`, repeated, augmented and weighted."""
    import tensorflow as tf

    def weight(x: Any, y: Any) -> tuple[Any, Any, Any]:
        if y.dtype.is_integer:
            return x, y, tf.gather(weights, tf.reshape(y, (-1,)))
        return x, y, tf.linalg.matvec(tf.cast(y, tf.float32), weights)

    batches = train.repeat()
    if augment is not None:
        numbered = tf.data.Dataset.zip(tf.data.Dataset.counter(first_step), batches)
        batches = numbered.map(lambda step, batch: augment(step, *batch))
    if weights is not None:
        batches = batches.map(weight)
    return batches if augment is None and weights is None else batches.prefetch(tf.data.AUTOTUNE)


def check_class_weight(class_weight: Any) -> None:
    """Checks the type and the values of `class_weight`, but not its keys.

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
    """The weight of each class: float32 `[classes]`."""
    check_class_weight(class_weight)
    weights = np.ones(classes, np.float32)
    if isinstance(class_weight, str):
        counts = np.bincount(_labels(train), minlength=classes)
        present = counts > 0
        weights[present] = counts.sum() / (present.sum() * counts[present])
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
    """The labels of a data set, in any order: int array `[examples]`."""
    if (examples := getattr(train, "examples", None)) is not None:
        return examples.labels
    labels = [np.asarray(batch[1]) for batch in train]
    return np.concatenate([y.reshape(-1) if y.dtype.kind in "iu" else y.argmax(axis=-1) for y in labels])
