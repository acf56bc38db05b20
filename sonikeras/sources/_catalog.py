"""The catalog of the examples in a source, in one form for all sources, and its splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from sonikeras.sources._splits import hash_fraction

TEST_FRACTION = 0.2


class Catalog(NamedTuple):
    """Examples of some classes, class by class, in a fixed order.

    Attributes:
        labels: For each example an index into the class names.
        names: For each example a name that is unique within its class.
        keys: For each example a string, of its name or its content, whose hash assigns it to a split.
        items: The examples: all paths, all records, or all uint8 arrays `[height, width]` or RGB.
        pre_split: Boolean, whether these are one split of a source that has splits.
        by_content: Boolean, whether equal examples have equal keys.
    """

    labels: Sequence[int]
    names: Sequence[str]
    keys: Sequence[str]
    items: Sequence[Any]
    pre_split: bool
    by_content: bool = False

    def take(self, indices: Iterable[int]) -> Catalog:
        """The examples at some indices."""
        chosen = list(indices)
        return self._replace(
            labels=[self.labels[i] for i in chosen],
            names=[self.names[i] for i in chosen],
            keys=[self.keys[i] for i in chosen],
            items=[self.items[i] for i in chosen],
        )


def select_split(catalog: Catalog, split: str, images_per_class: int | None) -> Catalog:
    """The examples of one split. The hash of their keys decides, whatever their order.

    Args:
        catalog: The examples. Unless they are pre-split, the hash assigns a fifth of them to the test split.
        split: `"train"` or `"test"`, or `"validation"` in a source that has one.
        images_per_class: Integer, the largest number of examples of a class, a fifth of them in the test split, and as
            many in the validation split of a source that has one; or `None` for all.

    Example:
        >>> from sonikeras.sources._catalog import Catalog, select_split
        >>> names = [f"cat{i}" for i in range(10)]
        >>> cats = Catalog([0] * 10, names, names, names, pre_split=False)
        >>> select_split(cats, "test", None).names
        ['cat1', 'cat7']
        >>> select_split(cats, "test", 5).names in (['cat1'], ['cat7'])
        True
    """
    if catalog.pre_split and images_per_class is None:
        return catalog
    fractions = [hash_fraction(key) for key in catalog.keys]
    chosen: Iterable[int] = range(len(fractions))
    if not catalog.pre_split:
        chosen = [i for i in chosen if (fractions[i] < TEST_FRACTION) == (split == "test")]
    if images_per_class is not None:
        test = round(TEST_FRACTION * images_per_class)
        most = images_per_class - test if split == "train" else test
        taken: Counter[int] = Counter()
        kept = []
        for i in sorted(chosen, key=lambda i: fractions[i]):
            taken[catalog.labels[i]] += 1
            if taken[catalog.labels[i]] <= most:
                kept.append(i)
        chosen = sorted(kept)
    return catalog.take(chosen)


def unique(labels: Sequence[int], names: Sequence[str]) -> list[str]:
    """Makes names unique within their class: a second `cat` becomes `cat-2`, or has the next free number.

    Example:
        >>> from sonikeras.sources._catalog import unique
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
    """Indices that sort examples by class and keep the order within a class."""
    return np.argsort(labels, kind="stable").tolist()
