"""The base class of the layers of the signal chain."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

import keras

from sonikeras.config import SonificationConfig, as_config
from sonikeras.config._checks import shown
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
        if hasattr(inputs, "read_value"):  # a TensorFlow variable, which Keras leaves as it is, has no rank
            inputs = inputs.read_value()
        return super().__call__(inputs, *args, **kwargs)

    def quantized_call(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(*args, **kwargs)  # there are no weights to quantize

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {name: getattr(self, name) for name in self.ARGUMENTS}


def config_of(config: str | SonificationConfig | Mapping[str, Any]) -> SonificationConfig:
    """The config that the argument of a layer means: also a dictionary, as in the file of a model."""
    return SonificationConfig.from_dict(config) if isinstance(config, Mapping) else as_config(config)


def check_follows(layer: type[SignalLayer], given: Mapping[str, Any], followed: Mapping[str, Any]) -> None:
    """Raises a `ValueError` if arguments of a layer contradict those that follow from its `config`.

    Args:
        layer: The class of the layer, whose constructor has the defaults.
        given: The arguments by name, as they were given.
        followed: The values that follow from the config.
    """
    parameters = inspect.signature(layer).parameters
    other = {
        name: value
        for name, value in given.items()
        if value != followed[name]
        and (type(value), value) != (type(parameters[name].default), parameters[name].default)
    }
    if other:
        raise ValueError(
            f"With `config`, the arguments {list(given)} of `{layer.__name__}` follow from it and must not be given. "
            f"Received: {shown(other)}"
        )
