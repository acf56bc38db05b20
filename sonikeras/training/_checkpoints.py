"""Checkpoints of a run, one per epoch."""

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
    """The optimizer inside Keras' wrapper for loss scaling, or the optimizer itself."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _state(model: keras.Model) -> list[Any]:
    """All state of training: weights, random generators (which `save_weights` omits), and the optimizer's state."""
    return [*model.variables, *model.optimizer.variables]


class _Checkpoint(keras.callbacks.Callback):
    """Writes `history.csv` and a checkpoint after each epoch, and stops a training that diverges.

    The name of a checkpoint contains its epoch. `keras.callbacks.BackupAndRestore` writes the epoch to a second file:
    a process killed between the two writes would repeat an epoch on weights that are trained on it already.
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
        """Loads the latest checkpoint, or that of `epoch`, into a model, and returns the number of its epochs.

        If a checkpoint or its history is damaged, it warns and takes the one before. Later epochs are trained again.

        Raises:
            ValueError: The checkpoint of `epoch` is damaged.
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
                warnings.warn(f"The epochs after the last intact checkpoint are trained again. {error}", stacklevel=3)
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
                f"A checkpoint is missing: delete {self._directory} to train again. Received: {path}"
            ) from error
        if [value.shape for value in values] != [tuple(variable.shape) for variable in state]:
            raise ValueError(
                f"A checkpoint must have the {len(state)} variables of the model: it is damaged, or of another model. "
                f"Delete it to train again. Received: {path} with {len(values)}"
            )
        for variable, value in zip(state, values, strict=True):
            variable.assign(value)

    def best_epoch(self) -> int | None:
        """The epoch, from 1 on, with the lowest monitored value; or `None`, the last one, if nothing is monitored."""
        if not self._monitor or not self.history:
            return None
        if self._monitor not in self.history:
            raise ValueError(f"`monitor` must be one of {sorted(self.history)}. Received: monitor={self._monitor!r}")
        return int(np.argmin(np.nan_to_num(self.history[self._monitor], nan=np.inf))) + 1

    def is_over(self) -> bool:
        """Whether the monitored value has not improved for `patience` epochs."""
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
    """The first epochs of a history that `fit` wrote.

    Raises:
        ValueError: The file is missing or damaged, or has fewer epochs.
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
            f"A training history must have a number for each column and epoch. "
            f"Received: {path} ({type(error).__name__}: {error})"
        ) from error
    return history
