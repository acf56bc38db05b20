"""Sweeps: many recipes, each with a run folder of its own, and a table of their results."""

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

from sonikeras import models
from sonikeras.config._errors import raised_inside
from sonikeras.config._files import as_utf8, folded, is_file_name, locked, replacing, write_text
from sonikeras.evaluation import experiment
from sonikeras.evaluation.report import FormatError, Report
from sonikeras.models import weights
from sonikeras.training.recipe import Recipe

FEATURES, FIGURES = "features", "figures"

_ERROR = "error.txt"

_CHECKED_SIZE = 32  # pixels; weights fit a network whatever its image size

_RENAMED = {"Cell": "Run", "Outcome": "Result"}


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        raise AttributeError(f"`{__name__}.{name}` has a new name: use `{__name__}.{_RENAMED[name]}`.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@dataclasses.dataclass(frozen=True)
class Run:
    """One recipe of a sweep.

    Args:
        name: Path of its run folder below the sweep's, such as `"c10/efficientnet_lite0/matched/42"`.
        factors: What distinguishes it from the other runs: columns of the table.
        recipe: `sonikeras.training.Recipe`.

    Raises:
        ValueError: `name` is no valid path, leads out of the sweep's folder, or begins with the folder of the shared
            features.

    Example:
        >>> from sonikeras.evaluation.sweep import Run
        >>> from sonikeras.training import Recipe
        >>> recipe = Recipe(network="efficientnet_lite0", data="c2", config="matched")
        >>> Run("c2/matched", {"data": "c2", "config": "matched"}, recipe).name
        'c2/matched'
    """

    name: str
    factors: dict[str, str | int | float]
    recipe: Recipe

    def __post_init__(self) -> None:
        parts = PurePosixPath(self.name).parts
        if not parts or parts[0] == FEATURES or not all(map(is_file_name, parts)):
            raise ValueError(
                "`name` must be a relative path of valid folder names, none of them hidden, and must not begin with "
                f"{FEATURES}/. Received: name={self.name!r}"
            )


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of a run.

    Attributes:
        run: `Run`.
        report: `sonikeras.Report`, or `None` if the run is not finished.
        error: String, the error that stopped the run; or `None` if there was none, or the run has not begun.
    """

    run: Run
    report: Report | None = None
    error: str | None = None


def sweep(runs: Iterable[Run], directory: str | os.PathLike[str], *, verbose: bool = True) -> list[Result]:
    """Runs all recipes that are not finished. Call it again to resume an interrupted sweep.

    A run that fails leaves `error.txt` in its folder, and the sweep continues with the next run. The next call tries
    it again. An interruption costs at most the current epoch. All runs share the features of frozen networks in
    `features/`, which may be deleted after the sweep.

    Finished runs are only loaded, without a check that their data are unchanged. A damaged run is repeated. A run of
    another version of sonikeras counts as failed, and its folder is left alone.

    Args:
        runs: `Run`s, each with a name of its own.
        directory: Path of the sweep's folder. Only one process at a time may work in it.
        verbose: Boolean, whether to print a line for each run, with an error only where it is new. Defaults to `True`.

    Returns:
        List with the `Result` of each run, in their order.

    Raises:
        ValueError: Two runs have the same name.
        BlockingIOError: Another process works in the folder.

    Example:
        >>> import tempfile
        >>> from sonikeras.evaluation.sweep import Run, sweep
        >>> from sonikeras.training import Recipe
        >>> recipe = Recipe(network="efficientnet_lite0", data="c2", weights="nowhere.h5")
        >>> (result,) = sweep([Run("c2", {"data": "c2"}, recipe)], tempfile.mkdtemp(), verbose=False)
        >>> result.report is None, "nowhere.h5" in result.error
        (True, True)
    """
    runs, directory = _checked(runs), Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    results = []
    failed: dict[str, str] = {}  # errors, and the first run that each stopped
    with locked(directory / ".lock"):
        _remove_temporary_files(directory)
        for number, run in enumerate(runs, 1):
            started = time.monotonic()
            result = _run(run, directory)
            results.append(result)
            if verbose:
                text = f"{result.report}"
                if result.error:
                    first = failed.setdefault(result.error, run.name)
                    text = f"failed: {result.error}" if first == run.name else f"failed as {first} did"
                seconds = time.monotonic() - started
                print(f"{number}/{len(runs)} {run.name}: {text} [{seconds:.1f} s]", flush=True)
    return results


def check_weights(runs: Iterable[Run], directory: str | os.PathLike[str]) -> list[tuple[str, Path | None]]:
    """Finds the weights of the networks of all runs that are not finished, before any of them starts.

    ImageNet weights that are not at hand are downloaded. A file of the user's is loaded into each network.

    Args:
        runs: `Run`s.
        directory: Path of the sweep's folder.

    Returns:
        List of the networks' names, each with the path of its weights, or `None` for random weights.

    Raises:
        ValueError: There is no such network, a file has the weights of another one, or several networks lack weights.
        OSError: The weights of a network cannot be downloaded, or there is no such file.
        ImportError: The package of a network's weights is not installed.

    Example:
        >>> from sonikeras.evaluation.sweep import Run, check_weights
        >>> from sonikeras.training import Recipe
        >>> recipe = Recipe(network="efficientnet_lite0", data="c2", weights=None)
        >>> check_weights([Run("c2", {"data": "c2"}, recipe)], "sweep")
        [('efficientnet_lite0', None)]
    """
    recipes = [run.recipe for run in runs if not _finished(run, Path(directory))]
    wanted = list(dict.fromkeys((recipe.network, recipe.weights) for recipe in recipes))
    found, faults = [], []
    for network, source in wanted:
        try:
            found.append((network, weights.find_weights(network, source)))
            if source not in (None, "imagenet"):
                models.classifier(network, 1, weights=source, image_size=_CHECKED_SIZE)
        except (ValueError, OSError, ImportError) as error:
            faults.append((network, error))
    if len(faults) == 1:
        raise faults[0][1]
    if faults:
        names = ", ".join(network for network, _ in faults)
        raise ValueError(f"No weights for {len(faults)} of {len(wanted)} networks: {names}. {faults[0][1]}")
    return found


def _finished(run: Run, directory: Path) -> bool:
    """Whether a run need not be run again. A damaged one is repeated."""
    try:
        return experiment.finished(run.recipe, directory / run.name)
    except (ValueError, OSError):
        return False


def _remove_temporary_files(directory: Path) -> None:
    """Removes what a killed process left behind."""
    pattern = ".*.part*"
    folders = (
        directory.glob(pattern),
        (directory / FIGURES).glob(pattern),
        (directory / FEATURES).rglob(pattern),
    )
    for leftover in itertools.chain(*folders):
        leftover.unlink(missing_ok=True)


def load(runs: Iterable[Run], directory: str | os.PathLike[str]) -> list[Result]:
    """Loads the results of a sweep, finished or not. Nothing is run, and nothing is written.

    Args:
        runs: `Run`s, each with a name of its own.
        directory: Path of the sweep's folder.

    Returns:
        List with the `Result` of each run, in their order. A run that has not begun has neither report nor error.

    Raises:
        ValueError: Two runs have the same name.
    """
    results = []
    for run in _checked(runs):
        folder = Path(directory) / run.name
        try:
            result = Result(run, _loaded(run, folder))
        except (ValueError, OSError) as error:
            result = Result(run, error=_line(error))
        if result.report is None and result.error is None and (folder / _ERROR).exists():
            text = (folder / _ERROR).read_text(encoding="utf-8", errors="replace")
            result = Result(run, error=text.partition("\n")[0])
        results.append(result)
    return results


def _loaded(run: Run, folder: Path) -> Report | None:
    return Report.load(folder) if experiment.finished(run.recipe, folder) else None


def _checked(runs: Iterable[Run]) -> list[Run]:
    runs = list(runs)
    names = [folded(run.name) for run in runs]  # some file systems ignore case
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"No two runs must have the same name. Received: {twice} more than once")
    return runs


def _run(run: Run, directory: Path) -> Result:
    folder = directory / run.name
    try:
        done = _loaded(run, folder)
    except FormatError as error:
        return Result(run, error=_line(error))
    except (ValueError, OSError):  # repeating the run recreates its files, or meets the same error
        done = None
    if done is not None:
        return Result(run, done)
    # Otherwise Keras' global state of each network would accumulate.
    keras.utils.clear_session()
    gc.collect()
    try:
        report = experiment.run(run.recipe, folder, features=directory / FEATURES, verbose=0)
    except Exception as error:  # whatever it is, the other runs do not depend on this one
        write_text(folder / _ERROR, as_utf8(f"{_line(error)}\n\n{traceback.format_exc()}"))
        return Result(run, error=_line(error))
    (folder / _ERROR).unlink(missing_ok=True)
    return Result(run, report)


def _line(error: BaseException) -> str:
    message = raised_inside(error) or str(error)
    return as_utf8(f"{type(error).__name__}: {' '.join(message.split())}")


def table(results: Iterable[Result]) -> list[dict[str, Any]]:
    """The results as rows, one for each run.

    Args:
        results: `Result`s.

    Returns:
        List of dicts: `cell` (the run's name), the factors, `n` (test examples), `classes`, `accuracy`, its 95 %
        interval `accuracy_low` and `accuracy_high`, `top_3_accuracy` (of more than three classes), `f1_weighted`,
        `f1_macro`, `expected_calibration_error`, `loss` in nats, `seconds` and `error`. Missing values are `None`.

    Example:
        >>> from sonikeras.evaluation.sweep import Result, Run, table
        >>> from sonikeras.training import Recipe
        >>> run = Run("c2", {"seed": 42}, Recipe(network="efficientnet_lite0", data="c2"))
        >>> (row,) = table([Result(run, error="OSError: no network")])
        >>> row["cell"], row["seed"], row["accuracy"], row["error"]
        ('c2', 42, None, 'OSError: no network')
    """
    # The name of the first column is that of tables which version 0.1.0 wrote.
    return [
        {"cell": each.run.name, **each.run.factors, **_figures(each.report), "error": each.error} for each in results
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
    """Writes rows as a CSV file with a header, atomically. Missing, `None` and non-finite values are left empty.

    Args:
        rows: List of dicts. The columns are all of their keys, in order of appearance.
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
    """Adjusts the p-values of several tests to control the family-wise error rate (Holm's method).

    Args:
        p_values: Floats in 0..1.

    Returns:
        List of the adjusted p-values, in the same order.

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
