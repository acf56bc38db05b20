"""Image files of all common formats, as 8-bit arrays.

One rule holds for all formats: the stored pixels determine the image. Gamma, color spaces, ICC profiles and all other
metadata are ignored, except for the orientation, which is applied.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from sonikeras.config import limits
from sonikeras.config._files import open_regular
from sonikeras.sources._image_formats import (
    _CHECKS,
    _check_pixels,
    _exif_orientation,
    _kind,
    _png_parts,
    _TooLarge,
    _xmp_orientation,
)

# The formats, by their names in Pillow, with their extensions.
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
    """The extensions that the installed Pillow reads. It may lack AVIF or JPEG 2000."""
    from PIL import features

    lacking = {name for name, codec in {"AVIF": "avif", "JPEG2000": "jpg_2000"}.items() if not features.check(codec)}
    return tuple(extension for name in _FORMATS if name not in lacking for extension in _FORMATS[name])


EXTENSIONS = _readable_extensions()


_WRITTEN = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")


_RULE = (
    "The image cannot be read: it must be a whole PNG, JPEG, BMP, GIF, WebP, TIFF, AVIF, JPEG 2000 or PNM file of 8 or "
    "16 bits a channel."
)


# Fixed-point weights of red, green and blue in the grayscale conversion of libpng, and of OpenCV for BMP files, with
# the number of fractional bits and the rounding offset. They differ from `to_gray`, which has 15 bits, by 1 at most.
_WEIGHTS = {"PNG": (9797, 19234, 3737, 15, 0), "BMP": (4899, 9617, 1868, 14, 1 << 13)}


_BLOCK = 2**20  # pixels that are converted at once
_SCANS = 16  # of the largest JPEG file; smaller ones may have more


def read_image(source: str | os.PathLike | bytes, *, color: bool = False, name: str | None = None) -> np.ndarray:
    """Reads an image as 8-bit grayscale or RGB.

    Grayscale is that of the study's reader, `cv2.imread(path, cv2.IMREAD_GRAYSCALE)`: 0.299 R + 0.587 G + 0.114 B of
    the stored pixels, and in JPEG files the luma, which is equal up to rounding. Unlike that reader, this one ignores
    the color spaces of PNG files (sRGB, gAMA).

    - Metadata are ignored, except for the orientation (EXIF, or else XMP), which is applied.
    - Transparent pixels are blended onto black.
    - Of 16 bits per channel, the high byte is used.
    - Of several frames or pages, the first is read.

    Args:
        source: Path or bytes of a PNG, JPEG, BMP, GIF, WebP, TIFF, AVIF, JPEG 2000 or PNM file. The content determines
            the format, whatever the name.
        color: Boolean, whether to return RGB. Defaults to `False`.
        name: String, the name of the file in errors. Defaults to the path.

    Returns:
        uint8 array `[height, width]`, or `[height, width, 3]` with `color=True`.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is empty, truncated, not an image, or has more pixels than the limit `image_pixels` of
            `sonikeras.limits`, which is checked before decoding.

    Example:
        >>> from sonikeras import read_image
        >>> read_image("docs/images/coffee.png").ndim
        2
    """
    if isinstance(source, bytes):
        data, name = source, name or "image"
    else:
        name = name or os.fspath(source)
        with open_regular(source) as file:
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
    except Exception as error:  # decoders raise errors of many types
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{_RULE} Received: {name} ({len(data)} bytes: {reason})") from error


def _read(data: bytes, color: bool, name: str) -> np.ndarray:
    pixels, kind, orientation = _stored(data, color, name)
    pixels = _upright(pixels, orientation)
    if color:
        return np.ascontiguousarray(to_color(pixels))
    if pixels.ndim == 3 and kind in _WEIGHTS:
        return _weighted(pixels, *_WEIGHTS[kind])
    return np.ascontiguousarray(to_gray(pixels))


def _stored(data: bytes, color: bool, name: str) -> tuple[np.ndarray, str, int]:
    """The stored pixels, grayscale or RGB; the name of the format in Pillow; and the orientation."""
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
            image.draft("L", None)  # the luma only
    covered = image.tile[0][1] if kind == "GIF" and image.tile else None
    image.load()  # which applies the orientation of a TIFF file
    if kind not in ("PNG", "TIFF"):
        block, text = image.info.get("exif", b""), image.info.get("xmp", b"")
    pixels = _pixels(image, key)
    if covered and covered != (0, 0, *image.size):  # the rest of a GIF is transparent
        left, top, right, bottom = covered
        inner = pixels[top:bottom, left:right].copy()
        pixels = np.zeros_like(pixels)
        pixels[top:bottom, left:right] = inner
    return pixels, kind, _exif_orientation(block) or _xmp_orientation(text) or 1


def _opened(kind: str, data: bytes) -> Any:
    """A Pillow image of which only the header is read.

    This calls the class of the format, as `Image.open` does. The latter has a pixel limit for the whole process.
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
    if image.mode == "F":
        raise ValueError("it has 32 bits per channel")
    clear = image.has_transparency_data
    gray = image.mode.startswith("I") or (image.mode in ("1", "L") and not clear)
    pixels = np.empty((image.height, image.width, *([] if gray else [3])), np.uint8)
    for rows in _blocks(pixels.shape):
        part = image.crop((0, rows.start, image.width, rows.stop))
        pixels[rows] = _block(part, clear, "L" if gray else "RGB", key)
    return pixels


def _block(image: Any, clear: bool, mode: str, key: np.ndarray | None) -> np.ndarray:
    from PIL import Image

    if image.mode.startswith("I"):
        stored = np.asarray(image)
        if stored.min() < 0 or stored.max() > 65535:
            raise ValueError("it has 32 bits per channel")
        pixels = (stored >> 8).astype(np.uint8)
    elif clear:
        image = image.convert("RGBA")
        black = Image.new("RGB", image.size)
        black.paste(image, mask=image.getchannel("A"))
        return np.asarray(black)
    else:
        stored = pixels = np.array(image if image.mode == mode else image.convert(mode))
    if key is not None:
        pixels[(stored == key).all(-1) if stored.ndim == 3 else stored == key[0]] = 0
    return pixels


def _blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Rows of about `_BLOCK` pixels: a large image is converted in such blocks, so that it is not in memory twice."""
    height = max(1, _BLOCK // shape[1])
    return (slice(top, min(top + height, shape[0])) for top in range(0, shape[0], height))


def _weighted(rgb: np.ndarray, red: int, green: int, blue: int, shift: int, offset: int) -> np.ndarray:
    """RGB `[height, width, 3]` to gray `[height, width]` with integer weights."""
    pixels = np.empty(rgb.shape[:2], np.uint8)
    for rows in _blocks(rgb.shape):
        # Whole numbers below 2^24, which float32 holds exactly.
        gray = rgb[rows].reshape(-1, 3).astype(np.float32) @ np.array([red, green, blue], np.float32)
        gray += np.float32(offset)
        gray *= np.float32(2.0**-shift)
        pixels[rows] = gray.astype(np.uint8).reshape(pixels[rows].shape)
    return pixels


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def to_gray(image: Any) -> np.ndarray:
    """Checks an image and converts RGB to grayscale with the weights of OpenCV (0.299, 0.587, 0.114).

    Args:
        image: uint8 array `[height, width]`, or RGB `[height, width, 3]`.

    Returns:
        uint8 array `[height, width]`.

    Raises:
        ValueError: Its type, rank or number of channels is another one, or it has no pixels.
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
    """Writes a uint8 array `[height, width]` or `[height, width, 3]` as an image. The extension sets the format.

    Raises:
        ValueError: The extension is not that of an image format.
    """
    from PIL import Image

    from sonikeras.config._files import replacing

    if os.path.splitext(path)[1].lower() not in _WRITTEN:
        raise ValueError(f"An image's path must end in one of {list(_WRITTEN)}. Received: {os.fspath(path)}")
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary)
