"""The presets of `SonificationConfig`. To add one, add an entry."""

from __future__ import annotations

from typing import Any

# What the presets for photographs share. The band has 224 bins of either transform, as many as the pictures of most
# networks have rows. Resamplers leave it as it is. Of the 252 frames, luma has three quarters.
_PHOTO: dict[str, Any] = {
    "frames": 252,
    "fft_length": 512,
    "frame_length": 512,
    "frame_step": 256,
    "image_interpolation": "area",
    "reference": "absolute",
    "color": "ycbcr",
    "chroma_fraction": 0.25,
    "min_freq": 80,
    "max_freq": 9720,
    "picture_scale": "amplitude",
    "picture_size": (224, 224),
    "drawing": "bicubic",
    "colormap": "gray",
}

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
    "photo": _PHOTO | {"algorithm": "accelerated_griffin_lim", "iterations": 20, "initial_phase": "structured"},
    "photo_lossless": _PHOTO | {"transform": "mdct"},
}


def presets() -> list[str]:
    """Names of the presets, which `SonificationConfig.preset` and every `config` argument take."""
    return list(PRESETS)
