"""Python functions inside `tf.data` pipelines, all of which end before Python does.

TensorFlow calls such functions from its own threads. While Python shuts down, it kills a thread that asks for the
interpreter's lock. TensorFlow would then wait forever for the call, or abort. So when the program ends, before Python
shuts down, new calls are refused, iterators are closed, and running calls are awaited.
"""

from __future__ import annotations

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

# Seconds without a new call after which none is expected, and the longest wait for that: a pipeline that ignores errors
# and repeats may call forever.
_QUIET, _LONGEST_WAIT = 0.05, 5.0


class _Calls:
    """Counts the running calls of a process.

    Attributes:
        ending: Boolean, whether the program is ending.
    """

    def __init__(self) -> None:
        self.ending = False
        self._changed = threading.Condition()
        self._running = 0
        self._requested = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Counts a call while it runs, or refuses it."""
        with self._changed:
            self._requested += 1
            check_running()
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def wait(self) -> None:
        """Waits until no call runs and none is expected."""
        with self._changed:
            self._changed.wait_for(lambda: not self._running)
        deadline, requested = time.monotonic() + _LONGEST_WAIT, -1
        while requested != self._requested and time.monotonic() < deadline:
            requested = self._requested
            time.sleep(_QUIET)


_calls = _Calls()


_process = os.getpid()


_used = False  # whether TensorFlow has a function of ours


def check_running() -> None:
    """Raises a `RuntimeError` if the program is ending. Call it in loops that wait."""
    if _calls.ending:
        raise RuntimeError("The program is ending: no more examples are computed.")


def numpy_function(function: Callable[..., np.ndarray], inputs: list[Any], dtype: str) -> Any:
    """`tf.numpy_function` whose calls end before the program does, and whose errors are a single line.

    Args:
        function: Function of arrays to an array of at least one dimension.
        inputs: List of tensors.
        dtype: String, the type of the result.

    Returns:
        Tensor of `dtype` and unknown shape.

    Raises:
        tensorflow.errors.InvalidArgumentError: When the tensor is computed, if `function` raises a `ValueError`, an
            `OSError` or a `MemoryError`. It has the same message, without a traceback.

    Example:
        >>> import numpy as np
        >>> from sonikeras.datasets._calls import numpy_function
        >>> numpy_function(np.square, [np.float32([2, 3])], "float32").numpy()
        array([4., 9.], dtype=float32)
    """
    import tensorflow as tf

    _note_use()

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
    """A generator function for `tf.data.Dataset.from_generator` whose calls end before the program does."""
    _note_use()

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


def _note_use() -> None:
    global _used
    _used = True


def end() -> None:
    """Ends all calls. Non-daemon threads have ended by now."""
    if not _used:
        return
    if os.getpid() != _process:
        _keep_iterators()
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a call may take long: Ctrl-C then ends the process
    threading.excepthook = lambda args: None  # errors in daemon threads whose data end with the program are no news
    _calls.ending = True
    try:
        _close_iterators()
    finally:
        _calls.wait()


def _iterators() -> list[Any]:
    import tensorflow as tf

    # Not `isinstance`: it reads `__class__` of each object, which imports lazily loaded modules.
    return [each for each in gc.get_objects() if issubclass(type(each), tf.data.Iterator)]


def _close_iterators() -> None:
    """Clears all iterators. With the last reference to its resource, TensorFlow cancels a pipeline and joins it."""
    _clear_tracebacks()
    resources = []
    for iterator in _iterators():
        resources += [weakref.ref(value) for value in vars(iterator).values() if _is_tensor(value)]
        vars(iterator).clear()
    # A thread that waits for the next element holds a reference of its own.
    deadline = time.monotonic() + _LONGEST_WAIT
    while any(resource() is not None for resource in resources) and time.monotonic() < deadline:
        time.sleep(_QUIET)


def _clear_tracebacks() -> None:
    """Clears the local variables in tracebacks of errors, because iterators are among them."""
    for each in gc.get_objects():
        if type(each) is types.TracebackType:
            frame: types.FrameType | None = each.tb_frame
            while frame is not None:
                with contextlib.suppress(RuntimeError):  # the frame is still running
                    frame.clear()
                frame = frame.f_back


def _is_tensor(value: Any) -> bool:
    import tensorflow as tf

    return isinstance(value, tf.Tensor)


def _keep_iterators() -> None:
    """Keeps iterators alive in a forked child: closing one waits for threads that only the parent has."""
    for iterator in _iterators():
        for value in vars(iterator).values():
            if _is_tensor(value):
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))


def _reset() -> None:
    """Forgets the running calls in a forked child: their threads are the parent's."""
    global _calls
    _calls = _Calls()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset)
