"""The study's recipe for EfficientNet-B0: a new linear head on the frozen network, Adam, 25 epochs.

The spectrogram picture's shorter side is resized to 256 pixels and the middle 224 x 224 cut out.
"""

from sonikeras.cli.recipes import main
from sonikeras.training import Recipe

RECIPE = Recipe(
    network="efficientnet_b0",
    data="c10",
    config="study",
    engine="librosa",
    image_size=224,
    shorter_side=256,
    interpolation="bicubic",
    head="linear",
    dropout=0.2,
    batch_norm="training",
    epochs=25,
    batch_size=32,
    learning_rate=1e-3,
    seed=42,
)

if __name__ == "__main__":
    main(RECIPE, __doc__)
