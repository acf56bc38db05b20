"""Compiled code: found where an installation keeps it, and announced on a terminal when it has to be compiled.

numba keeps code in `$NUMBA_CACHE_DIR`, or else in `__pycache__` beside the package, or else, where this folder is
read-only, in the user's cache directory. By itself it reads only the folder that it writes. So that code which an
administrator compiled serves all users, this module also reads a read-only `__pycache__`.
"""

from __future__ import annotations

import hashlib
import inspect
import pathlib
import sys
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numba
from numba.core import caching, event

# Private to numba. Without them, each user compiles once.
_FunctionCache: Any = getattr(caching, "FunctionCache", object)
_IndexFile: Any = getattr(caching, "IndexDataCacheFile", None)

_INSTALLED = pathlib.Path(__file__).with_name("__pycache__")


def digest(module: ModuleType) -> str:
    """A digest of a module's source. Kept code must carry it: numba itself checks one file only."""
    try:
        return hashlib.sha256(inspect.getsource(module).encode()).hexdigest()[:8]
    except OSError:  # there is no source
        return "unknown"


def compiled(function: Callable[..., Any], options: dict[str, Any], message: str) -> Callable[..., Any]:
    """The compiled form of a function, kept on disk. It compiles when it is first called.

    Args:
        function: A function that numba compiles. Kept code is found by its qualified name and its file.
        options: Arguments of `numba.njit`.
        message: What stderr, if it is a terminal, says whenever the function is compiled rather than loaded.
    """
    try:
        dispatcher = numba.njit(cache=True, **options)(function)
        _share(dispatcher)
    except RuntimeError as error:  # there is no folder that can be written to
        warnings.warn(
            "Compiled code is not kept, so each process compiles again. Set $NUMBA_CACHE_DIR to a folder that can be "
            f"written to. Received: {error}",
            stacklevel=4,
        )
        dispatcher = numba.njit(**options)(function)
    _ANNOUNCER.messages[dispatcher.py_func] = message
    return dispatcher


def _share(dispatcher: Any) -> None:
    """Makes a function with `cache=True` load code that the installation keeps, even where it is read-only."""
    if _FunctionCache is not object and _IndexFile is not None:
        dispatcher._cache = _SharedCache(dispatcher.py_func)


class _Announcer(event.Listener):
    def __init__(self) -> None:
        self.messages: dict[Any, str] = {}

    def on_start(self, event: Any) -> None:
        message = self.messages.get(event.data["dispatcher"].py_func)
        if message and sys.stderr is not None and sys.stderr.isatty():
            print(message, file=sys.stderr, flush=True)

    def on_end(self, event: Any) -> None:
        pass


_ANNOUNCER = _Announcer()
event.register("numba:compile", _ANNOUNCER)


class _SharedCache(_FunctionCache):
    _cache_file: Any
    _impl: Any

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        found = super().load_overload(sig, target_context)
        if found is None and str(_INSTALLED) != self.cache_path:
            own = self._cache_file
            stamp = self._impl.locator.get_source_stamp()
            self._cache_file = _IndexFile(str(_INSTALLED), self._impl.filename_base, stamp)
            try:
                found = super().load_overload(sig, target_context)
            except OSError:  # not readable for this user
                pass
            finally:
                self._cache_file = own
        return found
