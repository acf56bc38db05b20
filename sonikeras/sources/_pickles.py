"""A safe reader of pickles: a small machine that builds plain values and never calls what a file names.

Python's unpickler calls what a file names. Even if all names are refused, a file of some kilobytes can crash it by
recursion, or make it reserve memory for objects that do not exist. This machine has only the operations that numbers
and arrays need. Its limits bound time and memory by the size of the file.
"""

from __future__ import annotations

import dataclasses
import reprlib
import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

MOST_OPERATIONS = 2**20  # those of some 25,000 tensors


MOST_VALUES = 2 * MOST_OPERATIONS  # in one value; a shared value counts each time


MOST_CONTAINERS = 2**16  # lists and dictionaries


DEEPEST = 32  # levels of nesting


LONGEST_TEXT = 2**16  # bytes


_LONGEST_NAME = 2**8  # bytes of the name of a module or an attribute


_LONGEST_INTEGER = 16  # bytes


_LARGEST_KEY = 2**31  # of integers: larger ones can be chosen to have equal hashes


_PROTOCOLS = range(2, 6)


class _Brief(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = 80
        self.maxlevel = 3

    def repr_bytes(self, value: bytes, level: int) -> str:
        return repr(value[:40]) + ("..." if len(value) > 40 else "")


_BRIEF = _Brief()


def brief(value: Any) -> str:
    """The representation of a value from a file, truncated to one line.

    Example:
        >>> from sonikeras.sources._pickles import brief
        >>> brief(("storage", 7, list(range(1000))))
        "('storage', 7, [0, 1, 2, 3, 4, 5, ...])"
    """
    return _BRIEF.repr(value)


@dataclasses.dataclass(frozen=True, slots=True)
class Name:
    """A name in a pickle that its vocabulary allows."""

    module: str
    name: str


class Vocabulary(NamedTuple):
    """The names that a kind of pickle may contain, and their meaning.

    The functions get plain values (`None`, booleans, numbers, strings, bytes, tuples, lists, dictionaries with strings,
    bytes or integers as keys, `Name`s and results of these functions) and raise a `ValueError` for invalid ones. They
    return immutable values or new ones.

    Attributes:
        title: String, the name of this kind of file in errors.
        names: For each `Name` a function of a tuple of arguments that replaces its call, or `None` if it must not be
            called.
        build: Function of an object and its state, which returns the object with that state.
        storage: Function of the tuple of a persistent ID (an object outside the pickle), or `None` if there are none.
    """

    title: str
    names: Mapping[Name, Callable[[tuple[Any, ...]], Any] | None]
    build: Callable[[Any, Any], Any]
    storage: Callable[[tuple[Any, ...]], Any] | None = None


def read_pickle(data: bytes, vocabulary: Vocabulary, start: int = 0) -> tuple[Any, int]:
    """Reads one pickle of protocol 2 to 5 without calling anything that it names.

    Args:
        data: Bytes with the pickle. More bytes may follow it.
        vocabulary: The names that it may contain.
        start: Integer, the start of the pickle in `data`. Defaults to 0.

    Returns:
        The value, and the end of the pickle in `data`.

    Raises:
        ValueError: The pickle is damaged, has another name or operation, or exceeds a limit: 32 levels of nesting,
            16 bytes of an integer, 64 KiB of a string, 65,536 lists and dictionaries, 2^20 operations.

    Reference:
        [pickletools](https://docs.python.org/3/library/pickletools.html), the operations and protocols.

    Example:
        >>> import pickle
        >>> from sonikeras.sources._pickles import Vocabulary, read_pickle
        >>> plain = Vocabulary("plain values", {}, lambda value, state: value)
        >>> read_pickle(pickle.dumps({"size": (3, 4)}), plain)[0]
        {'size': (3, 4)}
        >>> read_pickle(pickle.dumps(print), plain)
        Traceback (most recent call last):
        ValueError: the name builtins.print has no place in plain values
    """
    machine = _Machine(data, vocabulary, start)
    if data[start : start + 1] != _PROTOCOL:
        raise machine.error("what is no pickle of protocol 2 or later")
    try:
        value = machine.run()
    except IndexError as error:  # of the stack, or of `data`
        raise ValueError(f"the pickle is damaged or cut off at byte {machine.position}") from error
    return value, machine.position


# A value, its depth of nesting, and the number of values in it, including itself.
_Item = tuple[Any, int, int]


class _Machine:
    def __init__(self, data: bytes, vocabulary: Vocabulary, position: int) -> None:
        self.data = data
        self.vocabulary = vocabulary
        self.position = position
        self.stack: list[_Item] = []
        self.below: list[list[_Item]] = []  # the stacks below each mark
        self.memo: dict[int, _Item] = {}
        self.containers = 0

    def run(self) -> Any:
        for _ in range(MOST_OPERATIONS):
            code = self.data[self.position]
            self.position += 1
            if code == _STOP:
                if len(self.stack) != 1 or self.below:
                    raise ValueError(f"the pickle is damaged: it ends with {len(self.stack)} values instead of one")
                return self.pop()
            operation = _OPERATIONS.get(code)
            if operation is None:
                raise self.error(f"the operation {code:#04x} ({chr(code)!r})")
            operation(self)
        raise ValueError(f"the pickle has more than {MOST_OPERATIONS:,} operations")

    def error(self, what: str) -> ValueError:
        return ValueError(f"{what} has no place in {self.vocabulary.title}")

    # Contents of the pickle ----------------------------------------------------------------------------------

    def take(self, count: int) -> bytes:
        end = self.position + count
        if not self.position <= end <= len(self.data):
            raise ValueError(f"the pickle is cut off: {count:,} bytes are missing behind byte {self.position}")
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def line(self) -> str:
        end = self.data.find(b"\n", self.position, self.position + _LONGEST_NAME + 1)
        if end < 0:
            raise self.error(f"a name of more than {_LONGEST_NAME} bytes")
        line = self.take(end - self.position)
        self.position += 1
        return line.decode("utf-8")

    # The stack -----------------------------------------------------------------------------------------------

    def push(self, value: Any) -> None:
        self.stack.append((value, 0, 1))

    def push_made_of(self, value: Any, parts: list[_Item]) -> None:
        """Pushes a value that contains others, unless it is nested too deeply or contains too many."""
        depth = 1 + max([part[1] for part in parts], default=0)
        size = 1 + sum([part[2] for part in parts])
        if depth > DEEPEST:
            raise self.error(f"a value nested more than {DEEPEST} deep")
        if size > MOST_VALUES:
            raise self.error(f"a value that holds more than {MOST_VALUES:,} others")
        self.stack.append((value, depth, size))

    def pop(self) -> Any:
        return self.stack.pop()[0]

    def pop_to_mark(self) -> list[_Item]:
        items, self.stack = self.stack, self.below.pop()
        return items

    # Operations ----------------------------------------------------------------------------------------------

    def protocol(self) -> None:
        if (version := self.number(1)) not in _PROTOCOLS:
            raise self.error(f"protocol {version} of pickles")

    def frame(self) -> None:
        if self.number(8) > len(self.data) - self.position:
            raise ValueError(f"the pickle is cut off: a frame at byte {self.position} is not whole")

    def mark(self) -> None:
        if len(self.below) == DEEPEST:
            raise self.error(f"a value nested more than {DEEPEST} deep")
        self.below.append(self.stack)
        self.stack = []

    def integer(self, size: int) -> None:
        if size > _LONGEST_INTEGER:
            raise self.error(f"an integer of {size} bytes")
        self.push(int.from_bytes(self.take(size), "little", signed=True))

    def text(self, size: int) -> None:
        if size > LONGEST_TEXT:
            raise self.error(f"a text of {size:,} bytes")
        self.push(self.take(size).decode("utf-8", "surrogatepass"))

    def tuple_of(self, items: list[_Item]) -> None:
        self.push_made_of(tuple([item[0] for item in items]), items)

    def tuple_of_last(self, count: int) -> None:
        items = [self.stack.pop() for _ in range(count)]
        self.tuple_of(items[::-1])

    def container(self, value: list[Any] | dict[Any, Any]) -> None:
        self.containers += 1
        if self.containers > MOST_CONTAINERS:
            raise self.error(f"more than {MOST_CONTAINERS:,} lists and dictionaries")
        self.push_made_of(value, [])

    def append(self, items: list[_Item]) -> None:
        target, depth, size = self.stack.pop()
        if type(target) is not list:
            raise self.error("a list operation on something else")
        target.extend([item[0] for item in items])
        self.push_made_of(target, [(None, depth - 1, size - 1), *items])

    def set(self, items: list[_Item]) -> None:
        target, depth, size = self.stack.pop()
        if type(target) is not dict or len(items) % 2:
            raise self.error("a dictionary operation on something else")
        for (key, *_), (value, *_) in zip(items[::2], items[1::2], strict=True):
            if type(key) not in (str, bytes, int) or (type(key) is int and not abs(key) < _LARGEST_KEY):
                raise self.error(f"a dictionary's key {brief(key)}")
            target[key] = value
        self.push_made_of(target, [(None, depth - 1, size - 1), *items])

    def put(self, index: int) -> None:
        if index > len(self.data):
            raise ValueError("an object's index is larger than the file")
        self.memo[index] = self.stack[-1]

    def get(self, index: int) -> None:
        item = self.memo.get(index)
        if item is None:
            raise ValueError(f"the pickle is damaged: it has no object {index}")
        if type(item[0]) in (list, dict):  # which might contain itself
            raise self.error("a list or dictionary that is used twice")
        self.stack.append(item)

    def name(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise self.error("a name that is no text")
        found = Name(module, name)
        if found not in self.vocabulary.names:
            shown = f"{module}.{name}"
            shown = shown if shown.isprintable() and len(shown) <= _LONGEST_NAME else brief(shown)
            raise self.error(f"the name {shown}")
        self.push(found)

    def stack_name(self) -> None:
        name, module = self.pop(), self.pop()
        self.name(module, name)

    def call(self) -> None:
        arguments, target = self.stack.pop(), self.pop()
        function = self.vocabulary.names[target] if type(target) is Name else None
        if function is None or type(arguments[0]) is not tuple:
            raise self.error(f"a call of {brief(target)}")
        self.push_made_of(function(arguments[0]), [arguments])

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack.pop()
        self.push_made_of(self.vocabulary.build(target[0], state[0]), [target, state])

    def outside(self) -> None:
        reference = self.stack.pop()
        if self.vocabulary.storage is None or type(reference[0]) is not tuple:
            raise self.error(f"the reference {brief(reference[0])}")
        self.push_made_of(self.vocabulary.storage(reference[0]), [reference])


_STOP = ord(".")


_PROTOCOL = b"\x80"


_OPERATIONS: dict[int, Callable[[_Machine], None]] = {
    code[0]: operation
    for code, operation in {
        _PROTOCOL: _Machine.protocol,
        b"\x95": _Machine.frame,
        b"(": _Machine.mark,
        b"N": lambda machine: machine.push(None),
        b"\x88": lambda machine: machine.push(True),
        b"\x89": lambda machine: machine.push(False),
        b"J": lambda machine: machine.integer(4),
        b"K": lambda machine: machine.push(machine.number(1)),
        b"M": lambda machine: machine.push(machine.number(2)),
        b"\x8a": lambda machine: machine.integer(machine.number(1)),
        b"G": lambda machine: machine.push(struct.unpack(">d", machine.take(8))[0]),
        b"X": lambda machine: machine.text(machine.number(4)),
        b"\x8c": lambda machine: machine.text(machine.number(1)),
        b"\x8d": lambda machine: machine.text(machine.number(8)),
        b"U": lambda machine: machine.push(machine.take(machine.number(1))),  # strings of Python 2
        b"T": lambda machine: machine.push(machine.take(machine.number(4))),
        b"C": lambda machine: machine.push(machine.take(machine.number(1))),
        b"B": lambda machine: machine.push(machine.take(machine.number(4))),
        b"\x8e": lambda machine: machine.push(machine.take(machine.number(8))),
        b")": lambda machine: machine.push(()),
        b"\x85": lambda machine: machine.tuple_of_last(1),
        b"\x86": lambda machine: machine.tuple_of_last(2),
        b"\x87": lambda machine: machine.tuple_of_last(3),
        b"t": lambda machine: machine.tuple_of(machine.pop_to_mark()),
        b"]": lambda machine: machine.container([]),
        b"a": lambda machine: machine.append([machine.stack.pop()]),
        b"e": lambda machine: machine.append(machine.pop_to_mark()),
        b"}": lambda machine: machine.container({}),
        b"s": lambda machine: machine.set([machine.stack.pop(), machine.stack.pop()][::-1]),
        b"u": lambda machine: machine.set(machine.pop_to_mark()),
        b"q": lambda machine: machine.put(machine.number(1)),
        b"r": lambda machine: machine.put(machine.number(4)),
        b"\x94": lambda machine: machine.put(len(machine.memo)),
        b"h": lambda machine: machine.get(machine.number(1)),
        b"j": lambda machine: machine.get(machine.number(4)),
        b"c": lambda machine: machine.name(machine.line(), machine.line()),
        b"\x93": _Machine.stack_name,
        b"R": _Machine.call,
        b"b": _Machine.build,
        b"Q": _Machine.outside,
    }.items()
}
