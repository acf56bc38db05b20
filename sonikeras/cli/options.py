"""Options that several commands and recipe scripts share, and the types of their values."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from typing import Any

DATA_DIR = "folder of your images: <class>/* or {train,validation,test}/<class>/*"
SOURCE = "source of the images without --data-dir, such as keras:cifar10 or tfds:NAME"
IMAGES_PER_CLASS = "maximum number of images per class; one in five is a test image"


def add_data(parser: argparse.ArgumentParser, defaults: Any = None) -> None:
    """Adds `--data-dir`, `--source` and `--images-per-class`.

    Args:
        parser: The parser that gets the options.
        defaults: Dataclass instance, such as a recipe, whose values the help shows as defaults. An option that is not
            given is then `None`. Defaults to `None`: `--source` is `"builtin"` where it is not given.
    """
    add = parser.add_argument
    add("--data-dir", metavar="DIR", help=DATA_DIR)
    if defaults is None:
        add("--source", default="builtin", help=f"{SOURCE}. Default: %(default)s")
    else:
        add("--source", help=f"{SOURCE}. {default_of(defaults, 'source')}")
    count = getattr(defaults, "images_per_class", None)
    add("--images-per-class", type=int, metavar="N", help=f"{IMAGES_PER_CLASS}. Default: {count or 'all'}.")


def default_of(values: Any, name: str) -> str:
    """The words `Default: VALUE.` for a field of a dataclass instance, without Python's braces."""
    if name not in {field.name for field in dataclasses.fields(values)}:
        return ""
    value = getattr(values, name)
    if dataclasses.is_dataclass(value):  # a config, whose fields would fill a page
        value = "the recipe's own"
    elif isinstance(value, Mapping):
        value = ",".join(f"{key}={each}" for key, each in value.items())
    return f"Default: {'none' if value is None else value}."


def size(text: str) -> tuple[int, int]:
    """Reads `WIDTHxHEIGHT` as `(height, width)`."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"must be WIDTHxHEIGHT in pixels, such as 640x480. Received: {text}")
    return int(height), int(width)


def count(text: str) -> int:
    """Reads an integer of at least 1."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"must be an integer of at least 1. Received: {text}")
    return int(text)


def loudness(text: str) -> str:
    """Checks a peak or a loudness, such as `-1 dBFS` or `-16 LUFS`."""
    from sonikeras.sources.loudness import check_target

    try:
        check_target(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def config(text: str) -> str:
    """Checks the name of a preset, or the path of a file that carries a config."""
    from sonikeras.config import as_config

    try:
        as_config(text)
    except (ValueError, OSError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def shard(text: str) -> tuple[int, int]:
    """Reads `INDEX/COUNT`, such as `0/4`."""
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise argparse.ArgumentTypeError(f"must be INDEX/COUNT, from 0/COUNT on, such as 0/4. Received: {text}")
    return int(index), int(count)


def fold(text: str) -> tuple[int, int]:
    """Reads `I/K`: fold I (from 0) of K."""
    try:
        index, count = map(int, text.split("/"))
    except ValueError as error:
        message = f"must be I/K, fold I (from 0) of K, such as 0/5. Received: {text}"
        raise argparse.ArgumentTypeError(message) from error
    return index, count


def class_weight(text: str) -> dict[str, float] | str:
    """Reads `balanced` or `CLASS=WEIGHT,...`."""
    if text == "balanced":
        return text
    try:
        pairs = [part.rsplit("=", 1) for part in text.split(",")]
        return {name: float(weight) for name, weight in pairs}
    except ValueError as error:
        message = f"must be balanced, or CLASS=WEIGHT,..., such as cat=2,dog=0.5. Received: {text}"
        raise argparse.ArgumentTypeError(message) from error
