"""Spectrograms of live audio: frames computed block by block, equal to those of the whole recording."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from sonikeras.layers.spectrogram import Spectrogram


class SpectrogramStream:
    """Computes spectrogram frames from blocks of audio, equal to those of a `Spectrogram` layer for the whole audio.

    The stream keeps the samples that the next frame needs. It returns a frame as soon as the last sample of its
    transform has arrived. A centered frame is complete `fft_length // 2` samples after its time: 46 ms with 2048
    samples at 22,050 Hz. Other frames are complete `fft_length` samples after their beginning. The length of a block
    adds to this latency.

    Args:
        layer: `sonikeras.layers.Spectrogram` whose output does not depend on future audio: in dB it needs a float as
            `reference` and `top_db=None`. `padding` must not be `"same"`.

    Raises:
        ValueError: `layer` is not such a layer, or the shape of a block differs from that of the blocks before it.

    Example:
        >>> import numpy as np, sonikeras
        >>> from sonikeras.layers.streaming import SpectrogramStream
        >>> layer = sonikeras.layers.Spectrogram(1024, 256, reference=1.0, top_db=None)
        >>> audio = np.random.default_rng(0).normal(size=(1, 8000)).astype("float32")
        >>> stream = SpectrogramStream(layer)
        >>> frames = [stream.push(block) for block in np.split(audio, 10, axis=1)] + [stream.finish()]
        >>> np.allclose(np.concatenate(frames, axis=1), layer(audio), atol=1e-4)
        True
    """

    def __init__(self, layer: Spectrogram) -> None:
        if not isinstance(layer, Spectrogram):
            raise ValueError(f"`layer` must be a `sonikeras.layers.Spectrogram`. Received: layer={layer!r}")
        if layer.mode is None and layer.scale == "db" and (layer.reference == "max" or layer.top_db is not None):
            raise ValueError(
                "The output of `layer` must not depend on future audio: `reference` must be a float and `top_db` None. "
                f"Received: reference={layer.reference!r}, top_db={layer.top_db!r}"
            )
        if layer.padding == "same":
            raise ValueError("`padding` must be None or 'valid' in a stream. Received: padding='same'")
        self._length = layer.frame_length if layer.padding == "valid" else layer._fft_length
        self._half = layer._fft_length // 2 if layer.center and layer.padding is None else 0
        self._step = layer._frame_step
        self._layer = type(layer).from_config(layer.get_config() | {"center": False})
        self._kept: np.ndarray | None = None
        self._received = 0

    @property
    def latency(self) -> int:
        """Samples from the time of a frame, its center or its beginning, until the frame is complete."""
        return self._length - self._half

    def push(self, block: Any) -> np.ndarray:
        """Processes the next samples.

        Args:
            block: Array of the layer's input shape with any number of samples.

        Returns:
            Array of the layer's output shape and type: the frames that are complete now, possibly none.
        """
        block = np.asarray(block, "float64" if self._layer.compute_dtype == "float64" else "float32")
        if block.ndim not in (2, 3):
            raise ValueError(
                "A block must have the layer's input shape, [batch, samples] with or without channels. "
                f"Received: shape={block.shape}"
            )
        axis = self._axis(block)
        if self._kept is None:
            self._kept = self._silence(block)
        elif np.delete(self._kept.shape, axis).tolist() != np.delete(block.shape, axis).tolist():
            raise ValueError(
                "A block must have the shape of the blocks before it, except for the number of samples. "
                f"Received: shape={block.shape} with samples along {axis=}, after shape={self._kept.shape}"
            )
        self._received += block.shape[axis]
        return self._frames(block)

    def finish(self) -> np.ndarray:
        """The last frames, with zeros beyond the end where frames are centered. The next block begins a new stream."""
        if self._kept is None or not self._received:
            raise ValueError("`push` must be called with samples before `finish`. Received: no samples")
        frames = self._frames(self._silence(self._kept))
        self._kept, self._received = None, 0
        return frames

    def _axis(self, block: np.ndarray) -> int:
        """The axis of the samples."""
        return block.ndim - 1 if self._layer.data_format == "channels_first" else 1

    def _silence(self, block: np.ndarray) -> np.ndarray:
        """The zeros beyond an end, in the shape of a block."""
        sizes = list(block.shape)
        sizes[self._axis(block)] = self._half
        return np.zeros(sizes, block.dtype)

    def _frames(self, block: np.ndarray) -> np.ndarray:
        """The frames that a block completes. Samples that no later frame needs are dropped."""
        axis = self._axis(block)
        samples = np.concatenate([self._kept, block], axis=axis)
        count = max(0, 1 + (samples.shape[axis] - self._length) // self._step)
        self._kept = samples[(slice(None),) * axis + (slice(count * self._step, None),)]
        if count:
            return ops.convert_to_numpy(self._layer(samples))
        sizes = list(samples.shape)
        sizes[axis] = self._length
        frames = list(self._layer.compute_output_shape(tuple(sizes)))
        frames[axis] = 0  # frames replace the samples
        return ops.convert_to_numpy(ops.zeros(frames, self._layer.compute_dtype))
