"""The whole chain as one model: image in, class out."""

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
    """A classifier of images that hears them: image in, sound in the middle, class out.

    The whole signal chain is part of the model, before the classifier: `sonikeras.layers.ImageToAudio`, whose layer is
    named `"audio"`, and `sonikeras.layers.AudioToPicture`, named `"pictures"`. A gradient goes through all of it, the
    search for the sound included, so what comes before can be trained too. The sound of an image is
    `keras.Model(model.input, model.get_layer("audio").output)`.

    Args:
        classifier: Keras model of pictures in 0..255, `[batch, height, width, 3]` with height and width static, as
            `sonikeras.models.classifier` gives it. It is shared, not copied: trained in one, it is trained in both.
        config: Preset or `SonificationConfig`. Defaults to `"study"`.
        input_shape: Shape of the images: `(height, width, 3)`, `(height, width, 1)` or `(height, width)`. Defaults to
            that of the classifier's pictures.
        seed: Integer of at least 0, of the random initial phase, which all images share. Defaults to 0.
        shorter_side, interpolation: Of the pictures' resizing, as of `sonikeras.dataset`.
        name: String, the model's name. Defaults to `"sonified"`.

    Input shape:
        `[batch, *input_shape]`, in 0..255.

    Output shape:
        That of the classifier.

    Returns:
        `keras.Model`. It saves, loads and exports without custom objects.

    Raises:
        ValueError: If the classifier takes something else, or an argument breaks its rule.

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
