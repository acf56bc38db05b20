"""The command line: `sonikeras sonify | picture | desonify | transmit | prepare | duplicates | info`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import sonikeras
from sonikeras.cli import about, data, files
from sonikeras.cli._errors import one_line_errors

# Modules with a function `add_commands`, in the order of the help.
_GROUPS = (files, data, about)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command. Errors of the user are one line on stderr and exit status 1.

    Args:
        arguments: The words after `sonikeras`. Defaults to those of the process.
    """
    options = _parsed(arguments)
    with one_line_errors("sonikeras: "):
        options.run(options)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    # argparse ends a list of paths at the first option.
    if any(text.startswith("-") for text in rest) or (rest and "paths" not in options):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        options.paths += rest
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sonikeras", description="Turn images into audio, and audio into spectrogram pictures and images."
    )
    parser.add_argument("--version", action="version", version=f"sonikeras {sonikeras.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in _GROUPS:
        group.add_commands(commands)
    return parser
