"""Folders of the user's: splits, classes, bad files."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

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


def test_a_class_may_have_no_test_file(image_folder, tmp_path):
    root = tmp_path / "parts"
    image_folder(count=4, root=root / "train")
    image_folder(["bee"], count=2, root=root / "test")
    test = load_examples(None, "test", data_dir=root)
    assert test.class_names == ["ant", "bee"] and test.labels.tolist() == [1, 1]
    shutil.rmtree(root / "test" / "bee")
    with pytest.raises(ValueError, match="must have examples in the part 'test'. Received: none of .*'ant', 'bee'"):
        load_examples(None, "test", data_dir=root)
    shutil.rmtree(root / "train" / "bee")
    (root / "test" / "bee").mkdir()
    with pytest.raises(ValueError, match=r"Each class must have at least one file of .*Received: none in .*train/bee"):
        load_examples(None, "train", data_dir=root)


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


def test_a_file_of_the_same_name_moves_none_between_folds(image_folder):
    root = image_folder(count=60)
    before = [files(root, "test", fold=(i, 3)) for i in range(3)]
    name = min(before[0])
    for folder in ("ant", "bee"):
        shutil.copyfile(root / folder / name, root / folder / Path(name).with_suffix(".jpg"))
    after = [files(root, "test", fold=(i, 3)) for i in range(3)]
    added = {Path(name).with_suffix(".jpg").name}
    assert all(old <= new <= old | added for old, new in zip(before, after, strict=True))


def test_order_is_by_class_and_name(image_folder):
    examples = load_examples(None, "train", data_dir=image_folder(count=20))
    assert examples.file_paths == sorted(examples.file_paths)
    assert np.all(np.diff(examples.labels) >= 0)


def all_names(root):
    """Class and name of each example of both parts."""
    parts = [load_examples(None, split, data_dir=root) for split in ("train", "test")]
    return sorted(
        f"{part.class_names[label]}/{name}"
        for part in parts
        for label, name in zip(part.labels, part.names, strict=True)
    )


def copy(source, *targets):
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def test_nested_hidden_and_other_files(image_folder):
    root = image_folder(count=2)
    first = root / "ant" / "picture0.png"
    copy(first, root / "ant/b/deep/x.PNG", root / "ant/a/x.png", root / "ant/looks like a.png/y.png")
    copy(first, root / "ant/.thumbnails/x.png", root / "ant/.x.png", root / ".git/x.png", root / "ant/b/notes.txt")
    copy(first, root / "beside.png")
    nested = ["ant/a/x", "ant/b/deep/x", "ant/looks like a.png/y"]
    assert all_names(root) == sorted([*nested, "ant/picture0", "ant/picture1", "bee/picture0", "bee/picture1"])


def test_a_file_in_a_folder_is_on_a_side_of_its_own(image_folder):
    root = image_folder(count=40)
    flat = files(root, "test")
    for path in sorted((root / "ant").glob("*.png")):
        copy(path, root / "ant" / "more" / path.name)
    examples = load_examples(None, "test", data_dir=root)
    nested = [path for path in examples.file_paths if "/more/" in path]
    assert {Path(path).name for path in examples.file_paths if path not in nested} == flat
    assert nested and {Path(path).name for path in nested} != flat


def test_links_are_followed_and_loops_end(image_folder, tmp_path):
    root = image_folder(count=2)
    elsewhere = tmp_path / "elsewhere"
    copy(root / "ant/picture0.png", elsewhere / "far.png", elsewhere / "cow" / "calf.png")
    (root / "cow").symlink_to(elsewhere / "cow")
    (root / "ant" / "link").symlink_to(elsewhere)
    (root / "ant" / "again").symlink_to(elsewhere)
    (root / "ant" / "linked.png").symlink_to(elsewhere / "far.png")
    (root / "ant" / "up").symlink_to(root / "ant")
    (root / "ant" / "self").symlink_to(root / "ant" / "self")
    (root / "ant" / "self.png").symlink_to(root / "ant" / "self.png")
    (root / "ant" / "nowhere.png").symlink_to(root / "nothing.png")
    (elsewhere / "loop").symlink_to(elsewhere)
    (root / "ant" / "out").symlink_to("..")
    (elsewhere / "cow" / "out").symlink_to("..")
    (elsewhere / "cow" / "root").symlink_to(root)
    names = all_names(root)
    assert sum(name.endswith("/far") for name in names) == 1  # one of the two links to the folder
    assert {"ant/linked", "ant/picture0", "cow/calf"} < set(names) and len(names) == 2 + 1 + 2 + 2 + 1


def test_names_in_any_script(image_folder):
    strange = [
        "\u732b \u3068 \u72ac",
        "\u043a\u043e\u0442",
        "\u0642\u0637\u0629",
        "a b  c",
        "100%",
        "caf\u00e9",
        "\U0001f408",
    ]
    root = image_folder(classes=["ant", "\u8702 \u8702"], count=2)
    for name in strange:
        copy(root / "ant/picture0.png", root / "ant" / f"{name}.png")
    assert {f"ant/{name}" for name in strange} < set(all_names(root))
    data = sonikeras.dataset(data_dir=root, output="image", batch_size=None, image_size=8)
    assert data.class_names == ["ant", "\u8702 \u8702"] and len(list(data)) == len(data)


def test_names_that_are_no_text(image_folder):
    root = image_folder(count=8)
    for i in range(8):
        target = os.fsencode(root / "ant") + b"/b\xff%d.png" % i
        try:
            shutil.copyfile(os.fsencode(root / "ant/picture0.png"), target)
        except OSError:
            pytest.skip("this file system has text names only")
    data = sonikeras.dataset(data_dir=root, output="image", batch_size=None, image_size=8, shuffle=False)
    assert len(list(data)) == len(data) and any("\udcff" in name for name in data.examples.names)
    described = [data.examples.describe(i) for i in range(len(data))]
    assert any("b\\udcff" in text for text in described) and "".join(described).isprintable()
    assert len(data.examples.fingerprint()) == 64


@contextlib.contextmanager
def as_nobody():
    """Root may read everything: the tests that need somebody who may not become another user for a while."""
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)
        yield
    finally:
        os.seteuid(user)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions are another matter here")
@pytest.mark.parametrize("folder", ["ant", "bee/more"])
def test_a_folder_that_may_not_be_read_is_named(image_folder, folder):
    with tempfile.TemporaryDirectory() as root:  # pytest's own folders are closed to others
        os.chmod(root, 0o755)
        copy(image_folder(count=1) / "ant/picture0.png", Path(root, "ant/x.png"), Path(root, "bee/more/x.png"))
        os.chmod(Path(root, folder), 0o000)
        with as_nobody(), pytest.raises(PermissionError, match=f"must be readable. Received: {root}/{folder}$"):
            load_examples(None, "train", data_dir=root)
        os.chmod(Path(root, folder), 0o755)


@pytest.mark.parametrize(("name", "other"), [("ant", "Ant"), ("caf\u00e9", "cafe\u0301"), ("stra\u00dfe", "STRASSE")])
def test_class_folders_that_many_file_systems_take_for_one(image_folder, name, other):
    root = image_folder(classes=[name, "bee"], count=2)
    (root / other).mkdir(exist_ok=True)
    if len(os.listdir(root)) < 3:
        pytest.skip("this file system takes them for one, too")
    with pytest.raises(ValueError, match="Class folders must differ in more than.*Received: ") as error:
        sonikeras.class_names(None, data_dir=root)
    assert ascii(name) in str(error.value) and ascii(other) in str(error.value)


def test_files_are_listed_without_asking_for_each_of_them(image_folder, monkeypatch):
    root = image_folder(count=100)

    def stat(path, **options):
        asked.append(str(path))
        return real(path, **options)

    asked: list[str] = []
    real = os.stat
    monkeypatch.setattr(os, "stat", stat)
    assert len(load_examples(None, "train", data_dir=root)) > 100
    assert not any(path.endswith(".png") for path in asked)
