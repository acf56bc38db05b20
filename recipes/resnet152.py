"""The study's recipe for ResNet152: a new linear head on the frozen network, Adam, 25 epochs.

Image size, resizing and dropout are the network's in the study: see the table in docs/models.md.

The study calls the network "ResNet150", which does not exist.
"""

from sonikeras.cli.recipes import main
from sonikeras.training import Recipe

RECIPE = Recipe.of_study("resnet152")

if __name__ == "__main__":
    main(RECIPE, __doc__)
