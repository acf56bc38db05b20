"""The raster between an image and magnitudes: planes, their places in time and frequency, and the frequency axis.

Image -> planes -> raster `[..., frames, rows]` -> magnitudes `[..., frames, bins]`, and back. `SonificationConfig`
describes the raster, and `sonikeras.config._raster` has the places of the planes in it. All functions take arrays and
tensors, and have gradients.

| `color` | planes | place in the raster |
|---|---|---|
| `"gray"` | gray | all of it |
| `"ycbcr"` | luma; Cb and Cr at half the height | luma in the first frames; then Cb in the lower half of the rows and Cr in the upper half |
| `"rgb"` | red, green, blue | one after the other |

Luma and chroma are those of JPEG: BT.601 in full range, with centered siting, since a plane is resized as a whole.
"""  # noqa: E501

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sonikeras.config import SonificationConfig, TransformSettings
from sonikeras.config._raster import raster_of, row_edges, row_frequencies
from sonikeras.config._transforms import bin_edges, bins_between
from sonikeras.signal._backend import constant, operations

_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114  # BT.601

_NEUTRAL = 128.0  # the brightness of no chroma


def lay_out(resize: Callable[[int, int], Any], config: SonificationConfig) -> Any:
    """The raster of an image, planes in their places.

    Args:
        resize: Function of a width and a height in pixels that gives the image at that size, transposed and with the
            lowest row first: `[..., width, height]`, or with colors `[..., 3, width, height]` in 0..255.
        config: `SonificationConfig`.

    Returns:
        `[..., frames, rows]` in 0..255, lowest frequency first. It is not rounded.
    """
    raster = raster_of(config)
    if config.color == "gray":
        return resize(raster.frames, raster.rows)
    height, width = raster.planes[0].size
    red, green, blue = _channels(resize(width, height))
    if config.color == "rgb":
        planes = [red, green, blue]
    else:
        height, width = raster.planes[1].size
        planes = [green + _RED * (red - green) + _BLUE * (blue - green)]
        planes += _chroma(*_channels(resize(width, height)))
    placed = (
        operations(values).pad(
            values,
            [
                *[(0, 0)] * (len(values.shape) - 2),
                (place.frames.start, raster.frames - place.frames.stop),
                (place.rows.start, raster.rows - place.rows.stop),
            ],
        )
        for values, place in zip(planes, raster.planes, strict=True)
    )
    return functools.reduce(lambda x, y: x + y, placed)


def planes_of(raster: Any, config: SonificationConfig) -> list[Any]:
    """The planes of a raster `[..., frames, rows]`: each `[..., width, height]`, lowest row first.

    With colors, a raster of another number of frames is cut, or its end is black.
    """
    if config.color == "gray":
        return [raster]
    ops, missing = operations(raster), config.frames - raster.shape[-2]
    if missing > 0:
        raster = ops.pad(raster, [*[(0, 0)] * (len(raster.shape) - 2), (0, missing), (0, 0)])
    return [raster[..., place.frames, place.rows] for place in raster_of(config).planes]


def to_rgb(planes: Sequence[Any], config: SonificationConfig) -> Any:
    """The image `[..., 3]` in 0..255 of its planes `[...]` in 0..255, all of the same size."""
    if config.color == "ycbcr":
        luma, cb, cr = planes[0], planes[1] - _NEUTRAL, planes[2] - _NEUTRAL
        red, blue = 2 * (1 - _RED) * cr, 2 * (1 - _BLUE) * cb
        planes = [luma + red, luma - (_RED * red + _BLUE * blue) / _GREEN, luma + blue]
    ops = operations(planes[0])
    return ops.clip(ops.stack(planes, axis=-1), 0, 255)


def to_bins(raster: Any, config: SonificationConfig) -> Any:
    """Magnitudes `[..., frames, bins]` of a raster `[..., frames, rows]`, with silence outside the band.

    In an STFT, the bin beside each end of the band has half the magnitude of the one at the end. Windows spread each
    bin over its neighbors, so no audio has a spectrum that stops between two bins. Asked for one, phase retrieval
    spoils the rows at the ends, and is louder outside.
    """
    bins = raster_of(config).bins
    spread = _spread(config)
    if spread is not None:
        raster = operations(raster).matmul(raster, constant(np.ascontiguousarray(spread.T), raster))
    below, above = bins.start, config.bins - bins.stop
    if below == above == 0:
        return raster
    ops = operations(raster)
    if config.transform == "stft":
        beside = [raster[..., :1] / 2] if below else [], [raster[..., -1:] / 2] if above else []
        raster = ops.concatenate([*beside[0], raster, *beside[1]], axis=-1)
        below, above = below - len(beside[0]), above - len(beside[1])
    return ops.pad(raster, [*[(0, 0)] * (len(raster.shape) - 1), (below, above)])


def to_rows(magnitudes: Any, config: SonificationConfig, settings: TransformSettings) -> Any:
    """The raster `[..., frames, rows]` of magnitudes `[..., frames, bins]` of a transform, by least squares.

    Args:
        magnitudes: float array or tensor `[..., frames, bins]`.
        config: `SonificationConfig`, whose rows are read.
        settings: The transform of the magnitudes: `config.synthesis` or `config.analysis`.
    """
    magnitudes, reading = magnitudes[..., band_of(config, settings)], _reading(config, settings)
    if reading is None:
        return magnitudes
    return operations(magnitudes).matmul(magnitudes, constant(reading, magnitudes))


def band_of(config: SonificationConfig, settings: TransformSettings) -> slice:
    """The bins of a transform whose centers lie in the config's band. Those of oscillators are all needed."""
    if config.transform == "oscillators":
        return slice(0, config.bins if settings.transform == "oscillators" else settings.fft_length // 2 + 1)
    return bins_between(*settings[:2], config.sample_rate, config.min_freq, config.max_freq)


def _channels(rgb: Any) -> tuple[Any, Any, Any]:
    ops = operations(rgb)
    red, green, blue = (ops.cast(rgb[..., i, :, :], "float32") for i in range(3))
    return red, green, blue


def _chroma(red: Any, green: Any, blue: Any) -> list[Any]:
    """Cb and Cr as brightness: an offset from middle gray, of which gray has exactly none."""
    ops = operations(red)
    cb = (_RED * (blue - red) + _GREEN * (blue - green)) / (2 * (1 - _BLUE))
    cr = (_GREEN * (red - green) + _BLUE * (red - blue)) / (2 * (1 - _RED))
    return [ops.clip(_NEUTRAL + chroma, 0, 255) for chroma in (cb, cr)]


def _rows_are_bins(config: SonificationConfig) -> bool:
    bins = raster_of(config).bins
    if config.transform == "oscillators":
        return True
    return config.frequency_scale == "linear" and config.rows in (None, bins.stop - bins.start)


@functools.lru_cache(maxsize=8)
def _spread(config: SonificationConfig) -> np.ndarray | None:
    """The matrix `[bins in the band, rows]` from rows to bins, or `None` if rows are bins."""
    if _rows_are_bins(config):
        return None
    edges = bin_edges(config.transform, config.fft_length, config.sample_rate)
    bins = raster_of(config).bins
    return _resampling(row_edges(config), edges[bins.start : bins.stop + 1]).astype(np.float32)


@functools.lru_cache(maxsize=8)
def _reading(config: SonificationConfig, settings: TransformSettings) -> np.ndarray | None:
    """The matrix `[bins in the band, rows]` from a transform's bins to rows, or `None` if rows are bins."""
    same = settings[:2] == config.synthesis[:2] or settings.transform == "oscillators"
    if same and _rows_are_bins(config):
        return None
    if config.transform == "oscillators":  # between sinusoids there is silence, so a row is its nearest bin
        nearest = np.rint(np.array(row_frequencies(config)) * settings.fft_length / config.sample_rate).astype(int)
        return np.eye(settings.fft_length // 2 + 1, dtype=np.float32)[:, nearest]
    bins = band_of(config, settings)
    edges = bin_edges(*settings[:2], config.sample_rate)[bins.start : bins.stop + 1]
    spread = _resampling(row_edges(config), edges)
    # Least squares. The small constant leaves rows that share a bin at its value, as the pseudo-inverse does.
    reading = np.linalg.solve(spread.T @ spread + 1e-6 * np.eye(spread.shape[1]), spread.T)
    return np.ascontiguousarray(reading.T, np.float32)


def _resampling(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The matrix `[targets, sources]` that resamples cells along the frequency axis.

    A target cell that is narrower than the sources there has the value of the source at its center. A wider one has the
    mean of the sources in it.

    Args:
        source: Edges of the source cells, rising: `[sources + 1]`.
        target: Edges of the target cells, likewise.
    """
    overlap = np.minimum(target[1:, None], source[1:]) - np.maximum(target[:-1, None], source[:-1])
    matrix = np.maximum(overlap, 0)
    nearest = np.searchsorted(source[1:-1], (target[1:] + target[:-1]) / 2, side="right")
    alone = (np.diff(target) <= np.diff(source)[nearest]) | ~matrix.any(axis=1)
    matrix[alone] = np.eye(len(source) - 1)[nearest[alone]]
    return matrix / matrix.sum(axis=1, keepdims=True)
