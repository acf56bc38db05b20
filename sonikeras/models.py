"""Image classifiers: a pretrained network and a new head, one function for every pair of them."""

from __future__ import annotations

import inspect
import numbers
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import keras
import keras.applications as nets
import numpy as np

from sonikeras import torchvision_networks
from sonikeras import weights as weight_files
from sonikeras.config import SonificationConfig
from sonikeras.layers import AudioToPicture, ImageToAudio, TorchBatchNormalization
from sonikeras.operations import is_foreign
from sonikeras.torchvision_networks import IMAGENET_MEAN, IMAGENET_STD

_IMAGENET_MEAN_BGR = (103.939, 116.779, 123.68)
_EFFICIENTNET_URL = "https://storage.googleapis.com/keras-applications/efficientnet{}_notop.h5"
_RESNET_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/resnet/{}_weights_tf_dim_ordering_tf_kernels_notop.h5"
)
_SUFFIXES = (".keras", ".weights.h5", ".h5", ".pth")
_POOLINGS = {"avg": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}
BATCH_NORMS = ("training", "inference")
_MIN_SIZE = 32  # every network halves its picture five times


def _efficientnet(application: Callable[..., keras.Model], shape: tuple[int, int, int]) -> keras.Model:
    """Keras' EfficientNet for pictures in 0..255, with ImageNet's normalisation whatever its weights."""
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
        resize: Integer, the length that the study gave a picture's shorter side before it cropped the centre.
        interpolation: String, `"bicubic"` or `"bilinear"`, of that resizing (antialiased).
        dropout: Float, rate of the dropout in front of the head.
        momentum: Float, what PyTorch calls the momentum of the network's batch normalisations.
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


def _linear_head(features: keras.KerasTensor, num_classes: int, dropout: float) -> keras.KerasTensor:
    # PyTorch's initial values, which the study had: uniform within 1/sqrt(features), the bias too.
    limit = float(features.shape[-1]) ** -0.5
    kernel, bias = (keras.initializers.RandomUniform(-limit, limit) for _ in range(2))  # one would repeat its draw
    dense = keras.layers.Dense(
        num_classes, kernel_initializer=kernel, bias_initializer=bias, dtype="float32", name="logits"
    )
    return dense(keras.layers.Dropout(dropout)(features) if dropout else features)


def _mlp_head(features: keras.KerasTensor, num_classes: int, dropout: float) -> keras.KerasTensor:
    if dropout:
        features = keras.layers.Dropout(dropout)(features)
    return _linear_head(keras.layers.Dense(256, activation="relu")(features), num_classes, dropout)


def _attention_head(features: keras.KerasTensor, num_classes: int, dropout: float) -> keras.KerasTensor:
    if len(features.shape) != 4:
        raise ValueError(
            "The head 'attention' weighs the positions of a feature map, so `pooling` must be 'auto' or None. "
            f"Received: features of shape {features.shape}"
        )
    positions = keras.layers.Reshape((-1, features.shape[-1]))(features)
    hidden = keras.layers.Dense(128, activation="tanh")(positions)
    # Scores of zero weigh all positions alike: training starts from average pooling.
    scores = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(hidden)
    shares = keras.layers.Softmax(axis=1, name="attention")(scores)
    pooled = keras.layers.Flatten()(keras.layers.Dot(axes=1)([shares, positions]))
    return _linear_head(pooled, num_classes, dropout)


_HEADS = {"linear": _linear_head, "mlp": _mlp_head, "attention": _attention_head}


def heads() -> list[str]:
    """Names of the heads that `classifier` knows; it takes any layer or function as well.

    - `"linear"`: dropout and a dense layer, initialised as PyTorch's (the study's head).
    - `"mlp"`: the same behind a hidden layer of 256 rectified units with a dropout of its own.
    - `"attention"`: a learned weighted mean of the feature map's positions, then as `"linear"`.

    Returns:
        List of strings.

    Reference:
        `"attention"`: [Ilse et al., 2018](https://arxiv.org/abs/1802.04712), equation 8 (without the gate).

    Example:
        >>> from sonikeras import models
        >>> models.heads()
        ['linear', 'mlp', 'attention']
    """
    return list(_HEADS)


def classifier(
    backbone: str,
    num_classes: int,
    *,
    head: str | keras.layers.Layer | Callable[[keras.KerasTensor], keras.KerasTensor] = "linear",
    weights: str | os.PathLike | None = "imagenet",
    image_size: int | tuple[int, int] | None = None,
    dropout: float | None = None,
    pooling: str | None = "auto",
    freeze: bool = False,
    batch_norm: str | None = None,
    name: str | None = None,
) -> keras.Model:
    """An image classifier: a network, pretrained or not, and a head.

    The model is exactly two models in a row, `model.get_layer("backbone")` (preprocessing, network and pooling:
    pictures to features) and `model.get_layer("head")` (features to logits). So features can be computed once and the
    head be trained on them alone: it is the same object, and the classifier then is trained.

    Args:
        backbone: String, one of `backbones()`: the network. `"resnet150"` means `"resnet152"`.
        num_classes: Integer, the number of logits.
        head: String, one of `heads()`; or a `keras.layers.Layer`, used as it is; or a function of features to logits
            that is made of Keras layers and operations. Defaults to `"linear"`.
        weights: String, path object or `None`, the backbone's weights. `"imagenet"` downloads Keras' (those of
            `"efficientnet_lite0"` are installed already), `None` draws random ones, and a path loads a file of the
            backbone's weights: `.h5`, `.weights.h5`, `.keras`, or a PyTorch state dict, `.pth`. What is computed with
            a `.pth` file is torchvision's network of that name, padding and constants included, and not that of
            `keras.applications`; nothing in the file is executed. Defaults to `"imagenet"`.
        image_size: Integer or `(height, width)`, the size of the pictures. Defaults to `spec(backbone).image_size`.
        dropout: Float, 0 <= dropout < 1, rate of the dropouts in a head given by name. Defaults to
            `spec(backbone).dropout`.
        pooling: `"avg"` or `"max"` over the feature map, `None` for no pooling, or `"auto"`: `None` for the head
            `"attention"` and `"avg"` for every other one. Defaults to `"auto"`.
        freeze: Boolean, whether the backbone is not trained. Its stochastic depth, where it has one, drops blocks in
            `fit` all the same, as in PyTorch. Defaults to `False`.
        batch_norm: String or `None`, the backbone's batch normalisation while it trains. `"training"`, as a PyTorch
            network in `train()` mode, whether frozen or not: with the batch's statistics, and moving averages that go
            on (`sonikeras.layers.TorchBatchNormalization`). `"inference"`: with the moving averages, none of it
            trained. `None`, as Keras: the latter where the backbone is frozen, and otherwise with the batch's
            statistics. Defaults to `None`.
        name: String, the model's name. Defaults to `"classifier"`.

    Input shape:
        `[batch, height, width, 3]`, RGB in 0..255.

    Output shape:
        `[batch, num_classes]`, float32 logits. The features between are `[batch, channels]`, without pooling
        `[batch, height / 32, width / 32, channels]`, rounded up.

    Returns:
        `keras.Model`. It saves, loads and exports without custom objects, unless the head is a layer class of yours.

    Raises:
        ValueError: If an argument is not as above, or the head gives logits of another shape.
        FileNotFoundError: If `weights` is the path of no file.
        OSError: If the ImageNet weights cannot be downloaded; it tells what to do.

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
    source = _weights_source(weights, chosen)

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


def sonified(
    classifier: keras.Model,
    config: str | SonificationConfig = "study",
    *,
    input_shape: tuple[int, ...] | None = None,
    seed: int = 0,
    shorter_side: int | None = None,
    interpolation: str = "bilinear",
    name: str | None = None,
) -> keras.Model:
    """A classifier of images that hears them: image in, sound in the middle, class out.

    The whole signal chain is part of the model, before the classifier: `sonikeras.layers.ImageToAudio`, whose layer is
    named `"audio"`, and `sonikeras.layers.AudioToPicture`, named `"pictures"`. A gradient goes through all of it, the
    search for the sound included, so what comes before can be trained too. The sound of an image is
    `keras.Model(model.input, model.get_layer("audio").output)`.

    Args:
        classifier: Keras model of pictures in 0..255, `[batch, height, width, 3]` with height and width static, as
            `sonikeras.models.classifier` gives it. It is shared, not copied: trained in one, it is trained in both.
        config: Preset or `SonificationConfig`. Defaults to `"study"`.
        input_shape: Shape of the images: `(height, width, 3)`, `(height, width, 1)` or `(height, width)`. Defaults to
            that of the classifier's pictures.
        seed: Integer of at least 0, of the random initial phase, which all images share. Defaults to 0.
        shorter_side, interpolation: Of the pictures' resizing, as of `sonikeras.dataset`.
        name: String, the model's name. Defaults to `"sonified"`.

    Input shape:
        `[batch, *input_shape]`, in 0..255.

    Output shape:
        That of the classifier.

    Returns:
        `keras.Model`. It saves, loads and exports without custom objects.

    Raises:
        ValueError: If the classifier takes something else, or an argument breaks its rule.

    Example:
        >>> import numpy as np
        >>> from sonikeras import models
        >>> classifier = models.classifier("efficientnet_lite0", num_classes=2, weights=None, image_size=64)
        >>> model = models.sonified(classifier, "lossless", input_shape=(28, 28))
        >>> model(np.zeros((1, 28, 28))).shape, model.get_layer("audio").output.shape
        (TensorShape([1, 2]), (None, 66048))
    """
    pictures = getattr(classifier, "input_shape", None)
    if not isinstance(pictures, tuple) or len(pictures) != 4 or None in pictures[1:] or pictures[3] != 3:
        raise ValueError(
            "Argument `classifier` must take pictures of shape (batch, height, width, 3) with height and width known. "
            f"Received: a {type(classifier).__name__} with input_shape={pictures}"
        )
    images = keras.Input(pictures[1:] if input_shape is None else input_shape, name="images")
    audio = ImageToAudio(config, seed=seed, name="audio")(images)
    drawing = AudioToPicture(
        config, pictures[1:3], shorter_side=shorter_side, interpolation=interpolation, name="pictures"
    )
    return keras.Model(images, classifier(drawing(audio)), name=name or "sonified")


def _batch_norms(network: keras.Model) -> list[keras.layers.BatchNormalization]:
    return [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]


def _with_torch_batch_norm(network: keras.Model, momentum: float) -> keras.Model:
    """A copy of `network`, weights included, whose batch normalisation follows PyTorch's rules."""

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


def _size(image_size: int | tuple[int, int]) -> tuple[int, int]:
    size = image_size if isinstance(image_size, (tuple, list)) else (image_size, image_size)
    if len(size) != 2 or not all(_is_integer(length) and length >= _MIN_SIZE for length in size):
        raise ValueError(
            f"Argument `image_size` must be an integer >= {_MIN_SIZE} or a pair of them, (height, width). "
            f"Received: image_size={image_size!r}"
        )
    return int(size[0]), int(size[1])


def _head_function(head, num_classes: int, chosen: BackboneSpec, dropout: float | None) -> Callable:
    """Returns the function of features to logits that `head` stands for."""
    if isinstance(head, str) and head in _HEADS:
        rate = chosen.dropout if dropout is None else dropout
        if not isinstance(rate, numbers.Real) or not 0 <= rate < 1:
            raise ValueError(f"Argument `dropout` must be a number in 0 <= dropout < 1. Received: dropout={dropout!r}")
        return partial(_HEADS[head], num_classes=num_classes, dropout=float(rate))
    if isinstance(head, str) or not callable(head) or inspect.isclass(head):
        raise ValueError(
            f"Argument `head` must be one of {heads()}, a `keras.layers.Layer` (an instance, not a class) "
            f"or a function of features to logits. Received: head={head!r}"
        )
    if dropout is not None:
        raise ValueError(
            f"Argument `dropout` must be None unless `head` is one of {heads()}: a head of your own brings its own "
            f"dropout. Received: dropout={dropout!r}, head={head!r}"
        )
    return head


def _head_model(head: Callable, shape: tuple[int, ...], num_classes: int) -> keras.Model:
    features = keras.Input(shape, name="features")
    logits = head(features)
    if not isinstance(logits, keras.KerasTensor) or tuple(logits.shape) != (None, num_classes):
        raise ValueError(
            f"The head must give logits of shape (None, {num_classes}) for features of shape {features.shape}. "
            f"Received: {logits}"
        )
    if logits.dtype != "float32":
        logits = keras.layers.Activation("linear", dtype="float32")(logits)
    return keras.Model(features, logits, name="head")


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
        batch_norm: Boolean, whether their batch normalisations are trained too.

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
    # Squeeze-and-excitation has maps of its own, of one pixel, but no batch normalisation.
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


def predict_batch(model: keras.Model, inputs: Any) -> np.ndarray:
    """`model.predict_on_batch`, whose outputs come once also under `tf.distribute`, where each replica gives a copy.

    Args:
        model: Keras model.
        inputs: A batch of what it takes.

    Returns:
        Its outputs for the batch.
    """
    # A batch of `tf.data` is a tensor of TensorFlow's, which JAX does not take.
    outputs = model.predict_on_batch(np.asarray(inputs) if is_foreign(inputs) else inputs)
    strategy = getattr(model, "distribute_strategy", None)
    return outputs if strategy is None else outputs[: len(outputs) // strategy.num_replicas_in_sync]


def averaged_over_flips(model: keras.Model) -> keras.Model:
    """A model whose logits are the mean of those of each picture and of its mirror image: test-time augmentation.

    Args:
        model: Keras model, pictures `[batch, height, width, 3]` to logits. It is shared, not copied.

    Returns:
        `keras.Model` of the same shapes.

    Example:
        >>> import numpy as np
        >>> from sonikeras import models
        >>> model = models.averaged_over_flips(models.classifier("efficientnet_lite0", 3, weights=None, image_size=64))
        >>> x = np.random.rand(1, 64, 64, 3) * 255
        >>> bool(np.allclose(model(x), model(x[:, :, ::-1]), atol=1e-5))
        True
    """
    pictures = keras.Input(model.input_shape[1:], name="pictures")
    both = [model(pictures), model(keras.ops.flip(pictures, axis=2))]
    return keras.Model(pictures, keras.layers.Average(dtype="float32")(both), name=model.name)


def uncompiled(model: keras.Model) -> keras.Model:
    """The same layers as a model of their own. Compile it, and what is saved of `model` knows nothing of the training.

    Args:
        model: Functional Keras model. Its layers are shared, not copied.

    Returns:
        `keras.Model`, not compiled.
    """
    return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
