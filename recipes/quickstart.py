"""The whole study in a few minutes: sonify built-in images, train a head on a pretrained network, report.

EfficientNet-Lite0 with ImageNet weights, which come with the installation, sees pictures of the spectrograms of ten
animals' sounds. No network is needed.
"""

from sonikeras.cli.recipes import main
from sonikeras.training import Recipe

RECIPE = Recipe(network="efficientnet_lite0", data="c10", images_per_class=100)

if __name__ == "__main__":
    main(RECIPE, __doc__)
