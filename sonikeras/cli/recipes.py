"""The command line of a recipe."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sonikeras import channels, models
from sonikeras.cli import options as shared
from sonikeras.cli._errors import one_line_errors
from sonikeras.cli.options import default_of
from sonikeras.config import presets
from sonikeras.evaluation.experiment import run
from sonikeras.signal.engines import engines
from sonikeras.sources import STAGES
from sonikeras.training.recipe import OUTPUTS, PRECISIONS, STRATEGIES, FineTuning, Recipe

# Changes by `--smoke`: enough to pass every step.
_SMOKE: dict[str, Any] = {"data": "c2", "images_per_class": 5, "epochs": 2}

_SMOKE_SIZE = 128  # pixels; the largest picture of a smoke run


def main(recipe: Recipe, description: str, arguments: Sequence[str] | None = None) -> None:
    """Runs a recipe as a script: its fields are options, and `--smoke` is a quick run through every step.

    Args:
        recipe: `Recipe` with the defaults.
        description: String, the first lines of `--help`.
        arguments: The words after the script's name. Defaults to those of the process.
    """
    options = _parser(recipe, description).parse_args(arguments)
    out = Path(options.out or f"runs/{Path(sys.argv[0]).stem}{'-smoke' if options.smoke else ''}")
    with one_line_errors(interrupted=resume_hint(out)):
        smoke = _smoke(recipe) if options.smoke else {}
        report = run(changed(recipe, options, smoke | {"fine_tuning": _tuning(recipe, options)}), out)
    print(f"{report}\nReport, curves, confusion matrix, samples and model are in {out}")


def resume_hint(directory: Path) -> str:
    """The message of a script that is interrupted."""
    return f"Interrupted. Repeat the command to resume from the last finished epoch in {directory}."


def changed(recipe: Recipe, options: argparse.Namespace, values: Mapping[str, Any]) -> Recipe:
    """The recipe with some values, such as those of a smoke run, and with the options of the command line applied."""
    given = {key: value for key, value in vars(options).items() if value is not None}
    changes = {**values, **given}
    if options.data_dir and "data" not in given:
        changes["data"] = None
    if options.weights == "none":
        changes["weights"] = None
    fields = {field.name for field in dataclasses.fields(Recipe)}
    return dataclasses.replace(recipe, **{key: value for key, value in changes.items() if key in fields})


def _tuning(recipe: Recipe, options: argparse.Namespace) -> FineTuning | None:
    """The recipe's fine-tuning with the options of the command line applied."""
    tuning = recipe.fine_tuning
    if options.fine_tune is not None:
        tuning = (tuning or FineTuning()) if options.fine_tune else None
    given = {key: value for key, value in vars(options).items() if key.startswith("tune_") and value is not None}
    if not tuning:
        if given:
            raise ValueError(f"Options --tune-... need --fine-tune. Received: --{next(iter(given)).replace('_', '-')}")
        return None
    tuned: dict[str, Any] = {"epochs": 1} if options.smoke else {}
    tuned |= {key.removeprefix("tune_"): value for key, value in given.items()}
    return dataclasses.replace(tuning, **tuned)


def _smoke(recipe: Recipe) -> dict[str, Any]:
    size = min(recipe.image_size, _SMOKE_SIZE)
    shorter_side = recipe.shorter_side and round(recipe.shorter_side * size / recipe.image_size)
    return _SMOKE | {"image_size": size, "shorter_side": shorter_side}


def _smoke_help(recipe: Recipe) -> str:
    values = _smoke(recipe)
    return (
        f"pass every step in at most a minute: data {values['data']}, {values['images_per_class']} images per class, "
        f"{values['epochs']} epochs, {values['image_size']} pixels"
    )


def _parser(recipe: Recipe, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add, switch = parser.add_argument, argparse.BooleanOptionalAction
    default = {field.name: default_of(recipe, field.name) for field in dataclasses.fields(recipe)}
    add("--data", help=f"c2, c4, c10 or c15; with --data-dir, all of its classes by default. {default['data']}")
    shared.add_data(parser, recipe)
    add("--stage", choices=list(STAGES), help=f"kind of the files. {default['stage']}")
    add("--colormap", help=f"with --stage spectrogram: invert this colormap to dB values. {default['colormap']}")
    add("--fold", type=shared.fold, metavar="I/K", help="cross-validation within the training split: test on fold I")
    add("--validation-split", type=float, help=f"fraction of the training split. {default['validation_split']}")
    add("--output", choices=OUTPUTS, help=f"spectrogram picture, or the image itself. {default['output']}")
    add("--config", type=shared.config, help=f"signal chain: {', '.join(presets())}, or a file. {default['config']}")
    add("--channel", help=f"{', '.join(channels.forms())}, or several joined by +. {default['channel']}")
    add("--engine", choices=["auto", *engines()], help=f"engine of the phase retrieval. {default['engine']}")
    add("--network", help=f"backbone: {', '.join(models.backbones())}. {default['network']}")
    add("--weights", help=f'"imagenet", "none" or a file. {default["weights"]}')
    add("--head", choices=models.heads(), help=default["head"])
    add("--batch-norm", choices=models.BATCH_NORMS, help=f"mode of the frozen network. {default['batch_norm']}")
    add("--epochs", type=int, help=f"epochs of the head. {default['epochs']}")
    add("--batch-size", type=int, help=default["batch_size"])
    add("--learning-rate", type=float, help=default["learning_rate"])
    add(
        "--class-weight",
        type=shared.class_weight,
        metavar="WEIGHTS",
        help=f"balanced, or weights in the loss, such as cat=2,dog=0.5. {default['class_weight']}",
    )
    add("--flips", action=switch, help=f"train and test on mirrored pictures too. {default['flips']}")
    add("--fine-tune", action=switch, help=f"train the network too. Default: {recipe.fine_tuning is not None}.")
    tuning = recipe.fine_tuning or FineTuning()
    for field in dataclasses.fields(tuning):
        value = getattr(tuning, field.name)
        kind: Any = {"action": switch} if isinstance(value, bool) else {"type": type(value)}
        add(f"--tune-{field.name.replace('_', '-')}", **kind, help=f"of fine-tuning. Default: {value}.")
    add("--gradient-accumulation", type=int, help=f"micro-batches per batch. {default['gradient_accumulation']}")
    add("--precision", choices=PRECISIONS, help=default["precision"])
    add("--jit", action=switch, help=f"compile with XLA. {default['jit']}")
    add("--strategy", choices=list(STRATEGIES), help="strategy of tf.distribute")
    add("--tensorboard", action=switch, help=f"write logs for TensorBoard. {default['tensorboard']}")
    add("--seed", type=int, help=default["seed"])
    add("--on-error", choices=["raise", "skip"], help=f"on unreadable files. {default['on_error']}")
    add("--out", help="run folder; repeat the command to resume an interrupted run. Default: runs/<recipe>")
    add("--smoke", action="store_true", help=_smoke_help(recipe))
    return parser
