"""Arrays of images and labels as a source."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from sonikeras.sources._catalog import Catalog, by_class, unique


def check_arrays(source: Any) -> tuple[list[np.ndarray], list[str], list[str]]:
    """Checks the images and labels of a source.

    Args:
        source: `(images, labels)`. Images are uint8, `[n, height, width]`, `[n, height, width, 1]` or RGB
            `[n, height, width, 3]`, or a sequence of such without the `n`, of any sizes. Labels are integers or
            strings, `[n]` or `[n, 1]`.

    Returns:
        `(images, labels, class_names)`: the images, each `[height, width]` or RGB; the class name of each; and all
            class names, in the order of the integers or sorted.

    Raises:
        ValueError: The images or labels are not of this form.

    Example:
        >>> import numpy as np
        >>> from sonikeras.sources._arrays import check_arrays
        >>> _, labels, names = check_arrays((np.zeros((3, 8, 8), np.uint8), [10, 9, 10]))
        >>> labels, names
        (['10', '9', '10'], ['9', '10'])
    """
    if not isinstance(source, tuple | list) or len(source) != 2:
        raise ValueError(
            f"A `source` of arrays must be a pair (images, labels). Received: source of type {type(source).__name__}"
        )
    images = [_pixels(image, index) for index, image in enumerate(source[0])]
    labels = np.asarray(source[1])
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind not in "iuU" or labels.shape != (len(images),) or not images:
        raise ValueError(
            "The labels of a `source` must be integers or strings, one for each of at least one image. "
            f"Received: {len(images)} images, labels of shape {labels.shape} and dtype {labels.dtype}"
        )
    return images, [str(label) for label in labels.tolist()], [str(label) for label in np.unique(labels).tolist()]


def _pixels(image: Any, index: int) -> np.ndarray:
    pixels = np.asarray(image)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.dtype != np.uint8 or not pixels.size or not (pixels.ndim == 2 or pixels.shape[2:] == (3,)):
        raise ValueError(
            "The images of a `source` must be uint8 arrays of shape [height, width], [height, width, 1] or "
            "[height, width, 3] (RGB) with at least one pixel. "
            f"Received: image {index} of shape {np.shape(image)} and dtype {pixels.dtype}"
        )
    return pixels


def catalog(images: Sequence[np.ndarray], labels: Sequence[str], class_names: Sequence[str]) -> Catalog:
    """The catalog of some classes. An image is named by the SHA-256 of its shape and pixels."""
    numbers = {name: label for label, name in enumerate(class_names)}
    chosen = [i for i, label in enumerate(labels) if label in numbers]
    indices = [chosen[i] for i in by_class([numbers[labels[i]] for i in chosen])]
    digests = [_digest(images[i]) for i in indices]
    found = [numbers[labels[i]] for i in indices]
    return Catalog(
        found, unique(found, digests), digests, [images[i] for i in indices], pre_split=False, by_content=True
    )


def _digest(pixels: np.ndarray) -> str:
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()[:32]
