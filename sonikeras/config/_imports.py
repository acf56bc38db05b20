"""Import hooks: the module alias `sonikeras.channels`, errors for modules that moved, and Keras' registry.

`import sonikeras` imports no Keras, yet `keras.models.load_model` must know the classes of saved models. So they are
registered as soon as something imports Keras.
"""

from __future__ import annotations

import atexit
import importlib
import importlib.abc
import importlib.machinery
import re
import sys
from collections.abc import Sequence
from types import ModuleType

_ALIASES = {
    "sonikeras.channels": "sonikeras.transmission",
    "sonikeras.limits": "sonikeras.config.limits",
    "sonikeras.plots": "sonikeras.evaluation.plots",
}

# Modules of version 0.1.0, and where their contents are now. Words around the new names are part of the message.
_MOVED = {
    "sonikeras.augmentation": "sonikeras.datasets.augmentation",
    "sonikeras.beam": "sonikeras.preparation.beam",
    "sonikeras.builtin": "sonikeras.sources",
    "sonikeras.cache": "sonikeras.datasets.cache",
    "sonikeras.calls": "sonikeras.datasets",
    "sonikeras.chain": "sonikeras.signal.chain",
    "sonikeras.cifar": "sonikeras.sources",
    "sonikeras.classes": "sonikeras.sources",
    "sonikeras.comparison": "sonikeras.evaluation.comparison",
    "sonikeras.containers": "sonikeras.sources",
    "sonikeras.decoders": "sonikeras.sources",
    "sonikeras.duplicates": "sonikeras.sources",
    "sonikeras.engines": "sonikeras.signal.engines",
    "sonikeras.errors": "sonikeras.config",
    "sonikeras.examples": "sonikeras.sources",
    "sonikeras.experiments": "sonikeras.training (Recipe, FineTuning), sonikeras.evaluation.experiment (run) or "
    "sonikeras.cli.recipes (main)",
    "sonikeras.files": "sonikeras.config",
    "sonikeras.findings": "sonikeras.reporting.study",
    "sonikeras.flac": "sonikeras.sources",
    "sonikeras.folders": "sonikeras.sources",
    "sonikeras.fourier": "sonikeras.signal",
    "sonikeras.galleries": "sonikeras.reporting.examples",
    "sonikeras.griffin_lim": "sonikeras.signal.phase_retrieval",
    "sonikeras.images": "sonikeras.sources",
    "sonikeras.kernels": "sonikeras.signal.engines",
    "sonikeras.listings": "sonikeras.sources",
    "sonikeras.magnitudes": "sonikeras.signal.magnitudes",
    "sonikeras.manifests": "sonikeras.preparation",
    "sonikeras.mdct": "sonikeras.signal.mdct",
    "sonikeras.mpeg": "sonikeras.sources",
    "sonikeras.operations": "sonikeras.signal",
    "sonikeras.pages": "sonikeras.reporting",
    "sonikeras.pickles": "sonikeras.sources",
    "sonikeras.pictures": "sonikeras.signal.pictures",
    "sonikeras.pieces": "sonikeras.sources",
    "sonikeras.progress": "sonikeras.config",
    "sonikeras.records": "sonikeras.sources.records",
    "sonikeras.rendering": "sonikeras.preparation",
    "sonikeras.reports": "sonikeras.evaluation",
    "sonikeras.retention": "sonikeras.evaluation.retention",
    "sonikeras.saliency": "sonikeras.models.saliency",
    "sonikeras.service": "sonikeras.datasets",
    "sonikeras.sounds": "sonikeras.sources",
    "sonikeras.spectrograms": "sonikeras.signal.spectrograms",
    "sonikeras.splits": "sonikeras.sources",
    "sonikeras.streaming": "sonikeras.layers.streaming",
    "sonikeras.studies": "sonikeras.evaluation.sweep",
    "sonikeras.study_page": "sonikeras.reporting.tables",
    "sonikeras.tfds": "sonikeras.sources",
    "sonikeras.tfrecords": "sonikeras.sources.records",
    "sonikeras.torchvision_networks": "sonikeras.models",
    "sonikeras.weights": "sonikeras.models.weights",
}

# Modules with classes that saved models may contain.
_REGISTERED = ("sonikeras.layers", "sonikeras.training._optimizers")


@atexit.register  # at `import sonikeras`, so that exit handlers registered later still can use data sets
def _end_calls() -> None:
    calls = sys.modules.get("sonikeras.datasets._calls")
    if calls is not None:
        calls.end()


def install() -> None:
    """Adds the hooks to Python's import system, once."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    if "keras" in sys.modules:
        _register()


def moved(name: str) -> str | None:
    """The message about a module that moved, or `None` if `name` never was one."""
    if name not in _MOVED:
        return None
    homes = re.sub(r"sonikeras[\w.]+", r"`\g<0>`", _MOVED[name])
    return f"`{name}` has moved. Use {homes}."


def _register() -> None:
    for name in _REGISTERED:
        importlib.import_module(name)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname in _ALIASES:
            return importlib.machinery.ModuleSpec(fullname, _AliasLoader(_ALIASES[fullname]))
        if message := moved(fullname):
            raise ModuleNotFoundError(message, name=fullname)
        if fullname == "keras":
            return _keras_spec()
        return None


class _AliasLoader(importlib.abc.Loader):
    def __init__(self, target: str) -> None:
        self._target = target

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._target)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # which the import of the alias has replaced


def _keras_spec() -> importlib.machinery.ModuleSpec | None:
    """Keras' own spec, whose loader registers the classes once Keras is there."""
    spec = importlib.machinery.PathFinder.find_spec("keras")
    if spec is None or spec.loader is None:
        return spec
    execute = spec.loader.exec_module

    def execute_and_register(module: ModuleType) -> None:
        execute(module)
        _register()

    spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
    return spec
