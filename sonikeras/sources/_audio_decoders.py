"""The decoders of audio files: libsndfile, and where it is installed PyAV for what libsndfile does not know."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np

from sonikeras.sources._audio_containers import container
from sonikeras.sources._pieces import Container, Needed, Unreadable

# Of libsndfile's formats, those that say what they are. The others are guessed from less than a file's first bytes.
_FORMATS = (
    *("WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF"),
    *("VOC", "NIST", "AVR", "PAF", "PVF", "SVX", "IRCAM"),
)


_BLOCK = 2**20  # samples, of all channels together, that are decoded at a time


@dataclasses.dataclass(frozen=True)
class Recording:
    """An audio file that is open.

    Attributes:
        rate: Integer, samples a second.
        channels: Integer.
        frames: Integer, sample frames that the header states or that were counted, or `None` where nobody knows.
        least: Integer, so many there must be at least where `frames` is `None`.
        comments: Its comments, as they are in the file.
        blocks: Function that decodes it, in float32 arrays `[frames, channels]`.
        ends: Function that says whether its last sample frame can be read, where that costs little.
    """

    rate: int
    channels: int
    frames: int | None
    comments: list[bytes]
    blocks: Callable[[], Iterator[np.ndarray]]
    ends: Callable[[], bool] = lambda: True
    least: int = 0


@contextlib.contextmanager
def open_recording(file: BinaryIO, needed: Needed) -> Iterator[Recording]:
    """Opens an audio file, whatever its format.

    Args:
        file: The file, which can seek.
        needed: Function from the sample rate to how many sample frames are needed, or `None`: all.

    Raises:
        Unreadable: It is no audio, damaged, or cut; the message says so, and no name. While blocks are read, too.
    """
    found = container(file, needed)
    if found.cut:
        raise Unreadable("it is cut: its header states more than it holds")
    with _media(found) if found.media else _sndfile(found) as recording:
        yield recording


@contextlib.contextmanager
def _sndfile(found: Container) -> Iterator[Recording]:
    import soundfile

    class Sequential(soundfile.SoundFile):
        """Soundfile seeks to where it is after each block, after which MP3 frames lack what those before them hold."""

        def seekable(self) -> bool:
            return False

    try:
        with Sequential(io.BufferedReader(found.stream, 2**16)) as sound:  # it reads MP3 files by 4 bytes
            if sound.format not in _FORMATS:
                raise Unreadable(f"it is of the format {sound.format}")
            unknown = sound.frames >= 2**62
            frames = found.frames if found.frames is not None else None if unknown else sound.frames
            comments = [sound.comment.encode()] if found.comments is None else found.comments

            def blocks() -> Iterator[np.ndarray]:
                skip = found.skip
                while len(block := sound.read(max(1, _BLOCK // sound.channels), "float32", always_2d=True)):
                    yield block[skip:]
                    skip = max(skip - len(block), 0)

            def ends() -> bool:
                if sound.format != "FLAC" or not frames:
                    return True
                try:
                    return sound.seek(frames - 1) == frames - 1 and len(sound.read(1)) == 1
                except soundfile.SoundFileError:
                    return False

            yield Recording(sound.samplerate, sound.channels, frames, comments, blocks, ends)
    except soundfile.SoundFileError as error:
        # It names the object that it read from, which says nothing.
        raise Unreadable(str(error).rpartition(">: ")[2] or "it is damaged") from error


@contextlib.contextmanager
def _media(found: Container) -> Iterator[Recording]:
    try:
        import av
    except ImportError as error:
        raise Unreadable(
            "it is of a format that libsndfile does not know, such as M4A, AAC, WMA or WebM: install PyAV with "
            "`pip install sonikeras[m4a]`, or convert it to WAV or FLAC"
        ) from error
    damages = (av.FFmpegError, ValueError)
    try:
        # Since PyAV 19 bytes that are no UTF-8 are escaped; before, that was an error unless it was asked for.
        replaced = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
        opened = av.open(found.stream, mode="r", **replaced)
    except damages as error:
        raise Unreadable(str(error)) from error
    with opened:
        if not opened.streams.audio:
            raise Unreadable("it has no audio")
        stream = opened.streams.audio[0]
        comment = opened.metadata.get("comment") or stream.metadata.get("comment") or ""
        comment = comment.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

        def blocks() -> Iterator[np.ndarray]:
            try:
                planar = av.AudioResampler(format="fltp", layout=stream.layout.name, rate=stream.rate)
                for frame in opened.decode(stream):
                    for part in planar.resample(frame):
                        yield np.ascontiguousarray(part.to_ndarray().T)
            except damages as error:
                raise Unreadable(str(error)) from error

        yield Recording(stream.rate, stream.channels, None, [comment.encode()], blocks, least=_least(opened, stream))


def _least(opened: Any, stream: Any) -> int:
    """So many sample frames at least must be in a stream: what it states, less what codecs add at both ends."""
    seconds = 0.0
    if {"mov", "matroska", "asf"} & {*opened.format.name.split(",")}:  # of the others FFmpeg guesses the length
        if stream.duration and stream.time_base:
            seconds = float(stream.duration * stream.time_base)
        elif opened.duration:
            seconds = opened.duration / 1e6
    return max(int(seconds * stream.rate) - 2**12, 0)
