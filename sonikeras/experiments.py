"""A recipe, run from images to a report, in a folder of its own."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from sonikeras import models, plots
from sonikeras.cache import resolve_cache
from sonikeras.chain import desonify, picture
from sonikeras.config import as_config, presets
from sonikeras.datasets import dataset, sound_loader
from sonikeras.engines import engines, resolve_engine
from sonikeras.files import claim, replacing
from sonikeras.images import read_image
from sonikeras.reports import Report, evaluate
from sonikeras.sounds import from_pcm16, write_audio
from sonikeras.sources import STAGES, Examples
from sonikeras.training import extract_features, feature_dataset, fit

_PACKAGES = ("sonikeras", "tensorflow", "keras", "keras-cv", "librosa", "numpy", "opencv-python-headless", "pillow")
_SAMPLES = 4
# What `--smoke` changes: enough to go through every step.
_SMOKE: dict[str, Any] = {"data": "c2", "images_per_class": 5, "epochs": 2}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides how a classifier is trained.

    Args:
        network: Name of a backbone: see `sonikeras.models.backbones()`.
        data: Name of the data set, or `None` for all classes of `data_dir`.
        data_dir: Folder of the user's, or `None`.
        source: Where images come from when there is no `data_dir`.
        stage: What the files are.
        images_per_class: At most so many images of each class, or `None`.
        config: Name of a preset of the signal chain.
        engine: Engine of the sonification.
        image_size: Side of the square picture that the network sees, in pixels.
        shorter_side: Length that the picture's shorter side is resized to before the centre is cut out, or `None`: the
            whole picture is squeezed.
        interpolation: Of that resizing.
        weights: `"imagenet"`, `None` or a path.
        head: Name of a head: see `sonikeras.models.heads()`.
        dropout: Rate before the head; `None` for the network's own.
        fine_tune: Whether the whole network is trained. Otherwise it is frozen in inference mode: its features are
            computed once, and the head is trained on them.
        epochs: Number of epochs.
        batch_size: Examples a step.
        learning_rate: Of Adam.
        seed: Of weights, order, dropout and sounds.
        on_error: `"raise"`, or `"skip"`: files that cannot be read are left out, with a warning.

    Raises:
        ValueError: `epochs`, `batch_size` or `learning_rate` is not positive.
    """

    network: str
    data: str | None = "c10"
    data_dir: str | None = None
    source: str = "builtin"
    stage: str = "image"
    images_per_class: int | None = None
    config: str = "study"
    engine: str = "auto"
    image_size: int = 224
    shorter_side: int | None = None
    interpolation: str = "bilinear"
    weights: str | None = "imagenet"
    head: str = "linear"
    dropout: float | None = None
    fine_tune: bool = False
    epochs: int = 25
    batch_size: int = 32
    learning_rate: float = 1e-3
    seed: int = 42
    on_error: str = "raise"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {name}={getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ValueError(f"`learning_rate` must be above 0. Received: learning_rate={self.learning_rate}")

    def dataset(self, split: str, **changes: Any) -> Any:
        """The recipe's `sonikeras.dataset` of one split."""
        arguments = {
            key: getattr(self, key)
            for key in (
                "data_dir", "source", "stage", "images_per_class", "config", "engine", "image_size", "shorter_side",
                "interpolation", "batch_size", "seed", "on_error",
            )
        }  # fmt: skip
        return dataset(self.data, split=split, **arguments, **changes)


def run(recipe: Recipe, directory: str | os.PathLike) -> Report:
    """Runs a recipe: sonification, training, evaluation, report. A second call goes on where the first stopped.

    The folder then holds `run.json` (recipe, config of the signal chain, versions), `history.csv`, the files of
    `Report.save`, `model.keras`, `samples/` (sounds, and their pictures beside the images) and `features/` or
    checkpoints, by which an interrupted run goes on.

    Args:
        recipe: `Recipe`.
        directory: Path of the run folder.

    Returns:
        `Report` on the test part.

    Raises:
        ValueError: The folder holds a run of another recipe.
    """
    started = time.monotonic()
    directory = Path(directory)
    keras.utils.set_random_seed(recipe.seed)
    train, test = recipe.dataset("train", shuffle=recipe.fine_tune), recipe.dataset("test")
    model = models.classifier(
        recipe.network,
        len(train.class_names),
        head=recipe.head,
        weights=recipe.weights,
        image_size=recipe.image_size,
        dropout=recipe.dropout,
        freeze=not recipe.fine_tune,
    )
    test_examples = test.examples
    # Only what can be run takes the folder: after a mistake the same folder can be named again.
    claim(
        directory / "run.json",
        {
            "recipe": dataclasses.asdict(recipe),
            "sonification": as_config(recipe.config).to_dict(),
            "data": {"train": train.examples.fingerprint(), "test": test.examples.fingerprint()},
        },
        {"versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}}},
    )
    trained = model
    if not recipe.fine_tune:
        class_names, backbone = train.class_names, model.get_layer("backbone")
        features = {
            split: extract_features(
                backbone, data, directory / "features" / split, title=f"Sound and features, {split} part"
            )
            for split, data in (("train", train), ("test", test))
        }
        trained = model.get_layer("head")
        train = feature_dataset(*features["train"], batch_size=recipe.batch_size, shuffle_seed=recipe.seed)
        test = feature_dataset(*features["test"], batch_size=recipe.batch_size)
        test.class_names = class_names
    trained.compile(
        # PyTorch's epsilon, which the study used, is a tenth of Keras'.
        optimizer=keras.optimizers.Adam(recipe.learning_rate, epsilon=1e-8),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    verbose = "auto" if sys.stdout.isatty() else 2
    history = fit(trained, train, test, epochs=recipe.epochs, directory=directory, started=started, verbose=verbose)
    _write_samples(recipe, test_examples, directory / "samples")
    with replacing(directory / "model.keras") as temporary:
        model.save(temporary)
    report = evaluate(trained, test, history=history, seconds=history["seconds"][-1])
    report.save(directory)
    return report


def main(recipe: Recipe, description: str, arguments: Sequence[str] | None = None) -> None:
    """The command line of a recipe: its fields as options, and `--smoke` for a quick run through every step."""
    import tensorflow

    options = _parser(recipe, description).parse_args(arguments)
    changes = dict(_SMOKE) if options.smoke else {}
    changes |= {key: value for key, value in vars(options).items() if key not in ("smoke", "out") and value is not None}
    if options.data_dir and not options.data:
        changes["data"] = None
    if options.weights == "none":
        changes["weights"] = None
    out = Path(options.out or f"runs/{Path(sys.argv[0]).stem}{'-smoke' if options.smoke else ''}")
    try:
        report = run(dataclasses.replace(recipe, **changes), out)
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        sys.exit(f"error: {error}")
    except tensorflow.errors.InvalidArgumentError as error:  # how tf.data tells of an error in a function of ours
        raised = [line for line in error.message.splitlines() if line.startswith(("ValueError: ", "OSError: "))]
        if not raised:
            raise
        sys.exit(f"error: {raised[-1].split(': ', 1)[1]}")
    except KeyboardInterrupt:
        sys.exit(f"Interrupted. The same command goes on from the last finished epoch in {out}.")
    print(f"{report}\nReport, curves, confusion matrix, samples and model are in {out}")


def _parser(recipe: Recipe, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    shown = {field.name: f"Default: {getattr(recipe, field.name)}." for field in dataclasses.fields(recipe)}
    add("--data", help=f"c2, c4, c10 or c15; with --data-dir, all of its classes by default. {shown['data']}")
    add("--data-dir", help="folder <class>/* or {train,test}/<class>/* to take instead of the built-in images")
    add("--source", help=f"where images come from without --data-dir. {shown['source']}")
    add("--stage", choices=list(STAGES), help=f"what the files are. {shown['stage']}")
    add("--images-per-class", type=int, help="at most so many, a fifth of them for testing")
    add("--config", choices=presets(), help=f"signal chain. {shown['config']}")
    add("--engine", choices=["auto", *engines()], help=f"engine of the sonification. {shown['engine']}")
    add("--network", help=f"backbone: {', '.join(models.backbones())}. {shown['network']}")
    add("--weights", help=f'"imagenet", "none" or a file. {shown["weights"]}')
    add("--head", choices=models.heads(), help=f"{shown['head']}")
    add("--fine-tune", action="store_true", default=None, help="train the whole network, not the head alone")
    add("--epochs", type=int, help=shown["epochs"])
    add("--batch-size", type=int, help=shown["batch_size"])
    add("--learning-rate", type=float, help=shown["learning_rate"])
    add("--seed", type=int, help=shown["seed"])
    add("--on-error", choices=["raise", "skip"], help=f"what to do with unreadable files. {shown['on_error']}")
    add("--out", help="run folder; the same folder again goes on with an interrupted run. Default: runs/<recipe>")
    add("--smoke", action="store_true", help=f"a run of a minute at most through every step: {_SMOKE}")
    return parser


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # another build of the same, or run from a checkout
        return "not installed under this name"


def _write_samples(recipe: Recipe, examples: Examples, directory: Path) -> None:
    """A few test images, with their sounds as WAV files and a figure of each one's way."""
    if recipe.stage != "image":
        return
    config = as_config(recipe.config)
    engine = resolve_engine(recipe.engine, config)
    sound = sound_loader(examples, config, engine=engine, seed=recipe.seed, cache=resolve_cache(True))
    firsts = [list(examples.labels).index(label) for label in sorted(set(examples.labels))[:_SAMPLES]]
    for index in firsts:
        item, audio = examples.items[index], from_pcm16(sound(index))
        image = read_image(item) if isinstance(item, Path) else item
        path = directory / examples.class_names[examples.labels[index]] / examples.names[index]
        write_audio(f"{path}.wav", audio, config)
        plots.sample(
            image,
            audio,
            config.sample_rate,
            picture(audio, config),
            desonify(audio, config, size=image.shape[:2]),
            f"{path}.png",
            title=path.name,
        )
