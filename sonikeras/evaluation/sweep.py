"""Many recipes, each in a run folder of its own: a sweep that goes on where it stopped, and a table of the results."""

from __future__ import annotations

import csv
import dataclasses
import gc
import itertools
import math
import os
import time
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import keras

from sonikeras.config._errors import raised_inside
from sonikeras.config._files import as_utf8, folded, is_file_name, locked, replacing, write_text
from sonikeras.evaluation import experiment
from sonikeras.evaluation.report import FormatError, Report
from sonikeras.training import recipe

FEATURES, FIGURES = "features", "figures"


_ERROR = "error.txt"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One recipe of a sweep.

    Args:
        name: Path of its run folder below the sweep's, such as `"c10/efficientnet_lite0/matched/42"`.
        factors: What distinguishes it from the other cells: columns of the table.
        recipe: `sonikeras.training.Recipe`.

    Raises:
        ValueError: `name` leads out of the sweep's folder, or where its shared features are, or cannot be a path.

    Example:
        >>> from sonikeras.evaluation.experiment import Recipe
        >>> from sonikeras.evaluation.sweep import Cell
        >>> recipe = Recipe(network="efficientnet_lite0", data="c2", config="matched")
        >>> Cell("c2/matched", {"data": "c2", "config": "matched"}, recipe).name
        'c2/matched'
    """

    name: str
    factors: dict[str, str | int | float]
    recipe: recipe.Recipe

    def __post_init__(self) -> None:
        parts = PurePosixPath(self.name).parts
        if not parts or parts[0] == FEATURES or not all(map(is_file_name, parts)):
            raise ValueError(
                f"`name` must be a relative path of names that folders can have, none hidden, outside of {FEATURES}/. "
                f"Received: name={self.name!r}"
            )


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a cell.

    Attributes:
        cell: `Cell`.
        report: `sonikeras.Report`, or `None`: the cell is not finished.
        error: String, what stopped it, or `None`: nothing did, or it was not begun.
    """

    cell: Cell
    report: Report | None = None
    error: str | None = None


def sweep(cells: Iterable[Cell], directory: str | os.PathLike[str], *, verbose: bool = True) -> list[Outcome]:
    """Runs every cell that is not finished. The same call again goes on where the first stopped.

    A cell that fails leaves `error.txt` in its folder and the sweep goes on; the next call tries it again. An
    interruption costs what it costs a single run: at most the epoch that was under way. Features of frozen networks are
    shared by all cells, in `features/`, which may be deleted in the end. Finished cells are only loaded: their data
    are taken to be those of then. Of these, a damaged one is made anew; one that another version of sonikeras wrote
    counts as failed, and is left alone.

    Args:
        cells: `Cell`s, no two with the same name.
        directory: Path of the sweep's folder. Only one process at a time may work in it.
        verbose: Boolean, whether a line a cell is printed. Defaults to `True`.

    Returns:
        List of an `Outcome` a cell, in their order.

    Raises:
        ValueError: Two cells have the same name.
        BlockingIOError: Another process works in the folder.

    Example:
        >>> import tempfile
        >>> from sonikeras.evaluation.experiment import Recipe
        >>> from sonikeras.evaluation.sweep import Cell, sweep
        >>> recipe = Recipe(network="efficientnet_lite0", data="c2", weights="nowhere.h5")
        >>> (outcome,) = sweep([Cell("c2", {"data": "c2"}, recipe)], tempfile.mkdtemp(), verbose=False)
        >>> outcome.report is None, "nowhere.h5" in outcome.error
        (True, True)
    """
    cells, directory = _checked(cells), Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    outcomes = []
    with locked(directory / ".lock"):
        part = ".*.part*"  # of a killed process
        places = directory.glob(part), (directory / FIGURES).glob(part), (directory / FEATURES).rglob(part)
        for leftover in itertools.chain(*places):
            leftover.unlink(missing_ok=True)
        for number, cell in enumerate(cells, 1):
            started = time.monotonic()
            outcome = _run(cell, directory)
            outcomes.append(outcome)
            if verbose:
                result = f"failed: {outcome.error}" if outcome.report is None else f"{outcome.report}"
                seconds = time.monotonic() - started
                print(f"{number}/{len(cells)} {cell.name}: {result} [{seconds:.1f} s]", flush=True)
    return outcomes


def load(cells: Iterable[Cell], directory: str | os.PathLike[str]) -> list[Outcome]:
    """The outcomes that are there, of a sweep that need not be over; nothing is run and nothing is written.

    Args:
        cells: `Cell`s, no two with the same name.
        directory: Path of the sweep's folder.

    Returns:
        List of an `Outcome` a cell, in their order. A cell that was not begun has neither report nor error.

    Raises:
        ValueError: Two cells have the same name.
    """
    outcomes = []
    for cell in _checked(cells):
        folder = Path(directory) / cell.name
        try:
            outcome = Outcome(cell, _loaded(cell, folder))
        except (ValueError, OSError) as error:
            outcome = Outcome(cell, error=_line(error))
        if outcome.report is None and outcome.error is None and (folder / _ERROR).exists():
            text = (folder / _ERROR).read_text(encoding="utf-8", errors="replace")
            outcome = Outcome(cell, error=text.partition("\n")[0])
        outcomes.append(outcome)
    return outcomes


def _loaded(cell: Cell, folder: Path) -> Report | None:
    return Report.load(folder) if experiment.finished(cell.recipe, folder) else None


def _checked(cells: Iterable[Cell]) -> list[Cell]:
    cells = list(cells)
    names = [folded(cell.name) for cell in cells]  # some file systems ignore case
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"No two cells must have the same name. Received: {twice} more than once")
    return cells


def _run(cell: Cell, directory: Path) -> Outcome:
    folder = directory / cell.name
    try:
        done = _loaded(cell, folder)
    except FormatError as error:
        return Outcome(cell, error=_line(error))
    except (ValueError, OSError):  # it is made anew, or what is wrong is found again
        done = None
    if done is not None:
        return Outcome(cell, done)
    # What the session keeps of a network would pile up with the cells.
    keras.utils.clear_session()
    gc.collect()
    try:
        report = experiment.run(cell.recipe, folder, features=directory / FEATURES, verbose=0)
    except Exception as error:  # whatever it is, the other cells can do without this one
        write_text(folder / _ERROR, as_utf8(f"{_line(error)}\n\n{traceback.format_exc()}"))
        return Outcome(cell, error=_line(error))
    (folder / _ERROR).unlink(missing_ok=True)
    return Outcome(cell, report)


def _line(error: BaseException) -> str:
    message = raised_inside(error) or str(error)
    return as_utf8(f"{type(error).__name__}: {' '.join(message.split())}")


def table(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """The results as rows, one a cell.

    Args:
        outcomes: `Outcome`s.

    Returns:
        List of dicts: `cell`, the factors, `n` (test examples), `classes`, `accuracy`, its 95 % interval
        `accuracy_low` and `accuracy_high`, `top_3_accuracy` (of more than three classes), `f1_weighted`, `f1_macro`,
        `expected_calibration_error`, `loss` in nats, `seconds` and `error`. What is not known is `None`.

    Example:
        >>> from sonikeras.evaluation.experiment import Recipe
        >>> from sonikeras.evaluation.sweep import Cell, Outcome, table
        >>> cell = Cell("c2", {"seed": 42}, Recipe(network="efficientnet_lite0", data="c2"))
        >>> (row,) = table([Outcome(cell, error="OSError: no network")])
        >>> row["cell"], row["seed"], row["accuracy"], row["error"]
        ('c2', 42, None, 'OSError: no network')
    """
    return [
        {"cell": each.cell.name, **each.cell.factors, **_figures(each.report), "error": each.error} for each in outcomes
    ]


def _figures(report: Report | None) -> dict[str, Any]:
    low, high = report.accuracy_interval if report else (None, None)
    return {
        "n": report and len(report.labels),
        "classes": report and len(report.class_names),
        "accuracy": report and report.accuracy,
        "accuracy_low": low,
        "accuracy_high": high,
        "top_3_accuracy": report.top_k_accuracy(3) if report and len(report.class_names) > 3 else None,
        "f1_weighted": report and report.f1_weighted,
        "f1_macro": report and report.f1_macro,
        "expected_calibration_error": report and report.expected_calibration_error,
        "loss": report and report.loss,
        "seconds": report and report.seconds,
    }


def write_csv(rows: Sequence[dict[str, Any]], path: str | os.PathLike[str]) -> None:
    """Writes rows as a CSV file with a header, atomically; what is `None`, not finite or missing is left empty.

    Args:
        rows: List of dicts; the columns are all of their keys, in the order in which they come.
        path: File to write.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: value for key, value in row.items() if not _undefined(value)})


def _undefined(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of several tests, adjusted so that the chance of any false positive among them stays below the level.

    Args:
        p_values: Floats in 0..1.

    Returns:
        List of the adjusted ones, in the same order.

    Reference:
        Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.

    Example:
        >>> from sonikeras.evaluation.sweep import holm
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
