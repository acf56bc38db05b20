"""The steps of the pipeline: load, render, batch."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from sonikeras.config import SonificationConfig
from sonikeras.datasets._calls import numpy_function
from sonikeras.datasets.augmentation import Augment
from sonikeras.signal import chain
from sonikeras.signal._backend import operations
from sonikeras.sources import Examples

if TYPE_CHECKING:
    import tensorflow as tf


# Examples among which the next is drawn where the order cannot be drawn as a whole: images of a `tf.data.Dataset`, and
# sounds that come from a service.
_IMAGES, _SOUNDS = 1024, 256


def _renderer(
    output: str, config: SonificationConfig, resizing: dict[str, Any], heard: bool, augment: Any
) -> Callable[[Any, Any], Any]:
    """What makes of a sound, or of a picture that was read, what is fed; a number decides how it is changed."""
    changes = augment if isinstance(augment, Augment) else Augment()

    def render(x: Any, number: Any) -> Any:
        x = operations(x).cast(x, "float32")
        if heard:
            x = x / 32768
            if changes.changes_sound:
                x = changes.change_sound(x, number)
            if output != "audio":
                x = chain.audio_to_db(x, config)
            if output == "picture":
                x = chain.db_to_picture(x, config, **resizing)
        return changes.change_picture(x, number) if changes.changes_picture else x

    return render


def _indexed(
    labels: np.ndarray,
    load: Callable[[int], np.ndarray],
    shape: tuple[int, ...],
    dtype: str,
    shuffle_seed: int | None,
) -> tf.data.Dataset:
    """indices -> (shuffled) -> loaded in parallel: `(sound or picture, label)`."""
    import tensorflow as tf

    @tf.autograph.experimental.do_not_convert  # nothing is to be converted, and each call would be asked about it
    def load_one(index: Any, label: Any) -> tuple[Any, Any]:
        x = numpy_function(lambda i: load(int(i)), [index], dtype)
        return tf.ensure_shape(x, shape), label

    # The order is drawn over indices, so it is a uniform one and costs no memory for examples.
    data = tf.data.Dataset.from_tensor_slices((np.arange(len(labels)), labels))
    if shuffle_seed is not None:
        data = data.shuffle(len(labels), seed=shuffle_seed, reshuffle_each_iteration=True)
    # More threads than cores would only wait for each other: Python runs between the array operations.
    return data.map(load_one, num_parallel_calls=os.cpu_count(), deterministic=True)


def _streamed(
    source: tf.data.Dataset,
    class_names: list[str],
    loader: Callable[[Examples], Callable[[int], np.ndarray]],
    shape: tuple[int, ...],
    dtype: str,
    shuffle_seed: int | None,
) -> tf.data.Dataset:
    """The same of a dataset of `(image, label)`."""
    import tensorflow as tf

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
            x = numpy_function(load, [image], dtype)
        return tf.ensure_shape(x, shape), tf.cast(label, tf.int32)

    if shuffle_seed is not None:
        count = int(source.cardinality())
        buffer = min(count, _IMAGES) if count > 0 else _IMAGES
        source = source.shuffle(buffer, seed=shuffle_seed, reshuffle_each_iteration=True)
    return source.map(load_one, num_parallel_calls=os.cpu_count(), deterministic=True)


def _finished(
    data: tf.data.Dataset, render: Callable[[Any, Any], Any], augment: Any, batch_size: int | None, seed: int
) -> tf.data.Dataset:
    """`(sound or picture, label)` -> rendered in parallel -> batched -> (changed by a function) -> prefetched."""
    import tensorflow as tf

    # Rendered before they are batched: what one example takes fits into a core's cache.
    options: dict[str, Any] = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}
    as_it_is = tf.autograph.experimental.do_not_convert  # converting would take seconds, and change nothing
    if isinstance(augment, Augment):
        numbers = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)
        data = tf.data.Dataset.zip(data, numbers)
        data = data.map(as_it_is(lambda xy, number: (render(xy[0], number), xy[1])), **options)
    else:
        data = data.map(as_it_is(lambda x, y: (render(x, None), y)), **options)
    if batch_size is not None:
        data = data.batch(batch_size)
    if augment is not None and not isinstance(augment, Augment):
        # One batch after the other: a layer draws from a state.
        data = data.map(lambda x, y: (_call(augment, x), y))
    return data.prefetch(tf.data.AUTOTUNE)


def _call(augment: Callable[..., Any], x: Any) -> Any:
    return augment(x, training=True) if isinstance(augment, keras.Layer) else augment(x)
