"""The `tf.data` pipeline, from examples to batches.

`dataset` takes three steps. You can also take them one by one:

1. `sonikeras.sources.Selection` selects examples.
2. `Rendering` loads an example and draws the input of the model from it.
3. `load` and `batches` do this for all examples in a `tf.data.Dataset`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
