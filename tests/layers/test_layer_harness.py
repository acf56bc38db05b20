"""Every public layer behaves as Keras' own do, on each backend: shapes, saving, batches, precision, XLA, gradients.

`KERAS_BACKEND=jax python -m pytest -n 0 tests/layers/test_layer_harness.py` runs it on another; it needs no TensorFlow.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from sonikeras import SonificationConfig, layers
from sonikeras.layers import MDCT, GriffinLim, ImageToMagnitude, InverseMDCT, Spectrogram, SpectrogramImage

BACKEND = keras.backend.backend()
RNG = np.random.default_rng(0)
AUDIO = (RNG.normal(size=(3, 2001)) * [[1], [0.1], [0.001]]).astype(np.float32)
STEREO = np.stack([AUDIO, AUDIO[::-1]], axis=-1)
IMAGES = RNG.integers(0, 256, (3, 40, 30, 3), dtype=np.uint8)
COEFFICIENTS = RNG.normal(size=(3, 9, 64)).astype(np.float32)
DECIBELS = RNG.uniform(-80, 0, (3, 12, 33)).astype(np.float32)
CHAIN = SonificationConfig(
    frames=8,
    iterations=2,
    fft_length=64,
    frame_length=64,
    frame_step=32,
    analysis_fft_length=128,
    analysis_frame_length=128,
    analysis_frame_step=64,
    picture_size=(30, 40),
)
COLOR = SonificationConfig(
    frames=12,
    iterations=2,
    fft_length=64,
    frame_length=64,
    frame_step=32,
    reference="absolute",
    color="ycbcr",
    min_freq=1000,
    frequency_scale="mel",
    rows=20,
    picture_scale="amplitude",
    picture_size=(30, 40),
    drawing="resize",
)


@dataclasses.dataclass
class Case:
    make: Callable[..., keras.Layer]
    x: np.ndarray
    free: tuple[int, ...] = ()  # axes, besides the batch, that may have any size
    smooth: bool = True  # whether finite differences tell the gradient
    weights: int = 0

    @property
    def floats(self) -> np.ndarray:
        return self.x.astype(np.float32)


def spectrogram(**arguments: Any) -> Callable[..., keras.Layer]:
    return lambda **kwargs: Spectrogram(256, 100, **arguments, **kwargs)


CASES = {
    "Spectrogram": Case(spectrogram(), AUDIO, (1,)),
    "Spectrogram-power": Case(spectrogram(scale="power", scaling="density"), AUDIO, (1,)),
    "Spectrogram-amplitude": Case(
        lambda **k: Spectrogram(200, 100, 256, ("kaiser", 8.0), False, "amplitude", **k), STEREO, (1,)
    ),
    "Spectrogram-channels": Case(
        spectrogram(reference=0.5, top_db=None, data_format="channels_first"), STEREO.swapaxes(1, 2), (2,)
    ),
    "Spectrogram-mel": Case(spectrogram(frequency_scale="mel", num_bins=20, max_freq=8000), STEREO, (1,)),
    "Spectrogram-log": Case(spectrogram(frequency_scale="log", num_bins=30, mode="log"), AUDIO, (1,)),
    "Spectrogram-same": Case(spectrogram(mode="psd", padding="same"), AUDIO),
    "Spectrogram-valid": Case(spectrogram(mode="stft", padding="valid", periodic=False), STEREO, (1,)),
    "Spectrogram-angle": Case(spectrogram(mode="angle"), AUDIO, (1,), smooth=False),
    "SpectrogramImage": Case(lambda **k: SpectrogramImage(24, **k), DECIBELS, smooth=False),
    "SpectrogramImage-resize": Case(
        lambda **k: SpectrogramImage((20, 30), "viridis", scale="amplitude", drawing="resize", top_db=70, **k),
        DECIBELS,
        smooth=False,
    ),
    "ImageToMagnitude": Case(lambda **k: ImageToMagnitude(16, 33, **k), IMAGES),
    "SpectrogramImage-color": Case(lambda **k: SpectrogramImage((20, 30), config=COLOR, **k), DECIBELS),
    "ImageToMagnitude-color": Case(lambda **k: ImageToMagnitude(config=COLOR, **k), IMAGES),
    "ImageToMagnitude-area": Case(
        lambda **k: ImageToMagnitude(12, 8, "area", reference="absolute", top_db=60, **k), IMAGES[..., 0]
    ),
    "MDCT": Case(lambda **k: MDCT(100, **k), AUDIO, (1,)),
    "InverseMDCT": Case(InverseMDCT, COEFFICIENTS, (1,)),
    "GriffinLim": Case(lambda **k: GriffinLim(64, 32, 126, iterations=2, **k), np.abs(COEFFICIENTS), (1,)),
    "GriffinLim-lbfgs": Case(
        lambda **k: GriffinLim(126, 50, algorithm="lbfgs", iterations=4, initial_phase="structured", **k),
        np.abs(COEFFICIENTS),
        (1,),
    ),
    "ImageToAudio": Case(lambda **k: layers.ImageToAudio(CHAIN, **k), IMAGES),
    "ImageToAudio-color": Case(lambda **k: layers.ImageToAudio(COLOR, **k), IMAGES),
    "AudioToPicture-color": Case(
        lambda **k: layers.AudioToPicture(COLOR, (20, 24), **k), 0.05 * AUDIO[:1, : COLOR.samples].repeat(3, axis=0)
    ),
    "AudioToPicture": Case(lambda **k: layers.AudioToPicture(CHAIN, (20, 24), **k), AUDIO, smooth=False),
    "TorchBatchNormalization": Case(layers.TorchBatchNormalization, COEFFICIENTS, (1,), weights=4),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def numpy(x):
    return ops.convert_to_numpy(ops.cast(x, "float32"))


def gradient(function, x):
    """The gradient of a function of a tensor to a number, as an array."""
    x = ops.convert_to_tensor(x)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return tape.gradient(y, x).numpy()
    if BACKEND == "jax":
        import jax

        return np.asarray(jax.jit(jax.grad(function))(x))
    x = x.detach().clone().requires_grad_()
    function(x).backward()
    return x.grad.cpu().numpy()


def test_every_public_layer_has_a_case():
    assert {name.partition("-")[0] for name in CASES} == set(layers.__all__)


def test_symbolic_shape_is_the_eager_one(case):
    layer = case.make()
    shape = tuple(layer(case.x).shape)
    assert layer.compute_output_shape(case.x.shape) == shape
    assert layer(keras.Input(case.x.shape[1:])).shape == (None, *shape[1:])
    assert len(layer.weights) == case.weights


def test_batch_and_time_may_have_any_size(case):
    layer = case.make()
    given = tuple(None if axis in case.free else size for axis, size in enumerate(case.x.shape))
    inputs = keras.Input(given[1:], dtype=str(case.x.dtype))
    outputs = layer(inputs)
    model = keras.Model(inputs, outputs)
    shorter = case.x[(slice(2), *(slice(-1 if axis in case.free else None) for axis in range(1, case.x.ndim)))]
    for x in (case.x, shorter):
        y = model(x)
        for axis, size in enumerate(outputs.shape):
            assert size in (None, y.shape[axis])
        np.testing.assert_allclose(numpy(y), numpy(layer(x)), rtol=1e-5, atol=1e-4)


def test_config_round_trip_and_saving(case, tmp_path):
    layer = case.make()
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    model = keras.Sequential([keras.Input(case.x.shape[1:]), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(loaded(case.floats)), numpy(model(case.floats)))
    assert loaded.layers[-1].get_config() == layer.get_config()


def test_batch_of_one_is_each_of_a_batch(case):
    layer = case.make()
    together = numpy(layer(case.x))
    for i in range(len(case.x)):
        np.testing.assert_allclose(numpy(layer(case.x[i : i + 1]))[0], together[i], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_only_rounds_the_result(case, policy):
    layer = case.make(dtype=policy)
    low = layer(case.x)
    assert keras.backend.standardize_dtype(low.dtype) == layer.compute_dtype == policy[6:]
    assert np.isfinite(numpy(low)).all()
    if not case.weights:  # a layer of Keras' own takes its input in half precision
        np.testing.assert_array_equal(numpy(low), numpy(ops.saturate_cast(case.make()(case.x), policy[6:])))


def test_compiled(case):
    if BACKEND == "torch":
        pytest.skip("torch compiles with a C++ compiler, which not every machine has")
    layer = case.make()
    model = keras.Sequential([keras.Input(case.x.shape[1:]), layer])
    model.compile(jit_compile=True)
    y, expected = model.predict(case.floats, verbose=0), numpy(layer(case.floats))
    if layer.get_config().get("mode") == "angle":
        y, expected = np.exp(1j * y), np.exp(1j * expected)  # half a turn has two signs
    scale = np.abs(expected).max()
    assert np.quantile(np.abs(y - expected), 0.99) < 1e-4 * scale and np.abs(y - expected).max() < 0.1 * scale


def test_gradient_against_finite_differences(case):
    layer = case.make()
    x = case.floats
    y = numpy(layer(x)).reshape(len(x), -1)
    # Only the upper half of the dB values: where bins nearly cancel, the logarithm is too steep for differences.
    weight = np.random.default_rng(1).normal(size=y.shape) * (y >= np.median(y, axis=1, keepdims=True))
    weight = weight.reshape(layer(x).shape).astype(np.float32)
    slopes = gradient(lambda x: ops.sum(layer(x) * ops.convert_to_tensor(weight)), x)
    assert slopes.shape == x.shape and np.isfinite(slopes).all() and slopes.any()
    if case.smooth:  # along the gradient itself, where rounding matters least
        norms = np.linalg.norm(slopes.reshape(len(x), -1), axis=1).reshape(-1, *[1] * (x.ndim - 1))
        step = 1e-3 * x.std(axis=tuple(range(1, x.ndim)), keepdims=True) * slopes / norms
        up, down = (numpy(layer((x + sign * step).astype(np.float32))).astype(float) for sign in (1, -1))
        changes = ((up - down) * weight).reshape(len(x), -1).sum(axis=1)
        expected = (2 * step * slopes).reshape(len(x), -1).sum(axis=1)
        np.testing.assert_allclose(changes, expected, rtol=0.03)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.x is AUDIO or case.x is STEREO])
def test_gradient_is_finite_of_silence(name):
    layer = CASES[name].make()
    silence = np.zeros_like(CASES[name].x)
    assert np.isfinite(gradient(lambda x: ops.sum(layer(x)), silence)).all()


def test_whole_numbers_and_doubles_are_taken_as_they_are():
    for make, x in ((spectrogram(), AUDIO), (lambda: MDCT(100), AUDIO), (lambda: ImageToMagnitude(16, 33), IMAGES)):
        whole = x.astype(np.int16) if x is IMAGES else (x * 1000).astype(np.int16)
        expected = numpy(make()(whole.astype(np.float32)))
        for dtype in ("int16", "int32", "float64"):
            np.testing.assert_array_equal(numpy(make()(whole.astype(dtype))), expected)


def test_what_is_not_a_number_stays_in_its_example(case):
    x = case.floats.copy()
    x[(1, *(size // 2 for size in x.shape[1:]))] = np.nan
    y, expected = numpy(case.make()(x)), numpy(case.make()(case.floats))
    assert np.isnan(y[1]).any()
    np.testing.assert_allclose(y[[0, 2]], expected[[0, 2]], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("arguments", [{"scale": "power"}, {"mode": "psd"}, {"mode": "stft"}], ids=str)
def test_loud_sounds_do_not_overflow_in_half_precision(arguments):
    tone = 32767 * np.sin(0.3 * np.arange(22050, dtype=np.float32))[None]
    assert np.isfinite(numpy(Spectrogram(dtype="mixed_float16", **arguments)(tone))).all()


@pytest.mark.parametrize(("shape", "received"), [((2001,), r"\(2001,\)"), ((1, 2, 3, 4), r"\(1, 2, 3, 4\)")])
def test_other_ranks_are_refused(shape, received):
    for layer in (spectrogram()(), MDCT(100)):
        with pytest.raises(ValueError, match=rf"must have the shape \[batch, samples\].*Received: shape={received}"):
            layer(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("arguments", "samples"),
    [({"center": False}, 255), ({"padding": "valid"}, 255), ({}, 0), ({"padding": "same"}, 0)],
)
def test_a_clip_shorter_than_a_frame_is_refused(arguments, samples):
    with pytest.raises(ValueError, match=f"at least one frame of 256 samples.*Received: {samples} samples"):
        spectrogram(**arguments)()(np.zeros((1, samples), np.float32))
    assert spectrogram(**arguments)()(np.zeros((1, samples + 1), np.float32)).shape[1] == 1


def test_a_file_of_an_older_version_loads():
    old = {
        "module": "sonikeras.layers.spectrogram",
        "class_name": "Spectrogram",
        "config": {
            "name": "spectrogram", "trainable": True, "dtype": "float32", "frame_length": 256, "frame_step": 100,
            "fft_length": None, "window": "hann", "center": True, "scale": "db", "reference": "max", "top_db": 80,
        },
        "registered_name": "sonikeras>Spectrogram",
    }  # fmt: skip
    layer = keras.saving.deserialize_keras_object(old)
    np.testing.assert_array_equal(numpy(layer(AUDIO)), numpy(spectrogram()()(AUDIO)))
