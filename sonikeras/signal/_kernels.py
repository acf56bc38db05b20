"""Phase retrieval compiled with numba: the iterations, on many frames side by side as `_lanes` arranges them."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable

import numba
import numpy as np

from sonikeras.signal import _compilation as compilation, _lanes as lanes
from sonikeras.signal._lanes import (
    FAST,
    ROW,
    ROW_U,
    combine,
    fill_halos,
    fold_halos,
    from_lanes,
    impose,
    in_lanes,
    inverse_transform,
    overlap_add,
    transform,
    windowed,
)
from sonikeras.signal.phase_retrieval import acceleration, overlapped_squares, padded_window

_LOCK = threading.Lock()


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
    """`sonikeras.signal.phase_retrieval.griffin_lim` for one audio clip and all algorithms except ADMM.

    Args:
        magnitudes: float32 array `[bins, frames]`, finite and not negative, of at least two frames.
        initial_phase: float32 array `[bins, frames]` in radians.
        fft_length: Integer, a power of two of at least 4.
        frame_length, frame_step, window, algorithm, iterations, momentum: As in that function.

    Returns:
        float32 array `[samples]`, where `samples = (frames - 1) * frame_step`.
    """
    lbfgs = algorithm == "lbfgs"
    parameters = (0.0, 0.0, 0.0) if lbfgs else acceleration(algorithm, momentum)
    overlap, scale = _weights(magnitudes.shape[1], frame_length, frame_step, fft_length, window)
    spectrum = magnitudes, magnitudes * np.cos(initial_phase), magnitudes * np.sin(initial_phase)
    return _compiled(fft_length)(
        # Always the same memory layout, because each layout is compiled separately.
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
    """The windows' sum of squares at each sample, and the factors of the inverse transform, in lanes.

    Both are 0 where there is no sample. Their length determines the number of frames in each lane. All frames fit, and
    the first and the last frame of a lane reach into the neighboring lanes but not beyond.
    """
    squares = overlapped_squares(
        frames, frame_length=frame_length, frame_step=frame_step, fft_length=fft_length, window=window
    )
    groups = max(-(-frames // ROW), -(-(fft_length // 2) // frame_step))
    padded = np.pad(squares, (0, ROW * groups * frame_step - len(squares)))
    overlap = np.ascontiguousarray(padded.reshape(ROW, groups * frame_step).T).reshape(-1)
    return overlap, np.divide(1, fft_length * overlap, out=np.zeros_like(overlap), where=overlap > 0)


def _compiled(fft_length: int) -> Callable[..., np.ndarray]:
    """The compiled function for a transform size, created once even if several threads need it at a time."""
    with _LOCK:
        return _compile(fft_length)


@functools.cache
def _compile(fft_length: int) -> Callable[..., np.ndarray]:
    """The function for a transform size. It compiles when it is first called, and the machine code is kept on disk."""
    factors = (2,) * (fft_length.bit_length() - 1)

    def retrieve(magnitudes, real, imaginary, window, overlap, scale, step, iterations, lbfgs, alpha, beta, gamma):  # type: ignore[no-untyped-def]
        half = len(window) // 2
        frames = magnitudes.shape[1]
        groups = len(overlap) // (step * ROW)
        own = slice(half * ROW, (half + groups * step) * ROW)
        span = max((groups - 1) * step + len(window), half + groups * step) * ROW

        targets = in_lanes(magnitudes, groups, factors)
        signal = np.zeros(span, np.float32)
        total = np.zeros(span, np.float32)
        frame = np.empty(len(window) * ROW, np.float32)
        real_rows, imaginary_rows = in_lanes(real, groups, factors), in_lanes(imaginary, groups, factors)
        for group in range(groups):
            combine(real_rows[group], imaginary_rows[group], frame, factors)
            inverse_transform(frame, factors)
            overlap_add(frame, window, total, group * step)
        fold_halos(total, half, groups, step)
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
        return from_lanes(x, (frames - 1) * step, groups * step)

    # The name of the kept code. It must differ between sizes and change with all code that is compiled into it.
    retrieve.__qualname__ = f"retrieve_{fft_length}_{compilation.digest(lanes)}"
    return compilation.compiled(
        retrieve,
        FAST,
        f"sonikeras: compiling phase retrieval for fft_length={fft_length}, which takes about ten seconds",
    )


@numba.njit(**FAST)
def _project(signal, total, frame, targets, window, step, factors):  # type: ignore[no-untyped-def]
    """One iteration of Griffin-Lim: the transform of the signal gets the target magnitudes and is inverted.

    The result is `total / overlap`, where `overlap` is the windows' sum of squares (equation 6 of the paper).
    """
    groups = len(targets)
    half = len(window) // 2
    fill_halos(signal, half, groups, step)
    total[:] = 0
    for group in range(groups):
        windowed(signal, group * step, window, frame)
        transform(frame, factors)
        impose(frame, targets[group], factors)
        inverse_transform(frame, factors)
        overlap_add(frame, window, total, group * step)
    fold_halos(total, half, groups, step)


# The iterations. `new * scale` is the projected signal.


@numba.njit(**FAST)
def _accelerate(x, t, d, new, scale, alpha, beta, gamma):  # type: ignore[no-untyped-def]
    """t <- (1 - gamma) d + gamma y, x <- t + alpha (t - last t), d <- t + beta (t - last t), with y the projected x."""
    for j in range(len(x)):
        i = np.uint64(j)
        last = t[i]
        t[i] = (1 - gamma) * d[i] + gamma * new[i] * scale[i]
        x[i] = t[i] + alpha * (t[i] - last)
        d[i] = t[i] + beta * (t[i] - last)


@numba.njit(**FAST)
def _first_step(x, gradient, change, new, scale):  # type: ignore[no-untyped-def]
    """x <- y, a gradient step of length 1, because the curvature is not known yet."""
    for j in range(len(x)):
        i = np.uint64(j)
        y = new[i] * scale[i]
        gradient[i] = x[i] - y
        change[i] = y - x[i]
        x[i] = y


@numba.njit(**FAST)
def _quasi_newton(x, gradient, change, new, scale, overlap):  # type: ignore[no-untyped-def]
    """One step of L-BFGS with a memory of one step: `change` s, and the difference y of the gradients.

    This is the two-loop recursion of Nocedal (1980), written out for one pair. With rho = 1 / <s, y>,

        alpha = rho <s, g>,  q = gamma (g - alpha y),  beta = rho <y, q>,  step = -(q + (alpha - beta) s).

    Inner products are weighted by the windows' sum of squares: in this metric the gradient is x minus its projection.
    """
    for j in range(len(x)):
        i = np.uint64(j)
        new[i] = x[i] - new[i] * scale[i]
    sy, yy, sg, yg = 0.0, 0.0, 0.0, 0.0
    rows = len(x) // ROW
    a, b, c, d = np.empty((4, ROW), np.float32)
    for first in range(0, rows, 32):  # few terms are added in single precision, always in the same order
        a[:], b[:], c[:], d[:] = 0, 0, 0, 0
        for row in range(first, min(first + 32, rows)):
            for j in range(ROW):
                lane = np.uint64(j)
                i = np.uint64(row) * ROW_U + lane
                y = new[i] - gradient[i]
                weighted_s, weighted_y = overlap[i] * change[i], overlap[i] * y
                a[lane] += weighted_s * y
                b[lane] += weighted_y * y
                c[lane] += weighted_s * new[i]
                d[lane] += weighted_y * new[i]
        for lane in range(ROW):
            sy, yy, sg, yg = sy + a[lane], yy + b[lane], sg + c[lane], yg + d[lane]
    if sy > 5e-5 * yy:
        rho = 1 / sy
        gamma = min(max(sy / yy, 0.3), 5.0)
        alpha = rho * sg
        beta = rho * gamma * (yg - alpha * yy)
        of_g, of_y, of_s = np.float32(-gamma), np.float32(gamma * alpha), np.float32(beta - alpha)
    else:  # without positive curvature the step has no scale: a plain gradient step
        of_g, of_y, of_s = np.float32(-1), np.float32(0), np.float32(0)
    for j in range(len(x)):
        i = np.uint64(j)
        g = new[i]
        step = of_g * g + of_y * (g - gradient[i]) + of_s * change[i]
        change[i] = step
        gradient[i] = g
        x[i] += step
