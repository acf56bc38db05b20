"""The `tf.data` stages: examples are loaded, drawn and batched."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from sonikeras.datasets._calls import numpy_function
from sonikeras.datasets._rendering import Rendering
from sonikeras.datasets.augmentation import Augment
from sonikeras.sources import Examples

if TYPE_CHECKING:
    import tensorflow as tf


def load(examples: Examples, rendering: Rendering, *, shuffle: bool) -> tf.data.Dataset:
    """The loaded examples, in parallel.

    Args:
        examples: `Examples`.
        rendering: `Rendering`, whose `loader` is used.
        shuffle: Boolean, whether to shuffle in each epoch, by the rendering's seed.

    Returns:
        A `tf.data.Dataset` of `(audio or pixels, label)`.
    """
    import tensorflow as tf

    loader = rendering.loader(examples)

    @tf.autograph.experimental.do_not_convert  # there is nothing to convert, and asking takes time in each call
    def load_one(index: Any, label: Any) -> tuple[Any, Any]:
        x = numpy_function(lambda i: loader(int(i)), [index], rendering.loaded_dtype)
        return tf.ensure_shape(x, rendering.loaded_shape), label

    # Indices are shuffled instead of examples: the order is uniform and takes no memory for examples.
    data = tf.data.Dataset.from_tensor_slices((np.arange(len(examples)), examples.labels))
    if shuffle:
        data = data.shuffle(len(examples), seed=rendering.seed, reshuffle_each_iteration=True)
    # More threads than cores would only wait for each other: Python runs between the array operations.
    return data.map(load_one, num_parallel_calls=os.cpu_count(), deterministic=True)


def batches(
    data: tf.data.Dataset, rendering: Rendering, *, batch_size: int | None, augment: Any = None
) -> tf.data.Dataset:
    """Draws loaded examples in parallel, batches and prefetches them.

    Args:
        data: `tf.data.Dataset` of `(audio or pixels, label)`.
        rendering: `Rendering`, whose `draw` is used.
        batch_size: Integer, or `None` for single examples.
        augment: `Augment`, drawn by the rendering's seed, or a function or Keras layer, which is applied to batches.
            Defaults to `None`.

    Returns:
        A `tf.data.Dataset` of `(output, label)`.

    Example:
        >>> from sonikeras.datasets import Rendering, batches, load
        >>> from sonikeras.sources import Selection
        >>> examples = Selection("c2", images_per_class=10).examples("train")
        >>> rendering = Rendering(output="image", image_size=64)
        >>> train = batches(load(examples, rendering, shuffle=True), rendering, batch_size=8)
        >>> train.element_spec[0].shape
        TensorShape([None, 64, 64, 3])
    """
    import tensorflow as tf

    # Examples are drawn before they are batched: one fits into the cache of a core.
    options: dict[str, Any] = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}
    unconverted = tf.autograph.experimental.do_not_convert  # conversion would take seconds and change nothing
    if isinstance(augment, Augment):
        numbers = tf.data.Dataset.random(rendering.seed, rerandomize_each_iteration=True)
        data = tf.data.Dataset.zip(data, numbers)
        data = data.map(
            unconverted(lambda xy, number: (_augmented(rendering, augment, xy[0], number), xy[1])), **options
        )
    else:
        data = data.map(unconverted(lambda x, y: (rendering.draw(x), y)), **options)
    if batch_size is not None:
        data = data.batch(batch_size)
    if augment is not None and not isinstance(augment, Augment):
        # One batch after another: a layer draws from a state.
        data = data.map(lambda x, y: (_call(augment, x), y))
    return data.prefetch(tf.data.AUTOTUNE)


def _augmented(rendering: Rendering, augment: Augment, x: Any, number: Any) -> Any:
    """The output for a loaded example, with the changes that a number decides."""
    return rendering.draw(
        x,
        change_audio=functools.partial(augment.change_audio, number=number) if augment.changes_audio else None,
        change_picture=functools.partial(augment.change_picture, number=number) if augment.changes_picture else None,
    )


def _call(augment: Callable[..., Any], x: Any) -> Any:
    return augment(x, training=True) if isinstance(augment, keras.Layer) else augment(x)
