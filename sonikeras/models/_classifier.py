"""Image classifiers: a backbone and a head."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Literal, get_args

import keras

from sonikeras.models._backbones import _batch_norms, _is_integer, _load, _with_torch_batch_norm
from sonikeras.models._heads import _head_function, _head_model
from sonikeras.models._specs import spec
from sonikeras.models._weight_sources import find_weights

BatchNorm = Literal["training", "inference"]

BATCH_NORMS: tuple[BatchNorm, ...] = get_args(BatchNorm)


_POOLINGS = {"avg": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}

_MIN_SIZE = 32  # every network halves its picture five times


def classifier(
    backbone: str,
    num_classes: int,
    *,
    head: str | keras.layers.Layer | Callable[[keras.KerasTensor], keras.KerasTensor] = "linear",
    weights: str | os.PathLike | None = "imagenet",
    image_size: int | tuple[int, int] | None = None,
    dropout: float | None = None,
    pooling: Literal["auto", "avg", "max"] | None = "auto",
    freeze: bool = False,
    batch_norm: BatchNorm | None = None,
    name: str | None = None,
) -> keras.Model:
    """An image classifier: a network, pretrained or not, and a head.

    The model consists of two models: `model.get_layer("backbone")` (preprocessing, network and pooling: pictures to
    features) and `model.get_layer("head")` (features to logits). You can compute features once and train the head on
    them alone. The head is the same object, so the classifier is trained too.

    Args:
        backbone: String, the network: one of `backbones()`. `"resnet150"` means `"resnet152"`.
        num_classes: Integer, the number of logits.
        head: String, one of `heads()`; or a `keras.layers.Layer`, used unchanged; or a function from features to logits
            that consists of Keras layers and operations. Defaults to `"linear"`.
        weights: String, path object or `None`, the backbone's weights. `"imagenet"` downloads Keras' weights (those of
            `"efficientnet_lite0"` are installed with sonikeras, those of `"efficientnet_lite1"` and
            `"efficientnet_lite2"` with its extra `networks`). `None` draws random weights. A path loads a file of the
            backbone's weights: `.h5`, `.weights.h5`, `.keras`, or a PyTorch state dict, `.pth`. With a `.pth` file the
            network is torchvision's of that name, with its padding and constants, and not that of
            `keras.applications`. Nothing in the file is executed. Defaults to `"imagenet"`.
        image_size: Integer or `(height, width)`, the size of the pictures. Defaults to `spec(backbone).image_size`.
        dropout: Float, 0 <= dropout < 1, the dropout rate of a head given by name. Defaults to
            `spec(backbone).dropout`.
        pooling: `"avg"` or `"max"` over the feature map, `None` for no pooling, or `"auto"`: `None` for the head
            `"attention"` and `"avg"` for any other. Defaults to `"auto"`.
        freeze: Boolean, whether the backbone is frozen. Stochastic depth, where a network has it, still drops blocks in
            `fit`, as in PyTorch. Defaults to `False`.
        batch_norm: String or `None`, the mode of the backbone's batch normalization in training. `"training"`: as in
            PyTorch's `train()` mode, frozen or not, it uses the statistics of the batch and updates the moving averages
            (`sonikeras.layers.TorchBatchNormalization`). `"inference"`: it uses the moving averages and is not trained.
            `None`: as in Keras, `"inference"` for a frozen backbone, and otherwise the statistics of the batch.
            Defaults to `None`.
        name: String, the model's name. Defaults to `"classifier"`.

    Input shape:
        `[batch, height, width, 3]`, RGB in 0..255.

    Output shape:
        `[batch, num_classes]`, float32 logits. The features have shape `[batch, channels]`, or without pooling
        `[batch, height / 32, width / 32, channels]`, rounded up.

    Returns:
        `keras.Model`. It saves, loads and exports without custom objects, unless the head is a layer of your own class.

    Raises:
        ValueError: If an argument breaks its rule, or the head returns logits of another shape.
        FileNotFoundError: If there is no file at the path `weights`.
        ModuleNotFoundError: If the package of the ImageNet weights is not installed. The message says what to do.
        OSError: If the ImageNet weights cannot be downloaded. The message says what to do.

    Reference:
        - [EfficientNet](https://arxiv.org/abs/1905.11946) and its variant
          [Lite](https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite)
        - [ResNet](https://arxiv.org/abs/1512.03385)
        - [torchvision's networks](https://docs.pytorch.org/vision/stable/models.html)

    Example:
        >>> import numpy as np
        >>> from sonikeras import models
        >>> model = models.classifier("efficientnet_lite0", num_classes=10, head="attention")
        >>> model(np.zeros((1, 224, 224, 3))).shape
        TensorShape([1, 10])
        >>> model.get_layer("backbone").output.shape
        (None, 7, 7, 1280)
    """
    chosen = spec(backbone)
    if not _is_integer(num_classes) or num_classes < 1:
        raise ValueError(f"Argument `num_classes` must be an integer >= 1. Received: num_classes={num_classes!r}")
    if pooling not in (poolings := ["auto", *_POOLINGS, None]):
        raise ValueError(f"Argument `pooling` must be one of {poolings}. Received: pooling={pooling!r}")
    if batch_norm not in (modes := [*BATCH_NORMS, None]):
        raise ValueError(f"Argument `batch_norm` must be one of {modes}. Received: batch_norm={batch_norm!r}")
    if pooling == "auto":
        pooling = None if head == "attention" else "avg"
    height, width = _size(chosen.image_size if image_size is None else image_size)
    head_of = _head_function(head, num_classes, chosen, dropout)
    source = find_weights(backbone, weights)

    build = chosen.build
    if source is not None and source.suffix == ".pth" and chosen.torchvision is not None:
        build = chosen.torchvision
    network = build((height, width, 3))
    features = network.output
    if pooling is not None:
        features = _POOLINGS[pooling]()(features)
    backbone_model = keras.Model(network.inputs[0], features, name="backbone")
    if source is not None:
        _load(backbone_model, source, chosen)
    if batch_norm == "training":
        backbone_model = _with_torch_batch_norm(backbone_model, 1 - chosen.momentum)
    elif batch_norm == "inference":
        for layer in _batch_norms(backbone_model):
            layer.trainable = False
    if freeze:
        backbone_model.trainable = False

    pictures = keras.Input((height, width, 3), name="pictures")
    features = backbone_model(pictures)
    head_model = _head_model(head_of, features.shape[1:], num_classes)
    return keras.Model(pictures, head_model(features), name=name or "classifier")


def _size(image_size: int | tuple[int, int]) -> tuple[int, int]:
    size = image_size if isinstance(image_size, (tuple, list)) else (image_size, image_size)
    if len(size) != 2 or not all(_is_integer(length) and length >= _MIN_SIZE for length in size):
        raise ValueError(
            f"Argument `image_size` must be an integer >= {_MIN_SIZE} or a pair of them, (height, width). "
            f"Received: image_size={image_size!r}"
        )
    return int(size[0]), int(size[1])
