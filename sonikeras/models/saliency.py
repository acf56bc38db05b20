"""Grad-CAM: heat maps of a classifier, on its picture, on the image, and over time and frequency."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from sonikeras.config import SonificationConfig, as_config
from sonikeras.config._raster import row_edges
from sonikeras.signal import pictures as drawing
from sonikeras.signal.raster import band_of


def grad_cam(model: keras.Model, pictures: np.ndarray, classes: Any = None) -> np.ndarray:
    """Grad-CAM heat maps: the evidence for a class at each place of a picture.

    Grad-CAM sums the network's last feature map over its channels, each weighted by the mean gradient of the class's
    logit with respect to the channel. Negative sums become 0. The result is enlarged to the picture, so it is as coarse
    as the feature map: 7 x 7 for a picture of 224 x 224. Each position has a large receptive field. The map thus shows
    roughly where the evidence is, but not which pixels are evidence.

    Args:
        model: Keras model of `sonikeras.models.classifier`, new or loaded.
        pictures: float or uint8 array `[batch, height, width, 3]` in 0..255, of the model's input size.
        classes: Integer array `[batch]`, or one integer for all pictures: the classes to explain. Defaults to `None`:
            the predicted classes.

    Returns:
        float32 array `[batch, height, width]` in 0..1. The maximum of each picture is 1. A map is all 0 if nothing in
        the picture is evidence for the class.

    Raises:
        ValueError: If `model` is another model, or `pictures` or `classes` do not fit it.
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
    """A classifier in three parts: pictures to feature map, feature map to features, features to logits."""
    layers = {layer.name: layer for layer in getattr(model, "layers", ())}
    if not {"backbone", "head"} <= set(layers):
        raise ValueError(
            "Argument `model` must be a model of `sonikeras.models.classifier`, with the layers 'backbone' and 'head'. "
            "For a model of `averaged_over_flips`, pass the classifier in it. "
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
    """Maps a heat map back to the picture before resizing and cropping, or to the image.

    The spectrogram picture covers the whole image, so one heat map fits both: `uncropped(heat, config.picture_size)`
    fits `sonikeras.picture`, and with `size=image.shape[:2]` it fits the image. For a classifier of the images
    themselves, pass `image.shape[:2]` as `picture_size` too.

    Args:
        heat: float array `[height, width]` in 0..1, one of `grad_cam`'s maps.
        picture_size: `(height, width)` of the picture before resizing and cropping.
        size: `(height, width)` of the result. Defaults to `picture_size`.
        shorter_side: Integer or `None`, the argument of `sonikeras.dataset`. Defaults to `None`.

    Returns:
        float32 array `[*size]` in 0..1. It is 0 where the picture was cropped.

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
    """The edges of a spectrogram picture in time and frequency.

    Between the lower and the upper edge, the rows of oscillators are evenly spaced on the config's `frequency_scale`.

    Args:
        config: Preset or `SonificationConfig`.

    Returns:
        `(start, end, low, high)`: times of the left and right edge in s, frequencies of the lower and upper edge in Hz,
        as in matplotlib's `extent`. A frame is one step wide around its center, so the first may begin before 0. With
        a log or mel axis, rows are evenly spaced on that scale between the two frequencies. With `color`, the times are
        those of the first plane, luma or red.

    Example:
        >>> [round(edge, 3) for edge in extent("study")]
        [-0.012, 2.961, 0.0, 11025.0]
    """
    config = as_config(config)
    analysis = config.analysis
    if analysis.transform == "oscillators":
        edges = row_edges(config)
        columns = config.samples // analysis.frame_step
        return 0.0, columns * analysis.frame_step / config.sample_rate, float(edges[0]), float(edges[-1])
    step, centered = analysis.frame_step, analysis.transform == "stft"
    # The centers of STFT frames are multiples of the step from 0 on, those of MDCT frames from one step on.
    frames = config.samples // step + (1 if centered else -1)
    if config.color != "gray":
        frames = config.image_shape[1]
    start = -step / 2 if centered else step / 2
    if config.frequency_scale == "linear":
        band, width = band_of(config, analysis), config.sample_rate / analysis.fft_length
        low, high = band.start * width, band.stop * width
        if centered:  # multiples of the width are the centers of its bins, not the edges
            low, high = low - width / 2, high - width / 2
            if config.drawing == "specshow":  # from the lowest center to the highest
                low, high = low + width / 2, high - width / 2
    else:
        low, high = (float(edge) for edge in row_edges(config)[[0, -1]])
    return start / config.sample_rate, (start + frames * step) / config.sample_rate, low, high
