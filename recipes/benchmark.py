"""Speed, error and memory of sonikeras and its alternatives, side by side in one run.

Candidates take turns, and each ratio is the median over the rounds: a machine that slows down slows all of them. Every
number of cores and every peak of memory is measured in a process of its own, since libraries choose their threads when
they start. The subjects are the modules of `recipes/benchmarks`.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from benchmarks import accelerator, command_line, files, pipeline, sonification, spectrogram, training

SUBJECTS = (sonification, spectrogram, command_line, pipeline, training, files)
PARTS = {name: part for subject in (*SUBJECTS, accelerator) for name, part in subject.PARTS.items()}


def main() -> None:
    options = parser().parse_args()
    if options.part:
        print(json.dumps(PARTS[options.part[0]](*options.part[1:], options)))
        return
    directory = Path(options.out)
    directory.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"cores": os.cpu_count(), "rounds": options.rounds}
    subjects = (accelerator,) if options.accelerator else SUBJECTS
    for subject in subjects:
        results |= subject.collect(options)
    if not options.accelerator:
        sonification.plot(results, directory / "speed_quality.png")
    text = "\n\n".join(subject.section(results) for subject in subjects) + "\n"
    print(text)
    (directory / ("accelerator.md" if options.accelerator else "benchmark.md")).write_text(text)
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1))
    print(f"The results are in {directory}")


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="runs/benchmark", help="folder for tables and plot. Default: %(default)s")
    parser.add_argument("--json", metavar="PATH", help="also write all figures to this file")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each candidate. Default: %(default)s")
    parser.add_argument("--smoke", action="store_true", help="run through every step in a minute or two")
    parser.add_argument(
        "--compare-python",
        metavar="PATH",
        help="also measure the command line of another installation of sonikeras: the path of its Python",
    )
    parser.add_argument(
        "--accelerator",
        action="store_true",
        help="measure the device of Keras' backend, such as a GPU, against the processor and librosa, and nothing "
        "else. With KERAS_BACKEND=jax or torch it needs no TensorFlow",
    )
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
