"""The page of transmission: its plots and tables."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sonikeras.evaluation import photos, plots
from sonikeras.evaluation.photos import PhotoRetention
from sonikeras.evaluation.retention import Retention, interval_text
from sonikeras.evaluation.transmission import Plot, Point, length_text
from sonikeras.reporting.documents import Block, Code, Heading, Note, Picture, Table, Text
from sonikeras.reporting.tables import axis_limits
from sonikeras.reporting.transmission import TransmissionResults


def transmission_tables(
    results: TransmissionResults, photo_rows: Sequence[PhotoRetention], command: str, *, smoke: bool = False
) -> list[Block]:
    """Plots and tables of the retention by noise, bytes, length and other channels.

    Args:
        results: `TransmissionResults`.
        photo_rows: The signal retention of photos, for each duration.
        command: String, the command that made the results.
        smoke: Boolean, whether the numbers mean nothing. The page then says so, and draws no conclusion.

    Returns:
        List of blocks.
    """
    return [
        *_summary(results, command, smoke),
        Heading("Noise"),
        *_plot(results, "noise", "white noise", "signal-to-noise ratio (dB)"),
        _table(results, "noise", "Retention under white noise", "SNR in dB", lambda point: f"{point.x:g}"),
        Heading("Bytes"),
        Text(
            "Audio as files of a codec, headers included, and each grayscale image as the JPEG file of the highest "
            "quality that fits the same number of bytes. The number of bytes is the mean over the files."
        ),
        *map(Text, results.plan.not_fitting),
        *_plot(results, "bytes", "bytes", "bytes per image", log_x=True),
        _table(
            results,
            "bytes",
            "Retention by the bytes transmitted",
            "bytes (kbit/s)",
            lambda point: f"{point.x:.0f}" + (f" ({rate:.1f})" if (rate := results.kbps(point)) is not None else ""),
        ),
        Heading("Length"),
        Text(
            "The image is resized to frames x bins before it is sonified. An image with more pixels loses detail. "
            "An image with fewer pixels gains nothing from longer audio."
        ),
        *_plot(results, "length", "duration", "duration (s)", log_x=True),
        _table(results, "length", "Retention by duration", "seconds", lambda point: f"{point.x:.2f}"),
        *_photos(photo_rows),
        Heading("Other channels"),
        _table(results, "other", "Retention through other channels"),
    ]


def _summary(results: TransmissionResults, command: str, smoke: bool) -> list[Block]:
    plan, recipe, count = results.plan, results.plan.recipe, len(results.seeds)
    sizes = plan.image_sizes()
    images = " to ".join(f"{width} x {height}" for height, width in dict.fromkeys((sizes[0], sizes[-1])))
    setting = (
        f"Data {recipe.data or 'of ' + str(recipe.data_dir)}: {len(plan.test.class_names)} classes, "
        f"{len(plan.test)} test images of {images} pixels. Network: {recipe.network}, a new head on frozen "
        f"features. Signal chain: {recipe.config}, {plan.config.seconds:.2f} s of audio. {count} "
        f"{'seed' if count == 1 else 'seeds'}. Training and test audio passes the same channel. Parentheses are 95 % "
        f"intervals over test images{' and seeds' if count > 1 else ''}."
    )
    blocks: list[Block] = [
        Text("The accuracy of a network on images that were transmitted as audio. Command:"),
        Code(command),
        Text(setting),
    ]
    if smoke:
        note = "This is a smoke run: it tests every step on a few small images. Its numbers say nothing about channels."
        return [Note(note), *blocks]
    clean = interval(results.clean) if results.clean else "missing"
    bounds = (
        f"The accuracy on the images themselves is {results.images.image_accuracy:.3f}. "
        f"The retention without a channel is {clean}."
    )
    return [*blocks, Text(bounds)]


def _photos(rows: Sequence[PhotoRetention]) -> list[Block]:
    """The signal retention of photos for all durations."""
    side = f"{photos.SIDE} x {photos.SIDE}"
    return [
        Text(
            f"The signal retention of photos, without a classifier: {rows[0].images} squares of {side} pixels from "
            f"the two photos of scikit-learn ({' and '.join(photos.NAMES)}), reconstructed and compared with the "
            f"grayscale originals. Fewer than {photos.SIDE} frames or bins cannot hold all columns or rows."
        ),
        Table(
            f"Signal retention of photos of {side} pixels: medians",
            ["frames x bins", "seconds", "PSNR (dB)", "SSIM"],
            [
                [length_text(row.config), f"{row.config.seconds:.2f}", f"{row.psnr:.1f}", f"{row.ssim:.3f}"]
                for row in rows
            ],
        ),
    ]


def _plot(results: TransmissionResults, plot: Plot, by: str, x_label: str, *, log_x: bool = False) -> list[Block]:
    series: dict[str, list[tuple[float, float, float, float]]] = {}
    texts: list[str] = []
    ends: list[float] = []
    for point in results.plan.points:
        retention = results.retention(point)
        if not retention:
            continue
        values = (point.x, retention.value, retention.low, retention.high)
        ends += values[1:]
        if point.plot == plot:
            series.setdefault(point.series, []).append(values)
            texts.append(f"{point.name} {interval(retention)}")
    if not texts:
        return [Text("No run of this plot is finished.")]
    title = f"Recognition retention by {by}"
    # All plots share the colors of the series and the limits of the y axis.
    order = list(dict.fromkeys(point.series for point in results.plan.points))
    labels: dict[str, Any] = {"title": title, "x_label": x_label, "y_label": "retention"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plot.png"
        plots.lines(series, path, log_x=log_x, order=order, y_limits=axis_limits(ends), **labels)
        caption = f"{title}; error bars: 95 % intervals" if plots.has_bars(series) else title
        return [Picture(plot, path.read_bytes(), f"{title}: {'; '.join(texts)}.", caption)]


def _table(
    results: TransmissionResults,
    plot: Plot,
    caption: str,
    measure: str | None = None,
    text: Callable[[Point], str] | None = None,
) -> Table:
    """The points of a plot, with their values of x as text in a column of the name `measure`."""
    rows = []
    for point in sorted((p for p in results.plan.points if p.plot == plot), key=lambda p: (p.series, p.x)):
        retention = results.retention(point)
        known = [interval(retention), f"{retention.sonified_accuracy:.3f}"] if retention else ["missing", ""]
        name = f"{point.name}, {point.series}" if plot == "length" else point.name
        rows.append([name, *([text(point)] if text else []), *known])
    first = "frames x bins, line of the plot" if plot == "length" else "transmitted as"
    return Table(caption, [first, *([measure] if measure else []), "retention", "accuracy"], rows)


def interval(retention: Retention) -> str:
    """A retention with its interval as text.

    Example:
        >>> from sonikeras.evaluation.retention import Retention
        >>> interval(Retention(0.5, 0.25, 0.75, 0.5, 0.9, 0.1, n=10, seeds=1, level=0.95))
        '0.500 (0.250 to 0.750)'
    """
    if math.isnan(retention.value):
        return "undefined"
    return f"{retention.value:.3f} ({interval_text(retention.low, retention.high)})"
