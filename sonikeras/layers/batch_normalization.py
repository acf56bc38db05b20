"""Batch normalization with the rules of PyTorch."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from sonikeras.config._checks import plain
from sonikeras.signal._backend import check_real


@keras.saving.register_keras_serializable("sonikeras")
class TorchBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization that trains like `torch.nn.BatchNorm2d`.

    It differs from `keras.layers.BatchNormalization` in two rules:

    - `trainable=False` freezes only `gamma` and `beta`. With `training=True`, a frozen layer still normalizes with the
      statistics of the batch and still updates its moving averages. So does a PyTorch module in `train()` mode,
      whatever the `requires_grad` of its parameters.
    - The moving variance averages the unbiased variance: `n / (n - 1)` times the variance of a channel's `n` values.

    Args:
        momentum: Float, the weight of the old moving average in a step: 1 minus PyTorch's momentum. Defaults to 0.9,
            which is PyTorch's 0.1.
        epsilon: Float, added to the variance. Defaults to 1e-5, like PyTorch's.
        **kwargs: Further arguments of `keras.layers.BatchNormalization`, except `renorm` and `synchronized`.

    Call arguments:
        inputs: Float tensor with channels along `axis` (by default the last).
        training: Boolean, whether to use the statistics of the batch and to update the moving averages.

    Output shape:
        The shape of `inputs`.

    Raises:
        ValueError: `renorm` or `synchronized` is `True`, or the input has a mask or is not real or not dense.

    Reference:
        [`torch.nn.BatchNorm2d`](https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html)

    Example:
        >>> import numpy as np
        >>> from sonikeras import layers
        >>> layer = layers.TorchBatchNormalization(trainable=False)
        >>> x = np.array([[1.0], [3.0]], "float32")
        >>> layer(x, training=True).numpy().round(3).tolist()
        [[-1.0], [1.0]]
        >>> np.asarray(layer.moving_mean).round(3), np.asarray(layer.moving_variance).round(3)
        (array([0.2], dtype=float32), array([1.1], dtype=float32))
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-5, **kwargs: Any) -> None:
        for name in ("renorm", "synchronized"):
            if kwargs.get(name):
                raise ValueError(f"`{name}` must be False, because PyTorch does not support it. Received: {name}=True")
        super().__init__(momentum=plain(momentum), epsilon=plain(epsilon), **kwargs)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        check_real("The input of `TorchBatchNormalization`", inputs)
        return super().__call__(inputs, *args, **kwargs)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if mask is not None:
            raise ValueError(f"`mask` must be None, because PyTorch does not support it. Received: mask={mask}")
        dtype = keras.backend.result_type(inputs.dtype, "float32")  # sums of squares overflow in half precision
        x, moving_mean, moving_variance = (
            ops.cast(value, dtype) for value in (inputs, self.moving_mean, self.moving_variance)
        )
        gamma, beta = (None if value is None else ops.cast(value, dtype) for value in (self.gamma, self.beta))
        if training:
            # Sums are products with ones: TensorFlow's reductions take twice as long on a CPU.
            values = ops.reshape(ops.moveaxis(x, self.axis, -1), (-1, x.shape[self.axis]))
            ones = ops.ones_like(ops.transpose(values[:, :1]))
            count = ops.sum(ones)
            mean = ops.matmul(ones, values)[0] / count
            variance = ops.matmul(ones, ops.square(values - mean))[0] / count
            unbiased = variance * (count / ops.maximum(count - 1, 1))
            self.moving_mean.assign(moving_mean * self.momentum + mean * (1 - self.momentum))
            self.moving_variance.assign(moving_variance * self.momentum + unbiased * (1 - self.momentum))
        else:
            mean, variance = moving_mean, moving_variance
        normalized = ops.batch_normalization(
            x, mean, variance, axis=self.axis, offset=beta, scale=gamma, epsilon=self.epsilon
        )
        return ops.cast(normalized, self.compute_dtype)
