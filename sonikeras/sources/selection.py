"""The selection of examples: which images or recordings, of which classes, in which split."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sonikeras.config._checks import check_choice, check_number
from sonikeras.sources import _builtin as builtin, _folders as folders, audio, images, records
from sonikeras.sources._classes import SIZES
from sonikeras.sources._duplicates import duplicates_between, groups_of_duplicates
from sonikeras.sources._source import Source, choose_classes, load, open_source
from sonikeras.sources._splits import in_fraction
from sonikeras.sources.examples import Examples, Record, check_shard, readable

__all__ = [
    "SPLITS",
    "STAGES",
    "Examples",
    "Record",
    "Selection",
    "check_shard",
    "class_names",
    "data_sets",
    "duplicates_between",
    "load_examples",
    "near_duplicates",
    "readable",
]


#: What the files of a data set can be, and the extensions of such files.
STAGES = {"image": images.EXTENSIONS, "audio": audio.EXTENSIONS, "spectrogram": images.EXTENSIONS}


SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class Selection:
    """A selection of examples. `sonikeras.dataset`, `sonikeras.prepare` and the command line take its fields.

    Creating a selection checks its fields. The data are not read before `examples` or `class_names` is called.

    Args:
        name: `"c2"`, `"c4"`, `"c10"` or `"c15"`: 2, 4, 10 or 15 classes, which depend on the source. Defaults to
            `None`: all classes of the source. `classes` takes precedence.
        data_dir: Folder to read, in one of three layouts: `data_dir/<class>/`; pre-split, `data_dir/train/<class>/`,
            `data_dir/test/<class>/` and optionally `data_dir/validation/<class>/`; or the record files of
            `sonikeras.prepare`. Without pre-split folders, a hash of each file's name assigns a fifth of the files to
            the test split. Defaults to `None`: `source` is read.
        source: `"builtin"` (the images in this package), `"keras:cifar10"`, `"keras:cifar100"`, `"tfds:NAME"` (a data
            set of TensorFlow Datasets), or a pair of arrays `(images, labels)`. Missing data are downloaded. `data_dir`
            takes precedence. Defaults to `"builtin"`.
        classes: Names of the classes to select. Labels are indices into the sorted names. Defaults to `None`: the
            classes that `name` stands for.
        images_per_class: Integer of at least 5, the largest number of examples of a class. A fifth of them are in the
            test split. Defaults to `None`: 280 of the built-in images, all examples of other sources.
        stage: What the files contain: `"image"`; `"audio"`, recordings; or `"spectrogram"`, spectrogram pictures. The
            latter two need `data_dir`. Defaults to `"image"`.
        validation_split: Float in `0 <= validation_split < 1`, the fraction of the training split to hold out as
            `"validation"`. A hash of the names decides. Defaults to 0.
        fold: `(i, k)` for fold `i` (from 0) of a `k`-fold cross-validation within the training split: `"test"` is then
            that fold and `"train"` the others. The test split of the source is not used. A hash of the names decides.
            Defaults to `None`.
        group_duplicates: Boolean, whether `validation_split` and `fold` keep near-duplicates together: images whose
            thumbnails, or mirrored thumbnails, have a correlation above 0.96. Reads all images. Defaults to `False`.
        shard: `(index, count)` to select every `count`-th example of a split, starting at `index`. Defaults to `None`:
            all.

    Raises:
        ValueError: A field has a value that is not allowed.

    Example:
        >>> from sonikeras.sources import Selection
        >>> selection = Selection("c2", images_per_class=10)
        >>> selection.class_names()
        ['cat', 'dog']
        >>> {split: len(selection.examples(split)) for split in selection.splits()}
        {'train': 16, 'test': 4}
    """

    name: str | None = None
    _: dataclasses.KW_ONLY
    data_dir: str | os.PathLike | None = None
    source: Any = "builtin"
    classes: Sequence[str] | None = None
    images_per_class: int | None = None
    stage: str = "image"
    validation_split: float = 0.0
    fold: tuple[int, int] | None = None
    group_duplicates: bool = False
    shard: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        check_choice("stage", self.stage, STAGES)
        if self.name is not None and self.name not in SIZES:
            raise ValueError(
                "Unknown data set. Allowed values: "
                f"{list(SIZES)}, or None for all classes. Received: name={self.name!r}"
            )
        if self.classes is not None:
            if isinstance(self.classes, str) or not isinstance(self.classes, Iterable):
                raise ValueError(
                    f"`classes` must be a sequence of class names, or None. Received: classes={self.classes!r}"
                )
            object.__setattr__(self, "classes", tuple(self.classes))
        if self.images_per_class is not None and (
            not isinstance(self.images_per_class, int) or self.images_per_class < builtin.MIN_IMAGES_PER_CLASS
        ):
            raise ValueError(
                f"`images_per_class` must be an integer of at least {builtin.MIN_IMAGES_PER_CLASS}: one in five is a "
                f"test image. Received: images_per_class={self.images_per_class!r}"
            )
        rule = "a number in 0 <= validation_split < 1"
        check_number("validation_split", self.validation_split, rule, lambda fraction: 0 <= fraction < 1)
        if self.fold is not None:
            object.__setattr__(self, "fold", _check_fold(self.fold))
        if self.group_duplicates and self.stage == "audio":
            raise ValueError(
                "`group_duplicates` compares images: `stage` must not be 'audio'. Received: group_duplicates=True"
            )
        if self.shard is not None:
            object.__setattr__(self, "shard", check_shard(self.shard))

    def class_names(self) -> list[str]:
        """Names of the classes, in the order of their labels: sorted, or for integer labels in their order.

        Raises:
            ValueError: A class is unknown, or the source does not have as many classes as the name says.
            FileNotFoundError: The folder does not exist.
            OSError: The data are missing and cannot be downloaded.
            ImportError: TensorFlow Datasets is not installed.
        """
        return self._choose(self._open())

    def splits(self) -> tuple[str, ...]:
        """The splits that the source has, without those that `validation_split` and `fold` create.

        A validation folder serves as the test split where there is no test folder.
        """
        if self.data_dir is None or _holds_records(self.data_dir):
            return ("train", "test")
        found = folders.layout(Path(self.data_dir)).splits
        return tuple(split for split in SPLITS if split == "train" or split in found)

    def examples(self, split: str) -> Examples:
        """The examples of a split, class by class, in a fixed order.

        Args:
            split: `"train"` or `"test"`; also `"validation"` with `validation_split`, or in a folder that has such a
                split.

        Raises:
            ValueError: The split is unknown or has no examples of a class.
            FileNotFoundError, OSError, ImportError: As in `class_names`.
        """
        check_choice("split", split, SPLITS)
        source = self._open()
        chosen = self._choose(source)
        origin = self._origin(source, split)
        examples = load(source, chosen, origin, self.images_per_class)
        if origin == "train" and (self.fold is not None or self.validation_split):
            examples = self._subset(examples, split)
        return examples if self.shard is None else _shard(examples, self.shard)

    def near_duplicates(self) -> list[tuple[str, str, float]]:
        """Pairs of near-duplicates, one in the training and one in the test split. See `sonikeras.near_duplicates`."""
        check_choice("stage", self.stage, [stage for stage in STAGES if stage != "audio"])
        train, test = self.examples("train"), self.examples("test")
        return [
            (train.describe(i), test.describe(j), correlation) for i, j, correlation in duplicates_between(train, test)
        ]

    def _open(self) -> Source:
        return open_source(self.source, self.data_dir, stage=self.stage, extensions=STAGES[self.stage])

    def _choose(self, source: Source) -> list[str]:
        return choose_classes(source, self.name, self.classes)

    def _origin(self, source: Source, split: str) -> str:
        """The split of the source that contains a split."""
        if split == "validation" and not self.validation_split:
            if not source.has_validation:
                raise ValueError(
                    '`split="validation"` needs `validation_split` above 0, or a folder with a validation split. '
                    f"Received: validation_split=0, and none in {source.title}"
                )
            return "validation"
        return "test" if split == "test" and self.fold is None else "train"

    def _subset(self, examples: Examples, split: str) -> Examples:
        """The examples of the source's training split that `fold` and `validation_split` leave for a split."""
        keys, fold = examples.keys, self.fold
        groups = groups_of_duplicates(examples) if self.group_duplicates else None
        chosen = np.ones(len(keys), bool)
        if fold is not None:
            held_out = in_fraction(keys, fold[0] / fold[1], (fold[0] + 1) / fold[1], salt="fold", groups=groups)
            chosen &= held_out == (split == "test")
        if split != "test" and self.validation_split:
            held_out = in_fraction(keys, 0, self.validation_split, salt="validation", groups=groups)
            chosen &= held_out == (split == "validation")
        subset = examples.select(np.flatnonzero(chosen).tolist())
        missing = sorted(set(range(len(subset.class_names))) - set(subset.labels.tolist()))
        if missing:
            raise ValueError(
                f"The hash of the names must assign examples of each class to the split {split!r}: add images, "
                "or make the splits larger. Received: none of "
                f"{[subset.class_names[label] for label in missing]}, with fold={fold}, "
                f"validation_split={self.validation_split}"
            )
        return subset


def _check_fold(fold: Any) -> tuple[int, int]:
    pair = isinstance(fold, tuple | list) and len(fold) == 2 and all(isinstance(n, int) for n in fold)
    if not pair or not 0 <= fold[0] < fold[1] or fold[1] < 2:
        raise ValueError(f"`fold` must be (i, k) with k >= 2 and 0 <= i < k, or None. Received: fold={fold!r}")
    return fold[0], fold[1]


def _shard(examples: Examples, shard: tuple[int, int]) -> Examples:
    part = examples.shard(*shard)
    if not len(part):
        raise ValueError(
            f"`shard` must leave at least one example: there are {len(examples)}. Received: shard={shard!r}"
        )
    return part


def _holds_records(data_dir: str | os.PathLike) -> bool:
    return Path(data_dir).is_dir() and records.holds_records(data_dir)


def load_examples(name: str | None, split: str, **selection: Any) -> Examples:
    """The examples of a split: `Selection(name, **selection).examples(split)`."""
    return Selection(name, **selection).examples(split)


def near_duplicates(
    name: str | None = None,
    *,
    data_dir: str | os.PathLike | None = None,
    source: Any = "builtin",
    classes: Sequence[str] | None = None,
    images_per_class: int | None = None,
    stage: str = "image",
) -> list[tuple[str, str, float]]:
    """Finds near-duplicates of training images in the test split. They make the test too easy.

    Two images are near-duplicates if the Pearson correlation of their thumbnails (32 x 32 pixels, grayscale) is above
    0.96. One of the thumbnails may be mirrored. All images are read, and all pairs are compared.

    Args:
        name, data_dir, source, classes, images_per_class, stage: See `sonikeras.sources.Selection`. `stage` is
            `"image"` or `"spectrogram"`.

    Returns:
        List of `(training image, test image, correlation)`, most similar first. An image is named by its path, or by
        class and name.

    Raises:
        ValueError: An argument has a value that is not allowed, or an image cannot be read; the message names it.

    Example:
        >>> import sonikeras
        >>> sonikeras.near_duplicates("c2", images_per_class=10)  # doctest: +ELLIPSIS
        Reading ...
        []
    """
    return Selection(
        name, data_dir=data_dir, source=source, classes=classes, images_per_class=images_per_class, stage=stage
    ).near_duplicates()


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
    """Names of the classes of a data set, in the order of their labels: sorted, or for integer labels in their order.

    Args:
        name, data_dir, source, classes: See `sonikeras.sources.Selection`.

    Raises:
        ValueError: The data set, the source or a class is unknown, or the source does not have as many classes as the
            name says.
        FileNotFoundError: The folder does not exist.
        OSError: The data are missing and cannot be downloaded.
        ImportError: TensorFlow Datasets is not installed.

    Example:
        >>> import sonikeras
        >>> sonikeras.class_names("c4")
        ['cat', 'dog', 'elephant', 'zebra']
        >>> sonikeras.class_names("c4", source="keras:cifar100")
        ['bus', 'motorcycle', 'pickup_truck', 'streetcar']
    """
    return Selection(name, data_dir=data_dir, source=source, classes=classes).class_names()
