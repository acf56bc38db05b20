"""The tables and figures of a study, as blocks of a document. They say what is missing."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from sonikeras.evaluation import Report, plots
from sonikeras.evaluation.retention import interval_text
from sonikeras.evaluation.sweep import holm
from sonikeras.reporting.documents import Block, Code, Details, Heading, Note, Picture, Table, Text
from sonikeras.reporting.study import IMAGE_GRAY, Finished, StudyResults, mean_accuracy

_MISSING = "–"

_SMOKE = (
    "This is a smoke run: it tests every step on a few small images. Its numbers say nothing about networks, data sets "
    "or signal chains."
)

_Points = dict[str, list[tuple[float, float, float, float]]]


def study_tables(results: StudyResults, command: str, *, smoke: bool = False) -> list[Block]:
    """The results of a study in tables, with figures.

    Args:
        results: `StudyResults`.
        command: The command that recreates the page.
        smoke: Boolean, whether the runs are smoke runs. The page then says so first, and states no conclusion. Defaults
            to `False`.

    Returns:
        List of blocks of a document.
    """
    ranking = functools.partial(_ranking, smoke=smoke)
    parts = (_accuracies, _by_classes, _recognition, _signals, ranking, _learning)
    tables = [block for part in parts for block in part(results)]
    return [*_summary(results, command, smoke), *tables, *_missing(results), *_setting(results)]


def confusion_matrices(results: StudyResults) -> list[Block]:
    """The confusion matrices of the first seed, as figures and tables.

    Args:
        results: `StudyResults`.

    Returns:
        List of blocks of a document.
    """
    blocks: list[Block] = [
        Heading("Confusion matrices"),
        Text("These are the matrices of the first seed. Rows are the true classes, columns the predicted classes."),
    ]
    for data, network, config in itertools.product(results.data, results.networks, results.configs):
        if runs := results.finished(data=data, network=network, config=config):
            name = f"{data}, {network}, {config}"
            title = f"{name}: accuracy {runs[0].report.accuracy:.3f}"
            blocks.append(Details(title, _confusion(results, runs[0], name)))
    return blocks


def _confusion(results: StudyResults, finished: Finished, title: str) -> list[Block]:
    run, report = finished
    matrix, names = report.confusion_matrix, report.class_names
    right = ", ".join(f"{name} {matrix[i, i]} of {matrix[i].sum()}" for i, name in enumerate(names))
    wrong = sorted(((matrix[i, j], i, j) for i, j in np.ndindex(matrix.shape) if i != j), reverse=True)
    confused = ", ".join(f"{names[i]} as {names[j]} {count} times" for count, i, j in wrong[:3] if count)
    alt = f"Confusion matrix of {title}. Correct: {right}. Most often confused: {confused or 'none'}."
    data = results.figure_of(run, "confusion.png", functools.partial(plots.confusion, matrix, names))
    rates = [
        [name, *(f"{fraction:.2f}" for fraction in row)]
        for name, row in zip(names, report.confusion_rates, strict=True)
    ]
    caption = f"Fraction of each true class that is predicted as each class: {title}"
    return [Picture("", data, alt), Table(caption, ["true class", *names], rates)]


def _summary(results: StudyResults, command: str, smoke: bool) -> list[Block]:
    blocks: list[Block] = [Note(_SMOKE)] if smoke else []
    gray = f', in color; "{IMAGE_GRAY}" is the same in gray' if IMAGE_GRAY in results.configs else ""
    blocks.append(
        Text(
            "Images are converted to audio, and the audio to spectrogram pictures. A network that was pretrained on "
            'photos is trained to classify these pictures. The baseline, "image", is the same network on the images '
            f"themselves{gray}. Recognition retention is the accuracy above chance on the pictures, divided by the "
            "accuracy above chance on the images."
        )
    )
    found = {config: results.retention(results.main, results.network, config) for config in results.chains}
    values = [
        f"{config} {_interval(kept[0].value, kept[0].low, kept[0].high)}" for config, kept in found.items() if kept
    ]
    if values and not smoke:
        blocks.append(
            Text(f"Recognition retention of {results.network} on {results.main} (95 % interval): {'; '.join(values)}.")
        )
    done = sum(each.report is not None for each in results.results)
    blocks.append(Text(f"{done} of {len(results.results)} runs are finished. Command:"))
    return [*blocks, Code(command)]


def _accuracies(results: StudyResults) -> list[Block]:
    rows = []
    for data, network, config in itertools.product(results.data, results.networks, results.configs):
        reports = results.reports(data=data, network=network, config=config)
        name = _name(results, data, network, config)
        if not reports:
            rows.append([name, "0", *[_MISSING] * 7])
            continue
        many = all(len(each.class_names) > 3 for each in reports)
        rows.append(
            [
                name,
                str(len(reports)),
                _sizes(reports),
                _interval(*mean_accuracy(reports)),
                f"{np.std([each.accuracy for each in reports], ddof=1):.3f}" if len(reports) > 1 else _MISSING,
                _mean(reports, lambda each: each.f1_weighted),
                _mean(reports, lambda each: each.f1_macro),
                _mean(reports, lambda each: each.top_k_accuracy(3)) if many else _MISSING,
                _mean(reports, lambda each: each.expected_calibration_error),
            ]
        )
    columns = [_columns(results), "seeds", "test images", "accuracy (95 % interval)", "standard deviation over seeds"]
    columns += ["weighted F1", "macro F1", "top-3 accuracy", "calibration error"]
    return [
        Heading("Accuracy"),
        Text(
            "Means over the seeds. The interval is the Wilson score interval of the mean accuracy. Its sample size is "
            "the number of test images, because all seeds share them. It generalizes to other test images, not to "
            "other seeds: the standard deviation shows how these differ. "
            f"{_MISSING}: not finished, or not defined."
        ),
        Table("Accuracy and F1 of each network on each data set", columns, rows),
    ]


def _by_classes(results: StudyResults) -> list[Block]:
    blocks: list[Block] = [Heading("Accuracy against the number of classes")]
    columns = ["signal chain", *(_with_classes(results, data) for data in results.data)]
    plotted: dict[str, _Points] = {}
    tables = {}
    for network in results.networks:
        points: _Points = {}
        rows = []
        for config in results.configs:
            groups = [(data, results.reports(data=data, network=network, config=config)) for data in results.data]
            points[config] = [(results.classes(data), *mean_accuracy(group)) for data, group in groups if group]
            rows.append([config, *(_interval(*mean_accuracy(group)) if group else _MISSING for _, group in groups)])
        plotted[network] = points
        tables[network] = Table(f"Accuracy of {network} (95 % interval)", columns, rows)
    limits = _limits(plotted.values())
    for network, points in plotted.items():
        blocks += _lines(results, f"accuracy-{network}", points, f"Accuracy of {network}", "accuracy", limits)
        blocks.append(tables[network])
    return blocks


def _with_classes(results: StudyResults, data: str) -> str:
    """A data set with its number of classes, which may be its name."""
    classes = f"{results.classes(data) or 'unknown'} classes"
    return data if data == classes else f"{data} ({classes})"


def _recognition(results: StudyResults) -> list[Block]:
    keys = list(itertools.product(results.data, results.networks, results.against_image))
    found = {key: known for key in keys if (known := results.retention(*key))}
    adjusted = dict(zip(found, holm([p_value for _, p_value in found.values()]), strict=True))
    rows = []
    for key in keys:
        cells = [_MISSING] * 5
        if key in found:
            kept, _ = found[key]
            figures = (kept.sonified_accuracy, kept.image_accuracy, kept.chance)
            cells = [_interval(kept.value, kept.low, kept.high), *map(_number, figures), _p(adjusted[key])]
        rows.append([_name(results, *key), *cells])
    gray = f' In the rows of "{IMAGE_GRAY}", gray images take the place of sonified ones.'
    gray = gray if IMAGE_GRAY in results.configs else ""
    blocks: list[Block] = [
        Heading("Recognition retention"),
        Text(
            "(accuracy on sonified images - chance) / (accuracy on images - chance). It is 1 if sonified images are "
            "classified as well as the images themselves, and 0 if they are classified no better than by chance. The "
            "interval is a bootstrap interval over test images and seeds. p is the p-value of the difference between "
            "the two accuracies, from a permutation test over the test images, with Holm's correction for all rows. "
            f"{_MISSING}: not finished, not defined, or not comparable.{gray}"
        ),
    ]
    plotted: dict[str, _Points] = {
        network: {
            config: [
                (results.classes(data), kept.value, kept.low, kept.high)
                for data in results.data
                if (data, network, config) in found
                for kept, _ in [found[data, network, config]]
            ]
            for config in results.against_image
        }
        for network in results.networks
    }
    limits = _limits(plotted.values())
    for network, points in plotted.items():
        title = f"Recognition retention of {network}"
        blocks += _lines(results, f"retention-{network}", points, title, "retention", limits)
    columns = [_columns(results), "retention (95 % interval)", "accuracy on sonified images", "accuracy on images"]
    return [*blocks, Table("Recognition retention", [*columns, "chance", "p (Holm)"], rows)]


def _signals(results: StudyResults) -> list[Block]:
    rows = []
    for data, config in itertools.product(results.data, results.chains):
        cells = [_MISSING] * 4
        if signal := results.signal(data, config):
            kept = signal.retention
            cells = [
                str(signal.images),
                _number(kept.psnr, 1),
                _number(kept.ssim),
                _number(kept.spectral_convergence, 1),
            ]
        rows.append([f"{data}, {config}", *cells])
    columns = ["data, signal chain", "images", "PSNR (dB)", "SSIM", "spectral convergence (dB)"]
    return [
        Heading("Signal retention"),
        Text(
            "The reconstructed image is compared with the original, without a classifier. The values are medians over "
            "test images. PSNR is infinite for equal images. Spectral convergence is the distance between the "
            "magnitudes of the audio and those of the image; lower is better."
        ),
        Table("Signal retention", columns, rows),
    ]


def _ranking(results: StudyResults, *, smoke: bool) -> list[Block]:
    blocks: list[Block] = [Heading("Ranking of the networks")]
    if len(results.networks) < 2:
        return [*blocks, Text(f"The study has only one network, {results.network}.")]
    order, pairs = [], []
    for data, config in itertools.product(results.data, results.configs):
        groups = {name: {"data": data, "network": name, "config": config} for name in results.networks}
        means = {name: mean_accuracy(found)[0] for name, group in groups.items() if (found := results.reports(**group))}
        ranked = sorted(means, key=lambda name: -means[name])
        order.append([f"{data}, {config}", ", ".join(f"{name} {means[name]:.3f}" for name in ranked) or _MISSING])
        couples = list(itertools.combinations(ranked, 2))
        compared = {pair: results.compared(*(groups[name] for name in pair)) for pair in couples}
        known = {pair: comparison for pair, comparison in compared.items() if comparison}
        adjusted = dict(zip(known, holm([p_value for *_, p_value in known.values()]), strict=True))
        for first, second in couples:
            if (first, second) not in known:
                pairs.append([f"{data}, {config}: {first} and {second}", *[_MISSING] * 4])
                continue
            seeds, difference, _ = known[first, second]
            p_value = adjusted[first, second]
            over = f"{first} over {second}" if difference >= 0 else f"{second} over {first}"
            differ = _MISSING if smoke else "yes" if p_value < 0.05 else "no"
            pairs.append([f"{data}, {config}: {over}", str(seeds), f"{abs(difference):.3f}", _p(p_value), differ])
    return [
        *blocks,
        Text(
            "Networks are ranked by their mean accuracy over all seeds. Pairs are compared on the seeds that both "
            "networks have. Two networks differ significantly if p is below 0.05 in a permutation test over the test "
            "images, with Holm's correction for the pairs of one data set and signal chain. "
            f"{_MISSING}: no common seed, different test images, or a smoke run."
        ),
        Table("Networks with their mean accuracy, best first", ["data, signal chain", "networks"], order),
        Table("Pairs of networks", ["pair", "seeds", "difference in accuracy", "p (Holm)", "differ"], pairs),
    ]


def _learning(results: StudyResults) -> list[Block]:
    blocks: list[Block] = [
        Heading("Learning curves"),
        Text(f"The curves are of the first seed, on {results.main}. The loss is the cross-entropy in nats."),
    ]
    firsts: dict[str, tuple[str, Mapping[str, Sequence[float]]]] = {}
    names = [f"{network}, {config}" for network, config in itertools.product(results.networks, results.configs)]
    split = "test"
    for (network, config), name in zip(itertools.product(results.networks, results.configs), names, strict=True):
        runs = results.finished(data=results.main, network=network, config=config)
        if runs and runs[0].report.history:
            firsts[name] = f"curves-{network}-{config}", runs[0].report.history
            split = "validation" if runs[0].run.recipe.validation_split else "test"
    keys = {
        "loss": "training loss",
        "val_loss": f"{split} loss",
        "accuracy": "training accuracy",
        "val_accuracy": f"{split} accuracy",
    }
    histories = [history for _, history in firsts.values()]
    limits = {
        key: found
        for key in ("loss", "accuracy")
        if (
            found := axis_limits(
                value for each in histories for name in (key, f"val_{key}") for value in each.get(name, ())
            )
        )
    }
    rows = []
    for name in names:
        if name not in firsts:
            rows.append([name, *[_MISSING] * 5])
            continue
        file, history = firsts[name]
        known = {title: history[key] for key, title in keys.items() if history.get(key)}
        epochs = max(map(len, known.values()), default=0)
        last = [f"{known[title][-1]:.3f}" if title in known else _MISSING for title in keys.values()]
        rows.append([name, str(epochs), *last])
        values = "; ".join(f"{title} from {each[0]:.3f} to {each[-1]:.3f}" for title, each in known.items())
        data = results.figure(file, functools.partial(plots.curves, history, split=split, y_limits=limits))
        alt = f"{name}, on {results.main}, over {epochs} epochs: {values}."
        blocks.append(Picture(file, data, alt, f"Loss and accuracy of {name}"))
    columns = ["network, signal chain", "epochs", *keys.values()]
    return [*blocks, Table(f"Loss and accuracy after the last epoch, on {results.main}", columns, rows)]


def _missing(results: StudyResults) -> list[Block]:
    blocks: list[Block] = [Heading("Missing results")]
    states: dict[str, list[str]] = {}
    for each in results.results:
        if each.report is None:
            states.setdefault(f"failed: {each.error}" if each.error else "not finished", []).append(each.run.name)
    if states:
        rows = [[state, str(len(names)), ", ".join(names)] for state, names in states.items()]
        blocks.append(Table("Runs without a result", ["state", "number", "runs"], rows))
    else:
        blocks.append(Text("All runs are finished."))
    reasons: dict[str, list[str]] = {}
    for name, reason in results.gaps.items():
        reasons.setdefault(reason, []).append(name)
    if reasons:
        rows = [[reason, "; ".join(names)] for reason, names in reasons.items()]
        blocks.append(Table("Results that the finished runs do not allow", ["reason", "results"], rows))
    return blocks


def _setting(results: StudyResults) -> list[Block]:
    runs = results.finished()
    if not runs:
        return []
    recipe = runs[0].run.recipe
    noted = results.noted(runs[0].run).get("versions", {})
    versions = ", ".join(f"{name} {version}" for name, version in noted.items()) or "unknown"
    images = f"at most {recipe.images_per_class}" if recipe.images_per_class else "all"
    counts = "; ".join(_images(results, data) for data in results.data if results.reports(data=data))
    return [
        Heading("Setting"),
        Text(
            f"Weights: {recipe.weights or 'none'}. Head: {recipe.head}. Batch normalization of the frozen network: "
            f"{recipe.batch_norm} mode. Optimizer: Adam with a learning rate of {recipe.learning_rate:g}, batches of "
            f"{recipe.batch_size}, {recipe.epochs} epochs. Pictures: {recipe.image_size} x {recipe.image_size} pixels. "
            f"Images per class: {images}. Seeds: {', '.join(results.values('seed'))}."
        ),
        Text(f"Images: {counts}."),
        Text(f"Versions: {versions}."),
    ]


def _images(results: StudyResults, data: str) -> str:
    run = results.finished(data=data)[0].run
    examples = results.noted(run).get("examples")
    training = examples.get("train") if isinstance(examples, dict) else None  # version 0.1.0 did not note it
    known = "" if training is None else f"{training} for training and "
    return f"{data} {known}{_sizes(results.reports(data=data))} for testing"


def _sizes(reports: Sequence[Report]) -> str:
    """The number of test images, or its range."""
    sizes = {len(report.labels) for report in reports}
    return f"{min(sizes)} to {max(sizes)}" if len(sizes) > 1 else str(*sizes)


def _name(results: StudyResults, data: str, network: str, config: str) -> str:
    return ", ".join([data, *([network] if len(results.networks) > 1 else []), config])


def _columns(results: StudyResults) -> str:
    return _name(results, "data", "network", "signal chain")


def _lines(
    results: StudyResults,
    name: str,
    points: _Points,
    title: str,
    y_label: str,
    y_limits: tuple[float, float] | None,
) -> list[Block]:
    """A plot against the number of classes, with its values as text."""
    points = {key: values for key, values in points.items() if any(math.isfinite(value) for _, value, *_ in values)}
    if not points:
        return [Text(f"{title}: no results yet.")]
    options: dict[str, Any] = {"title": title, "x_label": "classes", "y_label": y_label, "y_limits": y_limits}
    options["x_ticks"] = [count for data in results.data if (count := results.classes(data))]
    data = results.figure(name, functools.partial(plots.lines, points, order=results.configs, **options))
    values = (f"{key}: {', '.join(f'{_number(y)} at {x}' for x, y, *_ in each)}." for key, each in points.items())
    caption = f"{title}; error bars: 95 % intervals" if plots.has_bars(points) else title
    return [Picture(name, data, f"{title} against the number of classes. {' '.join(values)}", caption)]


def _limits(plotted: Iterable[_Points]) -> tuple[float, float] | None:
    """Limits of the y axis that hold all values and error bars."""
    return axis_limits(
        value for points in plotted for each in points.values() for _, *values in each for value in values
    )


def axis_limits(values: Iterable[float]) -> tuple[float, float] | None:
    """Limits of an axis: the range of the finite values with a margin, or `None` if it is empty or a single value."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite or min(finite) == max(finite):
        return None
    margin = 0.04 * (max(finite) - min(finite))
    return min(finite) - margin, max(finite) + margin


def _mean(reports: Sequence[Report], figure: Callable[[Report], float]) -> str:
    return f"{np.mean([figure(report) for report in reports]):.3f}"


def _number(value: float, digits: int = 3) -> str:
    if math.isnan(value):
        return _MISSING
    return f"{value:.{digits}f}" if math.isfinite(value) else "infinite"


def _interval(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return _MISSING
    return f"{value:.3f} ({interval_text(low, high)})"


def _p(value: float) -> str:
    return "below 0.001" if value < 0.001 else f"{value:.3f}"
