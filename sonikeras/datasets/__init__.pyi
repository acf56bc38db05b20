from ._dataset import dataset as dataset
from .augmentation import Augment as Augment
