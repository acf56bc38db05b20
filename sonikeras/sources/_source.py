"""Sources of examples, opened: what each one contains, and how its examples are loaded."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sonikeras.sources import (
    _arrays as arrays,
    _builtin as builtin,
    _catalog as catalogs,
    _cifar as cifar,
    _folders as folders,
    _tfds as tfds,
    records,
)
from sonikeras.sources._catalog import Catalog
from sonikeras.sources._classes import CHOICES, SIZES
from sonikeras.sources.examples import Examples

_SHOWN = 20  # class names in an error


@dataclasses.dataclass(frozen=True)
class Source:
    """An opened source with all of its classes.

    Attributes:
        title: Its name in errors.
        choices: The classes of each data set name, where the source defines them.
        class_names: Names of all classes, in order.
        load: Function of class names, a split and the largest number of examples of a class, to a `Catalog`.
        has_validation: Boolean, whether the source has a validation split.
    """

    title: str
    choices: dict[str, tuple[str, ...]]
    class_names: list[str]
    load: Callable[[list[str], str, int | None], Catalog]
    has_validation: bool = False


def open_source(source: Any, data_dir: str | os.PathLike | None, *, stage: str, extensions: tuple[str, ...]) -> Source:
    """Opens the source that the fields of a `sonikeras.sources.Selection` describe."""
    if data_dir is not None:
        return _open_folder(Path(data_dir), stage, extensions)
    if stage != "image":
        raise ValueError(
            'Only a folder can hold another stage than images: `stage` must be "image" without `data_dir`. '
            f"Received: stage={stage!r}"
        )
    if not isinstance(source, str):
        return _open_arrays(source)
    kind, _, title = source.partition(":")
    opened = _KINDS[kind][0](title) if kind in _KINDS and not source.endswith(":") else None
    if opened is None:
        names = [name for _, *names in _KINDS.values() for name in names]
        raise ValueError(
            f"Unknown `source`. Allowed values: {names}, or a pair of arrays (images, labels). "
            f"Received: source={source!r}"
        )
    return opened


def _open_builtin(title: str) -> Source | None:
    if title:
        return None
    return Source("the built-in images", CHOICES["builtin"], list(builtin.CLASSES["c15"]), _load_builtin)


def _open_keras(title: str) -> Source | None:
    if title not in cifar.ARCHIVES:
        return None
    find = functools.partial(cifar.catalog, title)
    return Source(title, CHOICES[title], list(cifar.ARCHIVES[title].classes), _by_split(find))


def _open_tfds(title: str) -> Source | None:
    if not title:
        return None
    builder = tfds.prepared(title)
    find = functools.partial(tfds.catalog, builder)
    return Source(title, CHOICES.get(builder.name, {}), tfds.class_names(builder), _by_split(find))


#: The function that opens the source `"KIND:TITLE"`, or returns `None` for an unknown title, and the source's names as
#: an error lists them. To add a source, add an entry.
_KINDS: dict[str, tuple[Any, ...]] = {
    "builtin": (_open_builtin, "builtin"),
    "keras": (_open_keras, "keras:cifar10", "keras:cifar100"),
    "tfds": (_open_tfds, "tfds:NAME"),
}


def _open_arrays(source: Any) -> Source:
    pixels, labels, names = arrays.check_arrays(source)
    return Source("the arrays", {}, names, _by_split(lambda chosen, _: arrays.catalog(pixels, labels, chosen)))


def _open_folder(root: Path, stage: str, extensions: tuple[str, ...]) -> Source:
    if root.is_dir() and records.holds_records(root):
        find = functools.partial(_list_records, root, stage=stage)
        names, has_validation = records.class_names(root), records.has_validation(root)
        return Source(str(root), CHOICES["folder"], names, _by_split(find), has_validation)
    found = folders.layout(root)
    find = functools.partial(folders.catalog, found, extensions=extensions)
    has_validation = "validation" in found.parts
    return Source(str(root), CHOICES["folder"], folders.class_folders(found), _by_split(find), has_validation)


def _by_split(find: Callable[[list[str], str], Catalog]) -> Callable[[list[str], str, int | None], Catalog]:
    return lambda names, split, images_per_class: catalogs.select_split(find(names, split), split, images_per_class)


def _load_builtin(names: list[str], split: str, images_per_class: int | None) -> Catalog:
    limit = {} if images_per_class is None else {"images_per_class": images_per_class}
    pixels, labels, ids = builtin.load(names, split, **limit)
    return Catalog(labels.tolist(), ids, ids, pixels, pre_split=True)


def _list_records(directory: Path, class_names: list[str], split: str, *, stage: str) -> Catalog:
    """Some classes of the record files that `sonikeras.prepare` wrote."""
    if stage == "image":
        raise ValueError(
            "The record files of `sonikeras.prepare` contain audio and pictures: `stage` must be 'audio' or "
            f"'spectrogram'. Received: stage='image', data_dir={directory}"
        )
    all_names, found, names, places = records.load(directory, split, stage)
    numbers = {all_names.index(name): label for label, name in enumerate(class_names)}
    chosen = [i for i, label in enumerate(found) if label in numbers]
    labels = [numbers[found[i]] for i in chosen]
    named = [names[i] for i in chosen]
    items = [places[i] for i in chosen]
    return Catalog(labels, named, named, items, pre_split=True).take(catalogs.by_class(labels))


def choose_classes(source: Source, name: str | None, classes: Sequence[str] | None) -> list[str]:
    """The classes that a data set name or a list of names selects, in the source's order."""
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
            f'"{name}" has {SIZES[name]} classes: choose them with `classes`, or pass None for the name to use all. '
            f"Received: {len(chosen)} classes, {_some(chosen)}, in {source.title}"
        )
    if len(chosen) < 2:
        raise ValueError(f"A data set must have at least 2 classes. Received: {chosen} in {source.title}")
    return chosen


def _some(names: list[str]) -> str:
    return str(names) if len(names) <= _SHOWN else f"{str(names[:_SHOWN])[:-1]}, ... ({len(names)} in all)]"


def load(source: Source, class_names: list[str], split: str, images_per_class: int | None) -> Examples:
    """The examples of some classes in a split of the source."""
    found = source.load(class_names, split, images_per_class)
    missing = [class_names[label] for label in sorted(set(range(len(class_names))) - set(found.labels))]
    if not found.items or (missing and split == "train"):
        if found.pre_split:
            raise ValueError(
                f"Each class must have examples in the split {split!r}. Received: none of {missing} in {source.title}"
            )
        raise ValueError(
            f"The hash of names or contents must assign examples of each class to the split {split!r}: add "
            f"examples, or create folders train/ and test/. Received: none of {missing} in {source.title}"
        )
    return Examples(
        class_names,
        np.array(found.labels, np.int32),
        list(found.names),
        list(found.items),
        list(found.keys) if found.by_content else _keys(found, class_names),
    )


def _keys(found: Catalog, class_names: list[str]) -> list[str]:
    """Class and name of each example. Files count without extension, which their names have only if ambiguous."""
    return [
        f"{class_names[label]}/{key.rpartition('.')[0] if isinstance(item, Path) else key}"
        for label, key, item in zip(found.labels, found.keys, found.items, strict=True)
    ]
