"""The best recipe so far: a matched analysis window, amplitudes, the whole picture, and fine-tuning.

The picture shows the whole image as amplitudes in shades of gray. First, a new head is trained on the frozen network,
with each picture and its mirror image. Then the network's last stage is trained too, with random mirroring, shifts,
zooms and masks. The final model averages over both orientations. docs/training.md has the gain of each step.

Existing spectrogram pictures (--stage spectrogram) are taken as the study's, decibels in magma, and are converted to
amplitudes. --no-fine-tune trains the head alone, in a fraction of the time.
"""

from sonikeras.cli.recipes import main
from sonikeras.training import FineTuning, Recipe

RECIPE = Recipe(
    network="efficientnet_lite0",
    data="c10",
    config="matched",
    colormap="magma",
    flips=True,
    fine_tuning=FineTuning(),
)

if __name__ == "__main__":
    main(RECIPE, __doc__)
