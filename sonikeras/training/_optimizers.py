"""The optimizer of fine-tuning, and the accuracy that the study's notebooks print."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras


@keras.saving.register_keras_serializable("sonikeras")
class BatchMeanAccuracy(keras.metrics.Mean):
    """Mean of the batches' accuracies. A partial last batch counts as much as a whole one.

    The study's PyTorch notebooks print it as the accuracy of an epoch. Keras' `"accuracy"` is that of the examples.

    Args:
        name: String. Defaults to `"batch_mean_accuracy"`.
        **kwargs: Arguments of `keras.metrics.Mean`.

    Example:
        >>> from sonikeras.training import BatchMeanAccuracy
        >>> metric = BatchMeanAccuracy()
        >>> metric.update_state([0, 1, 1], [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> metric.update_state([0], [[0.0, 1.0]])
        >>> float(metric.result())
        0.5
    """

    def __init__(self, name: str = "batch_mean_accuracy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch: integer labels `[batch]` and logits or probabilities `[batch, classes]`."""
        correct = keras.metrics.sparse_categorical_accuracy(y_true, y_pred)
        super().update_state(keras.ops.mean(correct))


class DiscriminativeAdamW(keras.optimizers.AdamW):
    """AdamW with a lower learning rate for some weights. Their weight decay uses the full learning rate.

    Args:
        learning_rate: Float or schedule.
        slow: Variables with the lower learning rate.
        factor: Float, the lower learning rate as a fraction of `learning_rate`.
        **kwargs: Arguments of `keras.optimizers.AdamW`.

    Reference:
        [Howard and Ruder, 2018](https://arxiv.org/abs/1801.06146), discriminative fine-tuning
    """

    def __init__(self, learning_rate: Any, *, slow: Iterable[Any], factor: float, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        self._slow = {variable.path for variable in slow}
        self._factor = factor

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        path = self._trainable_variables[self._get_variable_index(variable)].path
        super().update_step(gradient, variable, learning_rate * (self._factor if path in self._slow else 1))
