"""Shared by all tests: a cache of their own, real images, and the list of slow tests."""

import fnmatch
import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import sonikeras

STUDY_PICTURES = Path(__file__).parents[2] / "shared" / "data" / "vehicles4_spectrogram"


# Tests of more than about five seconds on an idle core, besides those that carry the marker themselves: they train or
# export networks, start processes that import TensorFlow, or need PyTorch or Apache Beam.
SLOW = (
    "tests/cli/test_cli.py::test_sonify_picture_desonify",
    "tests/cli/test_recipes.py::test_*recipe*",
    "tests/cli/test_recipes.py::test_*quickstart*",
    "tests/cli/test_recipes.py::test_fine_tuning*",
    "tests/cli/test_recipes.py::test_frozen_features*",
    "tests/cli/test_recipes.py::test_gradient_accumulation*",
    "tests/cli/test_recipes.py::test_mirrored*",
    "tests/cli/test_recipes.py::test_nan*",
    "tests/datasets/test_augmentation.py::test_functions_and_layers*",
    "tests/datasets/test_cache.py::test_two_processes*",
    "tests/datasets/test_calls.py::test_a_script_ends*",
    "tests/datasets/test_service.py::*",
    "tests/evaluation/test_retention.py::test_lossless_keeps*",
    "tests/evaluation/test_sweep.py::test_sweep*",
    "tests/layers/test_backends.py::*",
    "tests/layers/test_export.py::*",
    "tests/models/test_models.py::test_every_network*",
    "tests/models/test_models.py::test_export*",
    "tests/models/test_models.py::test_save_and_load*",
    "tests/models/test_models.py::test_a_model_loads_in_another_process*",
    "tests/models/test_torchvision_weights.py::*",
    "tests/preparation/test_beam.py::*",
    "tests/preparation/test_preparation.py::test_file_that_cannot_be_written*",
    "tests/preparation/test_preparation.py::test_killed_at_any_moment*",
    "tests/reporting/test_study.py::test_study*",
    "tests/test_benchmark.py::*",
    "tests/training/test_torch_parity.py::*",
    "tests/training/test_training.py::test_fine_tuning_takes_class_weights*",
    "tests/training/test_training.py::test_frozen_features_give*",
    "tests/training/test_training.py::test_history_that_is_ahead*",
    "tests/training/test_training.py::test_interrupted*",
    "tests/training/test_training.py::test_killed*",
    "tests/training/test_training.py::test_patience*",
    "tests/transmission/test_channels.py::test_dataset_has_the_transmitted_audio*",
)


class OwnFolders:
    """Tests and examples in docstrings write neither to the user's cache nor to the checkout."""

    @pytest.fixture(autouse=True)
    def _own_folders(self, tmp_path_factory, monkeypatch):
        monkeypatch.setenv("SONIKERAS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        folder = tmp_path_factory.mktemp("here")
        for name in ("docs", "recipes"):
            (folder / name).symlink_to(Path(__file__).parents[1] / name)
        monkeypatch.chdir(folder)


def pytest_addoption(parser):
    parser.addoption("--fuzz", type=int, default=200, help="number of damaged files per reader")


def pytest_configure(config):
    config.pluginmanager.register(OwnFolders())  # fixtures of this file do not apply to docstrings


def pytest_collection_modifyitems(items):
    for item in items:
        if any(fnmatch.fnmatchcase(item.nodeid, pattern + "*") for pattern in SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A real photo, uint8 RGB [427, 640, 3]."""
    from sklearn.datasets import load_sample_image

    return load_sample_image("china.jpg")


@pytest.fixture(scope="session")
def photo_audio(photo) -> np.ndarray:
    """The photo's audio with the preset "study", computed by librosa, float32 [65024]."""
    return sonikeras.sonify(photo, engine="librosa")


@pytest.fixture
def tiny_network(monkeypatch) -> str:
    """The name of a tiny network, for tests that do not depend on the network."""
    import keras

    def build(shape):
        inputs = keras.Input(shape)
        x = keras.layers.Conv2D(16, 32, strides=32, name="conv")(keras.layers.Rescaling(1 / 255)(inputs))
        return keras.Model(inputs, keras.layers.BatchNormalization(name="norm")(x))

    spec = sonikeras.models.BackboneSpec("tiny", 64, 64, "bicubic", 0.2, 0.1, build)
    monkeypatch.setitem(sonikeras.models._specs._SPECS, "tiny", spec)
    return "tiny"


@pytest.fixture
def image_folder(tmp_path, photo):
    """A function that writes a folder of small images of some classes."""
    import cv2

    def make(classes=("ant", "bee"), count=10, root=tmp_path / "images"):
        for label, name in enumerate(classes):
            (root / name).mkdir(parents=True)
            for i in range(count):
                top = 4 * i
                crop = photo[top : top + 60, 40 * label : 40 * label + 80]
                cv2.imwrite(str(root / name / f"picture{i}.png"), crop[..., ::-1])
        return root

    return make
