"""Two classifiers on the same test examples: whether they differ by more than chance.

Both have seen the same images, so what tells is the examples on which one is right and the other wrong. Their share
says more than two confidence intervals that overlap.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sonikeras.evaluation.report import Report


_LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What `Report.compare` finds.

    Attributes:
        n: Integer, test examples.
        both_right: Integer, examples that both predict right.
        only_first: Integer, examples that only the first predicts right.
        only_second: Integer, examples that only the second predicts right.
        both_wrong: Integer, examples that both predict wrong.
        difference: Float, accuracy of the first less that of the second.
        difference_interval: Lower and upper end of its 95 % interval.
        p_value: Float, of McNemar's exact test.
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
            f"second, {self.both_right} in both, {self.both_wrong} in none; McNemar's exact p = {self.p_value:.3g}"
        )


def compare(first: Report, second: Report) -> Comparison:
    """Compares the predictions of two classifiers on the same test examples.

    Args:
        first: `Report`.
        second: `Report` on the same examples in the same order.

    Returns:
        `Comparison`. Its p-value is that of McNemar's test in its exact form, a two-sided binomial test on the examples
        that only one predicts right; 1 where there are none. The interval of the difference is that of Bonett and
        Price, cut to -1..1. Both speak of the two trained models, and not of other seeds.

    Raises:
        ValueError: If the reports have not the same classes and test examples in the same order.

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
    # With one more example of each kind, which makes Wald's interval hold in small samples too.
    shares = np.array([only_first + 1, only_second + 1]) / (n + 2)
    middle = shares[0] - shares[1]
    half = norm.ppf((1 + _LEVEL) / 2) * np.sqrt((shares.sum() - middle**2) / (n + 2))
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


def correctness(reports: Sequence[Report]) -> np.ndarray:
    """Which examples each report predicts right, bool array `[reports, n]`, where all are on the same test examples.

    Args:
        reports: One or more `Report`.

    Raises:
        ValueError: If there is no report, or they have not the same classes and test examples in the same order: equal
            labels, and equal names where they are known.
    """
    if not reports:
        raise ValueError("There must be one report at least. Received: none")
    first = reports[0]
    names = next((report.names for report in reports if report.names is not None), None)
    for report in reports:
        if report.class_names != first.class_names:
            raise ValueError(
                "Reports that are compared must have the same classes. "
                f"Received: {first.class_names} and {report.class_names}"
            )
        if not np.array_equal(report.labels, first.labels):
            received = f"{len(first.labels)} and {len(report.labels)} examples, whose labels differ"
        elif names is not None and report.names not in (None, names):
            received = "names such as {!r} and {!r} of one place".format(
                *next(pair for pair in zip(names, report.names or (), strict=True) if pair[0] != pair[1])
            )
        else:
            continue
        raise ValueError(
            f"Reports that are compared must have the same test examples in the same order. Received: {received}"
        )
    return np.stack([report.labels == report.predictions for report in reports])
