"""The benchmark runs through, and its figures make sense."""

import json
import subprocess
import sys
from pathlib import Path

RECIPE = Path(__file__).parents[1] / "recipes" / "benchmark.py"


def test_benchmark(tmp_path):
    command = [sys.executable, RECIPE, "--smoke", "--rounds", "1", "--out", tmp_path, "--json", tmp_path / "all.json"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = json.loads((tmp_path / "all.json").read_text())
    for part in ("one core", "all cores"):
        rows = figures[part]
        assert rows["librosa, study"]["times librosa"] == 1
        lossless = rows["lossless (MDCT), from the image"]
        assert lossless["psnr"] is None and lossless["exact"] == 2  # not one bit of the two images differs
        for name in ("numba, study", "tensorflow, study"):
            assert abs(rows[name]["convergence"] - rows["librosa, study"]["convergence"]) < 0.05
        assert all(row["milliseconds"] > 0 and 0.5 < row["ssim"] <= 1 for row in rows.values())
    assert figures["spectrogram"]["sonikeras.layers.Spectrogram"]["largest difference"] < 0.01
    assert all(value > 0 for value in figures["pipeline"].values())
    assert figures["frozen features"]["ratio"] > 1
    assert figures["steps"]["efficientnet_lite0"]["MiB"] > 100
    text = (tmp_path / "benchmark.md").read_text()
    assert text in result.stdout and "| numba, matched |" in text
    assert (tmp_path / "speed_quality.png").stat().st_size > 10_000


def test_accelerator(tmp_path):
    command = [sys.executable, RECIPE, "--accelerator", "--smoke", "--rounds", "1", "--out", tmp_path]
    result = subprocess.run([*command, "--json", tmp_path / "all.json"], capture_output=True, text=True, check=True)
    figures = json.loads((tmp_path / "all.json").read_text())
    assert abs(figures["device"]["convergence"]["Griffin-Lim, study"] - figures["librosa"]["convergence"]) < 0.05
    assert all(error < 1e-4 for error in figures["differences"].values())
    assert (tmp_path / "accelerator.md").read_text() in result.stdout
