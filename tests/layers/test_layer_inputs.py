"""Edge cases of inputs: empty batches, silence, NumPy's scalars, types, floatx, policies.

`KERAS_BACKEND=jax python -m pytest -n 0 tests/layers/test_layer_inputs.py` runs it on another backend; it needs no
TensorFlow.
"""

import json

import keras
import numpy as np
import pytest
from keras import ops
from test_layer_harness import AUDIO, BACKEND, CASES, CHAIN, COEFFICIENTS, IMAGES, gradient, numpy

import sonikeras
from sonikeras import SonificationConfig, layers
from sonikeras.signal import mdct, phase_retrieval as griffin_lim, spectrograms
from sonikeras.signal.magnitudes import pixels_to_magnitudes

MAGNITUDES = np.abs(COEFFICIENTS[..., :33]).copy()
FRAME = {"frame_length": 64, "frame_step": 32, "fft_length": 64}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture(params=["float64", "float16", "bfloat16"])
def floatx(request):
    set_type(request.param)
    yield request.param
    set_type("float32")


def set_type(name):
    keras.config.set_floatx(name)
    keras.config.set_dtype_policy(name)  # as it is by default where floatx is set before the first layer


def in_float32(function):
    """The result of a function with the default `floatx`."""
    kept = keras.config.floatx()
    set_type("float32")
    try:
        return function()
    finally:
        set_type(kept)


def model_of(layer, x):
    return keras.Sequential([keras.Input(x.shape[1:], dtype=str(x.dtype)), layer])


# -- floatx -----------------------------------------------------------------------------------------------------------


def test_layers_compute_in_float32_whatever_floatx_is(case, floatx):
    if BACKEND == "jax" and floatx == "float64":
        pytest.skip("JAX has no double precision by default")
    y = case.make()(case.x)
    assert keras.backend.standardize_dtype(y.dtype) == floatx
    expected = numpy(in_float32(lambda: case.make()(case.x)))
    if not case.weights and floatx != "float64":  # only the result is rounded
        rounded = ops.saturate_cast(ops.convert_to_tensor(expected), floatx)
        np.testing.assert_array_equal(numpy(y), numpy(rounded))
        return
    y = numpy(y)
    if case.make().get_config().get("mode") == "angle":
        y, expected = np.cos(y), np.cos(expected)  # half a turn has two signs
    np.testing.assert_allclose(y, expected, rtol=0.01, atol=0.01 * np.abs(expected).max())


def test_layers_of_float32_are_the_same_in_graphs_whatever_floatx_is(case, floatx):
    def result():
        model = model_of(case.make(dtype="float32"), case.floats)
        return numpy(ops.convert_to_tensor(model.predict_on_batch(ops.convert_to_tensor(case.floats, "float32"))))

    np.testing.assert_array_equal(result(), in_float32(result))


@pytest.mark.parametrize("preset", ["study", "matched", "lossless"])
def test_functions_are_the_same_whatever_floatx_is(preset, floatx):
    audio = np.concatenate([AUDIO[0], np.zeros(500, np.float32)])

    def results():
        config = SonificationConfig.preset(preset).replace(picture_size=(60, 80), frames=12)
        synthesized = sonikeras.sonify(IMAGES[0], config)
        return synthesized, sonikeras.picture(audio, config), sonikeras.spectrogram(audio, config), sonikeras.desonify(
            synthesized, config
        )  # fmt: skip

    for result, expected in zip(results(), in_float32(results), strict=True):
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result, expected)


def test_inversion_is_the_same_whatever_floatx_is(floatx):
    phase = np.zeros_like(MAGNITUDES)

    def results():
        yield griffin_lim.griffin_lim(MAGNITUDES, phase, **FRAME, algorithm="lbfgs", iterations=4)
        yield griffin_lim.istft(MAGNITUDES, phase, **FRAME)
        yield griffin_lim.structured_phase(ops.convert_to_tensor(MAGNITUDES, "float32"), fft_length=64)
        yield mdct.inverse_mdct(ops.convert_to_tensor(COEFFICIENTS, "float32"))

    for result, expected in zip(list(results()), in_float32(lambda: list(results())), strict=True):
        np.testing.assert_array_equal(numpy(result), numpy(expected))


# -- empty batches ----------------------------------------------------------------------------------------------------


def test_an_empty_batch_has_an_empty_result(case):
    layer = case.make()
    expected = (0, *layer(case.x).shape[1:])
    assert tuple(layer(case.x[:0]).shape) == expected
    assert tuple(model_of(layer, case.floats)(case.floats[:0]).shape) == expected
    if BACKEND == "tensorflow":
        import tensorflow as tf

        graph = tf.function(layer, input_signature=[tf.TensorSpec((None, *case.x.shape[1:]))])
        assert graph(case.floats[:0]).shape == expected
        np.testing.assert_allclose(numpy(graph(case.floats)), numpy(layer(case.floats)), rtol=1e-4, atol=1e-2)


def test_functions_of_an_empty_batch():
    audio, magnitudes = AUDIO[:0], ops.convert_to_tensor(MAGNITUDES[:0])
    assert mdct.mdct(audio, frame_step=100).shape == (0, 19, 100)
    assert mdct.inverse_mdct(COEFFICIENTS[:0]).shape == (0, 640)
    assert tuple(mdct.mdct(ops.convert_to_tensor(audio), frame_step=100).shape) == (0, 19, 100)
    for algorithm in ("griffin_lim", "fast_griffin_lim", "accelerated_griffin_lim", "admm", "lbfgs"):
        found = griffin_lim.griffin_lim(magnitudes, magnitudes, **FRAME, algorithm=algorithm, iterations=3)
        assert tuple(found.shape) == (0, 256)
    assert tuple(griffin_lim.istft(magnitudes, magnitudes, **FRAME).shape) == (0, 256)
    assert tuple(griffin_lim.structured_phase(magnitudes, fft_length=64).shape) == (0, 9, 33)
    assert tuple(spectrograms.stft_power(ops.convert_to_tensor(audio), **FRAME).shape) == (0, 63, 33)
    power = ops.zeros((0, 63, 33))
    assert tuple(spectrograms.power_to_db(power, axis=(-2, -1)).shape) == (0, 63, 33)


# -- types ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["complex64", "complex128", "bool", "str", "object"])
def test_what_is_not_of_real_numbers_is_refused(case, dtype):
    received = {"str": "<U", "object": "object"}.get(dtype, dtype)
    with pytest.raises(ValueError, match=rf"The input of `\w+` must contain real numbers.*Received: dtype={received}"):
        case.make()(case.x.astype(dtype))
    if dtype in ("complex64", "bool"):
        for x in (ops.cast(case.floats, dtype), keras.Input(case.x.shape[1:], dtype=dtype)):
            with pytest.raises(ValueError, match=f"must contain real numbers.*Received: dtype={dtype}"):
                case.make()(x)


def test_functions_refuse_what_is_not_of_real_numbers():
    z = MAGNITUDES.astype("complex64")
    for call in (
        lambda: griffin_lim.griffin_lim(z, MAGNITUDES, **FRAME),
        lambda: griffin_lim.griffin_lim(MAGNITUDES, z, **FRAME),
        lambda: griffin_lim.istft(z, z, **FRAME),
        lambda: griffin_lim.structured_phase(z, fft_length=64),
        lambda: mdct.mdct(AUDIO.astype("complex64"), frame_step=100),
        lambda: mdct.inverse_mdct(COEFFICIENTS > 0),
        lambda: sonikeras.signal.pictures.draw(z, rows=np.eye(33), columns=np.eye(9)),
        lambda: spectrograms.stft(AUDIO.astype("complex64"), **FRAME),
        lambda: pixels_to_magnitudes(
            z, frames=8, bins=8, interpolation="bilinear", reference="max", top_db=80
        ),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"must contain real numbers.*Received: dtype=(complex64|bool)"):
            call()
    with pytest.raises(ValueError, match=r"`initial_phase` must contain real numbers"):
        layers.GriffinLim(64, 32)(MAGNITUDES, initial_phase=z)


def test_whole_numbers_are_taken_as_they_are(case):
    whole = np.round(case.floats * 10).clip(0, 100)
    expected = numpy(case.make()(whole))
    for dtype in ("int16", "uint8", "int64"):
        np.testing.assert_array_equal(numpy(case.make()(whole.astype(dtype))), expected)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="other backends have no such variables")
def test_a_tensorflow_variable_is_taken_as_its_value(case):
    import tensorflow as tf

    layer = case.make()
    variable = tf.Variable(case.floats)
    with tf.GradientTape() as tape:
        value = layer(variable)
    np.testing.assert_array_equal(numpy(value), numpy(layer(ops.convert_to_tensor(case.floats))))
    if case.smooth:
        assert np.abs(numpy(tape.gradient(value, variable))).max() > 0


@pytest.mark.skipif(BACKEND != "tensorflow", reason="other backends have no such tensors")
def test_ragged_and_sparse_tensors_are_refused(case):
    import tensorflow as tf

    ragged = tf.RaggedTensor.from_tensor(case.floats)
    with pytest.raises(ValueError, match=r"must be a dense tensor.*Received: a ragged tensor of shape="):
        case.make()(ragged)
    with pytest.raises(ValueError, match="must be a dense tensor.*Received: a sparse tensor of shape="):
        case.make()(tf.sparse.from_dense(case.floats))
    for kind in ("ragged", "sparse"):
        with pytest.raises(ValueError, match=f"Received: a {kind} tensor"):
            case.make()(keras.Input(case.x.shape[1:], **{kind: True}))


@pytest.mark.filterwarnings("ignore::UserWarning")  # of PyTorch
def test_sparse_arrays_are_refused():
    from scipy.sparse import csr_matrix

    with pytest.raises(ValueError, match="must be a dense tensor.*Received: a sparse tensor of shape="):
        layers.MDCT(100)(csr_matrix(AUDIO))
    if BACKEND == "jax":
        from jax.experimental.sparse import BCOO

        with pytest.raises(ValueError, match="Received: a sparse tensor"):
            layers.MDCT(100)(BCOO.fromdense(AUDIO))
    if BACKEND == "torch":
        import torch

        for sparse in (torch.tensor(AUDIO).to_sparse(), torch.tensor(AUDIO).to_sparse_csr()):
            with pytest.raises(ValueError, match="Received: a sparse tensor"):
                layers.MDCT(100)(sparse)


# -- arguments --------------------------------------------------------------------------------------------------------


def as_numpy(value):
    """Python's numbers and strings as NumPy's scalars."""
    if isinstance(value, list | tuple):
        return type(value)(map(as_numpy, value))
    kinds = {bool: np.bool_, int: np.int64, float: np.float64, str: np.str_}
    return kinds[type(value)](value) if type(value) in kinds else value


def test_numpy_scalars_are_arguments_like_others(case, tmp_path):
    layer = case.make()
    config = layer.get_config()
    own = {name: value for name, value in config.items() if name not in ("name", "trainable", "dtype")}
    if case.weights:
        own = {"momentum": 0.5, "epsilon": 1e-3}
    again = type(layer)(**{name: as_numpy(value) for name, value in own.items()})
    if not case.weights:
        for name, value in own.items():
            assert again.get_config()[name] == value
            assert type(again.get_config()[name]) is type(value)
    json.dumps(again.get_config())
    model_of(again, case.floats).save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras").layers[-1]
    assert loaded.get_config() == again.get_config()


def test_numpy_scalars_in_a_config_and_in_functions():
    config = CHAIN.to_dict()
    again = SonificationConfig.from_dict({name: as_numpy(value) for name, value in config.items()})
    assert again == CHAIN and hash(again) == hash(CHAIN)
    assert json.dumps(again.to_dict()) == json.dumps(config) and again.audio_key() == CHAIN.audio_key()
    assert layers.Spectrogram(np.int32(256), np.uint8(100), top_db=np.float32(80)).get_config()["top_db"] == 80.0
    np.testing.assert_array_equal(
        mdct.mdct(AUDIO, frame_step=np.int64(100)), mdct.mdct(AUDIO, frame_step=100)
    )  # fmt: skip
    frame = {name: np.int64(value) for name, value in FRAME.items()}
    np.testing.assert_array_equal(
        numpy(
            griffin_lim.griffin_lim(MAGNITUDES, MAGNITUDES, **frame, iterations=np.int64(2), momentum=np.float32(0.5))
        ),
        numpy(griffin_lim.griffin_lim(MAGNITUDES, MAGNITUDES, **FRAME, iterations=2, momentum=0.5)),
    )


@pytest.mark.parametrize("value", [np.float32(512), np.bool_(True), np.int64(0), np.str_("512"), np.array([512])])
def test_other_numpy_values_are_refused(value):
    for make in (lambda: layers.Spectrogram(value), lambda: layers.MDCT(value), lambda: layers.GriffinLim(value, 1)):
        with pytest.raises(ValueError, match="must be an (even )?integer of at least . Received|must be an"):
            make()


POLICIES = ["mixed_float16", "mixed_bfloat16", "float16", "float64", "int8_from_float32", "float8_from_mixed_bfloat16"]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", layers.__all__)
def test_a_policy_of_any_kind_is_cloned_and_saved(name, policy, tmp_path):
    case = CASES[name]
    if BACKEND == "jax" and policy == "float64":
        pytest.skip("JAX has no double precision by default")
    if case.weights and "_from_" in policy:
        pytest.skip("Keras' own layer knows no quantized policy")
    layer = case.make(dtype=keras.dtype_policies.get(policy))
    clone = type(layer).from_config(layer.get_config())
    assert clone.get_config() == layer.get_config() and clone.dtype_policy == layer.dtype_policy
    model = model_of(layer, case.floats)
    np.testing.assert_array_equal(
        numpy(keras.models.clone_model(model)(case.floats)), numpy(model(case.floats))
    )  # fmt: skip
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].dtype_policy == layer.dtype_policy
    np.testing.assert_array_equal(numpy(loaded(case.floats)), numpy(model(case.floats)))


# -- silence and inversion --------------------------------------------------------------------------------------------

DECAY = (np.sin(0.3 * np.arange(22050)) * np.exp(-np.arange(22050) / 100)).astype(np.float32)


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16", "float64"])
@pytest.mark.parametrize(
    "arguments",
    [
        {"mode": "angle"}, {"mode": "magnitude"}, {"mode": "log"}, {"mode": "psd"}, {"mode": "real"}, {"mode": "stft"},
        {"scale": "amplitude"}, {"scale": "power"}, {"scale": "db"}, {"scale": "db", "reference": 1.0, "top_db": None},
        {"scale": "amplitude", "frequency_scale": "mel", "num_bins": 20},
    ],
    ids=str,
)  # fmt: skip
def test_gradients_are_finite_in_decays_and_silence(arguments, dtype):
    if BACKEND == "jax" and dtype == "float64":
        pytest.skip("JAX has no double precision by default")
    layer = layers.Spectrogram(256, 128, dtype=dtype, **arguments)
    x = np.stack([DECAY, DECAY * np.float32(1e-30), np.float32(1e-41) * np.sign(DECAY), 0 * DECAY])
    g = gradient(lambda audio: ops.sum(ops.cast(layer(audio), "float32")), x)
    assert np.isfinite(g).all()
    if arguments.get("mode") not in ("real", "stft"):  # which are linear
        assert not g[3].any()
    assert g[0].any()


def test_the_gradient_of_a_phase_is_right_above_silence_and_0_below():
    def gradients(r):
        other = ops.convert_to_tensor(np.float32([r]))
        pairs = (lambda x: (x, other)), (lambda x: (other, x))
        return [gradient(lambda x, pair=pair: ops.sum(spectrograms.phase(*pair(x))), np.float32([r])) for pair in pairs]

    for r in (1e12, 1.0, 1e-6, 1e-18):
        np.testing.assert_allclose(gradients(r), [[-0.5 / r], [0.5 / r]], rtol=1e-5)
    assert not np.any(gradients(1e-20)) and not np.any(gradients(0.0))
    faint = ops.convert_to_tensor(np.float32([1e-20, 1e-30]))
    np.testing.assert_allclose(numpy(spectrograms.phase(faint, faint)), np.pi / 4, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_decibels_of_half_precision(dtype):
    power = ops.cast(np.float32([[[1.0, 0.0], [1e-4, 1e-6]]]), dtype)
    db = spectrograms.power_to_db(power, axis=(-2, -1))
    np.testing.assert_allclose(numpy(db), [[[0, -80], [-40, -60]]], atol=0.3)


NO_OVERLAP = [("hann", 64, 64), ("hann", 64, 63), ("bartlett", 40, 40), ("blackman", 64, 60), ("cosine", 64, 64)]


@pytest.mark.parametrize(("window", "frame_length", "frame_step"), NO_OVERLAP)
def test_windows_that_do_not_overlap_cannot_be_inverted(window, frame_length, frame_step):
    frame = {"frame_length": frame_length, "frame_step": frame_step, "fft_length": 64, "window": window}
    calls = [
        lambda: griffin_lim.istft(MAGNITUDES, MAGNITUDES, **frame),
        lambda: griffin_lim.griffin_lim(MAGNITUDES, MAGNITUDES, **frame),
        lambda: layers.GriffinLim(**frame),
        lambda: SonificationConfig(**frame),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="`frame_step` must be small enough for the windows to overlap"):
            call()


def test_windows_side_by_side_are_inverted():
    frame = {"frame_length": 64, "frame_step": 64, "fft_length": 64, "window": "boxcar"}
    audio = AUDIO[:, :1280]
    again = griffin_lim.istft(*spectrograms.stft(ops.convert_to_tensor(audio), **frame), **frame)
    np.testing.assert_allclose(numpy(again), audio, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame_step": 65}, "`frame_step` <= `frame_length`"),
        ({"fft_length": 63}, "`frame_length` <= `fft_length`"),
        ({"fft_length": 128}, "must have the shape"),
        ({"algorithm": "none"}, "Unknown `algorithm`"),
        ({"iterations": 0}, "`iterations` must be an integer"),
        ({"momentum": 2}, "`momentum` must be"),
        ({"rho": 0.0}, "`rho` must be"),
    ],
)
def test_griffin_lim_checks_as_its_layer_does(changes, message):
    with pytest.raises(ValueError, match=message):
        griffin_lim.griffin_lim(MAGNITUDES, MAGNITUDES, **FRAME | changes)


@pytest.mark.parametrize("colormap", ["magma", "gray", "viridis", "gray_r"])
@pytest.mark.parametrize("scale", ["db", "amplitude"])
@pytest.mark.parametrize("drawing", ["specshow", "resize"])
@pytest.mark.parametrize("level", [0.0, 1e-7])  # the second is below the smallest amplitude that is told apart
def test_silence_has_the_lowest_color(colormap, scale, drawing, level):
    lowest = sonikeras.signal.pictures.colors(colormap)[0]
    audio = level * np.sign(AUDIO)
    both = np.stack([audio[0], AUDIO[0]])  # silence and audio
    look = {"colormap": colormap, "scale": scale, "drawing": drawing}
    db = layers.Spectrogram(256, 128)(both)
    picture = numpy(layers.SpectrogramImage(20, **look)(db))
    np.testing.assert_allclose(picture[0], np.broadcast_to(lowest, picture[0].shape), atol=1e-3)
    assert np.ptp(picture[1]) > 20
    config = CHAIN.replace(colormap=colormap, picture_scale=scale, drawing=drawing)
    assert (sonikeras.picture(audio[0], config) == lowest).all()
    picture = numpy(layers.AudioToPicture(config)(both))
    np.testing.assert_allclose(picture[0], np.broadcast_to(lowest, picture[0].shape), atol=1e-3)
    assert np.ptp(picture[1]) > 20


def test_silence_of_the_presets_is_black_and_white_stays_white():
    silence = np.zeros(22050, np.float32)
    for preset in sonikeras.config.presets():
        config = SonificationConfig.preset(preset)
        picture = sonikeras.picture(silence, config)
        if config.color == "gray":
            assert (picture == sonikeras.signal.pictures.colors(config.colormap)[0]).all()
        else:  # black luma, with chroma as far from neutral as it goes
            assert (picture == [0, 135, 0]).all()
    white = sonikeras.sonify(np.full((64, 64), 255, np.uint8), "lossless")
    assert sonikeras.picture(white, "lossless").min() > 250


def test_mdct_of_padded_audio_gives_all_of_it_back():
    padded = np.pad(AUDIO, ((0, 0), (100, 100 + -AUDIO.shape[1] % 100)))
    again = numpy(layers.InverseMDCT()(layers.MDCT(100)(padded)))[:, 100:][:, : AUDIO.shape[1]]
    np.testing.assert_allclose(again, AUDIO, atol=1e-5)
    # Without padding only the first and the last step differ.
    again = numpy(layers.InverseMDCT()(layers.MDCT(100)(AUDIO)))
    np.testing.assert_allclose(again[:, 100:1900], AUDIO[:, 100:1900], atol=1e-5)
    assert np.abs(again[0, :100] - AUDIO[0, :100]).max() > 0.1
