"""What survives of an image when its audio is transmitted: noise, codecs, a telephone line, and shorter audio.

Each point is a network that is trained and tested on audio from the same channel. Retention is its accuracy above
chance divided by that on the images themselves. JPEG files of the grayscale images are the reference for the codecs.
Run the same command again to resume an interrupted study.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from sonikeras import channels, models
from sonikeras.cli import options as shared
from sonikeras.cli.sweeps import SweepScript, results_of
from sonikeras.evaluation.photos import photo_retention
from sonikeras.evaluation.sweep import Result, write_csv
from sonikeras.evaluation.transmission import TransmissionPlan
from sonikeras.reporting import write_markdown
from sonikeras.reporting.transmission import TransmissionResults
from sonikeras.reporting.transmission_tables import transmission_tables
from sonikeras.training import Recipe

TITLE = "What survives transmission"
SNR: tuple[int, ...] = (-10, 0, 10, 20, 30)
CODECS: dict[type[channels.Codec], tuple[int, ...]] = {channels.MP3: (8, 16, 32, 64), channels.Opus: (6, 16, 32, 64)}
JPEG_BYTES = (350, 400, 500, 700, 1000)
FRAMES, BINS = (32, 64, 256, 512), (129, 257, 1025)  # besides the config's own 128 and 513
OTHERS = (
    "telephone",
    "resample(rate=8000)",
    "clip(db=12)",
    "gain(db=-12)",
    "delay(samples=128)",
    "reverb(rt60=0.3,drr=0)",
)

SCRIPT = SweepScript(
    name="channels",
    description=__doc__,
    recipe=Recipe(network="efficientnet_lite0", data="c10", images_per_class=50, config="matched"),
    seeds=1,
    smoke={"data": "c2", "images_per_class": 5, "epochs": 2},
)


def main(arguments: Sequence[str] | None = None) -> None:
    recipe, parser = SCRIPT.recipe, SCRIPT.parser()
    add = parser.add_argument
    networks = ", ".join(models.backbones())
    add("--network", default=recipe.network, help=f"one of {networks}. Default: %(default)s.")
    add("--data", help=f"c2, c4, c10 or c15; with --data-dir, all of its classes by default. Default: {recipe.data}.")
    add("--config", type=shared.config, help=f"preset of the signal chain, or a file. Default: {recipe.config}.")
    add("--page", metavar="PATH", help="page to write, with plots in images/ beside it. Default: OUT/channels.md.")
    SCRIPT.main(parser, measure, arguments)


def measure(options: argparse.Namespace) -> tuple[list[Result], list[Path]]:
    plan = TransmissionPlan(SCRIPT.recipe_for(options, options.network), options.directory)
    one, first = (slice(2, 3), slice(1)) if options.smoke else (slice(None), slice(None))
    for snr in SNR[one]:
        plan.add_noise(snr)
    for codec, rates in list(CODECS.items())[first]:
        for kbps in rates[one]:
            plan.add_codec(codec(kbps=kbps))
    plan.add_pcm()
    plan.add_jpeg(JPEG_BYTES[first])
    plan.add_lengths(FRAMES[first], BINS[first])
    for channel in OTHERS[first]:
        plan.add_other(channel)

    results = results_of(options, plan.runs(options.seeds), prepare=plan.write_jpeg)
    study = TransmissionResults(plan, results, options.seeds)
    table, page = options.directory / "channels.csv", Path(options.page or options.directory / "channels.md")
    write_csv(study.rows(), table)
    blocks = transmission_tables(study, photo_retention(plan.lengths), options.command, smoke=options.smoke)
    write_markdown(page, TITLE, blocks)
    return results, [table, page]


if __name__ == "__main__":
    main()
