"""The best recipe known: analysis with the synthesis window, the whole picture, amplitudes, and both orientations.

A new head on the frozen network, as in the study, but the picture shows the image: amplitudes as shades of gray,
nothing cut off. The head learns the mirrored pictures too, and the result averages over both. docs/training.md says
what each of these brings, and what fine-tuning (--fine-tune) does.

Ready spectrogram pictures (--stage spectrogram) are taken as the study's: levels in magma, which are turned back into
amplitudes.
"""

from sonikeras.experiments import Recipe, main

RECIPE = Recipe(network="efficientnet_lite0", data="c10", config="matched", colormap="magma", flips=True)

if __name__ == "__main__":
    main(RECIPE, __doc__)
