"""Folders of the user's: splits, classes, bad files."""

import numpy as np
import pytest

import sonikeras
from sonikeras.sources import load_examples


def files(root, split, **arguments):
    return {path.rsplit("/", 1)[1] for path in load_examples(None, split, data_dir=root, **arguments).file_paths}


def test_split_by_a_hash_of_the_name_moves_no_file(image_folder, photo):
    root = image_folder(count=60)
    train, test = files(root, "train"), files(root, "test")
    assert not train & test and len(train | test) == 60 and 5 <= len(test) <= 20
    for i in range(60, 90):
        for name in ("ant", "bee"):
            (root / name / f"picture{i}.png").write_bytes((root / name / "picture0.png").read_bytes())
    assert train < files(root, "train") and test < files(root, "test")
    smaller = [files(root, split, images_per_class=10) for split in ("train", "test")]
    assert [len(part) for part in smaller] == [8, 2] and smaller[0] < files(root, "train", images_per_class=20)


def test_train_and_test_folders(image_folder, tmp_path):
    root = tmp_path / "parts"
    image_folder(count=7, root=root / "train")
    with pytest.raises(FileNotFoundError, match='has the folder "train" but not "test": add it'):
        sonikeras.dataset(data_dir=root, split="test")
    image_folder(count=3, root=root / "test")
    train, test = sonikeras.dataset(data_dir=root, split="both", output="image")
    assert len(train.file_paths) == 14 and len(test.file_paths) == 6
    assert train.class_names == ["ant", "bee"] and all("/test/" in path for path in test.file_paths)


def test_the_studys_classes_are_taken(image_folder, tmp_path):
    vehicles = ["Bus", "Car", "Truck", "motorcycle"]
    root = image_folder([*vehicles, "Plane"], count=5)
    assert sonikeras.class_names("c4", data_dir=root) == vehicles
    assert sonikeras.class_names(None, data_dir=root) == ["Bus", "Car", "Plane", "Truck", "motorcycle"]
    assert sonikeras.class_names("c2", data_dir=root, classes=["Plane", "Bus"]) == ["Bus", "Plane"]
    with pytest.raises(ValueError, match='"c2" has 2 classes: choose them with `classes`.*Received: 5 classes'):
        sonikeras.class_names("c2", data_dir=root)


def test_bad_images_among_good_ones(image_folder):
    root = image_folder(count=30)
    bad = [root / "ant" / "picture3.png", root / "bee" / "picture5.png"]
    bad[0].write_bytes(bad[0].read_bytes()[:200])
    bad[1].write_text("no image")
    arguments = {"data_dir": root, "shuffle": False, "cache": False, "output": "image", "image_size": 32}
    paths = [path for part in sonikeras.dataset(split="both", **arguments) for path in part.file_paths]
    split = "train" if str(bad[0]) in sonikeras.dataset(**arguments).file_paths else "test"
    assert len(paths) == 60
    with pytest.raises(Exception, match=r"must be a whole PNG.*picture[35]\.png"):
        for _ in sonikeras.dataset(split=split, **arguments):
            pass
    with pytest.warns(UserWarning, match="files are left out:\n.*picture"):
        parts = sonikeras.dataset(split="both", on_error="skip", **arguments)
    assert sorted(path for part in parts for path in part.skipped) == sorted(map(str, bad))
    assert sum(int(x.shape[0]) for part in parts for x, _ in part) == 58
    assert all(len(list(part)) == part.cardinality() for part in parts)


def test_bad_image_is_named_when_it_is_sonified(image_folder):
    root = image_folder(count=5)
    for path in root.rglob("*.png"):
        path.write_text("no image")
    with pytest.raises(Exception, match=r"must be a whole PNG.*Received: .*picture"):
        next(iter(sonikeras.dataset(data_dir=root, split="train", cache=False)))
    with pytest.raises(ValueError, match="at least one file that can be read"), pytest.warns(UserWarning):
        sonikeras.dataset(data_dir=root, on_error="skip")


def test_empty_class_folder(image_folder):
    root = image_folder()
    (root / "cow").mkdir()
    (root / "cow" / "notes.txt").touch()
    (root / "cow" / ".hidden.png").touch()
    with pytest.raises(ValueError, match=r"Each class must have at least one file of .*Received: none in .*cow"):
        sonikeras.dataset(data_dir=root)


def test_one_class_only(image_folder):
    with pytest.raises(ValueError, match=r"at least 2 classes. Received: \['ant'\]"):
        sonikeras.dataset(data_dir=image_folder(["ant"]))


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="`data_dir` must be a folder. Received: data_dir=.*nowhere"):
        sonikeras.dataset(data_dir=tmp_path / "nowhere")


def test_files_that_differ_only_in_their_endings_keep_apart(image_folder):
    root = image_folder(count=3)
    (root / "ant" / "picture1.jpg").write_bytes((root / "ant" / "picture1.png").read_bytes())
    names: dict[str, list[str]] = {"ant": [], "bee": []}
    for split in ("train", "test"):
        examples = load_examples(None, split, data_dir=root)
        for label, name in zip(examples.labels, examples.names, strict=True):
            names[examples.class_names[label]].append(name)
    assert sorted(names["ant"]) == ["picture0.png", "picture1.jpg", "picture1.png", "picture2.png"]
    assert sorted(names["bee"]) == ["picture0", "picture1", "picture2"]


def test_order_is_by_class_and_name(image_folder):
    examples = load_examples(None, "train", data_dir=image_folder(count=20))
    assert examples.file_paths == sorted(examples.file_paths)
    assert np.all(np.diff(examples.labels) >= 0)
