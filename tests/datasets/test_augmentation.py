"""Augmentation: seed and step determine it, and each setting changes what it names."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import sonikeras
from sonikeras.datasets import Augment
from sonikeras.datasets.augmentation import Augmentation
from sonikeras.transmission._decibels import add_noise, apply_gain

RNG = np.random.default_rng(0)
PICTURES = RNG.uniform(1, 255, (8, 32, 48, 3)).astype("float32")
LABELS = np.arange(8, dtype="int32") % 3
ALL = {"flip": True, "shift": 0.1, "zoom": 0.1, "mask": 0.3, "mixup": 0.4}


def steps(first, last, **options):
    augment = Augmentation(3, **options)
    data = tf.data.Dataset.range(first, last).map(lambda step: augment(step, PICTURES, LABELS))
    return [(x.numpy(), y.numpy()) for x, y in data]


def test_number_and_seed_determine_a_step():
    whole, later, other = steps(0, 6, **ALL), steps(4, 6, **ALL), steps(0, 1, **ALL, seed=1)
    for a, b in zip(whole[4:], later, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])
    assert not np.array_equal(whole[0][0], whole[1][0]) and not np.array_equal(whole[0][0], other[0][0])


def test_no_changes_by_default():
    ((x, y),) = steps(0, 1, flip=False)
    np.testing.assert_array_equal(x, PICTURES)
    np.testing.assert_array_equal(y, np.eye(3)[LABELS])


def test_flips_are_in_time_and_half_of_the_pictures():
    flipped = 0
    for x, _ in steps(0, 20):
        for picture, original in zip(x, PICTURES, strict=True):
            mirrored = np.array_equal(picture, original[:, ::-1])
            assert mirrored or np.array_equal(picture, original)
            flipped += mirrored
    assert 50 < flipped < 110


def test_changes_are_mutually_independent():
    """Shifts in both directions occur with and without a flip."""
    marked = np.zeros((1, 33, 33, 3), np.float32)
    marked[0, 16, 16] = 255  # a flip does not move this pixel
    marked[0, 14, 18] = 100  # the side of this one shows whether there was a flip
    augment, seen = Augmentation(2, shift=0.2, seed=1), set()
    for step in range(40):
        picture = augment(step, marked, np.array([0]))[0].numpy()[0, :, :, 0]
        center = np.unravel_index(picture.argmax(), picture.shape)
        left, right = (picture[:, side].sum() for side in (slice(0, center[1]), slice(center[1] + 2, None)))
        seen.add((left > right, center[1] > 16))
    assert len(seen) == 4


def test_masks_span_whole_rows_and_columns():
    fractions = []
    for x, _ in steps(0, 10, flip=False, mask=0.5):
        masked = (x == 0).all(axis=-1)
        rows, columns = masked.all(axis=2), masked.all(axis=1)
        np.testing.assert_array_equal(masked, rows[:, :, None] | columns[:, None, :])
        for lines in (*rows, *columns):  # a single interval
            assert (np.diff(lines.astype(int)) == 1).sum() + lines[0] <= 1
        fractions += [*rows.mean(axis=1), *columns.mean(axis=1)]
    assert max(fractions) <= 0.55 and max(fractions) > 0.35 and 0.15 < np.mean(fractions) < 0.45


def test_mixup_mixes_pictures_and_labels_alike():
    ((x, y),) = steps(3, 4, flip=False, mixup=1.0)
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-5)
    assert ((y > 0).sum(axis=1) == 2).any()
    for picture in x:  # each is a mixture of two of the originals
        errors = []
        for a in PICTURES:
            for b in PICTURES:
                weight = ((picture - b) * (a - b)).sum() / max(((a - b) ** 2).sum(), 1e-9)
                errors.append(abs(weight * a + (1 - weight) * b - picture).max())
        assert min(errors) < 0.1


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_shapes_and_ranges(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        results = steps(0, 2, **ALL)
    finally:
        keras.config.set_dtype_policy(before)
    for x, y in results:
        assert x.shape == PICTURES.shape and y.shape == (8, 3) and x.dtype == y.dtype == np.float32
        assert x.min() >= 0 and x.max() <= 256


# `dataset(augment=...)` -----------------------------------------------------------------------------------------------

SMALL = {"images_per_class": 5, "shuffle": False, "batch_size": None}
TONE = np.sin(np.arange(20000, dtype="float32") * 0.3)
AUDIO = {"roll": 0.5, "noise": (0, 30), "gain": 12}
PICTURES_TOO = {"flip": True, "shift": 0.2, "zoom": 0.2, "time_mask": 0.3, "frequency_mask": 0.3}


def epochs(augment, count=2, **arguments):
    data = sonikeras.dataset("c2", augment=augment, **{**SMALL, "image_size": 40} | arguments)
    return [np.stack([x for x, _ in data]) for _ in range(count)]


@pytest.mark.parametrize(
    ("changes", "output"),
    [(AUDIO, "audio"), (AUDIO, "spectrogram"), (AUDIO | PICTURES_TOO, "picture"), (PICTURES_TOO, "image")],
)
def test_changes_differ_between_epochs_and_not_between_runs(changes, output):
    first, second = epochs(Augment(**changes), output=output)
    plain = epochs(None, 1, output=output)[0]
    for again, expected in zip(epochs(Augment(**changes), output=output), (first, second), strict=True):
        np.testing.assert_array_equal(again, expected)
    other = epochs(Augment(**changes), 1, output=output, seed=1)[0] if output == "image" else second
    for x, y, z, w in zip(first, second, plain, other, strict=True):
        assert x.shape == z.shape and not np.allclose(x, y) and not np.allclose(x, z) and not np.allclose(x, w)
    if output in ("picture", "image"):
        assert first.min() >= 0 and first.max() <= 255.01


def test_examples_of_a_batch_are_changed_independently():
    batched = np.concatenate(epochs(Augment(**PICTURES_TOO), 1, batch_size=4)[0])
    np.testing.assert_array_equal(batched, epochs(Augment(**PICTURES_TOO), 1)[0])


def test_gain_is_in_decibels():
    ratios = [np.linalg.norm(Augment(gain=6).change_audio(TONE, n)) / np.linalg.norm(TONE) for n in range(200)]
    decibels = 20 * np.log10(ratios)
    assert -6 <= decibels.min() < -5 and 5 < decibels.max() <= 6 and abs(decibels.mean()) < 0.8


def test_noise_has_the_signal_to_noise_ratio():
    for low, high, number in ((20, 20, 0), (-5, -5, 1), (10, 30, 2)):
        noise = Augment(noise=(low, high)).change_audio(TONE, number).numpy() - TONE
        ratio = 20 * np.log10(np.linalg.norm(TONE) / np.linalg.norm(noise))
        assert low - 0.2 <= ratio <= high + 0.2
        assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.05
    assert Augment(noise=10) == Augment(noise=(10.0, 10.0))
    np.testing.assert_array_equal(Augment(noise=10).change_audio(0 * TONE, 0), 0 * TONE)


def test_roll_is_circular():
    pulse = np.eye(1, 1000, 500, dtype="float32")[0]
    positions = [int(np.argmax(Augment(roll=0.2).change_audio(pulse, n))) for n in range(200)]
    assert 300 <= min(positions) < 330 and 670 < max(positions) <= 700


def test_masks_of_time_and_of_frequency():
    for changes, axis in (({"time_mask": 0.5}, 0), ({"frequency_mask": 0.5}, 1)):
        augment = Augment(**changes)
        fractions = []
        for number in range(30):
            masked = (augment.change_picture(PICTURES[0], number).numpy() == 0).all(axis=-1)
            assert (masked == masked.all(axis=axis, keepdims=True)).all()
            fractions.append(masked.mean())
        assert max(fractions) <= 0.55 and max(fractions) > 0.35


def test_audio_and_picture_are_changed_independently():
    pulse = np.eye(1, 1000, 500, dtype="float32")[0]
    flip, roll = Augment(flip=True), Augment(roll=0.5)
    seen = set()
    for number in range(40):
        later = int(np.argmax(roll.change_audio(pulse, number))) > 500
        seen.add((later, np.array_equal(flip.change_picture(PICTURES[0], number), PICTURES[0])))
    assert len(seen) == 4


def test_only_the_training_split_is_changed():
    arguments = {"images_per_class": 5, "batch_size": None, "output": "image"}
    _, test = sonikeras.dataset("c2", split="both", augment=Augment(flip=True, shift=0.3), **arguments)
    plain = sonikeras.dataset("c2", split="test", **arguments)
    for (a, _), (b, _) in zip(test, plain, strict=True):
        np.testing.assert_array_equal(a, b)


def test_augment_without_settings_changes_nothing():
    np.testing.assert_array_equal(epochs(Augment(), 1, output="audio")[0], epochs(None, 1, output="audio")[0])


def test_functions_and_layers():
    plain = epochs(None, 1)[0]
    np.testing.assert_array_equal(epochs(lambda x: 255 - x, 1)[0], 255 - plain)
    layers = keras.Sequential([keras.layers.RandomFlip("horizontal", seed=1), keras.layers.GaussianNoise(1.0, seed=1)])
    first, second = epochs(layers, batch_size=8)
    assert first.shape == (1, 8, 40, 40, 3) and not np.allclose(first, second) and not np.allclose(first, plain)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "test"}, "`augment` changes the training split: `split` must be 'train', or 'both'.*split='test'"),
        ({"split": "validation", "validation_split": 0.2}, "`augment` changes the training split"),
        ({"augment": 3}, "`augment` must be a sonikeras.Augment, a function of pictures, or None.*augment=3"),
        ({"output": "image"}, "must not change audio where there is none: leave out `roll`.*output='image'"),
        ({"augment": Augment(flip=True), "output": "audio"}, "must not change a picture.*output='audio'"),
        ({"augment": Augment(time_mask=0.1), "output": "spectrogram"}, "must not change a picture"),
        ({"augment": abs, "output": "audio"}, "must not change a picture"),
        ({"augment": Augment(roll=0.1), "config": "photo"}, "`roll` .* must be 0 where .*Received: .*color='ycbcr'"),
    ],
)
def test_augment_that_is_not_allowed(arguments, message):
    with pytest.raises(ValueError, match=message):
        sonikeras.dataset(**{"name": "c2", "augment": Augment(gain=3), "images_per_class": 5} | arguments)


@pytest.mark.parametrize(
    ("name", "value"),
    [("roll", 2), ("roll", "a"), ("gain", -1), ("noise", (20, 10)), ("noise", (1, 2, 3)), ("noise", "loud")]
    + [("flip", 1), ("shift", -0.1), ("zoom", 1.5), ("time_mask", True), ("frequency_mask", float("nan"))],
)
def test_bad_settings(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be .*Received: {name}="):
        Augment(**{name: value})


def test_old_names_say_the_new_ones():
    with pytest.raises(AttributeError, match=r"`Augment.change_sound` is now `Augment.change_audio`\."):
        Augment().change_sound(TONE, 0)


def test_gain_and_noise_are_those_of_the_channels():
    """Arrays and tensors go through the same arithmetic."""
    noise = RNG.standard_normal(len(TONE), dtype=np.float32)
    for changed in (lambda x, y: add_noise(x, y, 20), lambda x, _: apply_gain(x, -6)):
        array, tensor = changed(TONE, noise), changed(tf.constant(TONE), tf.constant(noise))
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, tensor, rtol=1e-5, atol=1e-6)
