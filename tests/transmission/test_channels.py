"""Channels do what their physics says, in step with the sound, and the same each time."""

import csv
import importlib.util
import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile
from scipy.signal import correlate
from sonikeras.channels import MP3, Bandpass, Chain, Delay, Noise, Opus, Resample, Telephone, Vorbis

import sonikeras
from sonikeras import channels
from sonikeras.cli.main import main
from sonikeras.training import Recipe

RATE = 22050
TEXTS = [
    "noise(snr=20)",
    "gain(db=-6.5)",
    "clip(db=6)",
    "delay(samples=100)",
    "reverb(rt60=0.3,drr=-1.5)",
    "bandpass(low=0,high=4000)",
    "resample(rate=8000)",
    "telephone",
    "mp3(kbps=32)",
    "opus(kbps=24)",
    "vorbis(quality=0.5)",
    "gain(db=6)+telephone+noise(snr=20)",
]


@pytest.fixture(scope="module")
def sound(photo):
    """The photo's sound, float32 [66048], which fills the whole band."""
    audio = sonikeras.sonify(photo, "lossless")
    return audio / (2 * np.abs(audio).max())


def tone(frequency, samples=RATE):
    return (0.5 * np.sin(2 * np.pi * frequency / RATE * np.arange(samples))).astype(np.float32)


def sent(audio, channel, seed=0):
    return channels.transmit(audio, RATE, channel, seed=seed)


def power(audio):
    return float(np.mean(np.square(audio, dtype=np.float64)))


def level(audio, reference):
    """Power over that of the reference in dB, without the first and the last tenth of a second."""
    edge = RATE // 10
    return 10 * np.log10(power(audio[edge:-edge]) / power(reference[edge:-edge]))


def lag(audio, reference):
    """Samples by which a sound is late, where the two are most alike."""
    return int(np.argmax(correlate(audio, reference, method="fft"))) - len(reference) + 1


@pytest.mark.parametrize("text", TEXTS)
def test_text_form_length_range_and_repetition(sound, text):
    channel = channels.as_channel(text)
    assert str(channel) == text and channels.as_channel(f" {text.replace('=', ' = ')} ") == channel
    assert channels.as_channel(channel) is channel and hash(channel) == hash(channels.as_channel(text))
    received = sent(sound[:9999], channel)
    assert received.shape == (9999,) and received.dtype == np.float32 and np.abs(received).max() <= 1
    np.testing.assert_array_equal(received, sent(sound[:9999], text))
    assert not np.array_equal(received, sound[:9999])
    assert sent(sound[:1], text).shape == (1,)
    assert np.abs(sent(np.zeros(5000, np.float32), text)).max() < 1e-3  # silence stays silent


def test_numbers_of_numpy_are_those_of_python():
    for channel in (Noise(snr=np.float64(20)), Noise(snr=np.int64(20)), Noise(snr=np.float32(20))):
        assert channel == Noise(snr=20) and type(channel.snr) in (int, float) and str(channel) == "noise(snr=20)"
    found = [Delay(samples=np.uint8(3)), MP3(kbps=np.int32(32)), Vorbis(quality=np.float32(0.5))]
    found += [Bandpass(low=np.int64(300), high=np.float64(3400)), channels.Reverb(rt60=np.float64(0.3), drr=np.int8(3))]
    for channel in found:
        assert channels.as_channel(str(channel)) == channel
    with pytest.raises(ValueError, match="`samples` must be an integer of at least 0. Received: samples=3.0"):
        Delay(samples=np.float64(3))


def test_all_channels_are_tested():
    tested = {text.split("(")[0] for text in TEXTS[:-1]}
    assert tested == set(channels.names()) and len(channels.forms()) == len(channels.names())


@pytest.mark.parametrize("snr", [-5, 0, 20, 40.5])
def test_noise_has_its_ratio_and_is_white(sound, snr):
    quiet = sound / 8  # where nothing is clipped
    noise = Noise(snr=snr)(quiet, RATE, np.random.default_rng(0)) - quiet
    assert 10 * np.log10(power(quiet) / power(noise)) == pytest.approx(snr, abs=0.1)
    bands = np.square(np.abs(np.fft.rfft(noise)))[:32768].reshape(8, -1).mean(axis=1)
    np.testing.assert_allclose(bands / bands.mean(), 1, atol=0.1)


def test_noise_follows_from_seed_and_content(sound):
    silent = [power(sent(audio, "noise(snr=10)", seed) - audio) for audio, seed in ((sound, 0), (sound, 1))]
    assert silent[0] != silent[1] and silent[0] == pytest.approx(silent[1], rel=0.1)
    other = sound[::-1].copy()
    noises = [sent(audio, "noise(snr=10)") - audio for audio in (sound, other)]
    assert abs(np.corrcoef(noises)[0, 1]) < 0.02


def test_gain_and_clipping():
    audio = tone(440)
    np.testing.assert_allclose(sent(audio, "gain(db=-6.0206)"), audio / 2, atol=1e-4)
    assert np.abs(sent(audio, "gain(db=20)")).max() == 1  # as a receiver clips
    np.testing.assert_allclose(sent(audio, "gain(db=60)+gain(db=-60)"), audio, atol=1e-4)  # nothing is clipped between
    clipped = sent(audio, "clip(db=6.0206)")
    np.testing.assert_allclose(clipped, np.clip(audio, -0.25, 0.25), atol=1e-4)
    np.testing.assert_allclose(sent(audio, "clip(db=0)"), audio, atol=1e-4)


def test_delay(sound):
    np.testing.assert_allclose(sent(sound, "delay(samples=100)")[100:], sound[:-100], atol=1e-4)
    assert not sent(sound, Delay(samples=100))[:100].any() and not sent(sound, Delay(samples=10**12)).any()


@pytest.mark.parametrize("rt60", [0.001, 1e300])
@pytest.mark.parametrize("rate", [1, 8000, 22050])
def test_rooms_of_all_sizes_have_their_ratio(rt60, rate):
    impulse = np.zeros(2000, np.float32)
    impulse[0] = 1
    response = channels.Reverb(rt60=rt60, drr=3)(impulse, rate, np.random.default_rng(0))
    assert 10 * np.log10(np.square(response[1:]).sum()) == pytest.approx(-3, abs=0.01)


@pytest.mark.parametrize(("rt60", "drr"), [(0.2, 0), (0.5, 10), (0.5, -5)])
def test_reverb_has_its_time_and_ratio(rt60, drr):
    impulse = np.zeros(2 * RATE, np.float32)
    impulse[0] = 1
    response = channels.Reverb(rt60=rt60, drr=drr)(impulse, RATE, np.random.default_rng(0)).astype(np.float64)
    assert response[0] == pytest.approx(1, abs=1e-5)
    energy = np.square(response[1:])
    assert -10 * np.log10(energy.sum()) == pytest.approx(drr, abs=0.1)
    decay = 10 * np.log10(energy[::-1].cumsum()[::-1][: int(rt60 * RATE / 2)])  # Schroeder's integral, the first 30 dB
    slope = np.polyfit(np.arange(len(decay)) / RATE, decay, 1)[0]
    assert -60 / slope == pytest.approx(rt60, rel=0.1)


def test_bands_keep_what_is_inside_and_nothing_else():
    for channel, inside, outside in (
        ("bandpass(low=300,high=3400)", (500, 1000, 3000), (60, 150, 3700, 8000)),
        ("bandpass(low=0,high=4000)", (20, 1000, 3800), (4300, 8000)),
        ("resample(rate=8000)", (20, 1000, 3600), (4100, 8000)),
        ("telephone", (500, 1000, 3000), (60, 150, 3700, 8000)),
    ):
        for frequency in inside:
            assert abs(level(sent(tone(frequency), channel), tone(frequency))) < 0.2, (channel, frequency)
        for frequency in outside:
            assert level(sent(tone(frequency), channel), tone(frequency)) < -40, (channel, frequency)


@pytest.mark.parametrize("low", [0, 20, 165, 300, 1000, 10900])
@pytest.mark.parametrize("width", [1, 20, 50, 165, 3100, 10900])
def test_a_band_loses_6_db_at_its_ends(low, width):
    high = min(low + width, RATE / 2 - 5)
    impulse = np.zeros(8 * RATE, np.float32)
    impulse[len(impulse) // 2] = 1
    response = Bandpass(low=low, high=high)(impulse, RATE, np.random.default_rng(0))
    np.testing.assert_allclose(response[1:], response[:0:-1], atol=1e-6)  # no delay
    moments = (np.arange(len(impulse)) - len(impulse) // 2) / RATE

    def gain(frequency):
        return 20 * np.log10(abs(response @ np.cos(2 * np.pi * frequency * moments)))

    assert gain((low + high) / 2) == pytest.approx(0, abs=0.1) and gain(high) == pytest.approx(-6, abs=0.2)
    assert gain(RATE / 2) < -40
    if low:
        assert gain(low) == pytest.approx(-6, abs=0.2) and gain(0) < -40


CODECS = [MP3(kbps=8), MP3(kbps=24), MP3(kbps=56), MP3(kbps=160), Opus(kbps=16), Opus(kbps=128)]
CODECS += [Vorbis(quality=0), Vorbis(quality=1)]


@pytest.mark.parametrize("channel", [*CODECS, Telephone(), Resample(rate=8000), Bandpass(low=300, high=3400)], ids=str)
def test_the_sound_comes_back_in_step(sound, channel):
    assert lag(sent(sound, channel), sound) == 0


@pytest.mark.parametrize("rate", [8000, 10000, 16000, 44100, 50000])
@pytest.mark.parametrize("channel", [MP3(kbps=32), MP3(kbps=64), Opus(kbps=32), Vorbis(quality=0.5)], ids=str)
def test_codecs_at_other_sample_rates(sound, channel, rate):
    received = channels.transmit(sound, rate, channel)
    assert received.shape == sound.shape and lag(received, sound) == 0


@pytest.mark.parametrize("channel", CODECS, ids=str)
def test_bit_rates_are_those_asked_for(sound, channel):
    data = channel.encode(sound, RATE)
    info = soundfile.info(io.BytesIO(data))
    assert (info.format, info.subtype) == (channel.format, channel.subtype)
    kbps = len(data) * 8 / 1000 / (len(sound) / RATE)
    if isinstance(channel, MP3):
        assert channel.kbps < kbps < channel.kbps * 1.04  # the last frame is filled up
    elif isinstance(channel, Opus):
        assert channel.kbps * 0.9 < kbps < channel.kbps * 1.1 + 1.5
    else:
        assert 30 < kbps < 180


@pytest.mark.parametrize("kind", [MP3, Opus, Vorbis])
def test_more_bytes_less_error(sound, kind):
    settings = {MP3: [{"kbps": k} for k in (8, 32, 128)], Opus: [{"kbps": k} for k in (6, 32, 128)]}
    found = [kind(**s) for s in settings.get(kind, [{"quality": q} for q in (0, 0.5, 1)])]
    errors = [power(sent(sound, channel) - sound) for channel in found]
    sizes = [len(channel.encode(sound, RATE)) for channel in found]
    assert errors == sorted(errors, reverse=True) and sizes == sorted(sizes)


def test_a_channel_of_ones_own(sound):
    class Inverted(channels.Channel):
        def __call__(self, audio, sample_rate, rng):
            return -audio

    class Short(channels.Channel):
        def __call__(self, audio, sample_rate, rng):
            return audio[1:]

    np.testing.assert_allclose(sent(sound, Chain(channels=(Inverted(), Inverted()))), sound, atol=1e-4)
    with pytest.raises(ValueError, match=r"must keep the length of 66048 samples. Received: 66047 samples of Short"):
        sent(sound, Short())


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        ("", "`channel` must be a Channel or a specification such as .*Received: channel=''"),
        (None, "`channel` must be a Channel or a specification"),
        ("noise(snr=20", "Allowed channels: noise"),
        ("noise(snr=20)+", "Allowed channels: noise"),
        ("gain(db=__import__('os'))", "Allowed channels: noise"),
        ("noise(snr=nan)", "Allowed channels: noise"),
        ("noise(snr=1 0)", r"Allowed channels: noise.*Received: channel='noise\(snr=1 0\)'"),
        ("no ise(snr=10)", "Allowed channels: noise"),
        ("noise(s nr=10)", "Allowed channels: noise"),
        ("noise(snr=1e +1)", "Allowed channels: noise"),
        ("telephone telephone", "Allowed channels: noise"),
        ("radio", r"Unknown `channel`. Allowed values: \['noise'.*Received: channel='radio'"),
        ("noise", r"must have each of its settings once: noise\(snr=\). Received: channel='noise'"),
        ("noise(snr=1,snr=2)", "each of its settings once"),
        ("telephone(kbps=8)", "each of its settings once: telephone. Received"),
        ("noise(snr=999)", r"`snr` must be a number of dB in -200..200. Received: snr=999"),
        ("clip(db=-1)", "`db` must be a number of dB in 0..200. Received: db=-1"),
        ("delay(samples=1.5)", "`samples` must be an integer of at least 0. Received: samples=1.5"),
        (
            "reverb(rt60=1e-9,drr=0)",
            "`rt60` must be a finite number of seconds of at least 0.001. Received: rt60=1e-09",
        ),
        (
            "bandpass(low=400,high=300)",
            r"`high` must be a finite number of Hz of at least `low` \+ 1. Received: high=300",
        ),
        ("bandpass(low=0.5,high=300)", "`low` must be 0 or a finite number of Hz of at least 1. Received: low=0.5"),
        ("bandpass(low=0,high=11025)", "at least 1 Hz below half the sample rate of 22050 Hz. Received: high=11025"),
        ("resample(rate=10)", "`rate` must be an integer of at least 1000"),
        ("resample(rate=1e9)", "`rate` must be an integer"),
        ("mp3(kbps=33)", r"Unknown `kbps`. Allowed values: \[8, 16.*Received: kbps=33"),
        ("mp3(kbps=320)", "a bit rate that MP3 has at 22050 Hz. Allowed values: .*160]. Received: kbps=320"),
        ("opus(kbps=5)", r"`kbps` must be a number in 6..256. Received: kbps=5"),
        ("vorbis(quality=2)", r"`quality` must be a number in 0..1. Received: quality=2"),
    ],
)
def test_errors_name_the_rule(sound, channel, message):
    with pytest.raises(ValueError, match=message):
        sent(sound, channel)


def test_sounds_and_seeds_are_checked(sound):
    for audio in (sound[None], sound * 3, sound * np.nan, sound[:0], np.zeros(5, int)):
        with pytest.raises(ValueError, match="`audio` must"):
            sent(audio, "telephone")
    with pytest.raises(ValueError, match="`seed` must be an integer of at least 0. Received: seed=-1"):
        sent(sound, "telephone", -1)
    with pytest.raises(ValueError, match="`sample_rate` must be an integer of at least 1. Received: sample_rate=0"):
        channels.transmit(sound, 0, "telephone")
    with pytest.raises(ValueError, match="`channels` must be a tuple of at least one Channel"):
        Chain(channels=())


def test_dataset_hears_what_is_transmitted(image_folder):
    root = image_folder(count=5)
    options = {"data_dir": root, "config": "matched", "batch_size": None, "seed": 3, "shuffle": False}
    clean = sonikeras.dataset(output="audio", **options)
    noisy = sonikeras.dataset(output="audio", channel="noise(snr=10)", **options)
    for (before, _), (after, _) in zip(clean, noisy, strict=True):
        np.testing.assert_array_equal(after, sent(before.numpy(), "noise(snr=10)", seed=3))
    again = sonikeras.dataset(output="audio", **options)  # the cache holds the clean ones
    for (before, _), (after, _) in zip(clean, again, strict=True):
        np.testing.assert_array_equal(before, after)
    pictures = [next(iter(sonikeras.dataset(channel=c, **options)))[0] for c in (None, "noise(snr=0)", Noise(snr=0))]
    assert np.abs(pictures[0] - pictures[1]).max() > 10
    np.testing.assert_array_equal(pictures[1], pictures[2])


def test_dataset_of_recordings_and_of_a_tf_dataset(image_folder, photo):
    import tensorflow as tf

    for name in ("ant", "bee"):
        for i in range(5):
            sonikeras.write_audio(f"sounds/{name}/{i}.wav", tone(440 + i, 3000), "matched")
    options = {"config": "matched", "output": "audio", "channel": "gain(db=-20)", "batch_size": None}
    after, _ = next(iter(sonikeras.dataset(data_dir="sounds", stage="audio", **options)))
    assert np.abs(after).max() == pytest.approx(0.05, abs=1e-3)
    images = tf.data.Dataset.from_tensor_slices((photo[None, :64, :64], [0]))
    audio, _ = next(iter(sonikeras.dataset(source=images, classes=["a", "b"], split="test", **options)))
    clean, _ = next(
        iter(sonikeras.dataset(source=images, classes=["a", "b"], split="test", **options | {"channel": None}))
    )
    np.testing.assert_allclose(audio, clean / 10, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"output": "image"},
            "`channel` needs audio: .*Received: channel='telephone', stage='image', output='image'",
        ),
        ({"stage": "spectrogram"}, "`channel` needs audio"),
        ({"service": "grpc://localhost:1"}, "`channel` and `service` cannot be combined"),
        ({"channel": "mp3(kbps=320)"}, "a bit rate that MP3 has at 22050 Hz"),
        ({"channel": 3}, "`channel` must be a Channel"),
    ],
)
def test_dataset_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        sonikeras.dataset("c2", images_per_class=5, **{"channel": "telephone"} | options)


def test_recipe_notes_the_channel_as_text():
    assert (
        Recipe(network="efficientnet_lite0", channel="noise( snr = 20 ) + telephone").channel
        == "noise(snr=20)+telephone"
    )
    with pytest.raises(ValueError, match="Unknown `channel`"):
        Recipe(network="efficientnet_lite0", channel="radio")


def test_command_line(photo, capsys):
    cv2.imwrite("photo.png", photo[..., ::-1])
    main(["sonify", "photo.png", "sent.wav", "--config", "lossless"])
    main(["transmit", "sent.wav", "received.flac", "--channel", "noise(snr=10)", "--seed", "3"])
    audio, config = sonikeras.read_audio("sent.wav")
    received, same = sonikeras.read_audio("received.flac")
    assert config == same == sonikeras.SonificationConfig.preset("lossless") and capsys.readouterr().out == ""
    np.testing.assert_array_equal(received, sent(audio, "noise(snr=10)", seed=3))
    main(["transmit", "sent.wav", "received.wav", "--channel", "mp3(kbps=16)"])
    size = len(MP3(kbps=16).encode(audio, RATE))
    assert (
        capsys.readouterr().out == f"mp3(kbps=16): {size} bytes, {size * 8 / 1000 / (len(audio) / RATE):.1f} kbit/s\n"
    )
    with pytest.raises(SystemExit, match="^sonikeras: error: Unknown `channel`. Allowed values"):
        main(["transmit", "sent.wav", "received.wav", "--channel", "radio"])
    main(["info"])
    assert "channels   noise(snr=), gain(db=)" in capsys.readouterr().out


@pytest.mark.parametrize("format", ["MP3", "OGG"])
def test_command_line_clips_what_a_decoder_reads(format):
    rng = np.random.default_rng(0)
    loud = np.sign(tone(440)) * rng.choice([0.99, 1], RATE)
    soundfile.write(f"loud.{format.lower()}", loud, RATE, format=format)
    audio, _ = sonikeras.read_audio(f"loud.{format.lower()}")
    assert np.abs(audio).max() > 1.001
    main(["transmit", f"loud.{format.lower()}", "received.wav", "--channel", "delay(samples=0)"])
    received, _ = sonikeras.read_audio("received.wav")
    np.testing.assert_allclose(received, np.clip(audio, -1, 1), atol=1 / 32767)


@pytest.fixture(scope="module")
def recipe():
    spec = importlib.util.spec_from_file_location("recipe", Path(__file__).parents[2] / "recipes" / "channels.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_recipe(recipe, image_folder, monkeypatch):
    """A few cells, and the page of what is there."""
    few = {"SNR": (), "CODECS": {"MP3": ()}, "JPEG_BYTES": (350,), "FRAMES": (), "BINS": (), "OTHERS": ()}
    for name, value in few.items():
        monkeypatch.setattr(recipe, name, value)
    root = image_folder(count=5)
    arguments = ["--smoke", "--data-dir", str(root), "--weights", "none", "--out", "out", "--page", "site/page.md"]
    recipe.main([*arguments, "--config", "lossless"])
    jpeg = {path: path.stat().st_mtime_ns for path in Path("out/jpeg").rglob("*.jpg")}
    (report,) = Path("out").glob("bytes/jpeg-*/42/report.json")
    report.unlink()  # a run that was stopped goes on: its images are the same files
    stray = next(iter(jpeg)).with_name("stray.jpg")
    stray.write_bytes(b"")
    recipe.main([*arguments, "--config", "lossless"])
    assert report.exists() and not stray.exists() and not report.with_name("error.txt").exists()
    assert jpeg == {path: path.stat().st_mtime_ns for path in Path("out/jpeg").rglob("*.jpg")}
    Path("site/page.md").unlink()
    recipe.main([*arguments, "--config", "lossless", "--only-page"])
    page = Path("site/page.md").read_text()
    assert "| 128 x 512 | 3.00 |" in page
    assert Path("site/images/page-bytes.png").exists() and "2 test images of 80 x 60 pixels" in page
    assert "350 bytes: 8 of 8 images do not fit as JPEG at any quality." in page
    with open("out/channels.csv", newline="") as file:
        clean, yardstick = csv.DictReader(file)
    assert (clean["series"], clean["bytes"], clean["kbps"]) == ("16-bit PCM", "132096", "352.8")
    assert yardstick["series"] == "JPEG" and 1000 < int(yardstick["bytes"]) < 132096 and not yardstick["kbps"]
    assert clean["n"] == yardstick["n"] == "2" and clean["accuracy"] and yardstick["accuracy"]


def test_bytes_are_those_of_all_classes(recipe, image_folder, monkeypatch):
    monkeypatch.setattr(recipe, "MEASURED", 2)
    root = image_folder(count=10)
    options = recipe.parse(["--smoke", "--data-dir", str(root), "--images-per-class", "10", "--config", "lossless"])
    study = recipe.Study(options, Path("out"), "command")
    (batch,) = study._recipe.dataset("test", output="audio", shuffle=False)
    audio, labels = (part.numpy() for part in batch)
    assert labels.tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(study._audio, audio[[0, -1]])


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(0.25, 0.75, "0.250 to 0.750"), (-np.inf, 0.75, "below 0.750"), (-np.inf, np.inf, "unbounded")],
)
def test_intervals_without_bounds_are_worded(recipe, low, high, text):
    retention = sonikeras.evaluation.retention.Retention(0.5, low, high, 0.5, 0.5, 0.1, 10, 1, 0.95)
    assert recipe.interval(retention) == f"0.500 ({text})"


def test_a_folder_is_made_of_what_is_missing(recipe):
    root = Path("folder")
    files = {root / "a" / "1.jpg": b"1", root / "b" / "2.jpg": b"2"}
    recipe.make_folder(root, files)
    before = {path: path.stat().st_mtime_ns for path in files}
    (root / "c").mkdir()
    (root / "c" / "3.jpg").write_bytes(b"3")
    recipe.make_folder(root, files)
    assert before == {path: path.stat().st_mtime_ns for path in files} and not (root / "c").exists()
    recipe.make_folder(root, files | {root / "a" / "1.jpg": b"4"})
    assert (root / "a" / "1.jpg").read_bytes() == b"4" and (root / "b" / "2.jpg").stat().st_mtime_ns == before[
        root / "b" / "2.jpg"
    ]


def test_jpeg_is_the_best_that_fits(recipe, photo):
    sizes = list(map(len, recipe.jpegs(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)[:100, :100])))
    assert len(sizes) == 100 and recipe.best_fitting(sizes, sizes[59]) == 59 and sizes[59] < sizes[60]
    assert recipe.best_fitting(sizes, min(sizes) - 1) is None and recipe.best_fitting(sizes, 10**6) == 99


@pytest.mark.parametrize("preset", sonikeras.presets())
def test_lengths_keep_the_proportions_of_the_chain(recipe, preset, photo):
    config = sonikeras.SonificationConfig.preset(preset)
    half = config.fft_length // 2
    assert recipe.with_bins(config, half + 1) == config
    short = recipe.with_bins(config, half // 4 + 1)
    assert short.bins == half // 4 + (config.transform == "stft")
    assert short.seconds == pytest.approx(config.seconds / 4)
    assert short.analysis.frame_length / short.frame_length == config.analysis.frame_length / config.frame_length
    assert sonikeras.sonify(photo, short).shape == (short.samples,)


def test_runs_in_another_order_are_paired_by_name(recipe):
    def report(names):
        labels = np.array([len(name) for name in names])
        rows = np.eye(3, dtype="float32")[labels]
        options = {"loss": 0.0, "batch_mean_accuracy": 1.0, "history": None, "seconds": 1.0, "names": names}
        return sonikeras.Report(("a", "b", "c"), labels, labels, rows, **options)

    paired = recipe.in_order(report(("q", "", "pp")), ("", "q", "pp"))
    np.testing.assert_array_equal(paired.labels, [0, 1, 2])
    np.testing.assert_array_equal(paired.probabilities, np.eye(3))
    with pytest.raises(ValueError, match=r"must have the same test examples. Received: \['pp', 'r'\]"):
        recipe.in_order(report(("q", "", "pp")), ("", "q", "r"))


def test_numbers_of_any_length_are_refused_by_the_rule():
    for digits in (400, 5000):
        with pytest.raises(ValueError, match="`db` must be a number of dB in -200..200. Received: db=") as error:
            channels.as_channel(f"gain(db={'1' * digits})")
        assert len(str(error.value)) < 1000


def test_the_old_name_of_a_chain_tells_the_new_one():
    with pytest.raises(AttributeError, match="use `sonikeras.channels.Chain`"):
        channels.Series  # noqa: B018
