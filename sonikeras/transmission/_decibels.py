"""Gain and noise in decibels, for the channels and for augmentation: on NumPy arrays and on tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sonikeras.signal._backend import operations


def amplitude_ratio(db: Any) -> Any:
    """The ratio of amplitudes `10 ** (db / 20)`.

    Args:
        db: Number or float tensor.

    Example:
        >>> from sonikeras.transmission._decibels import amplitude_ratio
        >>> amplitude_ratio(20)
        10.0
    """
    if isinstance(db, int | float):
        return 10 ** (db / 20)
    return operations(db).exp(db * (math.log(10) / 20))


def apply_gain(audio: Any, db: Any) -> Any:
    """Audio at another volume. It is not clipped.

    Args:
        audio: float32 array or tensor `[samples]`.
        db: Number, or with a tensor also a float tensor: the gain.
    """
    return audio * amplitude_ratio(db)


def add_noise(audio: Any, noise: Any, snr: Any) -> Any:
    """Audio with noise added at a signal-to-noise ratio. Silence stays silent.

    Args:
        audio: float32 array or tensor `[samples]`.
        noise: float32 array or tensor `[samples]` of unit variance.
        snr: Number, or with tensors also a float tensor: the ratio of the mean powers in dB.
    """
    return audio + (_rms(audio) * amplitude_ratio(-snr)) * noise


def _rms(audio: Any) -> Any:
    """The root mean square: a Python float for an array, so that products stay float32."""
    if isinstance(audio, np.ndarray):
        return float(np.sqrt(np.mean(np.square(audio), dtype=np.float64)))
    xp = operations(audio)
    return xp.sqrt(xp.mean(xp.square(audio)))
