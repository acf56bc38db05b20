"""What is known of the examples that were written: the manifest, and the journal of a run that is under way."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from sonikeras.files import replacing

JOURNAL = "journal"


class Row(NamedTuple):
    """One example, as a row of the manifest. Paths are relative to the folder; offsets and lengths are in bytes."""

    split: str
    class_name: str
    name: str
    image_sha256: str
    sound: str
    sound_offset: int
    sound_bytes: int
    sound_sha256: str
    picture: str  # "" where there is no picture
    picture_offset: int
    picture_bytes: int
    picture_sha256: str
    spectral_convergence: str

    @property
    def key(self) -> str:
        """What tells an example from all others of the data set."""
        return example_key(self.split, self.class_name, self.name)


COLUMNS = ["class" if name == "class_name" else name for name in Row._fields]


def example_key(split: str, class_name: str, name: str) -> str:
    """What tells an example from all others: no part but the last has a slash."""
    return f"{split}/{class_name}/{name}"


def manifest_name(shard: tuple[int, int] | None) -> str:
    """The file name of a manifest, whole or of a shard.

    Example:
        >>> from sonikeras.manifests import manifest_name
        >>> manifest_name(None), manifest_name((0, 4))
        ('manifest.csv', 'manifest-00000-of-00004.csv')
    """
    return f"manifest{_suffix(shard)}.csv"


def working_name(shard: tuple[int, int] | None) -> str:
    """The name of the hidden folder of what is under way, of all or of a shard.

    Example:
        >>> from sonikeras.manifests import working_name
        >>> working_name(None), working_name((0, 4))
        ('.prepare', '.prepare-00000-of-00004')
    """
    return f".prepare{_suffix(shard)}"


def _suffix(shard: tuple[int, int] | None) -> str:
    return "" if shard is None else f"-{shard[0]:05d}-of-{shard[1]:05d}"


def ours(directory: Path) -> list[Path]:
    """The manifests, and the hidden folders and locks of what is under way, in a folder."""
    return [path for path in directory.iterdir() if _OURS.fullmatch(path.name)]


_OURS = re.compile(r"(manifest{0}\.csv|\.prepare{0}(\.lock)?)".format(r"(-\d{5,}-of-\d{5,})?"))


def read_manifest(path: str | os.PathLike) -> Iterator[Row]:
    """The rows of a manifest.

    Raises:
        ValueError: It is not one.
    """
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        lines = csv.reader(file)
        try:
            header = next(lines, [])
            for fields in lines if header == COLUMNS else [header]:
                yield Row._make(kind(field) for kind, field in zip(_TYPES, fields, strict=True))
        except (csv.Error, ValueError) as error:
            raise ValueError(
                f"A manifest must have the columns {COLUMNS}, and a value for each: delete it, and it is written "
                f"anew. Received: {path}, line {lines.line_num} ({error})"
            ) from error


@contextlib.contextmanager
def writing_manifest(path: Path, folder: Path) -> Iterator[Any]:
    """Yields what writes the rows of a manifest, which is there when the block ends; `folder` is for its parts."""
    with (
        replacing(path, folder=folder) as temporary,
        open(temporary, "w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        # It quotes names with the characters of its line ends, but writes each row with a line feed alone.
        writer = csv.writer(_Lines(file), lineterminator="\r\n")
        writer.writerow(COLUMNS)
        yield writer


class _Lines(NamedTuple):
    file: TextIO

    def write(self, line: str) -> None:
        self.file.write(line.removesuffix("\r\n") + "\n")


class Journal:
    """What was noted of examples before, and a file to which more is noted, line by line.

    A line is written before the example's files get their names, so that no file is there of which nothing is known.
    What a killed process left of a last line is ignored.

    Args:
        working: Folder to write to.
        rows: What was noted before, of which the last counts.
    """

    def __init__(self, working: Path, rows: Iterable[Row]) -> None:
        self._rows = {row.key: json.dumps(row) for row in rows}  # as text, which takes a third of the memory
        self._lock = threading.Lock()
        path = working / JOURNAL
        cut = path.exists() and not path.read_bytes().endswith(b"\n")
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 - see `close`
        if cut:
            self._file.write("\n")

    def take(self, key: str) -> Row | None:
        """What was noted of an example before this run."""
        text = self._rows.pop(key, None)
        return None if text is None else _row(json.loads(text))

    def add(self, row: Row) -> None:
        """Notes an example, for good when this returns, whatever happens to the process."""
        with self._lock:
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()

    @property
    def untaken(self) -> list[str]:
        """The keys of what was noted before and not asked for."""
        return list(self._rows)

    def close(self) -> None:
        self._file.close()


def known_rows(directory: Path, shard: tuple[int, int] | None) -> Iterator[Row]:
    """The rows of the manifests and journals of a folder, the latest last; for a shard those of all and of itself."""
    if shard is None:
        paths = ours(directory)
    else:
        paths = [directory / name(each) for name in (manifest_name, working_name) for each in (None, shard)]
    sources = [path if path.suffix == ".csv" else path / JOURNAL for path in paths if path.suffix != ".lock"]
    for source in sorted(filter(Path.exists, sources), key=lambda path: path.stat().st_mtime_ns):
        yield from read_manifest(source) if source.suffix == ".csv" else _read_journal(source)


def _read_journal(path: Path) -> Iterator[Row]:
    with open(path, encoding="utf-8") as file:
        for line in file:
            try:
                row = _row(json.loads(line))
            except ValueError:
                continue
            if row is not None:
                yield row


def _row(fields: Iterable[str | int]) -> Row | None:
    """The row of such fields, or `None` if they are not those of one."""
    try:
        return Row._make(kind(field) for kind, field in zip(_TYPES, fields, strict=True))
    except (TypeError, ValueError):
        return None


_TYPES = [int if name.endswith(("_offset", "_bytes")) else str for name in Row._fields]
