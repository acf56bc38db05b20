"""What training pictures go through so that no two epochs see the same ones, decided by a seed and the step alone."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class Augmentation:
    """Random changes of batches, for `tf.data.Dataset.map` over `(step, pictures, labels)`.

    Flipped in time, moved and zoomed along time and frequency, silenced over a stretch of time and one of frequency
    (as SpecAugment does), and mixed with each other (mixup). The layers are Keras' own; their random generators are set
    anew from the seed and the step before each batch, so that a training which goes on after an interruption sees what
    it would have seen.

    Args:
        num_classes: Integer; labels come out as one-hot vectors, mixed as the pictures are.
        flip: Boolean, whether half of the pictures are mirrored: their sound runs backwards. Defaults to `True`.
        shift: Float, the largest move along each axis, as a share of it. Defaults to 0.
        zoom: Float, the largest zoom in and out along each axis, as a share of it. Defaults to 0.
        mask: Float, the largest share of time, and of frequency, that is silenced. Defaults to 0.
        mixup: Float, parameter of the beta distribution of mixup. Defaults to 0: none.
        seed: Integer. Defaults to 0.

    References:
        - [SpecAugment](https://arxiv.org/abs/1904.08779)
        - [mixup](https://arxiv.org/abs/1710.09412)

    Example:
        >>> import numpy as np
        >>> from sonikeras.augmentation import Augmentation
        >>> pictures, labels = np.ones((4, 32, 32, 3), "float32"), np.array([0, 1, 2, 0])
        >>> x, y = Augmentation(3, mask=0.5, mixup=0.2)(0, pictures, labels)
        >>> x.shape, y.shape
        (TensorShape([4, 32, 32, 3]), TensorShape([4, 3]))
    """

    def __init__(
        self,
        num_classes: int,
        *,
        flip: bool = True,
        shift: float = 0.0,
        zoom: float = 0.0,
        mask: float = 0.0,
        mixup: float = 0.0,
        seed: int = 0,
    ) -> None:
        layers, dtype = keras.layers, "float32"  # also where the network computes in half precision
        self._num_classes = num_classes
        self._seed = seed
        self._moves: list[Any] = []
        if flip:
            self._moves.append(layers.RandomFlip("horizontal", dtype=dtype))
        if shift:
            self._moves.append(layers.RandomTranslation(shift, shift, fill_mode="reflect", dtype=dtype))
        if zoom:
            self._moves.append(layers.RandomZoom((-zoom, zoom), (-zoom, zoom), fill_mode="reflect", dtype=dtype))
        # The layer draws an area, of which each side is the square root.
        erasing = {"scale": (0, mask**2), "fill_value": 0.0, "dtype": dtype}
        self._mask = layers.RandomErasing((1.0, 1.0), **erasing) if mask else None
        self._mixup = layers.MixUp(alpha=mixup, dtype=dtype) if mixup else None

    def __call__(self, step: Any, pictures: Any, labels: Any) -> tuple[Any, Any]:
        """Changes a batch.

        Args:
            step: Integer scalar, the number of the step: the same step gives the same changes.
            pictures: float tensor `[batch, height, width, 3]`.
            labels: Integer tensor `[batch]`.

        Returns:
            `(pictures, labels)`: of the same shape, and float32 `[batch, num_classes]`.
        """
        for number, layer in enumerate((*self._moves, self._mask, self._mixup)):
            if layer is not None:  # each has numbers of its own: 16 draws a layer are more than any makes
                state, draws = layer.generator.state, ops.cast(step, "int64") * 256 + 16 * number
                state.assign(ops.cast(ops.stack([self._seed, draws]), state.dtype))
        for layer in self._moves:
            pictures = layer(pictures, training=True)
        if self._mask is not None:
            # The rows and columns of an erased rectangle, erased from edge to edge.
            erased = self._mask(ops.ones_like(pictures[..., :1]), training=True)
            pictures = pictures * ops.min(erased, axis=1, keepdims=True) * ops.min(erased, axis=2, keepdims=True)
        labels = ops.one_hot(labels, self._num_classes, dtype="float32")
        if self._mixup is not None:
            mixed = self._mixup({"images": pictures, "labels": labels}, training=True)
            pictures, labels = mixed["images"], mixed["labels"]
        return pictures, labels
