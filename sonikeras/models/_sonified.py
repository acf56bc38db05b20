"""The end-to-end model: the signal chain and a classifier in one."""

from __future__ import annotations

import keras

from sonikeras.config import SonificationConfig
from sonikeras.layers import AudioToPicture, ImageToAudio


def sonified(
    classifier: keras.Model,
    config: str | SonificationConfig = "study",
    *,
    input_shape: tuple[int, ...] | None = None,
    seed: int = 0,
    shorter_side: int | None = None,
    interpolation: str = "bilinear",
    name: str | None = None,
) -> keras.Model:
    """A model that sonifies images and classifies the spectrogram pictures of their audio.

    The model contains the whole signal chain: the layer `"audio"` (`sonikeras.layers.ImageToAudio`), the layer
    `"pictures"` (`sonikeras.layers.AudioToPicture`), and the classifier. It is differentiable, phase retrieval
    included, so layers before it can be trained too. `keras.Model(model.input, model.get_layer("audio").output)` is the
    model from images to audio.

    Args:
        classifier: Keras model from pictures in 0..255, `[batch, height, width, 3]` with static height and width, such
            as `sonikeras.models.classifier` returns. It is shared, not copied: training one trains both.
        config: Preset or `SonificationConfig`. Defaults to `"study"`.
        input_shape: Shape of the images: `(height, width, 3)`, `(height, width, 1)` or `(height, width)`. Defaults to
            the shape of the classifier's pictures. If the config has colors, so have the pictures.
        seed: Integer of at least 0, the seed of the random initial phase, which all images share. Defaults to 0.
        shorter_side, interpolation: Resizing of the pictures, as in `sonikeras.dataset`.
        name: String, the model's name. Defaults to `"sonified"`.

    Input shape:
        `[batch, *input_shape]`, in 0..255.

    Output shape:
        The classifier's.

    Returns:
        `keras.Model`. It saves, loads and exports without custom objects.

    Raises:
        ValueError: If the classifier has another input shape, or an argument breaks its rule.

    Example:
        >>> import numpy as np
        >>> from sonikeras import models
        >>> classifier = models.classifier("efficientnet_lite0", num_classes=2, weights=None, image_size=64)
        >>> model = models.sonified(classifier, "lossless", input_shape=(28, 28))
        >>> model(np.zeros((1, 28, 28))).shape, model.get_layer("audio").output.shape
        (TensorShape([1, 2]), (None, 66048))
    """
    pictures = getattr(classifier, "input_shape", None)
    if not isinstance(pictures, tuple) or len(pictures) != 4 or None in pictures[1:] or pictures[3] != 3:
        raise ValueError(
            "Argument `classifier` must take pictures of shape (batch, height, width, 3) with height and width known. "
            f"Received: a {type(classifier).__name__} with input_shape={pictures}"
        )
    images = keras.Input(pictures[1:] if input_shape is None else input_shape, name="images")
    audio = ImageToAudio(config, seed=seed, name="audio")(images)
    drawing = AudioToPicture(
        config, pictures[1:3], shorter_side=shorter_side, interpolation=interpolation, name="pictures"
    )
    return keras.Model(images, classifier(drawing(audio)), name=name or "sonified")
