"""The picture of an example as a PNG file."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from typing import Any

import numpy as np

from sonikeras.config import SonificationConfig
from sonikeras.signal import chain, pictures
from sonikeras.signal._backend import operations

_RLE = 3  # zlib's Z_RLE: as small as the other strategies for runs of equal pixels, and several times faster


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
