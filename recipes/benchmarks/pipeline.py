"""`sonikeras.dataset`: examples a second, and memory that does not grow with the data."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from benchmarks import measuring
from benchmarks.measuring import table


def collect(options: argparse.Namespace) -> dict[str, Any]:
    cores, counts = os.cpu_count(), (40, 80) if options.smoke else (800, 8000)
    return {
        "pipeline": measuring.run(options, "pipeline", cores=cores),
        "pipeline memory": {n: measuring.run(options, "pipeline-memory", str(n), cores=cores) for n in counts},
    }


def pipeline(options: argparse.Namespace) -> dict[str, float]:
    """Examples a second in an epoch of `dataset("c10")`."""
    measuring.limit_threads()
    result = {}
    per_class = {"librosa": 5 if options.smoke else 25, "auto": 5 if options.smoke else 280}
    kinds = [("study", "librosa"), ("study", "auto"), ("matched", "auto"), ("lossless", "auto")]
    for config, engine in kinds[:2] if options.smoke else kinds:
        with tempfile.TemporaryDirectory() as cache:
            arguments = {"config": config, "engine": engine, "images_per_class": per_class[engine], "cache": cache}
            warm_up = arguments | {"images_per_class": 5, "seed": 1, "batch_size": 4}
            rate(warm_up)
            result[f"{config}, {engine}, cold"] = rate(arguments)[0]
            result[f"{config}, {engine}, from the cache"] = rate(arguments)[0]
            if (config, engine) == ("study", "auto"):
                result["audio, from the cache"] = rate(arguments | {"output": "audio"})[0]
    return result


def rate(arguments: dict[str, Any]) -> tuple[float, int]:
    """Examples a second, and the number of examples."""
    import sonikeras

    data = sonikeras.dataset("c10", shuffle=False, **arguments)
    start, count = time.perf_counter(), 0
    for x, _ in data:
        count += len(x)
    return count / (time.perf_counter() - start), count


def pipeline_memory(count: str, options: argparse.Namespace) -> float:
    """Peak MiB of a process that reads a pipeline of this number of images once, without a cache."""
    measuring.limit_threads()
    # The training split of c10 has eight of ten images of each of ten classes.
    if rate({"images_per_class": int(count) // 8, "cache": False})[1] != int(count):
        sys.exit(f"The pipeline must have {count} images.")
    return measuring.peak_memory()


def section(results: dict[str, Any]) -> str:
    speed = [[name, f"{value:.0f}"] for name, value in results["pipeline"].items()]
    memory = [[str(count), f"{value:.0f}"] for count, value in results["pipeline memory"].items()]
    return (
        f'### `dataset("c10")`, {results["cores"]} cores\n\n{table(["", "examples a second"], speed)}\n\n'
        f"### Peak memory of the pipeline\n\n{table(['images', 'MiB'], memory)}"
    )


PARTS: dict[str, Callable[..., Any]] = {"pipeline": pipeline, "pipeline-memory": pipeline_memory}
