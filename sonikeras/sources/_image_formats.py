"""Image formats: signatures, orientation, transparency, and checks that a file is complete and not too large."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

import numpy as np

from sonikeras.config import limits

_MOST_TEXT = 2**20  # bytes of a compressed text in a PNG file that are read


class _TooLarge(ValueError):
    """The image has more pixels than the limit."""


_COPIES = ("WEBP", "AVIF", "JPEG2000")  # their decoders store the pixels more than once


def _check_pixels(kind: str, width: int, height: int, name: str) -> None:
    most, longest = limits.get("image_pixels"), limits.get("image_side")
    if kind in _COPIES:
        most //= 2
    if width * height > most or max(width, height) > longest:
        raise _TooLarge(
            f"An image must have at most {most:,} pixels (`image_pixels` of `sonikeras.limits`; half of it for "
            f"WebP, AVIF and JPEG 2000) and at most {longest:,} a side (`image_side`). "
            f"Received: {name} ({height} x {width} pixels)"
        )


def _kind(data: bytes) -> str:
    """The name in Pillow of the format, by the first bytes."""
    if data[4:8] == b"ftyp" and (b"avif" in data[8:64] or b"avis" in data[8:64]):
        return "AVIF"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    for kind, beginnings in _BEGINNINGS.items():
        if data.startswith(beginnings):
            return kind
    raise ValueError("of another format")


_BEGINNINGS = {
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "JPEG": (b"\xff\xd8\xff",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "BMP": (b"BM",),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "PPM": (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"),
    "JPEG2000": (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
    "DIB": tuple(struct.pack("<I", size) for size in (12, 40, 52, 56, 64, 108, 124)),
}


# Orientation: EXIF 2.32 and TIFF 6.0, tag 274 -------------------------------------------------------------------------

_XMP = re.compile(rb"""tiff:Orientation\s*(?:=\s*["']|>)\s*([1-8])""")


def _exif_orientation(block: bytes) -> int:
    """1 to 8, or 0 if an EXIF block has no orientation or is damaged."""
    block = block.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None:
        return 0
    try:
        start = struct.unpack_from(f"{order}I", block, 4)[0]
        for entry in range(struct.unpack_from(f"{order}H", block, start)[0]):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", block, start + 2 + 12 * entry)
            if tag == 274 and kind == 3 and 1 <= value <= 8:
                return value
    except struct.error:
        pass
    return 0


def _xmp_orientation(text: bytes | str) -> int:
    found = _XMP.search(text.encode() if isinstance(text, str) else text)
    return int(found[1]) if found else 0


# Complete files -------------------------------------------------------------------------------------------------------


def _png_parts(data: bytes) -> tuple[bytes, bytes, bytes, np.ndarray | None]:
    """The chunks of a PNG file with its pixels, its EXIF block, its XMP text, and its transparent color.

    Other chunks are left out, so that no profile is decompressed, and damage in one does not matter.
    """
    kept, block, text, key = [data[:8]], b"", b"", None
    position, header = 8, b""
    while True:
        if position + 12 > len(data):
            raise ValueError("it is truncated")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise ValueError("it is truncated")
        content = data[position + 8 : end - 4] if kind not in (b"IDAT", b"IEND") else b""
        if kind == b"IHDR":
            header = header or content
        if kind == b"eXIf":
            block = content
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            keyword, _, rest = content.partition(b"\0")
            if keyword == b"XML:com.adobe.xmp":
                text = _png_text(kind, rest)
            elif keyword in (b"Raw profile type exif", b"Raw profile type APP1", b"Raw profile type xmp"):
                raw = _raw_profile(_png_text(kind, rest))
                block, text = (block or raw, text) if raw.startswith((b"Exif", b"II", b"MM")) else (block, text or raw)
        elif kind == b"tRNS" and header[9:10] in (b"\0", b"\2"):  # grayscale or RGB; Pillow reads that of palettes
            key = np.frombuffer(content, ">u2").astype(np.int64)
            depth = header[8]
            if len(key) != (1 if header[9] == 0 else 3):
                key = None
            elif depth < 8:
                key = key * 255 // (2**depth - 1)
            elif depth == 16 and header[9] == 2:
                key >>= 8
        elif kind[0] < 0x60 or kind == b"tRNS":  # critical chunks start with a capital letter
            kept.append(data[position:end])
        position = end
        if kind == b"IEND":
            return b"".join(kept), block, text, key


def _png_text(kind: bytes, rest: bytes) -> bytes:
    """The text after a keyword, or its start."""
    compressed = kind == b"zTXt"
    if kind == b"iTXt":
        compressed = rest[:1] == b"\1"
        rest = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    elif compressed:
        rest = rest[1:]
    try:
        return zlib.decompressobj().decompress(rest, _MOST_TEXT) if compressed else rest
    except zlib.error:
        return b""


def _raw_profile(text: bytes) -> bytes:
    """A profile that ImageMagick writes as lines: a name, a length, and hexadecimal digits."""
    try:
        return bytes.fromhex("".join(text.decode("latin-1").split()[2:]))
    except ValueError:
        return b""


def _check_jpeg(data: bytes, name: str) -> None:
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            position += 1
            continue
        marker = data[position + 1]
        if marker == 0xDA and data.find(b"\xff\xd9", position) > 0:
            return
        alone = marker in (0, 1, 0xFF) or 0xD0 <= marker <= 0xD8
        position += (
            (1 if marker == 0xFF else 2) if alone else 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        )
    raise ValueError("it is truncated")


def _check_gif(data: bytes, name: str) -> None:
    position = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    while data[position] != 0x3B:  # an IndexError means a truncated file
        if data[position] == 0x2C:
            packed = data[position + 9]
            position += 11 + (3 << (packed & 7) + 1 if packed & 0x80 else 0)
        elif data[position] == 0x21:
            position += 2
        else:
            return  # bytes after the last frame
        while data[position]:
            position += 1 + data[position]
        position += 1


def _check_webp(data: bytes, name: str) -> None:
    """Pillow allocates the canvas when it opens a file, so the declared size is checked before."""
    if int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise ValueError("it is truncated")
    kind = data[12:16]
    if kind == b"VP8X":
        size = [int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27)]
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        size = [(bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1]
    else:
        size = [int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (26, 28)]
    _check_pixels("WEBP", size[0], size[1], name)


def _check_jpeg2000(data: bytes, name: str) -> None:
    """The size in the codestream determines what is decoded, not that in the boxes around it."""
    start = data.find(b"\xff\x4f\xff\x51")
    if start < 0 or data.find(b"\xff\xd9", start) < 0:
        raise ValueError("it is truncated")
    right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
    components = struct.unpack_from(">H", data, start + 40)[0]
    if components > 4:
        raise ValueError(f"it has {components} channels")
    _check_pixels("JPEG2000", right - left, bottom - top, name)


def _check_boxes(data: bytes, name: str) -> None:
    for position, length in _boxes(data):
        if position + length > len(data):
            raise ValueError("it is truncated")


def _boxes(data: bytes) -> Iterator[tuple[int, int]]:
    position = 0
    while position + 8 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        if length == 1:
            length = int.from_bytes(data[position + 8 : position + 16], "big")
        length = max(length, 8) if length else len(data) - position
        yield position, length
        position += length


_CHECKS = {
    "JPEG": _check_jpeg,
    "GIF": _check_gif,
    "WEBP": _check_webp,
    "JPEG2000": _check_jpeg2000,
    "AVIF": _check_boxes,
}
