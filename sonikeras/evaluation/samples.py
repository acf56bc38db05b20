"""The samples of a run: test images with their audio, pictures, reconstructions and heat maps, and a list of them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import keras
import numpy as np

from sonikeras.config import SonificationConfig, as_config
from sonikeras.config._files import as_utf8, is_file_name, read_json, safe_names, write_json
from sonikeras.datasets._loading import audio_loader
from sonikeras.datasets.cache import resolve_cache
from sonikeras.evaluation import plots
from sonikeras.evaluation.report import Report
from sonikeras.evaluation.retention import SignalRetention, signal_retention
from sonikeras.models import saliency
from sonikeras.signal import chain
from sonikeras.signal.engines import resolve_engine
from sonikeras.sources import Examples, write_audio
from sonikeras.sources.audio import from_pcm16
from sonikeras.sources.images import write_image
from sonikeras.training.recipe import Recipe
from sonikeras.transmission import transmit

_LIST, _FOLDER = "samples.json", "samples"

_FORMAT = 1

_SAMPLES, _ATTENDED = 4, 2  # of the first classes one each; those with a heat map

_MEASURED = 50  # test images, evenly spaced over all classes, over which signal retention is taken


@dataclasses.dataclass(frozen=True)
class Sample:
    """A test image on its way through audio.

    Attributes:
        index: Integer, its position in the report.
        name: String, its full name, such as `"cat/cat-0012"`.
        predicted: String, the class that the model predicts.
        retention: `SignalRetention` of its audio.
        image: Path of the image, PNG.
        audio: Path of its audio as the model gets it, WAV: after the recipe's channel, if there is one.
        picture: Path of the spectrogram picture, PNG.
        reconstruction: Path of the reconstructed image, PNG.
        figure: Path of a figure of these four, PNG.
        attention: Path of a figure of the model's heat map on the image and on the spectrogram, PNG, or `None`.
        peak: `(seconds, hertz)`, the maximum of the heat map; `None` without a heat map, or where it is 0 everywhere.
    """

    index: int
    name: str
    predicted: str
    retention: SignalRetention
    image: Path
    audio: Path
    picture: Path
    reconstruction: Path
    figure: Path
    attention: Path | None = None
    peak: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True)
class Samples:
    """The samples of a run.

    Attributes:
        samples: Tuple of `Sample`, one for each of the first classes.
        retention: `SignalRetention`, medians over some test images.
        images: Integer, the number of these images.
    """

    samples: tuple[Sample, ...]
    retention: SignalRetention
    images: int


_FILES = ("image", "audio", "picture", "reconstruction", "figure", "attention")


def load(directory: str | os.PathLike[str]) -> Samples:
    """Loads the samples that a run lists in `samples.json`.

    Args:
        directory: Path of the run folder.

    Returns:
        `Samples`.

    Raises:
        FileNotFoundError: The run has no list of samples: it was written by version 0.1.0, or has no audio made of
            images.
        ValueError: The list is damaged, or of a newer version of sonikeras.
    """
    path = Path(directory) / _LIST
    saved = read_json(path, "Delete the run folder and repeat the run")
    if saved.get("format") != _FORMAT:
        raise ValueError(
            f"A list of samples must have format {_FORMAT}. Received: {path}, format {saved.get('format')}"
        )
    try:
        entries = tuple(_restored(path.parent, entry) for entry in saved["samples"])
        retention = saved["signal_retention"]
        return Samples(entries, _retention_of(retention), int(retention["images"]))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(
            f"A list of samples must be unchanged since the run: this one is damaged. "
            f"Received: {path} ({type(error).__name__}: {error})"
        ) from error


def _restored(folder: Path, entry: dict[str, Any]) -> Sample:
    files: dict[str, Any] = {key: entry[key] and _inside(folder, entry[key]) for key in _FILES}
    peak = entry["peak"] and tuple(float(value) for value in entry["peak"])
    name, predicted = str(entry["name"]), str(entry["predicted"])
    return Sample(int(entry["index"]), name, predicted, _retention_of(entry), **files, peak=peak)


def _inside(folder: Path, name: str) -> Path:
    """A file of the run folder; a name may not lead out of it."""
    parts = PurePosixPath(name).parts
    if not parts or not all(map(is_file_name, parts)):
        raise ValueError(f"a path that is not one of a sample: {name!r}")
    return folder.joinpath(*parts)


def _retention_of(entry: dict[str, Any]) -> SignalRetention:
    return SignalRetention(**{field.name: float(entry[field.name]) for field in dataclasses.fields(SignalRetention)})


def _noted(retention: SignalRetention) -> dict[str, float | str]:
    """The same for JSON, which lacks NaN and infinity: they become strings that `float` reads."""
    return {key: value if np.isfinite(value) else str(value) for key, value in dataclasses.asdict(retention).items()}


def write(recipe: Recipe, examples: Examples, report: Report, model: keras.Model, directory: Path) -> None:
    """Writes the samples of a run whose audio is made of images; others have none.

    Args:
        recipe: `Recipe`.
        examples: Test examples.
        report: `Report` on them, in their order.
        model: Classifier with the layers "backbone" and "head".
        directory: Run folder.
    """
    if recipe.stage != "image" or recipe.output != "picture":
        return
    config = as_config(recipe.config)
    audio_of = _audio_loader(recipe, examples, config)
    labels = examples.labels.tolist()
    indices = [labels.index(label) for label in sorted(set(labels))[:_SAMPLES]]
    folders = safe_names(examples.class_names)
    entries = []
    for index in indices:
        # One sample a class: its file name is unique in the folder of its class.
        stem = PurePosixPath(_FOLDER, folders[labels[index]], safe_names([examples.names[index]])[0]).as_posix()
        entries.append(_write_sample(examples, index, audio_of(index), config, directory, stem))
    for entry, index in zip(entries, indices, strict=True):
        entry["predicted"] = report.class_names[report.predictions[index]]
    attended = indices[:_ATTENDED]
    heats = _heat_maps(model, np.stack([audio_of(index) for index in attended]), recipe, report.predictions[attended])
    for entry, index, heat in zip(entries, attended, heats, strict=False):
        _write_attention(entry, examples.image(index, color=True), audio_of(index), heat, recipe, directory)
    measured = evenly(len(examples), _MEASURED)
    write_json(
        directory / _LIST,
        {
            "format": _FORMAT,
            "samples": entries,
            "signal_retention": {"images": len(measured)} | _noted(_medians(examples, audio_of, config, measured)),
        },
    )


def evenly(total: int, count: int) -> np.ndarray:
    """At most `count` indices below `total`, evenly spaced, so that examples sorted by class are from all classes."""
    return np.unique(np.linspace(0, total - 1, count).round().astype(int))


def _audio_loader(recipe: Recipe, examples: Examples, config: SonificationConfig) -> Callable[[int], np.ndarray]:
    """The function from an example's index to its audio, float32 `[samples]`, as the model gets it."""
    engine = resolve_engine(recipe.engine, config)
    load_pcm = audio_loader(examples, config, engine=engine, seed=recipe.seed, cache=resolve_cache(True))

    def audio_of(index: int) -> np.ndarray:
        audio = from_pcm16(load_pcm(index))
        if recipe.channel is None:
            return audio
        return transmit(audio, config.sample_rate, recipe.channel, seed=recipe.seed)

    return audio_of


def _write_sample(
    examples: Examples, index: int, audio: np.ndarray, config: SonificationConfig, directory: Path, stem: str
) -> dict[str, Any]:
    """Writes the files of one sample, and returns its entry in the list."""
    image = _image(examples, index, config)
    files = {
        "image": f"{stem}-image.png",
        "audio": f"{stem}.wav",
        "picture": f"{stem}-picture.png",
        "reconstruction": f"{stem}-reconstruction.png",
        "figure": f"{stem}.png",
        "attention": None,
    }
    picture, reconstruction = chain.picture(audio, config), chain.desonify(audio, config, size=image.shape[:2])
    write_image(directory / f"{stem}-image.png", examples.image(index, color=True))
    write_image(directory / f"{stem}-picture.png", picture)
    write_image(directory / f"{stem}-reconstruction.png", reconstruction)
    write_audio(directory / f"{stem}.wav", audio, config)
    title = as_utf8(examples.names[index])
    plots.sample(image, audio, config.sample_rate, picture, reconstruction, directory / f"{stem}.png", title=title)
    retention = _noted(signal_retention(image, audio, config))
    return {"index": index, "name": as_utf8(examples.full_names[index])} | retention | files | {"peak": None}


def _image(examples: Examples, index: int, config: SonificationConfig) -> np.ndarray:
    """The image of an example as the config reads it, in gray or in color."""
    return examples.image(index, color=config.color != "gray")


def _heat_maps(model: keras.Model, audio: np.ndarray, recipe: Recipe, classes: np.ndarray) -> np.ndarray:
    """Grad-CAM of the predicted classes, float32 `[batch, height, width]`."""
    config = as_config(recipe.config)
    pictures = chain.db_to_picture(
        chain.audio_to_db(audio, config),
        config,
        image_size=(recipe.image_size, recipe.image_size),
        shorter_side=recipe.shorter_side,
        interpolation=recipe.interpolation,
    )
    return saliency.grad_cam(model, keras.ops.convert_to_numpy(pictures), classes)


def _write_attention(
    entry: dict[str, Any], image: np.ndarray, audio: np.ndarray, heat: np.ndarray, recipe: Recipe, directory: Path
) -> None:
    """Draws a heat map on the image and on the spectrogram of its audio, and notes it in the entry."""
    config = as_config(recipe.config)
    over_picture, over_image = (
        saliency.uncropped(heat, config.picture_size, size=size, shorter_side=recipe.shorter_side)
        for size in (config.picture_size, image.shape[:2])
    )
    start, end, low, high = extent = saliency.extent(config)
    if heat.any():
        row, column = np.unravel_index(over_picture.argmax(), over_picture.shape)
        seconds = start + (end - start) * (column + 0.5) / over_picture.shape[1]
        hertz = high - (high - low) * (row + 0.5) / over_picture.shape[0]
        entry["peak"] = [max(0.0, float(seconds)), float(hertz)]
    entry["attention"] = entry["figure"].removesuffix(".png") + "-attention.png"
    title = f"{entry['name']}, predicted as {entry['predicted']}"
    picture = chain.picture(audio, config)
    plots.attention(image, over_image, picture, over_picture, extent, directory / entry["attention"], title=title)


def _medians(
    examples: Examples, audio_of: Callable[[int], np.ndarray], config: SonificationConfig, indices: np.ndarray
) -> SignalRetention:
    found = [signal_retention(_image(examples, index, config), audio_of(index), config) for index in indices]
    values = np.median([dataclasses.astuple(each) for each in found], axis=0)
    return SignalRetention(*map(float, values))
