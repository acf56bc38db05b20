"""A run of a plan: all of it or a shard is written, and its manifest."""

from __future__ import annotations

import collections
import contextlib
import errno
import functools
import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from sonikeras.config._files import check_no_link, explaining_full_disk, locked
from sonikeras.config._progress import Progress
from sonikeras.preparation._examples import Unreadable, key_of, sha256, single_example, try_reading
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
from sonikeras.preparation._plan import Group, Plan
from sonikeras.preparation._writer import Writer, in_order, is_intact
from sonikeras.sources import SPLITS, Examples, _tfrecords as tfrecords

_ADVICE = "finished files are kept; free space, then repeat the call to resume"


_Results = Callable[[str, Examples, list[Group]], Iterator[Row | Unreadable]]


def run(
    plan: Plan,
    examples: dict[str, Examples],
    shard: tuple[int, int] | None,
    *,
    threads: int | None = None,
    quiet: bool = False,
) -> list[str]:
    """Writes what is missing of a plan or of a shard, and the manifest. A read-only folder is only checked.

    Args:
        plan: `Plan`.
        examples: The examples of each split, from `plan.examples()`.
        shard: `(index, count)`, or `None` for all examples.
        threads: Integer. Defaults to `None`: one for each core.
        quiet: Boolean, whether to show no progress. Defaults to `False`.

    Returns:
        List of names of the images left out.
    """
    threads = threads or os.cpu_count() or 1
    groups = {split: plan.groups(len(selected), shard) for split, selected in examples.items()}
    unreadable: list[Unreadable] = []
    seen = 0

    def rows(results: _Results) -> Iterator[Row]:
        nonlocal seen
        for split, selected in examples.items():
            total = sum(len(group) for _, group in groups[split])
            progress = None if quiet else Progress(_title(plan, split), total)
            for done, result in enumerate(results(split, selected, groups[split]), start=1):
                seen += 1
                if isinstance(result, Unreadable):
                    unreadable.append(result)
                else:
                    yield result
                if progress:
                    progress.update(done)

    if not os.access(plan.directory, os.W_OK):
        _confirm(plan, rows, known_rows(plan.directory, shard), threads)
    else:
        with explaining_full_disk(plan.directory, _ADVICE), _working(plan.directory, shard) as working:
            # Record files describe themselves.
            known = _known(plan, examples, groups, shard) if plan.format == "files" else ()
            writer = Writer(plan, working, known, threads)
            with (
                contextlib.closing(writer.journal),
                writing_manifest(plan.directory / manifest_name(shard), working) as manifest,
            ):
                for row in rows(writer.write):
                    manifest.writerow(row)
            _finish(plan.directory, working, shard, writer.journal.untaken)
    if unreadable:
        listed = "\n".join(problem.message for problem in unreadable)
        warnings.warn(f"{len(unreadable)} of {seen} images are left out:\n{listed}", stacklevel=3)
    return [problem.name for problem in unreadable]


def join(plan: Plan, examples: dict[str, Examples], count: int) -> list[str]:
    """Joins the manifests of `count` shards, all finished. Returns the names of the images left out."""
    directory, missing = plan.directory, []
    with _working(directory, None) as working:
        manifests = [directory / manifest_name((index, count)) for index in range(count)]
        rows = {row.key: row for path in manifests for row in read_manifest(path)}
        untaken = {row.key for row in known_rows(directory, None)} if plan.format == "files" else set()
        with writing_manifest(directory / manifest_name(None), working) as manifest:
            for split, selected in examples.items():
                for index in range(len(selected)):
                    key = key_of(split, selected, index)
                    untaken.discard(key)
                    if key in rows:
                        manifest.writerow(rows[key])
                    else:
                        missing.append(selected.describe(index))
        _finish(directory, working, None, sorted(untaken))
    return missing


def _confirm(plan: Plan, rows: Callable[[_Results], Iterator[Row]], known: Iterable[Row], threads: int) -> None:
    """Checks that everything is there and agrees with the manifests, and writes nothing.

    Raises:
        PermissionError: Something is missing or damaged.
    """
    noted = {row.key: row for row in known}
    damaged: dict[str, list[int]] = {}  # offsets of damaged records, by record file
    if plan.format == "tfrecord" and plan.verify:
        damaged = {name: tfrecords.damaged(plan.directory / name) for name in {row.sound for row in noted.values()}}

    def check(split: str, examples: Examples, index: int) -> Row | Unreadable:
        example, row = single_example(examples, index), noted.get(key := key_of(split, examples, index))
        data = try_reading(example, example.data, plan.on_error)
        if isinstance(data, Unreadable):
            return data
        intact = row is not None and row.image_sha256 == sha256(data) and is_intact(plan, row)
        if row is None or not intact or damaged.get(row.sound):
            raise PermissionError(
                errno.EACCES,
                f"A folder that cannot be written to must be finished, and {key!r} is missing or damaged. Received",
                str(plan.directory),
            )
        return row

    def results(split: str, examples: Examples, groups: list[Group]) -> Iterator[Row | Unreadable]:
        for _, indices in groups:
            yield from in_order(functools.partial(check, split, examples), indices, threads)

    collections.deque(rows(results), maxlen=0)


def _title(plan: Plan, split: str) -> str:
    return f"{'Audio and pictures' if plan.pictures else 'Audio'} in {plan.directory / split}"


@contextlib.contextmanager
def _working(directory: Path, shard: tuple[int, int] | None) -> Iterator[Path]:
    """The hidden folder of a run. It is locked, and incomplete files of a killed process are removed."""
    working = directory / working_name(shard)
    with contextlib.ExitStack() as locks:
        # Shards share the lock of the whole. A run of the whole needs it exclusively.
        locks.enter_context(locked(directory / f"{working_name(None)}.lock", shared=shard is not None))
        if shard is not None:
            locks.enter_context(locked(working.with_name(f"{working.name}.lock")))
        for path in (working, *(directory / split for split in SPLITS)):
            check_no_link(path, directory)
        working.mkdir(exist_ok=True)
        for path in working.iterdir():
            if path.is_symlink() or (path.name != JOURNAL and path.suffix not in (".tfrecord", ".torn")):
                path.unlink()
        yield working


def _known(
    plan: Plan,
    examples: dict[str, Examples],
    groups: dict[str, list[Group]],
    shard: tuple[int, int] | None,
) -> Iterator[Row]:
    """The rows of earlier runs: for a shard those of its examples, else also those of examples that are gone."""
    rows = known_rows(plan.directory, shard)
    if shard is None:
        return rows
    own = {
        key_of(split, examples[split], index)
        for split, found in groups.items()
        for _, indices in found
        for index in indices
    }
    return (row for row in rows if row.key in own)


def _finish(directory: Path, working: Path, shard: tuple[int, int] | None, untaken: list[str]) -> None:
    """Removes the hidden folder, and after a run of the whole the manifests and folders of shards."""
    shutil.rmtree(working)
    if shard is not None:
        return
    for path in ours(directory):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name not in (manifest_name(None), f"{working_name(None)}.lock"):
            path.unlink()
    if untaken:
        some = ", ".join(untaken[:3])
        warnings.warn(
            f"{directory} has files of {len(untaken)} examples that are not, or no longer, in the data set; "
            f"they stay there, and the manifest does not list them: {some}{', ...' if len(untaken) > 3 else ''}",
            stacklevel=4,
        )
