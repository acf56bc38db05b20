"""Keras layers, each a thin class over functions of `sonikeras.signal`."""

from sonikeras.layers.batch_normalization import TorchBatchNormalization
from sonikeras.layers.griffin_lim import GriffinLim
from sonikeras.layers.image_to_magnitude import ImageToMagnitude
from sonikeras.layers.mdct import MDCT, InverseMDCT
from sonikeras.layers.sonification import AudioToPicture, ImageToAudio
from sonikeras.layers.spectrogram import Spectrogram
from sonikeras.layers.spectrogram_image import SpectrogramImage

__all__ = [
    "MDCT",
    "AudioToPicture",
    "GriffinLim",
    "ImageToAudio",
    "ImageToMagnitude",
    "InverseMDCT",
    "Spectrogram",
    "SpectrogramImage",
    "TorchBatchNormalization",
]
