"""Outputs of the layers and of a data set on a backend: `KERAS_BACKEND=torch python backend_values.py IN OUT`."""

import importlib.util
import sys

import keras
import numpy as np

import sonikeras
from sonikeras import layers


def values(audio, images, coefficients, magnitudes, phase, db):
    """Arrays by name: the output of each layer, and the first batch of each data set."""
    keras.utils.set_random_seed(0)  # an augmentation's draws follow it, and an earlier test may have set another
    result = {
        "spectrogram": layers.Spectrogram(top_db=None)(audio),
        "spectrogram_amplitude": layers.Spectrogram(400, 160, 512, "hamming", scale="amplitude")(audio),
        "griffin_lim": layers.GriffinLim(iterations=4)(magnitudes, initial_phase=phase),
        "mdct": layers.MDCT()(audio),
        "inverse_mdct": layers.InverseMDCT()(coefficients),
        "image_to_magnitude": layers.ImageToMagnitude()(images),
        "image_to_magnitude_area": layers.ImageToMagnitude(32, 48, "area", reference="absolute")(images),
        "spectrogram_image": layers.SpectrogramImage((90, 120))(db),
        "spectrogram_image_resized": layers.SpectrogramImage((64, 48), "gray", drawing="resize")(db),
        "batch_normalization": layers.TorchBatchNormalization()(coefficients, training=True),
    }
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_enable_x64", True)  # without it JAX has no double precision
    result["spectrogram_double"] = layers.Spectrogram(top_db=None, dtype="float64")(audio.astype("float64"))
    result = {name: keras.ops.convert_to_numpy(value) for name, value in result.items()}
    if importlib.util.find_spec("tensorflow"):
        for name, arguments in _DATA_SETS.items():
            data = sonikeras.dataset("c2", images_per_class=5, cache=False, shuffle=False, batch_size=3, **arguments)
            result[f"data set, {name}"] = next(iter(data))[0].numpy()
    return result


_CHANGES = {"roll": 0.2, "noise": 20, "gain": 3, "flip": True, "shift": 0.1, "zoom": 0.1}
_DATA_SETS = {
    "picture": {"image_size": 64, "interpolation": "bicubic"},
    "lossless": {"image_size": 64, "config": "lossless"},
    "spectrogram": {"output": "spectrogram"},
    "augment": {"image_size": 64, "augment": sonikeras.Augment(time_mask=0.3, frequency_mask=0.3, **_CHANGES)},
}


if __name__ == "__main__":
    source, target = sys.argv[1:]
    np.savez(target, **values(**np.load(source)))
