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
from typing import Any

from sonikeras import models
from sonikeras.cli import options as shared
from sonikeras.cli.sweeps import SweepScript, check_data, class_subsets, config_names, image_or_config, results_of
from sonikeras.config import as_config, presets
from sonikeras.evaluation.sweep import Result, Run, write_csv
from sonikeras.reporting import Text, write_html, write_markdown
from sonikeras.reporting.examples import example_galleries
from sonikeras.reporting.study import IMAGE, IMAGE_GRAY, StudyResults
from sonikeras.reporting.tables import confusion_matrices, study_tables
from sonikeras.signal.engines import engines
from sonikeras.training import Recipe

TITLE = "How much of an image survives sonification"
DATA, SMOKE_DATA = ("c2", "c4", "c10", "c15"), ("c2", "c4")
CONFIGS = (IMAGE, "lossless", "matched", "study")
LIMITS = (
    "Every picture is resized as a whole to the input size of the network. The published study cropped the center, "
    "44 % of the duration; the page on training has the cost of this crop. Only networks with local weights were "
    "measured. The built-in images are gray. study.html, a single self-contained file, also has confusion matrices, "
    "audio clips, spectrograms and reconstructed images, Grad-CAM heat maps, and lost images: those that are "
    "classified correctly as images and wrongly when sonified."
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
    add(
        "--class-counts",
        nargs="+",
        type=shared.count,
        metavar="N",
        help="instead of --data: the first N classes of the folder, in the order of their names, for each N",
    )
    chains = f"signal chains: {IMAGE}, {IMAGE_GRAY}, {', '.join(presets())}, or files. Default: {' '.join(CONFIGS)}."
    add("--configs", nargs="+", type=image_or_config, default=CONFIGS, help=chains)
    add("--head", choices=models.heads(), help=f"Default: {recipe.head}.")
    add("--batch-norm", choices=models.BATCH_NORMS, help=f"Default: {recipe.batch_norm}.")
    add("--engine", choices=["auto", *engines()], help=f"engine of the sonification. Default: {recipe.engine}.")
    add("--page", metavar="PATH", help="also write the results as Markdown, with figures in images/ beside it")
    SCRIPT.main(parser, study, arguments)


def study(options: argparse.Namespace) -> tuple[list[Result], list[Path]]:
    directory = options.directory
    runs = make_runs(options)
    if options.data_dir and not options.only_page:
        check_data(runs, directory)
    results = results_of(options, runs)
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
    data_sets = selections(options)
    networks = dict.fromkeys(models.spec(name).name for name in options.models)
    runs = []
    # Runs that share features follow each other.
    for data, network, (config, chain), seed in itertools.product(data_sets, networks, names.items(), options.seeds):
        if config in (IMAGE, IMAGE_GRAY):
            changes: dict[str, Any] = {"output": config}
        else:
            changes = {"config": config if config in presets() else as_config(config)}
        recipe = dataclasses.replace(SCRIPT.recipe_for(options, network), seed=seed, **data_sets[data], **changes)
        factors = {"data": data, "network": network, "config": chain, "seed": seed}
        runs.append(Run("/".join(map(str, factors.values())), factors, recipe))
    return runs


def selections(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The names of the data sets, and the fields of a recipe that select them."""
    if options.class_counts:
        if options.data_sets:
            raise ValueError("`--class-counts` and `--data` must not be combined. Received: both")
        if not options.data_dir:
            raise ValueError("`--class-counts` needs `--data-dir`, whose classes it counts. Received: no --data-dir")
        subsets = class_subsets(options.class_counts, data_dir=options.data_dir)
        return {name: {"data": None, "classes": classes} for name, classes in subsets.items()}
    names = options.data_sets or ([None] if options.data_dir else SMOKE_DATA if options.smoke else DATA)
    return {name or "all": {"data": name} for name in names}


if __name__ == "__main__":
    main()
