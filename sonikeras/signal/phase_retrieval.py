"""Phase retrieval: algorithms that find audio whose short-time Fourier transform has given magnitudes.

Write `G(x) = istft(S * Y / |Y|)` with `Y = stft(x)`: the transform of the audio `x` gets the target magnitudes `S` and
is inverted by least squares. Each algorithm is a rule for the audio that `G` is applied to next. All algorithms work on
arrays and on tensors of any Keras backend, in `tf.data`, in a graph and under XLA. `sonikeras.signal._kernels` has them
compiled for the CPU.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from sonikeras.config import ALGORITHMS
from sonikeras.config._checks import check_choice, check_frame, check_integer, check_number, check_overlap
from sonikeras.signal._backend import check_real, constant, is_litert_export, operations
from sonikeras.signal._fourier import irfft, rfft
from sonikeras.signal.mdct import check_even
from sonikeras.signal.spectrograms import periodic_window, stft

# A squared magnitude below this has no phase.
TINY = 1e-20


# Magnitudes are raised to this before their logarithm is taken: bins that are 60 dB softer need no phase.
_FLOOR = 1e-3


# Frames after which a random phase repeats.
_PERIOD = 256


def griffin_lim(
    magnitudes: Any,
    initial_phase: Any,
    *,
    frame_length: int,
    frame_step: int,
    fft_length: int,
    window: str = "hann",
    algorithm: str = "fast_griffin_lim",
    iterations: int = 32,
    momentum: float = 0.99,
    rho: float = 0.2,
) -> Any:
    """Audio whose short-time Fourier transform has the given magnitudes, as nearly as the algorithm achieves.

    From the same initial phase, `"fast_griffin_lim"` gives the result of `librosa.griffinlim`.

    Args:
        magnitudes: float array or tensor `[..., frames, bins]`, not negative.
        initial_phase: float array or tensor `[..., frames, bins]` in radians.
        frame_length: Integer, length of the window in samples.
        frame_step: Integer, samples from one frame to the next.
        fft_length: Integer of at least `frame_length`, size of the transform; `bins = fft_length // 2 + 1`.
        window: String, name of a window that `scipy.signal.get_window` knows. Defaults to `"hann"`.
        algorithm: `"griffin_lim"`, `"fast_griffin_lim"`, `"accelerated_griffin_lim"`, `"admm"` or `"lbfgs"`.
            Defaults to `"fast_griffin_lim"`.
        iterations: Integer of at least 1, each one transform and its inverse. Defaults to 32.
        momentum: Float in 0..1, for fast Griffin-Lim. Defaults to 0.99.
        rho: Positive float, for ADMM. Defaults to 0.2.

    Returns:
        float32 array or tensor `[..., samples]`: `(frames - 1) * frame_step` samples, one more if `fft_length` is odd.

    Raises:
        ValueError: An argument breaks its rule, the windows do not overlap, or an input is not of that shape or not
            real.

    References:
        Griffin and Lim, "Signal estimation from modified short-time Fourier transform", IEEE TASSP 32(2), 1984.
        Perraudin, Balazs and Sondergaard, "A fast Griffin-Lim algorithm", WASPAA 2013.
        Nenov, Nguyen and Balazs, "Faster than fast: accelerating the Griffin-Lim algorithm", ICASSP 2023.
        Masuyama, Yatabe and Oikawa, "Griffin-Lim like phase recovery via alternating direction method of multipliers",
        IEEE Signal Processing Letters 26(1), 2019.
        Nocedal, "Updating quasi-Newton matrices with limited storage", Mathematics of Computation 35, 1980.

    Example:
        >>> import numpy as np
        >>> from sonikeras.signal.phase_retrieval import griffin_lim
        >>> magnitudes = np.ones((2, 10, 129), "float32")
        >>> griffin_lim(magnitudes, 0 * magnitudes, frame_length=256, frame_step=128, fft_length=256).shape
        (2, 1152)
    """
    frame: dict[str, Any] = {
        "frame_length": frame_length,
        "frame_step": frame_step,
        "fft_length": fft_length,
        "window": window,
    }
    check_inversion(**frame)
    check_algorithm(algorithm, iterations=iterations, momentum=momentum, rho=rho)
    for name, x in (("magnitudes", magnitudes), ("initial_phase", initial_phase)):
        _check_bins(name, x, fft_length)
    if magnitudes.shape[-2] is not None and magnitudes.shape[-2] < 2:
        raise ValueError(f"`magnitudes` must have at least 2 frames. Received: shape={tuple(magnitudes.shape)}")
    ops = operations(magnitudes, initial_phase)
    initial_phase, magnitudes = ops.cast(initial_phase, "float32"), ops.cast(magnitudes, "float32")
    scale = exact_scale(magnitudes)
    magnitudes = magnitudes / scale

    def forward(audio: Any) -> tuple[Any, Any]:
        return stft(audio, **frame)

    def inverse(real: Any, imaginary: Any) -> Any:
        return istft(real, imaginary, **frame)

    def impose(real: Any, imaginary: Any) -> tuple[Any, Any]:
        gain = magnitudes * ops.rsqrt(ops.square(real) + ops.square(imaginary) + TINY)
        return real * gain, imaginary * gain

    def project(audio: Any) -> Any:
        return inverse(*impose(*forward(audio)))

    start = magnitudes * ops.cos(initial_phase), magnitudes * ops.sin(initial_phase)
    if algorithm == "admm":
        audio = _admm(start, forward, inverse, impose, iterations, rho)
    elif algorithm == "lbfgs":
        weight = ops.convert_to_tensor(overlapped_squares(ops.shape(magnitudes)[-2], **frame), "float32")
        audio = _lbfgs(inverse(*start), project, weight, iterations)
    else:
        audio = _accelerated(inverse(*start), project, iterations, *acceleration(algorithm, momentum))
    return audio * scale[..., 0]


def exact_scale(magnitudes: Any) -> Any:
    """The power of two, `[..., 1, 1]`, that brings the largest magnitude of each example to 1..2, without rounding.

    Squares of scaled magnitudes stay within single precision. A silent example has a scale of 1.
    """
    ops = operations(magnitudes)
    loudest = ops.stop_gradient(ops.max(magnitudes, axis=(-2, -1), keepdims=True, initial=0.0))
    audible = ops.where(loudest > 0, loudest, 1.0)
    return ops.power(2.0, ops.floor(ops.log2(audible)))


def check_inversion(*, frame_length: int, frame_step: int, fft_length: int, window: str) -> None:
    """Raises a `ValueError` unless a transform with these frames can be inverted."""
    check_frame(frame_length, frame_step, fft_length)
    check_overlap(window, frame_length, frame_step)


def check_algorithm(algorithm: str, *, iterations: int, momentum: float, rho: float) -> None:
    """Raises a `ValueError` unless there is such an algorithm and its settings are allowed."""
    check_choice("algorithm", algorithm, ALGORITHMS)
    check_integer("iterations", iterations, minimum=1)
    check_number("momentum", momentum, "a number in 0..1", lambda x: 0 <= x <= 1)
    check_number("rho", rho, "a finite number above 0", lambda x: x > 0)


def _check_bins(name: str, x: Any, fft_length: int) -> None:
    check_real(f"`{name}`", x)
    bins = fft_length // 2 + 1
    if len(x.shape) < 2 or x.shape[-1] != bins:
        raise ValueError(
            f"`{name}` must have the shape [..., frames, fft_length // 2 + 1] = [..., frames, {bins}]. "
            f"Received: shape={tuple(x.shape)}"
        )


def acceleration(algorithm: str, momentum: float) -> tuple[float, float, float]:
    """The parameters `(alpha, beta, gamma)` of an algorithm of the Griffin-Lim family."""
    # A search found those of the accelerated one: the lowest spectral convergence after 14 iterations on drawings,
    # photos and pictures of spectrograms, among the parameters that still improve after 100 iterations.
    family = {
        "griffin_lim": (0, 0, 1),
        "fast_griffin_lim": (momentum, 0, 1),
        "accelerated_griffin_lim": (0.27, -0.1, 2.18),
    }
    return family[algorithm]


def _accelerated(
    audio: Any, project: Callable[[Any], Any], iterations: int, alpha: float, beta: float, gamma: float
) -> Any:
    """x <- t + alpha (t - last t), d <- t + beta (t - last t), then t <- (1 - gamma) d + gamma G(x).

    This is the algorithm of Nenov et al. With alpha as the momentum, beta = 0 and gamma = 1 it is that of Perraudin et
    al., and without momentum that of Griffin and Lim. They apply it to transforms, which is equivalent. The first and
    the last step are plain projections, so the result is one too.
    """
    if iterations == 1:
        return project(audio)

    def step(t: Any, last: Any) -> tuple[Any, Any]:
        x, d = t + alpha * (t - last), t + beta * (t - last)
        return (1 - gamma) * d + gamma * project(x), t

    t, last = _repeat(iterations - 2, step, (project(audio), audio))
    return project(t + alpha * (t - last))


def _lbfgs(audio: Any, project: Callable[[Any], Any], weight: Any, iterations: int) -> Any:
    """L-BFGS with a memory of one step and without a line search, for `f(x) = sum (|stft x| - S)^2 / 2`.

    In the metric of the windows' sum of squares, the gradient of f is `x - G(x)`. The step is Nocedal's two-loop
    recursion, written out for one pair `s, y` of changes of x and of the gradient. The first and the last step are
    those of Griffin-Lim, so the result is a projection.
    """
    ops = operations(audio)

    def dot(a: Any, b: Any) -> Any:
        return ops.sum(weight * a * b, axis=-1, keepdims=True)

    def step(x: Any, last: Any, s: Any) -> tuple[Any, Any, Any]:
        gradient = x - project(x)
        y = gradient - last
        sy, yy, sg, yg = dot(s, y), dot(y, y), dot(s, gradient), dot(y, gradient)
        curved = sy > 5e-5 * yy  # otherwise the step has no scale: a plain gradient step
        inverse_sy = 1 / ops.where(curved, sy, 1.0)
        gamma = ops.clip(sy / ops.where(yy > 0, yy, 1.0), 0.3, 5.0)
        alpha = inverse_sy * sg
        beta = inverse_sy * gamma * (yg - alpha * yy)
        direction = ops.where(curved, -gamma * (gradient - alpha * y) + (beta - alpha) * s, -gradient)
        return x + direction, gradient, direction

    if iterations > 1:
        first = project(audio)
        audio, _, _ = _repeat(iterations - 2, step, (first, audio - first, first - audio))
    return project(audio)


def _admm(
    start: tuple[Any, Any],
    forward: Callable[[Any], tuple[Any, Any]],
    inverse: Callable[[Any, Any], Any],
    impose: Callable[[Any, Any], tuple[Any, Any]],
    iterations: int,
    rho: float,
) -> Any:
    """The alternating direction method of multipliers, in the notation X, Z, U of Masuyama et al.

    X <- Z - U with the target magnitudes; Z <- (P + rho (X + U)) / (1 + rho), where P is the projection of X + U;
    U <- X + U - Z. It works on transforms, because X + U is not the transform of any audio.
    """

    def step(zr: Any, zi: Any, ur: Any, ui: Any) -> tuple[Any, Any, Any, Any]:
        xr, xi = impose(zr - ur, zi - ui)
        ur, ui = xr + ur, xi + ui
        pr, pi = forward(inverse(ur, ui))
        zr, zi = (pr + rho * ur) / (1 + rho), (pi + rho * ui) / (1 + rho)
        return zr, zi, ur - zr, ui - zi

    zeros = operations(start[0]).zeros_like(start[0])
    zr, zi, ur, ui = _repeat(iterations, step, (*start, zeros, zeros))
    return inverse(*impose(zr - ur, zi - ui))


def random_phase(frames: Any, bins: int, *, seed: int) -> Any:
    """A random phase that is the same on all backends, in compiled code and for any number of frames.

    Args:
        frames: Integer, or a scalar integer tensor if it is dynamic.
        bins: Integer.
        seed: Integer of at least 0.

    Returns:
        float32 array `[frames, bins]` in radians, or a tensor if `frames` is one. It repeats after 256 frames.
    """
    ops = operations(frames)
    phases = _phases(bins, seed)
    rows = ops.arange(frames, dtype="int32") % _PERIOD
    return ops.take(constant(phases, rows), rows, axis=0)


@functools.lru_cache(maxsize=16)
def _phases(bins: int, seed: int) -> np.ndarray:
    return (2 * np.pi * np.random.default_rng(seed).random((_PERIOD, bins))).astype(np.float32)


def structured_phase(magnitudes: Any, *, fft_length: int) -> Any:
    """A phase that is consistent between neighboring frames: that of a pulse in the middle of each frame.

    The transform of such a frame is real, with the sign (-1)^k because its middle is `fft_length / 2` samples from its
    beginning. The first frame has no audio before its middle and the last none after it. These two get the minimum
    phase for their magnitudes, forwards and backwards: the imaginary part of the transform of the folded cepstrum.

    Args:
        magnitudes: float32 array or tensor `[..., frames, bins]`, of at least two frames.
        fft_length: Integer, even.

    Returns:
        float32 array or tensor, like `magnitudes`, `[..., frames, bins]` in radians.

    Raises:
        ValueError: `fft_length` is not even, or `magnitudes` is not of that shape.

    References:
        Oppenheim and Schafer, "Discrete-Time Signal Processing", chapter on the cepstrum.
    """
    check_even("fft_length", fft_length)
    _check_bins("magnitudes", magnitudes, fft_length)
    k = np.arange(fft_length // 2 + 1, dtype=np.float32)
    ops = operations(magnitudes)
    minimum = _minimum_phase(ops.stack([magnitudes[..., 0, :], magnitudes[..., -1, :]], axis=-2), fft_length)
    delay, signs = ops.array(2 * np.pi / fft_length * k, "float32"), ops.array(np.pi * (k % 2), "float32")
    first, last = minimum[..., :1, :], delay - minimum[..., 1:, :]
    between = ops.zeros_like(magnitudes[..., 2:, :])
    return ops.concatenate([first, between, last], axis=-2) + signs


def _minimum_phase(magnitudes: Any, fft_length: int) -> Any:
    """The phase, `[..., bins]`, with which a signal of these magnitudes has its energy as early as possible."""
    ops = operations(magnitudes)
    fold = np.zeros(fft_length, np.float32)
    fold[0] = fold[fft_length // 2] = 1
    fold[1 : fft_length // 2] = 2
    logs = ops.log(ops.maximum(magnitudes, _FLOOR))
    cepstrum = irfft(logs, ops.zeros_like(logs), fft_length)
    return rfft(constant(fold, cepstrum) * cepstrum)[1]


def istft(
    real: Any, imaginary: Any, *, frame_length: int, frame_step: int, fft_length: int, window: str = "hann"
) -> Any:
    """The inverse of `sonikeras.signal.spectrograms.stft`: the audio whose transform is nearest to a given one.

    This is equation 6 of Griffin and Lim (1984): frames are windowed again, added where they overlap, and divided by
    the windows' sum of squares, at both ends too.

    Args:
        real, imaginary: float arrays or tensors `[..., frames, bins]`.
        frame_length, frame_step, fft_length, window: As in `stft`.

    Returns:
        float32 array or tensor `[..., samples]`: `(frames - 1) * frame_step` samples, one more if `fft_length` is odd.

    Raises:
        ValueError: An argument breaks its rule, the windows do not overlap, or a part is not of that shape or not real.
    """
    check_inversion(frame_length=frame_length, frame_step=frame_step, fft_length=fft_length, window=window)
    for name, x in (("real", real), ("imaginary", imaginary)):
        _check_bins(name, x, fft_length)
    ops = operations(real)
    frames = irfft(ops.cast(real, "float32"), ops.cast(imaginary, "float32"), fft_length)
    frames = frames * constant(padded_window(window, frame_length, fft_length), frames)
    squares = overlapped_squares(
        ops.shape(frames)[-2],
        frame_length=frame_length,
        frame_step=frame_step,
        fft_length=fft_length,
        window=window,
    )
    return _overlap_add(frames, frame_step) / ops.convert_to_tensor(squares, "float32")


def overlapped_squares(frames: Any, *, frame_length: int, frame_step: int, fft_length: int, window: str) -> Any:
    """The sum of the squared windows at each sample, `[samples]`: an array, or a tensor if `frames` is dynamic."""
    if isinstance(frames, int):
        return _overlapped_squares(frames, frame_length, frame_step, fft_length, window)
    ops = operations(frames)
    squares = ops.convert_to_tensor(np.square(padded_window(window, frame_length, fft_length)), "float32")
    return _overlap_add(ops.ones((frames, 1), "float32") * squares, frame_step)


@functools.lru_cache(maxsize=8)
def _overlapped_squares(frames: int, frame_length: int, frame_step: int, fft_length: int, window: str) -> np.ndarray:
    squares = np.zeros((frames - 1) * frame_step + fft_length)
    square = np.square(padded_window(window, frame_length, fft_length))
    for frame in range(frames):
        squares[frame * frame_step :][:fft_length] += square
    half = fft_length // 2
    return squares[half : len(squares) - half].astype(np.float32)


@functools.cache
def padded_window(name: str, frame_length: int, fft_length: int) -> np.ndarray:
    """A periodic window between zeros: float32 `[fft_length]`."""
    before = (fft_length - frame_length) // 2
    return np.pad(periodic_window(name, frame_length), (before, fft_length - frame_length - before))


def _overlap_add(frames: Any, frame_step: int) -> Any:
    """Adds centered frames `[..., frames, length]` where they overlap: `[..., samples]`, cut at both ends.

    Each frame is cut into blocks of one step, so that sample 0, the middle of frame 0, begins a block. Block i of the
    result is then the sum over all r of block r of frame `i + middle - r`.
    """
    ops = operations(frames)
    length = frames.shape[-1]
    middle = -(-(length // 2) // frame_step)
    before = middle * frame_step - length // 2
    blocks = -(-(before + length) // frame_step)
    *batch, count, _ = ops.shape(frames)
    steps = count - 1 + length % 2  # steps of the result; if the length is odd, the last has one sample
    ends = max(0, blocks - 1 - middle), max(0, middle - 1 + length % 2)
    frames = _pad(_pad(frames, -1, before, blocks * frame_step - before - length), -2, *ends)
    total: Any = 0.0
    for r in range(blocks):
        first = ends[0] + middle - r
        total = total + frames[..., first : first + steps, r * frame_step : (r + 1) * frame_step]
    samples = (count - 1) * frame_step + length % 2
    return ops.reshape(total, (*batch, steps * frame_step))[..., :samples]


def _pad(x: Any, axis: int, before: int, after: int) -> Any:
    """Adds zeros before and after, along an axis."""
    if before == after == 0:
        return x
    widths = [(0, 0)] * len(x.shape)
    widths[axis] = (before, after)
    return operations(x).pad(x, widths)


def _repeat(times: int, step: Callable[..., Any], state: tuple[Any, ...]) -> tuple[Any, ...]:
    """Repeats `state = step(*state)`, in one differentiable loop of the backend."""
    if times == 0:  # XLA has no gradient of an empty loop
        return state
    if is_litert_export():  # its loops mix up states where one becomes another, so they are written out
        for _ in range(times):
            state = step(*state)
        return state
    ops = operations(*state)
    if "jax" in sys.modules and isinstance(state[0], sys.modules["jax"].Array):  # its while loops have no gradient
        return ops.fori_loop(0, times, lambda _, state: step(*state), state)
    return ops.while_loop(lambda *_: True, step, state, maximum_iterations=times)
