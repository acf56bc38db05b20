"""The rules of `sonikeras.dataset`'s arguments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sonikeras.config._checks import check_choice
from sonikeras.datasets.augmentation import Augment
from sonikeras.signal import pictures

if TYPE_CHECKING:
    pass


# What can be made of the files of each stage.
_OUTPUTS = {
    "image": ("picture", "spectrogram", "audio", "image"),
    "audio": ("picture", "spectrogram", "audio"),
    "spectrogram": ("picture",),
}


def _is_dataset(source: Any) -> bool:
    if isinstance(source, str | tuple | list):
        return False
    import tensorflow as tf

    return isinstance(source, tf.data.Dataset)


def _check_streamed(arguments: dict[str, Any]) -> None:
    """Checks what a source that is a `tf.data.Dataset` yields, and that nothing is asked that needs a list of it."""
    import tensorflow as tf

    source, classes, split = (arguments[key] for key in ("source", "classes", "split"))
    if isinstance(classes, str) or not isinstance(classes, Sequence) or len(set(classes)) < max(2, len(classes)):
        raise ValueError(
            "With a tf.data.Dataset as `source`, `classes` must be the names of all labels in their order, at least 2 "
            f"different ones. Received: classes={classes!r}"
        )
    if split not in ("train", "test"):
        raise ValueError(
            "A tf.data.Dataset as `source` is one part already: `split` must be 'train' or 'test'. "
            f"Received: split={split!r}"
        )
    plain = {
        "name": None,
        "data_dir": None,
        "images_per_class": None,
        "stage": "image",
        "on_error": "raise",
        "validation_split": 0.0,
        "fold": None,
        "group_duplicates": False,
        "shard": None,
        "service": None,
    }
    for key, value in plain.items():
        if arguments[key] != value:
            raise ValueError(
                f"With a tf.data.Dataset as `source`, which has no list of examples, `{key}` must be {value!r}. "
                f"Received: {key}={arguments[key]!r}"
            )
    spec = source.element_spec
    pair = isinstance(spec, tuple) and len(spec) == 2 and all(isinstance(part, tf.TensorSpec) for part in spec)
    if pair:
        image, label = spec
        rank = image.shape.rank
        fits = image.dtype == tf.uint8 and (rank == 2 or (rank == 3 and image.shape[-1] in (1, 3)))
    if not pair or not fits or not label.dtype.is_integer or label.shape.rank != 0:
        raise ValueError(
            "A tf.data.Dataset as `source` must yield single examples (image, label), not batched: uint8 of shape "
            "[height, width], [height, width, 1] or [height, width, 3], and an integer. "
            f"Received: element_spec={spec}"
        )


def _check_augment(augment: Any, split: str, stage: str, output: str) -> None:
    if augment is None:
        return
    if split not in ("train", "both"):
        raise ValueError(
            "`augment` changes the training part: `split` must be 'train', or 'both', whose test part stays as it is. "
            f"Received: split={split!r}, augment={augment!r}"
        )
    if not isinstance(augment, Augment) and not callable(augment):
        raise ValueError(
            f"`augment` must be a sonikeras.Augment, a function of pictures, or None. Received: augment={augment!r}"
        )
    sound, picture = (augment.changes_sound, augment.changes_picture) if isinstance(augment, Augment) else (False, True)
    if sound and (output == "image" or stage == "spectrogram"):
        raise ValueError(
            "`augment` must not change the sound where there is none: leave `roll`, `noise` and `gain` out. "
            f"Received: augment={augment!r}, stage={stage!r}, output={output!r}"
        )
    if picture and output not in ("picture", "image"):
        raise ValueError(
            "`augment` must not change the picture where there is none: `output` must be 'picture' or 'image'. "
            f"Received: augment={augment!r}, output={output!r}"
        )


def _check_arguments(arguments: dict[str, Any]) -> None:
    stage, output = arguments["stage"], arguments["output"]
    check_choice("stage", stage, _OUTPUTS)
    check_choice("output", output, _OUTPUTS[stage])
    check_choice("interpolation", arguments["interpolation"], pictures.INTERPOLATIONS)
    check_choice("on_error", arguments["on_error"], ("raise", "skip"))
    colormap = arguments["colormap"]
    if colormap is not None:
        if not isinstance(colormap, str) or stage != "spectrogram":
            raise ValueError(
                "`colormap` must be None, or with stage='spectrogram' the name of a matplotlib colormap. "
                f"Received: colormap={colormap!r}, stage={stage!r}"
            )
        pictures.inverse(colormap)
    if isinstance(arguments["seed"], bool) or not isinstance(arguments["seed"], int) or arguments["seed"] < 0:
        raise ValueError(f"`seed` must be an integer of at least 0. Received: seed={arguments['seed']!r}")
    for key in ("batch_size", "shorter_side"):
        value = arguments[key]
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ValueError(f"`{key}` must be a positive integer or None. Received: {key}={value!r}")
    if arguments["service"] is not None and (stage != "image" or output == "image"):
        raise ValueError(
            "`service` makes sounds of images: `stage` must be 'image' and `output` another than 'image'. "
            f"Received: service={arguments['service']!r}, stage={stage!r}, output={output!r}"
        )
    if arguments["channel"] is not None:
        if output == "image" or stage == "spectrogram":
            raise ValueError(
                "`channel` needs a sound: `stage` must be 'image' or 'audio' and `output` another than 'image'. "
                f"Received: channel={str(arguments['channel'])!r}, stage={stage!r}, output={output!r}"
            )
        if arguments["service"] is not None:
            raise ValueError(
                "`channel` is not for sounds of a `service`: one of them must be None. "
                f"Received: channel={str(arguments['channel'])!r}, service={arguments['service']!r}"
            )


def _size(image_size: Any) -> tuple[int, int]:
    sides = tuple(image_size) if isinstance(image_size, Iterable) else (image_size, image_size)
    if len(sides) != 2 or not all(isinstance(side, int | np.integer) and side > 0 for side in sides):
        raise ValueError(f"`image_size` must be positive integers (height, width). Received: image_size={image_size!r}")
    return int(sides[0]), int(sides[1])
