"""The signal chain of a config as two layers: images to audio, and audio to pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from sonikeras.config import SonificationConfig
from sonikeras.config._checks import check_choice, check_integer
from sonikeras.layers._signal_layer import SignalLayer, config_of
from sonikeras.layers.image_to_magnitude import ImageToMagnitude
from sonikeras.signal import chain
from sonikeras.signal.pictures import INTERPOLATIONS, check_image_size, colors, crop_box


@keras.saving.register_keras_serializable(package="sonikeras")
class ImageToAudio(SignalLayer):
    """Turns images into audio inside a model: `sonikeras.sonify` with a gradient.

    Gray values and resized pixels are not rounded to 8 bits, nor samples to 16 bits. The random initial phase depends
    only on `seed`: equal images give equal audio, whatever else is in the batch. Colors, band and frequency scale are
    those of the config. The layer has no weights and computes in float32 under mixed precision.

    Args:
        config: Preset, `SonificationConfig`, or its `to_dict()`. Defaults to `"study"`.
        seed: Integer of at least 0, for the random phase. Defaults to 0.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        Real tensor `[batch, height, width]`, `[batch, height, width, 1]` or, for RGB, `[batch, height, width, 3]` in
        0..255. Height and width are static.

    Output shape:
        `[batch, config.samples]` at `config.sample_rate`.

    Raises:
        ValueError: An argument breaks its rule, or the input is not of that shape, not real or not dense.

    Example:
        >>> import numpy as np, sonikeras
        >>> image = np.eye(64, dtype="uint8")[None] * 255
        >>> sonikeras.layers.ImageToAudio("lossless")(image).shape
        TensorShape([1, 66048])
    """

    ARGUMENTS = ("seed",)

    def __init__(
        self, config: str | SonificationConfig | Mapping[str, Any] = "study", *, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.config = config_of(config)
        self.seed = check_integer("seed", seed, minimum=0)
        self._magnitudes = ImageToMagnitude(config=self.config, dtype="float32")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self._magnitudes.build(input_shape)

    def call(self, inputs: Any) -> Any:
        audio = chain.synthesize(self._magnitudes(inputs), self.config, seed=self.seed)
        return ops.cast(audio, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (self._magnitudes.compute_output_shape(input_shape)[0], self.config.samples)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"config": self.config.to_dict()}


@keras.saving.register_keras_serializable(package="sonikeras")
class AudioToPicture(SignalLayer):
    """Draws audio as spectrogram pictures inside a model: those of `sonikeras.dataset`, with a gradient.

    Colors of a colormap change in steps, which have no gradient, so the gradient is that of straight lines between
    them. With `color`, the picture has the image's own colors, which are not rounded. The layer has no weights and
    computes in float32 under mixed precision.

    Args:
        config: Preset, `SonificationConfig`, or its `to_dict()`. Defaults to `"study"`.
        image_size: `(height, width)`, the size that the picture is resized to. Defaults to `None`: the config's
            `picture_size`.
        shorter_side: Integer. The shorter side is resized to this, and `image_size` is cropped from the center.
            Defaults to `None`: the whole picture is resized to `image_size`.
        interpolation: `"nearest"`, `"bilinear"` or `"bicubic"`, with antialiasing. Defaults to `"bilinear"`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        float tensor `[batch, samples]` at `config.sample_rate`, where `samples` is static.

    Output shape:
        `[batch, height, width, 3]` in 0..255.

    Raises:
        ValueError: An argument breaks its rule, or the input is not of that shape, not real or not dense.

    Example:
        >>> import numpy as np, sonikeras
        >>> audio = np.sin(np.arange(65024) * 0.3)[None].astype("float32")
        >>> sonikeras.layers.AudioToPicture("study", (224, 224))(audio).shape
        TensorShape([1, 224, 224, 3])
    """

    ARGUMENTS = ("image_size", "shorter_side", "interpolation")

    def __init__(
        self,
        config: str | SonificationConfig | Mapping[str, Any] = "study",
        image_size: tuple[int, int] | None = None,
        *,
        shorter_side: int | None = None,
        interpolation: str = "bilinear",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.config = config_of(config)
        colors(self.config.colormap)
        self.interpolation = check_choice("interpolation", interpolation, INTERPOLATIONS)
        if shorter_side is not None:
            shorter_side = check_integer("shorter_side", shorter_side, minimum=1)
        if image_size is not None:
            image_size = check_image_size("image_size", image_size)
            crop_box(self.config.picture_size, image_size=image_size, shorter_side=shorter_side)
        self.image_size = image_size
        self.shorter_side = shorter_side

    def call(self, inputs: Any) -> Any:
        self.compute_output_shape(tuple(inputs.shape))
        picture = chain.db_to_picture(
            chain.audio_to_db(ops.cast(inputs, "float32"), self.config),
            self.config,
            image_size=self.image_size,
            shorter_side=self.shorter_side,
            interpolation=self.interpolation,
            gradient=True,
        )
        return ops.cast(picture, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        needed = 2 * self.config.analysis.frame_step if self.config.analysis.transform == "mdct" else 1
        if len(input_shape) != 2 or input_shape[1] is None or input_shape[1] < needed:
            raise ValueError(
                "The input of `AudioToPicture` must have the shape [batch, samples] with samples known and at least "
                f"{needed}. Received: shape={input_shape}"
            )
        return (input_shape[0], *(self.image_size or self.config.picture_size), 3)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"config": self.config.to_dict()}
