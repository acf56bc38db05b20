"""What is known of the examples that were written: the manifest, and the journal of a run that is under way.

A manifest is a CSV file whose last column, `checksum`, is the beginning of the SHA-256 of all rows up to and with its
own; that of the last row, be it the header, ends with a full stop. So nothing can be changed, moved, lost or cut off
unnoticed. Manifests of version 0.1.0, which lack it, are read too.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import re
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from sonikeras.config._checks import shown
from sonikeras.config._files import check_no_link, explaining_full_disk, is_file_name, no_follow, parse_json, replacing
from sonikeras.sources import SPLITS, records

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


_UNCHECKED = ["class" if name == "class_name" else name for name in Row._fields]  # what version 0.1.0 wrote


COLUMNS = [*_UNCHECKED, "checksum"]


_LAST = "."  # behind the checksum of the last row


_DIGITS = 16  # of a checksum


_CHECKSUM = re.compile(f"[0-9a-f]{{{_DIGITS}}}")


_ends_with_checksum = re.compile(rb', "[0-9a-f]{%d}"\]\s*\Z' % _DIGITS).search


def example_key(split: str, class_name: str, name: str) -> str:
    """What tells an example from all others: no part but the last has a slash."""
    return f"{split}/{class_name}/{name}"


def manifest_name(shard: tuple[int, int] | None) -> str:
    """The file name of a manifest, whole or of a shard.

    Example:
        >>> from sonikeras.preparation._manifests import manifest_name
        >>> manifest_name(None), manifest_name((0, 4))
        ('manifest.csv', 'manifest-00000-of-00004.csv')
    """
    return f"manifest{_suffix(shard)}.csv"


def working_name(shard: tuple[int, int] | None) -> str:
    """The name of the hidden folder of what is under way, of all or of a shard.

    Example:
        >>> from sonikeras.preparation._manifests import working_name
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
        ValueError: It is not one, it is damaged, or a row names a file that is not that of its example.
    """
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        lines = csv.reader(file, strict=True)
        try:
            *columns, last = next(lines, [""])
            unchecked = [*columns, last] == _UNCHECKED
            if not unchecked and [*columns, last.removesuffix(_LAST)] != COLUMNS:
                raise ValueError(f"the columns {shown([*columns, last])}")
            checksum = ""
            for fields in lines:
                if not unchecked:
                    *fields, last = fields
                    checksum = _chained(checksum, fields)
                    if last.removesuffix(_LAST) != checksum:
                        raise ValueError("what is before it does not fit its checksum")
                    if last.endswith(_LAST):  # where manifests were joined, the next one begins
                        checksum = ""
                yield _row(fields, int)
            if not (unchecked or last.endswith(_LAST)) or not _ends_with_a_line(path):
                raise ValueError("what was behind it is missing")
        except (csv.Error, ValueError) as error:
            raise ValueError(
                f"A manifest must have the columns {COLUMNS}, and a value for each: delete it, and it is written "
                f"anew. Received: {path}, line {lines.line_num} ({error})"
            ) from error


def _ends_with_a_line(path: str | os.PathLike) -> bool:
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def _chained(before: str, fields: Sequence[Any]) -> str:
    """The checksum of a row and of what is before it."""
    text = json.dumps([before, *map(str, fields)])
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


@contextlib.contextmanager
def writing_manifest(path: Path, folder: Path) -> Iterator[ManifestWriter]:
    """Yields what writes the rows of a manifest, which is there when the block ends; `folder` is for its parts."""
    with (
        replacing(path, folder=folder) as temporary,
        open(temporary, "x", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = ManifestWriter(file)
        yield writer
        writer.finish()


class ManifestWriter:
    """Writes rows to a manifest, each when the next one comes: the last one is marked as such."""

    def __init__(self, file: TextIO) -> None:
        # It quotes names with the characters of its line ends, but writes each row with a line feed alone.
        self._writer = csv.writer(_Lines(file), lineterminator="\r\n")
        self._held = COLUMNS
        self._checksum = ""

    def writerow(self, row: Row) -> None:
        """Adds a row."""
        self._writer.writerow(self._held)
        self._checksum = _chained(self._checksum, row)
        self._held = [*map(str, row), self._checksum]

    def finish(self) -> None:
        """Writes the last row."""
        self._writer.writerow([*self._held[:-1], self._held[-1] + _LAST])


class _Lines(NamedTuple):
    file: TextIO

    def write(self, line: str) -> None:
        self.file.write(line.removesuffix("\r\n") + "\n")


class Journal:
    """What was noted of examples before, and a file to which more is noted, line by line, each with its checksum.

    A line is written before the example's files get their names, so that no file is there of which nothing is known.
    What a killed process left of a last line is ignored.

    Args:
        working: Folder to write to.
        rows: What was noted before, of which the last counts.

    Raises:
        ValueError: The file is a link.
    """

    def __init__(self, working: Path, rows: Iterable[Row]) -> None:
        self._rows = {row.key: json.dumps(row) for row in rows}  # as text, which takes a third of the memory
        self._lock = threading.Lock()
        self._path = working / JOURNAL
        self._file = open(self._path, "a+b", opener=no_follow)  # noqa: SIM115 - see `close`
        self._file.seek(0)
        noted = self._file.read()
        if tail := noted.rpartition(b"\n")[2]:
            try:
                _journal_row(tail)
            except ValueError:
                self._file.truncate(len(noted) - len(tail))
            else:
                self._write(b"\n")

    def take(self, key: str) -> Row | None:
        """What was noted of an example before this run."""
        text = self._rows.pop(key, None)
        return None if text is None else Row(*json.loads(text))

    def add(self, row: Row) -> None:
        """Notes an example, for good when this returns, whatever happens to the process."""
        with self._lock:
            self._write(json.dumps([*row, _chained("", row)]).encode() + b"\n")

    def _write(self, data: bytes) -> None:
        with explaining_full_disk(self._path):
            self._file.write(data)
            self._file.flush()

    @property
    def untaken(self) -> list[str]:
        """The keys of what was noted before and not asked for."""
        return list(self._rows)

    def close(self) -> None:
        # What a full disk did not take is tried once more, and of no interest.
        with contextlib.suppress(OSError):
            self._file.close()


def known_rows(directory: Path, shard: tuple[int, int] | None) -> Iterator[Row]:
    """The rows of the manifests and journals of a folder, the latest last; for a shard those of all and of itself.

    Raises:
        ValueError: A manifest is damaged, or one of them is a link.
    """
    if shard is None:
        paths = ours(directory)
    else:
        paths = [directory / name(each) for name in (manifest_name, working_name) for each in (None, shard)]
    for path in paths:
        check_no_link(path, directory)
    sources = [path if path.suffix == ".csv" else path / JOURNAL for path in paths if path.suffix != ".lock"]
    for source in sorted(filter(Path.exists, sources), key=lambda path: path.stat().st_mtime_ns):
        yield from read_manifest(source) if source.suffix == ".csv" else _read_journal(source)


def _read_journal(path: Path) -> Iterator[Row]:
    """The rows of a journal. Of damaged lines a warning tells: what they noted is made again."""
    damaged = 0
    with open(path, "rb", opener=no_follow) as file:
        checked = any(map(_ends_with_checksum, file))  # in journals of version 0.1.0 no line has one, in others each
        file.seek(0)
        for line in file:
            try:
                if checked and not _ends_with_checksum(line):
                    raise ValueError("its checksum is missing")
                yield _journal_row(line)
            except ValueError:
                damaged += line.endswith(b"\n") and line != b"\n"  # else it is what a killed process left
    if damaged:
        warnings.warn(f"{damaged} lines of {path} are damaged: what they noted is made again.", stacklevel=2)


def _journal_row(line: bytes) -> Row:
    fields = parse_json(line)
    if not isinstance(fields, list):
        raise ValueError(f"a JSON {type(fields).__name__}")
    # Lines of version 0.1.0 have no checksum; one that has lost a field is none of them.
    if len(fields) == len(COLUMNS) or (fields and _CHECKSUM.fullmatch(str(fields[-1]))):
        *fields, checksum = fields
        if checksum != _chained("", fields):
            raise ValueError("it does not fit its checksum")
    return _row(fields, None)


def _row(fields: Sequence[Any], number: type | None) -> Row:
    """The row of such fields, of which integers are given as such, or as digits where `number` is `int`.

    Raises:
        ValueError: They are not those of one row, or name a file that is not that of the example.
    """
    if len(fields) != len(_TYPES):
        raise ValueError(f"{len(fields)} values")
    values: list[Any] = []
    for field, kind in zip(fields, _TYPES, strict=True):
        if kind is int and number is int and re.fullmatch(r"[0-9]{1,18}", field):
            field = int(field)
        if type(field) is not kind or (isinstance(field, int) and not 0 <= field < 2**63):
            raise ValueError(f"the value {field!r:.80}")
        values.append(field)
    row = Row(*values)
    if (written := row.spectral_convergence) and f"{float(written):.6g}" != written:  # the digits that are written
        raise ValueError(f"the value {written!r:.80}")
    for name, endings in ((row.sound, (".wav", ".flac")), *([(row.picture, (".png",))] if row.picture else [])):
        if not _is_own(row, name, endings):
            raise ValueError(f"the file {name!r:.200}, which is not that of the example {row.key!r:.200}")
    return row


def _is_own(row: Row, name: str, endings: tuple[str, ...]) -> bool:
    """Whether a name in a row is that of a file of the example: nothing else is opened, wherever it may lead."""
    if records.is_file_of(row.split, name):
        return True
    parts = [row.class_name, *row.name.split("/")]
    return row.split in SPLITS and name in {row.key + ending for ending in endings} and all(map(is_file_name, parts))


_TYPES = [int if name.endswith(("_offset", "_bytes")) else str for name in Row._fields]
