from ._pipeline import dataset as dataset
from .augmentation import Augment as Augment
