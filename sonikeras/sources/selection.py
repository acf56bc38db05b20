"""Where examples come from: the built-in images, folders, arrays, Keras and TensorFlow Datasets."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sonikeras.config._checks import check_choice, check_number
from sonikeras.sources import (
    _builtin as builtin,
    _cifar as cifar,
    _folders as folders,
    _listing as listings,
    _tfds as tfds,
    audio as sounds,
    images,
    records,
)
from sonikeras.sources._classes import CHOICES, SIZES
from sonikeras.sources._duplicates import duplicates_between, groups_of_duplicates
from sonikeras.sources._listing import Listing
from sonikeras.sources._splits import in_part
from sonikeras.sources.examples import Examples, Record, check_shard, readable

__all__ = [
    "SPLITS",
    "STAGES",
    "Examples",
    "Record",
    "check_shard",
    "class_names",
    "data_sets",
    "duplicates_between",
    "load_examples",
    "near_duplicates",
    "readable",
]


STAGES = {"image": images.EXTENSIONS, "audio": sounds.EXTENSIONS, "spectrogram": images.EXTENSIONS}


SPLITS = ("train", "validation", "test")


_SOURCES = ("builtin", "keras:cifar10", "keras:cifar100", "tfds:NAME")


_SHOWN = 20  # names of classes in an error


def load_examples(
    name: str | None,
    split: str,
    *,
    data_dir: str | os.PathLike | None = None,
    source: Any = "builtin",
    classes: Sequence[str] | None = None,
    images_per_class: int | None = None,
    stage: str = "image",
    validation_split: float = 0.0,
    fold: tuple[int, int] | None = None,
    group_duplicates: bool = False,
) -> Examples:
    """Finds the examples of one split. The arguments are those of `sonikeras.dataset`."""
    check_choice("split", split, SPLITS)
    check_choice("stage", stage, STAGES)
    _check_division(validation_split, fold, stage, group_duplicates)
    if images_per_class is not None and (
        not isinstance(images_per_class, int) or images_per_class < builtin.MIN_IMAGES_PER_CLASS
    ):
        raise ValueError(
            f"`images_per_class` must be an integer of at least {builtin.MIN_IMAGES_PER_CLASS}: one in five is a test "
            f"image. Received: images_per_class={images_per_class!r}"
        )
    opened = _open(name, data_dir, source, stage)
    chosen = _choose(name, opened, classes)
    whole = _whole(opened, split, validation_split, fold)
    examples = _examples(opened, chosen, whole, images_per_class)
    if whole != "train" or (fold is None and not validation_split):
        return examples
    return _divided(examples, split, validation_split, fold, group_duplicates)


def parts_of(data_dir: str | os.PathLike | None) -> tuple[str, ...]:
    """The splits that `load_examples` finds without dividing a training part.

    Args:
        data_dir: The user's folder, or `None` for another source. The test part is the validation part where there is
            no other. A training part is expected of each source, and its absence is an error of `load_examples`.

    Example:
        >>> from sonikeras.sources.selection import parts_of
        >>> parts_of(None)
        ('train', 'test')
    """
    if data_dir is None or (Path(data_dir).is_dir() and records.holds_records(data_dir)):
        return ("train", "test")
    found = folders.layout(Path(data_dir)).splits
    return tuple(split for split in SPLITS if split == "train" or split in found)


def _whole(source: _Source, split: str, validation_split: float, fold: tuple[int, int] | None) -> str:
    """The part of a source that a split is, or is taken from: a fold from the training part, as a validation split."""
    if split == "validation" and not validation_split:
        if not source.has_validation:
            raise ValueError(
                '`split="validation"` needs `validation_split` above 0, or a folder with a validation part. '
                f"Received: validation_split=0, and none in {source.title}"
            )
        return "validation"
    return "test" if split == "test" and fold is None else "train"


@dataclasses.dataclass(frozen=True)
class _Source:
    """A source with all of its classes.

    Attributes:
        title: What an error calls it.
        choices: The classes of each name, where the source has a choice of its own.
        class_names: Names of all classes, in order.
        load: Function of the classes' names, a part and the most images of a class, to what there is of them.
        has_validation: Boolean, whether it comes with a validation part.
    """

    title: str
    choices: dict[str, tuple[str, ...]]
    class_names: list[str]
    load: Callable[[list[str], str, int | None], Listing]
    has_validation: bool = False


def _open(name: str | None, data_dir: str | os.PathLike | None, source: Any, stage: str) -> _Source:
    """The source that the arguments mean."""
    if name is not None and name not in SIZES:
        raise ValueError(
            f"Unknown data set. Allowed values: {list(SIZES)}, or None for all classes. Received: name={name!r}"
        )
    if data_dir is not None:
        root = Path(data_dir)
        if root.is_dir() and records.holds_records(root):
            find = functools.partial(_recorded, root, stage=stage)
            return _Source(
                str(root), CHOICES["folder"], records.class_names(root), _parts(find), records.has_validation(root)
            )
        found = folders.layout(root)
        find = functools.partial(folders.listing, found, extensions=STAGES[stage])
        return _Source(
            str(root), CHOICES["folder"], folders.class_folders(found), _parts(find), "validation" in found.parts
        )
    if stage != "image":
        raise ValueError(
            'Other sources than a folder are images: `stage` must be "image" without `data_dir`. '
            f"Received: stage={stage!r}"
        )
    if not isinstance(source, str):
        pixels, labels, names = listings.check_arrays(source)
        return _Source("the arrays", {}, names, _parts(lambda chosen, _: listings.of_arrays(pixels, labels, chosen)))
    kind, _, title = source.partition(":")
    if source == "builtin":
        return _Source("the built-in images", CHOICES["builtin"], list(builtin.CLASSES["c15"]), _load_builtin)
    if kind == "keras" and title in cifar.ARCHIVES:
        find = functools.partial(cifar.listing, title)
        return _Source(title, CHOICES[title], list(cifar.ARCHIVES[title].classes), _parts(find))
    if kind == "tfds" and title:
        builder = tfds.prepared(title)
        choices = CHOICES.get(builder.name, {})
        return _Source(title, choices, tfds.class_names(builder), _parts(functools.partial(tfds.listing, builder)))
    raise ValueError(
        f"Unknown `source`. Allowed values: {list(_SOURCES)}, or a pair of arrays (images, labels). "
        f"Received: source={source!r}"
    )


def _parts(find: Callable[[list[str], str], Listing]) -> Callable[[list[str], str, int | None], Listing]:
    return lambda names, split, images_per_class: listings.part(find(names, split), split, images_per_class)


def _load_builtin(names: list[str], split: str, images_per_class: int | None) -> Listing:
    limit = {} if images_per_class is None else {"images_per_class": images_per_class}
    pixels, labels, ids = builtin.load(names, split, **limit)
    return Listing(labels.tolist(), ids, ids, pixels, divided=True)


def _recorded(directory: Path, class_names: list[str], split: str, *, stage: str) -> Listing:
    """What `sonikeras.prepare` wrote as records, of some classes."""
    if stage == "image":
        raise ValueError(
            "The records that `sonikeras.prepare` writes hold sounds and pictures: `stage` must be 'audio' or "
            f"'spectrogram'. Received: stage='image', data_dir={directory}"
        )
    all_names, found, names, places = records.load(directory, split, stage)
    numbers = {all_names.index(name): label for label, name in enumerate(class_names)}
    chosen = [i for i, label in enumerate(found) if label in numbers]
    labels = [numbers[found[i]] for i in chosen]
    named = [names[i] for i in chosen]
    items = [places[i] for i in chosen]
    return Listing(labels, named, named, items, divided=True).take(listings.by_class(labels))


def _examples(source: _Source, class_names: list[str], split: str, images_per_class: int | None) -> Examples:
    found = source.load(class_names, split, images_per_class)
    missing = [class_names[label] for label in sorted(set(range(len(class_names))) - set(found.labels))]
    if not found.items or (missing and split == "train"):
        if found.divided:
            raise ValueError(
                f"Each class must have examples in the part {split!r}. Received: none of {missing} in {source.title}"
            )
        raise ValueError(
            f"The hash of names or contents must put some of each class into the part {split!r}: have more of them, or "
            f"folders train/ and test/. Received: none of {missing} in {source.title}"
        )
    return Examples(
        class_names,
        np.array(found.labels, np.int32),
        list(found.names),
        list(found.items),
        list(found.keys) if found.by_content else _keys(found, class_names),
    )


def _keys(found: Listing, class_names: list[str]) -> list[str]:
    """Class and name of each example. A file counts without its ending, which names have or lack as other files do."""
    return [
        f"{class_names[label]}/{key.rpartition('.')[0] if isinstance(item, Path) else key}"
        for label, key, item in zip(found.labels, found.keys, found.items, strict=True)
    ]


def _check_division(validation_split: float, fold: tuple[int, int] | None, stage: str, group_duplicates: bool) -> None:
    rule = "a number in 0 <= validation_split < 1"
    check_number("validation_split", validation_split, rule, lambda share: 0 <= share < 1)
    if fold is not None:
        whole = isinstance(fold, tuple | list) and len(fold) == 2 and all(isinstance(n, int) for n in fold)
        if not whole or not 0 <= fold[0] < fold[1] or fold[1] < 2:
            raise ValueError(f"`fold` must be (i, k) with k >= 2 and 0 <= i < k, or None. Received: fold={fold!r}")
    if group_duplicates and stage == "audio":
        raise ValueError(
            "`group_duplicates` compares images: `stage` must not be 'audio'. Received: group_duplicates=True"
        )


def _divided(
    examples: Examples, split: str, validation_split: float, fold: tuple[int, int] | None, group_duplicates: bool
) -> Examples:
    """The part of the training part that a fold and a validation split leave for `split`."""
    keys = examples.keys
    groups = groups_of_duplicates(examples) if group_duplicates else None
    chosen = np.ones(len(keys), bool)
    if fold is not None:
        held_out = in_part(keys, fold[0] / fold[1], (fold[0] + 1) / fold[1], salt="fold", groups=groups)
        chosen &= held_out == (split == "test")
    if split != "test" and validation_split:
        chosen &= in_part(keys, 0, validation_split, salt="validation", groups=groups) == (split == "validation")
    part = examples.select(np.flatnonzero(chosen).tolist())
    missing = sorted(set(range(len(part.class_names))) - set(part.labels.tolist()))
    if missing:
        raise ValueError(
            f"The hash of the names must put some of each class into the part {split!r}: have more images, or larger "
            f"parts. Received: none of {[part.class_names[label] for label in missing]}, with fold={fold}, "
            f"validation_split={validation_split}"
        )
    return part


def near_duplicates(
    name: str | None = None,
    *,
    data_dir: str | os.PathLike | None = None,
    source: Any = "builtin",
    classes: Sequence[str] | None = None,
    images_per_class: int | None = None,
    stage: str = "image",
) -> list[tuple[str, str, float]]:
    """Finds test images of a data set that resemble training images, which makes its test too easy.

    Two images are alike if the Pearson correlation of their thumbnails, 32 x 32 pixels in gray, or of one's with the
    other's mirror image, is above 0.96. All images are read and all pairs compared.

    Args:
        name: As of `sonikeras.dataset`, like all arguments.

    Returns:
        List of `(training image, test image, correlation)`, most alike first: paths of files, or class and name.

    Raises:
        ValueError: An argument breaks its rule, or an image cannot be read; the message names it.

    Example:
        >>> import sonikeras
        >>> sonikeras.near_duplicates("c2", images_per_class=10)  # doctest: +ELLIPSIS
        Reading ...
        []
    """
    check_choice("stage", stage, [stage for stage in STAGES if stage != "audio"])
    options: dict[str, Any] = {
        "data_dir": data_dir,
        "source": source,
        "classes": classes,
        "images_per_class": images_per_class,
        "stage": stage,
    }
    train, test = (load_examples(name, split, **options) for split in ("train", "test"))
    return [(train.describe(i), test.describe(j), correlation) for i, j, correlation in duplicates_between(train, test)]


def data_sets() -> list[str]:
    """Names of the data sets that `sonikeras.dataset` knows."""
    return list(SIZES)


def class_names(
    name: str | None,
    *,
    data_dir: str | os.PathLike | None = None,
    source: Any = "builtin",
    classes: Sequence[str] | None = None,
) -> list[str]:
    """Names of the classes of a data set, in the order of their labels.

    That is the sorted order, and for arrays with integers as labels their order.

    Args:
        name: `"c2"`, `"c4"`, `"c10"`, `"c15"`, or `None`: all classes of the source. `classes` wins.
        data_dir: Folder with a folder for each class, or with `train/` and `test/` (and `validation/`) that have them.
        source: `"builtin"`, `"keras:cifar10"`, `"keras:cifar100"`, `"tfds:NAME"` (a data set of TensorFlow Datasets,
            which is downloaded where it is not there, after a line which says so), or a pair of arrays
            `(images, labels)`. `data_dir` wins.
        classes: Names of the classes to take.

    Raises:
        ValueError: An unknown data set, source or class, or a number of classes that is not the data set's.
        FileNotFoundError: There is no such folder.
        OSError: The data are not there and cannot be fetched.
        ImportError: TensorFlow Datasets is not installed.

    Example:
        >>> import sonikeras
        >>> sonikeras.class_names("c4")
        ['cat', 'dog', 'elephant', 'zebra']
        >>> sonikeras.class_names("c4", source="keras:cifar100")
        ['bus', 'motorcycle', 'pickup_truck', 'streetcar']
    """
    return _choose(name, _open(name, data_dir, source, "image"), classes)


def _choose(name: str | None, source: _Source, classes: Sequence[str] | None) -> list[str]:
    available = source.class_names
    if classes is not None:
        asked = list(classes)
        if not asked or len(set(asked)) < len(asked) or not set(asked) <= set(available):
            raise ValueError(f"`classes` must be different ones of {_some(available)}. Received: classes={asked}")
    else:
        asked = list(source.choices.get(name or "", ()))
        if not asked or not set(asked) <= set(available):
            asked = available
    chosen = [class_name for class_name in available if class_name in set(asked)]
    if name is not None and classes is None and len(chosen) != SIZES[name]:
        raise ValueError(
            f'"{name}" has {SIZES[name]} classes: choose them with `classes`, or pass None for the name to take all. '
            f"Received: {len(chosen)} classes, {_some(chosen)}, in {source.title}"
        )
    if len(chosen) < 2:
        raise ValueError(f"A data set must have at least 2 classes. Received: {chosen} in {source.title}")
    return chosen


def _some(names: list[str]) -> str:
    return str(names) if len(names) <= _SHOWN else f"{str(names[:_SHOWN])[:-1]}, ... ({len(names)} in all)]"
