"""The best recipe known: analysis with the synthesis window, the whole picture, amplitudes, and fine-tuning.

First the head is trained on features of the frozen network, then the network's last stages with it: with augmentation,
label smoothing, discriminative learning rates, and a moving average of the weights; a validation part of the training
images decides when to stop. docs/training.md says what each of these brings.

Ready spectrogram pictures (--stage spectrogram) are taken as the study's: levels in magma, which are turned back into
amplitudes.
"""

from sonikeras.experiments import FineTuning, Recipe, main

RECIPE = Recipe(
    network="efficientnet_lite0",
    data="c10",
    config="matched",
    colormap="magma",
    interpolation="bilinear",
    validation_split=0.1,
    flips=True,
    fine_tuning=FineTuning(),
)

if __name__ == "__main__":
    main(RECIPE, __doc__)
