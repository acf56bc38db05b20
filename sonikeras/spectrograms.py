"""Audio to spectrogram: the short-time Fourier transform and decibels, on any backend of Keras.

On TensorFlow `keras.ops.stft` is `tf.signal.stft`, so these functions work in `tf.data`, in a graph and under XLA.
Conventions are librosa's: periodic window, centred frames with zeros beyond the ends, decibels relative to the loudest
bin of each example.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from sonikeras.operations import operations

# librosa's `amin`, the amplitude below which every level is the same.
_AMIN = 1e-5


def stft(
    audio: Any, *, frame_length: int, frame_step: int, fft_length: int, window: str = "hann", center: bool = True
) -> tuple[Any, Any]:
    """The short-time Fourier transform, as `librosa.stft` with zeros beyond the ends.

    Args:
        audio: float tensor `[..., samples]`.
        frame_length: Integer, length of the window in samples.
        frame_step: Integer, samples from one frame to the next.
        fft_length: Integer of at least `frame_length`, size of the transform; the window is centred in it.
        window: String, name of a window that `scipy.signal.get_window` knows. Defaults to `"hann"`.
        center: Boolean, whether frame `t` is centred at sample `t * frame_step`, with zeros beyond the ends. Otherwise
            it begins there. Defaults to `True`.

    Returns:
        `(real, imaginary)`: float tensors `[..., frames, bins]`, where `bins = fft_length // 2 + 1` and, centred,
        `frames = 1 + samples // frame_step`.

    Example:
        >>> import numpy as np
        >>> tone = np.cos(2 * np.pi * np.arange(1024) * 8 / 256).astype("float32")
        >>> real, imaginary = stft(tone, frame_length=256, frame_step=64, fft_length=256)
        >>> real.shape, int(np.argmax(real[8]))
        (TensorShape([17, 129]), 8)
    """
    ops = operations(audio)
    if center:
        half = fft_length // 2
        audio = ops.pad(audio, [(0, 0)] * (len(audio.shape) - 1) + [(half, half)])
    return ops.stft(
        audio, frame_length, frame_step, fft_length, window=periodic_window(window, frame_length), center=False
    )


def stft_power(
    audio: Any, *, frame_length: int, frame_step: int, fft_length: int, window: str = "hann", center: bool = True
) -> Any:
    """Squared magnitudes of the short-time Fourier transform: arguments and shape are those of `stft`."""
    real, imaginary = stft(
        audio, frame_length=frame_length, frame_step=frame_step, fft_length=fft_length, window=window, center=center
    )
    ops = operations(real)
    return ops.square(real) + ops.square(imaginary)


def power_to_amplitude(power: Any) -> Any:
    """The square root, with a gradient of 0 instead of NaN where there is silence."""
    ops = operations(power)
    silent = power <= 0
    return ops.where(silent, 0.0, ops.sqrt(ops.where(silent, 1.0, power)))


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
        float tensor of the same shape. Of silence all levels are equal.
    """
    ops = operations(power)
    power = ops.maximum(power, _AMIN**2)
    loudest = ops.max(power, axis=axis, keepdims=True)
    zero_db = loudest if reference == "max" else ops.maximum(ops.square(ops.cast(reference, power.dtype)), _AMIN**2)
    if top_db is not None:
        power = ops.maximum(power, loudest * 10 ** (-top_db / 10))
    return 10 * (ops.log10(power) - ops.log10(zero_db))


@functools.cache
def periodic_window(name: str, length: int) -> np.ndarray:
    """A window that `scipy.signal.get_window` knows, as for spectral analysis: float32 `[length]`."""
    from scipy.signal import get_window

    return get_window(name, length, fftbins=True).astype(np.float32)
