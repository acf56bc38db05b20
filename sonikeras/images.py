"""Source to image: files of any common format, as 8-bit arrays.

One rule for all formats: pixels decide. Gamma, color spaces, ICC profiles and all other metadata are ignored, so the
same pixels give the same image, whatever program wrote them. The one exception is the orientation, which is applied.
"""

from __future__ import annotations

import io
import os
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from sonikeras import limits

# Pillow's names of the formats that are read, with the endings of their files.
_FORMATS = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif", ".avifs"),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
}


def _readable_extensions() -> tuple[str, ...]:
    """The endings of what the installed Pillow reads: it may lack AVIF or JPEG 2000."""
    from PIL import features

    lacking = {name for name, codec in {"AVIF": "avif", "JPEG2000": "jpg_2000"}.items() if not features.check(codec)}
    return tuple(extension for name in _FORMATS if name not in lacking for extension in _FORMATS[name])


EXTENSIONS = _readable_extensions()
_WRITTEN = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
_RULE = (
    "The image cannot be read: it must be a whole PNG, JPEG, BMP, GIF, WebP, TIFF, AVIF, JPEG 2000 or PNM file of 8 or "
    "16 bits a channel."
)
# The weights by which libpng, and OpenCV in a BMP file, make gray of red, green and blue, with the number of bits after
# the point, and what is added for rounding. `to_gray` rounds with 15 bits: all of them differ by 1 at most.
_WEIGHTS = {"PNG": (9797, 19234, 3737, 15, 0), "BMP": (4899, 9617, 1868, 14, 1 << 13)}
_SCANS = 16  # of a JPEG file of the most pixels; smaller ones may have more
_MOST_TEXT = 2**20  # bytes of a compressed text in a PNG file that are looked at


def read_image(source: str | os.PathLike | bytes, *, color: bool = False, name: str | None = None) -> np.ndarray:
    """Reads an image as 8-bit grayscale or RGB.

    Gray is that of the study's reader, `cv2.imread(path, cv2.IMREAD_GRAYSCALE)`: 0.299 R + 0.587 G + 0.114 B of the
    stored pixels, and of a JPEG file its own luma, which is the same but for rounding. Only where a PNG file asks for
    another color space (sRGB, gAMA) did that reader compute in linear light; here the pixels alone decide.

    - Metadata are ignored, except for the orientation (EXIF, or else XMP), which is applied.
    - What is transparent is black, and what is half transparent is blended onto black.
    - Of 16 bits a channel the high byte stays.
    - Of several frames or pages the first is taken.

    Args:
        source: Path of a PNG, JPEG, BMP, GIF, WebP, TIFF, AVIF, JPEG 2000 or PNM file, or the bytes of one. The
            content tells the format, not the name.
        color: Boolean, whether to return RGB instead. Defaults to `False`.
        name: String, what an error calls the image. Defaults to the path.

    Returns:
        uint8 array `[height, width]`, or `[height, width, 3]` with `color=True`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is empty, truncated, no image, or has more pixels than the limit `image_pixels` of
            `sonikeras.limits`, which is checked before they are decoded.

    Example:
        >>> from sonikeras import read_image
        >>> read_image("docs/images/coffee.png").ndim
        2
    """
    if isinstance(source, bytes):
        data, name = source, name or "image"
    else:
        name = name or os.fspath(source)
        with open(source, "rb") as file:
            size, most = os.fstat(file.fileno()).st_size, limits.get("image_bytes")
            if size > most:
                raise ValueError(
                    f"An image file must have at most {most:,} bytes (`image_bytes` of `sonikeras.limits`). "
                    f"Received: {name} ({size:,} bytes)"
                )
            data = file.read()
    if not data:
        raise ValueError(f"An image file must not be empty. Received: {name} (0 bytes)")
    try:
        return _read(data, color, name)
    except _TooLarge as error:
        raise ValueError(str(error)) from None
    except Exception as error:  # decoders raise whatever they come upon in a damaged file
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{_RULE} Received: {name} ({len(data)} bytes: {reason})") from error


class _TooLarge(ValueError):
    """The limit of pixels is exceeded."""


_COPIES = ("WEBP", "AVIF", "JPEG2000")  # whose decoders hold the pixels more than once


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


def _read(data: bytes, color: bool, name: str) -> np.ndarray:
    pixels, kind, orientation = _stored(data, color, name)
    pixels = _upright(pixels, orientation)
    if color:
        return np.ascontiguousarray(to_color(pixels))
    if pixels.ndim == 3 and kind in _WEIGHTS:
        return _weighted(pixels, *_WEIGHTS[kind])
    return np.ascontiguousarray(to_gray(pixels))


def _stored(data: bytes, color: bool, name: str) -> tuple[np.ndarray, str, int]:
    """Pixels, gray or RGB, as they are stored; Pillow's name of the format; and the orientation."""
    kind = _kind(data)
    block, text, key = b"", b"", None
    if kind == "PNG":
        data, block, text, key = _png_parts(data)
    elif kind in _CHECKS:
        _CHECKS[kind](data, name)
    image = _opened(kind, data)
    _check_pixels(kind, image.width, image.height, name)
    if kind == "JPEG":
        scans, most = data.count(b"\xff\xda"), _SCANS * limits.get("image_pixels")
        if scans > 1 and scans * image.width * image.height > most:
            raise ValueError(f"it has {scans} scans")
        if not color:
            image.draft("L", None)  # its luma: the colors are not decoded
    covered = image.tile[0][1] if kind == "GIF" and image.tile else None
    image.load()  # which turns a TIFF file upright
    if kind not in ("PNG", "TIFF"):
        block, text = image.info.get("exif", b""), image.info.get("xmp", b"")
    pixels = _pixels(image, key)
    if covered and covered != (0, 0, *image.size):  # the rest of a GIF is transparent
        left, top, right, bottom = covered
        inner = pixels[top:bottom, left:right].copy()
        pixels = np.zeros_like(pixels)
        pixels[top:bottom, left:right] = inner
    return pixels, kind, _exif_orientation(block) or _xmp_orientation(text) or 1


def _kind(data: bytes) -> str:
    """Pillow's name of the format that the first bytes tell."""
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


def _opened(kind: str, data: bytes) -> Any:
    """A Pillow image of which only the header is read.

    The format's own class is called, as `Image.open` does after guessing: that has a limit of pixels of its own, which
    is the same for all of a process.
    """
    from PIL import (
        AvifImagePlugin,
        BmpImagePlugin,
        GifImagePlugin,
        Jpeg2KImagePlugin,
        JpegImagePlugin,
        PngImagePlugin,
        PpmImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )

    classes: dict[str, Any] = {
        "PNG": PngImagePlugin.PngImageFile,
        "JPEG": JpegImagePlugin.JpegImageFile,
        "GIF": GifImagePlugin.GifImageFile,
        "BMP": BmpImagePlugin.BmpImageFile,
        "DIB": BmpImagePlugin.DibImageFile,
        "TIFF": TiffImagePlugin.TiffImageFile,
        "PPM": PpmImagePlugin.PpmImageFile,
        "WEBP": WebPImagePlugin.WebPImageFile,
        "AVIF": AvifImagePlugin.AvifImageFile,
        "JPEG2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
    }
    return classes[kind](io.BytesIO(data))


def _pixels(image: Any, key: np.ndarray | None) -> np.ndarray:
    """The pixels of a Pillow image on black: uint8 `[height, width]` or RGB; those of the color `key` are black."""
    from PIL import Image

    if image.mode.startswith("I"):
        deep = np.asarray(image)
        if deep.min() < 0 or deep.max() > 65535:
            raise ValueError("of 32 bits a channel")
        pixels = (deep >> 8).astype(np.uint8)
        if key is not None:
            pixels[deep == key[0]] = 0
        return pixels
    if image.mode == "F":
        raise ValueError("of 32 bits a channel")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        black = Image.new("RGB", image.size)
        black.paste(image, mask=image.getchannel("A"))
        return np.asarray(black)
    mode = "L" if image.mode in ("1", "L") else "RGB"
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    if key is not None:
        pixels = pixels.copy()
        pixels[(pixels == key).all(-1) if pixels.ndim == 3 else pixels == key[0]] = 0
    return pixels


def _weighted(rgb: np.ndarray, red: int, green: int, blue: int, shift: int, offset: int) -> np.ndarray:
    """RGB `[height, width, 3]` to gray `[height, width]` with integer weights."""
    # Whole numbers below 2^24, which float32 holds exactly.
    gray = rgb.reshape(-1, 3).astype(np.float32) @ np.array([red, green, blue], np.float32)
    gray += np.float32(offset)
    gray *= np.float32(2.0**-shift)
    return gray.astype(np.uint8).reshape(rgb.shape[:2])


# Orientation: EXIF 2.32 and TIFF 6.0, tag 274 -------------------------------------------------------------------------

_XMP = re.compile(rb"""tiff:Orientation\s*(?:=\s*["']|>)\s*([1-8])""")


def _exif_orientation(block: bytes) -> int:
    """1 to 8, or 0 where an EXIF block says none or is damaged."""
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


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


# Whole files ----------------------------------------------------------------------------------------------------------


def _png_parts(data: bytes) -> tuple[bytes, bytes, bytes, np.ndarray | None]:
    """The chunks of a PNG file that hold its pixels, its EXIF block, its XMP text, and the color that is transparent.

    All other chunks are left out: no profile or text is decompressed, and damage in one harms nothing.
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
        elif kind == b"tRNS" and header[9:10] in (b"\0", b"\2"):  # a gray or a color; in a palette it is Pillow's
            key = np.frombuffer(content, ">u2").astype(np.int64)
            depth = header[8]
            if len(key) != (1 if header[9] == 0 else 3):
                key = None
            elif depth < 8:
                key = key * 255 // (2**depth - 1)
            elif depth == 16 and header[9] == 2:
                key >>= 8
        elif kind[0] < 0x60 or kind == b"tRNS":  # critical ones have a capital
            kept.append(data[position:end])
        position = end
        if kind == b"IEND":
            return b"".join(kept), block, text, key


def _png_text(kind: bytes, rest: bytes) -> bytes:
    """The text behind a keyword, or its beginning."""
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
    """What ImageMagick writes as a name, a length and hexadecimal digits, each on lines of its own."""
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
    while data[position] != 0x3B:  # an IndexError is a truncated file, too
        if data[position] == 0x2C:
            packed = data[position + 9]
            position += 11 + (3 << (packed & 7) + 1 if packed & 0x80 else 0)
        elif data[position] == 0x21:
            position += 2
        else:
            return  # bytes behind the last frame that belong to none
        while data[position]:
            position += 1 + data[position]
        position += 1


def _check_webp(data: bytes, name: str) -> None:
    """Pillow's decoder takes memory for the canvas when it opens a file: what it declares is checked before."""
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
    """The codestream's own size decides what is decoded, whatever the boxes around it say."""
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


def to_gray(image: Any) -> np.ndarray:
    """Checks an array and turns RGB into grayscale with OpenCV's weights (0.299, 0.587, 0.114).

    Args:
        image: uint8 array `[height, width]`, or RGB `[height, width, 3]`.

    Returns:
        uint8 array `[height, width]`.

    Raises:
        ValueError: Another type, rank, number of channels, or no pixel.
    """
    import cv2

    image = np.asarray(image)
    shape_fits = image.ndim == 2 or (image.ndim == 3 and image.shape[-1] == 3)
    if image.dtype != np.uint8 or not shape_fits or image.size == 0:
        raise ValueError(
            "`image` must be a uint8 array of shape [height, width] or [height, width, 3] (RGB) with at least one "
            f"pixel. Received: shape={image.shape}, dtype={image.dtype}"
        )
    return image if image.ndim == 2 else cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)


def to_color(image: np.ndarray) -> np.ndarray:
    """Grayscale as RGB: uint8 `[height, width]` or `[height, width, 3]` to `[height, width, 3]`."""
    return np.stack([image] * 3, axis=-1) if image.ndim == 2 else image


def write_image(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes a uint8 array `[height, width]` or `[height, width, 3]` as an image; the extension tells the format.

    Raises:
        ValueError: The extension is not one of an image format.
    """
    from PIL import Image

    from sonikeras.files import replacing

    if os.path.splitext(path)[1].lower() not in _WRITTEN:
        raise ValueError(f"An image's path must end in one of {list(_WRITTEN)}. Received: {os.fspath(path)}")
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary)
