"""Backbones: pretrained networks without their classifiers."""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import keras
import keras.applications as nets
import numpy as np

from sonikeras.layers import TorchBatchNormalization
from sonikeras.models import _torchvision as torchvision_networks, weights as weight_files
from sonikeras.models._efficientnet_lite import efficientnet_lite0
from sonikeras.models._torchvision import IMAGENET_MEAN, IMAGENET_STD

_IMAGENET_MEAN_BGR = (103.939, 116.779, 123.68)


_EFFICIENTNET_URL = "https://storage.googleapis.com/keras-applications/efficientnet{}_notop.h5"


_RESNET_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/resnet/{}_weights_tf_dim_ordering_tf_kernels_notop.h5"
)


_SUFFIXES = (".keras", ".weights.h5", ".h5", ".pth")


def _efficientnet(application: Callable[..., keras.Model], shape: tuple[int, int, int]) -> keras.Model:
    """Keras' EfficientNet for pictures in 0..255. It normalizes as for ImageNet, whatever its weights."""
    network = application(include_top=False, weights=None, input_shape=shape)
    _set_normalization(network, IMAGENET_MEAN, IMAGENET_STD**2)
    return network


def _efficientnet_lite(shape: tuple[int, int, int]) -> keras.Model:
    """KerasCV's EfficientNet-Lite0 for pictures in 0..255."""
    try:
        return efficientnet_lite0(shape)
    except ImportError as error:
        others = [name for name in backbones() if name != "efficientnet_lite0"]
        raise ImportError(
            "The network 'efficientnet_lite0' needs KerasCV and TensorFlow, whatever the backend of Keras: "
            f"pip install keras-cv tensorflow. Networks that do not: {others}. Received: {error}"
        ) from error


def _resnet(application: Callable[..., keras.Model], shape: tuple[int, int, int]) -> keras.Model:
    """Keras' ResNet for RGB pictures in 0..255. It includes `keras.applications.resnet.preprocess_input`."""
    inputs = keras.Input(shape)
    bgr = keras.ops.flip(inputs, axis=-1)
    centered = keras.layers.Rescaling(1.0, offset=[-mean for mean in _IMAGENET_MEAN_BGR])(bgr)
    return application(include_top=False, weights=None, input_tensor=centered)


@dataclass(frozen=True)
class BackboneSpec:
    """The facts about a backbone, and the study's preprocessing for it.

    Attributes:
        name: String, its name as an argument of `classifier`.
        image_size: Integer, height and width of its pictures.
        resize: Integer, the length to which the study resized a picture's shorter side before the center crop.
        interpolation: String, `"bicubic"` or `"bilinear"`, the interpolation of this resizing (antialiased).
        dropout: Float, the rate of the dropout before the head.
        momentum: Float, the momentum of the network's batch normalizations in PyTorch's definition.
        build: Function from a picture's `(height, width, 3)` to the untrained network, preprocessing included.
        url: String, the address of its ImageNet weights, or `None` if they are installed with sonikeras.
        md5: String, the MD5 of that file.
        torchvision: Function like `build` for torchvision's network of that name, or `None` if there is none.
    """

    name: str
    image_size: int
    resize: int
    interpolation: str
    dropout: float
    momentum: float
    build: Callable[[tuple[int, int, int]], keras.Model] = field(repr=False)
    url: str | None = None
    md5: str | None = None
    torchvision: Callable[[tuple[int, int, int]], keras.Model] | None = field(default=None, repr=False)


_SPECS = {
    each.name: each
    for each in (
        BackboneSpec("efficientnet_lite0", 224, 256, "bicubic", 0.2, 0.1, _efficientnet_lite),
        BackboneSpec("efficientnet_b0", 224, 256, "bicubic", 0.2, 0.1, partial(_efficientnet, nets.EfficientNetB0),
                     _EFFICIENTNET_URL.format("b0"), "50bc09e76180e00e4465e1a485ddc09d",
                     partial(torchvision_networks.efficientnet, width=1.0, depth=1.0, epsilon=1e-5)),
        BackboneSpec("efficientnet_b5", 456, 456, "bicubic", 0.4, 0.01, partial(_efficientnet, nets.EfficientNetB5),
                     _EFFICIENTNET_URL.format("b5"), "38879255a25d3c92d5e44e04ae6cec6f",
                     partial(torchvision_networks.efficientnet, width=1.6, depth=2.2, epsilon=1e-3)),
        BackboneSpec("efficientnet_b7", 600, 600, "bicubic", 0.5, 0.01, partial(_efficientnet, nets.EfficientNetB7),
                     _EFFICIENTNET_URL.format("b7"), "cbcfe4450ddf6f3ad90b1b398090fe4a",
                     partial(torchvision_networks.efficientnet, width=2.0, depth=3.1, epsilon=1e-3)),
        BackboneSpec("resnet50", 224, 232, "bilinear", 0.0, 0.1, partial(_resnet, nets.ResNet50),
                     _RESNET_URL.format("resnet50"), "4d473c1dd8becc155b73f8504c6f6626",
                     partial(torchvision_networks.resnet, blocks=(3, 4, 6, 3))),
        BackboneSpec("resnet152", 224, 232, "bilinear", 0.0, 0.1, partial(_resnet, nets.ResNet152),
                     _RESNET_URL.format("resnet152"), "ee4c566cf9a93f14d82f913c2dc6dd0c",
                     partial(torchvision_networks.resnet, blocks=(3, 8, 36, 3))),
    )
}  # fmt: skip


_ALIASES = {"resnet150": "resnet152"}  # the study's name for ResNet152


def backbones() -> list[str]:
    """Names of the networks that `classifier` builds.

    `"resnet150"`, the study's name for ResNet152, is accepted as well.

    Returns:
        List of strings.

    Example:
        >>> from sonikeras import models
        >>> models.backbones()  # doctest: +NORMALIZE_WHITESPACE
        ['efficientnet_lite0', 'efficientnet_b0', 'efficientnet_b5', 'efficientnet_b7', 'resnet50', 'resnet152']
    """
    return list(_SPECS)


def spec(backbone: str) -> BackboneSpec:
    """The facts about a backbone: the size of its pictures, the study's preprocessing, the source of its weights.

    Args:
        backbone: String, one of `backbones()`, or `"resnet150"` for `"resnet152"`.

    Returns:
        `BackboneSpec`.

    Raises:
        ValueError: If there is no such backbone.

    Example:
        >>> from sonikeras import models
        >>> models.spec("efficientnet_b5").image_size
        456
        >>> models.spec("resnet150").name
        'resnet152'
    """
    name = _ALIASES.get(backbone, backbone) if isinstance(backbone, str) else None
    if name not in _SPECS:
        raise ValueError(f"Argument `backbone` must be one of {backbones()}. Received: backbone={backbone!r}")
    return _SPECS[name]


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
            _set_normalization(backbone, np.array(layer.adapt_mean), IMAGENET_STD**2)


def _set_normalization(network: keras.Model, mean: np.ndarray, variance: np.ndarray) -> None:
    layer = next(layer for layer in network.layers if isinstance(layer, keras.layers.Normalization))
    layer.adapt_mean.assign(mean)
    layer.adapt_variance.assign(variance)
    layer.finalize_state()


def unfreeze(backbone: keras.Model, *, stages: int, batch_norm: bool) -> None:
    """Makes the last stages of a backbone trainable, and freezes all layers before them.

    Args:
        backbone: Keras model, such as `model.get_layer("backbone")` of a classifier.
        stages: Integer, the number of stages. The feature maps of a stage have one size. Five stages are the whole
            network.
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
