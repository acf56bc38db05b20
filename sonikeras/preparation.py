"""A data set written out: sounds and pictures in class folders or in record files, with a manifest."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import errno
import functools
import hashlib
import os
import shutil
import stat
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from sonikeras import records, rendering, tfrecords
from sonikeras.cache import resolve_cache
from sonikeras.config import SonificationConfig, as_config, check_choice, check_integer
from sonikeras.datasets import sound_loader
from sonikeras.engines import resolve_engine
from sonikeras.files import check_no_link, claim, explaining_full_disk, folded, is_file_name, locked, write_bytes
from sonikeras.manifests import (
    JOURNAL,
    Journal,
    Row,
    example_key,
    known_rows,
    manifest_name,
    ours,
    read_manifest,
    working_name,
    writing_manifest,
)
from sonikeras.operations import check_tensorflow
from sonikeras.pictures import colors
from sonikeras.progress import Progress
from sonikeras.sounds import decode_pcm16, encode_pcm16, from_pcm16
from sonikeras.sources import SPLITS, Examples, Record, check_shard, load_examples, parts_of

FORMATS = ("files", "tfrecord")
AUDIO_FORMATS = ("wav", "flac")
SHARD_SIZE = 1024
_KEPT = "what was made is kept, and the same call goes on once there is room"
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def prepare(
    name: str | None,
    directory: str | os.PathLike,
    *,
    data_dir: str | os.PathLike | None = None,
    source: Any = "builtin",
    classes: Sequence[str] | None = None,
    images_per_class: int | None = None,
    config: str | SonificationConfig = "study",
    engine: str = "auto",
    seed: int = 42,
    cache: bool | str | os.PathLike = True,
    on_error: str = "raise",
    format: str = "files",
    audio_format: str | None = None,
    pictures: bool = True,
    shard: tuple[int, int] | None = None,
    shard_size: int = SHARD_SIZE,
    verify: bool = False,
) -> list[str]:
    """Writes the sound and the spectrogram picture of every image of a data set.

    Either `directory/{train,test}/<class>/<name>.wav` and `.png` (and `validation` where the images come in a folder
    with such a part; without `test` where it has none), or record files such as
    `directory/train-00000-of-00012.tfrecord`, whose schema is in `sonikeras.records`; and `directory/manifest.csv` with
    a row for each example: its files, their sizes and SHA-256, that of its image, and the spectral convergence of its
    sound.
    `sonikeras.dataset(data_dir=directory, stage="audio")` or `"spectrogram"` reads either.

    The same call goes on where one was stopped, also by force, and ends with the same bytes as one that was not. What
    is there is kept as long as it fits the manifest and the image it was made of; the rest is made anew.

    Args:
        name: As of `sonikeras.dataset`, like all arguments that are not said here.
        directory: Folder to write to.
        cache: As of `sonikeras.dataset`; `False` saves the room of a second copy of each sound.
        on_error: `"raise"`: stops at an image that cannot be read, and keeps what was made; or `"skip"`: goes on, and
            lists such images in one warning and in what is returned. Defaults to `"raise"`.
        format: `"files"` or `"tfrecord"`. Defaults to `"files"`.
        audio_format: `"wav"` or `"flac"`, both without loss. Defaults to `None`: WAV files, FLAC in records.
        pictures: Boolean, whether to draw and write the pictures too. Defaults to `True`.
        shard: `(index, count)`: make every `count`-th example (of record files: every `count`-th file) from `index` on,
            with a manifest of its own, while other processes make the others. A call without it then finds all made
            and writes the whole manifest. Defaults to `None`: all examples.
        shard_size: Integer, examples in a record file. Defaults to 1024.
        verify: Boolean, whether to read all that is there and compare it with its checksums, instead of its size.
            Defaults to `False`.

    Returns:
        List of names of images that were left out, with `on_error="skip"`: paths where they are files.

    Raises:
        ValueError: An argument breaks its rule, an image cannot be read, a name cannot be that of a file, the folder
            holds files made in another way, of which `prepare.json` in it tells, its manifest is damaged, or a folder
            in it is a link.
        PermissionError: The folder cannot be written to, and is not finished.
        FileNotFoundError: There is no such folder.
        BlockingIOError: Another process makes the same shard, or one of the two makes the whole.
        OSError: The disk is full; what was made is kept.

    Example:
        >>> import sonikeras
        >>> sonikeras.prepare("c2", "heard", images_per_class=5, config="lossless")  # doctest: +ELLIPSIS
        Sounds and pictures in heard/train
        ...
        []
        >>> sounds = sonikeras.dataset("c2", data_dir="heard", stage="audio", config="lossless")
    """
    arguments = {key: value for key, value in locals().items() if key != "shard"}
    if shard is not None:
        check_shard(shard)
    job = Job.of(**arguments)
    parts = job.parts()
    job.claim(parts)
    return job.run(parts, shard)


class Problem(NamedTuple):
    """An image that cannot be read."""

    name: str
    message: str


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


class _Run:
    """One process' work on a job."""

    def __init__(self, job: Job, working: Path, known: Iterable[Row], threads: int) -> None:
        self.job, self.working, self.threads = job, working, threads
        self.cache = resolve_cache(job.cache)
        self.journal = Journal(working, known)

    def results(self, split: str, examples: Examples, groups: list[tuple[str, range]]) -> Iterator[Row | Problem]:
        """What became of each example, in order, made where it is missing."""
        for position, indices in groups:
            if position:
                yield from self._records(split, examples, indices, f"{split}-{position}.tfrecord")
            else:
                make = functools.partial(self._files, split, examples)
                yield from _in_order(make, indices, self.threads)

    def _files(self, split: str, examples: Examples, index: int) -> Row | Problem:
        """Makes the files of one example, unless they are there."""
        job, example = self.job, _once(examples, index)
        key = _key(split, examples, index)
        sound, picture = f"{key}.{job.audio_format}", f"{key}.png" if job.pictures else ""
        paths = [job.directory / name for name in (sound, picture) if name]
        check_no_link(paths[0].parent, job.directory)
        row = self.journal.take(key)
        data = self.job.tried(example, example.data)
        if isinstance(data, Problem):
            return data
        checksum = _sha256(data)
        if row is not None and row.image_sha256 == checksum and self.job.is_whole(row):
            return row
        image = self.job.tried(example, example.image)
        if isinstance(image, Problem):
            return image
        finished = self._finished(row, checksum)
        made = self._make(example, paths[0].read_bytes() if paths[0] in finished else None)
        # Nothing is there of which the journal tells otherwise, at any moment.
        for path in set(paths) - finished:
            path.unlink(missing_ok=True)
        row = _row(split, example, checksum, (sound, 0, made.sound), (picture, 0, made.picture), made.convergence)
        self.journal.add(row)
        for path, content in zip(paths, (made.sound, made.picture), strict=False):
            if path not in finished:
                write_bytes(path, content or b"", folder=self.working)
        return row

    def _finished(self, row: Row | None, checksum: str) -> set[Path]:
        """Which of the files that are noted of an image are there and as they should be."""
        if row is None or row.image_sha256 != checksum:
            return set()
        noted = {self.job.directory / name: digest for name, digest in (row[4:8:3], row[8:12:3]) if name}
        return {
            path
            for path, digest in noted.items()
            if path.is_file() and not path.is_symlink() and _sha256(path.read_bytes()) == digest
        }

    def _records(self, split: str, examples: Examples, indices: range, name: str) -> Iterator[Row | Problem]:
        """Makes one record file, unless it is there. Records of an earlier attempt are taken over."""
        path, partial = self.job.directory / name, self.working / name
        torn = partial.with_suffix(".torn")
        if partial.exists() and (not torn.exists() or partial.stat().st_size > torn.stat().st_size):
            partial.replace(torn)
        found = {
            example_key(split, entry.class_name, entry.name): entry
            for entry in records.index((file for file in (torn, path) if file.exists()), torn=True)
        }
        if self.job.verify and path.exists():
            damaged = set(_damaged(path))
            found = {key: entry for key, entry in found.items() if entry.path != path or entry.place[0] not in damaged}
        noted = functools.partial(self._noted, split, examples, found, path)
        if path.exists():
            results = list(_in_order(noted, indices, self.threads))
            rows = [result for result in results if isinstance(result, Row)]
            places = [entry.place for entry in found.values() if entry.path == path]
            end = sum(max(places, default=(0, 0))) + tfrecords.FOOTER
            if None not in results and len(places) == len(rows) and (end == path.stat().st_size or not rows):
                yield from results  # type: ignore[misc]
                return
        yield from self._write_records(split, examples, indices, found, path, partial)
        torn.unlink(missing_ok=True)

    def _noted(
        self, split: str, examples: Examples, found: dict[str, records.Entry], path: Path, index: int
    ) -> Row | Problem | None:
        """What is known of an example of a record file that is there, or `None` if it must be made."""
        example, entry = _once(examples, index), found.get(_key(split, examples, index))
        data = self.job.tried(example, example.data)
        if isinstance(data, Problem):
            return data
        if entry is None:
            image = self.job.tried(example, example.image)
            return image if isinstance(image, Problem) else None
        row = _row_of(split, entry)
        same = entry.path == path and entry.label == example.labels[0] and row.image_sha256 == _sha256(data)
        return row if same and self.job.is_whole(row) else None

    def _write_records(
        self,
        split: str,
        examples: Examples,
        indices: range,
        found: dict[str, records.Entry],
        path: Path,
        partial: Path,
    ) -> Iterator[Row | Problem]:
        import tensorflow as tf

        make = functools.partial(self._record, split, examples, found)
        offset = 0
        try:
            with tf.io.TFRecordWriter(str(partial)) as writer:
                for result in _in_order(make, indices, self.threads):
                    if isinstance(result, Problem):
                        yield result
                        continue
                    writer.write(result)
                    writer.flush()  # a process that is killed leaves it
                    start, length = offset + tfrecords.HEADER, len(result)
                    entry = records.entry(result, path, 0, length)
                    yield _row_of(split, entry, start)
                    offset = start + length + tfrecords.FOOTER
        except tf.errors.OpError as error:
            numbers = {tf.errors.ResourceExhaustedError: errno.ENOSPC, tf.errors.OutOfRangeError: errno.EFBIG}
            raise OSError(numbers.get(type(error), errno.EIO), error.message, str(path)) from error
        os.replace(partial, path)

    def _record(self, split: str, examples: Examples, found: dict[str, records.Entry], index: int) -> bytes | Problem:
        """The record of one example, taken over where there is one."""
        example, entry = _once(examples, index), found.get(_key(split, examples, index))
        data = self.job.tried(example, example.data)
        if isinstance(data, Problem):
            return data
        checksum = _sha256(data)
        if entry is not None and entry.image_sha256 == checksum and entry.label == example.labels[0]:
            with contextlib.suppress(ValueError):  # it is damaged
                return tfrecords.read_record(entry.path, *entry.place)
        image = self.job.tried(example, example.image)
        if isinstance(image, Problem):
            return image
        made = self._make(example)
        return records.serialize(
            sound=made.sound,
            sound_sha256=_sha256(made.sound),
            picture=made.picture,
            picture_sha256="" if made.picture is None else _sha256(made.picture),
            label=int(example.labels[0]),
            class_name=example.class_names[example.labels[0]],
            name=example.names[0],
            image_sha256=checksum,
            spectral_convergence=made.convergence,
        )

    def _make(self, example: Examples, sound: bytes | None = None) -> _Made:
        """What is written of an example; `sound` is its sound file where there is one."""
        job = self.job
        if sound is None:
            load = sound_loader(example, job.config, engine=job.engine, seed=job.seed, cache=self.cache)
            sound = encode_pcm16(pcm := load(0), job.config, f".{job.audio_format}")
        else:
            pcm = decode_pcm16(sound)
        audio = from_pcm16(pcm)
        return _Made(
            sound=sound,
            picture=rendering.encode_picture(audio, job.config) if job.pictures else None,
            convergence=rendering.spectral_convergence(audio, example.image(0), job.config),
        )


class _Made(NamedTuple):
    sound: bytes
    picture: bytes | None
    convergence: float


@dataclasses.dataclass(frozen=True)
class _Once(Examples):
    """One example, which is read and decoded once, however often it is asked for."""

    kept: dict[str, Any] = dataclasses.field(default_factory=dict)

    def data(self, index: int) -> bytes:
        if "data" not in self.kept:
            self.kept["data"] = super().data(index)
        return self.kept["data"]

    def image(self, index: int, *, color: bool = False) -> np.ndarray:
        key = "color" if color else "gray"
        if key not in self.kept:
            self.kept[key] = super().image(index, color=color)
        return self.kept[key]


def _damaged(path: Path) -> list[int]:
    """Where in a record file that may be cut the damaged records begin."""
    try:
        return tfrecords.damaged(path)
    except ValueError:
        return []  # it is of no use: what is found of it is read and checked


def _once(examples: Examples, index: int) -> _Once:
    one = examples.select([index])
    return _Once(**{field.name: getattr(one, field.name) for field in dataclasses.fields(one)})


def _key(split: str, examples: Examples, index: int) -> str:
    return example_key(split, examples.class_names[examples.labels[index]], examples.names[index])


def _row(
    split: str,
    example: Examples,
    checksum: str,
    sound: tuple[str, int, bytes],
    picture: tuple[str, int, bytes | None],
    convergence: float,
) -> Row:
    parts: list[Any] = []
    for name, offset, data in (sound, picture):
        parts += [name, offset, len(data or b""), _sha256(data) if data is not None else ""]
    class_name = example.class_names[example.labels[0]]
    return Row._make([split, class_name, example.names[0], checksum, *parts, _digits(convergence)])


def _row_of(split: str, entry: records.Entry, start: int = 0) -> Row:
    """The row of a record whose places count from `start`."""
    place, size = entry.picture or (0, 0)
    return Row(
        split=split,
        class_name=entry.class_name,
        name=entry.name,
        image_sha256=entry.image_sha256,
        sound=entry.path.name,
        sound_offset=start + entry.sound[0],
        sound_bytes=entry.sound[1],
        sound_sha256=entry.sound_sha256,
        picture=entry.path.name if entry.picture else "",
        picture_offset=start + place if entry.picture else 0,
        picture_bytes=size,
        picture_sha256=entry.picture_sha256,
        spectral_convergence=_digits(entry.spectral_convergence),
    )


def _digits(convergence: float) -> str:
    return f"{convergence:.6g}"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _in_order(function: Callable[[_Item], _Result], items: Iterable[_Item], threads: int) -> Iterator[_Result]:
    """The results in the order of the items, of which only some are computed at a time and kept."""
    pending: collections.deque[concurrent.futures.Future[_Result]] = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > 8 * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


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
