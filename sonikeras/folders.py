"""Folders of the user's: a folder for each class, or `train/` and `test/` that have them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from sonikeras.files import folded
from sonikeras.listings import Listing

SPLITS = ("train", "test")


def class_folders(data_dir: Path) -> list[str]:
    """Names of the classes that a folder has, sorted. Hidden folders count for nothing.

    Raises:
        FileNotFoundError: There is no such folder.
        PermissionError: It cannot be read.
        ValueError: Two names differ only in case or Unicode form, which many file systems cannot tell apart.
    """
    found: set[str] = set()
    for root in _roots(data_dir).values():
        found |= {entry.name for entry in _entries(root) if _is_folder(entry)}
    alike: dict[str, str] = {}
    for name in sorted(found):
        other = alike.setdefault(folded(name), name)
        if other != name:
            raise ValueError(
                "Class folders must differ in more than upper and lower case or Unicode form, since many file systems "
                f"take such names for one: rename or merge them. Received: {ascii(other)}, {ascii(name)} in {data_dir}"
            )
    return sorted(found)


def listing(data_dir: Path, class_names: Sequence[str], split: str, extensions: tuple[str, ...]) -> Listing:
    """The files of some classes, for one part where the folder comes divided.

    An example's name is the file's path below its class folder, without the ending where all names differ without.

    Args:
        data_dir: Path of the folder.
        class_names: Names of the class folders to read.
        split: `"train"` or `"test"`.
        extensions: Endings of files that count, in lower case.

    Raises:
        FileNotFoundError: There is no such folder, or it comes divided and lacks this part.
        PermissionError: A folder cannot be read.
        ValueError: A class has no file; in a test part of its own it may have none.
    """
    roots = _roots(data_dir)
    if "" not in roots and split not in roots:
        raise FileNotFoundError(
            f'`data_dir` has the folder "{next(iter(roots))}" but not "{split}": add it, or pass the folder that '
            f"has the class folders, which is then split 80/20. Received: data_dir={data_dir}, split={split!r}"
        )
    root = roots.get(split, data_dir)
    labels: list[int] = []
    names: list[str] = []
    keys: list[str] = []
    items: list[Path] = []
    for label, class_name in enumerate(class_names):
        folder = root / class_name
        files = sorted(_files(folder, extensions)) if folder.is_dir() else []
        if not files and (split == "train" or "" in roots):
            raise ValueError(
                f"Each class must have at least one file of {list(extensions)}. Received: none in {folder}"
            )
        stems = [name[: name.rindex(".")] for name, _ in files]
        # Names are unique also on file systems that ignore case: where stems are not, all files keep their endings.
        short = len({stem.casefold() for stem in stems}) == len(stems)
        labels += [label] * len(files)
        keys += [name for name, _ in files]
        names += stems if short else [name for name, _ in files]
        items += [Path(path) for _, path in files]
    return Listing(labels, names, keys, items, divided="" not in roots)


def _roots(data_dir: Path) -> dict[str, Path]:
    """The folders that have the class folders: of each split, or one for both (`""`)."""
    if not data_dir.is_dir():
        raise FileNotFoundError(f"`data_dir` must be a folder. Received: data_dir={data_dir}")
    return {split: data_dir / split for split in SPLITS if (data_dir / split).is_dir()} or {"": data_dir}


def _files(folder: Path, extensions: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Path below the folder, with slashes, and path of each file in it or in folders in it, links followed.

    A folder to which several ways lead is read once, on a way without links if there is one: so loops end. A link to a
    folder that the class folder lies in leads to other classes, too: it counts for nothing.
    """
    parent = folder.parent.resolve()
    seen = {str(above) for above in (parent, *parent.parents, *folder.resolve().parents)}
    folders, links = [("", str(folder))], list[tuple[str, str]]()
    while folders or links:
        below, path = folders.pop() if folders else links.pop()
        real = os.path.realpath(path)
        if real in seen:
            continue
        seen.add(real)
        for entry in sorted(_entries(path), key=lambda entry: entry.name, reverse=True):
            name = f"{below}{entry.name}"
            if name.lower().endswith(extensions) and _is_file(entry):
                yield name, entry.path
            elif _is_folder(entry):
                (links if entry.is_symlink() else folders).append((f"{name}/", entry.path))


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """What a folder has, without what is hidden."""
    try:
        with os.scandir(str(folder)) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except PermissionError as error:
        raise PermissionError(f"Folders of a data set must be readable. Received: {folder}") from error


# Where a link leads, `DirEntry` raises for one that leads to itself; without a link it needs to ask nobody.
def _is_folder(entry: os.DirEntry[str]) -> bool:
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def _is_file(entry: os.DirEntry[str]) -> bool:
    return os.path.isfile(entry.path) if entry.is_symlink() else entry.is_file()
