"""Training as the study's: its recipe in Keras against PyTorch, step for step, and each piece of it alone.

What PyTorch gives is in `data/torch_trajectory.npz` (made by `torch_trajectory.py`) or in closed form here; where
PyTorch is installed, it is asked too.
"""

from pathlib import Path

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import torch_trajectory as study

from sonikeras import models
from sonikeras.layers import TorchBatchNormalization

LITE0 = "efficientnet_lite0"
STORED = Path(__file__).parents[1] / "data" / "torch_trajectory.npz"


# The recipe --------------------------------------------------------------------------------------------------

# Measured: 8e-6, 7e-6, 8e-5, 2e-5, 3e-5 and 6e-5.
LIMITS = {
    "features_before": 1e-4,
    "losses": 1e-3,
    "features_after": 1e-3,
    "means": 1e-3,
    "variances": 1e-3,
    "head": 1e-3,
}


def batch_norms(model):
    return [each for each in model.layers if isinstance(each, keras.layers.BatchNormalization)]


def dropouts(model):
    return [each for each in model.layers if isinstance(each, keras.layers.Dropout)]


def replay(momentum=None, **options):
    """The ten steps of `study.trajectory` by Keras' `fit`, with the same pictures, head and noise."""
    model = models.classifier(LITE0, study.CLASSES, image_size=study.SIZE, freeze=True, **options)
    backbone, head = model.get_layer("backbone"), model.get_layer("head")
    head.get_layer("logits").set_weights(study.head())
    norms = batch_norms(backbone)
    for layer in norms:
        layer.momentum = momentum or layer.momentum

    # Blocks in order: the name of a block's dropout is that of the block, and "drop".
    blocks = [layer.name.removesuffix("dwconv") for layer in backbone.layers if layer.name.endswith("_dwconv")]
    keys = {layer.name: blocks.index(layer.name.removesuffix("drop")) for layer in dropouts(backbone)}
    keys |= {layer.name: "head" for layer in dropouts(head)}
    noise = {name: keras.Variable(study.noise(0)[key], trainable=False) for name, key in keys.items()}

    def drop(self, inputs, training=False):
        """`keras.layers.Dropout.call` with given random numbers."""
        if not training:
            return inputs
        batch = keras.ops.shape(inputs)[0]
        kept = keras.ops.cast(noise[self.name][:batch] >= self.rate, inputs.dtype)
        return inputs * keras.ops.reshape(kept, (batch, *(self.noise_shape or inputs.shape)[1:])) / (1 - self.rate)

    losses = []

    class Steps(keras.callbacks.Callback):
        """Hands out the noise of every step, and collects its loss, which Keras averages over the epoch otherwise."""

        def on_train_batch_begin(self, step, logs=None):
            self.model.reset_metrics()
            for name, numbers in noise.items():
                numbers.assign(study.noise(step)[keys[name]])

        def on_train_batch_end(self, step, logs=None):
            losses.append(logs["loss"])

    images, labels = (np.concatenate(arrays) for arrays in zip(*study.batches(), strict=True))
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(study.BATCH)
    result = {"features_before": backbone(study.probe(), training=False).numpy()}
    optimizer = keras.optimizers.Adam(1e-3, epsilon=1e-8)
    optimizer.build(model.trainable_variables)  # which saves Keras a second tracing
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.layers.Dropout, "call", drop)
        model.fit(dataset, callbacks=[Steps()], shuffle=False, verbose=0)
    kernel, bias = head.get_weights()
    return result | {
        "losses": np.array(losses),
        "features_after": backbone(study.probe(), training=False).numpy(),
        "kernel": kernel,
        "bias": bias,
        "means": np.concatenate([layer.moving_mean.numpy() for layer in norms]),
        "variances": np.concatenate([layer.moving_variance.numpy() for layer in norms]),
    }


def differences(result, expected):
    """The largest relative difference of each quantity, in the unit in which it matters."""
    variances = expected["variances"] + 1e-3  # as batch normalization divides, epsilon included
    units = {name: expected[name].std() for name in ("features_before", "features_after")}
    units |= {"losses": expected["losses"], "means": variances**0.5, "variances": variances}
    ways = [np.vstack([run["kernel"], run["bias"]]) - np.vstack(study.head()) for run in (result, expected)]
    found = {name: abs((result[name] - expected[name]) / unit).max() for name, unit in units.items()}
    return found | {"head": np.linalg.norm(ways[0] - ways[1]) / np.linalg.norm(ways[1])}


def exceeded(result, expected):
    return {name: value for name, value in differences(result, expected).items() if not value < LIMITS[name]}


@pytest.fixture(scope="module")
def stored():
    with np.load(STORED) as file:
        return dict(file)


@pytest.fixture(scope="module")
def keras_run():
    return replay(batch_norm="training")


def test_ten_steps_are_pytorchs(keras_run, stored):
    assert not exceeded(keras_run, stored)


def test_ten_steps_are_those_of_the_pytorch_that_is_installed(keras_run, stored):
    pytest.importorskip("torch")
    live = study.trajectory()
    assert live.keys() == stored.keys()
    assert not exceeded(live, stored)
    assert not exceeded(keras_run, live)


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"batch_norm": None}, {"losses", "features_after", "means", "variances", "head"}),
        ({"batch_norm": "training", "momentum": 0.99}, {"features_after", "means", "variances"}),
    ],
    ids=["Keras' freezing", "Keras' momentum"],
)
def test_what_keras_does_by_itself_is_another_training(options, wrong, stored):
    """The comparison can fail, and it tells what went wrong: momentum shows in testing only."""
    found = exceeded(replay(**options), stored)
    assert set(found) == wrong
    assert min(found.values()) > 0.1


# Batch normalization -----------------------------------------------------------------------------------------

CHANNELS = 3
# The batches of a case differ in size, as at an epoch's end.
CASES = [
    # shapes, axis, momentum in PyTorch's sense, epsilon, frozen
    ([(4, 5, 7, CHANNELS), (2, 5, 7, CHANNELS), (4, 5, 7, CHANNELS)], -1, 0.1, 1e-3, True),
    ([(4, 5, 7, CHANNELS), (1, 5, 7, CHANNELS), (4, 5, 7, CHANNELS)], -1, 0.01, 1e-5, False),
    ([(6, CHANNELS, 1, 3), (1, CHANNELS, 1, 3), (3, CHANNELS, 1, 3)], 1, 0.1, 1e-5, True),
    ([(2, 1, 1, CHANNELS), (3, 1, 1, CHANNELS), (4, 1, 1, CHANNELS)], -1, 0.01, 1e-3, False),
]


def numpy_norm(batches, directions, gamma, beta, momentum, epsilon):
    """Training steps in closed form, channels last. Returns outputs, gradients and both averages.

    The gradients are those of `sum(output * direction)` with respect to input, gamma and beta.
    """
    mean, variance = np.zeros(CHANNELS), np.ones(CHANNELS)
    outputs, gradients = [], []
    for x, d in zip(batches, directions, strict=True):
        axes = tuple(range(x.ndim - 1))
        count = x.size / CHANNELS
        deviation = np.sqrt(x.var(axes) + epsilon)
        unit = (x - x.mean(axes)) / deviation
        outputs.append(gamma * unit + beta)
        towards_input = gamma / deviation * (d - d.mean(axes) - unit * (d * unit).mean(axes))
        gradients.append((towards_input, (d * unit).sum(axes), d.sum(axes)))
        mean = (1 - momentum) * mean + momentum * x.mean(axes)
        variance = (1 - momentum) * variance + momentum * x.var(axes) * count / (count - 1)
    outputs.append(gamma * (batches[0] - mean) / np.sqrt(variance + epsilon) + beta)
    return outputs, gradients, mean, variance


def torch_norm(batches, directions, gamma, beta, momentum, epsilon):
    """The same by PyTorch."""
    torch = pytest.importorskip("torch")
    layer = torch.nn.BatchNorm2d(CHANNELS, eps=epsilon, momentum=momentum, dtype=torch.float64)
    layer.load_state_dict({"weight": torch.tensor(gamma), "bias": torch.tensor(beta)}, strict=False)
    outputs, gradients = [], []
    for x, d in zip(batches, directions, strict=True):
        x, d = (torch.tensor(array).permute(0, 3, 1, 2) for array in (x, d))
        y = layer(x.requires_grad_())
        found = torch.autograd.grad((y * d).sum(), (x, layer.weight, layer.bias))
        gradients.append((found[0].permute(0, 2, 3, 1).numpy(), *(each.numpy() for each in found[1:])))
        outputs.append(y.detach().permute(0, 2, 3, 1).numpy())
    layer.eval()
    outputs.append(layer(torch.tensor(batches[0]).permute(0, 3, 1, 2)).detach().permute(0, 2, 3, 1).numpy())
    return outputs, gradients, layer.running_mean.numpy(), layer.running_var.numpy()


@pytest.mark.parametrize("reference", [numpy_norm, torch_norm])
@pytest.mark.parametrize(("shapes", "axis", "momentum", "epsilon", "frozen"), CASES)
def test_batch_normalization_is_pytorchs(shapes, axis, momentum, epsilon, frozen, reference):
    generator = np.random.default_rng(0)
    batches, directions = ([generator.normal(1, 3, shape) for shape in shapes] for _ in range(2))
    gamma, beta = generator.normal(1, 0.3, (2, CHANNELS))
    layer = TorchBatchNormalization(1 - momentum, epsilon, axis=axis, dtype="float64", trainable=not frozen)
    layer.build((None, *shapes[0][1:]))
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    assert len(layer.trainable_variables) == (0 if frozen else 2)

    def last(arrays):
        return [np.moveaxis(array, axis, -1) for array in arrays]

    outputs, gradients = [], []
    for x, d in zip(batches, directions, strict=True):
        x = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch([x, layer.gamma.value, layer.beta.value])
            y = layer(x, training=True)
            objective = tf.reduce_sum(y * d)
        found = tape.gradient(objective, [x, layer.gamma.value, layer.beta.value])
        gradients.append((*last(found[:1]), *found[1:]))
        outputs.append(y)
    outputs = last([*outputs, layer(batches[0], training=False)])
    result = outputs, gradients, layer.moving_mean.numpy(), layer.moving_variance.numpy()
    expected = reference(last(batches), last(directions), gamma, beta, momentum, epsilon)
    for one, other in zip(tf.nest.flatten(result), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of PyTorch
@pytest.mark.parametrize(
    ("policy", "tolerance"),
    [("mixed_float16", 2e-3), ("mixed_bfloat16", 2e-2), ("float16", 2e-3), ("bfloat16", 2e-2), ("float32", 1e-5)],
)
def test_batch_normalization_in_lower_precision(policy, tolerance):
    """The squares of these values exceed float16's range."""
    x = np.random.default_rng(0).normal(100, 500, (4, 5, 5, CHANNELS)).astype("float16").astype("float32")
    layers = [TorchBatchNormalization(trainable=False, dtype=dtype) for dtype in (policy, "float64")]
    outputs, expected = ([np.array(layer(x, training=training), "float64") for training in (True, False)]
                         for layer in layers)  # fmt: skip
    assert layers[0].compute_dtype == layers[0](x).dtype == policy.removeprefix("mixed_")
    if policy.startswith("mixed"):
        assert {variable.dtype for variable in layers[0].variables} == {"float32"}
        averages = [np.array([layer.moving_mean, layer.moving_variance], "float64") for layer in layers]
        np.testing.assert_allclose(*averages, rtol=tolerance)
    if policy != "float16":  # whose moving variance is infinite
        np.testing.assert_allclose(outputs[1], expected[1], rtol=tolerance, atol=10 * tolerance)
    np.testing.assert_allclose(outputs[0], expected[0], rtol=tolerance, atol=tolerance)


def test_batch_normalization_of_a_single_value_is_finite():
    """PyTorch refuses it. A last batch of one picture, on a map of one position, must not spoil a network."""
    layer = TorchBatchNormalization()
    x = np.array([[[[1.0, -2.0, 3.0]]]], "float32")
    np.testing.assert_array_equal(layer(x, training=True), np.zeros_like(x))
    np.testing.assert_allclose(layer.moving_mean, 0.1 * x[0, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, [0.9] * CHANNELS, rtol=1e-6)


def test_batch_normalization_saves_and_loads(tmp_path):
    layer = TorchBatchNormalization(0.99, 1e-3, axis=1, scale=False, trainable=False, name="norm")
    twin = TorchBatchNormalization.from_config(layer.get_config())
    assert twin.get_config() == layer.get_config()
    assert (twin.momentum, twin.epsilon, twin.axis, twin.scale, twin.trainable) == (0.99, 1e-3, 1, False, False)

    inputs = keras.Input((CHANNELS, 4))
    model = keras.Model(inputs, layer(inputs))
    x = np.random.default_rng(0).normal(2, 3, (5, CHANNELS, 4)).astype("float32")
    model(x, training=True)
    model.save(tmp_path / "x.keras")
    loaded = keras.models.load_model(tmp_path / "x.keras")
    assert type(loaded.get_layer("norm")) is TorchBatchNormalization
    assert not loaded.trainable_weights
    for training in (False, True, False):  # the loaded one trains as the first one does
        np.testing.assert_array_equal(loaded(x, training=training), model(x, training=training))


@pytest.mark.parametrize("name", ["renorm", "synchronized"])
def test_batch_normalization_refuses_what_pytorch_has_not(name):
    with pytest.raises(ValueError, match=f"`{name}` must be False.*Received: {name}=True"):
        TorchBatchNormalization(**{name: True})


# The head's first values -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large():
    """A frozen network with a head large enough for statistics."""
    keras.utils.set_random_seed(0)
    return models.classifier(LITE0, 1000, weights=None, image_size=32, freeze=True)


def test_head_starts_as_torchs_linear(large):
    kernel, bias = large.get_layer("head").get_weights()
    limit = 1280**-0.5
    for values in (kernel.ravel(), bias):
        assert abs(values).max() <= limit
        assert scipy.stats.kstest(values, scipy.stats.uniform(-limit, 2 * limit).cdf).pvalue > 1e-3


def test_the_heads_bias_is_drawn_apart_from_its_kernel(large):
    """Keras' initializers draw the same numbers each time: one shared by kernel and bias would repeat them."""
    kernel, bias = large.get_layer("head").get_weights()
    assert abs(np.corrcoef(kernel[0], bias)[0, 1]) < 0.2


def test_head_has_the_bounds_of_the_installed_torch(large):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    linear = torch.nn.Linear(1280, 1000)
    parts = zip(large.get_layer("head").get_weights(), (linear.weight, linear.bias), strict=True)
    for ours, theirs in ((ours.ravel(), theirs.detach().numpy().ravel()) for ours, theirs in parts):
        assert abs(ours).max() == pytest.approx(abs(theirs).max(), rel=1e-2)
        assert scipy.stats.ks_2samp(ours, theirs).pvalue > 1e-3


# Adam --------------------------------------------------------------------------------------------------------

SCALES = 10.0 ** -np.arange(9)  # of the gradients, 1 to 1e-8


def adam(gradients, epsilon):
    """Adam's ways from step to step; `epsilon(t)` is what step `t` adds to the corrected root."""
    first = second = way = np.zeros(len(SCALES))
    ways = []
    for t, gradient in enumerate(gradients, 1):
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        root = np.sqrt(second / (1 - 0.999**t))
        way = way - 1e-3 * first / (1 - 0.9**t) / (root + epsilon(t))
        ways.append(way)
    return np.array(ways)


@pytest.fixture(scope="module")
def gradients():
    return SCALES * np.random.default_rng(0).uniform(0.5, 1.5, (20, len(SCALES)))


def keras_adam(gradients):
    variable = keras.Variable(np.zeros(len(SCALES)), dtype="float64")
    optimizer = keras.optimizers.Adam(1e-3, epsilon=1e-8)
    ways = []
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient, "float64")], [variable])
        ways.append(variable.numpy().copy())
    return np.array(ways)


def torch_adam(gradients):
    torch = pytest.importorskip("torch")
    variable = torch.zeros(len(SCALES), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([variable], 1e-3)
    ways = []
    for gradient in gradients:
        variable.grad = torch.tensor(gradient)
        optimizer.step()
        ways.append(variable.detach().numpy().copy())
    return np.array(ways)


def test_adam_is_keras_up_to_the_place_of_epsilon(gradients):
    """Keras adds epsilon before the correction of the second moment, which makes it larger: 32 times in step 1."""
    np.testing.assert_allclose(keras_adam(gradients), adam(gradients, lambda t: 1e-8 / (1 - 0.999**t) ** 0.5), 1e-5)


def test_adam_is_torchs(gradients):
    np.testing.assert_allclose(torch_adam(gradients), adam(gradients, lambda t: 1e-8), 1e-9)


def test_how_far_keras_adam_is_from_torchs(gradients):
    """A step is shorter by 3.2e-7 / gradient at most: nothing for a gradient of 1e-3, a quarter for one of 1e-6."""
    expected = adam(gradients, lambda t: 1e-8)
    missing = 1 - keras_adam(gradients) / expected
    assert (missing[:, SCALES >= 1e-2] < 1e-4).all()
    assert (missing[:, SCALES >= 1e-4] < 1e-2).all()
    assert 0.1 < missing[0, SCALES == 1e-6] < 0.4
    assert (missing < 3.2e-7 / (0.5 * SCALES) + 1e-5).all()
    assert (np.diff(missing[:, SCALES > 1e-7], axis=0) < 1e-6).all()  # and less from step to step


# Stochastic depth --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "count"),
    [
        (LITE0, 16),
        ("efficientnet_lite1", 21),
        ("efficientnet_lite2", 21),
        ("efficientnet_b0", 16),
        ("efficientnet_b5", 39),
    ],
)
def test_stochastic_depth_is_torchvisions(name, count):
    """Every residual block but the first drops whole samples, the deeper the more often."""
    network = models.spec(name).build((32, 32, 3))
    blocks = [layer.name.removesuffix("dwconv") for layer in network.layers if layer.name.endswith("_dwconv")]
    assert len(blocks) == count
    rates = {layer.name.removesuffix("drop"): layer.rate for layer in dropouts(network)}
    residual = {layer.name.removesuffix("add") for layer in network.layers if layer.name.endswith("_add")}
    assert rates == pytest.approx({b: 0.2 * i / count for i, b in enumerate(blocks) if i and b in residual}, rel=1e-12)
    assert {layer.noise_shape for layer in dropouts(network)} == {(None, 1, 1, 1)}


def test_stochastic_depth_of_a_frozen_network(large):
    """Only training drops, whatever is frozen; a sample is kept, and scaled, or dropped as a whole."""
    backbone = large.get_layer("backbone")
    pictures = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3))
    assert not backbone.trainable_weights
    np.testing.assert_array_equal(*(backbone(pictures, training=False) for _ in range(2)))
    assert not np.array_equal(*(backbone(pictures, training=True) for _ in range(2)))
    for layer in dropouts(backbone):
        kept = layer(np.ones((2000, 2, 1, 3)), training=True).numpy().reshape(2000, -1)
        assert (kept == kept[:, :1]).all()
        np.testing.assert_allclose(np.unique(kept), [0, 1 / (1 - layer.rate)], rtol=1e-6)
        assert abs((kept[:, 0] == 0).mean() - layer.rate) < 4 * (layer.rate * (1 - layer.rate) / 2000) ** 0.5
