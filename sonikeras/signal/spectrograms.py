"""Audio to spectrogram: the short-time Fourier transform and decibels, on any backend of Keras.

On TensorFlow `keras.ops.stft` is `tf.signal.stft`, so these functions work in `tf.data`, in a graph and under XLA.
Conventions are librosa's: periodic window, centered frames with zeros beyond the ends, decibels relative to the loudest
bin of each example.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import ml_dtypes
import numpy as np

from sonikeras.config._checks import plain
from sonikeras.signal import _fourier as fourier
from sonikeras.signal._backend import check_real, is_litert_export, operations

Window = str | tuple[Any, ...]


# librosa's `amin`, the amplitude below which every level is the same.
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
    """The short-time Fourier transform, as `librosa.stft` with zeros beyond the ends.

    Args:
        audio: float32 or float64 tensor `[..., samples]`, of which the result has the precision.
        frame_length: Integer, length of the window in samples.
        frame_step: Integer, samples from one frame to the next.
        fft_length: Integer of at least `frame_length`, size of the transform; the window is centered in it.
        window: A window that `scipy.signal.get_window` knows: its name, or a tuple of its name and parameters. Defaults
            to `"hann"`.
        center: Boolean, whether frame `t` is centered at sample `t * frame_step`, with zeros beyond the ends. Otherwise
            it begins there. Defaults to `True`.
        padding: `"valid"` or `"same"`, and `center` is not asked: frames as a convolution has them, the window at the
            beginning of the transform. Valid ones lie within the sound; of the same there are
            `ceil(samples / frame_step)`, with zeros beyond the ends. Defaults to `None`.
        periodic: Boolean, whether the window is one for spectral analysis, or symmetric. Defaults to `True`.
        scaling: What the window is divided by: `"density"`, the square root of its sum of squares, `"spectrum"`, its
            sum, or `None`. Defaults to `None`.

    Returns:
        `(real, imaginary)`: float tensors `[..., frames, bins]`, where `bins = fft_length // 2 + 1` and, centered,
        `frames = 1 + samples // frame_step`.

    Example:
        >>> import numpy as np
        >>> tone = np.cos(2 * np.pi * np.arange(1024) * 8 / 256).astype("float32")
        >>> real, imaginary = stft(tone, frame_length=256, frame_step=64, fft_length=256)
        >>> real.shape, int(np.argmax(real[8]))
        (TensorShape([17, 129]), 8)
    """
    check_real("`audio`", audio)
    ops = operations(audio)
    frame_length, frame_step, fft_length = map(plain, (frame_length, frame_step, fft_length))
    values = analysis_window(window, frame_length, periodic=periodic, scaling=scaling)
    from keras import backend

    values = values.astype(backend.standardize_dtype(audio.dtype))
    before = after = fft_length // 2 if center and padding is None else 0
    if padding is not None:
        after = fft_length - frame_length  # what the transform reads and the window does not
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
        nothing = ops.zeros((*audio.shape[:-1], frames, fft_length // 2 + 1), values.dtype.name)
        return nothing, nothing
    return ops.stft(audio, frame_length, frame_step, fft_length, window=values, center=False)


def stft_power(audio: Any, **arguments: Any) -> Any:
    """Squared magnitudes of the short-time Fourier transform: arguments and shape are those of `stft`."""
    real, imaginary = stft(audio, **arguments)
    ops = operations(real)
    return ops.square(real) + ops.square(imaginary)


def power_to_amplitude(power: Any) -> Any:
    """The square root, with a gradient of 0 instead of NaN or infinity where there is silence.

    Silence is a power below the smallest normal number of single precision, an amplitude of 1e-19.
    """
    ops = operations(power)
    root = ops.sqrt(ops.where(power < _tiny(power), ops.stop_gradient(power), power))
    return ops.where(power <= 0, 0.0, root)


def phase(real: Any, imaginary: Any) -> Any:
    """The angle in radians, with a gradient of 0 instead of NaN or infinity where there is silence.

    Silence is a power below the smallest normal number of single precision, by which a gradient would be divided. The
    angle itself is right there too, unless both parts are 0.
    """
    ops = operations(real)
    faint = ops.square(real) + ops.square(imaginary) < _tiny(real)
    real, imaginary = (ops.where(faint, ops.stop_gradient(part), part) for part in (real, imaginary))
    silent = (real == 0) & (imaginary == 0)
    return ops.arctan2(ops.where(silent, 0.0, imaginary), ops.where(silent, 1.0, real))


def _tiny(x: Any) -> float:
    """The smallest normal number of single precision, or of a tensor's type if that knows none so small."""
    from keras import backend

    return max(2.0**-126, float(ml_dtypes.finfo(backend.standardize_dtype(x.dtype)).tiny))


def floor(x: Any, lowest: Any) -> Any:
    """`x` raised to `lowest`, in its own precision: on torch `keras.ops.maximum` makes float32 of float64."""
    return operations(x).where(x < lowest, lowest, x)


def power_to_db(power: Any, *, axis: tuple[int, ...], reference: str | float = "max", top_db: float | None = 80) -> Any:
    """Levels in decibels, as `librosa.amplitude_to_db` of the square root.

    Args:
        power: float tensor of squared magnitudes.
        axis: Axes that make up one example: they share a reference level.
        reference: `"max"`, the example's loudest bin is 0 dB, or a float, the amplitude that is 0 dB.
            Defaults to `"max"`.
        top_db: Float, range below the example's loudest bin; what is lower is raised to it. `None` for no limit.
            Defaults to 80.

    Returns:
        float tensor of the same shape, float32 where `power` is in half precision, which has no numbers as small as
        the powers of soft bins. Of silence all levels are equal.
    """
    ops = operations(power)
    from keras import backend

    power = ops.cast(power, backend.result_type(power.dtype, "float32"))
    db = 10 * ops.log10(floor(power, _AMIN**2))
    loudest = ops.max(db, axis=axis, keepdims=True, initial=-math.inf)  # of no examples there is no other
    if top_db is not None:  # of levels and not of powers, whose ratio has no place in a half-precision constant
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
    """The matrix that sums the powers of a transform's bins to bands.

    Args:
        frequency_scale: `"mel"`: what `librosa.filters.mel` gives, Slaney's bands of equal area. `"log"`: bands whose
            centers are evenly spaced in pitch from `min_freq` to `max_freq`, triangles from one center to the next,
            and at least from one bin of the transform to the next; each is a mean, its weights add up to 1.
        num_bins: Integer, number of bands.
        fft_length: Integer, size of the transform.
        sampling_rate: Float, samples a second.
        min_freq: Float, the lowest frequency in Hz; above 0 where the scale is `"log"`.
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
    """A window that `scipy.signal.get_window` knows, scaled as `stft` says: float64 `[length]`."""
    from scipy.signal import get_window

    values = get_window(window, length, fftbins=periodic)
    if scaling == "density":
        values = values / np.sqrt(np.sum(np.square(values)))
    elif scaling == "spectrum":
        values = values / np.sum(np.abs(values))
    return values


def periodic_window(window: Window, length: int) -> np.ndarray:
    """The window as it is, for spectral analysis: float32 `[length]`."""
    return analysis_window(window, length).astype(np.float32)
