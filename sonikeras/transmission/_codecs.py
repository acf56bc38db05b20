"""Lossy codecs, by libsndfile."""

from __future__ import annotations

import abc
import dataclasses
import io
from typing import Any, ClassVar

import numpy as np

from sonikeras.config._checks import check_choice, check_number
from sonikeras.transmission._base import Channel, register
from sonikeras.transmission._effects import resample

# Bit rates of MPEG-2.5, MPEG-2 and MPEG-1, layer III, in kbit/s.
_LOW_RATES = (8, 16, 24, 32, 40, 48, 56, 64)
_MPEG_2_RATES = (*_LOW_RATES, 80, 96, 112, 128, 144, 160)
_MPEG_1_RATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Codec(Channel):
    """A lossy codec: encodes the audio to a file in memory and decodes it. The received audio is time-aligned.

    If a codec does not support the sample rate, the audio is resampled to the next higher rate that it supports, or to
    its highest, and back, by soxr at high quality. `len(codec.encode(audio, sample_rate))` is the number of bytes that
    are sent: the whole file, with headers. Bit rates do not include headers.

    Raises:
        ValueError: A setting is not allowed.
        RuntimeError: libsndfile was built without the codec.
    """

    format: ClassVar[str]
    subtype: ClassVar[str]
    sample_rates: ClassVar[tuple[int, ...]] = ()  # empty: all

    def __post_init__(self) -> None:
        import soundfile

        super().__post_init__()
        self._check()
        if not soundfile.check_format(self.format, self.subtype):
            raise RuntimeError(
                f"This channel requires libsndfile 1.1 or later with {self.subtype}. "
                f"Received: libsndfile {soundfile.__libsndfile_version__}, channel={self}"
            )

    def encode(self, audio: np.ndarray, sample_rate: int) -> bytes:
        """The encoded file.

        Args:
            audio: float32 array `[samples]`.
            sample_rate: Integer, the sample rate in Hz.

        Returns:
            The bytes of an MP3 or Ogg file.

        Raises:
            ValueError: The codec does not have the bit rate at this sample rate.
        """
        import soundfile

        rate, data = self._rate(sample_rate), io.BytesIO()
        settings = self._settings(rate)
        with soundfile.SoundFile(data, "w", rate, 1, self.subtype, format=self.format, **settings) as file:
            file.write(resample(audio, sample_rate, rate))
        return data.getvalue()

    def __call__(self, audio: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        import soundfile

        decoded, rate = soundfile.read(io.BytesIO(self.encode(audio, sample_rate)), dtype="float32")
        return resample(self._aligned(decoded, len(audio), sample_rate), rate, sample_rate, size=len(audio))

    def _rate(self, sample_rate: int) -> int:
        higher = [rate for rate in self.sample_rates if rate >= sample_rate]
        return min(higher) if higher else max(self.sample_rates, default=sample_rate)

    def _aligned(self, decoded: np.ndarray, samples: int, sample_rate: int) -> np.ndarray:
        return decoded

    @abc.abstractmethod
    def _check(self) -> None:
        """Raises a `ValueError` if a setting is not allowed."""

    @abc.abstractmethod
    def _settings(self, rate: int) -> dict[str, Any]:
        """Arguments of `soundfile.SoundFile`, from which libsndfile computes the bit rate."""


@register("mp3")
@dataclasses.dataclass(frozen=True, kw_only=True)
class MP3(Codec):
    """MP3 (MPEG-1, 2 and 2.5, layer III) at a constant bit rate, encoded by LAME.

    Args:
        kbps: Integer, a bit rate of the format in kbit/s. At 22,050 Hz: 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112,
            128, 144 or 160.
    """

    kbps: int

    format = "MP3"
    subtype = "MPEG_LAYER_III"
    sample_rates = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)

    def _check(self) -> None:
        check_choice("kbps", self.kbps, sorted({*_MPEG_1_RATES, *_MPEG_2_RATES}))

    def _settings(self, rate: int) -> dict[str, Any]:
        rates = _MPEG_1_RATES if rate >= 32000 else _MPEG_2_RATES if rate >= 16000 else _LOW_RATES
        if self.kbps not in rates:
            raise ValueError(
                f"`kbps` must be a bit rate that MP3 has at {rate} Hz. Allowed values: {list(rates)}. "
                f"Received: kbps={self.kbps!r}"
            )
        # libsndfile maps the range linearly and rounds down; 0.5 makes it robust to rounding errors.
        level = (rates[-1] - self.kbps - 0.5) / (rates[-1] - rates[0])
        return {"compression_level": max(level, 0.0), "bitrate_mode": "CONSTANT"}

    def _aligned(self, decoded: np.ndarray, samples: int, sample_rate: int) -> np.ndarray:
        # LAME adds a delay of 576 samples, and every decoder one of 529. libsndfile removes them by a header, which the
        # frames of low bit rates are too small to contain.
        rate = self._rate(sample_rate)
        return decoded[576 + 529 :] if len(decoded) >= samples * rate // sample_rate + 576 + 529 else decoded


@register("opus")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Opus(Codec):
    """Opus in an Ogg container, at a variable bit rate around the requested one.

    Args:
        kbps: Number in 6..256, the bit rate in kbit/s. Headers and pages add about 1.5 kbit/s to 3 s of audio.

    References:
        - [RFC 6716](https://www.rfc-editor.org/rfc/rfc6716)
    """

    kbps: float

    format = "OGG"
    subtype = "OPUS"
    sample_rates = (8000, 12000, 16000, 24000, 48000)

    def _check(self) -> None:
        check_number("kbps", self.kbps, "a number in 6..256", lambda x: 6 <= x <= 256)

    def _settings(self, rate: int) -> dict[str, Any]:
        return {"compression_level": (256 - self.kbps) / 250}


@register("vorbis")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Vorbis(Codec):
    """Ogg Vorbis at a variable bit rate, which depends on the quality and the audio.

    Args:
        quality: Number in 0..1. The codec has no bit rate setting. At 22,050 Hz, sonified images take about 40
            to 150 kbit/s.
    """

    quality: float

    format = "OGG"
    subtype = "VORBIS"

    def _check(self) -> None:
        check_number("quality", self.quality, "a number in 0..1", lambda x: 0 <= x <= 1)

    def _settings(self, rate: int) -> dict[str, Any]:
        return {"compression_level": 1 - self.quality}
