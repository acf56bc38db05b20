"""Phase retrieval compiled with numba: many frames side by side, one in each lane of the processor's vectors.

Frame `t = lane * groups + group` lies in lane `t // groups`, so that the frames of a group fill a row of `_ROW` lanes
and those that follow each other lie in the same lane. All arrays are flat rows of lanes, and every inner loop runs over
the lanes of a row. A complex transform carries two real frames: the first half of a row holds the real parts, which are
the frames of lanes 0 to 31, the second half the imaginary ones, those of lanes 32 to 63.

`factors`, a tuple of twos, stands for the transform's size: numba knows its length while it compiles, so that each size
gets code with offsets that are constants, without which compilers do not vectorize. Indices are unsigned for the same
reason.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba.extending import overload

from sonikeras.signal.phase_retrieval import TINY, acceleration, overlapped_squares, padded_window

_LANES = 32  # complex transforms side by side


_ROW = 2 * _LANES  # frames side by side


# A process that compiles runs other code than one that loads what was kept, so rounding must not depend on the code: no
# sum in another order, no product that is fused with a sum.
_FAST: Any = {
    "nogil": True,
    "fastmath": {"nnan", "ninf", "nsz", "arcp", "afn"},
    "error_model": "numpy",
    "boundscheck": False,
}


_LOCK = threading.Lock()


_ROW_U = np.uint64(_ROW)


_IMAGINARY = np.uint64(_LANES)


_TINY = np.float32(TINY)


def griffin_lim(
    magnitudes: np.ndarray,
    initial_phase: np.ndarray,
    *,
    frame_length: int,
    frame_step: int,
    fft_length: int,
    window: str,
    algorithm: str,
    iterations: int,
    momentum: float,
) -> np.ndarray:
    """`sonikeras.signal.phase_retrieval.griffin_lim` of one sound, for all algorithms but ADMM.

    Args:
        magnitudes: float32 array `[bins, frames]`, finite and not negative, of at least two frames.
        initial_phase: float32 array `[bins, frames]` in radians.
        fft_length: Integer, a power of two of at least 4.
        frame_length, frame_step, window, algorithm, iterations, momentum: As there.

    Returns:
        float32 array `[samples]`, where `samples = (frames - 1) * frame_step`.
    """
    lbfgs = algorithm == "lbfgs"
    parameters = (0.0, 0.0, 0.0) if lbfgs else acceleration(algorithm, momentum)
    overlap, scale = _weights(magnitudes.shape[1], frame_length, frame_step, fft_length, window)
    spectrum = magnitudes, magnitudes * np.cos(initial_phase), magnitudes * np.sin(initial_phase)
    return _compiled(fft_length)(
        # One memory layout, for each is compiled anew.
        *(np.require(x, np.float32, ["C", "W"]) for x in spectrum),
        padded_window(window, frame_length, fft_length),
        overlap,
        scale,
        frame_step,
        iterations,
        lbfgs,
        *np.array(parameters, np.float32),
    )


@functools.lru_cache(maxsize=4)
def _weights(
    frames: int, frame_length: int, frame_step: int, fft_length: int, window: str
) -> tuple[np.ndarray, np.ndarray]:
    """The windows' sum of squares over each sample, and what the inverse transform is multiplied by, in lanes.

    Both are 0 where there is no sample. Their length says how many frames each lane has: so many that all fit, and that
    the first and the last of a lane reach into its neighbors and not beyond.
    """
    squares = overlapped_squares(
        frames, frame_length=frame_length, frame_step=frame_step, fft_length=fft_length, window=window
    )
    groups = max(-(-frames // _ROW), -(-(fft_length // 2) // frame_step))
    padded = np.pad(squares, (0, _ROW * groups * frame_step - len(squares)))
    lanes = np.ascontiguousarray(padded.reshape(_ROW, groups * frame_step).T).reshape(-1)
    return lanes, np.divide(1, fft_length * lanes, out=np.zeros_like(lanes), where=lanes > 0)


def _compiled(fft_length: int) -> Callable[..., np.ndarray]:
    """The compiled function for a transform size, made once, whichever threads ask for it at a time."""
    with _LOCK:
        return _compile(fft_length)


@functools.cache
def _compile(fft_length: int) -> Callable[..., np.ndarray]:
    """The machine code is kept on disk."""
    factors = (2,) * (fft_length.bit_length() - 1)

    def retrieve(magnitudes, real, imaginary, window, overlap, scale, step, iterations, lbfgs, alpha, beta, gamma):  # type: ignore[no-untyped-def]
        half = len(window) // 2
        frames = magnitudes.shape[1]
        groups = len(overlap) // (step * _ROW)
        own = slice(half * _ROW, (half + groups * step) * _ROW)
        span = max((groups - 1) * step + len(window), half + groups * step) * _ROW

        targets = _in_lanes(magnitudes, groups, factors)
        signal = np.zeros(span, np.float32)
        total = np.zeros(span, np.float32)
        frame = np.empty(len(window) * _ROW, np.float32)
        real_rows, imaginary_rows = _in_lanes(real, groups, factors), _in_lanes(imaginary, groups, factors)
        for group in range(groups):
            _combine(real_rows[group], imaginary_rows[group], frame, factors)
            _inverse_transform(frame, factors)
            _overlap_add(frame, window, total, group * step)
        _fold_halos(total, half, groups, step)
        x, new = signal[own], total[own]
        x[:] = new * scale

        a, b = (np.zeros_like(x), np.zeros_like(x)) if lbfgs else (x.copy(), x.copy())
        for i in range(iterations):
            _project(signal, total, frame, targets, window, step, factors)
            if i == iterations - 1:  # the last step is plain, so that the result is a projection
                x[:] = new * scale
            elif lbfgs:
                if i == 0:
                    _first_step(x, a, b, new, scale)
                else:
                    _quasi_newton(x, a, b, new, scale, overlap)
            else:
                _accelerate(x, a, b, new, scale, alpha, beta, gamma if i > 0 else np.float32(1))
        return _samples(x, (frames - 1) * step, groups * step)

    # Code that is kept goes by this name, and that of two sizes cannot be loaded under one.
    retrieve.__qualname__ = f"retrieve_{fft_length}"
    try:
        return numba.njit(cache=True, **_FAST)(retrieve)
    except RuntimeError as error:  # there is no folder that can be written to
        warnings.warn(
            f"Compiled code is not kept, so each process compiles anew. $NUMBA_CACHE_DIR names a folder: {error}",
            stacklevel=3,
        )
        return numba.njit(**_FAST)(retrieve)


@numba.njit(**_FAST)
def _project(signal, total, frame, targets, window, step, factors):  # type: ignore[no-untyped-def]
    """One round of Griffin and Lim: the transform of the signal gets the target magnitudes, and is inverted.

    The result is `total / overlap`, where `overlap` is the sum of squares of the windows (equation 6 of the paper).
    """
    groups = len(targets)
    half = len(window) // 2
    _fill_halos(signal, half, groups, step)
    total[:] = 0
    for group in range(groups):
        _window(signal, group * step, window, frame)
        _transform(frame, factors)
        _impose(frame, targets[group], factors)
        _inverse_transform(frame, factors)
        _overlap_add(frame, window, total, group * step)
    _fold_halos(total, half, groups, step)


# The iterations. `new * scale` is the projected signal.


@numba.njit(**_FAST)
def _accelerate(x, t, d, new, scale, alpha, beta, gamma):  # type: ignore[no-untyped-def]
    """t <- (1 - gamma) d + gamma y, x <- t + alpha (t - last t), d <- t + beta (t - last t); y is projected x."""
    for j in range(len(x)):
        i = np.uint64(j)
        last = t[i]
        t[i] = (1 - gamma) * d[i] + gamma * new[i] * scale[i]
        x[i] = t[i] + alpha * (t[i] - last)
        d[i] = t[i] + beta * (t[i] - last)


@numba.njit(**_FAST)
def _first_step(x, gradient, change, new, scale):  # type: ignore[no-untyped-def]
    """x <- y, a gradient step of length 1, since nothing is known of the curvature yet."""
    for j in range(len(x)):
        i = np.uint64(j)
        y = new[i] * scale[i]
        gradient[i] = x[i] - y
        change[i] = y - x[i]
        x[i] = y


@numba.njit(**_FAST)
def _quasi_newton(x, gradient, change, new, scale, overlap):  # type: ignore[no-untyped-def]
    """One step of L-BFGS that remembers the last one: `change` s, and the difference y of the gradients.

    The two-loop recursion of Nocedal (1980), written out for one pair: with rho = 1 / <s, y>,

        alpha = rho <s, g>,  q = gamma (g - alpha y),  beta = rho <y, q>,  step = -(q + (alpha - beta) s).

    Inner products are weighted by the windows' sum of squares: in this metric the gradient is x - projected x.
    """
    for j in range(len(x)):
        i = np.uint64(j)
        new[i] = x[i] - new[i] * scale[i]
    sy, yy, sg, yg = 0.0, 0.0, 0.0, 0.0
    rows = len(x) // _ROW
    a, b, c, d = np.empty((4, _ROW), np.float32)
    for first in range(0, rows, 32):  # few terms are added in single precision, and all in the same order
        a[:], b[:], c[:], d[:] = 0, 0, 0, 0
        for row in range(first, min(first + 32, rows)):
            for j in range(_ROW):
                lane = np.uint64(j)
                i = np.uint64(row) * _ROW_U + lane
                y = new[i] - gradient[i]
                weighted_s, weighted_y = overlap[i] * change[i], overlap[i] * y
                a[lane] += weighted_s * y
                b[lane] += weighted_y * y
                c[lane] += weighted_s * new[i]
                d[lane] += weighted_y * new[i]
        for lane in range(_ROW):
            sy, yy, sg, yg = sy + a[lane], yy + b[lane], sg + c[lane], yg + d[lane]
    if sy > 5e-5 * yy:
        rho = 1 / sy
        gamma = min(max(sy / yy, 0.3), 5.0)
        alpha = rho * sg
        beta = rho * gamma * (yg - alpha * yy)
        of_g, of_y, of_s = np.float32(-gamma), np.float32(gamma * alpha), np.float32(beta - alpha)
    else:  # no positive curvature, so no scale: a plain gradient step
        of_g, of_y, of_s = np.float32(-1), np.float32(0), np.float32(0)
    for j in range(len(x)):
        i = np.uint64(j)
        g = new[i]
        step = of_g * g + of_y * (g - gradient[i]) + of_s * change[i]
        change[i] = step
        gradient[i] = g
        x[i] += step


# The transform: radix 4, in place. Frequencies come in digit-reversed order, which the rest simply uses.


def _transform(frame: Any, factors: Any) -> None:
    """Discrete Fourier transform of each lane, by decimation in frequency.

    With w = exp(-2 pi i / n), the sums over quarters of the input, times 1, w^j, w^2j, w^3j, are the inputs of four
    transforms of a quarter of the size, which give the frequencies 4 k, 4 k + 1, 4 k + 2 and 4 k + 3. The results lie
    there one after the other, those of 4 k + 2 before those of 4 k + 1.
    """


def _inverse_transform(frame: Any, factors: Any) -> None:
    """The inverse of `_transform`, times n, by decimation in time: the same steps backwards."""


def _combine(real: Any, imaginary: Any, frame: Any, factors: Any) -> None:
    """The transform of `a + i b`, two real frames, from their spectra A and B: Z[k] = A[k] + i B[k]."""


def _impose(frame: Any, targets: Any, factors: Any) -> None:
    """Gives the spectra of both frames in each complex transform the target magnitudes, and keeps their phases.

    Of Z, the transform of a + i b, A[k] = (Z[k] + conj(Z[n - k])) / 2 and B[k] = (Z[k] - conj(Z[n - k])) / 2i.
    """


def _frequencies(size: int) -> np.ndarray:
    """The frequency that stands at each place after `_transform`."""
    if size <= 2:
        return np.arange(size)
    quarter = _frequencies(size // 4)
    return np.concatenate([4 * quarter + k for k in (0, 1, 2, 3)])


def _places(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The places of k and of `size - k`, as offsets, and k itself, for the frequencies 1 .. size / 2 - 1.

    They come in the order in which they lie in memory.
    """
    frequencies = _frequencies(size)
    place = np.argsort(frequencies)
    k = np.minimum(frequencies, size - frequencies)
    k = k[np.sort(np.unique(k, return_index=True)[1])]
    k = k[(k > 0) & (k < size // 2)]
    return np.stack([place[k], place[size - k]], axis=1).astype(np.uint64) * _ROW_U, k


def _bins(size: int) -> np.ndarray:
    """The order in which rows of magnitudes are kept: 0, the highest, then that of `_places`."""
    return np.concatenate([[0, size // 2], _places(size)[1]])


def _twiddles(size: int) -> tuple[np.ndarray, np.ndarray]:
    angle = -2 * np.pi * np.outer(np.arange(size // 4), [1, 2, 3]) / size
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


@overload(_transform, jit_options=_FAST)
def _transform_of(frame, factors):  # type: ignore[no-untyped-def]
    size = 2 ** len(factors)
    if size == 1:
        return lambda frame, factors: None
    if size == 2:
        return _radix2
    quarter, of_quarter = size // 4, np.uint64(size // 4 * _ROW)
    cosines, sines = _twiddles(size)

    def radix4(frame, factors):  # type: ignore[no-untyped-def]
        for j in range(quarter):
            first = np.uint64(j) * _ROW_U
            c1, s1, c2, s2, c3, s3 = cosines[j, 0], sines[j, 0], cosines[j, 1], sines[j, 1], cosines[j, 2], sines[j, 2]
            for lane in range(_LANES):
                a = first + np.uint64(lane)
                b, c, d = a + of_quarter, a + of_quarter + of_quarter, a + of_quarter + of_quarter + of_quarter
                ar, ai, br, bi = frame[a], frame[a + _IMAGINARY], frame[b], frame[b + _IMAGINARY]
                cr, ci, dr, di = frame[c], frame[c + _IMAGINARY], frame[d], frame[d + _IMAGINARY]
                pr, pi, qr, qi = ar + cr, ai + ci, ar - cr, ai - ci
                rr, ri, sr, si = br + dr, bi + di, br - dr, bi - di
                ur, ui, vr, vi, wr, wi = qr + si, qi - sr, pr - rr, pi - ri, qr - si, qi + sr
                frame[a] = pr + rr
                frame[a + _IMAGINARY] = pi + ri
                frame[b] = ur * c1 - ui * s1
                frame[b + _IMAGINARY] = ur * s1 + ui * c1
                frame[c] = vr * c2 - vi * s2
                frame[c + _IMAGINARY] = vr * s2 + vi * c2
                frame[d] = wr * c3 - wi * s3
                frame[d + _IMAGINARY] = wr * s3 + wi * c3
        for k in range(4):
            _transform(frame[np.uint64(k) * of_quarter : np.uint64(k + 1) * of_quarter], factors[2:])

    return radix4


@overload(_inverse_transform, jit_options=_FAST)
def _inverse_transform_of(frame, factors):  # type: ignore[no-untyped-def]
    size = 2 ** len(factors)
    if size == 1:
        return lambda frame, factors: None
    if size == 2:
        return _radix2
    quarter, of_quarter = size // 4, np.uint64(size // 4 * _ROW)
    cosines, sines = _twiddles(size)

    def radix4(frame, factors):  # type: ignore[no-untyped-def]
        for k in range(4):
            _inverse_transform(frame[np.uint64(k) * of_quarter : np.uint64(k + 1) * of_quarter], factors[2:])
        for j in range(quarter):
            first = np.uint64(j) * _ROW_U
            c1, s1, c2, s2, c3, s3 = cosines[j, 0], sines[j, 0], cosines[j, 1], sines[j, 1], cosines[j, 2], sines[j, 2]
            for lane in range(_LANES):
                a = first + np.uint64(lane)
                b, c, d = a + of_quarter, a + of_quarter + of_quarter, a + of_quarter + of_quarter + of_quarter
                ar, ai = frame[a], frame[a + _IMAGINARY]
                x, y = frame[b], frame[b + _IMAGINARY]
                br, bi = x * c1 + y * s1, y * c1 - x * s1
                x, y = frame[c], frame[c + _IMAGINARY]
                cr, ci = x * c2 + y * s2, y * c2 - x * s2
                x, y = frame[d], frame[d + _IMAGINARY]
                dr, di = x * c3 + y * s3, y * c3 - x * s3
                pr, pi, qr, qi = ar + cr, ai + ci, ar - cr, ai - ci
                rr, ri, sr, si = br + dr, bi + di, br - dr, bi - di
                frame[a] = pr + rr
                frame[a + _IMAGINARY] = pi + ri
                frame[b] = qr - si
                frame[b + _IMAGINARY] = qi + sr
                frame[c] = pr - rr
                frame[c + _IMAGINARY] = pi - ri
                frame[d] = qr + si
                frame[d + _IMAGINARY] = qi - sr

    return radix4


def _radix2(frame, factors):  # type: ignore[no-untyped-def]
    for i in range(_ROW):
        a, b = frame[np.uint64(i)], frame[np.uint64(i) + _ROW_U]
        frame[np.uint64(i)] = a + b
        frame[np.uint64(i) + _ROW_U] = a - b


@overload(_combine, jit_options=_FAST)
def _combine_of(real, imaginary, frame, factors):  # type: ignore[no-untyped-def]
    size = 2 ** len(factors)
    places, _ = _places(size)
    highest = np.uint64(np.argsort(_frequencies(size))[size // 2] * _ROW)

    def combine(real, imaginary, frame, factors):  # type: ignore[no-untyped-def]
        for i in range(_ROW):
            frame[i] = real[i]
            frame[highest + np.uint64(i)] = real[_ROW_U + np.uint64(i)]
        for pair in range(len(places)):
            a, b = places[pair, 0], places[pair, 1]
            for lane in range(_LANES):
                p = np.uint64((pair + 2) * _ROW + lane)
                ar, ai, br, bi = real[p], imaginary[p], real[p + _IMAGINARY], imaginary[p + _IMAGINARY]
                i = np.uint64(lane)
                frame[a + i] = ar - bi
                frame[a + _IMAGINARY + i] = ai + br
                frame[b + i] = ar + bi
                frame[b + _IMAGINARY + i] = br - ai

    return combine


@overload(_impose, jit_options=_FAST)
def _impose_of(frame, targets, factors):  # type: ignore[no-untyped-def]
    size = 2 ** len(factors)
    places, _ = _places(size)
    highest = np.uint64(np.argsort(_frequencies(size))[size // 2] * _ROW)

    def impose(frame, targets, factors):  # type: ignore[no-untyped-def]
        for i in range(_ROW):  # both are real
            p, q = np.uint64(i), highest + np.uint64(i)
            frame[p] *= targets[p] / np.sqrt(frame[p] * frame[p] + _TINY)
            frame[q] *= targets[_ROW_U + p] / np.sqrt(frame[q] * frame[q] + _TINY)
        for pair in range(len(places)):
            a, b = places[pair, 0], places[pair, 1]
            target = np.uint64(pair + 2) * _ROW_U
            for lane in range(_LANES):
                i = np.uint64(lane)
                zr, zi, yr, yi = frame[a + i], frame[a + _IMAGINARY + i], frame[b + i], frame[b + _IMAGINARY + i]
                ar, ai, br, bi = zr + yr, zi - yi, zi + yi, yr - zr
                of_a = targets[target + i] / np.sqrt(ar * ar + ai * ai + _TINY)
                of_b = targets[target + _IMAGINARY + i] / np.sqrt(br * br + bi * bi + _TINY)
                ar, ai, br, bi = ar * of_a, ai * of_a, br * of_b, bi * of_b
                frame[a + i] = ar - bi
                frame[a + _IMAGINARY + i] = ai + br
                frame[b + i] = ar + bi
                frame[b + _IMAGINARY + i] = br - ai

    return impose


# Frames in lanes. A lane's span is `half` samples that belong to its left neighbor, its own samples, and samples that
# belong to its right neighbor.


@numba.njit(**_FAST)
def _window(signal, first, window, frame):  # type: ignore[no-untyped-def]
    """frame <- window * signal, from sample `first` of the span on."""
    for j in range(len(window)):
        w = window[j]
        p, q = np.uint64(j) * _ROW_U, np.uint64(first + j) * _ROW_U
        for i in range(_ROW):
            frame[p + np.uint64(i)] = w * signal[q + np.uint64(i)]


@numba.njit(**_FAST)
def _overlap_add(frame, window, total, first):  # type: ignore[no-untyped-def]
    """total <- total + window * frame, from sample `first` of the span on."""
    for j in range(len(window)):
        w = window[j]
        p, q = np.uint64(j) * _ROW_U, np.uint64(first + j) * _ROW_U
        for i in range(_ROW):
            total[q + np.uint64(i)] += w * frame[p + np.uint64(i)]


@numba.njit(**_FAST)
def _fill_halos(signal, half, groups, step):  # type: ignore[no-untyped-def]
    """Copies what frames reach of the neighboring lanes."""
    own = groups * step
    for j in range(half):
        p, q = np.uint64(j) * _ROW_U, np.uint64(own + j) * _ROW_U
        signal[p] = 0
        for i in range(1, _ROW):
            signal[p + np.uint64(i)] = signal[q + np.uint64(i) - np.uint64(1)]
    for j in range(half - step):
        p, q = np.uint64(half + own + j) * _ROW_U, np.uint64(half + j) * _ROW_U
        for i in range(_ROW - 1):
            signal[p + np.uint64(i)] = signal[q + np.uint64(i) + np.uint64(1)]
        signal[p + _ROW_U - np.uint64(1)] = 0


@numba.njit(**_FAST)
def _fold_halos(total, half, groups, step):  # type: ignore[no-untyped-def]
    """Adds what frames gave to the neighboring lanes to these."""
    own = groups * step
    for j in range(half):
        p, q = np.uint64(j) * _ROW_U, np.uint64(own + j) * _ROW_U
        for i in range(1, _ROW):
            total[q + np.uint64(i) - np.uint64(1)] += total[p + np.uint64(i)]
    for j in range(half - step):
        p, q = np.uint64(half + own + j) * _ROW_U, np.uint64(half + j) * _ROW_U
        for i in range(_ROW - 1):
            total[q + np.uint64(i) + np.uint64(1)] += total[p + np.uint64(i)]


def _in_lanes(magnitudes: Any, groups: int, factors: Any) -> Any:
    """`[bins, frames]` as rows of lanes, `[groups, bins * _ROW]`, bins in the order of `_bins`."""


@overload(_in_lanes, jit_options=_FAST)
def _in_lanes_of(magnitudes, groups, factors):  # type: ignore[no-untyped-def]
    bins = _bins(2 ** len(factors))

    def in_lanes(magnitudes, groups, factors):  # type: ignore[no-untyped-def]
        frames = magnitudes.shape[1]
        rows = np.zeros((groups, len(bins) * _ROW), np.float32)
        for place in range(len(bins)):
            source = magnitudes[bins[place]]
            for group in range(groups):
                for lane in range((frames - group + groups - 1) // groups):
                    rows[group, place * _ROW + lane] = source[lane * groups + group]
        return rows

    return in_lanes


@numba.njit(**_FAST)
def _samples(rows, count, length):  # type: ignore[no-untyped-def]
    """The first `count` samples of rows of lanes, `length` samples a lane."""
    result = np.empty(_ROW * length, np.float32)
    for first in range(0, length, 16):  # so few rows stay in the cache while they are read lane by lane
        for lane in range(_ROW):
            for i in range(first, min(first + 16, length)):
                result[lane * length + i] = rows[i * _ROW + lane]
    return result[:count].copy()
