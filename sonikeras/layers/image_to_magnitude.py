"""Images to magnitudes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from sonikeras.config import IMAGE_INTERPOLATIONS, REFERENCES, SonificationConfig
from sonikeras.config._checks import check_choice, check_integer, check_number
from sonikeras.layers._signal_layer import SignalLayer, check_follows, config_of
from sonikeras.signal._backend import constant
from sonikeras.signal.magnitudes import images_to_magnitudes, pixels_to_magnitudes

_GRAY = np.array([0.299, 0.587, 0.114], np.float32)  # OpenCV's weights of red, green and blue


@keras.saving.register_keras_serializable(package="sonikeras")
class ImageToMagnitude(SignalLayer):
    """Reads images as the magnitudes of spectrograms.

    Rows are frequencies, columns are time frames, and brightness is magnitude. The layer does what
    `sonikeras.signal.magnitudes.image_to_magnitudes` does, with a gradient. It does not round gray values and resized
    pixels to 8 bits, so results differ by one or two steps of 255.

    Args:
        frames: Integer, columns that images are resized to: time frames. Defaults to 128.
        bins: Integer, rows that images are resized to: frequency bins. Defaults to 513.
        interpolation: `"bilinear"` (OpenCV's default, no antialiasing) or `"area"`: a side that shrinks is averaged,
            so that each pixel counts, and a side that grows is interpolated. Defaults to `"bilinear"`.
        reference: `"max"`, magnitudes are relative to the brightest pixel of each image, or `"absolute"`, white is 1.
            Defaults to `"max"`.
        top_db: Float, range of magnitudes in dB. Lower values are raised to its lower end. Defaults to 80.
        config: Preset, `SonificationConfig`, or its `to_dict()`, whose colors, band and frequency scale the magnitudes
            have. The other arguments then follow from it. Defaults to `None`: gray, every bin a row.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        Real tensor `[batch, height, width]`, `[batch, height, width, 1]` or, for RGB, `[batch, height, width, 3]` in
        0..255. Height and width are static.

    Output shape:
        `[batch, frames, bins]`, lowest frequency first.

    Raises:
        ValueError: An argument breaks its rule, or the input is not of that shape, not real or not dense.

    Example:
        >>> import numpy as np, sonikeras
        >>> image = np.eye(64, dtype="uint8")[None] * 255
        >>> sonikeras.layers.ImageToMagnitude()(image).shape
        TensorShape([1, 128, 513])
    """

    ARGUMENTS = ("frames", "bins", "interpolation", "reference", "top_db")

    def __init__(
        self,
        frames: int = 128,
        bins: int = 513,
        interpolation: str = "bilinear",
        *,
        reference: str = "max",
        top_db: float = 80,
        config: str | SonificationConfig | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.config = None if config is None else config_of(config)
        if self.config is not None:
            given = {
                "frames": frames,
                "bins": bins,
                "interpolation": interpolation,
                "reference": reference,
                "top_db": top_db,
            }
            frames, bins, top_db = self.config.frames, self.config.bins, self.config.top_db
            interpolation, reference = self.config.image_interpolation, self.config.reference
            check_follows(
                type(self), given, dict(zip(given, (frames, bins, interpolation, reference, top_db), strict=True))
            )
        self.frames = check_integer("frames", frames, minimum=1)
        self.bins = check_integer("bins", bins, minimum=1)
        self.interpolation = check_choice("interpolation", interpolation, IMAGE_INTERPOLATIONS)
        self.reference = check_choice("reference", reference, REFERENCES)
        self.top_db = check_number("top_db", top_db, "a finite number above 0", lambda x: x > 0)

    def call(self, inputs: Any) -> Any:
        shape = tuple(inputs.shape)
        self.compute_output_shape(shape)
        pixels = ops.cast(inputs, "float32")
        if self.config is not None and self.config.color != "gray":
            pixels = pixels[..., None] if len(shape) == 3 else pixels
            pixels = pixels if pixels.shape[3] == 3 else ops.repeat(pixels, 3, axis=3)
            return ops.cast(images_to_magnitudes(pixels, self.config), self.compute_dtype)
        if len(shape) == 4:
            pixels = pixels[..., 0] if shape[3] == 1 else ops.matmul(pixels, constant(_GRAY, pixels))
        if self.config is not None:
            return ops.cast(images_to_magnitudes(pixels, self.config), self.compute_dtype)
        magnitudes = pixels_to_magnitudes(
            pixels,
            frames=self.frames,
            bins=self.bins,
            interpolation=self.interpolation,
            reference=self.reference,
            top_db=self.top_db,
        )
        return ops.cast(magnitudes, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        if len(input_shape) not in (3, 4) or not all(input_shape[1:]) or input_shape[3:] not in ((), (1,), (3,)):
            raise ValueError(
                "The input of `ImageToMagnitude` must have the shape [batch, height, width], [batch, height, width, 1] "
                f"or [batch, height, width, 3] with height and width known. Received: shape={input_shape}"
            )
        return (input_shape[0], self.frames, self.bins)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | ({} if self.config is None else {"config": self.config.to_dict()})
