"""Stereo from colors: the middle is the brightness as ever, and each color is on its side, at its pixels."""

import numpy as np
import pytest

import sonikeras
from sonikeras.signal.stereo import stereo_from_colors

COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "orange": (255, 128, 0), "gray": (99, 99, 99)}


def plain(color, size=(48, 64)):
    return np.zeros((*size, 3), "uint8") + np.array(COLORS[color], "uint8")


def power(audio):
    return np.mean(np.square(audio, dtype=np.float64), axis=0)


@pytest.mark.parametrize("preset", ["study", "matched", "lossless", "scan"])
def test_the_middle_is_the_audio_of_the_image(photo, preset):
    audio = stereo_from_colors(photo, preset, seed=3)
    assert audio.dtype == np.float32 and audio.shape == (sonikeras.SonificationConfig.preset(preset).samples, 2)
    expected = sonikeras.sonify(photo, preset, seed=3)
    np.testing.assert_allclose(audio.mean(axis=1), expected, atol=1e-6)
    assert np.abs(audio[:, 0] - audio[:, 1]).max() > 1e-3


@pytest.mark.parametrize("preset", ["matched", "lossless", "scan"])
def test_each_color_is_on_its_side(preset):
    left, right = power(stereo_from_colors(plain("red"), preset))
    assert left < 1e-8 * right
    left, right = power(stereo_from_colors(plain("blue"), preset))
    assert right < 1e-8 * left
    for color in ("green", "gray"):
        left, right = power(stereo_from_colors(plain(color), preset))
        assert left == pytest.approx(right, rel=1e-5)
    half = stereo_from_colors(plain("red"), preset, width=0.5)
    np.testing.assert_allclose(half[:, 1], 3 * half[:, 0], atol=1e-4)


@pytest.mark.parametrize("preset", ["matched", "lossless", "scan"])
def test_colors_are_at_their_pixels(preset):
    """Red above blue: high frequencies are on the right, low ones on the left."""
    image = np.concatenate([plain("red"), plain("blue")])
    left, right = (sonikeras.desonify(channel, preset).astype(float) for channel in stereo_from_colors(image, preset).T)
    edge, half = len(left) // 50, len(left) // 2
    upper, lower = slice(edge, half - edge), slice(half + edge, -edge)
    assert right[upper].mean() > 50 * left[upper].mean()
    assert left[lower].mean() > 50 * right[lower].mean()


def test_a_band_on_a_logarithmic_scale():
    config = sonikeras.SonificationConfig.preset("matched").replace(min_freq=200, max_freq=8000, frequency_scale="log")
    left, right = power(stereo_from_colors(plain("orange"), config))
    assert right > 100 * left


def test_gray_images_and_no_width_are_mono(photo):
    for audio in (
        stereo_from_colors(photo[..., 0], "lossless"),
        stereo_from_colors(np.stack([photo[..., 0]] * 3, -1), "lossless"),
        stereo_from_colors(photo, "lossless", width=0),
    ):
        np.testing.assert_array_equal(audio[:, 0], audio[:, 1])


def test_files_are_read_as_ever(photo):
    sonikeras.write_audio("a.wav", stereo_from_colors(photo, "lossless"), "lossless", normalize="-1 dBFS")
    expected = sonikeras.desonify(sonikeras.sonify(photo, "lossless"), "lossless")
    back = sonikeras.desonify(*sonikeras.read_audio("a.wav"))
    assert np.abs(back.astype(int) - expected).max() <= 1


def test_bad_input(photo):
    with pytest.raises(ValueError, match="`width` must be a number in 0..1. Received: width=2"):
        stereo_from_colors(photo, width=2)
    config = sonikeras.SonificationConfig.preset("lossless").replace(color="rgb")
    with pytest.raises(ValueError, match="needs a config with `color='gray'`.* Received: color='rgb'"):
        stereo_from_colors(photo, config)
    with pytest.raises(ValueError, match="needs a config with `panning=False`.* Received: panning=True"):
        stereo_from_colors(photo, sonikeras.SonificationConfig.preset("lossless").replace(panning=True))
    with pytest.raises(ValueError, match="image"):
        stereo_from_colors(photo.astype(float))
