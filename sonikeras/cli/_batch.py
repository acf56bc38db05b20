"""Commands on one file or on many: which output each input has, and what happens where one of them fails."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple


class Job(NamedTuple):
    """One file to read and the file to write."""

    source: str
    target: str


def add_paths(command: argparse.ArgumentParser, source: str, target: str, read: str, written: str) -> None:
    """Adds the paths of the files to a command, and `-o`.

    Args:
        command: The parser of the command.
        source: The name of an input in the help, such as `"IMAGE"`.
        target: The name of its output, such as `"AUDIO"`.
        read: The kinds of files that are read.
        written: The kinds of files that are written.
    """
    command.usage = f"{command.prog} {source} {target} [options]\n       {command.prog} {source}... -o DIR [options]"
    command.add_argument(
        "paths",
        nargs="+",
        metavar=source,
        help=f"{read}, and the {written} to write; with -o files and folders to read",
    )
    command.add_argument("-o", "--output", metavar="DIR", help="folder to write to, a file of the same name per input")
    command.set_defaults(parser=command)


def jobs(options: argparse.Namespace, *, extension: str, extensions: Sequence[str]) -> list[Job]:
    """The files to read and to write, checked before the work starts.

    Files keep their names, up to the extension. Those in a folder keep their place below it.

    Args:
        options: The parsed options, with those of `add_paths`.
        extension: The extension of outputs in a folder, such as `".wav"`.
        extensions: The extensions of inputs in a folder.

    Raises:
        ValueError: A folder has no such file, or two inputs would have the same output.
    """
    paths, output = options.paths, options.output
    if output is None:
        if len(paths) != 2:
            received = "1 path" if len(paths) == 1 else f"{len(paths)} paths"
            options.parser.error(f"one input and its output, or inputs and -o DIR, must be given. Received: {received}")
        return [Job(*paths)]
    if os.path.exists(output) and not os.path.isdir(output):
        raise ValueError(f"`-o` must be a folder. Received: {output}")
    found: dict[str, Job] = {}
    for name, source in (pair for path in paths for pair in _inputs(path, tuple(extensions))):
        job = Job(source, str(Path(output, name).with_suffix(extension)))
        other = found.setdefault(_folded(job.target), job)
        if os.path.realpath(other.source) != os.path.realpath(source):
            raise ValueError(
                f"Two inputs must not have the same output: rename one of them, or write them to different folders. "
                f"Received: {other.source} and {source} for {job.target}"
            )
    return list(found.values())


def _inputs(path: str, extensions: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The name below its folder, and the path, of a file or of each file in a folder."""
    if not os.path.isdir(path):
        yield os.path.basename(path), path
        return
    from sonikeras.sources._folders import files_below

    found = sorted(files_below(path, extensions))
    if not found:
        raise ValueError(f"A folder must contain files with one of {list(extensions)}. Received: {path}")
    yield from found


def _folded(path: str) -> str:
    from sonikeras.config._files import folded

    return folded(path)


def run(work: Callable[[str, str], None], found: Sequence[Job], *, several: bool) -> None:
    """Does the work of a command on each file.

    Args:
        work: Function of the source and the target.
        found: The jobs.
        several: Boolean, whether the outputs are in a folder. Files that fail are then named on stderr while the others
            are done, and the exit status is 1 at the end.
    """
    failed = False
    for source, target in found:
        try:
            if several:
                os.makedirs(os.path.dirname(target), exist_ok=True)
            work(source, target)
        except (ValueError, OSError) as error:
            if not several:
                raise
            failed = True
            print(f"sonikeras: error: {'' if source in str(error) else f'{source}: '}{error}", file=sys.stderr)
    if failed:
        sys.exit(1)
