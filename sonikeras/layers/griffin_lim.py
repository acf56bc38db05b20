"""Magnitudes to audio."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from sonikeras.config import INITIAL_PHASES, WINDOWS
from sonikeras.config._checks import check_choice, check_integer, plain
from sonikeras.layers._signal_layer import SignalLayer
from sonikeras.signal._backend import check_real
from sonikeras.signal.phase_retrieval import (
    check_algorithm,
    check_inversion,
    griffin_lim,
    random_phase,
    structured_phase,
)


@keras.saving.register_keras_serializable(package="sonikeras")
class GriffinLim(SignalLayer):
    """Phase retrieval: finds audio whose short-time Fourier transform has given magnitudes.

    From the same initial phase, the result is that of `librosa.griffinlim`. The layer has no weights, is
    differentiable, and computes in float32 under mixed precision. The random phase depends only on `seed` and is the
    same for all examples: equal magnitudes give equal audio, whatever else is in the batch. See
    `sonikeras.signal.phase_retrieval.griffin_lim`.

    Args:
        frame_length: Integer, length of the window in samples. Defaults to 1024.
        frame_step: Integer, samples from one frame to the next. Defaults to 512.
        fft_length: Integer of at least `frame_length`, size of the transform. Defaults to `frame_length`.
        window: String, one of `"hann"`, `"hamming"`, `"blackman"`, `"bartlett"`, `"cosine"`, `"boxcar"`.
            Defaults to `"hann"`.
        algorithm: `"griffin_lim"`, `"fast_griffin_lim"`, `"accelerated_griffin_lim"`, `"admm"` or `"lbfgs"`.
            Defaults to `"fast_griffin_lim"`.
        iterations: Integer. Defaults to 32.
        momentum: Float in 0..1, for fast Griffin-Lim. Defaults to 0.99.
        rho: Positive float, for ADMM. Defaults to 0.2.
        initial_phase: `"random"` or `"structured"`, for calls without an initial phase. Defaults to `"random"`.
        seed: Integer of at least 0, for the random phase. Defaults to 0.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: The magnitudes, not negative.
        initial_phase: float tensor in radians, of the shape of `inputs` or `[frames, bins]` for all examples. Replaces
            the layer's own initial phase. Defaults to `None`.

    Input shape:
        float tensor `[batch, ..., frames, bins]` with at least two frames and `bins = fft_length // 2 + 1`.

    Output shape:
        `[batch, ..., samples]`, where `samples = (frames - 1) * frame_step`, one more if `fft_length` is odd.

    Raises:
        ValueError: An argument breaks its rule, the windows do not overlap, or the input is not of that shape, not
            real or not dense.

    Example:
        >>> import numpy as np, sonikeras
        >>> magnitudes = np.random.default_rng(0).random((2, 128, 513), "float32")
        >>> sonikeras.layers.GriffinLim()(magnitudes).shape
        TensorShape([2, 65024])
    """

    ARGUMENTS = (
        "frame_length", "frame_step", "fft_length", "window", "algorithm", "iterations", "momentum", "rho",
        "initial_phase", "seed",
    )  # fmt: skip

    def __init__(
        self,
        frame_length: int = 1024,
        frame_step: int = 512,
        fft_length: int | None = None,
        window: str = "hann",
        *,
        algorithm: str = "fast_griffin_lim",
        iterations: int = 32,
        momentum: float = 0.99,
        rho: float = 0.2,
        initial_phase: str = "random",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_choice("window", window, WINDOWS)
        check_inversion(
            frame_length=frame_length,
            frame_step=frame_step,
            fft_length=frame_length if fft_length is None else fft_length,
            window=window,
        )
        check_algorithm(algorithm, iterations=iterations, momentum=momentum, rho=rho)
        check_choice("initial_phase", initial_phase, INITIAL_PHASES)
        if initial_phase == "structured" and (fft_length or frame_length) % 2:
            raise ValueError(
                "`fft_length` must be even with initial_phase='structured'. "
                f"Received: fft_length={fft_length or frame_length}"
            )
        self.frame_length = plain(frame_length)
        self.frame_step = plain(frame_step)
        self.fft_length = plain(fft_length)
        self.window = plain(window)
        self.algorithm = plain(algorithm)
        self.iterations = plain(iterations)
        self.momentum = plain(momentum)
        self.rho = plain(rho)
        self.initial_phase = plain(initial_phase)
        self.seed = check_integer("seed", seed, minimum=0)

    def call(self, inputs: Any, initial_phase: Any = None) -> Any:
        fft_length = self.fft_length or self.frame_length
        if initial_phase is not None:
            check_real("`initial_phase`", initial_phase)
        self.compute_output_shape(tuple(inputs.shape), None if initial_phase is None else tuple(initial_phase.shape))
        magnitudes = ops.cast(inputs, "float32")
        if initial_phase is None and self.initial_phase == "structured":
            initial_phase = structured_phase(magnitudes, fft_length=fft_length)
        elif initial_phase is None:
            initial_phase = random_phase(*ops.shape(magnitudes)[-2:], seed=self.seed)
        audio = griffin_lim(
            magnitudes,
            initial_phase,
            frame_length=self.frame_length,
            frame_step=self.frame_step,
            fft_length=fft_length,
            window=self.window,
            algorithm=self.algorithm,
            iterations=self.iterations,
            momentum=self.momentum,
            rho=self.rho,
        )
        return ops.cast(audio, self.compute_dtype)

    def compute_output_shape(
        self, inputs_shape: tuple[int | None, ...], initial_phase_shape: tuple[int | None, ...] | None = None
    ) -> tuple[int | None, ...]:
        fft_length = self.fft_length or self.frame_length
        bins = fft_length // 2 + 1
        if len(inputs_shape) < 3 or inputs_shape[-1] != bins or (inputs_shape[-2] is not None and inputs_shape[-2] < 2):
            raise ValueError(
                "The input of `GriffinLim` must have the shape [batch, ..., frames, fft_length // 2 + 1] = "
                f"[batch, ..., frames, {bins}] with at least 2 frames. Received: shape={inputs_shape}"
            )
        if initial_phase_shape is not None and not _fits(initial_phase_shape, inputs_shape):
            raise ValueError(
                "`initial_phase` must have the shape of the input, or its last two axes alone. "
                f"Received: shape={initial_phase_shape}, shape of the input={inputs_shape}"
            )
        *batch, frames, _ = inputs_shape
        return (*batch, None if frames is None else (frames - 1) * self.frame_step + fft_length % 2)


def _fits(phase: tuple[int | None, ...], inputs: tuple[int | None, ...]) -> bool:
    """Whether the known sizes are equal, of all axes or of the last two."""
    same = all(p is None or q is None or p == q for p, q in zip(phase[::-1], inputs[::-1], strict=False))
    return len(phase) in (2, len(inputs)) and same
