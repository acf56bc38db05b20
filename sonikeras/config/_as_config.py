"""What a `config` argument means."""

from __future__ import annotations

import os

from sonikeras.config._checks import shown
from sonikeras.config._presets import PRESETS, presets
from sonikeras.config._sonification import SonificationConfig


def as_config(config: str | os.PathLike[str] | SonificationConfig) -> SonificationConfig:
    """The config that a `config` argument means.

    Args:
        config: Preset, `SonificationConfig`, or path to a JSON or audio file: see `SonificationConfig.load`.

    Raises:
        FileNotFoundError: It is a path, and the file does not exist.
        ValueError: It is none of these, or the file carries no valid config.
    """
    if isinstance(config, SonificationConfig):
        return config
    if isinstance(config, str) and config in PRESETS:
        return SonificationConfig.preset(config)
    if isinstance(config, os.PathLike) or (isinstance(config, str) and _is_path(config)):
        return SonificationConfig.load(config)
    raise ValueError(
        "`config` must be a preset, a SonificationConfig, or a path to a JSON or audio file that carries a config. "
        f"Allowed presets: {presets()}. Received: config={shown(config)}"
    )


def _is_path(text: str) -> bool:
    """Whether a string that is not a preset means a file: it has a separator or an extension, or is one's name."""
    separators = (os.sep, os.altsep or os.sep)
    return any(c in text for c in separators) or bool(os.path.splitext(text)[1]) or os.path.isfile(text)
