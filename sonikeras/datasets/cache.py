"""Computed sounds on disk, one small file each, so that nothing is computed twice."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np

from sonikeras.config._files import write_bytes

_HEADER = struct.Struct("<8sII")  # magic, number of samples, CRC-32 of the samples


_MAGIC = b"sonipcm1"


def default_directory() -> Path:
    """Where sounds are cached: `$SONIKERAS_CACHE`, else `$XDG_CACHE_HOME/sonikeras`, else `~/.cache/sonikeras`."""
    if os.environ.get("SONIKERAS_CACHE"):
        return Path(os.environ["SONIKERAS_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sonikeras"


def resolve_cache(cache: bool | str | os.PathLike) -> SoundCache | None:
    """The cache that an argument means: `True` the default folder, `False` none, else a folder."""
    if isinstance(cache, bool):
        return SoundCache(default_directory()) if cache else None
    return SoundCache(cache)


class SoundCache:
    """A folder of sounds under keys.

    Entries carry a checksum: one that is damaged counts as absent, and is written anew. They are written under a
    temporary name and renamed, so that any number of processes may share the folder. A folder that cannot be written
    to still serves what it has; a warning says, once, that what it lacks is not kept.

    Args:
        directory: Path of the folder, made where it is missing.

    Raises:
        OSError: There is no such folder and it cannot be made.
    """

    def __init__(self, directory: str | os.PathLike) -> None:
        self.directory = Path(directory).expanduser()
        self._warned = False
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(
                f"The folder for computed sounds cannot be made ({error}). Allowed values of `cache`: True (the folder "
                f"that $SONIKERAS_CACHE names), a folder to write to, or False. Received: cache={self.directory}"
            ) from error

    def get(self, key: str) -> np.ndarray | None:
        """The sound under a key as int16 `[samples]`, or `None` if there is none that is whole."""
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
        """Keeps a sound, int16 `[samples]`, under a key."""
        payload = pcm.astype("<i2").tobytes()
        try:
            write_bytes(self._path(key), _HEADER.pack(_MAGIC, len(pcm), zlib.crc32(payload)) + payload)
        except OSError as error:  # read-only, full: the sound is there all the same, only to be computed again
            if not self._warned:
                self._warned = True
                warnings.warn(
                    f"Computed sounds are not kept, since the cache cannot be written to: {error}", stacklevel=2
                )

    def _path(self, key: str) -> Path:
        return self.directory / key[:2] / key
