"""Parts of a data set: a validation part and folds, decided by names alone, and near-duplicates kept together."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np

_BLOCK = 1000  # images that are compared at a time


def share(name: str) -> float:
    """A number in 0..1 that a name decides, whatever else there is: the part below 0.2 is a fifth.

    Args:
        name: String, such as a file's name.

    Example:
        >>> from sonikeras.sources._splits import share
        >>> round(share("cat1.png"), 4) == round(share("cat1.png"), 4)
        True
    """
    normal = unicodedata.normalize("NFC", name)  # file systems differ in how they write accents
    return int.from_bytes(hashlib.sha256(normal.encode("utf-8", "surrogateescape")).digest()[:8], "big") / 2**64


def in_part(
    names: Sequence[str], low: float, high: float, *, salt: str, groups: np.ndarray | None = None
) -> np.ndarray:
    """Which examples belong to the part of those whose share lies in `low <= share < high`.

    Args:
        names: A name for each example.
        low: Float, where the part begins.
        high: Float, where it ends.
        salt: String: other salts make other, independent divisions.
        groups: Integer array `[n]`: examples of the same group stay together. Defaults to
            `None`: each is a group of its own.

    Returns:
        Boolean array `[n]`.

    Example:
        >>> from sonikeras.sources._splits import in_part
        >>> in_part(["cat1", "cat2", "cat3", "cat4"], 0, 0.5, salt="fold").tolist()
        [False, True, False, True]
    """
    shares = np.array([share(f"{salt}/{name}") for name in names])
    if groups is not None:
        lowest = np.ones(int(groups.max(initial=0)) + 1)
        np.minimum.at(lowest, groups, shares)
        # The lowest of m shares is spread unevenly; this spreads it evenly again.
        shares = 1 - (1 - lowest) ** np.bincount(groups, minlength=len(lowest))
        shares = shares[groups]
    return (low <= shares) & (shares < high)


def near_duplicate_groups(images: np.ndarray, *, threshold: float) -> np.ndarray:
    """Groups images that resemble each other, or each other's mirror image, directly or through others.

    Two images are alike if the Pearson correlation of their pixels, or of one's pixels with the other's mirrored left
    to right, is above `threshold`. Groups are the connected components of that relation.

    Args:
        images: Array `[n, height, width]`. An image of one color throughout resembles nothing.
        threshold: Float between 0 and 1.

    Returns:
        int32 array `[n]`: for each image the index of the first image of its group.

    Example:

    >>> images = np.array([[[9, 0], [0, 0]], [[0, 0], [9, 0]], [[0, 9], [0, 0]]])  # the last is the first, mirrored
    >>> near_duplicate_groups(images, threshold=0.9).tolist()
    [0, 1, 0]
    """
    blocks = [(left, right) for left, right, _ in alike(images, images, threshold=threshold)]
    left, right = np.concatenate(blocks, axis=1)

    groups = np.arange(len(images), dtype="int32")
    while True:  # the lowest index spreads by one neighbor a round until all of a component has it
        lowest = groups.copy()
        np.minimum.at(lowest, left, groups[right])
        if np.array_equal(lowest, groups):
            return groups
        groups = lowest


def alike(
    images: np.ndarray, others: np.ndarray, *, threshold: float
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Finds the pairs of images that resemble each other: see `near_duplicate_groups`.

    Args:
        images: Array `[n, height, width]`.
        others: Array `[m, height, width]`.
        threshold: Float between 0 and 1.

    Yields:
        For each block of `images` and of `others` the pairs above the threshold: indices into the one and the other,
        and the correlation, or that with the mirror image where it is higher.

    Example:
        >>> import numpy as np
        >>> from sonikeras.sources._splits import alike
        >>> images = np.array([[[9, 0], [0, 0]], [[0, 0], [9, 0]]])
        >>> [(left.tolist(), right.tolist()) for left, right, _ in alike(images, images[:1], threshold=0.9)]
        [([0], [0])]
    """
    # In blocks: the whole matrix would be 800 MB for 10,000 images. The outer ones are large: the inner are made anew.
    for other_start in range(0, len(others), 4 * _BLOCK):
        block = others[other_start : other_start + 4 * _BLOCK]
        unit, mirrored = _unit_vectors(block), _unit_vectors(block[:, :, ::-1])
        for start in range(0, len(images), _BLOCK):
            vectors = _unit_vectors(images[start : start + _BLOCK])
            correlation = vectors @ unit.T
            np.maximum(correlation, vectors @ mirrored.T, out=correlation)
            rows, columns = np.nonzero(correlation > threshold)
            yield rows + start, columns + other_start, correlation[rows, columns]


def _unit_vectors(images: np.ndarray) -> np.ndarray:
    # float64, because pairs lie as near as 3e-6 to a threshold and every machine has to find the same ones.
    vectors = images.reshape(len(images), -1).astype("float64")
    vectors -= vectors.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)
