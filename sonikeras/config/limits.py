"""Limits on files and configs, so that a small one cannot use all memory or time.

Each limit is checked before memory is allocated, and the error names it. `set` changes a limit for the process. An
environment variable such as `SONIKERAS_LIMIT_IMAGE_PIXELS` changes it when sonikeras is imported.

| limit | default | meaning |
|---|---|---|
| `image_pixels` | 67,108,864 | pixels of an image file, or of the `size` of `desonify`: 8192 x 8192 |
| `image_side` | 1,048,576 | pixels of the longer side of an image |
| `image_bytes` | 536,870,912 | bytes of an image file |
| `audio_samples` | 134,217,728 | samples per channel, decoded or after resampling: 50 min at 44.1 kHz |
| `audio_channels` | 256 | channels of an audio file |
| `audio_rate` | 1,000,000 | highest sample rate of an audio file or a config in Hz |
| `audio_rate_lowest` | 100 | lowest sample rate of an audio file in Hz |
| `config_bytes` | 1,048,576 | bytes of a config as JSON |
| `config_frames` | 1,048,576 | `frames` of a config |
| `config_transform` | 262,144 | frame and FFT lengths of a config |
| `config_cells` | 16,777,216 | bins times frames in the synthesis and the analysis of a config |
| `config_iterations` | 100,000 | `iterations` of a config |
| `oscillator_samples` | 4,294,967,296 | rows times samples of a config of oscillators |
| `oscillator_cells` | 134,217,728 | 2 x frames x rows^2 where `desonify` inverts oscillators; each takes 16 bytes |
| `picture_pixels` | 16,777,216 | pixels of the `picture_size` of a config |
"""

from __future__ import annotations

import os

_LIMITS = {
    "image_pixels": 2**26,
    "image_side": 2**20,
    "image_bytes": 2**29,
    "audio_samples": 2**27,
    "audio_channels": 256,
    "audio_rate": 1_000_000,
    "audio_rate_lowest": 100,
    "config_bytes": 2**20,
    "config_frames": 2**20,
    "config_transform": 2**18,
    "config_cells": 2**24,
    "config_iterations": 100_000,
    "oscillator_samples": 2**32,
    "oscillator_cells": 2**27,
    "picture_pixels": 2**24,
}


def get(name: str) -> int:
    """The value of a limit.

    Example:
        >>> from sonikeras import limits
        >>> limits.get("audio_channels")
        256
    """
    return _LIMITS[name]


def set(**values: int) -> None:
    """Changes limits.

    Args:
        **values: Positive integers by the names of limits.

    Raises:
        ValueError: A limit is unknown, or a value is not a positive integer.

    Example:
        >>> from sonikeras import limits
        >>> limits.set(audio_samples=2**27)
    """
    for name, value in values.items():
        if name not in _LIMITS:
            raise ValueError(f"Unknown limit. Allowed values: {list(_LIMITS)}. Received: {name}={value!r}")
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"`{name}` must be an integer of at least 1. Received: {name}={value!r}")
    _LIMITS.update(values)


def check(name: str, value: int, where: str) -> None:
    """Raises a `ValueError` if a value is beyond a limit. `where` names its owner in the error."""
    limit, lowest = _LIMITS[name], name.endswith("_lowest")
    if value < limit if lowest else value > limit:
        received = f"{value:,}" if value < 10**30 else "more than 10^30"
        raise ValueError(
            f"{where} must keep to the limit `{name}`: at {'least' if lowest else 'most'} {limit:,}. "
            f"`sonikeras.limits.set({name}=...)` changes it. Received: {received}"
        )


def _from_environment() -> None:
    for name in _LIMITS:
        text = os.environ.get(f"SONIKERAS_LIMIT_{name.upper()}")
        if text is not None:
            set(**{name: int(text) if text.isdecimal() else text})  # type: ignore[arg-type]


_from_environment()
