"""A mix has the level, the start and the length that were asked for, does not clip, and gives the image back."""

import numpy as np
import pytest
import soundfile
from sonikeras.channels import mix

import sonikeras
from sonikeras import limits

RATE = 22050


def rms_db(audio):
    return 10 * np.log10(np.mean(np.square(audio, dtype=np.float64)))


def tone(frequency=440.0, seconds=1.0, scale=0.1, rate=RATE):
    return (scale * np.sin(2 * np.pi * frequency / rate * np.arange(round(seconds * rate)))).astype("float32")


def stereo(left, right):
    return np.stack([left, right], axis=1)


@pytest.mark.parametrize("level_db", [-20, 0, 6.5])
def test_the_level_is_relative_to_the_recording(level_db):
    audio, recording = tone(1000, scale=0.7), tone(200, scale=0.05)
    mixed = mix(audio, recording, sample_rate=RATE, level_db=level_db)
    part = mixed.audio - recording
    assert rms_db(part) - rms_db(recording) == pytest.approx(level_db, abs=1e-3)
    np.testing.assert_allclose(part, audio * 10 ** (mixed.gain_db / 20), atol=1e-6)
    assert mixed.attenuation_db == 0


@pytest.mark.parametrize(("start", "samples"), [(0, 22050), (0.25, 22050), (0.9, 26460), (3, 72765)])
def test_the_audio_starts_where_it_is_put_and_the_mix_is_as_long_as_needed(start, samples):
    audio, recording = tone(1000, seconds=0.3), tone(200, seconds=1)
    mixed = mix(audio, recording, sample_rate=RATE, start=start).audio
    first = round(start * RATE)
    assert mixed.shape == (samples,)
    padded = np.pad(recording, (0, samples - len(recording)))
    expected = np.zeros(samples, "float32")
    expected[first : first + len(audio)] = audio
    np.testing.assert_allclose(mixed - padded, expected, atol=1e-6)


def test_mono_and_stereo():
    mono, wide = tone(1000), stereo(tone(200), np.zeros(RATE, "float32"))
    onto_stereo = mix(mono, wide, sample_rate=RATE, level_db=3).audio
    np.testing.assert_allclose((onto_stereo - wide)[:, 0], (onto_stereo - wide)[:, 1], atol=1e-7)
    assert rms_db(onto_stereo - wide) - rms_db(wide) == pytest.approx(3, abs=1e-3)
    onto_mono = mix(wide, mono, sample_rate=RATE, level_db=-3).audio
    np.testing.assert_allclose(onto_mono[:, 1], mono, atol=1e-7)
    assert rms_db(onto_mono - mono[:, None]) - rms_db(mono) == pytest.approx(-3, abs=1e-3)
    assert mix(wide, wide, sample_rate=RATE).audio.shape == (RATE, 2)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [16000, 48000])
def test_recordings_are_resampled(rate, channels):
    recording = tone(440, rate=rate, seconds=2)
    recording = recording if channels == 1 else stereo(recording, -recording)
    soundfile.write("recording.flac", recording, rate, subtype="PCM_24")
    from_file = mix(tone(1000), "recording.flac", sample_rate=RATE)
    from_array = mix(tone(1000), recording, sample_rate=RATE, recording_rate=rate)
    assert from_file.audio.shape == ((2 * RATE,) if channels == 1 else (2 * RATE, 2))
    np.testing.assert_allclose(from_file.audio, from_array.audio, atol=1e-6)
    below = from_file.audio[1 * RATE :][:-500] if channels == 1 else from_file.audio[1 * RATE : -500, 0]
    np.testing.assert_allclose(below, tone(440, seconds=2)[RATE:-500], atol=1e-3)


def test_a_mix_that_would_clip_is_attenuated_and_says_so():
    audio, recording = tone(440, scale=0.9), tone(440, scale=0.8)
    mixed = mix(audio, recording, sample_rate=RATE, level_db=6)
    assert np.abs(mixed.audio).max() == pytest.approx(1, abs=1e-6) and np.abs(mixed.audio).max() <= 1
    assert mixed.attenuation_db == pytest.approx(20 * np.log10(0.8 * (1 + 10 ** (6 / 20))), abs=1e-3)
    part = mixed.audio - recording * 10 ** (-mixed.attenuation_db / 20)
    np.testing.assert_allclose(part, audio * 10 ** (mixed.gain_db / 20), atol=1e-6)
    assert rms_db(part) - rms_db(audio) == pytest.approx(mixed.gain_db, abs=1e-3)


def test_silent_audio_leaves_the_recording():
    mixed = mix(np.zeros(RATE, "float32"), tone(), sample_rate=RATE)
    np.testing.assert_array_equal(mixed.audio, tone())
    assert mixed.gain_db == 0


def test_the_image_comes_back_from_a_mix():
    """As bright as it was: the recording is faint, and beside the image."""
    image = np.full((64, 64), 160, "uint8")
    image[16:48, 16:48] = 40
    audio = sonikeras.sonify(image, "matched")
    mixed = mix(audio, tone(300, seconds=4), sample_rate=RATE, level_db=-12)
    sonikeras.write_audio("mix.wav", mixed.audio, "matched", gain_db=mixed.gain_db, normalize="-3 dBFS")
    read, config = sonikeras.read_audio("mix.wav")
    back = sonikeras.desonify(read[: config.samples], config)
    expected = sonikeras.desonify(audio, "matched")
    rows = slice(0, 470)  # above the tone
    assert np.abs(back[rows, 2:-2].astype(int) - expected[rows, 2:-2]).max() <= 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"recording": np.zeros(RATE)}, "`recording` must not be silent.* Received: an array"),
        (
            {"recording": np.zeros((RATE, 3))},
            r"`recording` must be a float array of shape .*\[samples, 2\]",
        ),
        ({"recording": np.full(5, np.nan)}, "`recording` must be finite"),
        ({"recording": np.zeros(5, "int16")}, "`recording` must be a float array.* dtype=int16"),
        ({"audio": np.zeros((5, 3))}, "`audio` must be a float array"),
        ({"level_db": 201}, "`level_db` must be a number of dB in -200..200"),
        ({"start": -1}, "`start` must be a number of seconds of at least 0"),
        ({"start": 1e9}, "keep to the limit `audio_samples`"),
        ({"sample_rate": 0}, "`sample_rate` must be an integer"),
        ({"recording_rate": 0.5}, "`recording_rate` must be an integer"),
        ({"recording": "silent.wav"}, "`recording` must not be silent.* Received: recording=silent.wav"),
        ({"recording": "silent.wav", "recording_rate": 8000}, "a file states its own.*recording=silent.wav"),
        ({"recording": "surround.wav"}, "must be mono or stereo. Received: surround.wav with 6 channels"),
        ({"recording": "text.wav"}, "An audio file must be a whole.*text.wav"),
    ],
)
def test_bad_input(arguments, message):
    soundfile.write("silent.wav", np.zeros(100), RATE)
    soundfile.write("surround.wav", np.ones((100, 6)), RATE)
    with open("text.wav", "w") as file:
        file.write("text")
    valid = {"audio": tone(), "recording": tone(), "sample_rate": RATE}
    with pytest.raises(ValueError, match=message):
        mix(**(valid | arguments))


def test_a_recording_that_does_not_exist():
    with pytest.raises(FileNotFoundError, match="There is no such sound file. Received: none.wav"):
        mix(tone(), "none.wav", sample_rate=RATE)


def test_a_long_recording_is_refused_before_it_is_decoded():
    soundfile.write("long.wav", np.ones(3000), 8000)
    before = limits.get("audio_samples")
    limits.set(audio_samples=5000)
    try:
        with pytest.raises(ValueError, match=r"long\.wav must keep to the limit `audio_samples`"):
            mix(tone(seconds=0.1), "long.wav", sample_rate=RATE)
    finally:
        limits.set(audio_samples=before)
