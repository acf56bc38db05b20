"""TFRecord files of `tf.train.Example`s, addressed byte by byte: what a feature holds is found without reading it."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3  # the fields of tf.train.Feature
HEADER, FOOTER = 12, 4  # bytes of a record: length and its checksum before the data, their checksum behind
_FIXED = {1: 8, 5: 4}  # wire type to bytes


class Value(NamedTuple):
    """The first value of a feature: an integer, or where bytes or a float lie in the buffer."""

    integer: int
    offset: int
    length: int


def scan(path: str | os.PathLike, keys: Sequence[str]) -> Iterator[list[Value]]:
    """Finds features of all examples of a TFRecord file. Only the pages which have lengths and labels are read.

    Args:
        path: The file, not compressed.
        keys: Names of features that each example has: bytes or integers.

    Yields:
        For each record a `Value` for each key. A value of bytes has `integer=0`; an integer is signed.

    Raises:
        ValueError: The file is truncated, a record is no `tf.train.Example`, or lacks a feature.

    Reference:
        The [TFRecord format](https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details) and the
        [wire format](https://protobuf.dev/programming-guides/encoding/) of protocol buffers.

    Example:
        >>> import os, tempfile
        >>> import tensorflow as tf
        >>> from sonikeras.tfrecords import scan
        >>> feature = {"label": tf.train.Feature(int64_list=tf.train.Int64List(value=[7]))}
        >>> example = tf.train.Example(features=tf.train.Features(feature=feature))
        >>> path = os.path.join(tempfile.mkdtemp(), "seven.tfrecord")
        >>> with tf.io.TFRecordWriter(path) as writer:
        ...     writer.write(example.SerializeToString())
        >>> [value.integer for (value,) in scan(path, ["label"])]
        [7]
    """
    for number, (data, start, length) in enumerate(records(path)):
        try:
            found = features(data, start, length)
            yield [found[key] for key in keys]
        except (IndexError, KeyError, ValueError) as error:
            raise ValueError(
                f"Each record must be a whole `tf.train.Example` with the features {list(keys)}. "
                f"Received: record {number} of {os.fspath(path)} ({type(error).__name__}: {error})"
            ) from error


def records(path: str | os.PathLike) -> Iterator[tuple[Any, int, int]]:
    """The records of a TFRecord file: the file as a buffer, and where in it a record begins and how long it is.

    Raises:
        ValueError: The file is truncated.
    """
    if not os.path.getsize(path):  # which cannot be mapped
        return
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        position, size = 0, len(data)
        while position < size:
            start, length = position + HEADER, int.from_bytes(data[position : position + 8], "little")
            position = start + length + FOOTER
            if position > size:
                raise ValueError(f"A TFRecord file must be whole. Received: {os.fspath(path)} ({size} bytes)")
            yield data, start, length


def features(data: Any, start: int, length: int) -> dict[str, Value]:
    """The first values of the features of a `tf.train.Example`, by name.

    Args:
        data: A buffer, such as bytes.
        start: Integer, where in it the serialised example begins.
        length: Integer, bytes.

    Raises:
        IndexError, ValueError: It is no such example.
    """
    return dict(_features(data, start, start + length))


def _features(data: Any, start: int, end: int) -> Iterator[tuple[str, Value]]:
    """Names and first values of the features of the `tf.train.Example` that lies between two positions."""
    for _, features_start, features_end in _fields(data, start, end):
        for _, entry_start, entry_end in _fields(data, features_start, features_end):
            (_, *name), (_, *feature) = _fields(data, entry_start, entry_end)
            for kind, list_start, list_end in _fields(data, *feature):
                first = next(_fields(data, list_start, list_end), None)
                if first is not None and kind in (_BYTES_LIST, _FLOAT_LIST, _INT64_LIST):
                    _, offset, stop = first
                    # A packed list of integers begins with the first one, as the only value of an unpacked one does.
                    integer = _varint(data, offset)[0] if kind == _INT64_LIST else 0
                    signed = integer - (integer >> 63 << 64)
                    yield os.fsdecode(data[name[0] : name[1]]), Value(signed, offset, stop - offset)


def _fields(data: Any, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, beginning and end of each field of the message that lies between two positions."""
    while start < end:
        tag, start = _varint(data, start)
        wire_type = tag & 7
        if wire_type == 0:
            stop = _varint(data, start)[1]
        elif wire_type == 2:
            length, start = _varint(data, start)
            stop = start + length
        elif wire_type in _FIXED:
            stop = start + _FIXED[wire_type]
        else:
            raise ValueError(f"there is no wire type {wire_type}")
        if stop > end:
            raise ValueError("a field exceeds its message")
        yield tag >> 3, start, stop
        start = stop


def _varint(data: Any, position: int) -> tuple[int, int]:
    """The integer at a position, seven bits a byte, the lowest first, and the position behind it."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
