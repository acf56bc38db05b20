"""The signal chain as functions on arrays: image -> audio -> spectrogram -> picture, and audio -> image."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from sonikeras.config import SonificationConfig, TransformSettings, as_config
from sonikeras.config._checks import check_audio
from sonikeras.config._seeds import check_seed, generator
from sonikeras.signal import mdct, pictures, spectrograms
from sonikeras.signal._backend import operations
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
    """Turns an image into audio: reads it as the magnitudes of a spectrogram and finds audio that has them.

    Rows become frequencies, with low ones at the bottom. Columns become time frames, and brightness becomes loudness.
    Colors are reduced to brightness. A random initial phase depends on `seed` and the pixels: the same image and seed
    give the same audio, here and in `sonikeras.dataset`, and different images have different phases. All engines start
    from the same phase, so their audio differs only by rounding.

    Args:
        image: uint8 array `[height, width]` or `[height, width, 3]` (RGB), of any size.
        config: Preset or `SonificationConfig`. Defaults to `"study"`.
        seed: Integer of at least 0. Defaults to 0.
        engine: String, `"auto"` (the fastest engine that supports the config) or one of `sonikeras.engines()`.
            `"lossless"` needs no engine. Defaults to `"auto"`.
        initial_phase: float array `[bins, frames]` in radians, instead of the config's. Defaults to `None`.

    Returns:
        float32 array `[samples]` at `config.sample_rate`: 65,024 samples (2.95 s) with `"study"` and `"matched"`,
        66,048 with `"lossless"`.

    Raises:
        ValueError: `image` is not such an array, a name is unknown, or the engine does not support the config.

    References:
        Those of `sonikeras.signal.phase_retrieval.griffin_lim` and `sonikeras.signal.mdct.mdct`.

    Example:
        >>> import numpy as np, sonikeras
        >>> audio = sonikeras.sonify(np.eye(64, dtype="uint8") * 255)
        >>> audio.shape, audio.dtype
        ((65024,), dtype('float32'))
    """
    config = as_config(config)
    seed = check_seed(seed)
    gray = to_gray(image)
    magnitudes = image_to_magnitudes(gray, config=config)
    rng = None
    if config.transform == "stft" and config.initial_phase == "random":
        rng = generator(seed, repr(gray.shape).encode() + gray.tobytes())
    return magnitudes_to_audio(magnitudes, config, rng=rng, engine=engine, initial_phase=initial_phase)


def spectrogram(audio: np.ndarray, config: str | SonificationConfig = "study") -> np.ndarray:
    """Computes the spectrogram of audio with the config's analysis window.

    Args:
        audio: float array `[samples]`, mono, at `config.sample_rate`.
        config: Preset or `SonificationConfig`. Defaults to `"study"`.

    Returns:
        float32 array `[bins, frames]` in dB, lowest frequency first. 0 dB is the loudest bin, or white with
        `reference="absolute"`.

    Raises:
        ValueError: `audio` is not such an array, or not finite.

    Example:
        >>> import numpy as np, sonikeras
        >>> sonikeras.spectrogram(np.sin(np.arange(22050) * 0.3).astype("float32")).shape
        (1025, 44)
    """
    db = audio_to_db(check_audio(audio), as_config(config))
    return np.ascontiguousarray(db.T)


def picture(audio: np.ndarray, config: str | SonificationConfig = "study") -> np.ndarray:
    """Draws the spectrogram of audio as a picture, the input of a classifier.

    Args:
        audio: float array `[samples]`, mono, at `config.sample_rate`.
        config: Preset or `SonificationConfig`. Defaults to `"study"`.

    Returns:
        uint8 array `[height, width, 3]` of the config's `picture_size`, low frequencies at the bottom.

    Raises:
        ValueError: `audio` is not such an array, or not finite.

    Example:
        >>> import numpy as np, sonikeras
        >>> sonikeras.picture(np.sin(np.arange(22050) * 0.3).astype("float32")).shape
        (600, 1200, 3)
    """
    config = as_config(config)
    drawn = db_to_picture(audio_to_db(check_audio(audio), config), config)
    return np.rint(drawn).astype(np.uint8)


def desonify(
    audio: np.ndarray, config: str | SonificationConfig = "study", *, size: tuple[int, int] | None = None
) -> np.ndarray:
    """Reconstructs the image from audio: analyzes it with the synthesis window and reads magnitudes as brightness.

    A magnitude of 1 is white. With `reference="max"` the reconstruction is as bright as possible, and with `"absolute"`
    as bright as the image was. Louder audio gives a brighter reconstruction.

    Args:
        audio: float array `[samples]` from `sonify`.
        config: The preset or `SonificationConfig` of the audio. Defaults to `"study"`.
        size: `(height, width)` to resize to. Defaults to `(bins, frames)`, the size of the magnitudes.

    Returns:
        uint8 array `[height, width]`, the reconstructed image.

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
    return magnitudes_to_image(spectrograms.power_to_amplitude(power).T, size=size)


def synthesize(magnitudes: Any, config: SonificationConfig, *, seed: int = 0) -> Any:
    """Audio `[..., samples]` of magnitudes `[..., frames, bins]`, differentiable. `seed` determines a random phase."""
    if config.transform == "mdct":
        return mdct.magnitudes_to_audio(magnitudes)
    if config.initial_phase == "structured":
        phase = structured_phase(magnitudes, fft_length=config.fft_length)
    else:
        phase = random_phase(config.frames, config.bins, seed=seed)
    return griffin_lim(magnitudes, phase, **griffin_lim_settings(config))


def audio_to_db(audio: Any, config: SonificationConfig) -> Any:
    """Decibels `[..., frames, bins]` of audio `[..., samples]`. Each clip is an example with its own reference."""
    power = _power(operations(audio).convert_to_tensor(audio), config.analysis, config.window)
    reference: str | float = "max" if config.reference == "max" else 1.0
    return spectrograms.power_to_db(power, axis=(-2, -1), reference=reference, top_db=config.top_db)


def _power(audio: Any, settings: TransformSettings, window: str) -> Any:
    """Squared magnitudes `[..., frames, bins]` of a transform."""
    transform, fft_length, frame_length, frame_step = settings
    if transform == "mdct":
        return operations(audio).square(mdct.audio_to_coefficients(audio, frame_step=frame_step))
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
    """Draws decibels `[..., frames, bins]` as pictures `[..., height, width, 3]` in 0..255.

    The config gives the way and the size of the drawing. It is resized and cropped as
    `sonikeras.signal.pictures.canvas` describes. See `sonikeras.signal.pictures.draw` for `gradient`.
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
