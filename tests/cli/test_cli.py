"""The command line does what its functions do, and says what is wrong in one line."""

import argparse
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import sonikeras
from sonikeras.cli.main import main


@pytest.fixture
def photo_file(photo):
    cv2.imwrite("photo.png", photo[..., ::-1])
    return "photo.png"


def test_sonify_picture_desonify(photo_file):
    main(["sonify", photo_file, "photo.wav", "--config", "matched", "--seed", "3"])
    audio, config = sonikeras.read_audio("photo.wav")
    assert config == sonikeras.SonificationConfig.preset("matched")
    expected = sonikeras.sonify(sonikeras.read_image(photo_file), "matched", seed=3)
    np.testing.assert_allclose(audio, expected, atol=1 / 32768)
    main(["picture", "photo.wav", "picture.png"])
    np.testing.assert_array_equal(cv2.imread("picture.png")[..., ::-1], sonikeras.picture(audio, config))
    main(["desonify", "photo.wav", "back.png"])
    np.testing.assert_array_equal(cv2.imread("back.png", 0), sonikeras.desonify(audio, config))
    main(["desonify", "photo.wav", "back.jpg", "--size", "64x48"])
    assert cv2.imread("back.jpg", 0).shape == (48, 64)
    main(["picture", "photo.wav", "study.png", "--config", "study"])
    assert cv2.imread("study.png").shape == (600, 1200, 3)


def test_prepare(image_folder, capsys):
    root = image_folder(count=6)
    (root / "ant" / "picture2.png").write_text("no image")
    arguments = ["prepare", "all", "out", "--data-dir", str(root), "--config", "lossless", "--no-cache"]
    with pytest.raises(SystemExit, match=r"must be a whole PNG.*picture2\.png"):
        main(arguments)
    arguments += ["--on-error", "skip"]
    with pytest.warns(UserWarning, match="1 of 12 images are left out"):
        main(arguments)
    assert f"left out: {root / 'ant' / 'picture2.png'}" in capsys.readouterr().out
    assert len(list(Path("out").rglob("*.wav"))) == len(list(Path("out").rglob("*.png"))) == 11
    with pytest.raises(SystemExit, match=r"made in the same way.*'config.reference': \('absolute', 'max'\)"):
        main([*arguments, "--config", "study"])
    arguments[2:3] = ["records", "--format", "tfrecord", "--shard-size", "5", "--shard", "1/2"]
    arguments += ["--audio-format", "wav", "--no-pictures", "--verify"]
    main(arguments)
    assert Path("records/manifest-00001-of-00002.csv").exists()
    with pytest.raises(SystemExit):
        main([*arguments, "--shard", "2/2"])
    assert "must be INDEX/COUNT" in capsys.readouterr().err


def test_duplicates(photo, capsys):
    for split, shift in (("train", 0), ("test", 1)):
        for name, left in (("ant", 0), ("bee", 300)):
            Path(split, name).mkdir(parents=True)
            crop = photo[: 200 + shift, left + 150 * shift * (name == "bee") :][:, :150]
            cv2.imwrite(f"{split}/{name}/{split}.png", crop[..., ::-1])
    main(["duplicates", "all", "--data-dir", "."])
    *_, pair, count = capsys.readouterr().out.splitlines()
    assert pair.split("  ")[1:] == ["train/ant/train.png", "test/ant/test.png"] and float(pair.split()[0]) > 0.99
    assert count == "Near-duplicate pairs of a training and a test image: 1"


def test_info(capsys):
    main(["info"])
    output = capsys.readouterr().out
    for text in (
        sonikeras.__version__,
        "study, matched, lossless",
        "auto: numba for study",
        "efficientnet_lite0",
        "cache",
    ):
        assert text in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sonify", "none.png", "a.wav"], "none.png"),
        (["sonify", "photo.png", "a.txt"], "must end in one of"),
        (["sonify", "photo.png", "a.wav", "--config", "best"], "Allowed presets: "),
        (["sonify", "photo.png", "a.wav", "--engine", "best"], "Unknown `engine`. Allowed values"),
        (["picture", "none.wav", "a.png"], "There is no such sound file"),
        (["picture", "photo.png", "a.png"], "must be a whole WAV"),
        (["prepare", "c3", "out"], "Unknown data set. Allowed values"),
    ],
)
def test_errors_are_one_line(photo_file, arguments, message):
    with pytest.raises(SystemExit, match=f"sonikeras: error: .*{message}"):
        main(arguments)


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"sonikeras {sonikeras.__version__}\n"


@pytest.mark.parametrize("arguments", [["info"], ["--help"], ["--version"]])
def test_answers_at_once_without_keras(arguments):
    script = (
        "import sys; from sonikeras.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'keras', 'tensorflow', 'numba', 'librosa'} & set(sys.modules), sorted(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_as_a_module():
    result = subprocess.run([sys.executable, "-m", "sonikeras", "--help"], capture_output=True, text=True, check=True)
    assert all(
        command in result.stdout for command in ("sonify", "picture", "desonify", "prepare", "duplicates", "info")
    )


def test_a_config_option_takes_a_preset_or_a_file(tmp_path):
    from sonikeras.cli import options

    path = str(tmp_path / "mine.json")
    sonikeras.SonificationConfig.preset("matched").replace(iterations=3).save(path)
    assert [options.config(text) for text in ("lossless", path)] == ["lossless", path]
    for text, message in ((str(tmp_path / "none.json"), "none.json"), ("loud", "Allowed presets: ")):
        with pytest.raises(argparse.ArgumentTypeError, match=message):
            options.config(text)
