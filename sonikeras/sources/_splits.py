"""Splits that a hash of the names decides, and groups of near-duplicates that a split keeps together."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np

_BLOCK = 1000  # images that are compared at once


def hash_fraction(name: str) -> float:
    """A number in 0..1 that depends on a name only: a fifth of all names have one below 0.2.

    Args:
        name: String, such as the name of a file.

    Example:
        >>> from sonikeras.sources._splits import hash_fraction
        >>> round(hash_fraction("cat1.png"), 3)
        0.953
    """
    normal = unicodedata.normalize("NFC", name)  # file systems differ in how they write accents
    return int.from_bytes(hashlib.sha256(normal.encode("utf-8", "surrogateescape")).digest()[:8], "big") / 2**64


def in_fraction(
    names: Sequence[str], low: float, high: float, *, salt: str, groups: np.ndarray | None = None
) -> np.ndarray:
    """Selects a fraction of the examples: those with `low <= hash_fraction < high`.

    Args:
        names: The name of each example.
        low: Float, the lower end.
        high: Float, the upper end.
        salt: String. Different salts give independent splits.
        groups: Integer array `[n]`, the group of each example. Groups stay together. Defaults to `None`: each example
            is a group.

    Returns:
        Boolean array `[n]`.

    Example:
        >>> from sonikeras.sources._splits import in_fraction
        >>> in_fraction(["cat1", "cat2", "cat3", "cat4"], 0, 0.5, salt="fold").tolist()
        [False, True, False, True]
    """
    fractions = np.array([hash_fraction(f"{salt}/{name}") for name in names])
    if groups is not None:
        lowest = np.ones(int(groups.max(initial=0)) + 1)
        np.minimum.at(lowest, groups, fractions)
        # The minimum of m uniform numbers is not uniform; this makes it uniform.
        fractions = 1 - (1 - lowest) ** np.bincount(groups, minlength=len(lowest))
        fractions = fractions[groups]
    return (low <= fractions) & (fractions < high)


def near_duplicate_groups(images: np.ndarray, *, threshold: float) -> np.ndarray:
    """Groups images that resemble each other or each other's mirror image, directly or through others.

    Two images resemble each other if the Pearson correlation of their pixels, or of one image and the other one
    mirrored left to right, is above `threshold`. Groups are the connected components of this relation.

    Args:
        images: Array `[n, height, width]`. An image of a single color resembles no image.
        threshold: Float between 0 and 1.

    Returns:
        int32 array `[n]`, for each image the index of the first image of its group.

    Example:

    >>> images = np.array([[[9, 0], [0, 0]], [[0, 0], [9, 0]], [[0, 9], [0, 0]]])  # the last is the first, mirrored
    >>> near_duplicate_groups(images, threshold=0.9).tolist()
    [0, 1, 0]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    blocks = [(left, right) for left, right, _ in alike(images, images, threshold=threshold)]
    left, right = np.concatenate(blocks, axis=1)

    graph = coo_array((np.ones(len(left), bool), (left, right)), shape=(len(images), len(images)))
    _, groups = connected_components(graph, directed=False)
    _, first = np.unique(groups, return_index=True)
    return first[groups].astype(np.int32)


def alike(
    images: np.ndarray, others: np.ndarray, *, threshold: float
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Finds pairs of images that resemble each other. See `near_duplicate_groups`.

    Args:
        images: Array `[n, height, width]`.
        others: Array `[m, height, width]`.
        threshold: Float between 0 and 1.

    Yields:
        `(left, right, correlation)` for blocks of images: indices of the pairs into `images` and `others`, and the
        higher one of the two correlations.

    Example:
        >>> import numpy as np
        >>> from sonikeras.sources._splits import alike
        >>> images = np.array([[[9, 0], [0, 0]], [[0, 0], [9, 0]]])
        >>> [(left.tolist(), right.tolist()) for left, right, _ in alike(images, images[:1], threshold=0.9)]
        [([0], [0])]
    """
    # The whole matrix would take 800 MB for 10,000 images. Outer blocks are larger: inner ones are recomputed.
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
    # float64: some pairs are within 3e-6 of a threshold, and every machine must find the same pairs.
    vectors = images.reshape(len(images), -1).astype("float64")
    vectors -= vectors.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)
