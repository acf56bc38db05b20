"""Makes `sonikeras/sources/builtin_data/animals.npz` from the PyPI package `animal-mnist` 0.4.

    pip install --no-deps animal-mnist==0.4
    python tests/sources/convert_animal_mnist.py animals.npz

The package stores its arrays as gzipped pickles, and a pickle can run any code. They are read here by an unpickler that
admits nothing but NumPy arrays. The same package gives the same file, byte for byte, with the same zlib.
"""

import argparse
import gzip
import importlib.util
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from sonikeras.sources import _builtin as builtin
from sonikeras.sources._splits import near_duplicate_groups

# What an array's pickle calls, by the names of NumPy 1 and NumPy 2. The function has no public name.
_reconstruct = np.empty(0).__reduce__()[0]
_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler that refuses whatever is not part of a NumPy array."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"Only NumPy arrays are admitted. Received: {module}.{name}") from None


def read_array(file: io.BufferedIOBase, *, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Reads one pickled array of the given type and shape, and refuses anything else."""
    array = ArrayUnpickler(file).load()
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != shape:
        raise ValueError(f"The pickle must hold an array of {dtype} {shape}. Received: {array!r}")
    return array


def read_package(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads images `[10000, 28, 28]` and labels `[10000]`, both uint8, from the data folder of the package."""
    with gzip.open(folder / "animal_data_version_3.gz", "rb") as file:
        images = read_array(file, dtype="uint8", shape=(10000, 28, 28))
    with gzip.open(folder / "animal_label_version_3.gz", "rb") as file:
        labels = read_array(file, dtype="int64", shape=(10000,))
    return images, labels.astype("uint8")


def package_folder() -> Path:
    """Finds the data of the installed package without running any of its code."""
    spec = importlib.util.find_spec("animal_mnist")
    if spec is None or spec.origin is None:
        raise SystemExit("The package is not installed: pip install --no-deps animal-mnist==0.4")
    return Path(spec.origin).parent / "data" / "Animal_MNIST"


def write(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Writes images, labels and near-duplicate groups as plain arrays; NumPy stamps the parts of the zip with 1980."""
    groups = near_duplicate_groups(images, threshold=builtin.ANIMALS_THRESHOLD)
    np.savez_compressed(path, images=images, labels=labels, groups=groups)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="the file to write, ending in .npz")
    write(parser.parse_args().output, *read_package(package_folder()))
