"""A recipe, run from images to a report, in a folder of its own."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from sonikeras import channels, models, plots
from sonikeras.augmentation import Augmentation
from sonikeras.cache import resolve_cache
from sonikeras.chain import desonify, picture
from sonikeras.config import SonificationConfig, as_config, check_choice, check_integer, check_number, presets
from sonikeras.datasets import dataset, sound_loader
from sonikeras.engines import engines, resolve_engine
from sonikeras.errors import in_one_line
from sonikeras.evaluation import evaluate
from sonikeras.files import as_utf8, claim, replacing, safe_names
from sonikeras.reports import Report
from sonikeras.sounds import from_pcm16, write_audio
from sonikeras.sources import STAGES, Examples
from sonikeras.training import (
    BatchMeanAccuracy,
    DiscriminativeAdamW,
    check_class_weight,
    extract_features,
    feature_dataset,
    fit,
)

_PACKAGES = ("sonikeras", "tensorflow", "keras", "keras-cv", "librosa", "numpy", "opencv-python-headless", "pillow")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
OUTPUTS = ("picture", "image")
_SAMPLES = 4
# What `--smoke` changes: enough to go through every step. Pictures are no larger than this, in pixels.
_SMOKE: dict[str, Any] = {"data": "c2", "images_per_class": 5, "epochs": 2}
_SMOKE_SIZE = 128


@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTuning:
    """The second part of a training: the network's last stages together with the head, after the head alone.

    Args:
        epochs: At most so many epochs.
        stages: How many of the network's last stages are trained: a stage has feature maps of one size, and five make
            the whole network.
        batch_size: Examples a step.
        learning_rate: Of the network's weights, with AdamW. It rises over the warm-up and then falls as a cosine.
        head_learning_rate: Of the head's weights, likewise.
        warm_up: Share of the steps over which the rates rise.
        weight_decay: Of the kernels.
        label_smoothing: Share of the label that all classes get.
        flip: Whether half of the training pictures are mirrored.
        shift, zoom, mask, mixup: See `sonikeras.augmentation.Augmentation`.
        ema: Momentum of the exponential moving average of the weights, which is what is used in the end; 0 for none.
        patience: With a validation part, stop after so many epochs without a lower loss on it; the best one counts.

    Raises:
        ValueError: A number is out of its range.
    """

    epochs: int = 12
    stages: int = 1
    batch_size: int = 16
    learning_rate: float = 3e-4
    head_learning_rate: float = 1e-3
    warm_up: float = 0.1
    weight_decay: float = 0.01
    label_smoothing: float = 0.1
    flip: bool = True
    shift: float = 0.1
    zoom: float = 0.1
    mask: float = 0.15
    mixup: float = 0.0
    ema: float = 0.95
    patience: int = 4

    def __post_init__(self) -> None:
        for name in ("epochs", "stages", "batch_size", "patience"):
            check_integer(name, getattr(self, name), minimum=1)
        for name in ("learning_rate", "head_learning_rate"):
            check_number(name, getattr(self, name), "above 0", lambda value: value > 0)
        for name in ("warm_up", "label_smoothing", "shift", "zoom", "mask", "ema"):
            check_number(name, getattr(self, name), f"in 0 <= {name} < 1", lambda value: 0 <= value < 1)
        for name in ("weight_decay", "mixup"):
            check_number(name, getattr(self, name), "at least 0", lambda value: value >= 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides how a classifier is trained.

    Args:
        network: Name of a backbone: see `sonikeras.models.backbones()`.
        data: Name of the data set, or `None` for all classes of `data_dir`.
        data_dir: Folder of the user's, or `None`.
        source: Where images come from when there is no `data_dir`.
        stage: What the files are.
        colormap: Colormap of ready spectrogram pictures, which are then turned back into levels and drawn as `config`
            does; `None`: they are taken as they are. Of no meaning for other stages.
        images_per_class: At most so many images of each class, or `None`.
        fold: `(i, k)`: cross-validation on the training part, of which part i of k then is the test part.
        validation_split: Share of the training part that is held out to decide when fine-tuning is over.
        output: What the network sees: `"picture"`, of the sound's spectrogram, or `"image"`: the images themselves, not
            sonified, as the baseline.
        config: Preset of the signal chain, or `SonificationConfig`.
        channel: What each sound passes through, in training and in testing, in the text form of `sonikeras.channels`,
            or `None`.
        engine: Engine of the sonification.
        image_size: Side of the square picture that the network sees, in pixels.
        shorter_side: Length that the picture's shorter side is resized to before the centre is cut out, or `None`: the
            whole picture is squeezed.
        interpolation: Of that resizing.
        weights: `"imagenet"`, `None` or a path.
        head: Name of a head: see `sonikeras.models.heads()`.
        dropout: Rate before the head; `None` for the network's own.
        batch_norm: `"training"`: the frozen network stays in training mode as in PyTorch, with batch statistics and
            stochastic depth, and every epoch goes through it. `"inference"`: its features are computed once, and the
            head is trained on them.
        epochs: Number of epochs in which the head alone is trained.
        batch_size: Examples a step, of all devices together.
        learning_rate: Of Adam.
        class_weight: What the examples of each class count in the loss of training, by the class' name or label: those
            that are left out count 1; `"balanced"`: so much that all classes count the same; or `None`: all count 1.
        flips: Whether the head is trained on the mirrored pictures too, and the result averages over both.
        fine_tuning: What follows after the head, or `None`.
        gradient_accumulation: So many smaller batches make a batch: memory is that of one of them.
        precision: Keras' policy: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.
        jit: Whether training steps are compiled by XLA.
        strategy: `"mirrored"`: all GPUs of the machine, by `tf.distribute`; or `None`.
        tensorboard: Whether logs for TensorBoard are written.
        seed: Of weights, order, dropout and sounds.
        on_error: `"raise"`, or `"skip"`: files that cannot be read are left out, with a warning.

    Raises:
        ValueError: A field breaks its rule.
    """

    network: str
    data: str | None = "c10"
    data_dir: str | None = None
    source: str = "builtin"
    stage: str = "image"
    colormap: str | None = None
    images_per_class: int | None = None
    fold: tuple[int, int] | None = None
    validation_split: float = 0.0
    output: str = "picture"
    config: str | SonificationConfig = "study"
    channel: str | None = None
    engine: str = "auto"
    image_size: int = 224
    shorter_side: int | None = None
    interpolation: str = "bilinear"
    weights: str | None = "imagenet"
    head: str = "linear"
    dropout: float | None = None
    batch_norm: str = "inference"
    epochs: int = 25
    batch_size: int = 32
    learning_rate: float = 1e-3
    class_weight: Mapping[str | int, float] | str | None = None
    flips: bool = False
    fine_tuning: FineTuning | None = None
    gradient_accumulation: int = 1
    precision: str = "float32"
    jit: bool = False
    strategy: str | None = None
    tensorboard: bool = False
    seed: int = 42
    on_error: str = "raise"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "gradient_accumulation"):
            check_integer(name, getattr(self, name), minimum=1)
        check_number("learning_rate", self.learning_rate, "above 0", lambda value: value > 0)
        check_class_weight(self.class_weight)
        check_choice("batch_norm", self.batch_norm, models.BATCH_NORMS)
        check_choice("output", self.output, OUTPUTS)
        if self.channel is not None:
            object.__setattr__(self, "channel", str(channels.as_channel(self.channel)))
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("strategy", self.strategy, (*STRATEGIES, None))
        if self.flips and self.batch_norm != "inference":
            raise ValueError(f"`flips` needs batch_norm='inference'. Received: batch_norm={self.batch_norm!r}")
        for size in (self.batch_size, *([self.fine_tuning.batch_size] if self.fine_tuning else [])):
            if size % self.gradient_accumulation:
                raise ValueError(
                    "`gradient_accumulation` must divide `batch_size`. "
                    f"Received: gradient_accumulation={self.gradient_accumulation}, batch_size={size}"
                )

    def dataset(self, split: str, **changes: Any) -> Any:
        """The recipe's `sonikeras.dataset` of one split."""
        arguments = {
            key: getattr(self, key)
            for key in (
                "data_dir", "source", "stage", "images_per_class", "fold", "validation_split", "output", "config",
                "channel", "engine", "image_size", "shorter_side", "interpolation", "batch_size", "seed", "on_error",
            )
        }  # fmt: skip
        arguments["colormap"] = self.colormap if self.stage == "spectrogram" else None
        # A copy of a training picture would tell nothing; across folders train/ and test/ it is the user's affair.
        arguments["group_duplicates"] = self.stage != "audio" and bool(self.fold or self.validation_split)
        return dataset(self.data, split=split, **arguments | changes)


def run(
    recipe: Recipe,
    directory: str | os.PathLike,
    *,
    features: str | os.PathLike | None = None,
    verbose: str | int = "auto",
) -> Report:
    """Runs a recipe: sonification, training, evaluation, report. A second call goes on where the first stopped.

    The folder then holds `run.json` (recipe, config of the signal chain, versions), `history.csv`, the files of
    `Report.save`, `model.keras`, `samples/` (sounds, and their pictures beside the images) and `features/` and
    checkpoints, by which an interrupted run goes on. `fine_tuning/` has history and checkpoints of that part.

    Args:
        recipe: `Recipe`.
        directory: Path of the run folder.
        features: Folder that runs share: what the frozen network makes of the same pictures is computed once for all of
            them. Defaults to `None`: `features/` of the run folder.
        verbose: As of `model.fit`. Defaults to `"auto"`: a bar on a terminal, elsewhere a line an epoch.

    Returns:
        `Report` on the test part.

    Raises:
        ValueError: The folder holds a run of another recipe.
        RuntimeError: The loss is no longer finite.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(recipe.precision)
    try:
        with _strategy(recipe.strategy):
            return _Run(recipe, Path(directory), None if features is None else Path(features), verbose).report()
    finally:
        keras.config.set_dtype_policy(policy)


def finished(recipe: Recipe, directory: str | os.PathLike) -> bool:
    """Whether a folder holds a finished run of a recipe. The data are taken to be those of then.

    Raises:
        ValueError: The folder holds a run of another recipe.
    """
    directory = Path(directory)
    if not ((directory / "run.json").exists() and (directory / "report.json").exists()):
        return False
    claim(directory / "run.json", _plan(recipe), shared=True)
    return True


def _plan(recipe: Recipe) -> dict[str, Any]:
    return {"recipe": dataclasses.asdict(recipe), "sonification": as_config(recipe.config).to_dict()}


def _strategy(name: str | None) -> contextlib.AbstractContextManager:
    return contextlib.nullcontext() if name is None else STRATEGIES[name]().scope()


def _mirrored() -> Any:
    import tensorflow as tf

    return tf.distribute.MirroredStrategy()


STRATEGIES: dict[str, Callable[[], Any]] = {"mirrored": _mirrored}


class _Run:
    """One run of a recipe in its folder: the head, then, where the recipe says so, the network; then the report."""

    def __init__(self, recipe: Recipe, directory: Path, features: Path | None, verbose: str | int) -> None:
        self._started = time.monotonic()
        self._recipe = recipe
        self._directory = directory
        self._features = features
        self._verbose: Any = 2 if verbose == "auto" and not sys.stdout.isatty() else verbose
        if recipe.tensorboard and importlib.util.find_spec("tensorboard") is None:
            raise ImportError("`tensorboard=True` needs the package: `pip install tensorboard`.")
        keras.utils.set_random_seed(recipe.seed)
        splits = ("train", "validation", "test") if recipe.validation_split else ("train", "test")
        self._data = {split: recipe.dataset(split, shuffle=False) for split in splits}
        self._class_names = self._data["train"].class_names
        self._class_weight = _by_label(recipe.class_weight, self._class_names)
        self._model = models.classifier(
            recipe.network,
            len(self._class_names),
            head=recipe.head,
            weights=recipe.weights,
            image_size=recipe.image_size,
            dropout=recipe.dropout,
            freeze=True,
            batch_norm=recipe.batch_norm,
        )
        # Only what can be run takes the folder: after a mistake the same folder can be named again.
        claim(
            directory / "run.json",
            _plan(recipe) | {"data": {split: data.examples.fingerprint() for split, data in self._data.items()}},
            {"versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}}},
        )

    def report(self) -> Report:
        recipe, directory = self._recipe, self._directory
        history = self._train_head_on_features() if recipe.batch_norm == "inference" else self._train_head()
        if recipe.fine_tuning:
            before, self._started = history["seconds"][-1], time.monotonic()
            tuned = self._fine_tune(recipe.fine_tuning)
            tuned["seconds"] = [before + seconds for seconds in tuned["seconds"]]
            history = {name: [*values, *tuned[name]] for name, values in history.items() if name in tuned}
        _write_samples(recipe, self._data["test"].examples, directory / "samples")
        model = models.averaged_over_flips(self._model) if recipe.flips else self._model
        with replacing(directory / "model.keras") as temporary:
            model.save(temporary)
        report = evaluate(*self._tested(model), history=history, seconds=history["seconds"][-1])
        report.save(directory)
        return report

    def _tested(self, model: keras.Model) -> tuple[keras.Model, Any]:
        """The model and its test data; or, where features are all it takes, its head and those, which is quicker."""
        recipe, test = self._recipe, self._data["test"]
        if recipe.batch_norm == "training" or recipe.fine_tuning or recipe.flips:
            return model, test
        features = feature_dataset(*self._extract("test", test), batch_size=recipe.batch_size)
        features.class_names, features.example_names = test.class_names, test.example_names
        return model.get_layer("head"), features

    def _train_head_on_features(self) -> dict[str, list[float]]:
        recipe = self._recipe
        parts = dict(self._data)
        if recipe.flips:
            parts["train-mirrored"] = parts["train"].map(lambda x, y: (keras.ops.flip(x, axis=2), y))
        features = {part: self._extract(part, data) for part, data in parts.items()}
        train = [features[part] for part in features if part.startswith("train")]
        joined = (np.concatenate(arrays) for arrays in zip(*train, strict=True))
        batch_size = recipe.batch_size // recipe.gradient_accumulation
        data = feature_dataset(*joined, batch_size=batch_size, shuffle_seed=recipe.seed)
        head = self._model.get_layer("head")
        return self._fit_head(head, data, feature_dataset(*features[self._watched], batch_size=recipe.batch_size))

    def _extract(self, part: str, data: Any) -> tuple[np.ndarray, np.ndarray]:
        folder = self._directory / "features" / part
        if self._features is not None:
            key = _features_key(self._recipe, self._data[part.removesuffix("-mirrored")].examples)
            folder = self._features / key / part
        return extract_features(self._model.get_layer("backbone"), data, folder, title=f"Features, {part} part")

    def _train_head(self) -> dict[str, list[float]]:
        recipe = self._recipe
        train = recipe.dataset("train", batch_size=recipe.batch_size // recipe.gradient_accumulation)
        return self._fit_head(self._model, train, self._data[self._watched])

    @property
    def _watched(self) -> str:
        """The part whose loss and accuracy each epoch notes: the test part only where nothing depends on them."""
        return "validation" if self._recipe.validation_split else "test"

    def _fit_head(self, model: keras.Model, train: Any, validation: Any) -> dict[str, list[float]]:
        recipe = self._recipe
        model = models.uncompiled(model)
        model.compile(
            # PyTorch's epsilon, which the study used, is a tenth of Keras'.
            optimizer=keras.optimizers.Adam(recipe.learning_rate, epsilon=1e-8, **self._accumulation()),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy", BatchMeanAccuracy()],
            jit_compile=recipe.jit,
        )
        return self._fit(model, train, validation, epochs=recipe.epochs, directory=self._directory)

    def _fine_tune(self, tuning: FineTuning) -> dict[str, list[float]]:
        recipe, model, classes = self._recipe, models.uncompiled(self._model), len(self._class_names)
        backbone, head = (model.get_layer(name) for name in ("backbone", "head"))
        models.unfreeze(backbone, stages=tuning.stages, batch_norm=recipe.batch_norm == "training")
        train = recipe.dataset("train", batch_size=tuning.batch_size // recipe.gradient_accumulation)
        steps = int(train.cardinality()) * tuning.epochs // recipe.gradient_accumulation
        if steps < 1:
            raise ValueError(
                "`gradient_accumulation` must leave fine-tuning a step. "
                f"Received: gradient_accumulation={recipe.gradient_accumulation}, {int(train.cardinality())} batches"
            )
        warm_up = min(round(tuning.warm_up * steps), steps - 1)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warm_up else tuning.head_learning_rate,
            steps - warm_up,
            warmup_target=tuning.head_learning_rate if warm_up else None,
            warmup_steps=warm_up,
        )
        optimizer = DiscriminativeAdamW(
            rate,
            slow=backbone.trainable_variables,
            factor=tuning.learning_rate / tuning.head_learning_rate,
            weight_decay=tuning.weight_decay,
            use_ema=tuning.ema > 0,
            # The average goes on with each of the smaller batches.
            ema_momentum=tuning.ema ** (1 / recipe.gradient_accumulation),
            **self._accumulation(),
        )
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        model.compile(
            optimizer=optimizer,
            loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=tuning.label_smoothing),
            metrics=["accuracy"],
            jit_compile=recipe.jit,
        )
        return self._fit(
            model,
            train,
            self._data[self._watched].map(lambda x, y: (x, keras.ops.one_hot(y, classes))),
            epochs=tuning.epochs,
            directory=self._directory / "fine_tuning",
            augment=Augmentation(
                classes,
                flip=tuning.flip,
                shift=tuning.shift,
                zoom=tuning.zoom,
                mask=tuning.mask,
                mixup=tuning.mixup,
                seed=recipe.seed,
            ),
            monitor="val_loss" if recipe.validation_split else None,
            patience=tuning.patience if recipe.validation_split else None,
        )

    def _fit(self, *args: Any, directory: Path, **options: Any) -> dict[str, list[float]]:
        logs = [keras.callbacks.TensorBoard(directory / "tensorboard")] if self._recipe.tensorboard else []
        options |= {"class_weight": self._class_weight, "started": self._started, "verbose": self._verbose}
        return fit(*args, directory=directory, callbacks=logs, **options)

    def _accumulation(self) -> dict[str, int]:
        steps = self._recipe.gradient_accumulation
        return {"gradient_accumulation_steps": steps} if steps > 1 else {}


def _by_label(class_weight: Mapping[str | int, float] | str | None, class_names: Sequence[str]) -> Any:
    """The same with labels for names, in which a digit is a name first."""
    if not isinstance(class_weight, Mapping):
        return class_weight
    labels = {str(label): label for label in range(len(class_names))}
    labels |= {name: label for label, name in enumerate(class_names)}
    unknown = [key for key in class_weight if str(key) not in labels]
    if unknown:
        raise ValueError(
            f"`class_weight` must have classes as its keys. Allowed values: {list(class_names)}, or their labels. "
            f"Received: {unknown}"
        )
    return {labels[str(key)]: weight for key, weight in class_weight.items()}


def main(recipe: Recipe, description: str, arguments: Sequence[str] | None = None) -> None:
    """The command line of a recipe: its fields as options, and `--smoke` for a quick run through every step."""
    options = _parser(recipe, description).parse_args(arguments)
    out = Path(options.out or f"runs/{Path(sys.argv[0]).stem}{'-smoke' if options.smoke else ''}")
    try:
        report = run(_changed(recipe, options), out)
    except KeyboardInterrupt:
        sys.exit(f"Interrupted. The same command goes on from the last finished epoch in {out}.")
    except Exception as error:
        if (message := in_one_line(error)) is None:
            raise
        sys.exit(f"error: {message}")
    print(f"{report}\nReport, curves, confusion matrix, samples and model are in {out}")


def _changed(recipe: Recipe, options: argparse.Namespace) -> Recipe:
    """The recipe with what the command line says."""
    given = {key: value for key, value in vars(options).items() if value is not None}
    changes = {**(_smoke(recipe) if options.smoke else {}), **given}
    if options.data_dir and not options.data:
        changes["data"] = None
    if options.weights == "none":
        changes["weights"] = None
    tuning = recipe.fine_tuning
    if options.fine_tune is not None:
        tuning = (tuning or FineTuning()) if options.fine_tune else None
    unused = [key for key in given if key.startswith("tune_")]
    if unused and not tuning:
        raise ValueError(f"Options --tune-... need --fine-tune. Received: --{unused[0].replace('_', '-')}")
    if tuning:
        tuned: dict[str, Any] = {"epochs": 1} if options.smoke else {}
        tuned |= {key.removeprefix("tune_"): value for key, value in given.items() if key.startswith("tune_")}
        tuning = dataclasses.replace(tuning, **tuned)
    fields = {field.name for field in dataclasses.fields(Recipe)}
    changes = {key: value for key, value in changes.items() if key in fields}
    return dataclasses.replace(recipe, **changes | {"fine_tuning": tuning})


def _smoke(recipe: Recipe) -> dict[str, Any]:
    size = min(recipe.image_size, _SMOKE_SIZE)
    shorter_side = recipe.shorter_side and round(recipe.shorter_side * size / recipe.image_size)
    return _SMOKE | {"image_size": size, "shorter_side": shorter_side}


def _parser(recipe: Recipe, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    shown = {field.name: f"Default: {getattr(recipe, field.name)}." for field in dataclasses.fields(recipe)}
    add("--data", help=f"c2, c4, c10 or c15; with --data-dir, all of its classes by default. {shown['data']}")
    add("--data-dir", help="folder <class>/* or {train,test}/<class>/* to take instead of the built-in images")
    add("--source", help=f"where images come from without --data-dir. {shown['source']}")
    add("--stage", choices=list(STAGES), help=f"what the files are. {shown['stage']}")
    add("--colormap", help=f"of --stage spectrogram, to turn pictures back into levels. {shown['colormap']}")
    add("--images-per-class", type=int, help="at most so many, a fifth of them for testing")
    add("--fold", type=_fold, metavar="I/K", help="cross-validation on the training part: test on part I (from 0) of K")
    add("--validation-split", type=float, help=f"share of the training part. {shown['validation_split']}")
    add("--output", choices=OUTPUTS, help=f"the sound's picture, or the image itself. {shown['output']}")
    add("--config", choices=presets(), help=f"signal chain. {shown['config']}")
    add(
        "--channel", help=f"what sounds pass: {', '.join(channels.forms())}, or several joined by +. {shown['channel']}"
    )
    add("--engine", choices=["auto", *engines()], help=f"engine of the sonification. {shown['engine']}")
    add("--network", help=f"backbone: {', '.join(models.backbones())}. {shown['network']}")
    add("--weights", help=f'"imagenet", "none" or a file. {shown["weights"]}')
    add("--head", choices=models.heads(), help=f"{shown['head']}")
    add("--batch-norm", choices=models.BATCH_NORMS, help=f"of the frozen network. {shown['batch_norm']}")
    add("--epochs", type=int, help=f"of the head. {shown['epochs']}")
    add("--batch-size", type=int, help=shown["batch_size"])
    add("--learning-rate", type=float, help=shown["learning_rate"])
    add(
        "--class-weight",
        type=_class_weight,
        metavar="WEIGHTS",
        help=f"balanced, or what each class counts, such as cat=2,dog=0.5. {shown['class_weight']}",
    )
    switch = argparse.BooleanOptionalAction
    add("--flips", action=switch, help=f"train and test on mirrored pictures too. {shown['flips']}")
    add("--fine-tune", action=switch, help=f"train the network too. Default: {recipe.fine_tuning is not None}.")
    tuning = recipe.fine_tuning or FineTuning()
    for field in dataclasses.fields(tuning):
        value = getattr(tuning, field.name)
        kind: Any = {"action": switch} if isinstance(value, bool) else {"type": type(value)}
        add(f"--tune-{field.name.replace('_', '-')}", **kind, help=f"of fine-tuning. Default: {value}.")
    add("--gradient-accumulation", type=int, help=f"batches that make one. {shown['gradient_accumulation']}")
    add("--precision", choices=PRECISIONS, help=shown["precision"])
    add("--jit", action=switch, help=f"compile with XLA. {shown['jit']}")
    add("--strategy", choices=list(STRATEGIES), help="of tf.distribute")
    add("--tensorboard", action=switch, help=f"write logs for TensorBoard. {shown['tensorboard']}")
    add("--seed", type=int, help=shown["seed"])
    add("--on-error", choices=["raise", "skip"], help=f"what to do with unreadable files. {shown['on_error']}")
    add("--out", help="run folder; the same folder again goes on with an interrupted run. Default: runs/<recipe>")
    add("--smoke", action="store_true", help=f"a run of a minute at most through every step: {_smoke(recipe)}")
    return parser


def _fold(text: str) -> tuple[int, int]:
    try:
        index, count = map(int, text.split("/"))
    except ValueError as error:
        message = f"must be I/K, part I (from 0) of K, such as 0/5. Received: {text}"
        raise argparse.ArgumentTypeError(message) from error
    return index, count


def _class_weight(text: str) -> dict[str, float] | str:
    if text == "balanced":
        return text
    try:
        pairs = [part.rsplit("=", 1) for part in text.split(",")]
        return {name: float(weight) for name, weight in pairs}
    except ValueError as error:
        message = f"must be balanced, or CLASS=WEIGHT,..., such as cat=2,dog=0.5. Received: {text}"
        raise argparse.ArgumentTypeError(message) from error


def _features_key(recipe: Recipe, examples: Examples) -> str:
    """Hexadecimal digest of what decides the features of some examples: equal ones are equal features."""
    config = as_config(recipe.config)
    decisive: dict[str, Any] = {
        name: getattr(recipe, name)
        for name in (
            "network", "stage", "output", "image_size", "shorter_side", "interpolation", "weights", "batch_size",
            "precision",
        )
    }  # fmt: skip
    decisive |= {"examples": examples.fingerprint(), "version": _version("sonikeras")}
    decisive["pooled"] = recipe.head != "attention"  # the one head that takes the feature map itself
    random = recipe.weights is None
    if recipe.weights not in (None, "imagenet"):
        state = os.stat(recipe.weights)
        decisive["weights"] = [os.path.abspath(recipe.weights), state.st_size, state.st_mtime_ns]
    if recipe.output == "picture":
        decisive |= {"config": config.to_dict(), "colormap": recipe.colormap, "channel": recipe.channel}
        if recipe.stage == "image":
            decisive["engine"] = resolve_engine(recipe.engine, config)
            random |= config.transform == "stft" and config.initial_phase == "random"
        random |= recipe.channel is not None
    if random:
        decisive["seed"] = recipe.seed
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # another build of the same, or run from a checkout
        return "not installed under this name"


def _write_samples(recipe: Recipe, examples: Examples, directory: Path) -> None:
    """A few test images, with their sounds as WAV files and a figure of each one's way."""
    if recipe.stage != "image" or recipe.output != "picture":
        return
    config = as_config(recipe.config)
    engine = resolve_engine(recipe.engine, config)
    sound = sound_loader(examples, config, engine=engine, seed=recipe.seed, cache=resolve_cache(True))
    firsts = [list(examples.labels).index(label) for label in sorted(set(examples.labels))[:_SAMPLES]]
    folders = safe_names(examples.class_names)
    # Of each class one: its name need differ from no other.
    for index, name in zip(firsts, (safe_names([examples.names[index]])[0] for index in firsts), strict=True):
        image, audio = examples.image(index), from_pcm16(sound(index))
        if recipe.channel is not None:
            audio = channels.transmit(audio, config.sample_rate, recipe.channel, seed=recipe.seed)
        path = directory / folders[examples.labels[index]] / name
        write_audio(f"{path}.wav", audio, config)
        plots.sample(
            image,
            audio,
            config.sample_rate,
            picture(audio, config),
            desonify(audio, config, size=image.shape[:2]),
            f"{path}.png",
            title=as_utf8(examples.names[index]),
        )
