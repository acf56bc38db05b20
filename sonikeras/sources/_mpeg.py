"""MPEG audio, layers I to III: the frames in a file, and their number.

Frame headers are those of ISO/IEC 11172-3 and 13818-3. The Xing, Info and VBRI headers have no standard.
"""

from __future__ import annotations

import dataclasses
import struct
from typing import BinaryIO

from sonikeras.sources._pieces import (
    LONGEST_COMMENT,
    Container,
    Needed,
    Stream,
    Unreadable,
    after_tags,
    before_tags,
    read_at,
)

_SEARCHED = 2**20  # bytes to search for the next frame


# Bit rates in kbit/s by their code: MPEG-1, layers I to III; and MPEG-2, layer I and layers II and III.
_BIT_RATES = {
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


@dataclasses.dataclass(frozen=True)
class _Frame:
    """The header of an MPEG audio frame."""

    kind: int  # version, layer and sample rate, equal in all frames of a stream
    layer: int
    rate: int  # sample rate in Hz
    samples: int
    length: int  # in bytes; 0 for free bit rates
    padding: int  # bytes of padding in this length
    tag: int  # position of a Xing header in the first frame


def _frame(head: bytes) -> _Frame | None:
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer, code, rate = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3), head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or code == 15 or rate == 3:
        return None
    newest = version == 3  # MPEG-1; the others are MPEG-2 and its extension to lower sample rates
    hertz = (44100, 48000, 32000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    kbps = _BIT_RATES[newest, layer if newest else min(layer, 2)][code]
    slot = 4 if layer == 1 else 1
    padding = (head[2] >> 1 & 1) * slot
    samples = 384 if layer == 1 else 1152 if layer == 2 or newest else 576
    length = samples * kbps * 125 // hertz // slot * slot + padding if code else 0
    mono = head[3] >> 6 == 3
    side = (17 if mono else 32) if newest else (9 if mono else 17)
    return _Frame(head[1] & 0x1E | rate << 8, layer, hertz, samples, length, padding, 4 + side)


def _walk(
    file: BinaryIO, position: int, stop: int, *, kind: int | None = None, most: int | None = None
) -> tuple[int, int]:
    """The number of consecutive complete frames of one kind from a position on, and their end."""
    free = count = 0
    while most is None or count < most:
        head = _frame(read_at(file, position, 4))
        if head is None or kind not in (None, head.kind):
            break
        kind = head.kind
        if not head.length and not free:
            free = _free_length(read_at(file, position, 2**13), head)
        length = head.length or free + head.padding
        if length <= 4 or position + length > stop:
            break
        position += length
        count += 1
    return count, position


def _free_length(data: bytes, head: _Frame) -> int:
    """The length of a frame with a free bit rate, without padding, by the next frame. 0 if there is none."""
    position = 24
    while (position := data.find(b"\xff", position)) >= 0:
        other = _frame(data[position : position + 4])
        if other is not None and other.kind == head.kind and not other.length:
            return position - head.padding
        position += 1
    return 0


def _kind(file: BinaryIO, position: int) -> int:
    head = _frame(read_at(file, position, 4))
    return -1 if head is None else head.kind


def _next_frame(file: BinaryIO, start: int, stop: int) -> int | None:
    """The start of the next three consecutive frames of a kind, or of fewer frames at the end."""
    data = read_at(file, start, min(_SEARCHED, stop - start))
    position = -1
    while (position := data.find(b"\xff", position + 1)) >= 0:
        if _frame(data[position : position + 4]):
            count, end = _walk(file, start + position, stop, most=3)
            if count == 3 or (count and end == stop):
                return start + position
    return None


@dataclasses.dataclass(frozen=True)
class _Tag:
    """A Xing, Info or VBRI header in the first frame, about the frames after it.

    Attributes:
        frames: Integer, their number, or 0 if it is not stated.
        bytes: Integer, the length of all frames including the first, or 0 if it is not stated.
        place: Integer, the position of the number in the frame, or `None` in a header that the decoder ignores.
    """

    frames: int = 0
    bytes: int = 0
    place: int | None = None


def _tag(data: bytes, first: _Frame) -> _Tag | None:
    if data[36:40] == b"VBRI":
        return _Tag(int.from_bytes(data[50:54], "big"), int.from_bytes(data[46:50], "big"))
    if first.layer != 3 or data[first.tag : first.tag + 4] not in (b"Xing", b"Info"):
        return None
    flags = data[first.tag + 7]
    values = [int.from_bytes(data[first.tag + at : first.tag + at + 4], "big") for at in (8, 12)]
    frames = values.pop(0) if flags & 1 else 0
    return _Tag(frames, values[0] if flags & 2 else 0, first.tag + 8 if flags & 1 else None)


def _xing(head: bytes, first: _Frame, count: int) -> tuple[bytes, int]:
    """Frames that state the number of the following ones, and how many samples the decoder returns for them."""
    # A medium bit rate has room for the header. No checksum.
    head = bytes([head[0], head[1] | 1, 8 << 4 | head[2] & 0b1100, head[3]])
    known = _frame(head)
    assert known is not None
    xing = head.ljust(first.tag, b"\0") + struct.pack(">4sII", b"Xing", 1, count + 1)
    # A silent frame follows, since the decoder drops its own delay of 529 samples after such a header.
    return xing.ljust(known.length, b"\0") + head.ljust(known.length, b"\0"), first.samples - 529


def mpeg_container(file: BinaryIO, start: int, size: int, needed: Needed = lambda rate: None) -> Container | None:
    """MPEG audio of layers I to III, with any data before, between and after its frames."""
    stop = before_tags(file, start, size)
    place = start if _walk(file, start, stop, most=1)[0] else _next_frame(file, start, stop)
    if place is None:
        return None
    data = read_at(file, place, 2**13)
    first = _frame(data)
    assert first is not None
    # Tags before it are kept, since the decoder reads their comment.
    tags = read_at(file, 0, start) if start <= LONGEST_COMMENT and read_at(file, 0, 3) == b"ID3" else b""
    tag = _tag(data, first)
    wanted = needed(first.rate)
    complete = tag is not None and 0 < tag.bytes <= size - place
    enough = tag is not None and wanted is not None and tag.frames * first.samples > wanted + 2**12
    if tag is not None and tag.place is not None and complete and enough:
        return Container(Stream(file, tags, (place, stop)))
    # Count the frames: all of them if the tag states their number, otherwise no more than are needed.
    most = None if wanted is None or tag is not None else wanted // first.samples + 16
    behind = place if tag is None else _walk(file, place, stop, most=1)[1]
    pieces: list[tuple[int, int]] = []
    count = 0
    begin: int | None = behind
    while begin is not None and (most is None or count < most):
        found, end = _walk(file, begin, stop, kind=first.kind, most=None if most is None else most - count)
        pieces.append((begin, end))
        count += found
        begin = _next_frame(file, after_tags(file, end, stop), stop)
        if begin is not None and _kind(file, begin) != first.kind:
            raise Unreadable("its sample rate or layer changes")
    cut = tag is not None and tag.frames > count + complete  # some encoders also count the frame of the tag
    if tag is not None and tag.place is not None and tag.frames + 1 >= count:
        # The number of frames determines how much of the last one the decoder returns.
        header = data[: tag.place] + count.to_bytes(4, "big") + data[tag.place + 4 : behind - place]
        return Container(Stream(file, tags, header, *pieces), cut)
    # Without a tag, the decoder would assume the bit rate of the first frame for all frames, and stop too early or
    # expect more. A tag with too few frames remains from before files were joined.
    header, skip = _xing(data, first, count) if first.layer == 3 else (b"", 0)
    return Container(Stream(file, tags, header, *pieces), cut, frames=count * first.samples, skip=skip)
