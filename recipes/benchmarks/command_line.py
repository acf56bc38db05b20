"""The command line: processor seconds of a start and of one image."""

from __future__ import annotations

import argparse
import functools
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import measuring
from benchmarks.measuring import MISSING, table


def collect(options: argparse.Namespace) -> dict[str, Any]:
    return {"command line": measuring.run(options, "command-line", cores=os.cpu_count())}


def command_line(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Processor seconds, user and system, of commands of this installation and of the one to compare with.

    The first turn is not counted, so compiled kernels are in the cache. A command that an installation lacks has no
    result.
    """
    pythons = {"this installation": sys.executable}
    if options.compare_python:
        pythons["compared installation"] = options.compare_python
    with tempfile.TemporaryDirectory() as directory:
        photo, audio, reconstruction = (str(Path(directory) / name) for name in ("a.png", "b.wav", "c.png"))
        Image.fromarray(measuring.images(1)[0]).save(photo)
        commands = {
            "sonikeras --version": ["--version"],
            "sonikeras sonify, one image": ["sonify", photo, audio],
            "sonikeras desonify, one audio file": ["desonify", audio, reconstruction],
        }
        candidates = {
            (command, name): functools.partial(call, python, "-m", "sonikeras", *arguments)
            for command, arguments in commands.items()
            for name, python in pythons.items()
            if call(python, "-m", "sonikeras", *arguments).returncode == 0
        }
        seconds = measuring.turns(candidates, options.rounds, clock=processor_seconds)
    show = "import sonikeras; print(sonikeras.__version__)"
    names = {name: f"{name}, {call(python, '-c', show).stdout.strip()}" for name, python in pythons.items()}
    return {
        command: {
            names[name]: float(np.median(seconds[command, name])) if (command, name) in seconds else None
            for name in pythons
        }
        for command in commands
    }


def call(python: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a Python, which does not import from the current folder."""
    environment = dict(os.environ)
    if python != sys.executable:
        environment.pop("PYTHONPATH", None)  # it may lead to this installation
    return subprocess.run([python, "-P", *arguments], env=environment, capture_output=True, text=True)


def processor_seconds() -> float:
    """Processor seconds of all processes that this one has waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def section(results: dict[str, Any]) -> str:
    rows = results["command line"]
    body = [
        [name, *(MISSING if value is None else f"{value:.2f}" for value in row.values())] for name, row in rows.items()
    ]
    head = ["", *(f"{name}, s" for name in next(iter(rows.values())))]
    return f"### Command line, start and one image, processor seconds\n\n{table(head, body)}"


PARTS: dict[str, Callable[..., Any]] = {"command-line": command_line}
