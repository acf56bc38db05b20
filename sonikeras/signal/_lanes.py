"""Frames in the lanes of the processor's vectors, compiled with numba: their transform, overlap and order.

Frame `t = lane * groups + group` lies in lane `t // groups`. The frames of a group fill a row of `ROW` lanes, and
consecutive frames lie in the same lane. All arrays are flat rows of lanes, and every inner loop runs over the lanes of
a row. A complex transform carries two real frames: the first half of a row holds the real parts, which are the frames
of lanes 0 to 31. The second half holds the imaginary parts, the frames of lanes 32 to 63.

`factors`, a tuple of twos, stands for the size of the transform. numba knows its length at compile time, so the code
for each size has constant offsets, without which compilers do not vectorize. Indices are unsigned for the same reason.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba.extending import overload

from sonikeras.signal.phase_retrieval import TINY

LANES = 32  # complex transforms side by side


ROW = 2 * LANES  # frames side by side


# A process that compiles runs different code from one that loads kept code, so rounding must not depend on the code: no
# sum is reordered, and no product is fused with a sum.
FAST: Any = {
    "nogil": True,
    "fastmath": {"nnan", "ninf", "nsz", "arcp", "afn"},
    "error_model": "numpy",
    "boundscheck": False,
}


ROW_U = np.uint64(ROW)


IMAGINARY = np.uint64(LANES)


_TINY = np.float32(TINY)


# The transform: radix 4, in place. Frequencies are in digit-reversed order, which all other functions use directly.


def transform(frame: Any, factors: Any) -> None:
    """Discrete Fourier transform of each lane, by decimation in frequency.

    With w = exp(-2 pi i / n), the sums over quarters of the input, times 1, w^j, w^2j, w^3j, are the inputs of four
    transforms of a quarter of the size. Their outputs are the frequencies 4 k, 4 k + 1, 4 k + 2 and 4 k + 3, in this
    order in memory.
    """


def inverse_transform(frame: Any, factors: Any) -> None:
    """The inverse of `transform`, times n, by decimation in time: the same steps backwards."""


def combine(real: Any, imaginary: Any, frame: Any, factors: Any) -> None:
    """The transform of `a + i b`, two real frames, from their spectra A and B: Z[k] = A[k] + i B[k]."""


def impose(frame: Any, targets: Any, factors: Any) -> None:
    """Gives the spectra of both frames in each complex transform the target magnitudes, and keeps their phases.

    From Z, the transform of a + i b: A[k] = (Z[k] + conj(Z[n - k])) / 2 and B[k] = (Z[k] - conj(Z[n - k])) / 2i.
    """


def _frequencies(size: int) -> np.ndarray:
    """The frequency at each place after `transform`."""
    if size <= 2:
        return np.arange(size)
    quarter = _frequencies(size // 4)
    return np.concatenate([4 * quarter + k for k in (0, 1, 2, 3)])


def _places(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The places of k and of `size - k`, as offsets, and k itself, for the frequencies 1 .. size / 2 - 1.

    They are in the order of their places in memory.
    """
    frequencies = _frequencies(size)
    place = np.argsort(frequencies)
    k = np.minimum(frequencies, size - frequencies)
    k = k[np.sort(np.unique(k, return_index=True)[1])]
    k = k[(k > 0) & (k < size // 2)]
    return np.stack([place[k], place[size - k]], axis=1).astype(np.uint64) * ROW_U, k


def _bins(size: int) -> np.ndarray:
    """The order in which magnitudes are stored: frequency 0, the highest, then that of `_places`."""
    return np.concatenate([[0, size // 2], _places(size)[1]])


def _twiddles(size: int) -> tuple[np.ndarray, np.ndarray]:
    angle = -2 * np.pi * np.outer(np.arange(size // 4), [1, 2, 3]) / size
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


@overload(transform, jit_options=FAST)
def _transform_of(frame, factors):  # type: ignore[no-untyped-def]
    size = 2 ** len(factors)
    if size == 1:
        return lambda frame, factors: None
    if size == 2:
        return _radix2
    quarter, of_quarter = size // 4, np.uint64(size // 4 * ROW)
    cosines, sines = _twiddles(size)

    def radix4(frame, factors):  # type: ignore[no-untyped-def]
        for j in range(quarter):
            first = np.uint64(j) * ROW_U
            c1, s1, c2, s2, c3, s3 = cosines[j, 0], sines[j, 0], cosines[j, 1], sines[j, 1], cosines[j, 2], sines[j, 2]
            for lane in range(LANES):
                a = first + np.uint64(lane)
                b, c, d = a + of_quarter, a + of_quarter + of_quarter, a + of_quarter + of_quarter + of_quarter
                ar, ai, br, bi = frame[a], frame[a + IMAGINARY], frame[b], frame[b + IMAGINARY]
                cr, ci, dr, di = frame[c], frame[c + IMAGINARY], frame[d], frame[d + IMAGINARY]
                pr, pi, qr, qi = ar + cr, ai + ci, ar - cr, ai - ci
                rr, ri, sr, si = br + dr, bi + di, br - dr, bi - di
                ur, ui, vr, vi, wr, wi = qr + si, qi - sr, pr - rr, pi - ri, qr - si, qi + sr
                frame[a] = pr + rr
                frame[a + IMAGINARY] = pi + ri
                frame[b] = ur * c1 - ui * s1
                frame[b + IMAGINARY] = ur * s1 + ui * c1
                frame[c] = vr * c2 - vi * s2
                frame[c + IMAGINARY] = vr * s2 + vi * c2
                frame[d] = wr * c3 - wi * s3
                frame[d + IMAGINARY] = wr * s3 + wi * c3
        for k in range(4):
            transform(frame[np.uint64(k) * of_quarter : np.uint64(k + 1) * of_quarter], factors[2:])

    return radix4


@overload(inverse_transform, jit_options=FAST)
def _inverse_transform_of(frame, factors):  # type: ignore[no-untyped-def]
    size = 2 ** len(factors)
    if size == 1:
        return lambda frame, factors: None
    if size == 2:
        return _radix2
    quarter, of_quarter = size // 4, np.uint64(size // 4 * ROW)
    cosines, sines = _twiddles(size)

    def radix4(frame, factors):  # type: ignore[no-untyped-def]
        for k in range(4):
            inverse_transform(frame[np.uint64(k) * of_quarter : np.uint64(k + 1) * of_quarter], factors[2:])
        for j in range(quarter):
            first = np.uint64(j) * ROW_U
            c1, s1, c2, s2, c3, s3 = cosines[j, 0], sines[j, 0], cosines[j, 1], sines[j, 1], cosines[j, 2], sines[j, 2]
            for lane in range(LANES):
                a = first + np.uint64(lane)
                b, c, d = a + of_quarter, a + of_quarter + of_quarter, a + of_quarter + of_quarter + of_quarter
                ar, ai = frame[a], frame[a + IMAGINARY]
                x, y = frame[b], frame[b + IMAGINARY]
                br, bi = x * c1 + y * s1, y * c1 - x * s1
                x, y = frame[c], frame[c + IMAGINARY]
                cr, ci = x * c2 + y * s2, y * c2 - x * s2
                x, y = frame[d], frame[d + IMAGINARY]
                dr, di = x * c3 + y * s3, y * c3 - x * s3
                pr, pi, qr, qi = ar + cr, ai + ci, ar - cr, ai - ci
                rr, ri, sr, si = br + dr, bi + di, br - dr, bi - di
                frame[a] = pr + rr
                frame[a + IMAGINARY] = pi + ri
                frame[b] = qr - si
                frame[b + IMAGINARY] = qi + sr
                frame[c] = pr - rr
                frame[c + IMAGINARY] = pi - ri
                frame[d] = qr + si
                frame[d + IMAGINARY] = qi - sr

    return radix4


def _radix2(frame, factors):  # type: ignore[no-untyped-def]
    for i in range(ROW):
        a, b = frame[np.uint64(i)], frame[np.uint64(i) + ROW_U]
        frame[np.uint64(i)] = a + b
        frame[np.uint64(i) + ROW_U] = a - b


@overload(combine, jit_options=FAST)
def _combine_of(real, imaginary, frame, factors):  # type: ignore[no-untyped-def]
    size = 2 ** len(factors)
    places, _ = _places(size)
    highest = np.uint64(np.argsort(_frequencies(size))[size // 2] * ROW)

    def combine(real, imaginary, frame, factors):  # type: ignore[no-untyped-def]
        for i in range(ROW):
            frame[i] = real[i]
            frame[highest + np.uint64(i)] = real[ROW_U + np.uint64(i)]
        for pair in range(len(places)):
            a, b = places[pair, 0], places[pair, 1]
            for lane in range(LANES):
                p = np.uint64((pair + 2) * ROW + lane)
                ar, ai, br, bi = real[p], imaginary[p], real[p + IMAGINARY], imaginary[p + IMAGINARY]
                i = np.uint64(lane)
                frame[a + i] = ar - bi
                frame[a + IMAGINARY + i] = ai + br
                frame[b + i] = ar + bi
                frame[b + IMAGINARY + i] = br - ai

    return combine


@overload(impose, jit_options=FAST)
def _impose_of(frame, targets, factors):  # type: ignore[no-untyped-def]
    size = 2 ** len(factors)
    places, _ = _places(size)
    highest = np.uint64(np.argsort(_frequencies(size))[size // 2] * ROW)

    def impose(frame, targets, factors):  # type: ignore[no-untyped-def]
        for i in range(ROW):  # both are real
            p, q = np.uint64(i), highest + np.uint64(i)
            frame[p] *= targets[p] / np.sqrt(frame[p] * frame[p] + _TINY)
            frame[q] *= targets[ROW_U + p] / np.sqrt(frame[q] * frame[q] + _TINY)
        for pair in range(len(places)):
            a, b = places[pair, 0], places[pair, 1]
            target = np.uint64(pair + 2) * ROW_U
            for lane in range(LANES):
                i = np.uint64(lane)
                zr, zi, yr, yi = frame[a + i], frame[a + IMAGINARY + i], frame[b + i], frame[b + IMAGINARY + i]
                ar, ai, br, bi = zr + yr, zi - yi, zi + yi, yr - zr
                of_a = targets[target + i] / np.sqrt(ar * ar + ai * ai + _TINY)
                of_b = targets[target + IMAGINARY + i] / np.sqrt(br * br + bi * bi + _TINY)
                ar, ai, br, bi = ar * of_a, ai * of_a, br * of_b, bi * of_b
                frame[a + i] = ar - bi
                frame[a + IMAGINARY + i] = ai + br
                frame[b + i] = ar + bi
                frame[b + IMAGINARY + i] = br - ai

    return impose


# Frames in lanes. The span of a lane is `half` samples of its left neighbor, then its own samples, then samples of its
# right neighbor. The samples of neighbors are its halos.


@numba.njit(**FAST)
def windowed(signal, first, window, frame):  # type: ignore[no-untyped-def]
    """frame <- window * signal, from sample `first` of the span."""
    for j in range(len(window)):
        w = window[j]
        p, q = np.uint64(j) * ROW_U, np.uint64(first + j) * ROW_U
        for i in range(ROW):
            frame[p + np.uint64(i)] = w * signal[q + np.uint64(i)]


@numba.njit(**FAST)
def overlap_add(frame, window, total, first):  # type: ignore[no-untyped-def]
    """total <- total + window * frame, from sample `first` of the span."""
    for j in range(len(window)):
        w = window[j]
        p, q = np.uint64(j) * ROW_U, np.uint64(first + j) * ROW_U
        for i in range(ROW):
            total[q + np.uint64(i)] += w * frame[p + np.uint64(i)]


@numba.njit(**FAST)
def fill_halos(signal, half, groups, step):  # type: ignore[no-untyped-def]
    """Copies samples of the neighboring lanes into the halos."""
    own = groups * step
    for j in range(half):
        p, q = np.uint64(j) * ROW_U, np.uint64(own + j) * ROW_U
        signal[p] = 0
        for i in range(1, ROW):
            signal[p + np.uint64(i)] = signal[q + np.uint64(i) - np.uint64(1)]
    for j in range(half - step):
        p, q = np.uint64(half + own + j) * ROW_U, np.uint64(half + j) * ROW_U
        for i in range(ROW - 1):
            signal[p + np.uint64(i)] = signal[q + np.uint64(i) + np.uint64(1)]
        signal[p + ROW_U - np.uint64(1)] = 0


@numba.njit(**FAST)
def fold_halos(total, half, groups, step):  # type: ignore[no-untyped-def]
    """Adds the halos to the samples of the neighboring lanes."""
    own = groups * step
    for j in range(half):
        p, q = np.uint64(j) * ROW_U, np.uint64(own + j) * ROW_U
        for i in range(1, ROW):
            total[q + np.uint64(i) - np.uint64(1)] += total[p + np.uint64(i)]
    for j in range(half - step):
        p, q = np.uint64(half + own + j) * ROW_U, np.uint64(half + j) * ROW_U
        for i in range(ROW - 1):
            total[q + np.uint64(i) + np.uint64(1)] += total[p + np.uint64(i)]


def in_lanes(magnitudes: Any, groups: int, factors: Any) -> Any:
    """`[bins, frames]` as rows of lanes `[groups, bins * ROW]`, with bins in the order of `_bins`."""


@overload(in_lanes, jit_options=FAST)
def _in_lanes_of(magnitudes, groups, factors):  # type: ignore[no-untyped-def]
    bins = _bins(2 ** len(factors))

    def in_lanes(magnitudes, groups, factors):  # type: ignore[no-untyped-def]
        frames = magnitudes.shape[1]
        rows = np.zeros((groups, len(bins) * ROW), np.float32)
        for place in range(len(bins)):
            source = magnitudes[bins[place]]
            for group in range(groups):
                for lane in range((frames - group + groups - 1) // groups):
                    rows[group, place * ROW + lane] = source[lane * groups + group]
        return rows

    return in_lanes


@numba.njit(**FAST)
def from_lanes(rows, count, length):  # type: ignore[no-untyped-def]
    """The first `count` samples of rows of lanes with `length` samples per lane."""
    result = np.empty(ROW * length, np.float32)
    for first in range(0, length, 16):  # few enough rows to stay in the cache while they are read lane by lane
        for lane in range(ROW):
            for i in range(first, min(first + 16, length)):
                result[lane * length + i] = rows[i * ROW + lane]
    return result[:count].copy()
