"""The backbone of a classifier: its weights, its batch normalization, and the layers that are trained."""

from __future__ import annotations

import numbers
import warnings
from pathlib import Path

import keras
import numpy as np

from sonikeras.layers import TorchBatchNormalization
from sonikeras.models import _torchvision as torchvision_networks, weights as weight_files
from sonikeras.models._keras_applications import set_normalization
from sonikeras.models._specs import BackboneSpec
from sonikeras.models._torchvision import IMAGENET_STD


def _batch_norms(network: keras.Model) -> list[keras.layers.BatchNormalization]:
    return [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]


def _with_torch_batch_norm(network: keras.Model, momentum: float) -> keras.Model:
    """A copy of `network` and its weights, with PyTorch's batch normalization."""

    def clone(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if not isinstance(layer, keras.layers.BatchNormalization):
            return layer.__class__.from_config(config)
        return TorchBatchNormalization.from_config(config | {"momentum": momentum})

    copy = keras.models.clone_model(network, clone_function=clone)
    copy.set_weights(network.get_weights())
    for layer in copy.layers:
        if isinstance(layer, keras.layers.Normalization):  # it computes with copies of its weights
            layer.finalize_state()
    return copy


def _is_integer(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _load(backbone: keras.Model, path: Path, chosen: BackboneSpec) -> None:
    try:
        if path.suffix != ".pth":
            with warnings.catch_warnings():
                # Keras warns hundreds of times of a foreign file before it raises.
                warnings.filterwarnings("ignore", "Skipping nested container")
                backbone.load_weights(path)
        elif chosen.torchvision is None:
            weight_files.load_efficientnet_lite(backbone, weight_files.read_state_dict(path))
        else:
            torchvision_networks.load_state_dict(backbone, weight_files.read_state_dict(path))
    except Exception as error:  # Keras, h5py and zipfile raise different errors for a damaged or foreign file
        kind, fault = "a Keras file without the ImageNet classifier", str(error).partition("\n")[0]
        if path.suffix == ".pth":
            source = "EfficientNet-Lite" if chosen.torchvision is None else "torchvision's network of that name"
            kind = f"a PyTorch state dict of {source}"
        elif weight_files.is_pytorch(path):
            fault = "there is a PyTorch file: its name must end in .pth"
        raise ValueError(
            f"Argument `weights` must be a file of the weights of backbone={chosen.name!r}, {kind}. "
            f"Received: weights={str(path)!r}, which does not load: {fault}"
        ) from error
    for layer in backbone.layers:
        # Keras' files of EfficientNet hold the standard deviation in place of the variance, which Keras corrects with
        # another layer. Here the variance is corrected, so that the layers do not depend on the source of the weights.
        if isinstance(layer, keras.layers.Normalization) and np.allclose(layer.adapt_variance, IMAGENET_STD):
            set_normalization(backbone, np.array(layer.adapt_mean), IMAGENET_STD**2)


def unfreeze(backbone: keras.Model, *, stages: int, batch_norm: bool) -> None:
    """Makes the last stages of a backbone trainable, and freezes all layers before them.

    Args:
        backbone: Keras model, such as `model.get_layer("backbone")` of a classifier.
        stages: Integer, the number of stages. A stage is the layers whose feature maps have the same size. Five stages
            are the whole network.
        batch_norm: Boolean, whether the batch normalizations of these stages are trainable too.

    Raises:
        ValueError: If `stages` is not a positive integer.

    Example:
        >>> from sonikeras import models
        >>> model = models.classifier("efficientnet_lite0", 10, weights=None, image_size=64, freeze=True)
        >>> models.unfreeze(model.get_layer("backbone"), stages=1, batch_norm=False)
        >>> model.trainable_variables[0].path
        'block6a_dwconv/kernel'
    """
    if not _is_integer(stages) or stages < 1:
        raise ValueError(f"Argument `stages` must be an integer >= 1. Received: stages={stages!r}")
    # The maps of squeeze-and-excitation have one pixel; they are no stage. They have no batch normalization.
    sizes = sorted({layer.output.shape[1] for layer in _batch_norms(backbone)})
    largest = sizes[min(stages, len(sizes)) - 1]
    weighted = [layer for layer in backbone.layers if layer.weights]
    first = next(layer for layer in _batch_norms(backbone) if layer.output.shape[1] <= largest)
    tuned = weighted[weighted.index(first) - 1 :]  # with the convolution before it
    if not batch_norm:
        tuned = [layer for layer in tuned if not isinstance(layer, keras.layers.BatchNormalization)]
    backbone.trainable = True
    for layer in backbone.layers:
        layer.trainable = layer in tuned
