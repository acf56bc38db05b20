"""Commands on single files: `sonify`, `picture`, `desonify`, `transmit`."""

from __future__ import annotations

import argparse
from typing import Any

import sonikeras
from sonikeras.cli.options import size

PRESET = f"signal chain: {', '.join(sonikeras.presets())}, or a file that carries one"

_AUDIO = "audio file: WAV, FLAC, Ogg, MP3 and others"
_CARRIED = f"{PRESET}. Default: the config in the file, or study"


def add_commands(commands: Any) -> None:
    """Adds the commands to the subparsers of `sonikeras`."""
    command = commands.add_parser("sonify", help="turn an image into audio")
    command.add_argument("image", help="PNG, JPEG, BMP, GIF or WebP file")
    command.add_argument("audio", help="WAV or FLAC file to write")
    command.add_argument("--config", default="study", help=f"{PRESET}. Default: %(default)s")
    command.add_argument("--seed", type=int, default=0, help="seed of the random initial phase. Default: %(default)s")
    command.add_argument("--engine", default="auto", help="engine of the phase retrieval. Default: %(default)s")
    command.set_defaults(run=_sonify)

    command = commands.add_parser("picture", help="draw the spectrogram picture of an audio file")
    command.add_argument("audio", help=_AUDIO)
    command.add_argument("image", help="image file to write")
    command.add_argument("--config", help=_CARRIED)
    command.set_defaults(run=_picture)

    command = commands.add_parser("desonify", help="reconstruct the image from an audio file")
    command.add_argument("audio", help=_AUDIO)
    command.add_argument("image", help="image file to write")
    command.add_argument("--config", help=_CARRIED)
    command.add_argument("--size", type=size, metavar="WxH", help="pixels. Default: time frames x frequency bins")
    command.set_defaults(run=_desonify)

    command = commands.add_parser("transmit", help="send audio through a channel: noise, telephone, a codec, a room")
    command.add_argument("audio", help=_AUDIO)
    command.add_argument("received", help="WAV or FLAC file to write")
    command.add_argument(
        "--channel", required=True, help="such as telephone or noise(snr=20)+mp3(kbps=32); `info` lists all channels"
    )
    command.add_argument("--config", help=_CARRIED)
    command.add_argument("--seed", type=int, default=0, help="seed of noise and room. Default: %(default)s")
    command.set_defaults(run=_transmit)


def _sonify(options: argparse.Namespace) -> None:
    image = sonikeras.read_image(options.image)
    audio = sonikeras.sonify(image, options.config, seed=options.seed, engine=options.engine)
    sonikeras.write_audio(options.audio, audio, options.config)


def _picture(options: argparse.Namespace) -> None:
    from sonikeras.sources import write_image

    write_image(options.image, sonikeras.picture(*sonikeras.read_audio(options.audio, options.config)))


def _desonify(options: argparse.Namespace) -> None:
    from sonikeras.sources import write_image

    audio, config = sonikeras.read_audio(options.audio, options.config)
    write_image(options.image, sonikeras.desonify(audio, config, size=options.size))


def _transmit(options: argparse.Namespace) -> None:
    from sonikeras import channels
    from sonikeras.sources.audio import from_pcm16, to_pcm16

    channel = channels.as_channel(options.channel)
    audio, config = sonikeras.read_audio(options.audio, options.config)
    audio = from_pcm16(to_pcm16(audio))  # decoders and resamplers exceed -1..1
    received = channels.transmit(audio, config.sample_rate, channel, seed=options.seed)
    sonikeras.write_audio(options.received, received, config)
    if isinstance(channel, channels.Codec):
        length = len(channel.encode(audio, config.sample_rate))
        print(f"{channel}: {length} bytes, {length * 8 / 1000 / len(audio) * config.sample_rate:.1f} kbit/s")
