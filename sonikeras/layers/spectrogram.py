"""Raw audio to spectrograms."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from sonikeras import spectrograms
from sonikeras.config import WINDOWS, check_choice, check_frame

SCALES = ("db", "amplitude", "power")


@keras.saving.register_keras_serializable(package="sonikeras")
class Spectrogram(keras.layers.Layer):
    """Spectrogram of raw audio, equal to librosa's. On TensorFlow it is `tf.signal.stft`.

    `20 * log10(|STFT|)` with frames centred as librosa centres them (zeros beyond the ends), a periodic window, and
    levels relative to the loudest bin of each example, whatever else is in the batch. It has no weights, and computes
    in float32 under mixed precision.

    Args:
        frame_length: Integer, length of the window in samples. Defaults to 2048.
        frame_step: Integer, samples from one frame to the next. Defaults to 512.
        fft_length: Integer of at least `frame_length`, size of the transform. Defaults to `frame_length`.
        window: String, one of `"hann"`, `"hamming"`, `"blackman"`, `"bartlett"`, `"cosine"`, `"boxcar"`.
            Defaults to `"hann"`.
        center: Boolean, whether frames are centred at their time, with zeros beyond the ends. Defaults to `True`.
        scale: `"db"`, `"amplitude"` (magnitude) or `"power"` (squared). Defaults to `"db"`.
        reference: `"max"`, the example's loudest bin is 0 dB, or a float, the amplitude that is. Defaults to `"max"`.
        top_db: Float, range in dB below the example's loudest bin, or `None`. Defaults to 80.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        float tensor `[batch, samples]` or `[batch, samples, channels]`. Channels share their example's reference.

    Output shape:
        `[batch, frames, bins]` or `[batch, frames, bins, channels]`, where `bins = fft_length // 2 + 1` and, centred,
        `frames = 1 + samples // frame_step`.

    Raises:
        ValueError: An argument breaks its rule, or the input's rank is neither 2 nor 3.

    Example:
        >>> import numpy as np, sonikeras
        >>> audio = np.random.default_rng(0).normal(size=(1, 22050)).astype("float32")
        >>> sonikeras.layers.Spectrogram()(audio).shape[1:]
        TensorShape([44, 1025])
    """

    def __init__(
        self,
        frame_length: int = 2048,
        frame_step: int = 512,
        fft_length: int | None = None,
        window: str = "hann",
        center: bool = True,
        scale: str = "db",
        *,
        reference: str | float = "max",
        top_db: float | None = 80,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)  # half precision must not touch the input either
        check_frame(frame_length, frame_step, fft_length)
        check_choice("window", window, WINDOWS)
        check_choice("scale", scale, SCALES)
        if reference != "max" and (isinstance(reference, str) or reference <= 0):
            raise ValueError(f'`reference` must be "max" or a float above 0. Received: reference={reference!r}')
        if top_db is not None and top_db <= 0:
            raise ValueError(f"`top_db` must be None or a float above 0. Received: top_db={top_db!r}")
        self.frame_length = frame_length
        self.frame_step = frame_step
        self.fft_length = fft_length
        self.window = window
        self.center = center
        self.scale = scale
        self.reference = reference
        self.top_db = top_db

    def call(self, inputs: Any) -> Any:
        if len(inputs.shape) not in (2, 3):
            raise ValueError(
                "The input of `Spectrogram` must have the shape [batch, samples] or [batch, samples, channels]. "
                f"Received: shape={tuple(inputs.shape)}"
            )
        fft_length = self.fft_length or self.frame_length
        if inputs.shape[1] is not None and inputs.shape[1] + self._padding(fft_length) < fft_length:
            raise ValueError(
                f"The input of `Spectrogram` must have at least one frame of {fft_length} samples, or one sample where "
                f"frames are centred. Received: {inputs.shape[1]} samples"
            )
        audio = ops.cast(inputs, "float32")
        channels = len(inputs.shape) == 3
        if channels:
            audio = ops.swapaxes(audio, 1, 2)
        spectrogram = spectrograms.stft_power(
            audio,
            frame_length=self.frame_length,
            frame_step=self.frame_step,
            fft_length=fft_length,
            window=self.window,
            center=self.center,
        )
        if channels:
            spectrogram = ops.transpose(spectrogram, (0, 2, 3, 1))
        if self.scale == "db":
            example = tuple(range(1, len(spectrogram.shape)))
            spectrogram = spectrograms.power_to_db(
                spectrogram, axis=example, reference=self.reference, top_db=self.top_db
            )
        elif self.scale == "amplitude":
            spectrogram = spectrograms.power_to_amplitude(spectrogram)
        return ops.cast(spectrogram, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        fft_length = self.fft_length or self.frame_length
        samples = input_shape[1]
        frames = None
        if samples is not None:
            frames = 1 + (samples + self._padding(fft_length) - fft_length) // self.frame_step
        return (input_shape[0], frames, fft_length // 2 + 1, *input_shape[2:])

    def _padding(self, fft_length: int) -> int:
        return fft_length // 2 * 2 if self.center else 0

    def get_config(self) -> dict[str, Any]:
        names = ("frame_length", "frame_step", "fft_length", "window", "center", "scale", "reference", "top_db")
        return super().get_config() | {name: getattr(self, name) for name in names}
