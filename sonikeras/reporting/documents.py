"""A document as a list of blocks. `sonikeras.reporting.html` and `sonikeras.reporting.markdown` write it.

All texts are plain text: HTML or Markdown in them is shown, not interpreted.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np

from sonikeras.config._files import as_utf8, safe_names

EMPTY_TABLE = "there is nothing to show"


@dataclasses.dataclass(frozen=True)
class Heading:
    """A heading. The title of the document is the heading of level 1."""

    text: str
    level: int = 2


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclasses.dataclass(frozen=True)
class Note:
    """A paragraph that a reader must not miss."""

    text: str


@dataclasses.dataclass(frozen=True)
class Code:
    """A command or other lines of code."""

    text: str


@dataclasses.dataclass(frozen=True)
class Table:
    """A table. The first column names the rows. `caption` says what the table shows; an empty one is replaced by it."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Picture:
    """A PNG file. `name` is its file name without the suffix, `alt` its description for readers who cannot see it."""

    name: str
    data: bytes = dataclasses.field(repr=False)
    alt: str
    caption: str = ""


@dataclasses.dataclass(frozen=True)
class AudioClip:
    """A FLAC file with a player."""

    label: str
    data: bytes = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class Gallery:
    """Cards side by side. Each card is a list of blocks."""

    cards: Sequence[Sequence[Block]]


@dataclasses.dataclass(frozen=True)
class Details:
    """Blocks that are hidden until the reader opens them."""

    summary: str
    blocks: Sequence[Block]


Block: TypeAlias = Heading | Text | Note | Code | Table | Picture | AudioClip | Gallery | Details


def flat(blocks: Sequence[Block]) -> Iterator[Block]:
    """All blocks in reading order, those inside galleries and details included."""
    for block in blocks:
        yield block
        if isinstance(block, Details):
            yield from flat(block.blocks)
        elif isinstance(block, Gallery):
            for card in block.cards:
                yield from flat(card)


def visible(text: str) -> str:
    """The text with control characters and undecodable bytes as escape sequences."""
    text = "".join(repr(c)[1:-1] if ord(c) < 32 and c not in "\n\t" or 127 <= ord(c) < 160 else c for c in text)
    return as_utf8(text)


def file_name(name: str) -> str:
    """The file name of a picture."""
    return f"{safe_names([name])[0]}.png"


def png(image: np.ndarray, *, side: int | None = None) -> bytes:
    r"""Encodes an image as a PNG file.

    Args:
        image: uint8 array `[height, width]` or `[height, width, 3]` (RGB).
        side: Integer, the longest side in pixels. Larger images are reduced to it. Smaller images are enlarged by the
            largest whole factor that fits, without interpolation. Defaults to `None`: the size is kept.

    Returns:
        Bytes.

    Example:
        >>> import numpy as np
        >>> from sonikeras.reporting.documents import png
        >>> png(np.zeros((400, 200), "uint8"), side=100)[:4]
        b'\x89PNG'
    """
    from PIL import Image

    picture, data = Image.fromarray(image), io.BytesIO()
    if side is not None:
        picture.thumbnail((side, side))
        factor = side // max(picture.size)
        picture = picture.resize((factor * picture.width, factor * picture.height), Image.Resampling.NEAREST)
    picture.save(data, "png", optimize=True)
    return data.getvalue()
