"""Comparisons of classifiers and what is retained: exact tests, intervals, pairing, the signal, bad input."""

import math
import types
import warnings

import numpy as np
import pytest
from scipy.stats import binomtest

import sonikeras
from sonikeras import Report
from sonikeras.evaluation import comparison, sweep
from sonikeras.evaluation.retention import permutation_test, recognition_retention, signal_retention

RETENTION = recognition_retention


def report_of(predictions, labels=None, classes=4, names=None):
    predictions = np.asarray(predictions)
    labels = np.arange(len(predictions)) % classes if labels is None else np.asarray(labels)
    return Report(
        class_names=tuple(f"class {i}" for i in range(classes)),
        labels=labels,
        predictions=predictions,
        probabilities=np.eye(classes, dtype="float32")[predictions],
        loss=0.0,
        batch_mean_accuracy=0.0,
        history=None,
        seconds=1.0,
        names=names,
    )


def report_where(right, **options):
    """A report that is right where `right` is, on 4 classes in turn."""
    right = np.asarray(right, bool)
    return report_of((np.arange(len(right)) + ~right) % 4, **options)


def random_reports(accuracy, n, seeds, seed):
    rng = np.random.default_rng(seed)
    return [report_where(rng.random(n) < accuracy) for _ in range(seeds)]


# Comparison of two


def test_a_comparison_counts_the_four_kinds_of_examples():
    first = report_where([1, 1, 1, 1, 1, 0, 0, 0])
    second = report_where([1, 1, 0, 0, 0, 1, 0, 0])
    found = first.compare(second)
    assert (found.n, found.both_right, found.only_first, found.only_second, found.both_wrong) == (8, 2, 3, 1, 2)
    assert found.difference == pytest.approx(first.accuracy - second.accuracy)
    assert found.p_value == pytest.approx(binomtest(3, 4).pvalue)
    assert "3 right only in the first, 1 only in the second" in str(found) and "\n" not in str(found)


def test_a_comparison_the_other_way_round_is_its_mirror_image():
    first, second = (random_reports(p, 60, 1, 3 + i)[0] for i, p in enumerate((0.8, 0.6)))
    one, other = first.compare(second), second.compare(first)
    assert one.p_value == other.p_value
    assert one.difference == -other.difference
    assert one.difference_interval == pytest.approx([-end for end in reversed(other.difference_interval)])


def test_interval_of_the_difference_is_the_published_one():
    # Complete response before and after a therapy, 59, 6, 16 and 80 of 161 patients, as in R's contingencytables, the
    # package of Fagerland, Lydersen and Laake, "Statistical analysis of contingency tables", 2017.
    found = report_where([1] * 65 + [0] * 96).compare(report_where([1] * 59 + [0] * 6 + [1] * 16 + [0] * 80))
    assert (found.both_right, found.only_first, found.only_second, found.both_wrong) == (59, 6, 16, 80)
    assert found.difference == pytest.approx(-0.0621, abs=5e-5)
    assert found.difference_interval == pytest.approx((-0.1195, -0.0032), abs=5e-5)


@pytest.mark.parametrize("right", [[1] * 50, [0] * 50, [1]], ids=["all right", "all wrong", "one example"])
def test_equal_predictions_differ_in_nothing(right):
    found = report_where(right).compare(report_where(right))
    low, high = found.difference_interval
    assert found.p_value == 1 and found.difference == 0 and -1 <= low < 0 < high <= 1


def test_the_interval_stays_within_its_bounds():
    found = report_where([1, 1]).compare(report_where([0, 0]))
    assert found.difference == 1 and found.difference_interval[1] == 1


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (report_of([0, 1, 2]), "test examples.*Received: 4 and 3 examples"),
        (
            report_of([0, 1, 2, 3], labels=[3, 2, 1, 0]),
            "test examples.*Received: 4 and 4 examples with different labels",
        ),
        (report_of([0, 1, 2, 0], labels=[0, 1, 2, 0], classes=3), "same classes.*Received"),
        (report_of([0, 1, 2, 3], names=("a", "c", "b", "d")), "test examples.*Received: names such as 'b' and 'c'"),
    ],
    ids=["fewer", "another order", "other classes", "other names"],
)
@pytest.mark.parametrize("compare", [lambda a, b: a.compare(b), lambda a, b: permutation_test([a], [b]),
                                     lambda a, b: RETENTION([a], [b])])  # fmt: skip
def test_other_test_examples_are_refused(other, message, compare):
    with pytest.raises(ValueError, match=message):
        compare(report_of([0, 1, 2, 3], names=("a", "b", "c", "d")), other)


def test_names_that_one_report_lacks_are_no_hindrance():
    named = report_of([0, 1, 2, 3], names=("a", "b", "c", "d"))
    assert named.compare(report_of([0, 1, 2, 3])).p_value == 1


def test_predictions_of_any_kind_can_be_compared():
    """Also those that are no report: of another library, say."""
    first, second = (
        types.SimpleNamespace(class_names=("a", "b"), labels=np.zeros(10, int), predictions=np.array(guess), names=None)
        for guess in ([0] * 9 + [1], [0] * 3 + [1] * 7)
    )
    found = comparison.compare(first, second)
    assert (found.only_first, found.only_second, found.both_right, found.both_wrong) == (6, 0, 3, 1)


def test_old_names_say_the_new_ones():
    found = RETENTION([report_where([1, 1, 0, 1])], [report_where([1, 1, 1, 1])], resamples=10)
    for old, new in {"heard_accuracy": "sonified_accuracy", "seen_accuracy": "image_accuracy"}.items():
        with pytest.raises(AttributeError, match=f"use `{new}`"):
            getattr(found, old)
    for old, new in {"Cell": "Run", "Outcome": "Result"}.items():
        with pytest.raises(AttributeError, match=f"use `sonikeras.evaluation.sweep.{new}`"):
            getattr(sweep, old)
    assert not hasattr(found, "other") and not hasattr(sweep, "Other")


# Permutation test


@pytest.mark.parametrize("seed", range(5))
def test_permutation_test_of_one_run_each_is_mcnemars(seed):
    first, second = random_reports(0.75, 80, 1, seed) + random_reports(0.6, 80, 1, 100 + seed)
    assert permutation_test([first], [second]) == pytest.approx(first.compare(second).p_value)


@pytest.mark.parametrize("runs", [(2, 2), (3, 3), (2, 3)])
def test_permutation_test_is_the_fraction_of_all_signs(runs):
    n = 12
    first, second = random_reports(0.8, n, runs[0], 1), random_reports(0.5, n, runs[1], 2)
    right = [np.mean([each.labels == each.predictions for each in group], axis=0) for group in (first, second)]
    difference = right[0] - right[1]
    signs = 1 - 2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)
    expected = np.mean(np.abs(signs @ difference) >= abs(difference.sum()) - 1e-9)
    assert permutation_test(first, second) == pytest.approx(expected)
    assert permutation_test(second, first) == pytest.approx(expected)


def test_permutation_test_of_the_same_runs_is_one():
    reports = random_reports(0.7, 50, 3, 0)
    assert permutation_test(reports, reports[::-1]) == 1


def test_permutation_test_needs_runs_of_both():
    (report,) = random_reports(0.7, 10, 1, 0)
    for groups in (([report], []), ([], [report]), ([], [])):
        with pytest.raises(ValueError, match="one report.*Received"):
            permutation_test(*groups)


# Recognition


def test_retention_is_the_fraction_of_the_accuracy_above_chance():
    sonified = [report_where([1] * 60 + [0] * 40), report_where([1] * 70 + [0] * 30)]
    images = [report_where([1] * 90 + [0] * 10), report_where([1] * 80 + [0] * 20)]
    found = RETENTION(sonified, images)
    assert found.value == pytest.approx((0.65 - 0.25) / (0.85 - 0.25))
    assert (found.chance, found.n, found.seeds, found.level) == (0.25, 100, 2, 0.95)
    assert (found.sonified_accuracy, found.image_accuracy) == pytest.approx((0.65, 0.85))
    assert found.low < found.value < found.high
    assert "recognition retention 0.667 (95 % interval" in str(found) and "\n" not in str(found)


def test_the_same_reports_retain_all():
    reports = random_reports(0.8, 100, 3, 0)
    found = RETENTION(reports, reports)
    assert (found.low, found.value, found.high) == (1, 1, 1)


def test_a_guess_retains_nothing():
    found = RETENTION([report_of([0] * 100)], [report_where([1] * 100)])
    assert found.value == 0


def test_chance_is_the_fraction_of_the_largest_class():
    labels = [0] * 30 + [1] * 10
    found = RETENTION([report_of([0] * 40, labels=labels, classes=2)], [report_of(labels, labels=labels, classes=2)])
    assert found.chance == 0.75 and found.value == 0


def test_the_interval_narrows_with_more_images_and_widens_with_the_level():
    def width(n, level=0.95):
        found = RETENTION(random_reports(0.6, n, 3, 1), random_reports(0.85, n, 3, 2), level=level, resamples=500)
        return found.high - found.low

    assert width(3200) < 0.5 * width(200)
    assert width(200, level=0.5) < width(200) < width(200, level=0.99)


def test_the_interval_is_decided_by_its_seed():
    groups = random_reports(0.6, 50, 2, 1), random_reports(0.85, 50, 2, 2)
    assert RETENTION(*groups) == RETENTION(*groups)
    assert RETENTION(*groups, seed=1) != RETENTION(*groups)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    # 200 test sets of 100 images: 0.7 and 0.85 right in truth, of which the first within the second.
    rng = np.random.default_rng(5)
    truth, held = (0.7 - 0.25) / (0.85 - 0.25), 0
    for _ in range(200):
        draw = rng.random(100)
        found = RETENTION([report_where(draw < 0.7)], [report_where(draw < 0.85)], level=0.9, resamples=200)
        held += found.low <= truth <= found.high
    assert 0.82 <= held / 200 <= 0.97


def test_pairing_makes_the_interval_narrow():
    seen = random_reports(0.8, 400, 1, 0)
    right = seen[0].labels == seen[0].predictions
    right[np.flatnonzero(right)[:4]] = False
    paired, other = [report_where(right)], random_reports(0.79, 400, 1, 1)
    narrow, wide = RETENTION(paired, seen, resamples=500), RETENTION(other, seen, resamples=500)
    assert narrow.high - narrow.low < 0.3 * (wide.high - wide.low)


@pytest.mark.parametrize(
    "seen",
    [report_of([0] * 40), report_where([0] * 40)],
    ids=["all one class", "all wrong"],
)
def test_retention_of_what_is_not_recognised_is_undefined(seen):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = RETENTION([report_where([1] * 40)], [seen], resamples=50)
    assert all(map(math.isnan, (found.value, found.low, found.high)))
    assert found.sonified_accuracy == 1 and "undefined" in str(found)


def test_retention_on_one_class_is_undefined():
    report = report_of([0] * 20, labels=[0] * 20)
    assert report.accuracy == 1 and math.isnan(RETENTION([report], [report], resamples=50).value)


def test_an_interval_that_reaches_chance_is_unbounded():
    found = RETENTION(random_reports(0.5, 40, 1, 0), [report_where(([1, 0, 0] * 14)[:40])], resamples=500)
    assert found.image_accuracy > found.chance and (found.low, found.high) == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 1.0}, "`level`.*Received: level=1.0"),
        ({"level": math.nan}, "`level`.*Received: level=nan"),
        ({"resamples": 0}, "`resamples`.*Received: resamples=0"),
        ({"seed": -1}, "`seed`.*Received: seed=-1"),
    ],
)
def test_bad_arguments_are_named(options, message):
    (report,) = random_reports(0.7, 10, 1, 0)
    with pytest.raises(ValueError, match=message):
        RETENTION([report], [report], **options)


def test_runs_are_pairs():
    reports = random_reports(0.7, 10, 3, 0)
    with pytest.raises(ValueError, match="same number of reports.*Received: 3 reports on sonified images, 2 on images"):
        RETENTION(reports, reports[:2])
    with pytest.raises(ValueError, match="at least one report"):
        RETENTION([], [])


# Signal


@pytest.fixture(scope="module")
def photo():
    return sonikeras.read_image("docs/images/coffee.png")


def test_lossless_keeps_more_of_the_signal_than_a_search(photo):
    matched, lossless = (
        signal_retention(photo, sonikeras.sonify(photo, name), name) for name in ("matched", "lossless")
    )
    assert lossless.psnr > matched.psnr > 20 and 1 > lossless.ssim > matched.ssim > 0.5
    assert lossless.spectral_convergence < -60 < matched.spectral_convergence < -10


def test_images_that_fit_are_reconstructed_exactly():
    config = sonikeras.SonificationConfig.preset("lossless")
    image = np.random.default_rng(0).integers(0, 256, (config.bins, config.frames), np.uint8)
    found = signal_retention(image, sonikeras.sonify(image, config), config)
    assert found.psnr == math.inf and found.ssim == 1
    assert "PSNR inf dB, SSIM 1.000" in str(found)


def test_color_counts_as_brightness(photo):
    audio = sonikeras.sonify(photo, "lossless")
    assert signal_retention(np.stack([photo] * 3, -1), audio, "lossless") == signal_retention(photo, audio, "lossless")


def test_psnr_is_that_of_the_formula():
    image, config = np.full((64, 64), 100, np.uint8), "lossless"
    audio = sonikeras.sonify(image, config)
    off = sonikeras.desonify(0.5 * audio, config, size=image.shape).astype(float) - image
    assert signal_retention(image, 0.5 * audio, config).psnr == pytest.approx(
        10 * np.log10(255**2 / np.mean(off**2)), rel=1e-5
    )


def test_small_images_have_no_structural_similarity():
    config = "lossless"
    for size, defined in (((11, 11), True), ((10, 40), False), ((1, 1), False)):
        image = np.full(size, 90, np.uint8)
        found = signal_retention(image, sonikeras.sonify(image, config), config)
        assert math.isnan(found.ssim) != defined and found.psnr > 40


def test_bad_audio_and_images_are_named(photo):
    audio = sonikeras.sonify(photo, "lossless")
    with pytest.raises(ValueError, match=r"`audio` must have shape \(66048,\).*Received: audio of shape \(66000,\)"):
        signal_retention(photo, audio[:66000], "lossless")
    with pytest.raises(ValueError, match="finite"):
        signal_retention(photo, audio * np.nan, "lossless")
    with pytest.raises(ValueError, match="`image` must be a uint8 array"):
        signal_retention(photo / 255, audio, "lossless")


def test_signal_retention_is_that_of_the_colors_that_a_config_carries():
    image = sonikeras.read_image("docs/images/coffee.png", color=True)[:64, :48]
    for color in ("rgb", "ycbcr"):
        config = sonikeras.SonificationConfig.for_image(image, "lossless", color=color)
        kept = signal_retention(image, sonikeras.sonify(image, config), config)
        assert kept.psnr == np.inf if color == "rgb" else 25 < kept.psnr < 60
