"""The transmission of 16-bit PCM audio through a channel."""

from __future__ import annotations

import numpy as np

from sonikeras.config._checks import check_audio, check_integer, check_peak
from sonikeras.config._seeds import check_seed, generator
from sonikeras.sources.audio import from_pcm16, to_pcm16
from sonikeras.transmission._base import Channel
from sonikeras.transmission._specification import as_channel


def transmit(audio: np.ndarray, sample_rate: int, channel: str | Channel, *, seed: int = 0) -> np.ndarray:
    """Audio as it is received through a channel: 16-bit PCM, clipped to -1..1.

    `seed` and the samples determine all randomness. The same audio and seed give the same result, as in
    `sonikeras.dataset`. Different audio has independent noise.

    Args:
        audio: float array `[samples]` in -1..1. It is sent as 16-bit PCM.
        sample_rate: Positive integer, the sample rate in Hz.
        channel: Specification string, such as `"noise(snr=20)"`, or `Channel`.
        seed: Integer of at least 0. Defaults to 0.

    Returns:
        float32 array `[samples]` in -1..1.

    Raises:
        ValueError: `audio` is not such an array, or the channel is not allowed or does not fit the sample rate.
        RuntimeError: libsndfile was built without the codec.

    Example:
        >>> import numpy as np, sonikeras
        >>> audio = sonikeras.sonify(np.eye(64, dtype="uint8") * 255, "lossless")
        >>> received = sonikeras.channels.transmit(audio, 22050, "telephone+noise(snr=20)")
        >>> received.shape == audio.shape
        True
    """
    check_integer("sample_rate", sample_rate, minimum=1)
    seed = check_seed(seed)
    return from_pcm16(transmit_pcm16(to_pcm16(check_peak(check_audio(audio))), sample_rate, as_channel(channel), seed))


def transmit_pcm16(pcm: np.ndarray, sample_rate: int, channel: Channel, seed: int) -> np.ndarray:
    """`transmit` for 16-bit PCM: int16 `[samples]` to int16 `[samples]`."""
    received = check_audio(channel(from_pcm16(pcm), sample_rate, generator(seed, pcm.tobytes())))
    if len(received) != len(pcm):
        raise ValueError(
            f"A channel must keep the length of {len(pcm)} samples. Received: {len(received)} samples of {channel}"
        )
    return to_pcm16(received)
