"""Loaders: functions from the index of an example to its audio or its pixels, as NumPy arrays.

Nothing here uses TensorFlow or `tf.data`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sonikeras.config import SonificationConfig
from sonikeras.config._checks import check_peak
from sonikeras.datasets.cache import AudioCache, audio_key
from sonikeras.signal import chain, pictures
from sonikeras.sources import Examples
from sonikeras.sources.audio import to_pcm16
from sonikeras.transmission import Channel, transmit_pcm16

Loader = Callable[[int], np.ndarray]


def audio_loader(
    examples: Examples, config: SonificationConfig, *, engine: str, seed: int, cache: AudioCache | None
) -> Loader:
    """The loader of sonified images: int16 `[samples]`, before panning, computed once and then read from the cache."""
    config = config.replace(panning=False)
    color = config.color != "gray"

    def compute(index: int) -> np.ndarray:
        image = examples.image(index, color=color)
        return to_pcm16(check_peak(chain.sonify(image, config, seed=seed, engine=engine)))

    if cache is None:
        return compute

    def load(index: int) -> np.ndarray:
        key = audio_key(examples.data(index), config, engine=engine, seed=seed)
        pcm = cache.get(key)
        if pcm is None:
            pcm = compute(index)
            cache.put(key, pcm)
        return pcm

    return load


def recording_loader(examples: Examples, config: SonificationConfig) -> Loader:
    """The loader of recordings: int16 `[samples]`, truncated or zero-padded to the length of the config.

    Panning is undone.
    """

    def load(index: int) -> np.ndarray:
        audio = examples.audio(index, config, samples=config.samples)
        missing = config.samples - len(audio)
        return to_pcm16(chain.to_mono(np.pad(audio, [(0, missing), *[(0, 0)] * (audio.ndim - 1)]), config))

    return load


def received_loader(load: Loader, channel: Channel, *, sample_rate: int, seed: int) -> Loader:
    """The loader of audio that another loader gives and a channel transmits: int16 `[samples]`."""
    return lambda index: transmit_pcm16(load(index), sample_rate, channel, seed)


def picture_loader(
    examples: Examples,
    config: SonificationConfig,
    *,
    resizing: dict[str, Any],
    colormap: str | None = None,
    gray: bool = False,
) -> Loader:
    """The loader of images and of spectrogram pictures: uint8 `[height, width, 3]`.

    Args:
        examples: `Examples` whose items are images.
        config: `SonificationConfig`.
        resizing: Arguments of `pictures.resize`.
        colormap: Colormap of the pictures, to redraw them in the config's colormap and scale. Defaults to `None`: they
            are only resized.
        gray: Boolean, whether images are converted to gray, in three equal channels. Defaults to `False`.
    """
    drawing: dict[str, Any] = {
        "colormap": config.colormap,
        "scale": config.picture_scale,
        "top_db": config.top_db,
    }
    if colormap is not None:
        pictures.colors(config.colormap)  # raises its error here instead of during iteration

    def load(index: int) -> np.ndarray:
        image = examples.image(index, color=not gray)
        if gray:
            image = np.repeat(image[..., np.newaxis], 3, axis=-1)
        if colormap is None:
            return pictures.resize(image, **resizing)
        return pictures.redraw(pictures.decibels(image, colormap, config.top_db), **drawing, **resizing)

    return load
