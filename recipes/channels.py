"""What survives of an image when its audio is transmitted: noise, codecs, a telephone line, and shorter audio.

Each point is a network that is trained and tested on audio from the same channel. Retention is its accuracy above
chance divided by that on the images themselves. JPEG files of the grayscale images are the reference for the codecs.
Run the same command again to resume an interrupted study.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from sonikeras import channels, models
from sonikeras.cli.options import config as config_option
from sonikeras.config import SonificationConfig, as_config
from sonikeras.config._errors import in_one_line
from sonikeras.config._files import locked, safe_names, write_bytes
from sonikeras.evaluation import Report, plots, sweep
from sonikeras.evaluation.retention import Retention, interval_text, recognition_retention, signal_retention
from sonikeras.reporting import Block, Code, Heading, Note, Picture, Table, Text, write_markdown
from sonikeras.reporting.study import evenly
from sonikeras.signal import chain
from sonikeras.sources import Examples
from sonikeras.sources.images import to_gray
from sonikeras.training import Recipe

FIRST_SEED = 42
SNR: tuple[int, ...] = (-10, 0, 10, 20, 30)
CODECS: dict[str, tuple[int, ...]] = {"MP3": (8, 16, 32, 64), "Opus": (6, 16, 32, 64)}
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
SMOKE: dict[str, Any] = {"data": "c2", "images_per_class": 5, "epochs": 2}
SMOKE_SIZE = 64  # pixels
MEASURED = 20  # audio clips of the test split, from all classes, over which the bytes of a codec are averaged
PHOTOS, PHOTO_SIZE = ("china.jpg", "flower.jpg"), 300  # of scikit-learn, and the side of the squares cropped from them
IMAGE, CLEAN = "image", "clean"
TITLE = "What survives transmission"


class Point(NamedTuple):
    """A run of the sweep, as a point of a plot and a row of a table."""

    part: str
    series: str
    name: str
    x: float
    run: str


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    options = parse(arguments)
    directory = Path(options.out)
    try:
        study = Study(options, directory, f"python recipes/channels.py {shlex.join(arguments)}".rstrip())
        results = study.run(only_load=options.only_page)
        sweep.write_csv(study.rows(), directory / "channels.csv")
        write_markdown(options.page, TITLE, study.blocks())
    except KeyboardInterrupt:
        sys.exit(f"Interrupted. Run the same command again to resume from the last finished epoch in {directory}.")
    except Exception as error:
        if (message := in_one_line(error)) is None:
            raise
        sys.exit(f"error: {message}")
    print(f"The results are in {directory}/channels.csv and {options.page}")
    failed = [result.run.name for result in results if result.error]
    if failed:
        sys.exit(f"error: {len(failed)} of {len(results)} runs failed: {', '.join(failed)}. See their error.txt.")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--network", default="efficientnet_lite0", help=f"one of {', '.join(models.backbones())}. Default: %(default)s")
    add("--data", help="c2, c4, c10 or c15. Default: c10; with --data-dir all of its classes")
    add("--data-dir", help="folder of images, <class>/* or {train,test}/<class>/*, instead of the built-in ones")
    add("--source", default="builtin", help="source of the images without --data-dir. Default: %(default)s")
    add(
        "--config",
        type=config_option,
        default="matched",
        help="preset of the signal chain, or a file. Default: %(default)s",
    )
    add("--seeds", type=int, default=1, help=f"number of seeds, starting at {FIRST_SEED}. Default: %(default)s")
    add("--images-per-class", type=int, help="largest number, a fifth of them for testing. Default: 50")
    add("--weights", default="imagenet", help='"imagenet", "none" or the path of a file. Default: %(default)s')
    add("--epochs", type=int, help="Default: 25")
    add("--out", help="folder of all runs. Default: runs/channels, or runs/channels-smoke")
    add("--page", metavar="PATH", help="page to write, with plots in images/ beside it. Default: OUT/channels.md")
    add("--only-page", action="store_true", help="run nothing; write the tables and the page of the finished runs")
    add("--smoke", action="store_true", help="test every step on a few small images, in two minutes at most")
    options = parser.parse_args(arguments)
    defaults = {"data": "c10", "images_per_class": 50, "epochs": 25} | (SMOKE if options.smoke else {})
    for name, value in (defaults | ({"data": None} if options.data_dir else {})).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1. Received: {options.seeds}")
    options.out = options.out or ("runs/channels-smoke" if options.smoke else "runs/channels")
    options.page = options.page or str(Path(options.out) / "channels.md")
    return options


class Study:
    """The runs and their results."""

    def __init__(self, options: argparse.Namespace, directory: Path, command: str) -> None:
        self._directory, self._command, self._seeds, self._smoke = directory, command, options.seeds, options.smoke
        spec = models.spec(options.network)
        self._recipe = Recipe(
            network=spec.name,
            data=options.data,
            data_dir=options.data_dir,
            source=options.source,
            images_per_class=options.images_per_class,
            config=options.config,
            image_size=SMOKE_SIZE if options.smoke else spec.image_size,
            weights=None if options.weights == "none" else options.weights,
            epochs=options.epochs,
            seed=FIRST_SEED,
        )
        self._config = as_config(options.config)
        self._test: Examples = self._recipe.dataset("test", output=IMAGE, shuffle=False).examples
        measured = set(evenly(len(self._test), MEASURED).tolist())
        audio = self._recipe.dataset("test", output="audio", shuffle=False, batch_size=None).as_numpy_iterator()
        self._audio = [samples for index, (samples, _) in enumerate(audio) if index in measured]
        self._recipes: dict[str, dict[str, Any]] = {IMAGE: {"output": IMAGE}, CLEAN: {}}
        self._points: list[Point] = []
        self._not_fitting: list[str] = []
        few = slice(2, 3) if options.smoke else slice(None)
        for snr in SNR[few]:
            self._add_channel("noise", "white noise", f"noise(snr={snr})", snr)
        for name in ("MP3",) if options.smoke else CODECS:
            self._add_codec(name, CODECS[name][few])
        self._add("bytes", "16-bit PCM", "16-bit PCM", 2.0 * self._config.samples, CLEAN)
        self._add_jpeg(JPEG_BYTES[:1] if options.smoke else JPEG_BYTES)
        self._add_lengths(FRAMES[:1] if options.smoke else FRAMES, BINS[:1] if options.smoke else BINS)
        for channel in OTHERS[:1] if options.smoke else OTHERS:
            self._add_channel("other", "other channels", channel, math.nan)

    def _add(self, part: str, series: str, name: str, x: float, run: str, **changes: Any) -> None:
        self._recipes.setdefault(run, changes)
        self._points.append(Point(part, series, name, x, run))

    def _add_channel(self, part: str, series: str, channel: str, x: float) -> None:
        self._add(part, series, channel, x, f"{part}/{channel}", channel=channel)

    def _add_codec(self, name: str, rates: Sequence[int]) -> None:
        for kbps in rates:
            codec = {"MP3": channels.MP3, "Opus": channels.Opus}[name](kbps=kbps)
            sizes = [len(codec.encode(audio, self._config.sample_rate)) for audio in self._audio]
            self._add_channel("bytes", name, str(codec), float(np.mean(sizes)))

    def _add_jpeg(self, budgets: Sequence[int]) -> None:
        """Adds JPEG at these sizes and at those of the codecs, up to the size at which all images have quality 100."""
        sizes = [list(map(len, jpegs(gray))) for _, _, gray in self._images()]
        for budget in sorted({*budgets, *(int(point.x) for point in self._points if point.part == "bytes")}):
            best = [best_fitting(each, budget) for each in sizes]
            chosen = [each[place] for each, place in zip(sizes, best, strict=True) if place is not None]
            if len(chosen) < len(sizes):
                self._not_fitting.append(
                    f"{budget} bytes: {len(sizes) - len(chosen)} of {len(sizes)} images do not fit as JPEG at any "
                    "quality."
                )
                continue
            folder = self._directory / "jpeg" / str(budget)
            changes = {"data": None, "data_dir": str(folder), "source": "builtin", "images_per_class": None}
            name, run = f"JPEG of {budget} bytes at most", f"bytes/jpeg-{budget}"
            self._add("bytes", "JPEG", name, float(np.mean(chosen)), run, output=IMAGE, **changes)
            if min(place for place in best if place is not None) == 99:
                break

    def _images(self) -> Iterator[tuple[str, str, np.ndarray]]:
        for split in ("train", "test"):
            examples = self._recipe.dataset(split, output=IMAGE, shuffle=False).examples
            for index, name in enumerate(file_names(examples)):
                yield split, name, to_gray(examples.image(index))

    def _add_lengths(self, frames: Sequence[int], bins: Sequence[int]) -> None:
        own = self._config
        configs = [*(own.replace(frames=count) for count in frames), *(with_bins(own, count) for count in bins)]
        self._lengths = sorted({own, *configs}, key=lambda config: (config.bins, config.frames))
        rows = [("frames", f"{own.fft_length // 2 + 1} bins", own.replace(frames=count)) for count in frames]
        rows += [("bins", f"{own.frames} frames", with_bins(own, count)) for count in bins]
        for kind, series, config in rows:
            count = config.frames if kind == "frames" else config.fft_length // 2 + 1
            self._add(
                "length", series, f"{config.frames} x {config.bins}", config.seconds, f"{kind}/{count}", config=config
            )
        for series in dict.fromkeys(series for _, series, _ in rows):
            self._add("length", series, f"{own.frames} x {own.bins}", own.seconds, CLEAN)

    def run(self, *, only_load: bool) -> list[sweep.Result]:
        """Runs all recipes that are not finished."""
        if not only_load:
            self._write_jpeg()
        runs = [
            sweep.Run(
                f"{name}/{seed}", {"point": name, "seed": seed}, dataclasses.replace(self._recipe, seed=seed, **changes)
            )
            for name, changes in self._recipes.items()
            for seed in range(FIRST_SEED, FIRST_SEED + self._seeds)
        ]
        results = (sweep.load if only_load else sweep.sweep)(runs, self._directory)
        found: dict[str, list[Report]] = {}
        for result in results:
            if result.report:
                found.setdefault(str(result.run.factors["point"]), []).append(result.report)
        # A point needs all of its seeds.
        reports = {name: runs for name, runs in found.items() if len(runs) == self._seeds}
        if IMAGE not in reports:
            raise RuntimeError(f"The run on the images themselves must finish first. See {self._directory / IMAGE}")
        names = reports[IMAGE][0].names
        full_names = dict(zip(file_names(self._test), self._test.full_names, strict=True))
        self._retention = {
            name: recognition_retention([in_order(run, names, full_names) for run in runs], reports[IMAGE])
            for name, runs in reports.items()
        }
        return results

    def _write_jpeg(self) -> None:
        root = self._directory / "jpeg"
        budgets = [int(name.rpartition("-")[2]) for name in self._recipes if name.startswith("bytes/jpeg-")]
        files = {}
        for split, name, gray in self._images() if budgets else ():
            qualities = jpegs(gray)
            for budget in budgets:
                place = best_fitting(list(map(len, qualities)), budget)
                assert place is not None  # all of them fit
                files[root / str(budget) / split / f"{name}.jpg"] = qualities[place]
        self._directory.mkdir(parents=True, exist_ok=True)
        with locked(self._directory / ".lock"):  # the lock of the sweep
            make_folder(root, files)

    def rows(self) -> list[dict[str, Any]]:
        """The rows of the CSV file, one for each point: its plot, what was transmitted, and what was retained."""
        return [
            {
                "part": point.part,
                "series": point.series,
                "point": point.name,
                "snr_db": point.x if point.part == "noise" else None,
                "bytes": round(point.x) if point.part == "bytes" else None,
                "kbps": round(self._kbps(point), 2) if point.part == "bytes" and point.series != "JPEG" else None,
                "seconds": round(point.x, 3) if point.part == "length" else None,
                **figures(self._retention.get(point.run)),
            }
            for point in self._points
        ]

    def _kbps(self, point: Point) -> float:
        return point.x * 8 / 1000 / self._config.seconds

    def blocks(self) -> list[Block]:
        clean, recipe = self._retention.get(CLEAN), self._recipe
        sizes = sorted({to_gray(self._test.image(index)).shape for index in range(len(self._test))})
        images = " to ".join(f"{width} x {height}" for height, width in dict.fromkeys((sizes[0], sizes[-1])))
        setting = (
            f"Data {recipe.data or 'of ' + str(recipe.data_dir)}: {len(self._test.class_names)} classes, "
            f"{len(self._test)} test images of {images} pixels. Network: {recipe.network}, a new head on frozen "
            f"features. Signal chain: {recipe.config}, {self._config.seconds:.2f} s of audio. {self._seeds} "
            f"{'seed' if self._seeds == 1 else 'seeds'}. Training and test audio passes the same channel. Error bars "
            "and parentheses are 95 % intervals over test images and, if there are several, seeds."
        )
        baseline = self._retention[IMAGE]
        bounds = f"The accuracy on the images themselves is {baseline.image_accuracy:.3f}. " + (
            f"The retention without a channel is {interval(clean) if clean else 'missing'}."
        )
        smoke = (
            "This is a smoke run: it tests every step on a few small images. Its numbers say nothing about channels."
        )
        return [
            *([Note(smoke)] if self._smoke else []),
            Text("The accuracy of a network on images that were transmitted as audio. Command:"),
            Code(self._command),
            Text(setting),
            *([] if self._smoke else [Text(bounds)]),
            Heading("Noise"),
            *self._plot("noise", "white noise", "signal-to-noise ratio (dB)"),
            self._table("noise", "Retention under white noise", "SNR in dB", lambda point: f"{point.x:g}"),
            Heading("Bytes"),
            Text(
                "Audio as files of a codec, headers included, and each grayscale image as the JPEG file of the highest "
                "quality that fits the same number of bytes. The number of bytes is the mean over the files."
            ),
            *map(Text, self._not_fitting),
            *self._plot("bytes", "bytes", "bytes per image", log_x=True),
            self._table(
                "bytes",
                "Retention by the bytes transmitted",
                "bytes (kbit/s)",
                lambda point: f"{point.x:.0f}" + (f" ({self._kbps(point):.1f})" if point.series != "JPEG" else ""),
            ),
            Heading("Length"),
            Text(
                "The image is resized to frames x bins before it is sonified. An image with more pixels loses detail. "
                "An image with fewer pixels gains nothing from longer audio."
            ),
            *self._plot("length", "duration", "duration (s)", log_x=True),
            self._table("length", "Retention by duration", "seconds", lambda point: f"{point.x:.2f}"),
            *self._photos(),
            Heading("Other channels"),
            self._table("other", "Retention through other channels", None, str),
        ]

    def _photos(self) -> list[Block]:
        """The signal retention of photos for all durations."""
        images, rows = photos(), []
        for config in self._lengths:
            kept = [signal_retention(image, chain.sonify(image, config), config) for image in images]
            psnr, ssim = (float(np.median([getattr(each, name) for each in kept])) for name in ("psnr", "ssim"))
            rows.append([f"{config.frames} x {config.bins}", f"{config.seconds:.2f}", f"{psnr:.1f}", f"{ssim:.3f}"])
        side = f"{PHOTO_SIZE} x {PHOTO_SIZE}"
        return [
            Text(
                f"The signal retention of photos, without a classifier: {len(images)} squares of {side} pixels from "
                f"the two photos of scikit-learn ({' and '.join(PHOTOS)}), reconstructed and compared with the "
                f"grayscale originals. Fewer than {PHOTO_SIZE} frames or bins cannot hold all columns or rows."
            ),
            Table(
                f"Signal retention of photos of {side} pixels: medians",
                ["frames x bins", "seconds", "PSNR (dB)", "SSIM"],
                rows,
            ),
        ]

    def _plot(self, part: str, by: str, x_label: str, *, log_x: bool = False) -> list[Block]:
        series: dict[str, list[tuple[float, float, float, float]]] = {}
        texts, ends = [], []
        for point in self._points:
            retention = self._retention.get(point.run)
            if not retention:
                continue
            values = (point.x, retention.value, retention.low, retention.high)
            ends += [value for value in values[1:] if math.isfinite(value)]
            if point.part == part:
                series.setdefault(point.series, []).append(values)
                texts.append(f"{point.name} {interval(retention)}")
        if not texts:
            return [Text("No run of this plot is finished.")]
        title = f"Recognition retention by {by}"
        order = list(dict.fromkeys(point.series for point in self._points))
        margin = 0.04 * (max(ends) - min(ends)) if ends else 0.0
        limits = (min(ends) - margin, max(ends) + margin) if margin else None
        options: dict[str, Any] = {"log_x": log_x, "order": order, "y_limits": limits}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "plot.png"
            plots.lines(series, path, title=title, x_label=x_label, y_label="retention", **options)
            return [Picture(part, path.read_bytes(), f"{title}: {'; '.join(texts)}.")]

    def _table(self, part: str, caption: str, measure: str | None, text: Any) -> Table:
        rows = []
        for point in sorted((p for p in self._points if p.part == part), key=lambda p: (p.series, p.x)):
            retention = self._retention.get(point.run)
            known = [interval(retention), f"{retention.sonified_accuracy:.3f}"] if retention else ["missing", ""]
            name = f"{point.name}, {point.series}" if part == "length" else point.name
            rows.append([name, *([text(point)] if measure else []), *known])
        first = {"length": "frames x bins, line of the plot"}.get(part, "transmitted as")
        return Table(caption, [first, *([measure] if measure else []), "retention", "accuracy"], rows)


def make_folder(root: Path, files: Mapping[Path, bytes]) -> None:
    """Makes a folder hold exactly these files. Unchanged files keep their time, so that runs can be resumed."""
    for path in sorted(root.rglob("*"), reverse=True):  # files before their folders
        if not path.is_dir():
            if path not in files:
                path.unlink()
        elif not any(path.iterdir()):
            path.rmdir()
    for path, data in files.items():
        if not path.exists() or path.read_bytes() != data:
            write_bytes(path, data)


def photos() -> list[np.ndarray]:
    """Grayscale squares from the left, the center and the right of each photo."""
    from sklearn.datasets import load_sample_image

    images = [to_gray(load_sample_image(name)) for name in PHOTOS]
    return [
        image[top : top + PHOTO_SIZE, left : left + PHOTO_SIZE]
        for image in images
        for top in [(image.shape[0] - PHOTO_SIZE) // 2]
        for left in np.linspace(0, image.shape[1] - PHOTO_SIZE, 3).astype(int)
    ]


def jpegs(gray: np.ndarray) -> list[bytes]:
    """The JPEG files of qualities 1 to 100."""
    qualities = range(1, 101)
    return [cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes() for quality in qualities]


def best_fitting(sizes: Sequence[int], budget: int) -> int | None:
    """The index of the highest quality whose file fits; sizes need not increase with the quality."""
    return max((place for place, size in enumerate(sizes) if size <= budget), default=None)


def with_bins(config: SonificationConfig, bins: int) -> SonificationConfig:
    """The config with windows and steps in proportion to the number of bins."""
    prefixes = ("", "analysis_")
    names = [prefix + name for prefix in prefixes for name in ("fft_length", "frame_length", "frame_step")]
    lengths = {name: length for name in names if (length := getattr(config, name)) is not None}
    return config.replace(**{name: length * 2 * (bins - 1) // config.fft_length for name, length in lengths.items()})


def file_names(examples: Examples) -> list[str]:
    """The path of each example's file in a folder, without suffix: its full name in a safe form."""
    folders, paths = safe_names(examples.class_names), [""] * len(examples)
    for label, folder in enumerate(folders):
        indices = np.flatnonzero(examples.labels == label).tolist()
        for index, name in zip(indices, safe_names([examples.names[index] for index in indices]), strict=True):
            paths[index] = f"{folder}/{name}"
    return paths


def in_order(report: Report, names: tuple[str, ...] | None, full_names: Mapping[str, str] | None = None) -> Report:
    """The report with its test examples in the order of these names. The order of a folder differs from its source's.

    If the names are those of files that were made from the examples, `full_names` maps them to the examples' names.
    """
    if names is None or report.names is None or report.names == names:
        return report
    own = full_names or {}
    places = {own.get(name, name): place for place, name in enumerate(report.names)}
    if places.keys() != set(names):
        raise ValueError(f"All runs must have the same test examples. Received: {sorted(places.keys() ^ set(names))}")
    order = [places[name] for name in names]
    changes = {key: getattr(report, key)[order] for key in ("labels", "predictions", "probabilities")}
    return dataclasses.replace(report, names=names, **changes)


def interval(retention: Retention) -> str:
    if math.isnan(retention.value):
        return "undefined"
    return f"{retention.value:.3f} ({interval_text(retention.low, retention.high)})"


def figures(retention: Retention | None) -> dict[str, float | None]:
    if retention is None:
        return dict.fromkeys(("accuracy", "retention", "low", "high", "n", "seeds"))
    found = {
        "accuracy": retention.sonified_accuracy,
        "retention": retention.value,
        "low": retention.low,
        "high": retention.high,
        "n": retention.n,
        "seeds": retention.seeds,
    }
    return {key: round(value, 4) if math.isfinite(value) else None for key, value in found.items()}


if __name__ == "__main__":
    main()
