"""What earlier versions wrote is still read: audio files, saved models, run folders, prepared folders."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import sonikeras

V0_1 = Path(__file__).parent / "data" / "v0_1"
CONFIGS = json.loads((V0_1 / "configs.json").read_text())


@pytest.mark.parametrize("extension", ["wav", "flac"])
@pytest.mark.parametrize("preset", sorted(CONFIGS))
def test_audio_file_and_its_config(preset, extension):
    config = sonikeras.SonificationConfig.from_dict(CONFIGS[preset])
    audio, carried = sonikeras.read_audio(V0_1 / f"{preset}.{extension}")
    assert carried == config
    image = sonikeras.read_image(V0_1 / "image.png")
    again = sonikeras.sonify(image, config, seed=1)
    np.testing.assert_allclose(audio, again, rtol=0, atol=1 / 32768)


def test_audio_is_reconstructed_as_the_image():
    audio, config = sonikeras.read_audio(V0_1 / "lossless.wav")
    image = sonikeras.read_image(V0_1 / "image.png")
    expected = sonikeras.desonify(sonikeras.sonify(image, config), config)
    assert expected.std() > 20
    np.testing.assert_array_equal(sonikeras.desonify(audio, config), expected)


def test_model_with_every_layer():
    known = np.load(V0_1 / "layers.npz")
    model = keras.models.load_model(V0_1 / "layers.keras", compile=False)
    images = np.random.default_rng(0).integers(0, 256, (2, 40, 60)).astype("float32")
    logits, inverse = model.predict(images, verbose=0)
    np.testing.assert_allclose(logits, known["logits"], rtol=1e-3, atol=0.5)  # logits of up to 400
    np.testing.assert_allclose(inverse, known["inverse"], atol=1e-4)


@pytest.mark.parametrize(
    ("file", "key", "inputs"),
    [
        ("griffin_lim", "gl", np.random.default_rng(1).random((1, 24, 65)).astype("float32")),
        ("image_to_magnitude", "mag", np.random.default_rng(2).integers(0, 256, (1, 40, 60, 3)).astype("float32")),
    ],
)
def test_model_of_one_layer(file, key, inputs):
    model = keras.models.load_model(V0_1 / f"{file}.keras", compile=False)
    np.testing.assert_allclose(model.predict(inputs, verbose=0), np.load(V0_1 / "layers.npz")[key], atol=1e-5)


def test_run_folder():
    report = sonikeras.Report.load(V0_1 / "run")
    assert report.class_names == ("cat", "dog")
    assert report.accuracy == 0.5
    assert len(report.history["loss"]) == 2


@pytest.mark.parametrize("fmt", ["files", "tfrecord"])
@pytest.mark.parametrize("stage", ["audio", "spectrogram"])
def test_prepared_folder(fmt, stage):
    for split, count in (("train", 8), ("test", 2)):
        data = sonikeras.dataset(
            None, split=split, data_dir=V0_1 / f"prepared_{fmt}", stage=stage, config="matched", batch_size=None
        )
        assert data.class_names == ["cat", "dog"]
        labels = [int(label) for _, label in data]
        assert len(labels) == count
        assert sum(labels) == count // 2


@pytest.mark.parametrize("fmt", ["files", "tfrecord"])
def test_prepared_folder_is_complete(fmt, tmp_path):
    folder = shutil.copytree(V0_1 / f"prepared_{fmt}", tmp_path / "prepared")
    before = {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.*") if path.name != "manifest.csv"}
    config = sonikeras.SonificationConfig.from_dict(CONFIGS["matched"]).replace(picture_size=(16, 16))
    sonikeras.prepare("c2", folder, images_per_class=5, config=config, format=fmt, cache=False)
    after = {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.*") if path.name != "manifest.csv"}
    assert after == before
