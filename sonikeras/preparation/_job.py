"""What is to be prepared, and how one example is made."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import errno
import functools
import os
import shutil
import stat
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sonikeras.config import SonificationConfig, as_config
from sonikeras.config._checks import check_choice, check_integer
from sonikeras.config._claims import claim
from sonikeras.config._files import (
    check_no_link,
    explaining_full_disk,
    folded,
    is_file_name,
    locked,
)
from sonikeras.config._progress import Progress
from sonikeras.preparation._manifests import (
    JOURNAL,
    Row,
    known_rows,
    manifest_name,
    ours,
    read_manifest,
    working_name,
    writing_manifest,
)
from sonikeras.preparation._rows import Problem, _key, _once, _sha256
from sonikeras.preparation._run import _KEPT, _in_order, _Result, _Run
from sonikeras.signal._backend import check_tensorflow
from sonikeras.signal.engines import resolve_engine
from sonikeras.signal.pictures import colors
from sonikeras.sources import SPLITS, Examples, Record, _tfrecords as tfrecords, load_examples
from sonikeras.sources.selection import parts_of

FORMATS = ("files", "tfrecord")


AUDIO_FORMATS = ("wav", "flac")


SHARD_SIZE = 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """The checked arguments of `prepare`, and the steps it takes. Any number of processes may run shards of one."""

    name: str | None
    directory: Path
    data_dir: str | os.PathLike | None
    source: Any
    classes: Sequence[str] | None
    images_per_class: int | None
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
        *,
        directory: str | os.PathLike,
        config: str | SonificationConfig,
        engine: str,
        format: str,
        audio_format: str | None,
        **others: Any,
    ) -> Job:
        """Checks the arguments, and puts in what a default stands for."""
        config = as_config(config)
        check_choice("format", format, FORMATS)
        if format != "files":
            check_tensorflow(f"`sonikeras.prepare` with format={format!r}")
        check_choice("audio_format", audio_format, (*AUDIO_FORMATS, None))
        check_choice("on_error", others["on_error"], ("raise", "skip"))
        check_integer("seed", others["seed"], minimum=0)
        check_integer("shard_size", others["shard_size"], minimum=1)
        if others["pictures"]:
            colors(config.colormap)
        return cls(
            directory=Path(directory),
            config=config,
            engine=resolve_engine(engine, config),
            format=format,
            audio_format=audio_format or ("wav" if format == "files" else "flac"),
            **others,
        )

    def parts(self) -> dict[str, Examples]:
        """The examples of each split."""
        parts = {
            split: load_examples(
                self.name,
                split,
                data_dir=self.data_dir,
                source=self.source,
                classes=self.classes,
                images_per_class=self.images_per_class,
            )
            for split in parts_of(self.data_dir)
        }
        if self.format == "files":
            for examples in parts.values():
                _check_names(examples, len(f".{self.audio_format}"))
        return parts

    def claim(self, parts: dict[str, Examples]) -> None:
        """Notes in the folder what is made in it, or checks that it is the same."""
        if self.data_dir is not None:
            origin = str(Path(self.data_dir).resolve())
        else:
            origin = self.source if isinstance(self.source, str) else "arrays"
        plan = {
            "source": origin,
            "config": self.config.to_dict(),
            "engine": self.engine,
            "seed": self.seed,
            "format": self.format,
            "audio_format": self.audio_format,
            "pictures": self.pictures,
        }
        if self.format == "tfrecord":  # what decides which record is in which file
            plan |= {
                "class_names": parts["train"].class_names,
                "examples": {split: len(examples) for split, examples in parts.items()},
                "shard_size": self.shard_size,
            }
        claim(self.directory / "prepare.json", plan, shared=True)

    def run(
        self,
        parts: dict[str, Examples],
        shard: tuple[int, int] | None,
        *,
        threads: int | None = None,
        quiet: bool = False,
    ) -> list[str]:
        """Makes what is missing of all examples or of a shard, and writes its manifest. Returns what was left out.

        A folder that cannot be written to is only checked.
        """
        threads = threads or os.cpu_count() or 1
        groups = {split: self._groups(len(examples), shard) for split, examples in parts.items()}
        problems: list[Problem] = []
        seen = 0

        def counted(
            results: Callable[[str, Examples, list[tuple[str, range]]], Iterator[Row | Problem]],
        ) -> Iterator[Row]:
            nonlocal seen
            for split, examples in parts.items():
                total = sum(len(group) for _, group in groups[split])
                progress = None if quiet else Progress(f"{self._what} in {self.directory / split}", total)
                for done, result in enumerate(results(split, examples, groups[split]), start=1):
                    seen += 1
                    if isinstance(result, Problem):
                        problems.append(result)
                    else:
                        yield result
                    if progress:
                        progress.update(done)

        if not os.access(self.directory, os.W_OK):
            self._confirm(counted, known_rows(self.directory, shard), threads)
        else:
            with explaining_full_disk(self.directory, _KEPT), self._working(shard) as working:
                # Records tell all there is to know of themselves.
                known = self._known(parts, groups, shard) if self.format == "files" else ()
                run = _Run(self, working, known, threads)
                with (
                    contextlib.closing(run.journal),
                    writing_manifest(self.directory / manifest_name(shard), working) as manifest,
                ):
                    for row in counted(run.results):
                        manifest.writerow(row)
                self._finish(working, shard, run.journal.untaken)
        if problems:
            listed = "\n".join(problem.message for problem in problems)
            warnings.warn(f"{len(problems)} of {seen} images are left out:\n{listed}", stacklevel=3)
        return [problem.name for problem in problems]

    def _confirm(self, counted: Callable[..., Iterator[Row]], known: Iterable[Row], threads: int) -> None:
        """Checks that all is there and as the manifests tell, without writing anything.

        Raises:
            PermissionError: Something must be made.
        """
        rows = {row.key: row for row in known}
        damaged: dict[str, list[int]] = {}  # of record files, where their records are
        if self.format == "tfrecord" and self.verify:
            damaged = {name: tfrecords.damaged(self.directory / name) for name in {row.sound for row in rows.values()}}

        def check(split: str, examples: Examples, index: int) -> Row | Problem:
            example, row = _once(examples, index), rows.get(key := _key(split, examples, index))
            data = self.tried(example, example.data)
            if isinstance(data, Problem):
                return data
            whole = row is not None and row.image_sha256 == _sha256(data) and self.is_whole(row)
            if row is None or not whole or damaged.get(row.sound):
                raise PermissionError(
                    errno.EACCES,
                    f"A folder that cannot be written to must be finished, and {key!r} is missing or damaged. Received",
                    str(self.directory),
                )
            return row

        def results(split: str, examples: Examples, groups: list[tuple[str, range]]) -> Iterator[Row | Problem]:
            for _, indices in groups:
                yield from _in_order(functools.partial(check, split, examples), indices, threads)

        collections.deque(counted(results), maxlen=0)

    def is_whole(self, row: Row) -> bool:
        """Whether the files of a row are there, as long as they should be, and with `verify` as they should be."""
        for name, offset, length, checksum in (row[4:8], row[8:12]):
            if not name:
                continue
            path = self.directory / name
            try:
                status = path.lstat()
            except FileNotFoundError:
                return False
            size = status.st_size
            if not stat.S_ISREG(status.st_mode) or (
                size != length if self.format == "files" else size < offset + length
            ):
                return False
            if self.verify and _sha256(Record(path, offset, length).read()) != checksum:
                return False
        return True

    def tried(self, example: Examples, read: Callable[[int], _Result]) -> _Result | Problem:
        """What is read of an image; all else that goes wrong is no fault of the image."""
        try:
            return read(0)
        except (OSError, ValueError) as error:
            if self.on_error == "raise":
                raise
            return Problem(example.describe(0), str(error))

    def join(self, parts: dict[str, Examples], count: int) -> list[str]:
        """Writes the whole manifest from those of `count` shards, all done. Returns what was left out."""
        missing = []
        with self._working(None) as working:
            manifests = [self.directory / manifest_name((index, count)) for index in range(count)]
            rows = {row.key: row for path in manifests for row in read_manifest(path)}
            untaken = {row.key for row in known_rows(self.directory, None)} if self.format == "files" else set()
            with writing_manifest(self.directory / manifest_name(None), working) as manifest:
                for split, examples in parts.items():
                    for index in range(len(examples)):
                        key = _key(split, examples, index)
                        untaken.discard(key)
                        if key in rows:
                            manifest.writerow(rows[key])
                        else:
                            missing.append(examples.describe(index))
            self._finish(working, None, sorted(untaken))
        return missing

    @contextlib.contextmanager
    def _working(self, shard: tuple[int, int] | None) -> Iterator[Path]:
        """The hidden folder of a run, without what a killed process left half written, and with no other run in it."""
        working = self.directory / working_name(shard)
        with contextlib.ExitStack() as locks:
            # Shards share the lock of the whole, which a run of the whole needs for itself.
            locks.enter_context(locked(self.directory / f"{working_name(None)}.lock", shared=shard is not None))
            if shard is not None:
                locks.enter_context(locked(working.with_name(f"{working.name}.lock")))
            for place in (working, *(self.directory / split for split in SPLITS)):
                check_no_link(place, self.directory)
            working.mkdir(exist_ok=True)
            for path in working.iterdir():
                if path.is_symlink() or (path.name != JOURNAL and path.suffix not in (".tfrecord", ".torn")):
                    path.unlink()
            yield working

    @property
    def _what(self) -> str:
        return "Sounds and pictures" if self.pictures else "Sounds"

    def _groups(self, total: int, shard: tuple[int, int] | None) -> list[tuple[str, range]]:
        """The examples of a shard, by file name of their records; `""` where each has files of its own."""
        index, count = shard or (0, 1)
        if self.format == "files":
            return [("", range(index, total, count))]
        starts = range(0, total, self.shard_size)
        return [
            (f"{position:05d}-of-{len(starts):05d}", range(start, min(start + self.shard_size, total)))
            for position, start in list(enumerate(starts))[index::count]
        ]

    def _known(
        self, parts: dict[str, Examples], groups: dict[str, list[tuple[str, range]]], shard: tuple[int, int] | None
    ) -> Iterator[Row]:
        """What is known of the examples: for a shard of its own, else also of those that are no longer there."""
        rows = known_rows(self.directory, shard)
        if shard is None:
            return rows
        own = {_key(split, parts[split], i) for split, found in groups.items() for _, indices in found for i in indices}
        return (row for row in rows if row.key in own)

    def _finish(self, working: Path, shard: tuple[int, int] | None, untaken: list[str]) -> None:
        shutil.rmtree(working)
        if shard is not None:
            return
        for path in ours(self.directory):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name not in (manifest_name(None), f"{working_name(None)}.lock"):
                path.unlink()
        if untaken:
            some = ", ".join(untaken[:3])
            warnings.warn(
                f"{self.directory} has files of {len(untaken)} examples that are not, or no longer, in the data set; "
                f"they are left there, and are not in the manifest: {some}{', ...' if len(untaken) > 3 else ''}",
                stacklevel=4,
            )


def _check_names(examples: Examples, ending: int = 0) -> None:
    """Refuses names that are no names of folders, or no paths below a folder; an ending needs so many bytes."""
    alike = collections.Counter(map(folded, examples.class_names))
    for name in examples.class_names:
        if not is_file_name(name) or alike[folded(name)] > 1:
            raise ValueError(
                "With `format='files'` a class name must not be empty, begin with '.', hold '/', '\\' or NUL, differ "
                "from another in case alone, or be no folder's name here; `format='tfrecord'` takes any name. "
                f"Received: the class name {name!r}"
            )
    for name in examples.names:
        if not all(is_file_name(part, ending=ending) for part in name.split("/")):
            raise ValueError(
                "With `format='files'` no part of an example's name, divided by '/', must be empty, begin with '.', "
                "hold '\\' or NUL, or be no file's name here; `format='tfrecord'` takes any name. "
                f"Received: the name {name!r}"
            )
