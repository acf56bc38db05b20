"""Paired comparison of two classifiers on the same test examples.

Both classifiers are tested on the same examples, so only the examples on which exactly one of them is right matter. A
paired test is more powerful than a comparison of two confidence intervals.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np

_LEVEL = 0.95


class Predictions(Protocol):
    """The predictions of a classifier on test examples, such as a `Report`.

    Attributes:
        class_names: Names of the classes.
        labels: True classes, int array `[n]`.
        predictions: Predicted classes, int array `[n]`.
        names: Names of the examples, or `None` if they are unknown.
    """

    @property
    def class_names(self) -> tuple[str, ...]: ...

    @property
    def labels(self) -> np.ndarray: ...

    @property
    def predictions(self) -> np.ndarray: ...

    @property
    def names(self) -> tuple[str, ...] | None: ...


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The result of `compare`.

    Attributes:
        n: Integer, the number of test examples.
        both_right: Integer, examples that both classifiers predict correctly.
        only_first: Integer, examples that only the first predicts correctly.
        only_second: Integer, examples that only the second predicts correctly.
        both_wrong: Integer, examples that neither predicts correctly.
        difference: Float, the accuracy of the first minus that of the second.
        difference_interval: Lower and upper end of its 95 % confidence interval.
        p_value: Float, the p-value of McNemar's exact test.
    """

    n: int
    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    difference: float
    difference_interval: tuple[float, float]
    p_value: float

    def __str__(self) -> str:
        low, high = self.difference_interval
        return (
            f"accuracy differs by {self.difference:+.3f} ({100 * _LEVEL:g} % interval {low:+.3f} to {high:+.3f}, "
            f"Bonett-Price, n = {self.n}): {self.only_first} right only in the first, {self.only_second} only in the "
            f"second, {self.both_right} in both, {self.both_wrong} in neither; McNemar's exact p = {self.p_value:.3g}"
        )


def compare(first: Predictions, second: Predictions) -> Comparison:
    """Compares the predictions of two classifiers on the same test examples.

    Args:
        first: `Report`, or any `Predictions`.
        second: `Report`, or any `Predictions`, on the same examples in the same order.

    Returns:
        `Comparison`. The p-value is that of McNemar's exact test: a two-sided binomial test on the examples that only
        one classifier predicts correctly, or 1 if there are none. The interval of the difference is that of Bonett and
        Price, clipped to -1..1. Both concern these two trained models, and not other seeds.

    Raises:
        ValueError: If classes or test examples differ, or the examples are in another order.

    References:
        - McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
          Psychometrika 12, 1947.
        - Bonett and Price, "Adjusted Wald confidence interval for a difference of binomial proportions based on paired
          data", Journal of Educational and Behavioral Statistics 37, 2012.

    Example:
        >>> import numpy as np
        >>> from sonikeras import Report
        >>> def report(predictions):
        ...     rows = np.eye(2, dtype="float32")[predictions]
        ...     return Report(("cat", "dog"), np.zeros(10, int), np.array(predictions), rows, loss=0.0,
        ...                   batch_mean_accuracy=0.0, history=None, seconds=1.0)
        >>> comparison = compare(report([0] * 9 + [1]), report([0] * 3 + [1] * 7))
        >>> comparison.only_first, comparison.only_second, comparison.p_value
        (6, 0, 0.03125)
    """
    from scipy.stats import binomtest, norm

    one, other = correctness([first, second])
    n = len(one)
    only_first, only_second = int(np.sum(one & ~other)), int(np.sum(~one & other))
    # One example of each kind is added, which corrects Wald's interval for small samples.
    fractions = np.array([only_first + 1, only_second + 1]) / (n + 2)
    middle = fractions[0] - fractions[1]
    half = norm.ppf((1 + _LEVEL) / 2) * np.sqrt((fractions.sum() - middle**2) / (n + 2))
    differing = only_first + only_second
    return Comparison(
        n=n,
        both_right=int(np.sum(one & other)),
        only_first=only_first,
        only_second=only_second,
        both_wrong=int(np.sum(~one & ~other)),
        difference=(only_first - only_second) / n,
        difference_interval=(max(-1.0, float(middle - half)), min(1.0, float(middle + half))),
        p_value=float(binomtest(only_first, differing, 0.5).pvalue) if differing else 1.0,
    )


def correctness(reports: Sequence[Predictions]) -> np.ndarray:
    """Which examples each classifier predicts correctly, bool array `[reports, n]`.

    Args:
        reports: One or more `Report`, or other `Predictions`, on the same test examples.

    Raises:
        ValueError: If there is no report, or their classes, their labels or the known names of their examples differ.
    """
    if not reports:
        raise ValueError("There must be at least one report. Received: none")
    first = reports[0]
    names = next((report.names for report in reports if report.names is not None), None)
    for report in reports:
        if report.class_names != first.class_names:
            raise ValueError(
                "Reports that are compared must have the same classes. "
                f"Received: {first.class_names} and {report.class_names}"
            )
        if not np.array_equal(report.labels, first.labels):
            received = f"{len(first.labels)} and {len(report.labels)} examples with different labels"
        elif names is not None and report.names not in (None, names):
            received = "names such as {!r} and {!r} at the same position".format(
                *next(pair for pair in zip(names, report.names or (), strict=True) if pair[0] != pair[1])
            )
        else:
            continue
        raise ValueError(
            f"Reports that are compared must have the same test examples in the same order. Received: {received}"
        )
    return np.stack([report.labels == report.predictions for report in reports])
