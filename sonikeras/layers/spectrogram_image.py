"""Spectrograms to pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from sonikeras.config import DRAWINGS, PICTURE_SCALES, SonificationConfig
from sonikeras.config._checks import check_choice, check_number, plain
from sonikeras.config._transforms import number_of_bins
from sonikeras.layers._signal_layer import SignalLayer, check_follows, config_of
from sonikeras.signal import chain, pictures


@keras.saving.register_keras_serializable(package="sonikeras")
class SpectrogramImage(SignalLayer):
    """Draws spectrograms as color pictures in 0..255, with low frequencies at the bottom.

    With `image_size=(600, 1200)` and the other defaults, the picture is that of `librosa.display.specshow` with a
    linear frequency axis and without axes and margins.

    Args:
        image_size: Integer or `(height, width)`, the size of the picture in pixels.
        colormap: String, name of a matplotlib colormap. Defaults to `"magma"`.
        scale: `"db"` or `"amplitude"`: the quantity that the colormap is applied to. Defaults to `"db"`.
        drawing: `"specshow"` (the nearest bin and frame, colors stretched over the range of each example) `"resize"`
            (bilinear with antialiasing, fixed range) or `"bicubic"` (likewise). Defaults to `"specshow"`.
        top_db: Float. Without `"specshow"`, `-top_db` has the lowest color. `"specshow"` uses the range of each
            example instead. An example in which all values are 0 dB, which `Spectrogram` returns for silence, has the
            lowest color. Defaults to 80.
        config: Preset, `SonificationConfig`, or its `to_dict()`, whose analysis gave the decibels: the picture shows
            its band on its frequency scale, and with `color` the image's colors. All arguments but `image_size` then
            follow from it. Defaults to `None`: all bins are shown.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        float tensor `[batch, frames, bins]` in dB, as `Spectrogram` returns it. `frames` and `bins` are static.

    Output shape:
        `[batch, height, width, 3]`.

    Raises:
        ValueError: An argument breaks its rule, or the input is not of that shape, not real or not dense.

    Example:
        >>> import numpy as np, sonikeras
        >>> db = np.linspace(-80, 0, 40 * 513, dtype="float32").reshape(1, 40, 513)
        >>> sonikeras.layers.SpectrogramImage((224, 224))(db).shape
        TensorShape([1, 224, 224, 3])
    """

    ARGUMENTS = ("image_size", "colormap", "scale", "drawing", "top_db")

    def __init__(
        self,
        image_size: int | tuple[int, int],
        colormap: str = "magma",
        *,
        scale: str = "db",
        drawing: str = "specshow",
        top_db: float = 80,
        config: str | SonificationConfig | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.config = None if config is None else config_of(config)
        if self.config is not None:
            given = {"colormap": colormap, "scale": scale, "drawing": drawing, "top_db": top_db}
            colormap, scale = self.config.colormap, self.config.picture_scale
            drawing, top_db = self.config.drawing, self.config.top_db
            check_follows(type(self), given, dict(zip(given, (colormap, scale, drawing, top_db), strict=True)))
        pictures.colors(colormap)
        self.image_size = pictures.check_image_size("image_size", image_size, square=True)
        self.colormap = plain(colormap)
        self.scale = check_choice("scale", scale, PICTURE_SCALES)
        self.drawing = check_choice("drawing", drawing, DRAWINGS)
        self.top_db = check_number("top_db", top_db, "a finite number above 0", lambda x: x > 0)

    def call(self, inputs: Any) -> Any:
        self.compute_output_shape(tuple(inputs.shape))
        if self.config is not None:
            config = self.config.replace(picture_size=self.image_size)
            return ops.cast(chain.db_to_picture(inputs, config, gradient=True), self.compute_dtype)
        _, frames, bins = inputs.shape
        rows, columns = pictures.canvas(frames, bins, size=self.image_size, drawing=self.drawing)
        picture = pictures.draw(
            inputs,
            rows=rows,
            columns=columns,
            colormap=self.colormap,
            scale=self.scale,
            top_db=self.top_db,
            stretch=self.drawing == "specshow",
            gradient=True,
        )
        return ops.cast(picture, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        bins = None if self.config is None else number_of_bins(*self.config.analysis[:2])
        if bins is not None and len(input_shape) == 3 and input_shape[2] not in (None, bins):
            raise ValueError(
                f"The input of `SpectrogramImage` must have the bins of the config's analysis, {bins}. "
                f"Received: shape={input_shape}"
            )
        if len(input_shape) != 3 or not all(input_shape[1:]):
            raise ValueError(
                "The input of `SpectrogramImage` must have the shape [batch, frames, bins] with frames and bins known. "
                f"Received: shape={input_shape}"
            )
        return (input_shape[0], *self.image_size, 3)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | ({} if self.config is None else {"config": self.config.to_dict()})
