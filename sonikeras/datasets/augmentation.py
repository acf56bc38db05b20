"""Random changes of audio and pictures, which differ in each epoch and which seeds determine."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
from keras import ops

from sonikeras.config._checks import check_number
from sonikeras.signal._backend import is_foreign, operations
from sonikeras.transmission._decibels import add_noise, apply_gain


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augment:
    """Random changes of each training example, for `sonikeras.dataset(augment=...)`.

    The audio is changed first, in the order of the arguments, and then the picture drawn from it. Keras layers change
    the pictures. Values are drawn from uniform distributions, for each example and each epoch. For a mask, the square
    of its width is drawn.

    Args:
        roll: Float in 0..1, the largest circular shift of the audio, as a fraction of its length. Samples that leave at
            one end enter at the other. Pictures of a config with `color` cannot be rolled. Defaults to 0.
        noise: `(low, high)`, the signal-to-noise ratio of added white noise in dB; a number stands for both. Silence
            stays silent. Defaults to `None`: no noise.
        gain: Float, the largest gain and attenuation of the audio in dB. It is not clipped. Spectrograms and pictures
            show it only if the config has `reference="absolute"`. Defaults to 0.
        flip: Boolean, whether half of the pictures are mirrored, which reverses time. Defaults to `False`.
        shift: Float in 0..1, the largest shift along each axis of the picture, as a fraction of its length. Defaults to
            0.
        zoom: Float of at least 0 and below 1, the largest zoom in and out along each axis, as a fraction of its length.
            Defaults to 0.
        time_mask: Float in 0..1, the largest interval of time that is masked (black), as a fraction of the length.
            Defaults to 0.
        frequency_mask: Float in 0..1, the largest band of frequencies that is masked, as a fraction of the height.
            Defaults to 0.

    Raises:
        ValueError: An argument is not allowed.

    References:
        - [SpecAugment](https://arxiv.org/abs/1904.08779)

    Example:
        >>> import sonikeras
        >>> from sonikeras.datasets.augmentation import Augment
        >>> augment = Augment(roll=0.2, noise=(10, 40), time_mask=0.2)
        >>> train = sonikeras.dataset("c2", images_per_class=10, augment=augment)
    """

    roll: float = 0.0
    noise: float | tuple[float, float] | None = None
    gain: float = 0.0
    flip: bool = False
    shift: float = 0.0
    zoom: float = 0.0
    time_mask: float = 0.0
    frequency_mask: float = 0.0

    def __post_init__(self) -> None:
        for name in ("roll", "shift", "time_mask", "frequency_mask"):
            check_number(name, getattr(self, name), "a number in 0..1", lambda x: 0 <= x <= 1)
        check_number("zoom", self.zoom, "a number of at least 0 and below 1", lambda x: 0 <= x < 1)
        check_number("gain", self.gain, "a finite number of at least 0", lambda x: x >= 0)
        if not isinstance(self.flip, bool):
            raise ValueError(f"`flip` must be a boolean. Received: flip={self.flip!r}")
        if self.noise is not None:
            pair = self.noise if isinstance(self.noise, tuple | list) else (self.noise, self.noise)
            rule = "a finite number of dB, a pair (low, high) of them, or None"
            for value in pair:
                check_number("noise", value, rule, lambda x: True)
            if len(pair) != 2 or pair[0] > pair[1]:
                raise ValueError(f"`noise` must be {rule}. Received: noise={self.noise!r}")
            object.__setattr__(self, "noise", (float(pair[0]), float(pair[1])))
        masks: dict[tuple[int, ...], float] = {_TIME: self.time_mask, _FREQUENCY: self.frequency_mask}
        changes = _PictureChanges(flip=self.flip, shift=self.shift, zoom=self.zoom, masks=masks)
        object.__setattr__(self, "_picture_changes", changes)  # layers cannot be created in a graph

    def __getattr__(self, name: str) -> Any:
        renamed = {"change_sound": "change_audio", "changes_sound": "changes_audio"}
        if name in renamed:
            raise AttributeError(f"`Augment.{name}` is now `Augment.{renamed[name]}`.")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def changes_audio(self) -> bool:
        """Whether the audio is changed."""
        return bool(self.roll or self.noise or self.gain)

    @property
    def changes_picture(self) -> bool:
        """Whether the picture is changed."""
        return bool(self.flip or self.shift or self.zoom or self.time_mask or self.frequency_mask)

    def change_audio(self, audio: Any, number: Any) -> Any:
        """Changes audio, also in a TensorFlow graph.

        Args:
            audio: float32 tensor `[samples]`.
            number: Integer scalar that determines the changes.

        Returns:
            float32 tensor `[samples]`.
        """
        import tensorflow as tf

        def seed(change: int) -> Any:
            return [tf.cast(number, tf.int64), _AUDIO_DRAWS + change]

        def uniform(change: int, low: float, high: float) -> Any:
            return tf.random.stateless_uniform((), seed(change), low, high)

        audio = tf.convert_to_tensor(audio)
        if self.roll:
            fraction = uniform(0, -self.roll, self.roll)
            audio = tf.roll(audio, tf.cast(tf.round(fraction * tf.cast(tf.size(audio), tf.float32)), tf.int32), axis=0)
        if self.noise:
            snr = uniform(1, *self.noise)  # type: ignore[misc]
            audio = add_noise(audio, tf.random.stateless_normal(tf.shape(audio), seed(2)), snr)
        if self.gain:
            audio = apply_gain(audio, uniform(3, -self.gain, self.gain))
        return audio

    def change_picture(self, picture: Any, number: Any) -> Any:
        """Changes a picture.

        Args:
            picture: float32 tensor `[height, width, 3]`.
            number: Integer scalar that determines the changes.

        Returns:
            float32 tensor `[height, width, 3]`.
        """
        return self._picture_changes(picture[None], number, 0)[0]


class Augmentation:
    """Random changes of batches, for `tf.data.Dataset.map` over `(step, pictures, labels)`.

    Pictures are flipped in time, shifted and zoomed along time and frequency, masked over an interval of time and a
    band of frequencies (SpecAugment), and mixed with each other (mixup). Keras layers do this. The seed and the step
    determine what they draw, so a training run that resumes after an interruption gets the same changes.

    Args:
        num_classes: Integer. Labels become one-hot vectors, mixed as the pictures are.
        flip: Boolean, whether half of the pictures are mirrored, which reverses time. Defaults to `True`.
        shift: Float, the largest shift along each axis, as a fraction of its length. Defaults to 0.
        zoom: Float, the largest zoom in and out along each axis, as a fraction of its length. Defaults to 0.
        mask: Float, the largest fraction of time, and of frequency, that is masked. Defaults to 0.
        mixup: Float, parameter of the beta distribution of mixup. Defaults to 0: no mixup.
        seed: Integer. Defaults to 0.

    References:
        - [SpecAugment](https://arxiv.org/abs/1904.08779)
        - [mixup](https://arxiv.org/abs/1710.09412)

    Example:
        >>> import numpy as np
        >>> from sonikeras.datasets.augmentation import Augmentation
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
        self._num_classes = num_classes
        self._seed = seed
        self._changes = _PictureChanges(flip=flip, shift=shift, zoom=zoom, masks={_TIME + _FREQUENCY: mask})
        self._mixup = keras.layers.MixUp(alpha=mixup, dtype=_DTYPE) if mixup else None

    def __call__(self, step: Any, pictures: Any, labels: Any) -> tuple[Any, Any]:
        """Changes a batch.

        Args:
            step: Integer scalar, the number of the training step. The same step gives the same changes.
            pictures: float tensor `[batch, height, width, 3]`.
            labels: Integer tensor `[batch]`.

        Returns:
            `(pictures, labels)`: of the same shape, and float32 `[batch, num_classes]`.
        """
        first = ops.cast(step, "int64") * 256  # no layer makes more than 16 draws
        pictures = self._changes(pictures, self._seed, first)
        labels = ops.one_hot(labels, self._num_classes, dtype="float32")
        if self._mixup is not None:
            batch = {"images": pictures, "labels": labels}
            draws = _Draws(self._seed, first + 16 * self._changes.count)
            mixing = self._mixup.get_random_transformation(batch, training=True, seed=draws)
            pictures = self._mixup.transform_images(pictures, mixing, training=True)
            labels = self._mixup.transform_labels(labels, mixing, training=True)
        return pictures, labels


_DTYPE = "float32"  # even if the network computes in half precision


_TIME, _FREQUENCY = (1,), (2,)  # the axes of pictures that a mask of time or of frequency spans


_AUDIO_DRAWS = 2**20  # far from the numbers of the pictures' draws, so that both are independent


class _PictureChanges:
    """Flips, shifts, zooms and masks batches of pictures with Keras layers.

    Args:
        flip, shift, zoom: As in `Augmentation`.
        masks: For each mask, the axes that it spans from edge to edge, and its largest fraction of the other axis.
    """

    def __init__(self, *, flip: bool, shift: float, zoom: float, masks: dict[tuple[int, ...], float]) -> None:
        layers = keras.layers
        self._warps: list[Any] = []
        if flip:
            self._warps.append(layers.RandomFlip("horizontal", dtype=_DTYPE))
        if shift:
            self._warps.append(layers.RandomTranslation(shift, shift, fill_mode="reflect", dtype=_DTYPE))
        if zoom:
            self._warps.append(layers.RandomZoom((-zoom, zoom), (-zoom, zoom), fill_mode="reflect", dtype=_DTYPE))
        # The layer draws an area; each side is its square root.
        self._masks = {
            axes: layers.RandomErasing((1.0, 1.0), scale=(0, mask**2), fill_value=0.0, dtype=_DTYPE) if mask else None
            for axes, mask in masks.items()
        }
        self.count = len(self._warps) + len(self._masks)

    def __call__(self, pictures: Any, seed: Any, first: Any) -> Any:
        """Changes a batch `[batch, height, width, 3]`. Each layer has 16 numbers for its draws, starting at `first`."""
        xp = _tensor_operations(pictures, seed, first)
        pictures = xp.convert_to_tensor(pictures)
        for number, layer in enumerate(self._warps):
            pictures = _changed(layer, pictures, _Draws(seed, first + 16 * number))
        for number, (axes, layer) in enumerate(self._masks.items(), len(self._warps)):
            if layer is not None:
                # The rows and columns of an erased rectangle are erased from edge to edge.
                erased = _changed(layer, xp.ones_like(pictures[..., :1]), _Draws(seed, first + 16 * number))
                for axis in axes:
                    pictures = pictures * xp.min(erased, axis=axis, keepdims=True)
        return pictures


def _tensor_operations(*values: Any) -> Any:
    """The tensor functions that compute with some values: Keras' own also for arrays and numbers."""
    foreign = next((value for value in values if is_foreign(value)), None)
    return keras.ops if foreign is None else operations(foreign)


def _changed(layer: Any, pictures: Any, draws: _Draws) -> Any:
    if is_foreign(pictures):
        layer.backend.set_backend("tensorflow")  # as the layer does itself if called in tf.data
    change = layer.get_random_transformation(pictures, training=True, seed=draws)
    return layer.transform_images(pictures, change, training=True)


class _Draws(keras.random.SeedGenerator):
    """The draws of a layer, determined by two numbers. Without a state, parallel calls cannot race."""

    def __init__(self, seed: Any, first: Any) -> None:  # that of the parent creates a state
        self._seed, self._next = seed, first

    def next(self, ordered: bool = True) -> Any:
        seed, number = self._seed, self._next
        xp = _tensor_operations(seed, number)
        drawn = xp.stack([xp.cast(seed, "int64"), xp.cast(number, "int64")])
        self._next = self._next + 1
        return drawn
