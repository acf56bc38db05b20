"""What may happen to a sound between sender and receiver: noise, band limits, codecs, clipping, delay, a room.

Each channel is a frozen dataclass with a text form, by which `sonikeras.dataset(channel=...)`, recipes and the command
line know it: `noise(snr=20)`, `telephone`, `gain(db=-6)+mp3(kbps=32)`.
"""

from __future__ import annotations

import abc
import dataclasses
import io
import re
from typing import Any, ClassVar

import numpy as np

from sonikeras.config._checks import check_audio, check_choice, check_integer, check_number, check_peak
from sonikeras.config._seeds import check_seed, generator
from sonikeras.sources.audio import from_pcm16, to_pcm16

_FILTER = 0.02  # shortest length of the band-pass filter in seconds


_SLOPE = 3.3  # width of its slopes in Hz, times its length in seconds


_DB = "a number of dB in -200..200"


_LOW_RATES = (8, 16, 24, 32, 40, 48, 56, 64)


_MPEG_2_RATES = (*_LOW_RATES, 80, 96, 112, 128, 144, 160)


_MPEG_1_RATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)


_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"


_SETTING = rf"\s*([a-z]\w*)\s*=\s*({_NUMBER})\s*"


_TERM = rf"\s*([a-z]\w*)\s*(?:\(({_SETTING}(?:,{_SETTING})*|\s*)\)\s*)?"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Channel(abc.ABC):
    """What a sound passes through. `str(channel)` is its text form, which `as_channel` reads.

    NumPy's numbers are taken as Python's. A channel of your own is a subclass; it has no text form that others could
    read.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.integer | np.floating):
                object.__setattr__(self, field.name, int(value) if isinstance(value, np.integer) else float(value))

    @abc.abstractmethod
    def __call__(self, audio: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        """What comes out.

        Args:
            audio: float32 array `[samples]` in -1..1.
            sample_rate: Integer, samples a second.
            rng: Decides what is random.

        Returns:
            float32 array `[samples]`, in step with `audio`; it may go beyond -1..1.
        """

    def __str__(self) -> str:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        settings = ",".join(f"{name}={repr(value).removesuffix('.0')}" for name, value in values.items())
        name = next((name for name, kind in _CHANNELS.items() if kind is type(self)), type(self).__name__)
        return f"{name}({settings})" if settings else name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series(Channel):
    """Several channels, one after the other.

    Args:
        channels: Tuple of at least one channel.
    """

    channels: tuple[Channel, ...]

    def __post_init__(self) -> None:
        known = isinstance(self.channels, tuple) and all(isinstance(channel, Channel) for channel in self.channels)
        if not known or not self.channels:
            raise ValueError(
                f"`channels` must be a tuple of at least one Channel. Received: channels={self.channels!r}"
            )

    def __call__(self, audio: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        for channel in self.channels:
            audio = channel(audio, sample_rate, rng)
        return audio

    def __str__(self) -> str:
        return "+".join(map(str, self.channels))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Noise(Channel):
    """White Gaussian noise is added. Silence stays silent.

    Args:
        snr: Number, the ratio of the sound's mean power to the noise's, in dB.
    """

    snr: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("snr", self.snr, _DB, _is_db)

    def __call__(self, audio: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        deviation = np.sqrt(np.mean(np.square(audio), dtype=np.float64)) * _amplitude(-self.snr)
        return audio + np.float32(deviation) * rng.standard_normal(len(audio), dtype=np.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gain(Channel):
    """The sound is made louder or softer. With `reference="absolute"` images are heard brighter or darker.

    Args:
        db: Number, the gain in dB.
    """

    db: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("db", self.db, _DB, _is_db)

    def __call__(self, audio: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        return audio * np.float32(_amplitude(self.db))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip(Channel):
    """Peaks are cut off, as by an amplifier that is driven too hard.

    Args:
        db: Number of at least 0, how far below the sound's highest peak the limit lies, in dB.
    """

    db: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("db", self.db, "a number of dB in 0..200", lambda x: 0 <= x <= 200)

    def __call__(self, audio: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        limit = np.abs(audio).max() * np.float32(_amplitude(-self.db))
        return np.clip(audio, -limit, limit)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Delay(Channel):
    """The sound comes late, by less than a frame or more: it starts with silence, and its end is cut off.

    Args:
        samples: Integer of at least 0.
    """

    samples: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("samples", self.samples, minimum=0)

    def __call__(self, audio: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        return np.pad(audio, (min(self.samples, len(audio)), 0))[: len(audio)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reverb(Channel):
    """The echo of a room: the sound, and after it noise that dies away exponentially, another for each sound.

    The impulse response is 1 at the moment of the direct sound, followed by white Gaussian noise whose power falls by
    60 dB in the reverberation time: Polack's model, the simplest one in common use.

    Args:
        rt60: Number of at least 0.001, the reverberation time in seconds.
        drr: Number, the direct-to-reverberant ratio: the energy of the direct sound over that of the echo, in dB.

    References:
        - J. D. Polack, La transmission de l'énergie sonore dans les salles, thesis, Université du Maine, 1988
        - K. Lebart, J. M. Boucher, P. N. Denbigh, A new method based on spectral subtraction for speech
          dereverberation, Acta Acustica 87, 2001, section 2
    """

    rt60: float
    drr: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("rt60", self.rt60, "a finite number of seconds of at least 0.001", lambda x: x >= 0.001)
        check_number("drr", self.drr, _DB, _is_db)

    def __call__(self, audio: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        from scipy.signal import fftconvolve

        # Since the first moment of the echo: its level is set below.
        moments = np.arange(max(1, round(min(len(audio), self.rt60 * sample_rate)) - 1)) / sample_rate
        tail = rng.standard_normal(len(moments)) * 10 ** (-3 * moments / self.rt60)
        tail *= _amplitude(-self.drr) / np.linalg.norm(tail)
        return fftconvolve(audio, np.concatenate([[1.0], tail]))[: len(audio)].astype(np.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bandpass(Channel):
    """Frequencies outside a band are taken away, by a filter of linear phase (Hamming window) without delay.

    6 dB are lost at the ends of the band. The filter lasts 20 ms, or where an end is nearer than 165 Hz to 0, to the
    other end or to half the sample rate, 3.3 periods of that distance: so steep that the slopes do not meet.

    Args:
        low: 0 for no lower end, or number of at least 1, the lower end in Hz.
        high: Number of at least `low` + 1, the upper end in Hz; at least 1 Hz below half the sample rate.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("low", self.low, "0 or a finite number of Hz of at least 1", lambda x: x == 0 or x >= 1)
        check_number("high", self.high, "a finite number of Hz of at least `low` + 1", lambda x: x >= self.low + 1)

    def __call__(self, audio: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        from scipy.signal import fftconvolve, firwin

        if self.high > sample_rate / 2 - 1:
            raise ValueError(
                f"`high` must be at least 1 Hz below half the sample rate of {sample_rate} Hz. "
                f"Received: high={self.high!r}"
            )
        band = [self.low, self.high] if self.low else [self.high]
        seconds = max(_FILTER, _SLOPE / np.diff([0, *band, sample_rate / 2]).min())
        taps = firwin(2 * round(seconds / 2 * sample_rate) + 1, band, pass_zero=not self.low, fs=sample_rate)
        return fftconvolve(audio, taps)[len(taps) // 2 :][: len(audio)].astype(np.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resample(Channel):
    """The sound is sent at another sample rate, converted there and back by soxr at its high quality.

    Args:
        rate: Integer in 1000..192000, that sample rate in Hz. What lies above half of it is lost.
    """

    rate: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("rate", self.rate, minimum=1000)
        check_number("rate", self.rate, "an integer in 1000..192000", lambda x: x <= 192000)

    def __call__(self, audio: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        return _resample(_resample(audio, sample_rate, self.rate), self.rate, sample_rate, size=len(audio))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Telephone(Channel):
    """The telephone's band: 300 to 3400 Hz, at a sample rate of 8 kHz; no companding.

    References:
        - [ITU-T G.712](https://www.itu.int/rec/T-REC-G.712), transmission performance of pulse code modulation channels
    """

    def __call__(self, audio: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        return Resample(rate=8000)(Bandpass(low=300, high=3400)(audio, sample_rate, rng), sample_rate, rng)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Codec(Channel):
    """A lossy codec: the sound is written as a file in memory, and read again. It comes back in step.

    Where a codec does not take the sound's sample rate, it is converted to the next higher one that it takes, or to
    its highest, and back, by soxr at its high quality. `len(codec.encode(audio, sample_rate))` is what is sent: the
    whole file, with headers. The bit rate that is asked for counts without them.

    Raises:
        ValueError: A setting breaks its rule.
        RuntimeError: libsndfile was built without the codec.
    """

    format: ClassVar[str]
    subtype: ClassVar[str]
    sample_rates: ClassVar[tuple[int, ...]] = ()  # none: it takes all

    def __post_init__(self) -> None:
        import soundfile

        super().__post_init__()
        self._check()
        if not soundfile.check_format(self.format, self.subtype):
            raise RuntimeError(
                f"The channel needs libsndfile 1.1 or later with {self.subtype}. "
                f"Received: libsndfile {soundfile.__libsndfile_version__}, channel={self}"
            )

    def encode(self, audio: np.ndarray, sample_rate: int) -> bytes:
        """The file that is sent.

        Args:
            audio: float32 array `[samples]`.
            sample_rate: Integer, its samples a second.

        Returns:
            The bytes of an MP3 or Ogg file.

        Raises:
            ValueError: The codec has no such bit rate at this sample rate.
        """
        import soundfile

        rate, data = self._rate(sample_rate), io.BytesIO()
        settings = self._settings(rate)
        with soundfile.SoundFile(data, "w", rate, 1, self.subtype, format=self.format, **settings) as file:
            file.write(_resample(audio, sample_rate, rate))
        return data.getvalue()

    def __call__(self, audio: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        import soundfile

        decoded, rate = soundfile.read(io.BytesIO(self.encode(audio, sample_rate)), dtype="float32")
        return _resample(self._in_step(decoded, len(audio), sample_rate), rate, sample_rate, size=len(audio))

    def _rate(self, sample_rate: int) -> int:
        higher = [rate for rate in self.sample_rates if rate >= sample_rate]
        return min(higher) if higher else max(self.sample_rates, default=sample_rate)

    def _in_step(self, decoded: np.ndarray, samples: int, sample_rate: int) -> np.ndarray:
        return decoded

    @abc.abstractmethod
    def _check(self) -> None:
        """Raises a `ValueError` where a setting breaks its rule."""

    @abc.abstractmethod
    def _settings(self, rate: int) -> dict[str, Any]:
        """What `soundfile.SoundFile` is told, from which libsndfile computes the bit rate."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MP3(Codec):
    """MP3 (MPEG-1, 2 and 2.5, layer III) at a constant bit rate, by LAME.

    Args:
        kbps: Integer, one of the format's bit rates, in kbit/s; at 22,050 Hz 8, 16, 24, 32, 40, 48, 56, 64, 80, 96,
            112, 128, 144 or 160.
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
        # libsndfile divides the range evenly and rounds down; the half keeps rounding errors harmless.
        level = (rates[-1] - self.kbps - 0.5) / (rates[-1] - rates[0])
        return {"compression_level": max(level, 0.0), "bitrate_mode": "CONSTANT"}

    def _in_step(self, decoded: np.ndarray, samples: int, sample_rate: int) -> np.ndarray:
        # 576 samples of LAME and 529 of any decoder come first, and the last frame is filled up. A header says so, and
        # libsndfile then cuts them off, unless the frames of a low bit rate are too small to hold it.
        rate = self._rate(sample_rate)
        return decoded[576 + 529 :] if len(decoded) >= samples * rate // sample_rate + 576 + 529 else decoded


@dataclasses.dataclass(frozen=True, kw_only=True)
class Opus(Codec):
    """Opus in an Ogg container, at a variable bit rate about the one asked for.

    Args:
        kbps: Number in 6..256, the bit rate in kbit/s. Headers and pages add about 1.5 to a sound of 3 s.

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vorbis(Codec):
    """Ogg Vorbis at a variable bit rate, which follows from the quality and from the sound.

    Args:
        quality: Number in 0..1. There is no setting for the bit rate: at 22,050 Hz images take about 40 to 150 kbit/s.
    """

    quality: float

    format = "OGG"
    subtype = "VORBIS"

    def _check(self) -> None:
        check_number("quality", self.quality, "a number in 0..1", lambda x: 0 <= x <= 1)

    def _settings(self, rate: int) -> dict[str, Any]:
        return {"compression_level": 1 - self.quality}


_CHANNELS: dict[str, type[Channel]] = {
    "noise": Noise,
    "gain": Gain,
    "clip": Clip,
    "delay": Delay,
    "reverb": Reverb,
    "bandpass": Bandpass,
    "resample": Resample,
    "telephone": Telephone,
    "mp3": MP3,
    "opus": Opus,
    "vorbis": Vorbis,
}


def names() -> list[str]:
    """Names of all channels.

    Example:
        >>> from sonikeras import channels
        >>> channels.names()[:3]
        ['noise', 'gain', 'clip']
    """
    return list(_CHANNELS)


def forms() -> list[str]:
    """Text forms of all channels, without the numbers.

    Example:
        >>> from sonikeras import channels
        >>> channels.forms()[:3]
        ['noise(snr=)', 'gain(db=)', 'clip(db=)']
    """
    return [_form(name) for name in _CHANNELS]


def as_channel(channel: str | Channel) -> Channel:
    """A channel's text form, or a channel, as a channel.

    Args:
        channel: `Channel`, or string: a name, in parentheses its settings as `name=number` with commas between them;
            several channels that follow each other are joined by `+`. Blanks may stand between these, not within them.

    Raises:
        ValueError: The text is no such form, a name is unknown, or a setting is missing, unknown or breaks its rule.
        RuntimeError: libsndfile was built without the codec.

    Example:
        >>> from sonikeras import channels
        >>> channels.as_channel("gain(db=-6) + mp3(kbps=32)")
        Series(channels=(Gain(db=-6), MP3(kbps=32)))
        >>> str(channels.as_channel("noise(snr=20)"))
        'noise(snr=20)'
    """
    if isinstance(channel, Channel):
        return channel
    text = channel if isinstance(channel, str) else ""
    if not re.fullmatch(rf"{_TERM}(\+{_TERM})*", text):
        raise ValueError(
            "`channel` must be a Channel or a text such as 'telephone', 'noise(snr=20)' or 'gain(db=-6)+mp3(kbps=32)'. "
            f"Allowed channels: {', '.join(forms())}. Received: channel={channel!r}"
        )
    found = [_channel(*match.group(1, 2), text=text) for match in re.finditer(_TERM, text)]
    return found[0] if len(found) == 1 else Series(channels=tuple(found))


def _channel(name: str, settings: str | None, *, text: str) -> Channel:
    check_choice("channel", name, _CHANNELS)
    pairs = re.findall(_SETTING, settings or "")
    # What has more digits than any setting is too large as a float, too, which the channel's own rule says.
    whole = re.compile(r"[+-]?\d{1,300}")
    values = {key: int(value) if whole.fullmatch(value) else float(value) for key, value in pairs}
    if len(values) < len(pairs) or sorted(values) != sorted(_settings_of(name)):
        raise ValueError(f"A channel must have its settings, once each: {_form(name)}. Received: channel={text!r}")
    return _CHANNELS[name](**values)


def _settings_of(name: str) -> list[str]:
    return [field.name for field in dataclasses.fields(_CHANNELS[name])]


def _form(name: str) -> str:
    settings = ",".join(f"{setting}=" for setting in _settings_of(name))
    return f"{name}({settings})" if settings else name


def transmit(audio: np.ndarray, sample_rate: int, channel: str | Channel, *, seed: int = 0) -> np.ndarray:
    """A sound after a channel, as 16-bit PCM holds it: clipped to -1..1.

    What is random is decided by `seed` and the sound's samples: the same sound and seed give the same, here as in
    `sonikeras.dataset`, and different sounds do not share their noise.

    Args:
        audio: float array `[samples]` in -1..1. It is sent as 16-bit PCM.
        sample_rate: Positive integer, samples a second.
        channel: Text form, such as `"noise(snr=20)"`, or `Channel`.
        seed: Integer of at least 0. Defaults to 0.

    Returns:
        float32 array `[samples]` in -1..1.

    Raises:
        ValueError: `audio` is not such an array, or the channel breaks a rule or does not fit the sample rate.
        RuntimeError: libsndfile was built without the codec.

    Example:
        >>> import numpy as np, sonikeras
        >>> audio = sonikeras.sonify(np.eye(64, dtype="uint8") * 255, "lossless")
        >>> received = sonikeras.channels.transmit(audio, 22050, "telephone+noise(snr=20)")
        >>> received.shape == audio.shape
        True
    """
    check_integer("sample_rate", sample_rate, minimum=1)
    seed = check_seed(seed)
    return from_pcm16(transmit_pcm16(to_pcm16(check_peak(check_audio(audio))), sample_rate, as_channel(channel), seed))


def transmit_pcm16(pcm: np.ndarray, sample_rate: int, channel: Channel, seed: int) -> np.ndarray:
    """The same of 16-bit PCM: int16 `[samples]` to int16 `[samples]`."""
    received = check_audio(channel(from_pcm16(pcm), sample_rate, generator(seed, pcm.tobytes())))
    if len(received) != len(pcm):
        raise ValueError(
            f"A channel must keep the length of {len(pcm)} samples. Received: {len(received)} samples of {channel}"
        )
    return to_pcm16(received)


def _resample(audio: np.ndarray, rate: int, target: int, *, size: int | None = None) -> np.ndarray:
    import librosa

    if rate != target:
        audio = librosa.resample(audio, orig_sr=rate, target_sr=target, res_type="soxr_hq")
    return audio if size is None else librosa.util.fix_length(audio, size=size)


def _amplitude(db: float) -> float:
    return 10 ** (db / 20)


def _is_db(value: float) -> bool:
    return -200 <= value <= 200
