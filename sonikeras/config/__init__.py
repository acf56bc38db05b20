"""Every default of the signal chain, and what all rooms rest on: limits, argument checks, files."""

from sonikeras.config._presets import presets
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
    TransformSettings,
    as_config,
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
    "TransformSettings",
    "WINDOWS",
    "as_config",
    "presets",
]
