"""Magnitudes to audio: the engines that look for a sound with given magnitudes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from sonikeras.config import SonificationConfig, check_choice

Engine = Callable[[np.ndarray, SonificationConfig, np.random.Generator], np.ndarray]


def engines() -> list[str]:
    """Names that an `engine` argument takes, besides `"auto"`."""
    return list(_ENGINES)


def resolve_engine(engine: str) -> str:
    """The engine that a name stands for: `"auto"` is the fastest that can do what is asked.

    Raises:
        ValueError: There is no such engine.
    """
    if engine == "auto":
        return engines()[0]
    check_choice("engine", engine, ["auto", *_ENGINES])
    return engine


def magnitudes_to_audio(
    magnitudes: np.ndarray, config: SonificationConfig, *, rng: np.random.Generator, engine: str = "auto"
) -> np.ndarray:
    """Audio whose spectrogram has the given magnitudes, as nearly as phases can be found for them.

    Args:
        magnitudes: float32 array `[bins, frames]`, lowest frequency first.
        config: `SonificationConfig`.
        rng: Source of the random initial phase.
        engine: String, `"auto"` or one of `engines()`. Defaults to `"auto"`.

    Returns:
        float32 array `[samples]`.

    Raises:
        ValueError: The shape does not fit the config, or a magnitude is negative or not finite.
    """
    if magnitudes.shape != (config.bins, config.frames):
        raise ValueError(
            f"`magnitudes` must have the config's shape [bins, frames] = [{config.bins}, {config.frames}]. "
            f"Received: shape={magnitudes.shape}"
        )
    if not np.isfinite(magnitudes).all() or magnitudes.min() < 0:
        raise ValueError("`magnitudes` must be finite and not negative. Received: NaN, infinite or negative values")
    return _ENGINES[resolve_engine(engine)](magnitudes, config, rng)


def _librosa(magnitudes: np.ndarray, config: SonificationConfig, rng: np.random.Generator) -> np.ndarray:
    """`librosa.griffinlim`: fast Griffin-Lim of Perraudin, Balazs and Sondergaard (WASPAA 2013), random phase."""
    import librosa

    # librosa 1.0 renamed the argument; both draw the same phases from the same generator.
    renamed = "rng" in inspect.signature(librosa.griffinlim).parameters
    randomness: dict[str, Any] = {"rng" if renamed else "random_state": rng}
    return librosa.griffinlim(
        magnitudes,
        n_iter=config.iterations,
        n_fft=config.fft_length,
        hop_length=config.frame_step,
        win_length=config.frame_length,
        window=config.window,
        momentum=config.momentum,
        **randomness,
    )


# Fastest first.
_ENGINES: dict[str, Engine] = {"librosa": _librosa}
