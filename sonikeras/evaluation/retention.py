"""How much of an image survives in its sound: what a classifier still recognizes, and what of the signal is left.

Recognition is measured against the same classifier on the images themselves, the signal against the image's pixels. The
formulas, what the intervals hold for and what they do not, are in the page on evaluation of the documentation.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from sonikeras.config import SonificationConfig, as_config
from sonikeras.config._checks import check_audio, check_integer, check_number
from sonikeras.evaluation.comparison import correctness
from sonikeras.evaluation.report import Report
from sonikeras.preparation._rendering import spectral_convergence
from sonikeras.signal import chain
from sonikeras.sources.images import to_gray

_SSIM_WINDOW = 11  # pixels, TensorFlow's default, which is that of the paper


@dataclasses.dataclass(frozen=True)
class Retention:
    """What `recognition_retention` finds.

    Attributes:
        value: Float, the retention: 1 where all is recognized that is recognized in the images, 0 where no more is than
            by chance; NaN where it is undefined.
        low: Float, lower end of its interval.
        high: Float, upper end of its interval.
        sonified_accuracy: Float, mean accuracy on the sonified pictures.
        image_accuracy: Float, mean accuracy on the images themselves.
        chance: Float, the accuracy that is reached without a look at the picture.
        n: Integer, test examples.
        seeds: Integer, runs of each kind.
        level: Float, the level of the interval.
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

    def __str__(self) -> str:
        facts = (
            f"accuracy heard {self.sonified_accuracy:.3f}, seen {self.image_accuracy:.3f}, chance {self.chance:.3f}, "
            f"n = {self.n}, {self.seeds} {'seed' if self.seeds == 1 else 'seeds'}"
        )
        if math.isnan(self.value):
            return f"recognition retention undefined, as the images are recognized no better than by chance: {facts}"
        interval = f"{100 * self.level:g} % interval {interval_text(self.low, self.high)}"
        return f"recognition retention {self.value:.3f} ({interval}, {facts})"


def interval_text(low: float, high: float) -> str:
    """An interval as text. Where the images may be recognized by chance alone, a retention lacks a bound, or both.

    Example:
        >>> interval_text(0.5, 0.75), interval_text(0.5, float("inf")), interval_text(float("-inf"), float("inf"))
        ('0.500 to 0.750', 'above 0.500', 'unbounded')
    """
    known = [f"{word} {end:.3f}" for word, end in (("above", low), ("below", high)) if math.isfinite(end)]
    return f"{low:.3f} to {high:.3f}" if len(known) == 2 else "".join(known) or "unbounded"


def recognition_retention(
    heard: Sequence[Report], seen: Sequence[Report], *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Retention:
    """The share of a classifier's accuracy above chance that is left when it gets sonified pictures instead of images.

    `(mean accuracy heard - chance) / (mean accuracy seen - chance)`, where the means are over runs of the same recipe
    with different seeds. Chance is the share of the test set's largest class: the best that can be done without a look
    at the picture. Where all classes have as many test examples, it is 1 / classes; where they do not, 1 / classes
    would credit a classifier that always names the largest class with retention.

    The interval is a percentile bootstrap over test examples and seeds, crossed: each resample draws examples (with the
    predictions of all runs together) and pairs of runs, both with replacement. A resample in which the images are
    recognized no better than by chance counts at both ends as infinite. With one seed, it speaks of that one alone.

    Args:
        heard: One `Report` a seed, on the sonified pictures.
        seen: One `Report` a seed, in the same order of seeds, on the images themselves: `output="image"`, all else the
            same.
        level: Float between 0 and 1, of the interval. Defaults to 0.95.
        resamples: Integer, of the bootstrap. Defaults to 2000.
        seed: Integer of at least 0, of the bootstrap. Defaults to 0.

    Returns:
        `Retention`. It is above 1 where the sonified pictures are recognized better. Where the images are recognized no
        better than by chance, the value and the interval are NaN.

    Raises:
        ValueError: If the reports have not the same classes and test examples, there are not as many heard as seen, or
            an argument breaks its rule.

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
    if len(heard) != len(seen):
        raise ValueError(
            "`heard` and `seen` must be runs with the same seeds, as many of each. "
            f"Received: {len(heard)} reports heard, {len(seen)} seen"
        )
    right = correctness([*heard, *seen])
    runs, n = len(heard), right.shape[1]
    chance = float(np.bincount(heard[0].labels).max() / n)
    accuracies = right.reshape(2, runs, n).mean(axis=(1, 2))
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, 2))
    for resample in means:
        run, example = rng.integers(runs, size=runs), rng.integers(n, size=n)
        # Runs first, counted: a gather of all of them would be several times as large.
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
    """The retention of pairs `[..., (heard, seen)]` of accuracies."""
    heard, seen = accuracies[:, 0] - chance, accuracies[:, 1] - chance
    defined = seen > 1e-12
    return np.where(defined, heard / np.where(defined, seen, 1.0), undefined)


def permutation_test(first: Sequence[Report], second: Sequence[Report]) -> float:
    """The probability of a difference as large as that between two classifiers, were it for chance alone.

    Of each test example, it takes the difference between the two in how many of their runs, that is seeds, are right.
    If the two were alike, each difference would as likely have the other sign. The result is the share of all signs
    with which the mean difference is at least as large, computed exactly and not by drawing some. With one run each it
    is McNemar's exact test. It asks about other test images, and takes the runs as given.

    Args:
        first: One or more `Report`, of the first classifier's runs.
        second: One or more `Report` of the second one's, on the same test examples.

    Returns:
        A float in 0..1, two-sided. For several pairs of classifiers correct it, for example as Holm.

    Raises:
        ValueError: If there is no report, or they have not the same classes and test examples in the same order.

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
        raise ValueError(f"Both must have one report at least. Received: {len(first)} and {len(second)}")
    # In whole numbers, so that the sums can be counted.
    differences = len(second) * ones - len(first) * others
    differences //= max(1, np.gcd.reduce(differences))
    # Differences of one size m, of which k get a plus, sum to m (2 k - count): a binomial on a grid of its own.
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    shares = np.ones(1)
    for size, count in zip(sizes, counts, strict=True):
        grid = np.zeros(2 * size * count + 1)
        grid[:: 2 * size] = binom.pmf(np.arange(count + 1), count, 0.5)
        shares = np.convolve(shares, grid)
    sums = np.arange(len(shares)) - len(shares) // 2
    return float(min(1.0, shares[np.abs(sums) >= abs(differences.sum())].sum()))


@dataclasses.dataclass(frozen=True)
class SignalRetention:
    """What `signal_retention` finds.

    Attributes:
        psnr: Float, peak signal-to-noise ratio in dB of the image heard back; infinite where it is equal.
        ssim: Float up to 1, its structural similarity; NaN of an image with a side of less than 11 pixels.
        spectral_convergence: Float, in dB, how far the sound's magnitudes are from those asked for: -40 is 1 %.
    """

    psnr: float
    ssim: float
    spectral_convergence: float

    def __str__(self) -> str:
        return f"PSNR {self.psnr:.1f} dB, SSIM {self.ssim:.3f}, spectral convergence {self.spectral_convergence:.1f} dB"


def signal_retention(
    image: np.ndarray, audio: np.ndarray, config: str | SonificationConfig = "study"
) -> SignalRetention:
    """What of an image is left in its sound, without any classifier.

    The image heard back, `sonikeras.desonify(audio, config, size=...)`, is compared with the gray image in that one's
    size, so what the resizing loses counts too. Configs with `reference="max"` make an image as bright as it can be,
    which counts as an error here.

    Args:
        image: uint8 array `[height, width]` or `[height, width, 3]`.
        audio: float array `[config.samples]`, its sound, as sent or as received.
        config: Preset or `SonificationConfig`. Defaults to `"study"`.

    Returns:
        `SignalRetention`.

    Raises:
        ValueError: If `image` or `audio` is not such an array.

    References:
        - SSIM: Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE
          Transactions on Image Processing 13, 2004, by `tf.image.ssim`.
        - Spectral convergence: Sturmel and Daudet, "Signal reconstruction from STFT magnitude: a state of the art",
          DAFx 2011.

    Example:
        >>> import numpy as np, sonikeras
        >>> image = np.tile(np.arange(128, dtype="uint8"), (512, 1))
        >>> retention = signal_retention(image, sonikeras.sonify(image, "lossless"), "lossless")
        >>> retention.psnr, retention.ssim
        (inf, 1.0)
    """
    import tensorflow as tf

    config, audio, gray = as_config(config), check_audio(audio), to_gray(image)
    if audio.size != config.samples:
        raise ValueError(
            f"`audio` must have shape ({config.samples},), the config's length. Received: audio of shape {audio.shape}"
        )
    heard = chain.desonify(audio, config, size=gray.shape)
    pair = gray[..., None], heard[..., None]
    with np.errstate(divide="ignore"):
        convergence = 20 * np.log10(spectral_convergence(audio, gray, config))
    return SignalRetention(
        psnr=float(tf.image.psnr(*pair, max_val=255)),
        ssim=float(tf.image.ssim(*pair, max_val=255)) if min(gray.shape) >= _SSIM_WINDOW else math.nan,
        spectral_convergence=float(convergence),
    )
