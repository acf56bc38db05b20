"""Which functions compute with a tensor: Keras' own, and in a `tf.data` pipeline TensorFlow's, whatever the backend."""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np


class _Ops:
    """`keras.ops`, imported when a function of it is first used."""

    def __getattr__(self, name: str) -> Any:
        import keras

        return getattr(keras.ops, name)


ops = _Ops()


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
        >>> from sonikeras.signal._backend import operations
        >>> operations(np.ones(3)) is keras.ops
        True
    """
    if is_foreign(x):
        return _tensorflow_operations()
    import keras

    return keras.ops


def is_foreign(x: Any) -> bool:
    """Whether `x` is a tensor of TensorFlow's and the backend of Keras is another."""
    import keras

    if keras.backend.backend() == "tensorflow" or "tensorflow" not in sys.modules:
        return False
    import tensorflow as tf

    return tf.is_tensor(x)


def constant(values: np.ndarray, like: Any) -> Any:
    """An array as a tensor of its own type, whatever `keras.config.floatx()` is: a backend may make that of it.

    Args:
        values: Array.
        like: Tensor with which it is to be computed, as of `operations`.
    """
    return operations(like).convert_to_tensor(values, str(values.dtype))


def check_real(what: str, x: Any) -> None:
    """Raises a `ValueError` unless `x` is dense and of real numbers, integers or floats.

    Args:
        what: What `x` is, the subject of the message.
        x: Tensor, symbolic tensor or array. What has no type, as a list, passes.
    """
    kind = type(x).__name__
    if kind == "RaggedTensor" or getattr(x, "ragged", False) is True:
        raise ValueError(
            f"{what} must be a dense tensor: pad the examples to one length, with `to_tensor()` or "
            f"`padded_batch`. Received: a ragged tensor of shape={tuple(x.shape)}"
        )
    if kind == "SparseTensor" or hasattr(x, "todense") or _has_flag(x, "sparse", "is_sparse", "is_sparse_csr"):
        raise ValueError(f"{what} must be a dense tensor. Received: a sparse tensor of shape={tuple(x.shape)}")
    if not hasattr(x, "dtype"):
        return
    import keras

    try:
        dtype = keras.backend.standardize_dtype(x.dtype)
    except ValueError:  # no backend has it
        dtype = str(x.dtype)
    if not dtype.startswith(("float", "bfloat", "int", "uint")):
        raise ValueError(f"{what} must be of real numbers, integers or floats. Received: dtype={dtype}")


def _has_flag(x: Any, *names: str) -> bool:
    return any(getattr(x, name, False) is True for name in names)


def is_litert_export() -> bool:
    """Whether the graph that is being made is for LiteRT, which lacks complex numbers and most Fourier transforms.

    Keras and TensorFlow give no other sign of it than who is calling.
    """
    if "tensorflow" not in sys.modules:
        return False
    frame: Any = sys._getframe()
    while frame is not None:
        if frame.f_globals.get("__name__", "") in _LITERT_EXPORTERS:
            return True
        frame = frame.f_back
    return False


_LITERT_EXPORTERS = {"keras.src.export.litert", "tensorflow.lite.python.lite"}


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
