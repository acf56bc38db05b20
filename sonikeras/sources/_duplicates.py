"""Near-duplicates among the examples of a data set, found by their thumbnails."""

from __future__ import annotations

import concurrent.futures

import numpy as np

from sonikeras.config._progress import Progress
from sonikeras.sources._splits import alike, near_duplicate_groups
from sonikeras.sources.examples import Examples

# Two images are near-duplicates if the correlation of their thumbnails is above this.
_THUMBNAIL, _ALIKE = (32, 32), 0.96


def groups_of_duplicates(examples: Examples) -> np.ndarray:
    """Groups of near-duplicates. See `sonikeras.sources._splits.near_duplicate_groups`."""
    # A file that cannot be read resembles no image. Its error is raised when the file is used.
    return near_duplicate_groups(_thumbnails(examples, on_error="skip"), threshold=_ALIKE)


def _thumbnails(examples: Examples, *, on_error: str) -> np.ndarray:
    """Grayscale thumbnails, uint8 `[n, 32, 32]`."""
    import cv2

    def thumbnail(index: int) -> np.ndarray:
        try:
            image = examples.image(index)
        except (OSError, ValueError):
            if on_error == "raise":
                raise
            return np.zeros(_THUMBNAIL, np.uint8)
        return cv2.resize(image, _THUMBNAIL, interpolation=cv2.INTER_AREA)

    result = np.empty((len(examples), *_THUMBNAIL), np.uint8)
    progress = Progress("Reading images", len(examples))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for index, image in enumerate(pool.map(thumbnail, range(len(examples)))):
            result[index] = image
            progress.update(index + 1)
    return result


def duplicates_between(train: Examples, test: Examples) -> list[tuple[int, int, float]]:
    """Finds images of one split that resemble images of another one, and so make a test too easy.

    Two images resemble each other if the Pearson correlation of their thumbnails (32 x 32 pixels, grayscale), or of
    one thumbnail and the other one mirrored, is above 0.96.

    Args:
        train: Examples of images.
        test: Examples of images.

    Returns:
        List of `(index into train, index into test, correlation)`, most similar first.

    Raises:
        ValueError: An image cannot be read; the message names it.

    Example:
        >>> from sonikeras.sources import load_examples
        >>> from sonikeras.sources._duplicates import duplicates_between
        >>> cats = load_examples("c2", "test", images_per_class=10)
        >>> pairs = duplicates_between(cats, cats)  # doctest: +ELLIPSIS
        Reading ...
        >>> [(left, right) for left, right, _ in sorted(pairs)]
        [(0, 0), (1, 1), (2, 2), (3, 3)]
    """
    left, right = (_thumbnails(part, on_error="raise") for part in (train, test))
    pairs = [
        (int(i), int(j), float(min(correlation, 1)))
        for block in alike(left, right, threshold=_ALIKE)
        for i, j, correlation in zip(*block, strict=True)
    ]
    return sorted(pairs, key=lambda pair: (-pair[2], *pair[:2]))
