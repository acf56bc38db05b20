"""From an example's index to its audio or picture, on arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from sonikeras.config import SonificationConfig
from sonikeras.config._checks import check_peak
from sonikeras.datasets.cache import SoundCache
from sonikeras.signal import chain, pictures
from sonikeras.sources import Examples
from sonikeras.sources.audio import to_pcm16
from sonikeras.transmission import Channel, transmit_pcm16

if TYPE_CHECKING:
    pass


def sound_loader(
    examples: Examples, config: SonificationConfig, *, engine: str, seed: int, cache: SoundCache | None
) -> Callable[[int], np.ndarray]:
    """The function from an example's index to its sound, int16 `[samples]`, computed once and then read."""

    def make(index: int) -> np.ndarray:
        return to_pcm16(check_peak(chain.sonify(examples.image(index), config, seed=seed, engine=engine)))

    if cache is None:
        return make
    setting = f"2/{config.sound_key()}/{engine}/{seed}".encode()

    def load(index: int) -> np.ndarray:
        key = hashlib.sha256(setting + examples.data(index)).hexdigest()
        pcm = cache.get(key)
        if pcm is None:
            pcm = make(index)
            cache.put(key, pcm)
        return pcm

    return load


def _recording_loader(examples: Examples, *, config: SonificationConfig) -> Callable[[int], np.ndarray]:
    def load(index: int) -> np.ndarray:
        audio = examples.sound(index, config, samples=config.samples)
        return to_pcm16(np.pad(audio, (0, config.samples - len(audio))))

    return load


def _received(
    loader: Callable[[Examples], Callable[[int], np.ndarray]],
    examples: Examples,
    *,
    channel: Channel,
    sample_rate: int,
    seed: int,
) -> Callable[[int], np.ndarray]:
    load = loader(examples)
    return lambda index: transmit_pcm16(load(index), sample_rate, channel, seed)


def _picture_loader(
    examples: Examples, *, resizing: dict[str, Any], config: SonificationConfig, colormap: str | None
) -> Callable[[int], np.ndarray]:
    drawing: dict[str, Any] = {
        "colormap": config.colormap,
        "scale": config.picture_scale,
        "top_db": config.top_db,
    }
    if colormap is not None:
        pictures.colors(config.colormap)  # whose error comes now, and not while the data set is iterated

    def load(index: int) -> np.ndarray:
        image = examples.image(index, color=True)
        if colormap is None:
            return pictures.resize(image, **resizing)
        return pictures.redraw(pictures.decibels(image, colormap, config.top_db), **drawing, **resizing)

    return load
