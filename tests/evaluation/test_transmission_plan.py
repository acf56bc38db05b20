"""The runs that measure transmission: their points, their JPEG files, and their configs."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

import sonikeras
from sonikeras import channels
from sonikeras.evaluation import transmission
from sonikeras.evaluation.jpeg import best_fitting, file_names, jpegs, write_folder
from sonikeras.evaluation.transmission import TransmissionPlan, with_bins
from sonikeras.training import Recipe

RECIPE = Recipe(network="efficientnet_lite0", data=None, images_per_class=10, config="lossless", image_size=64)


@pytest.fixture
def recipe(image_folder):
    return dataclasses.replace(RECIPE, data_dir=str(image_folder(count=10)))


def test_bytes_are_those_of_all_classes(recipe, monkeypatch):
    monkeypatch.setattr(transmission, "_MEASURED", 2)
    plan = TransmissionPlan(recipe, Path("out"))
    (batch,) = recipe.dataset("test", output="audio", shuffle=False)
    audio, labels = (array.numpy() for array in batch)
    assert labels.tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(plan._audio, audio[[0, -1]])
    codec = channels.MP3(kbps=32)
    plan.add_codec(codec)
    sizes = [len(codec.encode(each, 22050)) for each in audio[[0, -1]]]
    assert plan.points == [("bytes", "MP3", "mp3(kbps=32)", np.mean(sizes), "bytes/mp3(kbps=32)")]


def test_points_and_their_runs(recipe):
    plan = TransmissionPlan(recipe, Path("out"))
    plan.add_noise(10)
    plan.add_pcm()
    plan.add_jpeg((1, 10**5, 10**6))
    plan.add_lengths((64,), (129,))
    plan.add_other("telephone")
    assert [point.run for point in plan.points] == [
        "noise/noise(snr=10)", "clean", "bytes/jpeg-100000", "frames/64", "bins/129", "clean", "clean",
        "other/telephone",
    ]  # fmt: skip
    assert plan.not_fitting == ["1 bytes: 18 of 18 images do not fit as JPEG at any quality."]
    assert [f"{config.frames} x {config.bins}" for config in plan.lengths] == ["128 x 128", "64 x 512", "128 x 512"]
    runs = {run.name: run for run in plan.runs((42, 43))}
    points = {"image", *(point.run for point in plan.points)}
    assert set(runs) == {f"{name}/{seed}" for name in points for seed in (42, 43)}
    assert runs["image/43"].recipe == dataclasses.replace(recipe, output="image", seed=43)
    assert runs["noise/noise(snr=10)/42"].recipe == dataclasses.replace(recipe, channel="noise(snr=10)", seed=42)
    assert runs["frames/64/42"].recipe.config == plan.config.replace(frames=64)
    jpeg = runs["bytes/jpeg-100000/42"].recipe
    assert (jpeg.output, jpeg.data_dir) == ("image", str(Path("out/jpeg/100000")))

    plan.write_jpeg()
    best = {
        path.relative_to("out/jpeg/100000/test").with_suffix("").as_posix(): path
        for path in Path("out/jpeg").glob("*/test/*/*")
    }
    assert set(best) == set(file_names(plan.test)) == set(plan.full_names())
    image = cv2.imread(str(best[file_names(plan.test)[0]]), cv2.IMREAD_GRAYSCALE)
    assert np.abs(image.astype(int) - plan.test.image(0)).max() <= 3  # quality 100
    assert plan.image_sizes() == [(60, 80)]


def test_a_folder_is_made_of_what_is_missing():
    root = Path("folder")
    files = {root / "a" / "1.jpg": b"1", root / "b" / "2.jpg": b"2"}
    write_folder(root, files)
    before = {path: path.stat().st_mtime_ns for path in files}
    (root / "c").mkdir()
    (root / "c" / "3.jpg").write_bytes(b"3")
    write_folder(root, files)
    assert before == {path: path.stat().st_mtime_ns for path in files} and not (root / "c").exists()
    write_folder(root, files | {root / "a" / "1.jpg": b"4"})
    assert (root / "a" / "1.jpg").read_bytes() == b"4" and (root / "b" / "2.jpg").stat().st_mtime_ns == before[
        root / "b" / "2.jpg"
    ]


def test_jpeg_is_the_best_that_fits(photo):
    sizes = list(map(len, jpegs(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)[:100, :100])))
    assert len(sizes) == 100 and best_fitting(sizes, sizes[59]) == 59 and sizes[59] < sizes[60]
    assert best_fitting(sizes, min(sizes) - 1) is None and best_fitting(sizes, 10**6) == 99


@pytest.mark.parametrize("preset", [name for name in sonikeras.presets() if name != "scan"])  # it has no windows
def test_lengths_keep_the_proportions_of_the_chain(preset, photo):
    config = sonikeras.SonificationConfig.preset(preset)
    assert with_bins(config, config.fft_length // 2 + 1) == config
    short = with_bins(config, config.fft_length // 8 + 1)
    assert short.fft_length == config.fft_length // 4 and short.seconds == pytest.approx(config.seconds / 4)
    assert short.analysis.frame_length / short.frame_length == config.analysis.frame_length / config.frame_length
    assert sonikeras.sonify(photo, short).shape == (short.samples,)
