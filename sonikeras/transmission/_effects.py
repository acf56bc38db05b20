"""Noise, gain, clipping, delay, reverberation, and band limits."""

from __future__ import annotations

import dataclasses

import numpy as np

from sonikeras.config._checks import check_integer, check_number
from sonikeras.sources.audio import resample
from sonikeras.transmission._base import Channel, check_db, register
from sonikeras.transmission._decibels import add_noise, amplitude_ratio, apply_gain

_FILTER = 0.02  # the shortest length of the band-pass filter in seconds

_SLOPE = 3.3  # the width of its slopes in Hz, times its length in seconds


@register("noise")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Noise(Channel):
    """Adds white Gaussian noise. Silence stays silent.

    Args:
        snr: Number, the signal-to-noise ratio in dB: the ratio of the mean powers of the audio and the noise.
    """

    snr: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_db("snr", self.snr)

    def __call__(self, audio: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        return add_noise(audio, rng.standard_normal(len(audio), dtype=np.float32), self.snr)


@register("gain")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Gain(Channel):
    """Changes the volume. With `reference="absolute"`, reconstructed images become brighter or darker.

    Args:
        db: Number, the gain in dB.
    """

    db: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_db("db", self.db)

    def __call__(self, audio: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        return apply_gain(audio, self.db)


@register("clip")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip(Channel):
    """Clips peaks, like an overdriven amplifier.

    Args:
        db: Number in 0..200, the distance of the limit below the highest peak in dB.
    """

    db: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("db", self.db, "a number of dB in 0..200", lambda x: 0 <= x <= 200)

    def __call__(self, audio: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        limit = np.abs(audio).max() * np.float32(amplitude_ratio(-self.db))
        return np.clip(audio, -limit, limit)


@register("delay")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Delay(Channel):
    """Delays the audio: it starts with silence, and its end is cut off.

    Args:
        samples: Integer of at least 0, the delay.
    """

    samples: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("samples", self.samples, minimum=0)

    def __call__(self, audio: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        return np.pad(audio, (min(self.samples, len(audio)), 0))[: len(audio)]


@register("reverb")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Reverb(Channel):
    """Adds the reverberation of a room: exponentially decaying noise, different for each audio clip.

    The impulse response is a unit impulse (the direct sound), followed by white Gaussian noise whose power falls by
    60 dB in the reverberation time. This is Polack's model.

    Args:
        rt60: Number of at least 0.001, the reverberation time in seconds.
        drr: Number, the direct-to-reverberant energy ratio in dB.

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
        check_db("drr", self.drr)

    def __call__(self, audio: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        from scipy.signal import fftconvolve

        seconds = np.arange(max(1, round(min(len(audio), self.rt60 * sample_rate)) - 1)) / sample_rate
        tail = rng.standard_normal(len(seconds)) * 10 ** (-3 * seconds / self.rt60)
        tail *= amplitude_ratio(-self.drr) / np.linalg.norm(tail)
        return fftconvolve(audio, np.concatenate([[1.0], tail]))[: len(audio)].astype(np.float32)


@register("bandpass")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Bandpass(Channel):
    """Removes frequencies outside a band, by a linear-phase FIR filter (Hamming window) without delay.

    The response at the cutoff frequencies is -6 dB. The filter is 20 ms long. If the distance between a cutoff
    frequency and 0, the other one, or half the sample rate is below 165 Hz, the filter is as long as 3.3 periods of
    that distance, so that its slopes do not overlap.

    Args:
        low: Number of at least 1, the lower cutoff frequency in Hz; or 0 for a low-pass filter.
        high: Number of at least `low` + 1, the upper cutoff frequency in Hz, at least 1 Hz below half the sample rate.
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


@register("resample")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Resample(Channel):
    """Resamples the audio to another sample rate and back, by soxr at high quality.

    Args:
        rate: Integer in 1000..192000, the sample rate in Hz. Frequencies above half of it are lost.
    """

    rate: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("rate", self.rate, minimum=1000)
        check_number("rate", self.rate, "an integer in 1000..192000", lambda x: x <= 192000)

    def __call__(self, audio: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        return resample(resample(audio, sample_rate, self.rate), self.rate, sample_rate, size=len(audio))


@register("telephone")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Telephone(Channel):
    """The telephone band: 300 to 3400 Hz at a sample rate of 8 kHz, without companding.

    References:
        - [ITU-T G.712](https://www.itu.int/rec/T-REC-G.712), transmission performance of pulse code modulation channels
    """

    def __call__(self, audio: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        return Resample(rate=8000)(Bandpass(low=300, high=3400)(audio, sample_rate, rng), sample_rate, rng)
