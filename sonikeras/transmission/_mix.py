"""Audio mixed onto a recording."""

from __future__ import annotations

import math
import os
from typing import NamedTuple

import numpy as np

from sonikeras.config import limits
from sonikeras.config._checks import check_audio, check_integer, check_number, shown
from sonikeras.sources.audio import read_channels, resample
from sonikeras.sources.loudness import amplify
from sonikeras.transmission._base import check_db


class Mix(NamedTuple):
    """The result of `mix`.

    Attributes:
        audio: float32 array `[samples]`, or `[samples, 2]` if one of the two is stereo, in -1..1.
        gain_db: Float, the gain in dB that the audio of the image has in the mix. `write_audio` stores it.
        attenuation_db: Float, by how many dB the whole mix is attenuated so that it is not clipped. Otherwise 0.
    """

    audio: np.ndarray
    gain_db: float
    attenuation_db: float


def mix(
    audio: np.ndarray,
    recording: np.ndarray | str | os.PathLike,
    *,
    sample_rate: int,
    level_db: float = 0.0,
    start: float = 0.0,
    recording_rate: int | None = None,
) -> Mix:
    """Mixes audio onto a recording, at a level relative to it.

    The level is the ratio of the root mean squares of the two, each over its whole length and all channels. The mix
    begins with the recording and is as long as both need. If its peak exceeded full scale, the whole mix would be
    attenuated to it; `attenuation_db` says by how much.

    Args:
        audio: float array `[samples]` or `[samples, 2]`, such as that of `sonify`. Mono audio is in both channels of a
            stereo mix.
        recording: Path of an audio file with one or two channels, or float array `[samples]` or `[samples, 2]`. It is
            resampled to `sample_rate` by soxr at high quality. Mono recordings are in both channels of a stereo mix.
        sample_rate: Positive integer, the sample rate of `audio` and the mix in Hz.
        level_db: Number of dB in -200..200: the level of the audio relative to the recording. Defaults to 0: equally
            loud.
        start: Number of seconds of at least 0 at which the audio starts. Defaults to 0.
        recording_rate: Positive integer, the sample rate of an array in Hz. Defaults to `sample_rate`.

    Returns:
        `Mix`, a tuple of the audio and the decibels.

    Raises:
        FileNotFoundError: The recording does not exist.
        ValueError: `audio` or `recording` is not such an array or file, or not finite; the recording is silent, so that
            no level is relative to it; or a number is not allowed.

    Example:
        >>> import numpy as np, sonikeras
        >>> audio = sonikeras.sonify(np.eye(64, dtype="uint8") * 255, "matched")
        >>> hum = 0.1 * np.sin(np.arange(3 * 44100) * 0.02)
        >>> mixed = sonikeras.channels.mix(
        ...     audio, np.stack([hum, hum], axis=1), sample_rate=22050, level_db=-6, start=1, recording_rate=44100
        ... )
        >>> mixed.audio.shape, mixed.attenuation_db
        ((87074, 2), 0.0)
        >>> sonikeras.write_audio("mix.wav", mixed.audio, "matched", gain_db=mixed.gain_db)
    """
    audio = check_audio(audio, stereo=True)
    sample_rate = check_integer("sample_rate", sample_rate, minimum=1)
    check_db("level_db", level_db)
    first = round(check_number("start", start, "a number of seconds of at least 0", lambda x: x >= 0) * sample_rate)
    limits.check("audio_samples", first + len(audio), "The mix, by `start`,")
    below = _recording(recording, recording_rate, sample_rate)
    loudness, reference = _rms(audio), _rms(below)
    if reference == 0:
        raise ValueError(f"`recording` must not be silent: levels are relative to it. Received: {_named(recording)}")
    gain_db = level_db + 20 * math.log10(reference / loudness) if loudness else 0.0

    channels = max(audio.ndim, below.ndim)
    audio, below = (x if x.ndim == channels else x[:, None] for x in (audio, below))
    total = max(first + len(audio), len(below))
    mixed = np.zeros((total, 2) if channels == 2 else total, np.float32)
    mixed[: len(below)] = below
    mixed[first : first + len(audio)] += amplify(audio, gain_db)
    peak = float(np.abs(mixed).max())
    attenuation_db = 20 * math.log10(peak) if peak > 1 else 0.0
    return Mix(np.clip(amplify(mixed, -attenuation_db), -1, 1), gain_db - attenuation_db, attenuation_db)


def _recording(recording: np.ndarray | str | os.PathLike, rate: int | None, sample_rate: int) -> np.ndarray:
    """The recording at the sample rate of the mix."""
    if isinstance(recording, str | os.PathLike):
        if rate is not None:
            raise ValueError(
                "`recording_rate` is the sample rate of an array: a file states its own. "
                f"Received: {_named(recording)}, recording_rate={shown(rate)}"
            )
        return read_channels(recording, sample_rate)
    rate = sample_rate if rate is None else check_integer("recording_rate", rate, minimum=1)
    return resample(check_audio(recording, stereo=True, name="recording"), rate, sample_rate)


def _named(recording: np.ndarray | str | os.PathLike) -> str:
    return "an array" if isinstance(recording, np.ndarray) else f"recording={os.fspath(recording)}"


def _rms(audio: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))
