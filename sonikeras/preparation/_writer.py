"""The writer of a preparation: the files or record files of examples, as far as they are missing."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import errno
import functools
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from sonikeras.config._files import check_no_link, write_bytes
from sonikeras.datasets._loading import audio_loader
from sonikeras.datasets.cache import resolve_cache
from sonikeras.preparation import _rendering as rendering
from sonikeras.preparation._examples import (
    Content,
    SingleExample,
    Unreadable,
    key_of,
    row_of_files,
    row_of_record,
    sha256,
    single_example,
    try_reading,
)
from sonikeras.preparation._manifests import Journal, Row, example_key
from sonikeras.preparation._plan import Group, Plan
from sonikeras.sources import Examples, Record, _tfrecords as tfrecords, records
from sonikeras.sources.audio import decode_pcm16, encode_pcm16, from_pcm16

_Item = TypeVar("_Item")


_Result = TypeVar("_Result")


class Writer:
    """Writes the examples of a plan, in one process.

    Args:
        plan: `Plan`.
        working: Hidden folder for incomplete files and the journal.
        known: Rows of earlier runs. The last one of an example counts.
        threads: Integer, examples that are processed at the same time.
    """

    def __init__(self, plan: Plan, working: Path, known: Iterable[Row], threads: int) -> None:
        self.plan, self.working, self.threads = plan, working, threads
        self.cache = resolve_cache(plan.cache)
        self.journal = Journal(working, known)

    def write(self, split: str, examples: Examples, groups: list[Group]) -> Iterator[Row | Unreadable]:
        """Writes what is missing of some examples. Yields the row of each, in order."""
        for position, indices in groups:
            if position:
                yield from self._write_record_file(split, examples, indices, f"{split}-{position}.tfrecord")
            else:
                write = functools.partial(self._write_files, split, examples)
                yield from in_order(write, indices, self.threads)

    def _write_files(self, split: str, examples: Examples, index: int) -> Row | Unreadable:
        """Writes the files of one example, unless they are there."""
        plan, example = self.plan, single_example(examples, index)
        key = key_of(split, examples, index)
        audio, picture = f"{key}.{plan.audio_format}", f"{key}.png" if plan.pictures else ""
        paths = [plan.directory / name for name in (audio, picture) if name]
        check_no_link(paths[0].parent, plan.directory)
        row = self.journal.take(key)
        data = try_reading(example, example.data, plan.on_error)
        if isinstance(data, Unreadable):
            return data
        checksum = sha256(data)
        if row is not None and row.image_sha256 == checksum and is_intact(plan, row):
            return row
        image = try_reading(example, example.image_of(plan.config), plan.on_error)
        if isinstance(image, Unreadable):
            return image
        finished = self._finished(row, checksum)
        content = self._content(example, paths[0].read_bytes() if paths[0] in finished else None)
        # At no time is there a file that disagrees with the journal.
        for path in set(paths) - finished:
            path.unlink(missing_ok=True)
        row = row_of_files(
            split, example, checksum, (audio, content.audio), (picture, content.picture), content.convergence
        )
        self.journal.add(row)
        for path, encoded in zip(paths, (content.audio, content.picture), strict=False):
            if path not in finished:
                write_bytes(path, encoded or b"", folder=self.working)
        return row

    def _finished(self, row: Row | None, checksum: str) -> set[Path]:
        """The files in the row of an image that are there and have the right bytes."""
        if row is None or row.image_sha256 != checksum:
            return set()
        noted = {self.plan.directory / name: digest for name, digest in (row[4:8:3], row[8:12:3]) if name}
        return {
            path
            for path, digest in noted.items()
            if path.is_file() and not path.is_symlink() and sha256(path.read_bytes()) == digest
        }

    def _write_record_file(
        self, split: str, examples: Examples, indices: range, name: str
    ) -> Iterator[Row | Unreadable]:
        """Writes one record file, unless it is there. Records of an earlier attempt are reused."""
        path, partial = self.plan.directory / name, self.working / name
        torn = partial.with_suffix(".torn")
        if partial.exists() and (not torn.exists() or partial.stat().st_size > torn.stat().st_size):
            partial.replace(torn)
        found = {
            example_key(split, entry.class_name, entry.name): entry
            for entry in records.index((file for file in (torn, path) if file.exists()), torn=True)
        }
        if self.plan.verify and path.exists():
            damaged = set(_damaged(path))
            found = {key: entry for key, entry in found.items() if entry.path != path or entry.place[0] not in damaged}
        existing = functools.partial(self._existing_row, split, examples, found, path)
        if path.exists():
            results = list(in_order(existing, indices, self.threads))
            rows = [result for result in results if isinstance(result, Row)]
            places = [entry.place for entry in found.values() if entry.path == path]
            end = sum(max(places, default=(0, 0))) + tfrecords.FOOTER
            if None not in results and len(places) == len(rows) and (end == path.stat().st_size or not rows):
                yield from results  # type: ignore[misc]
                return
        yield from self._write_records(split, examples, indices, found, path, partial)
        torn.unlink(missing_ok=True)

    def _existing_row(
        self, split: str, examples: Examples, found: dict[str, records.Entry], path: Path, index: int
    ) -> Row | Unreadable | None:
        """The row of an example whose record is in a record file, or `None` if the record must be written."""
        example, entry = single_example(examples, index), found.get(key_of(split, examples, index))
        data = try_reading(example, example.data, self.plan.on_error)
        if isinstance(data, Unreadable):
            return data
        if entry is None:
            image = try_reading(example, example.image_of(self.plan.config), self.plan.on_error)
            return image if isinstance(image, Unreadable) else None
        row = row_of_record(split, entry)
        same = entry.path == path and entry.label == example.labels[0] and row.image_sha256 == sha256(data)
        return row if same and is_intact(self.plan, row) else None

    def _write_records(
        self,
        split: str,
        examples: Examples,
        indices: range,
        found: dict[str, records.Entry],
        path: Path,
        partial: Path,
    ) -> Iterator[Row | Unreadable]:
        import tensorflow as tf

        make = functools.partial(self._record, split, examples, found)
        offset = 0
        try:
            with tf.io.TFRecordWriter(str(partial)) as writer:
                for result in in_order(make, indices, self.threads):
                    if isinstance(result, Unreadable):
                        yield result
                        continue
                    writer.write(result)
                    writer.flush()  # so that it survives if the process is killed
                    start, length = offset + tfrecords.HEADER, len(result)
                    entry = records.entry(result, path, 0, length)
                    yield row_of_record(split, entry, start)
                    offset = start + length + tfrecords.FOOTER
        except tf.errors.OpError as error:
            numbers = {tf.errors.ResourceExhaustedError: errno.ENOSPC, tf.errors.OutOfRangeError: errno.EFBIG}
            raise OSError(numbers.get(type(error), errno.EIO), error.message, str(path)) from error
        os.replace(partial, path)

    def _record(
        self, split: str, examples: Examples, found: dict[str, records.Entry], index: int
    ) -> bytes | Unreadable:
        """The record of one example: an existing one is reused."""
        example, entry = single_example(examples, index), found.get(key_of(split, examples, index))
        data = try_reading(example, example.data, self.plan.on_error)
        if isinstance(data, Unreadable):
            return data
        checksum = sha256(data)
        if entry is not None and entry.image_sha256 == checksum and entry.label == example.labels[0]:
            with contextlib.suppress(ValueError):  # the record is damaged
                return tfrecords.read_record(entry.path, *entry.place)
        image = try_reading(example, example.image_of(self.plan.config), self.plan.on_error)
        if isinstance(image, Unreadable):
            return image
        content = self._content(example)
        return records.serialize(
            sound=content.audio,
            sound_sha256=sha256(content.audio),
            picture=content.picture,
            picture_sha256="" if content.picture is None else sha256(content.picture),
            label=int(example.labels[0]),
            class_name=example.class_names[example.labels[0]],
            name=example.names[0],
            image_sha256=checksum,
            spectral_convergence=content.convergence,
        )

    def _content(self, example: SingleExample, encoded: bytes | None = None) -> Content:
        """What is written for an example. `encoded` is its audio file, if that exists."""
        plan = self.plan
        if encoded is None:
            load = audio_loader(example, plan.config, engine=plan.engine, seed=plan.seed, cache=self.cache)
            encoded = encode_pcm16(pcm := load(0), plan.config, f".{plan.audio_format}")
        else:
            pcm = decode_pcm16(encoded)
        audio = from_pcm16(pcm)
        return Content(
            audio=encoded,
            picture=rendering.encode_picture(audio, plan.config) if plan.pictures else None,
            convergence=rendering.spectral_convergence(audio, example.image_of(plan.config)(0), plan.config),
        )


def is_intact(plan: Plan, row: Row) -> bool:
    """Whether the files of a row exist and have the right sizes, and with `verify` also the right bytes."""
    for name, offset, length, checksum in (row[4:8], row[8:12]):
        if not name:
            continue
        path = plan.directory / name
        try:
            status = path.lstat()
        except FileNotFoundError:
            return False
        size = status.st_size
        if not stat.S_ISREG(status.st_mode) or (size != length if plan.format == "files" else size < offset + length):
            return False
        if plan.verify and sha256(Record(path, offset, length).read()) != checksum:
            return False
    return True


def _damaged(path: Path) -> list[int]:
    """The offsets of the damaged records of a record file, which may be truncated."""
    try:
        return tfrecords.damaged(path)
    except ValueError:
        return []  # the file cannot be used as a whole: each of its records is read and checked


def in_order(function: Callable[[_Item], _Result], items: Iterable[_Item], threads: int) -> Iterator[_Result]:
    """Applies a function in threads. Yields the results in the order of the items, and holds only a few at a time."""
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
