"""The best recipe known: analysis with the window of the synthesis, the whole picture, and amplitudes.

A new head on the frozen network, as in the study, but the picture shows the image: amplitudes as shades of gray,
nothing cut off. docs/training.md says what each of these brings, and what is known of the options --flips and
--fine-tune.

Ready spectrogram pictures (--stage spectrogram) are taken as the study's: levels in magma, which are turned back into
amplitudes.
"""

from sonikeras.experiments import Recipe, main

RECIPE = Recipe(network="efficientnet_lite0", data="c10", config="matched", colormap="magma")

if __name__ == "__main__":
    main(RECIPE, __doc__)
