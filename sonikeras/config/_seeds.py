"""Seeds: their check, and the random generator that a seed and a content decide together."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from sonikeras.config._checks import check_integer


def check_seed(seed: Any) -> int:
    """The seed as an `int`.

    Raises:
        ValueError: It is not an integer of at least 0.
    """
    return check_integer("seed", seed, minimum=0)


def generator(seed: int, content: bytes) -> np.random.Generator:
    """A random generator for one content, such as the pixels of an image or the samples of a waveform.

    The same seed and content give the same stream on every machine. Different contents give independent streams.

    Args:
        seed: Integer of at least 0.
        content: The bytes that the stream depends on, besides the seed.

    Example:
        >>> from sonikeras.config._seeds import generator
        >>> generator(0, b"cat").integers(100) == generator(0, b"cat").integers(100)
        np.True_
    """
    digest = hashlib.sha256(content).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "little")])
