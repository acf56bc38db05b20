"""Magnitudes to audio: the engines that do phase retrieval."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from sonikeras.config import SonificationConfig
from sonikeras.config._checks import check_choice
from sonikeras.config._raster import row_frequencies
from sonikeras.signal import mdct, oscillators
from sonikeras.signal.phase_retrieval import exact_scale, griffin_lim, structured_phase


def engines() -> list[str]:
    """Names of the engines that an `engine` argument takes besides `"auto"`, fastest first."""
    return list(_ENGINES)


def resolve_engine(engine: str, config: SonificationConfig, *, given_phase: bool = False) -> str:
    """The engine that a name stands for: `"auto"` is the fastest engine that supports the config.

    With `transform="mdct"` or `"oscillators"` no phase retrieval is needed, and the result is the transform.

    Args:
        engine: String, `"auto"` or one of `engines()`.
        config: `SonificationConfig`.
        given_phase: Boolean, whether the caller gives the initial phase. Defaults to `False`.

    Raises:
        ValueError: There is no such engine, or it does not support the config.

    Example:
        >>> import sonikeras
        >>> from sonikeras.signal.engines import resolve_engine
        >>> resolve_engine("auto", sonikeras.SonificationConfig.preset("study"))
        'numba'
    """
    direct = config.transform in _DIRECT
    check_choice("engine", engine, ["auto", *_ENGINES, *([config.transform] if direct else [])])
    if direct and given_phase:
        raise ValueError(
            f"`initial_phase` must be None with transform={config.transform!r}, which has no phase to retrieve. "
            "Received: an array"
        )
    if direct:
        return config.transform
    # One at a time: the check of the TensorFlow engine imports Keras.
    for name in [*_ENGINES] if engine == "auto" else [engine]:
        if not _ENGINES[name].limitation(config, given_phase):
            return name
    reasons = {name: engine.limitation(config, given_phase) for name, engine in _ENGINES.items()}
    able = [name for name, reason in reasons.items() if not reason]
    explained = ", ".join(f"{name!r} {reason}" for name, reason in reasons.items() if reason)
    raise ValueError(
        f"`engine` must support the config: {explained}. "
        f"Allowed values: {['auto', *able] if able else []}. Received: engine={engine!r}"
    )


def magnitudes_to_audio(
    magnitudes: np.ndarray,
    config: SonificationConfig,
    *,
    rng: np.random.Generator | None = None,
    engine: str = "auto",
    initial_phase: np.ndarray | None = None,
) -> np.ndarray:
    """Audio whose spectrogram has the given magnitudes, as nearly as phase retrieval achieves.

    Args:
        magnitudes: float array `[bins, frames]`, lowest frequency first.
        config: `SonificationConfig`.
        rng: Generator of the random or fixed initial phase, for configs that have one. All engines draw the same phase
            from it.
        engine: String, `"auto"` or one of `engines()`. Defaults to `"auto"`.
        initial_phase: float array `[bins, frames]` in radians, instead of the config's. Defaults to `None`.

    Returns:
        float32 array `[samples]`.

    Raises:
        ValueError: The shape does not fit the config, a value is not finite, a magnitude is negative, or the engine
            does not support the config.

    Example:
        >>> import numpy as np, sonikeras
        >>> from sonikeras.signal.engines import magnitudes_to_audio
        >>> config = sonikeras.SonificationConfig(frames=10)
        >>> magnitudes_to_audio(np.ones((513, 10)), config, rng=np.random.default_rng(0)).shape
        (4608,)
    """
    magnitudes = _checked("magnitudes", magnitudes, config)
    if magnitudes.min() < 0:
        raise ValueError(f"`magnitudes` must not be negative. Received: a minimum of {magnitudes.min():.4g}")
    name = resolve_engine(engine, config, given_phase=initial_phase is not None)
    if name in _DIRECT:
        return _DIRECT[name](magnitudes, config)
    random = initial_phase is None and config.initial_phase != "structured"
    if random and rng is None:
        raise ValueError("`rng` must be given where the initial phase is random. Received: rng=None")
    if _ENGINES[name].draws:
        return _ENGINES[name].compute(magnitudes, rng, config)
    scale = exact_scale(magnitudes)
    magnitudes = magnitudes / scale
    if initial_phase is not None:
        phase = _checked("initial_phase", initial_phase, config)
    elif rng is not None and random:
        phase = (2 * np.pi * rng.random(magnitudes.shape)).astype(np.float32)  # as librosa draws it
    else:
        phase = structured_phase(magnitudes.T, fft_length=config.fft_length).T
    return scale.item() * _ENGINES[name].compute(magnitudes, phase, config)


def _numba(magnitudes: np.ndarray, initial_phase: np.ndarray, config: SonificationConfig) -> np.ndarray:
    """Single precision, compiled for the local processor. It releases Python's lock, so threads run in parallel."""
    from sonikeras.signal import _kernels as kernels

    settings = griffin_lim_settings(config)
    del settings["rho"]  # a setting of ADMM, which is not compiled
    return kernels.griffin_lim(magnitudes, initial_phase, **settings)


def _tensorflow(magnitudes: np.ndarray, initial_phase: np.ndarray, config: SonificationConfig) -> np.ndarray:
    """`sonikeras.signal.phase_retrieval.griffin_lim`, compiled with XLA."""
    settings = griffin_lim_settings(config)
    return np.array(_xla(tuple(settings.items()))(magnitudes.T, initial_phase.T))


@functools.lru_cache(maxsize=16)
def _xla(settings: tuple[tuple[str, Any], ...]) -> Callable[..., Any]:
    import tensorflow as tf

    return tf.function(functools.partial(griffin_lim, **dict(settings)), jit_compile=True)


def _librosa(magnitudes: np.ndarray, rng: np.random.Generator, config: SonificationConfig) -> np.ndarray:
    """`librosa.griffinlim`."""
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
        momentum=config.momentum if config.algorithm == "fast_griffin_lim" else 0.0,
        **randomness,
    )


def _mdct(magnitudes: np.ndarray, config: SonificationConfig) -> np.ndarray:
    """The audio whose MDCT has these magnitudes, rounded to 16 bits so that a file stores it exactly."""
    audio = mdct.magnitudes_to_audio(np.ascontiguousarray(magnitudes.T))
    steps = np.float32(2**15)
    return np.rint(audio * steps) / steps


def _oscillators(magnitudes: np.ndarray, config: SonificationConfig) -> np.ndarray:
    return oscillators.magnitudes_to_audio(magnitudes.T, **oscillator_settings(config))


# The transforms whose inverse is the audio, without phase retrieval.
_DIRECT: dict[str, Callable[[np.ndarray, SonificationConfig], np.ndarray]] = {
    "mdct": _mdct,
    "oscillators": _oscillators,
}


def oscillator_settings(config: SonificationConfig) -> dict[str, Any]:
    """The arguments that `sonikeras.signal.oscillators` takes from a config."""
    return {
        "frequencies": row_frequencies(config),
        "sample_rate": config.sample_rate,
        "frame_step": config.frame_step,
    }


def griffin_lim_settings(config: SonificationConfig) -> dict[str, Any]:
    """The arguments that `sonikeras.signal.phase_retrieval.griffin_lim` takes from a config."""
    names = ("frame_length", "frame_step", "fft_length", "window", "algorithm", "iterations", "momentum", "rho")
    return {name: getattr(config, name) for name in names}


def _numba_limitation(config: SonificationConfig, given_phase: bool) -> str | None:
    if config.algorithm == "admm":
        return "has no algorithm 'admm'"
    if config.fft_length & (config.fft_length - 1):
        return "needs a power of two as `fft_length`"
    if config.fft_length // config.frame_step > max(64, config.frames) // 2:
        return "needs more frames for such short steps"  # most of its lanes would be empty
    return None


def _tensorflow_limitation(config: SonificationConfig, given_phase: bool) -> str | None:
    import keras

    if keras.backend.backend() != "tensorflow":
        return "needs the TensorFlow backend of Keras"
    return None


def _librosa_limitation(config: SonificationConfig, given_phase: bool) -> str | None:
    if config.algorithm not in ("griffin_lim", "fast_griffin_lim"):
        return f"has no algorithm {config.algorithm!r}"
    if given_phase or config.initial_phase == "structured":
        return "has a random initial phase only"
    return None


class _Engine(NamedTuple):
    """An engine.

    Attributes:
        limitation: Function of a config and of whether the initial phase is given, to why the engine does not support
            them, as the predicate of a sentence, or `None`.
        compute: Function of magnitudes and initial phase, both float32 `[bins, frames]`, and a config, to audio.
        draws: Boolean, whether `compute` takes the generator instead of the phase, and draws the phase itself.
    """

    limitation: Callable[[SonificationConfig, bool], str | None]
    compute: Callable[..., np.ndarray]
    draws: bool = False


# Fastest first.
_ENGINES = {
    "numba": _Engine(_numba_limitation, _numba),
    "tensorflow": _Engine(_tensorflow_limitation, _tensorflow),
    "librosa": _Engine(_librosa_limitation, _librosa, draws=True),
}


def _checked(name: str, values: Any, config: SonificationConfig) -> np.ndarray:
    values = np.asarray(values, np.float32)
    if values.shape != (config.bins, config.frames):
        raise ValueError(
            f"`{name}` must have the config's shape [bins, frames] = [{config.bins}, {config.frames}]. "
            f"Received: shape={values.shape}"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"`{name}` must be finite. Received: NaN or infinite values")
    return values
