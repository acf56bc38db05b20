"""The study's recipe for EfficientNet-B5: a new linear head on the frozen network, Adam, 25 epochs.

The spectrogram picture's shorter side is resized to 456 pixels and the middle 456 x 456 cut out.
"""

from sonikeras.cli.recipes import main
from sonikeras.training import Recipe

RECIPE = Recipe(
    network="efficientnet_b5",
    data="c10",
    config="study",
    engine="librosa",
    image_size=456,
    shorter_side=456,
    interpolation="bicubic",
    head="linear",
    dropout=0.4,
    batch_norm="training",
    epochs=25,
    batch_size=32,
    learning_rate=1e-3,
    seed=42,
)

if __name__ == "__main__":
    main(RECIPE, __doc__)
