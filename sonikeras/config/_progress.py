"""Messages and progress bars on stdout."""

import functools
import sys


@functools.cache
def say(line: str) -> None:
    """Prints a line once per process: the splits of a data set often have the same message."""
    encoding = sys.stdout.encoding or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)


class Progress:
    """A progress bar with the remaining time. Without a terminal, it prints a line every ten seconds.

    Args:
        title: String, a line above the bar.
        total: Integer, the number of steps.
    """

    def __init__(self, title: str, total: int) -> None:
        print(title, flush=True)
        import keras

        self._bar = keras.utils.Progbar(total, interval=0.1 if sys.stdout.isatty() else 10)

    def update(self, done: int) -> None:
        """Shows the number of finished steps."""
        self._bar.update(done)
