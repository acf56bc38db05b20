"""`Spectrogram` is librosa's, scipy's or that of keras.layers.STFTSpectrogram, as its arguments say."""

import keras
import librosa
import numpy as np
import pytest
import scipy.signal

from sonikeras.layers import Spectrogram
from sonikeras.signal.spectrograms import filter_bank

AUDIO = np.random.default_rng(0).normal(size=(2, 5000, 2)).astype(np.float32)
MONO = np.ascontiguousarray(AUDIO[..., 0])


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_config_of_keras_layer_is_taken(data_format):
    theirs = keras.layers.STFTSpectrogram(frame_length=128, trainable=False, data_format=data_format)
    ours = Spectrogram.from_config(theirs.get_config())
    audio = AUDIO if data_format == "channels_last" else AUDIO.swapaxes(1, 2)
    expected = np.asarray(theirs(audio))
    assert ours.compute_output_shape(audio.shape) == expected.shape
    np.testing.assert_allclose(np.asarray(ours(audio)), expected, atol=2e-3)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("scaling", [None, "density", "spectrum"])
@pytest.mark.parametrize("mode", ["log", "magnitude", "psd", "real", "imag", "angle", "stft"])
def test_modes_are_those_of_keras_layer(mode, scaling, padding):
    arguments = {"mode": mode, "frame_length": 200, "frame_step": 70, "fft_length": 256, "window": "hamming"}
    arguments |= {"scaling": scaling, "padding": padding, "periodic": False}
    layer = Spectrogram(**arguments)
    ours = np.asarray(layer(AUDIO))
    theirs = np.asarray(keras.layers.STFTSpectrogram(**arguments)(AUDIO))
    parts = 2 if mode == "stft" else 1
    # Theirs has the bins of one channel after the other; of "stft" of each channel the real and the imaginary part.
    theirs = np.moveaxis(theirs.reshape(*theirs.shape[:2], 2, parts * 129), 2, 3)
    assert ours.shape == theirs.shape == layer.compute_output_shape(AUDIO.shape)
    if mode == "angle":
        ours, theirs = np.exp(1j * ours), np.exp(1j * theirs)
    difference = np.abs(ours - theirs)  # theirs are inaccurate where nearly everything cancels
    scale = np.abs(theirs).max()
    assert np.quantile(difference, 0.99) < 1e-4 * scale and difference.mean() < 1e-5 * scale


def test_channels_first():
    first = Spectrogram(256, 64, data_format="channels_first")
    last = np.asarray(Spectrogram(256, 64)(AUDIO))
    np.testing.assert_array_equal(first(AUDIO.swapaxes(1, 2)), last.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("top_db", [None, 60])
def test_mel_levels_are_librosas(top_db):
    layer = Spectrogram(1024, 256, frequency_scale="mel", num_bins=40, min_freq=100, max_freq=8000, top_db=top_db)
    for audio, db in zip(MONO, np.asarray(layer(MONO)), strict=True):
        mel = librosa.feature.melspectrogram(
            y=audio, sr=22050, n_fft=1024, hop_length=256, n_mels=40, fmin=100, fmax=8000
        )
        np.testing.assert_allclose(db.T, librosa.power_to_db(mel, ref=np.max, top_db=top_db), atol=1e-4)


def test_double_precision_is_librosas():
    audio = np.random.default_rng(1).normal(size=(1, 5000))
    db = np.asarray(Spectrogram(512, 128, top_db=None, dtype="float64")(audio))[0].T
    assert db.dtype == np.float64
    expected = librosa.amplitude_to_db(np.abs(librosa.stft(audio[0], n_fft=512)), ref=np.max, top_db=None)
    np.testing.assert_allclose(db, expected, atol=1e-9)


def test_bands_of_a_tone_are_at_its_pitch():
    seconds = np.arange(22050) / 22050
    octaves = {"frequency_scale": "log", "num_bins": 85, "min_freq": 32.703, "max_freq": 32.703 * 2**7}
    for note in (24, 45, 69):
        tone = np.sin(2 * np.pi * 32.703 * 2 ** (note / 12) * seconds).astype(np.float32)
        assert np.asarray(Spectrogram(4096, **octaves)(tone[None]))[0, 20].argmax() == note
    bank = filter_bank("log", fft_length=512, sampling_rate=22050, **{k: octaves[k] for k in list(octaves)[1:]})
    np.testing.assert_allclose(bank.sum(axis=0), 1, rtol=1e-5)  # also where bands are narrower than bins


@pytest.mark.parametrize(
    "window", ["flattop", ("kaiser", 14.0), ("dpss", 10.0), ("general_cosine", (0.5, 0.3, 0.2)), "nuttall", "hann"]
)
def test_any_window_and_it_is_kept_in_files(window, tmp_path):
    model = keras.Sequential([keras.Input((5000,)), Spectrogram(512, 128, window=window, scale="amplitude")])
    expected = np.abs(librosa.stft(MONO, n_fft=512, hop_length=128, window=window)).swapaxes(1, 2)
    np.testing.assert_allclose(model(MONO), expected, atol=1e-4)
    model.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").layers[-1].window == window


def test_density_is_scipys():
    _, _, expected = scipy.signal.spectrogram(
        MONO, fs=1, window="hann", nperseg=256, noverlap=192, detrend=False, scaling="density"
    )
    density = Spectrogram(256, 64, mode="psd", scaling="density", padding="valid")(MONO)
    np.testing.assert_allclose(density, expected.swapaxes(1, 2), rtol=1e-4, atol=1e-6)


def test_levels_do_not_depend_on_neighbors_and_top_db_not_on_the_reference():
    audio = MONO * np.float32([[1], [0.01]])
    for bands in ({}, {"frequency_scale": "mel"}):
        db = np.asarray(Spectrogram(512, 128, reference=1.0, top_db=20, **bands)(audio))
        np.testing.assert_allclose(db.max(axis=(1, 2)) - db.min(axis=(1, 2)), 20, atol=1e-4)
        np.testing.assert_allclose(
            db[1], Spectrogram(512, 128, reference=1.0, top_db=20, **bands)(audio[1:])[0], atol=1e-4
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "loud"}, "Unknown `mode`. Allowed values.*Received: mode='loud'"),
        ({"scaling": "power"}, "Unknown `scaling`. Allowed values.*Received"),
        ({"padding": "reflect"}, "Unknown `padding`. Allowed values.*Received"),
        ({"data_format": "last"}, "Unknown `data_format`. Allowed values.*Received"),
        ({"frequency_scale": "bark"}, r"Unknown `frequency_scale`. Allowed values: \['linear', 'mel', 'log'\]"),
        ({"num_bins": 40}, "`num_bins` must be None with frequency_scale='linear'. Received: num_bins=40"),
        ({"frequency_scale": "mel", "num_bins": 0}, "`num_bins` must be an integer of at least 1. Received"),
        ({"frequency_scale": "mel", "mode": "psd"}, "`mode` must be None, 'log' or 'magnitude'.*Received: mode='psd'"),
        ({"frequency_scale": "mel", "max_freq": 12000}, "must hold.*Received.*max_freq=12000, sampling_rate=22050"),
        ({"frequency_scale": "log", "min_freq": 0}, "must hold.*0 < `min_freq`. Received: min_freq=0"),
        ({"sampling_rate": 0}, "`sampling_rate` must be a finite number above 0. Received"),
        ({"window": "round"}, r"Unknown `window`. Allowed values: \['hann'.*Received: window='round'"),
        ({"window": 3}, "Unknown `window`.*a tuple of a name and parameters, or None. Received: window=3"),
        ({"window": ("kaiser",)}, r"Unknown `window`.*Received: window=\('kaiser',\)"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Spectrogram(**arguments)
