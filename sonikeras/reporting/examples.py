"""The parts of a study's page that show single images: what is confused, heard, looked at and lost."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from sonikeras.config import as_config
from sonikeras.evaluation import Report, plots
from sonikeras.evaluation.comparison import correctness
from sonikeras.evaluation.retention import signal_retention
from sonikeras.models import saliency
from sonikeras.reporting import pages
from sonikeras.reporting.findings import Findings, Run, evenly, examples_of, sounds
from sonikeras.reporting.pages import Block, Details, Gallery, Heading, Picture, Sound, Table, Text
from sonikeras.signal import chain
from sonikeras.sources import Examples
from sonikeras.sources.audio import encode_pcm16, from_pcm16

_EXAMPLES, _ATTENDED, _LOST = 4, 2, 12  # images that are shown


def galleries(findings: Findings) -> list[Block]:
    """Confusion matrices, images with their sounds, heat maps of what the network looks at, and the images lost.

    Args:
        findings: `Findings`.

    Returns:
        List of blocks for `sonikeras.reporting.pages`.
    """
    parts = (_confusions, _examples, _attention, _lost)
    return [block for part in parts for block in part(findings)]


def _confusions(findings: Findings) -> list[Block]:
    blocks: list[Block] = [
        Heading("Confusion matrices"),
        Text("Of the first seed. Rows are the true classes, columns the predicted ones."),
    ]
    for levels in itertools.product(findings.data, findings.networks, findings.configs):
        runs = findings.runs(**dict(zip(("data", "network", "config"), levels, strict=True)))
        if runs:
            title = f"{', '.join(levels)}: accuracy {runs[0].report.accuracy:.3f}"
            blocks.append(Details(title, _confusion(findings, runs[0], ", ".join(levels))))
    return blocks


def _confusion(findings: Findings, run: Run, title: str) -> list[Block]:
    report = run.report
    matrix, names = report.confusion_matrix, report.class_names
    right = ", ".join(f"{name} {matrix[i, i]} of {matrix[i].sum()}" for i, name in enumerate(names))
    wrong = sorted(((matrix[i, j], i, j) for i, j in np.ndindex(matrix.shape) if i != j), reverse=True)
    mixed = ", ".join(f"{names[i]} as {names[j]} {count} times" for count, i, j in wrong[:3] if count)
    alt = f"Confusion matrix of {title}. Right: {right}. Most often confused: {mixed or 'none'}."
    data = findings.figure_of(run, "confusion.png", functools.partial(plots.confusion, matrix, names))
    rates = [
        [name, *(f"{share:.2f}" for share in row)] for name, row in zip(names, report.confusion_rates, strict=True)
    ]
    caption = f"Share of each true class that is predicted as each class: {title}"
    return [Picture("", data, alt), Table(caption, ["true class", *names], rates)]


def _examples(findings: Findings) -> list[Block]:
    heading = Heading("Images on their way through sound")
    runs = _first_runs(findings)
    if not runs:
        return [heading, Text("No cell with sounds is finished.")]
    return [heading, *_or_reason(lambda: _ways(runs))]


def _or_reason(made: Callable[[], list[Block]]) -> list[Block]:
    """Blocks that show images; or, where these are gone, or are others than those of the report, why there are none."""
    try:
        return made()
    except (ValueError, OSError) as error:
        return [Text(f"Left out: {error}")]


def _ways(runs: list[Run]) -> list[Block]:
    blocks: list[Block] = []
    examples = examples_of(runs[0])
    for index in _one_of_each_class(examples, _EXAMPLES):
        name = examples.full_names[index]
        image = pages.png(examples.image(index, color=True), side=224)
        cards: list[list[Block]] = [[Picture("", image, f"The image {name}.", "the image")]]
        cards += [_way(run, examples, index) for run in runs]
        blocks += [Heading(name, level=3), Gallery(cards)]
    return blocks


def _way(run: Run, examples: Examples, index: int) -> list[Block]:
    recipe, config, name = run.cell.recipe, as_config(run.cell.recipe.config), examples.full_names[index]
    pcm, image = sounds(recipe, examples)(index), examples.image(index)
    audio = from_pcm16(pcm)
    kept = signal_retention(image, audio, config)
    spectrogram = pages.png(chain.picture(audio, config), side=448)
    heard = pages.png(chain.desonify(audio, config, size=image.shape), side=224)
    axes = f"0 to {config.seconds:.1f} s from left to right, 0 to {config.sample_rate / 2000:.1f} kHz upwards"
    chain_name = str(run.cell.factors["config"])
    return [
        Sound(f"{chain_name}: {name} as a sound of {config.seconds:.1f} s", encode_pcm16(pcm, config, ".flac")),
        Picture("", spectrogram, f"Spectrogram of the sound of {name}: {axes}.", "its spectrogram"),
        Picture("", heard, f"The image {name} heard back.", f"the image heard back: {kept}"),
    ]


def _attention(findings: Findings) -> list[Block]:
    blocks: list[Block] = [
        Heading("What the network looks at"),
        Text(
            "Grad-CAM: the bluer, the more a place speaks for the class that is predicted; a line goes round what "
            "speaks for it at least half as much as the most does. One heat map is laid over the image, and over the "
            "spectrogram of its sound. It is as coarse as the network's last feature map."
        ),
    ]
    for run in _first_runs(findings):
        path = findings.directory / run.cell.name / "model.keras"
        name = str(run.cell.factors["config"])
        blocks.append(Heading(name, level=3))
        if path.exists():
            blocks += _or_reason(functools.partial(_heat, findings, run, path, name))
        else:
            blocks.append(Text("The model is no longer in the run folder."))
    return blocks


def _heat(findings: Findings, run: Run, path: Path, name: str) -> list[Block]:
    recipe, config = run.cell.recipe, as_config(run.cell.recipe.config)
    examples, model = examples_of(run), keras.models.load_model(path)
    indices = _one_of_each_class(examples, _ATTENDED)
    audios = from_pcm16(np.stack([sounds(recipe, examples)(index) for index in indices]))
    size = (recipe.image_size, recipe.image_size)
    fed = chain.db_to_picture(
        chain.audio_to_db(audios, config),
        config,
        image_size=size,
        shorter_side=recipe.shorter_side,
        interpolation=recipe.interpolation,
    )
    maps = saliency.grad_cam(model, keras.ops.convert_to_numpy(fed), run.report.predictions[indices])
    start, end, low, high = extent = saliency.extent(config)
    blocks: list[Block] = []
    for index, audio, heat in zip(indices, audios, maps, strict=True):
        image, true = examples.image(index, color=True), examples.full_names[index]
        over_picture, over_image = (
            saliency.uncropped(heat, config.picture_size, size=shape, shorter_side=recipe.shorter_side)
            for shape in (config.picture_size, image.shape[:2])
        )
        row, column = np.unravel_index(over_picture.argmax(), over_picture.shape)
        seconds = start + (end - start) * (column + 0.5) / over_picture.shape[1]
        hertz = high - (high - low) * (row + 0.5) / over_picture.shape[0]
        taken = run.report.class_names[run.report.predictions[index]]
        title = f"{true}, taken for {taken}"
        drawn = chain.picture(audio, config)
        data = findings.figure(
            f"attention-{name}-{index}",
            functools.partial(plots.attention, image, over_image, drawn, over_picture, extent, title=title),
        )
        place = "Nothing in it speaks for that"
        if heat.any():
            place = f"What counts most is at {max(0, seconds):.2f} s and {hertz / 1000:.1f} kHz"
        blocks.append(Picture("", data, f"Heat map of {title}. {place}.", f"{title}. {place}."))
    return blocks


def _lost(findings: Findings) -> list[Block]:
    blocks: list[Block] = [
        Heading("Images that are lost"),
        Text(
            f"Test images of {findings.main} that {findings.network} gets right in every run when it sees them, and "
            "wrong in every run when it hears them."
        ),
    ]
    for config in findings.heard:
        heard, seen = findings.heard_and_seen(findings.main, findings.network, config)
        blocks.append(Heading(config, level=3))
        if not heard:
            blocks.append(Text("Not finished."))
            continue
        try:
            right = correctness([*heard, *seen])
        except ValueError as error:
            blocks.append(Text(f"Left out: {error}"))
            continue
        lost = np.flatnonzero(right[len(heard) :].all(axis=0) & ~right[: len(heard)].any(axis=0))
        shown = lost[evenly(len(lost), _LOST)] if len(lost) else lost
        some = f", {len(shown)} of which are shown" if len(shown) < len(lost) else ""
        blocks.append(Text(f"{len(lost)} of {right.shape[1]} images{some}."))
        run = next(run for run in findings.runs(config=config) if run.report is heard[0])
        if len(shown):
            blocks += _or_reason(functools.partial(_cards, run, heard, shown))
    return blocks


def _cards(run: Run, heard: list[Report], shown: np.ndarray) -> list[Block]:
    examples, names = examples_of(run), run.report.class_names
    cards: list[list[Block]] = []
    for index in map(int, shown):
        ((taken, _),) = Counter(names[report.predictions[index]] for report in heard).most_common(1)
        caption = f"{examples.full_names[index]}, heard as {taken}"
        image = pages.png(examples.image(index, color=True), side=160)
        cards.append([Picture("", image, f"The image {caption}.", caption)])
    return [Gallery(cards)]


def _first_runs(findings: Findings) -> list[Run]:
    """The first run of each signal chain that makes sounds, on the main data set with the first network."""
    groups = [findings.runs(data=findings.main, network=findings.network, config=each) for each in findings.heard]
    return [runs[0] for runs in groups if runs]


def _one_of_each_class(examples: Examples, classes: int) -> list[int]:
    """The first example of each of the first classes."""
    labels = examples.labels.tolist()
    return [labels.index(label) for label in sorted(set(labels))[:classes]]
