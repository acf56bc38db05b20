"""The config of the signal chain, and the foundations of all packages: limits, checks of arguments, files."""

from sonikeras.config._as_config import as_config
from sonikeras.config._choices import (
    ALGORITHMS,
    COLORS,
    DRAWINGS,
    FREQUENCY_SCALES,
    IMAGE_INTERPOLATIONS,
    INITIAL_PHASES,
    PICTURE_SCALES,
    REFERENCES,
    TRANSFORMS,
    WINDOWS,
)
from sonikeras.config._presets import presets
from sonikeras.config._sonification import SonificationConfig
from sonikeras.config._transforms import TransformSettings

__all__ = [
    "ALGORITHMS",
    "COLORS",
    "DRAWINGS",
    "FREQUENCY_SCALES",
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
