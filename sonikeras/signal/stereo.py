"""Stereo audio whose middle is the brightness of an image, and whose sides are its warm and cool colors."""

from __future__ import annotations

import numpy as np

from sonikeras.config import SonificationConfig, as_config
from sonikeras.config._checks import check_number
from sonikeras.signal import mdct, spectrograms
from sonikeras.signal.chain import sonify, synthesize
from sonikeras.signal.magnitudes import image_to_magnitudes, image_to_raster
from sonikeras.signal.phase_retrieval import istft
from sonikeras.signal.raster import to_bins
from sonikeras.sources.images import to_color, to_gray


def stereo_from_colors(
    image: np.ndarray,
    config: str | SonificationConfig = "study",
    *,
    width: float = 1.0,
    seed: int = 0,
    engine: str = "auto",
) -> np.ndarray:
    """Turns an image into stereo audio: cool colors are on the left, warm ones on the right, grays in the middle.

    The mean of the two channels is `sonify(image, config)`, the brightness, so whatever averages channels, such as
    `read_audio`, gets the image as ever. Half their difference is the same audio with each bin of each frame, or each
    oscillator in each frame, scaled by the warmth of its pixel, red minus blue.

    Args:
        image: uint8 array `[height, width, 3]` (RGB) of any size. A gray image, also `[height, width]`, stays in
            the middle.
        config: Preset or `SonificationConfig` with `color="gray"` and without panning. Defaults to `"study"`.
        width: Number in 0..1. At 1 pure red is in the right channel alone, and pure blue in the left one. At 0 both
            channels are equal. Defaults to 1.
        seed: As in `sonify`.
        engine: As in `sonify`.

    Returns:
        float32 array `[samples, 2]`, left and right. Large areas of bright yellow can exceed full scale with
        `transform="oscillators"`: `write_audio` then needs `normalize`.

    Raises:
        ValueError: As in `sonify`, or the config carries colors in another way or pans, or `width` is not in 0..1.

    Example:
        >>> import numpy as np
        >>> from sonikeras.signal.stereo import stereo_from_colors
        >>> blue = np.zeros((64, 64, 3), "uint8") + np.array([0, 0, 255], "uint8")
        >>> audio = stereo_from_colors(blue, "lossless")
        >>> audio.shape, bool(np.abs(audio[:, 1]).max() < 1e-4)
        ((66048, 2), True)
    """
    config = as_config(config)
    check_number("width", width, "a number in 0..1", lambda x: 0 <= x <= 1)
    if config.color != "gray":
        raise ValueError(
            "Stereo from colors needs a config with `color='gray'`, whose audio carries no colors by itself. "
            f"Received: color={config.color!r}"
        )
    if config.panning:
        raise ValueError(
            "Stereo from colors needs a config with `panning=False`: the two channels are the colors' or the scan's. "
            "Received: panning=True"
        )
    middle = sonify(image, config, seed=seed, engine=engine)
    warmth = width * _warmth(image, config)
    if config.transform == "mdct":
        side = mdct.inverse_mdct(warmth * mdct.mdct(middle, frame_step=config.frame_step))
    elif config.transform == "oscillators":  # whose audio is linear in the magnitudes
        side = synthesize(warmth * image_to_magnitudes(image, config=config).T, config)
    else:
        sizes = {name: getattr(config, name) for name in ("frame_length", "frame_step", "fft_length", "window")}
        real, imaginary = spectrograms.stft(middle, **sizes)
        side = istft(warmth * real, warmth * imaginary, **sizes)
    return np.stack([middle - side, middle + side], axis=-1)


def _warmth(image: np.ndarray, config: SonificationConfig) -> np.ndarray:
    """Red minus blue in the raster of a config: float32 `[frames, bins]` in -1..1."""
    to_gray(image)  # checks it
    color = to_color(np.asarray(image)).astype(np.int16)
    difference = color[..., 0] - color[..., 2]
    # As two images, since the resizing is that of 8 bits.
    warm, cool = (
        image_to_raster(np.clip(sign * difference, 0, 255).astype(np.uint8), config).astype(np.float32) / 255
        for sign in (1, -1)
    )
    return to_bins((warm - cool).T, config)
