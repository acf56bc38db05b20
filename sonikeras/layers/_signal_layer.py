"""The base class of the layers of the signal chain."""

from __future__ import annotations

from typing import Any, ClassVar

import keras

from sonikeras.signal._backend import check_real


class SignalLayer(keras.layers.Layer):
    """A layer that computes in at least float32, whatever its `dtype`, and accepts only dense tensors of real numbers.

    Attributes:
        ARGUMENTS: Names of the constructor's arguments, which are stored as attributes of the same names.
    """

    ARGUMENTS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # the input must not be cast to half precision either

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        # Before Keras converts the input, so that symbolic and unsupported inputs get the same message.
        check_real(f"The input of `{type(self).__name__}`", inputs)
        return super().__call__(inputs, *args, **kwargs)

    def quantized_call(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(*args, **kwargs)  # there are no weights to quantize

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {name: getattr(self, name) for name in self.ARGUMENTS}
