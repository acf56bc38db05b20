"""Evaluation, reports and their figures: metrics against scikit-learn, pairing, whole files, bad input."""

import csv
import dataclasses
import json
import math
import os
import warnings
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import sklearn.metrics
import tensorflow as tf

import sonikeras
from sonikeras.config import _files as files
from sonikeras.config._claims import claim
from sonikeras.evaluation import FormatError, Report, evaluate, plots
from sonikeras.evaluation.report import wilson_interval
from sonikeras.reporting.study import mean_accuracy

NAMES = ["cat", "dog", "motor_cycle", "a, $strange$ имя"]
FIGURES = ["confusion.png", "curves.png"]
TEXTS = ["classification_report.txt", "predictions.csv", "report.json"]


@pytest.fixture(scope="module")
def identity():
    """A model whose outputs are its inputs, so that a test chooses the logits."""
    return keras.Sequential([keras.Input((len(NAMES),)), keras.layers.Activation("linear")])


@pytest.fixture(scope="module")
def data():
    """50 logits and labels that agree somewhat more often than by chance."""
    random = np.random.default_rng(1)
    labels = random.integers(0, len(NAMES), 50).astype("int32")
    logits = random.normal(size=(50, len(NAMES))) + 1.5 * np.eye(len(NAMES))[labels]
    return logits.astype("float32"), labels


@pytest.fixture(scope="module")
def report(identity, data):
    batches = tf.data.Dataset.from_tensor_slices(data).batch(16)
    return evaluate(identity, batches, class_names=NAMES, seconds=12.5)


def report_of(labels, predictions, names=NAMES):
    """A report of given labels and predictions, through a model that is sure of itself."""
    model = keras.Sequential([keras.Input((len(names),)), keras.layers.Activation("linear")])
    logits = 5 * np.eye(len(names), dtype="float32")[predictions]
    return evaluate(model, [(logits, np.asarray(labels))], class_names=names)


def png_size(path):
    header = path.read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    return int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")


# Metrics


def test_metrics_are_those_of_scikit_learn(report, data):
    logits, labels = data
    predictions = logits.argmax(axis=1)
    np.testing.assert_array_equal(report.labels, labels)
    np.testing.assert_array_equal(report.predictions, predictions)
    assert report.accuracy == sklearn.metrics.accuracy_score(labels, predictions)
    assert report.f1_weighted == sklearn.metrics.f1_score(labels, predictions, average="weighted")
    assert report.f1_macro == sklearn.metrics.f1_score(labels, predictions, average="macro")
    np.testing.assert_array_equal(report.confusion_matrix, sklearn.metrics.confusion_matrix(labels, predictions))
    expected = sklearn.metrics.classification_report(labels, predictions, target_names=NAMES, output_dict=True)
    for name in NAMES:
        row = dict(expected[name])
        row["f1"] = row.pop("f1-score")
        assert report.per_class[name] == pytest.approx(row)
        assert name in report.classification_report


def test_loss_and_probabilities_are_those_of_keras(report, data):
    logits, labels = data
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)
    assert report.loss == pytest.approx(float(loss), rel=1e-5)
    np.testing.assert_allclose(report.probabilities, keras.ops.softmax(logits), rtol=1e-5)
    assert report.probabilities.dtype == np.float32


def test_probabilities_instead_of_logits_give_the_same_report(identity, report):
    batch = (report.probabilities, report.labels)
    other = evaluate(identity, [batch], class_names=NAMES, from_logits=False)
    assert other.loss == pytest.approx(report.loss, rel=1e-5)
    np.testing.assert_array_equal(other.probabilities, report.probabilities)
    np.testing.assert_array_equal(other.predictions, report.predictions)


def test_a_probability_of_zero_gives_a_finite_loss(identity):
    batch = (np.eye(4, dtype="float32")[[0]], np.array([1]))
    assert evaluate(identity, [batch], class_names=NAMES, from_logits=False).loss == pytest.approx(-math.log(1e-7))


def test_large_logits_do_not_overflow(identity):
    report = evaluate(identity, [(np.array([[1e4, 0, 0, 0]], "float32"), np.array([1]))], class_names=NAMES)
    assert report.loss == pytest.approx(1e4)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_accuracy_is_that_of_scikit_learn(report, k):
    expected = sklearn.metrics.top_k_accuracy_score(report.labels, report.probabilities, k=k, labels=range(4))
    assert report.top_k_accuracy(k) == pytest.approx(expected)


def test_the_one_most_probable_class_is_the_prediction(report):
    assert report.top_k_accuracy(1) == report.accuracy and report.top_k_accuracy(4) == 1


@pytest.mark.parametrize("k", [0, 5, 1.0, True, None])
def test_a_bad_k_is_named(report, k):
    with pytest.raises(ValueError, match=f"integer from 1 to 4, the number of classes. Received: k={k}"):
        report.top_k_accuracy(k)


def test_rates_are_the_shares_of_each_true_class(report):
    rates = report.confusion_rates
    np.testing.assert_allclose(rates.sum(axis=1), 1)
    np.testing.assert_allclose(np.diag(rates), [row["recall"] for row in report.per_class.values()])
    lacking = report_of([0, 0, 1], [0, 1, 1]).confusion_rates
    assert lacking.tolist() == [[0.5, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_calibration_error_is_the_gap_between_confidence_and_accuracy(identity):
    # 40 predictions at 0.7 of which half are right, 60 at 0.9 of which all are.
    probabilities = np.repeat([[0.7, 0.3, 0, 0], [0.9, 0.1, 0, 0]], [40, 60], axis=0).astype("float32")
    labels = np.array([0, 1] * 20 + [0] * 60)
    report = evaluate(identity, [(probabilities, labels)], class_names=NAMES, from_logits=False)
    assert report.expected_calibration_error == pytest.approx(0.4 * 0.2 + 0.6 * 0.1)


def test_who_is_as_sure_as_right_is_calibrated(identity):
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), 50_000).astype("float32")
    labels = (rng.random((50_000, 1)) > probabilities.cumsum(axis=1)[:, :-1]).sum(axis=1)
    report = evaluate(identity, [(probabilities, labels)], class_names=NAMES, from_logits=False)
    assert report.expected_calibration_error < 0.01
    assert report_of([0, 1, 2, 3], [0, 1, 2, 3]).expected_calibration_error < 0.03
    assert report_of([0, 1, 2, 3], [3, 2, 1, 0]).expected_calibration_error > 0.97


@pytest.mark.parametrize(("right", "n"), [(0, 5), (1, 1), (7, 9), (40, 50), (50, 50)])
def test_interval_is_wilsons(right, n):
    low, high = report_of([0] * n, [0] * right + [1] * (n - right)).accuracy_interval
    z, p = 1.959963984540054, right / n
    center = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert low == pytest.approx(center - half, abs=1e-9)
    assert high == pytest.approx(center + half, abs=1e-9)
    assert low <= p <= high


@pytest.mark.parametrize(
    ("fraction", "n", "ends"),
    [
        (0.625, 4, (0.219, 0.908)),  # two and three of four right: no whole number of examples
        (0.5, 4, (0.150, 0.850)),
        (1 / 3, 2, (0.045, 0.841)),
        (0.0, 3, (0.0, 0.561)),
        (1.0, 3, (0.439, 1.0)),
    ],
)
def test_interval_is_at_the_proportion_itself(fraction, n, ends):
    assert [round(end, 3) for end in wilson_interval(fraction, n)] == list(ends)
    low, high = wilson_interval(1 - fraction, n)
    assert (1 - high, 1 - low) == pytest.approx(wilson_interval(fraction, n))


def test_interval_of_a_mean_over_seeds():
    """Two seeds with 2 and 3 of 4 right: their mean on 4 examples, and not on 8."""
    reports = [report_of([0] * 4, predictions) for predictions in ([0, 0, 1, 1], [0, 0, 0, 1])]
    assert mean_accuracy(reports) == (0.625, *wilson_interval(0.625, 4))
    assert mean_accuracy(reports[:1]) == (0.5, *reports[0].accuracy_interval)


@pytest.mark.parametrize("kind", ["tf.data", "iterable", "unknown rank"])
def test_single_examples_are_evaluated_as_batches_are(identity, data, report, kind):
    single = tf.data.Dataset.from_tensor_slices(data)
    if kind == "iterable":
        single = list(zip(*data, strict=True))
    elif kind == "unknown rank":
        signature = tf.TensorSpec(None, tf.float32), tf.TensorSpec(None, tf.int32)
        single = tf.data.Dataset.from_generator(lambda: zip(*data, strict=True), output_signature=signature)
    else:
        single.class_names, single.example_names = NAMES, [f"example {i}" for i in range(50)]
    again = evaluate(identity, single, class_names=None if kind == "tf.data" else NAMES)
    np.testing.assert_array_equal(again.predictions, report.predictions)
    np.testing.assert_allclose(again.probabilities, report.probabilities, rtol=1e-6)
    assert again.accuracy == report.accuracy and again.loss == pytest.approx(report.loss)
    assert (again.names or ("example 0",))[0] == "example 0"


def test_data_set_without_batches(identity):
    single = sonikeras.dataset("c2", split="test", images_per_class=10, batch_size=None, output="image", image_size=16)
    model = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    assert len(evaluate(model, single).labels) == 4


def test_a_partial_batch_weighs_as_much_as_a_whole_one_in_the_mean_of_batches(identity):
    logits = np.eye(4, dtype="float32")
    batches = [(logits, np.array([0, 1, 2, 0])), (logits[:1], np.array([3]))]
    report = evaluate(identity, batches, class_names=NAMES)
    assert report.batch_mean_accuracy == pytest.approx((0.75 + 0) / 2)
    assert report.accuracy == pytest.approx(3 / 5)


def test_labels_and_predictions_stay_paired_under_shuffling(identity):
    labels = np.arange(200) % len(NAMES)
    dataset = tf.data.Dataset.from_tensor_slices((np.eye(len(NAMES), dtype="float32")[labels], labels))
    dataset = dataset.shuffle(200, reshuffle_each_iteration=True).batch(7)
    report = evaluate(identity, dataset, class_names=NAMES)
    assert report.accuracy == 1
    assert not np.array_equal(report.labels, labels)


@pytest.mark.parametrize(
    ("labels", "predictions"),
    [([0, 1, 1, 3], [0, 1, 3, 3]), ([1, 1, 1], [1, 1, 1]), ([0, 1, 2, 3], [2, 2, 2, 2]), ([0], [3])],
    ids=["one class absent", "one class only", "one class predicted", "one example, wrong"],
)
def test_absent_classes_keep_their_place_without_warnings(labels, predictions, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = report_of(labels, predictions)
        report.save(tmp_path)
    expected = np.zeros((4, 4), int)
    np.add.at(expected, (labels, predictions), 1)
    np.testing.assert_array_equal(report.confusion_matrix, expected)
    assert list(report.per_class) == NAMES
    assert [row["support"] for row in report.per_class.values()] == [labels.count(i) for i in range(4)]
    assert all(0 <= value <= 1 for value in (report.f1_macro, report.f1_weighted, report.accuracy))


def test_half_precision_and_column_labels_are_accepted():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Activation("linear", dtype="bfloat16")])
    batch = (np.eye(4, dtype="float32"), np.arange(4, dtype="uint8")[:, None])
    report = evaluate(model, [batch], class_names=NAMES)
    assert report.accuracy == 1 and report.labels.shape == (4,)


# Defaults


def test_names_come_from_the_data_and_history_from_the_model(data, tmp_path):
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(16)
    dataset.class_names = NAMES
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    assert evaluate(model, dataset).history is None
    fitted = model.fit(dataset, validation_data=dataset, epochs=2, shuffle=False, verbose=0)

    report = evaluate(model, dataset)
    assert report.class_names == tuple(NAMES)
    assert report.history == fitted.history
    assert report.seconds > 0
    assert [report.loss, report.accuracy] == pytest.approx(model.evaluate(dataset, verbose=0), rel=1e-5)
    assert evaluate(model, dataset, history=fitted).history == fitted.history
    assert evaluate(model, dataset, history={}).history is None
    assert sorted(path.name for path in report.save(tmp_path / "run").iterdir()) == sorted(FIGURES + TEXTS)


def test_names_of_examples_come_from_the_data():
    options = {"images_per_class": 10, "config": "lossless", "output": "image", "image_size": 32}
    test = sonikeras.dataset("c2", split="test", **options)
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)])
    report = evaluate(model, test)
    assert report.names == tuple(test.example_names) and len(set(report.names)) == len(report.labels)
    for name, label in zip(report.names, report.labels, strict=True):
        assert name.startswith(f"{test.class_names[label]}/")
    train = sonikeras.dataset("c2", **options)
    assert train.example_names is None and evaluate(model, train).names is None
    assert sonikeras.dataset("c2", shuffle=False, **options).example_names == train.examples.full_names


def test_names_must_be_as_many_as_examples(identity, data):
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(16)
    dataset.example_names = ["one"]
    with pytest.raises(ValueError, match="`example_names`.*Received: 1 names for 50 examples"):
        evaluate(identity, dataset, class_names=NAMES)


def test_text_of_a_report(report):
    low, high = report.accuracy_interval
    assert str(report) == (
        f"accuracy {report.accuracy:.3f} (95 % interval {low:.3f} to {high:.3f}, Wilson, n = 50), "
        f"weighted F1 {report.f1_weighted:.3f}, macro F1 {report.f1_macro:.3f}"
    )


# Files


def test_save_writes_the_run_folder_and_nothing_else(report, tmp_path):
    folder = tmp_path / "new" / "run"
    assert report.save(str(folder)) == folder
    report.save(folder)  # again, over the old one
    assert sorted(os.listdir(folder)) == sorted(["confusion.png", *TEXTS])
    assert png_size(folder / "confusion.png") == (1000, 800)
    assert (folder / "classification_report.txt").read_text("utf-8") == report.classification_report


def test_report_json_holds_the_metrics(report, tmp_path):
    text = (report.save(tmp_path) / "report.json").read_text("utf-8")
    saved = json.loads(text)
    assert saved.pop("sha256") and saved == report.to_dict()
    assert saved["n"] == 50 and saved["seconds"] == 12.5 and saved["class_names"] == NAMES
    for key in ("accuracy", "f1_weighted", "f1_macro", "loss", "batch_mean_accuracy"):
        assert saved[key] == getattr(report, key)
    assert saved["accuracy_interval"] == list(report.accuracy_interval)
    assert saved["accuracy_interval_method"] == "wilson"
    assert saved["confusion_matrix"] == report.confusion_matrix.tolist()
    assert saved["per_class"] == report.per_class
    assert NAMES[-1] in text


def test_a_history_that_diverged_is_still_json(identity, data, tmp_path):
    history = {"loss": [np.float32(1.5), float("nan")], "f1": [np.ones(2), np.zeros(2)], "val_loss": [math.inf, 2.0]}
    report = evaluate(identity, [data], class_names=NAMES, history=history)
    saved = json.loads((report.save(tmp_path) / "report.json").read_text("utf-8"))
    assert saved["history"] == {"loss": [1.5, None], "f1": [[1.0, 1.0], [0.0, 0.0]], "val_loss": [None, 2.0]}


def test_predictions_csv_pairs_each_example(report, tmp_path):
    with open(report.save(tmp_path) / "predictions.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["true"] for row in rows] == [NAMES[i] for i in report.labels]
    assert [row["predicted"] for row in rows] == [NAMES[i] for i in report.predictions]
    probabilities = [float(row["probability"]) for row in rows]
    np.testing.assert_allclose(probabilities, report.probabilities.max(axis=1), atol=1e-6)


def check_equal(loaded, report):
    for field in dataclasses.fields(Report):
        expected, found = getattr(report, field.name), getattr(loaded, field.name)
        if isinstance(expected, np.ndarray):
            np.testing.assert_array_equal(found, expected, strict=True)
        else:
            assert found == expected, field.name
    assert loaded.to_dict() == report.to_dict()


def test_a_loaded_report_is_the_saved_one(report, tmp_path):
    loaded = Report.load(report.save(tmp_path))
    check_equal(loaded, report)
    assert loaded.compare(report).p_value == 1


HARD = ["a,b", 'the "quoted"', "two\nlines", "carriage\rreturn", "both\r\n", "<script>alert(1)</script>", "name", "имя",
        " ", "=1+1", "'"]  # fmt: skip


def test_names_of_any_kind_come_back(tmp_path):
    names = tuple(f"{HARD[i % len(HARD)]}/{i}\n\r" for i in range(40))
    labels = np.arange(40) % len(HARD)
    report = dataclasses.replace(report_of(labels, labels[::-1], HARD), names=names, history={"loss": [1.0, 0.5]})
    check_equal(Report.load(report.save(tmp_path)), report)


def test_names_that_are_no_text_come_back_as_escapes(tmp_path):
    names = ["a\udcff", "b"]
    report = dataclasses.replace(report_of([0, 1], [0, 0], names), names=("a\udcff/1", "b/\udce9"))
    assert report.class_names == ("a\\udcff", "b") and report.names == ("a\\udcff/1", "b/\\udce9")
    loaded = Report.load(report.save(tmp_path))
    check_equal(loaded, report)
    assert loaded.compare(report).n == 2


def test_curves_of_an_older_report_go(report, tmp_path):
    dataclasses.replace(report, history={"loss": [1.0, 0.5]}).save(tmp_path)
    assert (tmp_path / "curves.png").exists()
    assert not (report.save(tmp_path) / "curves.png").exists()


def test_a_history_that_diverged_comes_back_as_nan(identity, data, tmp_path):
    history = {"loss": [1.5, float("nan")], "f1": [[1.0, 0.0], [0.0, 1.0]], "val_loss": [math.inf, 2.0]}
    report = evaluate(identity, [data], class_names=NAMES, history=history)
    loaded = Report.load(report.save(tmp_path)).history
    assert loaded["f1"] == history["f1"]
    np.testing.assert_array_equal([loaded["loss"], loaded["val_loss"]], [[1.5, np.nan], [np.nan, 2.0]])


def test_a_folder_without_a_report_is_not_finished(report, tmp_path):
    for folder in (tmp_path / "none", report.save(tmp_path / "some")):
        (folder / "report.json").unlink() if folder.exists() else None
        with pytest.raises(FileNotFoundError, match="not finished. Received: "):
            Report.load(folder)


@pytest.mark.parametrize("found", [3, None])
def test_another_format_is_named(report, tmp_path, found):
    path = report.save(tmp_path) / "report.json"
    files.write_json(path, {**json.loads(path.read_text("utf-8")), "format": found})
    with pytest.raises(FormatError, match=f"must have format 2.*Received: .*report.json, format {found}"):
        Report.load(tmp_path)


def cut(text):
    return text[: len(text) // 2]


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("report.json", cut),
        ("report.json", lambda text: "[1, 2]"),
        ("report.json", lambda text: ""),
        ("report.json", lambda text: "\udcff" + text),
        ("report.json", lambda text: text.replace('"loss"', '"lost"')),
        ("report.json", lambda text: text.replace('"history": null', '"history": [1]')),
        ("predictions.csv", lambda text: None),
        ("predictions.csv", cut),
        ("predictions.csv", lambda text: ""),
        ("predictions.csv", lambda text: text[:-12]),
        ("predictions.csv", lambda text: text[: text.rindex("\n", 0, -1) + 1]),
        ("predictions.csv", lambda text: text + '"","cat","'),
        ("predictions.csv", lambda text: text.replace('"cat"', '"cow"')),
        ("predictions.csv", lambda text: text.replace('"probability of cat"', '"probability of cow"')),
        ("predictions.csv", lambda text: text.replace(text[-8:-1], "nan")),
    ],
)
def test_a_damaged_folder_is_named(report, tmp_path, file, change):
    path = report.save(tmp_path) / file
    text = change(path.read_bytes().decode())
    path.unlink() if text is None else path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match="damaged. Received: .*Error"):
        Report.load(tmp_path)


@pytest.mark.parametrize("file", ["report.json", "predictions.csv"])
def test_every_flipped_bit_is_found_or_changes_nothing(report, tmp_path, file):
    path = report.save(tmp_path) / file
    whole, content = path.read_bytes(), Report.load(tmp_path)
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            loaded = Report.load(tmp_path)
        except ValueError as error:
            assert str(tmp_path) in str(error)
        else:  # white space in the JSON
            assert loaded.to_dict() == content.to_dict() and loaded.names == content.names


def test_a_report_of_version_0_1_0_is_read(report, tmp_path):
    path = report.save(tmp_path) / "report.json"
    saved = json.loads(path.read_text("utf-8"))
    del saved["sha256"]
    files.write_json(path, saved)
    with pytest.raises(ValueError, match="damaged"):  # of this version it must have its checksum
        Report.load(tmp_path)
    files.write_json(path, saved | {"format": 1})
    assert Report.load(tmp_path).to_dict() == report.to_dict()


def test_files_of_two_reports_do_not_fit(report, tmp_path):
    other = report_of([0, 1, 2, 3], [0, 1, 2, 3]).save(tmp_path / "other")
    os.replace(other / "predictions.csv", report.save(tmp_path) / "predictions.csv")
    with pytest.raises(ValueError, match="do not match their checksum"):
        Report.load(tmp_path)


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_report_that_is_half_written_over_another_is_not_finished(report, tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    report.save(tmp_path)
    monkeypatch.setattr(Report, "_predictions_csv", fail)
    with pytest.raises(error):
        report.save(tmp_path)
    with pytest.raises(FileNotFoundError, match="not finished"):
        Report.load(tmp_path)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_file_alone(tmp_path, error):
    path = tmp_path / "a.json"
    files.write_json(path, {"old": 1})
    with pytest.raises(error), files.replacing(path) as temporary:
        assert temporary.parent == tmp_path and temporary.suffix == ".json" and temporary.name.startswith(".")
        temporary.write_text("half")
        raise error
    assert json.loads(path.read_text()) == {"old": 1}
    assert os.listdir(tmp_path) == ["a.json"]


def test_what_json_lacks_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "noted",
    [b"", b"[]", b"null", b"\xff{}", b'{"a": 1', b'{"a": 1e999}', b'{"a": NaN}', b"[" * 10**5, b'{"a":' * 10**5],
)
def test_a_damaged_note_of_a_folder_is_named(tmp_path, noted):
    path = tmp_path / "run.json"
    path.write_bytes(noted)
    with pytest.raises(ValueError, match=r"must hold a JSON object.*delete this one. Received: .*run\.json \("):
        claim(path, {"a": 1})
    assert path.read_bytes() == noted


def test_text_and_bytes_are_written_as_given(tmp_path):
    files.write_text(tmp_path / "deep" / "a.txt", "имя\nb\n")
    assert (tmp_path / "deep" / "a.txt").read_bytes() == "имя\nb\n".encode()
    files.write_bytes(tmp_path / ("x" * 250), b"\r\n\0")
    assert (tmp_path / ("x" * 250)).read_bytes() == b"\r\n\0"


# Figures


@pytest.mark.parametrize(
    "history",
    [
        {"loss": [1.0], "accuracy": [0.5], "val_loss": [1.1], "val_accuracy": [0.4]},
        {"loss": [3.0, 2.0, float("nan"), 1.0], "val_loss": [2.0, 1.0], "learning_rate": [1e-3] * 4},
        {"val_accuracy": np.linspace(0, 1, 30)},
    ],
    ids=["one epoch", "validation every other epoch", "little recorded"],
)
def test_curves_have_the_size_of_the_study(history, tmp_path):
    plots.curves(history, tmp_path / "curves.png")
    assert png_size(tmp_path / "curves.png") == (1500, 700)


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are drawn, instead of their files."""
    figures = []
    monkeypatch.setattr(
        plots, "save_figure", lambda figure, path: figure.draw_without_rendering() or figures.append(figure)
    )
    return figures


def test_legends_cover_nothing(drawn):
    history = {"loss": [3.0, 1.0], "val_loss": [2.0, 1.0], "accuracy": [0.1, 0.9]}
    plots.curves(history, "curves.png")
    points = [(2, 0.5, 0.4, 0.6), (15, 0.1, 0.0, 0.2)]
    series = {f"a chain with a long name, number {i}": points for i in range(8)}
    plots.lines(series, "lines.png", title="", x_label="", y_label="")
    for figure in drawn:
        (legend,) = figure.legends
        covered = legend.get_window_extent()
        assert not any(covered.overlaps(axes.get_tightbbox()) for axes in figure.axes)
        assert figure.bbox.x0 <= covered.x0 and covered.x1 <= figure.bbox.x1 and covered.y0 >= figure.bbox.y0


def test_figures_to_be_compared_share_axes_and_colors(drawn):
    every, some = [(x, 0.5, 0.4, 0.6) for x in (2, 4, 15)], [(4, 0.7, 0.6, 0.8)]
    options = {
        "title": "",
        "x_label": "",
        "y_label": "",
        "order": ["a", "b"],
        "x_ticks": (2, 4, 15),
        "y_limits": (0, 1),
    }
    plots.lines({"a": every, "b": some}, "all.png", **options)
    plots.lines({"b": some}, "some.png", **options)
    plots.confusion(np.array([[9, 1], [5, 5]]), ["a", "b"], "one.png")
    plots.confusion(np.array([[4, 6], [3, 7]]), ["a", "b"], "other.png")
    (whole,), (part,) = (figure.axes for figure in drawn[:2])
    assert whole.get_xlim() == part.get_xlim() and whole.get_ylim() == part.get_ylim()
    assert whole.get_xticks().tolist() == part.get_xticks().tolist() == [2, 4, 15]
    assert {line.get_color() for line in part.lines} == {whole.lines[-1].get_color()} != {whole.lines[0].get_color()}
    assert [figure.axes[0].images[0].get_clim() for figure in drawn[2:]] == [(0, 10), (0, 10)]


def test_curves_name_the_split_of_their_values(report, drawn, tmp_path):
    report = dataclasses.replace(report, history={"loss": [1.0, 0.5], "val_loss": [1.0, 0.7]})
    for options, name in (({}, "validation"), ({"split": "test"}, "test")):
        drawn.clear()
        report.save(tmp_path, **options)
        assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["training", name]


@pytest.mark.parametrize("log_x", [False, True])
@pytest.mark.parametrize(
    "series",
    [
        {},
        {"none": []},
        {"one": [(2, 0.5, 0.4, 0.6)]},
        {
            r"$\frac{$": [(4, 0.5, 0.4, 0.6), (2, 0.5, 0.55, 0.6)],
            "собака\n" * 9: [(x, 0.1, 0, 1) for x in range(1, 99)],
        },
        {str(i): [(2, i, i - 1, i + 1)] for i in range(20)},
        {"gaps": [(1, math.nan, 0, 1), (2, 0.5, -math.inf, math.inf), (3, 0.5, math.nan, math.nan)]},
    ],
    ids=["nothing", "no points", "one point", "odd names", "many", "gaps"],
)
def test_lines_draw_what_there_is(series, log_x, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.lines(series, tmp_path / "lines.png", title="$x", x_label="x $", y_label="y", log_x=log_x)
    assert png_size(tmp_path / "lines.png") == (900, 600)


@pytest.mark.parametrize("classes", [1, 2, 15])
def test_confusion_takes_names_as_they_are(classes, tmp_path):
    # Broken as formulas, more than one line, too long, in other scripts, with no font at all.
    odd = [r"$\frac{$", "a_{b}^", "two\nlines", "long " * 20, "собака", "قطة", "\U00012000"]
    names = (odd + [f"class {i}" for i in range(15)])[:classes]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.confusion(np.full((classes, classes), 12345), names, tmp_path / "confusion.png")
        plots.confusion(np.eye(classes), names, tmp_path / "rates.png", rates=True)
    assert png_size(tmp_path / "confusion.png") == png_size(tmp_path / "rates.png") == (1000, 800)


def test_sample_draws_gray_and_color_in_threads(tmp_path):
    random = np.random.default_rng(0)
    audio = random.normal(size=5000).astype("float32")
    picture = random.integers(0, 255, (60, 120, 3), "uint8")
    images = [random.integers(0, 255, shape, "uint8") for shape in [(8, 8), (20, 60, 3), (60, 20, 3), (5, 100)]]

    def draw(i):
        path = tmp_path / f"{i}.png"
        plots.sample(images[i], audio[: 10 ** (i + 1)], 8000, picture, images[0], path, title="$x")
        return png_size(path)

    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(draw, range(len(images)))) == {(1600, 400)}


# Bad input


@pytest.mark.parametrize(
    ("outputs", "labels", "message"),
    [
        (np.zeros((2, 4)), [0, 4], r"labels from 0 to 3.*Received: labels from 0 to 4"),
        (np.zeros((2, 4)), [-1, 0], r"labels from 0 to 3.*Received: labels from -1 to 0"),
        (np.zeros((2, 4)), [0, 1, 2], r"one integer label.*Received: labels of shape \(3,\)"),
        (np.zeros((2, 4)), [0.0, 1.0], r"one integer label.*float"),
        (np.zeros((4, 4)), np.eye(4, dtype=int), r"one integer label.*Received: labels of shape \(4, 4\)"),
        (np.zeros((0, 4)), np.zeros(0, int), r"at least one.*Received: labels of shape \(0,\)"),
        (np.zeros((2, 3)), [0, 1], r"shape \(batch, 4\).*Received: an output of shape \(2, 3\)"),
        (np.zeros((2, 5, 4)), [0, 1], r"shape \(batch, 4\).*Received: an output of shape \(2, 5, 4\)"),
        (np.array([[0, np.nan, 0, 0]]), [0], r"finite values.*Received: 1 NaN"),
        (np.array([[0, np.inf, 0, np.nan]]), [0], r"finite values.*Received: 2 NaN"),
        ([np.zeros((2, 4)), np.zeros((2, 4))], [0, 1], r"one tensor.*Received: a list of 2 outputs"),
    ],
)
def test_bad_outputs_and_labels_are_named(outputs, labels, message):
    class Model:
        def predict_on_batch(self, inputs):
            return inputs

    with pytest.raises(ValueError, match=message):
        evaluate(Model(), [(outputs, np.asarray(labels))], class_names=NAMES)


@pytest.mark.parametrize("outputs", [[[2.0, 0, -1, 0]], [[0.5, 0.5, 0.5, 0.5]]])
def test_logits_are_not_taken_for_probabilities(identity, outputs):
    with pytest.raises(ValueError, match=r"probabilities.*from_logits=False.*Received"):
        evaluate(identity, [(np.array(outputs, "float32"), np.array([0]))], class_names=NAMES, from_logits=False)


def test_bad_data_sets_are_named(identity, data):
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(16)
    with pytest.raises(ValueError, match="at least one batch.*Received"):
        evaluate(identity, dataset.take(0), class_names=NAMES)
    with pytest.raises(ValueError, match="must be finite.*Received"):
        evaluate(identity, dataset.repeat(), class_names=NAMES)
    with pytest.raises(ValueError, match="pairs.*Received"):
        evaluate(identity, dataset.map(lambda x, y: (x, y, y)), class_names=NAMES)


def test_bad_class_names_are_named(identity, data):
    with pytest.raises(ValueError, match="`class_names` must be passed.*Received: class_names=None"):
        evaluate(identity, [data])
    for names in ("abcd", [], ["a", "b", "b", "c"]):
        with pytest.raises(ValueError, match="one or more different names.*Received: class_names="):
            evaluate(identity, [data], class_names=names)


def test_bad_arrays_for_figures_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"shape \(2, 2\).*Received: matrix of shape \(3, 3\)"):
        plots.confusion(np.eye(3), ["a", "b"], tmp_path / "a.png")
    gray = np.zeros((4, 4), "uint8")
    for audio in (np.zeros((2, 8)), np.zeros(0)):
        with pytest.raises(ValueError, match=r"shape \(samples,\).*Received"):
            plots.sample(gray, audio, 8000, np.stack([gray] * 3, -1), gray, tmp_path / "a.png")
    assert os.listdir(tmp_path) == []


def test_a_report_compares_by_identity(report):
    # Field by field, arrays have no single truth value.
    fields = {name: getattr(report, name) for name in Report.__dataclass_fields__}
    assert report == report and report != Report(**fields)
