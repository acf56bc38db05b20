"""Spectrogram to picture: decibels drawn as colors at any size, and decibels read back from the colors.

A picture is `rows @ colors @ columns.T` for each color channel. The two matrices give the bins and frames that each
pixel shows. Drawing like matplotlib, resizing like Pillow and cropping are therefore one product. Only a resize that
overshoots takes two steps: Pillow rounds and clips the result of the first axis before it resizes the second.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from sonikeras.config._checks import plain
from sonikeras.signal._backend import check_real, constant, operations

INTERPOLATIONS = ("nearest", "bilinear", "bicubic")


def draw(
    db: Any,
    *,
    rows: np.ndarray,
    columns: np.ndarray,
    colormap: str = "magma",
    scale: str = "db",
    top_db: float = 80,
    stretch: bool = True,
    gradient: bool = False,
) -> Any:
    """Draws spectrograms as pictures with low frequencies at the bottom.

    Args:
        db: float array or tensor `[..., frames, bins]` in dB, at most 0.
        rows: float array `[height, bins]`, from `canvas`.
        columns: float array `[width, frames]`, from `canvas`.
        colormap: String, name of a matplotlib colormap. Defaults to `"magma"`.
        scale: `"db"` or `"amplitude"`: the quantity that the colormap is applied to. Defaults to `"db"`.
        top_db: Float. With the scale `"db"`, `-top_db` has the lowest color. Defaults to 80.
        stretch: Boolean, whether the lowest and highest value of each example get the lowest and highest color, as in
            matplotlib. Defaults to `True`.
        gradient: Boolean, whether a gradient reaches `db`. Colors change in steps, which have no gradient. The gradient
            is that of straight lines between them, and the picture is the same. Defaults to `False`.

    Returns:
        float32 array or tensor `[..., height, width, 3]` in 0..255. An example in which all values are 0 dB is silent
        and has the lowest color.

    Raises:
        ValueError: There is no such colormap, or `db` is not real.
    """
    check_real("`db`", db)
    ops = operations(db)
    db = ops.cast(db, "float32")
    low: Any
    high: Any
    step: Any
    if stretch:
        lowest = ops.min(db, axis=(-2, -1), keepdims=True, initial=math.inf)  # an empty batch has no other value
        highest = ops.max(db, axis=(-2, -1), keepdims=True, initial=-math.inf)
        low, high = _quantity(lowest, scale), _quantity(highest, scale)
        step = (high - low) / 256
        step = ops.where(step > 0, step, 1.0)
    else:
        low, high = (0.0, 1.0) if scale == "amplitude" else (-float(top_db), 0.0)
        step = (high - low) / 256
        silent = ops.all(db == 0, axis=(-2, -1), keepdims=True)
        db = ops.where(silent, -float(top_db), db)
    shades = ops.clip((_quantity(db, scale) - low) / step, 0, 255)
    # Only the bins and frames that each band of rows and columns shows are colored.
    frames, across = _bands(columns, 32)
    bins, down = _bands(rows, 16)
    cells = ops.take(shades, constant(frames, db), axis=-2)
    cells = ops.take(ops.swapaxes(cells, -2, -1), constant(bins, db), axis=-2)
    table, channels = colors(colormap), np.eye(3, dtype=np.float32)
    if _is_gray(table):
        cells, channels = _floor(cells, gradient), np.ones((1, 3), np.float32)
    else:  # along one axis, which TensorFlow handles faster than several
        cells = ops.reshape(cells, (-1, 1))
        number = cells == cells  # NaN has no place in the table and would spoil the whole batch
        index = ops.cast(ops.where(number, cells, 0.0)[:, 0], "int32")
        colored = ops.where(number, ops.take(constant(table, db), index, axis=0), float("nan"))
        if gradient:
            slopes = np.diff(table, axis=0, append=table[-1:])
            colored = colored + _gradient_of(cells) * ops.take(constant(slopes, db), index, axis=0)
        cells = colored
    lead = ops.shape(db)[:-2]
    height, width = down.shape[0] * down.shape[1], across.shape[0] * across.shape[1]
    weights = np.kron(across.transpose(0, 2, 1), channels[None])
    inputs, outputs = weights.shape[1:]
    across, down = constant(weights, db), constant(down, db)
    if (columns < 0).any():  # bicubic overshoots: Pillow rounds and clips after it has resized the width
        grid = ops.matmul(ops.reshape(cells, (*lead, len(frames), bins.size, inputs)), across)
        grid = _floor(ops.clip(grid, 0, 255) + 0.5, gradient)
        grid = ops.matmul(down, ops.reshape(grid, (*lead, len(frames), *bins.shape, outputs)))
        grid = ops.reshape(grid, (*lead, len(frames), height, outputs))
    else:
        grid = ops.matmul(down, ops.reshape(cells, (*lead, len(frames), *bins.shape, inputs)))
        grid = ops.matmul(ops.reshape(grid, (*lead, len(frames), height, inputs)), across)
    picture = ops.reshape(ops.swapaxes(grid, -3, -2), (*lead, height, width, 3))
    return ops.clip(picture[..., : len(rows), : len(columns), :], 0, 255)


def canvas(
    frames: int,
    bins: int,
    *,
    size: tuple[int, int],
    drawing: str = "specshow",
    image_size: tuple[int, int] | None = None,
    shorter_side: int | None = None,
    interpolation: str = "bilinear",
) -> tuple[np.ndarray, np.ndarray]:
    """The matrices that draw a spectrogram on a canvas, and then resize and crop the canvas.

    Args:
        frames: Integer, number of time frames of the spectrogram.
        bins: Integer, number of its frequency bins.
        size: `(height, width)` of the canvas in pixels.
        drawing: `"specshow"`, `"resize"` or `"bicubic"`. With `"specshow"` each pixel shows the bin and frame at its
            center. As in `librosa.display.specshow` with `ylim=(0, sr / 2)` and no margins, the frequency axis runs
            from the center of the lowest bin to that of the highest, and the time axis covers whole frames. `"resize"`
            is bilinear with antialiasing and covers whole bins and frames. `"bicubic"` does so too.
        image_size: `(height, width)` of the picture. Defaults to that of the canvas.
        shorter_side: Integer. The shorter side of the canvas is resized to this, and `image_size` is cropped from the
            center. Defaults to `None`: the whole canvas is resized to `image_size`.
        interpolation: `"nearest"`, `"bilinear"` or `"bicubic"`, with antialiasing. Defaults to `"bilinear"`.

    Returns:
        `(rows, columns)`: float32 arrays `[height, bins]` and `[width, frames]`.
    """
    if drawing == "specshow":
        centers = (np.arange(size[0]) + 0.5) / size[0]
        rows = _selection(np.floor(centers * (bins - 1) + 0.5), bins)
        # At a tie, matplotlib's renderer gives the pixel to the earlier frame.
        centers = (np.arange(size[1]) + 0.5) / size[1]
        columns = _selection(np.ceil(centers * frames) - 1, frames)
    else:
        method = "bicubic" if drawing == "bicubic" else "bilinear"
        rows, columns = _resizing(bins, size[0], method), _resizing(frames, size[1], method)
    rows = rows[::-1]
    if image_size is not None:
        (top, height), (left, width) = crop_box(size, image_size=image_size, shorter_side=shorter_side)
        rows = (_resizing(size[0], height, interpolation) @ rows)[top : top + image_size[0]]
        columns = (_resizing(size[1], width, interpolation) @ columns)[left : left + image_size[1]]
    return np.ascontiguousarray(rows, np.float32), np.ascontiguousarray(columns, np.float32)


def decibels(picture: np.ndarray, colormap: str = "magma", top_db: float = 80) -> np.ndarray:
    """Reads the decibels that a picture shows from its colors.

    Each pixel gets the value of the nearest of the colormap's 256 colors. Where the picture is stored without loss,
    this is the value that was drawn. In a JPEG file it is close to it.

    Args:
        picture: uint8 array `[height, width, 3]`.
        colormap: String, name of the matplotlib colormap that it was drawn with. Defaults to `"magma"`.
        top_db: Float, range of the picture in dB. Defaults to 80.

    Returns:
        float32 array `[height, width]` in dB: `-top_db` for the colormap's lowest color, 0 for its highest.

    Raises:
        ValueError: There is no such colormap, it has the same color for different values, or `picture` is not such an
            array.
    """
    known, nearest = inverse(colormap)
    picture = np.asarray(picture)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3:
        raise ValueError(
            "`picture` must be a uint8 array of shape [height, width, 3]. "
            f"Received: shape={picture.shape}, dtype={picture.dtype}"
        )
    red, green, blue = (picture[..., channel].astype(np.int32) for channel in range(3))
    codes = red << 16 | green << 8 | blue
    shades = known[codes]
    unknown = np.unique(codes[shades == 0])
    if unknown.size:
        # Several threads may do this at once, because they write the same values.
        known[unknown] = 1 + nearest(np.stack([unknown >> 16, unknown >> 8 & 255, unknown & 255], axis=-1))
        shades = known[codes]
    return np.linspace(-top_db, 0, 256, dtype=np.float32)[shades - 1]


def redraw(
    db: np.ndarray,
    *,
    image_size: tuple[int, int],
    shorter_side: int | None = None,
    interpolation: str = "bilinear",
    colormap: str = "gray",
    scale: str = "amplitude",
    top_db: float = 80,
) -> np.ndarray:
    """Redraws a picture from its decibels, resized and cropped as by `resize`.

    Args:
        db: float32 array `[height, width]` in `-top_db..0` dB, as `decibels` returns it.
        image_size, shorter_side, interpolation: As in `resize`.
        colormap: String, name of a matplotlib colormap. Grays are resized before they are rounded, other colors after
            they are drawn. Defaults to `"gray"`.
        scale: `"db"` or `"amplitude"`: the quantity that the colormap is applied to. Defaults to `"amplitude"`.
        top_db: Float. With the scale `"db"`, `-top_db` has the lowest color. Defaults to 80.

    Returns:
        uint8 array `[image_size[0], image_size[1], 3]`.
    """
    arguments: dict[str, Any] = {
        "image_size": image_size,
        "shorter_side": shorter_side,
        "interpolation": interpolation,
    }
    amplitudes = scale == "amplitude"
    fractions = np.exp(db * np.float32(math.log(10) / 20)) if amplitudes else 1 + db / np.float32(top_db)
    table = colors(colormap)
    if _is_gray(table):
        shades = resize(255 * fractions, **arguments)
        return np.repeat(np.rint(np.clip(shades, 0, 255)).astype(np.uint8)[..., None], 3, axis=-1)
    shades = np.clip(256 * fractions, 0, 255).astype(np.uint8)
    return resize(np.take(table.astype(np.uint8), shades, axis=0), **arguments)


def resize(
    picture: np.ndarray,
    *,
    image_size: tuple[int, int],
    shorter_side: int | None = None,
    interpolation: str = "bilinear",
) -> np.ndarray:
    """Resizes and crops a picture with Pillow, like torchvision's `Resize` and `CenterCrop`.

    Args:
        picture: uint8 array `[height, width, 3]`, or float32 array `[height, width]`.
        image_size: `(height, width)` of the result.
        shorter_side: Integer. The shorter side is resized to this, and `image_size` is cropped from the center.
            Defaults to `None`: the whole picture is resized to `image_size`.
        interpolation: `"nearest"`, `"bilinear"` or `"bicubic"`, with antialiasing. Defaults to `"bilinear"`.

    Returns:
        Array of the same type, of `image_size`.
    """
    from PIL import Image

    (top, height), (left, width) = crop_box(picture.shape[:2], image_size=image_size, shorter_side=shorter_side)
    resized = Image.fromarray(picture).resize((width, height), Image.Resampling[interpolation.upper()])
    return np.asarray(resized)[top : top + image_size[0], left : left + image_size[1]]


def crop_box(
    size: tuple[int, ...], *, image_size: tuple[int, int], shorter_side: int | None
) -> tuple[tuple[int, int], tuple[int, int]]:
    """The position of `image_size` in the resized picture: `((top, resized height), (left, resized width))`.

    Raises:
        ValueError: `shorter_side` is smaller than the crop.
    """
    if shorter_side is None:
        return (0, image_size[0]), (0, image_size[1])
    shorter = min(size)
    height, width = (shorter_side if side == shorter else int(shorter_side * side / shorter) for side in size)
    if height < image_size[0] or width < image_size[1]:
        raise ValueError(
            "`shorter_side` must leave a picture of at least `image_size`. "
            f"Received: shorter_side={shorter_side}, image_size={image_size}, picture size={tuple(size)}"
        )
    return (round((height - image_size[0]) / 2), height), (round((width - image_size[1]) / 2), width)


def check_image_size(name: str, size: Any, *, square: bool = False) -> tuple[int, int]:
    """An image size as a pair `(height, width)`. With `square=True` a single integer stands for a square.

    Raises:
        ValueError: `size` is not a pair of positive integers, nor such an integer if that is allowed.
    """
    size = plain(size)
    sides = tuple(size) if isinstance(size, tuple | list) else (size, size) if square else ()
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        pair = "a pair (height, width) of positive integers"
        rule = f"a positive integer or {pair}" if square else pair
        raise ValueError(f"`{name}` must be {rule}. Received: {name}={size!r}")
    return sides


def _selection(index: np.ndarray, count: int) -> np.ndarray:
    """The matrix `[len(index), count]` that selects rows."""
    return np.eye(count, dtype=np.float32)[np.clip(index, 0, count - 1).astype(int)]


@functools.lru_cache(maxsize=64)
def _resizing(old: int, new: int, interpolation: str) -> np.ndarray:
    """The matrix `[new, old]` of Pillow's antialiased resize, obtained by resizing the unit vectors."""
    from PIL import Image

    if old == new:
        return np.eye(old, dtype=np.float32)
    units = Image.fromarray(np.eye(old, dtype=np.float32))
    return np.asarray(units.resize((old, new), Image.Resampling[interpolation.upper()]))


def _quantity(db: Any, scale: str) -> Any:
    """The quantity that the colormap is applied to: decibels or amplitudes."""
    return operations(db).exp(db * (math.log(10) / 20)) if scale == "amplitude" else db


def _floor(x: Any, gradient: bool) -> Any:
    floored = operations(x).floor(x)
    return operations(x).stop_gradient(floored) + _gradient_of(x) if gradient else floored


def _gradient_of(x: Any) -> Any:
    """0, with the gradient of `x`."""
    return x - operations(x).stop_gradient(x)


def _bands(matrix: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Splits a product with `matrix` into bands of rows, because each pixel shows only a few neighboring inputs.

    Args:
        matrix: float array `[out, in]`.
        limit: Integer, the largest number of rows in a band. A smaller divisor of `out` is preferred if it is near.

    Returns:
        `(inputs, weights)`: int32 array `[bands, width]`, the inputs that each band needs, and float32 array
        `[bands, rows, width]`, with rows of zeros at the end where `bands * rows` exceeds `out`.
    """
    # At least two bands: TensorFlow's oneDNN corrupts memory where `[batch, 1, m, k]` is multiplied by `[1, k, n]`
    # (https://github.com/tensorflow/tensorflow/issues/117700).
    limit = max(1, min(limit, len(matrix) // 2))
    size = max(range(max(1, limit // 2), limit + 1), key=lambda size: (len(matrix) % size == 0, size))
    bands = np.pad(matrix, ((0, max(2 * size - len(matrix), -len(matrix) % size)), (0, 0)))
    bands = bands.reshape(-1, size, matrix.shape[1])
    used = bands.any(axis=1)
    inputs = np.argsort(~used, axis=1, kind="stable")[:, : used.sum(axis=1).max()]
    return inputs.astype(np.int32), np.take_along_axis(bands, inputs[:, None], axis=2)


@functools.cache
def colors(name: str) -> np.ndarray:
    """A matplotlib colormap as a float32 array `[256, 3]` in 0..255.

    Raises:
        ValueError: There is no such colormap.
    """
    import matplotlib

    if name not in matplotlib.colormaps:
        raise ValueError(
            f"Unknown `colormap`. Allowed values: {sorted(matplotlib.colormaps)}. Received: colormap={name!r}"
        )
    colors = matplotlib.colormaps[name].resampled(256)(np.arange(256))[:, :3]
    return np.rint(colors * 255).astype(np.float32)  # as the Agg renderer rounds


def _is_gray(table: np.ndarray) -> bool:
    """Whether each color is the gray of its index."""
    return not (table - np.arange(256)[:, None]).any()


@functools.cache
def inverse(name: str) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """A lookup from the colors of a matplotlib colormap to their indices.

    Returns:
        `(known, nearest)`. `known` is an int16 array. At the position `red << 16 | green << 8 | blue` of a color it has
        1 plus the index of the color, or 0 if that is not known yet. `nearest` is a function from colors `[count, 3]`
        to the indices of the colormap's nearest colors.

    Raises:
        ValueError: There is no such colormap, or it has the same color for different values.
    """
    from scipy.spatial import KDTree

    table = colors(name).astype(np.int32)
    codes = table @ (1 << 16, 1 << 8, 1)
    # In some colormaps, such as viridis, a few neighboring colors round to the same one, which is harmless.
    if np.ptp(np.argwhere(codes[:, None] == codes), axis=1).max() > 4:
        raise ValueError(
            "`colormap` must have a different color for each value, or decibels cannot be read from a picture. "
            f"Received: colormap={name!r} ({len(np.unique(codes))} colors)"
        )
    known = np.zeros(1 << 24, np.int16)  # the system allocates only the pages that are written to
    known[codes] = 1 + np.arange(256)
    # Colors are compared mainly by brightness, which JPEG preserves better than hue.
    weights = np.array([[0.299, 0.587, 0.114], [-0.084, -0.166, 0.25], [0.25, -0.209, -0.041]]).T
    tree = KDTree(table @ weights)
    return known, lambda colors: tree.query(colors @ weights)[1]
