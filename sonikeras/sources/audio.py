"""Audio files, 16-bit PCM, and the config that they carry."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import json
import math
import os
import re
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from sonikeras.config import SonificationConfig, as_config, limits
from sonikeras.config._checks import check_audio, check_integer, check_peak, shown
from sonikeras.config._files import open_regular, write_bytes
from sonikeras.sources._audio_decoders import Recording, open_recording
from sonikeras.sources._pieces import Needed, Unreadable
from sonikeras.sources.loudness import amplify, check_gain, normalize as normalized

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


# A comment is this and the config as JSON. That of audio with a gain has the version 2 and the gain in between: readers
# of version 1 raise an error instead of reading an image that is too bright or too dark.
_COMMENT = "sonikeras:"


# Of a longer comment in a WAV file, libsndfile writes nothing, and raises no error.
_LONGEST_WAV_COMMENT = 2**15


_GAIN = re.compile(rb"2 gain_db=([-+.\de]{1,40}) (?=[{])")


# Resampling the start of a recording needs more samples than that, since filters extend beyond its end. With so many
# more, at the lower one of the two rates, the result of soxr is bit-identical to that of the whole recording. In 20
# pairs of rates from 100 Hz to 1 MHz, 4096 were enough.
_REACH = 8192


def to_pcm16(audio: np.ndarray, *, nearest: bool = False) -> np.ndarray:
    """Audio as 16-bit PCM, clipped and rounded down like libsndfile: float `[...]` in -1..1 to int16 `[...]`.

    With `nearest` it is rounded to the nearest integer, which adds no offset at 0 Hz.
    """
    wide = np.array(audio, np.float64)
    if nearest:
        wide += 2.0**-16
    wide *= 2.0**31
    np.rint(wide, out=wide)
    wide /= 2**16
    np.floor(wide, out=wide)
    return np.clip(wide, -32768, 32767, out=wide).astype(np.int16)


def from_pcm16(pcm: np.ndarray) -> np.ndarray:
    """16-bit PCM as audio, scaled like libsndfile: int16 `[...]` to float32 `[...]` in -1..1."""
    return pcm.astype(np.float32) / np.float32(32768)


def write_audio(
    path: str | os.PathLike,
    audio: np.ndarray,
    config: str | SonificationConfig = "study",
    *,
    normalize: str | None = None,
    gain_db: float = 0.0,
) -> None:
    """Writes audio as 16-bit PCM, with the config in the comment of the file.

    The config makes it possible to reconstruct the image from the file alone. The gain of a normalization is in the
    comment, too, and `read_audio` undoes it, so that the reconstructed image is as bright as the image was.

    Args:
        path: Path with the extension `.wav` or `.flac`.
        audio: float array `[samples]` or `[samples, 2]` in -1..1.
        config: The config of the audio: preset, `SonificationConfig`, or path to one. Defaults to `"study"`.
        normalize: String, the peak of the audio in the file, such as `"-1 dBFS"`, or its integrated loudness, such as
            `"-16 LUFS"` (with `pip install sonikeras[loudness]`): see `sonikeras.sources.loudness.normalize`. Defaults
            to `None`: the audio is written as it is.
        gain_db: Number, the gain in dB that `audio` has already, such as that of a mix. `read_audio` undoes it as well.
            Defaults to 0.

    Raises:
        ValueError: Samples are NaN, infinite or beyond -1..1, the extension is another one, or the audio cannot be
            normalized like that: it would be clipped, or has no loudness.
        ImportError: `normalize` is in LUFS and pyloudnorm is not installed.

    Example:
        >>> import numpy as np, sonikeras
        >>> beep = np.sin(np.arange(22050) * 0.3).astype("float32") / 2
        >>> sonikeras.write_audio("beep.wav", beep, normalize="-1 dBFS")
        >>> audio, config = sonikeras.read_audio("beep.wav")
        >>> audio.shape, round(float(audio.max()), 3), config == sonikeras.SonificationConfig.preset("study")
        ((22050,), 0.5, True)
    """
    config = as_config(config)
    audio = check_audio(audio, stereo=True)
    gain_db = check_gain(gain_db)
    extension = os.path.splitext(path)[1].lower()
    if extension not in _WRITTEN:
        raise ValueError(f"`path` must end in one of {list(_WRITTEN)}. Received: path={os.fspath(path)}")
    if normalize is not None:
        audio, change = normalized(audio, normalize, sample_rate=config.sample_rate)
        gain_db = check_gain(gain_db + change)
    # Undoing a gain below 0 dB would amplify the offset of rounding down, half a step, which is the lowest row's.
    pcm = to_pcm16(check_peak(audio, ": `normalize='-1 dBFS'` attenuates it"), nearest=gain_db != 0)
    write_bytes(path, encode_pcm16(pcm, config, extension, gain_db))


def encode_pcm16(pcm: np.ndarray, config: SonificationConfig, extension: str, gain_db: float = 0.0) -> bytes:
    """The file of int16 `[samples]` or `[samples, 2]`, as `write_audio` writes it, in WAV or FLAC by `extension`."""
    import soundfile

    data, channels = io.BytesIO(), 1 if pcm.ndim == 1 else pcm.shape[1]
    comment, form = _comment(config, gain_db), _WRITTEN[extension]
    apart = form == "WAV" and len(comment) > _LONGEST_WAV_COMMENT
    with soundfile.SoundFile(data, "w", config.sample_rate, channels, "PCM_16", format=form) as file:
        if not apart:
            file.comment = comment
        file.write(pcm)
    return _with_comment(data.getvalue(), comment.encode()) if apart else data.getvalue()


def _with_comment(wav: bytes, comment: bytes) -> bytes:
    """A WAV file with a comment in a list after its samples."""
    comment += b"\0" * (len(comment) % 2)
    info = b"INFO" + b"ICMT" + len(comment).to_bytes(4, "little") + comment
    wav += b"LIST" + len(info).to_bytes(4, "little") + info
    return wav[:4] + (len(wav) - 8).to_bytes(4, "little") + wav[8:]


@functools.lru_cache(maxsize=8)
def _comment(config: SonificationConfig, gain_db: float) -> str:
    return _COMMENT + (f"2 gain_db={gain_db!r} " if gain_db else "") + json.dumps(config.to_dict())


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
    whatever its name. The gain of a normalization by `write_audio` is undone, whatever the config.

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
        `(audio, config)`: float32 array `[samples]` at `config.sample_rate`, or with `panning` and two channels
        `[samples, 2]`, in -1..1 unless a normalization that made it quieter is undone, and a `SonificationConfig`.

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
    with _existing(source, name) as file:
        return _read(file, config, samples, name)


def _read(
    file: BinaryIO, config: SonificationConfig | None, samples: int | None, name: str
) -> tuple[np.ndarray, SonificationConfig]:
    def needed(rate: int, config: SonificationConfig | None = config) -> int | None:
        if samples is None or config is None:
            return None
        ratio = rate / config.sample_rate
        return math.ceil(samples * ratio) + (0 if ratio == 1 else _REACH * math.ceil(max(1, ratio)))

    with _opened(file, needed, name) as recording:
        rate = recording.rate
        gain_db = _gain_in(recording.comments, name)
        config = config or _config_in(recording.comments, name) or SonificationConfig.preset("study")
        mono, growth = not (config.panning and recording.channels == 2), max(1, config.sample_rate / rate)
        audio = _decoded(recording, needed(rate, config), growth, name, mono=mono)
    audio = resample(audio, rate, config.sample_rate)
    return amplify(audio[:samples].astype(np.float32, copy=False), -gain_db), config


def read_channels(source: str | os.PathLike, sample_rate: int) -> np.ndarray:
    """Reads all channels of a recording, at a sample rate: float32 `[samples]` if it has one, or `[samples, 2]`.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is not audio, as in `read_audio`, or has more than two channels.
    """
    name = os.fspath(source)
    with _existing(source, name) as file, _opened(file, lambda rate: None, name) as recording:
        rate = recording.rate
        if recording.channels > 2:
            raise ValueError(f"A recording must be mono or stereo. Received: {name} with {recording.channels} channels")
        audio = _decoded(recording, None, max(1, sample_rate / rate), name, mono=recording.channels == 1)
    return resample(audio, rate, sample_rate)


def _existing(source: str | os.PathLike, name: str) -> BinaryIO:
    if not os.path.exists(source):
        raise FileNotFoundError(f"There is no such sound file. Received: {name}")
    return open_regular(source)


@contextlib.contextmanager
def _opened(file: BinaryIO, needed: Needed, name: str) -> Iterator[Recording]:
    """An open audio file within the limits. Errors name the file, also those while it is decoded."""
    try:
        with open_recording(file, needed) as recording:
            limits.check("audio_rate", recording.rate, name)
            limits.check("audio_rate_lowest", recording.rate, name)
            limits.check("audio_channels", recording.channels, name)
            yield recording
    except Unreadable as error:
        raise ValueError(
            f"An audio file must be a whole WAV, FLAC, Ogg, MP3, AIFF, AU or CAF file. Received: {name} ({error})"
        ) from error


def resample(audio: np.ndarray, rate: int, target: int, *, size: int | None = None) -> np.ndarray:
    """Audio `[samples]` or `[samples, channels]` at another sample rate, by soxr at high quality.

    `size` is the number of samples that it is cut or zero-padded to, or `None`.
    """
    if rate != target:
        import librosa

        audio = librosa.resample(audio, orig_sr=rate, target_sr=target, res_type="soxr_hq", axis=0)
    if size is None:
        return audio
    return np.pad(audio[:size], [(0, max(size - len(audio), 0))] + [(0, 0)] * (audio.ndim - 1))


def _decoded(recording: Recording, wanted: int | None, growth: float, name: str, *, mono: bool = True) -> np.ndarray:
    """The samples of a recording, of all frames or of the first ones: float32 `[frames]`, the mean of the channels.

    Without `mono` they are `[frames, channels]`. The length, also after resampling, is checked before memory is
    allocated.
    """
    frames, known = recording.frames, [n for n in (wanted, recording.frames) if n is not None]
    size = min(known) if known else int(limits.get("audio_samples") / growth)
    limits.check("audio_samples", math.ceil(size * growth), name)
    audio, done = np.empty(size if mono else (size, recording.channels), np.float32), 0  # allocated when written to
    for block in recording.blocks():
        if not known and done + len(block) > size:
            limits.check("audio_samples", math.ceil((done + len(block)) * growth), name)
        part = block[: size - done]
        if mono:
            part.mean(axis=1, out=audio[done : done + len(part)])
        else:
            audio[done : done + len(part)] = part
        done += len(part)
        if known and done == size:
            break
    whole = done >= min(known + [recording.least]) if frames is None else done == size
    if frames is not None and done < frames:
        whole = whole and recording.ends()
    if not done or not whole:
        stated = f" of {frames}" if frames else ""
        raise ValueError(f"An audio file must hold all of its samples. Received: {name} ({done}{stated} samples)")
    audio = audio if done == size else audio[:done].copy()
    if not np.isfinite(audio).all():
        raise ValueError(f"An audio file must hold finite samples. Received: {name} with NaN or infinity")
    return audio


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
    found = {_GAIN.sub(b"", comment, count=1) for comment in _ours(comments)}
    if not found:
        return None
    try:
        if len(found) > 1:
            raise ValueError(f"{len(found)} different ones")
        return SonificationConfig.from_json(found.pop())
    except ValueError as error:
        raise ValueError(f"A config in an audio file must be valid. Received: {name} ({error})") from error


def _gain_in(comments: list[bytes], name: str) -> float:
    """The gain in dB in the comments of an audio file, 0 if there is none."""
    versioned = {comment for comment in _ours(comments) if comment[:1].isdigit()}
    try:
        if len(gains := {_stated_gain(comment) for comment in versioned}) > 1:
            raise ValueError(f"{len(gains)} different ones")
    except ValueError as error:
        raise ValueError(f"The gain in an audio file must be valid. Received: {name} ({error})") from error
    return gains.pop() if gains else 0.0


def _stated_gain(comment: bytes) -> float:
    if (stated := _GAIN.match(comment)) is None:
        raise ValueError(
            "a comment must be of the version 2: update sonikeras to read a newer one. "
            f"Received: {shown(comment[:40].decode(errors='replace'))}"
        )
    return check_gain(float(stated[1]))


def _ours(comments: list[bytes]) -> list[bytes]:
    """What follows the prefix in those comments that carry a config."""
    prefix = _COMMENT.encode()
    return [comment.removeprefix(prefix) for comment in comments if comment.startswith(prefix)]
