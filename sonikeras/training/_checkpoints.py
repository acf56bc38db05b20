"""Checkpoints of a run, an epoch each."""

from __future__ import annotations

import csv
import time
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

from sonikeras.config._files import read_npz, replacing


def _inner(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The optimizer itself, inside the one that scales the loss in half precision."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _state(model: keras.Model) -> list[Any]:
    """All that training changes: weights, random generators, which `save_weights` leaves out, the optimizer's state."""
    return [*model.variables, *model.optimizer.variables]


class _Checkpoint(keras.callbacks.Callback):
    """Writes `history.csv`, then a checkpoint whose name says how many epochs it has seen; and stops what goes wrong.

    `keras.callbacks.BackupAndRestore` keeps that number in a second file, so a process killed between the two writes
    would repeat an epoch on weights that have seen it already.
    """

    def __init__(self, directory: Path, started: float, *, monitor: str | None, patience: int | None) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self._directory = directory
        self._started = started
        self._monitor = monitor
        self._patience = patience
        self._epoch = 0

    def restore(self, model: keras.Model, epoch: int | None = None) -> int:
        """Loads the latest checkpoint into a model, or that after `epoch`, and tells how many epochs it has seen.

        One that is damaged, or whose history is, counts as missing, after a warning: what came after is trained again.

        Raises:
            ValueError: The checkpoint after `epoch` is damaged.
        """
        checkpoints = self._checkpoints()
        if epoch is not None:
            self._load(model, checkpoints.get(epoch, self._path(epoch)))
            return epoch
        for done, path in sorted(checkpoints.items(), reverse=True):
            try:
                history = _read_history(self._directory / "history.csv", done)
                self._load(model, path)
            except ValueError as error:
                warnings.warn(f"The epochs after the last whole checkpoint are trained again. {error}", stacklevel=3)
                continue
            self.history = history
            self._started -= history["seconds"][-1]
            return done
        return 0

    def _load(self, model: keras.Model, path: Path) -> None:
        try:
            values, state = list(read_npz(path).values()), _state(model)
        except FileNotFoundError as error:
            raise ValueError(
                f"A checkpoint is gone: delete {self._directory} to train again. Received: {path}"
            ) from error
        if [value.shape for value in values] != [tuple(variable.shape) for variable in state]:
            raise ValueError(
                f"A checkpoint must have the {len(state)} variables of the model: it is damaged, or another's. Delete "
                f"it to train again. Received: {path} with {len(values)}"
            )
        for variable, value in zip(state, values, strict=True):
            variable.assign(value)

    def best_epoch(self) -> int | None:
        """The epoch, counted from 1, in which what is monitored was lowest; `None`, the last, where nothing is."""
        if not self._monitor or not self.history:
            return None
        if self._monitor not in self.history:
            raise ValueError(f"`monitor` must be one of {sorted(self.history)}. Received: monitor={self._monitor!r}")
        return int(np.argmin(np.nan_to_num(self.history[self._monitor], nan=np.inf))) + 1

    def is_over(self) -> bool:
        """Whether patience has run out."""
        best = self.best_epoch()
        return best is not None and self._patience is not None and len(self.history["loss"]) - best >= self._patience

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if logs and not np.isfinite(logs["loss"]):
            raise self._error(f"loss={float(logs['loss'])} in epoch {self._epoch}, step {batch + 1}")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        state = [np.asarray(variable) for variable in _state(self.model)]
        if not all(np.isfinite(value).all() for value in state):
            raise self._error(f"weights that are not finite at the end of epoch {self._epoch}")
        for name, value in {**(logs or {}), "seconds": time.monotonic() - self._started}.items():
            self.history.setdefault(name, []).append(float(value))
        with (
            replacing(self._directory / "history.csv") as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(["epoch", *self.history])
            writer.writerows([i + 1, *row] for i, row in enumerate(zip(*self.history.values(), strict=True)))
        with replacing(self._path(epoch + 1)) as temporary:
            np.savez(temporary, *state)
        for done, path in self._checkpoints().items():
            if done not in (epoch + 1, self.best_epoch()):
                path.unlink(missing_ok=True)
        if self.is_over():
            self.model.stop_training = True

    def _error(self, received: str) -> RuntimeError:
        checkpoints = self._checkpoints()
        good = f"is {checkpoints[max(checkpoints)]}" if checkpoints else "does not exist"
        return RuntimeError(
            "The loss and the weights must stay finite: a lower learning rate or float32 may help. "
            f"Received: {received}. The last good checkpoint {good}."
        )

    def _path(self, epoch: int) -> Path:
        return self._directory / f"checkpoint-{epoch:04d}.npz"

    def _checkpoints(self) -> dict[int, Path]:
        found = ((path, path.stem.removeprefix("checkpoint-")) for path in self._directory.glob("checkpoint-*.npz"))
        return {int(number): path for path, number in found if number.isdecimal()}


def _read_history(path: Path, epochs: int) -> dict[str, list[float]]:
    """The first epochs of a history as `fit` wrote it.

    Raises:
        ValueError: It is not there, is damaged, or has fewer.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file, strict=True)
        columns = dict(zip(header, zip(*rows[:epochs], strict=True), strict=True))
        history = {name: [float(value) for value in values] for name, values in columns.items()}
        numbers = history.pop("epoch")
        if numbers != list(range(1, epochs + 1)) or not {"loss", "seconds"} <= history.keys():
            raise ValueError(f"the columns {header}, {len(rows)} rows")
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise ValueError(
            f"The history of a training must have a number for each column and epoch. "
            f"Received: {path} ({type(error).__name__}: {error})"
        ) from error
    return history
