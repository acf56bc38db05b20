"""Commands on files: `sonify`, `picture`, `desonify`, `transmit`."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import sonikeras
from sonikeras.cli import _batch
from sonikeras.cli.options import loudness, size
from sonikeras.config import COLORS, FREQUENCY_SCALES, SonificationConfig, as_config, presets

PRESET = f"signal chain: {', '.join(presets())}, or a file that carries a config"

# Fields of the config that are options of their own.
_FIELDS = ("sample_rate", "min_freq", "max_freq", "frequency_scale", "color")

_AUDIO = "audio file: WAV, FLAC, Ogg, MP3 and others"
_CARRIED = f"{PRESET}. Default: the config in the file, or study"


def add_commands(commands: Any) -> None:
    """Adds the commands to the subparsers of `sonikeras`."""
    command = commands.add_parser("sonify", help="turn images into audio")
    _batch.add_paths(command, "IMAGE", "AUDIO", "PNG, JPEG, BMP, GIF or WebP file", "WAV or FLAC file")
    command.add_argument("--config", help=f"{PRESET}. Default: study; matched with --duration or --color")
    command.add_argument("--seed", type=int, default=0, help="seed of the random initial phase. Default: %(default)s")
    command.add_argument("--engine", default="auto", help="engine of the phase retrieval. Default: %(default)s")
    command.add_argument(
        "--duration", type=float, metavar="SECONDS", help="length of the audio, at the image's proportions"
    )
    command.add_argument("--sample-rate", type=int, metavar="HZ", help="sample rate. Default: that of the config")
    command.add_argument("--min-freq", type=float, metavar="HZ", help="lowest frequency of the image")
    command.add_argument("--max-freq", type=float, metavar="HZ", help="highest frequency of the image")
    command.add_argument("--frequency-scale", choices=FREQUENCY_SCALES, help="scale of the rows")
    command.add_argument("--color", choices=COLORS, help="colors that the audio carries. Default: those of the config")
    command.add_argument("--stereo", action="store_true", help="cool colors on the left, warm ones on the right")
    command.add_argument(
        "--normalize",
        type=loudness,
        metavar="LEVEL",
        help="peak or loudness of the audio, such as '-1 dBFS' or '-16 LUFS'. Default: as quiet as it is",
    )
    command.add_argument("--mix", metavar="RECORDING", help="audio file onto which the audio is mixed")
    command.add_argument(
        "--mix-level", type=float, metavar="DB", help="level relative to the recording. Default: 0, equally loud"
    )
    command.add_argument(
        "--mix-start", type=float, metavar="SECONDS", help="start of the audio in the recording. Default: 0"
    )
    command.set_defaults(run=_sonify)

    command = commands.add_parser("picture", help="draw the spectrogram pictures of audio files")
    _batch.add_paths(command, "AUDIO", "IMAGE", _AUDIO, "image file")
    command.add_argument("--config", help=_CARRIED)
    command.set_defaults(run=_picture)

    command = commands.add_parser("desonify", help="reconstruct the images from audio files")
    _batch.add_paths(command, "AUDIO", "IMAGE", _AUDIO, "image file")
    command.add_argument("--config", help=_CARRIED)
    command.add_argument("--size", type=size, metavar="WxH", help="pixels. Default: those of the audio")
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
    from sonikeras.signal.stereo import stereo_from_colors
    from sonikeras.sources.images import EXTENSIONS

    if options.mix is None and not (options.mix_level is None and options.mix_start is None):
        options.parser.error("--mix-level and --mix-start need --mix")
    config = _config(options)
    jobs = _batch.jobs(options, extension=".wav", extensions=EXTENSIONS)
    recording = _recording(options.mix, config.sample_rate) if options.mix else None
    sonify = stereo_from_colors if options.stereo else sonikeras.sonify

    def work(source: str, target: str) -> None:
        image = sonikeras.read_image(source, color=options.stereo or config.color != "gray")
        fitting = config if options.duration is None else config.for_image(image, config, options.duration)
        audio = sonify(image, fitting, seed=options.seed, engine=options.engine)
        gain_db = 0.0
        if recording is not None:
            audio, gain_db = _mixed(audio, recording, config.sample_rate, target, options)
        sonikeras.write_audio(target, audio, fitting, normalize=options.normalize, gain_db=gain_db)

    _batch.run(work, jobs, several=options.output is not None)


def _config(options: argparse.Namespace) -> SonificationConfig:
    """The config with the fields that options set, before it is fitted to an image."""
    changes = {name: value for name in _FIELDS if (value := getattr(options, name)) is not None}
    default = "study" if options.duration is None and options.color in (None, "gray") else "matched"
    return as_config(options.config or default).replace(**changes)


def _recording(path: str, sample_rate: int) -> np.ndarray:
    from sonikeras.sources.audio import read_channels

    return read_channels(path, sample_rate)


def _mixed(
    audio: np.ndarray, recording: np.ndarray, sample_rate: int, target: str, options: argparse.Namespace
) -> tuple[np.ndarray, float]:
    mixed = sonikeras.channels.mix(
        audio, recording, sample_rate=sample_rate, level_db=options.mix_level or 0, start=options.mix_start or 0
    )
    if mixed.attenuation_db and options.normalize is None:
        print(f"{target}: attenuated by {mixed.attenuation_db:.1f} dB, or the mix would be clipped")
    return mixed.audio, mixed.gain_db


def _picture(options: argparse.Namespace) -> None:
    from sonikeras.sources import write_image
    from sonikeras.sources.audio import EXTENSIONS

    def work(source: str, target: str) -> None:
        write_image(target, sonikeras.picture(*sonikeras.read_audio(source, options.config)))

    jobs = _batch.jobs(options, extension=".png", extensions=EXTENSIONS)
    _batch.run(work, jobs, several=options.output is not None)


def _desonify(options: argparse.Namespace) -> None:
    from sonikeras.sources import write_image
    from sonikeras.sources.audio import EXTENSIONS

    def work(source: str, target: str) -> None:
        audio, config = sonikeras.read_audio(source, options.config)
        write_image(target, sonikeras.desonify(audio, config, size=options.size))

    jobs = _batch.jobs(options, extension=".png", extensions=EXTENSIONS)
    _batch.run(work, jobs, several=options.output is not None)


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
