"""The benchmark runs through all subjects, and its results are plausible."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[1] / "recipes"


@pytest.fixture
def benchmark(monkeypatch):
    """The recipe, with its parts measured in this process: to start one for each takes minutes."""
    monkeypatch.syspath_prepend(RECIPES)
    import benchmark
    from benchmarks import measuring

    def run(options, *part, cores, **variables):
        monkeypatch.setenv("SONIKERAS_BENCHMARK_CORES", str(cores))
        return json.loads(json.dumps(benchmark.PARTS[part[0]](*part[1:], options)))

    monkeypatch.setattr(measuring, "run", run)
    monkeypatch.setattr(measuring, "limit_threads", lambda: None)  # which only a new process can
    return benchmark


def figures(benchmark, monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", ["", "--smoke", "--rounds", "1", *options, "--out", "out", "--json", "all.json"])
    benchmark.main()
    return json.loads(Path("all.json").read_text())


def test_benchmark(benchmark, monkeypatch, capsys):
    results = figures(benchmark, monkeypatch)
    for part in ("one core", "all cores"):
        rows = results[part]
        assert rows["librosa, study"]["times librosa"] == 1
        lossless = rows["lossless (MDCT), from the image"]
        assert lossless["psnr"] is None and lossless["exact"] == 2  # not one bit of the two images differs
        assert rows["scan (oscillators), 64 x 64, from the image"]["psnr"] > 45
        for name in ("numba, study", "tensorflow, study"):
            assert abs(rows[name]["convergence"] - rows["librosa, study"]["convergence"]) < 0.05
        assert all(row["milliseconds"] > 0 and 0.5 < row["ssim"] <= 1 for row in rows.values())
    assert results["spectrogram"]["sonikeras.layers.Spectrogram"]["largest difference"] < 0.01
    assert all(value > 0 for value in results["pipeline"].values())
    assert results["frozen features"]["ratio"] > 1
    assert results["steps"]["efficientnet_lite0"]["MiB"] > 100
    assert all(rate > 0 for rate in results["records"].values())
    for command, seconds in results["command line"].items():
        known = [value for value in seconds.values() if value is not None]
        assert all(value > 0 for value in known) and (known or command == "sonikeras --version")
    text = Path("out/benchmark.md").read_text()
    assert text in capsys.readouterr().out and "| numba, matched |" in text
    assert Path("out/speed_quality.png").stat().st_size > 10_000


def test_accelerator(benchmark, monkeypatch, capsys):
    results = figures(benchmark, monkeypatch, "--accelerator")
    device = results["device"]["convergence"]["Griffin-Lim, study"]
    assert abs(device - results["librosa"]["convergence"]) < 0.2  # from other phases
    assert all(error < 1e-4 for error in results["differences"].values())
    assert Path("out/accelerator.md").read_text() in capsys.readouterr().out


def test_a_part_runs_in_a_process_of_its_own():
    command = [sys.executable, RECIPES / "benchmark.py", "--smoke", "--rounds", "1", "--part", "librosa"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout)["convergence"] < -20
