"""The modified discrete cosine transform (MDCT), and what it takes to send any image through it unharmed.

An orthonormal lapped transform: as many coefficients as samples, and every choice of coefficients belongs to a sound.
So an image can be the magnitudes of a sound's coefficients exactly, without a search.

The transforms take NumPy arrays and give NumPy arrays, which is quickest for one sound. With tensors of any backend of
Keras they give tensors, also in a graph, under XLA and in `tf.data`, and have gradients.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from sonikeras.config._checks import plain
from sonikeras.signal import _fourier as fourier
from sonikeras.signal._backend import check_real, constant, is_litert_export, operations


def mdct(audio: Any, *, frame_step: int) -> Any:
    r"""The orthonormal MDCT with the sine window.

    Frame `t` covers the `2 M` samples from `t M` on, where `M = frame_step`:

    $$X_t[k] = \sqrt{\tfrac{2}{M}} \sum_{n=0}^{2M-1} \sin\left(\tfrac{\pi}{2M} (n + \tfrac12)\right)
    x[tM + n] \cos\left(\tfrac{\pi}{M} (n + \tfrac12 + \tfrac M2) (k + \tfrac12)\right)$$

    It is computed as rotations that fold what neighboring blocks share, and a DCT-IV, which is its own inverse.

    Args:
        audio: float array or tensor `[..., samples]` of at least `2 * frame_step` samples. Samples at the end that do
            not fill a step are ignored. Of the first and the last `frame_step` only half is known, as one frame covers
            them: pad the audio by a step on either side where `inverse_mdct` is to give all of it back.
        frame_step: Even integer, samples from one frame to the next, half a frame's length.

    Returns:
        float32 array or tensor `[..., frames, frame_step]`, lowest frequency first, where
        `frames = samples // frame_step - 1`. The middle of bin `k` is at `(k + 0.5) / (2 * frame_step)` of the sample
        rate.

    Raises:
        ValueError: `frame_step` is not an even integer of at least 2, there is not one frame, or `audio` is not real.

    References:
        Princen and Bradley, "Analysis/synthesis filter bank design based on time domain aliasing cancellation",
        IEEE TASSP 34(5), 1986.
        Malvar, "Lapped transforms for efficient transform/subband coding", IEEE TASSP 38(6), 1990.

    Example:
        >>> import numpy as np
        >>> from sonikeras.signal.mdct import mdct
        >>> mdct(np.sin(np.arange(22050, dtype="float32")), frame_step=512).shape
        (42, 512)
    """
    frame_step = check_even("frame_step", frame_step)
    xp, audio = _float32("audio", audio)
    *leading, samples = xp.shape(audio)
    if isinstance(samples, int) and samples < 2 * frame_step:
        raise ValueError(
            "`audio` must have at least one frame of `2 * frame_step` samples. "
            f"Received: {samples} samples, frame_step={frame_step}"
        )
    steps = samples // frame_step
    blocks = xp.reshape(audio[..., : steps * frame_step], (*leading, steps, frame_step))
    first, second = xp.split(blocks, 2, axis=-1)
    earlier, later = _rotate(second, xp.flip(first, axis=-1), _window(frame_step), xp)
    folded = [-earlier[..., 1:, :], xp.flip(later[..., :-1, :], axis=-1)]
    return _dct_iv(xp.concatenate(folded, axis=-1))


def inverse_mdct(coefficients: Any) -> Any:
    """The sound that has given MDCT coefficients, whatever they are: the transpose of `mdct`.

    Args:
        coefficients: float array or tensor `[..., frames, bins]`, `bins` even, lowest frequency first.

    Returns:
        float32 array or tensor `[..., (frames + 1) * bins]`. Its `mdct` with `frame_step=bins` are the coefficients,
        and its energy, the sum of squares, is theirs. If they are the `mdct` of audio, it is that audio but for the
        first and the last `bins` samples, which only one frame covers: these come back windowed and mixed with their
        mirror image.

    Raises:
        ValueError: `bins` is not known or not even, or `coefficients` are not real.

    References:
        Princen and Bradley, "Analysis/synthesis filter bank design based on time domain aliasing cancellation",
        IEEE TASSP 34(5), 1986.

    Example:
        >>> import numpy as np
        >>> from sonikeras.signal.mdct import inverse_mdct
        >>> inverse_mdct(np.ones((128, 512), "float32")).shape
        (66048,)

        All of a sound comes back from what was padded by a step on either side, to whole steps:

        >>> audio = np.sin(np.arange(22050, dtype="float32"))
        >>> padded = np.pad(audio, (512, 512 + -len(audio) % 512))
        >>> again = inverse_mdct(mdct(padded, frame_step=512))[512:][: len(audio)]
        >>> bool(np.abs(again - audio).max() < 1e-5)
        True
    """
    xp, coefficients = _float32("coefficients", coefficients)
    *leading, frames, bins = xp.shape(coefficients)
    check_even("bins", bins)
    first, second = xp.split(_dct_iv(coefficients), 2, axis=-1)
    silence = xp.zeros((*leading, 1, bins // 2), "float32")
    earlier = xp.concatenate([silence, -first], axis=-2)
    later = xp.concatenate([xp.flip(second, axis=-1), silence], axis=-2)
    first, second = _rotate(later, earlier, _window(bins), xp)
    blocks = xp.concatenate([xp.flip(first, axis=-1), second], axis=-1)
    return xp.reshape(blocks, (*leading, (frames + 1) * bins))


@functools.cache
def low_crest_signs(bins: int) -> np.ndarray:
    """Signs of MDCT coefficients with which the sound has no high peaks: those of a chirp.

    With equal signs all cosines of a frame peak at the same moment. Phases `pi (k + 1/2)^2 / (2 bins)` delay each bin a
    little more than the one below, which spreads the energy over the frame, and so do the signs of their cosines. The
    crest factor (peak over root mean square) of an all-white image's sound is 7 dB with 512 bins, against 23 dB with
    equal and 13 dB with random signs; of a photo's sound 11 against 26 and 14 dB.

    Args:
        bins: Even integer, coefficients in a frame.

    Returns:
        Read-only float32 array `[bins]` of -1 and 1.

    Raises:
        ValueError: `bins` is not an even integer of at least 2.

    References:
        Schroeder, "Synthesis of low-peak-factor signals and binary sequences with low autocorrelation", IEEE
        Transactions on Information Theory 16(1), 1970.

    Example:
        >>> from sonikeras.signal.mdct import low_crest_signs
        >>> low_crest_signs(8)
        array([ 1.,  1., -1., -1.,  1.,  1., -1.,  1.], dtype=float32)
    """
    check_even("bins", bins)
    phases = np.pi * ((np.arange(bins) + 0.5) ** 2 / (2 * bins) + 0.25)  # the offset makes peaks 0.4 dB lower
    signs = np.where(np.cos(phases) > 0, 1, -1).astype(np.float32)
    signs.flags.writeable = False
    return signs


def amplitude(bins: int) -> float:
    """The factor by which the sound of an image, with its pixels in 0..1 and `low_crest_signs`, never clips.

    A sample is a sum of pixels times the values of `2 * bins` cosines. At worst white meets all values of one sign and
    black all others. The sum of one sign is half the sum of all magnitudes, at most `2 / pi * sqrt(bins)`, and half the
    sample of an all-white image, which these signs keep small. Together they stay below `2 / pi * sqrt(bins) + 1.5`
    with every even number of bins up to 2048, and the factor is the power of two below the inverse of that, because
    such scaling is exact. For 512 bins it is 1/16, and the worst image peaks at 0.956.

    Args:
        bins: Even integer, coefficients in a frame.

    Returns:
        Float, a power of two.

    Raises:
        ValueError: `bins` is not an even integer of at least 2.

    Example:
        >>> from sonikeras.signal.mdct import amplitude
        >>> amplitude(512)
        0.0625
    """
    check_even("bins", bins)
    return 2.0 ** -math.ceil(math.log2(2 / math.pi * math.sqrt(bins) + 1.5))


def check_even(name: str, value: Any) -> int:
    """Raises a `ValueError` unless `value` is an even integer of at least 2. Returns it, plain."""
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 2 or value % 2:
        raise ValueError(f"`{name}` must be an even integer of at least 2. Received: {name}={value!r}")
    return value


def _float32(name: str, x: Any) -> tuple[Any, Any]:
    """The functions for `x`, NumPy's or Keras' of the same names, and `x` as float32."""
    check_real(f"`{name}`", x)
    if isinstance(x, np.ndarray):
        return np, x.astype(np.float32, copy=False)
    ops = operations(x)
    return ops, ops.cast(x, "float32")


def _dct_iv(x: Any) -> Any:
    """The orthonormal DCT-IV of the last axis, of even size.

    `X[k] = sqrt(2 / M) sum_n x[n] cos(pi / M (n + 1/2) (k + 1/2))`. With `z[n] = x[2n] + i x[M-1-2n]` for `n < M / 2`,
    `t[n] = (2 / M)^(1/4) exp(-i pi / M (n + 1/8))` and `Z = t * FFT(t * z)`, it is `X[2k] = Re Z[k]` and
    `X[M-1-2k] = -Im Z[k]`.
    """
    if isinstance(x, np.ndarray):
        from scipy.fft import dct

        return dct(x, type=4, norm="ortho")
    ops = operations(x)
    *leading, size = ops.shape(x)
    if is_litert_export():
        return ops.matmul(x, constant(fourier.dct_iv_matrix(size), x))
    if fourier.is_empty(x):
        return x
    even, odd = ops.unstack(ops.reshape(x, (*leading, size // 2, 2)), axis=-1)
    real, imaginary = ops.fft(_rotate(even, ops.flip(odd, axis=-1), _twiddle(size), ops))
    even, odd = _rotate(real, imaginary, _twiddle(size), ops)
    # Stacked and transposed, because TensorFlow is slow at stacking along the last axis.
    pairs = ops.swapaxes(ops.stack([even, -ops.flip(odd, axis=-1)], axis=-2), -1, -2)
    return ops.reshape(pairs, (*leading, size))


def _rotate(x: Any, y: Any, cosine_and_sine: tuple[np.ndarray, np.ndarray], xp: Any) -> tuple[Any, Any]:
    """Real and imaginary part of `(x + i y) exp(-i angle)`."""
    cosine, sine = (xp.array(part, "float32") for part in cosine_and_sine)
    return x * cosine + y * sine, y * cosine - x * sine


@functools.cache
def _window(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The sine window from a block's middle on, falling and rising: it turns samples that mirror each other."""
    return _cosine_and_sine((np.arange(size // 2) + size // 2 + 0.5) / (2 * size))


@functools.cache
def _twiddle(size: int) -> tuple[np.ndarray, np.ndarray]:
    return _cosine_and_sine((np.arange(size // 2) + 1 / 8) / size, norm=(2 / size) ** 0.25)


def _cosine_and_sine(half_turns: np.ndarray, *, norm: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    angles = np.pi * half_turns
    return (norm * np.cos(angles)).astype(np.float32), (norm * np.sin(angles)).astype(np.float32)
