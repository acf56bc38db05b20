"""torchvision's EfficientNets and ResNets in Keras: the same weights give the same features.

The networks of `keras.applications` with the same names differ. They pad images of even size on one side only, have
their strides in other layers, and normalize with other constants. Here, the name of each layer with weights is the
prefix of its keys in torchvision's state dict, so no table of names is needed.
"""

from __future__ import annotations

import math

import keras
import numpy as np

from sonikeras.models._efficientnet import STAGES
from sonikeras.models._layer_weights import set_layers

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406])


IMAGENET_STD = np.array([0.229, 0.224, 0.225])


_CLASSIFIERS = ("classifier.", "fc.")


_STOCHASTIC_DEPTH = 0.2


def efficientnet(shape: tuple[int, int, int], *, width: float, depth: float, epsilon: float) -> keras.Model:
    """torchvision's EfficientNet up to its feature map, untrained.

    Args:
        shape: Integers `(height, width, 3)`, the shape of a picture.
        width: Float, the factor of B0's number of channels: 1.0 for B0, 1.6 for B5, 2.0 for B7.
        depth: Float, the factor of B0's number of blocks: 1.0 for B0, 2.2 for B5, 3.1 for B7.
        epsilon: Float, the epsilon of batch normalization: 1e-5 for B0, 1e-3 for B5 and B7.

    Input shape:
        `[batch, height, width, 3]`, RGB in 0..255. The model includes torchvision's scaling and normalization.

    Output shape:
        `[batch, height / 32, width / 32, channels]`, rounded up.

    Returns:
        `keras.Model`. In training it drops the branch of a block for each image independently, with a probability that
        rises from 0 in the first block to nearly 0.2 in the last (stochastic depth).

    Reference:
        - [EfficientNet](https://arxiv.org/abs/1905.11946), [stochastic depth](https://arxiv.org/abs/1603.09382)
        - [torchvision's](https://docs.pytorch.org/vision/stable/models/efficientnet.html)

    Example:
        >>> from sonikeras.models import _torchvision as torchvision_networks
        >>> network = torchvision_networks.efficientnet((64, 64, 3), width=1.0, depth=1.0, epsilon=1e-5)
        >>> network.output.shape
        (None, 2, 2, 1280)
    """
    stages = [
        (expansion, kernel, stride, _divisible(inputs * width), _divisible(outputs * width), math.ceil(blocks * depth))
        for expansion, kernel, stride, inputs, outputs, blocks in STAGES
    ]
    total = sum(blocks for *_, blocks in stages)
    pictures = keras.Input(shape)
    x = _convolution(_normalized(pictures), _pair("features.0"), stages[0][3], 3, 2, "silu", epsilon)
    count = 0
    for stage, (expansion, kernel, first_stride, _, outputs, blocks) in enumerate(stages, 1):
        for block in range(blocks):
            name = f"features.{stage}.{block}.block"
            stride = 1 if block else first_stride
            branch = _inverted_bottleneck(x, name, expansion, kernel, stride, outputs, epsilon)
            if branch.shape == x.shape and stride == 1:
                rate = _STOCHASTIC_DEPTH * count / total
                branch = keras.layers.Add()([keras.layers.Dropout(rate, (None, 1, 1, 1))(branch), x])
            x = branch
            count += 1
    x = _convolution(x, _pair(f"features.{len(stages) + 1}"), 4 * x.shape[-1], 1, 1, "silu", epsilon)
    return keras.Model(pictures, x)


def resnet(shape: tuple[int, int, int], *, blocks: tuple[int, int, int, int]) -> keras.Model:
    """torchvision's ResNet of bottleneck blocks up to its feature map, untrained.

    It is the variant "v1.5": the stride of a block is in its 3 x 3 convolution.

    Args:
        shape: Integers `(height, width, 3)`, the shape of a picture.
        blocks: Four integers, the number of blocks of each stage: `(3, 4, 6, 3)` for ResNet50, `(3, 8, 36, 3)` for
            ResNet152.

    Input shape:
        `[batch, height, width, 3]`, RGB in 0..255. The model includes torchvision's scaling and normalization.

    Output shape:
        `[batch, height / 32, width / 32, 2048]`, rounded up.

    Returns:
        `keras.Model`.

    Reference:
        - [ResNet](https://arxiv.org/abs/1512.03385)
        - [torchvision's](https://docs.pytorch.org/vision/stable/models/resnet.html)

    Example:
        >>> from sonikeras.models import _torchvision as torchvision_networks
        >>> network = torchvision_networks.resnet((64, 64, 3), blocks=(3, 4, 6, 3))
        >>> network.output.shape
        (None, 2, 2, 2048)
    """
    pictures = keras.Input(shape)
    x = _convolution(_normalized(pictures), ("conv1", "bn1"), 64, 7, 2, "relu")
    # After a ReLU, padding with zeros does not change a maximum.
    x = keras.layers.MaxPooling2D(3, 2)(keras.layers.ZeroPadding2D(1)(x))
    for stage, count in enumerate(blocks, 1):
        for block in range(count):
            stride = 2 if stage > 1 and not block else 1
            x = _bottleneck(x, f"layer{stage}.{block}", 32 * 2**stage, stride, project=not block)
    return keras.Model(pictures, x)


def load_state_dict(network: keras.Model, state_dict: dict[str, np.ndarray]) -> None:
    """Copies a state dict of torchvision into a network of this module, or into a model made of its layers.

    The keys of the classifier (`classifier.*`, `fc.*`) and the counters `*.num_batches_tracked` are ignored. If
    anything is wrong, no layer is changed.

    Args:
        network: `keras.Model` with the layers of `efficientnet` or `resnet`.
        state_dict: Dictionary from parameter names to arrays: see `sonikeras.models.weights.read_state_dict`.

    Raises:
        ValueError: If keys are missing or unexpected, shapes differ, or values are not finite.

    Reference:
        [`torch.nn.Module.state_dict`](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html)

    Example:
        >>> from sonikeras.models import _torchvision as torchvision_networks
        >>> network = torchvision_networks.resnet((64, 64, 3), blocks=(1, 1, 1, 1))
        >>> torchvision_networks.load_state_dict(network, {"fc.bias": np.zeros(1000)})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: `state_dict` must have exactly the keys of torchvision's network. Received: missing ...
    """
    layers = {layer.name: layer for layer in network.layers if layer.weights}
    set_layers(layers, state_dict, "torchvision's network", _CLASSIFIERS)


def _divisible(channels: float) -> int:
    """The multiple of 8 nearest to `channels`, but at most a tenth below."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


def _normalized(pictures: keras.KerasTensor) -> keras.KerasTensor:
    scale, offset = 1 / (255 * IMAGENET_STD), -IMAGENET_MEAN / IMAGENET_STD
    return keras.layers.Rescaling(scale.tolist(), offset.tolist())(pictures)


def _pair(name: str) -> tuple[str, str]:
    return f"{name}.0", f"{name}.1"


def _convolution(
    x: keras.KerasTensor,
    names: tuple[str, str],
    filters: int | None,
    kernel: int = 1,
    stride: int = 1,
    activation: str | None = None,
    epsilon: float = 1e-5,
) -> keras.KerasTensor:
    """Convolution, depthwise if `filters` is `None`, and batch normalization. All sides are padded equally."""
    options = {"strides": stride, "padding": "valid", "use_bias": False, "name": names[0]}
    if stride == 1:
        options["padding"] = "same"
    elif kernel > 1:  # with a stride, "same" pads an even length more at its end
        x = keras.layers.ZeroPadding2D(kernel // 2)(x)
    if filters is None:
        x = keras.layers.DepthwiseConv2D(kernel, **options)(x)
    else:
        x = keras.layers.Conv2D(filters, kernel, **options)(x)
    x = keras.layers.BatchNormalization(epsilon=epsilon, name=names[1])(x)
    return keras.layers.Activation(activation)(x) if activation else x


def _inverted_bottleneck(
    x: keras.KerasTensor, name: str, expansion: int, kernel: int, stride: int, outputs: int, epsilon: float
) -> keras.KerasTensor:
    inputs = x.shape[-1]
    squeezed, expanded = max(1, inputs // 4), _divisible(inputs * expansion)
    index = int(expanded != inputs)  # the depthwise convolution's position in the block
    if index:
        x = _convolution(x, _pair(f"{name}.0"), expanded, 1, 1, "silu", epsilon)
    x = _convolution(x, _pair(f"{name}.{index}"), None, kernel, stride, "silu", epsilon)
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = keras.layers.Conv2D(squeezed, 1, activation="silu", name=f"{name}.{index + 1}.fc1")(gate)
    gate = keras.layers.Conv2D(expanded, 1, activation="sigmoid", name=f"{name}.{index + 1}.fc2")(gate)
    x = keras.layers.Multiply()([x, gate])
    return _convolution(x, _pair(f"{name}.{index + 2}"), outputs, epsilon=epsilon)


def _bottleneck(x: keras.KerasTensor, name: str, channels: int, stride: int, project: bool) -> keras.KerasTensor:
    branch = _convolution(x, (f"{name}.conv1", f"{name}.bn1"), channels, activation="relu")
    branch = _convolution(branch, (f"{name}.conv2", f"{name}.bn2"), channels, 3, stride, "relu")
    branch = _convolution(branch, (f"{name}.conv3", f"{name}.bn3"), 4 * channels)
    if project:
        x = _convolution(x, _pair(f"{name}.downsample"), 4 * channels, stride=stride)
    return keras.layers.Activation("relu")(keras.layers.Add()([branch, x]))
