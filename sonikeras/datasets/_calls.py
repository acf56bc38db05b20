"""Python functions inside `tf.data` pipelines, all of which end before Python does.

TensorFlow calls such a function from threads of its own. A thread that wants the interpreter's lock when Python is
being finalized is killed, and TensorFlow waits for its call without end, or aborts. So when the program ends, before
Python is finalized, no call begins any more, iterators are closed, and the calls in flight are waited for.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import gc
import os
import signal
import threading
import time
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

# Seconds without a call after which none is on its way, and the most that is waited for that: a pipeline that ignores
# errors and repeats may ask for ever.
_QUIET, _PATIENCE = 0.05, 5.0


class _Calls:
    """The calls in flight, in one process.

    Attributes:
        ending: Boolean, whether the program is ending.
    """

    def __init__(self) -> None:
        self.ending = False
        self._changed = threading.Condition()
        self._running = 0
        self._asked = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Counts a call, or refuses it."""
        with self._changed:
            self._asked += 1
            check_going_on()
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def wait(self) -> None:
        """Waits until none is in flight or on its way."""
        with self._changed:
            self._changed.wait_for(lambda: not self._running)
        deadline, asked = time.monotonic() + _PATIENCE, -1
        while asked != self._asked and time.monotonic() < deadline:
            asked = self._asked
            time.sleep(_QUIET)


_calls = _Calls()


_process = os.getpid()


_used = False  # whether TensorFlow has been given a function


def check_going_on() -> None:
    """Raises a `RuntimeError` if the program is ending: who waits for something should give up then."""
    if _calls.ending:
        raise RuntimeError("The program is ending: no more examples are made.")


def numpy_function(function: Callable[..., np.ndarray], inputs: list[Any], dtype: str) -> Any:
    """`tf.numpy_function` that does not outlive the program, and whose errors are told in one line.

    Args:
        function: Function of arrays to an array.
        inputs: List of tensors.
        dtype: String, the result's type.

    Returns:
        Tensor of `dtype` and unknown shape.

    Raises:
        tensorflow.errors.InvalidArgumentError: When it is computed: `function` raised a `ValueError`, an `OSError` or a
            `MemoryError`, whose message it has and no traceback.

    Example:
        >>> import numpy as np
        >>> from sonikeras.datasets._calls import numpy_function
        >>> numpy_function(np.square, [np.float32(3)], "float32").numpy()
        np.float32(9.0)
    """
    import tensorflow as tf

    _use()

    @functools.wraps(function)
    def call(*arrays: np.ndarray) -> tuple[np.ndarray, str]:
        with _calls.running():
            try:
                return np.asarray(function(*arrays), order="C"), ""
            except (ValueError, OSError, MemoryError) as error:
                return np.empty(0, dtype), " ".join(str(error).split()) or type(error).__name__

    result, problem = tf.numpy_function(call, inputs, [dtype, tf.string])
    with tf.control_dependencies([tf.raw_ops.Assert(condition=tf.equal(problem, ""), data=[problem])]):
        return tf.identity(result)


def generator(function: Callable[[], Iterator[Any]]) -> Callable[[], Iterator[Any]]:
    """A generator function for `tf.data.Dataset.from_generator` that does not outlive the program."""
    _use()

    @functools.wraps(function)
    def generate() -> Iterator[Any]:
        steps = function()
        end = object()
        try:
            while True:
                with _calls.running():
                    step = next(steps, end)
                if step is end:
                    return
                yield step
        finally:
            steps.close()  # type: ignore[attr-defined]

    return generate


def _use() -> None:
    global _used
    _used = True


@atexit.register
def _end() -> None:
    """Ends all calls. The threads that the program waits for have ended by now."""
    if not _used:
        return
    if os.getpid() != _process:
        _abandon_iterators()
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a call may take long: Ctrl-C ends the process then
    threading.excepthook = lambda args: None  # daemon threads whose data end with the program have nothing to tell
    _calls.ending = True
    try:
        _close_iterators()
    finally:
        _calls.wait()


def _iterators() -> list[Any]:
    import tensorflow as tf

    # Not `isinstance`, which asks objects for their class, and so wakes modules that are loaded when they are used.
    return [each for each in gc.get_objects() if issubclass(type(each), tf.data.Iterator)]


def _close_iterators() -> None:
    """Takes from every iterator what it holds: with the last reference TensorFlow cancels its pipeline and joins it."""
    _clear_tracebacks()
    handles = []
    for iterator in _iterators():
        handles += [weakref.ref(value) for value in vars(iterator).values() if _is_tensor(value)]
        vars(iterator).clear()
    # A thread that waits for the next element has a reference of its own.
    deadline = time.monotonic() + _PATIENCE
    while any(handle() is not None for handle in handles) and time.monotonic() < deadline:
        time.sleep(_QUIET)


def _clear_tracebacks() -> None:
    """Takes the local variables from what was under way when an error was raised: iterators are among them."""
    for each in gc.get_objects():
        if type(each) is types.TracebackType:
            frame: types.FrameType | None = each.tb_frame
            while frame is not None:
                with contextlib.suppress(RuntimeError):  # it is still running
                    frame.clear()
                frame = frame.f_back


def _is_tensor(value: Any) -> bool:
    import tensorflow as tf

    return isinstance(value, tf.Tensor)


def _abandon_iterators() -> None:
    """Keeps iterators for ever in a forked child: closing one waits for threads that only its parent has."""
    for iterator in _iterators():
        for value in vars(iterator).values():
            if _is_tensor(value):
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))


def _reset() -> None:
    """In a forked child no call is in flight: the threads are its parent's."""
    global _calls
    _calls = _Calls()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset)
