"""Files that are either whole or not there: every write goes to a neighbour first and is then renamed."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_PART = ".part"  # in the name of what is not yet whole


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

    Example:

    >>> import os, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with replacing(os.path.join(folder, "a.txt")) as temporary:
    ...     size = temporary.write_text("whole")
    >>> os.listdir(folder)
    ['a.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(folder or path.parent) / f".{uuid.uuid4().hex}{_PART}{path.suffix}"
    try:
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
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    while True:
        with open(path, "a+b") as file:
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


def write_bytes(path: str | os.PathLike[str], data: bytes, *, folder: str | os.PathLike[str] | None = None) -> None:
    """Writes `data` to the file `path`, atomically: see `replacing`."""
    with replacing(path, folder=folder) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes `text` to the file `path` as UTF-8 with line feeds as given, atomically: see `replacing`."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | os.PathLike[str], obj: Any) -> None:
    """Writes `obj` to the file `path` as indented JSON, atomically; NaN and infinity, which JSON lacks, are refused."""
    write_text(path, json.dumps(obj, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


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
    before, plan = _noted(Path(path)), json.loads(json.dumps(plan))
    old, new = (dict(_leaves({key: each.get(key) for key in plan})) for each in (before, plan))
    differences = {key: (old.get(key), new.get(key)) for key in {**old, **new} if old.get(key) != new.get(key)}
    if differences:
        raise ValueError(
            f"A folder must be new or hold what was made in the same way: choose another one. "
            f"Received: {Path(path).parent}, which differs (there, now) in {differences}"
        )
    for leftover in [] if first or shared else Path(path).parent.rglob(f".*{_PART}*"):
        leftover.unlink(missing_ok=True)


def _noted(path: Path) -> dict[str, Any]:
    try:
        noted = json.loads(path.read_bytes().decode("utf-8"))
    except ValueError as error:
        fault = f"{type(error).__name__}: {error}"
    else:
        if isinstance(noted, dict):
            return noted
        fault = f"a JSON {type(noted).__name__}"
    raise ValueError(
        f"The file that notes how a folder was made must hold a JSON object: this one is damaged. Choose another "
        f"folder, or delete this one. Received: {path} ({fault})"
    )


def _leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
