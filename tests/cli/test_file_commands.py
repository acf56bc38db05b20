"""Commands on many files: each output has its place, what fails is named and the others are done; volume and mixing."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile
from scipy.stats import spearmanr

import sonikeras
from sonikeras.cli.main import main
from sonikeras.sources import write_image


@pytest.fixture
def images(photo):
    """Small images in files and folders."""
    for i, path in enumerate(["a.png", "b.jpg", "photos/c.png", "photos/deeper/c.bmp", "photos/notes.txt", "bad.png"]):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if path in ("photos/notes.txt", "bad.png"):
            Path(path).write_text("no image")
        else:
            write_image(path, photo[40 * i :][:64, :48])


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def peak_dbfs(path):
    return 20 * np.log10(np.abs(soundfile.read(path)[0]).max())


def test_files_and_folders_are_written_to_a_folder(images, capsys):
    main(["sonify", "a.png", "b.jpg", "photos", "-o", "out/sounds", "--config", "lossless"])
    assert files("out/sounds") == ["a.wav", "b.wav", "c.wav", "deeper/c.wav"]
    audio, config = sonikeras.read_audio("out/sounds/deeper/c.wav")
    expected = sonikeras.sonify(sonikeras.read_image("photos/deeper/c.bmp"), "lossless")
    np.testing.assert_allclose(audio, expected, atol=1.01 / 32768)
    assert config == sonikeras.SonificationConfig.preset("lossless")

    main(["desonify", "out/sounds", "--size", "48x64", "-o", "back"])
    assert files("back") == ["a.png", "b.png", "c.png", "deeper/c.png"]
    assert sonikeras.read_image("back/deeper/c.png").shape == (64, 48)
    main(["picture", "out/sounds/a.wav", "out/sounds/deeper", "--output", "pictures"])
    assert files("pictures") == ["a.png", "c.png"]
    np.testing.assert_array_equal(
        sonikeras.read_image("pictures/c.png", color=True), sonikeras.picture(audio, "lossless")
    )
    assert capsys.readouterr() == ("", "")


def test_options_may_stand_between_the_paths(images):
    main(["sonify", "a.png", "--config", "lossless", "a.wav"])
    main(["sonify", "--config", "lossless", "a.png", "--seed", "3", "-o", "out", "b.jpg"])
    assert Path("a.wav").exists() and files("out") == ["a.wav", "b.wav"]


def test_what_fails_is_named_and_the_others_are_done(images, capsys):
    with pytest.raises(SystemExit) as end:
        main(["sonify", "bad.png", "a.png", "none.png", "b.jpg", "-o", "out", "--config", "lossless"])
    assert end.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and all(line.startswith("sonikeras: error: ") for line in lines)
    assert "bad.png" in lines[0] and "none.png" in lines[1]
    assert files("out") == ["a.wav", "b.wav"]


def test_errors_that_name_no_file_get_its_name(images, capsys):
    with pytest.raises(SystemExit):
        main(["sonify", "a.png", "-o", "out", "--config", "lossless", "--normalize", "-2 LUFS"])
    assert capsys.readouterr().err.startswith("sonikeras: error: a.png: `normalize` must be at most ")
    assert files("out") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.png", "photos/../a.png", "copy/a.jpg"], r"same output.* Received: a\.png and copy/a\.jpg for out.a\.wav"),
        (["a.png", "copy/A.jpg"], r"same output.* Received: a\.png and copy/A\.jpg for out.A\.wav"),
        (["photos", "photos/deeper"], r"same output.* Received: photos/c\.png and photos/deeper/c\.bmp"),
        (["empty"], r"A folder must contain files with one of \['.png', .* Received: empty"),
    ],
)
def test_outputs_are_checked_before_the_work(images, arguments, message):
    for name in ("copy", "empty"):
        Path(name).mkdir()
    with pytest.raises(SystemExit, match=f"^sonikeras: error: .*{message}"):
        main(["sonify", *arguments, "-o", "out", "--config", "lossless"])
    assert not Path("out").exists()


def test_the_same_file_twice_is_one(images):
    main(["sonify", "a.png", "./a.png", "-o", "out", "--config", "lossless"])
    assert files("out") == ["a.wav"]


def test_an_output_folder_that_is_a_file(images):
    with pytest.raises(SystemExit, match="`-o` must be a folder. Received: b.jpg"):
        main(["sonify", "a.png", "-o", "b.jpg"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.png"], "Received: 1 path"),
        (["a.png", "b.jpg", "out"], "Received: 3 paths"),
        (["a.png", "a.wav", "--nothing"], "unrecognized arguments: --nothing"),
        (["a.png", "a.wav", "--normalize", "loud"], "must be a peak in -90..0 dBFS"),
        (["a.png", "a.wav", "--mix-level", "3"], "--mix-level and --mix-start need --mix"),
        (["a.png", "a.wav", "--mix-start", "3"], "--mix-level and --mix-start need --mix"),
        (["a.png", "a.wav", "--sample-rate", "fast"], "invalid int value"),
    ],
)
def test_wrong_options_end_with_status_2(images, capsys, arguments, message):
    with pytest.raises(SystemExit) as end:
        main(["sonify", *arguments])
    assert end.value.code == 2
    assert message in capsys.readouterr().err
    assert not Path("a.wav").exists()


def test_what_would_clip_can_be_normalized():
    arguments = ["sonify", "white.png", "a.wav", "--config", "matched", "--duration", "0.01"]
    write_image("white.png", np.full((40, 60), 255, np.uint8))
    with pytest.raises(SystemExit, match=r"clipped: `normalize='-1 dBFS'` attenuates it. Received: a peak of 1\."):
        main(arguments)
    main([*arguments, "--normalize", "-1 dBFS"])
    audio, config = sonikeras.read_audio("a.wav")
    assert np.abs(audio).max() > 1 and sonikeras.desonify(audio, config).mean() > 240


@pytest.mark.parametrize(("level", "arguments"), [(-1, ["--normalize", "-1 dBFS"]), (-3.5, ["--normalize=-3.5dbfs"])])
def test_normalize(images, level, arguments):
    main(["sonify", "a.png", "a.wav", "--config", "lossless", *arguments])
    assert peak_dbfs("a.wav") == pytest.approx(level, abs=0.01)
    expected = sonikeras.sonify(sonikeras.read_image("a.png"), "lossless")
    np.testing.assert_allclose(sonikeras.read_audio("a.wav")[0], expected, atol=1 / 32768)


def test_mix(images, capsys):
    hum = 0.05 * np.sin(np.arange(5 * 44100) * 0.02)
    soundfile.write("hum.wav", np.stack([hum, hum], axis=1), 44100)
    arguments = ["sonify", "a.png", "mix.wav", "--config", "lossless", "--mix", "hum.wav"]
    main([*arguments, "--mix-level", "-10", "--mix-start", "1"])
    assert capsys.readouterr() == ("", "")
    mixed, rate = soundfile.read("mix.wav")
    assert mixed.shape == (5 * 22050, 2) and rate == 22050
    audio = sonikeras.sonify(sonikeras.read_image("a.png"), "lossless")
    read, config = sonikeras.read_audio("mix.wav")
    hum = sonikeras.read_audio("hum.wav")[0] * read.std() / mixed.std()
    difference = (read - hum)[22050:][: config.samples]
    np.testing.assert_allclose(difference, audio, atol=1e-3)

    main([*arguments, "--mix-level", "40"])
    assert capsys.readouterr().out.startswith("mix.wav: attenuated by ")
    assert peak_dbfs("mix.wav") == pytest.approx(0, abs=0.01)
    main([*arguments, "--mix-level", "40", "--normalize", "-6 dBFS"])
    assert capsys.readouterr().out == ""
    assert peak_dbfs("mix.wav") == pytest.approx(-6, abs=0.01)


def test_a_recording_is_checked_before_the_work(images):
    with pytest.raises(SystemExit, match="no such sound file. Received: none.wav"):
        main(["sonify", "a.png", "-o", "out", "--mix", "none.wav"])
    assert not Path("out").exists()


def test_fields_of_the_config_are_options(images):
    arguments = ["--sample-rate", "44100", "--min-freq", "300", "--max-freq", "9000", "--frequency-scale", "mel"]
    main(["sonify", "a.png", "a.wav", "--config", "lossless", *arguments])
    assert sonikeras.read_audio("a.wav")[1] == sonikeras.SonificationConfig.preset("lossless").replace(
        sample_rate=44100, min_freq=300, max_freq=9000, frequency_scale="mel"
    )


@pytest.mark.parametrize("duration", [0.3, 1.5])
def test_a_duration_fits_the_raster_to_each_image(photo, duration):
    for name, size in {"wide": (40, 120), "tall": (120, 40)}.items():
        write_image(f"{name}.png", photo[: size[0], : size[1]])
    main(["sonify", "wide.png", "tall.png", "-o", "out", "--config", "lossless", "--duration", str(duration)])
    shapes = {}
    for name in ("wide", "tall"):
        audio, config = sonikeras.read_audio(f"out/{name}.wav")
        image = sonikeras.read_image(f"{name}.png")
        assert config == sonikeras.SonificationConfig.for_image(image, "lossless", duration)
        assert len(audio) / 22050 == pytest.approx(duration, abs=config.frame_step / 22050)
        shapes[name] = config.image_shape
    assert shapes["wide"][1] > 2 * shapes["wide"][0] and shapes["tall"][0] > 2 * shapes["tall"][1]


def test_colors_are_carried_and_come_back(images):
    main(["sonify", "a.png", "a.wav", "--config", "lossless", "--color", "rgb"])
    audio, config = sonikeras.read_audio("a.wav")
    assert config == sonikeras.SonificationConfig.preset("lossless").replace(color="rgb")
    expected = sonikeras.sonify(sonikeras.read_image("a.png", color=True), config)
    np.testing.assert_allclose(audio, expected, atol=1.01 / 32768)
    main(["desonify", "a.wav", "back.png", "--size", "48x64"])
    back, image = (sonikeras.read_image(path, color=True).astype(int) for path in ("back.png", "a.png"))
    assert np.abs(back - image).mean() < 5


def test_stereo(images):
    main(["sonify", "a.png", "a.wav", "--config", "lossless", "--stereo", "--normalize", "-1 dBFS"])
    assert soundfile.read("a.wav")[0].shape == (66048, 2)
    expected = sonikeras.sonify(sonikeras.read_image("a.png", color=True), "lossless")
    np.testing.assert_allclose(sonikeras.read_audio("a.wav")[0], expected, atol=1e-4)


def test_the_config_that_options_need_is_the_default(images):
    main(["sonify", "a.png", "gray.wav"])
    main(["sonify", "a.png", "color.wav", "--color", "ycbcr"])
    config = sonikeras.SonificationConfig.preset("matched").replace(color="ycbcr")
    assert sonikeras.read_audio("gray.wav")[1] == sonikeras.SonificationConfig.preset("study")
    assert sonikeras.read_audio("color.wav")[1] == config


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--color", "ycbcr", "--config", "study"], "With `color`, `reference` must be"),
        (["--min-freq", "900", "--max-freq", "300"], "`min_freq` must be below `max_freq`"),
        (["--max-freq", "20000"], "at most half of `sample_rate`, 11025"),
        (["--frequency-scale", "log"], "`min_freq` must be above 0"),
        (["--duration", "-1"], "`duration` must be a number of seconds above 0"),
        (["--duration", "1e9"], "must keep to the limit `config_cells`"),
        (["--sample-rate", "0"], "`sample_rate` must be an integer of at least 1"),
    ],
)
def test_fields_that_are_not_valid(images, arguments, message):
    with pytest.raises(SystemExit, match=f"^sonikeras: error: .*{message}"):
        main(["sonify", "a.png", "a.wav", *arguments])
    assert not Path("a.wav").exists()


@pytest.mark.slow
def test_a_poster_from_one_command(photo):
    """Ten seconds, 200 Hz to 12 kHz on a logarithmic axis: the spectrogram shows the poster."""
    write_image("poster.png", cv2.resize(photo, (1600, 1200), interpolation=cv2.INTER_CUBIC))
    band = ["--sample-rate", "44100", "--min-freq", "200", "--max-freq", "12000", "--frequency-scale", "log"]
    main(["sonify", "poster.png", "poster.wav", "--duration", "10", *band, "--normalize", "-1 dBFS"])
    audio, config = sonikeras.read_audio("poster.wav")
    assert len(audio) / 44100 == pytest.approx(10, abs=0.05)
    back = sonikeras.desonify(audio, config)
    image = cv2.resize(sonikeras.read_image("poster.png"), back.shape[::-1], interpolation=cv2.INTER_AREA)
    assert spearmanr(back.ravel(), image.ravel()).statistic > 0.9
