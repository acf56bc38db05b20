"""Reports: the metrics of a classifier on a test set, saved in a folder.

The metrics are those of the study that this package ports: accuracy, weighted F1, confusion matrix, scikit-learn's
classification report, and the mean of the batches' accuracies. A confidence interval and all single predictions are
added, so that two reports on the same test set can be compared (`sonikeras.evaluation.comparison`).
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import hashlib
import io
import json
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sonikeras.config import _files as files
from sonikeras.evaluation import comparison, plots

_INTERVAL_METHOD = "wilson"


_INTERVAL_LEVEL = 0.95


_CALIBRATION_BINS = 15


_FORMAT = 2  # of the files that `save` writes


_UNCHECKED = 1  # of version 0.1.0, without a checksum


_TOP = (3, 5)  # the k of the top-k accuracies in `report.json`, if there are more classes


def wilson_interval(proportion: float, n: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a proportion of `n` independent examples.

    The proportion need not be a whole number of examples: it may be the mean over several runs on the same examples.

    Args:
        proportion: Float, 0 to 1.
        n: Integer of at least 1, the number of examples.

    Returns:
        Lower and upper end, floats in 0..1, with `proportion` between them.

    Reference:
        Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.

    Example:
        >>> [round(end, 3) for end in wilson_interval(0.625, 4)]
        [0.219, 0.908]
    """
    z = statistics.NormalDist().inv_cdf((1 + _INTERVAL_LEVEL) / 2)
    middle = (proportion + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(proportion * (1 - proportion) / n + z**2 / (4 * n**2))
    # At 0 and 1, one end of the interval is the proportion itself, but for rounding.
    return (0.0 if proportion == 0 else middle - half), (1.0 if proportion == 1 else middle + half)


class FormatError(ValueError):
    """Raised by `Report.load` for a report that another version of sonikeras wrote."""


@dataclasses.dataclass(frozen=True, eq=False)
class Report:
    """Labels, predictions and probabilities of one evaluation, and metrics that scikit-learn computes from them.

    `evaluate` returns reports. The arguments are not checked again here. A class without test examples has a row and a
    column in the confusion matrix, and counts as 0 in the macro average, as in scikit-learn's classification report.

    Args:
        class_names: Names of the classes, by label. Bytes that are not valid UTF-8 become escapes, here and in `names`.
        labels: True classes, int array of shape `[n]`, in the order of the data.
        predictions: Predicted classes, int array of shape `[n]`, paired with `labels`.
        probabilities: float32 array of shape `[n, classes]`. Each row sums to 1.
        loss: Mean cross-entropy over the examples, in nats.
        batch_mean_accuracy: Mean of the batches' accuracies, as the study's notebooks print it. A partial last batch
            counts as much as a whole one. Use `accuracy` for comparisons.
        history: Values per epoch by name, as in `keras.callbacks.History.history`, or `None`.
        seconds: Time in seconds, for example of the training.
        names: The name of each example, such as `cat/cat-0012`, in the order of `labels`. Defaults to `None`: unknown.

    Example:

    >>> report = Report(("cat", "dog"), np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]),
    ...                 np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]], "float32"),
    ...                 loss=0.4, batch_mean_accuracy=0.75, history=None, seconds=1.0)
    >>> print(report)
    accuracy 0.750 (95 % interval 0.301 to 0.954, Wilson, n = 4), weighted F1 0.733, macro F1 0.733
    >>> report.confusion_matrix.tolist()
    [[1, 1], [0, 2]]
    """

    class_names: tuple[str, ...]
    labels: np.ndarray = dataclasses.field(repr=False)
    predictions: np.ndarray = dataclasses.field(repr=False)
    probabilities: np.ndarray = dataclasses.field(repr=False)
    loss: float
    batch_mean_accuracy: float
    history: Mapping[str, Sequence[float]] | None = dataclasses.field(repr=False)
    seconds: float
    names: tuple[str, ...] | None = dataclasses.field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_names", tuple(map(files.as_utf8, self.class_names)))
        if self.names is not None:
            object.__setattr__(self, "names", tuple(map(files.as_utf8, self.names)))

    @functools.cached_property
    def accuracy(self) -> float:
        """Fraction of the examples that are predicted correctly, 0 to 1."""
        from sklearn.metrics import accuracy_score

        return float(accuracy_score(self.labels, self.predictions))

    @functools.cached_property
    def accuracy_interval(self) -> tuple[float, float]:
        """Lower and upper end of the 95 % Wilson score interval of the accuracy.

        It assumes independent examples, and concerns this one trained model, not other seeds.
        """
        return wilson_interval(self.accuracy, len(self.labels))

    @functools.cached_property
    def f1_weighted(self) -> float:
        """Mean F1 of the classes, weighted by their numbers of examples, 0 to 1."""
        return self._f1("weighted")

    @functools.cached_property
    def f1_macro(self) -> float:
        """Unweighted mean F1 of the classes, 0 to 1."""
        return self._f1("macro")

    @functools.cached_property
    def per_class(self) -> dict[str, dict[str, float | int]]:
        """`precision`, `recall`, `f1` (0 where undefined) and `support` (the number of examples) by class name."""
        from sklearn.metrics import precision_recall_fscore_support

        columns = precision_recall_fscore_support(
            self.labels, self.predictions, labels=range(len(self.class_names)), zero_division=0
        )
        return {
            name: {"precision": float(precision), "recall": float(recall), "f1": float(f1), "support": int(support)}
            for name, precision, recall, f1, support in zip(self.class_names, *columns, strict=True)
        }

    @functools.cached_property
    def confusion_matrix(self) -> np.ndarray:
        """Counts, int array of shape `[classes, classes]`: true classes are rows, predicted classes are columns."""
        from sklearn.metrics import confusion_matrix

        return confusion_matrix(self.labels, self.predictions, labels=range(len(self.class_names)))

    @functools.cached_property
    def confusion_rates(self) -> np.ndarray:
        """Row-normalized `confusion_matrix`, float array of shape `[classes, classes]`, with recall on the diagonal.

        Each row sums to 1. The row of a class without test examples is 0.
        """
        return self.confusion_matrix / np.maximum(1, self.confusion_matrix.sum(axis=1, keepdims=True))

    @functools.cached_property
    def expected_calibration_error(self) -> float:
        """Mean gap between confidence and accuracy, 0 to 1: 0 if predictions made with 70 % are right in 70 % of cases.

        The examples are sorted into 15 bins of equal width by the probability of their predicted class. The error is
        the mean gap between accuracy and mean probability over the bins, weighted by their numbers of examples. It is
        biased upwards in small test sets.

        Reference: Guo et al., [On calibration of modern neural networks](https://arxiv.org/abs/1706.04599), ICML 2017.
        """
        confidence = self.probabilities[np.arange(len(self.labels)), self.predictions].astype(np.float64)
        bins = np.ceil(confidence * _CALIBRATION_BINS).astype(int)  # a bin holds its upper edge
        gaps = np.bincount(bins, weights=(self.labels == self.predictions) - confidence)
        return float(np.abs(gaps).sum() / len(self.labels))

    def top_k_accuracy(self, k: int) -> float:
        """Fraction of the examples whose true class is among the k most probable ones, 0 to 1.

        Args:
            k: Integer, 1 to the number of classes. Equally probable classes count in their order.

        Raises:
            ValueError: If `k` is not such an integer.
        """
        if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= len(self.class_names):
            raise ValueError(
                f"Argument `k` must be an integer from 1 to {len(self.class_names)}, the number of classes. "
                f"Received: k={k!r}"
            )
        best = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :k]
        return float(np.mean((best == self.labels[:, None]).any(axis=1)))

    def compare(self, other: Report) -> comparison.Comparison:
        """Compares the predictions of two classifiers on the same test examples.

        See `sonikeras.evaluation.comparison.compare`.

        Raises:
            ValueError: If classes or test examples differ, or the examples are in another order.

        Example:

        >>> rows = np.eye(2, dtype="float32")
        >>> right, wrong = (Report(("a", "b"), np.array([0, 1]), guess, rows[guess], loss=0.0, batch_mean_accuracy=1.0,
        ...                        history=None, seconds=0.1) for guess in (np.array([0, 1]), np.array([1, 1])))
        >>> right.compare(wrong).only_first
        1
        """
        return comparison.compare(self, other)

    @functools.cached_property
    def classification_report(self) -> str:
        """scikit-learn's text table of precision, recall, F1 and support, with all classes."""
        from sklearn.metrics import classification_report

        return classification_report(
            self.labels,
            self.predictions,
            labels=range(len(self.class_names)),
            target_names=self.class_names,
            digits=4,
            zero_division=0,
        )

    def _f1(self, average: str) -> float:
        from sklearn.metrics import f1_score

        labels = range(len(self.class_names))
        return float(f1_score(self.labels, self.predictions, labels=labels, average=average, zero_division=0))

    def __str__(self) -> str:
        low, high = self.accuracy_interval
        return (
            f"accuracy {self.accuracy:.3f} ({100 * _INTERVAL_LEVEL:g} % interval {low:.3f} to {high:.3f}, "
            f"{_INTERVAL_METHOD.capitalize()}, n = {len(self.labels)}), "
            f"weighted F1 {self.f1_weighted:.3f}, macro F1 {self.f1_macro:.3f}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The metrics, without the single predictions, as plain Python values for JSON. NaN becomes `None`."""
        return _plain(
            {
                "format": _FORMAT,
                "n": len(self.labels),
                "class_names": self.class_names,
                "accuracy": self.accuracy,
                "accuracy_interval": self.accuracy_interval,
                "accuracy_interval_method": _INTERVAL_METHOD,
                "accuracy_interval_level": _INTERVAL_LEVEL,
                "batch_mean_accuracy": self.batch_mean_accuracy,
                "f1_weighted": self.f1_weighted,
                "f1_macro": self.f1_macro,
                "top_k_accuracy": {k: self.top_k_accuracy(k) for k in _TOP if k < len(self.class_names)},
                "expected_calibration_error": self.expected_calibration_error,
                "loss": self.loss,
                "seconds": self.seconds,
                "per_class": self.per_class,
                "confusion_matrix": self.confusion_matrix,
                "confusion_rates": self.confusion_rates,
                "history": self.history,
            }
        )

    def save(self, directory: str | os.PathLike[str], *, split: str = "validation") -> Path:
        """Writes the report into a folder, from which `load` reads it.

        - `report.json`: `to_dict()`, and a SHA-256 of it and the predictions.
        - `predictions.csv`: a row for each example, in the order of the data: its name if it is known, the true class,
          the predicted class and its probability, and the probability of each class. Names are not escaped: a
          spreadsheet program may read a name such as `=1+1` as a formula.
        - `classification_report.txt`, `confusion.png`, and `curves.png` if there is a history.

        Each file is written atomically, `report.json` last: a folder that contains it is complete.

        Args:
            directory: The folder. It is created if necessary. Files of these names are replaced, others left alone.
            split: Name of the split that the `val_` values of the history belong to, for the legend of the curves.
                Defaults to `"validation"`.

        Returns:
            `directory`, as a `pathlib.Path`.

        Raises:
            OSError: If the folder cannot be written.

        Example:

        >>> import tempfile
        >>> report = Report(("a", "b"), np.array([0, 1]), np.array([0, 1]), np.eye(2, dtype="float32"),
        ...                 loss=0.0, batch_mean_accuracy=1.0, history=None, seconds=0.1)
        >>> sorted(path.name for path in report.save(tempfile.mkdtemp()).iterdir())
        ['classification_report.txt', 'confusion.png', 'predictions.csv', 'report.json']
        """
        directory = Path(directory)
        (directory / "report.json").unlink(missing_ok=True)
        if self.history:
            plots.curves(self.history, directory / "curves.png", split=split)
        else:
            (directory / "curves.png").unlink(missing_ok=True)
        plots.confusion(self.confusion_matrix, self.class_names, directory / "confusion.png")
        files.write_text(directory / "classification_report.txt", self.classification_report)
        predictions = self._predictions_csv()
        files.write_text(directory / "predictions.csv", predictions)
        # Last, so that a folder with a report.json is complete.
        metrics = self.to_dict()
        files.write_json(directory / "report.json", metrics | {"sha256": _checksum(metrics, predictions)})
        return directory

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Report:
        """Loads the report that `save` wrote.

        It equals the saved one, except that infinite values of the history become NaN.

        Args:
            directory: The folder.

        Returns:
            `Report`.

        Raises:
            FileNotFoundError: If the folder has no `report.json`: the run is not finished.
            ValueError: If a file is damaged. `FormatError`: if another version of sonikeras wrote it.

        Example:

        >>> import tempfile
        >>> report = Report(("a", "b"), np.array([0, 1]), np.array([0, 1]), np.eye(2, dtype="float32"),
        ...                 loss=0.0, batch_mean_accuracy=1.0, history=None, seconds=0.1, names=("a/1", "b/1"))
        >>> Report.load(report.save(tempfile.mkdtemp())).names
        ('a/1', 'b/1')
        """
        directory = Path(directory)
        try:
            saved = files.read_json(directory / "report.json", "Delete it, and run the recipe again to recreate it")
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"The folder of a report must contain `report.json`, which is written last: the run is not finished. "
                f"Received: {directory}"
            ) from error
        except ValueError as error:
            raise _damaged(directory, error) from error
        found = saved.get("format")
        if found not in (_FORMAT, _UNCHECKED):
            raise FormatError(
                f"A report must have format {_FORMAT}. Repeat its run in a new folder. "
                f"Received: {directory / 'report.json'}, format {found}"
            )
        try:
            return cls._restored(saved, (directory / "predictions.csv").read_bytes().decode("utf-8"))
        except (
            *(FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError),
            csv.Error,
        ) as error:
            raise _damaged(directory, error) from error

    @classmethod
    def _restored(cls, saved: Mapping[str, Any], predictions: str) -> Report:
        """The report of the contents of its two files. Any damage raises an error."""
        # Files of version 0.1.0 have no checksum.
        metrics = {key: value for key, value in saved.items() if key != "sha256"}
        checked = saved["format"] == _FORMAT or "sha256" in saved
        if checked and saved["sha256"] != _checksum(metrics, predictions):
            raise ValueError("report.json and predictions.csv do not match their checksum")
        class_names = tuple(saved["class_names"])
        header, *rows = csv.reader(io.StringIO(predictions, newline=""), strict=True)
        if header != _header(class_names) or not rows:
            raise ValueError(f"predictions.csv has {len(rows)} rows with the columns {header}")
        names, labels, guesses, _, *columns = zip(*rows, strict=True)
        index = {name: label for label, name in enumerate(class_names)}
        history = saved["history"]
        report = cls(
            class_names=class_names,
            labels=np.array([index[label] for label in labels]),
            predictions=np.array([index[guess] for guess in guesses]),
            probabilities=np.array(columns, np.float32).T.copy(),
            loss=float(saved["loss"]),
            batch_mean_accuracy=float(saved["batch_mean_accuracy"]),
            history=history and {name: _numbers(values) for name, values in history.items()},
            seconds=float(saved["seconds"]),
            names=names if any(names) else None,
        )
        # This detects a truncated last number and missing rows.
        if report.confusion_matrix.tolist() != saved["confusion_matrix"] or not (
            np.abs(report.probabilities.sum(axis=1) - 1).max() < 0.03
        ):
            raise ValueError("predictions.csv does not match report.json")
        return report

    def _predictions_csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)  # this also keeps "\r" in names
        writer.writerow(_header(self.class_names))
        names = self.names or [""] * len(self.labels)
        for name, label, guess, row in zip(names, self.labels, self.predictions, self.probabilities, strict=True):
            writer.writerow([name, self.class_names[label], self.class_names[guess], row[guess], *row])
        return text.getvalue()


def _checksum(metrics: Mapping[str, Any], predictions: str) -> str:
    """The hexadecimal SHA-256 of the contents of both files, whatever the layout of `report.json`."""
    text = json.dumps(metrics, sort_keys=True, allow_nan=False) + predictions
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _header(class_names: Sequence[str]) -> list[str]:
    return ["name", "true", "predicted", "probability", *(f"probability of {name}" for name in class_names)]


def _numbers(values: Any) -> Any:
    """The inverse of `_plain` for numbers and lists of them: `None` becomes NaN."""
    if isinstance(values, list):
        return [_numbers(value) for value in values]
    return float("nan") if values is None else values


def _damaged(directory: Path, error: Exception) -> ValueError:
    return ValueError(
        f"The files `report.json` and `predictions.csv` of a report must be unchanged: this report is damaged. "
        f"Received: {directory} ({type(error).__name__}: {error})"
    )


def _plain(value: Any) -> Any:
    """Dicts, sequences, arrays and numbers as plain values for JSON."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
