"""`SonificationConfig.for_image`, and the rules of the raster."""

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

import sonikeras
from sonikeras import SonificationConfig, limits
from sonikeras.config._raster import SCALES, raster_of, row_edges, row_frequencies

POSTER = {"sample_rate": 44100, "min_freq": 200, "max_freq": 12_000, "frequency_scale": "log"}


@pytest.mark.parametrize("color", ["gray", "rgb"])
@pytest.mark.parametrize("size", [(427, 640), (426, 64), (1, 1), (3, 5), (200, 2000)])
def test_without_a_duration_an_image_comes_back_bit_for_bit(size, color):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    image = image if color == "rgb" else image[..., 0]
    config = SonificationConfig.for_image(image, "lossless", color=color)
    audio = sonikeras.sonify(image, config)
    assert audio.shape == (config.samples,) and config.seconds == config.samples / 22050
    columns = max(size[1], 2) if color == "gray" else size[1]  # an MDCT has at least two frames
    np.testing.assert_array_equal(sonikeras.desonify(audio, config), np.resize(image, config.image_shape))
    assert config.image_shape[:2] == (size[0], columns)


def test_a_large_color_image_comes_back_bit_for_bit_from_16_bits():
    china = load_sample_image("china.jpg")
    image = np.tile(china, (3, 3, 1))[:1200, :1600]
    config = SonificationConfig.for_image(image, preset="lossless", color="rgb")
    assert config.seconds == pytest.approx(261.28, abs=0.01)
    audio = sonikeras.sonify(image, config)
    np.testing.assert_array_equal(audio * 32768, np.rint(audio * 32768))
    np.testing.assert_array_equal(sonikeras.desonify(audio, config), image)


@pytest.mark.parametrize("preset", ["matched", "study", "lossless"])
@pytest.mark.parametrize(
    "scale", [{}, {"min_freq": 300, "max_freq": 3400}, {"min_freq": 300, "frequency_scale": "mel"}]
)
def test_without_a_duration_each_row_has_a_bin_and_each_column_a_frame(preset, scale):
    config = SonificationConfig.for_image((50, 70), preset, **scale)
    assert config.image_shape == (50, 70)
    width = np.diff(row_edges(config)).min()
    assert width > 0.98 * config.sample_rate / config.fft_length
    assert config.transform == "mdct" or config.fft_length.bit_count() == 1


def test_chroma_has_half_the_size():
    for size in ((40, 60), (41, 61)):
        config = SonificationConfig.for_image(size, "lossless", color="ycbcr")
        luma, cb, cr = raster_of(config).planes
        assert luma.size == size and cb.size == cr.size == (size[0] // 2, -(-size[1] // 2))
    config = SonificationConfig.for_image((40, 60), "lossless", color="ycbcr", chroma_fraction=0.2)
    assert (config.chroma_fraction, config.frames, config.image_shape) == (0.2, 75, (40, 60, 3))


@pytest.mark.parametrize("preset", sonikeras.presets())
@pytest.mark.parametrize("duration", [0.3, 2.95, 10])
@pytest.mark.parametrize("size", [(100, 100), (1200, 1600), (900, 300)])
def test_a_duration_is_kept_and_the_raster_has_the_image_s_proportions(preset, duration, size):
    config = SonificationConfig.for_image(size, preset, duration)
    assert abs(config.seconds - duration) <= config.frame_step / config.sample_rate / 2 + 1e-9
    height, width, *_ = config.image_shape
    ratio = (width / height) / (size[1] / size[0])
    longest = 2.5 if config.transform == "stft" else 1.3  # powers of two change the ratio by four
    assert 1 / longest < ratio < longest
    assert config.transform != "stft" or config.fft_length.bit_count() == 1
    names = "frame_length", "frame_step", "analysis_fft_length", "analysis_frame_length", "analysis_frame_step"
    before = SonificationConfig.preset(preset)
    for name in names:  # in proportion to the transform
        value, old = getattr(config, name), getattr(before, name)
        assert value is old is None or value * before.fft_length == old * config.fft_length


@pytest.mark.parametrize("color", ["gray", "rgb", "ycbcr"])
def test_oscillators_have_any_raster(color):
    config = SonificationConfig.for_image((60, 80), "scan", color=color)
    assert config.image_shape[:2] == (60, 80)
    frequencies = row_frequencies(config)
    assert (frequencies[0], frequencies[-1]) == (500, 5000)
    assert np.diff(frequencies).min() * config.frame_step / config.sample_rate > 0.5
    config = SonificationConfig.for_image((60, 80), "scan", 2, color=color)
    height, width, *_ = config.image_shape
    assert width / height == pytest.approx(80 / 60, rel=0.05)
    assert config.bins * config.frames == pytest.approx(4500 * 2, rel=0.05)


def test_oscillators_keep_the_frequencies_that_are_given():
    notes = 220 * 2 ** (np.arange(25) / 12)
    for duration in (None, 3):
        config = SonificationConfig.for_image((60, 80), "scan", duration, frequencies=notes)
        assert config.bins == 25 and config.frequencies == tuple(notes)
    assert config.image_shape == (25, 33) and config.seconds == pytest.approx(3, abs=0.05)


def test_other_fields_are_kept():
    config = SonificationConfig.for_image(np.zeros((12, 16, 3), np.uint8), "matched", 1, 8000, iterations=3, rows=20)
    assert (config.sample_rate, config.iterations, config.rows, config.colormap) == (8000, 3, 20, "gray")
    assert config.audio_key() != config.replace(rows=None).audio_key()


def test_a_config_is_taken_in_place_of_a_preset():
    config = SonificationConfig.preset("matched").replace(iterations=3, rows=500)
    fitting = SonificationConfig.for_image((40, 60), config, duration=1)
    assert fitting == SonificationConfig.for_image((40, 60), duration=1, iterations=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"duration": 0}, "`duration` must be a number of seconds above 0. Received: duration=0"),
        ({"duration": float("nan")}, "`duration` must be a number of seconds above 0"),
        ({"duration": 1e-5}, "`duration` must be long enough for a transform with at least.*Received: duration=1e-05"),
        ({"duration": 1e6}, r"The magnitudes of `duration=1e\+06`, which take about 1,314.3 GiB of memory"),
        ({"image": (20_000, 20_000)}, "The magnitudes.*, which take about .* GiB of memory, must keep to the limit"),
        ({"image": (200_000, 2)}, "few enough rows for a transform of at most 262,144 samples.*Received: 200000 rows"),
        ({"duration": 1e300}, r"take more than 10\^12 GiB of memory, .*Received: more than 10\^30"),
        ({"image": (10**30, 5)}, r"The longer side of `image` must keep to the limit `image_side`"),
        ({"image": (0, 5)}, "`height` must be an integer of at least 1. Received: height=0"),
        ({"image": 5}, r"`image` must be an array of shape \[height, width\].*Received: 5"),
        ({"image": np.zeros(5)}, r"`image` must be an array of shape"),
        ({"preset": "best"}, "Unknown `preset`"),
        ({"frames": 5}, r"`for_image` finds \['frames'.*they must not be given. Received: \['frames'\]"),
        ({"colour": "rgb"}, "Unknown config fields"),
        ({"duration": 1, "max_freq": 20_000}, "`max_freq` must be in Hz, above 0 and at most half of `sample_rate`"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SonificationConfig.for_image(**({"image": (40, 60)} | arguments))


AS_SYNTHESIS = dict.fromkeys(
    ["analysis_transform", "analysis_fft_length", "analysis_frame_length", "analysis_frame_step"]
)
COLORS = {"reference": "absolute", "picture_scale": "amplitude"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"color": "hsv"}, r"Unknown `color`. Allowed values: \['gray', 'ycbcr', 'rgb'\]. Received: color='hsv'"),
        ({"color": "rgb"}, "With `color`, `reference` must be 'absolute' and `picture_scale` 'amplitude'.*color='rgb'"),
        ({"color": "rgb", "analysis_frame_step": 256} | COLORS, "the analysis must have the transform and the step"),
        ({"color": "rgb", "frames": 2} | COLORS, "With `color='rgb'`, `frames` must be at least 3. Received: frames=2"),
        (
            {"color": "ycbcr", "rows": 1} | COLORS,
            "`color='ycbcr'` there must be at least 2 rows.*: `rows=2` .*1 row",
        ),
        ({"chroma_fraction": 1}, "`chroma_fraction` must be a number between 0 and 1. Received: chroma_fraction=1"),
        ({"frequency_scale": "bark"}, "Unknown `frequency_scale`. Allowed values: .*'mel'.*Received"),
        ({"frequency_scale": "log"}, "`min_freq` must be above 0. Received: min_freq=None"),
        ({"frequency_scale": "log", "min_freq": 0}, "`min_freq` must be above 0. Received: min_freq=0"),
        ({"min_freq": -1}, "`min_freq` must be in Hz, from 0 to half of `sample_rate`, 11025. Received: min_freq=-1"),
        ({"max_freq": 11_026}, "`max_freq` must be in Hz, above 0 and at most half of `sample_rate`, 11025. Received"),
        ({"max_freq": float("nan")}, "`max_freq` must be in Hz"),
        ({"min_freq": 2000, "max_freq": 1000}, "`min_freq` must be below `max_freq`. Received: min_freq=2000"),
        ({"min_freq": 11_025}, "`min_freq` must be below `max_freq`"),
        ({"min_freq": 5, "max_freq": 9}, "must contain the center of at least one bin.*10.77 Hz apart. Received"),
        ({"min_freq": 5, "max_freq": 9} | AS_SYNTHESIS, "at least one bin; those of `fft_length` are 21.53 Hz apart"),
        (
            {"min_freq": 25, "max_freq": 40, "fft_length": 2048, "frame_length": 2048, "analysis_fft_length": 512}
            | {"analysis_frame_length": 512, "analysis_frame_step": 128},
            "must contain.*`analysis_fft_length` are 43.07 Hz apart. Received: min_freq=25",
        ),
        ({"rows": 0}, "`rows` must be an integer of at least 1. Received: rows=0"),
        (
            {"rows": 514},
            "must be at most the number of bins.*, 513. .*`fft_length` of at least 2048. .*'oscillators'.* Received",
        ),
        (
            {"rows": 100, "max_freq": 1000},
            "at most the number.*, 47. .*`fft_length` of at least 4096. .*'oscillators'.* Received",
        ),
    ],
)
def test_rules_of_the_raster(changes, message):
    with pytest.raises(ValueError, match=message):
        SonificationConfig.preset("study").replace(**changes)


def test_a_transform_with_room_for_the_rows_is_accepted():
    config = SonificationConfig(max_freq=1000)
    with pytest.raises(ValueError, match="at least 4096"):
        config.replace(rows=100)
    longer = config.replace(fft_length=4096, frame_length=4096, frame_step=2048, rows=100)
    assert longer.image_shape == (100, 128)


def test_a_small_config_cannot_ask_for_a_large_matrix():
    with pytest.raises(ValueError, match="The matrix between rows and bins.*`config_cells`"):
        SonificationConfig(
            fft_length=2**17, frame_length=2**17, frame_step=2**16, frames=64, frequency_scale="log", min_freq=1
        )
    assert limits.get("config_cells") == 2**24


@pytest.mark.parametrize("scale", SCALES)
def test_rows_are_evenly_spaced_on_their_scale(scale):
    import librosa

    config = SonificationConfig(min_freq=100, frequency_scale=scale, rows=64)
    edges = row_edges(config)
    forward = {"linear": np.asarray, "log": np.log, "mel": librosa.hz_to_mel}[scale]
    assert np.ptp(np.diff(forward(edges))) < 1e-9
    assert edges[0] == pytest.approx(100, abs=22) and edges[-1] == pytest.approx(11025, abs=11)


def test_what_is_at_its_default_is_not_stored():
    later = {"color", "chroma_fraction", "min_freq", "max_freq", "frequency_scale", "rows"}
    for name in ("study", "matched", "lossless"):
        assert not later & set(SonificationConfig.preset(name).to_dict())
    config = SonificationConfig(color="ycbcr", min_freq=200, max_freq=8000, frequency_scale="log", rows=64, **COLORS)
    assert later - set(config.to_dict()) == {"chroma_fraction"}
    assert SonificationConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("preset", "key"),
    [
        ("study", "406fa16250929852"),
        ("matched", "245583889f6f33fc"),
        ("lossless", "8c306006705ead3b"),
    ],
)
def test_digests_are_those_of_earlier_releases(preset, key):
    assert SonificationConfig.preset(preset).audio_key()[:16] == key
