"""A stream gives the frames of the whole audio, whatever the size of its blocks."""

import numpy as np
import pytest
from keras import ops

from sonikeras.layers import Spectrogram
from sonikeras.layers.streaming import SpectrogramStream

AUDIO = np.random.default_rng(0).normal(size=(2, 3001)).astype(np.float32)
LAYERS = [
    (Spectrogram(256, 64, reference=1.0, top_db=None), AUDIO),
    (Spectrogram(200, 64, 256, center=False, scale="power"), AUDIO),
    (Spectrogram(255, 100, scale="amplitude"), np.stack([AUDIO, AUDIO[::-1]], axis=-1)),
    (
        Spectrogram(256, 256, mode="log", frequency_scale="mel", num_bins=20, data_format="channels_first"),
        np.stack([AUDIO, AUDIO[::-1]], axis=1),
    ),
    (Spectrogram(200, 50, 256, mode="stft", padding="valid"), AUDIO),
]


@pytest.mark.parametrize("sizes", [[1], [64], [3001], [7, 900, 0, 300]], ids=str)
@pytest.mark.parametrize(("layer", "audio"), LAYERS, ids=range(len(LAYERS)))
def test_frames_are_those_of_the_whole_audio(layer, audio, sizes):
    expected = ops.convert_to_numpy(layer(audio))
    time = audio.shape.index(3001)
    frames = expected.ndim - 2 if time == audio.ndim - 1 else 1
    stream = SpectrogramStream(layer)
    for _ in range(1 if sizes == [1] else 2):  # the stream restarts
        place, block, parts = 0, 0, []
        if sizes == [1]:
            sizes = [1] * 300 + [3001]
        while place < 3001:
            size = sizes[block % len(sizes)]
            parts.append(stream.push(audio[(slice(None),) * time + (slice(place, place + size),)]))
            # No frame comes later than the latency says.
            place, block = min(place + size, 3001), block + 1
            known = max(0, 1 + (place - stream.latency) // layer.frame_step)
            assert sum(part.shape[frames] for part in parts) == known
        parts.append(stream.finish())
        np.testing.assert_allclose(np.concatenate(parts, axis=frames), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "`reference` must be a float and `top_db` None. Received: reference='max', top_db=80"),
        ({"reference": 1.0}, "Received: reference=1.0, top_db=80"),
        ({"mode": "psd", "padding": "same"}, "`padding` must be None or 'valid' in a stream. Received"),
    ],
)
def test_references_that_need_the_whole_audio_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SpectrogramStream(Spectrogram(256, 64, **arguments))


def test_no_audio_no_end():
    stream = SpectrogramStream(Spectrogram(256, 64, scale="power"))
    for _ in range(2):
        with pytest.raises(ValueError, match="`push` must be called with samples before `finish`"):
            stream.finish()
        assert stream.push(AUDIO[:, :0]).shape == (2, 0, 129)


@pytest.mark.parametrize("block", [AUDIO[0], AUDIO[:1], AUDIO[..., None]], ids=["rank 1", "batch", "rank 3"])
def test_blocks_of_another_shape_are_refused(block):
    stream = SpectrogramStream(Spectrogram(256, 64, scale="power"))
    stream.push(AUDIO)
    with pytest.raises(ValueError, match="A block must have the .* Received: shape="):
        stream.push(block)


def test_only_spectrogram_layers_have_streams():
    with pytest.raises(ValueError, match="`layer` must be a `sonikeras.layers.Spectrogram`. Received: layer='mel'"):
        SpectrogramStream("mel")


@pytest.mark.parametrize("dtype", ["float64", "mixed_float16"])
def test_precision_is_the_layers(dtype):
    layer = Spectrogram(256, 64, reference=1.0, top_db=None, dtype=dtype)
    stream, audio = SpectrogramStream(layer), AUDIO.astype("float64")
    parts = [stream.push(audio[:, :100]), stream.push(audio[:, 100:]), stream.finish()]
    assert {str(part.dtype) for part in parts} == {layer.compute_dtype}
    np.testing.assert_allclose(np.concatenate(parts, axis=1), ops.convert_to_numpy(layer(audio)), rtol=1e-12)
