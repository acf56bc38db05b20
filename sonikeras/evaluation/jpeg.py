"""JPEG files of a byte budget: the reference for audio codecs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from sonikeras.config._files import safe_names, write_bytes
from sonikeras.sources import Examples

BEST_QUALITY = 100


def jpegs(gray: np.ndarray) -> list[bytes]:
    """The JPEG files of an image with the qualities 1 to 100.

    Args:
        gray: uint8 array `[height, width]`.
    """
    qualities = range(1, BEST_QUALITY + 1)
    return [cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes() for quality in qualities]


def best_fitting(sizes: Sequence[int], budget: int) -> int | None:
    """The index of the highest quality whose file fits, or `None`. Sizes need not increase with the quality.

    Args:
        sizes: The bytes of the files of all qualities, in their order.
        budget: The largest number of bytes.

    Example:
        >>> best_fitting([300, 420, 410, 500], budget=415)
        2
    """
    return max((index for index, size in enumerate(sizes) if size <= budget), default=None)


def file_names(examples: Examples) -> list[str]:
    """For each example the path of a file in a folder of its class, without suffix: its full name in a safe form."""
    folders, paths = safe_names(examples.class_names), [""] * len(examples)
    for label, folder in enumerate(folders):
        indices = np.flatnonzero(examples.labels == label).tolist()
        for index, name in zip(indices, safe_names([examples.names[index] for index in indices]), strict=True):
            paths[index] = f"{folder}/{name}"
    return paths


def write_folder(root: Path, files: Mapping[Path, bytes]) -> None:
    """Makes a folder hold exactly these files. Unchanged files keep their time, so that runs on them can be resumed."""
    for path in sorted(root.rglob("*"), reverse=True):  # files before their folders
        if not path.is_dir():
            if path not in files:
                path.unlink()
        elif not any(path.iterdir()):
            path.rmdir()
    for path, data in files.items():
        if not path.exists() or path.read_bytes() != data:
            write_bytes(path, data)
