"""A sweep runs all recipes that are not finished, and nothing else."""

import csv
import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import pytest

import sonikeras
from sonikeras.evaluation import experiment, sweep
from sonikeras.evaluation.sweep import Run
from sonikeras.models import weights
from sonikeras.sources import load_examples
from sonikeras.training import Recipe

TINY = Recipe(network="efficientnet_lite0", data="c2", images_per_class=5, image_size=32, epochs=1, output="image")
STRUCTURED = sonikeras.SonificationConfig.preset("matched").replace(initial_phase="structured")


def runs(*recipes):
    return [
        Run(str(i), {"data": "c2", "network": each.network, "config": each.output, "seed": each.seed}, each)
        for i, each in enumerate(recipes)
    ]


def test_an_error_of_many_runs_is_printed_once(capsys):
    missing = dataclasses.replace(TINY, data=None, data_dir="nowhere")
    first, second = sweep.sweep(runs(missing, dataclasses.replace(missing, seed=43)), "sweep")
    assert first.error == second.error and "nowhere" in first.error
    printed = capsys.readouterr().out
    assert printed.count("nowhere") == 1 and "2/2 1: failed as 0 did" in printed


def test_sweep_resumes_and_runs_nothing_twice(image_folder, capsys):
    """And features are shared where they are the same, which changes nothing; a config need not be a preset."""
    other = dataclasses.replace(TINY, seed=43)
    later = {"data": None, "data_dir": "later", "images_per_class": None, "output": "picture", "config": STRUCTURED}
    missing = dataclasses.replace(TINY, **later)
    all_runs = runs(TINY, other, missing)
    done, second, failed = sweep.sweep(all_runs, "sweep")
    assert done.report.accuracy >= 0 and done.error is None and done.report.names[0].startswith("cat/")
    assert len(list(Path("sweep/features").iterdir())) == 2  # of the training and the test split, for both seeds
    own = experiment.run(other, "own", verbose=0)
    np.testing.assert_array_equal(second.report.probabilities, own.probabilities)
    assert failed.report is None and "`data_dir` must be a folder" in failed.error
    assert "Traceback" in Path("sweep/2/error.txt").read_text()
    assert [each.error for each in sweep.load(all_runs, "sweep")] == [None, None, failed.error]
    assert "3/3 2: failed: " in capsys.readouterr().out

    image_folder(root=Path("later").absolute())
    before = {path: path.stat().st_mtime_ns for path in Path("sweep/0").rglob("*")}
    again, _, mended = sweep.sweep(all_runs, "sweep", verbose=False)
    np.testing.assert_array_equal(again.report.predictions, done.report.predictions)
    assert {path: path.stat().st_mtime_ns for path in Path("sweep/0").rglob("*")} == before
    assert mended.report is not None and not Path("sweep/2/error.txt").exists()
    noted = json.loads(Path("sweep/2/run.json").read_text())
    assert noted["sonification"]["initial_phase"] == noted["recipe"]["config"]["initial_phase"] == "structured"
    assert not list(Path("sweep").rglob(".*"))

    # Damaged runs are repeated; runs of another recipe or version are left alone.
    foreign = Path("sweep/1/report.json")
    foreign.write_text(json.dumps({**json.loads(foreign.read_text()), "format": 99}))
    leftovers = [Path("sweep", folder, ".0.part.png") for folder in (".", "figures", "features")]
    for leftover in leftovers:
        leftover.parent.mkdir(exist_ok=True)
        leftover.touch()
    before = {path: path.stat().st_mtime_ns for path in Path("sweep/1").rglob("*")}
    (refused,) = sweep.sweep(all_runs[1:2], "sweep", verbose=False)
    assert refused.report is None and "format 99" in refused.error
    assert [refused.error] == [each.error for each in sweep.load(all_runs[1:2], "sweep")]
    assert {path: path.stat().st_mtime_ns for path in Path("sweep/1").rglob("*")} == before
    assert not any(leftover.exists() for leftover in leftovers)

    Path("sweep/0/report.json").write_text('{"acc')
    assert sweep.load(all_runs, "sweep")[0].error.startswith("ValueError: ")
    (repaired,) = sweep.sweep(all_runs[:1], "sweep", verbose=False)
    np.testing.assert_array_equal(repaired.report.predictions, done.report.predictions)
    (foreign,) = sweep.sweep(runs(dataclasses.replace(TINY, epochs=2)), "sweep", verbose=False)
    assert "'recipe.epochs': (1, 2)" in foreign.error


def test_damaged_files_are_reported(tmp_path):
    for name, text in {"run.json": b"[]", "report.json": b"{}", "error.txt": b"OSError: \xff\n"}.items():
        (tmp_path / "0").mkdir(exist_ok=True)
        (tmp_path / "0" / name).write_bytes(text)
    (damaged,) = sweep.load(runs(TINY), tmp_path)
    assert "must hold a JSON object" in damaged.error and "run.json (a JSON list)" in damaged.error
    (tmp_path / "0" / "report.json").unlink()
    (failed,) = sweep.load(runs(TINY), tmp_path)
    assert failed.error == "OSError: \ufffd"


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"seed": 1}, True),
        ({"config": "matched"}, True),
        ({"epochs": 9, "head": "mlp", "learning_rate": 0.1}, True),
        ({"head": "attention"}, False),
        ({"weights": None}, False),
        ({"image_size": 64}, False),
        ({"batch_size": 16}, False),
        ({"precision": "mixed_bfloat16"}, False),
        ({"output": "picture"}, False),
    ],
)
def test_features_of_images_depend_on_what_decides_them(changes, same):
    examples = load_examples("c2", "test", images_per_class=5)
    changed = dataclasses.replace(TINY, **changes)
    assert (experiment._features_key(TINY, examples) == experiment._features_key(changed, examples)) == same
    others = load_examples("c2", "test", images_per_class=10)
    assert experiment._features_key(TINY, examples) != experiment._features_key(TINY, others)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"config": "study"}, False),
        ({"config": "lossless"}, True),
        ({"config": STRUCTURED}, True),
        ({"config": "lossless", "channel": "noise(snr=20)"}, False),
        ({"config": "lossless", "weights": None}, False),
    ],
)
def test_features_depend_on_the_seed_where_something_is_random(changes, same):
    examples = load_examples("c2", "test", images_per_class=5)
    recipe = dataclasses.replace(TINY, output="picture", **changes)
    keys = {experiment._features_key(dataclasses.replace(recipe, seed=seed), examples) for seed in (1, 2)}
    assert (len(keys) == 1) == same


def test_output_is_checked():
    with pytest.raises(ValueError, match=r"Unknown `output`.*Received: output='audio'"):
        dataclasses.replace(TINY, output="audio")


@pytest.mark.parametrize("name", ["", "/tmp/x", "../x", "a/../../x", "features/x"])
def test_runs_stay_in_their_folder(name):
    with pytest.raises(ValueError, match="`name` must be a relative path"):
        Run(name, {}, TINY)


def test_runs_have_names_of_their_own():
    with pytest.raises(ValueError, match="No two runs must have the same name"):
        sweep.sweep([Run("a", {}, TINY)] * 2, "sweep")


def test_weights_are_found_before_any_run(monkeypatch, tmp_path):
    """Once for each network; a finished run needs none."""
    installed = weights.installed_path("efficientnet_lite0")
    several = [TINY, dataclasses.replace(TINY, seed=43), dataclasses.replace(TINY, network="resnet50", weights=None)]
    assert sweep.check_weights(runs(*several), tmp_path) == [("efficientnet_lite0", installed), ("resnet50", None)]
    file = dataclasses.replace(TINY, weights=str(installed))
    assert sweep.check_weights(runs(file), tmp_path) == [("efficientnet_lite0", installed)]

    gone = dataclasses.replace(TINY, weights="nowhere.h5")
    monkeypatch.setattr(experiment, "finished", lambda recipe, directory: directory.name == "1")
    assert sweep.check_weights(runs(TINY, gone), tmp_path) == [("efficientnet_lite0", installed)]
    assert not list(tmp_path.iterdir())


def offline(*args, **kwargs):
    raise Exception("URL fetch failure on\nsome address")


def test_networks_without_weights_are_named_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.utils, "get_file", offline)
    networks = ["efficientnet_lite0", "efficientnet_b0", "resnet50"]
    several = runs(*(dataclasses.replace(TINY, network=network) for network in networks))
    rule = (
        "The ImageNet weights of backbone='efficientnet_b0' could not be downloaded: URL fetch failure on some address."
    )
    with pytest.raises(OSError, match=f"^{rule} .*efficientnetb0_notop.h5.* at hand: .*efficientnet_lite0") as caught:
        sweep.check_weights(several[:2], tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(
        ValueError, match=f"^No weights for 2 of 3 networks: efficientnet_b0, resnet50. {rule}"
    ) as caught:
        sweep.check_weights(several, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_file_fits_only_its_network(tmp_path):
    file = str(weights.installed_path("efficientnet_lite0"))
    recipes = [dataclasses.replace(TINY, network=name, weights=file) for name in ("efficientnet_lite0", "resnet50")]
    with pytest.raises(
        ValueError, match=r"weights of backbone='resnet50'.*efficientnet-lite0-57934424.pth.*`"
    ) as caught:
        sweep.check_weights(runs(*recipes), tmp_path)
    assert "\n" not in str(caught.value)


def test_csv_holds_any_text():
    rows = [{"a": 'x,"y"\nz', "b": None}, {"a": "<b>", "c": 1.5}]
    sweep.write_csv(rows, "rows.csv")
    with open("rows.csv", newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert read == [{"a": 'x,"y"\nz', "b": "", "c": ""}, {"a": "<b>", "b": "", "c": "1.5"}]


def test_csv_leaves_empty_what_is_not_finite():
    sweep.write_csv([{"a": float("nan"), "b": np.float64("inf"), "c": 0.0}], "rows.csv")
    assert Path("rows.csv").read_text() == "a,b,c\n,,0.0\n"
