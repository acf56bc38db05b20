from ._backbones import unfreeze as unfreeze
from ._classifier import BATCH_NORMS as BATCH_NORMS, BatchNorm as BatchNorm, classifier as classifier
from ._heads import heads as heads
from ._inference import (
    averaged_over_flips as averaged_over_flips,
    predict_batch as predict_batch,
    uncompiled as uncompiled,
)
from ._sonified import sonified as sonified
from ._specs import (
    BackboneSpec as BackboneSpec,
    WeightsPackage as WeightsPackage,
    backbones as backbones,
    spec as spec,
)
