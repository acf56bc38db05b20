"""Additive synthesis compiled with numba: sums of sinusoids, from tables that all columns share."""

from __future__ import annotations

import numba
import numpy as np

from sonikeras.signal import _compilation as compilation
from sonikeras.signal._lanes import FAST

TILE = 64  # entries of the tables at a time: those of many rows stay in the processor's nearest cache


_TILE = np.uint64(TILE)


def synthesize(magnitudes: np.ndarray, anchors: np.ndarray, tables: np.ndarray, *, frame_step: int) -> np.ndarray:
    """The sum of one audio clip's sinusoids.

    With `x = w q`, a product `a cos(theta + x)` around the middle between two columns is `a cos(theta) cos(x)`, which
    is even in `q`, less `a sin(theta) sin(x)`, which is odd. The amplitude `a` is a mean plus `q` times a slope. Each
    sum over the rows therefore serves two samples, one to either side.

    Args:
        magnitudes: float32 array `[frames, rows]`.
        anchors: float32 array `[2, frames + 1, rows]`: cosine and sine of the phase `theta` halfway between columns.
        tables: float32 array `[2, rows, size]`: cosine and sine of `w (j + 1/2)`, where `w` is the angular frequency of
            the row. `size` is a multiple of `TILE` and at least half a step.
        frame_step: Integer, samples from one column to the next.

    Returns:
        float32 array `[frames * frame_step]`.
    """
    # Always the same memory layout, because each layout is compiled separately.
    arrays = (np.require(x, np.float32, ["C", "W"]) for x in (magnitudes, anchors, tables))
    return _synthesize(*arrays, frame_step)


def _sum_sinusoids(magnitudes, anchors, tables, step):  # type: ignore[no-untyped-def]
    frames, rows = magnitudes.shape
    weights = _weights(magnitudes, anchors, step)
    audio = np.empty(frames * step, np.float32)
    cosine, sine = np.empty((2, rows * TILE), np.float32)
    even, odd_slope, odd, even_slope = np.empty((4, TILE), np.float32)
    for first in range(0, (step + 1) // 2, TILE):
        for row in range(rows):
            cosine[row * TILE : (row + 1) * TILE] = tables[0, row, first : first + TILE]
            sine[row * TILE : (row + 1) * TILE] = tables[1, row, first : first + TILE]
        for segment in range(frames + 1):
            _add_rows(weights, segment, cosine, sine, even, odd_slope, odd, even_slope)
            for j in range(min(TILE, (step + 1) // 2 - first)):
                q = np.float32(first + j + 0.5)
                symmetric = even[j] - q * odd_slope[j]
                antisymmetric = odd[j] - q * even_slope[j]
                if segment < frames:
                    audio[segment * step + first + j] = symmetric - antisymmetric
                if segment > 0 and first + j < step // 2:  # with an odd step, columns have a middle sample
                    audio[segment * step - 1 - first - j] = symmetric + antisymmetric
    return audio


@numba.njit(**FAST)
def _weights(magnitudes, anchors, step):  # type: ignore[no-untyped-def]
    """What the tables are multiplied by: mean and slope of the amplitude, times cosine and sine of the phase.

    Beyond the ends lie columns of the opposite sign, so that the amplitude is 0 at the first and the last sample.
    """
    frames, rows = magnitudes.shape
    weights = np.empty((frames + 1, rows, 4), np.float32)
    for segment in range(frames + 1):
        for row in range(rows):
            before = magnitudes[segment - 1, row] if segment > 0 else -magnitudes[0, row]
            after = magnitudes[segment, row] if segment < frames else -magnitudes[frames - 1, row]
            mean = np.float32(0.5) * (before + after)
            slope = (after - before) / np.float32(step)
            cosine, sine = anchors[0, segment, row], anchors[1, segment, row]
            weights[segment, row, 0] = mean * cosine
            weights[segment, row, 1] = slope * sine
            weights[segment, row, 2] = mean * sine
            weights[segment, row, 3] = slope * cosine
    return weights


# Inlined, so that the compiler sees that the arrays do not overlap, without which it does not vectorize.
@numba.njit(inline="always", **FAST)
def _add_rows(weights, segment, cosine, sine, even, odd_slope, odd, even_slope):  # type: ignore[no-untyped-def]
    """The sums over the rows: of means times cosines, slopes times sines, means times sines, slopes times cosines."""
    even[:], odd_slope[:], odd[:], even_slope[:] = 0, 0, 0, 0
    for row in range(weights.shape[1]):
        a, b = weights[segment, row, 0], weights[segment, row, 1]
        c, d = weights[segment, row, 2], weights[segment, row, 3]
        offset = np.uint64(row) * _TILE
        for j in range(TILE):
            i = np.uint64(j)
            x, y = cosine[offset + i], sine[offset + i]
            even[i] += a * x
            odd_slope[i] += b * y
            odd[i] += c * y
            even_slope[i] += d * x


_synthesize = compilation.compiled(
    _sum_sinusoids, FAST, "sonikeras: compiling oscillators, which takes about five seconds"
)
