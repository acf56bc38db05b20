"""Stereo in which audio moves from left to right, as the scan of an image does, and its inverse."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from sonikeras.signal._backend import check_real, constant, operations

# In seconds, how long sound takes along the radius of a head: 8.75 cm at 343 m/s.
_HEAD = 0.0875 / 343


# Samples that the delayed audio is interpolated from, and the shape of their Kaiser window.
_TAPS = 16


_BETA = 7.0


def interaural_delay(azimuth: Any) -> Any:
    r"""How much later than at the near ear sound is at the far ear, by Woodworth's formula for a sphere.

    $$\tau = \tfrac{r}{c} (|\theta| + \sin |\theta|)$$

    Args:
        azimuth: Float or float array `theta` in radians: 0 is in front, and pi / 2 to the side.

    Returns:
        Seconds, of the same shape: up to 0.66 ms.

    References:
        Woodworth, "Experimental psychology", 1938.

    Example:
        >>> import math
        >>> from sonikeras.signal.panning import interaural_delay
        >>> round(float(1000 * interaural_delay(math.pi / 2)), 2)
        0.66
    """
    return _HEAD * (np.abs(azimuth) + np.sin(np.abs(azimuth)))


def pan(audio: Any, *, sample_rate: int) -> Any:
    """Moves mono audio from the left to the right, at a constant speed and with constant power.

    The direction shows in the level, by the sine and the cosine of half the angle, and in time: the far ear hears the
    audio later, as `interaural_delay` says. Both change smoothly. The near ear hears every sample as it is, so `unpan`
    restores the audio.

    Args:
        audio: float array or tensor `[..., samples]`, whose number of samples is static.
        sample_rate: Integer, samples per second.

    Returns:
        float32 array or tensor `[..., samples, 2]`, left and right.

    Raises:
        ValueError: `audio` is not real.

    References:
        Woodworth, "Experimental psychology", 1938.
        Laakso et al., "Splitting the unit delay", IEEE Signal Processing Magazine 13(1), 1996.

    Example:
        >>> import numpy as np
        >>> from sonikeras.signal.panning import pan
        >>> stereo = pan(np.ones(22050, "float32"), sample_rate=22050)
        >>> stereo.shape, bool(np.abs(stereo[11025] - 0.5**0.5).max() < 1e-3)
        ((22050, 2), True)
    """
    check_real("`audio`", audio)
    ops = operations(audio)
    audio = ops.cast(audio, "float32")
    samples = audio.shape[-1]
    first, weights = _delay(samples, sample_rate)
    padded = ops.pad(audio, [(0, 0)] * (len(audio.shape) - 1) + [(-int(first.min(initial=0)), _TAPS)])
    first = first - first.min(initial=0)
    late = sum(
        ops.take(padded, constant(first + tap, audio), axis=-1) * constant(weights[tap], audio) for tap in range(_TAPS)
    )
    left, right = (constant(gain, audio) for gain in _gains(samples, samples))
    from_left = constant(_from_left(samples, samples), audio)
    return ops.stack([left * ops.where(from_left, audio, late), right * ops.where(from_left, late, audio)], axis=-1)


def unpan(stereo: Any, *, panned: int | None = None) -> Any:
    """The mono audio of `pan`: at each sample what the near ear hears, at its original level.

    Args:
        stereo: float array or tensor `[..., samples, 2]`, from the first sample that `pan` returned.
        panned: Integer, the number of samples that `pan` returned. Further ones count as at the right. Defaults to
            `None`: those of `stereo`.

    Returns:
        float32 array or tensor `[..., samples]`.

    Raises:
        ValueError: `stereo` is not real.

    Example:
        >>> import numpy as np
        >>> from sonikeras.signal.panning import pan, unpan
        >>> audio = np.random.default_rng(0).normal(size=22050).astype("float32")
        >>> bool(np.abs(unpan(pan(audio, sample_rate=22050)) - audio).max() < 1e-6)
        True
    """
    check_real("`stereo`", stereo)
    ops = operations(stereo)
    stereo = ops.cast(stereo, "float32")
    samples = stereo.shape[-2]
    left, right = (constant(1 / gain, stereo) for gain in _gains(samples, panned or samples))
    from_left = constant(_from_left(samples, panned or samples), stereo)
    return ops.where(from_left, left * stereo[..., 0], right * stereo[..., 1])


def _progress(samples: int, whole: int) -> np.ndarray:
    """Where samples are between left and right, if a whole number of them is panned: in 0..1."""
    return np.minimum((np.arange(samples) + 0.5) / whole, 1)


@functools.lru_cache(maxsize=8)
def _from_left(samples: int, whole: int) -> np.ndarray:
    return _progress(samples, whole) < 0.5


@functools.lru_cache(maxsize=8)
def _gains(samples: int, whole: int) -> tuple[np.ndarray, np.ndarray]:
    """The factors of the left and the right channel. At either end one of them is almost 0."""
    angle = np.pi / 2 * _progress(samples, whole)
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


@functools.lru_cache(maxsize=2)
def _delay(samples: int, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Interpolation of delayed samples by a windowed sinc.

    Returns:
        `(first, weights)`: the first sample `[samples]` that each is interpolated from, and the weights
        `[_TAPS, samples]` of this and the following samples.
    """
    azimuth = np.pi * (_progress(samples, samples) - 0.5)
    position = np.arange(samples) - interaural_delay(azimuth) * sample_rate
    first = np.floor(position).astype(np.int32) - (_TAPS // 2 - 1)
    distance = first + np.arange(_TAPS)[:, None] - position
    window = np.i0(_BETA * np.sqrt(np.maximum(1 - (2 * distance / _TAPS) ** 2, 0))) / np.i0(_BETA)
    weights = np.sinc(distance) * window
    return first, (weights / weights.sum(axis=0)).astype(np.float32)
