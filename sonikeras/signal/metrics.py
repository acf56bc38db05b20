"""How near a reconstruction is to its original: PSNR and SSIM of images, spectral convergence of audio."""

from __future__ import annotations

import math

import numpy as np

from sonikeras.config import SonificationConfig
from sonikeras.signal import mdct, oscillators
from sonikeras.signal.engines import oscillator_settings
from sonikeras.signal.magnitudes import image_to_magnitudes
from sonikeras.signal.spectrograms import periodic_window

_WINDOW, _SIGMA = 11, 1.5  # pixels: the Gaussian window of the paper on SSIM
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr(image: np.ndarray, original: np.ndarray) -> float:
    """The peak signal-to-noise ratio of an image.

    Args:
        image: uint8 array `[height, width]` or `[height, width, channels]`.
        original: uint8 array of the same shape.

    Returns:
        A float in dB: `20 log10(255 / rmse)`. It is infinite for equal images.

    Raises:
        ValueError: The two are not uint8 arrays of one such shape.

    Example:
        >>> import numpy as np
        >>> from sonikeras.signal.metrics import psnr
        >>> gray = np.full((8, 8), 100, "uint8")
        >>> round(psnr(gray + 1, gray), 2)
        48.13
    """
    a, b = _pair(image, original)
    error = np.mean(np.square(a - b))
    return math.inf if error == 0 else float(10 * np.log10(255**2 / error))


def ssim(image: np.ndarray, original: np.ndarray) -> float:
    """The structural similarity of an image: the mean over windows of 11 x 11 pixels, and over channels.

    Args:
        image: uint8 array `[height, width]` or `[height, width, channels]`.
        original: uint8 array of the same shape.

    Returns:
        A float up to 1, that of equal images. It is NaN if a side is shorter than the window.

    Raises:
        ValueError: The two are not uint8 arrays of one such shape.

    References:
        Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural similarity",
        IEEE Transactions on Image Processing 13, 2004.

    Example:
        >>> import numpy as np
        >>> from sonikeras.signal.metrics import ssim
        >>> image = np.random.default_rng(0).integers(0, 256, (32, 32), "uint8")
        >>> ssim(image, image)
        1.0
    """
    import cv2

    a, b = _pair(image, original)
    if min(a.shape[:2]) < _WINDOW:
        return math.nan
    inside = slice(_WINDOW // 2, -(_WINDOW // 2))  # only windows that lie within the image

    def mean(x: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(x, (_WINDOW, _WINDOW), _SIGMA)[inside, inside]

    mean_a, mean_b = mean(a), mean(b)
    variances = mean(a * a + b * b) - mean_a**2 - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    return float(np.mean(luminance * (2 * covariance + _C2) / (variances + _C2)))


def _pair(image: np.ndarray, original: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(image), np.asarray(original)
    if a.shape != b.shape or a.ndim not in (2, 3) or not a.size or {a.dtype, b.dtype} != {np.dtype(np.uint8)}:
        raise ValueError(
            "`image` and `original` must be uint8 arrays of one shape, [height, width] or [height, width, channels]. "
            f"Received: shape={a.shape}, dtype={a.dtype} and shape={b.shape}, dtype={b.dtype}"
        )
    return a.astype(np.float64), b.astype(np.float64)


def spectral_convergence(audio: np.ndarray, image: np.ndarray, config: SonificationConfig) -> float:
    """The spectral convergence: `||magnitudes of the audio - magnitudes of the image|| / ||magnitudes of the image||`.

    Args:
        audio: float32 array `[samples]`, of the config's length, before panning.
        image: uint8 array `[height, width]` or `[height, width, 3]`.
        config: `SonificationConfig`.

    Returns:
        A float in single precision. `20 log10` of it is the spectral convergence in dB; 0 is exact.

    References:
        Sturmel and Daudet, "Signal reconstruction from STFT magnitude: a state of the art", DAFx 2011.

    Example:
        >>> import numpy as np, sonikeras
        >>> from sonikeras.signal.metrics import spectral_convergence
        >>> config, image = sonikeras.SonificationConfig.preset("lossless"), np.eye(64, dtype="uint8") * 255
        >>> spectral_convergence(sonikeras.sonify(image, config), image, config) < 0.01
        True
    """
    wanted = np.ascontiguousarray(image_to_magnitudes(image, config=config).T)
    if config.transform == "mdct":
        found = np.abs(mdct.mdct(audio, frame_step=config.frame_step)) / mdct.amplitude(config.frame_step)
    elif config.transform == "oscillators":
        found = oscillators.audio_to_magnitudes(audio, frames=config.frames, **oscillator_settings(config))
    else:
        found = _stft_magnitudes(audio, config)
    found -= wanted
    # Not `np.linalg.norm`, because its sum depends on the number of threads.
    error, energy = (np.sum(np.square(x, out=x)) for x in (found, wanted))
    return float(np.sqrt(error / energy))


def _stft_magnitudes(audio: np.ndarray, config: SonificationConfig) -> np.ndarray:
    """Magnitudes `[frames, bins]` in the transform of the synthesis, several times faster than `spectrograms`."""
    import scipy.fft

    size = config.fft_length
    left = (size - config.frame_length) // 2
    window = np.pad(periodic_window(config.window, config.frame_length), (left, size - config.frame_length - left))
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(audio, size // 2), size)[:: config.frame_step]
    return np.abs(scipy.fft.rfft(frames * window))
