"""The preset "scan": fast, without flicker, in stereo if wanted, and back to the image."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import sonikeras
from sonikeras.signal.engines import magnitudes_to_audio

PHOTO = Path(__file__).parents[2] / "docs" / "images" / "coffee.png"
SCAN = sonikeras.SonificationConfig.preset("scan")
STEREO = SCAN.replace(panning=True)


@pytest.fixture(scope="module")
def photo():
    return cv2.resize(cv2.imread(str(PHOTO), cv2.IMREAD_GRAYSCALE), (64, 64), interpolation=cv2.INTER_AREA)


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


@pytest.mark.parametrize("extension", ["wav", "flac"])
@pytest.mark.parametrize("config", [SCAN, STEREO], ids=["mono", "stereo"])
def test_a_photo_comes_back_from_a_file(photo, config, extension, tmp_path):
    path = tmp_path / f"scan.{extension}"
    audio = sonikeras.sonify(photo, config)
    assert audio.shape == (22016, 2)[: 1 + config.panning] and audio.dtype == np.float32
    sonikeras.write_audio(path, audio, config)
    again, carried = sonikeras.read_audio(path)
    assert carried == config and again.shape == audio.shape
    assert psnr(sonikeras.desonify(again, carried), photo) > 48
    start, _ = sonikeras.read_audio(path, samples=1000)
    np.testing.assert_array_equal(start, again[:1000])


def test_stereo_is_averaged_where_no_panning_is_known(photo, tmp_path):
    sonikeras.write_audio(tmp_path / "scan.wav", sonikeras.sonify(photo, STEREO), STEREO)
    mono, _ = sonikeras.read_audio(tmp_path / "scan.wav", SCAN)
    stereo, _ = sonikeras.read_audio(tmp_path / "scan.wav")
    np.testing.assert_allclose(mono, stereo.mean(axis=1), atol=1e-7)


def test_stereo_is_converted_to_another_sample_rate(photo, tmp_path):
    sonikeras.write_audio(tmp_path / "scan.wav", sonikeras.sonify(photo, STEREO), STEREO)
    other, _ = sonikeras.read_audio(tmp_path / "scan.wav", STEREO.replace(sample_rate=44100))
    assert other.shape == (2 * 22016, 2)


def test_colors_come_back(photo):
    image = cv2.resize(cv2.imread(str(PHOTO)), (64, 48), interpolation=cv2.INTER_AREA)[..., ::-1]
    config = sonikeras.SonificationConfig.for_image(image, "scan", color="rgb")
    assert np.abs(sonikeras.desonify(sonikeras.sonify(image, config), config).astype(int) - image).max() <= 1


@pytest.mark.parametrize("config", [SCAN, STEREO], ids=["mono", "stereo"])
def test_a_live_image_does_not_flicker(photo, config):
    changed = photo.copy()
    changed[30, 20] += 1
    before, after = (sonikeras.sonify(image, config, seed=seed).ravel() for seed, image in enumerate((photo, changed)))
    assert np.corrcoef(before, after)[0, 1] > 0.999999
    assert np.abs(after - before).max() < 1.001 / 255 / 31


def test_the_spectrogram_and_the_picture_show_the_image(photo):
    audio = sonikeras.sonify(photo, SCAN)
    db = sonikeras.spectrogram(audio, SCAN)
    assert db.shape == (64, 64)
    assert psnr(255 * 10 ** (db[::-1] / 20), photo) > 20
    picture = sonikeras.picture(audio, SCAN)
    assert psnr(cv2.resize(picture[..., 0], (64, 64), interpolation=cv2.INTER_AREA), photo) > 20


def test_stereo_shows_what_mono_shows(photo):
    mono, stereo = sonikeras.sonify(photo, SCAN), sonikeras.sonify(photo, STEREO)
    for function in (sonikeras.spectrogram, sonikeras.picture, sonikeras.desonify):
        given = function(stereo, STEREO).astype(float)
        np.testing.assert_allclose(given, function(mono, SCAN), atol=1)
        np.testing.assert_array_equal(function(mono, STEREO), function(mono, SCAN))


@pytest.mark.parametrize("preset", ["study", "matched", "lossless"])
def test_every_transform_can_be_panned(photo, preset):
    config = sonikeras.SonificationConfig.preset(preset)
    mono = sonikeras.sonify(photo, config)
    stereo = sonikeras.sonify(photo, config.replace(panning=True))
    assert stereo.shape == (config.samples, 2)
    again = sonikeras.desonify(stereo, config.replace(panning=True)).astype(int)
    assert np.abs(again - sonikeras.desonify(mono, config)).max() <= 1


@pytest.mark.parametrize("samples", [20000, 30000])
def test_panned_audio_of_another_length_is_read_from_its_beginning(photo, samples):
    stereo = np.resize(np.pad(sonikeras.sonify(photo, STEREO), ((0, 8000), (0, 0))), (samples, 2))
    again = sonikeras.desonify(stereo, STEREO)
    columns = min(samples // 344, 64) - 2
    assert np.abs(again[:, :columns].astype(int) - photo[:, :columns]).mean() < 2


def test_another_analysis_shows_the_band(photo):
    config = SCAN.replace(analysis_transform="stft", analysis_fft_length=2048)
    audio = sonikeras.sonify(photo, config)
    np.testing.assert_array_equal(audio, sonikeras.sonify(photo, SCAN))
    assert sonikeras.spectrogram(audio, config).shape == (1025, 65)
    picture = cv2.resize(sonikeras.picture(audio, config)[..., 0], (64, 64), interpolation=cv2.INTER_AREA)
    assert psnr(picture, photo) > 19


def test_notes_of_a_scale(photo):
    config = SCAN.replace(frequencies=110 * 2 ** (np.arange(49) / 12))
    audio = sonikeras.sonify(photo, config)
    assert audio.shape == (22016,) and sonikeras.desonify(audio, config).shape == (49, 64)
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio))))
    peaks = np.fft.rfftfreq(len(audio), 1 / 22050)[spectrum > 0.2 * spectrum.max()]
    assert np.abs(12 * np.log2(peaks[:, None] / config.frequencies)).min(axis=1).max() < 1


def test_there_is_no_phase_and_no_engine_to_choose(photo):
    with pytest.raises(ValueError, match="`initial_phase` must be None with transform='oscillators'"):
        sonikeras.sonify(photo, SCAN, initial_phase=np.zeros((64, 64)))
    with pytest.raises(ValueError, match="`magnitudes` must have the config's shape .* = .64, 64."):
        magnitudes_to_audio(np.ones((63, 64)), SCAN)
    np.testing.assert_array_equal(sonikeras.sonify(photo, SCAN, engine="librosa"), sonikeras.sonify(photo, SCAN))


@pytest.mark.parametrize("function", [sonikeras.spectrogram, sonikeras.picture, sonikeras.desonify])
def test_stereo_that_is_not_panned_is_refused(function):
    with pytest.raises(
        ValueError, match=r"shape \[samples\] with at least 1 sample, mono.*Received: shape=\(9000, 2\)"
    ):
        function(np.zeros((9000, 2), np.float32), SCAN)
    with pytest.raises(ValueError, match=r"shape \[samples\] or \[samples, 2\] with.*Received: shape=\(9000, 3\)"):
        function(np.zeros((9000, 3), np.float32), STEREO)
