"""Files that are either whole or not there: every write goes to a neighbor first and is then renamed.

And what reads such files again, which may have been damaged since, and makes the names of new ones safe.
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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sonikeras.config._checks import shown

_PART = ".part"  # in the name of what is not yet whole


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


# Names of devices on Windows, whatever their ending, and the characters that no name has there.
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(\.|$)", re.IGNORECASE)


_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\ud800-\udfff\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]')


_MARKED = re.compile(r"~[0-9a-f]{10}\Z", re.IGNORECASE)


_NAME_BYTES = 255  # of a name in the usual file systems


_SAFE_BYTES = 200  # which leaves room for endings


def safe_names(names: Sequence[str]) -> list[str]:
    """A file name for each of some texts: readable, different from all others, and good on every system.

    A text that is such a name already stays as it is. In others what no file name can have is replaced by `_`, and they
    are cut to 200 bytes; a `~` and 10 hexadecimal digits of the text's SHA-256 then keep them apart. So do texts that
    differ only in case or Unicode form, which some file systems take for one.

    Args:
        names: List of strings, all different: of classes, of examples, whatever they hold.

    Returns:
        List of strings: no path, no hidden file, no option of a command, no device, at most 211 bytes of UTF-8.

    Example:
        >>> from sonikeras.config._files import safe_names
        >>> safe_names(["cat", "/a/abbey", "nul.txt", "../up"])
        ['cat', '_a_abbey~3db9a6ff2b', '_nul.txt~7f3cbdd58a', '_._up~8c722b8ae2']
    """
    alike = collections.Counter(map(folded, names))
    return [name if alike[folded(name)] == 1 and _is_safe(name) else _marked(name) for name in names]


def folded(name: str) -> str:
    """The same for names that some file systems take for one."""
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
    """Whether a text can be the name of a visible file or folder here, as it is; on Windows that is far less.

    Args:
        name: String.
        ending: Integer, so many bytes must still find room behind it. Defaults to 0.
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
    """Checks that nothing below the folder `root` on the way to `path`, nor itself, is a link: it leads elsewhere.

    Raises:
        ValueError: Something is; the message names it.
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
                f"What is written must stay in its folder: a link on the way is not followed. Remove it. "
                f"Received: {place}, a link to {os.readlink(place)}"
            )


_JUNCTION = getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", -1)


class FullDiskError(OSError):
    """A file cannot be written since the disk, or what one may use of it, is full."""


@contextlib.contextmanager
def explaining_full_disk(path: str | os.PathLike[str], advice: str = "make room, then try again") -> Iterator[None]:
    """Raises in the place of a full disk's error, which often names no file, one that names `path` and says what to do.

    Raises:
        FullDiskError: The disk is full.
    """
    try:
        yield
    except OSError as error:
        # Libraries written in C give the number as text.
        number = error.errno or next((each for each in _FULL if os.strerror(each) in str(error)), None)
        if number not in _FULL:
            raise
        message = f"{os.strerror(number)}, so that a file cannot be written: {advice}. Received: file"
        told = error.filename if error.filename and _PART not in str(error.filename) else path
        raise FullDiskError(number, message, os.fspath(told)) from error


@contextlib.contextmanager
def replacing(
    path: str | os.PathLike[str], *, folder: str | os.PathLike[str] | None = None, keep: bool = False
) -> Iterator[Path]:
    """Yields a temporary path which becomes `path` when the block ends, and vanishes when the block raises.

    The temporary file is hidden, has the suffix of `path` (writers choose a format by it), and its name is unique, so
    that two processes may write one `path`.

    Args:
        path: The file to write or to replace. Its folder is made where it is missing.
        folder: Where the temporary file lies, in the same file system, within which alone a rename is atomic. Defaults
            to the folder of `path`.
        keep: Boolean, whether a file `path` that is there already, were it since a moment ago, stays. Defaults to
            `False`.

    Raises:
        FileNotFoundError: If the block ends without having written the temporary path.
        FullDiskError: The disk is full; the message names `path`.

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
    temporary = Path(folder or path.parent) / f".{uuid.uuid4().hex}{_PART}{path.suffix}"
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
    """Holds the lock `path`, a file that vanishes with it, during the block; the lock of a killed process is free.

    Where the system or the file system has no locks, as Windows, nothing is locked.

    Args:
        path: The file, in a folder that is there.
        shared: Boolean, whether others may hold it so too; then its file stays. Defaults to `False`.

    Raises:
        BlockingIOError: Another process, or thread, holds it.
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
            if not os.fstat(file.fileno()).st_nlink:  # its last holder took it away
                continue
            try:
                yield
            finally:
                if not shared:
                    os.unlink(path)
            return


def no_follow(path: str, flags: int) -> int:
    """The `opener` of `open` for a file which must not be a link that leads elsewhere.

    Raises:
        ValueError: It is one.
    """
    if os.path.islink(path):  # also where the system has no such flag
        raise ValueError(f"A file of this name is made here: a link is not followed. Remove it. Received: {path}")
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
    """Writes `data` to the file `path`, atomically: see `replacing`."""
    with replacing(path, folder=folder) as temporary, open(temporary, "xb") as file:
        file.write(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes `text` to the file `path` as UTF-8 with line feeds as given, atomically: see `replacing`."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | os.PathLike[str], obj: Any) -> None:
    """Writes `obj` to the file `path` as indented JSON, atomically; NaN and infinity, which JSON lacks, are refused."""
    write_text(path, json.dumps(obj, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str], advice: str) -> dict[str, Any]:
    """The object that a JSON file holds that the library wrote, and which may have been damaged since.

    Args:
        path: The file.
        advice: What is to be done about a damaged one, as the message says it: an order.

    Raises:
        FileNotFoundError: It is not there.
        ValueError: It holds no JSON object, numbers that no float can hold, or is nested too deeply.

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
    """The value of some JSON, of which whatever is wrong with it is a `ValueError`: depth, numbers, bytes, NaN."""

    def number(text: str) -> float:
        if not math.isfinite(value := float(text)):
            raise ValueError(f"{text[:20]} is no number that a float can hold")
        return value

    try:
        return json.loads(data.decode("utf-8"), parse_float=number, parse_constant=number)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_npz(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of a NumPy archive that the library wrote, all of them read and checked with their CRC-32s.

    Raises:
        FileNotFoundError: It is not there.
        ValueError: It is damaged.
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
    """The text with escapes in the place of what UTF-8 cannot hold: bytes of the names of files that are no text."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def claim(
    path: str | os.PathLike[str],
    plan: Mapping[str, Any],
    notes: Mapping[str, Any] | None = None,
    *,
    shared: bool = False,
) -> None:
    """Notes in a folder what is made in it, or checks that it is what was noted before: files of two plans never mix.

    What a killed process left half written in the folder is removed, unless others may be writing there.

    Args:
        path: JSON file in that folder.
        plan: What is made, as values that JSON can hold; a tuple counts as a list.
        notes: More to be written with it, which may differ the next time. Defaults to `None`.
        shared: Boolean, whether other processes may write to the folder at the same time. Defaults to `False`.

    Raises:
        ValueError: If the file notes another plan; the message names what differs. Or if it is damaged.
    """
    if first := not Path(path).exists():
        # All but ASCII is escaped, so that names of folders which are no UTF-8 can be in it.
        text = json.dumps({**plan, **(notes or {})}, indent=2, allow_nan=False) + "\n"
        with replacing(path, keep=True) as temporary:
            temporary.write_bytes(text.encode())
    before = read_json(path, "Choose another folder, or delete this one")
    plan = json.loads(json.dumps(plan))
    old, new = (dict(_leaves({key: each.get(key) for key in plan})) for each in (before, plan))
    differences = {key: (old.get(key), new.get(key)) for key in {**old, **new} if old.get(key) != new.get(key)}
    if differences:
        each = (f"{key[:200]!r}: ({shown(old)}, {shown(new)})" for key, (old, new) in differences.items())
        raise ValueError(
            f"A folder must be new or hold what was made in the same way: choose another one. "
            f"Received: {Path(path).parent}, which differs (there, now) in {{{', '.join(each)[:4000]}}}"
        )
    for leftover in [] if first or shared else Path(path).parent.rglob(f".*{_PART}*"):
        leftover.unlink(missing_ok=True)


def _leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
