"""Every recipe runs from images to its report, and its run folder holds what it should."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import STUDY_PICTURES

import sonikeras
from sonikeras import experiments, models

RECIPES = Path(__file__).parents[1] / "recipes"
STUDY = ["efficientnet_b0", "efficientnet_b5", "efficientnet_b7", "resnet50", "resnet152"]


def load(name):
    module = runpy.run_path(str(RECIPES / f"{name}.py"))
    return module["RECIPE"], module["__doc__"]


def start(name, *options):
    recipe, doc = load(name)
    experiments.main(recipe, doc, [*options, "--out", "run"])
    return Path("run")


def check(folder, class_names):
    report = json.loads((folder / "report.json").read_text())
    assert {"accuracy", "f1_weighted", "f1_macro", "confusion_matrix", "class_names", "seconds"} <= set(report)
    assert report["class_names"] == class_names and 0 <= report["accuracy"] <= 1 and report["seconds"] > 0
    expected = {"run.json", "history.csv", "classification_report.txt", "curves.png", "confusion.png", "model.keras"}
    assert expected <= {path.name for path in folder.iterdir()}
    assert not list(folder.rglob(".*"))
    run = json.loads((folder / "run.json").read_text())
    assert run["versions"]["keras"] == keras.__version__
    assert sonikeras.SonificationConfig.from_dict(run["sonification"])
    return report, run


@pytest.mark.parametrize("name", STUDY)
def test_recipes_of_the_study(name, capsys):
    folder = start(name, "--smoke", "--weights", "none")
    _, run = check(folder, ["cat", "dog"])
    assert "Wilson" in capsys.readouterr().out
    assert run["recipe"]["network"] == name and run["recipe"]["weights"] is None
    for wav in sorted(folder.rglob("*.wav")):
        audio, config = sonikeras.read_audio(wav)
        assert len(audio) == config.samples and wav.with_suffix(".png").exists()
    assert len(list(folder.rglob("*.wav"))) == 2


@pytest.mark.parametrize("name", STUDY)
def test_hyper_parameters_are_the_studys(name):
    recipe, _ = load(name)
    spec = models.spec(name)
    assert (recipe.network, recipe.data, recipe.config, recipe.head) == (name, "c10", "study", "linear")
    assert (recipe.epochs, recipe.batch_size, recipe.learning_rate, recipe.seed) == (25, 32, 1e-3, 42)
    assert (recipe.image_size, recipe.shorter_side) == (spec.image_size, spec.resize)
    assert (recipe.interpolation, recipe.dropout) == (spec.interpolation, spec.dropout)
    assert recipe.weights == "imagenet" and recipe.engine == "librosa" and not recipe.fine_tune


def test_quickstart_uses_the_weights_that_are_installed():
    """With pretrained weights two classes are told apart from 32 pictures; with random ones they are not."""
    folder = start("quickstart", "--data", "c4", "--images-per-class", "20", "--epochs", "40")
    report, run = check(folder, ["cat", "dog", "elephant", "zebra"])
    assert run["recipe"]["weights"] == "imagenet" and report["accuracy"] >= 0.6
    model = keras.models.load_model(folder / "model.keras")
    test = sonikeras.dataset("c4", split="test", images_per_class=20)
    again = sonikeras.evaluate(model, test)
    np.testing.assert_array_equal(again.confusion_matrix, report["confusion_matrix"])
    assert again.loss == pytest.approx(report["loss"], rel=1e-4)


def test_fine_tuning_trains_the_whole_network():
    folder = start("quickstart", "--smoke", "--fine-tune", "--network", "efficientnet_lite0", "--head", "mlp")
    check(folder, ["cat", "dog"])
    model = keras.models.load_model(folder / "model.keras")
    fresh = models.classifier("efficientnet_lite0", 2)
    kernel = [m.get_layer("backbone").get_layer("stem_conv").get_weights()[0] for m in (model, fresh)]
    assert not np.array_equal(*kernel)


def test_run_folder_of_another_recipe_is_refused():
    start("quickstart", "--smoke")
    before = {path: path.stat().st_mtime_ns for path in Path("run").iterdir() if path.name != "report.json"}
    with pytest.raises(SystemExit, match=r"made in the same way.*'recipe.epochs': \(2, 3\)"):
        start("quickstart", "--smoke", "--epochs", "3")
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_a_failed_start_takes_no_folder():
    with pytest.raises(SystemExit, match=r"nowhere\.h5"):
        start("quickstart", "--smoke", "--weights", "nowhere.h5")
    start("quickstart", "--smoke", "--weights", "none", "--epochs", "1")


def test_changed_data_are_noticed_and_bad_files_are_named(image_folder):
    root = image_folder(count=8)
    options = ["--data-dir", str(root), "--weights", "none", "--epochs", "1"]
    start("quickstart", *options)
    (root / "ant" / "new.png").write_text("no image")
    with pytest.raises(SystemExit, match=r"made in the same way.*'data\.t"):
        start("quickstart", *options)
    recipe, doc = load("quickstart")
    with pytest.raises(SystemExit, match=r"^error: The image cannot be read: .*Received: .*new\.png"):
        experiments.main(recipe, doc, [*options, "--out", "run2"])
    with pytest.warns(UserWarning, match="1 of .* files are left out"):
        experiments.main(recipe, doc, [*options, "--out", "run3", "--on-error", "skip"])


@pytest.mark.parametrize("changes", [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0}, {"learning_rate": -1}])
def test_recipe_is_validated(changes):
    with pytest.raises(ValueError, match="must be .*Received: "):
        experiments.Recipe(network="efficientnet_lite0", **changes)


def test_user_folder_and_other_options(image_folder):
    root = image_folder(("ant", "bee", "cow"), count=12)
    options = ["--data-dir", str(root), "--epochs", "1", "--weights", "none", "--config", "matched"]
    report, run = check(start("quickstart", *options), ["ant", "bee", "cow"])
    assert run["recipe"]["data"] is None and run["sonification"]["picture_scale"] == "amplitude"


@pytest.mark.skipif(not STUDY_PICTURES.is_dir(), reason="the study's pictures are not here")
def test_pictures_of_the_study():
    options = ["--data", "c4", "--data-dir", str(STUDY_PICTURES / "train"), "--stage", "spectrogram"]
    folder = start("efficientnet_b0", *options, "--images-per-class", "5", "--epochs", "1", "--weights", "none")
    check(folder, ["Bus", "Car", "Truck", "motorcycle"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--network", "alexnet"], "alexnet"),
        (["--data", "c3"], "Unknown data set. Allowed values"),
        (["--data-dir", "nowhere"], "`data_dir` must be a folder"),
        (["--weights", "nowhere.h5"], "nowhere.h5"),
        (["--images-per-class", "1"], "`images_per_class` must be an integer of at least 5"),
    ],
)
def test_errors_are_one_line(options, message):
    with pytest.raises(SystemExit, match=message):
        start("quickstart", "--smoke", *options)


def test_without_a_network_the_choices_are_named(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(keras.utils, "get_file", offline)
    with pytest.raises(SystemExit, match=r"(?s)efficientnetb0_notop.h5.*efficientnet_lite0"):
        start("efficientnet_b0", "--smoke")


def test_help_is_readable():
    result = subprocess.run(
        [sys.executable, RECIPES / "quickstart.py", "--help"], capture_output=True, text=True, check=True
    )
    options = ["data", "data-dir", "source", "stage", "network", "weights", "epochs", "images-per-class", "engine"]
    assert all(f"--{option} " in result.stdout for option in [*options, "out", "seed", "smoke"])
