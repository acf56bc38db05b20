"""A study writes tables, figures and a page of its results, and says what is missing."""

import csv
import glob
import re
import runpy
from pathlib import Path

import markupsafe
import numpy as np
import pytest
from test_documents import check_page, has_browser, open_browser

import sonikeras
from sonikeras.evaluation import experiment, plots
from sonikeras.evaluation.sweep import Result, Run
from sonikeras.reporting import Note
from sonikeras.reporting.examples import example_galleries
from sonikeras.reporting.study import StudyResults
from sonikeras.reporting.tables import confusion_matrices, study_tables
from sonikeras.training import Recipe

RECIPE = Path(__file__).parents[2] / "recipes" / "study.py"
TINY = Recipe(network="efficientnet_lite0", data="c2", images_per_class=5, image_size=32, epochs=1, output="image")
HOSTILE = '<img src=x onerror="alert(1)">'.replace("/", "")


def report(right, n=60, classes=4):
    """A report with so many right answers, the first ones."""
    labels = np.arange(n) % classes
    guess = np.where(np.arange(n) < right, labels, (labels + 1) % classes)
    return sonikeras.Report(
        tuple(f"class {i}" for i in range(classes)), labels, guess, np.eye(classes, dtype="float32")[guess],
        loss=0.5, batch_mean_accuracy=0.5, history={"loss": [1.0, 0.5]}, seconds=1.0,
    )  # fmt: skip


def result(network, config, seed, report, error="OSError: no network"):
    run = Run(f"{network}/{config}/{seed}", {"data": "c4", "network": network, "config": config, "seed": seed}, TINY)
    return Result(run, report, None if report else error)


def study_of(reports, tmp_path):
    """The results of a study with these reports by (network, config), one a seed, and empty run folders."""
    results = [
        result(network, config, seed, each)
        for (network, config), each_seed in reports.items()
        for seed, each in enumerate(each_seed)
    ]
    for each in results:
        (tmp_path / each.run.name).mkdir(parents=True)
        (tmp_path / each.run.name / "run.json").write_text('{"versions": {"python": "3"}}')
    return StudyResults(results, tmp_path)


def text_of(blocks):
    return "\n".join(repr(block) for block in blocks)


def test_ranking_and_retention_use_the_seeds_that_both_have(tmp_path):
    reports = {
        ("a", "image"): [report(60), report(58)],
        ("a", "study"): [report(50), None],
        ("b", "image"): [report(20), report(22)],
        ("b", "study"): [None, None],
    }
    results = study_of(reports, tmp_path)
    kept, p_value = results.retention("c4", "a", "study")
    assert kept.value == pytest.approx((50 / 60 - 0.25) / 0.75) and kept.seeds == 1 and p_value < 0.01
    assert results.retention("c4", "b", "study") is None
    shown = text_of(study_tables(results, "command"))
    assert "'c4, image: a over b', '2', '0.633', 'below 0.001', 'yes'" in shown
    assert "c4 60 for testing" in shown and "Recognition retention of a on c4" in shown
    assert "5 of 8 runs" in shown


def test_an_error_of_many_runs_is_shown_once(tmp_path):
    reports = {("a", "image"): [report(60)], ("a", "study"): [None, None], ("b", "study"): [None]}
    shown = text_of(study_tables(study_of(reports, tmp_path), "command"))
    assert "['failed: OSError: no network', '3', 'a/study/0, a/study/1, b/study/0']" in shown
    assert shown.count("no network") == 1


def test_pairs_of_networks_are_compared_on_the_seeds_that_both_have(tmp_path):
    """On all of its seeds "a" is better; on the one that "b" has too, it is worse."""
    results = study_of({("a", "image"): [report(20), report(60)], ("b", "image"): [report(30), None]}, tmp_path)
    shown = text_of(study_tables(results, "command"))
    assert "'a 0.667, b 0.500'" in shown
    assert "'c4, image: b over a', '1', '0.167', '0.002', 'yes'" in shown


def test_another_test_set_is_left_out_with_the_reason(tmp_path):
    reports = {("a", "image"): [report(50)], ("a", "study"): [report(30, n=40)], ("b", "image"): [report(40, n=50)]}
    results = study_of(reports, tmp_path)
    rows = results.rows()
    assert all("retention" not in row and row["accuracy"] for row in rows)
    shown = text_of(study_tables(results, "command"))
    assert "'c4, image: a and b', '–', '–', '–', '–'" in shown and "40 to 60 for testing" in shown
    for gap in ("recognition retention: c4, a, study", "comparison: c4, a, image and c4, b, image"):
        assert "must have the same test examples" in results.gaps[gap] and gap in shown
    assert "The run folder has no samples" in results.gaps["samples: a/study/0"]
    assert "must have the same test examples" in text_of(example_galleries(results))


def test_a_study_without_any_result_says_so(tmp_path):
    results = StudyResults([result("a", "study", 1, None)], tmp_path)
    shown = text_of([*study_tables(results, "command"), *confusion_matrices(results), *example_galleries(results)])
    assert "0 of 1 runs are finished" in shown and "no results yet" in shown


def test_a_smoke_run_says_so_and_concludes_nothing(tmp_path):
    results = study_of({("a", "image"): [report(60)], ("a", "study"): [report(50)]}, tmp_path)
    first, *others = study_tables(results, "command", smoke=True)
    assert isinstance(first, Note) and first.text.startswith("This is a smoke run")
    assert "Recognition retention of a on c4" not in text_of(others)
    assert not any(isinstance(block, Note) for block in study_tables(results, "command"))


def test_gray_images_are_compared_with_the_baseline_and_are_no_signal_chain(tmp_path):
    results = study_of(
        {("a", "image"): [report(60)], ("a", "image_gray"): [report(55)], ("a", "study"): [report(50)]}, tmp_path
    )
    assert results.chains == ["study"] and results.against_image == ["image_gray", "study"]
    shown = text_of([*study_tables(results, "command"), *example_galleries(results)])
    assert "['c4, image_gray', '0.889" in shown and '"image_gray" is the same in gray' in shown
    assert not any("image_gray" in gap for gap in results.gaps)
    gray = results.rows()[1]
    assert gray["retention"] == pytest.approx((55 / 60 - 0.25) / 0.75) and "psnr" not in gray


def test_a_data_set_named_by_its_classes_says_so_once(tmp_path):
    run = Run("r", {"data": "4 classes", "network": "a", "config": "image", "seed": 1}, TINY)
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "run.json").write_text('{"versions": {"python": "3"}}')
    shown = text_of(study_tables(StudyResults([Result(run, report(60))], tmp_path), "command"))
    assert "'4 classes'" in shown and "4 classes (4" not in shown


def test_a_smoke_run_finds_no_network_better(tmp_path):
    results = study_of({("a", "image"): [report(60)], ("b", "image"): [report(20)]}, tmp_path)
    assert "'below 0.001', 'yes']" in text_of(study_tables(results, "command"))
    assert "'below 0.001', '–']" in text_of(study_tables(results, "command", smoke=True))


def test_the_page_says_how_seeds_enter_the_intervals(tmp_path):
    shown = text_of(study_tables(study_of({("a", "image"): [report(60), report(58)]}, tmp_path), "command"))
    assert "sample size is the number of test images, because all seeds share them" in shown
    assert "generalizes to other test images, not to other seeds" in shown


def test_a_reason_for_missing_images_is_given_once(tmp_path):
    """The test images of "study" and "matched" are not those of the baseline."""
    other = [report(30, n=40)]
    reports = {("a", "image"): [report(50)], ("a", "study"): other, ("a", "matched"): other}
    shown = text_of(example_galleries(study_of(reports, tmp_path)))
    assert shown.count("must have the same test examples") == 1 and "for a reason given above" in shown


def test_figures_share_colors_and_axes(tmp_path, monkeypatch):
    drawn = []

    def lines(points, path, **options):
        drawn.append((list(points), options["order"], options["x_ticks"], options["y_limits"]))
        path.write_bytes(b"")

    def curves(history, path, **options):
        drawn.append((options["split"], options["y_limits"]))
        path.write_bytes(b"")

    monkeypatch.setattr(plots, "lines", lines)
    monkeypatch.setattr(plots, "curves", curves)
    (tmp_path / "figures").mkdir()
    reports = {(name, config): [report(40 + i)] for i, name in enumerate("ab") for config in ("image", "study")}
    study_tables(study_of(reports, tmp_path), "command")
    accuracy, retention, learning = drawn[:2], drawn[2:4], drawn[4:]
    for plotted, chains in ((accuracy, ["image", "study"]), (retention, ["study"])):
        assert [names for names, *_ in plotted] == [chains] * 2
        assert all(order == ["image", "study"] for _, order, *_ in plotted) and plotted[0][2:] == plotted[1][2:]
    assert len(learning) == 4 and learning[0][0] == "test" and all(each == learning[0] for each in learning)


def test_captions_mention_error_bars_only_if_there_are_some(tmp_path):
    """Where chance does as well as the classifier on the images, retention has no interval, hence no bar."""
    reports = {("a", "image"): [report(60)], ("a", "study"): [report(50)], ("b", "image"): [report(16)]}
    reports[("b", "study")] = [report(17)]
    shown = text_of(study_tables(study_of(reports, tmp_path), "command"))
    captions = re.findall(r"caption='(Recognition retention of . ?[^']*|Recognition retention of .)'", shown)
    assert captions == ["Recognition retention of a; error bars: 95 % intervals", "Recognition retention of b"]


def study(*options):
    runpy.run_path(str(RECIPE))["main"]([*options, "--out", "study"])


def test_study(image_folder, capsys, tmp_path):
    """From images in folders with hostile names to the page; then without these images, and without a report."""
    image_folder((HOSTILE, "bee|`*"), root=Path("images").absolute())
    options = ["--smoke", "--data-dir", "images", "--weights", "none", "--configs", "image", "lossless", "--seeds", "1"]
    study(*options, "--epochs", "1", "--page", "docs-of-mine/results.md")
    assert "study.html" in capsys.readouterr().out
    with open("study/results.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["config"] for row in rows] == ["image", "lossless"] and rows[1]["error"] == ""
    assert float(rows[1]["psnr"]) > 20 and rows[1]["retention_seeds"] == "1"
    page = Path("study/study.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page and str(markupsafe.escape(HOSTILE)) in page
    assert page.count("<audio ") == 2 and "Heat map of" in page and "14 for training and 4 for testing" in page
    assert page.index("This is a smoke run") < page.index("<table")
    if has_browser():
        with open_browser(tmp_path / "chromium") as browser:
            assert len(check_page(browser, Path("study/study.html").absolute())) == 2
    markdown = Path("docs-of-mine/results.md").read_text(encoding="utf-8")
    assert "The published study" not in markdown and "This is a smoke run" in markdown.split("##")[0]
    assert "python recipes/study.py --smoke" in markdown and "| all, lossless |" in markdown
    assert len(list(Path("docs-of-mine/images").glob("results-*.png"))) >= 3

    # The page needs the images of the data set only for those that are lost.
    tested = sonikeras.Report.load("study/all/efficientnet_lite0/lossless/42").names[0]
    (image,) = Path("images").glob(f"{glob.escape(tested)}*")
    image.rename(image.with_name("other.png"))
    study(*options, "--epochs", "1", "--only-page")
    page = Path("study/study.html").read_text(encoding="utf-8")
    assert "2 of 2 runs are finished" in page and page.count("<audio ") == 2
    Path("study/all/efficientnet_lite0/lossless/42/samples.json").unlink()
    study(*options, "--epochs", "1", "--only-page")
    page = Path("study/study.html").read_text(encoding="utf-8")
    assert "<audio" not in page and "The run folder has no samples" in page

    Path("images").rename("gone")
    Path("study/all/efficientnet_lite0/lossless/42/report.json").unlink()
    study(*options, "--epochs", "1", "--only-page")
    page = Path("study/study.html").read_text(encoding="utf-8")
    assert "1 of 2 runs are finished" in page and "not finished" in page and "No run on sonified images" in page


def test_a_failed_run_is_reported_at_the_end(monkeypatch):
    def full(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr(experiment, "run", full)
    with pytest.raises(SystemExit, match="error: 1 of 1 runs failed: c2/efficientnet_lite0/image/42"):
        study("--data", "c2", "--configs", "image", "--seeds", "1")
    assert "No space left on device" in Path("study/study.html").read_text(encoding="utf-8")
    with pytest.raises(SystemExit, match=r"error: Argument `backbone` must be one of .*alexnet"):
        study("--models", "alexnet")


def test_help_has_no_dictionary(capsys):
    with pytest.raises(SystemExit, match="0"):
        study("--help")
    assert "{'" not in capsys.readouterr().out
