"""Checks of arguments. Errors state the rule, the allowed values, and what was received."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Converts NumPy scalars, also in tuples and lists, to Python numbers, which JSON has."""
    if isinstance(value, tuple | list):
        try:
            return type(value)(map(plain, value))
        except RecursionError:  # no argument is nested so deeply, and checks refuse it
            return value
    return value.item() if isinstance(value, np.generic) else value


def check_choice(name: str, value: Any, allowed: Iterable[Any]) -> Any:
    """Returns `value` as a plain Python value. Raises a `ValueError` unless it is one of the allowed values."""
    value = plain(value)
    if isinstance(value, np.ndarray) or value not in list(allowed):
        raise ValueError(f"Unknown `{name}`. Allowed values: {list(allowed)}. Received: {name}={shown(value)}")
    return value


def check_frame(frame_length: int, frame_step: int, fft_length: int | None) -> None:
    """Raises a `ValueError` unless `1 <= frame_step <= frame_length <= fft_length`."""
    check_integer("frame_length", frame_length, minimum=1)
    check_integer("frame_step", frame_step, minimum=1)
    if fft_length is not None:
        check_integer("fft_length", fft_length, minimum=1)
    if not frame_step <= frame_length <= (fft_length or frame_length):
        raise ValueError(
            "1 <= `frame_step` <= `frame_length` <= `fft_length` must hold. "
            f"Received: frame_step={frame_step}, frame_length={frame_length}, fft_length={fft_length}"
        )


def check_overlap(window: str, frame_length: int, frame_step: int) -> None:
    """Raises a `ValueError` if there are samples between windows that no frame determines."""
    if 2 * frame_step <= frame_length:  # all windows overlap enough at half their length
        return
    from scipy.signal import get_window

    squares = np.zeros(-(-frame_length // frame_step) * frame_step)
    squares[:frame_length] = get_window(window, frame_length) ** 2
    overlapped = squares.reshape(-1, frame_step).sum(axis=0)
    if overlapped.min() < 0.01 * overlapped.max():
        raise ValueError(
            "`frame_step` must be small enough for the windows to overlap, or audio cannot be synthesized. "
            f"Received: frame_step={frame_step}, frame_length={frame_length}, window={window!r}"
        )


def check_integer(name: str, value: Any, *, minimum: int) -> int:
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ValueError(f"`{name}` must be an integer of at least {minimum}. Received: {name}={shown(value)}")
    return value


def check_number(name: str, value: Any, rule: str, holds: Any) -> Any:
    value = plain(value)
    # An integer may be too large for a float. Comparisons with NaN are false.
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    if not number or not holds(value):
        raise ValueError(f"`{name}` must be {rule}. Received: {name}={shown(value)}")
    return value


def shown(value: Any, longest: int = 200) -> str:
    """A value as errors show it, truncated if it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, or deeply nested lists
        return f"a value of type {type(value).__name__} that is too large to show"
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text)} characters)"


def check_audio(audio: Any, *, stereo: bool = False, name: str = "audio") -> np.ndarray:
    """Audio as float32: mono `[samples]`, and with `stereo` also `[samples, 2]`. Errors call it `name`.

    Raises:
        ValueError: The rank or type is another one, or there are no samples, NaN or infinity.
    """
    audio = np.asarray(audio)
    fits = audio.ndim == 1 or (stereo and audio.ndim == 2 and audio.shape[1] == 2)
    if not fits or not np.issubdtype(audio.dtype, np.floating) or audio.size == 0:
        shape = (
            "[samples] or [samples, 2] with at least 1 sample" if stereo else "[samples] with at least 1 sample, mono"
        )
        raise ValueError(
            f"`{name}` must be a float array of shape {shape}, in -1..1. "
            f"Received: shape={audio.shape}, dtype={audio.dtype}"
        )
    if not np.isfinite(audio).all():
        raise ValueError(f"`{name}` must be finite. Received: samples that are NaN or infinite")
    return audio.astype(np.float32)


def check_peak(audio: np.ndarray, advice: str = "") -> np.ndarray:
    """Returns the audio. Raises a `ValueError`, with `advice`, if 16-bit PCM would clip it."""
    peak = float(np.abs(audio).max())
    if peak > 1 + 1 / 32768:
        raise ValueError(f"`audio` must lie in -1..1, or it is clipped{advice}. Received: a peak of {peak:.6g}")
    return audio
