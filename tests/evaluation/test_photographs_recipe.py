"""The recipe that measures what photographs keep: a few images, an untrained network."""

import importlib.util
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture
def recipe(monkeypatch):
    monkeypatch.syspath_prepend(RECIPES)
    spec = importlib.util.spec_from_file_location("photographs", RECIPES / "photographs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_recipe(recipe, image_folder, monkeypatch, capsys):
    monkeypatch.setattr(recipe, "PRESETS", ("matched", "photo_lossless"))
    monkeypatch.setattr(recipe, "CHOICES", {"gray": {"color": "gray"}})
    arguments = ["--data-dir", str(image_folder(count=5)), "--weights", "none", "--seeds", "1", "--choices"]
    recipe.main([*arguments, "--out", "out"])
    page = Path("out/photographs.md").read_text("utf-8")
    assert page in capsys.readouterr().out
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    names = [row[0] for row in rows]
    assert names[-5:] == ["image, color", "image, gray", "matched", "photo_lossless", "photo: gray"]
    color, matched = rows[-5], rows[-3]
    assert color[2:5] == ["exact", "exact", "0.000"] and color[6].startswith("1.000")
    assert matched[1] == "1.0" and 10 < float(matched[2]) < 60 and float(matched[4]) > 0


def test_a_folder_that_does_not_exist(recipe):
    with pytest.raises(SystemExit, match="error: .*nowhere"):
        recipe.main(["--data-dir", "nowhere"])
