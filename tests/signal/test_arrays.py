"""Arrays are computed with NumPy, give arrays, and agree with tensors."""

import platform
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.signal import get_window

import sonikeras
from sonikeras.config import ALGORITHMS, WINDOWS
from sonikeras.signal import chain, pictures
from sonikeras.signal._backend import operations
from sonikeras.signal.magnitudes import pixels_to_magnitudes
from sonikeras.signal.phase_retrieval import griffin_lim, istft, random_phase, structured_phase
from sonikeras.signal.spectrograms import analysis_window, phase, power_to_db, stft

RNG = np.random.default_rng(0)
FRAME = {"frame_length": 48, "frame_step": 16, "fft_length": 64}


def test_functions_on_arrays_import_neither_keras_nor_tensorflow():
    script = """
import sys
import numpy as np
import sonikeras

image = np.eye(64, dtype="uint8") * 255
for preset in sonikeras.presets():
    audio = sonikeras.sonify(image, preset)
    for function in (sonikeras.spectrogram, sonikeras.picture, sonikeras.desonify):
        assert type(function(audio, preset)) is np.ndarray
print(sorted({"keras", "tensorflow", "scipy.signal", "librosa"} & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("[]\n", "")


def _both(function, *arrays):
    """Results of a function of arrays and of the same tensors, as lists of arrays."""
    results = function(*arrays), function(*map(keras.ops.convert_to_tensor, arrays))
    ours, theirs = (result if isinstance(result, tuple) else (result,) for result in results)
    assert all(type(x) is np.ndarray and x.dtype == np.float32 for x in ours)
    return ours, [keras.ops.convert_to_numpy(x) for x in theirs]


@pytest.mark.parametrize("padding", [None, "valid", "same"])
@pytest.mark.parametrize("center", [True, False])
def test_transform_of_arrays_is_that_of_tensors(padding, center):
    audio = RNG.normal(size=(2, 500)).astype("float32")
    ours, theirs = _both(lambda x: stft(x, **FRAME, padding=padding, center=center), audio)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    if padding is None and center:
        np.testing.assert_allclose(istft(*ours, **FRAME), audio[:, : 31 * 16], atol=1e-5)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_phase_retrieval_of_arrays_is_that_of_tensors(algorithm):
    magnitudes = RNG.rayleigh(size=(2, 9, 33)).astype("float32")
    start = random_phase(9, 33, seed=0)
    ours, theirs = _both(lambda x: griffin_lim(x, start, **FRAME, algorithm=algorithm, iterations=3), magnitudes)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_other_functions_of_arrays_are_those_of_tensors():
    power = np.square(RNG.normal(size=(2, 9, 33))).astype("float32")
    power[0, 2] = 0
    pixels = RNG.uniform(0, 255, (2, 20, 30)).astype("float32")
    reading = {"frames": 9, "bins": 33, "interpolation": "area", "reference": "max", "top_db": 60}
    functions = {
        "decibels": (lambda x: power_to_db(x, axis=(-2, -1)), power),
        "amplitude": (chain.spectrograms.power_to_amplitude, power),
        "angle": (phase, power, power[::-1]),
        "structured phase": (lambda x: structured_phase(x, fft_length=64), power),
        "magnitudes": (lambda x: pixels_to_magnitudes(x, **reading), pixels),
    }
    for name, (function, *arrays) in functions.items():
        ours, theirs = _both(function, *arrays)
        np.testing.assert_allclose(ours, theirs, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("preset", sonikeras.presets())
def test_pictures_of_arrays_are_those_of_tensors(preset):
    config = sonikeras.SonificationConfig.preset(preset)
    bins = 65 if config.color == "gray" else config.bins  # colors have their places
    db = RNG.uniform(-80, 0, (2, 20, bins)).astype("float32")
    (ours,), (theirs,) = _both(lambda x: chain.db_to_picture(x, config, image_size=(64, 96)), db)
    shades = abs(np.diff(pictures.colors(config.colormap), axis=0)).max()
    assert abs(ours - theirs).max() <= shades
    assert (abs(ours - theirs) > 0.01).mean() < 1e-3


@pytest.mark.parametrize("preset", ["study", "matched", "lossless"])  # as in 0.1.0, which computed with TensorFlow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="TensorFlow rounds otherwise elsewhere")
def test_spectrograms_and_pictures_of_arrays_are_bit_identical_to_tensorflows(preset, photo):
    config = sonikeras.SonificationConfig.preset(preset)
    audio = sonikeras.sonify(photo, config)
    ours, theirs = chain.audio_to_db(audio, config), chain.audio_to_db(tf.constant(audio), config)
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(chain.db_to_picture(ours, config), chain.db_to_picture(theirs, config))


def test_logarithms_of_arrays_are_those_of_numpy():
    x = np.concatenate([np.exp(RNG.uniform(-80, 80, 10_000)), [0, np.inf, 1, 1e-40]]).astype("float32")
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(operations(x).log10(x), np.log10(x.astype("float64")), rtol=3e-7, atol=1e-7)
    assert np.isnan(operations(x).log10(np.float32([np.nan, 1]))[0])


@pytest.mark.parametrize("window", WINDOWS)
def test_windows_are_scipys_to_the_last_bit(window):
    for length in (1, 2, 7, 64, 401, 1024):
        for periodic in (True, False):
            values = analysis_window(window, length, periodic=periodic)
            np.testing.assert_array_equal(values, get_window(window, length, fftbins=periodic))
