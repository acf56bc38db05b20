"""The presets for photographs: their raster, what comes back, and what resampling leaves of it."""

import cv2
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

import sonikeras
from sonikeras import SonificationConfig
from sonikeras.config._raster import raster_of
from sonikeras.signal.magnitudes import image_to_raster
from sonikeras.transmission._effects import resample

PRESETS = ["photo", "photo_lossless"]
CHINA = load_sample_image("china.jpg")


def psnr(image, original):
    return 10 * np.log10(255**2 / np.mean(np.square(image.astype(float) - original)))


def smaller(image, size):
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_raster(preset):
    config = SonificationConfig.preset(preset)
    assert config.sample_rate == 22050 and config.seconds <= 2.95
    assert config.image_shape == (224, 189, 3)
    assert [plane.size for plane in raster_of(config).planes] == [(224, 189), (112, 63), (112, 63)]
    assert sonikeras.sonify(CHINA, config).shape == (config.samples,)
    assert sonikeras.picture(np.zeros(config.samples, np.float32), config).shape == (224, 224, 3)


@pytest.mark.parametrize(
    ("preset", "name", "raster", "picture"),
    [
        ("photo", "china.jpg", 33.5, 30.0),
        ("photo", "flower.jpg", 36.0, 34.0),
        ("photo_lossless", "china.jpg", 36.0, 31.0),
        ("photo_lossless", "flower.jpg", 36.5, 34.5),
    ],
)
def test_a_photograph_comes_back(preset, name, raster, picture):
    photo = load_sample_image(name)
    audio = sonikeras.sonify(photo, preset)
    assert psnr(sonikeras.desonify(audio, preset), smaller(photo, (224, 189))) > raster
    assert psnr(sonikeras.picture(audio, preset), smaller(photo, (224, 224))) > picture


def test_the_planes_of_photo_lossless_are_exact():
    config = SonificationConfig.preset("photo_lossless")
    gray = config.replace(color="gray")
    reconstruction = sonikeras.desonify(sonikeras.sonify(CHINA, config), gray)
    np.testing.assert_array_equal(reconstruction[::-1], image_to_raster(CHINA, config))


def test_a_gray_photograph_has_no_color():
    gray = cv2.cvtColor(CHINA, cv2.COLOR_RGB2GRAY)
    for image in (gray, np.repeat(gray[..., None], 3, axis=-1)):
        drawn = sonikeras.picture(sonikeras.sonify(image, "photo_lossless"), "photo_lossless").astype(int)
        assert np.ptp(drawn, axis=-1).max() <= 1


@pytest.mark.parametrize("preset", PRESETS)
def test_resampling_costs_little(preset):
    audio = sonikeras.sonify(CHINA, preset)
    back = resample(resample(audio, 22050, 48000), 48000, 22050, size=len(audio))
    original = smaller(CHINA, (224, 189))
    before, after = (psnr(sonikeras.desonify(each, preset), original) for each in (audio, back))
    assert after > before - 0.1


def test_the_same_photograph_has_the_same_audio_with_every_seed():
    np.testing.assert_array_equal(sonikeras.sonify(CHINA, "photo", seed=1), sonikeras.sonify(CHINA, "photo", seed=2))


def test_bicubic_drawing_is_pillows():
    config = SonificationConfig.preset("lossless").replace(drawing="bicubic", picture_size=(300, 200))
    audio = sonikeras.sonify(CHINA, config)
    image = Image.fromarray(sonikeras.desonify(audio, config))
    expected = np.asarray(image.resize((200, 300), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(sonikeras.picture(audio, config)[..., 0] - expected).max() <= 2
