"""Exported layers give what they gave: as a SavedModel, in LiteRT and in ONNX, with another batch size."""

import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_layer_harness import CASES, numpy

from sonikeras.layers import Spectrogram, SpectrogramImage

_COMPLEX = "has no complex numbers, which an inverse or complex Fourier transform needs"
_NOT_IN_LITERT = dict.fromkeys(("MDCT", "InverseMDCT", "GriffinLim", "ImageToAudio"), f"LiteRT {_COMPLEX}")
_NOT_IN_ONNX = dict.fromkeys(_NOT_IN_LITERT, f"ONNX as tf2onnx writes it {_COMPLEX}") | dict.fromkeys(
    ("Spectrogram", "AudioToPicture"), "tf2onnx has no Fourier transform whose real and imaginary part are both used"
)


def supported(reasons):
    """All cases, those of layers in `reasons` marked to be skipped."""
    for name in CASES:
        reason = reasons.get(name.partition("-")[0])
        yield pytest.param(name, marks=[pytest.mark.skip(reason=reason)] if reason else [])


@pytest.fixture
def case_and_model(request):
    case = CASES[request.param]
    model = keras.Sequential([keras.Input(case.x.shape[1:]), case.make()])
    model(case.floats)
    return case, model


def assert_same(result, case, model):
    expected = numpy(model(case.floats[: len(result)]))
    if model.layers[-1].get_config().get("mode") == "angle":
        result, expected = np.cos(result), np.cos(expected)  # half a turn has two signs
    assert np.abs(result - expected).max() < 1e-3 * max(1, np.abs(expected).max())


def run_lite(data, *batches):
    """What LiteRT's interpreter gives for each batch, one after the other."""
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


@pytest.mark.parametrize("case_and_model", supported(_NOT_IN_LITERT), indirect=True)
def test_lite(case_and_model, tmp_path):
    case, model = case_and_model
    model.export(tmp_path / "model.tflite", format="litert", verbose=False)
    for result in run_lite((tmp_path / "model.tflite").read_bytes(), case.floats[:1], case.floats):
        assert_same(result, case, model)


@pytest.mark.parametrize("case_and_model", supported(_NOT_IN_ONNX), indirect=True)
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


@pytest.fixture(scope="module")
def sound_classifier(photo_sound):
    """A classifier of sounds that sees pictures of 48 x 48, and four sounds."""
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
    return model, np.stack([photo_sound[start:][:16384] for start in (0, 15000, 30000, 45000)])


@pytest.mark.parametrize(
    ("kind", "tolerance"), [("float32", 1e-3), ("float16", 1e-2), ("int8", 0.1)], ids=lambda value: str(value)
)
def test_classifier_of_sounds_in_lite(sound_classifier, kind, tolerance):
    model, audio = sound_classifier
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    (result,) = run_lite(converter.convert(), audio)
    expected = model.predict(audio, verbose=0)
    assert np.abs(result - expected).max() < tolerance * np.abs(expected).max()
