"""Fourier transforms of real signals as pairs of real tensors, and as matrix products where a device has no transform.

LiteRT has no complex numbers, and its only Fourier transform is a real one whose size is a power of two. In models that
are exported for it, all others are therefore products with a matrix. These take as many multiplications as the square
of the size. Their error is 2.5e-7 to 3.5e-7 of a frame's energy for sizes from 400 to 2000, where that of a fast
Fourier transform is 1.1e-7.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from sonikeras.signal._backend import constant, is_litert_export, operations


def rfft(x: Any) -> tuple[Any, Any]:
    """The discrete Fourier transform along the last axis, whose size is static.

    Args:
        x: float32 array or tensor `[..., size]`.

    Returns:
        `(real, imaginary)`: float32 arrays or tensors `[..., size // 2 + 1]`.
    """
    ops = operations(x)
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
        real, imaginary: float32 arrays or tensors `[..., size // 2 + 1]`.
        size: Integer, size of the result.

    Returns:
        float32 array or tensor `[..., size]`.
    """
    ops = operations(real)
    if is_litert_export():
        return ops.matmul(ops.concatenate([real, imaginary], axis=-1), constant(_irfft_matrix(size), real))
    if is_empty(real):
        return ops.zeros((*real.shape[:-1], size), "float32")
    return ops.irfft((real, imaginary), size)


def is_empty(x: Any) -> bool:
    """Whether a batch has no examples: PyTorch has no Fourier transform of such a batch."""
    return 0 in tuple(x.shape[:-1])


@functools.lru_cache(maxsize=8)
def _rfft_matrix(size: int) -> np.ndarray:
    """float32 `[size, 2 * bins]`: `rfft` of the unit vectors, real parts before imaginary parts."""
    spectra = np.fft.rfft(np.eye(size))
    return np.concatenate([spectra.real, spectra.imag], axis=1).astype(np.float32)


@functools.lru_cache(maxsize=8)
def _irfft_matrix(size: int) -> np.ndarray:
    """float32 `[2 * bins, size]`: `irfft` of the unit vectors."""
    units = np.eye(size // 2 + 1)
    return np.fft.irfft(np.concatenate([units, 1j * units]), size).astype(np.float32)


@functools.lru_cache(maxsize=8)
def dct_iv_matrix(size: int) -> np.ndarray:
    """float32 `[size, size]`, the orthonormal DCT-IV, which is its own inverse and transpose."""
    half = np.arange(size) + 0.5
    return (np.sqrt(2 / size) * np.cos(np.pi / size * np.outer(half, half))).astype(np.float32)
