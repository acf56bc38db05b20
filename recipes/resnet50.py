"""The study's recipe for ResNet50: a new linear head on the frozen network, Adam, 25 epochs.

Image size, resizing and dropout are the network's in the study: see the table in docs/models.md.
"""

from sonikeras.cli.recipes import main
from sonikeras.training import Recipe

RECIPE = Recipe.of_study("resnet50")

if __name__ == "__main__":
    main(RECIPE, __doc__)
