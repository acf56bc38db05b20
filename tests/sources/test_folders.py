"""Folders of the user's: splits, classes, bad files."""

import contextlib
import io
import os
import shutil
import socket
import tempfile
from pathlib import Path

import numpy as np
import pytest

import sonikeras
from sonikeras.cli.main import main
from sonikeras.sources import SPLITS, STAGES, Selection, load_examples


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
    with pytest.raises(FileNotFoundError, match='contains the folder "train" but not "test": add it'):
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
    with pytest.raises(ValueError, match="must have examples in the split 'test'. Received: none of .*'ant', 'bee'"):
        load_examples(None, "test", data_dir=root)
    shutil.rmtree(root / "train" / "bee")
    (root / "test" / "ant").mkdir()
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
    with pytest.raises(ValueError, match="at least one readable file"), pytest.warns(UserWarning):
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


# Parts ----------------------------------------------------------------------------------------------------------------


CLASSES = ["cat", "dog"]


def tree(root, image, counts):
    """A folder with so many copies of an image in each of some folders below it."""
    for below, count in counts.items():
        (root / below).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            shutil.copyfile(image, root / below / f"{Path(below).name}{i}.png")
    return root


@pytest.fixture
def image(image_folder, tmp_path):
    """The path of a small image."""
    return image_folder(["one"], count=1, root=tmp_path / "source") / "one" / "picture0.png"


def sizes(root, *splits):
    found = [load_examples(None, split, data_dir=root) for split in splits]
    assert all(part.class_names == ["cat", "dog"] for part in found)
    return [len(part) for part in found]


PAIRS = [
    ("train", "test"),
    ("Train", "Test"),
    ("TRAIN", "TEST"),
    ("Training", "Testing"),
    ("training_set", "test_set"),
    ("Training Set", "Test Set"),
    ("trainset", "testset"),
    ("TrainingSet", "TestSet"),
    ("TRAINset", "TESTset"),
    ("train_images", "test_images"),
    ("train-data", "test-data"),
    ("seg_train", "seg_test"),
    ("seg_train/seg_train", "seg_test/seg_test"),
    ("training_set/training_set", "test_set/test_set"),
    ("Train/train", "Test/test"),
    ("train2017", "test2017"),
    ("cifar10-train", "cifar10-test"),
    ("train", "evaluation"),
]


@pytest.mark.parametrize(
    ("above", "train", "test"),
    [("", *pair) for pair in PAIRS] + [(above, "Train", "Test") for above in ("data/", "a/Data Set/", "test_data/")],
)
def test_parts_by_their_names(tmp_path, image, above, train, test, recwarn, capsys):
    counts = {f"{above}{part}/{name}": count for part, count in ((train, 3), (test, 2)) for name in CLASSES}
    root = tree(tmp_path / "root", image, counts)
    assert sonikeras.class_names(None, data_dir=root) == CLASSES
    assert sizes(root, "train", "test") == [6, 4]
    with pytest.raises(ValueError, match="needs `validation_split` above 0, or a folder with a validation split"):
        load_examples(None, "validation", data_dir=root)
    assert not recwarn and not capsys.readouterr().out


@pytest.mark.parametrize("name", ["val", "valid", "Validation", "VAL", "validation_set", "val2017", "dev", "seg_val"])
def test_a_validation_part(tmp_path, image, name):
    root = tree(tmp_path / "root", image, {f"{part}/{c}": n for part, n in (("Train", 30), (name, 2)) for c in CLASSES})
    # Without a test part, the validation part is it.
    assert sizes(root, "train", "validation", "test") == [60, 4, 4]
    tree(root, image, {f"Test/{c}": 3 for c in CLASSES})
    assert sizes(root, "train", "validation", "test") == [60, 4, 6]
    assert load_examples(None, "validation", data_dir=root, images_per_class=5).labels.tolist() == [0, 1]
    kept, held = (load_examples(None, s, data_dir=root, validation_split=0.2) for s in ("train", "validation"))
    assert len(kept) + len(held) == 60 and all("/Train/" in path for path in held.file_paths)
    data = sonikeras.dataset(data_dir=root, split="validation", output="image", image_size=8, batch_size=None)
    assert len(list(data)) == 4 and all(f"/{name}/" in path for path in data.file_paths)


def test_classes_that_are_called_like_parts(tmp_path, image, recwarn):
    """Their folders hold images directly."""
    for names in (["bus", "car", "train"], ["test", "train"], ["Train", "Tram"], ["control", "test"], ["dev", "val"]):
        root = tree(tmp_path / names[0] / "root", image, dict.fromkeys(names, 20))
        assert sonikeras.class_names(None, data_dir=root) == names
        assert sum(len(load_examples(None, split, data_dir=root)) for split in ("train", "test")) == 20 * len(names)
        # In parts, and with a folder of more images in the class folder, they are classes, too.
        tree(root, image, {f"{names[-1]}/more": 1})
        assert sonikeras.class_names(None, data_dir=root) == names
        divided = tree(
            tmp_path / names[0] / "parts", image, {f"{p}/{name}": 2 for p in ("train", "test") for name in names}
        )
        assert sonikeras.class_names(None, data_dir=divided) == names
    assert not recwarn


@pytest.mark.parametrize(
    ("folders", "classes", "message"),
    [
        (["train/red", "train/blue", "test/big", "test/small"], ["test", "train"], '"blue", "red" and "big", "small"'),
        (["Training/a", "Validation/b"], ["Training", "Validation"], '"Validation" contain different folders'),
        (
            ["train/old", "train/new", "bus", "car"],
            ["bus", "car", "train"],
            '"bus", "car" beside "train" would belong to no',
        ),
        (["train_1/cat", "train_2/cat"], ["train_1", "train_2"], '"train_1", "train_2" would be the same split'),
    ],
)
def test_folders_that_look_like_parts_and_are_none(tmp_path, image, folders, classes, message):
    root = tree(tmp_path / "root", image, dict.fromkeys(folders, 20))
    with pytest.warns(UserWarning, match=f"look like splits of a data set, but are taken for classes: .*{message}"):
        assert sonikeras.class_names(None, data_dir=root) == classes


def test_parts_below_classes(tmp_path, image):
    root = tree(tmp_path / "root", image, {f"{c}/{part}": 9 for c in CLASSES for part in ("train", "test")})
    with pytest.warns(UserWarning, match='look like splits.*"test", "train".* merged.*train/<class>'):
        assert len(load_examples(None, "train", data_dir=root)) > 18


def test_a_class_that_the_training_part_lacks_is_named(tmp_path, image):
    root = tree(tmp_path / "root", image, {"Train/cat": 2, "Train/dog": 2, "Test/cat": 2, "Test/dgo": 2})
    with pytest.raises(ValueError, match="Each class must have at least one file.*none in .*/Train/dgo"):
        load_examples(None, "train", data_dir=root)


def test_only_a_training_part(tmp_path, image, capsys):
    root = tree(tmp_path / "root", image, {"Train/cat": 2, "Train/dog": 2})
    assert sizes(root, "train") == [4]
    with pytest.raises(FileNotFoundError, match='contains the folder "Train" but not "test": add it'):
        load_examples(None, "test", data_dir=root)
    options = {"config": "lossless", "cache": False}
    for format in ("files", "tfrecord"):
        assert sonikeras.prepare(None, tmp_path / format, data_dir=root, format=format, **options) == []
        assert len(load_examples(None, "train", data_dir=tmp_path / format, stage="audio")) == 4
    assert sorted(path.name for path in (tmp_path / "files").iterdir() if path.name[0] != ".") == [
        "manifest.csv",
        "prepare.json",
        "train",
    ]
    assert "left out" not in capsys.readouterr().out


def test_a_folder_with_all_three_parts_is_prepared(tmp_path, image, capsys):
    counts = {"train": 3, "valid": 2, "test": 1}
    root = tree(tmp_path / "root", image, {f"{part}/{c}": n for part, n in counts.items() for c in CLASSES})
    for format in ("files", "tfrecord"):
        out = tmp_path / format
        sonikeras.prepare(None, out, data_dir=root, format=format, config="lossless", cache=False)
        for stage in ("audio", "spectrogram"):
            found = [load_examples(None, split, data_dir=out, stage=stage) for split in SPLITS]
            assert [len(part) for part in found] == [6, 4, 2]
    assert "left out" not in capsys.readouterr().out


def test_images_beside_the_splits_are_counted(tmp_path, image, capsys):
    root = tree(tmp_path / "data", image, {"train/cat": 3, "train/dog": 3, "test/cat": 1, "test/dog": 1})
    shutil.copy(next((root / "train/cat").iterdir()), root / "loose.png")
    assert sizes(root, "train") == [6]
    assert f"{root}/train: 6 files in 2 classes; 1 left out (beside the splits 1)" in capsys.readouterr().out


def test_images_without_classes_beside_parts(tmp_path, image, capsys):
    """As many data sets have for a contest."""
    counts = {"seg_train/cat": 3, "seg_train/dog": 3, "seg_test/cat": 1, "seg_test/dog": 1, "seg_pred/seg_pred": 5}
    root = tree(tmp_path / "first", image, counts)
    assert sizes(root, "train", "test") == [6, 2]
    assert f'{root}/seg_train: 6 files in 2 classes; 1 left out (folder "seg_pred" 1)' in capsys.readouterr().out
    root = tree(tmp_path / "second", image, {"train/cat": 3, "train/dog": 3, "val/cat": 1, "val/dog": 1, "test": 5})
    assert sizes(root, "train", "validation", "test") == [6, 2, 2]
    assert f'{root}/val: 2 files in 2 classes; 1 left out (folder "test" 1)' in capsys.readouterr().out
    assert Selection(data_dir=root).splits() == ("train", "test")
    shutil.rmtree(root / "val")
    assert sizes(root, "train") == [6] and Selection(data_dir=root).splits() == ("train",)
    with pytest.raises(ValueError, match="Each class must have examples in the split 'test'"):
        load_examples(None, "test", data_dir=root)
    capsys.readouterr()
    (root / "notes").mkdir()
    (root / "notes" / "read.txt").touch()
    shutil.rmtree(root / "test")
    assert sizes(root, "train") == [6] and not capsys.readouterr().out


SYSTEM = ["__MACOSX", "__pycache__", ".ipynb_checkpoints", "lost+found", "@eaDir", "$RECYCLE.BIN", ".Trashes"]


def test_what_systems_leave_behind_is_no_class_and_no_example(tmp_path, image, capsys):
    undivided = tree(tmp_path / "undivided", image, dict.fromkeys(CLASSES, 20))
    divided = tree(tmp_path / "divided", image, {f"{part}/{c}": 2 for part in ("Train", "Test") for c in CLASSES})
    for folder in (undivided, undivided / "cat", divided, divided / "Train", divided / "Train/cat", divided / "Test"):
        for name in SYSTEM:
            copy(image, folder / name / "x.png", folder / name / "cat" / "x.png")
        for name in (".DS_Store", "Thumbs.db", "thumbs.db", "desktop.ini", "._cat0.png"):
            copy(image, folder / name)
    assert sizes(divided, "train", "test") == [4, 4]
    assert sum(sizes(undivided, "train", "test")) == 40
    assert not capsys.readouterr().out


# What is left out -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["image", "audio", "spectrogram"])
def test_all_that_can_be_read_is_listed_in_any_case(tmp_path, stage, capsys):
    for name in CLASSES:
        (tmp_path / name).mkdir()
        for ending in STAGES[stage]:
            for i, written in enumerate((ending, ending.upper(), ending[:2] + ending[2:].upper())):
                (tmp_path / name / f"{ending[1:]}{i}{written}").touch()
    found = [load_examples(None, split, data_dir=tmp_path, stage=stage) for split in ("train", "test")]
    assert sum(map(len, found)) == 2 * 3 * len(STAGES[stage])
    assert not capsys.readouterr().out


def test_what_is_left_out_is_counted(tmp_path, image, capsys):
    root = tree(tmp_path / "root", image, dict.fromkeys(CLASSES, 617))
    for name in ("cat/notes.txt", "dog/deep/More.TXT", "labels.csv"):
        copy(image, root / name)
    assert len(load_examples(None, "train", data_dir=root)) > 900
    assert capsys.readouterr().out == f"{root}: 1,234 files in 2 classes; 2 left out (.txt 2)\n"
    (root / "cat" / "gone.png").symlink_to(root / "nothing.png")
    data = sonikeras.dataset(data_dir=root, split="both", output="image", cache=False)
    assert sum(len(part.file_paths) for part in data) == 1234
    assert capsys.readouterr().out == f"{root}: 1,234 files in 2 classes; 3 left out (.txt 2, broken link 1)\n"


def test_whatever_keeps_a_file_from_being_an_example_is_said(tmp_path, image, capsys):
    root = tree(tmp_path / "root", image, dict.fromkeys(CLASSES, 9))
    cat = root / "cat"
    os.mkfifo(cat / "pipe.png")
    (cat / "zero.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(cat / "socket.png"))  # such a path must be short
    (cat / "self.png").symlink_to(cat / "self.png")
    (cat / "there.png").symlink_to(cat / "back.png")
    (cat / "back.png").symlink_to(cat / "there.png")
    (cat / "up").symlink_to("..")
    (cat / "again").symlink_to(".")
    (cat / "deep").mkdir()
    (cat / "deep" / "above").symlink_to("../deep")
    (cat / "gone").symlink_to("/nowhere")
    (root / "cow").symlink_to("/nowhere")
    copy(image, cat / "README", cat / "x.png~", cat / "x.png.a\nb", cat / "x.svg", root / "beside.PNG")
    (cat / "x.json").symlink_to(cat / "x.svg")
    # A second way to a folder that is read leaves nothing out.
    copy(image, tmp_path / "far" / "far.png")
    (cat / "one").symlink_to(tmp_path / "far")
    (cat / "two").symlink_to(tmp_path / "far")
    assert all_names(root) == sorted([f"{c}/{c}{i}" for c in CLASSES for i in range(9)] + ["cat/one/far"])
    assert capsys.readouterr().out == (
        f"{root}: 19 files in 2 classes; 17 left out (link loop 6, not a regular file 3, broken link 2, "
        "other extensions 2, .json 1, .svg 1, beside the class folders 1, no extension 1)\n"
    )


def test_a_class_without_examples_tells_what_it_has(tmp_path, image):
    root = tree(tmp_path / "root", image, dict.fromkeys(CLASSES, 3))
    copy(image, root / "cow" / "x.psd", root / "cow" / "y.psd")
    with pytest.raises(ValueError, match=r"at least one file of .*Received: none in .*cow \(left out: .psd 2\)"):
        load_examples(None, "train", data_dir=root)


def test_sounds_among_images_and_images_among_sounds_are_left_out(tmp_path, image, capsys):
    root = tree(tmp_path / "root", image, dict.fromkeys(CLASSES, 8))
    for name in CLASSES:
        copy(image, *(root / name / f"{i}.wav" for i in range(9)))
    load_examples(None, "train", data_dir=root)
    load_examples(None, "train", data_dir=root, stage="audio")
    assert capsys.readouterr().out.splitlines() == [
        f"{root}: 16 files in 2 classes; 18 left out (.wav 18)",
        f"{root}: 18 files in 2 classes; 16 left out (.png 16)",
    ]


def test_the_line_can_be_printed_anywhere(tmp_path, image, monkeypatch):
    root = tree(tmp_path / "Bilder f\u00fcr \u732b", image, dict.fromkeys(CLASSES, 3))
    copy(image, root / "cat" / "x.txt")
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", output)
    load_examples(None, "train", data_dir=root)
    output.flush()
    assert output.buffer.getvalue().endswith(
        b"Bilder f\\xfcr \\u732b: 6 files in 2 classes; 1 left out (.txt 1)\n".replace(b"\n", os.linesep.encode())
    )


def test_the_command_line_tells_what_is_left_out(tmp_path, image, capsys):
    root = tree(tmp_path / "root", image, {f"{part}/{c}": 1 for part in ("Train", "Val") for c in CLASSES})
    copy(image, root / "Train" / "cat" / "x.txt", root / "Val" / "dog" / "x.md")
    main(["prepare", "all", str(tmp_path / "out"), "--data-dir", str(root), "--config", "lossless", "--no-cache"])
    out = capsys.readouterr().out
    assert f"{root}/Train: 2 files in 2 classes; 1 left out (.txt 1)\n" in out
    assert f"{root}/Val: 2 files in 2 classes; 1 left out (.md 1)\n" in out


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions are another matter here")
def test_a_file_that_may_not_be_read_is_named_or_skipped(image):
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        os.chmod(folder, 0o755)
        root = tree(Path(folder), image, {f"{part}/{c}": 2 for part in ("train", "test") for c in CLASSES})
        closed = root / "train" / "cat" / "cat0.png"
        closed.chmod(0)
        options = {"data_dir": root, "output": "image", "image_size": 8, "batch_size": None, "cache": False}
        with as_nobody():
            with pytest.raises(Exception, match=f"Permission denied.*{closed}"):
                list(sonikeras.dataset(**options))
            with pytest.warns(UserWarning, match="1 of 4 files are left out"):
                data = sonikeras.dataset(on_error="skip", **options)
        assert data.skipped == [str(closed)] and len(data.file_paths) == 3
