"""Panned audio moves from left to right by level and time, smoothly, and can be undone."""

import numpy as np
import pytest
import tensorflow as tf

from sonikeras.signal.panning import interaural_delay, pan, unpan

RATE = 22050
SAMPLES = RATE
TIME = np.arange(SAMPLES) / RATE
PROGRESS = (np.arange(SAMPLES) + 0.5) / SAMPLES


def tone(frequency, delay=0.0):
    return np.sin(2 * np.pi * frequency * (TIME - delay)).astype(np.float32)


def test_delay_is_woodworths():
    assert interaural_delay(0.0) == 0
    assert interaural_delay(np.pi / 2) == pytest.approx(0.0875 / 343 * (np.pi / 2 + 1))
    assert interaural_delay(-1.0) == interaural_delay(1.0)


@pytest.mark.parametrize("convert", [np.asarray, tf.constant], ids=["array", "tensor"])
@pytest.mark.parametrize("frequency", [200, 1000, 5000])
def test_level_and_time_differ_between_the_ears(convert, frequency):
    stereo = pan(convert(tone(frequency)), sample_rate=RATE)
    assert stereo.shape == (SAMPLES, 2) and stereo.dtype == np.float32
    delay = interaural_delay(np.pi * (PROGRESS - 0.5))
    near, far = tone(frequency), tone(frequency, delay)
    inner = slice(50, -50)  # a tone that is cut off has no band limit
    left = np.cos(np.pi / 2 * PROGRESS) * np.where(PROGRESS < 0.5, near, far)
    right = np.sin(np.pi / 2 * PROGRESS) * np.where(PROGRESS < 0.5, far, near)
    np.testing.assert_allclose(stereo[inner, 0], left[inner], rtol=0, atol=3e-4)
    np.testing.assert_allclose(stereo[inner, 1], right[inner], rtol=0, atol=3e-4)


def test_power_is_constant():
    stereo = pan(np.ones(SAMPLES, np.float32), sample_rate=RATE)[100:-100]
    np.testing.assert_allclose(np.square(stereo).sum(axis=1), 1, atol=1e-3)


def test_there_is_no_click():
    """No change of either channel is faster than that of the tone itself."""
    stereo = pan(tone(500), sample_rate=RATE)
    fastest = np.abs(np.diff(tone(500))).max()
    assert np.abs(np.diff(stereo, axis=0)).max() < 1.01 * fastest


def test_peaks_do_not_grow():
    audio = np.random.default_rng(0).choice(np.float32([-1, 1]), SAMPLES)
    near_peak = np.abs(pan(audio, sample_rate=RATE)[:, 0][PROGRESS < 0.5]).max()
    assert near_peak <= 1


@pytest.mark.parametrize("samples", [1, 2, 7, 22016])
@pytest.mark.parametrize("convert", [np.asarray, tf.constant], ids=["array", "tensor"])
def test_can_be_undone(samples, convert):
    audio = np.random.default_rng(0).normal(size=(2, samples)).astype(np.float32)
    again = unpan(pan(convert(audio), sample_rate=RATE))
    assert type(again) is type(convert(audio))
    np.testing.assert_allclose(again, audio, rtol=0, atol=1e-6)


def test_tensors_are_panned_as_arrays_are_and_have_a_gradient():
    audio = np.random.default_rng(0).normal(size=(2, 1000)).astype(np.float32)
    tensor = tf.constant(audio)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        stereo = pan(tensor, sample_rate=RATE)
    np.testing.assert_allclose(stereo, pan(audio, sample_rate=RATE), rtol=0, atol=1e-6)
    assert (np.abs(tape.gradient(stereo, tensor)) > 0).all()
