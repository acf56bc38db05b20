"""How commands and recipe scripts end when something goes wrong."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from sonikeras.config._errors import in_one_line


@contextlib.contextmanager
def one_line_errors(prefix: str = "", *, interrupted: str = "interrupted") -> Iterator[None]:
    """Exits with one line on stderr and status 1 on errors of the user or the machine, and on Ctrl-C.

    Errors of the program itself pass with their traceback.

    Args:
        prefix: Written before each message.
        interrupted: The message on Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(f"{prefix}{interrupted}")
    except Exception as error:
        if (message := in_one_line(error)) is None:
            raise
        sys.exit(f"{prefix}error: {message}")
