"""The runs that measure what survives transmission: noise, codecs, shorter audio, and other channels."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from sonikeras.config import SonificationConfig, as_config
from sonikeras.config._files import locked
from sonikeras.evaluation.jpeg import BEST_QUALITY, best_fitting, file_names, jpegs, write_folder
from sonikeras.evaluation.samples import evenly
from sonikeras.evaluation.sweep import Run
from sonikeras.sources import Examples
from sonikeras.training import Recipe
from sonikeras.transmission import Codec

IMAGE, CLEAN = "image", "clean"  # runs on the images themselves, and on audio without a channel

JPEG = "JPEG"  # the series of the reference for codecs

_MEASURED = 20  # audio clips of the test split, from all classes, over which the bytes of a codec are averaged

Plot = Literal["noise", "bytes", "length", "other"]


class Point(NamedTuple):
    """A run as a point of a plot and a row of a table.

    Attributes:
        plot: What varies: `"noise"`, `"bytes"`, `"length"` or `"other"`.
        series: The line of the plot.
        name: What is transmitted, in words.
        x: Float: signal-to-noise ratio in dB, mean bytes per image, or duration in seconds; NaN for `"other"`.
        run: Name of the runs, without the seed.
    """

    plot: Plot
    series: str
    name: str
    x: float
    run: str


class TransmissionPlan:
    """The points of all plots and their runs. Points are added one by one, and those of one run share it.

    Args:
        recipe: `Recipe` of the run without a channel. The other runs differ in what their points are about.
        directory: Folder of the sweep.

    Attributes:
        recipe, directory: As given.
        config: The `SonificationConfig` of the recipe.
        test: `Examples` of the test split.
        points: The `Point`s, in order.
        not_fitting: Sentences about byte budgets that are too small for JPEG.
        lengths: The configs of all durations, sorted by bins and frames.
    """

    def __init__(self, recipe: Recipe, directory: Path) -> None:
        self.recipe, self.directory = recipe, directory
        self.config = as_config(recipe.config)
        self.test = self._examples("test")
        self.points: list[Point] = []
        self.not_fitting: list[str] = []
        self.lengths: list[SonificationConfig] = [self.config]
        self._changes: dict[str, dict[str, Any]] = {IMAGE: {"output": "image"}, CLEAN: {}}
        measured = set(evenly(len(self.test), _MEASURED).tolist())
        audio = recipe.dataset("test", output="audio", shuffle=False, batch_size=None).as_numpy_iterator()
        self._audio = [samples for index, (samples, _) in enumerate(audio) if index in measured]

    def add_noise(self, snr: float) -> None:
        """Adds white noise at a signal-to-noise ratio in dB."""
        self._add_channel("noise", "white noise", f"noise(snr={snr})", snr)

    def add_codec(self, codec: Codec) -> None:
        """Adds a codec at its mean number of bytes."""
        sizes = [len(codec.encode(audio, self.config.sample_rate)) for audio in self._audio]
        self._add_channel("bytes", type(codec).__name__, str(codec), float(np.mean(sizes)))

    def add_pcm(self) -> None:
        """Adds the audio itself, at the bytes of 16-bit PCM."""
        self._add("bytes", "16-bit PCM", "16-bit PCM", 2.0 * self.config.samples, CLEAN)

    def add_jpeg(self, budgets: Sequence[int]) -> None:
        """Adds JPEG at some numbers of bytes and at those of the points that are there.

        Larger ones than that at which all images have the highest quality are left out.
        """
        sizes = [list(map(len, jpegs(gray))) for _, _, gray in self._images()]
        for budget in sorted({*budgets, *(int(point.x) for point in self.points if point.plot == "bytes")}):
            best = [best_fitting(each, budget) for each in sizes]
            chosen = [each[index] for each, index in zip(sizes, best, strict=True) if index is not None]
            if len(chosen) < len(sizes):
                self.not_fitting.append(
                    f"{budget} bytes: {len(sizes) - len(chosen)} of {len(sizes)} images do not fit as JPEG at any "
                    "quality."
                )
                continue
            changes = {"data": None, "data_dir": str(self._jpeg_folder(budget)), "source": "builtin"}
            changes |= {"images_per_class": None, "output": "image"}
            name, run = f"JPEG of {budget} bytes at most", f"bytes/jpeg-{budget}"
            self._add("bytes", JPEG, name, float(np.mean(chosen)), run, **changes)
            if min(index for index in best if index is not None) == BEST_QUALITY - 1:
                break

    def add_lengths(self, frames: Sequence[int], bins: Sequence[int]) -> None:
        """Adds other numbers of frames, other numbers of bins, and those of the recipe's config."""
        own = self.config
        own_bins = own.fft_length // 2 + 1
        varied = [("frames", f"{own_bins} bins", count, own.replace(frames=count)) for count in frames]
        varied += [("bins", f"{own.frames} frames", count, with_bins(own, count)) for count in bins]
        for kind, series, count, config in varied:
            self._add("length", series, length_text(config), config.seconds, f"{kind}/{count}", config=config)
        for series in dict.fromkeys(series for _, series, *_ in varied):
            self._add("length", series, length_text(own), own.seconds, CLEAN)
        configs = {*self.lengths, *(config for *_, config in varied)}
        self.lengths = sorted(configs, key=lambda config: (config.bins, config.frames))

    def add_other(self, channel: str) -> None:
        """Adds a channel, given as its specification string, that is in no plot."""
        self._add_channel("other", "other channels", channel, math.nan)

    def _add_channel(self, plot: Plot, series: str, channel: str, x: float) -> None:
        self._add(plot, series, channel, x, f"{plot}/{channel}", channel=channel)

    def _add(self, plot: Plot, series: str, name: str, x: float, run: str, **changes: Any) -> None:
        self._changes.setdefault(run, changes)
        self.points.append(Point(plot, series, name, x, run))

    def runs(self, seeds: Sequence[int]) -> list[Run]:
        """The runs of all points with each seed."""
        return [
            Run(f"{name}/{seed}", {"point": name, "seed": seed}, dataclasses.replace(self.recipe, seed=seed, **changes))
            for name, changes in self._changes.items()
            for seed in seeds
        ]

    def write_jpeg(self) -> None:
        """Writes the JPEG files that the runs need into the folder of the sweep. Those that are there stay."""
        root = self.directory / "jpeg"
        budgets = [int(name.rpartition("-")[2]) for name in self._changes if name.startswith("bytes/jpeg-")]
        files = {}
        for split, name, gray in self._images() if budgets else ():
            qualities = jpegs(gray)
            for budget in budgets:
                index = best_fitting(list(map(len, qualities)), budget)
                assert index is not None  # `add_jpeg` leaves out other budgets
                files[self._jpeg_folder(budget) / split / f"{name}.jpg"] = qualities[index]
        self.directory.mkdir(parents=True, exist_ok=True)
        with locked(self.directory / ".lock"):  # the lock of the sweep
            write_folder(root, files)

    def full_names(self) -> dict[str, str]:
        """From the names of the JPEG files in the test split to the full names of their examples."""
        return dict(zip(file_names(self.test), self.test.full_names, strict=True))

    def image_sizes(self) -> list[tuple[int, int]]:
        """The different heights and widths of the test images, sorted."""
        return sorted({self.test.image(index).shape[:2] for index in range(len(self.test))})

    def _jpeg_folder(self, budget: int) -> Path:
        return self.directory / "jpeg" / str(budget)

    def _examples(self, split: str) -> Examples:
        return self.recipe.dataset(split, output="image", shuffle=False).examples

    def _images(self) -> Iterator[tuple[str, str, np.ndarray]]:
        """The split, the file name and the pixels of all images."""
        for split in ("train", "test"):
            examples = self._examples(split)
            for index, name in enumerate(file_names(examples)):
                yield split, name, examples.image(index)


def with_bins(config: SonificationConfig, bins: int) -> SonificationConfig:
    """The config with another number of bins, and with windows and steps in proportion.

    Args:
        config: `SonificationConfig`.
        bins: Integer, `fft_length // 2 + 1` of the result.
    """
    prefixes = ("", "analysis_")
    names = [prefix + name for prefix in prefixes for name in ("fft_length", "frame_length", "frame_step")]
    lengths = {name: length for name in names if (length := getattr(config, name)) is not None}
    return config.replace(**{name: length * 2 * (bins - 1) // config.fft_length for name, length in lengths.items()})


def length_text(config: SonificationConfig) -> str:
    """The words `FRAMES x BINS`."""
    return f"{config.frames} x {config.bins}"
