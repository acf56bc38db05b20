"""Audio files in pieces: what the decoder is given of a file, and the tags around it."""

from __future__ import annotations

import bisect
import dataclasses
import functools
import io
import itertools
from collections.abc import Callable
from typing import Any, BinaryIO

LONGEST_COMMENT = 2**24  # bytes that are looked at: as many as a block of FLAC can hold


# From the sample rate to how many sample frames are needed, or `None`: all.
Needed = Callable[[int], int | None]


class Unreadable(ValueError):
    """A file is no audio, damaged or cut. The message says how; the file's name is for who knows it to add."""


@dataclasses.dataclass(frozen=True)
class Container:
    """What a file says of itself.

    Attributes:
        stream: File for the decoder, with sizes that are right.
        cut: Boolean, whether the header states more than the file holds.
        comments: The comments, or `None` where only the decoder knows them.
        frames: Integer, sample frames that must come out, or `None` where the decoder knows.
        skip: Integer, so many come out before them, which are none of the file's.
        media: Boolean, whether it is a format that libsndfile does not know.
    """

    stream: Stream
    cut: bool = False
    comments: list[bytes] | None = None
    frames: int | None = None
    skip: int = 0
    media: bool = False


class Stream(io.RawIOBase):
    """Pieces of a file, and bytes between them, as a file of their own.

    Args:
        file: Binary file that can seek.
        pieces: For each piece its bytes, or where it begins and ends in the file.
    """

    def __init__(self, file: BinaryIO, *pieces: bytes | tuple[int, int]) -> None:
        self._file = file
        self._pieces = [piece for piece in pieces if isinstance(piece, bytes) or piece[0] < piece[1]]
        lengths = [len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in self._pieces]
        self._ends = list(itertools.accumulate(lengths))
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        size = self._ends[-1] if self._ends else 0
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: size}[whence]
        self._position = max(origin + offset, 0)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fills the buffer, unless the end comes first: the decoder takes less for the end."""
        view = memoryview(buffer).cast("B")
        done = 0
        index = bisect.bisect_right(self._ends, self._position)
        while done < len(view) and index < len(self._pieces):
            piece, left = self._pieces[index], self._ends[index] - self._position
            wanted = min(len(view) - done, left)
            if isinstance(piece, bytes):
                data = piece[len(piece) - left :][:wanted]
            else:
                self._file.seek(piece[1] - left)
                data = self._file.read(wanted)
            view[done : done + len(data)] = data
            done += len(data)
            self._position += len(data)
            if len(data) < wanted:
                break
            index += len(data) == left
        return done


def read_at(file: BinaryIO, start: int, count: int) -> bytes:
    """Bytes of a file, or fewer where it ends before: none where a damaged header points behind any file."""
    if not 0 <= start < 2**62 or count <= 0:
        return b""
    file.seek(start)
    return file.read(count)


def after_tags(file: BinaryIO, start: int, size: int) -> int:
    """Where a file goes on after the ID3 tags that may stand there."""
    while len(head := read_at(file, start, 10)) == 10 and head[:3] in (b"ID3", b"TAG"):
        start += 128 if head[:3] == b"TAG" else 10 + _syncsafe(head[6:]) + (10 if head[5] & 16 else 0)
    return min(start, size)


def before_tags(file: BinaryIO, start: int, size: int) -> int:
    """Where a file ends before the tags at its end: ID3, APE, Lyrics3."""
    while size - start > 128:
        tail = read_at(file, size - 32, 32)
        if read_at(file, size - 128, 3) == b"TAG":
            length = 128
        elif tail[:8] == b"APETAGEX":
            length = int.from_bytes(tail[12:16], "little") + (32 if tail[23] & 128 else 0)
        elif tail[-9:] == b"LYRICS200" and tail[-15:-9].isdigit():
            length = 15 + int(tail[-15:-9])
        elif tail[-10:-7] == b"3DI":
            length = 20 + _syncsafe(tail[-4:])
        else:
            break
        if not 0 < length <= size - start:
            break
        size -= length
    return size


def _syncsafe(data: bytes) -> int:
    return functools.reduce(lambda number, byte: number << 7 | byte & 127, data, 0)
