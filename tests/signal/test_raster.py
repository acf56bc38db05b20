"""Colors, the band and the frequency scale: what an image becomes in audio, and how it comes back."""

import subprocess
import sys

import cv2
import keras
import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr
from sklearn.datasets import load_sample_image

import sonikeras
from sonikeras import SonificationConfig
from sonikeras.config._raster import raster_of
from sonikeras.signal import chain, mdct, raster
from sonikeras.signal.magnitudes import image_to_magnitudes, image_to_raster, images_to_magnitudes

MATCHED, LOSSLESS = SonificationConfig.preset("matched"), SonificationConfig.preset("lossless")
CHINA = load_sample_image("china.jpg")
NOISE = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
BAND = {"min_freq": 200, "max_freq": 8000}
SCALES = [{}, BAND, BAND | {"frequency_scale": "log"}, BAND | {"frequency_scale": "mel", "rows": 101}, {"rows": 100}]


def psnr(image, expected):
    return 10 * np.log10(255**2 / np.mean((image.astype(float) - expected) ** 2))


# Colors ---------------------------------------------------------------------------------------------------------------


def test_luma_and_chroma_are_those_of_jpeg():
    image = CHINA[:400, :640]
    config = LOSSLESS.replace(color="ycbcr", rows=400, frames=960, chroma_fraction=1 / 3)
    luma, cb, cr = (plane.T[::-1] for plane in raster.planes_of(image_to_raster(image, config).T, config))
    expected = np.asarray(Image.fromarray(image).convert("YCbCr")).astype(float)
    np.testing.assert_allclose(luma, expected[..., 0], atol=1)
    for plane, channel in ((cb, 1), (cr, 2)):
        assert plane.shape == (200, 320)
        centered = expected[..., channel].reshape(200, 2, 320, 2).mean(axis=(1, 3))
        assert np.abs(plane - centered).max() < 2  # from rounding alone


def test_planes_lie_where_the_config_says():
    config = MATCHED.replace(color="ycbcr", frames=100, rows=301)
    luma, cb, cr = raster_of(config).planes
    assert (luma.size, cb.size, cr.size) == ((301, 80), (150, 20), (150, 20))
    assert config.image_shape == (301, 80, 3)
    blue = np.zeros((8, 8, 3), np.uint8)
    blue[..., 2] = 255
    pixels = image_to_raster(blue, config)
    assert (pixels[:, :80] == 29).all() and (pixels[:150, 80:] == 255).all() and (pixels[151:, 80:] == 107).all()
    assert (pixels[150, 80:] == 0).all()
    red, green, blue = raster_of(MATCHED.replace(color="rgb")).planes
    assert (red.frames, green.frames, blue.frames) == (slice(0, 42), slice(42, 84), slice(84, 126))


@pytest.mark.parametrize("gray", [CHINA[..., 0], np.zeros((5, 7), np.uint8), np.full((64, 64), 255, np.uint8)])
def test_a_gray_image_has_exactly_neutral_chroma(gray):
    config = LOSSLESS.replace(color="ycbcr")
    luma, cb, cr = raster.planes_of(image_to_raster(gray, config).T, config)
    assert (cb == 128).all() and (cr == 128).all()
    np.testing.assert_array_equal(luma.T, image_to_raster(gray, LOSSLESS.replace(frames=luma.shape[0])))
    tensor = keras.ops.convert_to_tensor(np.repeat(gray[None, ..., None], 3, axis=-1).astype("float32"))
    planes = raster.planes_of(images_to_magnitudes(tensor, config), config)
    assert all(abs(np.asarray(chroma) * 255 - 128).max() < 1e-3 for chroma in planes[1:])
    audio = sonikeras.sonify(gray, config)
    np.testing.assert_array_equal(audio, sonikeras.sonify(np.stack([gray] * 3, axis=-1), config))
    back = sonikeras.desonify(audio, config)
    assert (back == back[..., :1]).all()


@pytest.mark.parametrize("color", ["ycbcr", "rgb"])
def test_lossless_planes_come_back_bit_for_bit(color):
    config = LOSSLESS.replace(color=color)
    for image in (CHINA, NOISE, NOISE[:1, :1]):
        audio = sonikeras.sonify(image, config)
        coefficients = mdct.audio_to_coefficients(audio, frame_step=config.frame_step)
        magnitudes = raster.to_rows(abs(coefficients), config, config.synthesis)
        np.testing.assert_array_equal(np.rint(255 * magnitudes).T, image_to_raster(image, config))


def test_every_color_comes_back_exactly():
    cube = np.stack(np.meshgrid(*[np.arange(0, 256, 5, dtype=np.uint8)] * 3), axis=-1).reshape(-1, 3)
    image = np.resize(cube, (204, 652, 3))
    config = SonificationConfig.for_image(image, "lossless", color="rgb")
    np.testing.assert_array_equal(sonikeras.desonify(sonikeras.sonify(image, config), config), image)


@pytest.mark.parametrize(("color", "frames", "least"), [("ycbcr", 256, 30), ("rgb", 768, 31)])
def test_a_photo_comes_back_in_color(color, frames, least):
    config = MATCHED.replace(color=color, frames=frames, fft_length=512, frame_length=512, frame_step=256)
    audio = sonikeras.sonify(CHINA, config)
    height, width = config.image_shape[:2]
    expected = cv2.resize(CHINA, (width, height), interpolation=cv2.INTER_AREA)
    back = sonikeras.desonify(audio, config)
    assert back.shape == expected.shape and psnr(back, expected) > least
    assert sonikeras.desonify(audio, config, size=(40, 60)).shape == (40, 60, 3)
    drawn = sonikeras.picture(audio, config)
    assert psnr(cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA), expected) > least - 1
    channels = drawn.reshape(-1, 3).astype(float)
    assert drawn.shape == (512, 512, 3) and np.corrcoef(channels.T)[0, 2] < 0.99


@pytest.mark.parametrize("color", ["ycbcr", "rgb"])
def test_audio_with_colors_is_cut_or_padded(color):
    config = LOSSLESS.replace(color=color)
    audio = sonikeras.sonify(CHINA, config)
    expected = sonikeras.picture(audio, config), sonikeras.desonify(audio, config)
    longer = np.pad(audio, (0, 3000))
    for function, whole in zip((sonikeras.picture, sonikeras.desonify), expected, strict=True):
        np.testing.assert_array_equal(function(longer, config), whole)
        shorter = function(audio[:-20_000], config)
        assert shorter.shape == whole.shape
        if color == "rgb":
            np.testing.assert_array_equal(shorter[..., :2], whole[..., :2])


# The band and the scale -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["matched", "lossless"])
@pytest.mark.parametrize("scale", ["linear", "log", "mel"])
def test_the_image_fills_the_band_and_outside_there_is_silence(preset, scale):
    config = SonificationConfig.preset(preset).replace(min_freq=500, max_freq=4000, frequency_scale=scale)
    white = np.full((64, 64), 255, np.uint8)
    magnitudes = image_to_magnitudes(white, config=config)
    filled = np.flatnonzero(magnitudes.max(axis=1) > 0.9)
    edges = filled[[0, -1]] + (0.5 if preset == "lossless" else 0)
    frequencies = edges * config.sample_rate / config.fft_length
    assert 500 <= frequencies[0] < 522 and 3978 < frequencies[1] <= 4000
    np.testing.assert_allclose(magnitudes[filled[0] : filled[-1] + 1], 1, atol=1e-5)
    beside = 0 if preset == "lossless" else 0.5  # audio has no spectrum that stops between two bins
    np.testing.assert_allclose(magnitudes[[filled[0] - 1, filled[-1] + 1]], beside, atol=1e-5)
    assert not magnitudes[: filled[0] - 1].any() and not magnitudes[filled[-1] + 2 :].any()
    for image in (white, CHINA):
        audio = sonikeras.sonify(image, config)
        power = np.abs(np.fft.rfft(audio * np.blackman(len(audio)))) ** 2
        frequency = np.fft.rfftfreq(len(audio), 1 / config.sample_rate)
        margin = 5 * config.sample_rate / config.fft_length
        outside = (frequency < 500 - margin) | (frequency > 4000 + margin)
        assert 10 * np.log10(power[outside].sum() / power.sum()) < -60


# PSNR in dB of what comes back: "matched" with as many rows as bins, with 128 rows, and "lossless" with 128 rows.
READ_BACK = {
    "chart": (29, 29, 39),
    "line": (28, 33, np.inf),
    "checkerboard": (16, 21, 24),
    "photo": (27, 31, 33),
}


@pytest.mark.parametrize("name", READ_BACK)
def test_rows_are_read_back_on_a_log_axis(name):
    log = BAND | {"frequency_scale": "log"}
    configs = MATCHED.replace(**log), MATCHED.replace(**log, rows=128), LOSSLESS.replace(**log, rows=128)
    for config, least in zip(configs, READ_BACK[name], strict=True):
        height, width = config.image_shape
        y, x = np.indices((height, width))
        image = {
            "chart": np.linspace(0, 255, 8)[y * 8 // height],
            "line": np.where(y == height // 2, 255, 0),
            "checkerboard": 255 * ((y // 16 + x // 16) % 2),
            "photo": CHINA,
        }[name].astype(np.uint8)
        back, expected = sonikeras.desonify(sonikeras.sonify(image, config), config), image_to_raster(image, config)
        if np.isinf(least):
            np.testing.assert_array_equal(back, expected[::-1])
        else:
            assert psnr(back, expected[::-1]) > least


@pytest.mark.parametrize("fields", [{"rows": 101}, BAND | {"frequency_scale": "mel", "rows": 128}])
def test_rows_with_bins_of_their_own_are_lossless(fields):
    config = LOSSLESS.replace(**fields)
    back = sonikeras.desonify(sonikeras.sonify(CHINA, config), config)
    np.testing.assert_array_equal(back, image_to_raster(CHINA, config)[::-1])


@pytest.mark.parametrize(("scale", "rows"), [("linear", [0, 1, 2, 3]), ("log", [0, 2, 3, 3]), ("mel", [0, 1, 2, 3])])
def test_a_tone_lies_on_its_row(scale, rows):
    """Tones in the middle of four equal parts of 100 to 10,000 Hz."""
    config = MATCHED.replace(min_freq=100, max_freq=10_000, frequency_scale=scale, rows=4)
    for frequency, row in zip(
        (200, 3000, 6000, 9000) if scale != "mel" else (300, 1400, 3500, 8000), rows, strict=True
    ):
        audio = 0.05 * np.sin(2 * np.pi * frequency / config.sample_rate * np.arange(config.samples))
        assert sonikeras.desonify(audio, config)[::-1].mean(axis=1).argmax() == row


@pytest.mark.parametrize("fields", SCALES)
@pytest.mark.parametrize("preset", sonikeras.presets())
def test_the_picture_shows_the_band(preset, fields):
    config = SonificationConfig.preset(preset).replace(**fields)
    white_below = np.zeros((64, 64), np.uint8)
    white_below[32:] = 255
    picture = sonikeras.picture(sonikeras.sonify(white_below, config), config).astype(float).sum(axis=(1, 2))
    height = len(picture)
    assert picture[: int(0.45 * height)].max() < 0.8 * picture[int(0.55 * height) :].min()


def test_a_gray_image_on_a_linear_axis_needs_no_matrix():
    """With long transforms one would not fit into memory."""
    long = {"fft_length": 2**16, "frame_length": 2**16, "frame_step": 2**15, "frames": 3, "min_freq": 1000}
    config = SonificationConfig(**long, analysis_fft_length=2**17)
    raster._reading.cache_clear()
    assert sonikeras.picture(np.zeros(2**16, np.float32), config).shape == (600, 1200, 3)
    assert raster._reading.cache_info().currsize == 0


def test_the_picture_of_silence_is_black():
    for fields in SCALES:
        for preset in ("study", "matched"):
            config = SonificationConfig.preset(preset).replace(**fields)
            black = sonikeras.picture(np.zeros(config.samples, np.float32), config)
            assert (black == black[0, 0]).all() and black.max() <= 4


@pytest.mark.parametrize("fields", [*SCALES, {"color": "ycbcr"}, {"color": "rgb"}, BAND | {"color": "ycbcr"}])
@pytest.mark.parametrize("preset", ["matched", "lossless"])
def test_tensors_give_what_arrays_give(preset, fields):
    config = SonificationConfig.preset(preset).replace(**fields)
    images = NOISE if config.color != "gray" else NOISE[..., 1]
    magnitudes = images_to_magnitudes(keras.ops.convert_to_tensor(images[None], "float32"), config)
    assert magnitudes.shape == (1, config.frames, config.bins)
    np.testing.assert_allclose(magnitudes[0], image_to_magnitudes(images, config=config).T, atol=2 / 255)
    audio = sonikeras.sonify(images, config)
    db = chain.audio_to_db(keras.ops.convert_to_tensor(audio[None]), config)
    drawn = keras.ops.convert_to_numpy(chain.db_to_picture(db, config))[0]
    np.testing.assert_allclose(drawn, sonikeras.picture(audio, config), atol=1.01)


def test_a_poster_is_seen_in_a_log_spectrogram():
    poster = cv2.resize(CHINA, (1600, 1200), interpolation=cv2.INTER_CUBIC)
    config = SonificationConfig.for_image(
        poster, duration=10, sample_rate=44100, min_freq=200, max_freq=12_000, frequency_scale="log"
    )
    assert config.seconds == pytest.approx(10, abs=0.02)
    seen = cv2.cvtColor(sonikeras.picture(sonikeras.sonify(poster, config), config), cv2.COLOR_RGB2GRAY)
    expected = cv2.resize(cv2.cvtColor(poster, cv2.COLOR_RGB2GRAY), seen.shape[::-1], interpolation=cv2.INTER_AREA)
    assert spearmanr(seen.ravel(), expected.ravel())[0] > 0.95


# The initial phase ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["numba", "tensorflow", "librosa"])
def test_a_fixed_phase_changes_the_waveform_as_little_as_the_image(engine):
    changed = CHINA.copy()
    changed[200, 300] += 1
    config = SonificationConfig(initial_phase="fixed", frames=32)
    audio = sonikeras.sonify(CHINA, config, engine=engine)
    assert np.corrcoef(audio, sonikeras.sonify(changed, config, engine=engine))[0, 1] > 0.999
    assert np.corrcoef(audio, sonikeras.sonify(CHINA, config, engine=engine, seed=1))[0, 1] < 0.2
    random = config.replace(initial_phase="random")
    pair = (sonikeras.sonify(image, random, engine=engine) for image in (CHINA, changed))
    assert abs(np.corrcoef(*pair)[0, 1]) < 0.2


def test_a_color_picture_and_its_read_back_take_numpy_only():
    """No Keras backend is imported for arrays."""
    script = """
import sys
import numpy as np
import sonikeras

image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
config = sonikeras.SonificationConfig.preset("lossless").replace(color="ycbcr", min_freq=200, frequency_scale="log")
audio = sonikeras.sonify(image, config)
assert sonikeras.picture(audio, config).shape == (512, 512, 3)
assert sonikeras.desonify(audio, config).shape == config.image_shape
print(sorted({"keras", "tensorflow", "scipy.signal", "librosa"} & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("[]\n", "")
