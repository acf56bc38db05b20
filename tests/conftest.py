"""What all tests share: a cache of their own, and real images."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import sonikeras

STUDY_PICTURES = Path(__file__).parents[2] / "shared" / "data" / "vehicles4_spectrogram"


class OwnFolders:
    """No test, and no example in a docstring, writes to the user's cache or to the checkout."""

    @pytest.fixture(autouse=True)
    def _own_folders(self, tmp_path_factory, monkeypatch):
        monkeypatch.setenv("SONIKERAS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        folder = tmp_path_factory.mktemp("here")
        for name in ("docs", "recipes"):
            (folder / name).symlink_to(Path(__file__).parents[1] / name)
        monkeypatch.chdir(folder)


def pytest_addoption(parser):
    parser.addoption("--fuzz", type=int, default=200, help="how many damaged files each reader gets")


def pytest_configure(config):
    config.pluginmanager.register(OwnFolders())  # fixtures of this file alone would miss the examples


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A real photo, uint8 RGB [427, 640, 3]."""
    from sklearn.datasets import load_sample_image

    return load_sample_image("china.jpg")


@pytest.fixture(scope="session")
def photo_sound(photo) -> np.ndarray:
    """The photo's sound in the study's chain, by its own library, float32 [65024]."""
    return sonikeras.sonify(photo, engine="librosa")


@pytest.fixture
def tiny_network(monkeypatch) -> str:
    """The name of a network that builds in no time, for what does not depend on the network."""
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
    """A function that makes a folder of small images of some classes."""
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
