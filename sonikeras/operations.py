"""Which functions compute with a tensor: Keras' own, and in a `tf.data` pipeline TensorFlow's, whatever the backend."""

from __future__ import annotations

import functools
import sys
from typing import Any

import keras


def operations(x: Any) -> Any:
    """The functions that compute with `x`, under the names that they have in `keras.ops`.

    They are `keras.ops` itself, but where a tensor of TensorFlow's meets another backend, as it does in `tf.data`:
    there they are those of Keras' TensorFlow backend, to which Keras' own preprocessing layers turn there too.

    Args:
        x: Tensor, symbolic tensor, array or number.

    Returns:
        Something with `keras.ops`' functions as its attributes.

    Example:
        >>> import keras, numpy as np
        >>> from sonikeras.operations import operations
        >>> operations(np.ones(3)) is keras.ops
        True
    """
    if is_foreign(x):
        return _tensorflow_operations()
    return keras.ops


def is_foreign(x: Any) -> bool:
    """Whether `x` is a tensor of TensorFlow's and the backend of Keras is another."""
    if keras.backend.backend() == "tensorflow" or "tensorflow" not in sys.modules:
        return False
    import tensorflow as tf

    return tf.is_tensor(x)


def check_tensorflow(what: str) -> None:
    """Imports TensorFlow, or raises an `ImportError` that says how to install it.

    Args:
        what: What needs it, the subject of the message.
    """
    try:
        import tensorflow  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{what} needs TensorFlow, whatever the backend of Keras: pip install tensorflow. Received: {error}"
        ) from error


class _Functions:
    """The functions of a Keras backend under their names in `keras.ops`."""

    def __init__(self, backend: Any) -> None:
        self._modules = (backend.numpy, backend.core, backend.math, backend.nn)

    def __getattr__(self, name: str) -> Any:
        for module in self._modules:
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(name)


@functools.cache
def _tensorflow_operations() -> _Functions:
    from keras.src.utils.backend_utils import DynamicBackend

    return _Functions(DynamicBackend("tensorflow"))
