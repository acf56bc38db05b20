"""The results of transmission: their page, their table, and how runs are paired."""

import csv
import importlib.util
import types
from pathlib import Path

import numpy as np
import pytest

import sonikeras
from sonikeras.evaluation.retention import Retention
from sonikeras.evaluation.transmission import Point
from sonikeras.reporting import transmission_tables
from sonikeras.reporting.transmission import in_order
from sonikeras.reporting.transmission_tables import interval


@pytest.fixture(scope="module")
def recipe():
    spec = importlib.util.spec_from_file_location("recipe", Path(__file__).parents[2] / "recipes" / "channels.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_recipe(recipe, image_folder, tiny_network, monkeypatch):
    """A few runs, and the page of what is there."""
    few = {"SNR": (), "CODECS": {}, "JPEG_BYTES": (350,), "FRAMES": (), "BINS": (), "OTHERS": ()}
    for name, value in few.items():
        monkeypatch.setattr(recipe, name, value)
    root = image_folder(count=5)
    arguments = ["--smoke", "--data-dir", str(root), "--network", tiny_network, "--weights", "none"]
    arguments += ["--config", "lossless", "--out", "out", "--page", "site/page.md"]
    recipe.main(arguments)
    jpeg = {path: path.stat().st_mtime_ns for path in Path("out/jpeg").rglob("*.jpg")}
    (report,) = Path("out").glob("bytes/jpeg-*/42/report.json")
    report.unlink()  # an interrupted run resumes: its images are the same files
    stray = next(iter(jpeg)).with_name("stray.jpg")
    stray.write_bytes(b"")
    recipe.main(arguments)
    assert report.exists() and not stray.exists() and not report.with_name("error.txt").exists()
    assert jpeg == {path: path.stat().st_mtime_ns for path in Path("out/jpeg").rglob("*.jpg")}
    Path("site/page.md").unlink()
    recipe.main([*arguments, "--only-page"])
    page = Path("site/page.md").read_text()
    assert "python recipes/channels.py --smoke" in page and "--only-page" not in page
    assert "| 128 x 512 | 3.00 |" in page
    assert Path("site/images/page-bytes.png").exists() and "2 test images of 80 x 60 pixels" in page
    assert "350 bytes: 8 of 8 images do not fit as JPEG at any quality." in page
    with open("out/channels.csv", newline="") as file:
        clean, reference = csv.DictReader(file)
    assert (clean["series"], clean["bytes"], clean["kbps"]) == ("16-bit PCM", "132096", "352.8")
    assert reference["series"] == "JPEG" and 1000 < int(reference["bytes"]) < 132096 and not reference["kbps"]
    assert clean["n"] == reference["n"] == "2" and clean["accuracy"] and reference["accuracy"]
    assert clean["part"] == reference["part"] == "bytes"


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(0.25, 0.75, "0.250 to 0.750"), (-np.inf, 0.75, "below 0.750"), (-np.inf, np.inf, "unbounded")],
)
def test_intervals_without_bounds_are_worded(low, high, text):
    assert interval(Retention(0.5, low, high, 0.5, 0.5, 0.1, 10, 1, 0.95)) == f"0.500 ({text})"


@pytest.mark.parametrize(
    ("low", "caption"), [(0.4, "by white noise; error bars: 95 % intervals"), (-np.inf, "by white noise")]
)
def test_captions_mention_error_bars_only_if_there_are_some(low, caption):
    point = Point("noise", "white noise", "20 dB", 20.0, "run")
    plan = types.SimpleNamespace(points=[point])
    kept = Retention(0.5, low, 0.75, 0.5, 0.5, 0.1, 10, 1, 0.95)
    found = types.SimpleNamespace(plan=plan, retention=lambda point: kept)
    (picture,) = transmission_tables._plot(found, "noise", "white noise", "dB")
    assert picture.caption == f"Recognition retention {caption}"


def test_runs_in_another_order_are_paired_by_name():
    def report(names):
        labels = np.array([len(name) for name in names])
        rows = np.eye(3, dtype="float32")[labels]
        options = {"loss": 0.0, "batch_mean_accuracy": 1.0, "history": None, "seconds": 1.0, "names": names}
        return sonikeras.Report(("a", "b", "c"), labels, labels, rows, **options)

    paired = in_order(report(("q", "", "pp")), ("", "q", "pp"))
    np.testing.assert_array_equal(paired.labels, [0, 1, 2])
    np.testing.assert_array_equal(paired.probabilities, np.eye(3))
    with pytest.raises(ValueError, match=r"must have the same test examples. Received: \['pp', 'r'\]"):
        in_order(report(("q", "", "pp")), ("", "q", "r"))
