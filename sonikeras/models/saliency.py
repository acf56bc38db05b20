"""What a classifier looks at: a heat map of its picture, laid back onto the image, and onto time and frequency."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from sonikeras.config import SonificationConfig, as_config
from sonikeras.signal import pictures as drawing


def grad_cam(model: keras.Model, pictures: np.ndarray, classes: Any = None) -> np.ndarray:
    """Heat maps of what in a picture speaks for a class: Grad-CAM.

    The network's last feature map, before pooling, is summed over its channels, each weighted by the mean gradient of
    the class's logit with respect to it. What is negative counts as 0. The result is enlarged to the picture, so it is
    as coarse as that feature map: 7 x 7 of a picture of 224 x 224. Each of these places has looked at a large part of
    the picture, so the map says where what counts was found, and not which pixels it was.

    Args:
        model: Keras model that `sonikeras.models.classifier` made, or that was loaded from its file.
        pictures: float or uint8 array `[batch, height, width, 3]` in 0..255, of the size that the model takes.
        classes: Integer array `[batch]`, or one integer for all: the classes that are asked about. Defaults to `None`:
            those that the model predicts.

    Returns:
        float32 array `[batch, height, width]` in 0..1. The highest value of each picture is 1; all are 0 where nothing
        in it speaks for the class.

    Raises:
        ValueError: If `model` is no such model, or `pictures` or `classes` do not fit it.
        RuntimeError: If Keras has another backend than TensorFlow.

    Reference:
        Selvaraju et al., [Grad-CAM: visual explanations from deep networks via gradient-based
        localization](https://arxiv.org/abs/1610.02391), ICCV 2017.

    Example:
        >>> import numpy as np
        >>> from sonikeras import models
        >>> model = models.classifier("efficientnet_lite0", 3, weights=None, image_size=64)
        >>> heat = grad_cam(model, np.random.rand(2, 64, 64, 3) * 255, classes=1)
        >>> heat.shape, heat.dtype
        ((2, 64, 64), dtype('float32'))
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            f"Grad-CAM needs the TensorFlow backend of Keras. Received: KERAS_BACKEND={keras.backend.backend()}"
        )
    import tensorflow as tf

    network, pooling, head = _parts(model)
    pictures = np.asarray(pictures, np.float32)
    size = tuple(model.input_shape[1:])
    if pictures.ndim != 4 or pictures.shape[1:] != size or not len(pictures):
        raise ValueError(
            f"Argument `pictures` must have shape (batch, {', '.join(map(str, size))}), with one picture or more. "
            f"Received: pictures of shape {pictures.shape}"
        )
    maps = tf.cast(network(pictures, training=False), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        logits = head(pooling(maps), training=False)
        asked = np.argmax(logits, axis=1) if classes is None else _checked(classes, *logits.shape)
        scores = tf.gather(logits, asked, axis=1, batch_dims=1)
    weights = tf.reduce_mean(tape.gradient(scores, maps), axis=(1, 2), keepdims=True)
    heat = tf.nn.relu(tf.reduce_sum(weights * maps, axis=-1, keepdims=True))
    heat = tf.image.resize(heat, size[:2])[..., 0].numpy()
    highest = heat.max(axis=(1, 2), keepdims=True)
    return heat / np.where(highest > 0, highest, 1)


def _parts(model: keras.Model) -> tuple[keras.Model, Any, keras.Model]:
    """A classifier as pictures to feature map, feature map to features, and features to logits."""
    layers = {layer.name: layer for layer in getattr(model, "layers", ())}
    if not {"backbone", "head"} <= set(layers):
        raise ValueError(
            "Argument `model` must be a model of `sonikeras.models.classifier`, with the layers 'backbone' and 'head'; "
            "of `averaged_over_flips` it is the layer that was averaged. "
            f"Received: a {type(model).__name__} with the layers {list(layers)}"
        )
    backbone, head = layers["backbone"], layers["head"]
    if len(backbone.output.shape) == 4:  # without pooling
        return backbone, lambda maps: maps, head
    pooling = backbone.layers[-1]
    return keras.Model(backbone.inputs[0], pooling.input), pooling, head


def _checked(classes: Any, batch: int, count: int) -> np.ndarray:
    array = np.asarray(classes)
    if array.dtype.kind not in "iu" or array.shape not in ((), (batch,)) or array.min() < 0 or array.max() >= count:
        raise ValueError(
            f"Argument `classes` must be None, an integer or {batch} integers, one a picture, from 0 to {count - 1}. "
            f"Received: classes={classes!r}"
        )
    return np.broadcast_to(array, (batch,))


def uncropped(
    heat: np.ndarray,
    picture_size: tuple[int, int],
    *,
    size: tuple[int, int] | None = None,
    shorter_side: int | None = None,
) -> np.ndarray:
    """A heat map of what a network was fed, laid back onto what that was resized and cropped from.

    The picture of a sound shows the whole image that the sound was made of, so one heat map serves both:
    `uncropped(heat, config.picture_size)` lies over `sonikeras.picture`, with `size=image.shape[:2]` over the image. A
    classifier of the images themselves is fed the image: there `picture_size` is `image.shape[:2]` too.

    Args:
        heat: float array `[height, width]` in 0..1, one of `grad_cam`'s.
        picture_size: `(height, width)` of what was resized and cropped.
        size: `(height, width)` of the result. Defaults to `picture_size`.
        shorter_side: Integer or `None`, as `sonikeras.dataset` had it. Defaults to `None`.

    Returns:
        float32 array `[*size]` in 0..1; 0 where the picture was cut off, which the network never saw.

    Raises:
        ValueError: If `shorter_side` does not fit the sizes.

    Example:
        >>> import numpy as np
        >>> heat = uncropped(np.ones((224, 224)), (600, 1200), shorter_side=256)
        >>> heat.shape, round(float(heat.mean()), 2)
        ((600, 1200), 0.38)
    """
    import cv2

    heat = np.asarray(heat, np.float32)
    (top, height), (left, width) = drawing.crop_box(picture_size, image_size=heat.shape, shorter_side=shorter_side)
    below, right = height - top - heat.shape[0], width - left - heat.shape[1]
    whole = np.pad(heat, ((top, below), (left, right)))
    height, width = picture_size if size is None else size
    shrinks = height < whole.shape[0] or width < whole.shape[1]
    return cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def extent(config: str | SonificationConfig) -> tuple[float, float, float, float]:
    """Where in a sound the edges of its picture are, in time and frequency.

    Args:
        config: Preset or `SonificationConfig`.

    Returns:
        `(start, end, low, high)`: times of the left and right edge in s, frequencies of the lower and upper one in Hz,
        as matplotlib's `extent`. Each frame is one step wide around its middle, so the first one may begin before 0.

    Example:
        >>> [round(edge, 3) for edge in extent("study")]
        [-0.012, 2.961, 0.0, 11025.0]
    """
    config = as_config(config)
    analysis = config.analysis
    step, half, centered = analysis.frame_step, config.sample_rate / 2, analysis.transform == "stft"
    # Frames of the STFT have their middle at multiples of the step from 0 on, those of the MDCT from one step on.
    frames = config.samples // step + (1 if centered else -1)
    start = -step / 2 if centered else step / 2
    edge = 0.0
    if centered and config.drawing == "resize":  # whole bins, of which the lowest and the highest have 0 and half
        edge = half / analysis.fft_length
    return start / config.sample_rate, (start + frames * step) / config.sample_rate, 0.0 - edge, half + edge
