"""Fourier transforms of real signals as pairs of real tensors, also where a device has none: there as matrix products.

LiteRT has no complex numbers, and of Fourier transforms only the real one whose size is a power of two. So in what is
exported for it the others are products with a matrix: as many multiplications as the square of the size, and errors of
2.5e-7 to 3.5e-7 of a frame's energy instead of 1.1e-7, with sizes from 400 to 2000.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from sonikeras.signal._backend import constant, is_litert_export, ops


def rfft(x: Any) -> tuple[Any, Any]:
    """The discrete Fourier transform of the last axis, of static size: real and imaginary part.

    Args:
        x: float32 tensor `[..., size]`.

    Returns:
        `(real, imaginary)`: float32 tensors `[..., size // 2 + 1]`.
    """
    size = x.shape[-1]
    if size & (size - 1) and is_litert_export():
        return ops.split(ops.matmul(x, constant(_rfft_matrix(size), x)), 2, axis=-1)
    if is_empty(x):
        nothing = ops.zeros((*x.shape[:-1], size // 2 + 1), "float32")
        return nothing, nothing
    return ops.rfft(x, size)


def irfft(real: Any, imaginary: Any, size: int) -> Any:
    """The inverse of `rfft`.

    Args:
        real, imaginary: float32 tensors `[..., size // 2 + 1]`.
        size: Integer, of the result.

    Returns:
        float32 tensor `[..., size]`.
    """
    if is_litert_export():
        return ops.matmul(ops.concatenate([real, imaginary], axis=-1), constant(_irfft_matrix(size), real))
    if is_empty(real):
        return ops.zeros((*real.shape[:-1], size), "float32")
    return ops.irfft((real, imaginary), size)


def is_empty(x: Any) -> bool:
    """Whether there are no examples, of which torch has no Fourier transform."""
    return 0 in tuple(x.shape[:-1])


@functools.lru_cache(maxsize=8)
def _rfft_matrix(size: int) -> np.ndarray:
    """float32 `[size, 2 * bins]`: what `rfft` makes of the unit vectors, real parts and then imaginary ones."""
    spectra = np.fft.rfft(np.eye(size))
    return np.concatenate([spectra.real, spectra.imag], axis=1).astype(np.float32)


@functools.lru_cache(maxsize=8)
def _irfft_matrix(size: int) -> np.ndarray:
    """float32 `[2 * bins, size]`: what `irfft` makes of the unit vectors."""
    units = np.eye(size // 2 + 1)
    return np.fft.irfft(np.concatenate([units, 1j * units]), size).astype(np.float32)


@functools.lru_cache(maxsize=8)
def dct_iv_matrix(size: int) -> np.ndarray:
    """float32 `[size, size]`, its own inverse and transpose: the orthonormal DCT-IV."""
    half = np.arange(size) + 0.5
    return (np.sqrt(2 / size) * np.cos(np.pi / size * np.outer(half, half))).astype(np.float32)
