"""The sizes of a transform whose raster fits an image and a duration."""

from __future__ import annotations

import bisect
import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sonikeras.config import limits
from sonikeras.config._checks import check_integer, check_number, shown
from sonikeras.config._raster import narrowest_row, planes, row_edges
from sonikeras.config._transforms import bins_between

if TYPE_CHECKING:
    from sonikeras.config._sonification import SonificationConfig

_FOUND = ("frames", "fft_length", "frame_length", "frame_step")

_SHORTEST = 16  # samples of a transform

_BYTES = 64  # of memory that phase retrieval takes for each bin of each frame


def fitting(
    image: Any,
    base: SonificationConfig,
    duration: float | None,
    *,
    rows: int | None = None,
    changed: Collection[str] = (),
) -> dict[str, Any]:
    """The changes to a config's fields with which its raster fits an image.

    Args:
        image: Array `[height, width]` or `[height, width, 3]`, or `(height, width)`.
        base: `SonificationConfig`, whose other fields count.
        duration: Float in seconds, or `None`: every pixel has a bin.
        rows: Integer, the rows of the raster, or `None`: those of the band, without a duration those of the image.
        changed: Names of the fields that the caller sets.
    """
    if found := [name for name in _FOUND if name in changed]:
        raise ValueError(f"`for_image` finds {list(_FOUND)}: they must not be given. Received: {shown(found)}")
    height, width = _size(image)
    if base.transform == "oscillators":
        return _oscillators(height, width, base, duration, rows, changed)
    if duration is None:
        return _whole(height if rows is None else rows, width, base, changed)
    check_number("duration", duration, "a number of seconds above 0", lambda x: x > 0)
    cells = math.ceil(duration * base.sample_rate * base.fft_length / (2 * base.frame_step))
    limits.check(
        "config_cells", cells, f"The magnitudes of `duration={duration:g}`, which take {memory(cells)} of memory,"
    )
    candidates = _transforms(base)

    def excess(fft_length: int) -> float:
        """How much taller than the image the raster is, as a logarithm: longer transforms are taller."""
        return math.log(_rows(base, fft_length) * width) - math.log(_columns(base, fft_length, duration) * height)

    fits = [fft_length for fft_length in candidates if _is_raster(base, fft_length, duration)]
    if not fits:
        raise ValueError(
            "`duration` must be long enough for a transform with at least two rows in the band and two frames, with "
            f"`color='rgb'` three. Received: duration={duration:g}, sample_rate={base.sample_rate}, "
            f"min_freq={base.min_freq}, max_freq={base.max_freq}"
        )
    place = bisect.bisect_left(fits, 0.0, key=excess)
    fft_length = min(fits[max(place - 1, 0) : place + 1], key=lambda fft: abs(excess(fft)))
    return _sizes(base, fft_length) | {"frames": _frames(base, fft_length, duration), "rows": rows}


def memory(cells: int) -> str:
    """About how much memory phase retrieval takes, as a text."""
    gibibytes = cells * _BYTES / 2**30
    return f"about {gibibytes:,.1f} GiB" if gibibytes < 1e12 else "more than 10^12 GiB"


def _whole(height: int, width: int, base: SonificationConfig, changed: Collection[str]) -> dict[str, Any]:
    """The shortest transform that has a bin for each row, and a frame for each column of each plane."""
    narrowest = narrowest_row(base, height)
    candidates = _transforms(base)

    def enough(fft_length: int) -> bool:
        fine = base.frequency_scale == "linear" or base.sample_rate / fft_length <= narrowest
        return fine and _rows(base, fft_length) >= height

    place = bisect.bisect_left(candidates, True, key=enough)
    if place == len(candidates):
        raise ValueError(
            f"An image must have few enough rows for a transform of at most {candidates[-1]:,} samples (the limit "
            f"`config_transform` of `sonikeras.limits`) to have a bin for each. Received: {height} rows, "
            f"frequency_scale={base.frequency_scale!r}, min_freq={base.min_freq}, max_freq={base.max_freq}"
        )
    sizes = _sizes(base, candidates[place])
    sizes["rows"] = None if _rows(base, candidates[place]) == height else height
    return sizes | _whole_columns(width, base, changed)


def _whole_columns(width: int, base: SonificationConfig, changed: Collection[str]) -> dict[str, Any]:
    """Frames for each column of each plane."""
    if base.color != "ycbcr":
        return {"frames": max(width * (3 if base.color == "rgb" else 1), 2)}
    if "chroma_fraction" in changed:
        return {"frames": max(math.ceil(width / (1 - base.chroma_fraction)), 2)}
    chroma = -(-width // 2)
    return {"frames": width + chroma, "chroma_fraction": chroma / (width + chroma)}


def _oscillators(
    height: int,
    width: int,
    base: SonificationConfig,
    duration: float | None,
    rows: int | None,
    changed: Collection[str],
) -> dict[str, Any]:
    """The raster of oscillators, which may have any size.

    Without a duration, columns are as long as it takes to tell rows apart: the distance of rows in Hz times the
    duration of a column is 1/2. With one, it is 1 on average, about as in the preset `"scan"`.
    """
    if base.frequencies is not None:
        rows = len(base.frequencies)
        distance = float(min(np.diff(base.frequencies), default=base.sample_rate / 2))
    else:
        distance = narrowest_row(base, height if rows is None else rows)
    if duration is None:
        return _in_proportion(base, math.ceil(base.sample_rate / (2 * distance))) | {
            "rows": None if base.frequencies is not None else height if rows is None else rows,
            **_whole_columns(width, base, changed),
        }
    check_number("duration", duration, "a number of seconds above 0", lambda x: x > 0)
    lowest, *_, highest = row_edges(base)
    cells = duration * (highest - lowest)
    limits.check("config_cells", math.ceil(cells), f"The pixels of `duration={duration:g}`")
    share = {"gray": 1.0, "rgb": 1 / 3, "ycbcr": 1 - base.chroma_fraction}[base.color]  # of the first plane
    rows = max(round(math.sqrt(cells * share * height / width)), 2) if rows is None else rows
    columns = max(rows * width / (height * share), 3 if base.color == "rgb" else 2)
    step = round(duration * base.sample_rate / columns)
    if step < 1:
        raise ValueError(
            "`duration` must be long enough for columns of at least one sample. "
            f"Received: duration={duration:g}, sample_rate={base.sample_rate}, an image of {(height, width)}"
        )
    return _in_proportion(base, step) | {
        "rows": None if base.frequencies is not None else rows,
        "frames": round(duration * base.sample_rate / step),
    }


def _in_proportion(base: SonificationConfig, frame_step: int) -> dict[str, Any]:
    """`_sizes` by the step."""
    return _sizes(base, 2 * math.ceil(frame_step * base.fft_length / base.frame_step / 2)) | {"frame_step": frame_step}


def _size(image: Any) -> tuple[int, int]:
    size = image.shape[:2] if isinstance(image, np.ndarray) and image.ndim in (2, 3) else image
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise ValueError(
            "`image` must be an array of shape [height, width] or [height, width, 3], or a pair (height, width). "
            f"Received: {shown(image)}"
        )
    height, width = check_integer("height", size[0], minimum=1), check_integer("width", size[1], minimum=1)
    limits.check("image_side", max(height, width), "The longer side of `image`")
    return height, width


def _transforms(base: SonificationConfig) -> Sequence[int]:
    """The transforms to choose from, shortest first: powers of two, or all that an MDCT allows."""
    longest = limits.get("config_transform")
    if base.transform == "mdct":
        return range(_SHORTEST, longest + 1, 4)
    # The step must be a whole number of samples.
    shortest = max(_SHORTEST, base.fft_length // math.gcd(base.fft_length, base.frame_length, base.frame_step))
    return [2**i for i in range(2, longest.bit_length()) if shortest <= 2**i <= longest]


def _sizes(base: SonificationConfig, fft_length: int) -> dict[str, Any]:
    """A transform and a window in the config's proportions, and the analysis likewise where it has its own."""
    names = [*_FOUND[1:], *(f"analysis_{name}" for name in _FOUND[1:])]
    values = {name: getattr(base, name) for name in names}
    return {
        name: value if value is None else max(value * fft_length // base.fft_length, 1)
        for name, value in values.items()
    }


def _rows(base: SonificationConfig, fft_length: int) -> int:
    bins = bins_between(base.transform, fft_length, base.sample_rate, base.min_freq, base.max_freq)
    return bins.stop - bins.start


def _frames(base: SonificationConfig, fft_length: int, duration: float) -> int:
    steps = round(duration * base.sample_rate / _sizes(base, fft_length)["frame_step"])
    return steps + (1 if base.transform == "stft" else -1)


def _columns(base: SonificationConfig, fft_length: int, duration: float) -> int:
    """The width of the first plane."""
    rows, frames = _rows(base, fft_length), _frames(base, fft_length, duration)
    return planes(rows, frames, base.color, base.chroma_fraction)[0].size[1]


def _is_raster(base: SonificationConfig, fft_length: int, duration: float) -> bool:
    enough = 3 if base.color == "rgb" else 2
    return _rows(base, fft_length) >= 2 and _frames(base, fft_length, duration) >= enough
