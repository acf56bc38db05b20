"""What went wrong, in one line: TensorFlow reports an error inside a pipeline in many, within errors of its own."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

_Item = TypeVar("_Item")


def raised_inside(error: BaseException) -> str | None:
    """The message of what a function of ours raised inside a `tf.data` pipeline, or `None` where there is none.

    Args:
        error: What the pipeline raised.

    Returns:
        String of one line.

    Example:
        >>> from sonikeras.config._errors import raised_inside
        >>> raised_inside(Exception("Error in a map: assertion failed: [No image. Received: a.png] [[Assert]]"))
        'No image. Received: a.png'
    """
    text = str(error)
    if failed := re.search(r"assertion failed: \[(.*?)\](?=\s*(\[\[|$|\n))", text):
        return re.sub(r"\\(['\"\\])", r"\1", failed[1].replace("] [", " "))  # TensorFlow escapes quotes
    # A generator's, or a function's of the user: TensorFlow writes the traceback, whose last line has it again.
    raised = re.findall(r"^(?:ValueError|OSError): (.*)", text, re.MULTILINE)
    return raised[-1] if raised else None


@contextlib.contextmanager
def plain() -> Iterator[None]:
    """Raises what a function of ours raised inside a pipeline as a `ValueError` with that message alone."""
    try:
        yield
        return
    except Exception as error:
        message = raised_inside(error) if _is_tensorflows(error) else None
        if message is None:
            raise
    raise ValueError(message) from None


def plainly(items: Iterable[_Item]) -> Iterator[_Item]:
    """The same items, with errors as `plain` has them."""
    iterator = iter(items)
    while True:
        with plain():
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item


def in_one_line(error: BaseException) -> str | None:
    """What a command says of an error that is the user's or the machine's; `None` of one that is the program's.

    Args:
        error: What a command raised.

    Returns:
        String of one line.

    Example:
        >>> from sonikeras.config._errors import in_one_line
        >>> in_one_line(FileNotFoundError("There is no such folder. Received: cats"))
        'There is no such folder. Received: cats'
    """
    if isinstance(error, MemoryError):
        return _joined(f"There is not enough memory. {error}")
    if isinstance(error, ValueError | OSError | RuntimeError | ImportError) and not isinstance(error, RecursionError):
        return str(error)
    if _is_tensorflows(error):
        message = raised_inside(error)
        return message or f"{type(error).__name__}: {_first_line(error)}"
    return None


def _is_tensorflows(error: BaseException) -> bool:
    if "tensorflow" not in sys.modules:
        return False
    import tensorflow as tf

    return isinstance(error, tf.errors.OpError)


def _first_line(error: BaseException) -> str:
    """The first line of an error of TensorFlow's that says something, without the node in which it was."""
    told = re.sub(r"\{\{.*?\}\}|\[\[.*?\]\]|\[Op:\w+\]( name:.*)?", "", str(error))
    heads = ("Graph execution error:", "Detected at node", "<stack traces unavailable>", "File ", "Hint:")
    lines = [line.strip() for line in told.splitlines()]
    return next((line for line in lines if line and not line.startswith(heads)), "no message")


def _joined(text: str) -> str:
    return " ".join(text.split())
