"""Folders of the user's: a folder for each class, or parts such as `train/` and `test/` that have them."""

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
from sonikeras.sources import audio as sounds, images
from sonikeras.sources._listing import Listing

_READABLE = (*images.EXTENSIONS, *sounds.EXTENSIONS)


_PARTS = {
    "train": ("train", "training", "trn", "trainval"),
    "validation": ("validation", "valid", "val", "validate", "validating", "dev", "development"),
    "test": ("test", "testing", "tst", "eval", "evaluation", "holdout"),
}


# What the name of a part may have besides: `training_set`, `TestImages`, `val2017`.
_FILLERS = (
    *("set", "data", "dataset", "split", "part", "folder", "dir", "files", "samples"),
    *("images", "image", "imgs", "img", "photos", "pictures", "audio", "sounds", "recordings", "wav"),
)


_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


# What operating systems, file servers and notebooks leave behind. What begins with a dot counts for nothing anyway.
_SYSTEM = {
    *("__macosx", "__pycache__", "lost+found", "@eadir", "@tmp", "#recycle", "#snapshot", "$recycle.bin", "recycler"),
    *("system volume information", "lost.dir", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini"),
    *("picasa.ini", "icon\r"),
}


_DEEPEST = 4  # folders that hold nothing but another folder, above the parts


_KINDS = 8  # of what is left out, in the line that tells of it


_ENDING = 10  # characters of an ending that is shown there


class Layout(NamedTuple):
    """How a folder is laid out.

    Attributes:
        folder: The folder that was passed.
        parts: The folder of each of `"train"`, `"validation"`, `"test"` that there is; empty where `folder` has the
            class folders.
        beside: Names of folders beside the parts, which belong to none.
    """

    folder: Path
    parts: dict[str, Path]
    beside: tuple[str, ...] = ()

    @property
    def splits(self) -> tuple[str, ...]:
        """The parts that have examples of their own: where there is no test part, the validation part serves as it."""
        if not self.parts:
            return ("train", "test")
        parts = [part for part, folder in self.parts.items() if _inspect(folder).folders]
        if "validation" in parts and "test" not in parts:
            parts[parts.index("validation")] = "test"
        return tuple(parts)


def layout(data_dir: Path) -> Layout:
    """Finds out whether a folder has class folders, or parts that have them.

    Folders are parts if their names say so (`train`, `Training`, `seg_test`, `valid`, in any case) and they hold
    folders, of which each part has some in common with the first one. They may lie in folders that hold nothing else,
    and be doubled, as in `seg_train/seg_train/<class>`. One part alone is a part unless other folders with examples
    are beside it. Folders whose names say so, but which hold their examples directly, are classes.

    Args:
        data_dir: Path of the folder.

    Raises:
        FileNotFoundError: There is no such folder.
        PermissionError: It, or a folder that may be a part, cannot be read.

    Warns:
        UserWarning: Folders have names and folders as parts do, and yet are taken for classes.
    """
    if not data_dir.is_dir():
        raise FileNotFoundError(f"`data_dir` must be a folder. Received: data_dir={data_dir}")
    return _layout(data_dir, _DEEPEST) or Layout(data_dir, {})


def _layout(folder: Path, depth: int) -> Layout | None:
    """The layout of a folder that has parts."""
    names = sorted(_inspect(folder).folders)
    if len(names) == 1 and depth:
        inner = _layout(folder / names[0], depth - 1)
        if inner:
            return inner._replace(folder=folder)
    named = {name: part for name in names if (part := _part_named(name))}
    folders = {name: _innermost(folder / name) for name in named}
    contents = {name: _inspect(inner) for name, inner in folders.items()}
    # A picture of the whole may lie beside the class folders of a part.
    divided = [name for name, content in contents.items() if len(content.folders) > content.files]
    if not divided:
        return None
    classes = {name: {folded(class_name) for class_name in contents[name].folders} for name in divided}
    chosen: dict[str, str] = {}
    problem = ""
    for part in _PARTS:
        ranked = sorted((_rank(name), name) for name in divided if named[name] == part)
        if len(ranked) > 1 and ranked[0][0] == ranked[1][0]:
            problem = f"{_listed(name for _, name in ranked)} would be the same part"
        elif ranked:
            chosen[part] = ranked[0][1]
    first = next(iter(chosen.values()), "")
    others = [name for name in names if name not in named and _holds_examples(folder / name)]
    for name in chosen.values():
        if not classes[name] & classes[first]:
            problem = (
                f"{_listed([first, name])} hold other folders: {_some(contents[first])} and {_some(contents[name])}"
            )
    if len(chosen) == 1 and others:
        problem = f"{_listed(others)} beside {_listed([first])} would be no part"
    if problem:
        if any(_rank(name) < _OTHER for name in divided):
            warnings.warn(
                f"Folders in {_text(folder)} look like parts of a data set, but are taken for classes: {problem}. "
                "If they are parts, pass a folder that has these alone, with the same class folders in each.",
                stacklevel=2,
            )
        return None
    # A part without class folders has no examples, and its absence would be another error.
    for name, part in named.items():
        if name not in divided and part not in chosen and not (part == "test" and "validation" in chosen):
            chosen[part] = name
    unlabeled = [name for name in named if name not in chosen.values() or name not in divided]
    beside = [name for name in unlabeled if _holds_examples(folder / name)]
    parts = {part: folders[chosen[part]] for part in _PARTS if part in chosen}
    return Layout(folder, parts, tuple(sorted({*others, *beside})))


def class_folders(found: Layout) -> list[str]:
    """Names of the classes that a folder has, sorted. Hidden folders, and those of the system, count for nothing.

    Raises:
        PermissionError: A folder cannot be read.
        ValueError: Two names differ only in case or Unicode form, which many file systems cannot tell apart.
    """
    names: set[str] = set()
    for root in found.parts.values() or [found.folder]:
        names |= set(_inspect(root).folders)
    alike: dict[str, str] = {}
    for name in sorted(names):
        other = alike.setdefault(folded(name), name)
        if other != name:
            raise ValueError(
                "Class folders must differ in more than upper and lower case or Unicode form, since many file systems "
                f"take such names for one: rename or merge them. Received: {ascii(other)}, {ascii(name)} in "
                f"{found.folder}"
            )
    return sorted(names)


def listing(found: Layout, class_names: Sequence[str], split: str, extensions: tuple[str, ...]) -> Listing:
    """The files of some classes, for one part where the folder comes divided.

    An example's name is the file's path below its class folder, without the ending where all names differ without.
    A line tells how many files are left out, and why.

    Args:
        found: Layout of the folder.
        class_names: Names of the class folders to read.
        split: `"train"`, `"validation"` or `"test"`; where there is no test part, the validation part is it.
        extensions: Endings of files that count, in lower case.

    Raises:
        FileNotFoundError: The folder comes divided and lacks this part.
        PermissionError: A folder cannot be read.
        ValueError: A class has no file; in a validation or test part of its own it may have none.
    """
    root = _root(found, split)
    labels: list[int] = []
    names: list[str] = []
    keys: list[str] = []
    items: list[Path] = []
    # In what `sonikeras.prepare` writes, the files of the other stage belong there.
    expected = _READABLE if (found.folder / "prepare.json").is_file() else ()
    left_out = Counter(f'folder "{name}"' for name in found.beside)
    left_out += _beside_classes(root, extensions, expected)
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
        # Names are unique also on file systems that ignore case: where stems are not, all files keep their endings.
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
    return Listing(labels, names, keys, items, divided=bool(found.parts))


def _root(found: Layout, split: str) -> Path:
    """The folder that has the class folders of a part."""
    if not found.parts:
        return found.folder
    if split == "test" and "test" not in found.parts and "validation" in found.parts:
        split = "validation"
    if split not in found.parts:
        raise FileNotFoundError(
            f'`data_dir` has the folder "{next(iter(found.parts.values())).name}" but not "{split}": add it, or pass '
            "the folder that has the class folders, which is then split 80/20. "
            f"Received: data_dir={found.folder}, split={split!r}"
        )
    return found.parts[split]


def _check_below(root: Path, below: list[set[str]]) -> None:
    """Warns where each class has parts, instead of each part classes."""
    parts = {_part_named(name) for names in below for name in names}
    if len(parts) > 1 and None not in parts:
        warnings.warn(
            f"The class folders in {_text(root)} have folders that look like parts of a data set: "
            f"{_listed(sorted(set().union(*below)))}. Their files are taken together. If they are parts, lay them out "
            "the other way round, as train/<class> and test/<class>.",
            stacklevel=2,
        )


# Names of parts -------------------------------------------------------------------------------------------------------

_OTHER = 3  # rank of a name with words of its own


def _part_named(name: str) -> str | None:
    """The part that a folder's name says, if it says one."""
    for written in (name, name.lower()):  # the latter for those whose capitals begin no word, such as `TRAINset`
        said = {part for word in _words(written) for part, words in _PARTS.items() if word in words}
        if said:
            return said.pop() if len(said) == 1 else None
    return None


def _words(name: str) -> list[str]:
    """The words of a name, in lower case, fillers apart: `TrainingSet`, `training_set`, `trainingset` have the same."""
    words = [word.lower() for word in _WORD.findall(name)]
    stems = [word.removesuffix(filler) for word in words for filler in ("", *_FILLERS) if word.endswith(filler)]
    known = [word for word in stems if any(word in said for said in _PARTS.values())]
    return known + [word for word in words if word not in _FILLERS and not any(word.startswith(k) for k in known)]


def _rank(name: str) -> int:
    """How plainly a name says its part: where two folders say the same, the plainer one is it."""
    if name in _PARTS:
        return 0
    if name.lower() in _PARTS:
        return 1
    return 2 if len(_words(name)) == 1 else _OTHER


# What is in folders ---------------------------------------------------------------------------------------------------


class _Content(NamedTuple):
    folders: list[str]
    files: int


def _inspect(folder: Path) -> _Content:
    """The names of the folders in a folder, and how many files in it can be read as an image or a sound."""
    entries = _entries(folder)
    folders = [entry.name for entry in entries if _is_folder(entry)]
    return _Content(folders, sum(entry.name.lower().endswith(_READABLE) and _is_file(entry) for entry in entries))


def _innermost(folder: Path) -> Path:
    """The folder that has the class folders of a part: one of its name within it, if that is all there is in it."""
    part = _part_named(folder.name)
    for _ in range(_DEEPEST):
        content = _inspect(folder)
        if len(content.folders) != 1 or content.files or _part_named(content.folders[0]) != part:
            break
        folder = folder / content.folders[0]
    return folder


def _holds_examples(folder: Path) -> bool:
    return next(_files(folder, _READABLE, (), Counter()), None) is not None


def _files(
    folder: Path, extensions: tuple[str, ...], expected: tuple[str, ...], left_out: Counter[str]
) -> Iterator[tuple[str, str]]:
    """Path below the folder, with slashes, and path of each file in it or in folders in it, links followed.

    A folder to which several ways lead is read once, on a way without links if there is one: so loops end. A link to a
    folder that the class folder lies in leads to other classes, too: it is left out. So are files without one of the
    extensions, which are counted in `left_out` unless they have one of the `expected` others.
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
    """What lies beside the class folders and might have been an example, or a class. Notes and tables belong there."""
    left_out: Counter[str] = Counter()
    for entry in _entries(root):
        if not _is_folder(entry):
            if entry.name.lower().endswith(extensions) and not entry.name.lower().endswith(expected):
                left_out["beside the class folders"] += 1
            elif entry.is_symlink() and not _is_file(entry):
                left_out[_kind(entry)] += 1
    return left_out


def _kind(entry: os.DirEntry[str]) -> str:
    """What a file that is left out is called: its ending, or what keeps it from being a file."""
    try:
        mode = os.stat(entry.path).st_mode
    except OSError as error:
        return "link loop" if error.errno == errno.ELOOP else "broken link"
    if not stat.S_ISREG(mode):
        return "no regular file"  # a pipe, a socket, a device
    ending = os.path.splitext(entry.name)[1].lower()
    if not ending:
        return "no ending"
    return ending if ending[1:].isalnum() and len(ending) <= _ENDING else "other endings"


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """What a folder has, without what is hidden or of the system."""
    try:
        with os.scandir(str(folder)) as entries:
            return [entry for entry in entries if entry.name[0] != "." and entry.name.lower() not in _SYSTEM]
    except PermissionError as error:
        raise PermissionError(f"Folders of a data set must be readable. Received: {folder}") from error


# Where a link leads, `DirEntry` raises for one that leads to itself; without a link it needs to ask nobody.
def _is_folder(entry: os.DirEntry[str]) -> bool:
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def _is_file(entry: os.DirEntry[str]) -> bool:
    return os.path.isfile(entry.path) if entry.is_symlink() else entry.is_file()


def _within(path: str, folder: str) -> bool:
    return f"{path}{os.sep}".startswith(f"{folder}{os.sep}")


# Words ----------------------------------------------------------------------------------------------------------------


def _counted(kinds: Counter[str]) -> str:
    """Such as `.txt 2, broken link 1`, most first."""
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
    """A name that can be written as UTF-8, in one line."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(name))
