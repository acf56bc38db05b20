"""PyTorch weight files, read without PyTorch and without executing anything in them.

A PyTorch file is a pickle followed by raw tensors, and a pickle may call any function. This reader admits only the few
operations and names that a state dict consists of, and refuses any other file.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sonikeras.sources._pickles import Name, Vocabulary, brief, read_pickle

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C  # the first pickle in PyTorch's format before version 1.6

_PROTOCOL_VERSION = 1001  # the second pickle

_LEGACY_MAGIC = b"\x80\x02\x8a\x0a" + _MAGIC_NUMBER.to_bytes(10, "little")  # the first pickle as bytes

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

# Limits on the total size of all tensors, as multiples of the file's size. Several names of one tensor (tied weights)
# share its memory. Tensors that overlap in another way are copied.
_MOST_NAMED = 16

_MOST_COPIED = 4

_MOST_MEMBERS = 100_000  # of a zip file

_MOST_DIMENSIONS = 64  # NumPy's limit


class _Storage(NamedTuple):
    key: str
    dtype: str


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _tensor(arguments: tuple[Any, ...]) -> _Tensor:
    """The description of a tensor, without its data: the arguments of `torch._utils._rebuild_tensor_v2`."""
    match arguments:
        case (_Storage() as storage, offset, tuple() as shape, tuple() as strides, bool(), dict(), *rest):
            if any(rest):  # flags of complex numbers
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
    raise ValueError(f"a tensor is described in another way than PyTorch's: {brief(arguments)}")


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
    """A state dict without its attributes, the versions of layers, which are not needed here."""
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
    """The value of a pickle, the types of its storages by key, and the position after it."""
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

    Both of PyTorch's formats are supported: that before version 1.6 (five pickles, then raw data), and the zip file
    since then. Nothing in the file is executed: its pickle may contain only dictionaries, tensors and numbers.

    Args:
        path: String or path object, the file.

    Returns:
        Dictionary from parameter names to contiguous NumPy arrays with the tensors' shapes and types, in the file's
        order. Several names of one tensor (tied weights) share one array.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a PyTorch file, is truncated, contains anything but tensors (such as a function
            call), describes a tensor outside its data, or holds something other than a state dict. Or if its tensors
            together are more than 16 times as large as the file, or 4 times if each is counted once.

    Reference:
        The formats are those of [`torch.save`](https://docs.pytorch.org/docs/stable/notes/serialization.html).

    Example:
        >>> from sonikeras.models import weights
        >>> state = weights.read_state_dict(weights.installed_path("efficientnet_lite0"))
        >>> state["_conv_stem.weight"].shape
        (32, 3, 3, 3)
    """
    path = Path(path)
    if path.exists() and not path.is_file():  # a folder, or a device, which has no end
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
    """Whether a file is a PyTorch file by its content, whatever its name."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    with open(path, "rb") as file:
        return file.read(len(_LEGACY_MAGIC)) == _LEGACY_MAGIC


def _check_kind(data: bytes) -> None:
    """Raises an error for an empty file or one in another format of weights, and names that format."""
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
        raise ValueError(f"the zip file holds data.pkl {len(pickles)} times instead of once")
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
    """A member of a zip file: its directory entry and its bytes."""

    info: zipfile.ZipInfo
    data: memoryview


def _members(data: bytes) -> dict[str, _Member]:
    """The members of a zip file. No two may overlap or have the same name."""
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
            raise ValueError(f"member {shown} of the zip file overlaps another one or exceeds the file")
        if info.filename in members:
            raise ValueError(f"the zip file has two members {shown}")
        free = end
        members[info.filename] = _Member(info, memoryview(data)[start:end])
    return members


def _content(member: _Member) -> memoryview:
    info, shown = member.info, brief(member.info.filename)
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        raise ValueError(f"member {shown} of the zip file is compressed, which PyTorch never does")
    if info.flag_bits & _ENCRYPTED:
        raise ValueError(f"member {shown} of the zip file is encrypted, which PyTorch never does")
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
                raise ValueError(f"the tensors up to it are many times as large as the file of {file_size:,} bytes")
            if tensor not in arrays:
                arrays[tensor] = _array(tensor, storages[tensor.storage.key])
        except ValueError as error:
            raise ValueError(f"tensor {brief(name)} is damaged: {error}") from error
        tensors[name] = arrays[tensor]
    return tensors


def _array(tensor: _Tensor, storage: np.ndarray) -> np.ndarray:
    """A contiguous copy of a tensor, after a check that all of its elements lie inside `storage`."""
    size = math.prod(tensor.shape)
    if not size:
        return np.empty(tensor.shape, storage.dtype)
    last = tensor.offset + sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True))
    # More elements than in the storage would be a broadcast: a small file could ask for any amount of memory.
    if last >= storage.size or size > storage.size:
        raise ValueError(f"it exceeds its storage of {storage.size} elements: offset, shape, strides {tensor[1:]}")
    strides = [stride * storage.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides).copy()
