from ._features import extract_features as extract_features, feature_dataset as feature_dataset
from ._fit import fit as fit
from ._optimizers import BatchMeanAccuracy as BatchMeanAccuracy, DiscriminativeAdamW as DiscriminativeAdamW
from .recipe import FineTuning as FineTuning, Recipe as Recipe
