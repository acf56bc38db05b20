"""Properties of the built-in images: their classes, their fixed split, and what their reading refuses."""

import hashlib
import io
import os
import pickle
import runpy
import types
import zipfile
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from sonikeras.sources import _builtin as builtin
from sonikeras.sources._splits import near_duplicate_groups

ANIMALS = builtin.CLASSES["c10"]
DIGITS = tuple(name for name in builtin.CLASSES["c15"] if name.startswith("digit-"))
NPZ = resources.files("sonikeras.sources") / "builtin_data" / "animals.npz"

# Of all names of "c15" on each side. Whoever has to change these makes every earlier result incomparable.
GOLDEN = {
    "train": "c7050e9a92f3bfd7886a84f50c664ac1320a9efe96ce9dffcc420219e0c80042",
    "test": "44bf7c7dd7093fdcdc89e2989c26d54c0fa5403d6421e3c7c55f5b362a624e07",
}


@pytest.fixture(scope="module")
def convert():
    return types.SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("convert_animal_mnist.py"))))


@pytest.fixture
def replaced_npz(tmp_path, monkeypatch):
    """The path of a file that is read in place of the installed one."""
    (tmp_path / "builtin_data").mkdir()
    monkeypatch.setattr(builtin.resources, "files", lambda package: tmp_path)
    builtin._animals.cache_clear()
    yield tmp_path / "builtin_data" / "animals.npz"
    builtin._animals.cache_clear()


def class_of(names):
    return [name.rpartition("-")[0] for name in names]


def largest_correlation(images, others):
    """Largest correlation of any image with any other one, or with its mirror image, by NumPy's own definition."""
    rows = np.stack(images).reshape(len(images), -1).astype("float32")
    columns = np.concatenate([np.stack(others), np.stack(others)[:, :, ::-1]]).reshape(2 * len(others), -1)
    rows, columns = (a - a.mean(axis=1, keepdims=True) for a in (rows, columns.astype("float32")))
    norms = np.outer(np.linalg.norm(rows, axis=1), np.linalg.norm(columns, axis=1))
    return float(np.max(rows @ columns.T / norms))


def test_each_subset_holds_the_one_before_and_is_sorted():
    assert {name: len(classes) for name, classes in builtin.CLASSES.items()} == {"c2": 2, "c4": 4, "c10": 10, "c15": 15}
    subsets = list(builtin.CLASSES.values())
    for smaller, larger in zip(subsets, subsets[1:], strict=False):
        assert set(smaller) < set(larger)
    for classes in subsets:
        assert list(classes) == sorted(classes)


@pytest.mark.parametrize(("split", "count"), [("train", 224), ("test", 56)])
def test_animals_counts_shapes_and_types(split, count):
    images, labels, names = builtin.load(ANIMALS, split)
    assert len(images) == len(names) == 10 * count
    assert all(image.shape == (28, 28) and image.dtype == np.uint8 for image in images)
    assert labels.dtype == np.int32
    assert labels.tolist() == np.repeat(np.arange(10), count).tolist()
    assert class_of(names) == [ANIMALS[label] for label in labels]


def test_every_image_is_on_exactly_one_side_and_a_fifth_is_test():
    train, test = (builtin.load(ANIMALS, split, 1000)[2] for split in builtin.SPLITS)
    assert len(train) == 8000 and len(test) == 2000
    assert sorted(train + test) == [f"{animal}-{index:04d}" for animal in ANIMALS for index in range(1000)]


def test_names_tell_where_an_image_lies_in_the_source():
    with np.load(NPZ, allow_pickle=False) as data:
        source = data["images"][data["labels"] == ANIMALS.index("cat")]
    images, _, names = builtin.load(["cat"], "train", 50)
    for image, name in zip(images, names, strict=True):
        np.testing.assert_array_equal(image, source[int(name.removeprefix("cat-"))])


@pytest.mark.parametrize("digit", DIGITS)
def test_digits_are_all_used_when_more_are_asked_for(digit):
    sides = [builtin.load([digit], split, 1000) for split in builtin.SPLITS]
    train, test = (len(names) for _, _, names in sides)
    assert 170 < train + test < 190
    assert test == round((train + test) / 5)
    assert all(image.shape == (8, 8) and image.dtype == np.uint8 for images, _, _ in sides for image in images)
    assert max(image.max() for image in sides[0][0]) == 255


@pytest.mark.parametrize("split", builtin.SPLITS)
@pytest.mark.parametrize("name", ["zebra", "digit-3"])
def test_fewer_images_are_the_beginning_of_more(name, split):
    more = builtin.load([name], split, 1000)[2]
    for count in (5, 7, 8, 100, 150):
        fewer = builtin.load([name], split, count)[2]
        assert len(fewer) == (round(count / 5) if split == "test" else count - round(count / 5))
        assert fewer == more[: len(fewer)]


@pytest.mark.parametrize("split", builtin.SPLITS)
def test_a_class_has_the_same_images_in_every_subset(split):
    by_class = {name: builtin.load([name], split, 60)[2] for name in builtin.CLASSES["c15"]}
    for classes in builtin.CLASSES.values():
        assert builtin.load(classes, split, 60)[2] == sum((by_class[name] for name in classes), [])


def test_labels_count_the_sorted_names_whatever_the_order_asked_for():
    for result, expected in zip(
        builtin.load(("zebra", "cat"), "test", 10), builtin.load(("cat", "zebra"), "test", 10), strict=True
    ):
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("split", builtin.SPLITS)
def test_the_split_never_changes(split):
    names = builtin.load(builtin.CLASSES["c15"], split, 1000)[2]
    assert hashlib.sha256("\n".join(names).encode()).hexdigest() == GOLDEN[split]


@pytest.mark.parametrize(
    ("classes", "threshold"), [(ANIMALS, builtin.ANIMALS_THRESHOLD), (DIGITS, builtin.DIGITS_THRESHOLD)]
)
def test_no_test_image_has_a_near_duplicate_in_train(classes, threshold):
    train, test = (builtin.load(classes, split, 1000)[0] for split in builtin.SPLITS)
    assert largest_correlation(test, train) <= threshold + 1e-6


def test_groups_join_duplicates_mirror_images_and_chains():
    rng = np.random.default_rng(0)
    first, other, step = rng.normal(size=(3, 6, 6))
    chain = [other + 0.25 * index * step for index in range(4)]
    assert np.corrcoef(chain[0].ravel(), chain[3].ravel())[0, 1] < 0.9
    images = np.stack([first, *chain, first, first[:, ::-1], 3 * first + 5])
    assert near_duplicate_groups(images, threshold=0.9).tolist() == [0, 1, 1, 1, 1, 0, 0, 0]


def test_a_group_that_spans_classes_stays_whole_and_overflows_no_test_part():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, size=(40, 4, 4), dtype="uint8")
    labels = np.repeat([0, 1], 20)
    for size in (2, 8, 12):  # the half of 12 is more than the 4 test images of a class
        groups = np.arange(40)
        spanning = np.arange(20 - size // 2, 20 + size // 2)
        groups[spanning] = spanning[0]
        members = builtin._split(images, labels, groups, ("a", "b")).members
        test = set(members["a"]["test"] + members["b"]["test"])
        assert [len(members[name]["test"]) for name in "ab"] == [4, 4]
        assert len(test & set(spanning.tolist())) in ((0,) if size == 12 else (0, size))


def test_the_animals_have_a_group_that_spans_classes():
    with np.load(NPZ, allow_pickle=False) as data:
        labels, groups = data["labels"], data["groups"]
    spanning = {ANIMALS[label] for label in labels[labels != labels[groups]]}
    assert spanning == {"sheep"}  # a sheep from the front, like the mirror image of a cow


def test_images_cannot_be_written_to():
    for name in ("cat", "digit-0"):
        with pytest.raises(ValueError, match="read-only"):
            builtin.load([name], "test", 5)[0][0][0, 0] = 1


def test_the_file_holds_plain_arrays_and_no_date():
    with np.load(NPZ, allow_pickle=False) as data:
        stored = {name: (array.dtype.name, array.shape) for name, array in data.items()}
    assert stored == {
        "images": ("uint8", (10000, 28, 28)),
        "labels": ("uint8", (10000,)),
        "groups": ("int32", (10000,)),
    }
    with zipfile.ZipFile(str(NPZ)) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_conversion_gives_the_stored_arrays(convert, tmp_path):
    pytest.importorskip("animal_mnist")
    convert.write(tmp_path / "animals.npz", *convert.read_package(convert.package_folder()))
    with np.load(tmp_path / "animals.npz", allow_pickle=False) as made, np.load(NPZ, allow_pickle=False) as stored:
        assert made.files == stored.files
        for name in stored.files:
            np.testing.assert_array_equal(made[name], stored[name])


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("hostile",)


@pytest.mark.parametrize("content", [Hostile(), [np.zeros(2), Hostile()], np.array([Hostile()], dtype=object)])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_conversion_refuses_a_hostile_pickle(convert, content, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pickle.UnpicklingError, match="Only NumPy arrays are admitted"):
        convert.read_array(io.BytesIO(pickle.dumps(content, protocol)), dtype="uint8", shape=(1,))
    assert not os.listdir(tmp_path)


def test_the_conversion_reads_an_array_and_refuses_another_shape_or_type(convert):
    array = np.arange(6, dtype="uint8").reshape(2, 3)
    stored = pickle.dumps(array, protocol=3)
    np.testing.assert_array_equal(convert.read_array(io.BytesIO(stored), dtype="uint8", shape=(2, 3)), array)
    for expected in ({"dtype": "uint8", "shape": (3, 2)}, {"dtype": "int64", "shape": (2, 3)}):
        with pytest.raises(ValueError, match="must hold an array of"):
            convert.read_array(io.BytesIO(stored), **expected)
    with pytest.raises(ValueError, match="must hold an array of"):
        convert.read_array(io.BytesIO(pickle.dumps("text")), dtype="uint8", shape=(2, 3))


@pytest.mark.parametrize("class_names", [["cat", "unicorn"], ["Cat"], [], "cat", None, [3]])
def test_bad_class_names(class_names):
    with pytest.raises(ValueError, match=r"(?s)`class_names` must be .*'bear'.*Received: class_names="):
        builtin.load(class_names, "train")


def test_a_class_named_twice():
    with pytest.raises(ValueError, match=r"each class once. Received: class_names=\['cat', 'cat'\]"):
        builtin.load(["cat", "cat"], "train")


@pytest.mark.parametrize("split", ["validation", "both", "", None])
def test_bad_split(split):
    with pytest.raises(ValueError, match=r"`split` must be one of \('train', 'test'\). Received: split="):
        builtin.load(["cat"], split)


@pytest.mark.parametrize("images_per_class", [4, 0, -280, 280.0, "280", None, True])
def test_bad_images_per_class(images_per_class):
    with pytest.raises(ValueError, match="`images_per_class` must be an integer of at least 5.*Received: "):
        builtin.load(["cat"], "train", images_per_class)


def test_numpy_integers_count_as_integers():
    assert len(builtin.load(["cat"], "train", np.int64(5))[0]) == 4


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "flipped", "text", "key", "pickled"])
def test_a_missing_or_damaged_file_gives_one_clear_error(replaced_npz, damage):
    content = NPZ.read_bytes()
    middle = len(content) // 2
    if damage == "key":
        np.savez(replaced_npz, images=np.zeros(1))
    elif damage == "pickled":
        np.savez(replaced_npz, images=np.array([None], dtype=object))
    elif damage != "missing":
        flipped = content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
        replaced_npz.write_bytes({"empty": b"", "cut": content[:middle], "flipped": flipped, "text": b"text"}[damage])
    with pytest.raises(RuntimeError, match="are missing or damaged. Reinstall sonikeras. Received: "):
        builtin.load(["cat"], "train")
