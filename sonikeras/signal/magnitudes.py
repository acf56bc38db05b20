"""Image to magnitudes and back: rows are frequencies, columns are time frames, brightness is magnitude.

`sonikeras.signal.raster` has the places of colors and the axis of frequencies.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from sonikeras.config import SonificationConfig, as_config, limits
from sonikeras.signal._backend import check_real, constant, operations
from sonikeras.signal.pictures import check_image_size
from sonikeras.signal.raster import lay_out, planes_of, to_bins, to_rgb, to_rows
from sonikeras.sources.images import to_color, to_gray

# librosa's `amin`, the smallest amplitude that is told apart in decibels.
_AMIN = 1e-5


def image_to_magnitudes(image: np.ndarray, *, config: str | SonificationConfig = "study") -> np.ndarray:
    """Reads an image as the magnitudes of a spectrogram.

    With `reference="max"` the pixels are divided by the brightest pixel and floored at `-top_db`. The result is that of
    `librosa.db_to_amplitude(librosa.amplitude_to_db(x, ref=np.max))`, at a fifteenth of its cost. An all-black image is
    therefore as loud as an all-white one. With `reference="absolute"` white is 1 and black is the floor, which is below
    the resolution of 16 bits at the default `top_db`.

    Args:
        image: uint8 array `[height, width]` or `[height, width, 3]` (RGB), of any size. With colors a gray image is one
            whose three channels are equal: its chroma is exactly neutral.
        config: Preset or `SonificationConfig`. Defaults to `"study"`.

    Returns:
        float32 array `[bins, frames]` in `10^(-top_db/20)..1`, lowest frequency first. Outside the config's band it is
        0, but for the two bins beside it: see `sonikeras.signal.raster.to_bins`.

    Raises:
        ValueError: `image` is not such an array.

    Example:
        >>> import numpy as np
        >>> from sonikeras.signal.magnitudes import image_to_magnitudes
        >>> image_to_magnitudes(np.eye(64, dtype="uint8") * 255).shape
        (513, 128)
    """
    config = as_config(config)
    raster = image_to_raster(image, config).astype(np.float32)
    return np.ascontiguousarray(raster_to_magnitudes(raster.T, config).T)


def image_to_raster(image: np.ndarray, config: SonificationConfig) -> np.ndarray:
    """The pixels that a config reads from an image: uint8 `[rows, frames]`, lowest frequency first.

    Args:
        image: uint8 array `[height, width]` or `[height, width, 3]` (RGB), of any size.
        config: `SonificationConfig`.
    """
    import cv2

    pixels = as_read(image, config)

    def resize(width: int, height: int) -> np.ndarray:
        resized = pixels
        if config.image_interpolation == "area":
            smaller = (min(pixels.shape[1], width), min(pixels.shape[0], height))
            resized = cv2.resize(pixels, smaller, interpolation=cv2.INTER_AREA)
        return np.flipud(cv2.resize(resized, (width, height), interpolation=cv2.INTER_LINEAR)).T

    raster = lay_out(resize, config)
    return raster.T if config.color == "gray" else np.rint(raster).astype(np.uint8).T


def as_read(image: np.ndarray, config: SonificationConfig) -> np.ndarray:
    """An image as a config reads it: uint8 `[height, width]`, or with colors `[height, width, 3]`."""
    gray = to_gray(image)
    return gray if config.color == "gray" else np.asarray(to_color(np.asarray(image)))


def pixels_to_magnitudes(
    pixels: Any, *, frames: int, bins: int, interpolation: str, reference: str, top_db: float
) -> Any:
    """`image_to_magnitudes` for batches and tensors: with a gradient, in a graph, on any Keras backend.

    It resizes as OpenCV resizes float images. `image_to_magnitudes` rounds gray values and resized pixels to 8 bits, as
    OpenCV does with 8-bit images. The two differ only by this rounding: one or two steps of 255.

    Args:
        pixels: float32 array or tensor `[..., height, width]` in 0..255, grayscale. Height and width are static.
        frames: Integer, columns to resize to: time frames.
        bins: Integer, rows to resize to: frequency bins.
        interpolation: `"bilinear"` or `"area"`, as `SonificationConfig.image_interpolation`.
        reference: `"max"` (relative to the brightest pixel of each image) or `"absolute"`.
        top_db: Float, range of magnitudes in dB. Lower values are raised to its lower end.

    Returns:
        float32 array or tensor `[..., frames, bins]` in `10^(-top_db/20)..1`, lowest frequency first.

    Example:
        >>> import numpy as np
        >>> from sonikeras.signal.magnitudes import pixels_to_magnitudes
        >>> pixels = np.full((2, 64, 64), 255, "float32")
        >>> pixels_to_magnitudes(
        ...     pixels, frames=128, bins=513, interpolation="bilinear", reference="max", top_db=80
        ... ).shape
        (2, 128, 513)
    """
    check_real("`pixels`", pixels)
    resized = _transposed(pixels, frames, bins, interpolation)
    return _floored(resized, reference=reference, top_db=top_db)


def images_to_magnitudes(images: Any, config: SonificationConfig) -> Any:
    """`pixels_to_magnitudes` with the colors and the band of a config.

    Args:
        images: float32 array or tensor `[..., height, width]`, or with colors `[..., height, width, 3]`, in 0..255.
            Height and width are static.
        config: `SonificationConfig`.

    Returns:
        float32 array or tensor `[..., frames, bins]`, lowest frequency first.
    """
    check_real("`images`", images)
    if config.color != "gray":
        images = operations(images).moveaxis(images, -1, -3)
    raster = lay_out(lambda width, height: _transposed(images, width, height, config.image_interpolation), config)
    return raster_to_magnitudes(raster, config)


def raster_to_magnitudes(raster: Any, config: SonificationConfig) -> Any:
    """Magnitudes `[..., frames, bins]` of a raster `[..., frames, rows]` of pixels in 0..255."""
    return to_bins(_floored(raster, reference=config.reference, top_db=config.top_db), config)


def _transposed(pixels: Any, width: int, height: int, interpolation: str) -> Any:
    """Images `[..., height, width]` resized, transposed and with the lowest row first: `[..., width, height]`."""
    ops = operations(pixels)
    rows = _resizing(pixels.shape[-2], height, interpolation)[::-1]
    columns = _resizing(pixels.shape[-1], width, interpolation)
    resized = ops.matmul(constant(columns, pixels), ops.swapaxes(pixels, -1, -2))
    return ops.matmul(resized, constant(rows.T, pixels))


def magnitudes_to_image(
    magnitudes: np.ndarray,
    *,
    size: tuple[int, int] | None = None,
    config: str | SonificationConfig | None = None,
) -> np.ndarray:
    """The image that magnitudes represent, where 1 is white: the inverse of `image_to_magnitudes`.

    It also inverts the resizing. A side that was enlarged to at least twice its length is restored by least squares,
    which averages noise. Other sides are interpolated.

    Args:
        magnitudes: float array `[bins, frames]`, lowest frequency first.
        size: `(height, width)` of the image. Defaults to that of the raster's first plane: `(rows, frames)` without
            colors.
        config: Preset or `SonificationConfig`, whose band and colors are read. Defaults to `None`: every bin is a row
            of a gray image.

    Returns:
        uint8 array `[height, width]`, or with colors `[height, width, 3]`.

    Raises:
        ValueError: `size` is not a pair of positive integers, or beyond `sonikeras.limits`.
    """
    if size is not None:
        size = check_size(size)
    if config is None:
        return _restored(magnitudes.T, size)
    config = as_config(config)
    planes = planes_of(to_rows(magnitudes.T, config, config.synthesis), config)
    if config.color == "gray":
        return _restored(planes[0], size)
    height, width = config.image_shape[:2] if size is None else size
    restored = [_restored(plane, (height, width), "bicubic").astype(np.float32) for plane in planes]
    return np.rint(to_rgb(restored, config)).astype(np.uint8)


def check_size(size: Any) -> tuple[int, int]:
    """The size of a reconstructed image as a pair `(height, width)`.

    Raises:
        ValueError: It is not a pair of positive integers, or beyond `sonikeras.limits`.
    """
    height, width = check_image_size("size", size)
    limits.check("image_side", max(height, width), "The longer side of `size`")
    limits.check("image_pixels", height * width, "`size`")
    return height, width


def _restored(plane: np.ndarray, size: tuple[int, int] | None, interpolation: str = "bilinear") -> np.ndarray:
    """The pixels of a plane of magnitudes `[width, height]`, lowest row first: uint8 of a size, highest row first."""
    pixels = np.clip(np.flipud(plane.T) * np.float32(255), 0, 255)
    if size is not None:
        rows, columns = (_restoring(cells, side, interpolation) for cells, side in zip(pixels.shape, size, strict=True))
        pixels = np.clip(rows @ pixels @ columns.T, 0, 255)
    return np.rint(pixels).astype(np.uint8)


@functools.lru_cache(maxsize=8)
def _restoring(cells: int, size: int, interpolation: str) -> np.ndarray:
    """The matrix `[size, cells]` that undoes a resizing of `size` pixels along one axis."""
    if 2 * size > cells:
        return _resizing(cells, size, interpolation)
    return np.linalg.pinv(_resizing(size, cells, "bilinear"))


def _floored(pixels: Any, *, reference: str, top_db: float) -> Any:
    """The magnitudes of pixels in 0..255 that have the size of the spectrogram."""
    ops = operations(pixels)
    magnitudes = ops.maximum(pixels / 255 + 1e-7, _AMIN)
    if reference == "max":
        magnitudes = magnitudes / ops.max(magnitudes, axis=(-2, -1), keepdims=True, initial=0.0)
    return ops.maximum(magnitudes, 10 ** (-top_db / 20))


@functools.lru_cache(maxsize=8)
def _resizing(old: int, new: int, interpolation: str) -> np.ndarray:
    """The matrix `[new, old]` of OpenCV's resize along one axis, obtained by resizing the unit vectors."""
    import cv2

    methods = {"area": cv2.INTER_AREA if new < old else cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
    method = methods.get(interpolation, cv2.INTER_LINEAR)
    return cv2.resize(np.eye(old, dtype=np.float32), (old, new), interpolation=method)
