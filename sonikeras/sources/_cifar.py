"""CIFAR-10 and CIFAR-100 in the cache folder of Keras, read without running code in their files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sonikeras.sources._catalog import Catalog, by_class, unique
from sonikeras.sources._classes import CIFAR10, CIFAR100
from sonikeras.sources._pickles import Name, Vocabulary, brief, read_pickle

_ORIGIN = "https://www.cs.toronto.edu/~kriz/"


_SIDE = 32


_MOST_DIMENSIONS = 8  # arrays have two


class _Archive(NamedTuple):
    """An archive: its names in Keras and on the server, its folder, its files and their contents."""

    title: str
    file: str
    megabytes: int
    sha256: str
    cache_name: str
    folder: str
    parts: dict[str, tuple[str, ...]]
    label_key: bytes
    classes: tuple[str, ...]


ARCHIVES = {
    "cifar10": _Archive(
        "CIFAR-10",
        "cifar-10-python.tar.gz",
        170,
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        "cifar-10-batches-py-target",
        "cifar-10-batches-py",
        {"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)},
        b"labels",
        CIFAR10,
    ),
    "cifar100": _Archive(
        "CIFAR-100",
        "cifar-100-python.tar.gz",
        169,
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        "cifar-100-python-target",
        "cifar-100-python",
        {"train": ("train",), "test": ("test",)},
        b"fine_labels",
        CIFAR100,
    ),
}


def catalog(name: str, class_names: Sequence[str], split: str) -> Catalog:
    """The catalog of some classes in one of the two splits.

    The images are in `$KERAS_HOME/datasets` (`~/.keras/datasets`), as for `keras.datasets`. If they are missing, they
    are downloaded after a message.

    Args:
        name: `"cifar10"` or `"cifar100"`.
        class_names: Names of its classes.
        split: `"train"` or `"test"`.

    Returns:
        RGB images `[32, 32, 3]` with the names of their original files.

    Raises:
        OSError: They are missing and cannot be downloaded. The message names the file and its folder.
        ValueError: A file is damaged.
    """
    archive = ARCHIVES[name]
    numbers = {archive.classes.index(class_name): label for label, class_name in enumerate(class_names)}
    folder = _folder(archive)
    labels: list[int] = []
    names: list[str] = []
    images: list[np.ndarray] = []
    for file in archive.parts[split]:
        for number, image_name, image in zip(*_read_batch(folder / file, archive), strict=True):
            if number in numbers:
                labels.append(numbers[number])
                names.append(image_name)
                images.append(image.copy())  # a view would keep its whole batch
    names = unique(labels, names)
    return Catalog(labels, names, names, images, pre_split=True).take(by_class(labels))


def _folder(archive: _Archive) -> Path:
    home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    datasets = home / "datasets"
    files = [file for part in archive.parts.values() for file in part]
    if all((datasets / archive.cache_name / archive.folder / file).is_file() for file in files):
        return datasets / archive.cache_name / archive.folder
    origin, target = _ORIGIN + archive.file, datasets / f"{archive.cache_name}_archive"
    if not target.exists():
        print(f"Downloading {archive.title}, {archive.megabytes} MB, from {origin} to {datasets}", flush=True)
    import keras

    try:
        home.mkdir(parents=True, exist_ok=True)
        unpacked = keras.utils.get_file(
            archive.cache_name, origin, file_hash=archive.sha256, extract=True, cache_dir=str(home)
        )
    except Exception as error:  # Keras raises an `Exception` of no class of its own
        raise OSError(
            f"{archive.title} cannot be downloaded. Without a network, copy {archive.file} from {origin} to {target}. "
            f"Received: {error}"
        ) from error
    return Path(unpacked) / archive.folder


def _read_batch(path: Path, archive: _Archive) -> tuple[list[int], list[str], np.ndarray]:
    """Labels, names and RGB images of a file of an archive."""
    data = path.read_bytes()
    try:
        batch, _ = read_pickle(data, _BATCH)
        return _checked(batch, archive)
    except ValueError as error:
        raise ValueError(
            f"The files of {archive.title} must be unchanged: delete {path.parent}, and they are unpacked or "
            f"downloaded again. Received: {path}, where {str(error) or type(error).__name__}"
        ) from error


def _checked(batch: Any, archive: _Archive) -> tuple[list[int], list[str], np.ndarray]:
    match batch:
        case {b"data": _Array(pixels=np.ndarray() as pixels), b"filenames": list() as files}:
            labels = batch.get(archive.label_key)
        case _:
            raise ValueError("its content is not a dictionary of images, labels and names")
    if type(labels) is not list or len(labels) != len(files):
        raise ValueError("its images, labels and names do not fit together")
    if not all(type(label) is int and 0 <= label < len(archive.classes) for label in labels):
        raise ValueError(f"its labels must be integers from 0 to {len(archive.classes) - 1}")
    if not all(type(name) is bytes for name in files):
        raise ValueError("its names must be strings of bytes")
    names = [os.path.splitext(name.decode("utf-8"))[0] for name in files]
    return labels, names, pixels.reshape(len(labels), 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)


# NumPy's own classes would create pointers from the bytes of a file. These descriptions replace them.


class _Type(NamedTuple):
    """The description of a NumPy type: uint8."""


class _Array(NamedTuple):
    """The description of a NumPy array, which has pixels after its state is set."""

    pixels: np.ndarray | None = None


def _type(arguments: tuple[Any, ...]) -> _Type:
    if not arguments or arguments[0] not in ("u1", b"u1"):
        raise ValueError(f"its arrays must be of the type 'u1', not {brief(arguments[0]) if arguments else 'unknown'}")
    return _Type()


def _with_state(value: Any, state: Any) -> _Type | _Array:
    match value, state:
        case _Type(), tuple():  # byte order and flags, which do not matter for single bytes
            return value
        case _Array(), (_, tuple() as shape, _Type(), False, bytes() as raw):
            if len(shape) > _MOST_DIMENSIONS or not all(type(size) is int and 0 <= size < 2**63 for size in shape):
                raise ValueError(f"its arrays must have a shape of integers >= 0, not {brief(shape)}")
            return _Array(np.frombuffer(raw, np.uint8).reshape(shape))
    raise ValueError("its arrays must be uint8, row by row")


_BATCH = Vocabulary(
    "a batch of images",
    {
        Name("numpy.core.multiarray", "_reconstruct"): lambda arguments: _Array(),
        Name("numpy._core.multiarray", "_reconstruct"): lambda arguments: _Array(),
        Name("numpy", "dtype"): _type,
        Name("numpy", "ndarray"): None,  # the class to reconstruct
    },
    _with_state,
)
