"""Loudness has the values of the recommendation; normalization reaches its target, never clips, and is undone."""

import builtins

import numpy as np
import pytest
import soundfile
from scipy.signal import lfilter

import sonikeras
from sonikeras.sources.loudness import integrated_loudness, normalize

RATE = 22050
DESCRIBED = "must be a peak in -90..0 dBFS, such as '-1 dBFS', or a loudness in -70..0 LUFS"


def tone(db=0.0, rate=RATE, seconds=2.0, frequency=997.0):
    return (10 ** (db / 20) * np.sin(2 * np.pi * frequency / rate * np.arange(round(seconds * rate)))).astype("float32")


def noise(seconds=2.0, scale=0.05, seed=0):
    return (scale * np.random.default_rng(seed).normal(size=round(seconds * RATE))).astype("float32")


def peak_dbfs(audio):
    return 20 * np.log10(np.abs(audio).max())


# Loudness -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_a_full_scale_tone_is_at_minus_three_lufs(rate):
    """In one channel, at 997 Hz: the calibration of ITU-R BS.1770."""
    assert integrated_loudness(tone(rate=rate), rate) == pytest.approx(-3.01, abs=0.04)


def test_a_stereo_tone_is_as_loud_as_its_level():
    """The first signals of EBU Tech 3341: 1 kHz in both channels at -23 and -33 dBFS."""
    for level in (-23, -33):
        one = tone(level, rate=48000, seconds=3, frequency=1000)
        assert integrated_loudness(np.stack([one, one], axis=1), 48000) == pytest.approx(level, abs=0.1)


def test_weighting_has_the_coefficients_of_the_recommendation():
    """The tables of BS.1770 at 48 kHz, over one block of noise."""
    audio = np.random.default_rng(0).normal(size=19200) * 0.05
    shelf = ([1.53512485958697, -2.69169618940638, 1.19839281085285], [1, -1.69065929318241, 0.73248077421585])
    high_pass = ([1, -2, 1], [1, -1.99004745483398, 0.99007225036621])
    weighted = lfilter(*high_pass, lfilter(*shelf, audio.astype("float32").astype("float64")))
    expected = -0.691 + 10 * np.log10(np.mean(weighted**2))
    assert integrated_loudness(audio, 48000) == pytest.approx(expected, abs=1e-6)


def test_silence_does_not_lower_the_loudness():
    """Its blocks are below the gates."""
    audio = noise()
    padded = np.concatenate([audio, np.zeros(5 * RATE, "float32")])
    assert integrated_loudness(padded, RATE) == pytest.approx(integrated_loudness(audio, RATE), abs=0.4)
    assert integrated_loudness(np.zeros(RATE), RATE) == -np.inf


@pytest.mark.parametrize("seconds", [0.4, 0.44, 0.46, 0.55, 0.97])
def test_only_whole_blocks_count(seconds):
    audio = noise(seconds)
    whole = audio[: round((0.4 + 0.1 * int((seconds - 0.4) / 0.1 + 1e-9)) * RATE)]
    assert integrated_loudness(audio, RATE) == integrated_loudness(whole, RATE)


def test_loudness_of_audio_that_has_none():
    with pytest.raises(ValueError, match=r"at least 0.4 s .* '-1 dBFS'. Received: 8819 samples at 22050 Hz, 0.4 s"):
        integrated_loudness(np.zeros(8819), RATE)
    with pytest.raises(ValueError, match=r"shape \[samples\] or \[samples, 2\].* Received: shape=\(9000, 3\)"):
        integrated_loudness(np.zeros((9000, 3)), RATE)
    with pytest.raises(ValueError, match="`sample_rate` must be an integer"):
        integrated_loudness(np.zeros(9000), 0)


def test_without_pyloudnorm_the_error_names_the_extra(monkeypatch):
    imported = builtins.__import__

    def missing(name, *arguments, **options):
        if name == "pyloudnorm":
            raise ImportError("No module named 'pyloudnorm'")
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"needs pyloudnorm: pip install 'sonikeras\[loudness\]'"):
        normalize(noise(), "-16 LUFS", sample_rate=RATE)
    assert peak_dbfs(normalize(noise(), "-1 dBFS", sample_rate=RATE)[0]) == pytest.approx(-1, abs=1e-4)


# Normalization --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["-1 dBFS", "0 dBFS", "-12.5dbfs", " -90 DBFS "])
@pytest.mark.parametrize("shape", [(RATE,), (RATE, 2), (1,)])
def test_the_peak_is_that_of_the_target(target, shape):
    audio = np.random.default_rng(0).uniform(-3, 3, shape)
    result, gain_db = normalize(audio, target, sample_rate=RATE)
    assert peak_dbfs(result) == pytest.approx(float(target.lower().replace("dbfs", "")), abs=1e-4)
    assert result.dtype == np.float32 and np.abs(result).max() <= 1
    np.testing.assert_allclose(result, audio * 10 ** (gain_db / 20), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("target", ["-16 LUFS", "-23lufs", "-40 LUFS"])
@pytest.mark.parametrize("scale", [1e-6, 0.05, 2])
def test_the_loudness_is_that_of_the_target(target, scale):
    """Also of audio that the absolute gate would leave out."""
    result, gain_db = normalize(noise(scale=scale), target, sample_rate=RATE)
    level = float(target.lower().replace("lufs", ""))
    assert integrated_loudness(result, RATE) == pytest.approx(level, abs=0.01)
    np.testing.assert_allclose(result, noise(scale=scale) * 10 ** (gain_db / 20), rtol=1e-5)


def test_silence_stays_silent():
    for target in ("-1 dBFS", "-16 LUFS"):
        audio, gain_db = normalize(np.zeros(RATE), target, sample_rate=RATE)
        assert not audio.any() and gain_db == 0


def test_a_loudness_that_would_clip_is_refused_and_the_highest_is_named():
    audio = noise()
    with pytest.raises(ValueError, match=r"at most (-\d+\.\d) LUFS .*'0 dBFS'.*which puts the peak at \+\d") as error:
        normalize(audio, "-3 LUFS", sample_rate=RATE)
    highest = str(error.value).split("at most ")[1].split(" LUFS")[0]
    result, _ = normalize(audio, f"{highest} LUFS", sample_rate=RATE)
    assert -0.2 < peak_dbfs(result) <= 0


def test_what_cannot_be_heard_has_no_loudness():
    with pytest.raises(ValueError, match=r"audible block of 0.4 s .*'-1 dBFS'"):
        normalize(1 - np.cos(np.linspace(0, np.pi, 4 * RATE)), "-16 LUFS", sample_rate=RATE)  # 0.125 Hz


@pytest.mark.parametrize(
    "target", ["1 dBFS", "-1", "-1 dB", "LUFS", "-71 LUFS", "-91 dBFS", "nan LUFS", "", "-1 dBFS LUFS", -1, None, True]
)
def test_targets_that_are_none(target):
    with pytest.raises(ValueError, match=DESCRIBED):
        normalize(noise(), target, sample_rate=RATE)


# Files ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (64, 48), np.uint8)


@pytest.mark.parametrize("extension", ["wav", "flac"])
@pytest.mark.parametrize("target", ["-1 dBFS", "-16 LUFS", "-60 dBFS"])
def test_the_file_has_the_target_and_reading_undoes_it(extension, target, image):
    audio = sonikeras.sonify(image, "matched")
    sonikeras.write_audio(f"a.{extension}", audio, "matched", normalize=target)
    stored, rate = soundfile.read(f"a.{extension}")
    reached = peak_dbfs(stored) if target.endswith("dBFS") else integrated_loudness(stored, rate)
    assert reached == pytest.approx(float(target.split()[0]), abs=0.3 if target == "-60 dBFS" else 0.01)
    read, config = sonikeras.read_audio(f"a.{extension}")
    step = np.abs(audio).max() / np.abs(stored).max() / 32768
    np.testing.assert_allclose(read, audio, atol=1.01 * step)
    assert config == sonikeras.SonificationConfig.preset("matched")
    assert sonikeras.SonificationConfig.load(f"a.{extension}") == config
    np.testing.assert_array_equal(sonikeras.read_audio(f"a.{extension}", "matched")[0], read)
    np.testing.assert_array_equal(sonikeras.read_audio(f"a.{extension}", samples=100)[0], read[:100])


@pytest.mark.parametrize("target", ["-1 dBFS", "-16 LUFS", "-26 LUFS"])
@pytest.mark.parametrize("preset", ["matched", "lossless"])
def test_the_image_comes_back_as_bright_as_it_was(preset, target, image):
    audio = sonikeras.sonify(image, preset)
    sonikeras.write_audio("a.wav", audio, preset, normalize=target)
    difference = sonikeras.desonify(*sonikeras.read_audio("a.wav")).astype(int) - sonikeras.desonify(audio, preset)
    assert np.abs(difference).max() <= (0 if preset == "lossless" else 1)


def test_audio_beyond_full_scale_is_not_clipped():
    """Neither in the file nor when it is read."""
    audio = 3 * noise(scale=0.5)
    with pytest.raises(ValueError, match="must lie in -1..1"):
        sonikeras.write_audio("loud.wav", audio)
    sonikeras.write_audio("loud.wav", audio, normalize="0 dBFS")
    read = sonikeras.read_audio("loud.wav")[0]
    np.testing.assert_allclose(read, audio, atol=1.01 * np.abs(audio).max() / 32768)
    assert np.abs(read).max() > 3


def test_gains_add_up():
    audio = noise()
    sonikeras.write_audio("a.wav", audio * np.float32(10 ** (-6 / 20)), gain_db=-6)
    sonikeras.write_audio("b.wav", audio * np.float32(10 ** (-6 / 20)), gain_db=-6, normalize="-1 dBFS")
    for path in ("a.wav", "b.wav"):
        np.testing.assert_allclose(sonikeras.read_audio(path)[0], audio, atol=2.1 / 32768)


def test_resampled_files_are_read_at_the_original_level():
    config = sonikeras.SonificationConfig.preset("matched")
    sonikeras.write_audio("a.wav", tone(-20), config, normalize="-1 dBFS")
    read = sonikeras.read_audio("a.wav", config.replace(sample_rate=16000))[0]
    assert peak_dbfs(read[1000:-1000]) == pytest.approx(-20, abs=0.1)


def test_without_a_gain_a_file_is_what_it_was():
    """The comment is the config alone, which every version reads."""
    sonikeras.write_audio("a.wav", noise(), "matched")
    with soundfile.SoundFile("a.wav") as file:
        assert file.comment.startswith('sonikeras:{"sample_rate": 22050, ')
    sonikeras.write_audio("b.wav", np.zeros(RATE), "matched", normalize="-1 dBFS")
    with soundfile.SoundFile("b.wav") as file:
        assert file.comment.startswith('sonikeras:{"sample_rate": 22050, ')


def test_the_longest_config_and_gain_fit_into_a_comment():
    config = sonikeras.SonificationConfig.preset("study").replace(
        colormap="x" * 128, top_db=80.123456789012345, momentum=0.123456789012345678, rho=1.2345678901234567e-101
    )
    for extension in ("wav", "flac"):
        sonikeras.write_audio(f"a.{extension}", noise(), config, gain_db=-123.45678901234567)
        with soundfile.SoundFile(f"a.{extension}") as file:
            assert file.comment.startswith('sonikeras:2 gain_db=-123.45678901234567 {"sample_rate"')
        assert sonikeras.read_audio(f"a.{extension}")[1] == config


@pytest.mark.parametrize(
    "comment", ["2 gain_db=1e999 {}", "2 gain_db=--1 {}", "2 gain_db=201 {}", "2 gain_db=nan {}", "2 {}", "3 {}", "2"]
)
def test_a_gain_that_is_not_valid_is_an_error_that_names_the_file(comment):
    with soundfile.SoundFile("a.wav", "w", RATE, 1) as file:
        file.comment = f"sonikeras:{comment}"
        file.write(noise())
    for config in (None, "study"):
        with pytest.raises(ValueError, match=r"The gain in an audio file must be valid. Received: a\.wav \("):
            sonikeras.read_audio("a.wav", config)


def test_gains_that_cannot_be_written():
    for gain in (float("nan"), 201, "6"):
        with pytest.raises(ValueError, match=r"`gain_db` must be a number of dB in -200..200"):
            sonikeras.write_audio("a.wav", noise(), gain_db=gain)
    with pytest.raises(ValueError, match=DESCRIBED):
        sonikeras.write_audio("a.wav", noise(), normalize="loud")
