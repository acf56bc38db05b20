"""The run of a recipe: it sonifies, trains, evaluates and reports, in a run folder that can be resumed."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from sonikeras import models
from sonikeras.config import as_config
from sonikeras.config._claims import claim
from sonikeras.config._files import replacing
from sonikeras.datasets.augmentation import Augmentation
from sonikeras.evaluation import samples
from sonikeras.evaluation._evaluate import evaluate
from sonikeras.evaluation.report import Report
from sonikeras.signal.engines import resolve_engine
from sonikeras.sources import Examples
from sonikeras.training import BatchMeanAccuracy, DiscriminativeAdamW, extract_features, feature_dataset, fit
from sonikeras.training.recipe import FineTuning, Recipe, _strategy

_PACKAGES = ("sonikeras", "tensorflow", "keras", "keras-cv", "librosa", "numpy", "opencv-python-headless", "pillow")


def run(
    recipe: Recipe,
    directory: str | os.PathLike,
    *,
    features: str | os.PathLike | None = None,
    verbose: str | int = "auto",
) -> Report:
    """Runs a recipe: sonification, training, evaluation, report. Call it again to resume an interrupted run.

    The run folder then contains `run.json` (the recipe, the config of the signal chain, versions), `history.csv`, the
    files of `Report.save`, `model.keras`, and `samples.json` and `samples/` (test images with their audio, pictures,
    reconstructions and heat maps: see `sonikeras.evaluation.samples`). Interrupted runs resume from `features/` and the
    checkpoints. `fine_tuning/` contains the history and checkpoints of fine-tuning.

    Args:
        recipe: `Recipe`.
        directory: Path of the run folder.
        features: Folder of features that several runs share, so that the frozen network processes each picture once.
            Defaults to `None`: `features/` in the run folder.
        verbose: As in `model.fit`. Defaults to `"auto"`: a progress bar on a terminal, or else a line per epoch.

    Returns:
        `Report` on the test split.

    Raises:
        ValueError: The folder contains a run of another recipe.
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
    """Whether a folder contains a finished run of a recipe. Changes of the data are not detected.

    Raises:
        ValueError: The folder contains a run of another recipe.
    """
    directory = Path(directory)
    if not ((directory / "run.json").exists() and (directory / "report.json").exists()):
        return False
    claim(directory / "run.json", _plan(recipe), shared=True)
    return True


def _plan(recipe: Recipe) -> dict[str, Any]:
    return {"recipe": dataclasses.asdict(recipe), "sonification": as_config(recipe.config).to_dict()}


class _Run:
    """A run of a recipe in its folder: it trains the head, fine-tunes the network if asked to, and reports."""

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
        # The folder is claimed only after all checks, so that it can be used again after a mistake.
        claim(
            directory / "run.json",
            _plan(recipe) | {"data": {split: data.examples.fingerprint() for split, data in self._data.items()}},
            {
                "examples": {split: len(data.examples) for split, data in self._data.items()},
                "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
            },
        )

    def report(self) -> Report:
        recipe, directory = self._recipe, self._directory
        history = self._train_head_on_features() if recipe.batch_norm == "inference" else self._train_head()
        if recipe.fine_tuning:
            before, self._started = history["seconds"][-1], time.monotonic()
            tuned = self._fine_tune(recipe.fine_tuning)
            tuned["seconds"] = [before + seconds for seconds in tuned["seconds"]]
            history = {name: [*values, *tuned[name]] for name, values in history.items() if name in tuned}
        model = models.averaged_over_flips(self._model) if recipe.flips else self._model
        with replacing(directory / "model.keras") as temporary:
            model.save(temporary)
        report = evaluate(*self._tested(model), history=history, seconds=history["seconds"][-1])
        samples.write(recipe, self._data["test"].examples, report, self._model, directory)
        report.save(directory, split=self._watched)
        return report

    def _tested(self, model: keras.Model) -> tuple[keras.Model, Any]:
        """The model and its test data; or its head and the features of the test data if they suffice: it is faster."""
        recipe, test = self._recipe, self._data["test"]
        if recipe.batch_norm == "training" or recipe.fine_tuning or recipe.flips:
            return model, test
        features = feature_dataset(*self._extract("test", test), batch_size=recipe.batch_size)
        features.class_names, features.example_names = test.class_names, test.example_names
        return model.get_layer("head"), features

    def _train_head_on_features(self) -> dict[str, list[float]]:
        recipe = self._recipe
        splits = dict(self._data)
        if recipe.flips:
            splits["train-mirrored"] = splits["train"].map(lambda x, y: (keras.ops.flip(x, axis=2), y))
        features = {split: self._extract(split, data) for split, data in splits.items()}
        train = [features[split] for split in features if split.startswith("train")]
        joined = (np.concatenate(arrays) for arrays in zip(*train, strict=True))
        batch_size = recipe.batch_size // recipe.gradient_accumulation
        data = feature_dataset(*joined, batch_size=batch_size, shuffle_seed=recipe.seed)
        head = self._model.get_layer("head")
        return self._fit_head(head, data, feature_dataset(*features[self._watched], batch_size=recipe.batch_size))

    def _extract(self, split: str, data: Any) -> tuple[np.ndarray, np.ndarray]:
        folder = self._directory / "features" / split
        if self._features is not None:
            key = _features_key(self._recipe, self._data[split.removesuffix("-mirrored")].examples)
            folder = self._features / key / split
        return extract_features(self._model.get_layer("backbone"), data, folder, title=f"Features, {split} split")

    def _train_head(self) -> dict[str, list[float]]:
        recipe = self._recipe
        train = recipe.dataset("train", batch_size=recipe.batch_size // recipe.gradient_accumulation)
        return self._fit_head(self._model, train, self._data[self._watched])

    @property
    def _watched(self) -> str:
        """The split that each epoch is validated on. It is the test split only if nothing depends on the result."""
        return "validation" if self._recipe.validation_split else "test"

    def _fit_head(self, model: keras.Model, train: Any, validation: Any) -> dict[str, list[float]]:
        recipe = self._recipe
        model = models.uncompiled(model)
        model.compile(
            # PyTorch's default epsilon, which the study used. Keras' is ten times as large.
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
                "`gradient_accumulation` must leave at least one step of fine-tuning. "
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
            # The average is updated after each of the smaller batches.
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
    """Class weights with labels as keys. A key that is both a name and a label is taken as a name."""
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


def _features_key(recipe: Recipe, examples: Examples) -> str:
    """A hexadecimal digest of everything that determines the features of some examples."""
    config = as_config(recipe.config)
    decisive: dict[str, Any] = {
        name: getattr(recipe, name)
        for name in (
            "network", "stage", "output", "image_size", "shorter_side", "interpolation", "weights", "batch_size",
            "precision",
        )
    }  # fmt: skip
    decisive |= {"examples": examples.fingerprint(), "version": _version("sonikeras")}
    decisive["pooled"] = recipe.head != "attention"  # this head alone takes the feature map itself
    random = recipe.weights is None
    if recipe.weights not in (None, "imagenet"):
        state = os.stat(recipe.weights)
        decisive["weights"] = [os.path.abspath(recipe.weights), state.st_size, state.st_mtime_ns]
    if recipe.output == "picture":
        decisive |= {
            "config": {name: x for name, x in config.resolved().to_dict().items() if name != "version"},
            "colormap": recipe.colormap,
            "channel": recipe.channel,
        }
        if recipe.stage == "image":
            decisive["engine"] = resolve_engine(recipe.engine, config)
            random |= config.transform == "stft" and config.initial_phase != "structured"
        random |= recipe.channel is not None
    if random:
        decisive["seed"] = recipe.seed
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # another build of the package, or a checkout
        return "not installed under this name"
