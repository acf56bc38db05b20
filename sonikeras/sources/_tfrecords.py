"""TFRecord files of `tf.train.Example`s, with random access to the values of features.

The checksum of the length of a record is checked when records are listed, that of its data when it is read.
"""

from __future__ import annotations

import dataclasses
import mmap
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sonikeras.sources.examples import Record

_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3  # the fields of tf.train.Feature


HEADER, FOOTER = 12, 4  # bytes before the data of a record (length and its checksum) and after it (checksum)


_FIXED = {1: 8, 5: 4}  # wire type: bytes


_VARINT_BYTES = 10  # for 64 bits


class Value(NamedTuple):
    """The first value of a feature: an integer, or the position of bytes or a float in the buffer."""

    integer: int
    offset: int
    length: int


@dataclasses.dataclass(frozen=True, slots=True)
class Part(Record):
    """Encoded bytes inside a record of a TFRecord file. Reading them checks the whole record, including its label.

    Attributes:
        record: `(offset, length)` of the data of the record in the file, in bytes.
    """

    record: tuple[int, int] = (0, 0)

    def read(self) -> bytes:
        """The encoded bytes.

        Raises:
            ValueError: The record or its checksum is damaged.
        """
        data = read_record(self.path, *self.record)
        start = self.offset - self.record[0]
        return data[start : start + self.length]


def masked_crc(data: bytes) -> int:
    """The checksum of TFRecord files: the masked CRC-32C."""
    import google_crc32c

    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read_record(path: str | os.PathLike, offset: int, length: int) -> bytes:
    """The data of a record of a TFRecord file, after a check of its checksum.

    Args:
        path: The file.
        offset: Integer, the position of the data in bytes.
        length: Integer, their length in bytes.

    Raises:
        ValueError: The data are damaged, or the file is too short.
    """
    with open(path, "rb") as file:
        file.seek(offset)
        data = file.read(length + FOOTER)
    if len(data) != length + FOOTER or masked_crc(data[:length]) != int.from_bytes(data[length:], "little"):
        raise ValueError(
            "The data of each record of a TFRecord file must fit their checksum: this one is damaged. Create or "
            f"download the file again. Received: {os.fspath(path)}, record at byte {offset - HEADER}"
        )
    return data[:length]


def scan(path: str | os.PathLike, keys: Sequence[str]) -> Iterator[tuple[tuple[int, int], list[Value]]]:
    """Finds features of all examples of a TFRecord file, without reading their data.

    So the data may be damaged. `read_record` checks it.

    Args:
        path: The file, uncompressed.
        keys: Names of features of bytes or integers, which each example must have.

    Yields:
        For each record its `(offset, length)`, and a `Value` for each key. For bytes, `integer` is 0. Integers are
        signed.

    Raises:
        ValueError: The file is truncated, a length is damaged, or a record is not a `tf.train.Example` or lacks a
            feature.

    Reference:
        The [TFRecord format](https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details) and the
        [wire format](https://protobuf.dev/programming-guides/encoding/) of protocol buffers.

    Example:
        >>> import os, tempfile
        >>> import tensorflow as tf
        >>> from sonikeras.sources._tfrecords import scan
        >>> feature = {"label": tf.train.Feature(int64_list=tf.train.Int64List(value=[7]))}
        >>> example = tf.train.Example(features=tf.train.Features(feature=feature))
        >>> path = os.path.join(tempfile.mkdtemp(), "seven.tfrecord")
        >>> with tf.io.TFRecordWriter(path) as writer:
        ...     writer.write(example.SerializeToString())
        >>> [value.integer for _, (value,) in scan(path, ["label"])]
        [7]
    """
    for number, (data, start, length) in enumerate(records(path)):
        try:
            found = features(data, start, length)
            yield (start, length), [found[key] for key in keys]
        except (IndexError, KeyError, ValueError) as error:
            raise ValueError(
                f"Each record must be a whole `tf.train.Example` with the features {list(keys)}. "
                f"Received: record {number} of {os.fspath(path)} ({type(error).__name__}: {error})"
            ) from error


def records(path: str | os.PathLike) -> Iterator[tuple[Any, int, int]]:
    """The records of a TFRecord file: the file as a buffer, and the position and length of each record in it.

    Raises:
        ValueError: The file is truncated, or the length of a record is damaged.
    """
    if not os.path.getsize(path):  # an empty file cannot be mapped
        return
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        position, size = 0, len(data)
        while position < size:
            header, start = data[position : position + HEADER], position + HEADER
            if len(header) == HEADER and masked_crc(header[:8]) != int.from_bytes(header[8:], "little"):
                raise ValueError(
                    "The length of each record of a TFRecord file must fit its checksum: the file is damaged, or no "
                    f"TFRecord file. Received: {os.fspath(path)}, at byte {position}"
                )
            length = int.from_bytes(header[:8], "little")
            position = start + length + FOOTER
            if position > size:
                raise ValueError(f"A TFRecord file must be whole. Received: {os.fspath(path)} ({size} bytes)")
            yield data, start, length


def damaged(path: str | os.PathLike) -> list[int]:
    """The positions, in bytes, of the data of damaged records in a TFRecord file. Reads the whole file.

    Raises:
        ValueError: The file is truncated, or the length of a record is damaged.
    """
    return [
        start
        for data, start, length in records(path)
        if masked_crc(data[start : start + length])
        != int.from_bytes(data[start + length : start + length + FOOTER], "little")
    ]


def features(data: Any, start: int, length: int) -> dict[str, Value]:
    """The first values of the features of a `tf.train.Example`, by name.

    Args:
        data: A buffer, such as bytes.
        start: Integer, the position of the serialized example in it.
        length: Integer, its length in bytes.

    Raises:
        IndexError, ValueError: It is not a `tf.train.Example`.
    """
    return dict(_features(data, start, start + length))


def _features(data: Any, start: int, end: int) -> Iterator[tuple[str, Value]]:
    """Names and first values of the features of the `tf.train.Example` between two positions."""
    for _, features_start, features_end in _fields(data, start, end):
        for _, entry_start, entry_end in _fields(data, features_start, features_end):
            (_, *name), (_, *feature) = _fields(data, entry_start, entry_end)
            for kind, list_start, list_end in _fields(data, *feature):
                first = next(_fields(data, list_start, list_end), None)
                if first is not None and kind in (_BYTES_LIST, _FLOAT_LIST, _INT64_LIST):
                    _, offset, stop = first
                    # A packed and an unpacked list of integers both start with the first one.
                    integer = _varint(data, offset, stop)[0] if kind == _INT64_LIST else 0
                    signed = integer - (integer >> 63 << 64)
                    yield os.fsdecode(data[name[0] : name[1]]), Value(signed, offset, stop - offset)


def _fields(data: Any, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of each field of the message between two positions."""
    while start < end:
        tag, start = _varint(data, start, end)
        wire_type = tag & 7
        if wire_type == 0:
            stop = _varint(data, start, end)[1]
        elif wire_type == 2:
            length, start = _varint(data, start, end)
            stop = start + length
        elif wire_type in _FIXED:
            stop = start + _FIXED[wire_type]
        else:
            raise ValueError(f"there is no wire type {wire_type}")
        if stop > end:
            raise ValueError("a field exceeds its message")
        yield tag >> 3, start, stop
        start = stop


def _varint(data: Any, position: int, end: int) -> tuple[int, int]:
    """The 64-bit varint at a position (7 bits per byte, lowest first), and the position after it."""
    value = 0
    for place, byte in enumerate(data[position : min(end, position + _VARINT_BYTES)]):
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF, position + place + 1
    raise ValueError(f"an integer has more than {_VARINT_BYTES} bytes, or exceeds its message")
