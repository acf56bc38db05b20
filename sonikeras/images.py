"""Source to image: files of any common format, as 8-bit arrays."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")


def read_image(source: str | os.PathLike | bytes, *, color: bool = False, name: str | None = None) -> np.ndarray:
    """Reads an image as the study does, with OpenCV, as 8-bit grayscale.

    Of 16-bit images the high byte stays, transparency is dropped, of an animation the first frame is taken, and a photo
    is turned upright by its EXIF orientation.

    Args:
        source: Path of a PNG, JPEG, BMP, GIF or WebP file, or the bytes of one.
        color: Boolean, whether to return RGB instead. Defaults to `False`.
        name: String, what an error calls the image. Defaults to the path.

    Returns:
        uint8 array `[height, width]`, or `[height, width, 3]` with `color=True`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is empty, truncated, no image, or has over 2^30 pixels.

    Example:
        >>> from sonikeras import read_image
        >>> read_image("docs/images/coffee.png").ndim
        2
    """
    import cv2

    if isinstance(source, bytes):
        data, name = source, name or "image"
    else:
        name = name or os.fspath(source)
        with open(source, "rb") as file:
            data = file.read()
    if not data:
        raise ValueError(f"An image file must not be empty. Received: {name} (0 bytes)")
    rule = "The image cannot be read: it must be a whole PNG, JPEG, BMP, GIF or WebP file of at most 2^30 pixels."
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR if color else cv2.IMREAD_GRAYSCALE)
    except cv2.error as error:
        raise ValueError(f"{rule} Received: {name} ({error.err})") from error
    if pixels is None:
        raise ValueError(f"{rule} Received: {name} ({len(data)} bytes)")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if color else pixels


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

    if os.path.splitext(path)[1].lower() not in EXTENSIONS:
        raise ValueError(f"An image's path must end in one of {list(EXTENSIONS)}. Received: {os.fspath(path)}")
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary)
