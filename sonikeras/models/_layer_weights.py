"""From a PyTorch state dict to the weights of Keras layers."""

from __future__ import annotations

import keras
import numpy as np

from sonikeras.sources._pickles import brief


def set_layers(
    layers: dict[str, keras.Layer], state_dict: dict[str, np.ndarray], network: str, classifiers: tuple[str, ...]
) -> None:
    """Copies a PyTorch state dict into Keras layers.

    Kernels are transposed from PyTorch's (out, in, height, width) to Keras' (height, width, in, out). Batch
    normalizations are set from weight, bias, running mean and variance. The keys of the classifier and the counters
    `*.num_batches_tracked` are ignored. If anything is wrong, no layer is changed.

    Args:
        layers: Dictionary from key prefixes (the key without its last component) to layers with weights: convolutions,
            depthwise convolutions and batch normalizations.
        state_dict: Dictionary from parameter names to arrays: see `read_state_dict`.
        network: String, the network's name in error messages.
        classifiers: Strings, the prefixes of the keys of the network's classifier.

    Raises:
        ValueError: If keys are missing or unexpected, shapes differ, or values are not finite.

    Reference:
        [`torch.nn.Module.state_dict`](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html)

    Example:
        >>> import keras
        >>> from sonikeras.models import weights
        >>> layer = keras.layers.BatchNormalization()
        >>> layer.build((None, 2))
        >>> parts = ("weight", "bias", "running_mean", "running_var")
        >>> state = {f"bn.{part}": np.full(2, number) for number, part in enumerate(parts)}
        >>> weights.set_layers({"bn": layer}, state, "a normalization", ())
        >>> np.asarray(layer.moving_variance)
        array([3., 3.], dtype=float32)
    """
    variables = {
        key: (layer, variable)
        for prefix, layer in layers.items()
        for key, variable in zip(_keys(layer, prefix), layer.weights, strict=True)
    }
    given = {key for key in state_dict if not key.startswith(classifiers) and not key.endswith(".num_batches_tracked")}
    if given != set(variables):
        unexpected = ", ".join(brief(key) for key in sorted(given - variables.keys())[:5])
        raise ValueError(
            f"`state_dict` must have exactly the keys of {network}. "
            f"Received: missing {sorted(variables.keys() - given)[:5]}, unexpected [{unexpected}] (the first 5 of each)"
        )
    values = {key: _keras_order(layer, state_dict[key]) for key, (layer, _) in variables.items()}
    for key, (_, variable) in variables.items():
        if values[key].shape != tuple(variable.shape):
            raise ValueError(
                f"`state_dict[{key!r}]` must have the shape {tuple(variable.shape)} in Keras' order. "
                f"Received: shape {values[key].shape}"
            )
        if wrong := np.count_nonzero(~np.isfinite(values[key])):
            raise ValueError(
                f"`state_dict[{key!r}]` must hold finite values. Received: {wrong} of {values[key].size} are not"
            )
    for key, (_, variable) in variables.items():
        variable.assign(values[key])


def _keys(layer: keras.Layer, prefix: str) -> list[str]:
    """The PyTorch keys of a layer's weights, in the order of `layer.weights`."""
    normalizes = isinstance(layer, keras.layers.BatchNormalization)
    parts = ("weight", "bias", "running_mean", "running_var") if normalizes else ("weight", "bias")
    return [f"{prefix}.{part}" for part in parts[: len(layer.weights)]]


def _keras_order(layer: keras.Layer, value: np.ndarray) -> np.ndarray:
    if value.ndim != 4:
        return value
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    return value.transpose(2, 3, 0, 1) if depthwise else value.transpose(2, 3, 1, 0)
