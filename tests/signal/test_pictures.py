"""Decibels are read from pictures, and pictures are redrawn from them."""

import io

import numpy as np
import pytest
from conftest import STUDY_PICTURES
from PIL import Image

import sonikeras
from sonikeras.signal import chain, pictures

STUDY = sonikeras.SonificationConfig.preset("study")
# From -80 dB to 0, each of the 256 shades in two columns and four rows.
SHADES = np.repeat(np.repeat(np.arange(256)[None], 4, axis=0), 2, axis=1)
DECIBELS = SHADES / 255 * 80 - 80


def drawn(colormap, shades=SHADES):
    return pictures.colors(colormap)[shades].astype(np.uint8)


def as_jpeg(picture, quality=90):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("colormap", ["magma", "gray", "inferno", "gist_stern", "magma_r"])
def test_levels_of_all_colors(colormap):
    db = pictures.decibels(drawn(colormap), colormap)
    assert db.dtype == np.float32 and db.min() == -80 and db.max() == 0
    np.testing.assert_allclose(db, DECIBELS, rtol=0, atol=1e-5)
    np.testing.assert_allclose(pictures.decibels(drawn(colormap), colormap, 60), DECIBELS * 60 / 80, rtol=0, atol=1e-5)


def test_neighboring_shades_may_share_a_color():
    assert np.abs(pictures.decibels(drawn("viridis"), "viridis") - DECIBELS).max() <= 80 / 255 + 1e-5


def test_decibels_are_those_that_were_drawn(photo_audio):
    db = pictures.decibels(sonikeras.picture(photo_audio))
    shown = chain.db_to_picture(chain.audio_to_db(photo_audio, STUDY), STUDY.replace(colormap="gray"))
    np.testing.assert_allclose(db, np.asarray(shown)[..., 0] / 255 * 80 - 80, rtol=0, atol=1e-5)


def test_decibels_of_a_jpeg(photo_audio):
    picture = sonikeras.picture(photo_audio)
    difference = np.abs(pictures.decibels(as_jpeg(picture)) - pictures.decibels(picture))
    assert difference.mean() < 1 and np.quantile(difference, 0.99) < 4  # dB


@pytest.mark.skipif(not STUDY_PICTURES.is_dir(), reason="the study's pictures are not here")
def test_levels_of_the_studys_pictures():
    for path in sorted(STUDY_PICTURES.glob("train/*/Image_1?.png"))[::3]:
        picture = sonikeras.read_image(path, color=True)
        shades = np.rint((pictures.decibels(picture) + 80) * 255 / 80).astype(int)
        np.testing.assert_array_equal(drawn("magma", shades), picture)


@pytest.mark.parametrize("colormap", ["magma", "gray"])
@pytest.mark.parametrize("shorter_side", [None, 30])
def test_redrawn_in_the_same_way_is_resized(photo_audio, colormap, shorter_side):
    arguments = {"image_size": (24, 40), "shorter_side": shorter_side, "interpolation": "bicubic"}
    picture = drawn(colormap, np.rint(pictures.decibels(sonikeras.picture(photo_audio)) * 255 / 80 + 255).astype(int))
    db = pictures.decibels(picture, colormap)
    redrawn = pictures.redraw(db, colormap=colormap, scale="db", **arguments)
    resized = pictures.resize(picture, **arguments)
    assert redrawn.dtype == np.uint8 and redrawn.shape == (24, 40, 3)
    # Grays are not rounded between the two directions.
    assert np.abs(redrawn.astype(int) - resized).max() <= (colormap == "gray")


def test_redrawn_colors_are_those_of_draw():
    size = {"image_size": DECIBELS.shape}
    for colormap in ("magma", "viridis"):
        redrawn = pictures.redraw(DECIBELS.astype(np.float32), colormap=colormap, **size)
        shades = np.minimum(10 ** (DECIBELS / 20) * 256, 255).astype(int)
        np.testing.assert_array_equal(redrawn, drawn(colormap, shades))


def squeezed(values, height, width):
    """Antialiased bilinear resizing: means whose weights fall off linearly from each new pixel."""
    for axis, new in ((0, height), (1, width)):
        old = values.shape[axis]
        centers, scale = (np.arange(new)[:, None] + 0.5) * old / new, old / new
        weights = np.maximum(1 - np.abs(np.arange(old) + 0.5 - centers) / scale, 0)
        values = np.moveaxis(np.tensordot(weights / weights.sum(1, keepdims=True), values, (1, axis)), 0, axis)
    return values


@pytest.fixture
def picture_folder(tmp_path, photo_audio):
    """A folder of two classes of spectrogram pictures as the study drew them."""
    for name, audio in (("a", photo_audio), ("b", photo_audio[::-1].copy())):
        for split in ("train", "test"):
            (tmp_path / split / name).mkdir(parents=True)
            Image.fromarray(sonikeras.picture(audio)).save(tmp_path / split / name / "picture.png")
    return tmp_path


@pytest.mark.parametrize("size", [1, 2, 16, 33, 70])
def test_small_pictures_of_a_batch(size):
    # Of a single band of rows or columns the product of a batch would corrupt memory: TensorFlow's fault.
    db = -80 * np.random.default_rng(0).random((5, 12, 40)).astype("float32")
    rows, columns = pictures.canvas(12, 40, size=(60, 60), image_size=(size, size))
    batch = pictures.draw(db, rows=rows, columns=columns)
    singles = [pictures.draw(each, rows=rows, columns=columns) for each in db]
    assert batch.shape == (5, size, size, 3)
    np.testing.assert_allclose(batch, np.stack(singles), atol=1e-3)


def test_dataset_redraws_pictures(picture_folder):
    arguments = {"data_dir": picture_folder, "stage": "spectrogram", "batch_size": None, "shuffle": False}
    data = sonikeras.dataset(**arguments, colormap="magma", config="matched")
    codes = pictures.colors("magma") @ (1, 1e3, 1e6)
    for path, (x, _) in zip(data.file_paths, data, strict=True):
        picture = sonikeras.read_image(path, color=True)
        shades = np.argsort(codes)[np.searchsorted(np.sort(codes), picture @ (1, 1e3, 1e6))]
        amplitude = squeezed(10 ** ((shades / 255 * 80 - 80) / 20), 224, 224)
        assert x.shape == (224, 224, 3) and x.dtype == "float32"
        np.testing.assert_allclose(x, np.repeat(255 * amplitude[..., None], 3, axis=-1), rtol=0, atol=0.51)
    cropped = sonikeras.dataset(**arguments, colormap="magma", config="matched", shorter_side=256, image_size=200)
    db = pictures.decibels(sonikeras.read_image(cropped.file_paths[0], color=True))
    amplitude = squeezed(10 ** (db / 20), 256, 512)
    np.testing.assert_allclose(next(iter(cropped))[0][..., 0], 255 * amplitude[28:228, 156:356], rtol=0, atol=0.51)
    # Drawn as they were: nothing but a resize.
    for changes in ({"interpolation": "bicubic", "shorter_side": 256}, {"image_size": None}):
        same, plain = (sonikeras.dataset(**arguments, **changes, colormap=name) for name in ("magma", None))
        for (x, _), (expected, _) in zip(same, plain, strict=True):
            np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"colormap": "magmatic"}, "Unknown `colormap`. Allowed values: .*'magma'.*Received: colormap='magmatic'"),
        ({"colormap": 3}, "`colormap` must be None, or .* name of a matplotlib colormap. Received: colormap=3"),
        ({"colormap": ["magma"]}, r"`colormap` must be None, or .* Received: colormap=\['magma'\]"),
        ({"colormap": "magma", "stage": "audio"}, "`colormap` must be None, or with stage='spec.*, stage='audio'"),
        ({"colormap": "magma", "stage": "image"}, "`colormap` must be None, or with stage='spec.*, stage='image'"),
        ({"colormap": "tab10"}, "`colormap` must have a different color for each value.*'tab10' .10 colors"),
        ({"colormap": "twilight"}, "`colormap` must have a different color for each value.*'twilight'"),
        ({"colormap": "magma", "config": STUDY.replace(colormap="none")}, "Unknown `colormap`.*Received.*'none'"),
    ],
)
def test_colormap_of_a_dataset(picture_folder, arguments, message):
    with pytest.raises(ValueError, match=message):
        sonikeras.dataset(**({"data_dir": picture_folder, "stage": "spectrogram"} | arguments))


@pytest.mark.parametrize(
    "picture", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), None, "picture"]
)
def test_levels_of_what_is_no_picture(picture):
    with pytest.raises(ValueError, match=r"`picture` must be a uint8 array of shape .*3\]. Received: shape="):
        pictures.decibels(picture)
