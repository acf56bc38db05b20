"""The backbone of a classifier: its weights, its batch normalization, and the layers that are trained."""

from __future__ import annotations

import numbers
import os
from pathlib import Path

import keras
import numpy as np

from sonikeras.layers import TorchBatchNormalization
from sonikeras.models import _torchvision as torchvision_networks, weights as weight_files
from sonikeras.models._keras_applications import set_normalization
from sonikeras.models._specs import BackboneSpec
from sonikeras.models._torchvision import IMAGENET_STD

_SUFFIXES = (".keras", ".weights.h5", ".h5", ".pth")


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


def _weights_source(weights: str | os.PathLike | None, chosen: BackboneSpec) -> Path | None:
    """The file of weights that `weights` stands for, downloaded if necessary; or `None` for random weights."""
    if weights is None:
        return None
    if weights == "imagenet":
        return weight_files.efficientnet_lite0_path() if chosen.url is None else _download(chosen.url, chosen)
    if not isinstance(weights, (str, os.PathLike)) or not str(weights).endswith(_SUFFIXES):
        raise ValueError(
            f"Argument `weights` must be 'imagenet', None or a path that ends with one of {list(_SUFFIXES)}. "
            f"Received: weights={weights!r}{_renaming(str(weights))}"
        )
    path = Path(weights).expanduser()
    if not path.is_file():
        fault = ", a folder" if path.is_dir() else ""
        raise FileNotFoundError(
            f"Argument `weights` must be the path of a file. Received: weights={str(weights)!r}{fault}"
        )
    return path


def _renaming(path: str) -> str:
    """Advice for a file with another ending of PyTorch files, as the end of an error message."""
    if path.endswith(".safetensors"):
        return ". In PyTorch, torch.save writes the tensors of such a file as a .pth file"
    if path.lower().endswith((".pt", ".bin", ".tar", ".ckpt", ".pth")):
        return ". A PyTorch state dict must have a name that ends in .pth"
    return ""


def _download(url: str, chosen: BackboneSpec) -> Path:
    file = url.rsplit("/", 1)[-1]
    try:
        return Path(keras.utils.get_file(file, url, cache_subdir="models", file_hash=chosen.md5))
    except Exception as error:  # Keras raises a bare Exception when there is no network
        raise OSError(
            f"The ImageNet weights of backbone={chosen.name!r} could not be downloaded: {error}\n"
            f"Put {file} from {url} into ~/.keras/models ($KERAS_HOME/models if KERAS_HOME is set), or pass "
            "weights=PATH of that file, or weights=None for random weights, or backbone='efficientnet_lite0', whose "
            "weights are installed with sonikeras."
        ) from error


def _load(backbone: keras.Model, path: Path, chosen: BackboneSpec) -> None:
    try:
        if path.suffix != ".pth":
            backbone.load_weights(path)
        elif chosen.torchvision is None:
            weight_files.load_efficientnet_lite0(backbone, weight_files.read_state_dict(path))
        else:
            torchvision_networks.load_state_dict(backbone, weight_files.read_state_dict(path))
    except Exception as error:  # Keras, h5py and zipfile raise different errors for a damaged or foreign file
        kind, fault = "a Keras file without the ImageNet classifier", str(error).partition("\n")[0]
        if path.suffix == ".pth":
            source = "EfficientNet-Lite0" if chosen.torchvision is None else "torchvision's network of that name"
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
