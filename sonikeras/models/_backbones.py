"""Pretrained networks without their classifiers."""

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
from sonikeras.models._torchvision import IMAGENET_MEAN, IMAGENET_STD

_IMAGENET_MEAN_BGR = (103.939, 116.779, 123.68)


_EFFICIENTNET_URL = "https://storage.googleapis.com/keras-applications/efficientnet{}_notop.h5"


_RESNET_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/resnet/{}_weights_tf_dim_ordering_tf_kernels_notop.h5"
)


_SUFFIXES = (".keras", ".weights.h5", ".h5", ".pth")


def _efficientnet(application: Callable[..., keras.Model], shape: tuple[int, int, int]) -> keras.Model:
    """Keras' EfficientNet for pictures in 0..255, with ImageNet's normalization whatever its weights."""
    network = application(include_top=False, weights=None, input_shape=shape)
    _set_normalization(network, IMAGENET_MEAN, IMAGENET_STD**2)
    return network


def _resnet(application: Callable[..., keras.Model], shape: tuple[int, int, int]) -> keras.Model:
    """Keras' ResNet for RGB pictures in 0..255, behind what `keras.applications.resnet.preprocess_input` does."""
    inputs = keras.Input(shape)
    bgr = keras.ops.flip(inputs, axis=-1)
    centered = keras.layers.Rescaling(1.0, offset=[-mean for mean in _IMAGENET_MEAN_BGR])(bgr)
    return application(include_top=False, weights=None, input_tensor=centered)


def _efficientnet_lite(shape: tuple[int, int, int]) -> keras.Model:
    """KerasCV's EfficientNet-Lite0 for pictures in 0..255."""
    try:
        import keras_cv
    except ImportError as error:
        others = [name for name in backbones() if name != "efficientnet_lite0"]
        raise ImportError(
            "The network 'efficientnet_lite0' needs KerasCV and TensorFlow, whatever the backend of Keras: "
            f"pip install keras-cv tensorflow. Networks that do not: {others}. Received: {error}"
        ) from error

    network = keras_cv.models.EfficientNetLiteBackbone(
        stackwise_kernel_sizes=[3, 3, 5, 3, 5, 5, 3],
        stackwise_num_repeats=[1, 2, 2, 3, 3, 4, 1],
        stackwise_input_filters=[32, 16, 24, 40, 80, 112, 192],
        stackwise_output_filters=[16, 24, 40, 80, 112, 192, 320],
        stackwise_expansion_ratios=[1, 6, 6, 6, 6, 6, 6],
        stackwise_strides=[1, 2, 2, 2, 1, 2, 1],
        width_coefficient=1.0,
        depth_coefficient=1.0,
        include_rescaling=True,
        input_shape=shape,
    )
    # KerasCV scales to 0..1, the published weights want (x - 127) / 128.
    (rescaling,) = (layer for layer in network.layers if isinstance(layer, keras.layers.Rescaling))
    rescaling.scale, rescaling.offset = 1 / 128, -127 / 128
    return network


@dataclass(frozen=True)
class BackboneSpec:
    """What a backbone is and how the study fed it.

    Attributes:
        name: String, the name that `classifier` takes.
        image_size: Integer, height and width of its pictures.
        resize: Integer, the length that the study gave a picture's shorter side before it cropped the center.
        interpolation: String, `"bicubic"` or `"bilinear"`, of that resizing (antialiased).
        dropout: Float, rate of the dropout in front of the head.
        momentum: Float, what PyTorch calls the momentum of the network's batch normalizations.
        build: Function of the pictures' `(height, width, 3)` to the untrained network, preprocessing included.
        url: String, where its ImageNet weights are downloaded from, or `None`: they are installed with sonikeras.
        md5: String, MD5 of that file.
        torchvision: Function as `build`, to torchvision's network of that name, or `None`: it has none.
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


_ALIASES = {"resnet150": "resnet152"}  # no ResNet150 exists; what the study calls so is ResNet152


def backbones() -> list[str]:
    """Names of the networks that `classifier` builds.

    `"resnet150"`, the study's name for ResNet152, is accepted everywhere too.

    Returns:
        List of strings.

    Example:
        >>> from sonikeras import models
        >>> models.backbones()  # doctest: +NORMALIZE_WHITESPACE
        ['efficientnet_lite0', 'efficientnet_b0', 'efficientnet_b5', 'efficientnet_b7', 'resnet50', 'resnet152']
    """
    return list(_SPECS)


def spec(backbone: str) -> BackboneSpec:
    """The facts about a backbone: the size of its pictures, how the study prepared them, where its weights are.

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
    """A copy of `network`, weights included, whose batch normalization follows PyTorch's rules."""

    def clone(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if not isinstance(layer, keras.layers.BatchNormalization):
            return layer.__class__.from_config(config)
        return TorchBatchNormalization.from_config(config | {"momentum": momentum})

    copy = keras.models.clone_model(network, clone_function=clone)
    copy.set_weights(network.get_weights())
    for layer in copy.layers:
        if isinstance(layer, keras.layers.Normalization):  # which computes with copies of its weights
            layer.finalize_state()
    return copy


def _is_integer(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _weights_source(weights: str | os.PathLike | None, chosen: BackboneSpec) -> Path | None:
    """Returns the file of the weights that `weights` stands for, downloaded if need be."""
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
        fault = ", which is a folder" if path.is_dir() else ""
        raise FileNotFoundError(
            f"Argument `weights` must be the path of a file. Received: weights={str(weights)!r}{fault}"
        )
    return path


def _renaming(path: str) -> str:
    """What an error says of a file with an ending that PyTorch's users give."""
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
            f"Put {file} from {url} into ~/.keras/models ($KERAS_HOME/models where KERAS_HOME is set), or pass "
            "weights=PATH of that file, or weights=None for random weights, or backbone='efficientnet_lite0', whose "
            "weights come with the installation."
        ) from error


def _load(backbone: keras.Model, path: Path, chosen: BackboneSpec) -> None:
    try:
        if path.suffix != ".pth":
            backbone.load_weights(path)
        elif chosen.torchvision is None:
            weight_files.load_efficientnet_lite0(backbone, weight_files.read_state_dict(path))
        else:
            torchvision_networks.load_state_dict(backbone, weight_files.read_state_dict(path))
    except Exception as error:  # Keras, h5py and zipfile differ in what they raise for a broken or a foreign file
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
        # In Keras' own files of EfficientNet the variance is, by mistake, the deviation. Keras makes up for it with one
        # more layer; here the variance is put right, so that the layers do not depend on where the weights come from.
        if isinstance(layer, keras.layers.Normalization) and np.allclose(layer.adapt_variance, IMAGENET_STD):
            _set_normalization(backbone, np.array(layer.adapt_mean), IMAGENET_STD**2)


def _set_normalization(network: keras.Model, mean: np.ndarray, variance: np.ndarray) -> None:
    layer = next(layer for layer in network.layers if isinstance(layer, keras.layers.Normalization))
    layer.adapt_mean.assign(mean)
    layer.adapt_variance.assign(variance)
    layer.finalize_state()


def unfreeze(backbone: keras.Model, *, stages: int, batch_norm: bool) -> None:
    """Lets the last stages of a backbone be trained, and none of the layers before them.

    Args:
        backbone: Keras model, as `model.get_layer("backbone")` of a classifier.
        stages: Integer, how many of the last stages, each with feature maps of one size; five are the whole network.
        batch_norm: Boolean, whether their batch normalizations are trained too.

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
    # Squeeze-and-excitation has maps of its own, of one pixel, but no batch normalization.
    sizes = sorted({layer.output.shape[1] for layer in _batch_norms(backbone)})
    largest = sizes[min(stages, len(sizes)) - 1]
    weighted = [layer for layer in backbone.layers if layer.weights]
    first = next(layer for layer in _batch_norms(backbone) if layer.output.shape[1] <= largest)
    tuned = weighted[weighted.index(first) - 1 :]  # with the convolution in front of it
    if not batch_norm:
        tuned = [layer for layer in tuned if not isinstance(layer, keras.layers.BatchNormalization)]
    backbone.trainable = True
    for layer in backbone.layers:
        layer.trainable = layer in tuned
