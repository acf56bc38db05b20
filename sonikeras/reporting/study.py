"""What a study of networks, data sets and signal chains found: its runs by factor, and what follows from several."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sonikeras.config import as_config
from sonikeras.config._files import read_json, safe_names
from sonikeras.datasets._loading import sound_loader
from sonikeras.datasets.cache import resolve_cache
from sonikeras.evaluation import Report, sweep as studies
from sonikeras.evaluation.report import wilson_interval
from sonikeras.evaluation.retention import Retention, permutation_test, recognition_retention, signal_retention
from sonikeras.signal.engines import resolve_engine
from sonikeras.sources import Examples
from sonikeras.sources.audio import from_pcm16
from sonikeras.training import Recipe

IMAGE = "image"  # the signal chain that is none


SIGNAL_IMAGES = 50  # test images of each data set, over which signal retention is taken


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished cell."""

    cell: studies.Cell
    report: Report


class Findings:
    """The outcomes of a sweep over the factors `data`, `network`, `config` and `seed`, finished or not.

    Args:
        outcomes: `sonikeras.evaluation.sweep.Outcome`s; one or more.
        directory: The sweep's folder.

    Attributes:
        data, networks, configs: The levels of the factors, in order.
        heard: The configs but for `"image"`.
        main: The data set with the most classes, of which is shown what is shown of one alone.
        network: The first network, likewise.
        gaps: Dict, what was asked for in vain, with the reason: a test set that is another one in a part of the cells,
            or images that are gone.
    """

    def __init__(self, outcomes: Sequence[studies.Outcome], directory: Path) -> None:
        self.outcomes = outcomes
        self.directory = directory
        self.data, self.networks, self.configs = (self.levels(name) for name in ("data", "network", "config"))
        self.heard = [config for config in self.configs if config != IMAGE]
        self.main = max(reversed(self.data), key=self.classes)
        self.network = self.networks[0]
        self.gaps: dict[str, str] = {}
        self._retentions: dict[tuple[str, str, str], tuple[Retention, float] | None] = {}
        self._signals: dict[tuple[str, str], dict[str, float] | None] = {}

    def levels(self, factor: str) -> list[str]:
        """The levels of a factor, as text."""
        return list(dict.fromkeys(str(each.cell.factors[factor]) for each in self.outcomes))

    def runs(self, **factors: str) -> list[Run]:
        """The finished cells with these levels."""
        return [
            Run(each.cell, each.report)
            for each in self.outcomes
            if each.report and all(each.cell.factors[name] == level for name, level in factors.items())
        ]

    def reports(self, **factors: str) -> list[Report]:
        """Their reports."""
        return [run.report for run in self.runs(**factors)]

    def pairs(self, first: dict[str, str], second: dict[str, str]) -> tuple[list[Report], list[Report]]:
        """The reports of two groups of cells, of the seeds that both have."""
        one, other = ({run.cell.factors["seed"]: run.report for run in self.runs(**group)} for group in (first, second))
        seeds = [seed for seed in one if seed in other]
        return [one[seed] for seed in seeds], [other[seed] for seed in seeds]

    def heard_and_seen(self, data: str, network: str, config: str) -> tuple[list[Report], list[Report]]:
        """The reports of a signal chain, and those on the images themselves, of the seeds that both have."""
        group = {"data": data, "network": network}
        return self.pairs(group | {"config": config}, group | {"config": IMAGE})

    def classes(self, data: str) -> int:
        """How many classes a data set has, or 0 where no cell of it is finished."""
        return max((len(report.class_names) for report in self.reports(data=data)), default=0)

    def retention(self, data: str, network: str, config: str) -> tuple[Retention, float] | None:
        """Recognition retention, and the p-value of no difference; or `None` where cells are missing, or do not fit."""
        key = data, network, config
        if key not in self._retentions:
            heard, seen = self.heard_and_seen(*key)
            found = None
            try:
                found = (recognition_retention(heard, seen), permutation_test(heard, seen)) if heard else None
            except ValueError as error:  # other test sets
                self.gaps[f"recognition retention: {', '.join(key)}"] = str(error)
            self._retentions[key] = found
        return self._retentions[key]

    def compared(self, first: dict[str, str], second: dict[str, str]) -> tuple[int, float, float] | None:
        """Of the seeds that two groups of cells both have: how many, the first's mean accuracy less the second's, and
        the p-value of no difference; or `None` where there is none, or cells do not fit."""
        one, other = self.pairs(first, second)
        if not one:
            return None
        try:
            p_value = permutation_test(one, other)
        except ValueError as error:  # other test sets
            self.gaps[f"comparison: {', '.join(first.values())} and {', '.join(second.values())}"] = str(error)
            return None
        difference = float(np.mean([a.accuracy - b.accuracy for a, b in zip(one, other, strict=True)]))
        return len(one), difference, p_value

    def signal(self, data: str, config: str) -> dict[str, float] | None:
        """Medians of signal retention over some test images; or `None` where cells or images are missing."""
        if (data, config) not in self._signals:
            found = None
            try:
                if runs := self.runs(data=data, config=config):
                    found = _signal(runs[0])
            except (ValueError, OSError) as error:
                self.gaps[f"signal retention: {data}, {config}"] = str(error)
            self._signals[data, config] = found
        return self._signals[data, config]

    def noted(self, run: Run) -> dict[str, Any]:
        """What `run.json` of a run folder notes."""
        return read_json(self.directory / run.cell.name / "run.json", "Delete it, and run the cell again")

    def training_images(self, run: Run) -> int | None:
        """How many images a run was trained on; or `None` where they are not there as they were."""
        try:
            examples = run.cell.recipe.dataset("train", shuffle=False).examples
            same = examples.fingerprint() == self.noted(run).get("data", {}).get("train")
        except (ValueError, OSError):
            return None
        return len(examples) if same else None

    def rows(self) -> list[dict[str, Any]]:
        """The rows of `sonikeras.evaluation.sweep.table`, and what the runs with all seeds of a row's cell retain."""
        rows = studies.table(self.outcomes)
        for row in rows:
            data, network, config = row["data"], row["network"], row["config"]
            if row["accuracy"] is None or config == IMAGE:
                continue
            if found := self.retention(data, network, config):
                retention, p_value = found
                row |= {"retention": retention.value, "retention_low": retention.low}
                row |= {"retention_high": retention.high, "retention_p_value_uncorrected": p_value}
                row |= {"retention_seeds": retention.seeds, "chance": retention.chance}
            row |= self.signal(data, config) or {}
        return rows

    def figure(self, name: str, draw: Callable[[Path], None]) -> bytes:
        """Draws a PNG file `figures/<name>.png`, or of a name that is safe, and reads it."""
        path = self.directory / studies.FIGURES / f"{safe_names([name])[0]}.png"
        draw(path)
        return path.read_bytes()

    def figure_of(self, run: Run, name: str, draw: Callable[[Path], None]) -> bytes:
        """Reads a figure of a run folder, drawn anew where it is gone."""
        path = self.directory / run.cell.name / name
        if not path.exists():
            draw(path)
        return path.read_bytes()


def _signal(run: Run) -> dict[str, float]:
    recipe, examples = run.cell.recipe, examples_of(run)
    sound = sounds(recipe, examples)
    indices = evenly(len(examples), SIGNAL_IMAGES)
    kept = [signal_retention(examples.image(i), from_pcm16(sound(i)), recipe.config) for i in indices]
    names = [field.name for field in dataclasses.fields(kept[0])]
    return {name: float(np.median([getattr(each, name) for each in kept])) for name in names}


def examples_of(run: Run) -> Examples:
    """The test images of a run, in the order of its report.

    Raises:
        ValueError: They are gone, or are others now.
    """
    examples = run.cell.recipe.dataset("test", shuffle=False).examples
    there, then = tuple(examples.full_names), run.report.names
    if there != then if then is not None else not np.array_equal(examples.labels, run.report.labels):
        raise ValueError(
            "The test images must be those of the report, with the same names in the same order. "
            f"Received: {len(there)} images, and a report on {len(run.report.labels)}, of {run.cell.name}"
        )
    return examples


def evenly(total: int, count: int) -> np.ndarray:
    """At most `count` indices below `total`, evenly spaced, so that examples in the order of classes are of all."""
    return np.unique(np.linspace(0, total - 1, count).round().astype(int))


def sounds(recipe: Recipe, examples: Examples) -> Callable[[int], np.ndarray]:
    """The function from an example's index to its sound, int16 `[samples]`, as the recipe has it."""
    config = as_config(recipe.config)
    engine = resolve_engine(recipe.engine, config)
    return sound_loader(examples, config, engine=engine, seed=recipe.seed, cache=resolve_cache(True))


def mean_accuracy(reports: Sequence[Report]) -> tuple[float, float, float]:
    """The mean accuracy over the seeds, and the ends of Wilson's 95 % interval at that mean.

    The interval is that of as many test examples as one report has: the seeds share them, so they do not count as
    further ones, and the mean over them need not be a whole number of examples. Where the numbers differ, the smallest
    counts. So it tells how these seeds might do on other test examples, and not how other seeds might do.

    Example:
        >>> import numpy as np
        >>> from sonikeras import Report
        >>> labels = np.array([0, 0, 1, 1])
        >>> reports = [Report(("cat", "dog"), labels, guess, np.eye(2, dtype="float32")[guess], loss=0.0,
        ...                   batch_mean_accuracy=0.0, history=None, seconds=1.0) for guess in (labels, labels * 0)]
        >>> [round(value, 3) for value in mean_accuracy(reports)]
        [0.75, 0.301, 0.954]
    """
    mean = float(np.mean([report.accuracy for report in reports]))
    return mean, *wilson_interval(mean, min(len(report.labels) for report in reports))
