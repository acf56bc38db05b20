"""The modified discrete cosine transform and its inverse."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from sonikeras.layers._signal_layer import SignalLayer
from sonikeras.signal import mdct


@keras.saving.register_keras_serializable(package="sonikeras")
class MDCT(SignalLayer):
    """Modified discrete cosine transform of raw audio: orthonormal, with the sine window.

    `InverseMDCT` restores the audio except the first and the last `frame_step` samples, which only one frame covers. To
    restore all samples, pad the audio to whole steps, and by one more step at both ends. See
    `sonikeras.signal.mdct.mdct`.

    Args:
        frame_step: Even integer, samples from one frame to the next, half a frame's length. Defaults to 512.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        float tensor `[batch, samples]`. Samples at the end that do not fill a step are ignored.

    Output shape:
        `[batch, frames, frame_step]`, where `frames = samples // frame_step - 1`.

    Raises:
        ValueError: `frame_step` is not an even integer of at least 2, or the input is not of that shape, is shorter
            than a frame, or is not real or not dense.

    Example:
        >>> import numpy as np, sonikeras
        >>> audio = np.random.default_rng(0).normal(size=(1, 22050)).astype("float32")
        >>> sonikeras.layers.MDCT()(audio).shape
        TensorShape([1, 42, 512])

        >>> padded = np.pad(audio, ((0, 0), (512, 512 + -audio.shape[1] % 512)))
        >>> again = sonikeras.layers.InverseMDCT()(sonikeras.layers.MDCT()(padded))[:, 512:][:, : audio.shape[1]]
        >>> bool(np.abs(again - audio).max() < 1e-5)
        True
    """

    ARGUMENTS = ("frame_step",)

    def __init__(self, frame_step: int = 512, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.frame_step = mdct.check_even("frame_step", frame_step)

    def call(self, inputs: Any) -> Any:
        self.compute_output_shape(tuple(inputs.shape))
        return ops.cast(mdct.mdct(inputs, frame_step=self.frame_step), self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        if len(input_shape) != 2:
            raise ValueError(f"The input of `MDCT` must have the shape [batch, samples]. Received: shape={input_shape}")
        batch, samples = input_shape
        if samples is not None and samples < 2 * self.frame_step:
            raise ValueError(
                "The input of `MDCT` must have at least one frame of `2 * frame_step` samples. "
                f"Received: {samples} samples, frame_step={self.frame_step}"
            )
        return (batch, None if samples is None else samples // self.frame_step - 1, self.frame_step)


@keras.saving.register_keras_serializable(package="sonikeras")
class InverseMDCT(SignalLayer):
    """Converts MDCT coefficients, which may be any, to audio: the inverse of `MDCT`.

    It does not restore the first and the last step of audio that was not padded: see `MDCT`. See also
    `sonikeras.signal.mdct.inverse_mdct`.

    Args:
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        float tensor `[batch, frames, bins]`, where `bins` is static and even.

    Output shape:
        `[batch, (frames + 1) * bins]`.

    Raises:
        ValueError: The input is not of that shape, not real or not dense.

    Example:
        >>> import numpy as np, sonikeras
        >>> sonikeras.layers.InverseMDCT()(np.ones((1, 128, 512), "float32")).shape
        TensorShape([1, 66048])
    """

    def call(self, inputs: Any) -> Any:
        self.compute_output_shape(tuple(inputs.shape))
        return ops.cast(mdct.inverse_mdct(inputs), self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        if len(input_shape) != 3:
            raise ValueError(
                f"The input of `InverseMDCT` must have the shape [batch, frames, bins]. Received: shape={input_shape}"
            )
        batch, frames, bins = input_shape
        mdct.check_even("bins", bins)
        return (batch, None if frames is None or bins is None else (frames + 1) * bins)
