"""Exported layers give the same outputs as a SavedModel, in LiteRT and in ONNX, with another batch size."""

import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_layer_harness import AUDIO, CASES, CHAIN, IMAGES, STEREO, Case, numpy

from sonikeras import SonificationConfig, layers
from sonikeras.layers import Spectrogram, SpectrogramImage

# The layers that each format does not support, with the reason that the table in the documentation gives.
_REASONS = {
    "SavedModel": {},
    "LiteRT": {},
    "ONNX (`tf2onnx`)": dict.fromkeys(
        ("MDCT", "InverseMDCT", "GriffinLim", "ImageToAudio"), "no: it has no complex numbers"
    )
    | dict.fromkeys(("Spectrogram", "AudioToPicture"), "no: it has no Fourier transform whose two parts are used"),
}
_NOT_IN_ONNX = _REASONS["ONNX (`tf2onnx`)"]
# LiteRT has no operations for these: sizes that are not a power of two, inverse and complex transforms.
_LITE_CASES = CASES | {
    "Spectrogram-400": Case(lambda: Spectrogram(400, 160), AUDIO),
    "Spectrogram-odd": Case(lambda: Spectrogram(401, 100, mode="stft", padding="same"), STEREO),
    "Spectrogram-longer": Case(lambda: Spectrogram(300, 100, 500, frequency_scale="mel", num_bins=20), AUDIO),
    "GriffinLim-fast": Case(
        lambda: layers.GriffinLim(100, 25, iterations=5), np.abs(np.random.default_rng(0).normal(size=(3, 9, 51)))
    ),
    "AudioToPicture-lossless": Case(lambda: layers.AudioToPicture("lossless", (20, 30)), AUDIO),
    "AudioToPicture-400": Case(
        lambda: layers.AudioToPicture(
            CHAIN.replace(analysis_fft_length=400, analysis_frame_length=400, analysis_frame_step=160), (20, 24)
        ),
        AUDIO,
    ),
    "ImageToAudio-lossless": Case(
        lambda: layers.ImageToAudio(SonificationConfig.preset("lossless").replace(frames=8)), IMAGES
    ),
    "ImageToAudio-structured": Case(
        lambda: layers.ImageToAudio(CHAIN.replace(initial_phase="structured", iterations=4)), IMAGES
    ),
}
_DOCUMENT = Path(__file__).parents[2] / "docs" / "layers.md"


def export_table():
    """The table of the documentation, from the cases of these tests."""
    yield "| exported with `model.export` | " + " | ".join(_REASONS) + " |"
    yield "|---" * (1 + len(_REASONS)) + "|"
    for name in layers.__all__:
        yield f"| `{name}` | " + " | ".join(reasons.get(name, "yes") for reasons in _REASONS.values()) + " |"


def supported(reasons):
    """All cases, those of layers in `reasons` marked to be skipped."""
    for name in CASES:
        reason = reasons.get(name.partition("-")[0])
        yield pytest.param(name, marks=[pytest.mark.skip(reason=reason)] if reason else [])


@pytest.fixture
def case_and_model(request):
    case = _LITE_CASES[request.param]
    model = keras.Sequential([keras.Input(case.x.shape[1:]), case.make()])
    model(case.floats)
    return case, model


def assert_same(result, case, model):
    expected = numpy(model(case.floats[: len(result)]))
    if model.layers[-1].get_config().get("mode") == "angle":
        result, expected = np.cos(result), np.cos(expected)  # half a turn has two signs
    assert result.shape == expected.shape
    assert np.abs(result - expected).max() < 1e-3 * max(1, np.abs(expected).max())


def test_the_table_of_the_documentation_is_what_is_tested():
    _, table, _ = _DOCUMENT.read_text().split("<!-- exports -->")
    assert table.split("\n\n")[1].splitlines() == list(export_table())


def run_lite(data, *batches):
    """The outputs of LiteRT's interpreter for each batch."""
    interpreter = tf.lite.Interpreter(model_content=data, num_threads=1)
    place = interpreter.get_input_details()[0]["index"]
    results = []
    for batch in batches:
        interpreter.resize_tensor_input(place, batch.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(place, batch)
        interpreter.invoke()
        results.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).copy())
    return results


@pytest.mark.parametrize("case_and_model", CASES, indirect=True)
def test_saved_model_serves_another_batch_size(case_and_model, tmp_path):
    case, model = case_and_model
    model.export(tmp_path / "saved", verbose=False)
    saved = tf.saved_model.load(tmp_path / "saved")
    for count in (1, 3):
        assert_same(saved.serve(case.floats[:count]).numpy(), case, model)


@pytest.mark.parametrize("case_and_model", [*_LITE_CASES], indirect=True)
def test_lite(case_and_model, tmp_path):
    case, model = case_and_model
    model.export(tmp_path / "model.tflite", format="litert", verbose=False)
    for result in run_lite((tmp_path / "model.tflite").read_bytes(), case.floats[:1], case.floats):
        assert_same(result, case, model)


@pytest.mark.parametrize("case_and_model", [*supported(_NOT_IN_ONNX)], indirect=True)
def test_onnx(case_and_model, tmp_path):
    for package in ("tf2onnx", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    import onnxruntime

    case, model = case_and_model
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    for count in (1, 3):
        assert_same(session.run(None, {session.get_inputs()[0].name: case.floats[:count]})[0], case, model)


def test_decibels_in_lite_are_those_of_double_precision(tmp_path):
    """Of 25 ms at 16 kHz, 400 samples, down to 70 dB below the loudest."""
    layer = Spectrogram(400, 160, reference=1.0, top_db=None)
    audio = np.random.default_rng(0).normal(size=(2, 16000)).astype(np.float32)
    keras.Sequential([keras.Input(audio.shape[1:]), layer]).export(
        tmp_path / "model.tflite", format="litert", verbose=False
    )
    (result,) = run_lite((tmp_path / "model.tflite").read_bytes(), audio)
    exact = numpy(Spectrogram(400, 160, reference=1.0, top_db=None, dtype="float64")(audio.astype("float64")))
    error = np.abs(result - exact)[exact > exact.max() - 70]
    assert error.max() < 0.02 and np.median(error) < 1e-5


@pytest.fixture(scope="module")
def audio_classifier(photo_audio):
    """A classifier of audio by pictures of 48 x 48, and four clips."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((16384,)),
            Spectrogram(1024, 512),
            SpectrogramImage(48),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(8, 3, strides=2, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10),
        ]
    )
    return model, np.stack([photo_audio[start:][:16384] for start in (0, 15000, 30000, 45000)])


@pytest.mark.parametrize(
    ("kind", "tolerance"), [("float32", 1e-3), ("float16", 1e-2), ("int8", 0.1)], ids=lambda value: str(value)
)
def test_classifier_of_audio_in_lite(audio_classifier, kind, tolerance):
    model, audio = audio_classifier
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    (result,) = run_lite(converter.convert(), audio)
    expected = model.predict(audio, verbose=0)
    assert np.abs(result - expected).max() < tolerance * np.abs(expected).max()
