"""`SonificationConfig`: frozen, validated, the same after every round trip."""

import dataclasses
import json

import pytest

from sonikeras import SonificationConfig, presets

CONFIG = SonificationConfig()


def test_study_is_the_published_chain():
    assert SonificationConfig.preset("study") == CONFIG
    assert (CONFIG.bins, CONFIG.frames, CONFIG.samples, CONFIG.sample_rate) == (513, 128, 65024, 22050)
    assert CONFIG.seconds == pytest.approx(2.949, abs=1e-3)
    assert (CONFIG.iterations, CONFIG.momentum, CONFIG.top_db) == (32, 0.99, 80)
    assert (CONFIG.analysis_fft_length, CONFIG.analysis_frame_step, CONFIG.picture_size) == (2048, 512, (600, 1200))


@pytest.mark.parametrize("name", presets())
def test_round_trip(name):
    config = SonificationConfig.preset(name)
    again = SonificationConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config and hash(again) == hash(config) and again.sound_key() == config.sound_key()


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        CONFIG.frames = 5


def test_a_file_of_an_older_version_takes_defaults():
    assert SonificationConfig.from_dict({"frames": 64}) == CONFIG.replace(frames=64)


SOUND = {
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


def test_sound_key_has_what_decides_the_sound_and_no_more():
    assert {field.name for field in dataclasses.fields(CONFIG)} == {*SOUND, *DRAWING}
    keys = {CONFIG.replace(**{name: value}).sound_key() for name, value in SOUND.items()}
    assert len(keys | {CONFIG.sound_key()}) == len(SOUND) + 1
    drawing = [{"analysis_frame_step": 1024} | {name: value} for name, value in DRAWING.items()]
    assert {CONFIG.replace(**changes).sound_key() for changes in drawing} == {CONFIG.sound_key()}
    assert CONFIG.replace(top_db=80).sound_key() == CONFIG.sound_key()


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
        ({"initial_phase": "zero"}, r"Unknown `initial_phase`. Allowed values: \['random', 'structured'\]. Received"),
        ({"transform": "dct"}, r"Unknown `transform`. Allowed values: \['stft', 'mdct'\]. Received: transform='dct'"),
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
    with pytest.raises(
        ValueError, match=r"Unknown `preset`. Allowed values: \['study', 'matched', 'lossless'\]. Received"
    ):
        SonificationConfig.preset("best")
