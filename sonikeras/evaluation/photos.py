"""Signal retention of photos at several durations of the audio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sonikeras.config import SonificationConfig
from sonikeras.evaluation.retention import signal_retention
from sonikeras.signal import chain

NAMES = ("china.jpg", "flower.jpg")  # of scikit-learn

SIDE = 300  # pixels of the squares that are cropped from them


class PhotoRetention(NamedTuple):
    """The medians over all photos for one config.

    Attributes:
        config: `SonificationConfig`.
        images: Integer, the number of photos.
        psnr: Float, peak signal-to-noise ratio in dB.
        ssim: Float, structural similarity.
    """

    config: SonificationConfig
    images: int
    psnr: float
    ssim: float


def photo_retention(configs: Sequence[SonificationConfig]) -> list[PhotoRetention]:
    """Sonifies and reconstructs photos with each config, and compares them with the originals: in gray or in color."""
    images = _photos()
    found = []
    for config in configs:
        kept = [signal_retention(image, chain.sonify(image, config), config) for image in images]
        psnr, ssim = (float(np.median([getattr(each, name) for each in kept])) for name in ("psnr", "ssim"))
        found.append(PhotoRetention(config, len(images), psnr, ssim))
    return found


def _photos() -> list[np.ndarray]:
    """Squares from the left, the center and the right of each photo."""
    from sklearn.datasets import load_sample_image

    images = [load_sample_image(name) for name in NAMES]
    return [
        image[top : top + SIDE, left : left + SIDE]
        for image in images
        for top in [(image.shape[0] - SIDE) // 2]
        for left in np.linspace(0, image.shape[1] - SIDE, 3).astype(int)
    ]
