"""Loudness of audio, and its normalization to a peak or to a loudness."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from sonikeras.config._checks import check_audio, check_integer, check_number, shown

_TARGET = re.compile(r"\s*([+-]?\d{1,4}(?:\.\d*)?)\s*(dBFS|LUFS)\s*", re.IGNORECASE)

_GATE = -70.0  # LUFS, below which a block does not count

_BLOCK, _STEP = 0.4, 0.1  # seconds: the length of a block, and the distance between blocks

# The lowest targets: the range of 16 bits, and the gate.
_QUIETEST = {"dbfs": -90.0, "lufs": _GATE}

_LARGEST_GAIN = 200.0  # dB


def integrated_loudness(audio: np.ndarray, sample_rate: int) -> float:
    """The integrated loudness of audio in LUFS, with the gates of the recommendation.

    pyloudnorm computes it: `pip install sonikeras[loudness]`.

    Args:
        audio: float array `[samples]` or `[samples, 2]` of at least 0.4 s.
        sample_rate: Positive integer, the sample rate in Hz.

    Returns:
        Float, or minus infinity if no block of 0.4 s is louder than -70 LUFS.

    Raises:
        ValueError: `audio` is not such an array, or not finite.
        ImportError: pyloudnorm is not installed.

    References:
        Recommendation ITU-R BS.1770-4 (2015), Algorithms to measure audio programme loudness and true-peak audio level.
        EBU R 128 (2020), Loudness normalisation and permitted maximum level of audio signals.
        Steinmetz and Reiss (2021), pyloudnorm: a simple yet flexible loudness meter in Python, AES Convention 150.

    Example:
        >>> import numpy as np
        >>> from sonikeras.sources.loudness import integrated_loudness
        >>> tone = np.sin(2 * np.pi * 997 / 48000 * np.arange(48000))
        >>> round(integrated_loudness(tone, 48000), 1)
        -3.0
    """
    audio = check_audio(audio, stereo=True)
    sample_rate = check_integer("sample_rate", sample_rate, minimum=1)
    block, step = _BLOCK * sample_rate, _STEP * sample_rate
    if len(audio) < block:
        raise ValueError(
            f"`audio` must last at least {_BLOCK} s to have a loudness in LUFS: normalize shorter audio to a peak, "
            f"such as '-1 dBFS'. Received: {len(audio)} samples at {sample_rate} Hz, {len(audio) / sample_rate:.3g} s"
        )
    try:
        import pyloudnorm
    except ImportError as error:
        raise ImportError(
            f"A loudness in LUFS needs pyloudnorm: pip install 'sonikeras[loudness]'. Received: {error}"
        ) from error
    # pyloudnorm also measures a block that the end cuts off, which the recommendation does not count. Its filters of
    # De Man have the coefficients of the recommendation, its default ones are an approximation.
    whole = math.floor((len(audio) - block) / step * (1 + 1e-12))
    meter = pyloudnorm.Meter(sample_rate, filter_class="DeMan", block_size=_BLOCK)
    return float(meter.integrated_loudness(audio[: math.ceil(block + whole * step)].astype(np.float64)))


def normalize(audio: np.ndarray, target: str, *, sample_rate: int) -> tuple[np.ndarray, float]:
    """Audio at another volume, at which its peak or its loudness is that of the target.

    Silence stays silent, at a gain of 0 dB.

    Args:
        audio: float array `[samples]` or `[samples, 2]`.
        target: String, a peak in dB relative to full scale, such as `"-1 dBFS"`, or an integrated loudness, such as
            `"-16 LUFS"`. The peak is that of the samples.
        sample_rate: Positive integer, the sample rate in Hz.

    Returns:
        `(audio, gain_db)`: float32 array of the same shape in -1..1, and the gain in dB that it has.

    Raises:
        ValueError: `target` is no such string, or the audio would have to be clipped to be that loud, is too quiet to
            have a loudness, or is shorter than the 0.4 s that a loudness needs.
        ImportError: `target` is in LUFS and pyloudnorm is not installed: `pip install sonikeras[loudness]`.

    References:
        Those of `integrated_loudness`.

    Example:
        >>> import numpy as np
        >>> from sonikeras.sources.loudness import normalize
        >>> audio, gain_db = normalize(np.array([0.1, -0.2]), "-6 dBFS", sample_rate=22050)
        >>> audio.round(3), round(gain_db, 2)
        (array([ 0.251, -0.501], dtype=float32), 7.98)
    """
    audio = check_audio(audio, stereo=True)
    level, is_peak = check_target(target)
    peak = float(np.abs(audio).max())
    if peak == 0:
        return audio, 0.0
    gain_db = check_gain(level - 20 * math.log10(peak))
    if not is_peak:
        # Measured at full scale, where the absolute gate is far below the audio.
        loudest = integrated_loudness(audio / np.float32(peak), sample_rate)
        if loudest == -math.inf:
            raise ValueError(
                f"`audio` must have an audible block of {_BLOCK} s to be normalized to a loudness: normalize it to a "
                f"peak, such as '-1 dBFS'. Received: audio below {_GATE:g} LUFS at a peak of 0 dBFS"
            )
        if level > loudest:
            raise ValueError(
                f"`normalize` must be at most {math.floor(10 * loudest) / 10:.1f} LUFS for this audio, or its peaks "
                f"are clipped: '0 dBFS' makes it as loud as it can be. Received: normalize={shown(target)}, which puts "
                f"the peak at {level - loudest:+.1f} dBFS"
            )
        gain_db = check_gain(gain_db - loudest)
    return amplify(audio, gain_db), gain_db


def amplify(audio: np.ndarray, gain_db: float) -> np.ndarray:
    """Audio at another volume, float32. It is not clipped. A gain of 0 dB does not change it."""
    return audio * np.float32(10 ** (gain_db / 20)) if gain_db else audio


def check_gain(gain_db: Any) -> float:
    """Returns a gain. Raises a `ValueError` unless it is a number of decibels in -200..200."""
    rule = f"a number of dB in {-_LARGEST_GAIN:g}..{_LARGEST_GAIN:g}"
    return float(check_number("gain_db", gain_db, rule, lambda db: abs(db) <= _LARGEST_GAIN))


def check_target(target: Any) -> tuple[float, bool]:
    """The level of a `normalize` argument, and whether it is a peak in dBFS. Otherwise it is a loudness in LUFS."""
    found = _TARGET.fullmatch(target) if isinstance(target, str) else None
    if found is None or not (_QUIETEST[unit := found[2].lower()] <= float(found[1]) <= 0):
        raise ValueError(
            "`normalize` must be a peak in -90..0 dBFS, such as '-1 dBFS', or a loudness in -70..0 LUFS, such as "
            f"'-16 LUFS'. Received: normalize={shown(target)}"
        )
    return float(found[1]), unit == "dbfs"
