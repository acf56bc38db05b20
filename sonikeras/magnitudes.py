"""Image to magnitudes, and back: rows are frequencies, columns are moments, brightness is strength."""

from __future__ import annotations

import numpy as np

from sonikeras.config import SonificationConfig, as_config
from sonikeras.images import to_gray

# librosa's smallest amplitude, below which it knows no level.
_AMIN = 1e-5


def image_to_magnitudes(image: np.ndarray, *, config: str | SonificationConfig = "study") -> np.ndarray:
    """The magnitudes of the spectrogram that an image is read as.

    With `reference="max"` these are the pixels over the brightest pixel, floored at `-top_db`: what
    `librosa.db_to_amplitude(librosa.amplitude_to_db(x, ref=np.max))` gives, at a fifteenth of its cost. Mind that an
    all-black image therefore is as loud as an all-white one. With `reference="absolute"` white is 1, and black
    the floor of `-top_db`, which 16 bits do not hold.

    Args:
        image: uint8 array `[height, width]` or `[height, width, 3]` (RGB), of any size.
        config: Preset or `SonificationConfig`. Defaults to `"study"`.

    Returns:
        float32 array `[bins, frames]` in `10^(-top_db/20)..1`, lowest frequency first.

    Raises:
        ValueError: `image` is not such an array.

    Example:
        >>> import numpy as np
        >>> from sonikeras.magnitudes import image_to_magnitudes
        >>> image_to_magnitudes(np.eye(64, dtype="uint8") * 255).shape
        (513, 128)
    """
    import cv2

    config = as_config(config)
    interpolation = {"bilinear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA}[config.image_interpolation]
    resized = cv2.resize(to_gray(image), (config.frames, config.bins), interpolation=interpolation)
    magnitudes = np.maximum(np.flipud(resized).astype(np.float32) / 255 + np.float32(1e-7), np.float32(_AMIN))
    if config.reference == "max":
        magnitudes /= magnitudes.max()
    return np.maximum(magnitudes, np.float32(10 ** (-config.top_db / 20)))


def magnitudes_to_image(magnitudes: np.ndarray, *, size: tuple[int, int] | None = None) -> np.ndarray:
    """The image that magnitudes show, where 1 is white: the inverse of `image_to_magnitudes` up to its resizing.

    Args:
        magnitudes: float array `[bins, frames]`, lowest frequency first.
        size: `(height, width)` to resize to. Defaults to `(bins, frames)`.

    Returns:
        uint8 array `[height, width]`.
    """
    import cv2

    image = np.clip(np.rint(np.flipud(magnitudes) * 255), 0, 255).astype(np.uint8)
    if size is None:
        return image
    shrinks = size[0] < image.shape[0] or size[1] < image.shape[1]
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
