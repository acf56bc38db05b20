"""Examples under way, and their rows in the manifest."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any, NamedTuple

import numpy as np

from sonikeras.preparation._manifests import (
    Row,
    example_key,
)
from sonikeras.sources import Examples, records


class Problem(NamedTuple):
    """An image that cannot be read."""

    name: str
    message: str


class _Made(NamedTuple):
    sound: bytes
    picture: bytes | None
    convergence: float


@dataclasses.dataclass(frozen=True)
class _Once(Examples):
    """One example, which is read and decoded once, however often it is asked for."""

    kept: dict[str, Any] = dataclasses.field(default_factory=dict)

    def data(self, index: int) -> bytes:
        if "data" not in self.kept:
            self.kept["data"] = super().data(index)
        return self.kept["data"]

    def image(self, index: int, *, color: bool = False) -> np.ndarray:
        key = "color" if color else "gray"
        if key not in self.kept:
            self.kept[key] = super().image(index, color=color)
        return self.kept[key]


def _once(examples: Examples, index: int) -> _Once:
    one = examples.select([index])
    return _Once(**{field.name: getattr(one, field.name) for field in dataclasses.fields(one)})


def _key(split: str, examples: Examples, index: int) -> str:
    return example_key(split, examples.class_names[examples.labels[index]], examples.names[index])


def _row(
    split: str,
    example: Examples,
    checksum: str,
    sound: tuple[str, int, bytes],
    picture: tuple[str, int, bytes | None],
    convergence: float,
) -> Row:
    parts: list[Any] = []
    for name, offset, data in (sound, picture):
        parts += [name, offset, len(data or b""), _sha256(data) if data is not None else ""]
    class_name = example.class_names[example.labels[0]]
    return Row._make([split, class_name, example.names[0], checksum, *parts, _digits(convergence)])


def _row_of(split: str, entry: records.Entry, start: int = 0) -> Row:
    """The row of a record whose places count from `start`."""
    place, size = entry.picture or (0, 0)
    return Row(
        split=split,
        class_name=entry.class_name,
        name=entry.name,
        image_sha256=entry.image_sha256,
        sound=entry.path.name,
        sound_offset=start + entry.sound[0],
        sound_bytes=entry.sound[1],
        sound_sha256=entry.sound_sha256,
        picture=entry.path.name if entry.picture else "",
        picture_offset=start + place if entry.picture else 0,
        picture_bytes=size,
        picture_sha256=entry.picture_sha256,
        spectral_convergence=_digits(entry.spectral_convergence),
    )


def _digits(convergence: float) -> str:
    return f"{convergence:.6g}"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
