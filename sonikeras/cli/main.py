"""The command line: `sonikeras sonify | picture | desonify | transmit | prepare | duplicates | info`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from sonikeras.config._errors import in_one_line


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command. Errors of the user's are one line on stderr and exit status 1."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except KeyboardInterrupt:
        sys.exit("sonikeras: interrupted")
    except Exception as error:
        if (message := in_one_line(error)) is None:
            raise
        sys.exit(f"sonikeras: error: {message}")


def _sonify(options: argparse.Namespace) -> None:
    import sonikeras

    image = sonikeras.read_image(options.image)
    audio = sonikeras.sonify(image, options.config, seed=options.seed, engine=options.engine)
    sonikeras.write_audio(options.audio, audio, options.config)


def _picture(options: argparse.Namespace) -> None:
    import sonikeras
    from sonikeras.sources import write_image

    write_image(options.image, sonikeras.picture(*sonikeras.read_audio(options.audio, options.config)))


def _desonify(options: argparse.Namespace) -> None:
    import sonikeras
    from sonikeras.sources import write_image

    audio, config = sonikeras.read_audio(options.audio, options.config)
    write_image(options.image, sonikeras.desonify(audio, config, size=options.size))


def _transmit(options: argparse.Namespace) -> None:
    import sonikeras
    from sonikeras import transmission as channels
    from sonikeras.sources.audio import from_pcm16, to_pcm16

    channel = channels.as_channel(options.channel)
    audio, config = sonikeras.read_audio(options.audio, options.config)
    audio = from_pcm16(to_pcm16(audio))  # decoders and resamplers go beyond -1..1
    received = channels.transmit(audio, config.sample_rate, channel, seed=options.seed)
    sonikeras.write_audio(options.received, received, config)
    if isinstance(channel, channels.Codec):
        size = len(channel.encode(audio, config.sample_rate))
        print(f"{channel}: {size} bytes, {size * 8 / 1000 / len(audio) * config.sample_rate:.1f} kbit/s")


def _prepare(options: argparse.Namespace) -> None:
    import sonikeras

    names = ["data_dir", "source", "classes", "images_per_class", "config", "engine", "seed", "cache", "on_error"]
    names += ["format", "audio_format", "pictures", "shard", "shard_size", "verify"]
    name = None if options.name == "all" else options.name
    skipped = sonikeras.prepare(name, options.directory, **{key: getattr(options, key) for key in names})
    for path in skipped:
        print(f"left out: {path}")


def _duplicates(options: argparse.Namespace) -> None:
    import sonikeras

    names = ("data_dir", "source", "classes", "images_per_class", "stage")
    name = None if options.name == "all" else options.name
    found = sonikeras.near_duplicates(name, **{key: getattr(options, key) for key in names})
    for train, test, correlation in found:
        print(f"{correlation:.3f}  {train}  {test}")
    print(f"{len(found)} pairs of a training and a test image are alike")


def _info(options: argparse.Namespace) -> None:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    import sonikeras
    from sonikeras.datasets.cache import default_directory
    from sonikeras.signal.engines import resolve_engine

    def installed(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "not installed"

    configs = {name: sonikeras.SonificationConfig.preset(name) for name in sonikeras.presets()}
    autos = ", ".join(f"{resolve_engine('auto', config)} for {name}" for name, config in configs.items())
    rows = {
        "sonikeras": sonikeras.__version__,
        "python": platform.python_version(),
        **{package: installed(package) for package in ("keras", "tensorflow", "librosa", "numpy")},
        "presets": ", ".join(sonikeras.presets()),
        "engines": f"{', '.join(sonikeras.engines())} (auto: {autos})",
        "channels": ", ".join(sonikeras.channels.forms()),
        "data sets": ", ".join(sonikeras.data_sets()),
        "backbones": ", ".join(sonikeras.models.backbones()),
        "heads": ", ".join(sonikeras.models.heads()),
        "cache": default_directory(),
    }
    for name, value in rows.items():
        print(f"{name:10} {value}")


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"must be WIDTHxHEIGHT in pixels, such as 640x480. Received: {text}")
    return int(height), int(width)


def _shard(text: str) -> tuple[int, int]:
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise argparse.ArgumentTypeError(f"must be INDEX/COUNT, from 0/COUNT on, such as 0/4. Received: {text}")
    return int(index), int(count)


def _add_data(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", help='c2, c4, c10 or c15, or "all" classes of --data-dir or --source')
    add("--data-dir", help="folder <class>/* or {train,validation,test}/<class>/* of images")
    add("--source", default="builtin", help="where images come from without --data-dir; default: builtin")
    add("--classes", nargs="+", help="names of the classes to take")
    add("--images-per-class", type=int, help="at most so many, a fifth of them for testing")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sonikeras", description="Images as sounds, sounds as pictures.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    preset = "preset of the signal chain: study, matched, lossless"
    carried = f"{preset}; default: the one in the file, or study"

    add = commands.add_parser("sonify", help="turn an image into a sound")
    add.add_argument("image", help="PNG, JPEG, BMP, GIF or WebP file")
    add.add_argument("audio", help="WAV or FLAC file to write")
    add.add_argument("--config", default="study", help=f"{preset}; default: study")
    add.add_argument("--seed", type=int, default=0, help="decides the random initial phase; default: 0")
    add.add_argument("--engine", default="auto", help="default: auto")
    add.set_defaults(run=_sonify)

    add = commands.add_parser("picture", help="draw the spectrogram picture of a sound")
    add.add_argument("audio", help="WAV, FLAC, Ogg, MP3 or other audio file")
    add.add_argument("image", help="image file to write")
    add.add_argument("--config", help=carried)
    add.set_defaults(run=_picture)

    add = commands.add_parser("desonify", help="turn a sound back into the image that it was made of")
    add.add_argument("audio", help="WAV, FLAC, Ogg, MP3 or other audio file")
    add.add_argument("image", help="image file to write")
    add.add_argument("--config", help=carried)
    add.add_argument("--size", type=_size, metavar="WxH", help="pixels; default: frames x bins, as it was sonified")
    add.set_defaults(run=_desonify)

    add = commands.add_parser("transmit", help="send a sound through a channel: noise, telephone, a codec, a room")
    add.add_argument("audio", help="WAV, FLAC, Ogg, MP3 or other audio file")
    add.add_argument("received", help="WAV or FLAC file to write")
    add.add_argument(
        "--channel", required=True, help="such as telephone or noise(snr=20)+mp3(kbps=32); info lists all of them"
    )
    add.add_argument("--config", help=carried)
    add.add_argument("--seed", type=int, default=0, help="decides noise and room; default: 0")
    add.set_defaults(run=_transmit)

    add = commands.add_parser(
        "prepare", help="write the sounds and pictures of a data set into class folders or records"
    )
    _add_data(add)
    add.add_argument("directory", help="folder to write to; the same command goes on where one was stopped")
    add.add_argument("--config", default="study", help=f"{preset}; default: study")
    add.add_argument("--engine", default="auto", help="default: auto")
    add.add_argument("--seed", type=int, default=42, help="default: 42")
    add.add_argument("--no-cache", dest="cache", action="store_false", help="keep no second copy of each sound")
    add.add_argument("--on-error", default="raise", choices=["raise", "skip"], help="default: raise")
    add.add_argument(
        "--format",
        default="files",
        choices=["files", "tfrecord"],
        help="files: DIRECTORY/{train,test}/<class>/*; tfrecord: DIRECTORY/{train,test}-*.tfrecord; default: files",
    )
    add.add_argument("--audio-format", choices=["wav", "flac"], help="default: wav for files, flac in records")
    add.add_argument("--no-pictures", dest="pictures", action="store_false", help="sounds only")
    add.add_argument("--shard", type=_shard, metavar="I/N", help="make every N-th example from I on, others elsewhere")
    add.add_argument("--shard-size", type=int, default=1024, help="examples in a record file; default: 1024")
    add.add_argument("--verify", action="store_true", help="compare what is there with its checksums, not its size")
    add.set_defaults(run=_prepare)

    add = commands.add_parser("duplicates", help="list test images that are nearly the same as training images")
    _add_data(add)
    add.add_argument("--stage", default="image", choices=["image", "spectrogram"], help="default: image")
    add.set_defaults(run=_duplicates)

    add = commands.add_parser("info", help="print versions, engines, presets and folders")
    add.set_defaults(run=_info)
    return parser
