"""The picture of an example as a PNG file, and the spectral convergence of its audio."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from typing import Any

import numpy as np

from sonikeras.config import SonificationConfig
from sonikeras.signal import chain, mdct, pictures
from sonikeras.signal._backend import operations
from sonikeras.signal.magnitudes import image_to_magnitudes
from sonikeras.signal.spectrograms import periodic_window

_RLE = 3  # zlib's Z_RLE: as small as the other strategies for runs of equal pixels, and several times faster


def spectral_convergence(audio: np.ndarray, image: np.ndarray, config: SonificationConfig) -> float:
    """The spectral convergence: `||magnitudes of the audio - magnitudes of the image|| / ||magnitudes of the image||`.

    Args:
        audio: float32 array `[samples]`, of the config's length.
        image: uint8 array `[height, width]` or `[height, width, 3]`.
        config: `SonificationConfig`.

    Returns:
        A float in single precision. `20 log10` of it is the spectral convergence in dB; 0 is exact.

    Example:
        >>> import numpy as np, sonikeras
        >>> from sonikeras.preparation._rendering import spectral_convergence
        >>> config, image = sonikeras.SonificationConfig.preset("lossless"), np.eye(64, dtype="uint8") * 255
        >>> spectral_convergence(sonikeras.sonify(image, config), image, config) < 0.01
        True
    """
    wanted = np.ascontiguousarray(image_to_magnitudes(image, config=config).T)
    if config.transform == "mdct":
        found = np.abs(mdct.mdct(audio, frame_step=config.frame_step)) / mdct.amplitude(config.frame_step)
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


def encode_picture(audio: np.ndarray, config: SonificationConfig) -> bytes:
    """The picture of audio as a PNG file, which decodes to the result of `sonikeras.picture`.

    If each pixel has one of the 256 colors of the colormap, as in "study", the file has a palette. It is then drawn and
    compressed several times faster, and is less than half as large.

    Args:
        audio: float32 array `[samples]`, of the config's length.
        config: `SonificationConfig`.

    Returns:
        The bytes of the file. The same audio gives the same bytes.
    """
    from PIL import Image

    drawn = np.asarray(_drawing(config)(audio))
    if _has_palette(config):
        _, columns = _canvas(config, drawn.shape[1])
        image = Image.fromarray(drawn[:, columns.argmax(axis=1)])
        image.putpalette(pictures.colors(config.colormap).astype(np.uint8).tobytes())
        return _png(image, compress_level=1, compress_type=_RLE)
    gray = (drawn == drawn[..., :1]).all()
    return _png(Image.fromarray(drawn[..., 0] if gray else drawn), compress_level=1)


def _png(image: Any, **settings: Any) -> bytes:
    data = io.BytesIO()
    image.save(data, "png", **settings)
    return data.getvalue()


@functools.lru_cache(maxsize=8)
def _drawing(config: SonificationConfig) -> Callable[[np.ndarray], Any]:
    """The function from audio to its picture, or with repeated columns to the shades of one column a frame."""

    def draw(audio: Any) -> Any:
        ops = operations(audio)
        db = chain.audio_to_db(audio, config)
        if not _has_palette(config):
            return ops.cast(ops.round(chain.db_to_picture(db, config)), "uint8")
        db = chain.in_band(db, config)
        rows, _ = _canvas(config, db.shape[-2], db.shape[-1])
        shades = pictures.draw(
            db,
            rows=rows,
            columns=np.eye(db.shape[-2], dtype=np.float32),
            colormap="gray",
            scale=config.picture_scale,
            top_db=config.top_db,
        )
        return ops.cast(shades[..., 0], "uint8")

    import keras

    if keras.backend.backend() != "tensorflow":
        return draw
    import tensorflow as tf

    return tf.function(draw)  # an order of magnitude faster


def _has_palette(config: SonificationConfig) -> bool:
    """Whether each pixel of a picture has one of the colors of the colormap."""
    return config.drawing == "specshow" and config.color == "gray"


def _canvas(config: SonificationConfig, frames: int, bins: int = 1) -> tuple[np.ndarray, np.ndarray]:
    return pictures.canvas(frames, bins, size=config.picture_size)
