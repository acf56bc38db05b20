"""Audio files with known samples, and what programs make of them: wrong sizes, no Xing header, tags."""

import io
import struct

import numpy as np

RATE = 22050
TONE = (0.4 * np.sin(np.arange(40001) * 0.05)).astype(np.float32)


def encode(format, subtype=None, *, audio=TONE, rate=RATE, channels=1, endian=None, comment=None, **settings) -> bytes:
    """A file as libsndfile writes it; all channels are equal."""
    import soundfile

    data = io.BytesIO()
    with soundfile.SoundFile(data, "w", rate, channels, subtype, format=format, endian=endian, **settings) as file:
        if comment is not None:
            file.comment = comment
        for start in range(0, len(audio), rate):  # libsndfile overflows its stack on long blocks of Vorbis
            file.write(np.repeat(audio[start : start + rate, None], channels, axis=1))
    return data.getvalue()


def patched(data: bytes, position: int, layout: str, *values: int) -> bytes:
    """The file with other numbers at a position."""
    return data[:position] + struct.pack(layout, *values) + data[position + struct.calcsize(layout) :]


def id3(size: int, *, version: int = 3) -> bytes:
    """An ID3v2 tag with a cover picture of so many random bytes."""
    picture = b"\0image/png\0\3\0" + np.random.default_rng(0).bytes(size)
    frame = b"APIC" + struct.pack(">IH", len(picture), 0) + picture
    sizes = bytes(len(frame) >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3" + bytes([version, 0, 0]) + sizes + frame


ID3V1 = b"TAG" + bytes(125)
_APE = struct.pack("<8sIII8x", b"APETAGEX", 2000, 32 + 20, 1)
APE = _APE[:20] + struct.pack("<I8x", 0xA0000000) + bytes(20) + _APE[:20] + struct.pack("<I8x", 0x80000000)


def tag_position(data: bytes) -> int:
    """Where an MP3 file's Xing or Info header begins."""
    return max(data.find(b"Xing", 0, 200), data.find(b"Info", 0, 200))


def without_xing(data: bytes) -> bytes:
    """An MP3 file of libsndfile's without its first frame, which has the header."""
    position = 4
    while not (
        data[position] == 0xFF and data[position + 1] == data[1] and data[position + 2] & 0x0C == data[2] & 0x0C
    ):
        position += 1
    return data[position:]
