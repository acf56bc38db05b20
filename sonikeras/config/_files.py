"""Atomic writing of files, reading of files that may be damaged, and safe file names.

A file is written under a temporary name and then renamed, so that it is either complete or missing.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import hashlib
import json
import math
import os
import re
import stat
import sys
import tokenize
import unicodedata
import uuid
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sonikeras.config._checks import shown

TEMPORARY = ".part"  # in the names of incomplete files


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


# Names of devices on Windows, with any extension, and characters that are not allowed in names.
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(\.|$)", re.IGNORECASE)


_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\ud800-\udfff\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]')


_MARKED = re.compile(r"~[0-9a-f]{10}\Z", re.IGNORECASE)


_NAME_BYTES = 255  # the longest name in common file systems


_SAFE_BYTES = 200  # leaves room for extensions


def safe_names(names: Sequence[str]) -> list[str]:
    """A readable and unique file name for each text, valid on every system.

    A text that is a valid name is not changed. In other texts, invalid characters are replaced by `_`, and the text is
    truncated to 200 bytes; `~` and 10 hexadecimal digits of its SHA-256 make it unique. The same suffix is added to
    texts that differ only in case or Unicode form, which some file systems do not distinguish.

    Args:
        names: List of different strings, such as the names of classes or examples.

    Returns:
        List of strings: not paths, hidden files, command line options or devices, and at most 211 bytes of UTF-8.

    Example:
        >>> from sonikeras.config._files import safe_names
        >>> safe_names(["cat", "/a/abbey", "nul.txt", "../up"])
        ['cat', '_a_abbey~3db9a6ff2b', '_nul.txt~7f3cbdd58a', '_._up~8c722b8ae2']
    """
    alike = collections.Counter(map(folded, names))
    return [name if alike[folded(name)] == 1 and _is_safe(name) else _marked(name) for name in names]


def folded(name: str) -> str:
    """A key that is equal for names which some file systems do not distinguish."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _is_safe(name: str) -> bool:
    return name == _cleaned(name) and not _MARKED.search(name)


def _cleaned(name: str) -> str:
    text = _FORBIDDEN.sub("_", name)
    text = re.sub(r"\A[.\-~\s]|[.\s]\Z", "_", text) or "_"
    if _RESERVED.match(text):
        text = f"_{text}"
    return text.encode()[:_SAFE_BYTES].decode(errors="ignore")


def _marked(name: str) -> str:
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{_cleaned(name)}~{digest}"


def is_file_name(name: str, *, ending: int = 0) -> bool:
    """Whether a text can be the name of a visible file or folder on this system.

    Args:
        name: String.
        ending: Integer, the number of bytes that will be appended to it. Defaults to 0.
    """
    if not name or name.startswith(".") or re.search(r"[\0/\\]", name):
        return False
    try:
        if len(os.fsencode(name)) + ending > _NAME_BYTES:
            return False
    except UnicodeEncodeError:
        return False
    return sys.platform != "win32" or not (re.search(r'[\x00-\x1f<>:"|?*]|[. ]\Z', name) or _RESERVED.match(name))


def check_no_link(path: str | os.PathLike[str], root: str | os.PathLike[str]) -> None:
    """Checks that neither `path` nor a folder between it and the folder `root` is a link.

    Raises:
        ValueError: One of them is a link. The message names it.
    """
    place = Path(root)
    for part in Path(path).relative_to(place).parts:
        place = place / part
        try:
            status = os.lstat(place)
        except FileNotFoundError:
            return
        if stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) == _JUNCTION:
            raise ValueError(
                f"Files are written in their folder only: links are not followed. Remove the link. "
                f"Received: {place}, a link to {os.readlink(place)}"
            )


_JUNCTION = getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", -1)


class FullDiskError(OSError):
    """A file cannot be written since the disk or the quota is full."""


@contextlib.contextmanager
def explaining_full_disk(path: str | os.PathLike[str], advice: str = "make room, then try again") -> Iterator[None]:
    """Replaces the error of a full disk, which often names no file, by one that names `path` and gives advice.

    Raises:
        FullDiskError: The disk is full.
    """
    try:
        yield
    except OSError as error:
        # Libraries in C give the number as text.
        number = error.errno or next((each for each in _FULL if os.strerror(each) in str(error)), None)
        if number not in _FULL:
            raise
        message = f"{os.strerror(number)}, and a file cannot be written: {advice}. Received: file"
        name = error.filename if error.filename and TEMPORARY not in str(error.filename) else path
        raise FullDiskError(number, message, os.fspath(name)) from error


@contextlib.contextmanager
def replacing(
    path: str | os.PathLike[str], *, folder: str | os.PathLike[str] | None = None, keep: bool = False
) -> Iterator[Path]:
    """Yields a temporary path that is renamed to `path` when the block ends, and deleted when it raises an error.

    The temporary file is hidden, has the suffix of `path`, by which writers choose a format, and a unique name, so that
    two processes can write the same `path`.

    Args:
        path: The file to write or replace. Missing folders are created.
        folder: The folder of the temporary file, in the same file system. Defaults to the folder of `path`.
        keep: Boolean, whether an existing file `path` is kept. Defaults to `False`.

    Raises:
        FileNotFoundError: The block did not write the temporary path.
        FullDiskError: The disk is full. The message names `path`.

    Example:

    >>> import os, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with replacing(os.path.join(folder, "a.txt")) as temporary:
    ...     size = temporary.write_text("whole")
    >>> os.listdir(folder)
    ['a.txt']
    """
    path = Path(path)
    with explaining_full_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(folder or path.parent) / f".{uuid.uuid4().hex}{TEMPORARY}{path.suffix}"
    try:
        with explaining_full_disk(path):
            yield temporary
            try:
                if keep:
                    os.link(temporary, path)
            except FileExistsError:
                return
            except OSError:  # a file system without hard links
                keep = False
            if not keep:
                os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: str | os.PathLike[str], *, shared: bool = False) -> Iterator[None]:
    """Holds the lock file `path` during the block, and deletes it afterwards. A killed process releases its lock.

    On Windows, and on file systems without locks, nothing is locked.

    Args:
        path: The file, in an existing folder.
        shared: Boolean, whether several may hold the lock as shared; the file is then kept. Defaults to `False`.

    Raises:
        BlockingIOError: Another process or thread holds the lock.
        ValueError: `path` is a link.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    while True:
        with open(path, "a+b", opener=no_follow) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_NB | (fcntl.LOCK_SH if shared else fcntl.LOCK_EX))
            except BlockingIOError as error:
                message = "Two processes must not write the same files: wait for the other one. Received: lock"
                raise BlockingIOError(error.errno, message, str(path)) from error
            except OSError:  # a file system without locks
                pass
            if not os.fstat(file.fileno()).st_nlink:  # its last holder deleted it
                continue
            try:
                yield
            finally:
                if not shared:
                    os.unlink(path)
            return


def no_follow(path: str, flags: int) -> int:
    """An `opener` for `open` that does not follow links.

    Raises:
        ValueError: The file is a link.
    """
    if os.path.islink(path):  # for systems without the flag
        raise ValueError(
            f"A file of this name is written here: links are not followed. Remove the link. Received: {path}"
        )
    return os.open(path, flags | _NO_FOLLOW, 0o666)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """A file opened for reading as bytes.

    Raises:
        ValueError: It is a pipe, a socket or a device: one could wait for it forever, or never reach its end.
    """
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ValueError(f"A file must be a regular one, no pipe and no device. Received: {os.fspath(path)}")
    return file


def write_bytes(path: str | os.PathLike[str], data: bytes, *, folder: str | os.PathLike[str] | None = None) -> None:
    """Writes a file atomically. See `replacing`."""
    with replacing(path, folder=folder) as temporary, open(temporary, "xb") as file:
        file.write(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a UTF-8 file atomically, without converting line feeds."""
    write_bytes(path, text.encode("utf-8"))


def parse_fields(text: bytes, what: str) -> Any:
    """The value of JSON in UTF-8, whose objects have each field once. `what` is the subject of errors.

    Raises:
        ValueError: It is not such JSON, or is nested too deeply for Python.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            raise ValueError(f"{what} must have each field once. Received: {shown([name for name, _ in pairs])}")
        return fields

    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except RecursionError:  # whose traceback would be as deep
        raise ValueError(f"{what} must be a mapping of its fields to values. Received: deeply nested JSON") from None


def write_json(path: str | os.PathLike[str], obj: Any) -> None:
    """Writes an indented JSON file atomically. NaN and infinity raise a `ValueError`."""
    write_text(path, json.dumps(obj, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str], advice: str) -> dict[str, Any]:
    """Reads an object from a JSON file that sonikeras wrote.

    Args:
        path: The file.
        advice: Imperative for the error about a damaged file, such as `"Delete it"`.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is not a JSON object, has numbers beyond the range of floats, or is nested too deeply.

    Example:
        >>> import os, tempfile
        >>> from sonikeras.config._files import read_json, write_json
        >>> path = os.path.join(tempfile.mkdtemp(), "state.json")
        >>> write_json(path, {"epochs": 3})
        >>> read_json(path, "Delete it")
        {'epochs': 3}
    """
    try:
        found = parse_json(Path(path).read_bytes())
    except ValueError as error:
        raise _no_object(path, advice, _reason(error)) from error
    if not isinstance(found, dict):
        raise _no_object(path, advice, f"a JSON {type(found).__name__}")
    return found


def _no_object(path: str | os.PathLike[str], advice: str, fault: str) -> ValueError:
    return ValueError(
        f"A file of what was made must hold a JSON object: this one is damaged. {advice}. Received: {path} ({fault})"
    )


def parse_json(data: bytes) -> Any:
    """Parses JSON. Every fault, such as NaN, a huge number or deep nesting, raises a `ValueError`."""

    def number(text: str) -> float:
        if not math.isfinite(value := float(text)):
            raise ValueError(f"{text[:20]} is no number that a float can hold")
        return value

    try:
        return json.loads(data.decode("utf-8"), parse_float=number, parse_constant=number)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_npz(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads all arrays of an `.npz` file that sonikeras wrote, and checks their CRC-32.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as found:
            if not isinstance(found, np.lib.npyio.NpzFile):
                raise ValueError("a single array")
            arrays = dict(found.items())
        if others := [name for name, value in arrays.items() if not isinstance(value, np.ndarray)]:
            raise ValueError(f"members that are no arrays: {shown(others)}")
        return arrays
    except FileNotFoundError:
        raise
    except (
        *(ValueError, EOFError, KeyError, OSError, MemoryError, OverflowError, TypeError, SyntaxError, RecursionError),
        *(NotImplementedError, AttributeError, RuntimeError, zipfile.BadZipFile, zlib.error, tokenize.TokenError),
    ) as error:
        raise ValueError(
            f"A file of arrays must be a whole .npz, as it was written: this one is damaged. Delete it, and it is made "
            f"again. Received: {path} ({_reason(error)})"
        ) from error


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"


def as_utf8(text: str) -> str:
    """A text that can be written as UTF-8. Bytes of a file name that are not UTF-8 are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
