"""FLAC files: their comments, and their length if the header does not state it.

The format is [RFC 9639](https://www.rfc-editor.org/rfc/rfc9639).
"""

from __future__ import annotations

import functools
from typing import BinaryIO

from sonikeras.sources._pieces import Container, Stream, Unreadable, before_tags, read_at


def flac_container(file: BinaryIO, start: int, size: int) -> Container:
    size = before_tags(file, start, size)
    position, last = start + 4, False
    info = b""
    comments: list[bytes] = []
    while not last:
        head = read_at(file, position, 4)
        if len(head) < 4:
            raise Unreadable("no audio")
        last, kind, length = bool(head[0] & 128), head[0] & 127, int.from_bytes(head[1:], "big")
        position += 4
        if kind == 0 and not info:
            place, info = position, read_at(file, position, 34)
        elif kind == 4:
            comments += _vorbis_comments(read_at(file, position, length))
        position += length
    if len(info) < 34:
        raise Unreadable("no stream information")
    fields = int.from_bytes(info[10:18], "big")
    if fields % 2**36:  # the number of samples
        return Container(Stream(file, (start, size)), comments=comments)
    # The decoder needs the length, which follows from the last frame.
    tail = max(position, size - 2**22)  # longer than any frame
    total = _flac_samples(read_at(file, tail, size - tail), int.from_bytes(info[2:4], "big"))
    head = read_at(file, start, place + 10 - start) + (fields + (total or 0)).to_bytes(8, "big")
    return Container(Stream(file, head, (place + 18, size)), total is None, comments)


def _vorbis_comments(block: bytes) -> list[bytes]:
    """The comments in a block of FLAC or Ogg."""
    position = 4 + int.from_bytes(block[:4], "little")
    count = int.from_bytes(block[position : position + 4], "little")
    position += 4
    found = []
    for _ in range(count):
        length = int.from_bytes(block[position : position + 4], "little")
        entry = block[position + 4 : position + 4 + length]
        position += 4 + length
        if position > len(block):
            break
        name, _, value = entry.partition(b"=")
        if name.upper() in (b"COMMENT", b"DESCRIPTION"):
            found.append(value)
    return found


def _flac_samples(tail: bytes, block: int) -> int | None:
    """The number of samples of a FLAC stream by its last frame, or `None` if that is incomplete."""
    position = len(tail)
    while (position := tail.rfind(b"\xff", 0, position)) >= 0:
        end = _flac_frame(tail[position : position + 16], block)
        if end is not None and _crc(tail[position:], 16, 0x8005) == 0:
            return end
    return None


def _flac_frame(head: bytes, block: int) -> int | None:
    """The number of the sample after a frame, or `None` if this is not the header of a frame."""
    if len(head) < 6 or head[1] & 0xFE != 0xF8 or head[2] >> 4 == 0 or head[2] & 15 == 15 or head[3] & 1:
        return None
    # The number of the first sample, or of the frame, is coded like a character in UTF-8, in up to 7 bytes.
    ones = 8 - (head[4] ^ 0xFF).bit_length()
    extra = max(ones - 1, 0)
    number = head[4] & (0x7F >> ones)
    for byte in head[5 : 5 + extra]:
        number = number << 6 | byte & 63
    position = 5 + extra
    code = head[2] >> 4
    width = {6: 1, 7: 2}.get(code, 0)
    count = int.from_bytes(head[position : position + width], "big") + 1
    if not width:
        count = 192 if code == 1 else 576 << (code - 2) if code < 6 else 256 << (code - 8)
    position += width + {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if ones == 1 or _crc(head[: position + 1], 8, 0x07):
        return None
    return number + count if head[1] & 1 else number * block + count


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    """The cyclic redundancy check of data. It is 0 for data that end with their own check."""
    table = _table(bits, polynomial)
    remainder, mask = 0, 2**bits - 1
    for byte in data:
        remainder = (remainder << 8 & mask) ^ table[(remainder >> (bits - 8)) ^ byte]
    return remainder


@functools.cache
def _table(bits: int, polynomial: int) -> list[int]:
    table = []
    for byte in range(256):
        remainder = byte << (bits - 8)
        for _ in range(8):
            remainder = (remainder << 1) ^ (polynomial | 1 << bits if remainder >> (bits - 1) else 0)
        table.append(remainder)
    return table
