"""Audio files, 16-bit PCM, and the config that they carry."""

from __future__ import annotations

import functools
import importlib.util
import io
import json
import math
import os
from typing import BinaryIO

import numpy as np

from sonikeras.config import SonificationConfig, as_config, limits
from sonikeras.config._checks import check_audio, check_integer, check_peak
from sonikeras.config._files import open_regular, write_bytes
from sonikeras.sources._audio_decoders import Recording, open_recording
from sonikeras.sources._pieces import Unreadable

# Extensions of the formats of libsndfile, without .mat and .htk, which are rarely audio, and .raw and .sd2, which have
# no header.
_LIBSNDFILE = (
    *(".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".mpga", ".aif"),
    *(".aiff", ".aifc", ".au", ".snd", ".caf", ".voc", ".nist", ".sph", ".avr", ".paf", ".pvf", ".8svx", ".ircam"),
)


# Extensions of further formats of PyAV, a binding of FFmpeg.
_PYAV = (
    ".m4a",
    ".m4b",
    ".mp4",
    ".aac",
    ".wma",
    ".webm",
    ".weba",
    ".mka",
    ".amr",
    ".3gp",
    ".ac3",
    ".ape",
    ".wv",
    ".tta",
)


EXTENSIONS = (*_LIBSNDFILE, *(_PYAV if importlib.util.find_spec("av") else ()))


_WRITTEN = {".wav": "WAV", ".flac": "FLAC"}


_COMMENT = "sonikeras:"


# Resampling the start of a recording needs more samples than that, since filters extend beyond its end. With so many
# more, at the lower one of the two rates, the result of soxr is bit-identical to that of the whole recording. In 20
# pairs of rates from 100 Hz to 1 MHz, 4096 were enough.
_REACH = 8192


def to_pcm16(audio: np.ndarray) -> np.ndarray:
    """Audio as 16-bit PCM, clipped and rounded down like libsndfile: float `[...]` in -1..1 to int16 `[...]`."""
    wide = np.array(audio, np.float64)
    wide *= 2.0**31
    np.rint(wide, out=wide)
    wide /= 2**16
    np.floor(wide, out=wide)
    return np.clip(wide, -32768, 32767, out=wide).astype(np.int16)


def from_pcm16(pcm: np.ndarray) -> np.ndarray:
    """16-bit PCM as audio, scaled like libsndfile: int16 `[...]` to float32 `[...]` in -1..1."""
    return pcm.astype(np.float32) / np.float32(32768)


def write_audio(path: str | os.PathLike, audio: np.ndarray, config: str | SonificationConfig = "study") -> None:
    """Writes audio as 16-bit PCM, with the config in the comment of the file.

    The config makes it possible to reconstruct the image from the file alone.

    Args:
        path: Path with the extension `.wav` or `.flac`.
        audio: float array `[samples]` in -1..1, mono, or if the config has `panning` `[samples, 2]`.
        config: The config of the audio: preset, `SonificationConfig`, or path to one. Defaults to `"study"`.

    Raises:
        ValueError: Samples are NaN, infinite or beyond -1..1, or the extension is another one.

    Example:
        >>> import numpy as np, sonikeras
        >>> sonikeras.write_audio("beep.wav", np.sin(np.arange(22050) * 0.3).astype("float32") / 2)
        >>> audio, config = sonikeras.read_audio("beep.wav")
        >>> audio.shape, config == sonikeras.SonificationConfig.preset("study")
        ((22050,), True)
    """
    config = as_config(config)
    audio = check_audio(audio, panning=config.panning)
    extension = os.path.splitext(path)[1].lower()
    if extension not in _WRITTEN:
        raise ValueError(f"`path` must end in one of {list(_WRITTEN)}. Received: path={os.fspath(path)}")
    write_bytes(path, encode_pcm16(to_pcm16(check_peak(audio)), config, extension))


def encode_pcm16(pcm: np.ndarray, config: SonificationConfig, extension: str) -> bytes:
    """The file of int16 `[samples]` or `[samples, channels]`, as `write_audio` writes it.

    `extension` is `".wav"` or `".flac"`.
    """
    import soundfile

    data, channels = io.BytesIO(), 1 if pcm.ndim == 1 else pcm.shape[1]
    with soundfile.SoundFile(data, "w", config.sample_rate, channels, "PCM_16", format=_WRITTEN[extension]) as file:
        file.comment = _comment(config)
        file.write(pcm)
    return data.getvalue()


@functools.lru_cache(maxsize=8)
def _comment(config: SonificationConfig) -> str:
    return _COMMENT + json.dumps(config.to_dict())


def decode_pcm16(data: bytes) -> np.ndarray:
    """The samples of a file from `encode_pcm16`: int16 `[samples]` or `[samples, channels]`."""
    import soundfile

    return soundfile.read(io.BytesIO(data), dtype="int16")[0]


def read_audio(
    source: str | os.PathLike | bytes,
    config: str | SonificationConfig | None = None,
    *,
    samples: int | None = None,
    name: str | None = None,
) -> tuple[np.ndarray, SonificationConfig]:
    """Reads audio, and the config that the file carries.

    Channels are averaged, unless the config has `panning` and the file two channels. Other sample rates are converted
    to that of the config by soxr at high quality, as in `librosa.load`. The content of a file determines its format,
    whatever its name.

    All samples are read: up to the end of the file if the sizes in its header are placeholders, such as those of a
    program that writes to a pipe. A file that is shorter than its header states is truncated, and raises an error.

    Args:
        source: Path or bytes of a WAV, FLAC, Ogg, MP3, AIFF, AU or CAF file, or another one that libsndfile reads. With
            PyAV (`pip install sonikeras[m4a]`) also of an M4A, AAC, WMA or WebM file.
        config: The config to read the audio for: preset, `SonificationConfig`, or path to one. Defaults to that in the
            file, or if there is none (as in a recording) to `"study"`.
        samples: Integer, the number of samples to read from the start, at the sample rate of the config. They are
            bit-identical to those of the whole file. Damage in the rest of the file may go unnoticed. Defaults to
            `None`: all.
        name: String, the name of the file in errors. Defaults to the path.

    Returns:
        `(audio, config)`: float32 array `[samples]` in -1..1 at `config.sample_rate`, or with `panning` and two
        channels `[samples, 2]`, and a `SonificationConfig`.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is not audio, is truncated, or has no samples, NaN, more samples than `sonikeras.limits`
            allows, or a config that is not valid.
    """
    config = None if config is None else as_config(config)
    if samples is not None:
        check_integer("samples", samples, minimum=1)
    if isinstance(source, bytes):
        return _read(io.BytesIO(source), config, samples, name or "audio")
    name = name or os.fspath(source)
    if not os.path.exists(source):
        raise FileNotFoundError(f"There is no such sound file. Received: {name}")
    with open_regular(source) as file:
        return _read(file, config, samples, name)


def _read(
    file: BinaryIO, config: SonificationConfig | None, samples: int | None, name: str
) -> tuple[np.ndarray, SonificationConfig]:
    def needed(rate: int, config: SonificationConfig | None = config) -> int | None:
        if samples is None or config is None:
            return None
        ratio = rate / config.sample_rate
        return math.ceil(samples * ratio) + (0 if ratio == 1 else _REACH * math.ceil(max(1, ratio)))

    try:
        with open_recording(file, needed) as recording:
            rate = recording.rate
            limits.check("audio_rate", rate, name)
            limits.check("audio_rate_lowest", rate, name)
            limits.check("audio_channels", recording.channels, name)
            config = config or _config_in(recording.comments, name) or SonificationConfig.preset("study")
            stereo = config.panning and recording.channels == 2
            audio = _samples(recording, needed(rate, config), max(1, config.sample_rate / rate), name, stereo=stereo)
    except Unreadable as error:
        raise ValueError(
            f"An audio file must be a whole WAV, FLAC, Ogg, MP3, AIFF, AU or CAF file. Received: {name} ({error})"
        ) from error
    if not np.isfinite(audio).all():
        raise ValueError(f"An audio file must hold finite samples. Received: {name} with NaN or infinity")
    if rate != config.sample_rate:
        import librosa

        audio = librosa.resample(audio, orig_sr=rate, target_sr=config.sample_rate, res_type="soxr_hq", axis=0)
    return audio[:samples].astype(np.float32, copy=False), config


def _samples(recording: Recording, wanted: int | None, growth: float, name: str, *, stereo: bool) -> np.ndarray:
    """The mean of the channels of a recording, float32 `[frames]`: of all frames, or of the first ones.

    With `stereo` it is both of two channels, `[frames, 2]`.

    Its length, also after resampling, is checked before memory is allocated.
    """
    frames, known = recording.frames, [n for n in (wanted, recording.frames) if n is not None]
    size = min(known) if known else int(limits.get("audio_samples") / growth)
    limits.check("audio_samples", math.ceil(size * growth), name)
    audio, done = np.empty((size, 2) if stereo else size, np.float32), 0  # memory is allocated when it is written to
    for block in recording.blocks():
        if not known and done + len(block) > size:
            limits.check("audio_samples", math.ceil((done + len(block)) * growth), name)
        part = block[: size - done]
        if stereo:
            audio[done : done + len(part)] = part
        else:
            part.mean(axis=1, out=audio[done : done + len(part)])
        done += len(part)
        if known and done == size:
            break
    whole = done >= min(known + [recording.least]) if frames is None else done == size
    if frames is not None and done < frames:
        whole = whole and recording.ends()
    if not done or not whole:
        stated = f" of {frames}" if frames else ""
        raise ValueError(f"An audio file must hold all of its samples. Received: {name} ({done}{stated} samples)")
    return audio if done == size else audio[:done].copy()


def read_config(path: str | os.PathLike) -> SonificationConfig:
    """Reads the config that an audio file carries. `SonificationConfig.load` calls it.

    Raises:
        ValueError: The file is not audio, or carries no config or one that is not valid; the message names it.
    """
    name = os.fspath(path)
    try:
        with open(path, "rb") as file, open_recording(file, lambda rate: 1) as recording:
            config = _config_in(recording.comments, name)
    except Unreadable as error:
        raise ValueError(
            "A config file must be JSON, as `SonificationConfig.save` writes it, or an audio file that carries a "
            f"config. Received: {name} ({error})"
        ) from error
    if config is None:
        raise ValueError(
            "An audio file that is used as a config must carry one, as those of `sonikeras.write_audio` do. "
            f"Received: {name}, without a config"
        )
    return config


def _config_in(comments: list[bytes], name: str) -> SonificationConfig | None:
    """The config in the comments of an audio file, if there is one."""
    found = {comment for comment in comments if comment.startswith(_COMMENT.encode())}
    if not found:
        return None
    try:
        if len(found) > 1:
            raise ValueError(f"{len(found)} different ones")
        return SonificationConfig.from_json(found.pop().removeprefix(_COMMENT.encode()))
    except ValueError as error:
        raise ValueError(f"A config in an audio file must be valid. Received: {name} ({error})") from error
