"""`SonificationConfig`: frozen, validated, the same after every round trip."""

import dataclasses
import json
import re

import numpy as np
import pytest

import sonikeras
from sonikeras import SonificationConfig, presets
from sonikeras.config import as_config

CONFIG = SonificationConfig.preset("study")


def test_study_is_the_published_chain():
    assert (CONFIG.bins, CONFIG.frames, CONFIG.samples, CONFIG.sample_rate) == (513, 128, 65024, 22050)
    assert CONFIG.seconds == pytest.approx(2.949, abs=1e-3)
    assert (CONFIG.iterations, CONFIG.momentum, CONFIG.top_db) == (32, 0.99, 80)
    assert (CONFIG.analysis_fft_length, CONFIG.analysis_frame_step, CONFIG.picture_size) == (2048, 512, (600, 1200))


@pytest.mark.parametrize("name", presets())
def test_round_trip(name):
    config = SonificationConfig.preset(name)
    again = SonificationConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config and hash(again) == hash(config) and again.audio_key() == config.audio_key()


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        CONFIG.frames = 5


def test_a_file_of_an_older_version_takes_defaults():
    assert SonificationConfig.from_dict({"frames": 64}) == CONFIG.replace(frames=64)


AUDIO = {
    "sample_rate": 16000,
    "frames": 64,
    "fft_length": 2048,
    "frame_length": 1000,
    "frame_step": 256,
    "window": "hamming",
    "image_interpolation": "area",
    "reference": "absolute",
    "top_db": 60,
    "algorithm": "lbfgs",
    "iterations": 1,
    "momentum": 0.5,
    "rho": 1,
    "initial_phase": "structured",
    "transform": "mdct",
    "color": "ycbcr",
    "chroma_fraction": 0.25,
    "min_freq": 200,
    "max_freq": 8000,
    "frequency_scale": "mel",
    "rows": 100,
    "frequencies": (440, 880),
    "panning": True,
}
# What fields need of others.
NEEDED = {
    "color": {"reference": "absolute", "picture_scale": "amplitude"},
    "frequencies": {"transform": "oscillators"},
}
DRAWING = {
    "analysis_transform": "mdct",
    "analysis_fft_length": 4096,
    "analysis_frame_length": 1024,
    "analysis_frame_step": 256,
    "picture_scale": "amplitude",
    "picture_size": (9, 9),
    "drawing": "resize",
    "colormap": "gray",
}


def test_audio_key_has_what_decides_the_audio_and_no_more():
    assert {field.name for field in dataclasses.fields(CONFIG)} == {*AUDIO, *DRAWING}
    keys = {CONFIG.replace(**{name: value}, **NEEDED.get(name, {})).audio_key() for name, value in AUDIO.items()}
    assert len(keys | {CONFIG.audio_key()}) == len(AUDIO) + 1
    drawing = [{"analysis_frame_step": 1024} | {name: value} for name, value in DRAWING.items()]
    assert {CONFIG.replace(**changes).audio_key() for changes in drawing} == {CONFIG.audio_key()}
    assert CONFIG.replace(top_db=80).audio_key() == CONFIG.audio_key()


def test_a_method_of_0_1_says_its_new_name():
    with pytest.raises(AttributeError, match="`SonificationConfig.sound_key` has a new name: use `audio_key`"):
        CONFIG.sound_key()
    with pytest.raises(AttributeError, match="`SonificationConfig.other` does not exist"):
        _ = CONFIG.other


@pytest.mark.parametrize("depth", [100, 300, 900, 950, 990, 5000, 100_000])
@pytest.mark.parametrize("field", ["colormap", "window", "picture_size", "top_db", "frames"])
def test_values_that_are_nested_deeply_are_refused(field, depth):
    text = f'{{"{field}": {"[" * depth}{"]" * depth}}}'.encode()
    with pytest.raises(ValueError, match=f"`{field}`|must be a mapping") as error:
        SonificationConfig.from_json(text)
    assert len(str(error.value)) < 2000


@pytest.mark.parametrize("changes", [{"frame_step": 1024}, {"frame_step": 1000}, {"frame_length": 512}])
def test_windows_must_overlap(changes):
    with pytest.raises(ValueError, match="`frame_step` must be small enough for the windows to overlap.*Received"):
        CONFIG.replace(**changes)
    assert CONFIG.replace(window="boxcar", **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_fft": 1024}, r"Unknown config fields. Allowed values: \['sample_rate'.*Received: \['n_fft'\]"),
        ({"frames": 1}, "`frames` must be an integer of at least 2. Received: frames=1"),
        ({"frames": 12.5}, "`frames` must be an integer"),
        ({"iterations": True}, "`iterations` must be an integer"),
        ({"fft_length": 1025}, "`fft_length` must be even. Received: fft_length=1025"),
        ({"frame_step": 2000}, "`frame_step` <= `frame_length` <= `fft_length` must hold. Received: frame_step=2000"),
        ({"frame_length": 2048}, "must hold. Received.*frame_length=2048"),
        ({"analysis_frame_length": 4096}, "`analysis_frame_step` <= `analysis_frame_length`.*Received"),
        ({"window": "hat"}, r"Unknown `window`. Allowed values: \['hann'.*Received: window='hat'"),
        ({"momentum": 1.1}, "`momentum` must be a number in 0..1. Received: momentum=1.1"),
        ({"momentum": float("nan")}, "`momentum` must be a number in 0..1"),
        ({"algorithm": "slow"}, "Unknown `algorithm`.*'fast_griffin_lim'.*Received: algorithm='slow'"),
        (
            {"initial_phase": "zero"},
            r"Unknown `initial_phase`. Allowed values: \['random', 'structured', 'fixed'\].",
        ),
        (
            {"transform": "dct"},
            r"Unknown `transform`. Allowed values: \['stft', 'mdct', 'oscillators'\]. Received: transform='dct'",
        ),
        (
            {"transform": "mdct", "frame_step": 256},
            "must be twice `frame_step`, which must be even. Received: frame_step=256",
        ),
        (
            {"transform": "mdct", "fft_length": 1022, "frame_length": 1022, "frame_step": 511},
            "which must be even. Received: frame_step=511",
        ),
        ({"analysis_transform": "mdct"}, "must be twice `analysis_frame_step`.*Received: analysis_frame_step=512"),
        ({"rho": 0}, "`rho` must be a finite number above 0. Received: rho=0"),
        ({"top_db": 0}, "`top_db` must be a finite number above 0. Received: top_db=0"),
        ({"top_db": "80"}, "`top_db` must be a finite number above 0"),
        ({"picture_size": 600}, r"`picture_size` must be a pair \(height, width\). Received: picture_size=600"),
        ({"picture_size": (0, 1)}, "`picture_size` must be an integer of at least 1"),
        ({"colormap": ""}, "`colormap` must be a matplotlib colormap's name"),
        ({"drawing": "oil"}, "Unknown `drawing`.*Received: drawing='oil'"),
        ({"picture_scale": "log"}, "Unknown `picture_scale`.*Received"),
        ({"reference": "min"}, "Unknown `reference`.*Received"),
        ({"image_interpolation": "cubic"}, "Unknown `image_interpolation`.*Received"),
    ],
)
def test_rules(changes, message):
    with pytest.raises(ValueError, match=message):
        CONFIG.replace(**changes)


def test_unknown_preset():
    with pytest.raises(ValueError, match=f"Unknown `preset`. Allowed values: {re.escape(str(presets()))}. Received"):
        SonificationConfig.preset("best")


# Analysis -------------------------------------------------------------------------------------------------------------


def test_the_analysis_is_the_synthesis_unless_it_is_set():
    matched = SonificationConfig.preset("matched")
    changed = matched.replace(fft_length=512, frame_length=512, frame_step=256, frames=256)
    assert changed.analysis == changed.synthesis == ("stft", 512, 512, 256)
    assert matched.analysis == SonificationConfig().analysis == ("stft", 1024, 1024, 512)
    assert SonificationConfig(analysis_fft_length=4096).analysis == ("stft", 4096, 1024, 512)
    assert SonificationConfig.preset("lossless").analysis == ("mdct", 1024, 1024, 512)
    assert CONFIG.replace(fft_length=512, frame_length=512, frame_step=256).analysis == ("stft", 2048, 2048, 512)


@pytest.mark.parametrize("name", presets())
def test_a_resolved_config_is_the_same_chain(name):
    config = SonificationConfig.preset(name)
    resolved = config.resolved()
    assert resolved.analysis == config.analysis and resolved.audio_key() == config.audio_key()
    assert None not in [getattr(resolved, name) for name in DRAWING]
    assert resolved == resolved.resolved() and (resolved == config) == (name == "study")


# Versions of the stored form ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["study", "matched", "lossless"])
def test_a_dictionary_of_version_1_equals_todays_preset(name):
    old = SonificationConfig.preset(name).resolved().to_dict()
    del old["version"]
    assert SonificationConfig.from_dict(old) == SonificationConfig.preset(name)
    old["analysis_frame_step"] //= 2
    if name == "lossless":
        with pytest.raises(ValueError, match="must be twice `analysis_frame_step`"):
            SonificationConfig.from_dict(old)
    else:
        again = SonificationConfig.from_dict(old)
        assert again.analysis == again.resolved().analysis and again.analysis.frame_step == again.frame_step // 2


def test_a_dictionary_of_this_version_is_taken_as_it_is():
    explicit = SonificationConfig.preset("matched").resolved()
    assert explicit.to_dict()["version"] == 2
    assert SonificationConfig.from_dict(explicit.to_dict()) == explicit != SonificationConfig.preset("matched")
    assert SonificationConfig.from_dict({"version": 2, "frames": 64}) == SonificationConfig(frames=64)


@pytest.mark.parametrize("version", [3, 10**30])
def test_a_newer_version_is_refused(version):
    with pytest.raises(ValueError, match=f"format version of at most 2: update sonikeras.*Received: version={version}"):
        SonificationConfig.from_dict({"version": version, "color": "rgb"})


@pytest.mark.parametrize("version", [0, 1.5, "2", None, True])
def test_a_version_that_is_none_is_refused(version):
    with pytest.raises(ValueError, match="`version` must be an integer of at least 1. Received: version="):
        SonificationConfig.from_dict({"version": version})


# Files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", presets())
def test_a_config_is_the_same_after_saving_and_loading(tmp_path, name):
    config = SonificationConfig.preset(name).replace(sample_rate=32000)
    config.save(tmp_path / "my.json")
    assert SonificationConfig.load(tmp_path / "my.json") == config
    for path in (tmp_path / "my.json", str(tmp_path / "my.json")):
        assert as_config(path) == config
    config.save(tmp_path / "no_extension")
    assert as_config(str(tmp_path / "no_extension")) == config


@pytest.mark.parametrize("extension", ["wav", "flac"])
def test_a_config_is_read_from_an_audio_file(tmp_path, extension):
    config = SonificationConfig.preset("matched").replace(frames=16)
    path = tmp_path / f"a.{extension}"
    sonikeras.write_audio(path, np.zeros(100, np.float32), config)
    assert SonificationConfig.load(path) == as_config(str(path)) == config
    image = np.eye(16, dtype=np.uint8) * 255
    np.testing.assert_array_equal(sonikeras.sonify(image, path), sonikeras.sonify(image, config))


def test_a_preset_takes_precedence_over_a_file_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    SonificationConfig(frames=16).save("matched")
    SonificationConfig(frames=16).save("mine")
    assert as_config("matched") == SonificationConfig.preset("matched")
    assert as_config("mine").frames == 16


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", '{"version": 2, "colour": "rgb"}', "Unknown config fields. Allowed values: .*Received: .'colour'."),
        ("a.json", '{"version": 3}', "format version of at most 2"),
        ("a.json", "frames = 64", "valid config as JSON.*Expecting value"),
        ("a", "{frames: 64}", "valid config as JSON.*Expecting property name"),
        ("a.json", "[1, 2]", "must be a mapping"),
        ("a.json", "", "valid config as JSON.*Expecting value"),
        ("a.json", " " * 2**21, "`config_bytes`"),
        ("a.json", '{"frames": 1}', "`frames` must be an integer of at least 2"),
        ("a.txt", "frames = 64", "must be JSON.*or an audio file that carries a config"),
        ("a.wav", "RIFF", "must be JSON.*or an audio file that carries a config"),
    ],
)
def test_an_error_names_the_config_file_and_the_rule(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        as_config(path)
    assert f"Received: {path} (" in str(error.value)


def test_an_audio_file_without_a_config_is_refused(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 22050)
    with pytest.raises(ValueError, match=r"must carry one.*Received: .*a\.wav, without a config"):
        SonificationConfig.load(tmp_path / "a.wav")


@pytest.mark.parametrize("name", ["my.json", "folder/my", "folder"])
def test_a_config_file_must_exist(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileNotFoundError, match=f"must exist. Received: .*{name}"):
        SonificationConfig.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        as_config(str(tmp_path / name))


@pytest.mark.parametrize("config", ["best", "", 3, None, b"study"])
def test_a_config_argument_that_is_none(config):
    with pytest.raises(ValueError, match=r"a path to a JSON.*Allowed presets: .*'lossless'.*Received: config="):
        as_config(config)
