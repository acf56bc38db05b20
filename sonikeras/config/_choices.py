"""The values that fields of `SonificationConfig` choose from."""

from __future__ import annotations

from typing import Literal, get_args

Window = Literal["hann", "hamming", "blackman", "bartlett", "cosine", "boxcar"]
ImageInterpolation = Literal["bilinear", "area"]
Reference = Literal["max", "absolute"]
PictureScale = Literal["db", "amplitude"]
Drawing = Literal["specshow", "resize", "bicubic"]
Transform = Literal["stft", "mdct", "oscillators"]
Algorithm = Literal["griffin_lim", "fast_griffin_lim", "accelerated_griffin_lim", "admm", "lbfgs"]
InitialPhase = Literal["random", "structured", "fixed"]
Color = Literal["gray", "ycbcr", "rgb"]
FrequencyScale = Literal["linear", "log", "mel"]

WINDOWS: tuple[str, ...] = get_args(Window)
IMAGE_INTERPOLATIONS: tuple[str, ...] = get_args(ImageInterpolation)
REFERENCES: tuple[str, ...] = get_args(Reference)
PICTURE_SCALES: tuple[str, ...] = get_args(PictureScale)
DRAWINGS: tuple[str, ...] = get_args(Drawing)
TRANSFORMS: tuple[str, ...] = get_args(Transform)
ALGORITHMS: tuple[str, ...] = get_args(Algorithm)
INITIAL_PHASES: tuple[str, ...] = get_args(InitialPhase)
COLORS: tuple[str, ...] = get_args(Color)
FREQUENCY_SCALES: tuple[str, ...] = get_args(FrequencyScale)
