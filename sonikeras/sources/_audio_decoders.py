"""The decoders of audio files: libsndfile, and PyAV (if installed) for further formats."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np

from sonikeras.sources._audio_containers import container
from sonikeras.sources._pieces import Container, Needed, Unreadable

# The formats of libsndfile with a signature. It guesses the others from too few bytes.
_FORMATS = (
    *("WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF"),
    *("VOC", "NIST", "AVR", "PAF", "PVF", "SVX", "IRCAM"),
)


_BLOCK = 2**20  # samples of all channels that are decoded at once


@dataclasses.dataclass(frozen=True)
class Recording:
    """An open audio file.

    Attributes:
        rate: Integer, the sample rate in Hz.
        channels: Integer, the number of channels.
        frames: Integer, the number of sample frames, or `None` if it is unknown.
        least: Integer, a lower bound of their number if `frames` is `None`.
        comments: The comments in the file.
        blocks: Function that decodes the file, as float32 arrays `[frames, channels]`.
        ends: Function that returns whether the last sample frame can be read, if this is cheap to check.
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
    """Opens an audio file of any format.

    Args:
        file: Seekable binary file.
        needed: Function from the sample rate to the number of sample frames that are needed, or `None` for all.

    Raises:
        Unreadable: The file is not audio, damaged or truncated; also while blocks are read.
    """
    found = container(file, needed)
    if found.cut:
        raise Unreadable("it is truncated: its header states more data than it contains")
    with _media(found) if found.media else _sndfile(found) as recording:
        yield recording


@contextlib.contextmanager
def _sndfile(found: Container) -> Iterator[Recording]:
    import soundfile

    class Sequential(soundfile.SoundFile):
        """Prevents soundfile from seeking after each block, which resets the MP3 decoder."""

        def seekable(self) -> bool:
            return False

    try:
        with Sequential(io.BufferedReader(found.stream, 2**16)) as file:  # it reads MP3 files in steps of 4 bytes
            if file.format not in _FORMATS:
                raise Unreadable(f"it is of the format {file.format}")
            unknown = file.frames >= 2**62
            frames = found.frames if found.frames is not None else None if unknown else file.frames
            comments = [file.comment.encode()] if found.comments is None else found.comments

            def blocks() -> Iterator[np.ndarray]:
                skip = found.skip
                while len(block := file.read(max(1, _BLOCK // file.channels), "float32", always_2d=True)):
                    yield block[skip:]
                    skip = max(skip - len(block), 0)

            def ends() -> bool:
                if file.format != "FLAC" or not frames:
                    return True
                try:
                    return file.seek(frames - 1) == frames - 1 and len(file.read(1)) == 1
                except soundfile.SoundFileError:
                    return False

            yield Recording(file.samplerate, file.channels, frames, comments, blocks, ends)
    except soundfile.SoundFileError as error:
        # The message starts with the name of the file object.
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
        opened = av.open(found.stream, mode="r", **replaced)  # type: ignore[call-overload]
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
    """A lower bound of the sample frames in a stream: the stated number minus the padding of codecs."""
    seconds = 0.0
    if {"mov", "matroska", "asf"} & {*opened.format.name.split(",")}:  # FFmpeg guesses the length of other formats
        if stream.duration and stream.time_base:
            seconds = float(stream.duration * stream.time_base)
        elif opened.duration:
            seconds = opened.duration / 1e6
    return max(int(seconds * stream.rate) - 2**12, 0)
