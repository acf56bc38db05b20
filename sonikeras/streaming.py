"""Spectrograms of sounds that are not over yet: frames of a microphone's blocks, equal to those of the whole sound."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from sonikeras.layers.spectrogram import Spectrogram


class SpectrogramStream:
    """Frames of a sound as its blocks come in, those that a `Spectrogram` layer gives for the whole sound.

    What the next frame needs of the past is kept between blocks. A frame is complete, and given out, when the last
    sample of its transform has come. With centred frames that is `fft_length // 2` samples after the moment that it
    shows, with others `fft_length` samples after its beginning: 46 ms with 2048 samples centred at 22,050 Hz. A block
    adds its own length to that.

    Args:
        layer: `sonikeras.layers.Spectrogram` whose levels need no knowledge of the future: `reference` a float and
            `top_db=None`, or another output than dB. `padding` must not be `"same"`.

    Raises:
        ValueError: The layer's levels depend on the whole sound, or a block is not of the shape of those before.

    Example:
        >>> import numpy as np, sonikeras
        >>> from sonikeras.streaming import SpectrogramStream
        >>> layer = sonikeras.layers.Spectrogram(1024, 256, reference=1.0, top_db=None)
        >>> audio = np.random.default_rng(0).normal(size=(1, 8000)).astype("float32")
        >>> stream = SpectrogramStream(layer)
        >>> frames = [stream.push(block) for block in np.split(audio, 10, axis=1)] + [stream.finish()]
        >>> np.allclose(np.concatenate(frames, axis=1), layer(audio), atol=1e-4)
        True
    """

    def __init__(self, layer: Spectrogram) -> None:
        config = layer.get_config()
        levels = config["mode"] is None and config["scale"] == "db"
        if levels and (config["reference"] == "max" or config["top_db"] is not None):
            raise ValueError(
                "Levels must not depend on the whole sound: `reference` must be a float and `top_db` None. "
                f"Received: reference={config['reference']!r}, top_db={config['top_db']!r}"
            )
        if config["padding"] == "same":
            raise ValueError("`padding` must be None or 'valid' in a stream. Received: padding='same'")
        self._fft_length = config["fft_length"] or config["frame_length"]
        self._step = config["frame_step"]
        self._length = config["frame_length"] if config["padding"] == "valid" else self._fft_length
        self._half = self._fft_length // 2 if config["center"] and config["padding"] is None else 0
        self._axis = -1 if config["data_format"] == "channels_first" else 1
        self._layer = Spectrogram.from_config(config | {"center": False})
        self._kept: np.ndarray | None = None

    @property
    def latency(self) -> int:
        """Samples from the moment that a frame shows, its centre or its beginning, until it is given out."""
        return self._length - self._half

    def push(self, block: Any) -> np.ndarray:
        """Takes the next samples.

        Args:
            block: Array of the layer's input shape, of any number of samples.

        Returns:
            float32 array of the layer's output shape: the frames that are complete now, maybe none.
        """
        block = np.asarray(block, np.float32)
        if self._kept is None:
            self._kept = self._silence(block.shape)
        return self._frames(block)

    def finish(self) -> np.ndarray:
        """The frames at the end, with zeros beyond it where frames are centred. The next block begins a new sound."""
        if self._kept is None:
            raise ValueError("`push` must be called before `finish`. Received: no block")
        frames = self._frames(self._silence(self._kept.shape))
        self._kept = None
        return frames

    def _silence(self, shape: tuple[int, ...]) -> np.ndarray:
        sizes = list(shape)
        sizes[self._axis] = self._half
        return np.zeros(sizes, np.float32)

    def _frames(self, block: np.ndarray) -> np.ndarray:
        """The frames that are complete with a block, whose samples are then no longer kept but for the next frame's."""
        axis = self._axis % block.ndim
        samples = np.concatenate([self._kept, block], axis=axis)
        count = max(0, 1 + (samples.shape[axis] - self._length) // self._step)
        self._kept = samples[(slice(None),) * axis + (slice(count * self._step, None),)]
        if count:
            return ops.convert_to_numpy(self._layer(samples))
        shape = list(samples.shape)
        shape[axis] = self._length
        frames = list(self._layer.compute_output_shape(tuple(shape)))
        frames[2 if self._axis == -1 and block.ndim == 3 else 1] = 0
        return np.zeros(frames, np.float32)
