"""The modified discrete cosine transform (MDCT), and the signs and the scale with which it carries any image.

The MDCT is an orthonormal lapped transform: it has as many coefficients as samples, and every set of coefficients is
that of some audio. An image can therefore be the magnitudes of the coefficients exactly, without phase retrieval.

The transforms take and return NumPy arrays, which is fastest for one audio clip, or tensors of any Keras backend. With
tensors they work in a graph, under XLA and in `tf.data`, and have gradients.
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

    It is computed as rotations, which fold the overlap of neighboring blocks, and a DCT-IV, which is its own inverse.

    Args:
        audio: float array or tensor `[..., samples]` of at least `2 * frame_step` samples. Samples at the end that do
            not fill a step are ignored. Only one frame covers the first and the last `frame_step` samples, so their
            coefficients do not determine them. If `inverse_mdct` must restore all samples, pad the audio by one step
            at both ends.
        frame_step: Even integer, samples from one frame to the next: half the length of a frame.

    Returns:
        float32 array or tensor `[..., frames, frame_step]`, lowest frequency first, where
        `frames = samples // frame_step - 1`. The center of bin `k` is at `(k + 0.5) / (2 * frame_step)` of the
        sample rate.

    Raises:
        ValueError: `frame_step` is not an even integer of at least 2, or `audio` is not real or shorter than a frame.

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
    ops, audio = _float32("audio", audio)
    *leading, samples = ops.shape(audio)
    if isinstance(samples, int) and samples < 2 * frame_step:
        raise ValueError(
            "`audio` must have at least one frame of `2 * frame_step` samples. "
            f"Received: {samples} samples, frame_step={frame_step}"
        )
    steps = samples // frame_step
    blocks = ops.reshape(audio[..., : steps * frame_step], (*leading, steps, frame_step))
    first, second = ops.split(blocks, 2, axis=-1)
    earlier, later = _rotate(second, ops.flip(first, axis=-1), _window(frame_step), ops)
    folded = [-earlier[..., 1:, :], ops.flip(later[..., :-1, :], axis=-1)]
    return _dct_iv(ops.concatenate(folded, axis=-1))


def inverse_mdct(coefficients: Any) -> Any:
    """The audio that has given MDCT coefficients, which may be any: the transpose of `mdct`.

    Args:
        coefficients: float array or tensor `[..., frames, bins]`, `bins` even, lowest frequency first.

    Returns:
        float32 array or tensor `[..., (frames + 1) * bins]`. Its `mdct` with `frame_step=bins` gives the coefficients,
        and its energy, the sum of squares, equals theirs. The inverse of `mdct(audio)` is `audio`, except for the first
        and the last `bins` samples. Only one frame covers these, so they are windowed and mixed with their mirror
        image.

    Raises:
        ValueError: `bins` is unknown or not even, or `coefficients` are not real.

    References:
        Princen and Bradley, "Analysis/synthesis filter bank design based on time domain aliasing cancellation",
        IEEE TASSP 34(5), 1986.

    Example:
        >>> import numpy as np
        >>> from sonikeras.signal.mdct import inverse_mdct
        >>> inverse_mdct(np.ones((128, 512), "float32")).shape
        (66048,)

        Audio that is padded to whole steps, and by one more step at both ends, is restored completely:

        >>> audio = np.sin(np.arange(22050, dtype="float32"))
        >>> padded = np.pad(audio, (512, 512 + -len(audio) % 512))
        >>> again = inverse_mdct(mdct(padded, frame_step=512))[512:][: len(audio)]
        >>> bool(np.abs(again - audio).max() < 1e-5)
        True
    """
    ops, coefficients = _float32("coefficients", coefficients)
    *leading, frames, bins = ops.shape(coefficients)
    check_even("bins", bins)
    first, second = ops.split(_dct_iv(coefficients), 2, axis=-1)
    silence = ops.zeros((*leading, 1, bins // 2), "float32")
    earlier = ops.concatenate([silence, -first], axis=-2)
    later = ops.concatenate([ops.flip(second, axis=-1), silence], axis=-2)
    first, second = _rotate(later, earlier, _window(bins), ops)
    blocks = ops.concatenate([ops.flip(first, axis=-1), second], axis=-1)
    return ops.reshape(blocks, (*leading, (frames + 1) * bins))


@functools.cache
def low_crest_signs(bins: int) -> np.ndarray:
    """Signs of MDCT coefficients that keep the peaks of the audio low: those of a chirp.

    With equal signs, all cosines of a frame peak at the same time. Phases `pi (k + 1/2)^2 / (2 bins)` delay each bin a
    little more than the one below, which spreads the energy over the frame. The signs of their cosines do the same.
    Crest factor (peak over root mean square) of the audio of an image, with 512 bins:

    | | these signs | random signs | equal signs |
    |---|---|---|---|
    | all white | 7 dB | 13 dB | 23 dB |
    | a photo | 11 dB | 14 dB | 26 dB |

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
    """The scale at which the audio of no image clips, given pixels in 0..1 and `low_crest_signs`.

    A sample is the sum of the products of pixels and the values of `2 * bins` cosines. In the worst case, all positive
    values meet white and all negative ones meet black, or the reverse. The values of one sign then add up to half the
    sum of all absolute values, at most `2 / pi * sqrt(bins)`, plus half the sample of an all-white image, which these
    signs keep small. The total stays below `2 / pi * sqrt(bins) + 1.5` for every even number of bins up to 2048. The
    scale is the largest power of two below the inverse of that bound, because such scaling is exact. For 512 bins it is
    1/16, and the worst image peaks at 0.956.

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


def magnitudes_to_audio(magnitudes: Any) -> Any:
    """The audio whose MDCT has the magnitudes of an image, with `low_crest_signs` and scaled by `amplitude`.

    Args:
        magnitudes: float array or tensor `[..., frames, bins]` in 0..1, `bins` even, lowest frequency first.

    Returns:
        float32 array or tensor `[..., (frames + 1) * bins]` in -1..1.

    Example:
        >>> import numpy as np
        >>> from sonikeras.signal.mdct import magnitudes_to_audio
        >>> magnitudes_to_audio(np.ones((128, 512), "float32")).shape
        (66048,)
    """
    bins = magnitudes.shape[-1]
    return inverse_mdct(magnitudes * (low_crest_signs(bins) * amplitude(bins)))


def audio_to_coefficients(audio: Any, *, frame_step: int) -> Any:
    """The MDCT of audio, scaled so that white has a magnitude of 1: the inverse of `magnitudes_to_audio`.

    Args:
        audio: As in `mdct`.
        frame_step: As in `mdct`.

    Returns:
        float32 array or tensor `[..., frames, frame_step]`, with signs.
    """
    return mdct(audio, frame_step=frame_step) / amplitude(frame_step)


def check_even(name: str, value: Any) -> int:
    """Raises a `ValueError` unless `value` is an even integer of at least 2. Returns it, plain."""
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 2 or value % 2:
        raise ValueError(f"`{name}` must be an even integer of at least 2. Received: {name}={value!r}")
    return value


def _float32(name: str, x: Any) -> tuple[Any, Any]:
    """The functions that compute with `x`, and `x` as float32."""
    check_real(f"`{name}`", x)
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
    # Stacked and transposed, because TensorFlow stacks slowly along the last axis.
    pairs = ops.swapaxes(ops.stack([even, -ops.flip(odd, axis=-1)], axis=-2), -1, -2)
    return ops.reshape(pairs, (*leading, size))


def _rotate(x: Any, y: Any, cosine_and_sine: tuple[np.ndarray, np.ndarray], ops: Any) -> tuple[Any, Any]:
    """The real and the imaginary part of `(x + i y) exp(-i angle)`."""
    cosine, sine = (ops.array(part, "float32") for part in cosine_and_sine)
    return x * cosine + y * sine, y * cosine - x * sine


@functools.cache
def _window(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The sine window from the middle of a block on, falling and rising, which rotates pairs of mirrored samples."""
    return _cosine_and_sine((np.arange(size // 2) + size // 2 + 0.5) / (2 * size))


@functools.cache
def _twiddle(size: int) -> tuple[np.ndarray, np.ndarray]:
    return _cosine_and_sine((np.arange(size // 2) + 1 / 8) / size, norm=(2 / size) ** 0.25)


def _cosine_and_sine(half_turns: np.ndarray, *, norm: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    angles = np.pi * half_turns
    return (norm * np.cos(angles)).astype(np.float32), (norm * np.sin(angles)).astype(np.float32)
