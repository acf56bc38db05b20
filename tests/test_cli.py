"""The command line does what its functions do, and says what is wrong in one line."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import sonikeras
from sonikeras.cli import main


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


def test_prepare_goes_on_where_it_stopped(monkeypatch):
    arguments = ["prepare", "c2", "out", "--images-per-class", "5"]
    from sonikeras import preparation

    original, calls = preparation.write_image, []

    def fail_at_third(path, image):
        calls.append(path)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        original(path, image)

    monkeypatch.setattr(preparation, "write_image", fail_at_third)
    with pytest.raises(SystemExit, match="No space left"):
        main(arguments)
    done = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.png")}
    assert 2 <= len(done) < 8
    monkeypatch.setattr(preparation, "write_image", original)
    main(arguments)
    files = sorted(str(path.relative_to("out")) for path in Path("out").rglob("*") if path.is_file())
    files.remove("prepare.json")
    assert len(files) == 20 and not [name for name in files if Path(name).name.startswith(".")]
    assert {Path(name).parts[:2] for name in files} == {(s, c) for s in ("train", "test") for c in ("cat", "dog")}
    assert all(path.stat().st_mtime_ns == time for path, time in done.items())
    audio, config = sonikeras.read_audio("out/" + [name for name in files if name.endswith(".wav")][0])
    assert config == sonikeras.SonificationConfig() and len(audio) == config.samples
    with pytest.raises(SystemExit, match=r"made in the same way.*'config.reference': \('max', 'absolute'\)"):
        main([*arguments, "--config", "matched"])


def test_prepare_a_folder_with_a_bad_image(image_folder, capsys):
    root = image_folder(count=6)
    (root / "ant" / "picture2.png").write_text("no image")
    with pytest.raises(SystemExit, match=r"must be a whole PNG.*picture2\.png"):
        main(["prepare", "all", "out", "--data-dir", str(root)])
    with pytest.warns(UserWarning, match="1 of .* files are left out"):
        main(["prepare", "all", "--data-dir", str(root), "out", "--on-error", "skip"])
    assert f"left out: {root / 'ant' / 'picture2.png'}" in capsys.readouterr().out
    assert len(list(Path("out").rglob("*.wav"))) == 11


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
        (["sonify", "photo.png", "a.wav", "--config", "best"], "Unknown `preset`. Allowed values"),
        (["sonify", "photo.png", "a.wav", "--engine", "best"], "Unknown `engine`. Allowed values"),
        (["picture", "none.wav", "a.png"], "There is no such sound file"),
        (["picture", "photo.png", "a.png"], "must be a whole WAV"),
        (["prepare", "c3", "out"], "Unknown data set. Allowed values"),
        (["prepare", "all", "out"], "Unknown data set. Allowed values"),
    ],
)
def test_errors_are_one_line(photo_file, arguments, message):
    with pytest.raises(SystemExit, match=f"sonikeras: error: .*{message}"):
        main(arguments)


def test_as_a_module():
    result = subprocess.run([sys.executable, "-m", "sonikeras", "--help"], capture_output=True, text=True, check=True)
    assert all(command in result.stdout for command in ("sonify", "picture", "desonify", "prepare", "info"))
