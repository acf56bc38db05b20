"""Figures of a report, and of one image through the signal chain.

They are drawn without pyplot, so they need no display and no global state: any thread may draw.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sonikeras.evaluation._drawing import MARK, drawable, new_figure, save_figure
from sonikeras.evaluation._spectrogram_plot import spectrogram

__all__ = ["attention", "confusion", "curves", "lines", "sample", "spectrogram"]

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_TRAIN, _VALIDATION = "#1f5fa8", "#e07b00"


# The palette of Okabe and Ito for color-blind readers, without its yellow, which is too light for lines.
_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")


_MARKERS = "osD^vPX*"


_NEAREST_TICKS = 0.05  # fraction of the axis


_LEGEND_CHARACTERS = 98  # of a row of a legend below a plot of 9 inches


_FULL_SIZE_CLASSES = 25  # the most classes that fit a 10 x 8 inch matrix; the figure grows with more


def curves(
    history: Mapping[str, Sequence[float]],
    path: str | os.PathLike[str],
    *,
    split: str = "validation",
    y_limits: Mapping[str, tuple[float, float]] | None = None,
) -> None:
    """Draws loss and accuracy over the epochs, side by side, in a figure of 15 x 7 inches.

    Args:
        history: Values per epoch, as `keras.callbacks.History.history`: `loss`, `val_loss`, `accuracy` and
            `val_accuracy`, or some of them. Values of every k-th epoch are drawn at those epochs.
        path: Image file to write, atomically. Its suffix sets the format.
        split: Name of the split that the `val_` values belong to, for the legend. Defaults to `"validation"`.
        y_limits: Dict, the lowest and highest value of the axis of `"loss"` or `"accuracy"`. Pass the same for figures
            that are to be compared. Defaults to `None`: the axes fit the values.

    Raises:
        ValueError: If matplotlib does not know the format.

    Example:

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "curves.png")
    >>> curves({"loss": [2.1, 1.4], "val_loss": [2.0, 1.6], "accuracy": [0.3, 0.6]}, path)
    >>> os.path.exists(path)
    True
    """
    figure = new_figure(15, 7)
    found: dict[str, Any] = {}
    for axes, key in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        _draw_curves(axes, key, history, split)
        if y_limits and key in y_limits:
            axes.set_ylim(y_limits[key])
        found |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    if found:
        figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=2, fontsize=13, frameon=False)
    save_figure(figure, path)


def _draw_curves(axes: Axes, key: str, history: Mapping[str, Sequence[float]], split: str) -> None:
    from matplotlib.ticker import MaxNLocator

    epochs = max(len(history.get(key, ())), len(history.get(f"val_{key}", ())))
    for name, label, color in ((key, "training", _TRAIN), (f"val_{key}", split, _VALIDATION)):
        values = history.get(name, ())
        if len(values):
            step = epochs // len(values)
            # Without markers a line of one point is invisible.
            axes.plot(step * np.arange(1, len(values) + 1), values, "o-", color=color, label=label, lw=2, ms=5)
    axes.set_title(key.capitalize(), fontsize=16)
    axes.set_xlabel("epoch", fontsize=13)
    axes.set_ylabel("cross-entropy (nats)" if key == "loss" else "fraction of examples", fontsize=13)
    axes.tick_params(labelsize=11)
    axes.set_xlim(0.5, max(epochs, 1) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    if not epochs:
        axes.text(0.5, 0.5, "not recorded", transform=axes.transAxes, ha="center", fontsize=13, color="gray")


def confusion(
    matrix: np.ndarray, class_names: Sequence[str], path: str | os.PathLike[str], *, rates: bool = False
) -> None:
    """Draws a confusion matrix as a heat map with the counts in it, in a figure of 10 x 8 inches.

    Class names may be in any script with an installed font. Without a font, a name is drawn as `class` and its index.
    The colors span 0 to the number of examples of the largest class, so those of one test set can be compared.

    Args:
        matrix: Counts of shape `[classes, classes]`: true classes are rows, predicted classes are columns.
        class_names: Name of each class, drawn literally (no `$` formulas). Long names are shortened in the middle.
        path: Image file to write, atomically. Its suffix sets the format.
        rates: Boolean, whether `matrix` holds fractions of the true class, as `Report.confusion_rates`, instead of
            counts. They are drawn in percent. Defaults to `False`.

    Raises:
        ValueError: If the matrix is not square with one row per class name.

    Example:

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "confusion.png")
    >>> confusion(np.array([[5, 1], [2, 4]]), ["cat", "dog"], path)
    >>> os.path.exists(path)
    True
    """
    matrix = np.rint(100 * np.asarray(matrix)).astype(int) if rates else np.asarray(matrix)
    classes = len(class_names)
    if matrix.shape != (classes, classes):
        raise ValueError(
            f"Argument `matrix` must have shape ({classes}, {classes}), one row and column per class name. "
            f"Received: matrix of shape {matrix.shape}"
        )
    scale = max(1.0, classes / _FULL_SIZE_CLASSES)
    figure = new_figure(10 * scale, 8 * scale)
    axes = figure.add_subplot()
    highest = 100 if rates else max(1, matrix.sum(axis=1).max())
    heat = axes.imshow(matrix, cmap="Blues", vmin=0, vmax=highest, aspect="auto")
    unit = "% of the examples of the true class" if rates else "examples"
    figure.colorbar(heat, ax=axes, pad=0.02).set_label(unit, fontsize=12)

    digits = len(str(matrix.max()))
    count_size = float(np.clip(min(190, 675 / digits) * scale / classes, 5, 24))
    for (row, column), count in np.ndenumerate(matrix):
        color = "white" if 2 * count > highest else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=color, fontsize=count_size)

    names, families = drawable(class_names)
    name_size = float(np.clip(200 * scale / classes, 8, 14))
    style: dict[str, Any] = {"fontsize": name_size, "fontfamily": families, "parse_math": False}
    axes.set_yticks(range(classes), names, **style)
    short = max(map(len, names)) * name_size * classes < 600 * scale
    turned: dict[str, Any] = {} if short else {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(classes), names, **style, **turned)
    axes.set_ylabel("true class", fontsize=14)
    axes.set_xlabel("predicted class", fontsize=14)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    save_figure(figure, path)


def lines(
    series: Mapping[str, Sequence[tuple[float, float, float, float]]],
    path: str | os.PathLike[str],
    *,
    title: str,
    x_label: str,
    y_label: str,
    log_x: bool = False,
    order: Sequence[str] | None = None,
    x_ticks: Sequence[float] = (),
    y_limits: tuple[float, float] | None = None,
) -> None:
    """Draws series of points with error bars, connected by lines, in a figure of 9 x 6 inches.

    Args:
        series: For each name its points `(x, value, low, high)`, where `low` to `high` is the error bar. A point with
            a NaN value is left out, and so is a bar with a NaN or infinite end. Names are drawn literally.
        path: Image file to write, atomically. Its suffix sets the format.
        title: Text above the plot.
        x_label: Label of the x axis, with its unit.
        y_label: Label of the y axis, with its unit.
        log_x: Boolean, whether the x axis is logarithmic. Defaults to `False`.
        order: Names that determine colors and markers: those of a series depend on the place of its name in this list.
            Pass the same list for figures that are to be compared. Defaults to `None`: the names of `series`.
        x_ticks: Values that the x axis holds and labels besides those of the points. Pass the same ones, and the same
            `y_limits`, for figures that are to be compared.
        y_limits: Lowest and highest value of the y axis. Defaults to `None`: the axis fits the values.

    Raises:
        ValueError: If a point is not four numbers.

    Example:

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "lines.png")
    >>> lines({"matched": [(2, 0.9, 0.8, 0.95), (10, 0.7, 0.65, 0.75)]}, path, title="Accuracy",
    ...       x_label="classes", y_label="accuracy")
    >>> os.path.exists(path)
    True
    """
    from matplotlib.transforms import ScaledTranslation

    figure = new_figure(9, 6)
    axes = figure.add_subplot()
    if log_x:
        axes.set_xscale("log")
    names, families = drawable(list(series), longest=40)
    order = list(dict.fromkeys([*(order or ()), *series]))
    places: set[float] = set(x_ticks)
    axes.update_datalim([(x, 0) for x in places], updatey=False)
    for i, (name, (key, points)) in enumerate(zip(names, series.items(), strict=True)):
        array = np.array(sorted(points), dtype=float).reshape(-1, 4)
        x, value, low, high = array[~np.isnan(array[:, 1])].T
        barred = np.isfinite(low) & np.isfinite(high)
        places |= set(x.tolist())
        place = order.index(key)
        color, marker = _COLORS[place % len(_COLORS)], _MARKERS[place % len(_MARKERS)]
        drawn: list[Any] = [
            *axes.plot(x, value, marker=marker, label=name, color=color, lw=1.8, ms=6),
            *axes.plot(np.tile(x[barred], 2), np.r_[low[barred], high[barred]], "_", color=color, ms=8, mew=1.5),
            axes.vlines(x[barred], low[barred], high[barred], color=color, lw=1.5),
        ]
        # Bars of different series at one x are drawn side by side, a few hundredths of an inch apart.
        aside = ScaledTranslation((i - (len(names) - 1) / 2) * 0.06, 0, figure.dpi_scale_trans)
        for artist in drawn:
            artist.set_transform(axes.transData + aside)
    ticks = np.array(sorted(places))
    gaps = np.diff(np.log(ticks) if log_x else ticks)
    if len(ticks) and (gaps >= _NEAREST_TICKS * gaps.sum()).all():  # every point has room for its number
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    axes.set_title(title, fontsize=15, parse_math=False)
    axes.set_xlabel(x_label, fontsize=13, parse_math=False)
    axes.set_ylabel(y_label, fontsize=13, parse_math=False)
    axes.tick_params(labelsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    if y_limits is not None:
        axes.set_ylim(y_limits)
    if names:
        columns = int(np.clip(_LEGEND_CHARACTERS // (max(map(len, names)) + 6), 1, len(names)))
        legend = figure.legend(loc="outside lower center", ncols=columns, fontsize=12, frameon=False)
        for text in legend.get_texts():
            text.set_fontfamily(families)
            text.set_parse_math(False)
    save_figure(figure, path)


def has_bars(series: Mapping[str, Sequence[tuple[float, float, float, float]]]) -> bool:
    """Whether `lines` draws an error bar for any point of the series.

    Args:
        series: As in `lines`.

    Example:

    >>> has_bars({"matched": [(2, 0.9, 0.8, 0.95)]}), has_bars({"matched": [(2, 0.9, float("-inf"), 0.95)]})
    (True, False)
    """
    return any(np.isfinite(ends).all() and not np.isnan(y) for points in series.values() for _, y, *ends in points)


def sample(
    image: np.ndarray,
    audio: np.ndarray,
    sample_rate: float,
    picture: np.ndarray,
    reconstruction: np.ndarray,
    path: str | os.PathLike[str],
    title: str | None = None,
) -> None:
    """Draws one image through the signal chain in a row: image, waveform, spectrogram, reconstructed image.

    Args:
        image: uint8 array of shape `[height, width]` or `[height, width, 3]`.
        audio: Float array of shape `[samples]`, with one sample or more.
        sample_rate: Number in hertz.
        picture: Spectrogram of the audio, uint8 array of shape `[height, width, 3]`. The first row is half the sample
            rate, the last row is 0 Hz, and the columns span the whole duration.
        reconstruction: uint8 array of shape `[height, width]`, of any size. It is drawn in the proportions of `image`.
        path: Image file to write, atomically. Its suffix sets the format.
        title: Text above the row. Defaults to `None`.

    Raises:
        ValueError: If `audio` is not one channel of one or more samples.

    Example:

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "sample.png")
    >>> gray = np.arange(64, dtype="uint8").reshape(8, 8)
    >>> tone = np.sin(np.arange(800) / 5).astype("float32")
    >>> sample(gray, tone, 8000, np.stack([gray] * 3, -1), gray, path, title="A gradient")
    >>> os.path.exists(path)
    True
    """
    audio = np.asarray(audio)
    if audio.ndim != 1 or audio.size == 0:
        raise ValueError(
            f"Argument `audio` must have shape (samples,), with one sample or more. Received: shape {audio.shape}"
        )
    proportion = image.shape[0] / image.shape[1]
    duration = audio.size / sample_rate
    figure = new_figure(16, 4)
    # In inches. The two images get the width at which they are as high as the plots, within bounds. The plots divide
    # the rest, less the room for their labels.
    image_width = float(np.clip(3.2 / proportion, 2, 4))
    plot_width = (16 - 1.8 - 2 * image_width) / 2
    panels = figure.subplots(1, 4, width_ratios=[image_width, plot_width, plot_width, image_width])
    for axes, name in zip(panels, ("image", "audio", "spectrogram", "reconstructed image"), strict=True):
        axes.set_title(name, fontsize=13)

    _draw_image(panels[0], image, proportion)
    _draw_waveform(panels[1], audio, duration)
    panels[2].imshow(picture, extent=(0, duration, 0, sample_rate / 2000), aspect="auto", interpolation="antialiased")
    panels[2].set_xlabel("time (s)")
    panels[2].set_ylabel("frequency (kHz)")
    _draw_image(panels[3], reconstruction, proportion)
    if title is not None:
        (text,), families = drawable([title], longest=120)
        figure.suptitle(text, fontsize=16, fontfamily=families, parse_math=False)
    save_figure(figure, path)


def attention(
    image: np.ndarray,
    image_heat: np.ndarray,
    picture: np.ndarray,
    picture_heat: np.ndarray,
    extent: tuple[float, float, float, float],
    path: str | os.PathLike[str],
    title: str | None = None,
) -> None:
    """Draws heat maps over an image and over the spectrogram of its audio, side by side.

    Hot regions are blue. A contour surrounds the regions of at least half the highest heat.

    Args:
        image: uint8 array of shape `[height, width]` or `[height, width, 3]`.
        image_heat: Array of shape `[height, width]` in 0..1, as from `sonikeras.models.saliency.uncropped`.
        picture: Spectrogram of the audio, uint8 array of shape `[height, width, 3]`, low frequencies at the bottom.
        picture_heat: Array of shape `[height, width]` of `picture` in 0..1.
        extent: `(start, end, low, high)` of the picture, in s and Hz, as from `sonikeras.models.saliency.extent`.
        path: Image file to write, atomically. Its suffix sets the format.
        title: Text above the figure. Defaults to `None`.

    Raises:
        ValueError: If a heat map and the image below it differ in height or width.

    Example:

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "attention.png")
    >>> gray = np.arange(64, dtype="uint8").reshape(8, 8)
    >>> attention(gray, gray / 63, np.stack([gray] * 3, -1), gray / 63, (0, 2.95, 0, 11025), path)
    >>> os.path.exists(path)
    True
    """
    from matplotlib.colors import to_rgb

    for name, heat, below in (("image_heat", image_heat, image), ("picture_heat", picture_heat, picture)):
        if np.shape(heat) != below.shape[:2]:
            raise ValueError(
                f"Argument `{name}` must have the height and width of the image below it, {below.shape[:2]}. "
                f"Received: {name} of shape {np.shape(heat)}"
            )
    proportion = image.shape[0] / image.shape[1]
    figure = new_figure(12, 4.5)
    image_width = float(np.clip(3.7 / proportion, 2, 5))
    left, right = figure.subplots(1, 2, width_ratios=[image_width, 11 - image_width])
    _draw_image(left, image, proportion)
    left.set_title("image", fontsize=13)
    start, end, low, high = extent
    right.imshow(picture, extent=(start, end, low / 1000, high / 1000), aspect="auto", interpolation="antialiased")
    right.set_title("spectrogram", fontsize=13)
    right.set_xlabel("time (s)")
    right.set_ylabel("frequency (kHz)")
    for axes, heat in ((left, image_heat), (right, picture_heat)):
        shown = axes.images[0]
        place: dict[str, Any] = {"extent": shown.get_extent(), "origin": "upper"}
        tint = np.broadcast_to(to_rgb(MARK), (*heat.shape, 3))
        axes.imshow(np.dstack([tint, 0.6 * heat]), aspect=axes.get_aspect(), **place)
        if heat.min() < 0.5 < heat.max():
            axes.contour(heat, [0.5], colors=MARK, linewidths=2, **place)
    if title is not None:
        (text,), families = drawable([title], longest=100)
        figure.suptitle(text, fontsize=15, fontfamily=families, parse_math=False)
    save_figure(figure, path)


def _draw_image(axes: Axes, image: np.ndarray, proportion: float) -> None:
    """Shows a gray or color image `proportion` times as high as wide, whatever its pixel size."""
    height, width = image.shape[:2]
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, aspect=proportion * width / height)
    axes.set_anchor("N")  # aligns the titles of the row
    axes.set_xticks([])
    axes.set_yticks([])


def _draw_waveform(axes: Axes, audio: np.ndarray, duration: float) -> None:
    # The envelope. A line through some 10^5 samples is slower to draw and looks the same.
    columns = min(audio.size, 1200)
    starts = np.arange(columns) * audio.size // columns
    seconds = starts * (duration / audio.size)
    low, high = np.minimum.reduceat(audio, starts), np.maximum.reduceat(audio, starts)
    axes.fill_between(seconds, low, high, color=_TRAIN, lw=0.6)
    peak = max(float(np.abs(audio).max()), 1e-9)
    axes.set_xlim(0, duration)
    axes.set_ylim(-1.05 * peak, 1.05 * peak)
    axes.set_xlabel("time (s)")
    axes.set_ylabel("amplitude")
    axes.spines[["top", "right"]].set_visible(False)
