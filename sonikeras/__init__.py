"""Images as sounds, sounds as pictures: image classification by sonification, for Keras."""

from sonikeras import channels, layers, models
from sonikeras.augmentation import Augment
from sonikeras.chain import desonify, picture, sonify, spectrogram
from sonikeras.config import SonificationConfig, presets
from sonikeras.datasets import dataset
from sonikeras.engines import engines
from sonikeras.evaluation import evaluate
from sonikeras.images import read_image
from sonikeras.preparation import prepare
from sonikeras.reports import Report
from sonikeras.sounds import read_audio, write_audio
from sonikeras.sources import class_names, data_sets, near_duplicates

__version__ = "0.1.0"

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
    "models",
    "near_duplicates",
    "picture",
    "prepare",
    "presets",
    "read_audio",
    "read_image",
    "sonify",
    "spectrogram",
    "write_audio",
]
