"""Examples in color: what a data set gives is what the functions give for the image's colors."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf

import sonikeras
from sonikeras import SonificationConfig
from sonikeras.sources.images import write_image

MATCHED, LOSSLESS = SonificationConfig.preset("matched"), SonificationConfig.preset("lossless")
RNG = np.random.default_rng(0)
# Of the two classes, one is red where the other is blue; in gray they are equal.
RED, BLUE = np.zeros((2, 5, 48, 64, 3), np.uint8)
RED[..., 0], BLUE[..., 2] = 95, 249
NOISE = RNG.integers(0, 6, (5, 48, 64, 1), dtype=np.uint8)
IMAGES = np.concatenate([RED + NOISE, BLUE + NOISE])
LABELS = np.repeat([0, 1], 5)
CONFIGS = {
    "ycbcr": MATCHED.replace(color="ycbcr", frames=40, iterations=2),
    "ycbcr-log": LOSSLESS.replace(color="ycbcr", frames=40, min_freq=100, frequency_scale="log"),
    "rgb": LOSSLESS.replace(color="rgb", frames=60),
}


def data(config, **arguments):
    options = {"source": (IMAGES, LABELS), "split": "train", "shuffle": False, "batch_size": None, "image_size": None}
    return sonikeras.dataset(None, config=config, **options | {"cache": False} | arguments)


@pytest.mark.parametrize("name", CONFIGS)
def test_examples_are_those_of_the_functions(name, tmp_path):
    config = CONFIGS[name]
    examples = data(config).examples
    for cache in (False, tmp_path, tmp_path):  # computed, computed and kept, kept
        pictures = [x.numpy() for x, _ in data(config, cache=cache)]
        sounds = [x.numpy() for x, _ in data(config, cache=cache, output="audio")]
        for i in range(len(examples)):
            audio = sonikeras.sonify(examples.image(i, color=True), config, seed=42)
            np.testing.assert_allclose(sounds[i], audio, atol=1 / 32768)
            np.testing.assert_allclose(pictures[i], sonikeras.picture(sounds[i], config), atol=0.6)
    red, blue = (np.mean(pictures, axis=0)[labels].mean() for labels in ((..., 0), (..., 2)))
    assert red > 20 and blue > 20


def test_colors_tell_apart_what_gray_does_not():
    def difference(config):
        pictures = np.stack([x.numpy() for x, _ in data(config)])
        labels = np.array([int(label) for _, label in data(config)])
        return np.abs(pictures[labels == 0].mean(axis=(0, 1, 2)) - pictures[labels == 1].mean(axis=(0, 1, 2))).max()

    assert difference(CONFIGS["rgb"].replace(color="gray")) < 2
    assert difference(CONFIGS["rgb"]) > 90 and difference(CONFIGS["ycbcr"]) > 60


def test_the_cache_tells_configs_apart(tmp_path):
    gray = LOSSLESS.replace(frames=40)
    changes = [{}, {"color": "ycbcr"}, {"color": "rgb"}, {"min_freq": 500}, {"max_freq": 5000}, {"rows": 300}]
    changes += [{"min_freq": 500, "frequency_scale": scale} for scale in ("log", "mel")]
    changes += [{"color": "ycbcr", "chroma_fraction": 0.4}]
    sounds = set()
    for change in changes * 2:
        for x, _ in data(gray.replace(**change), cache=tmp_path, output="audio").take(1):
            sounds.add(x.numpy().tobytes())
    assert len(sounds) == len(changes)


def test_a_stream_and_files_give_the_same_colors(tmp_path):
    config = CONFIGS["rgb"]
    for i, image in enumerate(IMAGES):
        folder = tmp_path / ("red" if i < 5 else "blue") / f"{i}.png"
        folder.parent.mkdir(exist_ok=True)
        write_image(folder, image)
    files = sonikeras.dataset(None, data_dir=tmp_path, split="train", shuffle=False, batch_size=None, config=config)
    by_name = {name: x.numpy() for name, (x, _) in zip(files.example_names, files, strict=True)}
    source = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))
    stream = sonikeras.dataset(
        None, source=source, classes=["red", "blue"], split="test", batch_size=None, config=config, cache=False
    )
    streamed = [x.numpy() for x, _ in stream]
    assert by_name
    for name, picture in by_name.items():
        np.testing.assert_array_equal(picture, streamed[int(name.split("/")[1])])


@pytest.mark.parametrize("format", ["files", "tfrecord"])
@pytest.mark.parametrize("name", CONFIGS)
def test_prepared_examples_are_those_of_the_data_set(tmp_path, format, name):
    config = CONFIGS[name].replace(picture_size=(32, 48))
    sonikeras.prepare(
        None, tmp_path / "out", source=(IMAGES, LABELS), config=config, format=format, seed=42, cache=False
    )
    known = data(config)
    expected = {name.split("/")[1]: x.numpy() for name, (x, _) in zip(known.example_names, known, strict=True)}
    for stage in ("audio", "spectrogram"):
        prepared = sonikeras.dataset(
            None, data_dir=tmp_path / "out", stage=stage, config=config, split="train", shuffle=False, batch_size=None,
            image_size=None,
        )  # fmt: skip
        assert len(expected) == len(prepared) == 9
        for name, (x, _) in zip(prepared.example_names, prepared, strict=True):
            np.testing.assert_allclose(x, expected[name.split("/")[1]], atol=0.01 if stage == "audio" else 0.51)
    with open(tmp_path / "out" / "manifest.csv", newline="") as file:
        convergence = [float(row["spectral_convergence"]) for row in csv.DictReader(file)]
    assert max(convergence) < (0.05 if config.transform == "mdct" else 0.6)


def test_a_colormap_is_refused():
    with pytest.raises(ValueError, match="`colormap` must be None. Received: colormap='gray', color='rgb'"):
        sonikeras.dataset("c2", stage="spectrogram", config=CONFIGS["rgb"], colormap="gray", data_dir="anywhere")


@pytest.mark.parametrize("name", CONFIGS)
def test_the_model_of_the_chain_sees_what_the_data_set_gives(name):
    config = CONFIGS[name].replace(initial_phase="structured")
    inputs = keras.Input((32, 32, 3))
    pictures = keras.Model(inputs, keras.layers.Identity()(inputs))
    model = sonikeras.models.sonified(pictures, config, input_shape=(48, 64, 3))
    images = IMAGES[[0, 9]].astype("float32")
    drawing = config.replace(picture_size=(32, 32))
    expected = [sonikeras.picture(sonikeras.sonify(image, config), drawing) for image in IMAGES[[0, 9]]]
    np.testing.assert_allclose(model(images), expected, atol=8)
    x = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(model(x)[..., 0])
    slopes = tape.gradient(loss, x).numpy()
    assert np.isfinite(slopes).all() and np.abs(slopes[..., 0]).max() > 0
