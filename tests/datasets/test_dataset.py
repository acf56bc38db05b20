"""`sonikeras.dataset`: what it yields, and that `model.fit` takes it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import sonikeras
from sonikeras.datasets import Rendering, batches, load
from sonikeras.sources import Selection
from sonikeras.sources.images import to_gray

SMALL = {"images_per_class": 5}


def test_model_fit_takes_it():
    train, test = sonikeras.dataset("c2", split="both", **SMALL)
    model = keras.Sequential(
        [keras.layers.Rescaling(1 / 255), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    history = model.fit(train, validation_data=test, epochs=2, verbose=0, shuffle=False)
    assert len(history.history["val_loss"]) == 2 and np.isfinite(history.history["loss"]).all()


@pytest.mark.parametrize(
    ("output", "shape"),
    [
        ("picture", (224, 224, 3)),
        ("spectrogram", (128, 1025)),
        ("audio", (65024,)),
        ("image", (224, 224, 3)),
    ],
)
def test_shapes_are_static_and_cardinality_known(output, shape):
    train = sonikeras.dataset("c2", output=output, batch_size=3, **SMALL)
    x, y = train.element_spec
    assert x.shape == (None, *shape) and x.dtype == tf.float32 and y.shape == (None,) and y.dtype == tf.int32
    assert train.cardinality() == 3
    batches = list(train)
    assert [len(labels) for _, labels in batches] == [3, 3, 2]
    assert all(batch.shape[1:] == shape for batch, _ in batches)


def test_unbatched():
    data = sonikeras.dataset("c2", batch_size=None, image_size=(50, 70), **SMALL)
    x, y = next(iter(data))
    assert x.shape == (50, 70, 3) and y.shape == () and data.cardinality() == 8


def test_classes_and_names():
    train, test = sonikeras.dataset("c4", split="both", output="image", **SMALL)
    assert train.class_names == test.class_names == sonikeras.class_names("c4") == ["cat", "dog", "elephant", "zebra"]
    assert train.file_paths is None and train.skipped == []
    labels = np.concatenate([y for _, y in train])
    assert np.bincount(labels).tolist() == [4, 4, 4, 4]
    chosen = sonikeras.dataset("c2", classes=["zebra", "digit-3"], output="image", **SMALL)
    assert chosen.class_names == ["digit-3", "zebra"]
    digits = np.concatenate([x for x, y in chosen])[np.concatenate([y for _, y in chosen]) == 0]
    assert len(digits) == 4


def test_classes_are_any_and_sizes_may_be_lists():
    chosen = sonikeras.dataset(classes=["cow", "bear", "dog"], output="image", image_size=[20, 30], **SMALL)
    assert chosen.class_names == ["bear", "cow", "dog"] and chosen.element_spec[0].shape == (None, 20, 30, 3)
    data = sonikeras.dataset("c2", image_size=np.int64(40), **SMALL)
    assert data.element_spec[0].shape == (None, 40, 40, 3)


def test_odd_files_through_the_pipeline(tmp_path, photo):
    import cv2

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "long.png"), np.full((20000, 10), 7, np.uint8))
        cv2.imwrite(str(tmp_path / name / "dot.png"), np.full((1, 1, 3), 255, np.uint8))
        cv2.imwrite(str(tmp_path / name / "deep.png"), np.full((30, 30), 40000, np.uint16))
        cv2.imwrite(str(tmp_path / name / "black.png"), np.zeros((30, 30), np.uint8))
    for output in ("picture", "image"):
        data = sonikeras.dataset(data_dir=tmp_path, split="train", output=output, shuffle=False)
        assert all(np.isfinite(x).all() for x, _ in data)


def test_default_size_is_that_of_the_study():
    train, test = sonikeras.dataset("c10", split="both", batch_size=None)
    assert (train.cardinality(), test.cardinality()) == (2240, 560)


def test_pictures_are_those_of_the_functions():
    data = sonikeras.dataset("c2", split="test", image_size=None, batch_size=None, seed=7, **SMALL)
    clips = sonikeras.dataset("c2", split="test", output="audio", batch_size=None, seed=7, **SMALL)
    from sonikeras.sources import _builtin as builtin
    from sonikeras.sources.audio import from_pcm16, to_pcm16

    images, labels, _ = builtin.load(["cat", "dog"], "test", 5)
    for (picture, label), (audio, _), image, expected in zip(data, clips, images, labels, strict=True):
        expected_audio = from_pcm16(to_pcm16(sonikeras.sonify(image, seed=7)))
        np.testing.assert_array_equal(audio, expected_audio)
        np.testing.assert_allclose(picture, sonikeras.picture(expected_audio), atol=2)  # one color of magma
        assert label == expected


def test_image_is_the_unsonified_baseline_in_color(image_folder):
    import cv2

    root = image_folder(count=6)
    data = sonikeras.dataset(data_dir=root, output="image", image_size=(60, 80), shuffle=False, batch_size=None)
    for path, (x, _) in zip(data.file_paths, data, strict=True):
        np.testing.assert_array_equal(x, cv2.imread(path)[..., ::-1])


def test_crop_keeps_the_middle():
    whole, middle = (
        sonikeras.dataset("c2", split="test", shorter_side=side, batch_size=None, interpolation="bicubic", **SMALL)
        for side in (None, 256)
    )
    a, b = next(iter(whole))[0], next(iter(middle))[0]
    assert a.shape == b.shape == (224, 224, 3) and np.abs(a - b).max() > 10


def test_stages_of_prepared_files(tmp_path):
    """Prepared audio and pictures equal those that `dataset` computes."""
    sonikeras.prepare("c2", tmp_path / "out", images_per_class=5, seed=3)
    for resizing in ({}, {"shorter_side": 256, "interpolation": "bicubic"}):
        arguments = {"split": "test", "batch_size": None, **resizing}
        direct = sonikeras.dataset("c2", images_per_class=5, seed=3, **arguments)
        recorded = sonikeras.dataset("c2", data_dir=tmp_path / "out", stage="audio", **arguments)
        drawn = sonikeras.dataset("c2", data_dir=tmp_path / "out", stage="spectrogram", **arguments)
        assert recorded.class_names == direct.class_names and drawn.cardinality() == direct.cardinality() == 2
        for (a, label), (b, label_b), (c, label_c) in zip(direct, recorded, drawn, strict=True):
            assert label == label_b == label_c
            np.testing.assert_array_equal(a, b)
            assert np.abs(a - c).max() <= 1  # without files, pictures are not rounded


def test_recordings_are_cut_and_padded(tmp_path):
    for name in ("a", "b"):
        for length in (1000, 65024, 90000):
            path = tmp_path / name / f"{length}.wav"
            path.parent.mkdir(exist_ok=True)
            sonikeras.write_audio(path, np.full(length, 0.25, np.float32))
    data = sonikeras.dataset(data_dir=tmp_path, stage="audio", output="audio", batch_size=None, shuffle=False)
    for path, (x, _) in zip(data.file_paths, data, strict=True):
        assert x.shape == (65024,)
        assert (x.numpy() != 0).sum() == min(int(path.split("/")[-1].removesuffix(".wav")), 65024)


# A `tf.data.Dataset` as source ---------------------------------------------------------------------------------------


def stream(count=12, channels=(), size=(30, 40)):
    images = np.random.default_rng(0).integers(0, 256, (count, *size, *channels), dtype=np.uint8)
    labels = np.arange(count) % 3
    return images, labels, tf.data.Dataset.from_tensor_slices((images, labels))


def test_the_baseline_in_gray_has_three_equal_channels():
    _, _, source = stream(3, (3,))
    arguments = {"source": source, "classes": ["a", "b", "c"], "split": "test", "batch_size": None}
    gray = sonikeras.dataset(**arguments, output="image_gray", image_size=(30, 40))
    color = sonikeras.dataset(**arguments, output="image", image_size=(30, 40))
    for (x, _), (y, _) in zip(gray, color, strict=True):
        expected = to_gray(np.asarray(y).astype("uint8"))
        np.testing.assert_array_equal(x, np.repeat(expected[..., None], 3, axis=-1))
        assert np.ptp(np.asarray(y), axis=-1).any()
    with pytest.raises(ValueError, match="`channel` needs audio.*output='image_gray'"):
        sonikeras.dataset("c2", output="image_gray", channel="telephone")


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_stream_equals_the_functions(channels):
    images, labels, source = stream(3, channels)
    arguments = {"source": source, "classes": ["b", "a", "c"], "split": "test", "batch_size": None}
    data = sonikeras.dataset(**arguments, output="audio", seed=7)
    assert data.cardinality() == 3 and data.class_names == ["b", "a", "c"]
    assert data.file_paths is None and data.examples is None and data.skipped == []
    for (audio, label), image, expected in zip(data, images, labels, strict=True):
        image = image[..., 0] if channels == (1,) else image
        np.testing.assert_allclose(audio, sonikeras.sonify(image, seed=7), atol=2 / 32768)
        assert label == expected and label.dtype == tf.int32
    baseline = sonikeras.dataset(**arguments, output="image", image_size=(30, 40))
    for (x, _), image in zip(baseline, images, strict=True):
        np.testing.assert_array_equal(x, np.broadcast_to(image.reshape(30, 40, -1), (30, 40, 3)))


def test_stream_is_cached_by_content(tmp_path):
    _, _, source = stream(4)
    arguments = {"classes": ["a", "b", "c"], "split": "test", "output": "audio", "cache": tmp_path / "audio"}
    first = list(sonikeras.dataset(source=source, **arguments))
    assert len(list((tmp_path / "audio").rglob("*/*"))) == 4
    again = list(sonikeras.dataset(source=source.repeat(2), **arguments))
    assert len(list((tmp_path / "audio").rglob("*/*"))) == 4
    np.testing.assert_array_equal(first[0][0], again[0][0][:4])


def test_training_stream_is_shuffled_in_each_epoch():
    _, _, source = stream(40)
    arguments = {"source": source, "classes": ["a", "b", "c"], "output": "image", "batch_size": None}
    data = sonikeras.dataset(**arguments)
    first, second = ([x.numpy().tobytes() for x, _ in data] for _ in range(2))
    assert first != second and sorted(first) == sorted(second)
    assert first == [x.numpy().tobytes() for x, _ in sonikeras.dataset(**arguments)]
    unknown = source.filter(lambda image, label: label > 0)
    assert len(list(sonikeras.dataset(**arguments | {"source": unknown}))) == 26


def test_labels_of_a_stream_are_checked():
    _, _, source = stream()
    data = sonikeras.dataset(source=source, classes=["a", "b"], output="image")
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"index into the 2 `classes`.*Received: label = *.*2"):
        list(data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": None}, "`classes` must be the names of all labels.*Received: classes=None"),
        ({"classes": ["a", "a"]}, "`classes` must be the names of all labels"),
        ({"classes": "ab"}, "`classes` must be the names of all labels"),
        ({"split": "both"}, "`split` must be 'train' or 'test'. Received: split='both'"),
        ({"name": "c2"}, "`name` must be None. Received: name='c2'"),
        ({"fold": (0, 5)}, "`fold` must be None"),
        ({"validation_split": 0.1}, "`validation_split` must be 0.0"),
        ({"images_per_class": 10}, "`images_per_class` must be None"),
        ({"on_error": "skip"}, "`on_error` must be 'raise'"),
        ({"shard": (0, 2)}, "`shard` must be None"),
        ({"service": "grpc://localhost:1"}, "`service` must be None"),
        ({"source": stream()[2].batch(2)}, r"must yield single examples.*not batched.*Received: element_spec=.*None"),
        ({"source": stream(channels=(4,))[2]}, "must yield single examples"),
        ({"source": stream()[2].map(lambda x, y: x)}, "must yield single examples"),
        ({"source": stream()[2].map(lambda x, y: (tf.cast(x, tf.float32), y))}, "must yield single examples"),
        ({"source": stream()[2].map(lambda x, y: (x, tf.one_hot(y, 3)))}, "must yield single examples"),
        ({"source": stream()[2].map(lambda x, y: {"image": x, "label": y})}, "must yield single examples"),
    ],
)
def test_streams_that_are_not_allowed(arguments, message):
    with pytest.raises(ValueError, match=message):
        sonikeras.dataset(**{"source": stream()[2], "classes": ["a", "b", "c"], "split": "train"} | arguments)


# Shards ---------------------------------------------------------------------------------------------------------------


def test_shards_contain_each_example_once():
    def rows(**changes):
        data = sonikeras.dataset("c2", output="image", batch_size=None, shuffle=False, images_per_class=10, **changes)
        return [x.numpy().tobytes() for x, _ in data]

    shards = [rows(shard=(i, 3)) for i in range(3)]
    assert [len(shard) for shard in shards] == [6, 5, 5]
    assert sorted(sum(shards, [])) == sorted(rows())


@pytest.mark.parametrize("shard", [(3, 3), (-1, 2), (0, 0), 1, (0, 1, 2), ("0", 2)])
def test_shard_must_be_index_and_count(shard):
    with pytest.raises(ValueError, match="`shard` must be .*index, count.*Received: shard="):
        sonikeras.dataset("c2", shard=shard, **SMALL)


def test_shard_must_not_be_empty():
    with pytest.raises(ValueError, match="`shard` must leave at least one example: there are 8. Received: shard="):
        sonikeras.dataset("c2", shard=(10, 20), **SMALL)


# The three steps ------------------------------------------------------------------------------------------------------


def test_the_steps_one_by_one_equal_the_data_set():
    examples = Selection("c2", **SMALL).examples("test")
    rendering = Rendering(config="matched", image_size=40, seed=7)
    loader = rendering.loader(examples)
    one_by_one = [np.asarray(rendering.draw(loader(index))) for index in range(len(examples))]
    batched = batches(load(examples, rendering, shuffle=False), rendering, batch_size=2)
    whole = sonikeras.dataset("c2", split="test", config="matched", image_size=40, seed=7, batch_size=2, **SMALL)
    for (x, labels), (y, expected) in zip(batched, whole, strict=True):
        np.testing.assert_array_equal(x, y)
        np.testing.assert_array_equal(labels, expected)
        np.testing.assert_allclose(np.stack(one_by_one), y, atol=2)
