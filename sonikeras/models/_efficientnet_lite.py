"""EfficientNet-Lite: the networks, and PyTorch's weights in their layers."""

from __future__ import annotations

import math

import keras
import numpy as np

from sonikeras.models._efficientnet import STAGES
from sonikeras.models._layer_weights import set_layers
from sonikeras.models._specs import backbones

_STOCHASTIC_DEPTH = 0.2

_ENDS = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head", "top_bn": "_bn1"}

_BLOCK = {
    "expand_conv": "_expand_conv",
    "expand_bn": "_bn0",
    "dwconv": "_depthwise_conv",
    "bn": "_bn1",
    "project_conv": "_project_conv",
    "project_bn": "_bn2",
}


def efficientnet_lite(shape: tuple[int, int, int], *, width: float, depth: float) -> keras.Model:
    """KerasCV's EfficientNet-Lite up to its feature map, untrained, for pictures in 0..255.

    The widths of its stem and its last convolution are fixed, and so are the numbers of blocks of the first and the
    last stage.

    Args:
        shape: Integers `(height, width, 3)`, the shape of a picture.
        width: Float, the factor of Lite0's number of channels: 1.0 for Lite1, 1.1 for Lite2.
        depth: Float, the factor of Lite0's number of blocks: 1.1 for Lite1, 1.2 for Lite2.

    Returns:
        `keras.Model`. In training it drops the branch of a block for each image independently, with a probability that
        rises from 0 in the first block to nearly 0.2 in the last (stochastic depth).

    Raises:
        ImportError: KerasCV or TensorFlow is missing.
    """
    try:
        import keras_cv
    except ImportError as error:
        others = [name for name in backbones() if not name.startswith("efficientnet_lite")]
        raise ImportError(
            "EfficientNet-Lite needs KerasCV and TensorFlow, whatever the backend of Keras: "
            f"pip install keras-cv tensorflow. Networks that do not: {others}. Received: {error}"
        ) from error

    blocks = sum(stage.blocks for stage in STAGES)
    scaled = sum(math.ceil(stage.blocks * depth) for stage in STAGES[1:-1]) + STAGES[0].blocks + STAGES[-1].blocks
    network = keras_cv.models.EfficientNetLiteBackbone(
        stackwise_kernel_sizes=[stage.kernel for stage in STAGES],
        stackwise_num_repeats=[stage.blocks for stage in STAGES],
        stackwise_input_filters=[stage.inputs for stage in STAGES],
        stackwise_output_filters=[stage.outputs for stage in STAGES],
        stackwise_expansion_ratios=[stage.expansion for stage in STAGES],
        stackwise_strides=[stage.stride for stage in STAGES],
        width_coefficient=width,
        depth_coefficient=depth,
        # KerasCV divides the position of a block by Lite0's number of blocks, whatever the depth.
        drop_connect_rate=_STOCHASTIC_DEPTH * blocks / scaled,
        include_rescaling=True,
        input_shape=shape,
    )
    # KerasCV scales to 0..1. The published weights expect (x - 127) / 128.
    (rescaling,) = (layer for layer in network.layers if isinstance(layer, keras.layers.Rescaling))
    rescaling.scale, rescaling.offset = 1 / 128, -127 / 128
    return network


def load_efficientnet_lite(backbone: keras.Model, state_dict: dict[str, np.ndarray]) -> None:
    """Copies a PyTorch state dict of EfficientNet-Lite into the layers of a Keras backbone.

    All layers with weights are set by name: see `set_layers`. The keys of the classifier (`_fc.*`) and the counters
    `*.num_batches_tracked` are ignored. If anything is wrong, no layer is changed.

    Args:
        backbone: `keras.Model` with the layers of `keras_cv.models.EfficientNetLiteBackbone`.
        state_dict: Dictionary from parameter names to arrays: see `read_state_dict`.

    Raises:
        ValueError: If keys are missing or unexpected, shapes differ, values are not finite, or the backbone has other
            layers.

    Reference:
        [EfficientNet-Lite](https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite)

    Example:
        >>> from sonikeras import models
        >>> from sonikeras.models import weights
        >>> model = models.classifier("efficientnet_lite0", 10, weights=None, image_size=64)
        >>> state = weights.read_state_dict(weights.installed_path("efficientnet_lite0"))
        >>> weights.load_efficientnet_lite(model.get_layer("backbone"), state)
    """
    prefixes = _prefixes(backbone)
    layers = [layer for layer in backbone.layers if layer.weights]
    if {layer.name for layer in layers} != set(prefixes):
        raise ValueError(
            "`backbone` must have the layers of EfficientNet-Lite. "
            f"Received: backbone={backbone.name!r} with {len(layers)} weighted layers"
        )
    network = f"EfficientNet-Lite of {sum(name.endswith('_dwconv') for name in prefixes)} blocks"
    set_layers({prefixes[layer.name]: layer for layer in layers}, state_dict, network, ("_fc.",))


def _prefixes(backbone: keras.Model) -> dict[str, str]:
    """The prefix of the PyTorch keys of each layer with weights, by the layer's name."""
    blocks = sorted(layer.name.removesuffix("dwconv") for layer in backbone.layers if layer.name.endswith("_dwconv"))
    prefixes = dict(_ENDS)
    for index, block in enumerate(blocks):
        # The first block does not expand.
        parts = {name: key for name, key in _BLOCK.items() if index or not name.startswith("expand")}
        prefixes |= {block + name: f"_blocks.{index}.{key}" for name, key in parts.items()}
    return prefixes
