"""What a source finds, in one form for all sources, and the parts of it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from sonikeras.sources._splits import share

TEST_SHARE = 0.2


class Listing(NamedTuple):
    """Examples of some classes, class by class, in an order that is always the same.

    Attributes:
        labels: An index into the classes' names for each example.
        names: A name for each example, unique within its class.
        keys: What decides an example's side: its name or its content.
        items: What each example is: all paths, all records, or all uint8 arrays `[height, width]` or RGB.
        divided: Boolean, whether these are one part of a source that comes divided.
        by_content: Boolean, whether keys are the content's, so that those of equal examples are equal.
    """

    labels: Sequence[int]
    names: Sequence[str]
    keys: Sequence[str]
    items: Sequence[Any]
    divided: bool
    by_content: bool = False

    def take(self, indices: Iterable[int]) -> Listing:
        """The examples at some indices."""
        chosen = list(indices)
        return self._replace(
            labels=[self.labels[i] for i in chosen],
            names=[self.names[i] for i in chosen],
            keys=[self.keys[i] for i in chosen],
            items=[self.items[i] for i in chosen],
        )


def part(listing: Listing, split: str, images_per_class: int | None) -> Listing:
    """One part of a listing, of each class at most so many examples: the hash of their keys decides, never the order.

    Args:
        listing: What there is. Unless it is divided, the hash puts a fifth of it into the test part.
        split: `"train"` or `"test"`, or `"validation"` of a source that has such a part.
        images_per_class: Integer, most examples of a class, a fifth of them in the test part, and as many in a
            validation part of its own; or `None` for all.

    Example:
        >>> from sonikeras.sources._listing import Listing, part
        >>> names = [f"cat{i}" for i in range(10)]
        >>> cats = Listing([0] * 10, names, names, names, divided=False)
        >>> part(cats, "test", None).names
        ['cat1', 'cat7']
        >>> part(cats, "test", 5).names in (['cat1'], ['cat7'])
        True
    """
    if listing.divided and images_per_class is None:
        return listing
    shares = [share(key) for key in listing.keys]
    chosen: Iterable[int] = range(len(shares))
    if not listing.divided:
        chosen = [i for i in chosen if (shares[i] < TEST_SHARE) == (split == "test")]
    if images_per_class is not None:
        test = round(TEST_SHARE * images_per_class)
        most = images_per_class - test if split == "train" else test
        taken: Counter[int] = Counter()
        kept = []
        for i in sorted(chosen, key=lambda i: shares[i]):
            taken[listing.labels[i]] += 1
            if taken[listing.labels[i]] <= most:
                kept.append(i)
        chosen = sorted(kept)
    return listing.take(chosen)


def unique(labels: Sequence[int], names: Sequence[str]) -> list[str]:
    """Names that are unique within a class: a second `cat` becomes `cat-2`, or the next number that is free.

    Example:
        >>> from sonikeras.sources._listing import unique
        >>> unique([0, 0, 1], ["cat", "cat", "cat"])
        ['cat', 'cat-2', 'cat']
    """
    seen: Counter[tuple[int, str]] = Counter()
    taken = set(zip(labels, names, strict=True))
    result = []
    for label, name in zip(labels, names, strict=True):
        first = new = label, name
        seen[first] += 1
        while seen[first] > 1 and (new := (label, f"{name}-{seen[first]}")) in taken:
            seen[first] += 1
        taken.add(new)
        result.append(new[1])
    return result


def by_class(labels: Sequence[int]) -> list[int]:
    """Indices that put examples class by class and leave the order within a class."""
    return np.argsort(labels, kind="stable").tolist()


def check_arrays(source: Any) -> tuple[list[np.ndarray], list[str], list[str]]:
    """Checks a pair of arrays that are a source: images, and a label for each.

    Args:
        source: `(images, labels)`. Images are uint8, `[n, height, width]`, `[n, height, width, 1]` or RGB
            `[n, height, width, 3]`, or a sequence of such without the `n`, of any sizes. Labels are integers or
            strings, `[n]` or `[n, 1]`.

    Returns:
        Tuple of the images, each `[height, width]` or RGB, the name of each one's class, and the names of all classes:
        in the order of the integers, or sorted.

    Raises:
        ValueError: One of these breaks its rule.

    Example:
        >>> import numpy as np
        >>> from sonikeras.sources._listing import check_arrays
        >>> _, labels, names = check_arrays((np.zeros((3, 8, 8), np.uint8), [10, 9, 10]))
        >>> labels, names
        (['10', '9', '10'], ['9', '10'])
    """
    if not isinstance(source, tuple | list) or len(source) != 2:
        raise ValueError(
            "Arrays that are a `source` must be a pair (images, labels). "
            f"Received: source of type {type(source).__name__}"
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


def of_arrays(images: Sequence[np.ndarray], labels: Sequence[str], class_names: Sequence[str]) -> Listing:
    """The images of some classes, named by the SHA-256 of their shape and pixels."""
    numbers = {name: label for label, name in enumerate(class_names)}
    chosen = [i for i, label in enumerate(labels) if label in numbers]
    indices = [chosen[i] for i in by_class([numbers[labels[i]] for i in chosen])]
    digests = [_digest(images[i]) for i in indices]
    found = [numbers[labels[i]] for i in indices]
    return Listing(found, unique(found, digests), digests, [images[i] for i in indices], divided=False, by_content=True)


def _digest(pixels: np.ndarray) -> str:
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()[:32]
