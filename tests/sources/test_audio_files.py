"""Every sample that is in an audio file is read, whatever its header says; what is cut is refused; all by name."""

import dataclasses
import importlib.util
import json
import struct
import tracemalloc

import numpy as np
import pytest
from audio_files import APE, ID3V1, RATE, TONE, encode, id3, patched, tag_position, without_xing

import sonikeras
from sonikeras.config import limits
from sonikeras.sources.audio import EXTENSIONS, encode_pcm16, to_pcm16

STUDY = sonikeras.SonificationConfig.preset("study")
DELAY = 576 + 529  # samples that an MP3 encoder and any decoder put before a sound
KBPS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # of MPEG-1, layer III
LIST = b"LIST\x1a\0\0\0INFOISFT\x0e\0\0\0Lavf58.29.100\0"


def read(data, **options):
    return sonikeras.read_audio(data, STUDY, name="NAME", **options)[0]


def refused(data, message, **options):
    with pytest.raises(ValueError, match=rf"{message}.*NAME|NAME.*{message}"):
        read(data, **options)


@pytest.fixture
def changed_limits():
    before = {name: limits.get(name) for name in ("audio_samples", "audio_channels", "picture_pixels")}
    yield limits.set
    limits.set(**before)


# MP3 ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 11025, 22050, 24000, 32000, 44100, 48000])
def test_mp3_without_a_xing_header_has_all_frames(rate, channels):
    """MPEG-1, 2 and 2.5; the header also says how much of the first and the last frame is no sound."""
    data = encode("MP3", rate=rate, channels=channels)
    config = STUDY.replace(sample_rate=rate)
    whole, bare = (sonikeras.read_audio(mp3, config)[0] for mp3 in (data, without_xing(data)))
    assert len(whole) == len(TONE) and len(bare) % (1152 if rate >= 32000 else 576) == 0
    np.testing.assert_allclose(bare[DELAY : DELAY + len(whole)], whole[: len(bare) - DELAY], atol=1e-6)


def test_mp3_of_variable_bit_rate_is_not_cut():
    """The first frames are larger than the others, of which the decoder would then expect fewer."""
    sound = np.concatenate([np.random.default_rng(0).uniform(-0.9, 0.9, 5000), np.zeros(200_000)]).astype(np.float32)
    data = without_xing(encode("MP3", audio=sound, rate=44100, bitrate_mode="VARIABLE", compression_level=0.0))
    audio = sonikeras.read_audio(data, STUDY.replace(sample_rate=44100))[0]
    assert len(audio) == -(-(len(sound) + DELAY) // 1152) * 1152 or len(audio) >= len(sound)
    assert np.abs(audio[DELAY + 10_000 :]).max() < 1e-3 and np.abs(audio[DELAY : DELAY + 4000]).max() > 0.5


@pytest.mark.parametrize("xing", [True, False])
@pytest.mark.parametrize("before", [b"", bytes(5000), id3(300_000), id3(10, version=4) + id3(10), b"junk" * 100])
@pytest.mark.parametrize("after", [b"", ID3V1, APE + ID3V1, bytes(5000), b"junk" * 700, id3(2000)])
def test_mp3_between_tags_and_junk(before, after, xing):
    data = encode("MP3") if xing else without_xing(encode("MP3"))
    np.testing.assert_array_equal(read(before + data + after), read(data))


def test_mp3_that_is_cut():
    data = encode("MP3")
    for size in (len(data) - 1, len(data) - 100, len(data) // 2):
        refused(data[:size], "truncated")
        refused(data[:size], "truncated", samples=1000)
    assert len(read(without_xing(data)[: len(data) // 2])) > len(TONE) // 3  # nothing says how long it was


def test_mp3_header_that_miscounts():
    """Some count the frame that says it; joined files have the header of the first."""
    data = encode("MP3")
    position = tag_position(data) + 8
    count = int.from_bytes(data[position : position + 4], "big")
    assert len(read(patched(data, position, ">I", count + 1))) >= len(TONE)
    refused(patched(data, position, ">I", count + 2), "truncated")
    joined = read(data + data)
    np.testing.assert_allclose(joined[DELAY : DELAY + len(TONE)], read(data), atol=1e-6)
    # The second header is a frame of silence, after which the second sound starts with its delay.
    again = joined[-(len(joined) - 576) // 2 :]
    assert len(joined) % 576 == 0 and np.abs(again).max() > 0.3 and len(joined) > 2 * len(TONE)
    np.testing.assert_allclose(read(data + id3(2_000_000) + data), joined, atol=1e-6)


def test_mp3_that_goes_on_otherwise():
    refused(encode("MP3") + encode("MP3", rate=44100), "sample rate or layer changes")


def test_mp3_with_a_header_that_the_decoder_does_not_know():
    """Fraunhofer's VBRI header lies where Xing's would."""
    bare = without_xing(encode("MP3", rate=44100, channels=2))
    frames = -(-(len(TONE) + DELAY) // 1152)
    unpadded = bare[:2] + bytes([bare[2] & ~2]) + bare[3:4]
    header = (unpadded + bytes(32) + b"VBRI").ljust(46, b"\0") + struct.pack(">II", len(bare), frames)
    length = 144 * 1000 * KBPS[bare[2] >> 4] // 44100
    vbri = header.ljust(length, b"\0") + bare
    np.testing.assert_allclose(read(vbri), read(bare), atol=1e-6)


def test_damaged_mp3_is_read_or_refused():
    data = encode("MP3")
    rng = np.random.default_rng(0)
    for _ in range(40):
        damaged = bytearray(data)
        for position in rng.integers(0, 400, 4):
            damaged[position] = rng.integers(256)
        try:
            assert len(read(bytes(damaged))) < 2 * len(TONE)
        except ValueError as error:
            assert "NAME" in str(error)


# WAV and its relatives ------------------------------------------------------------------------------------------------

PLACEHOLDERS = [0, 0x7FFFF000, 0x7FFFEFDC, 0x7FFFFFFF, 0x80000000, 0x80000024, 0xFFFFFFFF, 0xFFFFFFDB, 0xFFFFFF00]


@pytest.mark.parametrize(
    "subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT", "ULAW", "IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32"]
)
def test_wav_written_to_a_pipe(subtype):
    data = encode("WAV", subtype, audio=TONE[:40000])
    whole, position = read(data), data.find(b"data") + 4
    end = position + 4 + int.from_bytes(data[position : position + 4], "little")
    for size in PLACEHOLDERS:
        piped = patched(patched(data[:end], position, "<I", size), 4, "<I", min(size + 36, 0xFFFFFFFF))
        np.testing.assert_array_equal(read(piped), whole)
    for cut in (end - 3, end - 1000, (position + end) // 2):
        refused(data[:cut], "truncated")
        refused(data[:cut], "truncated", samples=100)


def test_wav_with_another_size_than_its_datas():
    data = encode("WAV", audio=TONE[:40000])
    position = data.find(b"data") + 4
    for size in (len(data), len(data) - 8, 80001):  # of the file, of its RIFF chunk, with a pad byte that is not there
        np.testing.assert_array_equal(read(patched(data, position, "<I", size)), read(data))
    for size in (80002, 80100, 100_000):
        refused(patched(data, position, "<I", size), "truncated")
    for size in (0, 3, len(data), 0xFFFFFFFF):  # that of the RIFF chunk tells nothing
        np.testing.assert_array_equal(read(patched(data, 4, "<I", size)), read(data))


def test_wav_with_chunks_after_its_samples():
    data = encode("WAV", "PCM_U8")  # of odd length
    bare = data[: data.find(b"data") + 8 + len(TONE)]
    for after in (b"", b"\0", LIST, b"\0" + LIST, b"\0" + LIST[:20]):
        np.testing.assert_array_equal(read(bare + after), read(data))
    empty = patched(bare, bare.find(b"data") + 4, "<I", 0)[: -len(TONE)]
    for after in (b"", LIST):
        refused(empty + after, "must hold all of its samples")


@pytest.mark.parametrize(
    ("format", "subtype", "endian"),
    [("WAV", "PCM_16", "BIG"), ("WAVEX", "PCM_24", None), ("RF64", "PCM_16", None), ("W64", "PCM_16", None)],
)
def test_relatives_of_wav(format, subtype, endian):
    data = encode(format, subtype, endian=endian)
    np.testing.assert_allclose(read(data), TONE, atol=1e-4)
    refused(data[:-100], "truncated")
    if format == "RF64":
        np.testing.assert_allclose(read(b"BW64" + data[4:]), TONE, atol=1e-4)
        for size in (0, 2**64 - 1):
            np.testing.assert_allclose(read(patched(data, data.find(b"ds64") + 16, "<Q", size)), TONE, atol=1e-4)
    elif format == "W64":
        for size in (24, 2**64 - 1):
            np.testing.assert_allclose(read(patched(data, data.find(b"data") + 16, "<Q", size)), TONE, atol=1e-4)
    else:
        size = patched(data, data.find(b"data") + 4, ">I" if endian else "<I", 0xFFFFFFFF)
        np.testing.assert_allclose(read(size), TONE, atol=1e-4)


def test_mp3_in_a_wav_file():
    mp3 = encode("MP3")
    form = (0x55).to_bytes(2, "little") + (1).to_bytes(2, "little") + RATE.to_bytes(4, "little") + bytes(10)
    wav = b"RIFF\0\0\0\0WAVEfmt \x12\0\0\0" + form + b"data" + len(mp3).to_bytes(4, "little") + mp3
    np.testing.assert_array_equal(read(wav), read(mp3))


# Others ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["AIFF", "AIFC", "AU", "AU, little", "CAF", "CAF, ALAC"])
def test_apples_and_suns_formats(kind):
    encoding = {"AIFC": ("AIFF", "FLOAT"), "AU, little": ("AU", "PCM_16", "LITTLE"), "CAF, ALAC": ("CAF", "ALAC_16")}
    format, subtype, endian = (*encoding.get(kind, (kind, "PCM_16")), None)[:3]
    data = encode(format, subtype, endian=endian)
    np.testing.assert_allclose(read(data), TONE, atol=1e-4)
    refused(data[: len(data) * 2 // 3], "truncated")
    if format == "AIFF":
        place, layout, unknown = data.find(b"SSND") + 4, ">I", [0, 0x7F000008, 0xFFFFFFFF, len(data)]
    elif format == "AU":
        place, layout, unknown = 8, "<I" if endian else ">I", [0, 0x7F000000, 0xFFFFFFFF, len(data)]
    else:
        place, layout, unknown = data.find(b"data") + 4, ">q", [-1]
    for size in unknown:
        np.testing.assert_allclose(read(patched(data, place, layout, size)), TONE, atol=1e-4)


def flac_of_length(data, samples):
    fields = int.from_bytes(data[18:26], "big")
    return patched(data, 18, ">Q", fields >> 36 << 36 | samples)


@pytest.mark.parametrize("rate", [RATE, 22051, 96000])
@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
def test_flac_of_unknown_length(subtype, rate):
    config = STUDY.replace(sample_rate=rate)
    data = encode("FLAC", subtype, rate=rate)
    unknown = flac_of_length(data, 0)
    whole = sonikeras.read_audio(data, config)[0]
    for file in (unknown, unknown + ID3V1, id3(100) + unknown, id3(100) + data):
        np.testing.assert_array_equal(sonikeras.read_audio(file, config)[0], whole)
    np.testing.assert_array_equal(sonikeras.read_audio(unknown, config, samples=500)[0], whole[:500])
    for cut in (data[:-1], data[: len(data) // 2], unknown[:-1], unknown[: len(data) // 2]):
        with pytest.raises(ValueError, match="must be a whole.*NAME"):
            sonikeras.read_audio(cut, config, name="NAME")


@pytest.mark.parametrize("samples", [40002, 2**27 - 1, 2**27 + 1, 2**36 - 1])
def test_flac_that_states_too_much(samples):
    tracemalloc.start()
    data = flac_of_length(encode("FLAC"), samples)
    refused(data, "must hold all of its samples" if samples < 2**27 else "`audio_samples`")
    refused(data[:-500], "lost sync" if samples < 2**27 else "`audio_samples`")
    tracemalloc.stop()


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_that_ends_within_a_page(subtype):
    data = encode("OGG", subtype, rate=48000)
    whole = read(data)
    np.testing.assert_array_equal(read(data + ID3V1), whole)
    for size in (len(data) - 1, len(data) * 2 // 3):
        refused(data[:size], "truncated", samples=100)


def test_kinds_of_files_are_told_by_their_bytes(tmp_path):
    for format, subtype in [("OGG", "VORBIS"), ("FLAC", None), ("MP3", None), ("WAV", None), ("VOC", "PCM_16")]:
        path = tmp_path / "sound.wav"
        path.write_bytes(encode(format, subtype))
        assert np.abs(sonikeras.read_audio(path)[0][:40001] - TONE).max() < 0.1
    for data in (b"", b"RIFF", b"fLaC", b"FORM\0\0\0\0AIFF", b"\xff\xfb", b"caff", b".snd", b"12", bytes(2000), b"ID3"):
        refused(data, "must be a whole WAV, FLAC, Ogg, MP3, AIFF, AU or CAF file")


def test_formats_that_need_another_decoder():
    """An MP4 file, an AAC stream, a WMA file and one of WebM, by their first bytes."""
    if importlib.util.find_spec("av"):
        assert ".m4a" in EXTENSIONS
        pytest.skip("PyAV is installed")
    assert ".m4a" not in EXTENSIONS and {".wav", ".aif", ".aiff", ".opus", ".au", ".caf"} < set(EXTENSIONS)
    for head in (b"\0\0\0\x20ftypM4A ", b"\xff\xf1\x50\x80", b"\x30\x26\xb2\x75", b"\x1a\x45\xdf\xa3"):
        refused(head + bytes(100), r"pip install sonikeras\[m4a\]")


def test_m4a(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "tone.m4a"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=44100)
        for start in range(0, 44100, 1024):
            tone = 0.4 * np.sin(np.arange(start, start + 1024) * 0.05)
            frame = av.AudioFrame.from_ndarray(tone[None].astype(np.float32), format="fltp", layout="mono")
            frame.rate, frame.pts = 44100, start
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    config = STUDY.replace(sample_rate=44100)
    audio = sonikeras.read_audio(path, config)[0]
    assert abs(len(audio) - 45056) <= 2048
    spectrum = np.abs(np.fft.rfft(audio[4096 : 4096 + 32768]))
    assert abs(spectrum.argmax() - 0.05 / (2 * np.pi) * 32768) < 1.5
    np.testing.assert_array_equal(sonikeras.read_audio(path, config, samples=9000)[0], audio[:9000])
    refused(path.read_bytes()[:3000], "must be a whole")


SEEDS = [("WAV", "PCM_16"), ("WAV", "GSM610"), ("WAV", "IMA_ADPCM"), ("FLAC", None), ("MP3", None), ("OGG", None)]
SEEDS += [("AIFF", None), ("AU", None), ("CAF", "ALAC_16"), ("RF64", None), ("W64", None), ("VOC", "PCM_16")]


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_damaged_files_are_read_or_refused_by_name(seed):
    data = encode(*SEEDS[seed], audio=TONE[:5000])
    rng = np.random.default_rng(seed)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 4, 30])):
            position = rng.integers(min(len(damaged), 200) if rng.random() < 0.7 else len(damaged))
            damaged[position : position + 4] = [bytes(4), b"\xff" * 4, rng.bytes(4), b""][rng.integers(4)]
        try:
            audio = sonikeras.read_audio(bytes(damaged), name="NAME", samples=rng.choice([None, 100]))[0]
        except ValueError as error:
            assert "NAME" in str(error)
        else:
            assert audio.dtype == np.float32 and np.isfinite(audio).all() and len(audio)


# Parts ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("format", ["WAV", "FLAC", "MP3", "OGG"])
def test_a_part_is_the_same_as_of_the_whole(format, rate):
    if format == "MP3" and rate == 96000:
        pytest.skip("MP3 has no such rate")
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 4 * rate + 12345).astype(np.float32)
    data = encode(format, audio=sound, rate=rate, channels=2)
    whole = read(data)
    for samples in (1, 1000, 22050, 65024, 10**6):
        np.testing.assert_array_equal(read(data, samples=samples), whole[:samples])


def test_a_part_takes_the_memory_of_a_part(tmp_path):
    path = tmp_path / "long.wav"
    path.write_bytes(encode("WAV", audio=np.zeros(2_000_000, np.float32), channels=8, rate=44100))
    peaks = {}
    for samples in (1000, None):
        tracemalloc.start()
        audio = sonikeras.read_audio(path, STUDY, samples=samples)[0]
        peaks[samples] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert len(audio) == 1_000_000
    assert peaks[1000] < 8e6 and peaks[None] < 2_000_000 * 4 * 3  # all channels at once would take 64 MB


def test_channels_are_averaged():
    import soundfile

    sound = np.random.default_rng(0).uniform(-1, 1, (300_000, 6)).astype(np.float32)
    with soundfile.SoundFile("six.wav", "w", RATE, 6, "FLOAT") as file:
        file.write(sound)
    np.testing.assert_array_equal(sonikeras.read_audio("six.wav")[0], sound.mean(axis=1))


def test_recordings_are_read_in_part(tmp_path):
    """A data set of recordings names a file that is cut, and reads of the others what it needs."""
    for folder in ("train/ant", "train/bee", "test/ant", "test/bee"):
        (tmp_path / folder).mkdir(parents=True)
        for i in range(2):
            sound = np.random.default_rng(i).uniform(-0.5, 0.5, 200_000).astype(np.float32)
            (tmp_path / folder / f"{i}.flac").write_bytes(encode("FLAC", audio=sound, rate=44100))
    options = {"data_dir": tmp_path, "stage": "audio", "output": "audio", "batch_size": None, "shuffle": False}
    examples = sonikeras.dataset(split="train", **options)
    first = next(iter(examples))[0].numpy()
    whole = sonikeras.read_audio(examples.file_paths[0], STUDY)[0][: STUDY.samples]
    np.testing.assert_array_equal(first, to_pcm16(whole).astype(np.float32) / 32768)
    bad = tmp_path / "train" / "ant" / "0.flac"
    bad.write_bytes(bad.read_bytes()[:-1000])
    with pytest.warns(UserWarning, match="1 of 4 files are left out:\n.*0.flac"):
        assert sonikeras.dataset(on_error="skip", **options).skipped == [str(bad)]
    with pytest.raises(Exception, match="0.flac"):
        next(iter(sonikeras.dataset(**options)))


# Limits ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1, 50, 2**31 - 1, 2_000_000])
def test_sample_rates_are_limited(rate):
    data = patched(encode("WAV", "PCM_16"), 24, "<I", rate)
    refused(data, "`audio_rate" if rate < 2**31 - 1 else "audio_rate|no known|must be a whole")


def test_limits(changed_limits):
    refused(encode("WAV", channels=300, audio=TONE[:10]), "`audio_channels`: at most 256.*Received: 300")
    changed_limits(audio_samples=40000)
    refused(encode("WAV"), r"`audio_samples`: at most 40,000\. .*changes it\. Received: 40,001")
    refused(encode("MP3"), "`audio_samples`")
    refused(encode("WAV", audio=TONE[:30000], rate=11025), "`audio_samples`")  # it would become longer
    assert len(read(encode("WAV", audio=TONE[:30000]))) == 30000 and len(read(encode("WAV"), samples=5)) == 5
    changed_limits(audio_samples=40001)
    assert len(read(encode("WAV"))) == 40001
    with pytest.raises(ValueError, match="Unknown limit. Allowed values: .*'audio_samples'"):
        limits.set(samples=5)
    with pytest.raises(ValueError, match="`audio_samples` must be an integer of at least 1. Received: audio_samples=0"):
        limits.set(audio_samples=0)


# The config in a file -------------------------------------------------------------------------------------------------

MATCHED = sonikeras.SonificationConfig.preset("matched")


def commented(format, *comments, config=MATCHED):
    """A file with comments, written here: libsndfile drops long ones."""
    texts = [comment if isinstance(comment, bytes) else comment.encode() for comment in comments]
    data = encode_pcm16(to_pcm16(TONE), config, f".{format.lower()}")
    if format == "WAV":
        info = b"".join(b"ICMT" + len(t).to_bytes(4, "little") + t + bytes(len(t) % 2) for t in texts)
        chunk = b"LIST" + (4 + len(info)).to_bytes(4, "little") + b"INFO" + info
        bare = data[:12] + data[12 : data.find(b"LIST")] + data[data.find(b"data") :]
        return bare + chunk, bare[:12] + chunk + bare[12:]
    entries = b"".join((len(t) + 8).to_bytes(4, "little") + b"COMMENT=" + t for t in texts)
    block = b"\0\0\0\0" + len(texts).to_bytes(4, "little") + entries
    head, position = data[:42], 42
    while data[position] & 127 != 4:
        position += 4 + int.from_bytes(data[position + 1 : position + 4], "big")
    length = int.from_bytes(data[position + 1 : position + 4], "big")
    rest = data[position + 4 + length :]
    return (head + bytes([data[position]]) + len(block).to_bytes(3, "big") + block + rest,)


@pytest.mark.parametrize("size", [0, 1000, 3000, 10_000, 100_000, 1_000_000])
@pytest.mark.parametrize("format", ["WAV", "FLAC"])
def test_config_of_any_length(format, size):
    text = "sonikeras:" + json.dumps(MATCHED.to_dict()) + " " * size
    for data in commented(format, text):
        audio, config = sonikeras.read_audio(data)
        assert config == MATCHED and len(audio) == len(TONE)


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_longest_config_survives_writing(tmp_path, format):
    config = MATCHED.replace(
        top_db=123_456.78901234567,
        rho=123_456.78901234567,
        momentum=0.12345678901234567,
        colormap="\U0001f600" * 128,
        iterations=100_000,
        initial_phase="structured",
        color="ycbcr",
        chroma_fraction=0.12345678901234567,
        min_freq=123.45678901234567,
        max_freq=9876.543210987654,
        frequency_scale="linear",
        rows=123,
    ).resolved()
    sonikeras.write_audio(tmp_path / f"a.{format}", TONE, config)
    assert sonikeras.read_audio(tmp_path / f"a.{format}")[1] == config


@pytest.mark.parametrize("format", ["WAV", "FLAC"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('{"sample_rate": 1000000000}', "`audio_rate`: at most 1,000,000"),
        ('{"sample_rate": 1' + "0" * 4000 + "}", "`audio_rate`.*more than"),
        ('{"sample_rate": 1' + "0" * 5000 + "}", "4300"),
        ('{"sample_rate": true}', "`sample_rate` must be an integer"),
        ('{"sample_rate": "22050"}', "`sample_rate` must be an integer"),
        ('{"sample_rate": 1e400}', "`sample_rate` must be an integer"),
        ('{"frames": 268435456}', "`config_frames`"),
        ('{"frames": 1000000}', "`config_cells`"),
        ('{"frame_length": 268435456, "fft_length": 268435456}', "`config_transform`"),
        ('{"analysis_frame_step": 1}', "`config_cells`"),
        ('{"top_db": 1' + "0" * 400 + "}", "`top_db` must be a finite number"),
        ('{"top_db": NaN}', "`top_db` must be a finite number"),
        ('{"rho": Infinity}', "`rho` must be a finite number"),
        ('{"momentum": [[0.5]]}', "`momentum` must be a number"),
        ('{"iterations": 1000000000}', "`config_iterations`"),
        ('{"picture_size": [20000, 20000]}', "`picture_pixels`.*400,000,000"),
        ('{"picture_size": [[1], [1]]}', "`picture_size` must be an integer"),
        ('{"colormap": "' + "x" * 5000 + '"}', "`colormap` must be"),
        ('{"window": "' + "x" * 5000 + '"}', "Unknown `window`"),
        ('{"frames": 64, "frames": 65}', "each field once"),
        ('{"' + "x" * 5000 + '": 1}', "Unknown config fields"),
        ("[" * 1500 + "]" * 1500, "mapping"),
        ("[" * 100_000, "mapping|JSON|delimiter|Expecting"),
        ('{"colormap": ' + "[" * 900 + "]" * 900 + "}", "`colormap` must be"),
        ("[1]", "mapping"),
        ("{", "Expecting"),
        (b"{\xff\xfe}", "utf-8"),
        ("{}" + " " * 2_000_000, "`config_bytes`"),
    ],
)
def test_config_that_asks_for_too_much(format, value, message):
    text = b"sonikeras:" + (value if isinstance(value, bytes) else value.encode())
    for data in commented(format, text):
        with pytest.raises(ValueError, match=rf"must be valid. Received: NAME.*{message}") as error:
            sonikeras.read_audio(data, name="NAME")
        assert len(str(error.value)) < 2000
        assert len(read(data)) == len(TONE)  # the config is another one then


@pytest.mark.parametrize("format", ["WAV", "FLAC"])
def test_several_comments(format):
    ours = "sonikeras:" + json.dumps(MATCHED.to_dict())
    for comments in (("a recording", ours), (ours, "a recording"), (ours, ours), (b"\xff\xfe", ours)):
        for data in commented(format, *comments):
            assert sonikeras.read_audio(data)[1] == MATCHED
    for data in commented(format, "a recording", b"\xff\xfe"):
        assert sonikeras.read_audio(data)[1] == STUDY
    for data in commented(format, ours, "sonikeras:{}"):
        with pytest.raises(ValueError, match="2 different ones"):
            sonikeras.read_audio(data)
    for data in commented(format, 'sonikeras:{"frames": 64}'):  # of a version that had fewer fields
        assert sonikeras.read_audio(data)[1] == STUDY.replace(frames=64)


@pytest.mark.parametrize("size", [100, 3000, 10_000])
def test_comments_of_other_formats(size):
    text = "sonikeras:" + json.dumps(MATCHED.to_dict()) + " " * size
    for format in ("AIFF", "OGG", "MP3", "RF64", "CAF"):
        assert sonikeras.read_audio(encode(format, comment=text))[1] == MATCHED


def test_config_is_bounded_in_python_too():
    for change in ({"sample_rate": 10**9}, {"picture_size": (20_000, 20_000)}, {"frames": 2**28}):
        with pytest.raises(ValueError, match=r"must keep to the limit `\w+`: at most .*Received: [\d,]+"):
            STUDY.replace(**change)
    optional = {field.name for field in dataclasses.fields(STUDY) if field.default is None}
    for name in (field.name for field in dataclasses.fields(STUDY)):
        for value in (10**5000, float("nan"), True, None, "x" * 10_000, [[]], {}, 1 + 2j, b"x"):
            if (value is None and name in optional) or (value is True and name == "panning"):
                continue
            with pytest.raises(ValueError, match=name) as error:
                STUDY.replace(**{name: value})
            assert len(str(error.value)) < 1000


@pytest.mark.parametrize("extension", [".wav", ".flac"])
@pytest.mark.parametrize("rows", [1500, 1501, 4000, 10_000])
def test_a_config_of_any_length_is_carried(extension, rows):
    """Of a long comment libsndfile writes nothing."""
    import soundfile

    frequencies = np.linspace(100, 10_000, rows)
    config = sonikeras.SonificationConfig.preset("scan").replace(frequencies=frequencies, frames=4, panning=True)
    audio = np.random.default_rng(0).uniform(-0.2, 0.2, (999, 2)).astype(np.float32)
    sonikeras.write_audio(f"a{extension}", audio, config, normalize="-1 dBFS")
    back, carried = sonikeras.read_audio(f"a{extension}")
    assert carried == config and carried == sonikeras.SonificationConfig.load(f"a{extension}")
    np.testing.assert_allclose(back, audio, atol=1e-5)
    assert soundfile.info(f"a{extension}").frames == 999
