"""A `tf.data.Dataset` of the user's as the source: its check, and how its images are loaded."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sonikeras.datasets._calls import numpy_function
from sonikeras.datasets._rendering import Rendering
from sonikeras.sources import Examples, Selection

if TYPE_CHECKING:
    import tensorflow as tf


_BUFFER = 1024  # images among which the next one is drawn


def is_stream(source: Any) -> bool:
    """Whether a source is a `tf.data.Dataset`."""
    if isinstance(source, str | tuple | list):
        return False
    import tensorflow as tf

    return isinstance(source, tf.data.Dataset)


def check_stream(arguments: dict[str, Any]) -> None:
    """Checks the elements of a stream, and the arguments of `dataset` that need a list of examples.

    Args:
        arguments: All arguments of `dataset`, by name.

    Raises:
        ValueError: The stream does not yield single examples `(image, label)`, or an argument is not allowed.
    """
    source, classes, split = (arguments[key] for key in ("source", "classes", "split"))
    if isinstance(classes, str) or not isinstance(classes, Sequence) or len(set(classes)) < max(2, len(classes)):
        raise ValueError(
            "With a tf.data.Dataset as `source`, `classes` must be the names of all labels in their order, at least 2 "
            f"different ones. Received: classes={classes!r}"
        )
    if split not in ("train", "test"):
        raise ValueError(
            "A tf.data.Dataset as `source` is a single split: `split` must be 'train' or 'test'. "
            f"Received: split={split!r}"
        )
    selecting = {field.name: field.default for field in dataclasses.fields(Selection)}
    del selecting["source"], selecting["classes"]
    for key, default in {**selecting, "on_error": "raise", "service": Rendering.service}.items():
        if arguments[key] != default:
            raise ValueError(
                f"With a tf.data.Dataset as `source`, which has no list of examples, `{key}` must be {default!r}. "
                f"Received: {key}={arguments[key]!r}"
            )
    _check_elements(source.element_spec)


def _check_elements(spec: Any) -> None:
    import tensorflow as tf

    pair = isinstance(spec, tuple) and len(spec) == 2 and all(isinstance(tensor, tf.TensorSpec) for tensor in spec)
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


def load_stream(
    source: tf.data.Dataset, class_names: list[str], rendering: Rendering, *, shuffle: bool
) -> tf.data.Dataset:
    """The loaded examples of a stream.

    Args:
        source: `tf.data.Dataset` of `(image, label)`.
        class_names: Names of all labels.
        rendering: `Rendering`, whose `loader` is used.
        shuffle: Boolean, whether to shuffle in each epoch, by the rendering's seed.

    Returns:
        A `tf.data.Dataset` of `(audio or pixels, label)`.
    """
    import tensorflow as tf

    loader = rendering.loader

    def load(image: np.ndarray) -> np.ndarray:
        image = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
        one = Examples(class_names, np.zeros(1, np.int32), ["image"], [image])
        return loader(one)(0)

    @tf.autograph.experimental.do_not_convert
    def load_one(image: Any, label: Any) -> tuple[Any, Any]:
        rule = f"A label must be an index into the {len(class_names)} `classes`."
        with tf.control_dependencies(
            [tf.debugging.Assert((label >= 0) & (label < len(class_names)), [rule, "Received: label =", label])]
        ):
            x = numpy_function(load, [image], rendering.loaded_dtype)
        return tf.ensure_shape(x, rendering.loaded_shape), tf.cast(label, tf.int32)

    if shuffle:
        count = int(source.cardinality())
        buffer = min(count, _BUFFER) if count > 0 else _BUFFER
        source = source.shuffle(buffer, seed=rendering.seed, reshuffle_each_iteration=True)
    return source.map(load_one, num_parallel_calls=os.cpu_count(), deterministic=True)
