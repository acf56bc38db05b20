"""Audio as files: 16-bit PCM that carries the config it was made with."""

from __future__ import annotations

import functools
import io
import json
import os
from typing import Any

import numpy as np

from sonikeras.config import SonificationConfig, as_config
from sonikeras.files import write_bytes

EXTENSIONS = (".wav", ".flac", ".ogg", ".mp3")
_WRITTEN = {".wav": "WAV", ".flac": "FLAC"}
_COMMENT = "sonikeras:"


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


def check_audio(audio: Any) -> np.ndarray:
    """An array of mono samples as float32.

    Raises:
        ValueError: Another rank or type, no sample, NaN or infinity.
    """
    audio = np.asarray(audio)
    if audio.ndim != 1 or not np.issubdtype(audio.dtype, np.floating) or audio.size == 0:
        raise ValueError(
            f"`audio` must be a float array of shape [samples] with at least 1 sample, mono, in -1..1. "
            f"Received: shape={audio.shape}, dtype={audio.dtype}"
        )
    if not np.isfinite(audio).all():
        raise ValueError("`audio` must be finite. Received: samples that are NaN or infinite")
    return audio.astype(np.float32)


def check_peak(audio: np.ndarray) -> np.ndarray:
    """The same audio, or a `ValueError` where it goes beyond -1..1 by a step of 16-bit PCM, which would clip it."""
    peak = float(np.abs(audio).max())
    if peak > 1 + 1 / 32768:
        raise ValueError(f"`audio` must lie in -1..1, or it is clipped. Received: a peak of {peak:.6g}")
    return audio


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
    source: str | os.PathLike | bytes, config: str | SonificationConfig | None = None, *, name: str | None = None
) -> tuple[np.ndarray, SonificationConfig]:
    """Reads a sound, and the config that it was made with.

    Several channels are averaged; another sample rate is converted to the config's with soxr at its high quality, as
    `librosa.load` does.

    Args:
        source: Path of a WAV, FLAC, OGG or MP3 file, or the bytes of one.
        config: Preset or `SonificationConfig` to read it for. Defaults to the one in the file, or where it carries
            none (a recording) to `"study"`.
        name: String, what an error calls the sound. Defaults to the path.

    Returns:
        `(audio, config)`: float32 array `[samples]` in -1..1 at `config.sample_rate`, and a `SonificationConfig`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no sound, holds no sample, NaN, or a config that this version does not know.
    """
    import soundfile

    if isinstance(source, bytes):
        data, name = source, name or "sound"
    else:
        name = name or os.fspath(source)
        if not os.path.exists(source):
            raise FileNotFoundError(f"There is no such sound file. Received: {name}")
        with open(source, "rb") as opened:
            data = opened.read()
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            samples, rate, comment = file.read(dtype="float32", always_2d=True), file.samplerate, file.comment
            whole = len(samples) == file.frames and not _is_cut(data)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"The sound must be a whole WAV, FLAC, OGG or MP3 file. Received: {name} ({error})") from error
    if not samples.size or not whole:
        raise ValueError(f"A sound file must hold all of its samples. Received: {name} ({len(samples)} samples)")
    if config is not None:
        config = as_config(config)
    elif comment.startswith(_COMMENT):
        try:
            config = SonificationConfig.from_dict(json.loads(comment.removeprefix(_COMMENT)))
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"The config in the file is not one of this version. Received: {name} ({error})"
            ) from error
    else:
        config = SonificationConfig.preset("study")
    mono = samples.mean(axis=1)
    if not np.isfinite(mono).all():
        raise ValueError(f"A sound file must hold finite samples. Received: {name} with NaN or infinity")
    if rate != config.sample_rate:
        import librosa

        mono = librosa.resample(mono, orig_sr=rate, target_sr=config.sample_rate, res_type="soxr_hq")
    return mono.astype(np.float32), config


def _is_cut(data: bytes) -> bool:
    """Whether a WAV file is shorter than its header says, which libsndfile does not mind."""
    size = int.from_bytes(data[4:8], "little")
    unknown = size == 2**32 - 1  # written to a pipe
    return data[:4] == b"RIFF" and not unknown and size + 8 > len(data)
