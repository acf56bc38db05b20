"""The functions that compute with an array or a tensor: NumPy's, those of Keras, or in `tf.data` TensorFlow's."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np


def operations(*values: Any) -> Any:
    """The functions that compute with some values, under the names that they have in `keras.ops`.

    Arrays and numbers are computed with NumPy, and Keras is not imported for them. Tensors are computed with
    `keras.ops`. The exception is a TensorFlow tensor where Keras has another backend, as in `tf.data`: there the
    functions are those of Keras' TensorFlow backend, which Keras' own preprocessing layers use there too.

    Args:
        *values: Tensors, symbolic tensors, arrays, numbers, or lists of numbers. The first that is a tensor decides.

    Returns:
        An object that has the functions of `keras.ops` as attributes. For arrays these are the ones that the signal
        chain uses.

    Example:
        >>> import keras, numpy as np
        >>> from sonikeras.signal._backend import operations
        >>> operations(keras.ops.ones(3)) is keras.ops
        True
        >>> type(operations(np.ones(3)).square(np.ones(3)))
        <class 'numpy.ndarray'>
    """
    tensor = next((x for x in values if not _is_plain(x)), None)
    if tensor is None:
        return _NUMPY
    if is_foreign(tensor):
        return _tensorflow_operations()
    import keras

    return keras.ops


def _is_plain(x: Any) -> bool:
    return isinstance(x, np.ndarray | np.generic | int | float | list | tuple)


def is_foreign(x: Any) -> bool:
    """Whether `x` is a TensorFlow tensor and Keras has another backend."""
    import keras

    if keras.backend.backend() == "tensorflow" or "tensorflow" not in sys.modules:
        return False
    import tensorflow as tf

    return tf.is_tensor(x)


def dtype_name(x: Any) -> str:
    """The name of the type of an array's or a tensor's elements, such as `"float32"`."""
    if isinstance(x, np.ndarray | np.generic):
        return x.dtype.name
    import keras

    return keras.backend.standardize_dtype(x.dtype)


def constant(values: np.ndarray, like: Any) -> Any:
    """Converts an array to a tensor of the array's own type, which some backends would change to Keras' `floatx()`.

    Args:
        values: Array.
        like: The tensor that it is computed with. If that is an array, the result is one too.
    """
    return operations(like).convert_to_tensor(values, str(values.dtype))


def check_real(what: str, x: Any) -> None:
    """Raises a `ValueError` unless `x` is dense and contains real numbers, integers or floats.

    Args:
        what: The subject of the message.
        x: Tensor, symbolic tensor or array. A value without a type, such as a list, passes.
    """
    kind = type(x).__name__
    if kind == "RaggedTensor" or getattr(x, "ragged", False) is True:
        raise ValueError(
            f"{what} must be a dense tensor: pad the examples to the same length with `to_tensor()` or "
            f"`padded_batch`. Received: a ragged tensor of shape={tuple(x.shape)}"
        )
    if kind == "SparseTensor" or hasattr(x, "todense") or _has_flag(x, "sparse", "is_sparse", "is_sparse_csr"):
        raise ValueError(f"{what} must be a dense tensor. Received: a sparse tensor of shape={tuple(x.shape)}")
    if not hasattr(x, "dtype"):
        return
    try:
        dtype = dtype_name(x)
    except ValueError:  # no backend has this type
        dtype = str(x.dtype)
    if not dtype.startswith(("float", "bfloat", "int", "uint")):
        dtype = str(x.dtype) if isinstance(x, np.ndarray) else dtype
        raise ValueError(f"{what} must contain real numbers, integers or floats. Received: dtype={dtype}")


def _has_flag(x: Any, *names: str) -> bool:
    return any(getattr(x, name, False) is True for name in names)


def is_litert_export() -> bool:
    """Whether a graph is being traced for LiteRT, which lacks complex numbers and most Fourier transforms.

    The call stack is the only place where Keras and TensorFlow show this.
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
        what: The feature that needs it, the subject of the message.
    """
    try:
        import tensorflow  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{what} needs TensorFlow, whatever the backend of Keras: pip install tensorflow. Received: {error}"
        ) from error


class _BackendFunctions:
    """The functions of a Keras backend under their names in `keras.ops`."""

    def __init__(self, backend: Any) -> None:
        self._modules = (backend.numpy, backend.core, backend.math, backend.nn)

    def __getattr__(self, name: str) -> Any:
        for module in self._modules:
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(name)


@functools.cache
def _tensorflow_operations() -> _BackendFunctions:
    from keras.src.utils.backend_utils import DynamicBackend

    return _BackendFunctions(DynamicBackend("tensorflow"))


# Numerator and denominator of log(1 + x) between the square roots of 1/2 and 2, highest power first, as Eigen has them.
_LOG = (
    (0.18256296349849254, 1.0000000190281063, 1.0000000190281136, 0.0),
    (0.049616247954120038, 0.59923249590823520, 1.4999999999999927, 1.0),
)

_FUSED_TERMS = 64  # products of more terms are left to NumPy


class _NumPyFunctions:
    """NumPy, and with it those functions of `keras.ops` that NumPy lacks or calls otherwise.

    A complex array is a pair `(real, imaginary)`, as in `keras.ops`. Logarithms, transforms and products of few terms
    are rounded as TensorFlow rounds them on x86 processors, so that spectrograms and pictures are bit-identical.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    @staticmethod
    def cast(x: Any, dtype: str) -> np.ndarray:
        return np.asarray(x).astype(dtype, copy=False)

    @staticmethod
    def convert_to_tensor(x: Any, dtype: str | None = None) -> np.ndarray:
        return np.asarray(x, dtype)

    @staticmethod
    def convert_to_numpy(x: Any) -> np.ndarray:
        return np.asarray(x)

    @staticmethod
    def stop_gradient(x: Any) -> Any:
        return x

    @staticmethod
    def log10(x: np.ndarray) -> np.ndarray:
        if x.dtype != np.float32:
            return np.log(x) / np.log(x.dtype.type(10))
        fraction, exponent = np.frexp(x)
        low = fraction < np.float32(math.sqrt(0.5))
        fraction = np.where(low, fraction + fraction, fraction) - np.float32(1)
        numerator, denominator = (_polynomial(coefficients, fraction) for coefficients in _LOG)
        with np.errstate(invalid="ignore"):  # of infinite values, which are replaced below
            log = (exponent - low).astype(np.float32) * np.float32(math.log(2)) + numerator / denominator
        finite = (x > 0) & (x < np.inf)
        return (log if finite.all() else np.where(finite, log, np.log(x))) / np.float32(math.log(10))

    @staticmethod
    def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        terms = a.shape[-1]
        if terms > _FUSED_TERMS or {a.dtype, b.dtype} != {np.dtype(np.float32)}:
            return np.matmul(a, b)
        # One fused multiply-add a term, in order: a product of two singles is exact in double precision.
        left, right = a.astype(np.float64), b.astype(np.float64)
        total = (left[..., :1] * right[..., :1, :]).astype(np.float32)
        for k in range(1, terms):
            total = (left[..., k : k + 1] * right[..., k : k + 1, :] + total).astype(np.float32)
        return total

    @staticmethod
    def rsqrt(x: Any) -> Any:
        return 1 / np.sqrt(x)

    @staticmethod
    def rfft(x: np.ndarray, fft_length: int) -> tuple[np.ndarray, np.ndarray]:
        spectrum = np.fft.rfft(x, fft_length)
        return spectrum.real, spectrum.imag

    @staticmethod
    def irfft(x: tuple[np.ndarray, np.ndarray], fft_length: int) -> np.ndarray:
        real, imaginary = x
        spectrum = np.empty(real.shape, np.result_type(real, np.complex64))
        spectrum.real, spectrum.imag = real, imaginary
        return np.fft.irfft(spectrum, fft_length)

    @staticmethod
    def while_loop(condition: Callable, body: Callable, loop_vars: tuple, maximum_iterations: int) -> tuple:
        for _ in range(maximum_iterations):
            if not condition(*loop_vars):
                break
            loop_vars = body(*loop_vars)
        return loop_vars

    @staticmethod
    def stft(
        audio: np.ndarray,
        frame_length: int,
        frame_step: int,
        fft_length: int,
        *,
        window: np.ndarray,
        center: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The short-time Fourier transform of frames that are not centered, the window in the middle of each."""
        import scipy.fft  # the code of TensorFlow's transform, so that soft bins are equal there too

        del center  # the caller pads
        before = (fft_length - frame_length) // 2
        window = np.pad(window, (before, fft_length - frame_length - before))
        frames = np.lib.stride_tricks.sliding_window_view(audio, fft_length, axis=-1)[..., ::frame_step, :]
        spectrum = scipy.fft.rfft(frames * window)
        return spectrum.real, spectrum.imag


def _polynomial(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    """Horner's method in single precision."""
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + np.float32(coefficient)
    return value


_NUMPY = _NumPyFunctions()
