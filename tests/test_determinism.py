"""The same image, config, engine and seed give the same sound, whatever else happens."""

import numpy as np
import pytest

import sonikeras

SMALL = {"images_per_class": 10, "output": "audio", "cache": False}


def sounds_by_content(data):
    rows = [row for x, _ in data for row in np.atleast_2d(x)]
    return sorted(row.tobytes() for row in rows)


def test_sounds_do_not_depend_on_batch_size_order_and_parallelism():
    import tensorflow as tf

    plain = sounds_by_content(sonikeras.dataset("c2", split="test", batch_size=1, **SMALL))
    for batch_size, shuffle in ((3, True), (None, False)):
        data = sonikeras.dataset("c2", split="test", batch_size=batch_size, shuffle=shuffle, **SMALL)
        assert sounds_by_content(data) == plain
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    assert sounds_by_content(sonikeras.dataset("c2", split="test", **SMALL).with_options(options)) == plain


def test_order_is_seeded_and_changes_each_epoch():
    def epochs(seed):
        data = sonikeras.dataset("c2", images_per_class=40, output="image", seed=seed)
        return [np.concatenate([x for x, _ in data]).tobytes() for _ in range(2)]

    first = epochs(1)
    assert first == epochs(1)
    assert first[0] != first[1]
    assert first != epochs(2)


def test_an_iterator_draws_one_order():
    """What going on with an interrupted training relies on."""
    data = sonikeras.dataset("c2", images_per_class=40, output="image")
    third = [np.concatenate([x for x, _ in data]).tobytes() for _ in range(3)][2]
    fresh = sonikeras.dataset("c2", images_per_class=40, output="image")
    for _ in range(2):
        iter(fresh)
    assert np.concatenate([x for x, _ in fresh]).tobytes() == third


def test_seed_and_pixels_decide_the_sound(photo):
    again = sonikeras.sonify(photo[:100], seed=1)
    np.testing.assert_array_equal(sonikeras.sonify(photo[:100].copy(), seed=1), again)
    assert not np.array_equal(sonikeras.sonify(photo[:100], seed=2), again)
    # Images do not share their phases.
    black, white = (np.full((9, 9), value, np.uint8) for value in (0, 255))
    assert not np.array_equal(sonikeras.sonify(black), sonikeras.sonify(white))


@pytest.mark.parametrize("seed", [-1, 1.5, "a", True])
def test_seed_must_be_an_integer(photo, seed):
    with pytest.raises(ValueError, match="`seed` must be an integer of at least 0. Received: seed="):
        sonikeras.sonify(photo, seed=seed)
