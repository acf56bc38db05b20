from ._batches import batches as batches, load as load
from ._dataset import dataset as dataset
from ._rendering import Rendering as Rendering
from .augmentation import Augment as Augment
