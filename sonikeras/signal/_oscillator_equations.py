"""The least squares equations by which magnitudes are found in the sum of their sinusoids.

A segment is the samples from the center of one column to the center of the next. There is one more segment than there
are columns: half of the first and half of the last lie beyond the audio. In a segment, a sinusoid is
`cos(theta) cos(w q) - sin(theta) sin(w q)`, where `theta` is its phase in the middle and `q` the distance from there.
"""

from __future__ import annotations

import functools

import numpy as np

from sonikeras.signal._oscillator_bank import Bank, phases


def _segment(bank: Bank) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The position `[step]` in a segment, rising to 1, and the cosine and sine `[step, rows]` of `w q`."""
    step = bank.frame_step
    q = np.arange(step) - step // 2 + 0.5
    angles = 2 * np.pi / bank.sample_rate * np.outer(q, bank.frequencies)
    return q / step + 0.5, np.cos(angles), np.sin(angles)


def _anchors(bank: Bank) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine `[frames + 1, rows]` of the phases in the middle of segments."""
    theta = phases(bank, np.arange(bank.frames + 1) * bank.frame_step - 0.5)
    return np.cos(theta), np.sin(theta)


def project(audio: np.ndarray, bank: Bank) -> np.ndarray:
    """The inner products `[frames, rows]` of audio `[frames * frame_step]` with what each pixel adds to it.

    It is the transpose of the synthesis, before scaling.
    """
    step = bank.frame_step
    segments = np.pad(audio, (step // 2, step - step // 2)).reshape(bank.frames + 1, step)
    position, of_cosine, of_sine = _segment(bank)
    cosine, sine = _anchors(bank)

    def project(weights: np.ndarray, some: slice) -> np.ndarray:
        weighted = segments[some] * weights
        return cosine[some] * (weighted @ of_cosine) - sine[some] * (weighted @ of_sine)

    result = np.zeros((bank.frames, len(bank.frequencies)))
    inner = slice(1, bank.frames)
    result[1:] += project(position, inner)
    result[:-1] += project(1 - position, inner)
    result[:1] += project(_rise(position), slice(0, 1))
    result[-1:] += project(_fall(position), slice(bank.frames, None))
    return result


def _rise(position: np.ndarray) -> np.ndarray:
    """The weight of the first column in the first segment, whose first half lies before the audio."""
    return np.maximum(2 * position - 1, 0)


def _fall(position: np.ndarray) -> np.ndarray:
    """The weight of the last column in the last segment, whose second half lies behind the audio."""
    return np.maximum(1 - 2 * position, 0)


@functools.lru_cache(maxsize=2)
def normal_matrix(bank: Bank) -> np.ndarray:
    """The inner products of what pixels add to the audio, as the lower band `[2 * rows, frames * rows]` that SciPy has.

    Pixels are ordered column by column. Only those of the same or of neighboring columns overlap in time.
    """
    position, of_cosine, of_sine = _segment(bank)
    cosine, sine = _anchors(bank)

    def gram(weights: np.ndarray, segment: int) -> np.ndarray:
        c, s = cosine[segment], sine[segment]
        cc, cs, ss = products[weights.tobytes()]
        mixed = np.outer(c, s) * cs
        return np.outer(c, c) * cc - mixed - mixed.T + np.outer(s, s) * ss

    rising, both, falling = position**2, position * (1 - position), (1 - position) ** 2
    first, last = _rise(position) ** 2, _fall(position) ** 2
    products = {
        weights.tobytes(): tuple((a * weights[:, None]).T @ b for a, b in pairs)
        for weights in (rising, both, falling, first, last)
        for pairs in [((of_cosine, of_cosine), (of_cosine, of_sine), (of_sine, of_sine))]
    }
    frames, rows = bank.frames, len(bank.frequencies)
    band = np.zeros((frames * rows, 2 * rows))
    for column in range(frames):
        block = np.zeros((2 * rows, rows))  # of the column, and of the next one with it
        block[:rows] = gram(first if column == 0 else rising, column)
        block[:rows] += gram(last if column == frames - 1 else falling, column + 1)
        if column < frames - 1:
            block[rows:] = gram(both, column + 1)
        for row in range(rows):
            band[column * rows + row, : 2 * rows - row] = block[row:, row]
    band.flags.writeable = False
    return band.T


def smoothed(normal: np.ndarray, weight: float, *, frames: int, ridge: float) -> np.ndarray:
    """A normal matrix plus that of `weight * roughness`, plus `ridge` on the diagonal."""
    matrix = normal.copy(order="F")
    rows = len(normal) // 2
    band = matrix.T.reshape(frames, rows, 2 * rows)
    band[..., 0] += ridge
    band[1:, :, 0] += weight
    band[:-1, :, 0] += weight
    band[:, 1:, 0] += weight
    band[:, :-1, 0] += weight
    band[:-1, :, rows] -= weight
    band[:, :-1, 1] -= weight
    return matrix


def roughness(magnitudes: np.ndarray, rows: int) -> float:
    """The sum of the squared differences of neighboring pixels. `magnitudes` is flat, column by column."""
    pixels = magnitudes.reshape(-1, rows)
    return sum(float(np.square(np.diff(pixels, axis=axis)).sum()) for axis in (0, 1))
