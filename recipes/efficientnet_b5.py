"""The study's recipe for EfficientNet-B5: a new linear head on the frozen network, Adam, 25 epochs.

Image size, resizing and dropout are the network's in the study: see the table in docs/models.md.
"""

from sonikeras.cli.recipes import main
from sonikeras.training import Recipe

RECIPE = Recipe.of_study("efficientnet_b5")

if __name__ == "__main__":
    main(RECIPE, __doc__)
