"""One example of a preparation: its image, its key, and its row in the manifest."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np

from sonikeras.config import SonificationConfig
from sonikeras.preparation._manifests import Row, example_key
from sonikeras.sources import Examples, records

_T = TypeVar("_T")


class Unreadable(NamedTuple):
    """An image that cannot be read, and the message of the error."""

    name: str
    message: str


class Content(NamedTuple):
    """What is written for one example: the bytes of its files, and the spectral convergence of its audio."""

    audio: bytes
    picture: bytes | None
    convergence: float


@dataclasses.dataclass(frozen=True)
class SingleExample(Examples):
    """One example, whose image is read and decoded only once."""

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

    def image_of(self, config: SonificationConfig) -> Callable[[int], np.ndarray]:
        """`image`, in color if the config carries colors."""
        return functools.partial(self.image, color=config.color != "gray")


def single_example(examples: Examples, index: int) -> SingleExample:
    """The example at an index."""
    one = examples.select([index])
    return SingleExample(**{field.name: getattr(one, field.name) for field in dataclasses.fields(one)})


def try_reading(example: Examples, method: Callable[[int], _T], on_error: str) -> _T | Unreadable:
    """What a method of an example reads, or with `on_error="skip"` an `Unreadable`.

    Nothing else is called in here: other errors are not due to the image, and are raised.
    """
    try:
        return method(0)
    except (OSError, ValueError) as error:
        if on_error == "raise":
            raise
        return Unreadable(example.describe(0), str(error))


def key_of(split: str, examples: Examples, index: int) -> str:
    """The key of the example at an index."""
    return example_key(split, examples.class_names[examples.labels[index]], examples.names[index])


def row_of_files(
    split: str,
    example: Examples,
    checksum: str,
    audio: tuple[str, bytes],
    picture: tuple[str, bytes | None],
    convergence: float,
) -> Row:
    """The row of an example with files of its own.

    Args:
        split: Name of the split.
        example: `Examples` with one example.
        checksum: SHA-256 of the image.
        audio: Name and bytes of the audio file.
        picture: Name and bytes of the picture file: `""` and `None` if there is none.
        convergence: Float, the spectral convergence.
    """
    columns: list[Any] = []
    for name, data in (audio, picture):
        columns += [name, 0, len(data or b""), sha256(data) if data is not None else ""]
    class_name = example.class_names[example.labels[0]]
    return Row._make([split, class_name, example.names[0], checksum, *columns, _digits(convergence)])


def row_of_record(split: str, entry: records.Entry, start: int = 0) -> Row:
    """The row of a record. `start` is added to its offsets."""
    offset, length = entry.picture or (0, 0)
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
        picture_offset=start + offset if entry.picture else 0,
        picture_bytes=length,
        picture_sha256=entry.picture_sha256,
        spectral_convergence=_digits(entry.spectral_convergence),
    )


def _digits(convergence: float) -> str:
    return f"{convergence:.6g}"


def sha256(data: bytes) -> str:
    """The SHA-256 of bytes, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
