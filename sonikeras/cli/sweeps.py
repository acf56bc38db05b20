"""The command line of recipes that run a sweep: the options that they share, and how they run and end."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sonikeras import models
from sonikeras.cli import options as shared
from sonikeras.cli._errors import one_line_errors
from sonikeras.cli.options import default_of
from sonikeras.cli.recipes import changed, resume_hint
from sonikeras.config import presets
from sonikeras.config._checks import shown
from sonikeras.config._files import folded, safe_names
from sonikeras.evaluation import sweep
from sonikeras.reporting.study import IMAGE, IMAGE_GRAY
from sonikeras.sources import Selection
from sonikeras.training import Recipe

_SMOKE_SIZE = 64  # pixels

_ONLY_PAGE = "--only-page"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepScript:
    """A script that runs a sweep and writes its results.

    Args:
        name: String, the name of the script without `.py`. Its runs are in `runs/<name>` by default.
        description: String, the first lines of `--help`.
        recipe: `Recipe` with the defaults of all runs.
        seeds: Integer, the default number of seeds. The first seed is the recipe's.
        smoke: Dict with the values of options for `--smoke`, where they are not given.
    """

    name: str
    description: str
    recipe: Recipe
    seeds: int
    smoke: Mapping[str, Any]

    def parser(self) -> argparse.ArgumentParser:
        """A parser with the options of all sweeps. The script adds its own."""
        parser = argparse.ArgumentParser(
            description=self.description, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        add, recipe = parser.add_argument, self.recipe
        shared.add_data(parser, recipe)
        add("--weights", help=f'"imagenet", "none" or a file. {default_of(recipe, "weights")}')
        add("--epochs", type=int, metavar="N", help=f"epochs of the head. {default_of(recipe, 'epochs')}")
        seeds = f"number of seeds, starting at {recipe.seed}. Default: {self.seeds}."
        add("--seeds", type=shared.count, metavar="N", help=seeds)
        folder = f"runs/{self.name}"
        add(
            "--out",
            metavar="DIR",
            help="folder of all runs; repeat the command to resume an interrupted sweep. "
            f"Default: {folder}, or {folder}-smoke with --smoke.",
        )
        add(_ONLY_PAGE, action="store_true", help="run nothing; write the results of the finished runs")
        add("--smoke", action="store_true", help="pass every step with a few small images, in minutes")
        return parser

    def main(
        self,
        parser: argparse.ArgumentParser,
        work: Callable[[argparse.Namespace], tuple[Sequence[sweep.Result], Sequence[Path]]],
        arguments: Sequence[str] | None = None,
    ) -> None:
        """Runs the script. It exits with an error if runs failed, and with one line after any error of the user.

        Args:
            parser: The parser of `self.parser()`, with the script's own options.
            work: Function from the options to the results and the files that it wrote. Besides the options of the
                command line they have `command`, the command as a string, `directory`, the path of the sweep's folder,
                and as `seeds` all seeds.
            arguments: The words after the script's name. Defaults to those of the process.
        """
        arguments = sys.argv[1:] if arguments is None else list(arguments)
        options = parser.parse_args(arguments)
        smoke = self.smoke if options.smoke else {}
        seeds = options.seeds or smoke.get("seeds", self.seeds)
        options.seeds = range(self.recipe.seed, self.recipe.seed + seeds)
        options.directory = Path(options.out or f"runs/{self.name}{'-smoke' if options.smoke else ''}")
        given = shlex.join(each for each in arguments if each != _ONLY_PAGE)
        options.command = f"python recipes/{self.name}.py {given}".rstrip()
        with one_line_errors(interrupted=resume_hint(options.directory)):
            results, files = work(options)
        print(f"The results are in {' and '.join(map(str, files))}")
        failed = [result.run.name for result in results if result.error]
        if failed:
            sys.exit(f"error: {len(failed)} of {len(results)} runs failed: {', '.join(failed)}. See their error.txt.")

    def recipe_for(self, options: argparse.Namespace, network: str) -> Recipe:
        """The recipe of a network, with its image size and the options of the command line."""
        spec = models.spec(network)
        size = min(spec.image_size, _SMOKE_SIZE) if options.smoke else spec.image_size
        recipe = changed(self.recipe, options, self.smoke if options.smoke else {})
        return dataclasses.replace(recipe, network=spec.name, image_size=size)


def results_of(
    options: argparse.Namespace, runs: Sequence[sweep.Run], prepare: Callable[[], None] | None = None
) -> list[sweep.Result]:
    """The results of runs. Those that are not finished are run, except with `--only-page`.

    First it finds the weights of all networks, and prints them.

    Args:
        options: The options that `SweepScript.main` passes to the script's work.
        runs: `Run`s of the sweep.
        prepare: Function that is called before the first run, once the weights are found. Defaults to `None`.

    Returns:
        List with the `Result` of each run.
    """
    if options.only_page:
        return sweep.load(runs, options.directory)
    found = [
        f"{name} ({path.name if path else 'random'})" for name, path in sweep.check_weights(runs, options.directory)
    ]
    if found:
        print(f"Weights: {', '.join(found)}", flush=True)
    if prepare is not None:
        prepare()
    return sweep.sweep(runs, options.directory)


def class_subsets(counts: Sequence[int], **selection: Any) -> dict[str, tuple[str, ...]]:
    """Nested subsets of the classes of a data set: the first classes, in the order of their names.

    Args:
        counts: The sizes of the subsets, integers of at least 2.
        selection: Fields of `sonikeras.sources.Selection`.

    Returns:
        Dict from the names of the subsets, such as `"2 classes"`, to their classes. The smallest subset comes first.

    Raises:
        ValueError: A size is below 2, or the data set has fewer classes.
        FileNotFoundError: The folder does not exist.

    Example:
        >>> from sonikeras.cli.sweeps import class_subsets
        >>> class_subsets([4, 2], source="keras:cifar10")
        {'2 classes': ('airplane', 'automobile'), '4 classes': ('airplane', 'automobile', 'bird', 'cat')}
    """
    names = Selection(**selection).class_names()
    wrong = [count for count in counts if not 2 <= count <= len(names)]
    if wrong:
        raise ValueError(
            f"`--class-counts` must be from 2 to the number of classes, {len(names)}: {shown(names)}. "
            f"Received: {', '.join(map(str, wrong))}"
        )
    return {f"{count} classes": tuple(names[:count]) for count in sorted(set(counts))}


def check_data(runs: Sequence[sweep.Run], directory: Path) -> None:
    """Finds the images of all runs that are not finished, and prints a line for each data set of unequal classes.

    Args:
        runs: `Run`s with the factor `data`.
        directory: Path of the sweep's folder.

    Raises:
        ValueError: A class has no training images, or none of the classes has test images.
        FileNotFoundError: The folder, or one of its splits, does not exist.
    """
    recipes = {
        str(each.run.factors["data"]): each.run.recipe for each in sweep.load(runs, directory) if each.report is None
    }
    for data, recipe in recipes.items():
        fields = ("data_dir", "source", "classes", "images_per_class", "stage")
        selection = Selection(recipe.data, **{name: getattr(recipe, name) for name in fields})
        for split in ("train", "test"):
            examples = selection.examples(split)
            sizes = np.bincount(examples.labels, minlength=len(examples.class_names))
            if sizes.min() < sizes.max():
                few, many = (examples.class_names[int(place)] for place in (sizes.argmin(), sizes.argmax()))
                print(
                    f"Unequal classes in {data}, {split} split: from {sizes.min()} images of {few} to {sizes.max()} of "
                    f"{many}",
                    flush=True,
                )


def image_or_config(text: str) -> str:
    """Checks the word `image` or `image_gray`, the name of a preset, or the path of a file that carries a config."""
    try:
        return text if text in (IMAGE, IMAGE_GRAY) else shared.config(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"must be {IMAGE!r}, {IMAGE_GRAY!r} or a config. {error}") from error


def config_names(configs: Sequence[str]) -> dict[str, str]:
    """A name for each config, which can be the name of a folder.

    Args:
        configs: `"image"`, `"image_gray"`, names of presets, and paths of files. Repeated ones count once.

    Returns:
        Dict from each config to its name. A file has its stem as its name; or its path, if a preset or an earlier file
        has this name. Characters that are not valid in file names are replaced.

    Example:
        >>> from sonikeras.cli.sweeps import config_names
        >>> config_names(["image", "matched", "long.json", "mine/long.json"])
        {'image': 'image', 'matched': 'matched', 'long.json': 'long', 'mine/long.json': 'mine_long.json~9f32a8cdf8'}
    """
    reserved = (IMAGE, IMAGE_GRAY, *presets())
    names: dict[str, str] = {}
    taken = {folded(name) for name in reserved}
    for config in configs:
        if config in reserved:
            names[config] = config
        elif config not in names:
            (name,) = safe_names([Path(config).stem])
            if folded(name) in taken:
                (name,) = safe_names([config])
            names[config] = name
            taken.add(folded(name))
    return names
