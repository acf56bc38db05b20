"""The results of a study: finished runs by factor, and what several runs show together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sonikeras.config._files import read_json, safe_names
from sonikeras.evaluation import Report, sweep
from sonikeras.evaluation.report import wilson_interval
from sonikeras.evaluation.retention import Retention, permutation_test, recognition_retention
from sonikeras.evaluation.samples import Samples, load as load_samples

IMAGE, IMAGE_GRAY = "image", "image_gray"  # in the place of a signal chain: the images themselves, in color or in gray


class Finished(NamedTuple):
    """A run with its report."""

    run: sweep.Run
    report: Report


class StudyResults:
    """The results of a sweep over the factors `data`, `network`, `config` and `seed`, finished or not.

    Only run folders are read: nothing is trained, sonified or predicted.

    Args:
        results: `sonikeras.evaluation.sweep.Result`s, one or more.
        directory: Folder of the sweep.

    Attributes:
        data, networks, configs: The values of the factors, in order.
        chains: The configs that are signal chains: all but `"image"` and `"image_gray"`.
        against_image: The configs that are compared with the baseline: all but `"image"`.
        main: The data set with the most classes. Figures of a single data set are of this one.
        network: The first network. Figures of a single network are of this one.
        gaps: Dict from the name of a result that is not available to the reason, such as runs with different test sets.
    """

    def __init__(self, results: Sequence[sweep.Result], directory: Path) -> None:
        self.results = results
        self.directory = directory
        self.data, self.networks, self.configs = (self.values(name) for name in ("data", "network", "config"))
        self.against_image = [config for config in self.configs if config != IMAGE]
        self.chains = [config for config in self.against_image if config != IMAGE_GRAY]
        self.main = max(reversed(self.data), key=self.classes)
        self.network = self.networks[0]
        self.gaps: dict[str, str] = {}
        self._retentions: dict[tuple[str, str, str], tuple[Retention, float] | None] = {}
        self._samples: dict[str, Samples | None] = {}

    def values(self, factor: str) -> list[str]:
        """The values of a factor, as strings."""
        return list(dict.fromkeys(str(each.run.factors[factor]) for each in self.results))

    def finished(self, **factors: str) -> list[Finished]:
        """The finished runs with these values of the factors."""
        return [
            Finished(each.run, each.report)
            for each in self.results
            if each.report and all(each.run.factors[name] == value for name, value in factors.items())
        ]

    def reports(self, **factors: str) -> list[Report]:
        """The reports of the finished runs."""
        return [report for _, report in self.finished(**factors)]

    def pairs(self, first: dict[str, str], second: dict[str, str]) -> tuple[list[Report], list[Report]]:
        """The reports of two groups of runs, for the seeds that both have."""
        one, other = (
            {run.factors["seed"]: report for run, report in self.finished(**each)} for each in (first, second)
        )
        seeds = [seed for seed in one if seed in other]
        return [one[seed] for seed in seeds], [other[seed] for seed in seeds]

    def sonified_and_images(self, data: str, network: str, config: str) -> tuple[list[Report], list[Report]]:
        """The reports on a signal chain and on the images themselves, for the seeds that both have."""
        group = {"data": data, "network": network}
        return self.pairs(group | {"config": config}, group | {"config": IMAGE})

    def classes(self, data: str) -> int:
        """The number of classes of a data set, or 0 without a finished run."""
        return max((len(report.class_names) for report in self.reports(data=data)), default=0)

    def retention(self, data: str, network: str, config: str) -> tuple[Retention, float] | None:
        """Recognition retention and its p-value, or `None` if runs are missing or have different test sets."""
        key = data, network, config
        if key not in self._retentions:
            sonified, images = self.sonified_and_images(*key)
            found = None
            try:
                if sonified:
                    found = recognition_retention(sonified, images), permutation_test(sonified, images)
            except ValueError as error:  # different test sets
                self.gaps[f"recognition retention: {', '.join(key)}"] = str(error)
            self._retentions[key] = found
        return self._retentions[key]

    def compared(self, first: dict[str, str], second: dict[str, str]) -> tuple[int, float, float] | None:
        """Compares two groups of runs, on the seeds that both have.

        Returns:
            The number of seeds, the first group's mean accuracy minus the second's, and the p-value of no difference;
            or `None` if there is no such seed, or the test sets differ.
        """
        one, other = self.pairs(first, second)
        if not one:
            return None
        try:
            p_value = permutation_test(one, other)
        except ValueError as error:  # different test sets
            self.gaps[f"comparison: {', '.join(first.values())} and {', '.join(second.values())}"] = str(error)
            return None
        difference = float(np.mean([a.accuracy - b.accuracy for a, b in zip(one, other, strict=True)]))
        return len(one), difference, p_value

    def samples(self, run: sweep.Run) -> Samples | None:
        """The samples that a run wrote, or `None` if there are none."""
        if run.name not in self._samples:
            found = None
            try:
                found = load_samples(self.directory / run.name)
            except FileNotFoundError:
                self.gaps[f"samples: {run.name}"] = (
                    "The run folder has no samples, as those of version 0.1.0. Repeat the run in a new folder."
                )
            except (ValueError, OSError) as error:
                self.gaps[f"samples: {run.name}"] = str(error)
            self._samples[run.name] = found
        return self._samples[run.name]

    def signal(self, data: str, config: str) -> Samples | None:
        """The samples of the first finished run of a signal chain, whose medians are its signal retention."""
        runs = self.finished(data=data, config=config)
        return self.samples(runs[0].run) if runs else None

    def noted(self, run: sweep.Run) -> dict[str, Any]:
        """The contents of `run.json` in a run folder."""
        return read_json(self.directory / run.name / "run.json", "Delete it and repeat the run")

    def rows(self) -> list[dict[str, Any]]:
        """The rows of `sonikeras.evaluation.sweep.table` with the retention of each run's factors, over all seeds."""
        rows = sweep.table(self.results)
        for row in rows:
            data, network, config = row["data"], row["network"], row["config"]
            if row["accuracy"] is None or config == IMAGE:
                continue
            if found := self.retention(data, network, config):
                retention, p_value = found
                row |= {"retention": retention.value, "retention_low": retention.low}
                row |= {"retention_high": retention.high, "retention_p_value_uncorrected": p_value}
                row |= {"retention_seeds": retention.seeds, "chance": retention.chance}
            if config in self.chains and (signal := self.signal(data, config)):
                row |= dataclasses.asdict(signal.retention)
        return rows

    def figure(self, name: str, draw: Callable[[Path], None]) -> bytes:
        """Draws the PNG file `figures/<name>.png`, with a safe name, and returns its contents."""
        path = self.directory / sweep.FIGURES / f"{safe_names([name])[0]}.png"
        draw(path)
        return path.read_bytes()

    def figure_of(self, run: sweep.Run, name: str, draw: Callable[[Path], None]) -> bytes:
        """Returns a figure of a run folder. It is drawn again if it is missing."""
        path = self.directory / run.name / name
        if not path.exists():
            draw(path)
        return path.read_bytes()


def mean_accuracy(reports: Sequence[Report]) -> tuple[float, float, float]:
    """The mean accuracy over the seeds, and Wilson's 95 % interval at that mean.

    All seeds share the test examples, so the sample size of the interval is the number of examples of one report; if
    the numbers differ, it is the smallest. The interval generalizes to other test examples, but not to other seeds.

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
