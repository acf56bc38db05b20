"""A sweep runs what is not finished, and nothing else; a study writes what it found, and says what is missing."""

import csv
import dataclasses
import glob
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from test_pages import check_page, has_browser, open_browser

import sonikeras
from sonikeras.evaluation import experiment as experiments, sweep as studies
from sonikeras.evaluation.sweep import Result, Run
from sonikeras.reporting.findings import Findings
from sonikeras.reporting.galleries import galleries
from sonikeras.reporting.study_page import tables
from sonikeras.sources import load_examples
from sonikeras.training import Recipe

RECIPE = Path(__file__).parents[2] / "recipes" / "study.py"
TINY = Recipe(network="efficientnet_lite0", data="c2", images_per_class=5, image_size=32, epochs=1, output="image")
STRUCTURED = sonikeras.SonificationConfig.preset("matched").replace(initial_phase="structured")
HOSTILE = '<img src=x onerror="alert(1)">'.replace("/", "")


def cells(*recipes):
    return [
        Run(str(i), {"data": "c2", "network": each.network, "config": each.output, "seed": each.seed}, each)
        for i, each in enumerate(recipes)
    ]


def test_sweep_goes_on_and_runs_nothing_twice(image_folder, capsys):
    """And features are shared where they are the same, which changes nothing; a config need not be a preset."""
    other = dataclasses.replace(TINY, seed=43)
    later = {"data": None, "data_dir": "later", "images_per_class": None, "output": "picture", "config": STRUCTURED}
    missing = dataclasses.replace(TINY, **later)
    all_cells = cells(TINY, other, missing)
    done, second, failed = studies.sweep(all_cells, "sweep")
    assert done.report.accuracy >= 0 and done.error is None and done.report.names[0].startswith("cat/")
    assert len(list(Path("sweep/features").iterdir())) == 2  # a training and a test part, for both seeds
    own = experiments.run(other, "own", verbose=0)
    np.testing.assert_array_equal(second.report.probabilities, own.probabilities)
    assert failed.report is None and "`data_dir` must be a folder" in failed.error
    assert "Traceback" in Path("sweep/2/error.txt").read_text()
    assert [each.error for each in studies.load(all_cells, "sweep")] == [None, None, failed.error]
    assert "3/3 2: failed: " in capsys.readouterr().out

    image_folder(root=Path("later").absolute())
    before = {path: path.stat().st_mtime_ns for path in Path("sweep/0").rglob("*")}
    again, _, mended = studies.sweep(all_cells, "sweep", verbose=False)
    np.testing.assert_array_equal(again.report.predictions, done.report.predictions)
    assert {path: path.stat().st_mtime_ns for path in Path("sweep/0").rglob("*")} == before
    assert mended.report is not None and not Path("sweep/2/error.txt").exists()
    noted = json.loads(Path("sweep/2/run.json").read_text())
    assert noted["sonification"]["initial_phase"] == noted["recipe"]["config"]["initial_phase"] == "structured"
    assert not list(Path("sweep").rglob(".*"))

    # What is damaged is made anew from what is there; what another recipe or version made is left alone.
    foreign = Path("sweep/1/report.json")
    foreign.write_text(json.dumps({**json.loads(foreign.read_text()), "format": 99}))
    leftovers = [Path("sweep", folder, ".0.part.png") for folder in (".", "figures", "features")]
    for leftover in leftovers:
        leftover.parent.mkdir(exist_ok=True)
        leftover.touch()
    before = {path: path.stat().st_mtime_ns for path in Path("sweep/1").rglob("*")}
    (refused,) = studies.sweep(all_cells[1:2], "sweep", verbose=False)
    assert refused.report is None and "of format 99" in refused.error
    assert [refused.error] == [each.error for each in studies.load(all_cells[1:2], "sweep")]
    assert {path: path.stat().st_mtime_ns for path in Path("sweep/1").rglob("*")} == before
    assert not any(leftover.exists() for leftover in leftovers)

    Path("sweep/0/report.json").write_text('{"acc')
    assert studies.load(all_cells, "sweep")[0].error.startswith("ValueError: ")
    (repaired,) = studies.sweep(all_cells[:1], "sweep", verbose=False)
    np.testing.assert_array_equal(repaired.report.predictions, done.report.predictions)
    (foreign,) = studies.sweep(cells(dataclasses.replace(TINY, epochs=2)), "sweep", verbose=False)
    assert "'recipe.epochs': (1, 2)" in foreign.error


def test_damaged_notes_are_told(tmp_path):
    for name, text in {"run.json": b"[]", "report.json": b"{}", "error.txt": b"OSError: \xff\n"}.items():
        (tmp_path / "0").mkdir(exist_ok=True)
        (tmp_path / "0" / name).write_bytes(text)
    (damaged,) = studies.load(cells(TINY), tmp_path)
    assert "must hold a JSON object" in damaged.error and "run.json (a JSON list)" in damaged.error
    (tmp_path / "0" / "report.json").unlink()
    (failed,) = studies.load(cells(TINY), tmp_path)
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
    assert (experiments._features_key(TINY, examples) == experiments._features_key(changed, examples)) == same
    others = load_examples("c2", "test", images_per_class=10)
    assert experiments._features_key(TINY, examples) != experiments._features_key(TINY, others)


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
    keys = {experiments._features_key(dataclasses.replace(recipe, seed=seed), examples) for seed in (1, 2)}
    assert (len(keys) == 1) == same


def test_output_is_checked():
    with pytest.raises(ValueError, match=r"Unknown `output`.*Received: output='audio'"):
        dataclasses.replace(TINY, output="audio")


@pytest.mark.parametrize("name", ["", "/tmp/x", "../x", "a/../../x", "features/x"])
def test_cells_stay_in_their_folder(name):
    with pytest.raises(ValueError, match="`name` must be a relative path"):
        Run(name, {}, TINY)


def test_cells_have_names_of_their_own():
    with pytest.raises(ValueError, match="No two runs must have the same name"):
        studies.sweep([Run("a", {}, TINY)] * 2, "sweep")


def test_csv_holds_any_text():
    rows = [{"a": 'x,"y"\nz', "b": None}, {"a": "<b>", "c": 1.5}]
    studies.write_csv(rows, "rows.csv")
    with open("rows.csv", newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert read == [{"a": 'x,"y"\nz', "b": "", "c": ""}, {"a": "<b>", "b": "", "c": "1.5"}]


def test_csv_leaves_empty_what_is_not_finite():
    studies.write_csv([{"a": float("nan"), "b": np.float64("inf"), "c": 0.0}], "rows.csv")
    assert Path("rows.csv").read_text() == "a,b,c\n,,0.0\n"


def report(right, n=60, classes=4):
    """A report with so many right answers, the first ones."""
    labels = np.arange(n) % classes
    guess = np.where(np.arange(n) < right, labels, (labels + 1) % classes)
    return sonikeras.Report(
        tuple(f"class {i}" for i in range(classes)), labels, guess, np.eye(classes, dtype="float32")[guess],
        loss=0.5, batch_mean_accuracy=0.5, history={"loss": [1.0, 0.5]}, seconds=1.0,
    )  # fmt: skip


def outcome(network, config, seed, result):
    cell = Run(f"{network}/{config}/{seed}", {"data": "c4", "network": network, "config": config, "seed": seed}, TINY)
    return Result(cell, result, None if result else "OSError: no network")


def text_of(blocks):
    return "\n".join(repr(block) for block in blocks)


def test_ranking_and_retention_use_the_seeds_that_both_have(tmp_path):
    results = {
        ("a", "image"): [report(60), report(58)],
        ("a", "study"): [report(50), None],
        ("b", "image"): [report(20), report(22)],
        ("b", "study"): [None, None],
    }
    outcomes = [
        outcome(network, config, seed, each)
        for (network, config), reports in results.items()
        for seed, each in enumerate(reports)
    ]
    findings = Findings(outcomes, tmp_path)
    kept, p_value = findings.retention("c4", "a", "study")
    assert kept.value == pytest.approx((50 / 60 - 0.25) / 0.75) and kept.seeds == 1 and p_value < 0.01
    assert findings.retention("c4", "b", "study") is None
    findings.signal = lambda data, config: None  # the examples of these reports are made up
    (tmp_path / "a/image/0").mkdir(parents=True)
    (tmp_path / "a/image/0/run.json").write_text('{"versions": {"python": "3"}}')
    shown = text_of(tables(findings, "command"))
    assert "'c4, image: a over b', '2', '0.633', 'below 0.001', 'yes'" in shown
    assert "c4 60 for testing" in shown
    assert "'b/study/1', 'failed', 'OSError: no network'" in shown and "5 of 8 cells" in shown


def made_up(results, tmp_path):
    """Findings of reports by (network, config), one a seed, whose images are nowhere."""
    outcomes = [
        outcome(network, config, seed, each)
        for (network, config), reports in results.items()
        for seed, each in enumerate(reports)
    ]
    for each in outcomes:
        (tmp_path / each.run.name).mkdir(parents=True)
        (tmp_path / each.run.name / "run.json").write_text("{}")
    return Findings(outcomes, tmp_path)


def test_pairs_of_networks_are_told_by_the_seeds_that_both_have(tmp_path):
    """By all of its seeds "a" is the better one; by the one that "b" has too, it is the worse one."""
    findings = made_up({("a", "image"): [report(20), report(60)], ("b", "image"): [report(30), None]}, tmp_path)
    shown = text_of(tables(findings, "command"))
    assert "'a 0.667, b 0.500'" in shown
    assert "'c4, image: b over a', '1', '0.167', '0.002', 'yes'" in shown


def test_another_test_set_is_left_out_and_told(tmp_path):
    results = {("a", "image"): [report(50)], ("a", "study"): [report(30, n=40)], ("b", "image"): [report(40, n=50)]}
    findings = made_up(results, tmp_path)
    rows = findings.rows()
    assert all("retention" not in row and row["accuracy"] for row in rows)
    shown = text_of(tables(findings, "command"))
    assert "'c4, image: a and b', '–', '–', '–', '–'" in shown and "40 to 60 for testing" in shown
    for gap in ("recognition retention: c4, a, study", "comparison: c4, a, image and c4, b, image"):
        assert "must have the same test examples" in findings.gaps[gap] and gap in shown
    assert "must be those of the report" in findings.gaps["signal retention: c4, study"]
    assert "must have the same test examples" in text_of(galleries(findings))


def test_a_study_without_any_result_says_so(tmp_path):
    shown = text_of(tables(Findings([outcome("a", "study", 1, None)], tmp_path), "command"))
    assert "0 of 1 cells are finished" in shown and "nothing to draw yet" in shown


def study(*options):
    runpy.run_path(str(RECIPE))["main"]([*options, "--out", "study"])


def test_study(image_folder, capsys, tmp_path):
    """From images in folders with hostile names to the page; then with images that are gone, and with a cell."""
    image_folder((HOSTILE, "bee|`*"), root=Path("images").absolute())
    options = ["--smoke", "--data-dir", "images", "--weights", "none", "--configs", "image", "lossless", "--seeds", "1"]
    study(*options, "--epochs", "1", "--page", "docs-of-mine/results.md")
    assert "study.html" in capsys.readouterr().out
    with open("study/results.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["config"] for row in rows] == ["image", "lossless"] and rows[1]["error"] == ""
    assert float(rows[1]["psnr"]) > 20 and rows[1]["retention_seeds"] == "1"
    page = Path("study/study.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page and "&lt;img src=x onerror=&quot;alert(1)&quot;&gt;" in page
    assert page.count("<audio ") == 2 and "Heat map of" in page and "14 for training and 4 for testing" in page
    if has_browser():
        with open_browser(tmp_path / "chromium") as browser:
            assert len(check_page(browser, Path("study/study.html").absolute())) == 2
    markdown = Path("docs-of-mine/results.md").read_text(encoding="utf-8")
    assert "python recipes/study.py --smoke" in markdown and "| all, lossless |" in markdown
    assert len(list(Path("docs-of-mine/images").glob("results-*.png"))) >= 3

    tested = sonikeras.Report.load("study/all/efficientnet_lite0/lossless/42").names[0]
    (image,) = Path("images").glob(f"{glob.escape(tested)}*")
    image.rename(image.with_name("other.png"))
    study(*options, "--epochs", "1", "--only-page")
    page = Path("study/study.html").read_text(encoding="utf-8")
    assert "2 of 2 cells are finished" in page and "<audio" not in page

    Path("images").rename("gone")
    Path("study/all/efficientnet_lite0/lossless/42/report.json").unlink()
    study(*options, "--epochs", "1", "--only-page")
    page = Path("study/study.html").read_text(encoding="utf-8")
    assert "1 of 2 cells are finished" in page and "not finished" in page and "No cell with sounds" in page


def test_a_failed_cell_is_told_at_the_end():
    with pytest.raises(SystemExit, match="error: 1 of 1 runs failed: c2/efficientnet_lite0/image/42"):
        study("--data", "c2", "--configs", "image", "--seeds", "1", "--weights", "nowhere.h5")
    assert "nowhere.h5" in Path("study/study.html").read_text(encoding="utf-8")
    with pytest.raises(SystemExit, match=r"error: Argument `backbone` must be one of .*alexnet"):
        study("--models", "alexnet")
