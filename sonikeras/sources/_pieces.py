"""Parts of audio files: the stream for the decoder, and the tags around it."""

from __future__ import annotations

import bisect
import dataclasses
import functools
import io
import itertools
from collections.abc import Callable
from typing import Any, BinaryIO

LONGEST_COMMENT = 2**24  # bytes: the size of the largest FLAC block


# A function from the sample rate to the number of sample frames that are needed, or `None` for all.
Needed = Callable[[int], int | None]


class Unreadable(ValueError):
    """A file is not audio, damaged or truncated. The message gives the reason. The caller adds the name of the file."""


@dataclasses.dataclass(frozen=True)
class Container:
    """The contents of an audio file, for the decoder.

    Attributes:
        stream: File for the decoder, with correct sizes.
        cut: Boolean, whether the file is truncated.
        comments: The comments, or `None` if only the decoder can read them.
        frames: Integer, the number of sample frames, or `None` if only the decoder knows it.
        skip: Integer, the number of sample frames that the decoder returns before them.
        media: Boolean, whether libsndfile does not support the format.
    """

    stream: Stream
    cut: bool = False
    comments: list[bytes] | None = None
    frames: int | None = None
    skip: int = 0
    media: bool = False


class Stream(io.RawIOBase):
    """Parts of a file, with bytes between them, as a file.

    Args:
        file: Seekable binary file.
        pieces: The parts: bytes, or (start, end) in the file.
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
        """Fills the buffer up to the end of the file: for the decoder, fewer bytes mean the end."""
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
    """Bytes of a file, or fewer at its end. A position that no file can have gives none."""
    if not 0 <= start < 2**62 or count <= 0:
        return b""
    file.seek(start)
    return file.read(count)


def after_tags(file: BinaryIO, start: int, size: int) -> int:
    """The position after ID3 tags at the start of a file."""
    while len(head := read_at(file, start, 10)) == 10 and head[:3] in (b"ID3", b"TAG"):
        start += 128 if head[:3] == b"TAG" else 10 + _syncsafe(head[6:]) + (10 if head[5] & 16 else 0)
    return min(start, size)


def before_tags(file: BinaryIO, start: int, size: int) -> int:
    """The position before ID3, APE and Lyrics3 tags at the end of a file."""
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
