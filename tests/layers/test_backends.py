"""All backends of Keras give the same numbers, with and without TensorFlow beside them, and importing is light."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import backend_values
import keras
import numpy as np
import pytest

HERE = Path(__file__).parent
OTHERS = [name for name in ("tensorflow", "jax", "torch") if name != keras.backend.backend()]


def run(backend, *arguments):
    """Runs Python with another backend, of which the caller is skipped where it is not installed."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, *map(str, arguments)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def inputs(photo_audio):
    rng = np.random.default_rng(0)
    magnitudes = rng.rayleigh(size=(2, 20, 513)).astype(np.float32)
    return {
        "audio": np.stack([photo_audio, rng.normal(size=len(photo_audio)).astype(np.float32)]),
        "images": rng.integers(0, 256, (3, 90, 70, 3), dtype=np.uint8),
        "coefficients": rng.normal(size=(3, 9, 64)).astype(np.float32),
        "magnitudes": magnitudes,
        "phase": rng.uniform(-np.pi, np.pi, magnitudes.shape).astype(np.float32),
        "db": rng.uniform(-80, 0, (2, 40, 65)).astype(np.float32),
    }


@pytest.fixture(scope="module")
def here(inputs):
    return backend_values.values(**inputs)


@pytest.mark.parametrize("backend", OTHERS)
def test_backends_agree(backend, inputs, here, tmp_path):
    np.savez(tmp_path / "in.npz", **inputs)
    run(backend, HERE / "backend_values.py", tmp_path / "in.npz", tmp_path / "out.npz")
    there = np.load(tmp_path / "out.npz")
    assert set(there) == set(here)
    for name in there:
        if name.startswith("data set"):  # TensorFlow computes it on every backend
            np.testing.assert_array_equal(there[name], here[name], err_msg=name)
        elif name == "spectrogram":
            difference = np.abs(there[name] - here[name])
            # In a few bins nearly everything cancels. Only double precision gives their value.
            audible = difference[here[name] > -70]
            assert np.quantile(audible, 0.999) < 1e-4 and audible.max() < 5e-3
            assert difference[here[name] > -30].max() < 1e-4
        elif name == "spectrogram_double":
            assert np.abs(there[name] - here[name])[here[name] > -70].max() < 1e-9
        elif name == "spectrogram_image":
            assert (np.abs(there[name] - here[name]) > 1e-3).mean() < 1e-4  # a value between two colors
        else:
            error = np.linalg.norm(there[name] - here[name]) / np.linalg.norm(here[name])
            assert error < (1e-4 if name == "griffin_lim" else 1e-6), (name, error)


@pytest.mark.parametrize("backend", OTHERS)
def test_all_layers_pass_their_harness(backend):
    run(backend, "-m", "pytest", "-n", 0, "-q", "-p", "no:cacheprovider", HERE / "test_layer_harness.py")


@pytest.mark.slow
@pytest.mark.parametrize("backend", OTHERS)
def test_edges_of_layers(backend):
    chosen = "functions or inversion_is or empty or (gradient and float32) or phase or sparse or (floatx and Image)"
    run(backend, "-m", "pytest", "-n", 0, "-q", "-p", "no:cacheprovider", HERE / "test_layer_inputs.py", "-k", chosen)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_importing_is_light_and_without_tensorflow_only_what_needs_it_is_missing(backend):
    script = """
import sys
class WithoutTensorFlow:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, *arguments):
        return None if name.partition(".")[0] == "tensorflow" else self.finder.find_spec(name, *arguments)
sys.meta_path[:] = [WithoutTensorFlow(finder) for finder in sys.meta_path]
import keras
before = set(sys.modules)
import sonikeras
print(*{name.partition(".")[0] for name in set(sys.modules) - before})
import numpy as np
from sonikeras import layers
image = np.eye(64, dtype="uint8") * 255
magnitudes = layers.ImageToMagnitude()(image[None])
assert magnitudes.shape == (1, 128, 513)
audio = layers.GriffinLim(iterations=1)(magnitudes)
assert layers.SpectrogramImage(32)(layers.Spectrogram()(audio)).shape == (1, 32, 32, 3)
assert layers.InverseMDCT()(layers.MDCT()(audio)).shape == (1, 127 * 512)
audio = sonikeras.sonify(image, "lossless")
assert (sonikeras.desonify(audio, "lossless", size=(64, 64))).shape == (64, 64)
assert sonikeras.picture(audio, "lossless").shape == (512, 512, 3)
for call in (lambda: sonikeras.dataset("c2"), lambda: sonikeras.prepare("c2", "out", format="tfrecord")):
    try:
        call()
    except ImportError as error:
        print(error)
"""
    imported, first, second = run(backend, "-c", script).strip().splitlines()
    # Each of these takes longer to import than the package.
    heavy = {"cv2", "grpc", "keras_cv", "librosa", "matplotlib", "numba", "scipy", "sklearn", "soundfile", "tensorflow"}
    assert "sonikeras" in imported.split() and not heavy.intersection(imported.split())
    rule = "needs TensorFlow, whatever the backend of Keras: pip install tensorflow."
    assert first.startswith(f"`sonikeras.dataset` {rule} Received: No module named 'tensorflow'")
    assert second.startswith(f"`sonikeras.prepare` with format='tfrecord' {rule}")
