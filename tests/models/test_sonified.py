"""A model with the whole signal chain in it: the same as the functions, trained through, saved and exported."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import sonikeras
from sonikeras import models
from sonikeras.layers import AudioToPicture, ImageToAudio
from sonikeras.sources._builtin import load

SHORT = {"frames": 16, "iterations": 4}


@pytest.fixture(scope="module")
def images():
    return np.stack(load(["cat", "dog"], "test", 10)[0])


def classifier(size=32):
    pictures = keras.Input((size, size, 3))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 5, activation="relu")(pictures / 255))
    return keras.Model(pictures, keras.layers.Dense(2)(features))


@pytest.mark.parametrize("preset", ["study", "matched", "lossless"])
def test_layers_are_the_functions(images, preset):
    config = sonikeras.SonificationConfig.preset(preset).replace(initial_phase="structured")
    audio = np.asarray(ImageToAudio(config)(images[:2]))
    expected = np.stack([sonikeras.sonify(image, config) for image in images[:2]])
    # Pixels of the functions are rounded to 8 bits: an error of at most one step, 0.4 %, of the magnitudes.
    assert audio.shape == expected.shape == (2, config.samples)
    assert np.linalg.norm(audio - expected) < 0.05 * np.linalg.norm(expected)
    pictures = np.asarray(AudioToPicture(config)(expected))
    same = np.stack([sonikeras.picture(audio, config) for audio in expected])
    assert np.abs(np.rint(pictures) - same).max() <= 1


def test_pictures_are_those_of_the_data_set(images):
    test = sonikeras.dataset("c2", split="test", images_per_class=10, image_size=48, shorter_side=64, cache=False)
    clips = sonikeras.dataset("c2", split="test", images_per_class=10, output="audio", cache=False)
    layer = AudioToPicture("study", (48, 48), shorter_side=64)
    for (expected, _), (audio, _) in zip(test, clips, strict=True):
        np.testing.assert_allclose(layer(audio), expected, atol=0.01)


@pytest.mark.parametrize("preset", ["study", "matched", "lossless"])
def test_gradient_reaches_the_pixels_through_the_audio(images, preset):
    config = sonikeras.SonificationConfig.preset(preset).replace(**SHORT)
    model = models.sonified(classifier(), config, input_shape=(28, 28))
    x = tf.constant(images[:2], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(model(x)[:, 0] - model(x)[:, 1])
    gradient = tape.gradient(loss, x)
    assert np.isfinite(gradient).all() and all(np.abs(each).max() > 0 for each in gradient)


def test_what_comes_before_is_trained_through_the_search(images):
    keras.utils.set_random_seed(0)
    config = sonikeras.SonificationConfig.preset("matched").replace(**SHORT)
    sonified = models.sonified(classifier(), config, input_shape=(28, 28, 1))
    sonified.trainable = False
    inputs = keras.Input((28, 28, 1))
    contrast = keras.layers.Dense(1, kernel_initializer="ones")
    model = keras.Model(inputs, sonified(contrast(inputs)))
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = contrast.get_weights()[0].copy()
    history = model.fit(images[..., None].astype("float32"), np.arange(len(images)) % 2, epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert contrast.get_weights()[0] != before


def test_saved_and_loaded_without_custom_objects(images, tmp_path):
    config = sonikeras.SonificationConfig.preset("study").replace(**SHORT)
    model = models.sonified(classifier(), config, input_shape=(28, 28), shorter_side=40, seed=3)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("audio").config == config
    np.testing.assert_array_equal(loaded(images[:2]), model(images[:2]))


def test_exported_with_any_batch_size(images, tmp_path):
    config = sonikeras.SonificationConfig.preset("matched").replace(**SHORT)
    model = models.sonified(classifier(), config, input_shape=(28, 28))
    model.export(str(tmp_path / "served"), verbose=False)
    served = tf.saved_model.load(str(tmp_path / "served"))
    x = images[:3].astype("float32")
    np.testing.assert_allclose(served.serve(x), model(x), atol=1e-4)


def test_the_audio_is_in_the_middle(images):
    model = models.sonified(classifier(), "lossless", input_shape=(28, 28))
    audio = keras.Model(model.input, model.get_layer("audio").output)(images[:1])
    reconstructed = sonikeras.desonify(np.asarray(audio)[0], "lossless", size=(28, 28))
    # Enlarged to 128 x 512 and back it is a little smoother.
    assert np.abs(reconstructed.astype(int) - images[0]).mean() < 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classifier": keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])}, "pictures of shape"),
        ({"config": "loud"}, "Allowed presets"),
        ({"input_shape": (28,)}, "must have the shape"),
        ({"seed": -1}, "`seed` must be an integer"),
        ({"interpolation": "cubist"}, "Allowed values"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        models.sonified(**{"classifier": classifier()} | arguments)


@pytest.mark.parametrize("arguments", [{"image_size": (0, 3)}, {"image_size": 5}, {"shorter_side": 0}])
def test_wrong_sizes(arguments):
    with pytest.raises(ValueError, match="must be"):
        AudioToPicture("study", **arguments)
    with pytest.raises(ValueError, match=r"\[batch, samples\]"):
        AudioToPicture("study")(np.zeros((2, 4, 5), "float32"))
