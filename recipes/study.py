"""How much of an image survives in its sound: networks x data sets x signal chains x seeds, and a page of the results.

Every run has a folder of its own. The same command again runs what is not finished, and writes the page anew.
"image" is the baseline: the same network on the images themselves.
"""

from __future__ import annotations

import argparse
import itertools
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sonikeras import models
from sonikeras.config import presets
from sonikeras.config._errors import in_one_line
from sonikeras.evaluation import sweep as studies
from sonikeras.reporting import pages
from sonikeras.reporting.findings import IMAGE, Findings
from sonikeras.reporting.galleries import galleries
from sonikeras.reporting.pages import Text
from sonikeras.reporting.study_page import tables
from sonikeras.signal.engines import engines
from sonikeras.training import Recipe

DATA = ("c2", "c4", "c10", "c15")
FIRST_SEED = 42
SMOKE: dict[str, Any] = {"data": ["c2", "c4"], "images_per_class": 10, "epochs": 2, "seeds": 2}
SMOKE_SIZE = 64  # pixels
TITLE = "How much of an image survives in its sound"


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    options = parse(arguments)
    directory = Path(options.out)
    try:
        runs = make_runs(options)
        results = (studies.load if options.only_page else studies.sweep)(runs, directory)
        findings = Findings(results, directory)
        studies.write_csv(findings.rows(), directory / "results.csv")
        given = shlex.join(each for each in arguments if each != "--only-page")
        blocks = tables(findings, f"python recipes/study.py {given}".rstrip())
        pages.write_html(directory / "study.html", TITLE, [*blocks, *galleries(findings)])
        if options.page:
            pages.write_markdown(options.page, TITLE, [*blocks, Text(LEFT_OUT)])
    except KeyboardInterrupt:
        sys.exit(f"Interrupted. The same command goes on from the last finished epoch in {directory}.")
    except Exception as error:
        if (message := in_one_line(error)) is None:
            raise
        sys.exit(f"error: {message}")
    print(f"The results are in {directory}/results.csv and {directory}/study.html")
    failed = [result.run.name for result in results if result.error]
    if failed:
        sys.exit(f"error: {len(failed)} of {len(results)} runs failed: {', '.join(failed)}. See their error.txt.")


LEFT_OUT = (
    "Pictures are squeezed whole into the size of the network. The published study cut out their middle, 44 % of "
    "the time; what that costs is on the page about training. Networks whose weights are not at hand were not "
    "measured, nor were colors: a sound carries brightness alone. The command also writes study.html, a page in "
    "one file that has besides: the confusion matrices as tables, images with their sounds to play, their "
    "spectrograms and the images heard back, what the network looks at (Grad-CAM), and the images that are lost: "
    "right when seen, wrong when heard."
)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--models", nargs="+", default=["efficientnet_lite0"], help=f"of {', '.join(models.backbones())}")
    add("--data", nargs="+", help=f"default: {' '.join(DATA)}; with --data-dir all of its classes")
    add("--configs", nargs="+", choices=[IMAGE, *presets()], default=[IMAGE, "lossless", "matched", "study"])
    add("--seeds", type=int, help=f"how many, from {FIRST_SEED} on. Default: 3")
    add("--data-dir", help="folder <class>/* or {train,test}/<class>/* to take instead of the built-in images")
    add("--source", default="builtin", help="where images come from without --data-dir. Default: %(default)s")
    add("--weights", default="imagenet", help='"imagenet", "none" or a file. Default: %(default)s')
    add("--images-per-class", type=int, help="at most so many, a fifth of them for testing. Default: all")
    add("--epochs", type=int, help="Default: 25")
    add("--head", choices=models.heads(), default="linear", help="Default: %(default)s")
    add("--batch-norm", choices=models.BATCH_NORMS, default="inference", help="Default: %(default)s")
    add("--engine", choices=["auto", *engines()], default="auto", help="of the sonification. Default: %(default)s")
    add("--out", help="folder of the study. Default: runs/study, or runs/study-smoke")
    add("--page", metavar="PATH", help="write the results as Markdown too, with figures in images/ beside it")
    add("--only-page", action="store_true", help="run nothing; write the page of what is there")
    add("--smoke", action="store_true", help=f"five minutes at most through every step: {SMOKE}, {SMOKE_SIZE} pixels")
    options = parser.parse_args(arguments)
    defaults: dict[str, Any] = {"data": list(DATA), "epochs": 25, "seeds": 3} | (SMOKE if options.smoke else {})
    for name, value in (defaults | ({"data": [None]} if options.data_dir else {})).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1. Received: {options.seeds}")
    options.out = options.out or ("runs/study-smoke" if options.smoke else "runs/study")
    return options


def make_runs(options: argparse.Namespace) -> list[studies.Run]:
    runs = []
    networks = [models.spec(name) for name in dict.fromkeys(options.models)]
    seeds = range(FIRST_SEED, FIRST_SEED + options.seeds)
    # Runs that share features follow each other.
    for data, spec, config, seed in itertools.product(options.data, networks, options.configs, seeds):
        recipe = Recipe(
            network=spec.name,
            data=data,
            data_dir=options.data_dir,
            source=options.source,
            images_per_class=options.images_per_class,
            output="image" if config == IMAGE else "picture",
            config="study" if config == IMAGE else config,
            engine=options.engine,
            image_size=min(spec.image_size, SMOKE_SIZE) if options.smoke else spec.image_size,
            weights=None if options.weights == "none" else options.weights,
            head=options.head,
            batch_norm=options.batch_norm,
            epochs=options.epochs,
            seed=seed,
        )
        name = data or "all"
        factors: dict[str, str | int | float] = {"data": name, "network": spec.name, "config": config, "seed": seed}
        runs.append(studies.Run(f"{name}/{spec.name}/{config}/{seed}", factors, recipe))
    return runs


if __name__ == "__main__":
    main()
