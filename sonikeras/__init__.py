"""Images as audio, audio as spectrogram pictures: image classification by sonification, for Keras.

Names are imported on first use, so `import sonikeras` imports neither Keras nor TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

from sonikeras.config import _imports

if TYPE_CHECKING:
    from sonikeras import layers, models, transmission as channels
    from sonikeras.config import SonificationConfig, limits, presets
    from sonikeras.datasets import Augment, dataset
    from sonikeras.evaluation import Report, evaluate, plots
    from sonikeras.preparation import prepare
    from sonikeras.signal.chain import desonify, picture, sonify, spectrogram
    from sonikeras.signal.engines import engines
    from sonikeras.sources import class_names, data_sets, near_duplicates, read_audio, read_image, write_audio

__version__ = "0.2.0.dev0"

__all__ = [
    "Augment",
    "Report",
    "SonificationConfig",
    "channels",
    "class_names",
    "data_sets",
    "dataset",
    "desonify",
    "engines",
    "evaluate",
    "layers",
    "limits",
    "models",
    "near_duplicates",
    "picture",
    "plots",
    "prepare",
    "presets",
    "read_audio",
    "read_image",
    "sonify",
    "spectrogram",
    "write_audio",
]

# Each public name: a module and a name in it, or a module alone.
_HOMES = {
    "Augment": "datasets:Augment",
    "Report": "evaluation:Report",
    "SonificationConfig": "config:SonificationConfig",
    "channels": "transmission",
    "class_names": "sources:class_names",
    "data_sets": "sources:data_sets",
    "dataset": "datasets:dataset",
    "desonify": "signal.chain:desonify",
    "engines": "signal.engines:engines",
    "evaluate": "evaluation:evaluate",
    "layers": "layers",
    "limits": "config.limits",
    "models": "models",
    "near_duplicates": "sources:near_duplicates",
    "picture": "signal.chain:picture",
    "plots": "evaluation.plots",
    "prepare": "preparation:prepare",
    "presets": "config:presets",
    "read_audio": "sources:read_audio",
    "read_image": "sources:read_image",
    "sonify": "signal.chain:sonify",
    "spectrogram": "signal.chain:spectrogram",
    "write_audio": "sources:write_audio",
}

_imports.install()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        message = _imports.moved(f"sonikeras.{name}") or f"module 'sonikeras' has no attribute {name!r}"
        raise AttributeError(message, name=name)
    module, _, attribute = _HOMES[name].partition(":")
    found = importlib.import_module(f"sonikeras.{module}")
    value = globals()[name] = getattr(found, attribute) if attribute else found
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
