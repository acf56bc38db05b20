"""Everything that decides how a classifier is trained."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from sonikeras import models, transmission as channels
from sonikeras.config import SonificationConfig
from sonikeras.config._checks import check_choice, check_integer, check_number
from sonikeras.datasets import dataset
from sonikeras.training._fit import check_class_weight

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


OUTPUTS = ("picture", "image")


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
        shift, zoom, mask, mixup: See `sonikeras.datasets.augmentation.Augmentation`.
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
        shorter_side: Length that the picture's shorter side is resized to before the center is cut out, or `None`: the
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


def _strategy(name: str | None) -> contextlib.AbstractContextManager:
    return contextlib.nullcontext() if name is None else STRATEGIES[name]().scope()


def _mirrored() -> Any:
    import tensorflow as tf

    return tf.distribute.MirroredStrategy()


STRATEGIES: dict[str, Callable[[], Any]] = {"mirrored": _mirrored}
