"""The command `info`."""

from __future__ import annotations

import argparse
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import sonikeras

_PACKAGES = ("keras", "tensorflow", "librosa", "numpy")


def add_commands(commands: Any) -> None:
    """Adds the command to the subparsers of `sonikeras`."""
    command = commands.add_parser("info", help="print versions, available names and the cache folder")
    command.set_defaults(run=_info)


def _info(_: argparse.Namespace) -> None:
    # None of these modules imports Keras, which takes seconds.
    from sonikeras.datasets.cache import default_directory
    from sonikeras.signal.engines import engines, resolve_engine

    configs = {name: sonikeras.SonificationConfig.preset(name) for name in sonikeras.presets()}
    autos = ", ".join(f"{resolve_engine('auto', config)} for {name}" for name, config in configs.items())
    rows = {
        "sonikeras": sonikeras.__version__,
        "python": platform.python_version(),
        **{package: _installed(package) for package in _PACKAGES},
        "presets": ", ".join(configs),
        "engines": f"{', '.join(engines())} (auto: {autos})",
        "channels": ", ".join(sonikeras.channels.forms()),
        "data sets": ", ".join(sonikeras.data_sets()),
        "backbones": ", ".join(sonikeras.models.backbones()),
        "heads": ", ".join(sonikeras.models.heads()),
        "cache": default_directory(),
    }
    for name, value in rows.items():
        print(f"{name:10} {value}")


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
