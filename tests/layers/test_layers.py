"""The layers on TensorFlow, in graphs, under XLA, in pipelines and in models, and the inputs that they refuse."""

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

import sonikeras
from sonikeras.layers import (
    MDCT,
    AudioToPicture,
    GriffinLim,
    ImageToMagnitude,
    InverseMDCT,
    Spectrogram,
    SpectrogramImage,
)
from sonikeras.signal import chain
from sonikeras.signal.magnitudes import image_to_magnitudes

AUDIO = np.random.default_rng(0).normal(size=(3, 9001)).astype(np.float32) * np.float32([[1], [0.1], [0.001]])
IMAGES = np.random.default_rng(3).integers(0, 256, (3, 90, 70, 3), dtype=np.uint8)
COEFFICIENTS = np.random.default_rng(4).normal(size=(3, 9, 64)).astype(np.float32)


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


@pytest.mark.parametrize("jit_compile", [False, True])
def test_images_to_audio_and_back_with_dynamic_shapes(jit_compile):
    def round_trip(images):
        magnitudes = ImageToMagnitude(bins=64)(images)
        return magnitudes, MDCT(64)(InverseMDCT()(magnitudes))

    signature = [tf.TensorSpec((None, 90, 70, 3), tf.uint8)]
    compiled = tf.function(round_trip, input_signature=signature, jit_compile=jit_compile)
    for count in (1, 3):
        expected = ImageToMagnitude(bins=64)(IMAGES[:count])
        for result in compiled(IMAGES[:count]):
            np.testing.assert_allclose(result, expected, atol=1e-5)
    graph = tf.function(MDCT(32), input_signature=[tf.TensorSpec((None, None))])
    for samples in (64, 1001):
        np.testing.assert_allclose(graph(AUDIO[:, :samples]), MDCT(32)(AUDIO[:, :samples]), atol=1e-5)
    assert MDCT(32)(keras.Input((None,))).shape == (None, None, 32)
    assert InverseMDCT()(keras.Input((None, 32))).shape == (None, None)


def test_images_as_audio_in_a_pipeline_and_in_a_model_that_is_trained_and_exported(tmp_path):
    classifier = keras.Sequential(
        [
            keras.Input((90, 70, 3)),
            ImageToMagnitude(16, 32),
            InverseMDCT(),
            MDCT(32),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    classifier.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    data = tf.data.Dataset.from_tensor_slices((IMAGES, [0, 1, 0])).batch(2)
    assert np.isfinite(classifier.fit(data, verbose=0, shuffle=False).history["loss"][0])
    audio = data.map(lambda x, y: InverseMDCT()(ImageToMagnitude(16, 32)(x)))
    assert audio.element_spec.shape == (None, 17 * 32) and next(iter(audio)).shape == (2, 17 * 32)
    classifier.export(tmp_path / "saved", verbose=False)
    saved = tf.saved_model.load(tmp_path / "saved")
    images = IMAGES.astype(np.float32)
    np.testing.assert_allclose(saved.serve(images), classifier.predict(images, verbose=0), atol=1e-5)


@pytest.mark.parametrize("reference", ["max", "absolute"])
@pytest.mark.parametrize("interpolation", ["bilinear", "area"])
@pytest.mark.parametrize(
    "size", [(1, 1), (28, 28), (427, 640), (600, 1200), (100, 600), (2000, 10), (512, 128), (513, 200), (1000, 128)]
)
def test_magnitudes_of_images_are_opencvs_and_but_for_roundings_the_functions(size, interpolation, reference):
    config = sonikeras.SonificationConfig(image_interpolation=interpolation, reference=reference)
    layer = ImageToMagnitude(interpolation=interpolation, reference=reference)
    color = np.random.default_rng(5).integers(0, 256, (*size, 3), dtype=np.uint8)
    gray = color[..., 0]
    resized = gray.astype(np.float32)
    if interpolation == "area":  # OpenCV's repeats pixels where either side grows
        resized = cv2.resize(resized, (min(size[1], 128), min(size[0], 513)), interpolation=cv2.INTER_AREA)
    resized = np.flipud(cv2.resize(resized, (128, 513), interpolation=cv2.INTER_LINEAR)).T
    expected = np.maximum(resized / (255 if reference == "absolute" else resized.max()), 1e-4)
    np.testing.assert_allclose(layer(gray[None])[0], expected, rtol=0, atol=1e-5)
    for image in (color, gray):
        rounded = image_to_magnitudes(image, config=config).T
        np.testing.assert_allclose(layer(image[None])[0], rounded, rtol=0, atol=2 / 255)
    for same in (color[None, ..., :1], gray[None].astype(np.float64), tf.constant(gray[None])):
        np.testing.assert_array_equal(layer(same)[0], layer(gray[None])[0])


def test_a_small_image_is_interpolated_and_a_large_one_averaged():
    config = sonikeras.SonificationConfig.preset("lossless")
    ramp = np.tile(np.linspace(0, 255, 28).astype(np.uint8), (28, 1))
    rows = image_to_magnitudes(ramp, config=config)
    assert (np.diff(rows, axis=1) >= 0).all() and np.diff(rows, axis=1).max() < 0.02  # no steps
    stripes = np.zeros((300, 1280), np.uint8)
    stripes[:, ::2] = 255
    np.testing.assert_allclose(image_to_magnitudes(stripes, config=config), 127.5 / 255, atol=1 / 255)


def test_magnitudes_have_the_floor_and_each_image_its_reference():
    images = np.stack([np.zeros((40, 40)), np.full((40, 40), 3), np.eye(40) * 255])
    relative = np.asarray(ImageToMagnitude(40, 40)(images))
    assert (relative.max(axis=(1, 2)) == 1).all() and relative[2].min() == np.float32(1e-4)
    absolute = np.asarray(ImageToMagnitude(40, 40, reference="absolute", top_db=40)(images))
    np.testing.assert_allclose(absolute.max(axis=(1, 2)), [0.01, 3 / 255, 1], rtol=1e-4)
    assert (absolute[2].argmax(axis=1) == np.arange(40)[::-1]).all()  # the lowest frequency is the last row


@pytest.mark.parametrize("reference", ["max", "absolute"])
def test_gradient_reaches_the_pixels(reference):
    for images in (IMAGES.astype(np.float32), np.zeros((1, 9, 9), np.float32)):
        x = tf.constant(images)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(InverseMDCT()(ImageToMagnitude(16, 32, reference=reference)(x)) ** 2)
        gradient = tape.gradient(y, x)
        assert np.isfinite(gradient).all() and np.any(gradient) == np.any(images)


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
        (lambda: Spectrogram(512, 0), "must be an integer of at least 1. Received: frame_step=0"),
        (lambda: Spectrogram(512, 128, 256), "must hold. Received.*fft_length=256"),
        (
            lambda: Spectrogram(window="flattest"),
            r"Unknown `window`. Allowed values: \['hann'.*Received: window='flattest'",
        ),
        (lambda: Spectrogram(scale="log"), "Unknown `scale`. Allowed values.*Received: scale='log'"),
        (lambda: Spectrogram(reference="min"), '`reference` must be "max" or a finite number above 0. Received'),
        (lambda: Spectrogram(reference=-1), '`reference` must be "max" or a finite number above 0. Received'),
        (lambda: Spectrogram(top_db=0), "`top_db` must be None or a finite number above 0. Received: top_db=0"),
        (
            lambda: Spectrogram(top_db=float("nan")),
            "`top_db` must be None or a finite number above 0. Received: top_db=nan",
        ),
        (lambda: Spectrogram(256.0), "`frame_length` must be an integer of at least 1. Received: frame_length=256.0"),
        (lambda: Spectrogram(fft_length=0), "`fft_length` must be an integer of at least 1. Received: fft_length=0"),
        (lambda: Spectrogram(center="no"), "Unknown `center`. Allowed values.*Received: center='no'"),
        (
            lambda: SpectrogramImage(None),
            "`image_size` must be a positive integer or a pair.*Received: image_size=None",
        ),
        (lambda: SpectrogramImage(0), "`image_size` must be a positive integer or a pair.*Received: image_size=0"),
        (lambda: SpectrogramImage((1, 2, 3)), "`image_size` must be a positive integer or a pair.*Received"),
        (lambda: SpectrogramImage(8, scale="power"), "Unknown `scale`. Allowed values.*Received: scale='power'"),
        (lambda: SpectrogramImage(8, drawing="pencil"), "Unknown `drawing`. Allowed values.*Received"),
        (lambda: SpectrogramImage(8, "rainbows"), "Unknown `colormap`. Allowed values.*Received: colormap='rainbows'"),
        (lambda: Spectrogram()(AUDIO[0]), r"must have the shape \[batch, samples\].*Received: shape=\(9001,\)"),
        (lambda: Spectrogram()(AUDIO[None, None]), r"must have the shape \[batch, samples\].*Received"),
        (lambda: Spectrogram()(AUDIO + 1j), "must contain real numbers, integers or floats. Received: dtype="),
        (lambda: SpectrogramImage(8)(keras.Input((None, 33))), "frames and bins known. Received"),
        (lambda: SpectrogramImage(8)(AUDIO), r"must have the shape \[batch, frames, bins\].*Received"),
        (lambda: Spectrogram(512, center=False)(AUDIO[:, :100]), "at least one frame.*Received: 100 samples"),
        (lambda: ImageToMagnitude(0), "`frames` must be an integer of at least 1. Received: frames=0"),
        (lambda: ImageToMagnitude(bins=2.5), "`bins` must be an integer of at least 1. Received: bins=2.5"),
        (lambda: ImageToMagnitude(interpolation="cubic"), "Unknown `interpolation`. Allowed values.*'cubic'"),
        (lambda: ImageToMagnitude(reference=0.5), "Unknown `reference`. Allowed values.*Received: reference=0.5"),
        (lambda: ImageToMagnitude(top_db=-1), "`top_db` must be a finite number above 0. Received: top_db=-1"),
        (lambda: ImageToMagnitude()(IMAGES[0, 0]), r"must have the shape \[batch, height, width\].*Received: shape"),
        (lambda: ImageToMagnitude()(IMAGES[..., :2]), r"must have the shape.*Received: shape=\(3, 90, 70, 2\)"),
        (lambda: ImageToMagnitude()(IMAGES[:, :0]), r"must have the shape.*Received: shape=\(3, 0, 70, 3\)"),
        (lambda: AudioToPicture("lossless")(keras.Input((1023,))), "samples known and at least 1024. Received"),
        (lambda: AudioToPicture("study")(keras.Input((None,))), "samples known and at least 1. Received"),
        (lambda: AudioToPicture("study", (300, 300), shorter_side=64), "`shorter_side` must leave a picture.*Received"),
        (lambda: MDCT(511), "`frame_step` must be an even integer of at least 2. Received: frame_step=511"),
        (lambda: MDCT()(AUDIO[0]), r"must have the shape \[batch, samples\]. Received: shape=\(9001,\)"),
        (lambda: MDCT()(AUDIO[:, :1023]), "at least one frame.*Received: 1023 samples, frame_step=512"),
        (lambda: InverseMDCT()(AUDIO), r"must have the shape \[batch, frames, bins\]. Received: shape"),
        (lambda: GriffinLim(512, 513), "`frame_step` <= `frame_length` <= `fft_length` must hold.*Received"),
        (lambda: GriffinLim(512, 512), "`frame_step` must be small enough for the windows to overlap.*Received"),
        (
            lambda: GriffinLim(window="flattest"),
            r"Unknown `window`. Allowed values: \['hann'.*Received: window='flattest'",
        ),
        (lambda: GriffinLim(algorithm="best"), r"Unknown `algorithm`. Allowed values: \['griffin_lim'.*'best'"),
        (lambda: GriffinLim(initial_phase="zero"), "Unknown `initial_phase`. Allowed values.*Received"),
        (lambda: GriffinLim(iterations=0), "`iterations` must be an integer of at least 1. Received: iterations=0"),
        (lambda: GriffinLim(momentum=1.1), r"`momentum` must be a number in 0..1. Received: momentum=1.1"),
        (lambda: GriffinLim(momentum=float("nan")), r"`momentum` must be a number in 0..1. Received: momentum=nan"),
        (lambda: GriffinLim(seed=-1), "`seed` must be an integer of at least 0. Received: seed=-1"),
        (lambda: GriffinLim(513, 200, initial_phase="structured"), "`fft_length` must be even.*fft_length=513"),
        (lambda: GriffinLim()(keras.Input((9, 512))), r"must have the shape.*Received: shape=\(None, 9, 512\)"),
        (lambda: GriffinLim()(np.ones((1, 9, 513)), initial_phase=np.ones((8, 513))), "`initial_phase` must have the"),
        (lambda: InverseMDCT()(keras.Input((9, 63))), "`bins` must be an even integer.*Received: bins=63"),
        (lambda: MDCT()(keras.Input((100,))), "at least one frame.*Received: 100 samples"),
        (lambda: ImageToMagnitude()(keras.Input((9, 9, 2))), r"must have the shape.*shape=\(None, 9, 9, 2\)"),
        (lambda: GriffinLim(rho=0), "`rho` must be a finite number above 0. Received: rho=0"),
        (lambda: GriffinLim()(np.ones((1, 9, 512))), r"frames, 513\] with.*Received: shape=\(1, 9, 512\)"),
        (lambda: GriffinLim()(np.ones((1, 1, 513))), r"at least 2 frames. Received: shape=\(1, 1, 513\)"),
        (lambda: GriffinLim()(np.ones((1, 0, 513))), r"at least 2 frames. Received: shape=\(1, 0, 513\)"),
        (lambda: GriffinLim()(np.ones((9, 513))), r"must have the shape \[batch.*Received: shape=\(9, 513\)"),
        (lambda: InverseMDCT()(COEFFICIENTS[..., 1:]), "`bins` must be an even integer.*Received: bins=63"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_functions_and_layers_agree(photo_audio):
    """Functions on tensors exactly, those on arrays to rounding, which moves a few pixels to a neighboring color."""
    study = sonikeras.SonificationConfig.preset("study")
    db = np.asarray(Spectrogram()(photo_audio[None]))
    np.testing.assert_array_equal(chain.audio_to_db(keras.ops.convert_to_tensor(photo_audio[None]), study), db)
    ours = sonikeras.spectrogram(photo_audio)
    np.testing.assert_allclose(ours, db[0].T, rtol=0, atol=2e-3)
    assert np.median(abs(ours - db[0].T)) < 1e-5
    picture = np.asarray(SpectrogramImage((600, 1200))(db))[0]
    np.testing.assert_array_equal(chain.db_to_picture(keras.ops.convert_to_tensor(db), study)[0], picture)
    difference = abs(sonikeras.picture(photo_audio) - picture).max(axis=-1)
    assert difference.max() <= 3 and (difference > 0).mean() < 1e-3
