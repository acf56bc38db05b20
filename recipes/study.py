"""How much of an image survives sonification: networks x data sets x signal chains x seeds, and a page of the results.

Every run has a folder of its own. Run the same command again to resume an interrupted study. "image" is the baseline:
the same network on the images themselves.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path

from sonikeras import models
from sonikeras.cli.sweeps import SweepScript, config_names, image_or_config, results_of
from sonikeras.config import as_config, presets
from sonikeras.evaluation.sweep import Result, Run, write_csv
from sonikeras.reporting import Text, write_html, write_markdown
from sonikeras.reporting.examples import example_galleries
from sonikeras.reporting.study import IMAGE, StudyResults
from sonikeras.reporting.tables import confusion_matrices, study_tables
from sonikeras.signal.engines import engines
from sonikeras.training import Recipe

TITLE = "How much of an image survives sonification"
DATA, SMOKE_DATA = ("c2", "c4", "c10", "c15"), ("c2", "c4")
CONFIGS = (IMAGE, "lossless", "matched", "study")
LIMITS = (
    "Every picture is resized as a whole to the input size of the network. The published study cropped the center, "
    "44 % of the duration; the page on training has the cost of this crop. Only networks with local weights were "
    "measured, and only grayscale images. study.html, a single self-contained file, also has confusion matrices, audio "
    "clips, spectrograms and reconstructed images, Grad-CAM heat maps, and lost images: those that are classified "
    "correctly as images and wrongly when sonified."
)

SCRIPT = SweepScript(
    name="study",
    description=__doc__,
    recipe=Recipe(network="efficientnet_lite0"),
    seeds=3,
    smoke={"images_per_class": 10, "epochs": 2, "seeds": 2},
)


def main(arguments: Sequence[str] | None = None) -> None:
    recipe, parser = SCRIPT.recipe, SCRIPT.parser()
    add = parser.add_argument
    add(
        "--models",
        nargs="+",
        default=[recipe.network],
        help=f"networks: {', '.join(models.backbones())}. Default: {recipe.network}.",
    )
    add(
        "--data",
        nargs="+",
        dest="data_sets",
        metavar="DATA",
        help=f"Default: {' '.join(DATA)}; with --data-dir, all classes.",
    )
    chains = f"signal chains: {IMAGE}, {', '.join(presets())}, or files. Default: {' '.join(CONFIGS)}."
    add("--configs", nargs="+", type=image_or_config, default=CONFIGS, help=chains)
    add("--head", choices=models.heads(), help=f"Default: {recipe.head}.")
    add("--batch-norm", choices=models.BATCH_NORMS, help=f"Default: {recipe.batch_norm}.")
    add("--engine", choices=["auto", *engines()], help=f"engine of the sonification. Default: {recipe.engine}.")
    add("--page", metavar="PATH", help="also write the results as Markdown, with figures in images/ beside it")
    SCRIPT.main(parser, study, arguments)


def study(options: argparse.Namespace) -> tuple[list[Result], list[Path]]:
    directory = options.directory
    results = results_of(options, make_runs(options))
    found = StudyResults(results, directory)
    table, page = directory / "results.csv", directory / "study.html"
    write_csv(found.rows(), table)
    tables = study_tables(found, options.command, smoke=options.smoke)
    write_html(page, TITLE, [*tables, *confusion_matrices(found), *example_galleries(found)])
    if options.page:
        write_markdown(options.page, TITLE, [*tables, *([] if options.smoke else [Text(LIMITS)])])
    return results, [table, page]


def make_runs(options: argparse.Namespace) -> list[Run]:
    names = config_names(options.configs)
    data_sets = options.data_sets or ([None] if options.data_dir else SMOKE_DATA if options.smoke else DATA)
    networks = dict.fromkeys(models.spec(name).name for name in options.models)
    runs = []
    # Runs that share features follow each other.
    for data, network, (config, chain), seed in itertools.product(data_sets, networks, names.items(), options.seeds):
        changes = (
            {"output": "image"} if config == IMAGE else {"config": config if config in presets() else as_config(config)}
        )
        recipe = dataclasses.replace(SCRIPT.recipe_for(options, network), data=data, seed=seed, **changes)
        factors = {"data": data or "all", "network": network, "config": chain, "seed": seed}
        runs.append(Run("/".join(map(str, factors.values())), factors, recipe))
    return runs


if __name__ == "__main__":
    main()
