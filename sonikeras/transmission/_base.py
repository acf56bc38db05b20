"""The base class of channels, their registration, and chains of channels."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from sonikeras.config._checks import check_number

_Kind = TypeVar("_Kind", bound="type[Channel]")

#: The kinds of channels, by their names in specification strings.
KINDS: dict[str, type[Channel]] = {}


def register(name: str) -> Callable[[_Kind], _Kind]:
    """A decorator that registers a kind of channel under its name in specification strings."""

    def registered(kind: _Kind) -> _Kind:
        KINDS[name] = kind
        return kind

    return registered


@dataclasses.dataclass(frozen=True, kw_only=True)
class Channel(abc.ABC):
    """The base class of channels, through which audio is transmitted.

    `str(channel)` is the specification string of a channel, which `as_channel` reads. A subclass of yours is a channel
    too, but has no such string. NumPy scalars are converted to Python numbers.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.integer | np.floating):
                object.__setattr__(self, field.name, int(value) if isinstance(value, np.integer) else float(value))

    @abc.abstractmethod
    def __call__(self, audio: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        """The received audio.

        Args:
            audio: float32 array `[samples]` in -1..1.
            sample_rate: Integer, the sample rate in Hz.
            rng: The source of randomness.

        Returns:
            float32 array `[samples]`, time-aligned with `audio`. Samples may lie beyond -1..1.
        """

    def __str__(self) -> str:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        settings = ",".join(f"{name}={repr(value).removesuffix('.0')}" for name, value in values.items())
        name = next((name for name, kind in KINDS.items() if kind is type(self)), type(self).__name__)
        return f"{name}({settings})" if settings else name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chain(Channel):
    """Channels in sequence.

    Args:
        channels: Tuple of at least one channel.
    """

    channels: tuple[Channel, ...]

    def __post_init__(self) -> None:
        known = isinstance(self.channels, tuple) and all(isinstance(channel, Channel) for channel in self.channels)
        if not known or not self.channels:
            raise ValueError(
                f"`channels` must be a tuple of at least one Channel. Received: channels={self.channels!r}"
            )

    def __call__(self, audio: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        for channel in self.channels:
            audio = channel(audio, sample_rate, rng)
        return audio

    def __str__(self) -> str:
        return "+".join(map(str, self.channels))


def check_db(name: str, value: float) -> None:
    check_number(name, value, "a number of dB in -200..200", lambda db: -200 <= db <= 200)
