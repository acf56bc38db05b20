"""What all benchmarks share: parts in processes of their own, candidates in turns, images, tables."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

RECIPE = Path(__file__).parents[1] / "benchmark.py"
MISSING = "–"


def run(options: argparse.Namespace, *part: str, cores: int | None, **variables: str) -> Any:
    """Runs a part in a process of its own, with this number of cores and these environment variables."""
    print(f"measuring: {' '.join(part)}, {cores} core(s) ...", file=sys.stderr, flush=True)
    threads = {f"{name}_NUM_THREADS": str(cores) for name in ("OMP", "MKL", "OPENBLAS")}
    own = {"TF_CPP_MIN_LOG_LEVEL": "3", "SONIKERAS_BENCHMARK_CORES": str(cores)}
    environment = os.environ | threads | own | variables
    arguments = ["--rounds", str(options.rounds), *(["--smoke"] if options.smoke else [])]
    if options.compare_python:
        arguments += ["--compare-python", options.compare_python]
    command = [sys.executable, str(RECIPE), *arguments, "--part", *part]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"The part could not be measured: {' '.join(part)}\n{result.stderr}")
    return json.loads(result.stdout.splitlines()[-1])


def cores() -> int:
    """The number of cores of this process."""
    return int(os.environ["SONIKERAS_BENCHMARK_CORES"])


def limit_threads() -> None:
    """Keeps TensorFlow and OpenCV to the cores of this process."""
    import cv2
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(cores())
    tf.config.threading.set_inter_op_parallelism_threads(cores())
    cv2.setNumThreads(1)


def images(count: int) -> list[np.ndarray]:
    """Crops of the two photos that come with scikit-learn."""
    from sklearn.datasets import load_sample_images

    starts = [(top, left) for top in (0, 127) for left in (0, 113, 227, 340)]
    crops = [photo[top:, left:][:300, :300] for top, left in starts for photo in load_sample_images().images]
    return crops[:count]


def turns(
    candidates: Mapping[Any, Callable[[], Any]], rounds: int, *, clock: Callable[[], float] = time.perf_counter
) -> dict[Any, np.ndarray]:
    """Seconds of each candidate, `[rounds]`. The first turn compiles and is not counted."""
    seconds: dict[Any, list[float]] = {name: [] for name in candidates}
    for number in range(rounds + 1):
        for name, candidate in candidates.items():
            start = clock()
            candidate()
            if number:
                seconds[name].append(clock() - start)
    return {name: np.array(values) for name, values in seconds.items()}


def peak_memory() -> float:
    """The peak memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def convergence(audios: list[np.ndarray], magnitudes: list[np.ndarray]) -> float:
    """Mean spectral convergence in dB, `20 log10(||abs(STFT y) - S|| / ||S||)`, with librosa's transform."""
    import librosa

    reached = [np.abs(librosa.stft(np.array(audio), n_fft=1024, hop_length=512)) for audio in audios]
    values = [np.linalg.norm(a - s) / np.linalg.norm(s) for a, s in zip(reached, magnitudes, strict=True)]
    return float(np.mean(20 * np.log10(values)))


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, rule, *rows])
