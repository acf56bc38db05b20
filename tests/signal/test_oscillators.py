"""Oscillators are the formula, linear in the pixels, never clip, and can be inverted."""

from pathlib import Path

import cv2
import librosa
import numpy as np
import pytest
import tensorflow as tf

from sonikeras.config import limits
from sonikeras.signal import _oscillator_equations as equations
from sonikeras.signal._oscillator_bank import as_bank, highest_peak
from sonikeras.signal.oscillators import (
    amplitude,
    audio_to_magnitudes,
    low_crest_phases,
    magnitudes_to_audio,
    row_frequencies,
    row_power,
)

PHOTO = Path(__file__).parents[2] / "docs" / "images" / "coffee.png"
SCAN = {
    "frequencies": row_frequencies(64, min_freq=500, max_freq=5000),
    "sample_rate": 22050,
    "frame_step": 344,
}


def random(*shape):
    return np.random.default_rng(0).random(shape).astype(np.float32)


def photo(rows, columns):
    """The magnitudes of a photo."""
    image = cv2.resize(cv2.imread(str(PHOTO), cv2.IMREAD_GRAYSCALE), (columns, rows), interpolation=cv2.INTER_AREA)
    return image[::-1].T.astype(np.float32) / 255


def quantized(audio):
    """The audio as a file of 16 bits stores it."""
    return np.rint(audio * 32768) / 32768


def psnr(magnitudes, expected):
    return -10 * np.log10(np.mean((np.rint(np.clip(magnitudes, 0, 1) * 255) / 255 - expected) ** 2))


def reference(magnitudes, *, frequencies, sample_rate, frame_step):
    """The documented formula, with double precision and before scaling."""
    frames, rows = magnitudes.shape
    sample = np.arange(frames * frame_step)[:, None]
    centers = np.arange(frames) * frame_step + (frame_step - 1) / 2
    ends = [-0.5], [frames * frame_step - 0.5]
    nodes = np.concatenate([ends[0], centers, ends[1]])
    heights = np.pad(magnitudes.astype(np.float64), ((1, 1), (0, 0)))
    envelope = np.stack([np.interp(sample[:, 0], nodes, row) for row in heights.T], axis=1)
    angles = (
        2 * np.pi * np.asarray(frequencies) * sample / sample_rate
        + np.pi * np.arange(rows) * np.arange(1, rows + 1) / rows
    )
    return (envelope * np.cos(angles)).sum(axis=1)


# Frequencies ---------------------------------------------------------------------------------------------------------


def test_rows_are_evenly_spaced_on_each_axis():
    band = {"min_freq": 500, "max_freq": 5000}
    linear, log, mel = (row_frequencies(64, scale=scale, **band) for scale in ("linear", "log", "mel"))
    for frequencies in (linear, log, mel):
        assert frequencies[0] == pytest.approx(500) and frequencies[-1] == pytest.approx(5000)
    np.testing.assert_allclose(np.diff(linear), 4500 / 63)
    np.testing.assert_allclose(np.diff(np.log2(log)), np.log2(10) / 63)
    np.testing.assert_allclose(np.diff(librosa.hz_to_mel(mel)), np.ptp(librosa.hz_to_mel([500, 5000])) / 63)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 0}, "`rows` must be an integer of at least 1"),
        ({"min_freq": 0}, "`min_freq` must be a frequency above 0 Hz"),
        ({"max_freq": 500}, "`max_freq` must be a finite frequency above `min_freq`"),
        ({"max_freq": 400}, "`max_freq` must be a finite frequency above `min_freq`"),
        ({"max_freq": float("nan")}, "`max_freq` must be a finite frequency above `min_freq`"),
        ({"scale": "bark"}, "Unknown `scale`"),
    ],
)
def test_bands_that_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        row_frequencies(**{"rows": 64, "min_freq": 500, "max_freq": 5000} | changes)


@pytest.mark.parametrize(
    "frequencies",
    [[], [0, 100], [-1.0], [200, 100], [100, 100], [100, 11025], [float("nan")], [[100]], ["a"], None, [10**400]],
)
def test_frequencies_that_are_refused(frequencies):
    with pytest.raises(ValueError, match=r"`frequencies` must be increasing numbers in Hz.*Received: frequencies="):
        magnitudes_to_audio(random(4, 1), **SCAN | {"frequencies": frequencies})


def test_rows_must_be_as_many_as_frequencies():
    with pytest.raises(ValueError, match=r"as many as `magnitudes` has rows. Received: 64 frequencies, .*\(64, 63\)"):
        magnitudes_to_audio(random(64, 63), **SCAN)


# Synthesis -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("convert", [np.asarray, tf.constant], ids=["array", "tensor"])
@pytest.mark.parametrize("frame_step", [1, 2, 3, 7, 128, 129, 344, 345])
@pytest.mark.parametrize("frames", [1, 2, 9])
def test_is_the_formula(convert, frame_step, frames):
    settings = {"frequencies": [110, 440, 441.5, 3000, 11000], "sample_rate": 22050, "frame_step": frame_step}
    magnitudes = random(frames, 5)
    scale = amplitude(frames=frames, **settings)
    audio = magnitudes_to_audio(convert(magnitudes), **settings)
    assert type(audio) is type(convert(magnitudes)) and audio.dtype == np.float32
    np.testing.assert_allclose(audio, scale * reference(magnitudes, **settings), rtol=0, atol=1e-6 * scale)


@pytest.mark.parametrize("convert", [np.asarray, tf.constant], ids=["array", "tensor"])
def test_error_does_not_grow_with_time(convert):
    settings = SCAN | {"frequencies": SCAN["frequencies"][::4], "frame_step": 3445}
    frames = 128  # 20 seconds
    magnitudes = random(frames, 16)
    scale = amplitude(frames=frames, **settings)
    error = np.abs(magnitudes_to_audio(convert(magnitudes), **settings) - scale * reference(magnitudes, **settings))
    early, late = error[: len(error) // 4].max(), error[-len(error) // 4 :].max()
    assert max(early, late) < 2e-6 * scale * 4 and late < 2 * early


def test_batches_are_clip_by_clip():
    magnitudes = random(2, 3, 5, 64)
    audio = magnitudes_to_audio(magnitudes, **SCAN)
    assert audio.shape == (2, 3, 5 * 344)
    np.testing.assert_array_equal(audio[1, 2], magnitudes_to_audio(magnitudes[1, 2], **SCAN))
    np.testing.assert_allclose(audio, magnitudes_to_audio(tf.constant(magnitudes), **SCAN), rtol=0, atol=1e-6)
    assert magnitudes_to_audio(magnitudes[:0], **SCAN).shape == (0, 3, 5 * 344)


def test_is_linear_in_the_pixels():
    a, b = random(2, 64, 64)
    both = magnitudes_to_audio(0.25 * a + 0.75 * b, **SCAN)
    each = 0.25 * magnitudes_to_audio(a, **SCAN) + 0.75 * magnitudes_to_audio(b, **SCAN)
    np.testing.assert_allclose(both, each, rtol=0, atol=1e-6)


def test_one_gray_level_of_one_pixel_changes_the_waveform_as_little():
    before = photo(64, 64)
    after = before.copy()
    after[30, 20] += 1 / 255
    change = magnitudes_to_audio(after, **SCAN) - magnitudes_to_audio(before, **SCAN)
    loudest = amplitude(frames=64, **SCAN) / 255
    assert 0.99 * loudest < np.abs(change).max() < 1.001 * loudest
    assert np.abs(change[: 29 * 344]).max() < 1e-6 and np.abs(change[32 * 344 :]).max() < 1e-6


def test_phases_are_continuous_and_ends_are_silent():
    settings = {"frequencies": [1000.0], "sample_rate": 22050, "frame_step": 100}
    audio = magnitudes_to_audio(np.ones((50, 1)), **settings)
    tone = amplitude(frames=50, **settings) * np.cos(2 * np.pi * 1000 / 22050 * np.arange(5000))
    np.testing.assert_allclose(audio[50:-50], tone[50:-50], rtol=0, atol=1e-6)
    ramp = (np.arange(50) + 0.5) / 50
    np.testing.assert_allclose(audio[:50], ramp * tone[:50], rtol=0, atol=0.02)
    np.testing.assert_allclose(audio[-50:], ramp[::-1] * tone[-50:], rtol=0, atol=0.02)


@pytest.mark.parametrize(
    ("frequencies", "decibels"),
    [
        (SCAN["frequencies"], 12.1),
        (row_frequencies(64, min_freq=500, max_freq=5000, scale="linear"), 5.6),
        (110 * np.arange(1, 65), 4.7),
    ],
)
def test_crest_factor_is_low(frequencies, decibels):
    audio = magnitudes_to_audio(np.ones((64, 64)), **SCAN | {"frequencies": frequencies})[172:-172]
    assert 20 * np.log10(np.abs(audio).max() / audio.std()) < decibels
    assert len(low_crest_phases(64)) == 64


@pytest.mark.parametrize("frequencies", [SCAN["frequencies"], [440.0], 55 * 2 ** (np.arange(60) / 12)])
def test_the_worst_image_just_does_not_clip(frequencies):
    settings = SCAN | {"frequencies": frequencies}
    waves = np.stack(
        [magnitudes_to_audio(np.tile(row, (64, 1)), **settings) for row in np.eye(len(frequencies))], axis=1
    )[172:-172]
    worst = max(np.maximum(sign * waves, 0).sum(axis=1).max() for sign in (1, -1))
    assert 0.97 < worst < 1 + 1e-6


def test_gradient_is_the_transpose():
    magnitudes = tf.constant(random(9, 64))
    audio = random(9 * 344)
    with tf.GradientTape() as tape:
        tape.watch(magnitudes)
        product = tf.reduce_sum(magnitudes_to_audio(magnitudes, **SCAN) * audio)
    bank = as_bank(frames=9, **SCAN)
    expected = equations.project(audio, bank) / highest_peak(bank)
    np.testing.assert_allclose(tape.gradient(product, magnitudes), expected, rtol=0, atol=1e-4)


# Inverse -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame_step", [400, 401])
@pytest.mark.parametrize("frames", [1, 2, 40])
def test_resolved_pixels_come_back_from_16_bits(frames, frame_step):
    """16 rows, 300 Hz apart, and columns of 18 ms."""
    frequencies = row_frequencies(16, min_freq=500, max_freq=5000, scale="linear")
    settings = {"frequencies": frequencies, "sample_rate": 22050, "frame_step": frame_step}
    pixels = np.rint(random(frames, 16) * 255) / 255
    audio = quantized(magnitudes_to_audio(pixels, **settings))
    found = audio_to_magnitudes(audio, frames=frames, **settings)
    np.testing.assert_allclose(found, pixels, rtol=0, atol=0.2 / 255)


@pytest.mark.parametrize(
    ("image", "decibels"), [(photo(64, 64), 50), (np.indices((64, 64)).sum(axis=0) % 2, 34), (np.eye(64), 50)]
)
def test_scan_comes_back_from_16_bits(image, decibels):
    audio = quantized(magnitudes_to_audio(image.astype(np.float32), **SCAN))
    assert psnr(audio_to_magnitudes(audio, frames=64, **SCAN), image) > decibels


@pytest.mark.parametrize(("noise", "decibels"), [(30, 30), (10, 22)])
def test_noise_blurs_what_it_makes_unsure(noise, decibels):
    image = photo(64, 64)
    audio = magnitudes_to_audio(image, **SCAN)
    noisy = audio + np.random.default_rng(0).normal(scale=audio.std() * 10 ** (-noise / 20), size=audio.shape)
    assert psnr(audio_to_magnitudes(noisy, frames=64, **SCAN), image) > decibels


def test_equations_are_those_of_the_synthesis():
    bank = as_bank([700, 800, 2000], sample_rate=22050, frames=4, frame_step=51)
    waves = [
        reference(unit.reshape(4, 3), frequencies=bank[0], sample_rate=22050, frame_step=51) for unit in np.eye(12)
    ]
    products = np.stack(waves) @ np.stack(waves).T
    band = equations.normal_matrix(bank)
    for offset in range(6):
        np.testing.assert_allclose(band[offset, : 12 - offset], np.diagonal(products, -offset), rtol=0, atol=1e-9)
    assert np.abs(np.tril(products, -6)).max() < 1e-9


def test_magnitudes_are_not_negative_and_silence_is_black():
    assert not audio_to_magnitudes(np.zeros(22016), frames=64, **SCAN).any()
    assert audio_to_magnitudes(np.random.default_rng(0).normal(size=22016), frames=64, **SCAN).min() == 0


def test_audio_of_another_length_is_cropped_or_filled_up():
    image = photo(64, 64)
    audio = magnitudes_to_audio(image, **SCAN)
    longer = audio_to_magnitudes(np.pad(audio, (0, 5000)), frames=64, **SCAN)
    np.testing.assert_allclose(longer, image, rtol=0, atol=0.5 / 255)
    shorter = audio_to_magnitudes(audio[: 32 * 344], frames=64, **SCAN)
    assert psnr(shorter[:30], image[:30]) > 30 and shorter[34:].mean() < 0.02


def test_equations_beyond_memory_are_refused():
    with pytest.raises(ValueError, match=r"`oscillator_cells`: at most 134,217,728.*Received: 268,435,456"):
        audio_to_magnitudes(
            np.zeros(100), frequencies=np.linspace(100, 9000, 512), sample_rate=22050, frames=512, frame_step=9
        )
    assert limits.get("oscillator_cells") == 2**27


# Analysis ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("convert", [np.asarray, tf.constant], ids=["array", "tensor"])
@pytest.mark.parametrize("frame_length", [344, 1376, 1377])
def test_rows_show_amplitudes_whatever_the_phase(convert, frame_length):
    settings = SCAN | {"frequencies": [500, 2000, 5000]}
    for phase in (0, 1, 2):
        audio = np.cos(2 * np.pi * 2000 / 22050 * np.arange(22050) + phase).astype(np.float32)
        power = row_power(convert(audio), frame_length=frame_length, **settings)
        assert power.shape == (64, 3) and type(power) is type(convert(audio))
        np.testing.assert_allclose(power[4:-4], np.tile([0, 1, 0], (56, 1)), atol=0.02)


def test_white_rows_are_white_up_to_the_ends():
    settings = SCAN | {"frequencies": row_frequencies(8, min_freq=500, max_freq=5000)}
    audio = magnitudes_to_audio(np.ones((64, 8)), **settings)
    power = row_power(audio, frame_length=1376, **settings) / amplitude(frames=64, **settings) ** 2
    np.testing.assert_allclose(power, 1, atol=0.03)


def test_analysis_of_a_batch_and_its_gradient():
    audio = tf.constant(random(2, 5 * 344))
    with tf.GradientTape() as tape:
        tape.watch(audio)
        power = row_power(audio, frame_length=1376, **SCAN)
    np.testing.assert_allclose(power[1], row_power(audio[1].numpy(), frame_length=1376, **SCAN), rtol=1e-4, atol=1e-6)
    assert np.isfinite(tape.gradient(power, audio)).all()


def test_audio_shorter_than_a_column_is_refused():
    with pytest.raises(ValueError, match=r"at least `frame_step` samples. Received: 343 samples, frame_step=344"):
        row_power(np.zeros(343), frame_length=1376, **SCAN)
