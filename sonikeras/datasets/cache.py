"""Computed audio on disk, one small file a clip, so that nothing is computed twice."""

from __future__ import annotations

import hashlib
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np

from sonikeras.config import SonificationConfig
from sonikeras.config._files import write_bytes

# Increase it whenever the same file, config, engine and seed give different audio than before.
# 3: transparent pixels of a PNG file lie on black, and its metadata do not change its gray values.
_VERSION = 3


_HEADER = struct.Struct("<8sII")  # magic, number of samples, CRC-32 of the samples


_MAGIC = b"sonipcm1"


def default_directory() -> Path:
    """The folder of the cache: `$SONIKERAS_CACHE`, else `$XDG_CACHE_HOME/sonikeras`, else `~/.cache/sonikeras`."""
    if os.environ.get("SONIKERAS_CACHE"):
        return Path(os.environ["SONIKERAS_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sonikeras"


def resolve_cache(cache: bool | str | os.PathLike) -> AudioCache | None:
    """The cache that an argument stands for: `True`, the default folder; `False`, none; or a folder."""
    if isinstance(cache, bool):
        return AudioCache(default_directory()) if cache else None
    return AudioCache(cache)


def audio_key(content: bytes, config: SonificationConfig, *, engine: str, seed: int) -> str:
    """The key of the audio of an image: a digest of all that determines it.

    Args:
        content: Bytes of the image's file, or its shape and pixels.
        config: `SonificationConfig`. Only fields that affect the audio enter the key.
        engine: Name of the engine.
        seed: Integer, the seed of the initial phase.

    Returns:
        64 hexadecimal digits.
    """
    setting = f"{_VERSION}/{config.audio_key()}/{engine}/{seed}".encode()
    return hashlib.sha256(setting + content).hexdigest()


class AudioCache:
    """A folder of audio clips, each under a key.

    Every entry carries a checksum. A damaged entry counts as missing and is replaced. Entries are written under a
    temporary name and then renamed, so any number of processes can share the folder. A read-only folder still serves
    its entries; one warning says that new ones are not kept.

    Args:
        directory: Path of the folder. It is created if necessary.

    Raises:
        OSError: The folder does not exist and cannot be created.
    """

    def __init__(self, directory: str | os.PathLike) -> None:
        self.directory = Path(directory).expanduser()
        self._warned = False
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(
                f"The folder of the audio cache cannot be created ({error}). Allowed values of `cache`: True (the "
                "folder that $SONIKERAS_CACHE names), a writable folder, or False. "
                f"Received: cache={self.directory}"
            ) from error

    def get(self, key: str) -> np.ndarray | None:
        """The audio under a key, int16 `[samples]`, or `None` if there is no intact entry."""
        try:
            data = self._path(key).read_bytes()
            magic, samples, checksum = _HEADER.unpack_from(data)
        except (OSError, struct.error):
            return None
        payload = memoryview(data)[_HEADER.size :]
        if magic != _MAGIC or len(payload) != 2 * samples or zlib.crc32(payload) != checksum:
            return None
        return np.frombuffer(payload, "<i2")

    def put(self, key: str, pcm: np.ndarray) -> None:
        """Stores audio, int16 `[samples]`, under a key."""
        payload = pcm.astype("<i2").tobytes()
        try:
            write_bytes(self._path(key), _HEADER.pack(_MAGIC, len(pcm), zlib.crc32(payload)) + payload)
        except OSError as error:  # read-only or full: the caller has the audio, it is only not kept
            if not self._warned:
                self._warned = True
                warnings.warn(
                    f"Computed audio is not kept, because the cache cannot be written to: {error}", stacklevel=2
                )

    def _path(self, key: str) -> Path:
        return self.directory / key[:2] / key
