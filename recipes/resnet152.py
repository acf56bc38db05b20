"""The study's recipe for ResNet152: a new linear head on the frozen network, Adam, 25 epochs.

The study calls it "ResNet150", which does not exist.

The spectrogram picture's shorter side is resized to 232 pixels and the middle 224 x 224 cut out.
"""

from sonikeras.cli.recipes import main
from sonikeras.training import Recipe

RECIPE = Recipe(
    network="resnet152",
    data="c10",
    config="study",
    engine="librosa",
    image_size=224,
    shorter_side=232,
    interpolation="bilinear",
    head="linear",
    dropout=0.0,
    batch_norm="training",
    epochs=25,
    batch_size=32,
    learning_rate=1e-3,
    seed=42,
)

if __name__ == "__main__":
    main(RECIPE, __doc__)
