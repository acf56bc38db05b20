"""Augmentation: decided by seed and step, and each change is the one that its name says."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from sonikeras.augmentation import Augmentation

RNG = np.random.default_rng(0)
PICTURES = RNG.uniform(1, 255, (8, 32, 48, 3)).astype("float32")
LABELS = np.arange(8, dtype="int32") % 3
ALL = {"flip": True, "shift": 0.1, "zoom": 0.1, "mask": 0.3, "mixup": 0.4}


def steps(first, last, **options):
    augment = Augmentation(3, **options)
    data = tf.data.Dataset.range(first, last).map(lambda step: augment(step, PICTURES, LABELS))
    return [(x.numpy(), y.numpy()) for x, y in data]


def test_a_step_is_decided_by_its_number_and_the_seed():
    whole, later, other = steps(0, 6, **ALL), steps(4, 6, **ALL), steps(0, 1, **ALL, seed=1)
    for a, b in zip(whole[4:], later, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])
    assert not np.array_equal(whole[0][0], whole[1][0]) and not np.array_equal(whole[0][0], other[0][0])


def test_nothing_asked_nothing_changed():
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


def test_changes_are_independent_of_each_other():
    """A flip tells nothing of a move: both directions occur with and without it."""
    marked = np.zeros((1, 33, 33, 3), np.float32)
    marked[0, 16, 16] = 255  # its place does not change when it is mirrored
    marked[0, 14, 18] = 100  # this one's side tells
    augment, seen = Augmentation(2, shift=0.2, seed=1), set()
    for step in range(40):
        picture = augment(step, marked, np.array([0]))[0].numpy()[0, :, :, 0]
        center = np.unravel_index(picture.argmax(), picture.shape)
        left, right = (picture[:, side].sum() for side in (slice(0, center[1]), slice(center[1] + 2, None)))
        seen.add((left > right, center[1] > 16))
    assert len(seen) == 4


def test_masks_silence_whole_rows_and_columns():
    shares = []
    for x, _ in steps(0, 10, flip=False, mask=0.5):
        silent = (x == 0).all(axis=-1)
        rows, columns = silent.all(axis=2), silent.all(axis=1)
        np.testing.assert_array_equal(silent, rows[:, :, None] | columns[:, None, :])
        for lines in (*rows, *columns):  # a single stretch
            assert (np.diff(lines.astype(int)) == 1).sum() + lines[0] <= 1
        shares += [*rows.mean(axis=1), *columns.mean(axis=1)]
    assert max(shares) <= 0.55 and max(shares) > 0.35 and 0.15 < np.mean(shares) < 0.45


def test_mixup_mixes_pictures_and_labels_alike():
    ((x, y),) = steps(3, 4, flip=False, mixup=1.0)
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-5)
    assert ((y > 0).sum(axis=1) == 2).any()
    for picture in x:  # each is a mixture of two of the originals
        errors = []
        for a in PICTURES:
            for b in PICTURES:
                share = ((picture - b) * (a - b)).sum() / max(((a - b) ** 2).sum(), 1e-9)
                errors.append(abs(share * a + (1 - share) * b - picture).max())
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
