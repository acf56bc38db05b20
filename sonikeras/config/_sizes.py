"""Limits on the memory and time that a config takes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sonikeras.config import limits
from sonikeras.config._fitting import memory
from sonikeras.config._raster import raster_of, row_frequencies

if TYPE_CHECKING:
    from sonikeras.config._sonification import SonificationConfig


def check_sizes(config: SonificationConfig) -> None:
    """Limits the memory and time that the chain takes, whoever wrote the config."""
    cells = config.bins * config.frames
    limits.check(
        "config_cells",
        cells,
        f"The magnitudes, `fft_length` // 2 times `frames`, which take {memory(cells)} of memory,",
    )
    columns, bins = config.samples // config.analysis.frame_step + 1, config.analysis.fft_length // 2 + 1
    if config.transform == "oscillators":
        row_frequencies(config)
        limits.check("oscillator_samples", config.bins * config.samples, "The oscillators, `rows` times samples,")
        longest = max(config.frame_step, config.analysis.frame_length) * max(config.bins, columns)
        limits.check("config_cells", longest, "The tables of oscillators, `frame_length` times rows or `frames`,")
    if config.analysis.transform == "oscillators":
        bins = config.bins
    limits.check("config_cells", columns * bins, "The spectrogram, by `analysis_fft_length` and `analysis_frame_step`,")
    rows = raster_of(config).rows
    resampled = config.frequency_scale != "linear" or config.rows is not None
    if config.transform == "oscillators":  # one a row
        resampled = config.analysis.transform != "oscillators"
    if resampled or config.color != "gray":
        cells = rows * max(config.bins, bins)
        limits.check("config_cells", cells, "The matrix between rows and bins, `rows` times `fft_length` // 2,")
    limits.check("picture_pixels", math.prod(config.picture_size), "`picture_size`")
