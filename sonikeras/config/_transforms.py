"""A transform and its sizes, and the frequencies of its bins."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from sonikeras.config._checks import check_choice
from sonikeras.config._choices import TRANSFORMS


class TransformSettings(NamedTuple):
    """A transform and its sizes in samples.

    Attributes:
        transform: `"stft"`, `"mdct"` or `"oscillators"`.
        fft_length: Integer, the size of the transform. Oscillators have none.
        frame_length: Integer, the length of the window.
        frame_step: Integer, the distance between frames.
    """

    transform: str
    fft_length: int
    frame_length: int
    frame_step: int


def check_transform(settings: TransformSettings, prefix: str) -> None:
    """Raises a `ValueError` if sizes do not fit each other. `prefix` is that of the fields: `""` or `"analysis_"`."""
    transform, fft, frame, step = settings
    if fft % 2:
        raise ValueError(f"`{prefix}fft_length` must be even. Received: {prefix}fft_length={fft}")
    received = f"{prefix}frame_step={step}, {prefix}frame_length={frame}, {prefix}fft_length={fft}"
    if not step <= frame <= fft:
        raise ValueError(
            f"`{prefix}frame_step` <= `{prefix}frame_length` <= `{prefix}fft_length` must hold. Received: {received}"
        )
    check_choice(f"{prefix}transform", transform, TRANSFORMS)
    if transform == "mdct" and not (2 * step == frame == fft and step % 2 == 0):
        raise ValueError(
            f"With `{prefix}transform='mdct'`, `{prefix}frame_length` and `{prefix}fft_length` must be twice "
            f"`{prefix}frame_step`, which must be even. Received: {received}"
        )


def number_of_bins(transform: str, fft_length: int) -> int:
    """The number of bins of an STFT or MDCT."""
    return fft_length // 2 + (transform == "stft")


def bin_edges(transform: str, fft_length: int, sample_rate: int) -> np.ndarray:
    """The frequencies in Hz between which the bins of a transform lie: float64 `[bins + 1]`.

    A bin's center is in the middle: bin `k` of an STFT is centered at `k`, that of an MDCT at `k + 0.5` times
    `sample_rate / fft_length`.
    """
    edges = np.arange(number_of_bins(transform, fft_length) + 1) - (0.5 if transform == "stft" else 0.0)
    return edges * (sample_rate / fft_length)


def bins_between(
    transform: str, fft_length: int, sample_rate: int, low: float | None = None, high: float | None = None
) -> slice:
    """The bins of a transform whose centers lie between two frequencies in Hz; `None` is no bound."""
    first = 0.0 if transform == "stft" else 0.5
    start, stop = 0, number_of_bins(transform, fft_length)
    tolerance = 1e-9  # of a bin: the quotients are rounded
    if low is not None:
        start = max(start, math.ceil(low * fft_length / sample_rate - first - tolerance))
    if high is not None:
        stop = min(stop, math.floor(high * fft_length / sample_rate - first + tolerance) + 1)
    return slice(start, max(start, stop))
