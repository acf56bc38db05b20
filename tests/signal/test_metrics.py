"""The quality of reconstructions: TensorFlow's values, and the definition of spectral convergence."""

import math

import librosa
import numpy as np
import pytest
import tensorflow as tf

from sonikeras.config import SonificationConfig
from sonikeras.signal.chain import sonify
from sonikeras.signal.magnitudes import image_to_magnitudes
from sonikeras.signal.metrics import psnr, spectral_convergence, ssim

RNG = np.random.default_rng(0)


def distorted(shape, noise):
    original = np.cumsum(RNG.normal(size=shape), axis=0) * 8 + 128
    return (np.clip(original + each, 0, 255).astype(np.uint8) for each in (noise * RNG.normal(size=shape), 0))


@pytest.mark.parametrize("shape", [(11, 11), (40, 31), (64, 48, 3)])
@pytest.mark.parametrize("noise", [1, 10, 80])
def test_psnr_and_ssim_are_those_of_tensorflow(shape, noise):
    image, original = distorted(shape, noise)
    pair = [tf.constant(x.reshape(*shape[:2], -1)) for x in (image, original)]
    np.testing.assert_allclose(psnr(image, original), tf.image.psnr(*pair, 255), rtol=1e-5)
    np.testing.assert_allclose(ssim(image, original), tf.image.ssim(*pair, 255), rtol=1e-3, atol=1e-4)


def test_equal_images_are_perfect():
    image, _ = distorted((20, 20), 5)
    assert psnr(image, image) == math.inf and ssim(image, image) == 1


def test_ssim_of_less_than_a_window_is_undefined():
    image, original = distorted((10, 30), 5)
    assert math.isnan(ssim(image, original)) and math.isfinite(psnr(image, original))


GRAY = np.zeros((20, 20), np.uint8)


@pytest.mark.parametrize("metric", [psnr, ssim])
@pytest.mark.parametrize(
    "pair", [(GRAY, GRAY[1:]), (GRAY, GRAY / 255), (GRAY[0], GRAY[0]), (GRAY[:0], GRAY[:0]), (GRAY / 255, GRAY / 255)]
)
def test_arrays_that_are_no_pair_of_images_are_refused(metric, pair):
    with pytest.raises(ValueError, match=r"must be uint8 arrays of one shape.* Received: shape="):
        metric(*pair)


@pytest.mark.parametrize("preset", ["study", "matched", "lossless"])
def test_spectral_convergence_is_the_relative_error_of_the_magnitudes(preset):
    config = SonificationConfig.preset(preset).replace(frames=16)
    image = RNG.integers(0, 256, (60, 40), np.uint8)
    audio, wanted = sonify(image, config), image_to_magnitudes(image, config=config)
    found = spectral_convergence(audio, image, config)
    if preset == "lossless":
        assert found < 1e-3
    else:
        magnitudes = np.abs(librosa.stft(audio, n_fft=1024, hop_length=512, pad_mode="constant"))
        expected = np.linalg.norm(magnitudes - wanted) / np.linalg.norm(wanted)
        assert found == pytest.approx(expected, rel=1e-4)
