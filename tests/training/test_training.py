"""Training loses nothing: interrupted and killed runs end like undisturbed ones."""

import csv
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from sonikeras.datasets.augmentation import Augmentation
from sonikeras.training import (
    BatchMeanAccuracy,
    DiscriminativeAdamW,
    Recipe,
    _checkpoints as training,
    extract_features,
    feature_dataset,
    fit,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 8)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)


def make_model():
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.Dropout(0.5), keras.layers.Dense(2)]
    )
    model.compile(
        keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    return model


class StopAt(keras.callbacks.Callback):
    """Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if batch == 1 and self._epoch == self.epoch:
            raise KeyboardInterrupt

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch


def train(directory, callbacks=(), epochs=6):
    model = make_model()
    data = feature_dataset(X, Y, batch_size=16, shuffle_seed=3)
    history = fit(
        model, data, feature_dataset(X, Y), epochs=epochs, directory=directory, callbacks=callbacks, verbose=0
    )
    return model, {name: values for name, values in history.items() if name != "seconds"}


@pytest.mark.parametrize("epoch", [0, 1, 4])
def test_interrupted_training_ends_like_an_undisturbed_one(tmp_path, epoch):
    model, history = train(tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "b", [StopAt(epoch)])
    again, history_again = train(tmp_path / "b")
    assert history_again == history and len(history["loss"]) == 6
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with open(tmp_path / "b" / "history.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert [float(row["loss"]) for row in rows] == history["loss"]
    seconds = [float(row["seconds"]) for row in rows]
    assert seconds == sorted(seconds)


def test_same_seed_same_history(tmp_path):
    assert train(tmp_path / "a")[1] == train(tmp_path / "b")[1]


def test_finished_training_is_not_run_again(tmp_path):
    _, history = train(tmp_path)
    before = os.stat(next(tmp_path.glob("checkpoint*"))).st_mtime_ns
    assert train(tmp_path)[1] == history
    assert os.stat(next(tmp_path.glob("checkpoint*"))).st_mtime_ns == before
    assert len(train(tmp_path, epochs=8)[1]["loss"]) == 8
    assert len(list(tmp_path.glob("*checkpoint*"))) == 1


def test_history_that_is_ahead_of_the_checkpoint(tmp_path):
    """A process killed between the two writes repeats the epoch, and its row."""
    _, history = train(tmp_path / "a", epochs=5)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "b", [StopAt(3)])
    lines = (tmp_path / "b" / "history.csv").read_text().splitlines()
    (tmp_path / "b" / "history.csv").write_text("\n".join([*lines, lines[-1].replace("3,", "4,", 1)]) + "\n")
    assert train(tmp_path / "b", epochs=5)[1] == history


def cut(data):
    return data[: len(data) // 2]


@pytest.mark.parametrize(("name", "damage"), [("checkpoint-0003.npz", cut), ("history.csv", lambda data: b"")])
def test_damaged_state_is_trained_again(tmp_path, name, damage):
    _, history = train(tmp_path / "a", epochs=4)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "b", [StopAt(3)])
    path = tmp_path / "b" / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(UserWarning, match=f"last intact checkpoint are trained again.*Received: {path}"):
        assert train(tmp_path / "b", epochs=4)[1] == history


@pytest.mark.parametrize(
    "damaged",
    [
        *("", "epoch,loss,seconds\n", "epoch,loss,seconds\n1,0.5,1.0\n", "epoch,loss,seconds\n1,0.5,1.0\n2,0.4\n"),
        *("epoch,lost,seconds\n1,0.5,1.0\n2,0.4,2.0\n", "epoch,loss,seconds\n1,0.5,1.0\n3,0.4,2.0\n", "\0", '"'),
        *("epoch,loss,seconds\n1,x,1.0\n2,0.4,2.0\n", "epoch,loss\n1,0.5,1.0\n2,0.4,2.0\n", "\udcff", None),
    ],
)
def test_damaged_history_is_named(tmp_path, damaged):
    path = tmp_path / "history.csv"
    path.write_text("epoch,loss,seconds\n1,0.5,1.0\n2,nan,2.0\n3,0.3,3.0\n")
    assert training._read_history(path, 1) == {"loss": [0.5], "seconds": [1.0]}
    assert str(training._read_history(path, 2)) == str({"loss": [0.5, float("nan")], "seconds": [1.0, 2.0]})
    path.unlink() if damaged is None else path.write_bytes(damaged.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=f"must have a number for each column and epoch. Received: {path} "):
        training._read_history(path, 2)


def test_checkpoint_of_another_model_is_not_taken(tmp_path):
    _, history = train(tmp_path / "a", epochs=2)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "b", [StopAt(1)])
    np.savez(tmp_path / "b" / "checkpoint-0001.npz", *[np.zeros(3)] * 4)
    with pytest.warns(UserWarning, match="trained again. A checkpoint must have the .* variables of the model"):
        assert train(tmp_path / "b", epochs=2)[1] == history


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(cut(path.read_bytes())),
        lambda path: path.write_bytes(b""),
        lambda path: np.savez(path, other=np.zeros(3)),
        lambda path: np.savez(path, features=np.zeros((3, 2), "float32"), labels=np.zeros(4, int)),
        lambda path: np.savez(path, features=np.zeros((3, 2), "float64"), labels=np.zeros(3, int)),
    ],
)
def test_damaged_features_are_computed_again(tmp_path, damage):
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    x, y = np.random.default_rng(0).normal(size=(40, 4)).astype("float32"), np.arange(40)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(2)
    features, labels = extract_features(network, data, tmp_path)
    paths = sorted(tmp_path.iterdir())
    before = paths[0].stat().st_mtime_ns
    assert len(paths) == 3 and labels.tolist() == list(range(40))
    damage(paths[1])
    with pytest.warns(UserWarning, match=f"These features are computed again.*Received: {paths[1]}"):
        again = extract_features(network, data, tmp_path)
    np.testing.assert_array_equal(again[0], features)
    np.testing.assert_array_equal(again[1], labels)
    assert paths[0].stat().st_mtime_ns == before and sorted(tmp_path.iterdir()) == paths


def test_data_set_from_disk_resumes_in_the_same_order(tmp_path):
    """The same for `sonikeras.dataset`, which shuffles before it loads."""
    import sonikeras

    def run(directory, callbacks=()):
        keras.utils.set_random_seed(1)
        data = sonikeras.dataset("c2", images_per_class=40, output="image", image_size=16, batch_size=16)
        model = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
        model.compile(keras.optimizers.Adam(1e-4), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return fit(model, data, epochs=4, directory=directory, callbacks=callbacks, verbose=0)["loss"]

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b", [StopAt(2)])
    assert run(tmp_path / "b") == run(tmp_path / "a")


def fine_tune(directory, callbacks=(), epochs=8, **options):
    """A small model with everything that fine-tuning uses: augmentation, moving average, two rates, patience."""
    keras.utils.set_random_seed(1)
    pictures = np.random.default_rng(5).uniform(0, 255, (40, 16, 16, 3)).astype(np.float32)
    labels = (pictures.mean(axis=(1, 2, 3)) > np.median(pictures.mean(axis=(1, 2, 3)))).astype(np.int32)
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3, name="slow"),
            keras.layers.Dropout(0.2),
            keras.layers.Flatten(),
            keras.layers.Dense(2, name="fast"),
        ]
    )
    model.compile(
        DiscriminativeAdamW(
            keras.optimizers.schedules.CosineDecay(0.0, 20, warmup_target=1e-2, warmup_steps=4),
            slow=model.get_layer("slow").trainable_variables,
            factor=0.1,
            use_ema=True,
            ema_momentum=0.8,
        ),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        metrics=["accuracy"],
    )
    train = tf.data.Dataset.from_tensor_slices((pictures[:30], labels[:30])).shuffle(30, seed=2).batch(8)
    held = tf.data.Dataset.from_tensor_slices((pictures[30:], np.eye(2, dtype="float32")[labels[30:]])).batch(8)
    options = {"monitor": "val_loss", "patience": 3} | options
    augment = Augmentation(2, shift=0.1, mask=0.2, mixup=0.2, seed=3)
    history = fit(
        model,
        train,
        held,
        epochs=epochs,
        directory=directory,
        augment=augment,
        callbacks=callbacks,
        verbose=0,
        **options,
    )
    return model, held, {name: values for name, values in history.items() if name != "seconds"}


def test_interrupted_fine_tuning_ends_like_an_undisturbed_one(tmp_path):
    model, _, history = fine_tune(tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        fine_tune(tmp_path / "b", [StopAt(2)])
    again, _, history_again = fine_tune(tmp_path / "b")
    assert history_again == history
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_best_epoch_and_the_moving_average_are_what_counts(tmp_path):
    model, held, history = fine_tune(tmp_path)
    best = int(np.argmin(history["val_loss"]))
    loss, accuracy = model.evaluate(held, verbose=0)
    assert loss == pytest.approx(history["val_loss"][best], rel=1e-5)
    assert accuracy == pytest.approx(history["val_accuracy"][best])
    kept = {int(path.stem[-4:]) for path in tmp_path.glob("checkpoint-*")}
    assert kept == {best + 1, len(history["loss"])}


def test_patience_ends_a_training_for_good(tmp_path):
    _, _, history = fine_tune(tmp_path, epochs=40, patience=2)
    best = int(np.argmin(history["val_loss"]))
    assert len(history["loss"]) == best + 3 < 40
    assert fine_tune(tmp_path, epochs=40, patience=2)[2] == history


def weighted(directory, class_weight, y=Y, **options):
    """A training whose loss tells what each example counts: nothing is learnt."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
    kind = keras.losses.SparseCategoricalCrossentropy if y.ndim == 1 else keras.losses.CategoricalCrossentropy
    model.compile(keras.optimizers.SGD(0.0), kind(from_logits=True))
    data = feature_dataset(X, y, batch_size=16, shuffle_seed=3)
    history = fit(model, data, epochs=1, directory=directory, class_weight=class_weight, verbose=0, **options)
    logits = model.predict(X, verbose=0)
    each = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(50), Y]
    return history["loss"][0], each


@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize(
    ("class_weight", "weights"),
    [({0: 2.0, 1: 0.5}, [2, 0.5]), ({1: 3}, [1, 3]), ({0: 0, 1: np.float32(1)}, [0, 1]), (None, [1, 1])],
)
def test_classes_count_what_is_asked(tmp_path, class_weight, weights, one_hot):
    y = np.eye(2, dtype="float32")[Y] if one_hot else Y
    loss, each = weighted(tmp_path, class_weight, y)
    assert loss == pytest.approx(np.mean(np.asarray(weights)[Y] * each), rel=1e-5)


def test_class_weights_are_those_of_keras(tmp_path):
    """The same training as `model.fit(class_weight=...)`, step by step."""

    def make():
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model

    data, class_weight = feature_dataset(X, Y, batch_size=16), {0: 3.0, 1: 0.2}
    ours = fit(make(), data, epochs=3, directory=tmp_path, class_weight=class_weight, verbose=0)
    theirs = make().fit(data, epochs=3, class_weight=class_weight, verbose=0, shuffle=False)
    assert ours["loss"] == pytest.approx(theirs.history["loss"], rel=1e-5)


@pytest.mark.parametrize("one_hot", [False, True])
def test_balanced_classes_count_the_same(tmp_path, one_hot):
    from sklearn.utils.class_weight import compute_class_weight

    y = (np.arange(50) % 5 == 0).astype(np.int32)
    weights = compute_class_weight("balanced", classes=np.arange(2), y=y)
    loss, _ = weighted(tmp_path, "balanced", np.eye(2, dtype="float32")[y] if one_hot else y)
    same, _ = weighted(tmp_path / "same", dict(enumerate(weights)), y)
    assert loss == pytest.approx(same, rel=1e-5)
    np.testing.assert_allclose(weights, [0.625, 2.5])


def test_mixed_labels_count_the_mean(tmp_path):
    y = np.tile(np.float32([0.25, 0.75]), (50, 1))
    loss, _ = weighted(tmp_path, {0: 4.0, 1: 0.0}, y)
    plain, _ = weighted(tmp_path / "plain", None, y)
    assert loss == pytest.approx(plain, rel=1e-5)  # 0.25 * 4 = 1


def test_fine_tuning_takes_class_weights_and_resumes_with_them(tmp_path):
    weights = {"class_weight": {0: 2.0, 1: 0.5}}
    _, _, history = fine_tune(tmp_path / "a", **weights)
    with pytest.raises(KeyboardInterrupt):
        fine_tune(tmp_path / "b", [StopAt(2)], **weights)
    assert fine_tune(tmp_path / "b", **weights)[2] == history
    assert fine_tune(tmp_path / "c")[2]["loss"] != history["loss"]


@pytest.mark.parametrize(
    "class_weight",
    ["even", {}, {0: -1}, {0: float("nan")}, {2: 1.0}, {-1: 1.0}, {"cat": 1.0}, {0: 0}, [1, 2], {0: "2"}],
)
def test_bad_class_weight(tmp_path, class_weight):
    with pytest.raises(ValueError, match="`class_weight` must .* Received: class_weight="):
        weighted(tmp_path, class_weight)


def test_an_unreadable_file_is_one_line(tmp_path, image_folder):
    import sonikeras

    root = image_folder(count=12)
    for path in root.glob("ant/*.png"):
        path.write_bytes(b"nothing")
    (root / "ant" / "picture0.png").write_bytes((root / "bee" / "picture0.png").read_bytes())
    data = sonikeras.dataset(data_dir=root, output="image", image_size=16, batch_size=2)
    still = sonikeras.dataset(data_dir=root, output="image", image_size=16, batch_size=2, shuffle=False)
    model = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    for use in (
        lambda: fit(model, data, epochs=2, directory=tmp_path / "run", verbose=0),
        lambda: fit(model, still.take(1), data, epochs=2, directory=tmp_path / "other", verbose=0),
        lambda: extract_features(model, still, tmp_path / "features"),
        lambda: sonikeras.evaluate(model, data),
    ):
        with pytest.raises(
            ValueError,
            match=r"^The image cannot be read: .* Received: .*ant/picture\d+\.png \(7 bytes: of another format\)$",
        ):
            use()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"monitor": None}, "`patience` must be at least 1 and needs `monitor`"),
        ({"patience": 0}, "`patience` must be at least 1"),
        ({"monitor": "val_f1"}, r"`monitor` must be one of \['accuracy', 'loss'.*Received: monitor='val_f1'"),
    ],
)
def test_bad_monitor(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        fine_tune(tmp_path, epochs=1, **options)


def test_without_monitor_the_last_epoch_counts(tmp_path):
    model, held, history = fine_tune(tmp_path, epochs=5, monitor=None, patience=None)
    assert model.evaluate(held, verbose=0)[0] == pytest.approx(history["val_loss"][-1], rel=1e-5)


def test_slow_variables_move_by_their_fraction():
    """Adam's first step is the learning rate whatever the gradient."""
    slow, fast = keras.Variable(np.ones(3, "float32")), keras.Variable(np.ones(3, "float32"))
    optimizer = DiscriminativeAdamW(0.1, slow=[slow], factor=0.2, weight_decay=0.0)
    optimizer.apply([keras.ops.ones(3), keras.ops.ones(3)], [slow, fast])
    np.testing.assert_allclose(1 - np.asarray(slow), 0.02, rtol=1e-4)
    np.testing.assert_allclose(1 - np.asarray(fast), 0.1, rtol=1e-4)


class Poison(keras.callbacks.Callback):
    """Makes a weight infinite in one step of one epoch."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (2, self.step):
            kernel = self.model.layers[-1].kernel  # an earlier one would hide behind a rectifier, which makes NaN zero
            kernel.assign(kernel * np.inf)


def test_a_loss_that_is_not_finite_stops_and_says_where(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)must stay finite.*loss=nan in epoch 3, step 3.*checkpoint-0002\.npz"):
        train(tmp_path, [Poison(1)])
    good = train(tmp_path, epochs=2)[1]
    assert len(good["loss"]) == 2 and np.isfinite(good["loss"]).all()


def test_weights_that_are_not_finite_are_never_kept(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)not finite at the end of epoch 3.*checkpoint-0002\.npz"):
        train(tmp_path, [Poison(3)])
    assert len(rows(tmp_path)) == 2


def test_nan_at_the_very_start_has_no_checkpoint(tmp_path):
    bad = np.where(np.arange(50)[:, None] == 20, np.nan, X).astype("float32")
    with pytest.raises(RuntimeError, match=r"in epoch 1, step \d.*checkpoint does not exist"):
        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        fit(model, feature_dataset(bad, Y, batch_size=16), epochs=2, directory=tmp_path, verbose=0)


def test_mean_of_batch_accuracies_is_the_studys():
    metric = BatchMeanAccuracy()
    logits = np.eye(2)[[0, 0, 1, 1, 0]]
    metric.update_state(np.array([0, 0, 0, 0]), logits[:4])
    metric.update_state(np.array([0]), logits[4:])
    assert float(metric.result()) == 0.75  # of all five examples 0.6 are right


def test_gradient_accumulation_is_a_larger_batch(tmp_path):
    """Two batches of 10 make a step of 20; without dropout and in the same order nothing else differs."""

    def weights(batch_size, **options):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
        model.compile(
            keras.optimizers.Adam(1e-2, **options), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        data = feature_dataset(X[:40], Y[:40], batch_size=batch_size)
        fit(model, data, epochs=3, directory=tmp_path / str(batch_size), verbose=0)
        return model.get_weights()

    for a, b in zip(weights(20), weights(10, gradient_accumulation_steps=2), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


class CountedBackbone:
    """Doubles its input, and can fail at a batch."""

    def __init__(self, fail_at=None):
        self.calls, self.fail_at = 0, fail_at

    def predict_on_batch(self, x):
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        self.calls += 1
        return np.asarray(x) * 2


def test_features_are_computed_once_and_go_on_after_an_interruption(tmp_path):
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(2)  # 25 batches
    with pytest.raises(KeyboardInterrupt):
        extract_features(CountedBackbone(fail_at=19), data, tmp_path)
    second = CountedBackbone()
    features, labels = extract_features(second, data, tmp_path)
    assert second.calls == 25 - 16
    np.testing.assert_array_equal(features, X * 2)
    np.testing.assert_array_equal(labels, Y)
    third = CountedBackbone()
    extract_features(third, data, tmp_path)
    assert third.calls == 0 and not list(tmp_path.glob(".*"))


def test_features_need_a_known_cardinality(tmp_path):
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(2).filter(lambda x, y: True)
    with pytest.raises(ValueError, match="known cardinality. Received: cardinality=-2"):
        extract_features(CountedBackbone(), data, tmp_path)


def test_frozen_features_give_the_logits_of_the_whole_model(tmp_path):
    import sonikeras

    data = sonikeras.dataset("c2", split="test", images_per_class=5, output="image", image_size=64)
    model = sonikeras.models.classifier("efficientnet_lite0", 2, weights=None, image_size=64, freeze=True)
    features, _ = extract_features(model.get_layer("backbone"), data, tmp_path)
    pictures = np.concatenate([x for x, _ in data])
    np.testing.assert_allclose(
        model.get_layer("head").predict(features, verbose=0), model.predict(pictures, verbose=0), rtol=1e-4, atol=1e-5
    )


def test_killed_recipe_resumes(tmp_path):
    """SIGKILL in the middle of training; the second start ends like a run that was left alone."""
    code = (
        "import sys\nfrom sonikeras.evaluation.experiment import Recipe, run\n"
        "recipe = Recipe(network='efficientnet_lite0', data='c2', images_per_class=10, config='matched', epochs=60,\n"
        "                image_size=64, weights=None)\n"
        "print(run(recipe, sys.argv[1]).accuracy)\n"
    )
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}

    def start(directory):
        return subprocess.Popen(
            [sys.executable, "-c", code, directory], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    killed = start(tmp_path / "b")
    deadline = time.monotonic() + 200
    while len(rows(tmp_path / "b")) < 5 and time.monotonic() < deadline and killed.poll() is None:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    done = len(rows(tmp_path / "b"))
    assert 5 <= done < 60
    (tmp_path / "b" / ".0123.part.npz").touch()  # as if killed while writing
    assert not (tmp_path / "b" / "report.json").exists()
    for process in [start(tmp_path / "b"), start(tmp_path / "a")]:
        output, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors.decode()
    assert rows(tmp_path / "a") == rows(tmp_path / "b")
    assert (tmp_path / "b" / "report.json").exists()
    assert not list((tmp_path / "b").rglob(".*"))


def rows(directory):
    if not (directory / "history.csv").exists():
        return []
    with open(directory / "history.csv") as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def test_a_recipe_selects_classes():
    recipe = Recipe(
        network="efficientnet_lite0", data="c2", classes=["zebra", "cow"], images_per_class=5, output="image"
    )
    assert recipe.classes == ("zebra", "cow")
    assert recipe.dataset("test").class_names == ["cow", "zebra"]
    with pytest.raises(
        ValueError, match="`classes` must be a sequence of class names, or None. Received: classes='cow'"
    ):
        Recipe(network="efficientnet_lite0", classes="cow")
