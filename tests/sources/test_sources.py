"""Sources: arrays, Keras and TensorFlow Datasets, all without a network."""

import io
import os
import pickle
import struct
import sys
import time

import numpy as np
import pytest

import sonikeras
from sonikeras.sources import Record, _tfrecords as tfrecords, load_examples, near_duplicates
from sonikeras.sources._catalog import unique
from sonikeras.sources._classes import CHOICES, CIFAR10, CIFAR100, SIZES
from sonikeras.sources._duplicates import duplicates_between, groups_of_duplicates

RNG = np.random.default_rng(0)
SPLITS = ("train", "test")
SAMPLES = sonikeras.SonificationConfig.preset("lossless").samples


def picture(height=8, width=8, *channels):
    return RNG.integers(0, 256, (height, width, *channels), np.uint8)


def parts(name=None, **arguments):
    return [load_examples(name, split, **arguments) for split in SPLITS]


def full_names(examples):
    return [
        f"{examples.class_names[label]}/{name}" for label, name in zip(examples.labels, examples.names, strict=True)
    ]


# The table ------------------------------------------------------------------------------------------------------------


def test_every_choice_has_as_many_classes_as_its_name_says():
    for choices in CHOICES.values():
        for name, chosen in choices.items():
            assert len(set(chosen)) == SIZES[name] and list(chosen) == sorted(chosen)
    assert all(set(chosen) <= set(CIFAR10) for chosen in CHOICES["cifar10"].values())
    assert all(set(chosen) <= set(CIFAR100) for chosen in CHOICES["cifar100"].values())


def test_no_name_is_all_classes():
    assert sonikeras.class_names(None) == sonikeras.class_names("c15")
    assert sonikeras.class_names(None, source="keras:cifar100") == list(CIFAR100)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("c3", {}, r"Unknown data set. Allowed values: \['c2', 'c4', 'c10', 'c15'\], or None.*Received: name='c3'"),
        ("c2", {"source": "web"}, r"Unknown `source`. Allowed values: .*'tfds:NAME'.*Received: source='web'"),
        ("c2", {"source": "keras:mnist"}, "Unknown `source`"),
        ("c2", {"source": "tfds:"}, "Unknown `source`"),
        (
            "c15",
            {"source": "keras:cifar10"},
            '"c15" has 15 classes: choose them with `classes`, or pass None.*10 classes',
        ),
        ("c2", {"source": "keras:cifar100", "classes": ["cat", "dog"]}, r"`classes` must be.*\.\.\. \(100 in all\)"),
    ],
)
def test_bad_sources(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        sonikeras.class_names(name, **arguments)


def test_stage_needs_a_folder():
    with pytest.raises(ValueError, match="`stage` must be \"image\" without `data_dir`. Received: stage='audio'"):
        load_examples("c2", "train", stage="audio")


# Arrays ---------------------------------------------------------------------------------------------------------------


def test_arrays_of_all_shapes():
    for shape, channels in [((60, 8, 6), ()), ((60, 8, 6, 1), ()), ((60, 8, 6, 3), (3,))]:
        images = RNG.integers(0, 256, shape, np.uint8)
        labels = np.arange(60).reshape(-1, 1) % 3
        train, test = parts(source=(images, labels))
        assert train.class_names == ["0", "1", "2"] and len(train) + len(test) == 60 and len(test) > 3
        for part in (train, test):
            for i in range(len(part)):
                assert part.items[i].shape == (8, 6, *channels) and part.image(i).shape == (8, 6)
                matches = [np.array_equal(part.items[i], image.squeeze()) for image in images]
                assert labels[matches.index(True), 0] == part.labels[i]


def test_integers_are_ordered_as_numbers_and_strings_as_strings():
    images = [picture(5 + i % 3, 6) for i in range(66)]
    numbers = [(i % 11) - 1 for i in range(66)]
    assert sonikeras.class_names(None, source=(images, numbers)) == [str(i) for i in range(-1, 10)]
    words = [str(number) for number in numbers]
    assert sonikeras.class_names(None, source=(images, words)) == sorted(set(words))
    assert sonikeras.class_names("c2", source=(images, numbers), classes=["9", "-1"]) == ["-1", "9"]
    train = load_examples(None, "train", source=(images, numbers), classes=["9", "-1"])
    assert train.class_names == ["-1", "9"] and set(train.labels) == {0, 1}
    with pytest.raises(ValueError, match='"c2" has 2 classes'):
        sonikeras.class_names("c2", source=(images, numbers))


def test_sides_of_arrays_depend_on_content_alone():
    images = np.stack([picture() for _ in range(80)])
    labels = np.arange(80) % 2
    test = set(full_names(load_examples(None, "test", source=(images, labels))))
    order = RNG.permutation(80)
    assert set(full_names(load_examples(None, "test", source=(images[order], labels[order])))) == test
    fewer = load_examples(None, "test", source=(images[:50], labels[:50]))
    assert set(full_names(fewer)) < test
    limited = [len(part) for part in parts(source=(images, labels), images_per_class=10)]
    assert limited == [16, 4]


def test_equal_images_have_names_of_their_own_and_lie_on_one_side():
    images = np.stack([picture() for _ in range(40)])
    images, labels = np.concatenate([images] * 3), np.concatenate([np.arange(40) % 2] * 2 + [1 - np.arange(40) % 2])
    for fold in (None, (0, 3), (1, 3)):
        train, test = parts(source=(images, labels), fold=fold)
        for part in (train, test):
            assert len(set(full_names(part))) == len(part)
        contents = [{part.data(i) for i in range(len(part))} for part in (train, test)]
        assert contents[0] and contents[1] and not contents[0] & contents[1]


def test_names_that_look_like_the_numbered_ones_stay_unique():
    assert unique([0, 0, 0, 1], ["cat", "cat", "cat-2", "cat-2"]) == ["cat", "cat-3", "cat-2", "cat-2"]
    assert unique([0] * 4, ["cat-2", "cat", "cat", "cat"]) == ["cat-2", "cat", "cat-3", "cat-4"]


def test_a_dataset_of_arrays():
    images, labels = np.stack([picture(20, 20, 3) for _ in range(20)]), ["ant", "bee"] * 10
    train = sonikeras.dataset(source=(images, labels), output="audio", batch_size=None, config="lossless")
    audio, label = next(iter(train))
    assert audio.shape == (SAMPLES,) and train.class_names == ["ant", "bee"] and int(label) in (0, 1)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((3, 4, 4), np.uint8), "must be a pair.*Received: source of type ndarray"),
        ((np.zeros((3, 4, 4)), [0, 1, 0]), "must be uint8 arrays.*image 0 of shape .4, 4. and dtype float64"),
        ((np.zeros((3, 4, 4, 2), np.uint8), [0, 1, 0]), "must be uint8 arrays"),
        (([np.zeros((4, 4), np.uint8), np.zeros((0, 4), np.uint8)], [0, 1]), "at least one pixel. Received: image 1"),
        ((np.zeros((3, 4, 4), np.uint8), [0, 1]), "one for each.*Received: 3 images, labels of shape .2,."),
        ((np.zeros((3, 4, 4), np.uint8), [0.0, 1.0, 0.0]), "must be integers or strings"),
        ((np.zeros((0, 4, 4), np.uint8), []), "must be integers or strings, one for each of at least one image"),
        ((np.zeros((3, 4, 4), np.uint8), [0, 0, 0]), "at least 2 classes"),
    ],
)
def test_bad_arrays(source, message):
    with pytest.raises(ValueError, match=message):
        load_examples(None, "train", source=source)


# Shards ---------------------------------------------------------------------------------------------------------------


def test_shards_hold_each_example_once():
    examples = load_examples("c4", "test")
    shards = [examples.shard(i, 5) for i in range(5)]
    assert sorted(name for shard in shards for name in shard.names) == sorted(examples.names)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize("shard", [(5, 5), (-1, 2), (0, 0), (0.0, 2), (False, True)])
def test_bad_shards(shard):
    with pytest.raises(ValueError, match=r"`shard` must be.*0 <= index < count, or None. Received: shard=\("):
        load_examples("c2", "test").shard(*shard)


# CIFAR ----------------------------------------------------------------------------------------------------------------


class _Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its strings, as the files of CIFAR have them."""

    dispatch = pickle._Pickler.dispatch.copy()

    def _save_bytes(self, data):
        self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        self.memoize(data)

    dispatch[bytes] = _save_bytes


def _write_batch(path, classes, label_key):
    count = 3 * len(classes)
    batch = {
        b"data": RNG.integers(0, 256, (count, 3072), np.uint8),
        label_key: [i % len(classes) for i in range(count)],
        b"filenames": [
            f"{classes[i % len(classes)]}_s_{i // (2 * len(classes)):06d}.png".encode() for i in range(count)
        ],
        b"batch_label": b"a batch",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    file = io.BytesIO()
    _Python2Pickler(file, protocol=2).dump(batch)
    path.write_bytes(file.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    return batch


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras"


@pytest.fixture
def cifar10(keras_home):
    folder = keras_home / "datasets/cifar-10-batches-py-target/cifar-10-batches-py"
    files = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    return folder, {file: _write_batch(folder / file, CIFAR10, b"labels") for file in files}


def test_cifar10_has_the_images_of_its_batches(cifar10):
    train, test = parts("c10", source="keras:cifar10")
    assert train.class_names == list(CIFAR10) and (len(train), len(test)) == (150, 30)
    assert len(set(full_names(train))) == 150 and train.names[0] == "airplane_s_000000"
    batch = cifar10[1]["test_batch"]
    for i in range(30):
        matches = [np.array_equal(test.items[i].transpose(2, 0, 1).ravel(), row) for row in batch[b"data"]]
        assert batch[b"labels"][matches.index(True)] == test.labels[i]


def test_cifar10_subsets(cifar10):
    train, test = parts("c4", source="keras:cifar10", images_per_class=5)
    assert train.class_names == ["airplane", "automobile", "ship", "truck"]
    assert np.bincount(train.labels).tolist() == [4] * 4 and np.bincount(test.labels).tolist() == [1] * 4
    data = sonikeras.dataset("c2", source="keras:cifar10", output="image", batch_size=4)
    assert data.class_names == ["cat", "dog"] and next(iter(data))[0].shape == (4, 224, 224, 3)


def test_cifar100(keras_home):
    for file in SPLITS:
        folder = keras_home / "datasets/cifar-100-python-target/cifar-100-python"
        _write_batch(folder / file, CIFAR100, b"fine_labels")
    train, _ = parts("c15", source="keras:cifar100", images_per_class=5)
    assert {name.rpartition("_s_")[0] for name in train.names} == set(train.class_names) and len(train) == 45


def test_a_batch_that_asks_for_anything_else_is_refused(cifar10, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "made"), "w"))

    (cifar10[0] / "test_batch").write_bytes(pickle.dumps({b"data": Evil()}))
    with pytest.raises(ValueError, match="test_batch, where the name .*open has no place"):
        load_examples("c2", "test", source="keras:cifar10")
    assert not (tmp_path / "made").exists()


class _Reduced:
    """Is written as a call and, where there is one, a state."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize(
    ("kind", "state", "message"),
    [
        ("O", (b"\x01" * 8,), "must be of the type 'u1', not 'O'"),  # would be a pointer
        ("V8", (b"\x01" * 8,), "must be of the type 'u1', not 'V8'"),
        ("u1", ([0] * 8,), "must be uint8, row by row"),
        ("u1", (b"\x01" * 9,), "cannot reshape"),
    ],
)
def test_a_batch_makes_arrays_of_bytes_alone(cifar10, kind, state, message):
    reconstruct = np.empty(0).__reduce__()[0]
    dtype = _Reduced(np.dtype, (kind, False, True), (3, "|", None, None, None, -1, -1, 63))
    pixels = _Reduced(reconstruct, (np.ndarray, (0,), b"b"), (1, (8,), dtype, False, *state))
    (cifar10[0] / "test_batch").write_bytes(pickle.dumps({b"data": pixels, b"labels": [], b"filenames": []}, 3))
    with pytest.raises(ValueError, match=f"test_batch, where .*{message}"):
        load_examples("c2", "test", source="keras:cifar10")


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (b"}r\xff\xff\xff\x0f.", "index is larger than the file"),
        (b"})" + b"\x85" * 200_000 + b"Ns.", "nested more than 32 deep"),
        (b"}N\x85" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(40)) + b"Ns.", "holds more than"),
        (b"cnumpy\ndtype\n(" + b"J\xff\xff\xff\x7f" * 20_000 + b"tR.", "of the type 'u1'"),
        (b"N.", "its content is not a dictionary"),
        (b"}.", "its content is not a dictionary"),
        (b"I" + b"9" * 100_000 + b"\n.", "operation 0x49"),
        (b"\x8f.", "operation 0x8f"),
    ],
)
def test_limits_of_batches(cifar10, pickled, message):
    (cifar10[0] / "test_batch").write_bytes(b"\x80\x02" + pickled)
    with pytest.raises(ValueError, match=f"test_batch, where .*{message}") as caught:
        load_examples("c2", "test", source="keras:cifar10")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({b"labels": [10] * 30}, "labels must be integers from 0 to 9"),
        ({b"labels": [True] * 30}, "labels must be integers"),
        ({b"labels": [0] * 29}, "do not fit together"),
        ({b"filenames": ["a"] * 30}, "names must be strings of bytes"),
        ({b"filenames": [b"\xff"] * 30}, "decode"),
        ({b"data": np.zeros((30, 3071), np.uint8)}, "cannot reshape"),
        ({b"data": b"a"}, "not a dictionary"),
    ],
)
def test_batches_that_do_not_fit_together(cifar10, change, message):
    (cifar10[0] / "test_batch").write_bytes(pickle.dumps(cifar10[1]["test_batch"] | change, 4))
    with pytest.raises(ValueError, match=f"test_batch, where .*{message}"):
        load_examples("c2", "test", source="keras:cifar10")


def test_a_damaged_batch_is_named(cifar10):
    path = cifar10[0] / "data_batch_2"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match="delete .*cifar-10-batches-py, and.*Received: .*data_batch_2, where"):
        load_examples("c2", "train", source="keras:cifar10")


def test_offline_the_file_and_its_place_are_named(keras_home, capsys, monkeypatch):
    monkeypatch.setattr("sonikeras.sources._cifar._ORIGIN", "http://127.0.0.1:9/")  # where nothing answers
    message = "copy cifar-10-python.tar.gz from http.* to .*keras/datasets/cifar-10-batches-py-target_archive"
    with pytest.raises(OSError, match=message):
        load_examples("c2", "train", source="keras:cifar10")
    assert capsys.readouterr().out.startswith("Downloading CIFAR-10, 170 MB, from http://127.0.0.1:9/cifar-10-python")


# TFRecord and TensorFlow Datasets -------------------------------------------------------------------------------------


def _example(**values):
    import tensorflow as tf

    def feature(value):
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        if isinstance(value, float):
            return tf.train.Feature(float_list=tf.train.FloatList(value=[value, value]))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value, 300]))

    features = tf.train.Features(feature={key: feature(value) for key, value in values.items()})
    return tf.train.Example(features=features).SerializeToString()


def test_features_are_found_in_tfrecords(tmp_path):
    import tensorflow as tf

    path = tmp_path / "a.tfrecord"
    rows = [
        (bytes(RNG.bytes(length)), label) for length, label in [(1, 0), (127, -1), (128, 2**40), (70_000, -(2**63))]
    ]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for data, label in rows:
            writer.write(_example(image=data, label=label, weight=0.5, other=b"x" * 200))
    found = list(tfrecords.scan(path, ["image", "label"]))
    assert [label.integer for _, (_, label) in found] == [label for _, label in rows]
    parts = [tfrecords.Part(path, image.offset, image.length, record) for record, (image, _) in found]
    assert [part.read() for part in parts] == [data for data, _ in rows]


def test_damaged_tfrecords(tmp_path):
    import tensorflow as tf

    path = tmp_path / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(_example(image=b"one"))
        writer.write(_example(image=b"two"))
    with pytest.raises(ValueError, match=r"with the features \['label'\]. Received: record 0 of .*a.tfrecord"):
        list(tfrecords.scan(path, ["label"]))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="must be whole. Received: .*a.tfrecord"):
        list(tfrecords.scan(path, ["image"]))
    path.write_bytes(b"")
    assert not list(tfrecords.scan(path, ["image"]))


def _message(field: int, data: bytes) -> bytes:
    """A field of a protocol buffer that has a length."""
    length, digits = len(data), []
    while length > 127:
        digits.append(length & 127 | 128)
        length >>= 7
    return bytes([field << 3 | 2, *digits, length]) + data


def _int64(*numbers: bytes) -> bytes:
    """An example with the feature `label`, whose packed integers are given as they are encoded."""
    feature = _message(3, _message(1, b"".join(numbers)))
    return _message(1, _message(1, _message(1, b"label") + _message(2, feature)))


def _hostile():
    most = 2**20
    yield from (
        b"\xff" * most,
        b"\x80" * most,
        b"\0" * most,
        b"\x0a\x00" * (most // 2),
        b"\x0a" + b"\xff" * 9 + b"\x01",
    )
    yield _message(1, b"\x0a\x00" * (most // 2))  # half a million features without name
    yield _message(1, _message(1, b"\x0a\x00" * (most // 2)))
    yield _message(1, _message(1, _message(1, b"label") + _message(2, b"\x1a\x00" * (most // 4))))  # empty lists
    yield _message(1, _message(1, _message(1, b"x" * most) + _message(2, _message(3, _message(1, b"\x01")))))
    yield _int64(b"\xff" * 10)  # an integer of more than 64 bits
    yield _int64(b"\xff" * (most // 2))
    nested = b""
    for _ in range(2000):
        nested = _message(1, nested)
    yield nested


def _record(data: bytes) -> bytes:
    header = len(data).to_bytes(8, "little")
    checksums = [tfrecords.masked_crc(part).to_bytes(4, "little") for part in (header, data)]
    return header + checksums[0] + data + checksums[1]


@pytest.mark.parametrize("data", list(_hostile()), ids=lambda data: data[:4].hex())
def test_hostile_records_are_refused_in_no_time(tmp_path, data):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(_record(_int64(b"\x07")) + _record(data))
    started, found = time.process_time(), []
    with pytest.raises(ValueError, match=r"whole `tf.train.Example`.*Received: record 1 of .*a\.tfrecord"):
        for _, (label,) in tfrecords.scan(path, ["label"]):
            found.append(label.integer)
    assert found == [7] and time.process_time() - started < 5


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 2**32, 17])
def test_lengths_beyond_the_file_are_refused(tmp_path, length):
    path, header = tmp_path / "a.tfrecord", length.to_bytes(8, "little")
    path.write_bytes(header + tfrecords.masked_crc(header).to_bytes(4, "little") + bytes(20))
    with pytest.raises(ValueError, match="must be whole. Received: .*a.tfrecord"):
        list(tfrecords.scan(path, ["label"]))


def test_checksums_are_those_of_tensorflow(tmp_path):
    import tensorflow as tf

    path, data = tmp_path / "a.tfrecord", [RNG.bytes(length) for length in (0, 1, 7, 8, 70_001)]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for each in data:
            writer.write(each)
    assert path.read_bytes() == b"".join(map(_record, data))
    assert tfrecords.damaged(path) == []
    places = [(start, length) for _, start, length in tfrecords.records(path)]
    assert [tfrecords.read_record(path, *place) for place in places] == data
    damaged = bytearray(path.read_bytes())
    damaged[places[1][0]] ^= 16  # the data of one
    damaged[places[3][0] + 8] ^= 1  # the checksum of another
    path.write_bytes(damaged)
    assert tfrecords.damaged(path) == [places[1][0], places[3][0]]
    for place in (places[1], places[3]):
        with pytest.raises(ValueError, match=rf"must fit their checksum.*a\.tfrecord, record at byte {place[0] - 12}$"):
            tfrecords.read_record(path, *place)


@pytest.fixture
def tfds(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    return pytest.importorskip("tensorflow_datasets")


def _builder(tfds, class_name, splits, *, encoding="png", keys=("image", "label"), names=("bee", "ant", "cow")):
    """A data set of TFDS with three images of each class in each split."""

    def images(split):
        for number in range(3 * len(names)):
            yield f"{split}{number}", {"image": picture(9, 7, 3), "label": number % len(names), "note": "a note"}

    def info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format=encoding),
            "label": tfds.features.ClassLabel(names=names),
            "note": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features), supervised_keys=keys)

    members = {
        "VERSION": tfds.core.Version("1.0.0"),
        "__module__": __name__,
        "_info": info,
        "_split_generators": lambda self, manager: {split: images(split) for split in splits},
        "_generate_examples": lambda self: None,
    }
    return type(class_name, (tfds.core.GeneratorBasedBuilder,), members)


def test_tfds_is_prepared_and_read_in_place(tfds, capsys):
    _builder(tfds, "SonikerasBoth", ("train", "test", "validation"))
    train, test = parts(source="tfds:sonikeras_both")
    assert "Downloading sonikeras_both/1.0.0 (TensorFlow Datasets), of unknown size, to" in capsys.readouterr().out
    assert train.class_names == ["ant", "bee", "cow"] and np.bincount(train.labels).tolist() == [3, 3, 3]
    for split, part in (("train", train), ("test", test)):
        config = tfds.ReadConfig(add_tfds_id=True)
        rows = tfds.load("sonikeras_both", split=split, read_config=config, data_dir=os.environ["TFDS_DATA_DIR"])
        expected = {row["tfds_id"].decode(): row for row in tfds.as_numpy(rows)}
        assert set(part.names) == set(expected)
        for i, name in enumerate(part.names):
            assert isinstance(part.items[i], Record)
            assert np.array_equal(part.image(i, color=True), expected[name]["image"])
            assert ["bee", "ant", "cow"][expected[name]["label"]] == part.class_names[part.labels[i]]
    parts(source="tfds:sonikeras_both:1.0.0", classes=["ant", "cow"])
    assert not capsys.readouterr().out


def test_tfds_without_a_test_split(tfds):
    _builder(tfds, "SonikerasValidation", ("train", "validation"))
    train, test = parts(source="tfds:sonikeras_validation")
    assert "validation" in test.names[0] and "train" in train.names[0]
    _builder(tfds, "SonikerasTrain", ("train",), names=tuple("abcdefghij"))
    train, test = parts(source="tfds:sonikeras_train", classes=["a", "b"])
    assert not set(train.names) & set(test.names) and len(train) + len(test) == 6
    _builder(tfds, "SonikerasNone", ("test",))
    with pytest.raises(ValueError, match=r"must have the split 'train'. Received: .*\['test'\]"):
        parts(source="tfds:sonikeras_none")


def test_a_dataset_of_tfds(tfds):
    _builder(tfds, "SonikerasData", ("train", "test"), encoding="jpeg", names=("cat", "dog"))
    data = sonikeras.dataset("c2", source="tfds:sonikeras_data", config="lossless", output="audio", batch_size=6)
    assert data.class_names == ["cat", "dog"] and next(iter(data))[0].shape == (6, SAMPLES)
    assert data.examples.fingerprint() != data.examples.select(range(5)).fingerprint()


def test_a_flipped_label_of_tfds_is_no_label(tfds):
    _builder(tfds, "SonikerasFlipped", ("train", "test"), names=("cat", "dog"))
    source = {"source": "tfds:sonikeras_flipped"}
    train, _ = parts(**source)
    path = train.items[0].path
    whole = path.read_bytes()
    start, length = train.items[0].record
    place = whole.index(b"label", start) + 11
    assert start < place < start + length and whole[place] in (0, 1)
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    changed, _ = parts(**source)
    assert sorted(changed.labels) != sorted(train.labels)  # the label is found without reading all of the record
    index = changed.names.index(train.names[0])
    with pytest.raises(ValueError, match=f"must fit their checksum.*{path}"):  # and is checked with the image
        changed.image(index)
    assert len(changed) == len(train)
    for other in set(range(len(changed))) - {index}:
        changed.image(other)
    path.write_bytes(whole[:place] + bytes([whole[place] | 64]) + whole[place + 1 :])
    with pytest.raises(ValueError, match=rf"A label must be in -1 <= label < 2.*label=6[45] in record \d+ of {path}"):
        parts(**source)


def test_tfds_that_does_not_fit(tfds):
    with pytest.raises(ValueError, match="must be 'tfds:NAME'.*Received: source='tfds:no_such_data_set' .*not found"):
        sonikeras.class_names(None, source="tfds:no_such_data_set")
    _builder(tfds, "SonikerasText", ("train",), keys=("note", "label"))
    with pytest.raises(ValueError, match="must have a uint8 image and a class label as its `supervised_keys`"):
        sonikeras.class_names(None, source="tfds:sonikeras_text")


def test_tfds_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match=r"pip install 'sonikeras\[tfds\]'. Received: source='tfds:beans'"):
        sonikeras.class_names(None, source="tfds:beans")


def test_tfds_in_another_format(tfds, tmp_path):
    pytest.importorskip("array_record")
    arrays = _builder(tfds, "SonikerasArrays", ("train",))
    arrays(data_dir=tmp_path / "tfds", file_format="array_record").download_and_prepare()
    with pytest.raises(ValueError, match="must be of the format 'tfrecord'.*Received: file_format='array_record'"):
        sonikeras.class_names(None, source="tfds:sonikeras_arrays")


def test_tfds_that_cannot_be_fetched(tfds):
    def fail(self, manager):
        raise ConnectionError("no network")

    _builder(tfds, "SonikerasOffline", ("train",))._split_generators = fail
    message = "sonikeras_offline/1.0.0 cannot be downloaded and prepared.*copy it to .*tfds/sonikeras_offline/1.0.0"
    with pytest.raises(OSError, match=message):
        sonikeras.class_names(None, source="tfds:sonikeras_offline")


# Near-duplicates between the parts ------------------------------------------------------------------------------------


def test_near_duplicates_between_the_parts_are_found(tmp_path):
    import cv2

    root = tmp_path / "parts"
    for split in SPLITS:
        for name in ("ant", "bee"):
            for i in range(4):
                path = root / split / name / f"picture{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), cv2.resize(picture(12, 12), (80, 60)))
    original = cv2.imread(str(root / "train/bee/picture3.png"))
    twin = root / "test/ant/twin.jpg"  # mirrored, darker, smaller, and under another class
    cv2.imwrite(str(twin), cv2.resize((original[:, ::-1] * 0.8).astype(np.uint8), (60, 45)))
    found = near_duplicates(data_dir=root)
    assert [pair[:2] for pair in found] == [(str(root / "train/bee/picture3.png"), str(twin))]
    assert 0.98 < found[0][2] <= 1
    twin.write_text("no image")
    with pytest.raises(ValueError, match="Received: .*twin.jpg"):
        near_duplicates(data_dir=root)
    with pytest.raises(ValueError, match="Unknown `stage`.*Received: stage='audio'"):
        near_duplicates(data_dir=root, stage="audio")


def test_a_file_that_cannot_be_read_resembles_nothing(image_folder):
    examples = load_examples(None, "train", data_dir=image_folder(count=5))
    examples.items[0].unlink()
    assert groups_of_duplicates(examples)[0] == 0


def test_the_built_in_fractions_share_no_near_duplicates():
    train, test = parts("c2", images_per_class=100)
    assert not duplicates_between(train, test)


@pytest.mark.parametrize("stage", ["audio", "spectrogram"])
def test_prepared_records_are_a_source(tmp_path, stage):
    """What is read back from records is what is read from the files that hold the same; classes can be chosen."""
    arguments = {"images_per_class": 10, "config": "lossless", "cache": False}
    sonikeras.prepare("c4", tmp_path / "files", **arguments)
    sonikeras.prepare("c4", tmp_path / "records", format="tfrecord", shard_size=7, **arguments)
    options = {"stage": stage, "config": "lossless", "shuffle": False, "batch_size": None, "image_size": 32}
    options["classes"] = ["dog", "zebra"]
    both = [sonikeras.dataset(data_dir=tmp_path / kind, **options) for kind in ("files", "records")]
    assert both[0].class_names == both[1].class_names == ["dog", "zebra"] and both[1].file_paths is None
    assert sonikeras.class_names("c4", data_dir=tmp_path / "records") == ["cat", "dog", "elephant", "zebra"]
    found = [
        {(int(label), name): x for name, (x, label) in zip(data.examples.names, data, strict=True)} for data in both
    ]
    assert found[0].keys() == found[1].keys() and len(found[0]) == 16
    for key, x in found[0].items():
        np.testing.assert_array_equal(found[1][key], x)
    with pytest.raises(ValueError, match="`stage` must be 'audio' or 'spectrogram'. Received: stage='image'"):
        sonikeras.dataset(data_dir=tmp_path / "records")
    assert len(sonikeras.dataset(data_dir=tmp_path / "records", split="test", **options)) == 4
