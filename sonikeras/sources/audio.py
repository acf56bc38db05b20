"""Audio as files: 16-bit PCM that carries the config it was made with."""

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

# Endings of what libsndfile reads. It also reads .mat and .htk, which seldom are audio, and .raw and .sd2, which do not
# say what they hold.
_LIBSNDFILE = (
    *(".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".mpga", ".aif"),
    *(".aiff", ".aifc", ".au", ".snd", ".caf", ".voc", ".nist", ".sph", ".avr", ".paf", ".pvf", ".8svx", ".ircam"),
)


# Endings of what PyAV reads besides, a binding of FFmpeg's libraries.
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


# To convert the sample rate of a part takes more than the part, since filters reach over its end. With so many samples
# more, at the lower one of the two rates, soxr gives the same bits as of the whole: it filters in blocks, and 4096 were
# enough in all of 20 pairs of rates from 100 Hz to 1 MHz.
_REACH = 8192


def to_pcm16(audio: np.ndarray) -> np.ndarray:
    """Samples as 16-bit PCM, clipped and rounded down as libsndfile does: float -1..1 `[...]` to int16 `[...]`."""
    wide = np.array(audio, np.float64)
    wide *= 2.0**31
    np.rint(wide, out=wide)
    wide /= 2**16
    np.floor(wide, out=wide)
    return np.clip(wide, -32768, 32767, out=wide).astype(np.int16)


def from_pcm16(pcm: np.ndarray) -> np.ndarray:
    """16-bit PCM as samples, as libsndfile reads it: int16 `[...]` to float32 `[...]` in -1..1."""
    return pcm.astype(np.float32) / np.float32(32768)


def write_audio(path: str | os.PathLike, audio: np.ndarray, config: str | SonificationConfig = "study") -> None:
    """Writes a sound as 16-bit PCM, mono, with the config in the file's comment, so that it can be heard back.

    Args:
        path: Path that ends in `.wav` or `.flac`.
        audio: float array `[samples]` in -1..1.
        config: Preset or `SonificationConfig` that the sound was made with. Defaults to `"study"`.

    Raises:
        ValueError: Samples are NaN, infinite or beyond -1..1, or the path ends otherwise.

    Example:
        >>> import numpy as np, sonikeras
        >>> sonikeras.write_audio("beep.wav", np.sin(np.arange(22050) * 0.3).astype("float32") / 2)
        >>> audio, config = sonikeras.read_audio("beep.wav")
        >>> audio.shape, config == sonikeras.SonificationConfig.preset("study")
        ((22050,), True)
    """
    config = as_config(config)
    audio = check_audio(audio)
    extension = os.path.splitext(path)[1].lower()
    if extension not in _WRITTEN:
        raise ValueError(f"`path` must end in one of {list(_WRITTEN)}. Received: path={os.fspath(path)}")
    write_bytes(path, encode_pcm16(to_pcm16(check_peak(audio)), config, extension))


def encode_pcm16(pcm: np.ndarray, config: SonificationConfig, extension: str) -> bytes:
    """The file that `write_audio` writes of a sound, int16 `[samples]`; `extension` is `".wav"` or `".flac"`."""
    import soundfile

    data = io.BytesIO()
    with soundfile.SoundFile(data, "w", config.sample_rate, 1, "PCM_16", format=_WRITTEN[extension]) as file:
        file.comment = _comment(config)
        file.write(pcm)
    return data.getvalue()


@functools.lru_cache(maxsize=8)
def _comment(config: SonificationConfig) -> str:
    return _COMMENT + json.dumps(config.to_dict())


def decode_pcm16(data: bytes) -> np.ndarray:
    """The sound, int16 `[samples]`, of a file that `encode_pcm16` made."""
    import soundfile

    return soundfile.read(io.BytesIO(data), dtype="int16")[0]


def read_audio(
    source: str | os.PathLike | bytes,
    config: str | SonificationConfig | None = None,
    *,
    samples: int | None = None,
    name: str | None = None,
) -> tuple[np.ndarray, SonificationConfig]:
    """Reads a sound, and the config that it was made with.

    Several channels are averaged; another sample rate is converted to the config's with soxr at its high quality, as
    `librosa.load` does. What a file holds decides its format, not its name.

    Every sample that is there is read: where the sizes in a header are placeholders, as programs write them to a pipe,
    or belong to something else, up to the end of the file. A file whose header states more than it holds is cut, and
    refused; `sonikeras.sources._audio_containers` gives the rule.

    Args:
        source: Path of a WAV, FLAC, Ogg, MP3, AIFF, AU or CAF file, or of another that libsndfile reads; where PyAV is
            installed (`pip install sonikeras[m4a]`), also of an M4A, AAC, WMA or WebM file. Or the bytes of one.
        config: Preset or `SonificationConfig` to read it for. Defaults to the one in the file, or where it carries
            none (a recording) to `"study"`.
        samples: Integer, the first so many samples at the config's rate, the same bits as of the whole. Little more
            than these is decoded, so damage after them is not noticed unless a header or the last frame tells of it.
            Defaults to `None`: all.
        name: String, what an error calls the sound. Defaults to the path.

    Returns:
        `(audio, config)`: float32 array `[samples]` in -1..1 at `config.sample_rate`, and a `SonificationConfig`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no sound, is cut, holds no sample, NaN, more than `sonikeras.limits` allows, or a config
            that this version does not know; or the path is a pipe or a device.
    """
    config = None if config is None else as_config(config)
    if samples is not None:
        check_integer("samples", samples, minimum=1)
    if isinstance(source, bytes):
        return _read(io.BytesIO(source), config, samples, name or "sound")
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
            config = config or _config_of(recording.comments, name)
            mono = _mono(recording, needed(rate, config), max(1, config.sample_rate / rate), name)
    except Unreadable as error:
        raise ValueError(
            f"The sound must be a whole WAV, FLAC, Ogg, MP3, AIFF, AU or CAF file. Received: {name} ({error})"
        ) from error
    if not np.isfinite(mono).all():
        raise ValueError(f"A sound file must hold finite samples. Received: {name} with NaN or infinity")
    if rate != config.sample_rate:
        import librosa

        mono = librosa.resample(mono, orig_sr=rate, target_sr=config.sample_rate, res_type="soxr_hq")
    return mono[:samples].astype(np.float32, copy=False), config


def _mono(recording: Recording, wanted: int | None, growth: float, name: str) -> np.ndarray:
    """The mean of a recording's channels, float32 `[frames]`: of all frames, or of the first that are wanted.

    Its length, and that which it grows to where its sample rate is converted, is limited before memory is taken.
    """
    frames, known = recording.frames, [n for n in (wanted, recording.frames) if n is not None]
    size = min(known) if known else int(limits.get("audio_samples") / growth)
    limits.check("audio_samples", math.ceil(size * growth), name)
    mono, done = np.empty(size, np.float32), 0  # memory is taken as it is written to
    for block in recording.blocks():
        if not known and done + len(block) > size:
            limits.check("audio_samples", math.ceil((done + len(block)) * growth), name)
        part = block[: size - done]
        part.mean(axis=1, out=mono[done : done + len(part)])
        done += len(part)
        if known and done == size:
            break
    whole = done >= min(known + [recording.least]) if frames is None else done == size
    if frames is not None and done < frames:
        whole = whole and recording.ends()
    if not done or not whole:
        stated = f" of {frames}" if frames else ""
        raise ValueError(f"A sound file must hold all of its samples. Received: {name} ({done}{stated} samples)")
    return mono if done == size else mono[:done].copy()


def _config_of(comments: list[bytes], name: str) -> SonificationConfig:
    """The config in a file's comments, or where they have none, `"study"`."""
    found = {comment for comment in comments if comment.startswith(_COMMENT.encode())}
    if not found:
        return SonificationConfig.preset("study")
    try:
        if len(found) > 1:
            raise ValueError(f"{len(found)} different ones")
        return SonificationConfig.from_json(found.pop().removeprefix(_COMMENT.encode()))
    except ValueError as error:
        raise ValueError(f"The config in the file is not one of this version. Received: {name} ({error})") from error
