"""What a classifier is worth: the metrics of one pass over a test set, and the folder that keeps them.

The figures are those of the study which this package ports (accuracy, weighted F1, confusion matrix, scikit-learn's
classification report, its mean of batch accuracies), and beside them what tells whether two of them differ: a
confidence interval, and every single prediction. Two reports on the same test set are compared by
`sonikeras.evaluation.comparison`.
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


_TOP = (3, 5)  # the k of top-k accuracies that are written down, where there are more classes


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """Lower and upper end of the 95 % Wilson score interval, at a share of `n` independent examples.

    The share need not be a whole number of examples: it may be a mean over trainings that share their test examples.

    Args:
        share: Float, 0 to 1.
        n: Integer of at least 1, examples.

    Returns:
        Pair of floats in 0..1, with `share` between them.

    Reference:
        Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.

    Example:
        >>> [round(end, 3) for end in wilson_interval(0.625, 4)]
        [0.219, 0.908]
    """
    z = statistics.NormalDist().inv_cdf((1 + _INTERVAL_LEVEL) / 2)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # At the ends of the range one end of the interval is the share itself, which rounding would miss.
    return (0.0 if share == 0 else middle - half), (1.0 if share == 1 else middle + half)


class FormatError(ValueError):
    """What `Report.load` raises of a report that another version of sonikeras wrote."""


@dataclasses.dataclass(frozen=True, eq=False)
class Report:
    """Labels, predictions and probabilities of one evaluation, and the metrics computed from them by scikit-learn.

    `evaluate` makes it; nothing is checked again here. A class that the test set lacks still has its row and column,
    and counts as 0 in the macro average, as in the text of `classification_report`.

    Args:
        class_names: Names of the classes; a class is its index here. Bytes that are no text become escapes, so that the
            names can be written: here, and in `names`.
        labels: True classes, int array of shape `[n]`, in the order in which the data came.
        predictions: Predicted classes, int array of shape `[n]`, paired with `labels`.
        probabilities: float32 array of shape `[n, classes]`, each row summing to 1.
        loss: Mean cross-entropy over the examples, in nats.
        batch_mean_accuracy: Mean of the batches' accuracies, where a partial last batch weighs as much as a whole one:
            the figure that the study's notebooks print. `accuracy` is the one to compare.
        history: Values per epoch by name, as in `keras.callbacks.History.history`, or `None`.
        seconds: The time that the report stands for, in seconds.
        names: A name for each example, such as `cat/cat-0012`, in the order of `labels`. Defaults to `None`: not known.

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
        """Share of the examples that were predicted right, 0 to 1."""
        from sklearn.metrics import accuracy_score

        return float(accuracy_score(self.labels, self.predictions))

    @functools.cached_property
    def accuracy_interval(self) -> tuple[float, float]:
        """Lower and upper end of the 95 % Wilson score interval of the accuracy.

        It holds for examples drawn independently, and speaks of this one trained model: not of another seed.
        """
        return wilson_interval(self.accuracy, len(self.labels))

    @functools.cached_property
    def f1_weighted(self) -> float:
        """Mean of the classes' F1, weighted by how many examples each class has, 0 to 1."""
        return self._f1("weighted")

    @functools.cached_property
    def f1_macro(self) -> float:
        """Plain mean of the classes' F1, 0 to 1."""
        return self._f1("macro")

    @functools.cached_property
    def per_class(self) -> dict[str, dict[str, float | int]]:
        """For each class name its `precision`, `recall` and `f1` (0 where undefined), and its `support` in examples."""
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

        Each row sums to 1, but for a class that the test set lacks: its row is 0.
        """
        return self.confusion_matrix / np.maximum(1, self.confusion_matrix.sum(axis=1, keepdims=True))

    @functools.cached_property
    def expected_calibration_error(self) -> float:
        """How far confidence is from accuracy, 0 to 1: 0 where of the predictions made with 70 % just 70 % are right.

        The examples are sorted into 15 bins of equal width by the probability of their predicted class; it is the mean,
        weighted by the bins' examples, of the difference between a bin's accuracy and its mean probability. It is
        biased upwards in small test sets.
        Source: Guo et al., [On calibration of modern neural networks](https://arxiv.org/abs/1706.04599), ICML 2017.
        """
        confidence = self.probabilities[np.arange(len(self.labels)), self.predictions].astype(np.float64)
        bins = np.ceil(confidence * _CALIBRATION_BINS).astype(int)  # a bin holds its upper edge
        gaps = np.bincount(bins, weights=(self.labels == self.predictions) - confidence)
        return float(np.abs(gaps).sum() / len(self.labels))

    def top_k_accuracy(self, k: int) -> float:
        """Share of the examples whose true class is among the k most probable ones, 0 to 1.

        Args:
            k: Integer, 1 to the number of classes. Of equally probable classes the first comes first.

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
            ValueError: If the two reports have not the same classes and test examples in the same order.

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
        """The metrics, without the single predictions, as plain Python values that JSON can hold (NaN becomes None)."""
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

    def save(self, directory: str | os.PathLike[str]) -> Path:
        """Writes the report as a run folder, from which `load` reads it.

        The files: `report.json` (`to_dict`, and the SHA-256 of it and of the predictions),
        `classification_report.txt`, `confusion.png`, `predictions.csv` (for each example, in the order of the data, its
        name where it is known, the true class, the predicted one and its probability, and the probability of every
        class), and `curves.png` where there is a history. Each is either whole or not there, and where there is a
        `report.json`, all of them are there. Names stand in `predictions.csv` as they are: a spreadsheet program may
        read one such as `=1+1` as a formula.

        Args:
            directory: The folder; made where it is missing. Files of these names are replaced, others left alone.

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
            plots.curves(self.history, directory / "curves.png")
        else:
            (directory / "curves.png").unlink(missing_ok=True)
        plots.confusion(self.confusion_matrix, self.class_names, directory / "confusion.png")
        files.write_text(directory / "classification_report.txt", self.classification_report)
        predictions = self._predictions_csv()
        files.write_text(directory / "predictions.csv", predictions)
        # Last, so that a folder with a report.json is a finished one.
        metrics = self.to_dict()
        files.write_json(directory / "report.json", metrics | {"sha256": _checksum(metrics, predictions)})
        return directory

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Report:
        """The report that `save` wrote.

        It equals the saved one, but that a value of the history which was infinite is now NaN.

        Args:
            directory: The folder.

        Returns:
            `Report`.

        Raises:
            FileNotFoundError: If the folder has no `report.json`: the run is not finished.
            ValueError: If a file is damaged, or (`FormatError`) of another version of sonikeras.

        Example:

        >>> import tempfile
        >>> report = Report(("a", "b"), np.array([0, 1]), np.array([0, 1]), np.eye(2, dtype="float32"),
        ...                 loss=0.0, batch_mean_accuracy=1.0, history=None, seconds=0.1, names=("a/1", "b/1"))
        >>> Report.load(report.save(tempfile.mkdtemp())).names
        ('a/1', 'b/1')
        """
        directory = Path(directory)
        try:
            saved = files.read_json(directory / "report.json", "Delete it, and its run goes on to write it anew")
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"A folder of a report must hold `report.json`, which is written last: the run is not finished. "
                f"Received: {directory}"
            ) from error
        except ValueError as error:
            raise _damaged(directory, error) from error
        found = saved.get("format")
        if found not in (_FORMAT, _UNCHECKED):
            raise FormatError(
                f"A report must be of format {_FORMAT}, or its run be repeated in a new folder. "
                f"Received: {directory / 'report.json'}, of format {found}"
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
        """The report of what its two files hold; whatever is wrong with them raises."""
        # What version 0.1.0 wrote has no checksum. Other damage than to both would be noticed.
        metrics = {key: value for key, value in saved.items() if key != "sha256"}
        checked = saved["format"] == _FORMAT or "sha256" in saved
        if checked and saved["sha256"] != _checksum(metrics, predictions):
            raise ValueError("report.json and predictions.csv do not fit their checksum")
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
        # A row may be cut off in its last number, or lines be missing: the figures tell.
        if report.confusion_matrix.tolist() != saved["confusion_matrix"] or not (
            np.abs(report.probabilities.sum(axis=1) - 1).max() < 0.03
        ):
            raise ValueError("predictions.csv does not fit report.json")
        return report

    def _predictions_csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)  # which also keeps "\r" in names
        writer.writerow(_header(self.class_names))
        names = self.names or [""] * len(self.labels)
        for name, label, guess, row in zip(names, self.labels, self.predictions, self.probabilities, strict=True):
            writer.writerow([name, self.class_names[label], self.class_names[guess], row[guess], *row])
        return text.getvalue()


def _checksum(metrics: Mapping[str, Any], predictions: str) -> str:
    """The hexadecimal SHA-256 of what the two files hold, however `report.json` is laid out."""
    text = json.dumps(metrics, sort_keys=True, allow_nan=False) + predictions
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _header(class_names: Sequence[str]) -> list[str]:
    return ["name", "true", "predicted", "probability", *(f"probability of {name}" for name in class_names)]


def _numbers(values: Any) -> Any:
    """What `_plain` made of numbers, or of lists of them, where NaN was written as None."""
    if isinstance(values, list):
        return [_numbers(value) for value in values]
    return float("nan") if values is None else values


def _damaged(directory: Path, error: Exception) -> ValueError:
    return ValueError(
        f"A report must be as `Report.save` wrote it, `report.json` with its `predictions.csv`: this one is damaged. "
        f"Received: {directory} ({type(error).__name__}: {error})"
    )


def _plain(value: Any) -> Any:
    """`value` out of dicts, sequences, arrays and numbers as JSON can hold it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
