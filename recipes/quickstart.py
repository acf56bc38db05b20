"""The whole study in a few minutes: sonify the built-in images, train a head on a pretrained network, report.

EfficientNet-Lite0 classifies spectrogram pictures of sonified images of ten animals. Its ImageNet weights are installed
with sonikeras, so no download is needed.
"""

from sonikeras.cli.recipes import main
from sonikeras.training import Recipe

RECIPE = Recipe(network="efficientnet_lite0", data="c10", images_per_class=100)

if __name__ == "__main__":
    main(RECIPE, __doc__)
