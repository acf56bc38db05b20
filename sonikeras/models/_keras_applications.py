"""The networks of `keras.applications`, for pictures in 0..255."""

from __future__ import annotations

import keras
import keras.applications
import numpy as np

from sonikeras.models._torchvision import IMAGENET_MEAN, IMAGENET_STD

_IMAGENET_MEAN_BGR = (103.939, 116.779, 123.68)


def efficientnet(shape: tuple[int, int, int], *, application: str) -> keras.Model:
    """Keras' EfficientNet for pictures in 0..255. It normalizes as for ImageNet, whatever its weights."""
    network = getattr(keras.applications, application)(include_top=False, weights=None, input_shape=shape)
    set_normalization(network, IMAGENET_MEAN, IMAGENET_STD**2)
    return network


def resnet(shape: tuple[int, int, int], *, application: str) -> keras.Model:
    """Keras' ResNet for RGB pictures in 0..255. It includes `keras.applications.resnet.preprocess_input`."""
    inputs = keras.Input(shape)
    bgr = keras.ops.flip(inputs, axis=-1)
    centered = keras.layers.Rescaling(1.0, offset=[-mean for mean in _IMAGENET_MEAN_BGR])(bgr)
    return getattr(keras.applications, application)(include_top=False, weights=None, input_tensor=centered)


def set_normalization(network: keras.Model, mean: np.ndarray, variance: np.ndarray) -> None:
    """Sets the constants of a network's normalization layer."""
    layer = next(layer for layer in network.layers if isinstance(layer, keras.layers.Normalization))
    layer.adapt_mean.assign(mean)
    layer.adapt_variance.assign(variance)
    layer.finalize_state()
