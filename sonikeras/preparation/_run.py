"""A data set written out: sounds and pictures in class folders or in record files, with a manifest."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import errno
import functools
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sonikeras.config._files import (
    check_no_link,
    write_bytes,
)
from sonikeras.datasets._loading import sound_loader
from sonikeras.datasets.cache import resolve_cache
from sonikeras.preparation import _rendering as rendering
from sonikeras.preparation._manifests import (
    Journal,
    Row,
    example_key,
)
from sonikeras.sources import Examples, _tfrecords as tfrecords, records
from sonikeras.sources.audio import decode_pcm16, encode_pcm16, from_pcm16

if TYPE_CHECKING:
    from sonikeras.preparation._job import Job
from sonikeras.preparation._rows import Problem, _key, _Made, _once, _row, _row_of, _sha256

_KEPT = "what was made is kept, and the same call goes on once there is room"


_Item = TypeVar("_Item")


_Result = TypeVar("_Result")


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


def _damaged(path: Path) -> list[int]:
    """Where in a record file that may be cut the damaged records begin."""
    try:
        return tfrecords.damaged(path)
    except ValueError:
        return []  # it is of no use: what is found of it is read and checked


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
