"""The results of transmission: the retention at each point of a plan."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from sonikeras.evaluation import Report, sweep
from sonikeras.evaluation.retention import Retention, recognition_retention
from sonikeras.evaluation.transmission import CLEAN, IMAGE, JPEG, Point, TransmissionPlan


class TransmissionResults:
    """The results of the runs of a plan, finished or not.

    Args:
        plan: `sonikeras.evaluation.transmission.TransmissionPlan`.
        results: The `sonikeras.evaluation.sweep.Result`s of its runs.
        seeds: The seeds of the runs. A point needs all of them.

    Raises:
        RuntimeError: The runs on the images themselves are not finished.
        ValueError: Runs have different test examples.

    Attributes:
        plan, seeds: As given.
        clean: `Retention` without a channel, or `None`.
        images: `Retention` of the images themselves: its accuracy is that of the baseline.
    """

    def __init__(self, plan: TransmissionPlan, results: Sequence[sweep.Result], seeds: Sequence[int]) -> None:
        self.plan, self.seeds = plan, seeds
        found: dict[str, list[Report]] = {}
        for result in results:
            if result.report:
                found.setdefault(str(result.run.factors["point"]), []).append(result.report)
        reports = {name: runs for name, runs in found.items() if len(runs) == len(seeds)}
        if IMAGE not in reports:
            raise RuntimeError(f"The run on the images themselves must finish first. See {plan.directory / IMAGE}")
        names, full_names = reports[IMAGE][0].names, plan.full_names()
        self._retention = {
            name: recognition_retention([in_order(run, names, full_names) for run in runs], reports[IMAGE])
            for name, runs in reports.items()
        }
        self.images, self.clean = self._retention[IMAGE], self._retention.get(CLEAN)

    def retention(self, point: Point) -> Retention | None:
        """The retention at a point, or `None` if runs are missing."""
        return self._retention.get(point.run)

    def kbps(self, point: Point) -> float | None:
        """The bit rate of a point's bytes in kbit/s, or `None` if it has no audio of known size."""
        if point.plot != "bytes" or point.series == JPEG:
            return None
        return point.x * 8 / 1000 / self.plan.config.seconds

    def rows(self) -> list[dict[str, Any]]:
        """The rows of a table for `sonikeras.evaluation.sweep.write_csv`, one for each point."""
        return [
            {
                "part": point.plot,
                "series": point.series,
                "point": point.name,
                "snr_db": point.x if point.plot == "noise" else None,
                "bytes": round(point.x) if point.plot == "bytes" else None,
                "kbps": None if (rate := self.kbps(point)) is None else round(rate, 2),
                "seconds": round(point.x, 3) if point.plot == "length" else None,
                **_figures(self.retention(point)),
            }
            for point in self.plan.points
        ]


def _figures(retention: Retention | None) -> dict[str, float | None]:
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


def in_order(report: Report, names: tuple[str, ...] | None, full_names: Mapping[str, str] | None = None) -> Report:
    """The report with its test examples in the order of some names. The order of a folder differs from its source's.

    Args:
        report: `Report`.
        names: The names in order, or `None` if they are unknown.
        full_names: If the examples of the report are files that were made from those named, from the names of the
            files to these names.

    Raises:
        ValueError: The names are not those of the report.
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
