"""What happens to audio between sender and receiver: noise, band limits, codecs, clipping, delay, reverberation.

`mix` puts audio onto a recording before it is sent.

Each channel is a frozen dataclass. `sonikeras.dataset(channel=...)`, the recipes and the command line also take its
specification string: `noise(snr=20)`, `telephone`, `gain(db=-6)+mp3(kbps=32)`. To add a kind of channel, write a
dataclass with `@register` in a module of this package.
"""

from typing import Any

from sonikeras.transmission._base import Chain, Channel
from sonikeras.transmission._codecs import MP3, Codec, Opus, Vorbis
from sonikeras.transmission._effects import Bandpass, Clip, Delay, Gain, Noise, Resample, Reverb, Telephone
from sonikeras.transmission._mix import Mix, mix
from sonikeras.transmission._specification import as_channel, forms, names
from sonikeras.transmission._transmit import transmit, transmit_pcm16

__all__ = [
    "Bandpass",
    "Chain",
    "Channel",
    "Clip",
    "Codec",
    "Delay",
    "Gain",
    "MP3",
    "Mix",
    "Noise",
    "Opus",
    "Resample",
    "Reverb",
    "Telephone",
    "Vorbis",
    "as_channel",
    "forms",
    "mix",
    "names",
    "transmit",
    "transmit_pcm16",
]


def __getattr__(name: str) -> Any:
    if name == "Series":
        raise AttributeError("`sonikeras.channels.Series` has a new name: use `sonikeras.channels.Chain`.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
