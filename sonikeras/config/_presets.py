"""The presets of `SonificationConfig`. To add one, add an entry."""

from __future__ import annotations

from typing import Any

# The fields that each preset sets. The others keep their defaults.
PRESETS: dict[str, dict[str, Any]] = {
    "study": {
        "analysis_transform": "stft",
        "analysis_fft_length": 2048,
        "analysis_frame_length": 2048,
        "analysis_frame_step": 512,
    },
    "matched": {
        "image_interpolation": "area",
        "reference": "absolute",
        "algorithm": "accelerated_griffin_lim",
        "iterations": 14,
        "picture_scale": "amplitude",
        "picture_size": (512, 512),
        "drawing": "resize",
        "colormap": "gray",
    },
    "lossless": {
        "transform": "mdct",
        "image_interpolation": "area",
        "reference": "absolute",
        "picture_scale": "amplitude",
        "picture_size": (512, 512),
        "drawing": "resize",
        "colormap": "gray",
    },
    "scan": {
        "frames": 64,
        "transform": "oscillators",
        "fft_length": 1376,
        "frame_length": 1376,  # of the analysis: longer separates rows, shorter separates columns
        "frame_step": 344,
        "image_interpolation": "area",
        "reference": "absolute",
        "top_db": 100.0,  # black is silent
        "min_freq": 500.0,
        "max_freq": 5000.0,
        "frequency_scale": "log",
        "rows": 64,
        "picture_scale": "amplitude",
        "picture_size": (512, 512),
        "drawing": "resize",
        "colormap": "gray",
    },
}


def presets() -> list[str]:
    """Names of the presets, which `SonificationConfig.preset` and every `config` argument take."""
    return list(PRESETS)
