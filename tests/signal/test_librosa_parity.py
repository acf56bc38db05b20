"""The chain equals the reference libraries, computed here and now: OpenCV, librosa, matplotlib, Pillow, soundfile."""

import inspect

import cv2
import librosa
import numpy as np
import pytest
from conftest import STUDY_PICTURES

import sonikeras
from sonikeras.signal import chain, pictures
from sonikeras.signal.engines import magnitudes_to_audio
from sonikeras.signal.magnitudes import image_to_magnitudes, magnitudes_to_image
from sonikeras.sources.audio import to_pcm16

STUDY = sonikeras.SonificationConfig.preset("study")
MATCHED = sonikeras.SonificationConfig.preset("matched")


def reference_magnitudes(gray):
    x = np.flipud(cv2.resize(gray, (128, 513)).astype(np.float32) / 255) + 1e-7
    return librosa.db_to_amplitude(librosa.amplitude_to_db(x, ref=np.max))


@pytest.mark.parametrize("brightest", [0, 1, 3, 20, 255])
def test_magnitudes(photo, brightest):
    gray = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    gray = (gray.astype(float) / gray.max() * brightest).astype(np.uint8)
    np.testing.assert_allclose(image_to_magnitudes(gray), reference_magnitudes(gray), rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (20000, 10), (10, 3000), (513, 128), (28, 28)])
def test_magnitudes_of_any_size(shape):
    gray = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_allclose(image_to_magnitudes(gray), reference_magnitudes(gray), rtol=0, atol=1e-6)


def test_files_are_read_as_opencv_reads_them(tmp_path, photo):
    for extension in ("png", "jpg", "bmp", "webp"):
        path = str(tmp_path / f"photo.{extension}")
        cv2.imwrite(path, photo[..., ::-1])
        np.testing.assert_array_equal(sonikeras.read_image(path), cv2.imread(path, cv2.IMREAD_GRAYSCALE))


@pytest.mark.skipif(not STUDY_PICTURES.is_dir(), reason="the study's pictures are not here")
def test_magnitudes_of_the_studys_pictures():
    for path in sorted(STUDY_PICTURES.glob("train/*/Image_1*.png"))[:8]:
        reference = reference_magnitudes(cv2.imread(str(path), 0))
        np.testing.assert_allclose(image_to_magnitudes(sonikeras.read_image(path)), reference, rtol=0, atol=1e-6)


def test_engine_is_librosas_griffinlim(photo):
    magnitudes = image_to_magnitudes(photo)
    name = "rng" if "rng" in inspect.signature(librosa.griffinlim).parameters else "random_state"
    reference = librosa.griffinlim(
        magnitudes, n_iter=32, n_fft=1024, hop_length=512, win_length=1024, **{name: np.random.default_rng(7)}
    )
    audio = magnitudes_to_audio(magnitudes, STUDY, rng=np.random.default_rng(7), engine="librosa")
    np.testing.assert_array_equal(audio, reference)
    assert audio.shape == (65024,) and audio.dtype == np.float32


def assert_close_levels(db, reference):
    loud = reference > reference.max() - 70
    assert np.abs(db - reference)[loud].max() < 1e-3


@pytest.mark.filterwarnings("ignore:n_fft=2048 is too large")  # librosa's, of audio that is shorter
@pytest.mark.parametrize("samples", [22050, 22051, 4097, 2048, 1000, 1])
def test_spectrogram_layer_with_librosas_defaults(samples):
    audio = np.random.default_rng(1).normal(size=samples).astype(np.float32)
    reference = librosa.amplitude_to_db(np.abs(librosa.stft(audio)), ref=np.max)
    assert_close_levels(np.asarray(sonikeras.layers.Spectrogram()(audio[None]))[0].T, reference)


@pytest.mark.parametrize(
    "settings",
    [
        {"frame_length": 1024, "frame_step": 256},
        {"frame_length": 400, "frame_step": 160, "fft_length": 512},
        {"frame_length": 1001, "frame_step": 300, "fft_length": 2048, "window": "hamming"},
        {"frame_length": 512, "frame_step": 512, "window": "boxcar"},
        {"frame_length": 2048, "frame_step": 511, "center": False},
        {"frame_length": 1024, "frame_step": 512, "window": "blackman", "top_db": 60},
    ],
)
def test_spectrogram_layer_with_other_settings(settings, photo_audio):
    audio = photo_audio[:30001]
    stft = librosa.stft(
        audio,
        n_fft=settings.get("fft_length", settings["frame_length"]),
        win_length=settings["frame_length"],
        hop_length=settings["frame_step"],
        window=settings.get("window", "hann"),
        center=settings.get("center", True),
    )
    reference = librosa.amplitude_to_db(np.abs(stft), ref=np.max, top_db=settings.get("top_db", 80))
    assert_close_levels(np.asarray(sonikeras.layers.Spectrogram(**settings)(audio[None]))[0].T, reference)
    for scale, power in (("amplitude", 1), ("power", 2)):
        values = np.asarray(sonikeras.layers.Spectrogram(**settings, scale=scale)(audio[None]))[0].T
        np.testing.assert_allclose(values, np.abs(stft) ** power, rtol=1e-3, atol=1e-4 * np.abs(stft).max() ** power)


def test_spectrogram_function(photo_audio):
    reference = librosa.amplitude_to_db(np.abs(librosa.stft(photo_audio)), ref=np.max)
    db = sonikeras.spectrogram(photo_audio)
    assert db.shape == (1025, 128) and db.dtype == np.float32
    assert_close_levels(db, reference)


def test_a_tone_falls_in_its_bin():
    audio = np.sin(2 * np.pi * 1000 * np.arange(22050) / 22050).astype(np.float32)
    db = sonikeras.spectrogram(audio)
    assert (db[:, 5:-5].argmax(axis=0) == round(1000 / (22050 / 2048))).all()


def specshow(db):
    """`librosa.display.specshow` in the study's figure, drawn by matplotlib."""
    import librosa.display
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    librosa.display.specshow(db, sr=22050, x_axis="time", y_axis="linear", ax=axes)
    axes.set_ylim(0, 22050 / 2)
    axes.set_axis_off()
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def test_picture_is_what_specshow_draws(photo_audio):
    reference = specshow(librosa.amplitude_to_db(np.abs(librosa.stft(photo_audio)), ref=np.max))
    picture = sonikeras.picture(photo_audio)
    assert picture.shape == (600, 1200, 3) and picture.dtype == np.uint8
    difference = np.abs(picture.astype(int) - reference).max(axis=-1)
    assert (difference <= 2).mean() > 0.999 and (difference == 0).mean() > 0.99


@pytest.mark.parametrize("shape", [(257, 60), (513, 128), (1025, 333)])
def test_picture_layer_is_what_specshow_draws(shape):
    db = np.random.default_rng(2).uniform(-80, 0, shape).astype(np.float32)
    picture = np.asarray(sonikeras.layers.SpectrogramImage((600, 1200))(db.T[None]))[0]
    difference = np.abs(picture - specshow(db)).max(axis=-1)
    assert (difference <= 2).mean() > 0.99


@pytest.mark.parametrize(
    ("size", "shorter_side"), [(224, None), (224, 256), (456, 456), (600, 600), (224, 232), (700, 700)]
)
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("image", ["photo", "checkerboard"])
def test_resizing_while_drawing_is_pillows(photo_audio, interpolation, size, shorter_side, image):
    arguments = {"image_size": (size, size), "shorter_side": shorter_side, "interpolation": interpolation}
    # Edges of the sharpest kind, at which a bicubic overshoots both ways.
    board = (np.indices((300, 300)).sum(axis=0) // 9 % 2 * 255).astype(np.uint8)
    audio = photo_audio if image == "photo" else sonikeras.sonify(board)
    drawn = np.asarray(chain.db_to_picture(chain.audio_to_db(audio, STUDY), STUDY, **arguments))
    difference = np.abs(drawn - pictures.resize(sonikeras.picture(audio), **arguments))
    # The drawing is not rounded at the end, nor, if bilinear, which cannot overshoot, between its two directions.
    # So the difference is at most 1, plus the rounding of float32 at a tie.
    assert difference.max() <= 1 + 1e-4
    assert (difference <= 0.51).mean() > (0.8 if interpolation == "bilinear" else 0.999)


def test_crop_is_torchvisions():
    # Resize(256) and CenterCrop(224) of 600 x 1200: 256 x 512, from which rows 16.. and columns 144.. are kept.
    assert pictures.crop_box((600, 1200), image_size=(224, 224), shorter_side=256) == ((16, 256), (144, 512))


def test_pcm_is_soundfiles(tmp_path, photo_audio):
    import soundfile

    soundfile.write(tmp_path / "reference.wav", photo_audio, 22050, "PCM_16")
    sonikeras.write_audio(tmp_path / "ours.wav", photo_audio)
    reference, _ = soundfile.read(tmp_path / "reference.wav", dtype="int16")
    ours, _ = soundfile.read(tmp_path / "ours.wav", dtype="int16")
    np.testing.assert_array_equal(ours, reference)
    np.testing.assert_array_equal(to_pcm16(photo_audio), reference)
    as_float, rate = librosa.load(tmp_path / "reference.wav")
    np.testing.assert_array_equal(sonikeras.read_audio(tmp_path / "ours.wav")[0], as_float)
    assert soundfile.info(tmp_path / "ours.wav").subtype == "PCM_16" and rate == 22050


def test_other_rates_and_channels_are_read_as_librosa_reads_them(tmp_path):
    import soundfile

    stereo = np.random.default_rng(3).uniform(-0.5, 0.5, (44100, 2)).astype(np.float32)
    soundfile.write(tmp_path / "stereo.wav", stereo, 44100, "PCM_16")
    reference, _ = librosa.load(tmp_path / "stereo.wav")
    audio, config = sonikeras.read_audio(tmp_path / "stereo.wav")
    np.testing.assert_allclose(audio, reference, atol=1e-6)
    assert config == STUDY and len(audio) == 22050


def psnr(image, reference):
    return 10 * np.log10(255**2 / np.mean((image.astype(float) - reference) ** 2))


@pytest.mark.parametrize("size", [(1, 1), (28, 28), (200, 64)])
def test_small_images_are_bit_identical_after_lossless_audio(photo, size):
    image = cv2.resize(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), size[::-1], interpolation=cv2.INTER_AREA)
    reconstruction = sonikeras.desonify(sonikeras.sonify(image, "lossless"), "lossless", size=size)
    assert reconstruction.shape == size and np.abs(reconstruction.astype(int) - image).max() <= (size[0] > 28)


def test_matched_shows_the_image_as_it_was(photo):
    gray = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    audio = sonikeras.sonify(photo, "matched")
    reconstruction = sonikeras.desonify(audio, "matched")
    target = magnitudes_to_image(image_to_magnitudes(photo, config="matched"))
    assert reconstruction.shape == (513, 128) and psnr(reconstruction, target) > 30
    shown = sonikeras.picture(audio, "matched")[..., 0]
    assert psnr(shown, cv2.resize(gray, (512, 512), interpolation=cv2.INTER_AREA)) > 20
    # The study's analysis of the same audio shows the image far worse.
    study = cv2.resize(sonikeras.picture(sonikeras.sonify(photo))[..., 0], (512, 512), interpolation=cv2.INTER_AREA)
    assert psnr(shown, cv2.resize(gray, (512, 512))) > psnr(study, cv2.resize(gray, (512, 512))) + 5
