"""A spectrogram's figure: tones lie at their ticks on every scale, times at theirs; what is not allowed is said."""

import numpy as np
import pytest

import sonikeras
from sonikeras import plots
from sonikeras.evaluation import _spectrogram_plot as module

RATE = 22050
SCALES = ["linear", "log", "mel"]


def tone(frequency, seconds=1.0):
    return np.sin(2 * np.pi * frequency / RATE * np.arange(round(seconds * RATE))).astype("float32")


@pytest.fixture
def figure(monkeypatch):
    """A function that draws a figure and returns it."""
    saved = []
    monkeypatch.setattr(module, "save_figure", lambda figure, path: saved.append(figure))

    def draw(audio, config="study", **options):
        plots.spectrogram(audio, "a.png", config, **options)
        return saved[-1]

    return draw


def ticks(axes):
    """The frequencies of the labels in Hz, and their places on the axis."""
    units = {"Hz": 1, "kHz": 1000}
    words = [label.get_text().split() for label in axes.get_yticklabels()]
    return np.array([float(number) * units[unit] for number, unit in words]), axes.get_yticks()


def place(axes, row):
    """The place of the middle of a row on the vertical axis."""
    _, _, bottom, top = axes.images[0].get_extent()
    return bottom + (row + 0.5) * (top - bottom) / axes.images[0].get_array().shape[0]


@pytest.mark.parametrize("frequency", [100, 440, 1000, 5000, 10000])
@pytest.mark.parametrize("scale", SCALES)
def test_a_tone_is_loudest_where_the_ticks_say(figure, scale, frequency):
    axes = figure(tone(frequency), frequency_scale=scale).axes[0]
    rows = np.asarray(axes.images[0].get_array())[:, 20]
    loudest = np.flatnonzero(rows == rows.max())
    frequencies, places = ticks(axes)
    lower, upper = (np.interp(place(axes, row), places, frequencies) for row in (loudest[0], loudest[-1]))
    bin_width = RATE / 2048
    coarse = 0.15 * frequency  # the ticks are interpolated linearly
    assert lower - bin_width - coarse <= frequency <= upper + bin_width + coarse
    forward = module.SCALES[scale][0]
    assert place(axes, loudest[0]) - 0.01 * abs(axes.get_ylim()[1]) <= forward(frequency + bin_width)
    assert place(axes, loudest[-1]) + 0.01 * abs(axes.get_ylim()[1]) >= forward(frequency - bin_width)


@pytest.mark.parametrize("scale", SCALES)
def test_ticks_are_round_and_apart_and_within_the_axis(figure, scale):
    for band in ((None, None), (300, 3400), (20, 60), (900, 1200)):
        axes = figure(tone(440), frequency_scale=scale, min_freq=band[0], max_freq=band[1]).axes[0]
        frequencies, places = ticks(axes)
        low, high = axes.get_ylim()
        assert 4 <= len(frequencies) <= 12
        assert (np.diff(places) > 0.03 * (high - low)).all()
        assert low <= places[0] and places[-1] <= high
        np.testing.assert_allclose(places, module.SCALES[scale][0](frequencies), atol=1e-9)


def test_a_click_is_at_its_time(figure):
    audio = np.zeros(2 * RATE, "float32")
    audio[RATE] = 1
    axes = figure(audio).axes[0]
    left, right, _, _ = axes.images[0].get_extent()
    columns = np.asarray(axes.images[0].get_array()).max(axis=0)
    loudest = (columns.argmax() + 0.5) * (right - left) / len(columns) + left
    assert loudest == pytest.approx(1, abs=512 / RATE)
    assert axes.get_xlim() == pytest.approx((0, 2), abs=512 / RATE)
    assert axes.get_xlabel() == "time (s)"


@pytest.mark.parametrize("scale", SCALES)
def test_no_bin_is_lost(figure, scale):
    """Where bins share a row, the loudest is drawn."""
    config = sonikeras.SonificationConfig.preset("study").replace(
        analysis_fft_length=16384, analysis_frame_length=16384, analysis_frame_step=4096
    )
    audio = tone(10000, seconds=3)
    drawn = np.asarray(figure(audio, config, frequency_scale=scale).axes[0].images[0].get_array())
    assert drawn.max() == pytest.approx(0, abs=1e-4)


def test_the_color_bar_spans_the_range_in_decibels(figure):
    drawn = figure(tone(440), sonikeras.SonificationConfig.preset("study").replace(top_db=60))
    assert drawn.axes[-1].get_ylim() == (-60, 0)
    assert "dB" in drawn.axes[-1].get_ylabel()


def test_the_band_of_the_config_is_marked_on_its_scale(figure):
    config = sonikeras.SonificationConfig.preset("matched").replace(min_freq=200, max_freq=8000, frequency_scale="log")
    axes = figure(tone(440), config).axes[0]
    places = [line.get_ydata()[0] for line in axes.lines]
    np.testing.assert_allclose(places, np.log([200, 8000]))
    assert axes.get_ylim() == pytest.approx((np.log(20), np.log(RATE / 2)))
    assert len(figure(tone(440), config, frequency_scale="linear", max_freq=4000).axes[0].lines) == 1
    assert not figure(tone(440), "matched", frequency_scale="log").axes[0].lines


def test_silence_is_dark(figure):
    drawn = np.asarray(figure(np.zeros(10, "float32")).axes[0].images[0].get_array())
    assert (drawn == -80).all()


def test_stereo_has_two_panels_of_one_reference(figure):
    audio = np.stack([tone(440), 0.1 * tone(880)], axis=1)
    left, right, _ = figure(audio, frequency_scale="log").axes
    assert (left.get_title(), right.get_title()) == ("left", "right")
    peaks = [np.asarray(axes.images[0].get_array()).max() for axes in (left, right)]
    assert peaks == pytest.approx([0, -20], abs=0.5)


@pytest.mark.parametrize("preset", ["study", "matched", "lossless"])
@pytest.mark.parametrize("scale", SCALES)
def test_files_are_written(tmp_path, preset, scale):
    path = tmp_path / "plot.png"
    plots.spectrogram(tone(440), path, preset, frequency_scale=scale, title="$A_4 日本")
    assert sonikeras.read_image(path).shape == (450, 1200)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frequency_scale": "bark"}, r"Unknown `frequency_scale`. Allowed values: \['linear', 'log', 'mel'\]"),
        ({"max_freq": 11026}, "`max_freq` must be .* at most 11025, half the sample rate"),
        ({"max_freq": 0}, "`max_freq` must be a number of Hz above 0"),
        ({"min_freq": 500, "max_freq": 500}, "`min_freq` must be a number of Hz of at least 0 and below 500"),
        ({"min_freq": 0, "frequency_scale": "log"}, "`min_freq` must be a number of Hz above 0 and below 11025"),
        ({"min_freq": -1}, "`min_freq` must be"),
        ({"colormap": "none"}, "none"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        plots.spectrogram(tone(440), "a.png", **options)


def test_audio_that_is_none():
    with pytest.raises(ValueError, match="`audio` must be a float array"):
        plots.spectrogram(np.zeros((10, 3)), "a.png")
