"""The fields of oscillators: frequencies, rows and panning, and how they fit each other."""

import json

import numpy as np
import pytest

from sonikeras import SonificationConfig
from sonikeras.config._raster import row_edges, row_frequencies

SCAN = SonificationConfig.preset("scan")
NOTES = tuple(220 * 2 ** (np.arange(25) / 12))


def test_scan_is_the_voices():
    assert (SCAN.bins, SCAN.frames, SCAN.image_shape) == (64, 64, (64, 64))
    assert SCAN.seconds == pytest.approx(1, abs=0.002)
    frequencies = row_frequencies(SCAN)
    assert (frequencies[0], frequencies[-1]) == (500, 5000)
    np.testing.assert_allclose(np.diff(np.log(frequencies)), np.log(10) / 63)
    assert SCAN.analysis == ("oscillators", 1376, 1376, 344)


def test_open_ends_of_the_band_are_one_row_away():
    config = SonificationConfig(transform="oscillators", rows=9, sample_rate=20_000)
    np.testing.assert_allclose(row_frequencies(config), np.arange(1000, 10_000, 1000))
    np.testing.assert_allclose(row_frequencies(config.replace(min_freq=500))[0], 500)
    np.testing.assert_allclose(row_frequencies(config.replace(rows=1, max_freq=6000)), 6000)
    np.testing.assert_allclose(row_frequencies(config.replace(rows=1)), 5000)


def test_without_rows_there_are_as_many_as_bins_of_the_transform():
    config = SonificationConfig(transform="oscillators")
    assert config.bins == 513 and config.image_shape == (513, 128) and config.samples == 65_536
    band = config.replace(min_freq=1000, max_freq=2000)
    assert band.bins == SonificationConfig(min_freq=1000, max_freq=2000).image_shape[0]


def test_frequencies_take_the_place_of_the_band():
    config = SCAN.replace(frequencies=list(NOTES))
    assert config.frequencies == row_frequencies(config) == NOTES
    assert (config.rows, config.min_freq, config.max_freq, config.bins) == (None, None, None, 25)
    again = SonificationConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config and hash(again) == hash(config) and again.audio_key() == config.audio_key()
    assert config.audio_key() != SCAN.replace(frequencies=NOTES[:-1]).audio_key()
    assert SCAN.replace(frequencies=NOTES, rows=25).bins == 25


def test_rows_are_cells_around_their_frequencies():
    edges = row_edges(SCAN.replace(frequencies=NOTES))
    np.testing.assert_allclose(edges, 220 * 2 ** ((np.arange(26) - 0.5) / 12))
    np.testing.assert_allclose(row_edges(SCAN.replace(frequencies=[1000])), [1000 / 2**0.5, 1000 * 2**0.5])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"transform": "stft", "frequencies": (440,)},
            "`frequencies` must be None unless `transform` is 'oscillators'",
        ),
        (
            {"frequencies": (440, 880), "rows": 3},
            "`rows` must be None or the number of `frequencies`. Received: rows=3, 2",
        ),
        (
            {"frequencies": (440, 880), "max_freq": 900},
            "With `frequencies`, which are the band, .*Received: min_freq=None",
        ),
        ({"frequencies": (440, 440)}, "`frequencies` must be increasing numbers in Hz, above 0 and below half"),
        ({"frequencies": (440, 11_025)}, "below half the sample rate. Received: .*sample_rate=22050"),
        ({"frequencies": ()}, "`frequencies` must be .*, at least one. Received"),
        ({"frequencies": "notes"}, "`frequencies` must be increasing numbers"),
        ({"frequencies": ("440", "880")}, "`frequencies` must be increasing numbers"),
        ({"frequencies": (True, 880)}, "`frequencies` must be increasing numbers"),
        ({"min_freq": 0, "frequency_scale": "linear"}, "With `transform='oscillators'`, `min_freq` must be above 0"),
        ({"max_freq": 11_025}, "`max_freq` below half of `sample_rate`, .*Received: min_freq=500.0, max_freq=11025"),
        ({"max_freq": 300}, "`min_freq` must be below `max_freq`"),
        ({"rows": 0}, "`rows` must be an integer of at least 1"),
        (
            {"analysis_transform": "mdct", "analysis_frame_step": 688},
            "`analysis_transform` must be None, 'oscillators' or 'stft'.*Received",
        ),
        ({"panning": "left"}, r"Unknown `panning`. Allowed values: \[False, True\]. Received: panning='left'"),
        (
            {"frames": 2**18, "frame_step": 2**10},
            "The oscillators, `rows` times samples, must keep .*`oscillator_samples`",
        ),
        ({"frame_length": 2**18, "fft_length": 2**18, "rows": 100}, "The tables of oscillators, .*`config_cells`"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        SCAN.replace(**changes)


def test_ten_thousand_frequencies():
    config = SCAN.replace(frequencies=np.linspace(100, 10_000, 10_000))
    assert config.image_shape == (10_000, 64)
    with pytest.raises(ValueError, match="The matrix between rows and bins.*`config_cells`"):
        config.replace(analysis_transform="stft")


def test_other_transforms_are_not_analyzed_by_oscillators():
    with pytest.raises(ValueError, match="`analysis_transform` must be 'stft' or 'mdct' unless `transform` is"):
        SonificationConfig(analysis_transform="oscillators")
