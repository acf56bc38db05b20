"""The tables and figures of a study, as blocks of a page. What is missing is said to be so."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sonikeras.evaluation import Report, plots, sweep as studies
from sonikeras.evaluation.retention import interval_text
from sonikeras.reporting.findings import SIGNAL_IMAGES, Findings, mean_accuracy
from sonikeras.reporting.pages import Block, Code, Heading, Picture, Table, Text

_MISSING = "–"


_BARS = "error bars: 95 % intervals"


_CURVES = {
    "loss": "training loss",
    "val_loss": "test loss",
    "accuracy": "training accuracy",
    "val_accuracy": "test accuracy",
}


def tables(findings: Findings, command: str) -> list[Block]:
    """What a study found, in tables with figures beside them.

    Args:
        findings: `Findings`.
        command: The command that makes the page again.

    Returns:
        List of blocks for `sonikeras.reporting.pages`.
    """
    parts = (_accuracies, _by_classes, _recognition, _signals, _ranking, _learning, _state)
    return [*_summary(findings, command), *(block for part in parts for block in part(findings))]


def _summary(findings: Findings, command: str) -> list[Block]:
    blocks: list[Block] = [
        Text(
            "An image is made into a sound, the sound into a picture of its spectrogram, and a network that knows "
            "photographs learns to tell classes apart by these pictures. The same network on the images themselves "
            '("image") says what could be reached. Recognition retention is the accuracy above chance of the former '
            "over that of the latter."
        )
    ]
    found = {config: findings.retention(findings.main, findings.network, config) for config in findings.heard}
    said = [f"{config} {_interval(kept[0].value, kept[0].low, kept[0].high)}" for config, kept in found.items() if kept]
    if said:
        blocks.append(
            Text(
                f"Of what {findings.network} recognizes in the images of {findings.main}, this share survives in the "
                f"sound (95 % interval): {'; '.join(said)}."
            )
        )
    done = sum(each.report is not None for each in findings.outcomes)
    blocks.append(Text(f"{done} of {len(findings.outcomes)} cells are finished. This page is made by"))
    return [*blocks, Code(command)]


def _accuracies(findings: Findings) -> list[Block]:
    rows = []
    for data, network, config in itertools.product(findings.data, findings.networks, findings.configs):
        reports = findings.reports(data=data, network=network, config=config)
        name = _name(findings, data, network, config)
        if not reports:
            rows.append([name, "0", *[_MISSING] * 7])
            continue
        many = all(len(each.class_names) > 3 for each in reports)
        top = _mean(reports, lambda each: each.top_k_accuracy(3)) if many else _MISSING
        several = len(reports) > 1
        rows.append(
            [
                name,
                str(len(reports)),
                _sizes(reports),
                _interval(*mean_accuracy(reports)),
                f"{np.std([each.accuracy for each in reports], ddof=1):.3f}" if several else _MISSING,
                _mean(reports, lambda each: each.f1_weighted),
                _mean(reports, lambda each: each.f1_macro),
                top,
                _mean(reports, lambda each: each.expected_calibration_error),
            ]
        )
    columns = [_columns(findings), "seeds", "test images", "accuracy (95 % interval)"]
    columns += ["deviation over seeds", "weighted F1", "macro F1", "top-3 accuracy", "calibration error"]
    return [
        Heading("The table of the study"),
        Text(
            "Means over the seeds. The interval is Wilson's at the mean accuracy, for the number of test images: the "
            f"seeds share them. {_MISSING}: not finished, or not defined."
        ),
        Table("Accuracy and F1 of each network on each data set", columns, rows),
    ]


def _by_classes(findings: Findings) -> list[Block]:
    blocks: list[Block] = [Heading("Accuracy against the number of classes")]
    columns = ["signal chain", *(f"{data} ({findings.classes(data) or 'unknown'} classes)" for data in findings.data)]
    for network in findings.networks:
        series, rows = {}, []
        for config in findings.configs:
            groups = [(data, findings.reports(data=data, network=network, config=config)) for data in findings.data]
            series[config] = [(findings.classes(data), *mean_accuracy(group)) for data, group in groups if group]
            rows.append([config, *(_interval(*mean_accuracy(group)) if group else _MISSING for _, group in groups)])
        blocks += _lines(findings, f"accuracy-{network}", series, f"Accuracy of {network}", "accuracy")
        blocks.append(Table(f"Accuracy of {network} (95 % interval)", columns, rows))
    return blocks


def _recognition(findings: Findings) -> list[Block]:
    keys = list(itertools.product(findings.data, findings.networks, findings.heard))
    found = {key: known for key in keys if (known := findings.retention(*key))}
    adjusted = dict(zip(found, studies.holm([p_value for _, p_value in found.values()]), strict=True))
    rows = []
    for key in keys:
        cells = [_MISSING] * 5
        if key in found:
            kept, _ = found[key]
            figures = (kept.heard_accuracy, kept.seen_accuracy, kept.chance)
            cells = [_interval(kept.value, kept.low, kept.high), *map(_number, figures), _p(adjusted[key])]
        rows.append([_name(findings, *key), *cells])
    blocks: list[Block] = [
        Heading("Recognition retention"),
        Text(
            "(Accuracy heard - chance) / (accuracy seen - chance), with a bootstrap over test images and seeds. It is "
            "1 where all that is recognized in the images is recognized in their sounds too, and 0 where no more is "
            "than by chance. p is the probability of such a difference between heard and seen by chance: a permutation "
            f"test over the test images, corrected for all rows by Holm's method. "
            f"{_MISSING}: not finished, not defined, or not to be compared."
        ),
    ]
    for network in findings.networks:
        series = {
            config: [
                (findings.classes(data), kept.value, kept.low, kept.high)
                for data in findings.data
                if (data, network, config) in found
                for kept, _ in [found[data, network, config]]
            ]
            for config in findings.heard
        }
        blocks += _lines(findings, f"retention-{network}", series, f"Recognition retention of {network}", "retention")
    columns = [_columns(findings), "retention (95 % interval)", "accuracy heard", "accuracy seen", "chance"]
    return [*blocks, Table("Recognition retention", [*columns, "p (Holm)"], rows)]


def _signals(findings: Findings) -> list[Block]:
    rows = []
    for data, config in itertools.product(findings.data, findings.heard):
        kept = findings.signal(data, config)
        digits = {"psnr": 1, "ssim": 3, "spectral_convergence": 1}
        cells = [_number(kept[name], places) if kept else _MISSING for name, places in digits.items()]
        rows.append([f"{data}, {config}", *cells])
    columns = ["data, signal chain", "PSNR in dB", "SSIM", "spectral convergence in dB"]
    return [
        Heading("Signal retention"),
        Text(
            "The image heard back against the image itself, without any classifier: medians over at most "
            f"{SIGNAL_IMAGES} test images. PSNR is infinite where they are equal. Spectral convergence is how far the "
            "sound's magnitudes are from those that the image asks for: the lower, the nearer."
        ),
        Table("Signal retention", columns, rows),
    ]


def _ranking(findings: Findings) -> list[Block]:
    blocks: list[Block] = [Heading("Ranking of the networks")]
    if len(findings.networks) < 2:
        return [*blocks, Text(f"The study has one network, {findings.network}, so there is nothing to rank.")]
    order, pairs = [], []
    for data, config in itertools.product(findings.data, findings.configs):
        groups = {name: {"data": data, "network": name, "config": config} for name in findings.networks}
        means = {
            name: mean_accuracy(found)[0] for name, group in groups.items() if (found := findings.reports(**group))
        }
        ranked = sorted(means, key=lambda name: -means[name])
        order.append([f"{data}, {config}", ", ".join(f"{name} {means[name]:.3f}" for name in ranked) or _MISSING])
        couples = list(itertools.combinations(ranked, 2))
        known = {each: told for each in couples if (told := findings.compared(*(groups[name] for name in each)))}
        adjusted = dict(zip(known, studies.holm([p_value for *_, p_value in known.values()]), strict=True))
        for first, second in couples:
            if (first, second) not in known:
                pairs.append([f"{data}, {config}: {first} and {second}", *[_MISSING] * 4])
                continue
            seeds, difference, _ = known[first, second]
            p_value = adjusted[first, second]
            over = f"{first} over {second}" if difference >= 0 else f"{second} over {first}"
            differ = "yes" if p_value < 0.05 else "no"
            pairs.append([f"{data}, {config}: {over}", str(seeds), f"{abs(difference):.3f}", _p(p_value), differ])
    return [
        *blocks,
        Text(
            "By mean accuracy, over all seeds that a network has. Pairs are compared by the seeds that both have. Two "
            "networks differ where p is below 0.05: a permutation test over the test images, corrected by Holm's "
            f"method for the pairs of one data set and signal chain. {_MISSING}: no seed that both have, or other test "
            "images."
        ),
        Table("Networks, the best first, with their mean accuracy", ["data, signal chain", "networks"], order),
        Table("Pairs of networks", ["pair", "seeds", "difference of accuracy", "p (Holm)", "they differ"], pairs),
    ]


def _learning(findings: Findings) -> list[Block]:
    blocks: list[Block] = [
        Heading("Learning curves"),
        Text(f"Of the first seed, on {findings.main}. Losses are cross-entropies in nats."),
    ]
    rows = []
    for network, config in itertools.product(findings.networks, findings.configs):
        name = f"{network}, {config}"
        runs = findings.runs(data=findings.main, network=network, config=config)
        history = runs[0].report.history if runs else None
        if not history:
            rows.append([name, *[_MISSING] * 5])
            continue
        known = {title: history[key] for key, title in _CURVES.items() if history.get(key)}
        epochs = max(map(len, known.values()))
        last = [f"{known[title][-1]:.3f}" if title in known else _MISSING for title in _CURVES.values()]
        rows.append([name, str(epochs), *last])
        said = "; ".join(f"{title} from {values[0]:.3f} to {values[-1]:.3f}" for title, values in known.items())
        data = findings.figure_of(runs[0], "curves.png", functools.partial(plots.curves, history))
        alt = f"{name}, on {findings.main}, over {epochs} epochs: {said}."
        blocks.append(Picture(f"curves-{network}-{config}", data, alt, f"Loss and accuracy of {name}"))
    columns = ["network, signal chain", "epochs", *_CURVES.values()]
    return [*blocks, Table(f"After the last epoch, on {findings.main}", columns, rows)]


def _state(findings: Findings) -> list[Block]:
    blocks: list[Block] = [Heading("What is missing, and how it was measured")]
    missing = [each for each in findings.outcomes if each.report is None]
    if missing:
        rows = [[each.cell.name, "failed" if each.error else "not finished", each.error or ""] for each in missing]
        blocks.append(Table("Cells without a result", ["cell", "state", "error"], rows))
    else:
        blocks.append(Text("All cells are finished."))
    if findings.gaps:
        rows = [[name, reason] for name, reason in findings.gaps.items()]
        blocks.append(Table("What cannot be said of finished cells", ["what", "why"], rows))
    if runs := findings.runs():
        recipe = runs[0].cell.recipe
        noted = findings.noted(runs[0]).get("versions", {})
        versions = ", ".join(f"{name} {version}" for name, version in noted.items()) or "not noted"
        images = f"at most {recipe.images_per_class}" if recipe.images_per_class else "all"
        counted = "; ".join(_images(findings, data) for data in findings.data if findings.reports(data=data))
        blocks += [
            Text(
                f"Weights: {recipe.weights or 'none'}. Head: {recipe.head}. Batch normalization of the frozen network: "
                f"in {recipe.batch_norm} mode. Adam at {recipe.learning_rate:g}, batches of {recipe.batch_size}, "
                f"{recipe.epochs} epochs. Pictures of {recipe.image_size} x {recipe.image_size} pixels, {images} "
                f"images a class. Seeds: {', '.join(findings.levels('seed'))}."
            ),
            Text(f"Images: {counted}."),
            Text(f"Versions: {versions}."),
        ]
    return blocks


def _images(findings: Findings, data: str) -> str:
    training = findings.training_images(findings.runs(data=data)[0])
    known = "" if training is None else f"{training} for training and "
    return f"{data} {known}{_sizes(findings.reports(data=data))} for testing"


def _sizes(reports: Sequence[Report]) -> str:
    """How many test images reports are on."""
    sizes = {len(report.labels) for report in reports}
    return f"{min(sizes)} to {max(sizes)}" if len(sizes) > 1 else str(*sizes)


def _name(findings: Findings, data: str, network: str, config: str) -> str:
    return ", ".join([data, *([network] if len(findings.networks) > 1 else []), config])


def _columns(findings: Findings) -> str:
    return _name(findings, "data", "network", "signal chain")


def _lines(findings: Findings, name: str, series: dict[str, list[Any]], title: str, y_label: str) -> list[Block]:
    """A plot against the number of classes, and its figures as text."""
    series = {key: points for key, points in series.items() if any(math.isfinite(point[1]) for point in points)}
    if not series:
        return [Text(f"{title}: nothing to draw yet.")]
    data = findings.figure(
        name, functools.partial(plots.lines, series, title=title, x_label="classes", y_label=y_label)
    )
    said = (f"{key}: {', '.join(f'{_number(y)} at {x}' for x, y, *_ in points)}." for key, points in series.items())
    return [Picture(name, data, f"{title} against the number of classes. {' '.join(said)}", f"{title}; {_BARS}")]


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
