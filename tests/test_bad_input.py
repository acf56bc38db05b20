"""Bad input gets an error that says the rule, the allowed values and what was received; odd input works."""

import re

import cv2
import numpy as np
import pytest
from PIL import Image

import sonikeras
from sonikeras.signal.engines import magnitudes_to_audio
from sonikeras.signal.magnitudes import image_to_magnitudes

STUDY = sonikeras.SonificationConfig.preset("study")


# Image files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extension", ["png", "jpg", "bmp", "gif", "webp"])
@pytest.mark.parametrize("fraction", [0, 0.3, 0.99])
def test_truncated_image_is_named(tmp_path, photo, extension, fraction):
    path = tmp_path / f"broken.{extension}"
    Image.fromarray(photo).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * fraction)])
    with pytest.raises(ValueError, match=r"Received: .*broken"):
        sonikeras.read_image(path)


def test_unreadable_image_is_named(tmp_path):
    path = tmp_path / "text.png"
    path.write_text("not an image")
    with pytest.raises(ValueError, match=r"must be a whole PNG.*Received: .*text\.png"):
        sonikeras.read_image(path)
    with pytest.raises(FileNotFoundError, match="none"):
        sonikeras.read_image(tmp_path / "none.png")


def test_image_beyond_the_limit(tmp_path):
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(bomb)
    with pytest.raises(ValueError, match=r"at most 67,108,864 pixels .*Received: .*bomb"):
        sonikeras.read_image(tmp_path / "bomb.png")


def save_16_bit(path, gray):
    cv2.imwrite(str(path), gray.astype(np.uint16) * 257)


def save_animation(path, gray):
    frames = [Image.fromarray(frame) for frame in (gray, 255 - gray, gray // 2)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


KINDS = {
    "16-bit.png": save_16_bit,
    "palette.png": lambda path, gray: Image.fromarray(gray).convert("P").save(path),
    "rgba.png": lambda path, gray: Image.fromarray(np.dstack([gray] * 3 + [gray // 2])).save(path),
    "gray-alpha.png": lambda path, gray: Image.fromarray(np.dstack([gray, gray // 2])).save(path),
    "one-bit.png": lambda path, gray: Image.fromarray((gray > 127).astype(np.uint8) * 255).convert("1").save(path),
    "cmyk.jpg": lambda path, gray: Image.fromarray(gray).convert("CMYK").save(path, quality=95),
    "animated.gif": save_animation,
    "animated.webp": save_animation,
    "animated.png": save_animation,
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_images(tmp_path, photo, kind):
    gray = cv2.cvtColor(photo[:64, :96], cv2.COLOR_RGB2GRAY)
    expected = (gray > 127) * 255 if kind == "one-bit.png" else gray
    if "alpha" in kind or "rgba" in kind:
        expected = gray / 255 * (gray // 2)  # on black
    KINDS[kind](tmp_path / kind, gray)
    read = sonikeras.read_image(tmp_path / kind)
    assert read.shape == gray.shape and read.dtype == np.uint8
    lossy = kind in ("cmyk.jpg", "animated.webp")
    assert np.abs(read.astype(int) - expected).mean() < (6 if lossy else 1)
    assert sonikeras.read_image(tmp_path / kind, color=True).shape == (*gray.shape, 3)


def test_photo_is_turned_upright(tmp_path, photo):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo).save(tmp_path / "turned.jpg", exif=exif)
    assert sonikeras.read_image(tmp_path / "turned.jpg").shape == (photo.shape[1], photo.shape[0])


# Arrays ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4)),
        np.zeros((4, 4), np.uint16),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 1), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((0, 4), np.uint8),
        np.full((4, 4), np.nan),
        "image",
        None,
    ],
)
def test_image_array(image):
    with pytest.raises(ValueError, match=r"`image` must be a uint8 array of shape \[height, width\].*Received: shape="):
        sonikeras.sonify(image)


@pytest.mark.parametrize(
    ("size", "message"),
    [(size, "`size` must be a pair") for size in [(0, 5), (-1, 3), (5,), (5, 5, 3), "ab", 5, (5.5, 3), (True, 4)]]
    + [((1, 2**21), "The longer side of `size`.*`image_side`"), ((2**14, 2**14), "`size` .*`image_pixels`")],
)
@pytest.mark.parametrize("preset", ["lossless", "photo", "scan"])
def test_size_of_a_reconstruction(preset, size, message):
    with pytest.raises(ValueError, match=message):
        sonikeras.desonify(np.zeros(2000, np.float32), preset, size=size)


@pytest.mark.parametrize("preset", sonikeras.presets())
@pytest.mark.parametrize("shape", [(1, 1), (20000, 10), (1, 500)])
def test_images_of_odd_sizes(preset, shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    audio = sonikeras.sonify(image, preset)
    config = sonikeras.SonificationConfig.preset(preset)
    assert audio.shape == (config.samples,) and np.isfinite(audio).all() and np.abs(audio).max() <= 1
    assert sonikeras.desonify(audio, preset, size=(30, 40)).shape == (30, 40, *config.image_shape[2:])


@pytest.mark.parametrize("preset", sonikeras.presets())
def test_black_image(preset, tmp_path):
    audio = sonikeras.sonify(np.zeros((50, 60), np.uint8), preset)
    sonikeras.write_audio(tmp_path / "black.wav", audio, preset)
    audio, config = sonikeras.read_audio(tmp_path / "black.wav")
    picture, reconstructed = sonikeras.picture(audio, config), sonikeras.desonify(audio, config)
    if preset == "lossless":
        assert not audio.any() and not picture.any() and not reconstructed.any()
    elif preset == "matched":  # libsndfile rounds down, which leaves half a step of direct current
        assert np.abs(audio).max() <= 2 / 32768
        assert (
            picture.max() <= 2
            and not picture[:500].any()
            and reconstructed.max() <= 2
            and not reconstructed[:510].any()
        )
    elif preset == "scan":
        assert np.abs(audio).max() <= 1 / 32768 and picture.max() <= 1 and reconstructed.max() <= 1
    else:  # the study's decibels are relative to the brightest pixel, so black is as loud as white
        assert np.abs(audio).max() > 0.01 and np.isfinite(audio).all()


@pytest.mark.parametrize(
    "audio",
    [np.zeros((5, 2), np.float32), np.zeros(0, np.float32), np.zeros(5, np.int16), "x", None, np.zeros(5, complex)],
)
@pytest.mark.parametrize("function", [sonikeras.spectrogram, sonikeras.picture, sonikeras.desonify])
def test_audio_array(function, audio):
    with pytest.raises(ValueError, match=r"`audio` must be a float array of shape \[samples\].*Received: shape="):
        function(audio)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("function", [sonikeras.spectrogram, sonikeras.picture, sonikeras.desonify])
def test_audio_that_is_not_finite(function, value):
    audio = np.zeros(3000, np.float32)
    audio[7] = value
    with pytest.raises(ValueError, match="`audio` must be finite. Received: samples that are NaN or infinite"):
        function(audio)


@pytest.mark.parametrize("preset", sonikeras.presets())
def test_silence(preset):
    silence = np.zeros(65024, np.float32)
    db, picture = sonikeras.spectrogram(silence, preset), sonikeras.picture(silence, preset)
    assert len(np.unique(db)) == 1 and np.isfinite(db).all()
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 1
    nothing = sonikeras.desonify(silence, preset)
    if nothing.ndim == 2:
        assert not nothing.any()
    else:  # black luma, with chroma as far from neutral as it goes
        assert (nothing == [0, 135, 0]).all()


@pytest.mark.parametrize("engine", sonikeras.engines())
@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda m: -m, "not be negative. Received: a minimum of -1"),
        (lambda m: m * np.nan, "be finite. Received: NaN or infinite"),
        (lambda m: m + np.inf, "be finite. Received: NaN or infinite"),
    ],
)
def test_magnitudes(engine, change, rule):
    magnitudes = change(np.ones((513, 128), np.float32))
    with pytest.raises(ValueError, match=f"`magnitudes` must {rule}"):
        magnitudes_to_audio(magnitudes, STUDY, rng=np.random.default_rng(0), engine=engine)


@pytest.mark.parametrize("engine", sonikeras.engines())
def test_silent_magnitudes_give_silence(engine):
    audio = magnitudes_to_audio(np.zeros((513, 128)), STUDY, rng=np.random.default_rng(0), engine=engine)
    assert audio.shape == (65024,) and not audio.any()


def test_initial_phase():
    magnitudes = np.ones((513, 128))
    with pytest.raises(ValueError, match="`rng` must be given where the initial phase is random. Received: rng=None"):
        magnitudes_to_audio(magnitudes, STUDY)
    with pytest.raises(ValueError, match=r"`initial_phase` must have the config's shape.*Received: shape=\(2,\)"):
        magnitudes_to_audio(magnitudes, STUDY, initial_phase=np.zeros(2))
    with pytest.raises(ValueError, match="`initial_phase` must be finite. Received"):
        magnitudes_to_audio(magnitudes, STUDY, initial_phase=magnitudes * np.nan)
    with pytest.raises(ValueError, match="`initial_phase` must be None with transform='mdct'"):
        sonikeras.sonify(np.eye(9, dtype=np.uint8), "lossless", initial_phase=magnitudes)


@pytest.mark.parametrize("value", [0, 255])
def test_structured_start_of_a_uniform_image(tmp_path, value):
    """One pulse a frame, of full scale."""
    config = STUDY.replace(initial_phase="structured")
    audio = sonikeras.sonify(np.full((40, 40), value, np.uint8), config)
    sonikeras.write_audio(tmp_path / "pulses.wav", audio, config)
    np.testing.assert_allclose(sonikeras.read_audio(tmp_path / "pulses.wav")[0], audio, atol=2 / 32768)


@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1e19, 1e30])
@pytest.mark.parametrize("engine", ["numba", "tensorflow"])
def test_magnitudes_of_any_size(engine, scale, photo):
    config = STUDY.replace(iterations=4)
    magnitudes = image_to_magnitudes(photo)
    plain, scaled = (
        magnitudes_to_audio(m, config, rng=np.random.default_rng(0), engine=engine)
        for m in (magnitudes, magnitudes * np.float32(scale))
    )
    assert np.linalg.norm(scaled / np.float32(scale) - plain) < 1e-3 * np.linalg.norm(plain)


@pytest.mark.parametrize(
    ("engine", "changes", "message"),
    [
        ("librosa", {"algorithm": "lbfgs"}, "'librosa' has no algorithm 'lbfgs'"),
        ("librosa", {"initial_phase": "structured"}, "'librosa' has a random initial phase only"),
        ("numba", {"algorithm": "admm"}, "'numba' has no algorithm 'admm'"),
        ("numba", {"frame_step": 8, "frames": 32}, "'numba' needs more frames for such short steps"),
        ("numba", {"fft_length": 1200}, "'numba' needs a power of two as `fft_length`"),
    ],
)
def test_engine_that_cannot(photo, engine, changes, message):
    with pytest.raises(ValueError, match=f"{message}.*Allowed values.*Received: engine='{engine}'"):
        sonikeras.sonify(photo, STUDY.replace(**changes), engine=engine)
    other = STUDY.replace(**changes | {"iterations": 1})
    assert sonikeras.sonify(photo, other).shape == (other.samples,)


def test_magnitudes_shape():
    with pytest.raises(ValueError, match=r"\[bins, frames\] = \[513, 128\]. Received: shape=\(128, 513\)"):
        magnitudes_to_audio(np.ones((128, 513), np.float32), STUDY, rng=np.random.default_rng(0))


# Audio files ----------------------------------------------------------------------------------------------------------


def test_audio_files(tmp_path):
    import soundfile

    with pytest.raises(FileNotFoundError, match="There is no such sound file"):
        sonikeras.read_audio(tmp_path / "none.wav")
    for name, content in (("text.wav", b"no audio"), ("empty.wav", b""), ("empty.mp3", b""), ("noise.raw", b"12")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"must be a whole WAV.*Received: .*{name}"):
            sonikeras.read_audio(tmp_path / name)
    soundfile.write(tmp_path / "nothing.wav", np.zeros(0), 22050)
    with pytest.raises(ValueError, match=r"must hold all of its samples. Received: .*nothing.wav \(0 samples\)"):
        sonikeras.read_audio(tmp_path / "nothing.wav")
    soundfile.write(tmp_path / "nan.wav", np.array([0, np.nan, 1]), 22050, "FLOAT")
    with pytest.raises(ValueError, match=r"must hold finite samples. Received: .*nan.wav"):
        sonikeras.read_audio(tmp_path / "nan.wav")


def test_truncated_audio(tmp_path, photo_audio):
    for extension in ("wav", "flac"):
        path = tmp_path / f"cut.{extension}"
        sonikeras.write_audio(path, photo_audio)
        path.write_bytes(path.read_bytes()[:50_000])
        with pytest.raises(ValueError, match="truncated"):
            sonikeras.read_audio(path)


def test_audio_written_to_a_pipe_knows_no_length(tmp_path, photo_audio):
    sonikeras.write_audio(tmp_path / "piped.wav", photo_audio)
    data = bytearray((tmp_path / "piped.wav").read_bytes())
    data[4:8] = b"\xff" * 4
    (tmp_path / "piped.wav").write_bytes(data)
    assert len(sonikeras.read_audio(tmp_path / "piped.wav")[0]) == len(photo_audio)


def test_config_in_the_file(tmp_path):
    import soundfile

    config = sonikeras.SonificationConfig.preset("matched").replace(sample_rate=16000)
    for extension in ("wav", "flac"):
        sonikeras.write_audio(tmp_path / f"a.{extension}", np.zeros(100, np.float32), config)
        assert sonikeras.read_audio(tmp_path / f"a.{extension}")[1] == config
    for comment, expected in ((None, "study"), ("a recording", "study")):
        with soundfile.SoundFile(tmp_path / "b.wav", "w", 22050, 1) as file:
            if comment:
                file.comment = comment
            file.write(np.zeros(10))
        assert sonikeras.read_audio(tmp_path / "b.wav")[1] == sonikeras.SonificationConfig.preset(expected)
    for comment in ('sonikeras:{"unknown": 1}', "sonikeras:{", "sonikeras:[1]"):
        with soundfile.SoundFile(tmp_path / "c.wav", "w", 22050, 1) as file:
            file.comment = comment
            file.write(np.zeros(10))
        with pytest.raises(ValueError, match=r"A config in an audio file must be valid. Received: .*c\.wav"):
            sonikeras.read_audio(tmp_path / "c.wav")


def test_audio_that_cannot_be_written(tmp_path):
    with pytest.raises(ValueError, match=r"in -1..1, or it is clipped: `normalize='-1 dBFS'` .* a peak of 1.5"):
        sonikeras.write_audio(tmp_path / "a.wav", np.full(5, 1.5, np.float32))
    with pytest.raises(ValueError, match="must be finite"):
        sonikeras.write_audio(tmp_path / "a.wav", np.full(5, np.nan, np.float32))
    with pytest.raises(ValueError, match=r"must end in one of \['.wav', '.flac'\]. Received: path="):
        sonikeras.write_audio(tmp_path / "a.txt", np.zeros(5, np.float32))
    assert not list(tmp_path.iterdir())


# Names ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "c3"}, r"Unknown data set. Allowed values: \['c2', 'c4', 'c10', 'c15'\].*Received: name='c3'"),
        ({"source": "web"}, r"Unknown `source`. Allowed values: .*Received: source='web'"),
        ({"stage": "video"}, r"Unknown `stage`. Allowed values: \['image', 'audio', 'spectrogram'\]. Received"),
        ({"stage": "audio"}, 'Only a folder can hold another stage than images: `stage` must be "image"'),
        (
            {"config": "best"},
            rf"`config` must be a preset.*presets: {re.escape(str(sonikeras.presets()))}. Received: config='best'",
        ),
        ({"config": 3}, "`config` must be a preset, a SonificationConfig, or a path.*Received: config=3"),
        (
            {"engine": "fast"},
            r"Unknown `engine`. Allowed values: \['auto', 'numba', 'tensorflow', 'librosa'\]. Received: engine='fast'",
        ),
        ({"output": "smell"}, r"Unknown `output`. Allowed values: .*Received: output='smell'"),
        ({"classes": ["cat", "unicorn"]}, r"`classes` must be different ones of .*Received: classes=.*unicorn"),
        ({"classes": ["cat", "cat"]}, "`classes` must be different ones of"),
        ({"classes": ["cat"]}, "at least 2 classes. Received: .'cat'."),
        ({"seed": -1}, "`seed` must be an integer of at least 0. Received: seed=-1"),
        ({"images_per_class": 1}, "`images_per_class` must be an integer of at least 5.*Received"),
        ({"images_per_class": "many"}, "`images_per_class` must be an integer of at least 5.*Received"),
        ({"image_size": (0, 5)}, "`image_size` must be positive integers.*Received"),
        ({"image_size": (5, 5, 5)}, "`image_size` must be positive integers.*Received"),
        ({"batch_size": 0}, "`batch_size` must be a positive integer or None. Received: batch_size=0"),
        ({"shorter_side": 0}, "`shorter_side` must be a positive integer or None. Received"),
        ({"interpolation": "best"}, "Unknown `interpolation`. Allowed values.*Received: interpolation='best'"),
        ({"on_error": "ignore"}, r"Unknown `on_error`. Allowed values: \['raise', 'skip'\]. Received"),
    ],
)
def test_dataset_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        sonikeras.dataset(**({"name": "c2", "images_per_class": 5} | arguments))


def test_crop_larger_than_the_picture():
    with pytest.raises(ValueError, match="`shorter_side` must leave a picture of at least `image_size`"):
        next(iter(sonikeras.dataset("c2", images_per_class=5, shorter_side=100)))
