"""Batch normalization with PyTorch's rules."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from sonikeras.config._checks import plain
from sonikeras.signal._backend import check_real


@keras.saving.register_keras_serializable("sonikeras")
class TorchBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization that trains as `torch.nn.BatchNorm2d` does.

    It differs from `keras.layers.BatchNormalization` in two rules. `trainable=False` freezes `gamma` and `beta` only:
    with `training=True` a frozen layer still normalizes with the batch's statistics and still updates its moving
    averages, as a PyTorch module in `train()` mode does whatever its parameters' `requires_grad`. And the moving
    variance is that of the unbiased variance, `n / (n - 1)` times that of the batch's `n` values a channel.

    Args:
        momentum: Float, the share of the old moving average that a step keeps: 1 minus what PyTorch calls momentum.
            Defaults to 0.9, PyTorch's 0.1.
        epsilon: Float, added to the variance. Defaults to 1e-5, as PyTorch's.
        **kwargs: Further arguments of `keras.layers.BatchNormalization`, except `renorm` and `synchronized`.

    Call arguments:
        inputs: Float tensor, the channels along `axis` (the last by default).
        training: Boolean, whether the batch's statistics are used, and the moving averages updated.

    Output shape:
        That of `inputs`.

    Raises:
        ValueError: `renorm` or `synchronized` is asked for, or the input has a mask, is not real or not dense.

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
                raise ValueError(f"`{name}` must be False: PyTorch's rules have no such thing. Received: {name}=True")
        super().__init__(momentum=plain(momentum), epsilon=plain(epsilon), **kwargs)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        check_real("The input of `TorchBatchNormalization`", inputs)
        return super().__call__(inputs, *args, **kwargs)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if mask is not None:
            raise ValueError(f"`mask` must be None: PyTorch's rules have no such thing. Received: mask={mask}")
        dtype = keras.backend.result_type(inputs.dtype, "float32")  # sums of squares overflow in half precision
        x, moving_mean, moving_variance = (
            ops.cast(value, dtype) for value in (inputs, self.moving_mean, self.moving_variance)
        )
        gamma, beta = (None if value is None else ops.cast(value, dtype) for value in (self.gamma, self.beta))
        if training:
            # Sums as products with ones: TensorFlow's reductions take twice as long on a CPU.
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
