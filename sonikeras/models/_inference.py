"""Inference: batches, averages over mirrored pictures, models without their training state."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from sonikeras.signal._backend import is_foreign


def predict_batch(model: keras.Model, inputs: Any) -> np.ndarray:
    """`model.predict_on_batch`, corrected for `tf.distribute`, where Keras returns a copy of the outputs per replica.

    Args:
        model: Keras model.
        inputs: A batch of the model's inputs.

    Returns:
        The model's outputs for the batch.
    """
    # JAX does not accept TensorFlow's tensors, which `tf.data` yields.
    outputs = model.predict_on_batch(np.asarray(inputs) if is_foreign(inputs) else inputs)
    strategy = getattr(model, "distribute_strategy", None)
    return outputs if strategy is None else outputs[: len(outputs) // strategy.num_replicas_in_sync]


def averaged_over_flips(model: keras.Model) -> keras.Model:
    """A model that averages the logits of each picture and of its mirror image: test-time augmentation.

    Args:
        model: Keras model from pictures `[batch, height, width, 3]` to logits. It is shared, not copied.

    Returns:
        `keras.Model` of the same shapes.

    Example:
        >>> import numpy as np
        >>> from sonikeras import models
        >>> model = models.averaged_over_flips(models.classifier("efficientnet_lite0", 3, weights=None, image_size=64))
        >>> x = np.random.rand(1, 64, 64, 3) * 255
        >>> bool(np.allclose(model(x), model(x[:, :, ::-1]), atol=1e-5))
        True
    """
    pictures = keras.Input(model.input_shape[1:], name="pictures")
    both = [model(pictures), model(keras.ops.flip(pictures, axis=2))]
    return keras.Model(pictures, keras.layers.Average(dtype="float32")(both), name=model.name)


def uncompiled(model: keras.Model) -> keras.Model:
    """A new model of the same layers. Compile and train it, and `model` is saved without optimizer and loss.

    Args:
        model: Functional Keras model. Its layers are shared, not copied.

    Returns:
        `keras.Model`, not compiled.
    """
    return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
