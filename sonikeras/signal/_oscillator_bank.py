"""The sinusoids of an image's rows: their checked settings, phases, tables and joint peak."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from sonikeras.config._checks import check_integer
from sonikeras.config._raster import check_frequencies


class Bank(NamedTuple):
    """The settings of an image's sinusoids, hashable.

    Attributes:
        frequencies: Increasing floats in Hz, above 0 and below half the sample rate.
        sample_rate: Integer, samples per second.
        frames: Integer, columns of the image.
        frame_step: Integer, samples from one column to the next.
    """

    frequencies: tuple[float, ...]
    sample_rate: int
    frames: int
    frame_step: int


def low_crest_phases(rows: int) -> np.ndarray:
    """Phases of the sinusoids at the beginning that keep the peaks of the audio low: those of a chirp.

    They are `pi k (k + 1) / rows`. Schroeder derived them for the harmonics of a tone. Their sign is such that the
    sinusoids of a logarithmic axis would have met before the beginning. Crest factor (peak over root mean square) of a
    white image with 64 rows, in one second:

    | frequencies | these phases | random phases | equal phases |
    |---|---|---|---|
    | 500 to 5,000 Hz, log | 12 dB | 13 dB | 21 dB |
    | 500 to 5,000 Hz, linear | 5 dB | 10 dB | 21 dB |
    | harmonics of 110 Hz | 5 dB | 10 dB | 21 dB |

    Args:
        rows: Positive integer, the number of sinusoids.

    Returns:
        float64 array `[rows]` in radians.

    References:
        Schroeder, "Synthesis of low-peak-factor signals and binary sequences with low autocorrelation", IEEE
        Transactions on Information Theory 16(1), 1970.

    Example:
        >>> from sonikeras.signal.oscillators import low_crest_phases
        >>> low_crest_phases(4).round(2)
        array([0.  , 1.57, 4.71, 9.42])
    """
    row = np.arange(check_integer("rows", rows, minimum=1))
    return np.pi * row * (row + 1) / rows


def as_bank(frequencies: Any, *, sample_rate: Any, frames: Any, frame_step: Any) -> Bank:
    """The `Bank` of some settings, checked."""
    sample_rate = check_integer("sample_rate", sample_rate, minimum=1)
    frames = check_integer("frames", frames, minimum=1)
    frame_step = check_integer("frame_step", frame_step, minimum=1)
    return Bank(check_frequencies(frequencies, sample_rate), sample_rate, frames, frame_step)


def phases(bank: Bank, samples: np.ndarray) -> np.ndarray:
    """The phases `[samples, rows]` of the sinusoids at some samples."""
    cycles = samples[:, None] / bank.sample_rate * np.array(bank.frequencies)
    return 2 * np.pi * (cycles % 1) + low_crest_phases(len(bank.frequencies))


@functools.lru_cache(maxsize=8)
def tables(bank: Bank, multiple: int) -> tuple[np.ndarray, np.ndarray]:
    """The anchors and the tables of `_oscillator_kernels.synthesize`, whose size is a multiple of an integer."""
    half = (bank.frame_step + 1) // 2
    size = -(-half // multiple) * multiple
    anchors = phases(bank, np.arange(bank.frames + 1) * bank.frame_step - 0.5)
    angles = 2 * np.pi / bank.sample_rate * np.outer(bank.frequencies, np.arange(size) + 0.5)
    return (
        np.stack([np.cos(anchors), np.sin(anchors)]).astype(np.float32),
        np.stack([np.cos(angles), np.sin(angles)]).astype(np.float32),
    )


@functools.lru_cache(maxsize=64)
def highest_peak(bank: Bank) -> float:
    """The highest peak of the audio of any image in 0..1: with all rows white whose sinusoids have the same sign."""
    of_row = 2 * np.pi / bank.sample_rate * np.outer(np.arange(bank.frame_step), bank.frequencies)
    of_cosine, of_sine = np.cos(of_row), np.sin(of_row)
    worst = 0.0
    for theta in phases(bank, np.arange(bank.frames) * bank.frame_step):
        waves = np.cos(theta) * of_cosine - np.sin(theta) * of_sine
        # The positive waves add up to half of this where the sum is positive, as do the negative ones where it is not.
        worst = max(worst, float((np.abs(waves).sum(axis=1) + np.abs(waves.sum(axis=1))).max()) / 2)
    return worst
