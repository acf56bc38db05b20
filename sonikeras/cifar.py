"""CIFAR-10 and CIFAR-100 in the cache folder of Keras, read without running anything that their files ask for."""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from sonikeras.classes import CIFAR10, CIFAR100
from sonikeras.listings import Listing, by_class, unique

_ORIGIN = "https://www.cs.toronto.edu/~kriz/"
_SIDE = 32


class _Archive(NamedTuple):
    """What Keras calls an archive, what it unpacks to, and what its files hold."""

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


def listing(name: str, class_names: Sequence[str], split: str) -> Listing:
    """The images of some classes from one of the two parts.

    They are read from `$KERAS_HOME/datasets` (`~/.keras/datasets`), where `keras.datasets` keeps them, too. Where they
    are not there, they are fetched, after a line which says so.

    Args:
        name: `"cifar10"` or `"cifar100"`.
        class_names: Names of classes of it.
        split: `"train"` or `"test"`.

    Returns:
        RGB images `[32, 32, 3]`, named as their files were.

    Raises:
        OSError: They are not there and cannot be fetched; the message names the file and where to put it.
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
    return Listing(labels, names, names, images, divided=True).take(by_class(labels))


def _folder(archive: _Archive) -> Path:
    home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    datasets = home / "datasets"
    files = [file for part in archive.parts.values() for file in part]
    if all((datasets / archive.cache_name / archive.folder / file).is_file() for file in files):
        return datasets / archive.cache_name / archive.folder
    origin, target = _ORIGIN + archive.file, datasets / f"{archive.cache_name}_archive"
    if not target.exists():
        print(f"Fetching {archive.title}, {archive.megabytes} MB, from {origin} to {datasets}", flush=True)
    try:
        home.mkdir(parents=True, exist_ok=True)
        unpacked = keras.utils.get_file(
            archive.cache_name, origin, file_hash=archive.sha256, extract=True, cache_dir=str(home)
        )
    except Exception as error:  # Keras raises an `Exception` of no class of its own
        raise OSError(
            f"{archive.title} cannot be fetched. Where there is no network, put {archive.file} from {origin} there as "
            f"{target}. Received: {error}"
        ) from error
    return Path(unpacked) / archive.folder


def _read_batch(path: Path, archive: _Archive) -> tuple[list[int], list[str], np.ndarray]:
    """Labels, names and RGB images of a file of an archive."""
    try:
        with open(path, "rb") as file:
            batch = _BatchUnpickler(file, encoding="bytes").load()
        labels = [int(label) for label in batch[archive.label_key]]
        names = [os.path.splitext(name.decode("utf-8"))[0] for name in batch[b"filenames"]]
        planes = batch[b"data"].pixels.reshape(len(labels), 3, _SIDE, _SIDE)
        if len(names) != len(labels) or not set(labels) <= set(range(len(archive.classes))):
            raise ValueError("its images, labels and names do not fit together")
    except OSError:
        raise
    except Exception as error:  # a broken pickle may raise anything
        raise ValueError(
            f"The files of {archive.title} must be as they were packed: delete {path.parent}, then they are unpacked "
            f"or fetched again. Received: {path}, where {error or type(error).__name__}"
        ) from error
    return labels, names, planes.transpose(0, 2, 3, 1)


class _BatchUnpickler(pickle.Unpickler):
    """Unpickles arrays of bytes and what Python writes without naming a class: a file that wants more is refused.

    NumPy's own classes would make pointers out of a file's bytes: it gets classes of this module in their place.
    """

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return _Pixels
        if (module, name) == ("numpy", "dtype"):
            return _Bytes
        if (module, name) == ("numpy", "ndarray"):
            return None  # the class that is to be reconstructed, which is known
        raise pickle.UnpicklingError(f"the name {module}.{name} has no place in a batch of images")


class _Bytes:
    """What a batch gets as a NumPy type, which must be uint8."""

    def __init__(self, name: str | bytes, *_: Any) -> None:
        if name not in ("u1", b"u1"):
            raise pickle.UnpicklingError(f"its arrays must be of the type 'u1', not {name!r}")

    def __setstate__(self, state: Any) -> None:
        """Order of bytes and the like: of single bytes there is nothing to say."""


class _Pixels:
    """What a batch gets as a NumPy array: first an empty one, which is then given its state."""

    def __init__(self, *_: Any) -> None:
        self.pixels = np.empty(0, np.uint8)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, raw = state
        if not isinstance(kind, _Bytes) or fortran or not isinstance(raw, bytes):
            raise pickle.UnpicklingError("its arrays must be uint8, row by row")
        self.pixels = np.frombuffer(raw, np.uint8).reshape(shape)
