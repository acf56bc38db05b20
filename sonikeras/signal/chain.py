"""The signal chain as functions on arrays: image -> audio -> spectrogram -> picture, and audio -> image."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from sonikeras.config import SonificationConfig, TransformSettings, as_config
from sonikeras.config._checks import check_audio
from sonikeras.config._seeds import check_seed, generator
from sonikeras.signal import mdct, oscillators, panning, pictures, raster, spectrograms
from sonikeras.signal._backend import check_real, constant, operations
from sonikeras.signal.engines import griffin_lim_settings, magnitudes_to_audio, oscillator_settings
from sonikeras.signal.magnitudes import as_read, check_size, image_to_magnitudes, magnitudes_to_image
from sonikeras.signal.phase_retrieval import griffin_lim, random_phase, structured_phase


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
    Colors are reduced to brightness, unless the config's `color` says otherwise. A random initial phase depends on
    `seed` and the pixels: the same image and seed give the same audio, here and in `sonikeras.dataset`, and different
    images have different phases. With `initial_phase="fixed"` it depends on `seed` alone. All engines start from the
    same phase, so their audio differs only by rounding.

    Args:
        image: uint8 array `[height, width]` or `[height, width, 3]` (RGB), of any size.
        config: Preset or `SonificationConfig`. Defaults to `"study"`.
        seed: Integer of at least 0. Defaults to 0.
        engine: String, `"auto"` (the fastest engine that supports the config) or one of `sonikeras.engines()`.
            `"lossless"` and `"scan"` need no engine. Defaults to `"auto"`.
        initial_phase: float array `[bins, frames]` in radians, instead of the config's. Defaults to `None`.

    Returns:
        float32 array `[samples]` at `config.sample_rate`: 65,024 samples (2.95 s) with `"study"` and `"matched"`,
        66,048 with `"lossless"`, 22,016 (1 s) with `"scan"`. With `panning`, `[samples, 2]`: left and right.

    Raises:
        ValueError: `image` is not such an array, a name is unknown, or the engine does not support the config.

    References:
        Those of `sonikeras.signal.phase_retrieval.griffin_lim`, `sonikeras.signal.mdct.mdct` and
        `sonikeras.signal.oscillators.magnitudes_to_audio`.

    Example:
        >>> import numpy as np, sonikeras
        >>> audio = sonikeras.sonify(np.eye(64, dtype="uint8") * 255)
        >>> audio.shape, audio.dtype
        ((65024,), dtype('float32'))
    """
    config = as_config(config)
    seed = check_seed(seed)
    pixels = as_read(image, config)
    magnitudes = image_to_magnitudes(pixels, config=config)
    rng = None
    if config.transform == "stft" and config.initial_phase != "structured":
        fixed = config.initial_phase == "fixed"
        rng = generator(seed, b"" if fixed else repr(pixels.shape).encode() + pixels.tobytes())
    audio = magnitudes_to_audio(magnitudes, config, rng=rng, engine=engine, initial_phase=initial_phase)
    return panning.pan(audio, sample_rate=config.sample_rate) if config.panning else audio


def spectrogram(audio: np.ndarray, config: str | SonificationConfig = "study") -> np.ndarray:
    """Computes the spectrogram of audio with the config's analysis window.

    With `panning` it is that of the audio before it was panned. That of oscillators has their rows as bins.

    Args:
        audio: float array `[samples]`, mono, at `config.sample_rate`, or with `panning` `[samples, 2]`.
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
    config = as_config(config)
    db = audio_to_db(check_audio(audio, stereo=config.panning), config)
    return np.ascontiguousarray(db.T)


def picture(audio: np.ndarray, config: str | SonificationConfig = "study") -> np.ndarray:
    """Draws the spectrogram of audio as a picture, the input of a classifier.

    It shows the config's band on its frequency scale. With `color`, the planes are put together again: the picture has
    the colors of the image, and no colormap. Audio of another length than `config.samples` is then cut, or its end is
    silent. With `panning` it shows the audio before it was panned.

    Args:
        audio: float array `[samples]`, mono, at `config.sample_rate`, or with `panning` `[samples, 2]`.
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
    drawn = db_to_picture(audio_to_db(check_audio(audio, stereo=config.panning), config), config)
    return np.rint(drawn).astype(np.uint8)


def desonify(
    audio: np.ndarray, config: str | SonificationConfig = "study", *, size: tuple[int, int] | None = None
) -> np.ndarray:
    """Reconstructs the image from audio: analyzes it with the synthesis window and reads magnitudes as brightness.

    A magnitude of 1 is white. With `reference="max"` the reconstruction is as bright as possible, and with `"absolute"`
    as bright as the image was. Louder audio gives a brighter reconstruction. Rows on a log or mel axis are read by
    least squares: rows that share a bin get the same value. With `color`, audio of another length than `config.samples`
    is cut, or its end is silent.

    With `transform="oscillators"` the image is found by least squares too, as
    `sonikeras.signal.oscillators.audio_to_magnitudes` describes: from audio that begins with the image and is aligned
    to the sample, at any level. What other audio shows is in `picture`, which needs no alignment. Panning is undone.

    Args:
        audio: float array `[samples]` from `sonify`, or with `panning` `[samples, 2]`.
        config: The preset or `SonificationConfig` of the audio. Defaults to `"study"`.
        size: `(height, width)` to resize to. Defaults to that of `config.image_shape`: the rows of the raster and, in
            gray, the frames of the audio.

    Returns:
        uint8 array `[height, width]`, or with `color` `[height, width, 3]`: the reconstructed image.

    Raises:
        ValueError: `audio` is not such an array, or not finite; or `size` is not a pair of positive integers, or beyond
            `sonikeras.limits`.

    Example:
        >>> import numpy as np, sonikeras
        >>> audio = sonikeras.sonify(np.eye(64, dtype="uint8") * 255, "matched")
        >>> sonikeras.desonify(audio, "matched", size=(64, 64)).shape
        (64, 64)
    """
    config = as_config(config)
    audio = to_mono(check_audio(audio, stereo=config.panning), config)
    if size is not None:
        size = check_size(size)
    if config.transform == "oscillators":
        magnitudes = oscillators.audio_to_magnitudes(audio, frames=config.frames, **oscillator_settings(config))
        return magnitudes_to_image(magnitudes.T, size=size, config=config)
    power = _power(audio, config.synthesis, config)
    return magnitudes_to_image(spectrograms.power_to_amplitude(power).T, size=size, config=config)


def to_mono(audio: Any, config: SonificationConfig) -> Any:
    """Audio as it is before panning: `[..., samples]` of `[..., samples]`, or if the config pans `[..., samples, 2]`.

    Audio with a last dimension of 2 counts as panned.
    """
    return panning.unpan(audio, panned=config.samples) if config.panning and audio.shape[-1] == 2 else audio


def synthesize(magnitudes: Any, config: SonificationConfig, *, seed: int = 0) -> Any:
    """Audio `[..., samples]` of magnitudes `[..., frames, bins]`, differentiable. `seed` determines a random phase.

    With `panning` it is `[..., samples, 2]`.
    """
    audio = _synthesize(magnitudes, config, seed)
    return panning.pan(audio, sample_rate=config.sample_rate) if config.panning else audio


def _synthesize(magnitudes: Any, config: SonificationConfig, seed: int) -> Any:
    if config.transform == "mdct":
        return mdct.magnitudes_to_audio(magnitudes)
    if config.transform == "oscillators":
        return oscillators.magnitudes_to_audio(magnitudes, **oscillator_settings(config))
    if config.initial_phase == "structured":
        phase = structured_phase(magnitudes, fft_length=config.fft_length)
    else:
        phase = random_phase(config.frames, config.bins, seed=seed)
    return griffin_lim(magnitudes, phase, **griffin_lim_settings(config))


def audio_to_db(audio: Any, config: SonificationConfig) -> Any:
    """Decibels `[..., frames, bins]` of audio `[..., samples]`. Each clip is an example with its own reference.

    The audio may also be panned: see `to_mono`.
    """
    audio = to_mono(audio, config)
    power = _power(operations(audio).convert_to_tensor(audio), config.analysis, config)
    reference: str | float = "max" if config.reference == "max" else 1.0
    return spectrograms.power_to_db(power, axis=(-2, -1), reference=reference, top_db=config.top_db)


def _power(audio: Any, settings: TransformSettings, config: SonificationConfig) -> Any:
    """Squared magnitudes `[..., frames, bins]` of a transform."""
    transform, fft_length, frame_length, frame_step = settings
    if transform == "mdct":
        return operations(audio).square(mdct.audio_to_coefficients(audio, frame_step=frame_step))
    if transform == "oscillators":
        rows = oscillator_settings(config) | {"frame_step": frame_step}
        power = oscillators.row_power(audio, frame_length=frame_length, window=config.window, **rows)
        return power / _white(config) ** 2
    power = spectrograms.stft_power(
        audio, frame_length=frame_length, frame_step=frame_step, fft_length=fft_length, window=config.window
    )
    if config.transform == "oscillators":
        power = (
            power / (_white(config) * float(spectrograms.periodic_window(config.window, frame_length).sum()) / 2) ** 2
        )
    return power


def _white(config: SonificationConfig) -> float:
    """The amplitude of a white row of oscillators."""
    return oscillators.amplitude(frames=config.frames, **oscillator_settings(config))


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

    The config gives the way and the size of the drawing, the band and the colors. It is resized and cropped as
    `sonikeras.signal.pictures.canvas` describes. See `sonikeras.signal.pictures.draw` for `gradient`: pictures in color
    have one in any case, because they are not rounded.
    """
    resizing = image_size, shorter_side, interpolation
    if config.color != "gray":
        return _color_picture(db, config, resizing)
    db = in_band(db, config)
    rows, columns = _canvas(db.shape[-2], db.shape[-1], config, *resizing)
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


def in_band(db: Any, config: SonificationConfig) -> Any:
    """The part of decibels `[..., frames, bins]` of the analysis that shows the image: `[..., frames, rows]`.

    On a linear axis these are the bins of the band, and of oscillators all. Else they are the rows of the raster.
    """
    own = config.analysis.transform == "oscillators"
    if own or (config.frequency_scale == "linear" and config.transform != "oscillators"):
        bins = raster.band_of(config, config.analysis)
        return db if bins == slice(0, db.shape[-1]) else db[..., bins]
    ops = operations(db)
    silent = ops.all(db == 0, axis=(-2, -1), keepdims=True)
    amplitudes = raster.to_rows(_amplitudes(db), config, config.analysis)
    rows = spectrograms.power_to_db(
        ops.square(ops.maximum(amplitudes, 0.0)), axis=(-2, -1), reference=1.0, top_db=config.top_db
    )
    return ops.where(silent, 0.0, ops.minimum(rows, 0.0) if config.reference == "max" else rows)


def _color_picture(db: Any, config: SonificationConfig, resizing: tuple[Any, ...]) -> Any:
    """Pictures `[..., height, width, 3]` of the planes in decibels `[..., frames, bins]`."""
    ops = operations(db)
    levels = 255 * raster.to_rows(_amplitudes(db), config, config.analysis)
    planes = []
    for plane in raster.planes_of(levels, config):
        rows, columns = _canvas(plane.shape[-2], plane.shape[-1], config, *resizing)
        drawn = ops.matmul(constant(columns, plane), ops.clip(plane, 0, 255))
        planes.append(ops.matmul(constant(rows, plane), ops.swapaxes(drawn, -1, -2)))
    return raster.to_rgb(planes, config)


def _amplitudes(db: Any) -> Any:
    check_real("`db`", db)
    ops = operations(db)
    return ops.exp(ops.cast(db, "float32") * (math.log(10) / 20))


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
