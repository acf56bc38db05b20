"""TFRecord files of `tf.train.Example`s, addressed byte by byte: what a feature holds is found without reading it.

The checksum of a record's length is checked wherever records are found, that of its data where it is read.
"""

from __future__ import annotations

import dataclasses
import mmap
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sonikeras.sources.examples import Record

_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3  # the fields of tf.train.Feature


HEADER, FOOTER = 12, 4  # bytes of a record: length and its checksum before the data, their checksum behind


_FIXED = {1: 8, 5: 4}  # wire type to bytes


_VARINT_BYTES = 10  # that 64 bits need


class Value(NamedTuple):
    """The first value of a feature: an integer, or where bytes or a float lie in the buffer."""

    integer: int
    offset: int
    length: int


@dataclasses.dataclass(frozen=True, slots=True)
class Part(Record):
    """Encoded bytes inside a record of a TFRecord file. To read them is to check all of the record, its label too.

    Attributes:
        record: `(offset, length)` of the record's data in the file, in bytes.
    """

    record: tuple[int, int] = (0, 0)

    def read(self) -> bytes:
        """The encoded bytes.

        Raises:
            ValueError: The record, or its checksum, is damaged.
        """
        data = read_record(self.path, *self.record)
        start = self.offset - self.record[0]
        return data[start : start + self.length]


def masked_crc(data: bytes) -> int:
    """The checksum of TFRecord files: the CRC-32C, turned and raised so that data may hold checksums themselves."""
    import google_crc32c

    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read_record(path: str | os.PathLike, offset: int, length: int) -> bytes:
    """The data of a record at a place of a TFRecord file, checked.

    Args:
        path: The file.
        offset: Integer, where the data begin, in bytes.
        length: Integer, bytes.

    Raises:
        ValueError: The data are not what was written, or the file is shorter.
    """
    with open(path, "rb") as file:
        file.seek(offset)
        data = file.read(length + FOOTER)
    if len(data) != length + FOOTER or masked_crc(data[:length]) != int.from_bytes(data[length:], "little"):
        raise ValueError(
            "The data of each record of a TFRecord file must fit their checksum: this one is damaged. Make or fetch "
            f"the file again. Received: {os.fspath(path)}, record at byte {offset - HEADER}"
        )
    return data[:length]


def scan(path: str | os.PathLike, keys: Sequence[str]) -> Iterator[tuple[tuple[int, int], list[Value]]]:
    """Finds features of all examples of a TFRecord file. Only the pages which have lengths and labels are read.

    So what is found may be damaged, as `read_record` tells.

    Args:
        path: The file, not compressed.
        keys: Names of features that each example has: bytes or integers.

    Yields:
        For each record its `(offset, length)`, and a `Value` for each key. A value of bytes has `integer=0`; an integer
        is signed.

    Raises:
        ValueError: The file is truncated, a length is damaged, a record is no `tf.train.Example`, or lacks a feature.

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
    """The records of a TFRecord file: the file as a buffer, and where in it a record begins and how long it is.

    Raises:
        ValueError: The file is truncated, or the length of a record is damaged.
    """
    if not os.path.getsize(path):  # which cannot be mapped
        return
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        position, size = 0, len(data)
        while position < size:
            header, start = data[position : position + HEADER], position + HEADER
            if len(header) == HEADER and masked_crc(header[:8]) != int.from_bytes(header[8:], "little"):
                raise ValueError(
                    "The length of each record of a TFRecord file must fit its checksum: this one is damaged, or none. "
                    f"Received: {os.fspath(path)}, at byte {position}"
                )
            length = int.from_bytes(header[:8], "little")
            position = start + length + FOOTER
            if position > size:
                raise ValueError(f"A TFRecord file must be whole. Received: {os.fspath(path)} ({size} bytes)")
            yield data, start, length


def damaged(path: str | os.PathLike) -> list[int]:
    """The bytes of a TFRecord file at which the data of records begin that do not fit their checksums. It reads all.

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
        start: Integer, where in it the serialized example begins.
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
                    integer = _varint(data, offset, stop)[0] if kind == _INT64_LIST else 0
                    signed = integer - (integer >> 63 << 64)
                    yield os.fsdecode(data[name[0] : name[1]]), Value(signed, offset, stop - offset)


def _fields(data: Any, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, beginning and end of each field of the message that lies between two positions."""
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
    """The integer of 64 bits at a position, seven bits a byte, the lowest first, and the position behind it."""
    value = 0
    for place, byte in enumerate(data[position : min(end, position + _VARINT_BYTES)]):
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF, position + place + 1
    raise ValueError(f"an integer has more than {_VARINT_BYTES} bytes, or exceeds its message")
