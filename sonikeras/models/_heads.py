"""Heads: from a network's features to logits. Keras is imported only to build one."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from sonikeras.models._specs import BackboneSpec

if TYPE_CHECKING:
    import keras


def _linear_head(features: keras.KerasTensor, num_classes: int, dropout: float) -> keras.KerasTensor:
    import keras

    # PyTorch's initialization, which the study used: uniform within 1/sqrt(features), for the bias too.
    limit = float(features.shape[-1]) ** -0.5
    kernel, bias = (keras.initializers.RandomUniform(-limit, limit) for _ in range(2))  # one would repeat its values
    dense = keras.layers.Dense(
        num_classes, kernel_initializer=kernel, bias_initializer=bias, dtype="float32", name="logits"
    )
    return dense(keras.layers.Dropout(dropout)(features) if dropout else features)


def _mlp_head(features: keras.KerasTensor, num_classes: int, dropout: float) -> keras.KerasTensor:
    import keras

    if dropout:
        features = keras.layers.Dropout(dropout)(features)
    return _linear_head(keras.layers.Dense(256, activation="relu")(features), num_classes, dropout)


def _attention_head(features: keras.KerasTensor, num_classes: int, dropout: float) -> keras.KerasTensor:
    import keras

    if len(features.shape) != 4:
        raise ValueError(
            "The head 'attention' weights the positions of a feature map, so `pooling` must be 'auto' or None. "
            f"Received: features of shape {features.shape}"
        )
    positions = keras.layers.Reshape((-1, features.shape[-1]))(features)
    hidden = keras.layers.Dense(128, activation="tanh")(positions)
    # Scores of zero weight all positions equally: training starts with average pooling.
    scores = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(hidden)
    weights = keras.layers.Softmax(axis=1, name="attention")(scores)
    pooled = keras.layers.Flatten()(keras.layers.Dot(axes=1)([weights, positions]))
    return _linear_head(pooled, num_classes, dropout)


_HEADS = {"linear": _linear_head, "mlp": _mlp_head, "attention": _attention_head}


def heads() -> list[str]:
    """Names of the heads that `classifier` accepts. It accepts any layer or function as well.

    - `"linear"`: dropout and a dense layer with PyTorch's initialization (the study's head).
    - `"mlp"`: dropout, a dense layer of 256 units with ReLU, then `"linear"`.
    - `"attention"`: attention pooling, a learned weighted mean over the positions of the feature map, then `"linear"`.

    Returns:
        List of strings.

    Reference:
        `"attention"`: [Ilse et al., 2018](https://arxiv.org/abs/1802.04712), equation 8 (without the gate).

    Example:
        >>> from sonikeras import models
        >>> models.heads()
        ['linear', 'mlp', 'attention']
    """
    return list(_HEADS)


def _head_function(head: str | Callable, num_classes: int, chosen: BackboneSpec, dropout: float | None) -> Callable:
    """The function from features to logits that `head` stands for."""
    if isinstance(head, str) and head in _HEADS:
        rate = chosen.dropout if dropout is None else dropout
        if not isinstance(rate, numbers.Real) or not 0 <= rate < 1:
            raise ValueError(f"Argument `dropout` must be a number in 0 <= dropout < 1. Received: dropout={dropout!r}")
        return partial(_HEADS[head], num_classes=num_classes, dropout=float(rate))
    if isinstance(head, str) or not callable(head) or inspect.isclass(head):
        raise ValueError(
            f"Argument `head` must be one of {heads()}, a `keras.layers.Layer` (an instance, not a class) "
            f"or a function from features to logits. Received: head={head!r}"
        )
    if dropout is not None:
        raise ValueError(
            f"Argument `dropout` must be None unless `head` is one of {heads()}: a head of your own has its own "
            f"dropout. Received: dropout={dropout!r}, head={head!r}"
        )
    return head


def _head_model(head: Callable, shape: tuple[int, ...], num_classes: int) -> keras.Model:
    import keras

    features = keras.Input(shape, name="features")
    logits = head(features)
    if not isinstance(logits, keras.KerasTensor) or tuple(logits.shape) != (None, num_classes):
        raise ValueError(
            f"The head must return logits of shape (None, {num_classes}) for features of shape {features.shape}. "
            f"Received: {logits}"
        )
    if logits.dtype != "float32":
        logits = keras.layers.Activation("linear", dtype="float32")(logits)
    return keras.Model(features, logits, name="head")
