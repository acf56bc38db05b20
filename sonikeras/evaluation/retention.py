"""Retention: how much of an image survives in its audio, for a classifier and as a signal.

Recognition retention compares a classifier on sonified images with the same classifier on the images themselves.
Signal retention compares the reconstructed image with the original. The evaluation page of the documentation has the
formulas and the assumptions of the intervals.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sonikeras.config import SonificationConfig, as_config
from sonikeras.config._checks import check_audio, check_integer, check_number
from sonikeras.evaluation.comparison import correctness
from sonikeras.evaluation.report import Report
from sonikeras.signal import chain, metrics
from sonikeras.signal.magnitudes import as_read

_RENAMED = {"heard_accuracy": "sonified_accuracy", "seen_accuracy": "image_accuracy"}  # attributes of `Retention`


@dataclasses.dataclass(frozen=True)
class Retention:
    """The result of `recognition_retention`.

    Attributes:
        value: Float, the retention. 1: sonified images are recognized as well as images. 0: no better than by chance.
            NaN: undefined.
        low: Float, lower end of its confidence interval.
        high: Float, upper end of its confidence interval.
        sonified_accuracy: Float, mean accuracy on sonified images.
        image_accuracy: Float, mean accuracy on the images themselves.
        chance: Float, the accuracy that a classifier reaches without looking at the images.
        n: Integer, the number of test examples.
        seeds: Integer, the number of runs of each kind.
        level: Float, the confidence level of the interval.
    """

    value: float
    low: float
    high: float
    sonified_accuracy: float
    image_accuracy: float
    chance: float
    n: int
    seeds: int
    level: float

    def __getattr__(self, name: str) -> Any:
        renamed = f"has a new name: use `{_RENAMED[name]}`" if name in _RENAMED else "does not exist"
        raise AttributeError(f"`{type(self).__name__}.{name}` {renamed}.")

    def __str__(self) -> str:
        facts = (
            f"accuracy on sonified images {self.sonified_accuracy:.3f}, on images {self.image_accuracy:.3f}, "
            f"chance {self.chance:.3f}, n = {self.n}, {self.seeds} {'seed' if self.seeds == 1 else 'seeds'}"
        )
        if math.isnan(self.value):
            return f"recognition retention undefined, as accuracy on images is no better than chance: {facts}"
        interval = f"{100 * self.level:g} % interval {interval_text(self.low, self.high)}"
        return f"recognition retention {self.value:.3f} ({interval}, {facts})"


def interval_text(low: float, high: float) -> str:
    """An interval as text. That of a retention is unbounded if the accuracy on images may be no better than chance.

    Example:
        >>> interval_text(0.5, 0.75), interval_text(0.5, float("inf")), interval_text(float("-inf"), float("inf"))
        ('0.500 to 0.750', 'above 0.500', 'unbounded')
    """
    known = [f"{word} {end:.3f}" for word, end in (("above", low), ("below", high)) if math.isfinite(end)]
    return f"{low:.3f} to {high:.3f}" if len(known) == 2 else "".join(known) or "unbounded"


def recognition_retention(
    sonified: Sequence[Report], images: Sequence[Report], *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Retention:
    """The fraction of a classifier's accuracy above chance that is left if it gets sonified images instead of images.

    Retention is `(accuracy on sonified images - chance) / (accuracy on images - chance)`. Accuracies are means over
    runs of one recipe with different seeds. Chance is the fraction of the largest class in the test set: the best
    accuracy without looking at the images. For classes of equal size it is 1 / classes. For unequal classes, 1 /
    classes would credit a classifier that always predicts the largest class.

    The interval is a percentile bootstrap over two crossed factors, test examples and seeds. Each resample draws
    examples (each with the predictions of all runs) and pairs of runs, both with replacement. A resample with an
    accuracy on images no better than chance counts as infinite at both ends. With one seed, the interval concerns that
    seed alone.

    Args:
        sonified: One `Report` per seed, on sonified images.
        images: One `Report` per seed, in the same order, on the images themselves: the same recipe with
            `output="image"`.
        level: Float between 0 and 1, the confidence level. Defaults to 0.95.
        resamples: Integer, the number of bootstrap resamples. Defaults to 2000.
        seed: Integer of at least 0, the seed of the bootstrap. Defaults to 0.

    Returns:
        `Retention`. It is above 1 if sonified images are recognized better than images. Value and interval are NaN if
        the accuracy on images is no better than chance.

    Raises:
        ValueError: If classes or test examples differ, the numbers of reports differ, or an argument breaks its rule.

    References:
        - Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13.
        - Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1, 2007, of two crossed factors.

    Example:
        >>> import numpy as np
        >>> from sonikeras import Report
        >>> def report(right):
        ...     labels = np.arange(100) % 4
        ...     predictions = np.where(np.arange(100) < right, labels, (labels + 1) % 4)
        ...     return Report(tuple("abcd"), labels, predictions, np.eye(4, dtype="float32")[predictions], loss=0.0,
        ...                   batch_mean_accuracy=0.0, history=None, seconds=1.0)
        >>> retention = recognition_retention([report(70)], [report(85)])
        >>> round(retention.value, 3), retention.chance
        (0.75, 0.25)
    """
    check_number("level", level, "above 0 and below 1", lambda value: 0 < value < 1)
    check_integer("resamples", resamples, minimum=1)
    check_integer("seed", seed, minimum=0)
    if len(sonified) != len(images):
        raise ValueError(
            "`sonified` and `images` must have the same number of reports, one per seed. "
            f"Received: {len(sonified)} reports on sonified images, {len(images)} on images"
        )
    right = correctness([*sonified, *images])
    runs, n = len(sonified), right.shape[1]
    chance = float(np.bincount(sonified[0].labels).max() / n)
    accuracies = right.reshape(2, runs, n).mean(axis=(1, 2))
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, 2))
    for resample in means:
        run, example = rng.integers(runs, size=runs), rng.integers(n, size=n)
        # Counts of runs, multiplied first, take a fraction of the memory that an array of all drawn runs would.
        drawn = np.bincount(run, minlength=runs) @ right.reshape(2, runs, n)
        resample[:] = drawn[:, example].mean(axis=1) / runs
    value = _ratio(accuracies[None], chance, math.nan)[0]
    tail = (1 - level) / 2
    low = np.quantile(_ratio(means, chance, -math.inf), tail, method="lower")
    high = np.quantile(_ratio(means, chance, math.inf), 1 - tail, method="higher")
    if math.isnan(value):
        low = high = math.nan
    sonified_accuracy, image_accuracy = map(float, accuracies)
    return Retention(float(value), float(low), float(high), sonified_accuracy, image_accuracy, chance, n, runs, level)


def _ratio(accuracies: np.ndarray, chance: float, undefined: float) -> np.ndarray:
    """The retention of pairs `[..., (on sonified images, on images)]` of accuracies."""
    sonified, images = accuracies[:, 0] - chance, accuracies[:, 1] - chance
    defined = images > 1e-12
    return np.where(defined, sonified / np.where(defined, images, 1.0), undefined)


def permutation_test(first: Sequence[Report], second: Sequence[Report]) -> float:
    """An exact, two-sided sign-flip test of the difference between two classifiers over several runs.

    For each test example, the test takes the difference between the fractions of runs that are right. If the two
    classifiers were equally good, both signs of each difference would be equally likely. The p-value is the fraction of
    all sign combinations with a mean difference at least as large as the observed one. It is computed exactly, not by
    sampling. With one run each it is McNemar's exact test. It generalizes to other test images, not to other runs.

    Args:
        first: One or more `Report`, the runs of the first classifier.
        second: One or more `Report`, the runs of the second classifier, on the same test examples.

    Returns:
        The p-value, a float in 0..1. Correct it if you test several pairs, for example with
        `sonikeras.evaluation.sweep.holm`.

    Raises:
        ValueError: If there is no report, classes or test examples differ, or the examples are in another order.

    References:
        Fisher, "The design of experiments", 1935, section 21.

    Example:
        >>> import numpy as np
        >>> from sonikeras import Report
        >>> def report(predictions):
        ...     rows = np.eye(2, dtype="float32")[predictions]
        ...     return Report(("cat", "dog"), np.zeros(6, int), np.array(predictions), rows, loss=0.0,
        ...                   batch_mean_accuracy=0.0, history=None, seconds=1.0)
        >>> round(permutation_test([report([0] * 6)], [report([1] * 6)]), 9)
        0.03125
    """
    from scipy.stats import binom

    right = correctness([*first, *second]).astype(int)
    ones, others = right[: len(first)].sum(axis=0), right[len(first) :].sum(axis=0)
    if not (len(first) and len(second)):
        raise ValueError(f"Both must have at least one report. Received: {len(first)} and {len(second)}")
    # Integers, so that their sums lie on a grid.
    differences = len(second) * ones - len(first) * others
    differences //= max(1, np.gcd.reduce(differences))
    # If k of the `count` differences of size m are positive, they sum to m (2 k - count): a binomial distribution.
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    probabilities = np.ones(1)
    for size, count in zip(sizes, counts, strict=True):
        grid = np.zeros(2 * size * count + 1)
        grid[:: 2 * size] = binom.pmf(np.arange(count + 1), count, 0.5)
        probabilities = np.convolve(probabilities, grid)
    sums = np.arange(len(probabilities)) - len(probabilities) // 2
    return float(min(1.0, probabilities[np.abs(sums) >= abs(differences.sum())].sum()))


@dataclasses.dataclass(frozen=True)
class SignalRetention:
    """The result of `signal_retention`.

    Attributes:
        psnr: Float, peak signal-to-noise ratio of the reconstructed image in dB. It is infinite for equal images.
        ssim: Float up to 1, structural similarity. It is NaN for an image with a side of less than 11 pixels.
        spectral_convergence: Float in dB, the relative distance of the audio's magnitudes from those of the image:
            -40 dB is 1 %.
    """

    psnr: float
    ssim: float
    spectral_convergence: float

    def __str__(self) -> str:
        return f"PSNR {self.psnr:.1f} dB, SSIM {self.ssim:.3f}, spectral convergence {self.spectral_convergence:.1f} dB"


def signal_retention(
    image: np.ndarray, audio: np.ndarray, config: str | SonificationConfig = "study"
) -> SignalRetention:
    """The quality of an image's reconstruction from its audio, without any classifier.

    The reconstruction, `sonikeras.desonify(audio, config, size=...)`, is compared with the image at the image's size,
    so losses by resizing count too. The image is gray unless the config has `color`. Configs with `reference="max"`
    normalize the brightness of an image, which counts as an error here.

    Args:
        image: uint8 array `[height, width]` or `[height, width, 3]`.
        audio: float array `[config.samples]`, the image's audio, as sent or as received.
        config: Preset or `SonificationConfig`. Defaults to `"study"`.

    Returns:
        `SignalRetention`.

    Raises:
        ValueError: If `image` or `audio` has another shape or type.

    References:
        Those of `sonikeras.signal.metrics`.

    Example:
        >>> import numpy as np, sonikeras
        >>> image = np.tile(np.arange(128, dtype="uint8"), (512, 1))
        >>> retention = signal_retention(image, sonikeras.sonify(image, "lossless"), "lossless")
        >>> retention.psnr, retention.ssim
        (inf, 1.0)
    """
    config = as_config(config)
    original = as_read(image, config)
    audio = chain.to_mono(check_audio(audio, stereo=config.panning), config)
    if audio.size != config.samples:
        raise ValueError(
            f"`audio` must have shape ({config.samples},), the config's length. Received: audio of shape {audio.shape}"
        )
    reconstruction = chain.desonify(audio, config, size=original.shape[:2])
    with np.errstate(divide="ignore"):
        convergence = 20 * np.log10(metrics.spectral_convergence(audio, original, config))
    return SignalRetention(
        psnr=metrics.psnr(reconstruction, original),
        ssim=metrics.ssim(reconstruction, original),
        spectral_convergence=float(convergence),
    )
