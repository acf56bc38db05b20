"""Galleries of single images from run folders: samples with their audio, heat maps, and lost images."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable

import numpy as np

from sonikeras.evaluation import Report
from sonikeras.evaluation.comparison import correctness
from sonikeras.evaluation.samples import Sample, evenly
from sonikeras.reporting.documents import AudioClip, Block, Gallery, Heading, Picture, Text, png
from sonikeras.reporting.study import Finished, StudyResults
from sonikeras.sources import read_audio, read_image
from sonikeras.sources.audio import encode_pcm16, to_pcm16

_LOST = 12  # images that are shown


def example_galleries(results: StudyResults) -> list[Block]:
    """Samples with their audio, heat maps of the classifier, and lost images.

    Args:
        results: `StudyResults`.

    Returns:
        List of blocks of a document.
    """
    parts = (_samples, _attention, _lost)
    return [block for part in parts for block in part(results)]


def _samples(results: StudyResults) -> list[Block]:
    blocks: list[Block] = [Heading("Images through the signal chain")]
    runs = _first_runs(results)
    if not runs:
        return [*blocks, Text("No run on sonified images is finished.")]
    found: dict[str, list[tuple[str, Sample]]] = {}
    for finished in runs:
        if written := results.samples(finished.run):
            for sample in written.samples:
                found.setdefault(sample.name, []).append((str(finished.run.factors["config"]), sample))
    if not found:
        return [*blocks, Text("The run folders have no samples.")]
    reasons = _Reasons()
    for name, samples in found.items():
        blocks += [Heading(name, level=3), *reasons.blocks(functools.partial(_sample_gallery, name, samples))]
    return blocks


def _sample_gallery(name: str, samples: list[tuple[str, Sample]]) -> list[Block]:
    image = png(read_image(samples[0][1].image, color=True), side=224)
    cards: list[list[Block]] = [[Picture("", image, f"The image {name}.", "image")]]
    for chain, sample in samples:
        audio, config = read_audio(sample.audio)
        spectrogram = png(read_image(sample.picture, color=True), side=448)
        reconstruction = png(read_image(sample.reconstruction, color=True), side=224)
        axes = "The time runs from left to right, the frequency from bottom to top."
        seconds = f", {config.seconds:.1f} s" if config else ""
        cards.append(
            [
                AudioClip(f"{chain}: audio of {name}{seconds}", encode_pcm16(to_pcm16(audio), config, ".flac")),
                Picture("", spectrogram, f"Spectrogram of the audio of {name}. {axes}", "spectrogram"),
                Picture(
                    "", reconstruction, f"The reconstruction of {name}.", f"reconstructed image: {sample.retention}"
                ),
            ]
        )
    return [Gallery(cards)]


class _Reasons:
    """Why images of a section are not available. Each reason is given once."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def blocks(self, made: Callable[[], list[Block]]) -> list[Block]:
        """Blocks with images, or the reason for their absence."""
        try:
            return made()
        except (ValueError, OSError) as error:
            known = str(error) in self._given
            self._given.add(str(error))
            return [Text("Left out, for a reason given above." if known else f"Left out: {error}")]


def _attention(results: StudyResults) -> list[Block]:
    blocks: list[Block] = [
        Heading("Evidence for the predicted class"),
        Text(
            "Grad-CAM heat maps, over the image and over the spectrogram of its audio. Blue regions raise the score of "
            "the predicted class. The contour surrounds the regions with at least half the highest value. A heat map "
            "has the resolution of the network's last feature map."
        ),
    ]
    reasons = _Reasons()
    for finished in _first_runs(results):
        blocks.append(Heading(str(finished.run.factors["config"]), level=3))
        written = results.samples(finished.run)
        shown = [sample for sample in written.samples if sample.attention] if written else []
        if not shown:
            blocks.append(Text("The run folder has no heat maps."))
        for sample in shown:
            blocks += reasons.blocks(functools.partial(_heat_map, sample))
    return blocks


def _heat_map(sample: Sample) -> list[Block]:
    assert sample.attention is not None
    title = f"{sample.name}, predicted as {sample.predicted}"
    place = "No region raises the score"
    if sample.peak:
        seconds, hertz = sample.peak
        place = f"The maximum is at {seconds:.2f} s and {hertz / 1000:.1f} kHz"
    return [Picture("", sample.attention.read_bytes(), f"Heat map of {title}. {place}.", f"{title}. {place}.")]


def _lost(results: StudyResults) -> list[Block]:
    blocks: list[Block] = [
        Heading("Lost images"),
        Text(
            f"Test images of {results.main} that {results.network} classifies correctly in every run on the images "
            "themselves, and wrongly in every run on the sonified images."
        ),
    ]
    reasons = _Reasons()
    for config in results.chains:
        sonified, images = results.sonified_and_images(results.main, results.network, config)
        blocks.append(Heading(config, level=3))
        if not sonified:
            blocks.append(Text("Not finished."))
            continue
        runs = results.finished(data=results.main, network=results.network, config=config)
        first = next(each for each in runs if each.report is sonified[0])
        blocks += reasons.blocks(functools.partial(_lost_of, first, sonified, images, reasons))
    return blocks


def _lost_of(finished: Finished, sonified: list[Report], images: list[Report], reasons: _Reasons) -> list[Block]:
    """The number of lost images, and some of them."""
    right = correctness([*sonified, *images])
    count = len(sonified)
    lost = np.flatnonzero(right[count:].all(axis=0) & ~right[:count].any(axis=0))
    shown = lost[evenly(len(lost), _LOST)] if len(lost) else lost
    some = f"; {len(shown)} of them are shown" if len(shown) < len(lost) else ""
    number = Text(f"{len(lost)} of {right.shape[1]} images{some}.")
    if not len(shown):
        return [number]
    return [number, *reasons.blocks(functools.partial(_lost_gallery, finished, sonified, shown))]


def _lost_gallery(finished: Finished, reports: list[Report], shown: np.ndarray) -> list[Block]:
    """Cards of test images, which are read from the data set."""
    run, report = finished
    examples = run.recipe.dataset("test", shuffle=False).examples
    names = tuple(examples.full_names)
    if names != report.names if report.names is not None else not np.array_equal(examples.labels, report.labels):
        raise ValueError(
            "The test images must be those of the report, with the same names in the same order. "
            f"Received: {len(names)} images, and a report on {len(report.labels)}, of {run.name}"
        )
    cards: list[list[Block]] = []
    for index in map(int, shown):
        ((predicted, _),) = Counter(report.class_names[each.predictions[index]] for each in reports).most_common(1)
        caption = f"{names[index]}, predicted as {predicted}"
        image = png(examples.image(index, color=True), side=160)
        cards.append([Picture("", image, f"The image {caption}.", caption)])
    return [Gallery(cards)]


def _first_runs(results: StudyResults) -> list[Finished]:
    """The first run of each signal chain on the main data set with the first network."""
    groups = [results.finished(data=results.main, network=results.network, config=config) for config in results.chains]
    return [runs[0] for runs in groups if runs]
