"""How much of an image survives sonification: networks x data sets x signal chains x seeds, and a page of the results.

Every run has a folder of its own. Run the same command again to resume an interrupted study. "image" is the baseline:
the same network on the images themselves.
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
from sonikeras.evaluation import sweep
from sonikeras.reporting import Text, write_html, write_markdown
from sonikeras.reporting.examples import example_galleries
from sonikeras.reporting.study import IMAGE, StudyResults
from sonikeras.reporting.tables import confusion_matrices, study_tables
from sonikeras.signal.engines import engines
from sonikeras.training import Recipe

DATA = ("c2", "c4", "c10", "c15")
FIRST_SEED = 42
SMOKE: dict[str, Any] = {"data": ["c2", "c4"], "images_per_class": 10, "epochs": 2, "seeds": 2}
SMOKE_SIZE = 64  # pixels
TITLE = "How much of an image survives sonification"


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    options = parse(arguments)
    directory = Path(options.out)
    try:
        runs = make_runs(options)
        results = (sweep.load if options.only_page else sweep.sweep)(runs, directory)
        study = StudyResults(results, directory)
        sweep.write_csv(study.rows(), directory / "results.csv")
        given = shlex.join(each for each in arguments if each != "--only-page")
        tables = study_tables(study, f"python recipes/study.py {given}".rstrip(), smoke=options.smoke)
        write_html(directory / "study.html", TITLE, [*tables, *confusion_matrices(study), *example_galleries(study)])
        if options.page:
            write_markdown(options.page, TITLE, [*tables, Text(LIMITS)])
    except KeyboardInterrupt:
        sys.exit(f"Interrupted. Run the same command again to resume from the last finished epoch in {directory}.")
    except Exception as error:
        if (message := in_one_line(error)) is None:
            raise
        sys.exit(f"error: {message}")
    print(f"The results are in {directory}/results.csv and {directory}/study.html")
    failed = [result.run.name for result in results if result.error]
    if failed:
        sys.exit(f"error: {len(failed)} of {len(results)} runs failed: {', '.join(failed)}. See their error.txt.")


LIMITS = (
    "Every picture is resized as a whole to the input size of the network. The published study cropped the center, "
    "44 % of the duration; the page on training has the cost of this crop. Only networks with local weights were "
    "measured, and only grayscale images. study.html, a single self-contained file, also has confusion matrices, audio "
    "clips, spectrograms and reconstructed images, Grad-CAM heat maps, and lost images: those that are classified "
    "correctly as images and wrongly when sonified."
)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--models", nargs="+", default=["efficientnet_lite0"], help=f"networks: {', '.join(models.backbones())}")
    add("--data", nargs="+", help=f"Default: {' '.join(DATA)}; with --data-dir all of its classes")
    add("--configs", nargs="+", choices=[IMAGE, *presets()], default=[IMAGE, "lossless", "matched", "study"],
        help="signal chains. Default: image lossless matched study")  # fmt: skip
    add("--seeds", type=int, help=f"number of seeds, starting at {FIRST_SEED}. Default: 3")
    add("--data-dir", help="folder of images, <class>/* or {train,test}/<class>/*, instead of the built-in ones")
    add("--source", default="builtin", help="source of the images without --data-dir. Default: %(default)s")
    add("--weights", default="imagenet", help='"imagenet", "none" or the path of a file. Default: %(default)s')
    add("--images-per-class", type=int, help="largest number, a fifth of them for testing. Default: all")
    add("--epochs", type=int, help="Default: 25")
    add("--head", choices=models.heads(), default="linear", help="Default: %(default)s")
    add("--batch-norm", choices=models.BATCH_NORMS, default="inference", help="Default: %(default)s")
    add(
        "--engine",
        choices=["auto", *engines()],
        default="auto",
        help="engine of the sonification. Default: %(default)s",
    )
    add("--out", help="folder of the study. Default: runs/study, or runs/study-smoke")
    add("--page", metavar="PATH", help="also write the results as Markdown, with figures in images/ beside it")
    add("--only-page", action="store_true", help="run nothing; write the page of the finished runs")
    add("--smoke", action="store_true", help="test every step on a few small images, in five minutes at most")
    options = parser.parse_args(arguments)
    defaults: dict[str, Any] = {"data": list(DATA), "epochs": 25, "seeds": 3} | (SMOKE if options.smoke else {})
    for name, value in (defaults | ({"data": [None]} if options.data_dir else {})).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1. Received: {options.seeds}")
    options.out = options.out or ("runs/study-smoke" if options.smoke else "runs/study")
    return options


def make_runs(options: argparse.Namespace) -> list[sweep.Run]:
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
        runs.append(sweep.Run(f"{name}/{spec.name}/{config}/{seed}", factors, recipe))
    return runs


if __name__ == "__main__":
    main()
