"""The built-in images, their classes, and their fixed split into train and test.

The ten animals are the PyPI package `animal-mnist` 0.4 (see `builtin_data/NOTICE.md`). The digits are those of
`sklearn.datasets.load_digits`.
"""

import functools
import hashlib
import zipfile
import zlib
from collections.abc import Sequence
from importlib import resources
from numbers import Integral
from typing import NamedTuple

import numpy as np

from sonikeras.sources._classes import ANIMALS, CHOICES, DIGITS
from sonikeras.sources._splits import near_duplicate_groups

CLASSES = CHOICES["builtin"]  # every subset contains the previous one


SPLITS = ("train", "test")


_SPLIT_PARTS = 5  # one image in five is a test image


MIN_IMAGES_PER_CLASS = _SPLIT_PARTS  # with fewer, the test split could be empty


# Two images with a higher correlation are near-duplicates. Copies of animals have more than 0.98 (284 of 301 pairs are
# equal). Between 0.96 and 0.98, images look like copies. Below 0.96, pairs are different animals in the same pose, and
# groups soon merge (the largest has 56 images at 0.96, 144 at 0.95, 284 at 0.94). No two digits are equal, and above
# 0.98 nearly all pairs are ones drawn as a plain bar (the largest group has 14 images at 0.98, 28 at 0.975).
ANIMALS_THRESHOLD = 0.96


DIGITS_THRESHOLD = 0.98


class _Source(NamedTuple):
    """Images with their names, and for each class and split the indices of its images in the order of selection."""

    images: np.ndarray
    names: list[str]
    members: dict[str, dict[str, list[int]]]


def load(
    class_names: Sequence[str], split: str, images_per_class: int = 280
) -> tuple[list[np.ndarray], np.ndarray, list[str]]:
    """Loads built-in images of some classes from one split of the fixed train/test split.

    The split does not depend on arguments, seeds or the machine. In each class, a fifth of the images are test images.
    An image, its near-duplicates and their mirror images are always in the same split, also across classes.
    Copies within a split are kept: 19 % of the birds, 6 % of the bears and at most 2 % of the others repeat another
    image. The images for a smaller `images_per_class` are a subset of those for a larger one.

    Args:
        class_names: Sequence of different classes of `CLASSES["c15"]`, in any order. Labels are indices into the sorted
            names.
        split: String, `"train"` or `"test"`.
        images_per_class: Integer of at least 5, the largest number of images of each class in both splits together. A
            fifth of them (rounded) are test images. An animal has 1000 images, a digit about 180. A class with fewer
            images is split in the same proportion. Defaults to `280`: 224 for train and 56 for test.

    Returns:
        Tuple `(images, labels, names)`, class by class. `images` is a list of read-only uint8 arrays `[height, width]`,
        light on black: `[28, 28]` for animals, `[8, 8]` for digits. `labels` is an int32 array `[len(images)]` of
        indices into the sorted class names. `names` is a list of strings such as `"cat-0123"`: the class and the
        position of the image in it.

    Raises:
        ValueError: A class name or the split is unknown, a class is repeated or there is none, or `images_per_class` is
            not an integer of at least 5.
        RuntimeError: The image file of the installation is missing or damaged.

    Sources:
        Animals: Sina Mohammadi, `animal-mnist` 0.4, Python Package Index, 2025, MIT license.
        Digits: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
        1998, https://archive.ics.uci.edu/ml/datasets/Optical+Recognition+of+Handwritten+Digits, in the copy in
        scikit-learn.

    Example:

    >>> images, labels, names = load(["cat", "dog"], "test", images_per_class=10)
    >>> len(images), images[0].shape, labels.tolist()
    (4, (28, 28), [0, 0, 1, 1])
    >>> [name.split("-")[0] for name in names]
    ['cat', 'cat', 'dog', 'dog']
    """
    ordered = _check_class_names(class_names)
    if split not in SPLITS:
        raise ValueError(f"`split` must be one of {SPLITS}. Received: split={split!r}")
    is_integer = isinstance(images_per_class, Integral) and not isinstance(images_per_class, bool)
    if not is_integer or images_per_class < MIN_IMAGES_PER_CLASS:
        raise ValueError(
            f"`images_per_class` must be an integer of at least {MIN_IMAGES_PER_CLASS}, so that train and test both "
            f"get an image. Received: images_per_class={images_per_class!r}"
        )

    images, labels, names = [], [], []
    for label, name in enumerate(ordered):
        source = _digits() if name in DIGITS else _animals()
        members = source.members[name]
        used = min(int(images_per_class), sum(map(len, members.values())))
        test_part = round(used / _SPLIT_PARTS)
        for index in members[split][: test_part if split == "test" else used - test_part]:
            images.append(source.images[index])
            labels.append(label)
            names.append(source.names[index])
    return images, np.array(labels, dtype="int32"), names


def _check_class_names(class_names: Sequence[str]) -> list[str]:
    known = CLASSES["c15"]
    is_sequence = isinstance(class_names, Sequence) and not isinstance(class_names, str)
    if not is_sequence or not class_names or any(name not in known for name in class_names):
        raise ValueError(
            f"`class_names` must be a sequence of at least one of the built-in classes {known}. "
            f"Received: class_names={class_names!r}"
        )
    if len(set(class_names)) < len(class_names):
        raise ValueError(f"`class_names` must name each class once. Received: class_names={class_names!r}")
    return sorted(class_names)


@functools.lru_cache(maxsize=1)
def _animals() -> _Source:
    try:
        path = resources.files("sonikeras.sources") / "builtin_data" / "animals.npz"
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            images, labels, groups = data["images"], data["labels"], data["groups"]
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise RuntimeError(
            "The built-in images (`sonikeras/sources/builtin_data/animals.npz`) are missing or damaged. "
            "Reinstall sonikeras. "
            f"Received: {type(error).__name__}: {error}"
        ) from error
    return _split(images, labels, groups, ANIMALS)


@functools.lru_cache(maxsize=1)
def _digits() -> _Source:
    from sklearn.datasets import load_digits

    images, labels = load_digits(n_class=len(DIGITS), return_X_y=True)
    images = np.round(images.reshape(-1, 8, 8) * (255 / 16)).astype("uint8")
    return _split(images, labels, near_duplicate_groups(images, threshold=DIGITS_THRESHOLD), DIGITS)


def _split(images: np.ndarray, labels: np.ndarray, groups: np.ndarray, class_names: Sequence[str]) -> _Source:
    """Fills the test split of every class with whole groups, in the order of the SHA-256 of their pixels.

    A group that would overflow the test split of one of its classes goes to train. Groups of a single image, of which
    every class has many, then fill each test split exactly.
    """
    room = np.round(np.bincount(labels) / _SPLIT_PARTS).astype(int)
    by_group = np.argsort(groups, kind="stable")
    whole_groups = np.split(by_group, np.flatnonzero(np.diff(groups[by_group])) + 1)
    in_test = np.zeros(len(images), dtype=bool)
    for group in sorted(whole_groups, key=lambda group: _digest(images[group])):
        needed = np.bincount(labels[group], minlength=len(room))
        if np.all(needed <= room):
            room -= needed
            in_test[group] = True

    names = [""] * len(images)
    members: dict[str, dict[str, list[int]]] = {}
    for label, name in enumerate(class_names):
        indices = np.flatnonzero(labels == label).tolist()
        for position, index in enumerate(indices):
            names[index] = f"{name}-{position:04d}"
        # By hash, so that a few images are a random sample of the class, whatever the order of the source.
        indices.sort(key=lambda index: _digest(images[index]))
        members[name] = {
            "train": [index for index in indices if not in_test[index]],
            "test": [index for index in indices if in_test[index]],
        }
    images.flags.writeable = False  # it is cached, and `load` returns views of it
    return _Source(images, names, members)


def _digest(pixels: np.ndarray) -> bytes:
    return hashlib.sha256(pixels.tobytes()).digest()
