"""Audio to spectrogram: the short-time Fourier transform and decibels, of arrays and of tensors on any Keras backend.

Arrays are transformed by NumPy. On TensorFlow `keras.ops.stft` is `tf.signal.stft`, so these functions also work in
`tf.data`, in a graph and under XLA. Conventions are those of librosa: periodic window, centered frames with zeros
beyond the ends, decibels relative to the loudest bin of each example.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import ml_dtypes
import numpy as np

from sonikeras.config._checks import plain
from sonikeras.signal import _fourier as fourier
from sonikeras.signal._backend import check_real, dtype_name, is_litert_export, operations

Window = str | tuple[Any, ...]


# librosa's `amin`, the smallest amplitude that is told apart in decibels.
_AMIN = 1e-5


def stft(
    audio: Any,
    *,
    frame_length: int,
    frame_step: int,
    fft_length: int,
    window: Window = "hann",
    center: bool = True,
    padding: str | None = None,
    periodic: bool = True,
    scaling: str | None = None,
) -> tuple[Any, Any]:
    """The short-time Fourier transform, equal to `librosa.stft` with zeros beyond the ends.

    Args:
        audio: float32 or float64 array or tensor `[..., samples]`. The result has the same precision.
        frame_length: Integer, length of the window in samples.
        frame_step: Integer, samples from one frame to the next.
        fft_length: Integer of at least `frame_length`, size of the transform. The window is centered in it.
        window: A window that `scipy.signal.get_window` knows: its name, or a tuple of its name and parameters. Defaults
            to `"hann"`.
        center: Boolean, whether frame `t` is centered at sample `t * frame_step`, with zeros beyond the ends. If
            `False`, it begins there. Defaults to `True`.
        padding: `None`, `"valid"` or `"same"`. The latter two place frames as a convolution does, with the window at
            the beginning of the transform, and ignore `center`. With `"valid"` all frames lie within the audio. With
            `"same"` there are `ceil(samples / frame_step)` frames, with zeros beyond the ends. Defaults to `None`.
        periodic: Boolean, whether the window is periodic, for spectral analysis, or symmetric. Defaults to `True`.
        scaling: What the window is divided by: `"density"`, the square root of its sum of squares; `"spectrum"`, its
            sum; or `None`. Defaults to `None`.

    Returns:
        `(real, imaginary)`: float arrays or tensors `[..., frames, bins]`, where `bins = fft_length // 2 + 1`. Centered
        frames number `1 + samples // frame_step`.

    Example:
        >>> import numpy as np
        >>> tone = np.cos(2 * np.pi * np.arange(1024) * 8 / 256).astype("float32")
        >>> real, imaginary = stft(tone, frame_length=256, frame_step=64, fft_length=256)
        >>> real.shape, int(np.argmax(real[8]))
        ((17, 129), 8)
    """
    check_real("`audio`", audio)
    ops = operations(audio)
    frame_length, frame_step, fft_length = map(plain, (frame_length, frame_step, fft_length))
    values = analysis_window(window, frame_length, periodic=periodic, scaling=scaling)
    values = values.astype(dtype_name(audio))
    before = after = fft_length // 2 if center and padding is None else 0
    if padding is not None:
        after = fft_length - frame_length  # samples that the transform reads and the window does not
        values, frame_length = np.pad(values, (0, after)), fft_length
    if padding == "same":
        samples = ops.shape(audio)[-1]
        missing = -(-samples // frame_step) * frame_step - frame_step + fft_length - after - samples
        missing = max(missing, 0) if isinstance(samples, int) else ops.maximum(missing, 0)
        before, after = missing // 2, after + missing - missing // 2
    if padding is not None or center:
        audio = ops.pad(audio, [(0, 0)] * (len(audio.shape) - 1) + [(before, after)])
    if fft_length & (fft_length - 1) and is_litert_export():
        import tensorflow as tf

        around = fft_length - frame_length
        values = np.pad(values, (around // 2, around - around // 2))
        return fourier.rfft(tf.signal.frame(audio, fft_length, frame_step) * values)
    if fourier.is_empty(audio):
        frames = 1 + (audio.shape[-1] - fft_length) // frame_step
        empty = ops.zeros((*audio.shape[:-1], frames, fft_length // 2 + 1), values.dtype.name)
        return empty, empty
    return ops.stft(audio, frame_length, frame_step, fft_length, window=values, center=False)


def stft_power(audio: Any, **arguments: Any) -> Any:
    """The squared magnitudes of `stft`, with its arguments and its shape."""
    real, imaginary = stft(audio, **arguments)
    ops = operations(real)
    return ops.square(real) + ops.square(imaginary)


def power_to_amplitude(power: Any) -> Any:
    """The square root, with a gradient of 0 instead of NaN or infinity where the audio is silent.

    Silent means a power below the smallest normal number of single precision, an amplitude of 1e-19.
    """
    ops = operations(power)
    root = ops.sqrt(ops.where(power < _tiny(power), ops.stop_gradient(power), power))
    return ops.where(power <= 0, 0.0, root)


def phase(real: Any, imaginary: Any) -> Any:
    """The angle in radians, with a gradient of 0 instead of NaN or infinity where the audio is silent.

    Silent means a power below the smallest normal number of single precision, by which a gradient would be divided.
    The angle itself is correct there too, unless both parts are 0.
    """
    ops = operations(real)
    faint = ops.square(real) + ops.square(imaginary) < _tiny(real)
    real, imaginary = (ops.where(faint, ops.stop_gradient(part), part) for part in (real, imaginary))
    silent = (real == 0) & (imaginary == 0)
    return ops.arctan2(ops.where(silent, 0.0, imaginary), ops.where(silent, 1.0, real))


def _tiny(x: Any) -> float:
    """The smallest normal number of single precision, or of the type of `x` if that is larger."""
    return max(2.0**-126, float(ml_dtypes.finfo(dtype_name(x)).tiny))


def floor(x: Any, lowest: Any) -> Any:
    """`x` raised to `lowest`, in its own precision: on torch `keras.ops.maximum` converts float64 to float32."""
    return operations(x).where(x < lowest, lowest, x)


def power_to_db(power: Any, *, axis: tuple[int, ...], reference: str | float = "max", top_db: float | None = 80) -> Any:
    """Decibels, equal to `librosa.amplitude_to_db` of the square root.

    Args:
        power: float array or tensor of squared magnitudes.
        axis: Axes that make up one example. Its bins share one reference.
        reference: `"max"`, the example's loudest bin is 0 dB, or a float, the amplitude that is 0 dB.
            Defaults to `"max"`.
        top_db: Float, range below the example's loudest bin; lower values are raised to its lower end. `None` for no
            limit. Defaults to 80.

    Returns:
        float array or tensor of the same shape. It is float32 where `power` is in half precision, which has no numbers
        as small as the powers of soft bins. All bins of a silent example have the same value.
    """
    ops = operations(power)
    power = ops.cast(power, "float64" if dtype_name(power) == "float64" else "float32")
    db = 10 * ops.log10(floor(power, _AMIN**2))
    loudest = ops.max(db, axis=axis, keepdims=True, initial=-math.inf)  # an empty batch has no other value
    if top_db is not None:  # in dB, since as a ratio of powers the range has no place in half precision
        db = floor(db, loudest - top_db)
    return db - (loudest if isinstance(reference, str) else 20 * math.log10(max(reference, _AMIN)))


def filter_bank(
    frequency_scale: str,
    *,
    num_bins: int,
    fft_length: int,
    sampling_rate: float,
    min_freq: float,
    max_freq: float,
) -> np.ndarray:
    """The matrix that sums the powers of a transform's bins to frequency bands.

    Args:
        frequency_scale: `"mel"` or `"log"`. Mel bands are those of `librosa.filters.mel`: Slaney's, of equal area. The
            centers of log bands are evenly spaced in pitch from `min_freq` to `max_freq`. Each band is a triangle from
            the center below to the center above, but at least one bin of the transform to either side. Its weights add
            up to 1, so that it is a mean.
        num_bins: Integer, number of bands.
        fft_length: Integer, size of the transform.
        sampling_rate: Float, samples per second.
        min_freq: Float, the lowest frequency in Hz. Must be above 0 with `"log"`.
        max_freq: Float, the highest frequency in Hz.

    Returns:
        Read-only float32 array `[fft_length // 2 + 1, num_bins]`.

    References:
        Slaney, "Auditory toolbox: a MATLAB toolbox for auditory modeling work", Interval Research, 1998.

    Example:
        >>> bank = filter_bank("log", num_bins=84, fft_length=2048, sampling_rate=22050, min_freq=33, max_freq=4000)
        >>> bank.shape, bool(abs(bank.sum(axis=0) - 1).max() < 1e-6)
        ((1025, 84), True)
    """
    return _filter_bank(frequency_scale, num_bins, fft_length, sampling_rate, min_freq, max_freq)


@functools.lru_cache(maxsize=16)
def _filter_bank(
    frequency_scale: str, num_bins: int, fft_length: int, sampling_rate: float, min_freq: float, max_freq: float
) -> np.ndarray:
    if frequency_scale == "mel":
        import librosa

        bank = librosa.filters.mel(
            sr=sampling_rate, n_fft=fft_length, n_mels=num_bins, fmin=min_freq, fmax=max_freq
        ).T.copy()
    else:
        centers = np.geomspace(min_freq, max_freq, num_bins)
        ratio = (max_freq / min_freq) ** (1 / max(num_bins - 1, 1))
        resolution = sampling_rate / fft_length
        distance = np.arange(fft_length // 2 + 1)[:, None] * resolution - centers
        below, above = (
            np.maximum(width, resolution) for width in (centers - centers / ratio, centers * ratio - centers)
        )
        bank = np.maximum(1 - np.abs(distance) / np.where(distance < 0, below, above), 0)
        bank = (bank / bank.sum(axis=0)).astype(np.float32)
    bank.flags.writeable = False
    return bank


@functools.cache
def analysis_window(window: Window, length: int, *, periodic: bool = True, scaling: str | None = None) -> np.ndarray:
    """A window that `scipy.signal.get_window` knows, scaled as `stft` describes: float64 `[length]`."""
    values = _common_window(window, length + periodic) if length > 1 else None
    if values is None:
        from scipy.signal import get_window

        values = get_window(window, length, fftbins=periodic)
    values = values[:length]
    if scaling == "density":
        values = values / np.sqrt(np.sum(np.square(values)))
    elif scaling == "spectrum":
        values = values / np.sum(np.abs(values))
    return values


# Sums of cosines: the coefficients of each window.
_COSINES = {"hann": (0.5, 0.5), "hamming": (0.54, 1 - 0.54), "blackman": (0.42, 0.5, 0.08), "boxcar": (1.0,)}


def _common_window(name: Window, length: int) -> np.ndarray | None:
    """A symmetric window, bit-identical to SciPy's, or `None`: `scipy.signal` takes half a second to import."""
    if isinstance(name, str) and name in _COSINES:
        angles = np.linspace(-np.pi, np.pi, length)
        return sum((weight * np.cos(k * angles) for k, weight in enumerate(_COSINES[name])), start=np.zeros(length))
    if name == "bartlett":
        n = np.arange(length)
        rising = 2.0 * n / (length - 1)
        return np.where(n <= (length - 1) / 2, rising, 2 - rising)
    return np.sin(np.pi / length * (np.arange(length) + 0.5)) if name == "cosine" else None


def periodic_window(window: Window, length: int) -> np.ndarray:
    """The periodic window, for spectral analysis, without scaling: float32 `[length]`."""
    return analysis_window(window, length).astype(np.float32)
