"""The examples of a data set: files, parts of files, or arrays."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sonikeras.config import SonificationConfig
from sonikeras.config._files import as_utf8
from sonikeras.config._progress import Progress
from sonikeras.sources import audio, images


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """An encoded image inside a larger file.

    Attributes:
        path: Path of the file.
        offset: Integer, the position of the image in bytes.
        length: Integer, its length in bytes.
    """

    path: Path
    offset: int
    length: int

    def read(self) -> bytes:
        """The encoded image."""
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return file.read(self.length)


@dataclasses.dataclass(frozen=True)
class Examples:
    """The examples of one split, in a fixed order: class by class.

    Attributes:
        class_names: Names of the classes. Labels are indices into them.
        labels: int32 array `[examples]`.
        names: A stable name for each example, unique within its class.
        items: For each example the path of its file, a `Record`, or its pixels as a uint8 array, gray or RGB.
        keys: For each example a string whose hash assigns it to a split or a fold. Examples with equal keys stay
            together. Empty for examples that are never split.
    """

    class_names: list[str]
    labels: np.ndarray
    names: list[str]
    items: list[Path] | list[Record] | list[np.ndarray]
    keys: list[str] = dataclasses.field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def file_paths(self) -> list[str] | None:
        """Paths of the files, or `None` if the examples are not files."""
        return [str(item) for item in self.items] if self.items and isinstance(self.items[0], Path) else None

    @property
    def full_names(self) -> list[str]:
        """For each example a name that is unique in the data set: class and name, such as `cat/cat-0012`."""
        return [
            as_utf8(f"{self.class_names[label]}/{name}") for label, name in zip(self.labels, self.names, strict=True)
        ]

    def describe(self, index: int) -> str:
        """The name of an example in errors. Bytes of a file name that are not UTF-8 are escaped."""
        item = self.items[index]
        if isinstance(item, Path):
            return as_utf8(str(item))
        return as_utf8(f"{self.class_names[self.labels[index]]}/{self.names[index]}")

    def data(self, index: int) -> bytes:
        """The content of an example: the bytes of its file, or its shape and pixels."""
        item = self.items[index]
        if isinstance(item, Path):
            return item.read_bytes()
        return item.read() if isinstance(item, Record) else repr(item.shape).encode() + item.tobytes()

    def image(self, index: int, *, color: bool = False) -> np.ndarray:
        """The image of an example, uint8 `[height, width]`, or RGB `[height, width, 3]` with `color=True`.

        Raises:
            ValueError: It cannot be read. The message names it.
        """
        item = self.items[index]
        if isinstance(item, np.ndarray):
            return images.to_color(item) if color else images.to_gray(item)
        with _naming(name := self.describe(index)):
            return images.read_image(self.data(index), color=color, name=name)

    def sound(self, index: int, config: SonificationConfig, *, samples: int | None = None) -> np.ndarray:
        """The recording of an example as `sonikeras.read_audio` reads it for a config: float32 `[samples]` in -1..1.

        Args:
            index: Integer, the example.
            config: `SonificationConfig`.
            samples: Integer, the number of samples to read from the start. Defaults to `None`: all.

        Raises:
            ValueError: It cannot be read. The message names it.
        """
        item = self.items[index]
        with _naming(name := self.describe(index)):
            source = item if isinstance(item, Path) else self.data(index)
            return audio.read_audio(source, config, samples=samples, name=name)[0]

    def fingerprint(self) -> str:
        """Hexadecimal digest of names, labels, and pixels or the sizes and times of the files."""
        digest = hashlib.sha256(repr((self.class_names, self.labels.tolist(), self.names)).encode())
        state = functools.cache(lambda path: (path.name, path.stat().st_size, path.stat().st_mtime_ns))
        for item in self.items:
            if isinstance(item, np.ndarray):
                digest.update(item.tobytes())
                continue
            path, place = (item, "") if isinstance(item, Path) else (item.path, f"/{item.offset}")
            name, size, time = state(path)
            digest.update(f"{name}/{size}/{time}{place}".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def select(self, indices: Sequence[int]) -> Examples:
        """The examples at some indices."""
        return Examples(
            self.class_names,
            self.labels[list(indices)],
            [self.names[i] for i in indices],
            [self.items[i] for i in indices],  # type: ignore[arg-type]
            [self.keys[i] for i in indices] if self.keys else [],
        )

    def shard(self, index: int, count: int) -> Examples:
        """Every `count`-th example, starting at `index`. The shards of all indices have each example once.

        Raises:
            ValueError: Unless `0 <= index < count`.

        Example:
            >>> from sonikeras.sources import load_examples
            >>> examples = load_examples("c2", "test", images_per_class=25)
            >>> [len(examples.shard(i, 4)) for i in range(4)]
            [3, 3, 2, 2]
        """
        check_shard((index, count))
        return self.select(range(index, len(self), count))


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    """Turns an error of a decoder into a `ValueError` that names the file."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ValueError | OSError) and name in str(error):
            raise
        message = " ".join(str(error).split())
        raise ValueError(
            f"A file of a data set must be readable. Received: {name} ({type(error).__name__}: {message})"
        ) from error


def check_shard(shard: Any) -> tuple[int, int]:
    """The argument as a pair (index, count).

    Raises:
        ValueError: It is not such a pair.
    """
    pair = isinstance(shard, tuple | list) and len(shard) == 2 and all(type(number) is int for number in shard)
    if not pair or not 0 <= shard[0] < shard[1]:
        raise ValueError(f"`shard` must be (index, count) with 0 <= index < count, or None. Received: shard={shard!r}")
    return shard[0], shard[1]


def readable(examples: Examples, stage: str, config: SonificationConfig) -> tuple[Examples, list[str]]:
    """The examples that can be read, and the paths of the others, which a warning lists."""

    def error(index: int) -> str | None:
        try:
            if stage == "audio":
                examples.sound(index, config, samples=config.samples)
            else:
                examples.image(index)
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
                "Each class must have at least one readable file. "
                f"Received: none in {[examples.class_names[label] for label in emptied]}"
            )
    return examples, bad
