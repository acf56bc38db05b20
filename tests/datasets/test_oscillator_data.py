"""Data sets of oscillators, in mono and panned: what they give is what the functions give."""

import csv

import numpy as np
import pytest
import tensorflow as tf

import sonikeras
from sonikeras import SonificationConfig
from sonikeras.datasets import _service as service
from sonikeras.evaluation.retention import signal_retention

SCAN = SonificationConfig.preset("scan").replace(picture_size=(64, 96))
CONFIGS = {"mono": SCAN, "stereo": SCAN.replace(panning=True)}
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 16, 20), dtype=np.uint8)
LABELS = np.repeat([0, 1], 6)


def data(config, **arguments):
    options = {"source": (IMAGES, LABELS), "split": "train", "shuffle": False, "batch_size": None, "image_size": None}
    return sonikeras.dataset(None, config=config, **options | {"cache": False} | arguments)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_examples_are_those_of_the_functions(config, tmp_path):
    examples = data(config).examples
    for cache in (False, tmp_path, tmp_path):  # computed, computed and kept, kept
        pictures = [x.numpy() for x, _ in data(config, cache=cache)]
        sounds = [x.numpy() for x, _ in data(config, cache=cache, output="audio")]
        for i in range(len(examples)):
            audio = sonikeras.sonify(examples.image(i), config)
            np.testing.assert_allclose(sounds[i], audio, atol=1.5 / 32768)
            np.testing.assert_allclose(pictures[i], sonikeras.picture(sounds[i], config), atol=1)


@pytest.mark.parametrize("format", ["files", "tfrecord"])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_prepared_examples_are_those_of_the_data_set(config, format, tmp_path):
    out = tmp_path / "out"
    sonikeras.prepare(None, out, source=(IMAGES, LABELS), config=config, format=format, cache=False)
    known = data(config, output="audio")
    expected = {name.split("/")[1]: x.numpy() for name, (x, _) in zip(known.example_names, known, strict=True)}
    prepared = sonikeras.dataset(
        None, data_dir=out, stage="audio", config=config, split="train", shuffle=False, batch_size=None, output="audio"
    )
    assert len(prepared) == len(expected) > 0
    for name, (x, _) in zip(prepared.example_names, prepared, strict=True):
        np.testing.assert_allclose(x, expected[name.split("/")[1]], atol=3 / 32768)
    if format == "files":
        file = next(out.glob("train/*/*.wav"))
        audio, carried = sonikeras.read_audio(file)
        assert carried == config and audio.shape == expected[file.stem].shape
    with open(out / "manifest.csv", newline="") as file:
        assert max(float(row["spectral_convergence"]) for row in csv.DictReader(file)) < 0.02


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_graph_gives_what_the_functions_give(config):
    png = tf.io.encode_png(np.repeat(IMAGES[0][..., None], 3, axis=-1))
    pcm = service.encoded_to_pcm(png, config=config, seed=0, files=False).numpy() / 32768
    np.testing.assert_allclose(pcm, sonikeras.sonify(IMAGES[0], SCAN), atol=1e-3)


def test_retention_of_panned_audio_is_that_of_mono():
    image = np.kron(IMAGES[0], np.ones((4, 4), np.uint8))
    mono, stereo = (signal_retention(image, sonikeras.sonify(image, config), config) for config in CONFIGS.values())
    assert stereo.psnr == pytest.approx(mono.psnr, abs=0.01) and mono.spectral_convergence < -40
