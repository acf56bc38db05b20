"""Heat maps: against their formula, for every head, laid back onto image, time and frequency; bad input."""

import keras
import numpy as np
import pytest

import sonikeras
from sonikeras import SonificationConfig, models
from sonikeras.evaluation import plots
from sonikeras.models.saliency import extent, grad_cam, uncropped
from sonikeras.signal import pictures

SIZE = 96


@pytest.fixture(scope="module")
def model():
    """A small network, built of two parts as `models.classifier` builds them."""
    return small()


def small(pooling=keras.layers.GlobalAveragePooling2D):
    keras.utils.set_random_seed(0)
    pictures = keras.Input((SIZE, SIZE, 3))
    maps = keras.layers.Conv2D(8, 16, 16, activation="relu")(keras.layers.Rescaling(1 / 255)(pictures))
    backbone = keras.Model(pictures, pooling()(maps) if pooling else maps, name="backbone")
    features = keras.Input(backbone.output_shape[1:])
    logits = keras.layers.Dense(4, name="logits")(keras.layers.Flatten()(features))
    head = keras.Model(features, logits, name="head")
    return keras.Model(pictures, head(backbone(pictures)), name="classifier")


@pytest.fixture(scope="module")
def batch():
    photo = sonikeras.read_image("docs/images/coffee.png", color=True)
    whole = pictures.resize(photo, image_size=(SIZE, SIZE))
    return np.stack([whole, whole[:, ::-1], 255 - whole]).astype("float32")


def test_with_average_pooling_and_a_linear_head_it_is_the_class_activation_map(batch):
    # Zhou et al., "Learning deep features for discriminative localization", 2016: the head's weights, applied at
    # each place.
    model, classes = models.classifier("efficientnet_lite0", 4, weights=None, image_size=SIZE), [2, 0, 3]
    backbone = model.get_layer("backbone")
    maps = keras.Model(backbone.input, backbone.layers[-1].input).predict_on_batch(batch)
    kernel = model.get_layer("head").get_layer("logits").get_weights()[0]
    expected = np.maximum(np.einsum("bhwc,cb->bhw", maps, kernel[:, classes]), 0)
    expected = np.array(keras.ops.image.resize(expected[..., None], (SIZE, SIZE)))[..., 0]
    highest = expected.max(axis=(1, 2), keepdims=True)
    expected /= np.where(highest > 0, highest, 1)
    np.testing.assert_allclose(grad_cam(model, batch, classes), expected, atol=1e-4)


def test_the_head_with_attention_has_a_heat_map_too(batch):
    model = models.classifier("efficientnet_lite0", 4, head="attention", weights=None, image_size=64)
    check(grad_cam(model, batch[:, :64, :64], 1), (3, 64, 64))


def check(heat, shape):
    assert heat.shape == shape and heat.dtype == np.float32 and heat.min() >= 0
    assert set(heat.max(axis=(1, 2)).tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("pooling", [keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D, None])
def test_each_picture_has_its_own_heat_map_with_any_pooling(pooling, batch):
    model = small(pooling)
    heat = grad_cam(model, batch, 1)
    check(heat, (3, SIZE, SIZE))
    np.testing.assert_allclose(grad_cam(model, batch[1:2], 1)[0], heat[1], atol=1e-5)


def test_the_class_asked_about_is_the_predicted_one_by_default(model, batch):
    predictions = model.predict_on_batch(batch).argmax(axis=1)
    np.testing.assert_array_equal(grad_cam(model, batch), grad_cam(model, batch, predictions))
    one_for_all = grad_cam(model, batch, 3)
    np.testing.assert_array_equal(one_for_all, grad_cam(model, batch, np.array([3, 3, 3])))
    assert np.abs(one_for_all - grad_cam(model, batch, 0)).max() > 0.1


def test_heat_is_where_the_class_shows():
    # Class 1 is brightness, and the right lower part is bright.
    model, picture = small(), np.zeros((1, SIZE, SIZE, 3))
    picture[:, 64:, 48:] = 255
    convolution = model.get_layer("backbone").layers[2]
    convolution.set_weights([np.ones_like(weights) * (i == 0) for i, weights in enumerate(convolution.get_weights())])
    model.get_layer("head").get_layer("logits").set_weights([np.tile([0.0, 1, 0, 0], (8, 1)), np.zeros(4)])
    heat = grad_cam(model, picture)[0]
    assert heat[72:, 56:].min() == 1 and heat[:56].max() == heat[:, :40].max() == 0


def test_a_loaded_model_has_the_same_heat_map(model, batch, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(grad_cam(loaded, batch), grad_cam(model, batch), atol=1e-5)


def test_where_nothing_speaks_for_a_class_the_map_is_empty(batch):
    model = small()
    logits = model.get_layer("head").get_layer("logits")
    logits.set_weights([-np.abs(logits.get_weights()[0]), np.zeros(4)])
    assert (grad_cam(model, batch, 0) == 0).all()


def test_an_averaged_model_is_named(model, batch):
    averaged = models.averaged_over_flips(model)
    with pytest.raises(ValueError, match=r"layers 'backbone' and 'head'.*averaged.*Received: a Functional"):
        grad_cam(averaged, batch)
    inner = averaged.get_layer("classifier")
    np.testing.assert_array_equal(grad_cam(inner, batch, 0), grad_cam(model, batch, 0))


@pytest.mark.parametrize(
    ("pictures", "classes", "message"),
    [
        (np.zeros((SIZE, SIZE, 3)), None, r"`pictures` must have shape \(batch, 96, 96, 3\).*\(96, 96, 3\)"),
        (np.zeros((1, 64, 64, 3)), None, r"Received: pictures of shape \(1, 64, 64, 3\)"),
        (np.zeros((0, SIZE, SIZE, 3)), None, "one picture or more"),
        (np.zeros((2, SIZE, SIZE, 3)), 4, "from 0 to 3.*Received: classes=4"),
        (np.zeros((2, SIZE, SIZE, 3)), [0, -1], r"from 0 to 3.*Received: classes=\[0, -1\]"),
        (np.zeros((2, SIZE, SIZE, 3)), [0, 1, 2], "2 integers, one a picture"),
        (np.zeros((2, SIZE, SIZE, 3)), 0.5, "Received: classes=0.5"),
    ],
)
def test_bad_pictures_and_classes_are_named(model, pictures, classes, message):
    with pytest.raises(ValueError, match=message):
        grad_cam(model, pictures, classes)


# Back onto the image


@pytest.mark.parametrize("shorter_side", [None, 64, 80])
def test_a_heat_map_lies_where_the_picture_showed_it(shorter_side):
    # A picture goes the way to the network and back: what is left lies where it lay.
    picture_size, image_size = (120, 240), (64, 64)
    y, x = np.mgrid[:120, :240]
    picture = (255 * np.exp(-((y - 70) ** 2 + (x - 130) ** 2) / 200)).astype("float32")
    fed = pictures.resize(picture, image_size=image_size, shorter_side=shorter_side)
    back = uncropped(fed / 255, picture_size, shorter_side=shorter_side)
    assert back.shape == picture_size and back.dtype == np.float32
    center = [np.average(places, weights=back) for places in (y, x)]
    assert center == pytest.approx([70, 130], abs=1)


def test_what_was_cut_off_is_zero():
    back = uncropped(np.ones((64, 64)), (100, 200), shorter_side=64)
    assert (back[:, 55:145] == 1).all() and (back[:, :45] == 0).all() and (back[:, 155:] == 0).all()
    assert (uncropped(np.ones((64, 64)), (100, 200)) == 1).all()


def test_it_takes_the_size_of_the_image():
    assert uncropped(np.ones((64, 64)), (512, 512), size=(30, 500)).shape == (30, 500)
    with pytest.raises(ValueError, match="`shorter_side`"):
        uncropped(np.ones((64, 64)), (100, 200), shorter_side=32)


def test_a_place_of_the_image_is_the_same_place_of_the_picture():
    # White in one corner is in the audio, and drawn in that corner.
    for name in sonikeras.presets():
        image = np.zeros((60, 80), np.uint8)
        image[6:18, 56:72] = 255
        config = SonificationConfig.preset(name)
        picture = sonikeras.picture(sonikeras.sonify(image, config), config).astype(float).sum(axis=-1)
        bright = (picture > 0.8 * picture.max()).astype("float32")
        on_image = uncropped(bright, bright.shape, size=image.shape)
        rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
        center = np.average(rows, weights=on_image), np.average(columns, weights=on_image)
        assert center == pytest.approx((11.5, 63.5), abs=1.5)


# Onto time and frequency


def place_of_a_beep(config, seconds, hertz):
    """Where a picture shows a beep, as fractions of its height and width."""
    time = np.arange(config.samples) / config.sample_rate
    beep = 0.5 * np.sin(2 * np.pi * hertz * time) * np.exp(-(((time - seconds) / 0.02) ** 2))
    picture = sonikeras.picture(beep.astype("float32"), config).astype(float).sum(axis=-1)
    picture[picture < 0.75 * picture.max()] = 0
    height, width = picture.shape
    row, column = (np.average(places, weights=picture) for places in np.mgrid[:height, :width] + 0.5)
    return row / height, column / width


@pytest.mark.parametrize("name", [name for name in sonikeras.presets() if name != "scan"])
@pytest.mark.parametrize(("seconds", "hertz"), [(1.0, 3000.0), (2.1, 8000.0)])
def test_a_beep_is_drawn_where_the_extent_says(name, seconds, hertz):
    config = SonificationConfig.preset(name)
    down, across = place_of_a_beep(config, seconds, hertz)
    start, end, low, high = extent(config)
    assert start + across * (end - start) == pytest.approx(seconds, abs=0.006)
    assert high - down * (high - low) == pytest.approx(hertz, abs=15)


@pytest.mark.parametrize(("seconds", "hertz"), [(0.25, 1000.0), (0.75, 4000.0)])
def test_a_beep_of_a_scan_is_drawn_where_the_extent_says(seconds, hertz):
    config = SonificationConfig.preset("scan")
    down, across = place_of_a_beep(config, seconds, hertz)
    start, end, low, high = extent(config)
    assert start + across * (end - start) == pytest.approx(seconds, abs=0.006)
    assert high * (low / high) ** down == pytest.approx(hertz, rel=0.02)


# Figure


@pytest.mark.parametrize("shape", [(8, 8), (20, 60, 3), (60, 20, 3), (5, 100)])
def test_attention_draws_any_image(shape, tmp_path):
    rng = np.random.default_rng(0)
    image, picture = (rng.integers(0, 255, each, np.uint8) for each in (shape, (60, 120, 3)))
    heats = [np.linspace(0, 1, height * width).reshape(height, width) for height, width in (shape[:2], (60, 120))]
    path = tmp_path / "attention.png"
    plots.attention(image, heats[0], picture, heats[1], (0, 2.95, 0, 11025), path, title="$x")
    assert path.read_bytes().startswith(b"\x89PNG")
    plots.attention(image, 0 * heats[0], picture, 0 * heats[1], (0, 2.95, 0, 11025), path)
    with pytest.raises(ValueError, match="`picture_heat` must have the height and width.*Received"):
        plots.attention(image, heats[0], picture, heats[1].T, (0, 2.95, 0, 11025), path)
