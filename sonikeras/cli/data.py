"""Commands on data sets: `prepare`, `duplicates`."""

from __future__ import annotations

import argparse
from typing import Any

import sonikeras
from sonikeras.cli.files import PRESET
from sonikeras.cli.options import add_data, shard

# Options of both commands, by the names of the arguments of the functions behind them.
_SELECTION = ("data_dir", "source", "classes", "images_per_class")


def add_commands(commands: Any) -> None:
    """Adds the commands to the subparsers of `sonikeras`."""
    command = commands.add_parser(
        "prepare", help="write the audio and the pictures of a data set into class folders or record files"
    )
    _add_selection(command)
    command.add_argument("directory", help="folder to write to; repeat the command to resume after an interruption")
    command.add_argument("--config", default="study", help=f"{PRESET}. Default: %(default)s")
    command.add_argument("--engine", default="auto", help="engine of the phase retrieval. Default: %(default)s")
    command.add_argument("--seed", type=int, default=42, help="Default: %(default)s")
    command.add_argument("--no-cache", dest="cache", action="store_false", help="keep no second copy in the cache")
    command.add_argument(
        "--on-error", default="raise", choices=["raise", "skip"], help="on unreadable files. Default: %(default)s"
    )
    command.add_argument(
        "--format",
        default="files",
        choices=["files", "tfrecord"],
        help="files: DIRECTORY/{train,test}/<class>/*; tfrecord: DIRECTORY/{train,test}-*.tfrecord. "
        "Default: %(default)s",
    )
    command.add_argument("--audio-format", choices=["wav", "flac"], help="Default: wav in files, flac in records")
    command.add_argument("--no-pictures", dest="pictures", action="store_false", help="write audio only")
    command.add_argument(
        "--shard", type=shard, metavar="I/N", help="write every N-th example, starting with I; run the others elsewhere"
    )
    command.add_argument("--shard-size", type=int, default=1024, help="examples per record file. Default: %(default)s")
    command.add_argument("--verify", action="store_true", help="check existing files by checksum instead of size")
    command.set_defaults(run=_prepare)

    command = commands.add_parser("duplicates", help="list test images that nearly equal training images")
    _add_selection(command)
    command.add_argument("--stage", default="image", choices=["image", "spectrogram"], help="Default: %(default)s")
    command.set_defaults(run=_duplicates)


def _add_selection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help='c2, c4, c10 or c15, or "all" for all classes of --data-dir or --source')
    add_data(parser)
    parser.add_argument("--classes", nargs="+", metavar="CLASS", help="names of the classes to take. Default: all")


def _name(options: argparse.Namespace) -> str | None:
    return None if options.name == "all" else options.name


def _prepare(options: argparse.Namespace) -> None:
    names = [*_SELECTION, "config", "engine", "seed", "cache", "on_error"]
    names += ["format", "audio_format", "pictures", "shard", "shard_size", "verify"]
    skipped = sonikeras.prepare(_name(options), options.directory, **{key: getattr(options, key) for key in names})
    for path in skipped:
        print(f"left out: {path}")


def _duplicates(options: argparse.Namespace) -> None:
    names = (*_SELECTION, "stage")
    found = sonikeras.near_duplicates(_name(options), **{key: getattr(options, key) for key in names})
    for train, test, correlation in found:
        print(f"{correlation:.3f}  {train}  {test}")
    print(f"Near-duplicate pairs of a training and a test image: {len(found)}")
