"""Samples of a run: complete, inside the run folder whatever examples are called, and refused where damaged."""

import json

import cv2
import numpy as np
import pytest

import sonikeras
from sonikeras import Report, models
from sonikeras.evaluation import samples
from sonikeras.evaluation.retention import signal_retention
from sonikeras.sources import Examples, read_image
from sonikeras.training import Recipe


def written(folder, tiny_network, *, names=("cat", "dog"), **changes):
    """The samples of two examples of two classes, which a tiny network predicts as the first class."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 16), np.uint8)
    examples = Examples(
        list(names), np.array([0, 0, 1, 1], np.int32), [f"{names[0]}/../{i % 2}" for i in range(4)], list(pixels)
    )
    report = Report(
        tuple(names),
        examples.labels,
        np.zeros(4, int),
        np.eye(2, dtype="float32")[[0] * 4],
        loss=0.0,
        batch_mean_accuracy=0.5,
        history=None,
        seconds=1.0,
    )
    model = models.classifier(tiny_network, 2, weights=None, image_size=64)
    recipe = Recipe(network=tiny_network, config="lossless", image_size=64, **changes)
    samples.write(recipe, examples, report, model, folder)
    return examples


def test_a_run_lists_one_sample_of_each_class(tmp_path, tiny_network):
    examples = written(tmp_path, tiny_network)
    found = samples.load(tmp_path)
    assert [each.index for each in found.samples] == [0, 2] and {each.predicted for each in found.samples} == {"cat"}
    for sample in found.samples:
        image = examples.image(sample.index)
        audio, config = sonikeras.read_audio(sample.audio)
        assert config == sonikeras.SonificationConfig.preset("lossless")
        assert np.array_equal(read_image(sample.image), image)
        assert np.array_equal(read_image(sample.picture, color=True), sonikeras.picture(audio, config))
        assert np.array_equal(
            read_image(sample.reconstruction), sonikeras.desonify(audio, config, size=image.shape[:2])
        )
        assert sample.retention == signal_retention(image, audio, config)
        assert cv2.imread(str(sample.figure)) is not None and cv2.imread(str(sample.attention)) is not None
        assert sample.peak is None or (0 <= sample.peak[0] < config.seconds and 0 <= sample.peak[1] <= 11025)
    assert found.images == 4


def test_the_retention_of_a_run_is_a_median(tmp_path, tiny_network):
    examples = written(tmp_path, tiny_network)
    config = sonikeras.SonificationConfig.preset("lossless")
    kept = [signal_retention(image, sonikeras.sonify(image, config, seed=42), config) for image in examples.items]
    found = samples.load(tmp_path).retention
    assert found.psnr == pytest.approx(np.median([each.psnr for each in kept]), abs=0.1)
    assert found.ssim == pytest.approx(np.median([each.ssim for each in kept]), abs=0.001)


def test_samples_are_what_a_channel_lets_through(tmp_path, tiny_network):
    for name, channel in {"clean": None, "louder": "gain(db=-20)"}.items():
        written(tmp_path / name, tiny_network, channel=channel)
    clean, louder = (
        sonikeras.read_audio(samples.load(tmp_path / name).samples[0].audio)[0] for name in ("clean", "louder")
    )
    assert np.abs(louder).max() == pytest.approx(np.abs(clean).max() / 10, rel=0.01)


@pytest.mark.parametrize("changes", [{"output": "image"}, {"stage": "spectrogram"}, {"stage": "audio"}])
def test_only_audio_made_of_images_has_samples(tmp_path, tiny_network, changes):
    written(tmp_path, tiny_network, **changes)
    with pytest.raises(FileNotFoundError):
        samples.load(tmp_path)


@pytest.mark.parametrize(
    "name", ["/a/abbey", "../up", "a\0b", "C:\\x", "nul.txt", "", "x" * 300, "\udcff", "cat", "$\\frac{$"]
)
def test_samples_stay_in_the_run_folder(tmp_path, tiny_network, name):
    """Whatever classes and images are called, each sample has files of its own, and its name stays legible."""
    folder = tmp_path / "deep" / "run"
    written(folder, tiny_network, names=(name, "CAT"))
    found = sorted(path.relative_to(folder) for path in tmp_path.rglob("*") if path.is_file())
    assert len(found) == 1 + 2 * 6 and len({path.parent for path in found}) == 3
    assert {path.suffix for path in found} == {".json", ".wav", ".png"}
    listed = samples.load(folder).samples
    assert all(path.is_file() for each in listed for path in (each.image, each.audio, each.picture, each.attention))


@pytest.mark.parametrize(
    "change",
    [
        {"image": "../../secret.png"},
        {"audio": "/etc/passwd"},
        {"image": "samples/.hidden"},
        {"psnr": "much"},
        {"index": None},
        {"peak": 3},
    ],
)
def test_a_damaged_list_is_refused(tmp_path, tiny_network, change):
    written(tmp_path, tiny_network)
    path = tmp_path / "samples.json"
    saved = json.loads(path.read_text())
    saved["samples"][0] |= change
    path.write_text(json.dumps(saved))
    with pytest.raises(ValueError, match=r"this one is damaged.*samples.json"):
        samples.load(tmp_path)
    path.write_text(json.dumps(saved | {"format": 9}))
    with pytest.raises(ValueError, match=r"must have format 1. Received: .*samples.json, format 9"):
        samples.load(tmp_path)
