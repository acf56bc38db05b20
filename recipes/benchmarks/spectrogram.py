"""From audio to spectrogram: sonikeras, librosa, Keras, PyTorch and kapre."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import measuring
from benchmarks.measuring import MISSING, table


def collect(options: argparse.Namespace) -> dict[str, Any]:
    return {"spectrogram": measuring.run(options, "spectrogram", cores=1)}


def spectrogram(options: argparse.Namespace) -> dict[str, dict[str, float | None]]:
    """Decibels of 16 audio clips with 2048 / 512. TensorFlow's libraries run in a compiled function."""
    measuring.limit_threads()
    import keras
    import librosa

    import sonikeras

    pictures = measuring.images(2 if options.smoke else 16)
    audio = np.stack([sonikeras.sonify(image, "matched") for image in pictures])
    candidates: dict[str, Callable[[], Any]] = {
        "librosa.stft": lambda: librosa.amplitude_to_db(np.abs(librosa.stft(audio)), ref=1.0, top_db=None),
        "sonikeras.layers.Spectrogram": compiled(sonikeras.layers.Spectrogram(reference=1.0, top_db=None), audio),
        "keras.layers.STFTSpectrogram": compiled(
            keras.layers.STFTSpectrogram(frame_length=2048, frame_step=512, fft_length=2048), audio[..., None]
        ),
    }
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)
        tensor, window = torch.from_numpy(audio), torch.hann_window(2048)

        def torch_decibels() -> Any:
            transform = torch.stft(tensor, 2048, 512, window=window, pad_mode="constant", return_complex=True)
            return 20 * torch.log10(transform.abs().clamp(1e-5))

        candidates["torch.stft"] = torch_decibels
    if importlib.util.find_spec("kapre"):
        from kapre import STFT, Magnitude, MagnitudeToDecibel

        layers = [STFT(2048, hop_length=512), Magnitude(), MagnitudeToDecibel()]
        candidates["kapre"] = compiled(keras.Sequential(layers), audio[..., None])
    seconds = measuring.turns(candidates, 4 * options.rounds)
    reference = candidates["librosa.stft"]()
    loud = reference > reference.max() - 70
    result: dict[str, dict[str, float | None]] = {}
    for name, candidate in candidates.items():
        decibels = np.asarray(candidate())
        if decibels.shape == reference.transpose(0, 2, 1).shape:
            decibels = decibels.transpose(0, 2, 1)
        same = decibels.shape == reference.shape
        result[name] = {
            "milliseconds": 1e3 * float(np.median(seconds[name])) / len(audio),
            "times librosa": float(np.median(seconds["librosa.stft"] / seconds[name])),
            "largest difference": float(np.abs(decibels - reference)[loud].max()) if same else None,
        }
    return result


def compiled(layer: Any, x: np.ndarray) -> Callable[[], Any]:
    """The layer as a compiled function of no arguments."""
    import tensorflow as tf

    function, tensor = tf.function(layer), tf.constant(x)
    layer(tensor)  # builds it
    return lambda: function(tensor)


def section(results: dict[str, Any]) -> str:
    rows = [
        [
            name,
            f"{row['milliseconds']:.2f}",
            f"{row['times librosa']:.1f}",
            MISSING if row["largest difference"] is None else f"{row['largest difference']:.4f}",
        ]
        for name, row in results["spectrogram"].items()
    ]
    return f"### Audio to spectrogram\n\n{table(['', 'ms', 'x librosa', 'largest difference, dB'], rows)}"


PARTS: dict[str, Callable[..., Any]] = {"spectrogram": spectrogram}
