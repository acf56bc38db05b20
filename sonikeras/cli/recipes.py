"""The command line of a recipe."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sonikeras import models, transmission as channels
from sonikeras.config import presets
from sonikeras.config._errors import in_one_line
from sonikeras.evaluation.experiment import _class_weight, run
from sonikeras.signal.engines import engines
from sonikeras.sources import STAGES
from sonikeras.training.recipe import OUTPUTS, PRECISIONS, STRATEGIES, FineTuning, Recipe

# What `--smoke` changes: enough to go through every step. Pictures are no larger than this, in pixels.
_SMOKE: dict[str, Any] = {"data": "c2", "images_per_class": 5, "epochs": 2}


_SMOKE_SIZE = 128


def main(recipe: Recipe, description: str, arguments: Sequence[str] | None = None) -> None:
    """The command line of a recipe: its fields as options, and `--smoke` for a quick run through every step."""
    options = _parser(recipe, description).parse_args(arguments)
    out = Path(options.out or f"runs/{Path(sys.argv[0]).stem}{'-smoke' if options.smoke else ''}")
    try:
        report = run(_changed(recipe, options), out)
    except KeyboardInterrupt:
        sys.exit(f"Interrupted. The same command goes on from the last finished epoch in {out}.")
    except Exception as error:
        if (message := in_one_line(error)) is None:
            raise
        sys.exit(f"error: {message}")
    print(f"{report}\nReport, curves, confusion matrix, samples and model are in {out}")


def _changed(recipe: Recipe, options: argparse.Namespace) -> Recipe:
    """The recipe with what the command line says."""
    given = {key: value for key, value in vars(options).items() if value is not None}
    changes = {**(_smoke(recipe) if options.smoke else {}), **given}
    if options.data_dir and not options.data:
        changes["data"] = None
    if options.weights == "none":
        changes["weights"] = None
    tuning = recipe.fine_tuning
    if options.fine_tune is not None:
        tuning = (tuning or FineTuning()) if options.fine_tune else None
    unused = [key for key in given if key.startswith("tune_")]
    if unused and not tuning:
        raise ValueError(f"Options --tune-... need --fine-tune. Received: --{unused[0].replace('_', '-')}")
    if tuning:
        tuned: dict[str, Any] = {"epochs": 1} if options.smoke else {}
        tuned |= {key.removeprefix("tune_"): value for key, value in given.items() if key.startswith("tune_")}
        tuning = dataclasses.replace(tuning, **tuned)
    fields = {field.name for field in dataclasses.fields(Recipe)}
    changes = {key: value for key, value in changes.items() if key in fields}
    return dataclasses.replace(recipe, **changes | {"fine_tuning": tuning})


def _smoke(recipe: Recipe) -> dict[str, Any]:
    size = min(recipe.image_size, _SMOKE_SIZE)
    shorter_side = recipe.shorter_side and round(recipe.shorter_side * size / recipe.image_size)
    return _SMOKE | {"image_size": size, "shorter_side": shorter_side}


def _parser(recipe: Recipe, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    shown = {field.name: f"Default: {getattr(recipe, field.name)}." for field in dataclasses.fields(recipe)}
    add("--data", help=f"c2, c4, c10 or c15; with --data-dir, all of its classes by default. {shown['data']}")
    add("--data-dir", help="folder <class>/* or {train,test}/<class>/* to take instead of the built-in images")
    add("--source", help=f"where images come from without --data-dir. {shown['source']}")
    add("--stage", choices=list(STAGES), help=f"what the files are. {shown['stage']}")
    add("--colormap", help=f"of --stage spectrogram, to turn pictures back into levels. {shown['colormap']}")
    add("--images-per-class", type=int, help="at most so many, a fifth of them for testing")
    add("--fold", type=_fold, metavar="I/K", help="cross-validation on the training part: test on part I (from 0) of K")
    add("--validation-split", type=float, help=f"share of the training part. {shown['validation_split']}")
    add("--output", choices=OUTPUTS, help=f"the sound's picture, or the image itself. {shown['output']}")
    add("--config", choices=presets(), help=f"signal chain. {shown['config']}")
    add(
        "--channel", help=f"what sounds pass: {', '.join(channels.forms())}, or several joined by +. {shown['channel']}"
    )
    add("--engine", choices=["auto", *engines()], help=f"engine of the sonification. {shown['engine']}")
    add("--network", help=f"backbone: {', '.join(models.backbones())}. {shown['network']}")
    add("--weights", help=f'"imagenet", "none" or a file. {shown["weights"]}')
    add("--head", choices=models.heads(), help=f"{shown['head']}")
    add("--batch-norm", choices=models.BATCH_NORMS, help=f"of the frozen network. {shown['batch_norm']}")
    add("--epochs", type=int, help=f"of the head. {shown['epochs']}")
    add("--batch-size", type=int, help=shown["batch_size"])
    add("--learning-rate", type=float, help=shown["learning_rate"])
    add(
        "--class-weight",
        type=_class_weight,
        metavar="WEIGHTS",
        help=f"balanced, or what each class counts, such as cat=2,dog=0.5. {shown['class_weight']}",
    )
    switch = argparse.BooleanOptionalAction
    add("--flips", action=switch, help=f"train and test on mirrored pictures too. {shown['flips']}")
    add("--fine-tune", action=switch, help=f"train the network too. Default: {recipe.fine_tuning is not None}.")
    tuning = recipe.fine_tuning or FineTuning()
    for field in dataclasses.fields(tuning):
        value = getattr(tuning, field.name)
        kind: Any = {"action": switch} if isinstance(value, bool) else {"type": type(value)}
        add(f"--tune-{field.name.replace('_', '-')}", **kind, help=f"of fine-tuning. Default: {value}.")
    add("--gradient-accumulation", type=int, help=f"batches that make one. {shown['gradient_accumulation']}")
    add("--precision", choices=PRECISIONS, help=shown["precision"])
    add("--jit", action=switch, help=f"compile with XLA. {shown['jit']}")
    add("--strategy", choices=list(STRATEGIES), help="of tf.distribute")
    add("--tensorboard", action=switch, help=f"write logs for TensorBoard. {shown['tensorboard']}")
    add("--seed", type=int, help=shown["seed"])
    add("--on-error", choices=["raise", "skip"], help=f"what to do with unreadable files. {shown['on_error']}")
    add("--out", help="run folder; the same folder again goes on with an interrupted run. Default: runs/<recipe>")
    add("--smoke", action="store_true", help=f"a run of a minute at most through every step: {_smoke(recipe)}")
    return parser


def _fold(text: str) -> tuple[int, int]:
    try:
        index, count = map(int, text.split("/"))
    except ValueError as error:
        message = f"must be I/K, part I (from 0) of K, such as 0/5. Received: {text}"
        raise argparse.ArgumentTypeError(message) from error
    return index, count
