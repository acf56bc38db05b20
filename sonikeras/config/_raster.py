"""The raster of a config: the rows and frames that carry an image, where its planes lie, and their frequencies.

Nothing here computes with pixels: `sonikeras.signal.raster` does.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sonikeras.config._checks import check_number, plain, shown
from sonikeras.config._transforms import bin_edges, bins_between

if TYPE_CHECKING:
    from sonikeras.config._sonification import SonificationConfig


class Plane(NamedTuple):
    """The place of a plane of an image, such as its luma, in the raster.

    Attributes:
        rows: Slice of the rows, lowest frequency first.
        frames: Slice of the time frames.
    """

    rows: slice
    frames: slice

    @property
    def size(self) -> tuple[int, int]:
        """`(height, width)` of the plane in pixels."""
        return self.rows.stop - self.rows.start, self.frames.stop - self.frames.start


class Raster(NamedTuple):
    """The raster of a config.

    Attributes:
        rows: Integer, its rows.
        frames: Integer, its time frames.
        planes: The place of each plane: of gray; of luma, Cb and Cr; or of red, green and blue.
        bins: Slice of the synthesis' frequency bins that the rows fill.
    """

    rows: int
    frames: int
    planes: tuple[Plane, ...]
    bins: slice


def check_band(config: SonificationConfig) -> None:
    """Raises a `ValueError` unless `min_freq`, `max_freq` and `frequency_scale` fit each other and the sample rate."""
    low, high, half = config.min_freq, config.max_freq, config.sample_rate / 2
    if low is not None:
        check_number("min_freq", low, f"in Hz, from 0 to half of `sample_rate`, {half:g}", lambda x: 0 <= x <= half)
    if high is not None:
        rule = f"in Hz, above 0 and at most half of `sample_rate`, {half:g}"
        check_number("max_freq", high, rule, lambda x: 0 < x <= half)
    if (low or 0) >= (half if high is None else high):
        raise ValueError(f"`min_freq` must be below `max_freq`. Received: min_freq={low}, max_freq={high}")
    if config.frequency_scale == "log" and not low and config.frequencies is None:
        raise ValueError(
            "With `frequency_scale='log'`, which has no place for 0 Hz, `min_freq` must be above 0. "
            f"Received: min_freq={low}"
        )


def check_color(config: SonificationConfig) -> None:
    """Raises a `ValueError` unless a config has what colors need.

    Colors are levels, which must be the same in every image, and a plane has the frames of the synthesis.
    """
    if config.color == "gray":
        return
    if (config.reference, config.picture_scale) != ("absolute", "amplitude"):
        raise ValueError(
            "With `color`, `reference` must be 'absolute' and `picture_scale` 'amplitude', as in the presets "
            f"'matched' and 'lossless', because colors are levels. Received: color={config.color!r}, "
            f"reference={config.reference!r}, picture_scale={config.picture_scale!r}"
        )
    synthesis, analysis = config.synthesis, config.analysis
    if (analysis.transform, analysis.frame_step) != (synthesis.transform, synthesis.frame_step):
        raise ValueError(
            "With `color`, the analysis must have the transform and the step of the synthesis, so that its frames are "
            f"those of the planes. Received: the analysis {analysis}, the synthesis {synthesis}"
        )


def check_oscillators(config: SonificationConfig) -> None:
    """Raises a `ValueError` unless the fields of oscillators fit each other and the transforms."""
    oscillators = config.transform == "oscillators"
    if not oscillators and config.frequencies is not None:
        raise ValueError(
            "`frequencies` must be None unless `transform` is 'oscillators': other transforms have frequencies of "
            f"their own. Received: transform={config.transform!r}, frequencies={shown(config.frequencies)}"
        )
    if not oscillators and config.analysis_transform == "oscillators":
        raise ValueError(
            "`analysis_transform` must be 'stft' or 'mdct' unless `transform` is 'oscillators'. "
            f"Received: transform={config.transform!r}, analysis_transform='oscillators'"
        )
    if oscillators and config.analysis_transform == "mdct":
        raise ValueError(
            "With `transform='oscillators'`, `analysis_transform` must be None, 'oscillators' or 'stft': the MDCT of a "
            "sinusoid depends on its phase. Received: analysis_transform='mdct'"
        )
    if oscillators and (config.min_freq == 0 or config.max_freq == config.sample_rate / 2):
        raise ValueError(
            "With `transform='oscillators'`, `min_freq` must be above 0 and `max_freq` below half of `sample_rate`, "
            "because the lowest and the highest row are sinusoids of these frequencies. "
            f"Received: min_freq={config.min_freq}, max_freq={config.max_freq}, sample_rate={config.sample_rate}"
        )
    if config.frequencies is None:
        return
    if config.min_freq is not None or config.max_freq is not None:
        raise ValueError(
            "With `frequencies`, which are the band, `min_freq` and `max_freq` must be None. "
            f"Received: min_freq={config.min_freq}, max_freq={config.max_freq}"
        )
    if config.rows not in (None, len(config.frequencies)):
        raise ValueError(
            "`rows` must be None or the number of `frequencies`. "
            f"Received: rows={config.rows}, {len(config.frequencies)} frequencies"
        )


def check_frequencies(frequencies: Any, sample_rate: int) -> tuple[float, ...]:
    """The frequencies of rows as a tuple of floats.

    Raises:
        ValueError: They are not numbers, not increasing, or not all above 0 and below half the sample rate.
    """
    rule = "`frequencies` must be increasing numbers in Hz, above 0 and below half the sample rate"
    try:
        # NumPy takes booleans and texts for numbers.
        if any(isinstance(x, bool | np.bool_ | str | bytes) for x in np.asarray(frequencies, object).flat):
            raise TypeError
        values = np.asarray(plain(frequencies), np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{rule}. Received: frequencies={shown(frequencies)}") from None
    if values.ndim != 1 or not values.size:
        raise ValueError(f"{rule}, at least one. Received: frequencies={shown(frequencies)}")
    below, above = values[0] > 0, values[-1] < sample_rate / 2
    if not (below and above and (np.diff(values) > 0).all()):
        raise ValueError(f"{rule}. Received: frequencies={shown(values.tolist())}, sample_rate={sample_rate}")
    return tuple(values.tolist())


@functools.lru_cache(maxsize=64)
def row_frequencies(config: SonificationConfig) -> tuple[float, ...]:
    """The frequencies of oscillators in Hz: `frequencies`, or as many as there are rows, evenly spaced on the scale.

    The lowest is `min_freq` and the highest `max_freq`. Where these are `None`, the frequencies end one row before 0 Hz
    or half the sample rate, which no sinusoid can have.
    """
    if config.frequencies is not None:
        return config.frequencies
    low, high = config.min_freq, config.max_freq
    frequencies = evenly_spaced(
        raster_of(config).rows + (low is None) + (high is None),
        0.0 if low is None else low,
        config.sample_rate / 2 if high is None else high,
        config.frequency_scale,
    )
    return check_frequencies(frequencies[low is None : len(frequencies) - (high is None)], config.sample_rate)


def evenly_spaced(count: int, low: float, high: float, scale: str) -> np.ndarray:
    """Frequencies from `low` to `high` that are evenly spaced on a scale: float64 `[count]`."""
    forward, inverse = SCALES[scale]
    frequencies = np.array(inverse(np.linspace(forward(low), forward(high), count)), np.float64)
    if count > 1:  # without the rounding of the scale
        frequencies[-1] = high
    frequencies[0] = low
    return frequencies


@functools.lru_cache(maxsize=64)
def raster_of(config: SonificationConfig) -> Raster:
    """The raster of a config.

    Raises:
        ValueError: The band has no bins or fewer than rows, or the color needs more rows or frames.
    """
    if config.transform == "oscillators" and (given := config.rows or len(config.frequencies or ())):
        whole = planes(given, config.frames, config.color, config.chroma_fraction)
        return Raster(given, config.frames, whole, slice(0, given))
    for prefix, settings in ("analysis_", config.analysis), ("", config.synthesis):
        # As many oscillators as an STFT has bins.
        transform = "stft" if settings.transform == "oscillators" else settings.transform
        bins = bins_between(transform, settings.fft_length, config.sample_rate, config.min_freq, config.max_freq)
        width = bins.stop - bins.start
        if not width:
            distance = config.sample_rate / settings.fft_length
            prefix = prefix if settings != config.synthesis else ""
            raise ValueError(
                "The band from `min_freq` to `max_freq` must contain the center of at least one bin; those of "
                f"`{prefix}fft_length` are {distance:.4g} Hz apart. "
                f"Received: min_freq={config.min_freq}, max_freq={config.max_freq}"
            )
    if config.transform == "oscillators":
        bins = slice(0, width)
    rows = width if config.rows is None else config.rows
    if rows > width:
        raise ValueError(
            f"`rows` must be at most the number of bins from `min_freq` to `max_freq`, {width}. A longer transform has "
            f"more: `fft_length` of at least {_fft_length_for(rows, config)}. With `transform='oscillators'` a row "
            f"needs no bin. Received: rows={rows}"
        )
    return Raster(rows, config.frames, planes(rows, config.frames, config.color, config.chroma_fraction), bins)


def planes(rows: int, frames: int, color: str, chroma_fraction: float) -> tuple[Plane, ...]:
    """The places of the planes of an image in a raster.

    - `"gray"`: one plane fills the raster.
    - `"ycbcr"`: luma fills all rows of the first frames. Cb and Cr share the other frames, Cb in the lower half of the
      rows and Cr in the upper one. Of an odd number of rows, the one between them is black.
    - `"rgb"`: three equal planes, one after the other. One or two frames that remain at the end are black.

    Raises:
        ValueError: There are too few rows or frames for each plane to have a pixel.
    """
    whole = slice(0, rows)
    if color == "gray":
        return (Plane(whole, slice(0, frames)),)
    if color == "rgb":
        width = frames // 3
        if not width:
            raise ValueError(f"With `color='rgb'`, `frames` must be at least 3. Received: frames={frames}")
        return tuple(Plane(whole, slice(i * width, (i + 1) * width)) for i in range(3))
    if rows < 2:
        raise ValueError(
            "With `color='ycbcr'` there must be at least 2 rows, one for each chroma plane: `rows=2` and `color='rgb'` "
            f"suit an image of one row. Received: {rows} row"
        )
    luma = frames - min(max(round(chroma_fraction * frames), 1), frames - 1)
    second = slice(luma, frames)
    return (
        Plane(whole, slice(0, luma)),
        Plane(slice(0, rows // 2), second),
        Plane(slice(rows - rows // 2, rows), second),
    )


def row_edges(config: SonificationConfig) -> np.ndarray:
    """The frequencies in Hz between which the rows of the raster lie: float64 `[rows + 1]`.

    They are evenly spaced on the frequency scale, from the lower edge of the band's lowest bin to the upper edge of its
    highest bin. Oscillators have edges halfway between their frequencies on the scale, and as far beyond the ends.
    """
    raster = raster_of(config)
    if config.transform == "oscillators":
        return _oscillator_edges(config)
    edges = bin_edges(config.transform, config.fft_length, config.sample_rate)
    low, high = edges[raster.bins.start], edges[raster.bins.stop]
    if config.frequency_scale == "log":  # the lowest bin of an MDCT begins at 0
        low = max(low, config.min_freq or 0.0)
    forward, inverse = SCALES[config.frequency_scale]
    return inverse(np.linspace(forward(low), forward(high), raster.rows + 1))


def _oscillator_edges(config: SonificationConfig) -> np.ndarray:
    frequencies, half = np.array(row_frequencies(config)), config.sample_rate / 2
    if len(frequencies) == 1:  # an octave
        return np.minimum(frequencies * 2.0 ** np.array([-0.5, 0.5]), half)
    forward, inverse = SCALES[config.frequency_scale]
    centers = forward(frequencies)
    middle = (centers[1:] + centers[:-1]) / 2
    edges = inverse(np.concatenate([[2 * centers[0] - middle[0]], middle, [2 * centers[-1] - middle[-1]]]))
    return np.clip(edges, 0, half)


def narrowest_row(config: SonificationConfig, rows: int) -> float:
    """The height in Hz of the narrowest row if a number of rows fills the config's band."""
    forward, inverse = SCALES[config.frequency_scale]
    low, high = config.min_freq or 0.0, config.max_freq or config.sample_rate / 2
    return float(np.diff(inverse(np.linspace(forward(low), forward(high), rows + 1))).min())


# Slaney's mel scale, as in `librosa.hz_to_mel`: linear up to 1 kHz, logarithmic above.
_MEL, _KNEE, _RATIO = 200 / 3, 1000.0, math.log(6.4) / 27


def _mel(hertz: np.ndarray | float) -> np.ndarray:
    hertz = np.asarray(hertz, np.float64)
    return np.where(hertz < _KNEE, hertz, _KNEE) / _MEL + np.log(np.maximum(hertz / _KNEE, 1)) / _RATIO


def _hertz(mel: np.ndarray) -> np.ndarray:
    knee = _KNEE / _MEL
    return np.where(mel < knee, mel * _MEL, _KNEE * np.exp(np.maximum(mel - knee, 0) * _RATIO))


# Each scale of frequencies: from Hz to the position on the axis, and back.
SCALES: dict[str, tuple[Callable, Callable]] = {
    "linear": (np.asarray, np.asarray),
    "log": (np.log, np.exp),
    "mel": (_mel, _hertz),
}


def _fft_length_for(rows: int, config: SonificationConfig) -> int:
    """The shortest transform, a power of two times the config's, that has bins for a number of rows."""
    fft_length, bins = config.fft_length, slice(0, 0)
    while bins.stop - bins.start < rows:
        fft_length *= 2
        bins = bins_between(config.transform, fft_length, config.sample_rate, config.min_freq, config.max_freq)
    return fft_length
