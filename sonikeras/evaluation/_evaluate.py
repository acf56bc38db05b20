"""Evaluation of a classifier on a test set."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Any

import keras
import numpy as np

from sonikeras import models
from sonikeras.config import _errors as errors
from sonikeras.evaluation.report import Report

_INFINITE = -1  # of `tf.data.Dataset.cardinality`

_BATCH_SIZE = 32  # of single examples


def evaluate(
    model: keras.Model,
    dataset: Iterable[tuple[Any, Any]],
    *,
    class_names: Sequence[str] | None = None,
    history: Mapping[str, Sequence[float]] | keras.callbacks.History | None = None,
    seconds: float | None = None,
    from_logits: bool = True,
) -> Report:
    """Evaluates a classifier on a data set.

    The data are iterated only once, so labels and predictions stay paired even if each iteration reshuffles.

    Args:
        model: Keras model from a batch to one output of shape `[batch, classes]`. It need not be compiled.
        dataset: Finite `tf.data.Dataset`, or another iterable, of `(inputs, labels)` batches with integer labels of
            shape `[batch]` or `[batch, 1]`; or of single examples with labels of shape `[]`.
        class_names: Names of the classes. Defaults to `dataset.class_names`. The names of the examples are
            `dataset.example_names`, if it has this attribute.
        history: Values per epoch by name (`loss`, `accuracy`, `val_loss`, `val_accuracy`) for the curves. Defaults to
            the history of the model's last `fit`, if there was one. Pass `{}` for none.
        seconds: Time to report, for example of the training. Defaults to the time of this evaluation.
        from_logits: Whether the model returns logits (or else probabilities). Defaults to `True`.

    Returns:
        A `Report`.

    Raises:
        ValueError: If the data set is empty or infinite, class names are missing, the number of example names is wrong,
            labels or outputs have the wrong shape or are out of range, or a file cannot be read. The message names
            the file.

    Example:

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Activation("linear")])
    >>> images, labels = np.eye(3, dtype="float32"), np.array([0, 1, 1])
    >>> report = evaluate(model, [(images, labels)], class_names=["a", "b", "c"])
    >>> report.predictions.tolist(), round(report.accuracy, 3)
    ([0, 1, 2], 0.667)
    """
    names = _checked_names(getattr(dataset, "class_names", None) if class_names is None else class_names)
    example_names = getattr(dataset, "example_names", None)
    dataset = _batched(dataset)
    progress = keras.utils.Progbar(_steps(dataset), verbose=int(_is_interactive()), unit_name="batch")
    all_labels, all_outputs = [], []
    start = time.perf_counter()
    for batch in errors.plainly(dataset):
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise ValueError(
                f"Argument `dataset` must yield pairs `(inputs, labels)`. Received: an element of type {type(batch)}"
            )
        if np.ndim(batch[1]) == 0:
            batch = keras.tree.map_structure(lambda each: np.asarray(each)[None], tuple(batch))
        outputs = _checked_outputs(models.predict_batch(model, batch[0]), len(names), from_logits=from_logits)
        labels = _checked_labels(batch[1], len(outputs), len(names))
        all_outputs.append(outputs)
        all_labels.append(labels)
        progress.update(len(all_labels), finalize=False)
    elapsed = time.perf_counter() - start
    if not all_labels:
        raise ValueError(f"Argument `dataset` must yield at least one batch. Received: dataset={dataset}")
    progress.update(len(all_labels), finalize=True)
    accuracies = [np.mean(y == x.argmax(axis=1)) for x, y in zip(all_outputs, all_labels, strict=True)]
    labels, outputs = np.concatenate(all_labels), np.concatenate(all_outputs)
    if example_names is not None and len(example_names) != len(labels):
        raise ValueError(
            f"Attribute `example_names` of `dataset` must be None or one name per example, in their order. "
            f"Received: {len(example_names)} names for {len(labels)} examples"
        )
    log_probabilities = _log_softmax(outputs) if from_logits else np.log(np.maximum(outputs, keras.config.epsilon()))
    if history is None:
        history = getattr(model, "history", None)
    history = getattr(history, "history", history)
    return Report(
        class_names=names,
        labels=labels,
        predictions=outputs.argmax(axis=1),
        probabilities=(np.exp(log_probabilities) if from_logits else outputs).astype(np.float32),
        loss=-float(np.mean(log_probabilities[np.arange(len(labels)), labels])),
        batch_mean_accuracy=float(np.mean(accuracies)),
        history=dict(history) if history else None,
        seconds=elapsed if seconds is None else float(seconds),
        names=None if example_names is None else tuple(example_names),
    )


def _batched(dataset: Any) -> Any:
    """Batches a `tf.data.Dataset` of single examples, for speed, and returns any other data set unchanged."""
    spec = getattr(dataset, "element_spec", None)
    single = isinstance(spec, tuple) and len(spec) == 2 and getattr(spec[1], "shape", None) == ()
    return dataset.batch(_BATCH_SIZE) if single else dataset


def _checked_names(names: Sequence[str] | None) -> tuple[str, ...]:
    if names is None:
        raise ValueError(
            "Argument `class_names` must be passed if the data set has no attribute `class_names` (`map`, `take` and "
            "similar methods drop it): one name per class, in the order of the labels. Received: class_names=None"
        )
    checked = () if isinstance(names, str) else tuple(str(name) for name in names)
    if not checked or len(set(checked)) < len(checked):
        raise ValueError(
            f"Argument `class_names` must be a list of one or more different names. Received: class_names={names!r}"
        )
    return checked


def _checked_outputs(outputs: Any, classes: int, *, from_logits: bool) -> np.ndarray:
    """A batch's outputs as float64 `[batch, classes]`, so that metrics do not depend on the model's precision."""
    if isinstance(outputs, (list, tuple, dict)):
        raise ValueError(
            f"Argument `model` must return one tensor of shape (batch, {classes}). "
            f"Received: a {type(outputs).__name__} of {len(outputs)} outputs"
        )
    array = np.asarray(outputs, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != classes:
        raise ValueError(
            f"Argument `model` must return one value per class name, that is, shape (batch, {classes}). "
            f"Received: an output of shape {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(
            f"Argument `model` must return finite values. "
            f"Received: {np.count_nonzero(~np.isfinite(array))} NaN or infinite values in an output of {array.shape}"
        )
    # Half precision has three digits, hence the tolerance.
    if not from_logits and (array.min() < 0 or np.abs(array.sum(axis=1) - 1).max() > 0.02):
        raise ValueError(
            f"Argument `model` must return probabilities, at least 0 and summing to 1, if `from_logits=False`. "
            f"Received: a batch with values from {array.min():.4g} to {array.max():.4g} "
            f"and sums from {array.sum(axis=1).min():.4g} to {array.sum(axis=1).max():.4g}"
        )
    return array


def _checked_labels(labels: Any, batch_size: int, classes: int) -> np.ndarray:
    array = np.asarray(labels)
    if array.dtype.kind not in "iu" or array.shape not in ((batch_size,), (batch_size, 1)) or batch_size == 0:
        raise ValueError(
            f"Argument `dataset` must yield one integer label per output of the model, in batches of at least one. "
            f"Received: labels of shape {array.shape} and dtype {array.dtype} for {batch_size} outputs"
        )
    if array.min() < 0 or array.max() >= classes:
        raise ValueError(
            f"Argument `dataset` must yield labels from 0 to {classes - 1}, for {classes} class names. "
            f"Received: labels from {array.min()} to {array.max()}"
        )
    return array.reshape(-1).astype(np.int64)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _steps(dataset: Iterable[Any]) -> int | None:
    """The number of batches, or `None` if it is unknown."""
    if not hasattr(dataset, "cardinality"):
        return len(dataset) if isinstance(dataset, Sized) else None
    steps = int(dataset.cardinality())
    if steps == _INFINITE:
        raise ValueError(f"Argument `dataset` must be finite: use `take`. Received: the infinite dataset={dataset}")
    return steps if steps >= 0 else None


def _is_interactive() -> bool:
    terminal = sys.stdout is not None and sys.stdout.isatty()
    return keras.config.is_interactive_logging_enabled() and (terminal or "ipykernel" in sys.modules)
