"""torchvision's files: the Keras networks compute what PyTorch computes, and wrong files are refused whole."""

import functools
import pickle
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest
from test_weights import Call, state, tensor, zipped

from sonikeras import models
from sonikeras.layers import TorchBatchNormalization
from sonikeras.models import _torchvision as torchvision_networks

STORED = Path(__file__).parents[1] / "data" / "torchvision_features.npz"
B0, RESNET50 = "efficientnet_b0", "resnet50"
PARAMETERS = {
    B0: 4_007_548,
    "efficientnet_b5": 28_340_784,
    "efficientnet_b7": 63_786_960,
    RESNET50: 23_508_032,
    "resnet152": 58_143_808,
}
# Of the kernels; a signal then neither dies nor explodes on its way through the network.
GAINS = {B0: 2.0, "efficientnet_b5": 1.5, "efficientnet_b7": 1.35, RESNET50: 1.0, "resnet152": 0.65}


def draw(name, shapes):
    """A random state dict of torchvision's network; what a tensor holds depends on its name and shape only."""
    values = {}
    for key, shape in shapes.items():
        random = np.random.RandomState(zlib.crc32(key.encode()))  # its numbers never change
        if key.endswith(("bias", "running_mean")):
            value = random.uniform(-0.5, 0.5, shape)
        elif len(shape) == 1:
            value = random.uniform(0.5, 1.5, shape)
        else:
            value = random.uniform(-1, 1, shape) * (3 * GAINS[name] / np.prod(shape[1:])) ** 0.5
        values[key] = value.astype("float32")
    return values


def make_pictures(height=75, width=90):
    """Two pictures of coarse squares; neither length is a multiple of 2 all the way down."""
    squares = np.random.RandomState(0).uniform(0, 255, (2, 6, 6, 3))
    return np.kron(squares, np.ones((1, 15, 15, 1)))[:, :height, :width].astype("float32")


each_network = pytest.mark.parametrize("name", PARAMETERS, scope="module")  # the scope keeps a network's tests together


@functools.lru_cache(3)
def build(name, height=64, width=64):
    return models.spec(name).torchvision((height, width, 3))


@functools.cache
def shapes_of(name):
    """The names and shapes that the Keras network wants of a state dict."""
    shapes = {}
    for layer in build(name).layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            parts = ("weight", "bias", "running_mean", "running_var")
            shapes |= {f"{layer.name}.{part}": layer.gamma.shape for part in parts}
        elif layer.weights:
            order = (2, 3, 0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (3, 2, 0, 1)
            shapes[f"{layer.name}.weight"] = tuple(layer.kernel.shape[axis] for axis in order)
            if layer.use_bias:
                shapes[f"{layer.name}.bias"] = layer.bias.shape
    return shapes


@functools.lru_cache(3)
def drawn(name):
    return draw(name, shapes_of(name))


def loaded(name, *size):
    network = build(name, *size)
    torchvision_networks.load_state_dict(network, drawn(name))
    return network


def file_of(values, path):
    """Writes a state dict as PyTorch does, without PyTorch."""
    described, data = {}, {}
    for index, (key, value) in enumerate(values.items()):
        strides = [stride // value.itemsize for stride in value.strides]
        kind = "LongStorage" if value.dtype.kind == "i" else "FloatStorage"
        described[key] = tensor(value.shape, strides, key=str(index), kind=kind)
        data[f"archive/data/{index}"] = value.tobytes()
    path.write_bytes(zipped({"archive/data.pkl": state(**described), **data}))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of the random B0 and ResNet50, with what else torchvision's have in them."""
    folder = tmp_path_factory.mktemp("torchvision")
    others = {B0: "classifier.1", RESNET50: "fc"}
    return {
        name: file_of(
            {**drawn(name), f"{head}.weight": np.ones((10, 4), "f4"), "a.num_batches_tracked": np.array(7)},
            folder / f"{name}.pth",
        )
        for name, head in others.items()
    }


def classifier(name, path, size=(75, 90), **options):
    return models.classifier(name, 3, weights=path, image_size=size, **options)


def assert_near(features, expected, tolerance=1e-4):
    assert expected.std() > 0.1 and abs(expected[0] - expected[1]).max() > 0.1 * expected.std()
    assert abs(np.asarray(features) - expected).max() <= tolerance * expected.std()


# Parity ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [B0, RESNET50])
def test_features_equal_those_that_pytorch_gave(name, files):
    features = classifier(name, files[name]).get_layer("backbone")(make_pictures())
    assert_near(features[:, ::8], np.load(STORED)[name])


@each_network
def test_feature_maps_equal_pytorchs(name):
    networks = pytest.importorskip("torch_networks")
    sizes = [(64, 64), (75, 90)] if name in (B0, RESNET50) else [(64, 64)]
    for size in sizes:
        pictures = make_pictures(*size)
        expected, _ = networks.feature_map(name, drawn(name), pictures)
        assert_near(loaded(name, *size)(pictures), expected)


@each_network
def test_state_dicts_have_the_names_and_shapes_of_pytorchs(name):
    networks = pytest.importorskip("torch_networks")
    expected = networks.build(name).state_dict()
    names = [key for key in expected if not key.startswith(("classifier.", "fc.")) and "num_batches" not in key]
    assert {key: tuple(expected[key].shape) for key in names} == shapes_of(name)


@each_network
def test_parameters_are_those_published_for_torchvision(name):
    network = build(name)
    assert sum(int(np.prod(weight.shape)) for weight in network.trainable_weights) == PARAMETERS[name]
    epsilon = 1e-3 if name in ("efficientnet_b5", "efficientnet_b7") else 1e-5
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {layer.epsilon for layer in norms} == {epsilon}


@each_network
def test_stochastic_depth(name):
    dropouts = [layer for layer in build(name).layers if isinstance(layer, keras.layers.Dropout)]
    rates = [layer.rate for layer in dropouts]
    if name == B0:
        blocks = [2, 4, 6, 7, 9, 10, 12, 13, 14]  # those with a shortcut, of sixteen
        np.testing.assert_allclose(rates, [0.2 * block / 16 for block in blocks])
    assert len(rates) == {"efficientnet_b5": 32, "efficientnet_b7": 48, B0: 9}.get(name, 0)
    assert rates == sorted(rates) and all(0 < rate < 0.2 for rate in rates)
    assert {tuple(layer.noise_shape) for layer in dropouts} <= {(None, 1, 1, 1)}


@pytest.mark.parametrize("zip_format", [True, False])
def test_both_of_pytorchs_formats_load(zip_format, tmp_path):
    networks = pytest.importorskip("torch_networks")
    network = networks.NETWORKS[B0]()
    networks.torch.save(network.state_dict(), tmp_path / "b0.pth", _use_new_zipfile_serialization=zip_format)
    backbone = classifier(B0, str(tmp_path / "b0.pth"), 64).get_layer("backbone")
    expected = network.state_dict()["features.8.0.weight"].numpy()
    np.testing.assert_array_equal(backbone.get_layer("features.8.0").kernel, expected.transpose(2, 3, 1, 0))


def test_a_frozen_network_trains_as_pytorchs(files):
    networks = pytest.importorskip("torch_networks")
    pictures = make_pictures()
    expected, after = networks.feature_map(RESNET50, drawn(RESNET50), pictures, train=True)
    model = classifier(RESNET50, files[RESNET50], head="attention", freeze=True, batch_norm="training")
    backbone = model.get_layer("backbone")
    assert_near(backbone(pictures, training=True), expected, 5e-3)  # few values a channel: rounding grows
    for layer in backbone.layers:
        if isinstance(layer, TorchBatchNormalization):
            for part, value in (("mean", layer.moving_mean), ("var", layer.moving_variance)):
                np.testing.assert_allclose(value, after[f"{layer.name}.running_{part}"], rtol=1e-3, atol=1e-4)


def test_save_and_load(files, tmp_path):
    model = classifier(B0, files[B0], (64, 33), batch_norm="training")
    norms = [layer for layer in model.get_layer("backbone").layers if hasattr(layer, "moving_mean")]
    assert len(norms) == 49 and {type(layer) for layer in norms} == {TorchBatchNormalization}
    model.save(tmp_path / "x.keras")
    pictures = make_pictures(64, 33)
    logits = model(pictures).numpy()
    assert np.isfinite(logits).all() and logits.std() > 0
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "x.keras")(pictures), logits)
    model.save_weights(tmp_path / "x.weights.h5")
    before = model.get_weights()
    model.set_weights([np.zeros_like(value) for value in before])
    model.load_weights(tmp_path / "x.weights.h5")
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_resnet150_is_resnet152_here_too():
    assert models.spec("resnet150").torchvision is models.spec("resnet152").torchvision is not None
    assert models.spec("efficientnet_lite0").torchvision is None


# Bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("bn1.bias"), r"exactly the keys .* Received: missing \['bn1.bias'\], unexpected \[\]"),
        (lambda d: d.update(other=d["bn1.bias"]), r"Received: missing \[\], unexpected \['other'\]"),
        (lambda d: d.clear(), r"missing \['bn1.bias', .*\(the first 5 of each\)"),
        (lambda d: d.update({"bn1.bias": np.zeros(3)}), r"`state_dict\['bn1.bias'\]` must .* Received: shape \(3,\)"),
        (lambda d: d.update({"conv1.weight": np.zeros((3, 64, 7, 7))}), r"\(7, 7, 3, 64\) .*shape \(7, 7, 64, 3\)"),
        (lambda d: d.update({"conv1.weight": np.zeros(64)}), r"'conv1.weight'.* Received: shape \(64,\)"),
        (lambda d: d.update({"bn1.bias": np.full(64, np.nan)}), "must hold finite values. Received: 64 of 64 are not"),
        (
            lambda d: d.update({"layer4.2.bn3.running_var": np.append(np.ones(2047), np.inf)}),
            r"'layer4.2.bn3.running_var'.*finite values. Received: 1 of 2048 are not",
        ),
    ],
)
def test_wrong_state_dicts_set_nothing(change, message):
    network = loaded(RESNET50)
    changed = dict(drawn(RESNET50))
    changed["conv1.weight"] = changed["conv1.weight"] + 1
    change(changed)
    with pytest.raises(ValueError, match=message):
        torchvision_networks.load_state_dict(network, changed)
    kernel = drawn(RESNET50)["conv1.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(network.get_layer("conv1").kernel, kernel)


def refused(name, path, message):
    with pytest.raises(ValueError, match=rf"weights of backbone='{name}'.*Received: weights='.*{path.name}'") as caught:
        classifier(name, path, 32)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "other", "message"),
    [
        ("efficientnet_b5", B0, "missing ['features.1.1.block.0.0.weight'"),
        ("resnet152", RESNET50, "missing ['layer2.4.bn1.bias'"),
        (B0, RESNET50, "unexpected ['bn1.bias'"),
    ],
)
def test_files_of_another_network(name, other, message, files):
    refused(name, files[other], message)


def test_broken_and_hostile_files(files, tmp_path):
    path, victim = tmp_path / "x.pth", tmp_path / "victim"
    whole = files[B0].read_bytes()
    for data in (b"nothing", whole[: len(whole) // 2]):
        path.write_bytes(data)
        refused(RESNET50, path, "must be a PyTorch file that holds a state dict")
    call = pickle.dumps({"bn1.bias": Call(open, str(victim), "w")}, 2)
    for data in (call, zipped({"archive/data.pkl": call})):
        path.write_bytes(data)
        refused(RESNET50, path, "open has no place in a state dict")
    assert not victim.exists()


def test_values_that_are_not_finite(tmp_path):
    values = drawn(B0) | {"features.0.1.bias": np.full(32, np.inf, "f4")}
    refused(B0, file_of(values, tmp_path / "x.pth"), "`state_dict['features.0.1.bias']` must hold finite values")


def test_suffixes():
    for name in ("x.pt", "x.pth.tar", "x.bin"):
        with pytest.raises(ValueError, match=rf"one of \[.*'.pth'\]. Received: weights='{name}'"):
            classifier(B0, name)
    with pytest.raises(FileNotFoundError, match="Received: weights='none.pth'"):
        classifier(B0, "none.pth")


@pytest.mark.filterwarnings("ignore:Skipping nested container")  # Keras, on its way to the error
def test_a_keras_file_is_for_keras_network(tmp_path):
    build(B0).save_weights(tmp_path / "x.weights.h5")  # most of it has the same shapes there
    refused(B0, tmp_path / "x.weights.h5", "does not load")
