"""The manifest of a prepared folder, and the journal of a running preparation.

A manifest is a CSV file. Its last column, `checksum`, is the start of the SHA-256 of all rows up to and including its
own. The checksum of the last row, which may be the header, ends with a full stop. So every change, and every row that
is moved or lost, is detected. Manifests of version 0.1.0, which lack the column, are read too.
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
        """The unique key of the example in the data set."""
        return example_key(self.split, self.class_name, self.name)


_UNCHECKED = ["class" if name == "class_name" else name for name in Row._fields]  # the columns in version 0.1.0


COLUMNS = [*_UNCHECKED, "checksum"]


_LAST = "."  # after the checksum of the last row


_DIGITS = 16  # in a checksum


_CHECKSUM = re.compile(f"[0-9a-f]{{{_DIGITS}}}")


_ends_with_checksum = re.compile(rb', "[0-9a-f]{%d}"\]\s*\Z' % _DIGITS).search


def example_key(split: str, class_name: str, name: str) -> str:
    """The unique key of an example. Only the last component may contain slashes."""
    return f"{split}/{class_name}/{name}"


def manifest_name(shard: tuple[int, int] | None) -> str:
    """The file name of the manifest of the whole or of a shard.

    Example:
        >>> from sonikeras.preparation._manifests import manifest_name
        >>> manifest_name(None), manifest_name((0, 4))
        ('manifest.csv', 'manifest-00000-of-00004.csv')
    """
    return f"manifest{_suffix(shard)}.csv"


def working_name(shard: tuple[int, int] | None) -> str:
    """The name of the hidden folder of a run, of the whole or of a shard.

    Example:
        >>> from sonikeras.preparation._manifests import working_name
        >>> working_name(None), working_name((0, 4))
        ('.prepare', '.prepare-00000-of-00004')
    """
    return f".prepare{_suffix(shard)}"


def _suffix(shard: tuple[int, int] | None) -> str:
    return "" if shard is None else f"-{shard[0]:05d}-of-{shard[1]:05d}"


def ours(directory: Path) -> list[Path]:
    """The manifests, hidden folders and locks in a folder."""
    return [path for path in directory.iterdir() if _OURS.fullmatch(path.name)]


_OURS = re.compile(r"(manifest{0}\.csv|\.prepare{0}(\.lock)?)".format(r"(-\d{5,}-of-\d{5,})?"))


def read_manifest(path: str | os.PathLike) -> Iterator[Row]:
    """The rows of a manifest.

    Raises:
        ValueError: The file is not a manifest, it is damaged, or a row names a file of another example.
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
                        raise ValueError("the rows before it do not match its checksum")
                    if last.endswith(_LAST):  # the next one of several joined manifests begins
                        checksum = ""
                yield _row(fields, int)
            if not (unchecked or last.endswith(_LAST)) or not _ends_with_a_line(path):
                raise ValueError("the rows after it are missing")
        except (csv.Error, ValueError) as error:
            raise ValueError(
                f"A manifest must have the columns {COLUMNS}, and a value for each: delete it, and it is "
                f"recreated. Received: {path}, line {lines.line_num} ({error})"
            ) from error


def _ends_with_a_line(path: str | os.PathLike) -> bool:
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def _chained(before: str, fields: Sequence[Any]) -> str:
    """The checksum of a row and of the rows before it."""
    text = json.dumps([before, *map(str, fields)])
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


@contextlib.contextmanager
def writing_manifest(path: Path, folder: Path) -> Iterator[ManifestWriter]:
    """Yields the writer of a manifest. The file appears when the block ends; until then it is in `folder`."""
    with (
        replacing(path, folder=folder) as temporary,
        open(temporary, "x", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = ManifestWriter(file)
        yield writer
        writer.finish()


class ManifestWriter:
    """Writes rows to a manifest, each when the next one comes, because the last one is marked."""

    def __init__(self, file: TextIO) -> None:
        # Names with carriage returns are quoted, but rows end with a line feed only.
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
    """The rows of earlier runs, and a file to which new rows are added, one a line, each with a checksum.

    A row is written before the files of its example get their names, so every file has a row. An incomplete last line,
    left by a killed process, is ignored.

    Args:
        working: Folder to write to.
        rows: Rows of earlier runs. The last one of an example counts.

    Raises:
        ValueError: The journal is a link.
    """

    def __init__(self, working: Path, rows: Iterable[Row]) -> None:
        self._rows = {row.key: json.dumps(row) for row in rows}  # strings take a third of the memory of rows
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
        """The row of an example from an earlier run, which is removed here."""
        text = self._rows.pop(key, None)
        return None if text is None else Row(*json.loads(text))

    def add(self, row: Row) -> None:
        """Adds a row. It is safe when this returns, even if the process is killed."""
        with self._lock:
            self._write(json.dumps([*row, _chained("", row)]).encode() + b"\n")

    def _write(self, data: bytes) -> None:
        with explaining_full_disk(self._path):
            self._file.write(data)
            self._file.flush()

    @property
    def untaken(self) -> list[str]:
        """The keys of earlier rows that were not taken."""
        return list(self._rows)

    def close(self) -> None:
        # Closing tries to write again what did not fit on a full disk.
        with contextlib.suppress(OSError):
            self._file.close()


def known_rows(directory: Path, shard: tuple[int, int] | None) -> Iterator[Row]:
    """The rows of the manifests and journals of a folder, latest last. For a shard: those of the whole and its own.

    Raises:
        ValueError: A manifest is damaged, or a file is a link.
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
    """The rows of a journal. Damaged lines are skipped, with a warning."""
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
                damaged += line.endswith(b"\n") and line != b"\n"  # otherwise a killed process left it
    if damaged:
        warnings.warn(
            f"{damaged} lines of {path} are damaged: the files of their examples are recreated.", stacklevel=2
        )


def _journal_row(line: bytes) -> Row:
    fields = parse_json(line)
    if not isinstance(fields, list):
        raise ValueError(f"a JSON {type(fields).__name__}")
    # Lines of version 0.1.0 have no checksum. A line that lost a field is not one of them.
    if len(fields) == len(COLUMNS) or (fields and _CHECKSUM.fullmatch(str(fields[-1]))):
        *fields, checksum = fields
        if checksum != _chained("", fields):
            raise ValueError("it does not match its checksum")
    return _row(fields, None)


def _row(fields: Sequence[Any], number: type | None) -> Row:
    """The row with some fields. Integers are strings of digits if `number` is `int`.

    Raises:
        ValueError: The fields are not those of a row, or name a file of another example.
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
            raise ValueError(f"the file {name!r:.200}, which does not belong to the example {row.key!r:.200}")
    return row


def _is_own(row: Row, name: str, endings: tuple[str, ...]) -> bool:
    """Whether a name in a row is that of a file of the example. Other files are never opened."""
    if records.is_file_of(row.split, name):
        return True
    components = [row.class_name, *row.name.split("/")]
    return (
        row.split in SPLITS and name in {row.key + ending for ending in endings} and all(map(is_file_name, components))
    )


_TYPES = [int if name.endswith(("_offset", "_bytes")) else str for name in Row._fields]
