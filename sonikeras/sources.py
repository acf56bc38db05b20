"""Where examples come from: the built-in images, or folders of the user's."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sonikeras import builtin, images, sounds
from sonikeras.config import SonificationConfig, check_choice
from sonikeras.progress import Progress
from sonikeras.splits import in_part, near_duplicate_groups, share

STAGES = {"image": images.EXTENSIONS, "audio": sounds.EXTENSIONS, "spectrogram": images.EXTENSIONS}
SOURCES = ("builtin",)
SPLITS = ("train", "validation", "test")
# From this correlation of their thumbnails on, two images count as near-duplicates.
_THUMBNAIL, _ALIKE = (32, 32), 0.96
# The classes of the study, which its data sets have in folders of these names.
_STUDY_CLASSES = {
    "c4": ("Bus", "Car", "Truck", "motorcycle"),
    "c10": ("Cat", "Dog", "Elephant", "Gorilla", "Hippo", "Monkey", "Mouse", "Panda", "Tiger", "Zebra"),
}


@dataclasses.dataclass(frozen=True)
class Examples:
    """The examples of one split, in a fixed order: class by class.

    Attributes:
        class_names: Names of the classes; a label is an index into them.
        labels: int32 array `[examples]`.
        names: A stable name for each example, unique within its class.
        items: For each example the path of its file, or its pixels as a uint8 array.
    """

    class_names: list[str]
    labels: np.ndarray
    names: list[str]
    items: list[Path] | list[np.ndarray]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def file_paths(self) -> list[str] | None:
        """Paths of the files, or `None` where there are none."""
        return [str(item) for item in self.items] if self.items and isinstance(self.items[0], Path) else None

    def describe(self, index: int) -> str:
        """What an error calls an example."""
        item = self.items[index]
        return str(item) if isinstance(item, Path) else f"{self.class_names[self.labels[index]]}/{self.names[index]}"

    def fingerprint(self) -> str:
        """Hexadecimal digest of what the examples are: names, labels, and pixels or the files' sizes and times."""
        digest = hashlib.sha256(repr((self.class_names, self.labels.tolist(), self.names)).encode())
        for item in self.items:
            if isinstance(item, Path):
                status = item.stat()
                digest.update(f"{item.name}/{status.st_size}/{status.st_mtime_ns}".encode("utf-8", "surrogateescape"))
            else:
                digest.update(item.tobytes())
        return digest.hexdigest()

    def select(self, indices: Sequence[int]) -> Examples:
        """The examples at some indices."""
        return Examples(
            self.class_names,
            self.labels[list(indices)],
            [self.names[i] for i in indices],
            [self.items[i] for i in indices],  # type: ignore[arg-type]
        )


def load_examples(
    name: str | None,
    split: str,
    *,
    data_dir: str | os.PathLike | None = None,
    source: str = "builtin",
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
    _check_division(split, validation_split, fold, stage, group_duplicates)
    if images_per_class is not None and (
        not isinstance(images_per_class, int) or images_per_class < builtin.MIN_IMAGES_PER_CLASS
    ):
        raise ValueError(
            f"`images_per_class` must be an integer of at least {builtin.MIN_IMAGES_PER_CLASS}: one in five is a test "
            f"image. Received: images_per_class={images_per_class!r}"
        )
    names = class_names(name, data_dir=data_dir, source=source, classes=classes)
    # A fold is a part of the training part, and so is the validation part.
    whole = "test" if split == "test" and fold is None else "train"
    if data_dir is not None:
        examples = _folder_examples(Path(data_dir), names, whole, images_per_class, stage)
    else:
        if stage != "image":
            raise ValueError(f'The built-in data are images: `stage` must be "image". Received: stage={stage!r}')
        limit = {} if images_per_class is None else {"images_per_class": images_per_class}
        pixels, labels, ids = builtin.load(names, whole, **limit)
        examples = Examples(names, labels, ids, pixels)
    if whole == "test" or (fold is None and not validation_split):
        return examples
    return _divided(examples, split, validation_split, fold, group_duplicates)


def _check_division(
    split: str, validation_split: float, fold: tuple[int, int] | None, stage: str, group_duplicates: bool
) -> None:
    if not isinstance(validation_split, int | float) or not 0 <= validation_split < 1:
        raise ValueError(
            "`validation_split` must be a number in 0 <= validation_split < 1. "
            f"Received: validation_split={validation_split!r}"
        )
    if split == "validation" and not validation_split:
        raise ValueError('`split="validation"` needs `validation_split` above 0. Received: validation_split=0')
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
    names = [
        f"{examples.class_names[label]}/{name}" for label, name in zip(examples.labels, examples.names, strict=True)
    ]
    groups = _near_duplicates(examples) if group_duplicates else None
    chosen = np.ones(len(names), bool)
    if fold is not None:
        held_out = in_part(names, fold[0] / fold[1], (fold[0] + 1) / fold[1], salt="fold", groups=groups)
        chosen &= held_out == (split == "test")
    if split != "test" and validation_split:
        chosen &= in_part(names, 0, validation_split, salt="validation", groups=groups) == (split == "validation")
    part = examples.select(np.flatnonzero(chosen).tolist())
    missing = sorted(set(range(len(part.class_names))) - set(part.labels.tolist()))
    if missing:
        raise ValueError(
            f"The hash of the names must put some of each class into the part {split!r}: have more images, or larger "
            f"parts. Received: none of {[part.class_names[label] for label in missing]}, with fold={fold}, "
            f"validation_split={validation_split}"
        )
    return part


def _near_duplicates(examples: Examples) -> np.ndarray:
    """Groups of near-duplicates among the examples: see `sonikeras.splits.near_duplicate_groups`."""
    import cv2

    def thumbnail(item: Path | np.ndarray) -> np.ndarray:
        try:
            image = images.read_image(item) if isinstance(item, Path) else item
        except ValueError:  # it resembles nothing; whoever uses it learns of it then
            return np.zeros(_THUMBNAIL, np.uint8)
        return cv2.resize(image, _THUMBNAIL, interpolation=cv2.INTER_AREA)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        thumbnails = np.stack(list(pool.map(thumbnail, examples.items)))
    return near_duplicate_groups(thumbnails, threshold=_ALIKE)


def readable(examples: Examples, stage: str, config: str | SonificationConfig = "study") -> tuple[Examples, list[str]]:
    """The examples whose files can be read, and the paths of the others, of which one warning tells."""

    def error(index: int) -> str | None:
        item = examples.items[index]
        try:
            if isinstance(item, Path):
                sounds.read_audio(item, config) if stage == "audio" else images.read_image(item)
        except (OSError, ValueError) as problem:
            return str(problem)
        return None

    errors: list[str | None] = []
    progress = Progress("Checking files", len(examples))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for problem in pool.map(error, range(len(examples))):
            errors.append(problem)
            progress.update(len(errors))
    bad = [examples.describe(i) for i, problem in enumerate(errors) if problem]
    if bad:
        problems = "\n".join(problem for problem in errors if problem)
        warnings.warn(f"{len(bad)} of {len(errors)} files are left out:\n{problems}", stacklevel=3)
        examples = examples.select([i for i, problem in enumerate(errors) if not problem])
        emptied = sorted(set(range(len(examples.class_names))) - set(examples.labels.tolist()))
        if emptied:
            raise ValueError(
                "Each class must have at least one file that can be read. "
                f"Received: none in {[examples.class_names[label] for label in emptied]}"
            )
    return examples, bad


def data_sets() -> list[str]:
    """Names of the data sets that `sonikeras.dataset` knows."""
    return list(builtin.CLASSES)


def class_names(
    name: str | None,
    *,
    data_dir: str | os.PathLike | None = None,
    source: str = "builtin",
    classes: Sequence[str] | None = None,
) -> list[str]:
    """Names of the classes of a data set, in the order of their labels, which is always the sorted one.

    Args:
        name: `"c2"`, `"c4"`, `"c10"`, `"c15"`, or with `data_dir` also `None`: all of its classes. `classes` wins.
        data_dir: Folder with a folder for each class, or with `train/` and `test/` that have them.
        source: `"builtin"`. `data_dir` wins.
        classes: Names of the classes to take.

    Raises:
        ValueError: An unknown data set, source or class, or a number of classes that is not the data set's.
        FileNotFoundError: There is no such folder.

    Example:
        >>> import sonikeras
        >>> sonikeras.class_names("c4")
        ['cat', 'dog', 'elephant', 'zebra']
    """
    if name not in builtin.CLASSES and not (name is None and (data_dir is not None or classes is not None)):
        raise ValueError(
            f"Unknown data set. Allowed values: {list(builtin.CLASSES)}, or None with `data_dir` or `classes`. "
            f"Received: name={name!r}"
        )
    check_choice("source", source, SOURCES)
    available = sorted(builtin.CLASSES["c15"]) if data_dir is None else _class_folders(Path(data_dir))
    if classes is not None:
        chosen = sorted(classes)
        if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(available):
            raise ValueError(f"`classes` must be different ones of {available}. Received: classes={chosen}")
    elif data_dir is None:
        chosen = sorted(builtin.CLASSES[name or ""])
    else:
        study = _STUDY_CLASSES.get(name or "", ())
        chosen = sorted(study) if study and set(study) <= set(available) else available
    if name is not None and classes is None and len(chosen) != len(builtin.CLASSES[name]):
        raise ValueError(
            f'"{name}" has {len(builtin.CLASSES[name])} classes: choose them with `classes`, or pass None for the name '
            f"to take all. Received: {len(chosen)} classes, {chosen}"
        )
    if len(chosen) < 2:
        raise ValueError(f"A data set must have at least 2 classes. Received: {chosen} in {data_dir}")
    return chosen


def _roots(data_dir: Path) -> dict[str, Path]:
    """The folders that have the class folders: of each split, or one for both (`""`)."""
    if not data_dir.is_dir():
        raise FileNotFoundError(f"`data_dir` must be a folder. Received: data_dir={data_dir}")
    splits = {split: data_dir / split for split in builtin.SPLITS if (data_dir / split).is_dir()}
    return splits or {"": data_dir}


def _class_folders(data_dir: Path) -> list[str]:
    found = {folder.name for root in _roots(data_dir).values() for folder in root.iterdir() if folder.is_dir()}
    return sorted(name for name in found if not name.startswith("."))


def _folder_examples(
    data_dir: Path, class_names: list[str], split: str, images_per_class: int | None, stage: str
) -> Examples:
    roots = _roots(data_dir)
    if "" not in roots and split not in roots:
        raise FileNotFoundError(
            f'`data_dir` has the folder "{next(iter(roots))}" but not "{split}": add it, or pass the folder that '
            f"has the class folders, which is then split 80/20. Received: data_dir={data_dir}, split={split!r}"
        )
    labels: list[int] = []
    paths: list[Path] = []
    names: list[str] = []
    for label, class_name in enumerate(class_names):
        folder = roots.get(split, roots.get("", data_dir)) / class_name
        files = _files(folder, STAGES[stage])
        if not files:
            raise ValueError(
                f"Each class must have at least one file of {list(STAGES[stage])}. Received: none in {folder}"
            )
        # Names are unique also on file systems that ignore case: where stems are not, all files keep their endings.
        short = len({file.stem.casefold() for file in files}) == len(files)
        if "" in roots:
            files = [file for file in files if (share(file.name) < 0.2) == (split == "test")]
        if images_per_class is not None:
            test = round(0.2 * images_per_class)
            files = sorted(files, key=lambda file: share(file.name))[
                : test if split == "test" else images_per_class - test
            ]
        paths += sorted(files)
        labels += [label] * len(files)
        names += [file.stem if short else file.name for file in sorted(files)]
    missing = sorted(set(range(len(class_names))) - set(labels))
    if not paths or (missing and split == "train"):
        raise ValueError(
            f"The hash of the files' names must put some of each class into the part {split!r}: have more files, or "
            f"folders train/ and test/. Received: none of {[class_names[label] for label in missing]} in {data_dir}"
        )
    return Examples(class_names, np.array(labels, np.int32), names, paths)


def _files(folder: Path, extensions: tuple[str, ...]) -> list[Path]:
    if not folder.is_dir():
        return []
    return [
        file
        for file in folder.iterdir()
        if file.suffix.lower() in extensions and not file.name.startswith(".") and file.is_file()
    ]
