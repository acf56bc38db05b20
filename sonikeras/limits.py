"""How much a file or a config may ask for, so that a small one cannot take all memory.

Each limit is checked before memory is taken, and named in the error. `set` changes it for the process.
"""

from __future__ import annotations

from typing import Any

_LIMITS = {
    # Of an audio file.
    "audio_samples": 2**27,  # sample frames that are decoded, or that they become at another rate: 50 min at 44.1 kHz
    "audio_channels": 256,
    "audio_rate": 1_000_000,  # samples a second, also a config's
    # Of a config.
    "config_bytes": 2**20,  # of its JSON in a file's comment
    "config_frames": 2**20,  # time steps
    "config_transform": 2**18,  # length of a transform
    "config_cells": 2**24,  # frequency bins times time steps, of the synthesis and of the analysis
    "config_iterations": 100_000,
    "picture_pixels": 2**24,  # of the picture that is drawn
}


def get(name: str) -> int:
    """The limit of that name."""
    return _LIMITS[name]


def set(**values: int) -> None:
    """Changes limits, by their names."""
    _LIMITS.update(values)


def check(name: str, value: int, where: Any) -> None:
    """Raises a `ValueError` where a value is above a limit; `where` says where it comes from."""
    if value > _LIMITS[name]:
        raise ValueError(f"`{name}` must be at most {_LIMITS[name]}. Received: {value} in {where}")
