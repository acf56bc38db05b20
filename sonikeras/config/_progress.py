"""What is said while long steps run, on stdout."""

import functools
import sys


@functools.cache
def say(line: str) -> None:
    """Prints a line, the first time that it is said: the parts of a data set often have the same to say."""
    encoding = sys.stdout.encoding or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)


class Progress:
    """A progress bar with the time left; where the output is not a terminal, a line every ten seconds.

    Args:
        title: String, printed above the bar.
        total: Integer, number of steps.
    """

    def __init__(self, title: str, total: int) -> None:
        print(title, flush=True)
        import keras

        self._bar = keras.utils.Progbar(total, interval=0.1 if sys.stdout.isatty() else 10)

    def update(self, done: int) -> None:
        """Shows that so many steps are done."""
        self._bar.update(done)
