"""Every default of the signal chain, and what all rooms rest on: limits, argument checks, files."""

from sonikeras.config._sonification import (
    ALGORITHMS,
    DRAWINGS,
    IMAGE_INTERPOLATIONS,
    INITIAL_PHASES,
    PICTURE_SCALES,
    REFERENCES,
    TRANSFORMS,
    WINDOWS,
    SonificationConfig,
    as_config,
    presets,
)

__all__ = [
    "ALGORITHMS",
    "DRAWINGS",
    "IMAGE_INTERPOLATIONS",
    "INITIAL_PHASES",
    "PICTURE_SCALES",
    "REFERENCES",
    "SonificationConfig",
    "TRANSFORMS",
    "WINDOWS",
    "as_config",
    "presets",
]
