"""Image classification data sets of TensorFlow Datasets, read from their TFRecord files image by image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sonikeras.sources._catalog import Catalog, by_class
from sonikeras.sources._tfrecords import Part, scan


def prepared(name: str) -> Any:
    """The builder of a data set. Downloads and prepares the data set, after a message, if it is missing.

    Args:
        name: Name in TFDS: `name`, `name/config`, `name:version` or `name/config:version`.

    Returns:
        A `tfds.core.DatasetBuilder` with TFRecord files of uint8 images and class labels.

    Raises:
        ImportError: TensorFlow Datasets is not installed.
        ValueError: The data set is unknown or not for image classification, or its files are not TFRecord files.
        OSError: The data set is missing and cannot be downloaded. The message names its folder.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            "A `source` of TensorFlow Datasets needs the package tensorflow-datasets: pip install 'sonikeras[tfds]'. "
            f"Received: source='tfds:{name}' ({error})"
        ) from error

    try:
        builder = tfds.builder(name, data_dir=os.environ.get("TFDS_DATA_DIR"))
    except Exception as error:  # of many classes
        reason = str(error).partition("\n")[0]
        raise ValueError(
            "A `source` of TensorFlow Datasets must be 'tfds:NAME', with a NAME of "
            f"https://www.tensorflow.org/datasets/catalog. Received: source='tfds:{name}' ({reason})"
        ) from error
    _keys(builder)
    if not builder.is_prepared():
        _prepare(builder)
    file_format = builder.info.file_format.value
    if file_format != "tfrecord":
        raise ValueError(
            "The files of a data set of TensorFlow Datasets must be of the format 'tfrecord': prepare it again with "
            "`builder.download_and_prepare(file_format='tfrecord')`, in another data_dir. "
            f"Received: file_format={file_format!r} in {builder.data_dir}"
        )
    return builder


def _prepare(builder: Any) -> None:
    size = builder.info.download_size
    size = size if size else "of unknown size"  # TFDS does not know the size of all data sets
    print(f"Downloading {builder.info.full_name} (TensorFlow Datasets), {size}, to {builder.data_dir}", flush=True)
    try:
        builder.download_and_prepare()
    except Exception as error:  # of many classes
        raise OSError(
            f"{builder.info.full_name} cannot be downloaded and prepared. Without a network, prepare it on "
            f"another machine and copy it to {builder.data_dir} ($TFDS_DATA_DIR names the folder of all data sets). "
            f"Received: {type(error).__name__}: {error}"
        ) from error


def _keys(builder: Any) -> tuple[str, str]:
    """Names of the features of the image and the label."""
    import tensorflow_datasets as tfds

    keys, features = builder.info.supervised_keys, builder.info.features
    fits = keys is not None and len(keys) == 2 and all(isinstance(key, str) and key in features for key in keys)
    if fits:
        image, label = (features[key] for key in keys)
        fits = isinstance(image, tfds.features.Image) and isinstance(label, tfds.features.ClassLabel)
        fits = fits and image.dtype == np.uint8
    if not fits:
        raise ValueError(
            "A data set of TensorFlow Datasets must have a uint8 image and a class label as its `supervised_keys`. "
            f"Received: {builder.info.full_name} with supervised_keys={keys}"
        )
    return keys


def class_names(builder: Any) -> list[str]:
    """Names of the classes of a prepared data set, sorted."""
    return sorted(builder.info.features[_keys(builder)[1]].names)


def catalog(builder: Any, class_names: Sequence[str], split: str) -> Catalog:
    """The catalog of some classes of a prepared data set.

    Args:
        builder: The result of `prepared`.
        class_names: Names of its classes.
        split: `"train"`, or `"test"`: its `test` split, or `validation` if it has no `test`. A data set with `train`
            only is not pre-split.

    Returns:
        Records, named by their `tfds_id`: file and number. Reading one checks its label and image.

    Raises:
        ValueError: The split `train` is missing, a file is damaged, or a label is out of range.
    """
    keys = _keys(builder)
    numbers = {builder.info.features[keys[1]].str2int(name): label for label, name in enumerate(class_names)}
    splits, classes = builder.info.splits, builder.info.features[keys[1]].num_classes
    if "train" not in splits:
        raise ValueError(
            "A data set of TensorFlow Datasets must have the split 'train'. "
            f"Received: {builder.info.full_name} with the splits {list(splits)}"
        )
    test = next((name for name in ("test", "validation") if name in splits), None)
    labels: list[int] = []
    names: list[str] = []
    items: list[Part] = []
    for path in splits[test if test and split == "test" else "train"].filepaths:
        file = Path(path)
        for number, (record, (image, label)) in enumerate(scan(file, keys)):
            if not -1 <= label.integer < classes:  # -1 is the label of an image without a class
                raise ValueError(
                    f"A label must be in -1 <= label < {classes}, the number of classes: the file is damaged. Prepare "
                    f"the data set again. Received: label={label.integer} in record {number} of {file}"
                )
            if label.integer in numbers:
                labels.append(numbers[label.integer])
                names.append(f"{file.name}__{number}")
                items.append(Part(file, image.offset, image.length, record))
    return Catalog(labels, names, names, items, pre_split=test is not None).take(by_class(labels))
