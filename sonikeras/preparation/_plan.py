"""The plan of a preparation: the checked arguments of `prepare`, and the examples that they select."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sonikeras.config import SonificationConfig, as_config
from sonikeras.config._checks import check_choice, check_integer
from sonikeras.config._claims import claim
from sonikeras.config._files import folded, is_file_name
from sonikeras.config._seeds import check_seed
from sonikeras.signal._backend import check_tensorflow
from sonikeras.signal.engines import resolve_engine
from sonikeras.signal.pictures import colors
from sonikeras.sources import Examples, Selection

FORMATS = ("files", "tfrecord")


AUDIO_FORMATS = ("wav", "flac")


Group = tuple[str, range]  # a record file ("" for files of their own) and the indices of its examples


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What to prepare, how, and where. Any number of processes can run shards of one plan."""

    selection: Selection
    directory: Path
    config: SonificationConfig
    engine: str
    seed: int
    cache: bool | str | os.PathLike
    on_error: str
    format: str
    audio_format: str
    pictures: bool
    shard_size: int
    verify: bool

    @classmethod
    def of(
        cls,
        name: str | None,
        directory: str | os.PathLike,
        *,
        data_dir: str | os.PathLike | None,
        source: Any,
        classes: Sequence[str] | None,
        images_per_class: int | None,
        config: Any,
        engine: str,
        seed: int,
        cache: bool | str | os.PathLike,
        on_error: str,
        format: str,
        audio_format: str | None,
        pictures: bool,
        shard_size: int,
        verify: bool,
    ) -> Plan:
        """Checks the arguments of `prepare` and resolves their defaults."""
        config = as_config(config)
        check_choice("format", format, FORMATS)
        if format != "files":
            check_tensorflow(f"`sonikeras.prepare` with format={format!r}")
        check_choice("audio_format", audio_format, (*AUDIO_FORMATS, None))
        check_choice("on_error", on_error, ("raise", "skip"))
        check_integer("shard_size", shard_size, minimum=1)
        if pictures:
            colors(config.colormap)
        return cls(
            selection=Selection(
                name, data_dir=data_dir, source=source, classes=classes, images_per_class=images_per_class
            ),
            directory=Path(directory),
            config=config,
            engine=resolve_engine(engine, config),
            seed=check_seed(seed),
            cache=cache,
            on_error=on_error,
            format=format,
            audio_format=audio_format or ("wav" if format == "files" else "flac"),
            pictures=pictures,
            shard_size=shard_size,
            verify=verify,
        )

    def examples(self) -> dict[str, Examples]:
        """The examples of each split."""
        examples = {split: self.selection.examples(split) for split in self.selection.splits()}
        if self.format == "files":
            for selected in examples.values():
                check_names(selected, len(f".{self.audio_format}"))
        return examples

    def claim(self, examples: dict[str, Examples]) -> None:
        """Writes `prepare.json` to the folder, or checks that the one there says the same.

        Raises:
            ValueError: The folder holds files that were prepared differently.
        """
        data_dir, source = self.selection.data_dir, self.selection.source
        if data_dir is not None:
            origin = str(Path(data_dir).resolve())
        else:
            origin = source if isinstance(source, str) else "arrays"
        description = {
            "source": origin,
            "config": self.config.to_dict(),
            "engine": self.engine,
            "seed": self.seed,
            "format": self.format,
            "audio_format": self.audio_format,
            "pictures": self.pictures,
        }
        if self.format == "tfrecord":  # these determine which record is in which file
            description |= {
                "class_names": examples["train"].class_names,
                "examples": {split: len(selected) for split, selected in examples.items()},
                "shard_size": self.shard_size,
            }
        claim(self.directory / "prepare.json", description, shared=True)

    def groups(self, total: int, shard: tuple[int, int] | None) -> list[Group]:
        """The examples of a shard, by record file.

        Args:
            total: Integer, the number of examples of the split.
            shard: `(index, count)`, or `None` for all examples.
        """
        index, count = shard or (0, 1)
        if self.format == "files":
            return [("", range(index, total, count))]
        starts = range(0, total, self.shard_size)
        return [
            (f"{position:05d}-of-{len(starts):05d}", range(start, min(start + self.shard_size, total)))
            for position, start in list(enumerate(starts))[index::count]
        ]


def check_names(examples: Examples, ending: int = 0) -> None:
    """Checks that the names of classes and examples can be those of folders and files.

    Args:
        examples: `Examples`.
        ending: Integer, bytes of the extension of the files.

    Raises:
        ValueError: A name cannot.
    """
    alike = collections.Counter(map(folded, examples.class_names))
    for name in examples.class_names:
        if not is_file_name(name) or alike[folded(name)] > 1:
            raise ValueError(
                "With `format='files'` a class name must not be empty, begin with '.', contain '/', '\\' or NUL, "
                "differ from another one in case only, or be invalid for a folder on this system; "
                f"`format='tfrecord'` takes any name. Received: the class name {name!r}"
            )
    for name in examples.names:
        if not all(is_file_name(component, ending=ending) for component in name.split("/")):
            raise ValueError(
                "With `format='files'` no component of an example's name, as separated by '/', must be empty, begin "
                "with '.', contain '\\' or NUL, or be invalid for a file on this system; `format='tfrecord'` takes any "
                f"name. Received: the name {name!r}"
            )
