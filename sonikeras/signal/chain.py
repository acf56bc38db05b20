"""The signal chain as plain functions on arrays: image -> audio -> spectrogram -> picture, and the image heard back."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

import numpy as np

from sonikeras.config import SonificationConfig, TransformSettings, as_config
from sonikeras.config._checks import check_audio
from sonikeras.signal import mdct, pictures, spectrograms
from sonikeras.signal._backend import operations, ops
from sonikeras.signal.engines import griffin_lim_settings, magnitudes_to_audio
from sonikeras.signal.magnitudes import image_to_magnitudes, magnitudes_to_image
from sonikeras.signal.phase_retrieval import griffin_lim, random_phase, structured_phase
from sonikeras.sources.images import to_gray


def sonify(
    image: np.ndarray,
    config: str | SonificationConfig = "study",
    *,
    seed: int = 0,
    engine: str = "auto",
    initial_phase: np.ndarray | None = None,
) -> np.ndarray:
    """Turns an image into sound: reads it as the magnitudes of a spectrogram and finds audio that has them.

    The image's rows become frequencies, low ones below, its columns moments, its brightness loudness; colors are
    reduced to brightness. A random initial phase is decided by `seed` and the pixels: the same image and seed give the
    same sound, here as in `sonikeras.dataset`, and different images do not share a phase. All engines start from the
    same, so their sounds differ only by what single precision adds up to.

    Args:
        image: uint8 array `[height, width]` or `[height, width, 3]` (RGB), of any size.
        config: Preset or `SonificationConfig`. Defaults to `"study"`.
        seed: Integer of at least 0. Defaults to 0.
        engine: String, `"auto"` (the fastest that can do what the config asks) or one of `sonikeras.engines()`; none
            is needed for `"lossless"`. Defaults to `"auto"`.
        initial_phase: float array `[bins, frames]` in radians, instead of the config's. Defaults to `None`.

    Returns:
        float32 array `[samples]` at `config.sample_rate`; with `"study"` and `"matched"` 65,024 samples, 2.95 s, with
        `"lossless"` 66,048.

    Raises:
        ValueError: `image` is not such an array, a name is unknown, or the engine cannot do what the config asks.

    References:
        Those of `sonikeras.signal.phase_retrieval.griffin_lim` and `sonikeras.signal.mdct.mdct`.

    Example:
        >>> import numpy as np, sonikeras
        >>> audio = sonikeras.sonify(np.eye(64, dtype="uint8") * 255)
        >>> audio.shape, audio.dtype
        ((65024,), dtype('float32'))
    """
    config = as_config(config)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"`seed` must be an integer of at least 0. Received: seed={seed!r}")
    gray = to_gray(image)
    magnitudes = image_to_magnitudes(gray, config=config)
    rng = None
    if config.transform == "stft" and config.initial_phase == "random":
        content = hashlib.sha256(repr(gray.shape).encode() + gray.tobytes()).digest()
        rng = np.random.default_rng([int(seed), int.from_bytes(content[:8], "little")])
    return magnitudes_to_audio(magnitudes, config, rng=rng, engine=engine, initial_phase=initial_phase)


def spectrogram(audio: np.ndarray, config: str | SonificationConfig = "study") -> np.ndarray:
    """The spectrogram of a sound, with the config's analysis window.

    Args:
        audio: float array `[samples]`, mono, at `config.sample_rate`.
        config: Preset or `SonificationConfig`. Defaults to `"study"`.

    Returns:
        float32 array `[bins, frames]` of levels in dB, lowest frequency first. 0 dB is the loudest bin, or with
        `reference="absolute"` white.

    Raises:
        ValueError: `audio` is not such an array, or not finite.

    Example:
        >>> import numpy as np, sonikeras
        >>> sonikeras.spectrogram(np.sin(np.arange(22050) * 0.3).astype("float32")).shape
        (1025, 44)
    """
    db = audio_to_db(check_audio(audio), as_config(config))
    return np.ascontiguousarray(ops.convert_to_numpy(db).T)


def picture(audio: np.ndarray, config: str | SonificationConfig = "study") -> np.ndarray:
    """The picture of a sound's spectrogram, as the config draws it: what a classifier sees.

    Args:
        audio: float array `[samples]`, mono, at `config.sample_rate`.
        config: Preset or `SonificationConfig`. Defaults to `"study"`.

    Returns:
        uint8 array `[height, width, 3]`, low frequencies below; the config's `picture_size`.

    Raises:
        ValueError: `audio` is not such an array, or not finite.

    Example:
        >>> import numpy as np, sonikeras
        >>> sonikeras.picture(np.sin(np.arange(22050) * 0.3).astype("float32")).shape
        (600, 1200, 3)
    """
    config = as_config(config)
    drawn = db_to_picture(audio_to_db(check_audio(audio), config), config)
    return np.rint(ops.convert_to_numpy(drawn)).astype(np.uint8)


def desonify(
    audio: np.ndarray, config: str | SonificationConfig = "study", *, size: tuple[int, int] | None = None
) -> np.ndarray:
    """The image heard back: analyses a sound with the window that it was made with, and reads magnitudes as brightness.

    A magnitude of 1 is white: with `reference="max"` the image comes back as bright as it can be, with `"absolute"` as
    bright as it was. A sound that was made louder or softer on its way comes back brighter or darker.

    Args:
        audio: float array `[samples]` that `sonify` made.
        config: The preset or `SonificationConfig` that it was made with. Defaults to `"study"`.
        size: `(height, width)` to resize to. Defaults to `(bins, frames)`, the size in which it was sonified.

    Returns:
        uint8 array `[height, width]`.

    Raises:
        ValueError: `audio` is not such an array, or not finite.

    Example:
        >>> import numpy as np, sonikeras
        >>> audio = sonikeras.sonify(np.eye(64, dtype="uint8") * 255, "matched")
        >>> sonikeras.desonify(audio, "matched", size=(64, 64)).shape
        (64, 64)
    """
    config = as_config(config)
    power = _power(check_audio(audio), config.synthesis, config.window)
    return magnitudes_to_image(ops.convert_to_numpy(spectrograms.power_to_amplitude(power)).T, size=size)


def synthesize(magnitudes: Any, config: SonificationConfig, *, seed: int = 0) -> Any:
    """Sounds `[..., samples]` of magnitudes `[..., frames, bins]`, as tensors. The random phase is that of the seed."""
    if config.transform == "mdct":
        return mdct.inverse_mdct(magnitudes * (mdct.low_crest_signs(config.bins) * mdct.amplitude(config.bins)))
    if config.initial_phase == "structured":
        phase = structured_phase(magnitudes, fft_length=config.fft_length)
    else:
        phase = random_phase(config.frames, config.bins, seed=seed)
    return griffin_lim(magnitudes, phase, **griffin_lim_settings(config))


def audio_to_db(audio: Any, config: SonificationConfig) -> Any:
    """Levels `[..., frames, bins]` in dB of sounds `[..., samples]`, as tensors: each sound is an example."""
    power = _power(operations(audio).convert_to_tensor(audio), config.analysis, config.window)
    reference: str | float = "max" if config.reference == "max" else 1.0
    return spectrograms.power_to_db(power, axis=(-2, -1), reference=reference, top_db=config.top_db)


def _power(audio: Any, settings: TransformSettings, window: str) -> Any:
    """Squared magnitudes `[..., frames, bins]` of a transform."""
    transform, fft_length, frame_length, frame_step = settings
    if transform == "mdct":
        return operations(audio).square(mdct.mdct(audio, frame_step=frame_step) / mdct.amplitude(frame_step))
    return spectrograms.stft_power(
        audio, frame_length=frame_length, frame_step=frame_step, fft_length=fft_length, window=window
    )


def db_to_picture(
    db: Any,
    config: SonificationConfig,
    *,
    image_size: tuple[int, int] | None = None,
    shorter_side: int | None = None,
    interpolation: str = "bilinear",
    gradient: bool = False,
) -> Any:
    """Pictures `[..., height, width, 3]` in 0..255 of levels `[..., frames, bins]`, as tensors.

    They are drawn in the config's way and size, and resized and cropped as `sonikeras.signal.pictures.canvas` says,
    with a gradient if that is asked of `sonikeras.signal.pictures.draw`.
    """
    rows, columns = _canvas(db.shape[-2], db.shape[-1], config, image_size, shorter_side, interpolation)
    return pictures.draw(
        db,
        rows=rows,
        columns=columns,
        colormap=config.colormap,
        scale=config.picture_scale,
        top_db=config.top_db,
        stretch=config.drawing == "specshow",
        gradient=gradient,
    )


@functools.lru_cache(maxsize=16)
def _canvas(
    frames: int,
    bins: int,
    config: SonificationConfig,
    image_size: tuple[int, int] | None,
    shorter_side: int | None,
    interpolation: str,
) -> tuple[np.ndarray, np.ndarray]:
    return pictures.canvas(
        frames,
        bins,
        size=config.picture_size,
        drawing=config.drawing,
        image_size=image_size,
        shorter_side=shorter_side,
        interpolation=interpolation,
    )
