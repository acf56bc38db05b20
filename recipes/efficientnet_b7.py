"""The study's recipe for EfficientNet-B7: a new linear head on the frozen network, Adam, 25 epochs.

The spectrogram picture's shorter side is resized to 600 pixels and the middle 600 x 600 cut out.
"""

from sonikeras.cli.recipes import main
from sonikeras.training import Recipe

RECIPE = Recipe(
    network="efficientnet_b7",
    data="c10",
    config="study",
    engine="librosa",
    image_size=600,
    shorter_side=600,
    interpolation="bicubic",
    head="linear",
    dropout=0.5,
    batch_norm="training",
    epochs=25,
    batch_size=32,
    learning_rate=1e-3,
    seed=42,
)

if __name__ == "__main__":
    main(RECIPE, __doc__)
