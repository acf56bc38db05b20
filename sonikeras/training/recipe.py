"""Recipes: all settings of a training, from the data to the optimizer."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from sonikeras import models, transmission as channels
from sonikeras.config import SonificationConfig
from sonikeras.config._checks import check_choice, check_integer, check_number
from sonikeras.datasets import dataset
from sonikeras.sources import Selection
from sonikeras.training._fit import check_class_weight

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]

PRECISIONS: tuple[Precision, ...] = get_args(Precision)

Output = Literal["picture", "image", "image_gray"]

OUTPUTS: tuple[Output, ...] = get_args(Output)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTuning:
    """The second phase of a training: the head and the network's last stages are trained together.

    Args:
        epochs: Maximum number of epochs.
        stages: Number of the network's last stages that are trained. A stage is the layers whose feature maps have the
            same size. Five stages are the whole network.
        batch_size: Examples per step.
        learning_rate: Peak learning rate of the network's weights, with AdamW: linear warm-up, then cosine decay.
        head_learning_rate: Peak learning rate of the head's weights.
        warm_up: Fraction of the steps that are warm-up.
        weight_decay: Weight decay of the kernels.
        label_smoothing: Fraction of each label that is distributed over all classes.
        flip: Whether half of the training pictures are mirrored.
        shift, zoom, mask, mixup: See `sonikeras.datasets.augmentation.Augmentation`.
        ema: Momentum of the exponential moving average of the weights, which replaces them in the end; 0 for none.
        patience: With a validation split, training stops after this number of epochs without a lower validation loss.
            The model then has the weights of the best epoch.

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
    """All settings of a training.

    `sonikeras.evaluation.experiment.run` runs a recipe. `Recipe.of_study` returns those of the study.

    Args:
        network: Name of a backbone: see `sonikeras.models.backbones()`.
        data: Name of the data set, or `None` for all classes of `data_dir`.
        classes: Names of the classes, which take precedence over `data`, or `None`.
        data_dir: Folder of your own images, or `None`.
        source: Source of the images if there is no `data_dir`.
        stage: What the files contain: `"image"`, `"audio"` or `"spectrogram"`.
        colormap: Colormap of the files with `stage="spectrogram"`: their pixels are converted back to decibels and
            drawn as in `config`. `None`: the files are used unchanged. It is ignored for other stages.
        images_per_class: Maximum number of images of each class, or `None`.
        fold: `(i, k)` for cross-validation on the training split: the run tests on fold i (from 0) of k, and trains on
            the others. Or `None`.
        validation_split: Fraction of the training split that is held out to stop fine-tuning early.
        output: Input of the network: `"picture"`, the spectrogram picture of the audio; or the image itself,
            as the baseline: `"image"` in color, `"image_gray"` in gray.
        config: Preset of the signal chain, or `SonificationConfig`.
        channel: Channel that all audio passes, in training and in testing, as a specification string of
            `sonikeras.channels`, or `None`.
        engine: Engine of the sonification.
        image_size: Height and width of the network's input, in pixels.
        shorter_side: Length to which the picture's shorter side is resized before the center crop. `None`: the whole
            picture is resized to `image_size`, without regard to its aspect ratio.
        interpolation: Interpolation of the resizing.
        weights: `"imagenet"`, `None` or a path.
        head: Name of a head: see `sonikeras.models.heads()`.
        dropout: Dropout rate before the head, or `None` for the default of the network.
        batch_norm: `"training"`: the frozen network stays in training mode as in PyTorch, with batch statistics and
            stochastic depth, and runs in every epoch. `"inference"`: its features are computed once, and the head is
            trained on them.
        epochs: Number of epochs of the head.
        batch_size: Examples per step, over all devices.
        learning_rate: Learning rate of Adam.
        class_weight: Weights of the classes in the training loss, by name or label. Classes without an entry have
            weight 1. `"balanced"`: the total weight of each class is equal. `None`: all weights are 1.
        flips: Whether the head is trained on mirrored pictures too, and the final model averages over both.
        fine_tuning: The second phase of the training, or `None`.
        gradient_accumulation: Number of smaller batches that form a batch, to save memory.
        precision: Dtype policy of Keras: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.
        jit: Whether training steps are compiled by XLA.
        strategy: `"mirrored"`: all GPUs of the machine, by `tf.distribute`; or `None`.
        tensorboard: Whether logs for TensorBoard are written.
        seed: Seed of weights, order, dropout and audio.
        on_error: `"raise"`, or `"skip"`: unreadable files are left out, with a warning.

    Raises:
        ValueError: A field breaks its rule.
    """

    network: str
    data: str | None = "c10"
    classes: Sequence[str] | None = None
    data_dir: str | None = None
    source: str = "builtin"
    stage: Literal["image", "audio", "spectrogram"] = "image"
    colormap: str | None = None
    images_per_class: int | None = None
    fold: tuple[int, int] | None = None
    validation_split: float = 0.0
    output: Output = "picture"
    config: str | SonificationConfig = "study"
    channel: str | None = None
    engine: str = "auto"
    image_size: int = 224
    shorter_side: int | None = None
    interpolation: str = "bilinear"
    weights: str | None = "imagenet"
    head: str = "linear"
    dropout: float | None = None
    batch_norm: models.BatchNorm = "inference"
    epochs: int = 25
    batch_size: int = 32
    learning_rate: float = 1e-3
    class_weight: Mapping[str | int, float] | str | None = None
    flips: bool = False
    fine_tuning: FineTuning | None = None
    gradient_accumulation: int = 1
    precision: Precision = "float32"
    jit: bool = False
    strategy: Literal["mirrored"] | None = None
    tensorboard: bool = False
    seed: int = 42
    on_error: Literal["raise", "skip"] = "raise"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "gradient_accumulation"):
            check_integer(name, getattr(self, name), minimum=1)
        check_number("learning_rate", self.learning_rate, "above 0", lambda value: value > 0)
        check_class_weight(self.class_weight)
        object.__setattr__(self, "classes", Selection(classes=self.classes).classes)
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

    @classmethod
    def of_study(cls, network: str) -> Recipe:
        """The study's recipe for a network: a linear head on the frozen network in training mode, Adam, 25 epochs.

        Image size, resizing, interpolation and dropout are those of `sonikeras.models.spec(network)`.

        Args:
            network: Name of a backbone.

        Returns:
            `Recipe`.

        Raises:
            ValueError: There is no such backbone.

        Example:
            >>> from sonikeras.training import Recipe
            >>> recipe = Recipe.of_study("resnet50")
            >>> recipe.image_size, recipe.shorter_side, recipe.interpolation, recipe.batch_norm
            (224, 232, 'bilinear', 'training')
        """
        spec = models.spec(network)
        return cls(
            network=spec.name,
            data="c10",
            config="study",
            engine="librosa",
            image_size=spec.image_size,
            shorter_side=spec.resize,
            interpolation=spec.interpolation,
            head="linear",
            dropout=spec.dropout,
            batch_norm="training",
            epochs=25,
            batch_size=32,
            learning_rate=1e-3,
            seed=42,
        )

    def dataset(self, split: str, **changes: Any) -> Any:
        """The data set of one split: `sonikeras.dataset` with the recipe's arguments, and those in `changes`."""
        arguments = {
            key: getattr(self, key)
            for key in (
                "classes", "data_dir", "source", "stage", "images_per_class", "fold", "validation_split", "output",
                "config", "channel", "engine", "image_size", "shorter_side", "interpolation", "batch_size", "seed",
                "on_error",
            )
        }  # fmt: skip
        arguments["colormap"] = self.colormap if self.stage == "spectrogram" else None
        # Near-duplicates of training images in another split would inflate its accuracy. Pre-split folders stay as is.
        arguments["group_duplicates"] = self.stage != "audio" and bool(self.fold or self.validation_split)
        return dataset(self.data, split=split, **arguments | changes)


def _strategy(name: str | None) -> contextlib.AbstractContextManager:
    return contextlib.nullcontext() if name is None else STRATEGIES[name]().scope()


def _mirrored() -> Any:
    import tensorflow as tf

    return tf.distribute.MirroredStrategy()


STRATEGIES: dict[str, Callable[[], Any]] = {"mirrored": _mirrored}
