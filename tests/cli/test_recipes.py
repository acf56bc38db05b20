"""Every recipe runs from images to its report, and its run folder holds what it should."""

import dataclasses
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
from sonikeras import models, training
from sonikeras.cli import recipes
from sonikeras.evaluation import experiment as experiments
from sonikeras.training import feature_dataset, recipe

RECIPES = Path(__file__).parents[2] / "recipes"
STUDY = ["efficientnet_b0", "efficientnet_b5", "efficientnet_b7", "resnet50", "resnet152"]


def load(name):
    module = runpy.run_path(str(RECIPES / f"{name}.py"))
    return module["RECIPE"], module["__doc__"]


def start(name, *options):
    recipe, doc = load(name)
    recipes.main(recipe, doc, [*options, "--out", "run"])
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


@pytest.mark.parametrize("name", ["efficientnet_b0", "resnet50"])
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
    assert recipe.weights == "imagenet" and recipe.engine == "librosa" and recipe.fine_tuning is None
    assert recipe.batch_norm == "training" and recipe.validation_split == 0 and not recipe.flips


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


def test_fine_tuning_trains_the_last_stages():
    options = ["--tune-stages", "1", "--head", "mlp", "--network", "efficientnet_lite0"]
    folder = start("quickstart", "--smoke", "--fine-tune", *options)
    check(folder, ["cat", "dog"])
    model = keras.models.load_model(folder / "model.keras")
    fresh = models.classifier("efficientnet_lite0", 2)
    for layer, same in (("stem_conv", True), ("top_conv", False)):
        kernels = [m.get_layer("backbone").get_layer(layer).get_weights()[0] for m in (model, fresh)]
        assert np.array_equal(*kernels) == same


def test_best_recipe():
    """Amplitudes of the whole picture, fine-tuned; with both orientations what is saved is still what is reported."""
    folder = start("best", "--smoke")
    report, run = check(folder, ["cat", "dog"])
    assert run["sonification"]["picture_scale"] == "amplitude" and run["recipe"]["shorter_side"] is None
    assert {path.name for path in (folder / "features").iterdir()} == {"train", "train-mirrored", "test"}
    test = sonikeras.dataset("c2", split="test", images_per_class=5, config="matched", image_size=128)
    again = sonikeras.evaluate(keras.models.load_model(folder / "model.keras"), test)
    np.testing.assert_array_equal(again.confusion_matrix, report["confusion_matrix"])


def test_fine_tuning_with_a_validation_split(tiny_network):
    """The head, then the network, then the best epoch; the same seed gives the same history to the last digit."""
    recipe, doc = load("best")
    options = ["--smoke", "--images-per-class", "20", "--tune-epochs", "2", "--validation-split", "0.2"]
    options += ["--tune-mixup", "0.2", "--network", tiny_network, "--weights", "none"]
    histories = []
    for name in ("run", "again"):
        recipes.main(recipe, doc, [*options, "--out", name])
        report, run = check(Path(name), ["cat", "dog"])
        seconds = report["history"].pop("seconds")
        assert seconds == sorted(seconds) and len(seconds) == 4
        histories.append(report["history"])
    assert histories[0] == histories[1]
    assert run["recipe"]["fine_tuning"]["epochs"] == 2 and Path("run/fine_tuning/history.csv").exists()
    assert {path.name for path in Path("run/features").iterdir()} == {"train", "train-mirrored", "validation", "test"}


def test_study_recipe_with_inference_statistics_caches_features():
    options = ["--smoke", "--network", "efficientnet_lite0", "--fold", "1/2", "--images-per-class", "20"]
    folder = start("efficientnet_b0", *options, "--batch-norm", "inference")
    report, run = check(folder, ["cat", "dog"])
    assert (folder / "features").is_dir() and run["recipe"]["fold"] == [1, 2]
    start("efficientnet_b0", *options, "--batch-norm", "inference")  # resumes where nothing is left to do
    again, _ = check(folder, ["cat", "dog"])
    assert again["history"] == report["history"]


def test_frozen_features_change_nothing():
    """The head has the same losses when the frozen network recomputes the features in each epoch."""
    recipe = dataclasses.replace(
        load("quickstart")[0], data="c2", images_per_class=40, epochs=3, dropout=0.0, image_size=96
    )
    cached = experiments.run(recipe, "cached").history["loss"]
    keras.utils.set_random_seed(recipe.seed)
    model = models.classifier("efficientnet_lite0", 2, image_size=96, dropout=0.0, freeze=True)
    backbone, head = model.get_layer("backbone"), model.get_layer("head")
    head.compile(
        keras.optimizers.Adam(1e-3, epsilon=1e-8), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    pictures, labels = (np.concatenate(parts) for parts in zip(*recipe.dataset("train", shuffle=False), strict=True))
    features = feature_dataset(pictures, labels, shuffle_seed=recipe.seed).map(lambda x, y: (backbone(x), y))
    uncached = training.fit(head, features, epochs=3, directory="uncached", verbose=0)["loss"]
    np.testing.assert_allclose(uncached, cached, rtol=1e-4)


@pytest.mark.parametrize(
    "extra",
    [
        ["--batch-norm", "training", "--gradient-accumulation", "4", "--batch-size", "8"],
        ["--precision", "mixed_bfloat16"],
        ["--jit"],
    ],
)
def test_gradient_accumulation_precision_and_xla(tiny_network, extra):
    options = ["--smoke", "--network", tiny_network, "--weights", "none", "--epochs", "1"]
    check(start("quickstart", *options, *extra), ["cat", "dog"])
    assert keras.config.dtype_policy().name == "float32"


def test_mirrored_strategy(tiny_network):
    """One device here: what differs from a run without a strategy is nothing but the way."""
    options = ["--smoke", "--network", tiny_network, "--weights", "none", "--batch-norm", "inference"]
    recipe, doc = load("resnet50")
    recipe = dataclasses.replace(recipe, dropout=0.0)  # whose draws would differ
    for name, extra in (("plain", []), ("mirrored", ["--strategy", "mirrored"])):
        recipes.main(recipe, doc, [*options, *extra, "--out", name])
    histories = [json.loads((Path(name) / "report.json").read_text())["history"] for name in ("plain", "mirrored")]
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-4)


def test_run_folder_of_another_recipe_is_refused(tiny_network):
    options = ["--smoke", "--network", tiny_network, "--weights", "none"]
    start("quickstart", *options)
    before = {path: path.stat().st_mtime_ns for path in Path("run").iterdir() if path.name != "report.json"}
    with pytest.raises(SystemExit, match=r"made in the same way.*'recipe.epochs': \(2, 3\)"):
        start("quickstart", *options, "--epochs", "3")
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_a_failed_start_takes_no_folder(tiny_network):
    with pytest.raises(SystemExit, match=r"nowhere\.h5"):
        start("quickstart", "--smoke", "--weights", "nowhere.h5")
    start("quickstart", "--smoke", "--network", tiny_network, "--weights", "none", "--epochs", "1")


def test_changed_data_are_noticed_and_bad_files_are_named(image_folder, tiny_network):
    root = image_folder(count=8)
    options = ["--data-dir", str(root), "--network", tiny_network, "--weights", "none", "--epochs", "1"]
    start("quickstart", *options)
    (root / "ant" / "new.png").write_text("no image")
    with pytest.raises(SystemExit, match=r"made in the same way.*'data\.t"):
        start("quickstart", *options)
    recipe, doc = load("quickstart")
    with pytest.raises(SystemExit, match=r"^error: The image cannot be read: .*Received: .*new\.png"):
        recipes.main(recipe, doc, [*options, "--out", "run2"])
    with pytest.warns(UserWarning, match="1 of .* files are left out"):
        recipes.main(recipe, doc, [*options, "--out", "run3", "--on-error", "skip"])


@pytest.mark.parametrize(
    ("options", "noted"),
    [
        (["--class-weight", "balanced"], "balanced"),
        (["--class-weight", "ant=3,1=0.5", "--fine-tune", "--tune-epochs", "1"], {"ant": 3.0, "1": 0.5}),
        (["--class-weight", "bee=2", "--flips"], {"bee": 2.0}),
        (["--class-weight", "bee=2", "--batch-norm", "training"], {"bee": 2.0}),
    ],
)
def test_class_weights(image_folder, tiny_network, monkeypatch, options, noted):
    given = []
    monkeypatch.setattr(experiments, "fit", lambda *_, class_weight, **__: given.append(class_weight) or fit(*_, **__))
    fit = sonikeras.training.fit
    root = image_folder(count=12)
    options = ["--data-dir", str(root), "--network", tiny_network, "--weights", "none", "--epochs", "1", *options]
    folder = start("quickstart", *options)
    assert json.loads((folder / "run.json").read_text())["recipe"]["class_weight"] == noted
    by_label = {"balanced": "balanced", "ant": {0: 3.0, 1: 0.5}, "bee": {1: 2.0}}[
        noted if noted == "balanced" else [*noted][0]
    ]
    assert given == [by_label] * (2 if "--fine-tune" in options else 1)
    start("quickstart", *options)
    with pytest.raises(SystemExit, match="made in the same way.*class_weight"):
        start("quickstart", *options, "--class-weight", "bee=7")


@pytest.mark.parametrize(
    "changes",
    [
        {"class_weight": "even"},
        {"class_weight": {"cat": -1}},
        {"epochs": 0},
        {"batch_size": 0},
        {"learning_rate": -1},
        {"gradient_accumulation": 3},
        {"flips": True, "batch_norm": "training"},
        {"batch_norm": "frozen"},
        {"precision": "float8"},
        {"strategy": "horovod"},
    ],
)
def test_recipe_is_validated(changes):
    with pytest.raises(ValueError, match="Received: "):
        recipe.Recipe(network="efficientnet_lite0", **changes)


def test_user_folder_and_other_options(image_folder, tiny_network):
    root = image_folder(("ant", "bee", "cow"), count=12)
    options = ["--data-dir", str(root), "--epochs", "1", "--network", tiny_network, "--weights", "none"]
    options += ["--config", "matched"]
    report, run = check(start("quickstart", *options), ["ant", "bee", "cow"])
    assert run["recipe"]["data"] is None and run["sonification"]["picture_scale"] == "amplitude"


@pytest.mark.skipif(not STUDY_PICTURES.is_dir(), reason="the study's pictures are not here")
def test_pictures_of_the_study(tiny_network):
    options = ["--data", "c4", "--data-dir", str(STUDY_PICTURES / "train"), "--stage", "spectrogram"]
    options += ["--network", tiny_network, "--weights", "none", "--images-per-class", "5", "--epochs", "1"]
    folder = start("efficientnet_b0", *options)
    check(folder, ["Bus", "Car", "Truck", "motorcycle"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--network", "alexnet"], "alexnet"),
        (["--data", "c3"], "Unknown data set. Allowed values"),
        (["--data-dir", "nowhere"], "`data_dir` must be a folder"),
        (["--weights", "nowhere.h5"], "nowhere.h5"),
        (["--images-per-class", "1"], "`images_per_class` must be an integer of at least 5"),
        (["--weights", "hostile.pth"], "must be a file of the weights"),
        (["--tune-mask", "2", "--fine-tune"], "`mask` must be in 0 <= mask < 1. Received: mask=2"),
        (["--fold", "9/2"], "`fold` must be"),
        (["--tune-epochs", "3"], "need --fine-tune. Received: --tune-epochs"),
        (["--class-weight", "cow=2"], r"`class_weight` must have classes as its keys.*Received: \['cow'\]"),
    ],
)
def test_errors_are_one_line(options, message):
    Path("hostile.pth").write_bytes(b"cos\nsystem\n(S'touch hacked'\ntR.")
    with pytest.raises(SystemExit, match=message):
        start("quickstart", "--smoke", *options)
    assert not Path("hacked").exists()


def test_nan_stops_with_one_line():
    with pytest.raises(SystemExit, match=r"^error: The loss and the weights must stay finite.*in epoch \d+, step"):
        start("quickstart", "--smoke", "--learning-rate", "1e38", "--epochs", "5")


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
