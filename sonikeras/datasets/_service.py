"""Audio computed by the workers of a tf.data service: the slow part of the chain as a graph, which can travel.

The service hands each example to one worker (dynamic sharding). When a worker dies, its current examples are lost, and
the service itself then waits forever. So the examples are handed out repeatedly. Here they are put back into order:
duplicates are dropped, and what is missing is computed here. Each example arrives exactly once.
"""

from __future__ import annotations

import functools
import os
import queue
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from sonikeras.config import SonificationConfig
from sonikeras.datasets._calls import check_running, generator
from sonikeras.datasets._rendering import Rendering
from sonikeras.datasets.cache import AudioCache, audio_key, resolve_cache
from sonikeras.signal import mdct
from sonikeras.signal.engines import griffin_lim_settings
from sonikeras.signal.magnitudes import raster_to_magnitudes
from sonikeras.signal.phase_retrieval import griffin_lim, structured_phase
from sonikeras.signal.raster import lay_out
from sonikeras.sources import Examples

if TYPE_CHECKING:
    import tensorflow as tf


_SHUFFLED = 256  # clips among which the next one is drawn


# The most clips that wait for a late one before it is computed here: 64 MB with "study".
_WAITING = 512


# The most examples that arrive twice before a missing one is computed here.
_DUPLICATES = 32


# Seconds: how long a dispatcher may take to answer, and after how long a silence it is asked whether it still runs.
_ANSWER, _SILENCE = 5, 30


_POLL = 1  # seconds between checks whether the program is ending


_GRAPH_BYTES = 2_000_000_000  # of 2^31 that TensorFlow allows


_WEIGHTS = np.array([9798, 19235, 3735], np.int32)  # OpenCV's of red, green and blue, in 1 / 2^15


def load_remotely(examples: Examples, rendering: Rendering, *, shuffle: bool) -> tf.data.Dataset:
    """The audio of examples, computed by the workers of the rendering's service.

    Args:
        examples: `Examples` whose items are images.
        rendering: `Rendering` with a service.
        shuffle: Boolean, whether to shuffle in each epoch, by the rendering's seed.

    Returns:
        A `tf.data.Dataset` of `(audio, label)`: int16 `[samples]` and int32.

    Raises:
        ValueError: The service has no valid address, or the images are too many for a graph.
        ConnectionError: No dispatcher answers.
    """
    count = len(examples)
    order = np.random.default_rng(rendering.seed).permutation(count) if shuffle else np.arange(count)
    address = rendering.service or ""
    cache = resolve_cache(rendering.cache)
    data = remote_audio(examples, rendering.config, address=address, seed=rendering.seed, order=order, cache=cache)
    if shuffle:
        data = data.shuffle(min(count, _SHUFFLED), seed=rendering.seed, reshuffle_each_iteration=True)
    return data


def check_dispatcher(address: str) -> None:
    """Asks the dispatcher of a service whether it runs.

    Args:
        address: String, `"grpc://host:port"`.

    Raises:
        ValueError: The address is not of this form.
        ConnectionError: No dispatcher answers within 5 seconds.
    """
    try:
        import grpc
    except ImportError as error:
        raise ImportError("`service` needs gRPC: pip install 'sonikeras[service]'.") from error

    if not isinstance(address, str) or not re.fullmatch(r"grpc://(\[[^/\]]+\]|[^/:]+):\d+", address):
        raise ValueError(
            f"`service` must be the address of a dispatcher, 'grpc://host:port', or None. Received: service={address!r}"
        )
    with grpc.insecure_channel(address.removeprefix("grpc://")) as channel:
        try:
            # The request is an empty message, which is serialized to no bytes.
            channel.unary_unary("/tensorflow.data.DispatcherService/GetVersion")(b"", timeout=_ANSWER)
        except grpc.RpcError as error:
            raise ConnectionError(
                "A dispatcher of a tf.data service must run at the address: "
                "start tf.data.experimental.service.DispatchServer there. "
                f"Received: service={address!r} ({error.code().name}: {error.details()})"
            ) from error


def remote_audio(
    examples: Examples,
    config: SonificationConfig,
    *,
    address: str,
    seed: int,
    order: np.ndarray,
    cache: AudioCache | None = None,
) -> tf.data.Dataset:
    """The audio of examples, computed by the workers of a tf.data service.

    Args:
        examples: `Examples` whose items are images. Workers read files under their absolute paths. Other images travel
            in the graph, as PNG.
        config: `SonificationConfig`.
        address: String, `"grpc://host:port"`.
        seed: Integer of at least 0, the seed of the initial phases.
        order: Integer array `[n]`, the indices of the examples in the order of the data set.
        cache: `AudioCache` on this machine. Defaults to `None`.

    Returns:
        A `tf.data.Dataset` of `(pcm, label)`: int16 `[samples]` and int32. Each example comes once, in the given order.

    Raises:
        ValueError: The address is not valid, or the images are too many for a graph.
        ConnectionError: No dispatcher answers.
    """
    import tensorflow as tf

    check_dispatcher(address)
    files = examples.file_paths is not None
    encoded = _encoded(examples, color=config.color != "gray")[order]
    compute = functools.partial(encoded_to_pcm, config=config, seed=seed, files=files)
    compute_here = tf.function(compute, input_signature=[tf.TensorSpec((), tf.string)], autograph=False)
    # TensorFlow decodes files, OpenCV other images. They differ in gray values.
    engine = f"service/{'files' if files else 'pixels'}"

    def arrivals(first: int) -> _Arrivals:
        data = tf.data.Dataset.from_tensor_slices((np.arange(first, len(order)), encoded[first:])).repeat()
        compute_there = tf.autograph.experimental.do_not_convert(lambda position, image: (position, compute(image)))
        data = data.map(compute_there, tf.data.AUTOTUNE, deterministic=False)
        policy = tf.data.experimental.service.ShardingPolicy.DYNAMIC
        return _Arrivals(data.apply(tf.data.experimental.service.distribute(policy, address)), address)

    def explain(error: Exception, position: int) -> Exception:
        """An error that names the image, if an image caused it."""
        for later in range(position, min(position + _WAITING, len(order))):
            try:
                decode(tf.constant(encoded[later]), files=files)
            except tf.errors.OpError as problem:
                name = examples.describe(int(order[later]))
                return ValueError(
                    "The image cannot be read: with `service` it must be a whole PNG, JPEG, BMP, GIF or WebP file that "
                    f"TensorFlow reads. Received: {name} ({problem.message})"
                )
        return RuntimeError(f"A worker of the tf.data service at {address} failed: {error}")

    def generate() -> Iterator[tuple[np.ndarray, np.int32]]:
        incoming: _Arrivals | None = None
        waiting: dict[int, np.ndarray] = {}
        arrived = np.zeros(len(order), bool)
        duplicates = 0
        try:
            for position, index in enumerate(order.tolist()):
                key = audio_key(examples.data(index), config, engine=engine, seed=seed) if cache else ""
                pcm = cache.get(key) if cache else None
                if pcm is None:
                    if incoming is None:
                        incoming = arrivals(position)
                    while not arrived[position] and len(waiting) < _WAITING and duplicates < _DUPLICATES:
                        try:
                            other, audio = incoming.get()
                        except tf.errors.OpError as error:
                            raise explain(error, position) from error
                        duplicates += arrived[other]
                        if not arrived[other] and other >= position:
                            waiting[other] = audio
                        arrived[other] = True
                    pcm = waiting.pop(position, None)
                    if pcm is None:
                        try:
                            pcm = compute_here(encoded[position]).numpy()
                        except tf.errors.OpError as error:
                            raise explain(error, position) from error
                    if cache:
                        cache.put(key, pcm)
                waiting.pop(position, None)
                yield pcm, examples.labels[index]
        finally:
            if incoming is not None:
                incoming.close()

    signature = tf.TensorSpec((config.samples,), tf.int16), tf.TensorSpec((), tf.int32)
    data = tf.data.Dataset.from_generator(generator(generate), output_signature=signature)
    return data.apply(tf.data.experimental.assert_cardinality(len(order)))


class _Arrivals:
    """What arrives from a service. A thread fetches it, because TensorFlow waits forever if no worker answers."""

    def __init__(self, data: tf.data.Dataset, address: str) -> None:
        self._address = address
        self._queue: queue.Queue[tuple[int, np.ndarray] | Exception] = queue.Queue(16)
        self._closed = threading.Event()
        threading.Thread(target=self._fetch, args=(data,), daemon=True).start()

    def get(self) -> tuple[int, np.ndarray]:
        """The position and audio of the next example that arrives.

        Raises:
            ConnectionError: Nothing arrives, and no dispatcher answers.
            tensorflow.errors.OpError: A worker failed.
            RuntimeError: The program is ending.
        """
        silence = 0
        while True:
            check_running()
            try:
                item = self._queue.get(timeout=_POLL)
            except queue.Empty:
                silence += _POLL
                if silence % _SILENCE:
                    continue
                check_dispatcher(self._address)
                warnings.warn(
                    f"No audio has arrived for {_SILENCE} s from the workers of the tf.data service at "
                    f"{self._address}: waiting for them.",
                    stacklevel=2,
                )
                continue
            if isinstance(item, Exception):
                raise item
            return item

    def close(self) -> None:
        """Ends the job."""
        self._closed.set()

    def _fetch(self, data: tf.data.Dataset) -> None:
        try:
            for position, pcm in data:
                if not self._put((int(position), pcm.numpy())):
                    return
        except Exception as error:  # `get` raises it
            self._put(error)

    def _put(self, item: tuple[int, np.ndarray] | Exception) -> bool:
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False


def encoded_to_pcm(encoded: Any, *, config: SonificationConfig, seed: int, files: bool) -> Any:
    """Sonifies an image to 16-bit PCM with TensorFlow operations only.

    Args:
        encoded: String scalar, the path or the bytes of an image file.
        config: `SonificationConfig`.
        seed: Integer, which with the pixels determines a random initial phase. `tf.random.stateless_uniform` draws it,
            so it differs from that of `sonify`.
        files: Boolean, whether `encoded` is a path.

    Returns:
        int16 tensor `[samples]`.
    """
    import tensorflow as tf

    color = config.color != "gray"
    pixels = decode(encoded, files=files, color=color)

    def resize(width: int, height: int) -> Any:
        channels = tf.unstack(pixels, axis=-1) if color else [pixels]
        resized = [_resized(channel, height, width, config.image_interpolation) for channel in channels]
        transposed = tf.transpose(tf.stack(resized), (0, 2, 1))[..., ::-1]
        return transposed if color else transposed[0]

    magnitudes = raster_to_magnitudes(tf.round(lay_out(resize, config)), config)
    if config.transform == "mdct":
        factors = mdct.low_crest_signs(config.bins) * mdct.amplitude(config.bins) * np.float32(2**15)
        audio = tf.round(mdct.inverse_mdct(magnitudes * factors)) / 2**15
    else:
        # The power of two below the maximum, as in `magnitudes_to_audio`: the exponent of the float.
        scale = tf.bitcast(tf.bitcast(tf.reduce_max(magnitudes), tf.int32) & np.int32(-(2**23)), tf.float32)
        magnitudes /= scale
        if config.initial_phase == "structured":
            phase = structured_phase(magnitudes, fft_length=config.fft_length)
        else:
            content = tf.zeros((0, 0), tf.uint8) if config.initial_phase == "fixed" else pixels
            phase = _random_phase(content, magnitudes.shape, seed)
        audio = scale * _griffin_lim(config)(magnitudes, phase)
    tf.debugging.assert_less_equal(
        tf.reduce_max(tf.abs(audio)), np.float32(1 + 1 / 32768), "`audio` must lie in -1..1, or it is clipped."
    )
    wide = tf.round(tf.cast(audio, tf.float64) * 2.0**31)  # as `sonikeras.sources.audio.to_pcm16`
    pcm = tf.cast(tf.clip_by_value(tf.floor(wide / 2**16), -32768, 32767), tf.int16)
    return tf.ensure_shape(pcm, (config.samples,))


def decode(encoded: Any, *, files: bool, color: bool = False) -> Any:
    """The image at a path or in bytes, as TensorFlow decodes it: uint8 `[height, width]`, or RGB with `color=True`."""
    import tensorflow as tf

    data = tf.io.read_file(encoded) if files else encoded
    pixels = tf.ensure_shape(tf.io.decode_image(data, channels=3, expand_animations=False), (None, None, 3))
    if color:
        return pixels
    pixels = tf.cast(pixels, tf.int32)
    return tf.cast(tf.bitwise.right_shift(tf.reduce_sum(pixels * _WEIGHTS, -1) + 2**14, 15), tf.uint8)


def _encoded(examples: Examples, *, color: bool) -> np.ndarray:
    """The paths of the files, or else the images as PNG: an array `[n]` of bytes."""
    import cv2

    if examples.file_paths is not None:
        encoded = [os.fsencode(os.path.abspath(path)) for path in examples.file_paths]
    else:  # OpenCV's order of channels is blue, green, red
        images = (examples.image(i, color=color) for i in range(len(examples)))
        encoded = [cv2.imencode(".png", image[..., ::-1] if color else image)[1].tobytes() for image in images]
    size = sum(map(len, encoded))
    if size > _GRAPH_BYTES:
        raise ValueError(
            f"With `service`, images that are not files travel in the graph, which holds at most {_GRAPH_BYTES} bytes: "
            f"write them to files that the workers can read. Received: {size} bytes"
        )
    return np.array(encoded, dtype=object)


def _resized(gray: Any, bins: int, frames: int, interpolation: str) -> Any:
    """An 8-bit image `[height, width]`, resized as OpenCV does: float32 `[bins, frames]`, whole numbers."""
    import tensorflow as tf

    pixels = tf.cast(gray, tf.int32)
    if interpolation == "area":
        smaller = tf.minimum(tf.shape(gray), (bins, frames))
        shrunk = tf.raw_ops.ResizeArea(images=tf.cast(gray, tf.float32)[None, ..., None], size=smaller)
        pixels = tf.cast(tf.round(shrunk[0, ..., 0]), tf.int32)
    # In integers, as OpenCV computes it.
    height, width = tf.unstack(tf.shape(pixels))
    top, down = _neighbors(height, bins, columns=False)
    left, right = _neighbors(width, frames, columns=True)
    across = sum(tf.gather(pixels, index, axis=1) * weight for index, weight in (left, right))
    rows = (
        tf.bitwise.right_shift(tf.bitwise.right_shift(tf.gather(across, index), 4) * weight[:, None], 16)
        for index, weight in (top, down)
    )
    return tf.cast(tf.bitwise.right_shift(sum(rows, 2), 2), tf.float32)


def _neighbors(old: Any, new: int, *, columns: bool) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """The two pixels between which OpenCV interpolates, and their weights in 1 / 2^11: int32 tensors `[new]`."""
    import tensorflow as tf

    position = tf.range(new, dtype=tf.float64)
    center = tf.cast((position + 0.5) * (tf.cast(old, tf.float64) / new) - 0.5, tf.float32)
    index = tf.floor(center)
    fraction = center - index
    index = tf.cast(index, tf.int32)
    if columns:  # beyond the edges one column has all the weight; each row keeps its own, which is rounded by itself
        fraction = tf.where((index < 0) | (index >= old - 1), 0.0, fraction)
    weights = [tf.cast(tf.round(weight * 2048), tf.int32) for weight in (1 - fraction, fraction)]
    first, second = (tf.clip_by_value(i, 0, old - 1) for i in (index, index + 1))
    return (first, weights[0]), (second, weights[1])


def _random_phase(pixels: Any, shape: Any, seed: int) -> Any:
    """The phase that the seed and the pixels determine."""
    import tensorflow as tf

    size = tf.bitcast(tf.cast(tf.shape(pixels), tf.int32), tf.uint8)
    content = tf.concat([tf.reshape(size, (1, -1)), tf.reshape(pixels, (1, -1))], axis=1)
    number = tf.bitcast(tf.fingerprint(content)[0], tf.int64)
    seeds = tf.stack([tf.constant(seed, tf.int64), number])
    return 2 * np.pi * tf.random.stateless_uniform(shape, seeds, alg="philox")


def _griffin_lim(config: SonificationConfig) -> Callable[[Any, Any], Any]:
    import tensorflow as tf

    return tf.function(functools.partial(griffin_lim, **griffin_lim_settings(config)), jit_compile=True)
