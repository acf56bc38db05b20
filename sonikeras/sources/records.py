"""TFRecord files of audio and pictures, with random access to their contents.

Each record is a `tf.train.Example` with the features

| feature | type | content |
|---|---|---|
| `sound` | bytes | the audio as a FLAC (or WAV) file that carries the config |
| `sound_sha256` | bytes | hexadecimal SHA-256 of `sound` |
| `picture` | bytes | the picture as a PNG file, if there is one |
| `picture_sha256` | bytes | hexadecimal SHA-256 of `picture`, if there is one |
| `label` | int64 | index of the class |
| `class` | bytes | name of the class |
| `name` | bytes | name of the example, unique within its class |
| `image_sha256` | bytes | hexadecimal SHA-256 of the image file, or of its shape and pixels |
| `spectral_convergence` | float | spectral convergence of the audio: the relative error of its magnitudes; 0 is exact |
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sonikeras.config._checks import check_choice
from sonikeras.config._files import read_json
from sonikeras.sources import _tfrecords as tfrecords

#: The feature that each stage of `sonikeras.dataset` reads.
_FEATURES = {"audio": "sound", "spectrogram": "picture"}


_NAME = re.compile(r"(train|validation|test)-(\d{5,})-of-(\d{5,})\.tfrecord")


def is_file_of(split: str, name: str) -> bool:
    """Whether a file name is that of a record file of a split."""
    match = _NAME.fullmatch(name)
    return match is not None and match[1] == split


class Entry(NamedTuple):
    """One record of a file. Places in the file are `(offset, length)` in bytes."""

    path: Path
    place: tuple[int, int]
    label: int
    class_name: str
    name: str
    image_sha256: str
    spectral_convergence: float
    sound: tuple[int, int]
    sound_sha256: str
    picture: tuple[int, int] | None
    picture_sha256: str


def file_name(split: str, index: int, count: int) -> str:
    """The name of one of the `count` record files of a split.

    Example:
        >>> from sonikeras.sources.records import file_name
        >>> file_name("train", 0, 12)
        'train-00000-of-00012.tfrecord'
    """
    return f"{split}-{index:05d}-of-{count:05d}.tfrecord"


def holds_records(directory: str | os.PathLike) -> bool:
    """Whether a folder contains record files of `sonikeras.prepare`."""
    return any(_NAME.fullmatch(name) for name in os.listdir(directory))


def has_validation(directory: str | os.PathLike) -> bool:
    """Whether a folder of record files has a validation split."""
    return any((match := _NAME.fullmatch(name)) and match[1] == "validation" for name in os.listdir(directory))


def serialize(
    *,
    sound: bytes,
    sound_sha256: str,
    picture: bytes | None,
    picture_sha256: str,
    label: int,
    class_name: str,
    name: str,
    image_sha256: str,
    spectral_convergence: float,
) -> bytes:
    """One record, as the bytes of a `tf.train.Example`. The same arguments give the same bytes."""
    import tensorflow as tf

    texts = {
        "sound": sound,
        "sound_sha256": sound_sha256.encode(),
        "class": os.fsencode(class_name),
        "name": os.fsencode(name),
        "image_sha256": image_sha256.encode(),
    }
    if picture is not None:
        texts |= {"picture": picture, "picture_sha256": picture_sha256.encode()}
    features = {key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[text])) for key, text in texts.items()}
    features["label"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
    features["spectral_convergence"] = tf.train.Feature(float_list=tf.train.FloatList(value=[spectral_convergence]))
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def entry(data: Any, path: Path, offset: int, length: int) -> Entry:
    """The entry of a record in a buffer (bytes or a mapped file). Its data are not checked for damage.

    Raises:
        ValueError: The record does not have these features.
    """
    try:
        values = tfrecords.features(data, offset, length)

        def place(name: str) -> tuple[int, int]:
            return values[name].offset, values[name].length

        def span(name: str) -> tuple[int, int]:
            start, size = place(name) if name in values else (0, 0)
            return start, start + size

        def text(name: str) -> str:
            return os.fsdecode(data[slice(*span(name))])

        return Entry(
            path=path,
            place=(offset, length),
            label=values["label"].integer,
            class_name=text("class"),
            name=text("name"),
            image_sha256=text("image_sha256"),
            spectral_convergence=struct.unpack("<f", data[slice(*span("spectral_convergence"))][:4])[0],
            sound=place("sound"),
            sound_sha256=text("sound_sha256"),
            picture=place("picture") if "picture" in values else None,
            picture_sha256=text("picture_sha256"),
        )
    except (KeyError, IndexError, ValueError, struct.error) as error:
        raise ValueError(
            "A record must have the features of `sonikeras.sources.records`. "
            f"Received: {path}, record at byte {offset} ({error!r})"
        ) from error


def index(paths: Iterable[str | os.PathLike], *, torn: bool = False) -> Iterator[Entry]:
    """The records of some files, in order. Their audio and pictures are not read.

    Args:
        paths: Record files.
        torn: Boolean, whether to accept truncated files, such as those of a killed process. Defaults to `False`: they
            are an error.

    Raises:
        ValueError: A file is truncated, or a record is damaged or has other features. The message names the file.

    Example:
        >>> import sonikeras
        >>> from sonikeras.sources import records
        >>> sonikeras.prepare("c2", "out", images_per_class=5, config="lossless", format="tfrecord")
        ... # doctest: +ELLIPSIS
        Audio and pictures in out/train
        ...
        >>> [entry.name for entry in records.index(["out/test-00000-of-00001.tfrecord"])]
        ['cat-0586', 'dog-0878']
    """
    for path in map(Path, paths):
        try:
            for data, start, length in tfrecords.records(path):
                yield entry(data, path, start, length)
        except ValueError:
            if not torn:
                raise


def load(
    directory: str | os.PathLike, split: str, stage: str
) -> tuple[list[str], list[int], list[str], list[tfrecords.Part]]:
    """Finds the audio or pictures in a folder that `sonikeras.prepare(..., format="tfrecord")` wrote.

    Args:
        directory: The folder.
        split: `"train"`, `"validation"` or `"test"`.
        stage: `"audio"` or `"spectrogram"` (pictures).

    Returns:
        `(class_names, labels, names, parts)`: the names of all classes, and for each example, in the order of writing,
        its label, its name and its encoded file. Reading the latter checks the whole record.

    Raises:
        FileNotFoundError: The folder does not exist, or has no files of this split.
        ValueError: Files are missing, truncated or damaged, or have no pictures.

    Example:
        >>> import sonikeras
        >>> from sonikeras.sources import records
        >>> sonikeras.prepare("c2", "out", images_per_class=5, config="lossless", format="tfrecord")
        ... # doctest: +ELLIPSIS
        Audio and pictures in out/train
        ...
        >>> class_names, labels, names, parts = records.load("out", "test", "audio")
        >>> class_names, labels
        (['cat', 'dog'], [0, 1])
    """
    check_choice("stage", stage, _FEATURES)
    paths, classes = _files(Path(directory), split), class_names(directory)
    names, labels, parts = [], [], []
    for record in index(paths):
        place = record.sound if stage == "audio" else record.picture
        if place is None:
            raise ValueError(
                "`stage='spectrogram'` needs records with pictures: prepare them with pictures=True. "
                f"Received: {record.path}, which has none"
            )
        if not 0 <= record.label < len(classes) or classes[record.label] != record.class_name:
            raise ValueError(
                "The label of a record must be the index of its class in prepare.json: one of them is "
                f"damaged. Prepare it again with verify=True. Received: {record.path}, record at byte "
                f"{record.place[0] - tfrecords.HEADER} with label={record.label} and class={record.class_name!r}"
            )
        labels.append(record.label)
        names.append(record.name)
        parts.append(tfrecords.Part(record.path, *place, record.place))
    return classes, labels, names, parts


def class_names(directory: str | os.PathLike) -> list[str]:
    """Names of the classes in a folder of record files, in the order of their labels.

    Raises:
        ValueError: The `prepare.json` of the folder is missing or damaged.
    """
    path, rule = Path(directory) / "prepare.json", "A folder of record files must contain the prepare.json that"
    try:
        names = read_json(path, "Get it back, or prepare the folder anew").get("class_names")
    except OSError as error:
        raise ValueError(f"{rule} `sonikeras.prepare` writes. Received: {directory} ({error!r})") from error
    texts = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not texts or not names or len(set(names)) < len(names):
        raise ValueError(
            f"{rule} `sonikeras.prepare` writes, with different `class_names`. Received: {path} with {names!r:.200}"
        )
    return names


def _files(directory: Path, split: str) -> list[Path]:
    """All record files of a split."""
    matches = [_NAME.fullmatch(name) for name in sorted(os.listdir(directory))]
    found = {int(match[2]): int(match[3]) for match in matches if match and match[1] == split}
    if not found:
        raise FileNotFoundError(
            f"The folder must have record files of the split, such as {file_name(split, 0, 1)}. "
            f"Received: none in {directory}"
        )
    count = max(found.values())
    missing = [file_name(split, i, count) for i in range(count) if found.get(i) != count]
    if missing:
        raise ValueError(f"All record files of a split must be there. Received: {directory} without {missing}")
    return [directory / file_name(split, i, count) for i in range(count)]
