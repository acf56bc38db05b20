"""Folders of files: a folder for each class, or pre-split folders such as `train/` and `test/` that contain them."""

from __future__ import annotations

import errno
import os
import re
import stat
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from sonikeras.config._files import folded
from sonikeras.config._progress import say
from sonikeras.sources import audio, images
from sonikeras.sources._catalog import Catalog

_READABLE = (*images.EXTENSIONS, *audio.EXTENSIONS)


_PARTS = {
    "train": ("train", "training", "trn", "trainval"),
    "validation": ("validation", "valid", "val", "validate", "validating", "dev", "development"),
    "test": ("test", "testing", "tst", "eval", "evaluation", "holdout"),
}


# Further words in the name of a split: `training_set`, `TestImages`.
_FILLERS = (
    *("set", "data", "dataset", "split", "part", "folder", "dir", "files", "samples"),
    *("images", "image", "imgs", "img", "photos", "pictures", "audio", "sounds", "recordings", "wav"),
)


_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


# Files and folders of operating systems, file servers and notebooks. Hidden ones are ignored anyway.
_SYSTEM = {
    *("__macosx", "__pycache__", "lost+found", "@eadir", "@tmp", "#recycle", "#snapshot", "$recycle.bin", "recycler"),
    *("system volume information", "lost.dir", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini"),
    *("picasa.ini", "icon\r"),
}


_DEEPEST = 4  # nested folders above the splits that contain nothing else


_KINDS = 8  # kinds of files in the message about those left out


_LONGEST_EXTENSION = 10  # characters of an extension in that message


class Layout(NamedTuple):
    """The layout of a folder.

    Attributes:
        folder: The folder.
        parts: The folders of the splits `"train"`, `"validation"` and `"test"`, as far as they exist. Empty if `folder`
            itself contains the class folders.
        beside: Names of folders beside the splits that belong to none of them.
    """

    folder: Path
    parts: dict[str, Path]
    beside: tuple[str, ...] = ()

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have examples. Without a test folder, the validation folder is the test split."""
        if not self.parts:
            return ("train", "test")
        parts = [part for part, folder in self.parts.items() if _inspect(folder).folders]
        if "validation" in parts and "test" not in parts:
            parts[parts.index("validation")] = "test"
        return tuple(parts)


def layout(data_dir: Path) -> Layout:
    """Determines whether a folder contains class folders, or splits that contain them.

    Folders are splits if they have the name of a split (`train`, `Training`, `seg_test`, `valid`, in any case) and
    share class folders with the first one. They may be nested in folders that contain nothing else, and be doubled, as
    in `seg_train/seg_train/<class>`. A single split counts unless other folders with examples are beside it. A folder
    with the name of a split that directly contains examples is a class.

    Args:
        data_dir: Path of the folder.

    Raises:
        FileNotFoundError: The folder does not exist.
        PermissionError: It, or a folder that may be a split, cannot be read.

    Warns:
        UserWarning: Folders look like splits but are taken for classes.
    """
    if not data_dir.is_dir():
        raise FileNotFoundError(f"`data_dir` must be a folder. Received: data_dir={data_dir}")
    return _layout(data_dir, _DEEPEST) or Layout(data_dir, {})


def _layout(folder: Path, depth: int) -> Layout | None:
    """The layout of a folder that contains splits, or `None`."""
    names = sorted(_inspect(folder).folders)
    if len(names) == 1 and depth:
        inner = _layout(folder / names[0], depth - 1)
        if inner:
            return inner._replace(folder=folder)
    named = {name: part for name in names if (part := _part_named(name))}
    folders = {name: _innermost(folder / name) for name in named}
    contents = {name: _inspect(inner) for name, inner in folders.items()}
    # An image of the whole data set may lie beside the class folders.
    candidates = [name for name, content in contents.items() if len(content.folders) > content.files]
    if not candidates:
        return None
    classes = {name: {folded(class_name) for class_name in contents[name].folders} for name in candidates}
    chosen: dict[str, str] = {}
    problem = ""
    for part in _PARTS:
        ranked = sorted((_rank(name), name) for name in candidates if named[name] == part)
        if len(ranked) > 1 and ranked[0][0] == ranked[1][0]:
            problem = f"{_listed(name for _, name in ranked)} would be the same split"
        elif ranked:
            chosen[part] = ranked[0][1]
    first = next(iter(chosen.values()), "")
    others = [name for name in names if name not in named and _holds_examples(folder / name)]
    for name in chosen.values():
        if not classes[name] & classes[first]:
            differences = f"{_some(contents[first])} and {_some(contents[name])}"
            problem = f"{_listed([first, name])} contain different folders: {differences}"
    if len(chosen) == 1 and others:
        problem = f"{_listed(others)} beside {_listed([first])} would belong to no split"
    if problem:
        if any(_rank(name) < _OTHER for name in candidates):
            warnings.warn(
                f"Folders in {_text(folder)} look like splits of a data set, but are taken for classes: {problem}. "
                "If they are splits, pass a folder that contains only these, with the same class folders in each.",
                stacklevel=2,
            )
        return None
    # A split without class folders has no examples. Leaving it out would cause a misleading error.
    for name, part in named.items():
        if name not in candidates and part not in chosen and not (part == "test" and "validation" in chosen):
            chosen[part] = name
    unlabeled = [name for name in named if name not in chosen.values() or name not in candidates]
    beside = [name for name in unlabeled if _holds_examples(folder / name)]
    parts = {part: folders[chosen[part]] for part in _PARTS if part in chosen}
    return Layout(folder, parts, tuple(sorted({*others, *beside})))


def class_folders(found: Layout) -> list[str]:
    """Names of the classes in a folder, sorted. Hidden folders and system folders are ignored.

    Raises:
        PermissionError: A folder cannot be read.
        ValueError: Two names differ only in case or Unicode form, which many file systems do not distinguish.
    """
    names: set[str] = set()
    for root in found.parts.values() or [found.folder]:
        names |= set(_inspect(root).folders)
    alike: dict[str, str] = {}
    for name in sorted(names):
        other = alike.setdefault(folded(name), name)
        if other != name:
            raise ValueError(
                "Class folders must differ in more than case or Unicode form, which many file systems do not "
                f"distinguish: rename or merge them. Received: {ascii(other)}, {ascii(name)} in "
                f"{found.folder}"
            )
    return sorted(names)


def catalog(found: Layout, class_names: Sequence[str], split: str, extensions: tuple[str, ...]) -> Catalog:
    """The files of some classes, in one split if the folder is pre-split.

    The name of an example is the path of its file below the class folder, without extension if names stay unique. A
    message states how many files are left out, and why.

    Args:
        found: Layout of the folder.
        class_names: Names of the class folders to read.
        split: `"train"`, `"validation"` or `"test"`. Without a test folder, the validation folder is the test split.
        extensions: File extensions to read, in lower case.

    Raises:
        FileNotFoundError: The folder is pre-split and lacks this split.
        PermissionError: A folder cannot be read.
        ValueError: A class has no file. In a validation or test folder it may have none.
    """
    root = _root(found, split)
    labels: list[int] = []
    names: list[str] = []
    keys: list[str] = []
    items: list[Path] = []
    # Folders of `sonikeras.prepare` contain files of both stages.
    expected = _READABLE if (found.folder / "prepare.json").is_file() else ()
    left_out = Counter(f'folder "{name}"' for name in found.beside)
    left_out += _beside_classes(root, extensions, expected)
    if found.parts:
        loose = _beside_classes(found.folder, extensions, expected)["beside the class folders"]
        left_out += Counter({"beside the splits": loose})
    below: list[set[str]] = []
    for label, class_name in enumerate(class_names):
        folder = root / class_name
        lost: Counter[str] = Counter()
        files = sorted(_files(folder, extensions, expected, lost)) if folder.is_dir() else []
        if not files and (split == "train" or not found.parts):
            others = f" (left out: {_counted(lost)})" if lost else ""
            raise ValueError(
                f"Each class must have at least one file of {list(extensions)}. Received: none in {folder}{others}"
            )
        left_out += lost
        stems = [name[: name.rindex(".")] for name, _ in files]
        # Names must be unique on file systems that ignore case, too. If stems are not, all files keep their extensions.
        short = len({stem.casefold() for stem in stems}) == len(stems)
        labels += [label] * len(files)
        keys += [name for name, _ in files]
        names += stems if short else [name for name, _ in files]
        items += [Path(path) for _, path in files]
        below.append({name.partition("/")[0] if "/" in name else "" for name, _ in files})
    _check_below(root, below)
    if left_out:
        say(
            f"{_text(root)}: {len(items):,} files in {len(class_names):,} classes; "
            f"{left_out.total():,} left out ({_counted(left_out)})"
        )
    return Catalog(labels, names, keys, items, pre_split=bool(found.parts))


def _root(found: Layout, split: str) -> Path:
    """The folder that contains the class folders of a split."""
    if not found.parts:
        return found.folder
    if split == "test" and "test" not in found.parts and "validation" in found.parts:
        split = "validation"
    if split not in found.parts:
        raise FileNotFoundError(
            f'`data_dir` contains the folder "{next(iter(found.parts.values())).name}" but not "{split}": add it, or '
            "pass the folder that contains the class folders, which is then split 80/20. "
            f"Received: data_dir={found.folder}, split={split!r}"
        )
    return found.parts[split]


def _check_below(root: Path, below: list[set[str]]) -> None:
    """Warns if classes contain splits, instead of splits classes."""
    parts = {_part_named(name) for names in below for name in names}
    if len(parts) > 1 and None not in parts:
        warnings.warn(
            f"The class folders in {_text(root)} contain folders that look like splits of a data set: "
            f"{_listed(sorted(set().union(*below)))}. Their files are merged. If they are splits, move them to "
            "train/<class> and test/<class>.",
            stacklevel=2,
        )


# Names of splits ------------------------------------------------------------------------------------------------------

_OTHER = 3  # the rank of a name with other words


def _part_named(name: str) -> str | None:
    """The split that the name of a folder means, or `None`."""
    for written in (name, name.lower()):  # the latter for capitals within words, as in `TRAINset`
        meant = {part for word in _words(written) for part, words in _PARTS.items() if word in words}
        if meant:
            return meant.pop() if len(meant) == 1 else None
    return None


def _words(name: str) -> list[str]:
    """The words of a name in lower case without fillers: equal for `TrainingSet`, `training_set`, `trainingset`."""
    words = [word.lower() for word in _WORD.findall(name)]
    stems = [word.removesuffix(filler) for word in words for filler in ("", *_FILLERS) if word.endswith(filler)]
    known = [word for word in stems if any(word in words for words in _PARTS.values())]
    return known + [word for word in words if word not in _FILLERS and not any(word.startswith(k) for k in known)]


def _rank(name: str) -> int:
    """The rank of a name. Of two folders with the same meaning, the lower rank is the split."""
    if name in _PARTS:
        return 0
    if name.lower() in _PARTS:
        return 1
    return 2 if len(_words(name)) == 1 else _OTHER


# Contents of folders --------------------------------------------------------------------------------------------------


class _Content(NamedTuple):
    folders: list[str]
    files: int


def _inspect(folder: Path) -> _Content:
    """The names of the folders in a folder, and the number of its image and audio files."""
    entries = _entries(folder)
    folders = [entry.name for entry in entries if _is_folder(entry)]
    return _Content(folders, sum(entry.name.lower().endswith(_READABLE) and _is_file(entry) for entry in entries))


def _innermost(folder: Path) -> Path:
    """The folder with the class folders of a split: a folder of the same name in it, if it contains nothing else."""
    part = _part_named(folder.name)
    for _ in range(_DEEPEST):
        content = _inspect(folder)
        if len(content.folders) != 1 or content.files or _part_named(content.folders[0]) != part:
            break
        folder = folder / content.folders[0]
    return folder


def _holds_examples(folder: Path) -> bool:
    return next(_files(folder, _READABLE, (), Counter()), None) is not None


def files_below(folder: str | os.PathLike[str], extensions: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The relative path, with slashes, and the path of each file below a folder that has one of the extensions.

    Links are followed. Hidden and system files are left out.
    """
    return _files(Path(folder), extensions, (), Counter())


def _files(
    folder: Path, extensions: tuple[str, ...], expected: tuple[str, ...], left_out: Counter[str]
) -> Iterator[tuple[str, str]]:
    """The relative path, with slashes, and the path of each file below a folder. Links are followed.

    Each folder is read once, by a path without links if there is one, so that loops end. A link to a parent folder is
    left out, since it leads to other classes, too. So are files with other extensions. `left_out` counts both, except
    files with one of the `expected` extensions.
    """
    parent = folder.parent.resolve()
    above = {str(above) for above in (parent, *parent.parents, *folder.resolve().parents)}
    seen = set(above)
    folders, links = [("", str(folder))], list[tuple[str, str]]()
    while folders or links:
        below, path = folders.pop() if folders else links.pop()
        real = os.path.realpath(path)
        if real in seen:
            if real in above or _within(os.path.realpath(os.path.dirname(path)), real):
                left_out["link loop"] += 1
            continue
        seen.add(real)
        for entry in sorted(_entries(path), key=lambda entry: entry.name, reverse=True):
            name = f"{below}{entry.name}"
            if name.lower().endswith(extensions) and _is_file(entry):
                yield name, entry.path
            elif _is_folder(entry):
                (links if entry.is_symlink() else folders).append((f"{name}/", entry.path))
            elif not (name.lower().endswith(expected) and _is_file(entry)):
                left_out[_kind(entry)] += 1


def _beside_classes(root: Path, extensions: tuple[str, ...], expected: tuple[str, ...]) -> Counter[str]:
    """Counts files beside the class folders that might have been examples or classes."""
    left_out: Counter[str] = Counter()
    for entry in _entries(root):
        if not _is_folder(entry):
            if entry.name.lower().endswith(extensions) and not entry.name.lower().endswith(expected):
                left_out["beside the class folders"] += 1
            elif entry.is_symlink() and not _is_file(entry):
                left_out[_kind(entry)] += 1
    return left_out


def _kind(entry: os.DirEntry[str]) -> str:
    """The kind of a file that is left out: its extension, or the reason why it is not a file."""
    try:
        mode = os.stat(entry.path).st_mode
    except OSError as error:
        return "link loop" if error.errno == errno.ELOOP else "broken link"
    if not stat.S_ISREG(mode):
        return "not a regular file"  # a pipe, a socket, a device
    extension = os.path.splitext(entry.name)[1].lower()
    if not extension:
        return "no extension"
    return extension if extension[1:].isalnum() and len(extension) <= _LONGEST_EXTENSION else "other extensions"


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """The entries of a folder, without hidden and system files."""
    try:
        with os.scandir(str(folder)) as entries:
            return [entry for entry in entries if entry.name[0] != "." and entry.name.lower() not in _SYSTEM]
    except PermissionError as error:
        raise PermissionError(f"The folders of a data set must be readable. Received: {folder}") from error


# `DirEntry` raises for a link to itself. Without links, it needs no system call.
def _is_folder(entry: os.DirEntry[str]) -> bool:
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def _is_file(entry: os.DirEntry[str]) -> bool:
    return os.path.isfile(entry.path) if entry.is_symlink() else entry.is_file()


def _within(path: str, folder: str) -> bool:
    return f"{path}{os.sep}".startswith(f"{folder}{os.sep}")


# Text -----------------------------------------------------------------------------------------------------------------


def _counted(kinds: Counter[str]) -> str:
    """Counts as text, such as `.txt 2, broken link 1`, largest first."""
    ordered = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    if len(ordered) > _KINDS:
        ordered = [*ordered[: _KINDS - 1], ("others", sum(count for _, count in ordered[_KINDS - 1 :]))]
    return ", ".join(f"{_text(kind)} {count:,}" for kind, count in ordered)


def _listed(names: Iterator[str] | Sequence[str]) -> str:
    return ", ".join(f'"{_text(name)}"' for name in names)


def _some(content: _Content) -> str:
    names = sorted(content.folders)
    return _listed(names[:3]) + (", ..." if len(names) > 3 else "")


def _text(name: str | Path) -> str:
    """A name as one line of valid UTF-8."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(name))
