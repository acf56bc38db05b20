"""The best recipe known: analysis with the window of the synthesis, the whole picture, amplitudes, and fine-tuning.

The picture shows the image: amplitudes as shades of gray, nothing cut off. A new head is trained on the frozen network,
on both orientations of each picture; then the network's last stage is trained too, on pictures that are mirrored,
moved, zoomed and masked, and the result averages over both orientations. docs/training.md says what each brings.

Ready spectrogram pictures (--stage spectrogram) are taken as the study's: levels in magma, which are turned back into
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
