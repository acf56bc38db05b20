"""The layers behave as Keras' own do: saving, precision, batches, graphs, gradients, export."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import sonikeras
from sonikeras.layers import Spectrogram, SpectrogramImage

AUDIO = np.random.default_rng(0).normal(size=(3, 9001)).astype(np.float32) * np.float32([[1], [0.1], [0.001]])
LAYERS = [
    (lambda: Spectrogram(), AUDIO),
    (lambda: Spectrogram(512, 128, 1024, "hamming", False, "amplitude", top_db=None), AUDIO),
    (lambda: Spectrogram(400, 160, 512, reference=0.5, top_db=60), np.stack([AUDIO, AUDIO[::-1]], axis=-1)),
    (lambda: Spectrogram(scale="power"), AUDIO),
    (lambda: SpectrogramImage(64), None),
    (lambda: SpectrogramImage((100, 150), "viridis", scale="amplitude", drawing="resize", top_db=70), None),
]


@pytest.fixture(params=range(len(LAYERS)))
def layer_and_input(request):
    make, x = LAYERS[request.param]
    return make(), np.asarray(Spectrogram()(AUDIO)) if x is None else x


def test_symbolic_shape_is_the_eager_one(layer_and_input):
    layer, x = layer_and_input
    y = layer(x)
    assert layer.compute_output_shape(x.shape) == y.shape
    assert layer(keras.Input(x.shape[1:])).shape == (None, *y.shape[1:])
    assert not layer.weights


def test_config_round_trip_and_saving(layer_and_input, tmp_path):
    layer, x = layer_and_input
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


def test_batch_of_one_is_each_of_a_batch(layer_and_input):
    layer, x = layer_and_input
    together = np.asarray(layer(x))
    for i in range(len(x)):
        np.testing.assert_allclose(np.asarray(layer(x[i : i + 1]))[0], together[i], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_computes_in_float32(policy):
    audio = AUDIO[:1] * 0.1
    layer = Spectrogram(dtype=policy)
    exact = np.asarray(Spectrogram()(audio))
    low = layer(audio)
    assert low.dtype == layer.compute_dtype
    assert np.abs(np.asarray(tf.cast(low, tf.float32)) - exact).max() < 1
    picture = SpectrogramImage(32, dtype=policy)(exact)
    assert np.abs(np.asarray(tf.cast(picture, tf.float32)) - np.asarray(SpectrogramImage(32)(exact))).max() < 1.01


def test_stft_is_tensorflows_own():
    graph = tf.function(lambda x: Spectrogram()(x)).get_concrete_function(tf.TensorSpec((None, None))).graph
    assert "RFFT" in {operation.type for operation in graph.get_operations()}


def test_dynamic_batch_and_time_in_a_graph_and_under_xla():
    layer = Spectrogram(512, 128)
    graph = tf.function(layer, input_signature=[tf.TensorSpec((None, None))])
    compiled = tf.function(layer, jit_compile=True)
    for samples in (3000, 5001):
        eager = np.asarray(layer(AUDIO[:, :samples]))
        np.testing.assert_allclose(graph(AUDIO[:, :samples]), eager, atol=1e-3)
        np.testing.assert_allclose(compiled(tf.constant(AUDIO[:, :samples])), eager, atol=1e-2)


def test_in_a_pipeline_and_in_a_model_that_is_trained():
    classifier = keras.Sequential(
        [
            keras.Input((9001,)),
            Spectrogram(1024),
            SpectrogramImage(32),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    classifier.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    data = tf.data.Dataset.from_tensor_slices((AUDIO, [0, 1, 0])).batch(2)
    assert np.isfinite(classifier.fit(data, verbose=0, shuffle=False).history["loss"][0])
    mapped = data.map(lambda x, y: (Spectrogram(1024)(x), y))
    assert next(iter(mapped))[0].shape == (2, 18, 513)


@pytest.mark.parametrize("scale", ["db", "amplitude", "power"])
def test_gradient_is_finite_even_of_silence(scale):
    layer = Spectrogram(256, 64, scale=scale)
    for audio in (AUDIO[:1, :600], np.zeros((1, 600), np.float32)):
        x = tf.constant(audio)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(layer(x))
        assert np.isfinite(tape.gradient(y, x)).all()


def test_gradient_against_finite_differences():
    layer = Spectrogram(256, 64, scale="power")
    x = tf.constant(AUDIO[:1, :600])
    direction = tf.constant(np.random.default_rng(1).normal(size=x.shape).astype(np.float32))
    weight = tf.constant(np.random.default_rng(2).normal(size=layer(x).shape).astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(layer(x) * weight)
    slope = float(tf.reduce_sum(tape.gradient(y, x) * direction))
    step = 1e-2
    values = [float(tf.reduce_sum(layer(x + sign * step * direction) * weight)) for sign in (1, -1)]
    assert slope == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-2)


def test_export_to_saved_model_with_another_batch_size(tmp_path):
    model = keras.Sequential([keras.Input((9001,)), Spectrogram(), SpectrogramImage(48)])
    model.export(tmp_path / "saved", verbose=False)
    served = tf.saved_model.load(tmp_path / "saved").serve
    for count in (1, 3):
        np.testing.assert_allclose(served(AUDIO[:count]), model.predict(AUDIO[:count], verbose=0), atol=2)


def test_levels_belong_to_each_example():
    db = np.asarray(Spectrogram()(AUDIO))
    assert (db.max(axis=(1, 2)) == 0).all() and (db.min(axis=(1, 2)) >= -80 - 1e-4).all()


def test_channels_share_their_examples_reference():
    stereo = np.stack([AUDIO, AUDIO * 0.1], axis=-1)
    db = np.asarray(Spectrogram(top_db=None)(stereo))
    np.testing.assert_allclose(db[0, ..., 0] - db[0, ..., 1], 20, atol=1e-2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Spectrogram(512, 513), "`frame_step` <= `frame_length` <= `fft_length` must hold.*Received"),
        (lambda: Spectrogram(512, 0), "must hold. Received: frame_step=0"),
        (lambda: Spectrogram(512, 128, 256), "must hold. Received.*fft_length=256"),
        (lambda: Spectrogram(window="flat"), r"Unknown `window`. Allowed values: \['hann'.*Received: window='flat'"),
        (lambda: Spectrogram(scale="log"), "Unknown `scale`. Allowed values.*Received: scale='log'"),
        (lambda: Spectrogram(reference="min"), '`reference` must be "max" or a float above 0. Received'),
        (lambda: Spectrogram(reference=-1), '`reference` must be "max" or a float above 0. Received'),
        (lambda: Spectrogram(top_db=0), "`top_db` must be None or a float above 0. Received: top_db=0"),
        (lambda: SpectrogramImage(0), "`image_size` must be a positive integer or a pair.*Received: image_size=0"),
        (lambda: SpectrogramImage((1, 2, 3)), "`image_size` must be a positive integer or a pair.*Received"),
        (lambda: SpectrogramImage(8, scale="power"), "Unknown `scale`. Allowed values.*Received: scale='power'"),
        (lambda: SpectrogramImage(8, drawing="pencil"), "Unknown `drawing`. Allowed values.*Received"),
        (lambda: SpectrogramImage(8, "rainbows"), "Unknown `colormap`. Allowed values.*Received: colormap='rainbows'"),
        (lambda: Spectrogram()(AUDIO[0]), r"must have the shape \[batch, samples\].*Received: shape=\(9001,\)"),
        (lambda: Spectrogram()(AUDIO[None, None]), r"must have the shape \[batch, samples\].*Received"),
        (lambda: SpectrogramImage(8)(AUDIO), r"must have the shape \[batch, frames, bins\].*Received"),
        (lambda: Spectrogram(512, center=False)(AUDIO[:, :100]), "at least one frame.*Received: 100 samples"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_functions_and_layers_agree(photo_sound):
    db = np.asarray(Spectrogram()(photo_sound[None]))[0].T
    np.testing.assert_array_equal(sonikeras.spectrogram(photo_sound), db)
    picture = np.asarray(SpectrogramImage((600, 1200))(db.T[None]))[0]
    np.testing.assert_array_equal(sonikeras.picture(photo_sound), picture)
