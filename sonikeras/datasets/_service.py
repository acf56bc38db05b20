"""Sounds made by the workers of a tf.data service: the slow part of the chain as a graph, which can travel.

The service hands each example to one worker (dynamic sharding). What a worker that dies had in hand is lost, and the
service itself then waits without end. So the examples are handed out over and over, and here they are put into their
order again: what comes twice is dropped, what stays away is made here. Each example arrives exactly once.
"""

from __future__ import annotations

import functools
import hashlib
import os
import queue
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from sonikeras.config import SonificationConfig
from sonikeras.datasets._calls import check_going_on, generator
from sonikeras.datasets.cache import SoundCache
from sonikeras.signal import mdct
from sonikeras.signal.engines import griffin_lim_settings, resolve_engine
from sonikeras.signal.magnitudes import pixels_to_magnitudes
from sonikeras.signal.phase_retrieval import griffin_lim, structured_phase
from sonikeras.sources import Examples

if TYPE_CHECKING:
    import tensorflow as tf


# So many sounds may wait for one that is late before it is made here: 64 MB with "study".
_AHEAD = 512


# So many examples may come a second time before what has not come the first time is made here.
_AGAIN = 32


# Seconds: a dispatcher that does not answer is not there, and after the other the service is asked whether it is.
_ANSWER, _SILENCE = 5, 30


_LOOK = 1  # seconds after which who waits for a sound looks whether the program is ending


_GRAPH_BYTES = 2_000_000_000  # of 2^31 that TensorFlow allows


_WEIGHTS = np.array([9798, 19235, 3735], np.int32)  # OpenCV's of red, green and blue, in 1 / 2^15


def service_engine(engine: str, config: SonificationConfig) -> str:
    """The engine that an argument means where the sounds are made by a service.

    Raises:
        ValueError: The engine is Python code, or cannot do what the config asks.
    """
    if engine in ("numba", "librosa"):
        raise ValueError(
            f"With `service`, `engine` must be made of graph operations, as only these can travel to workers; "
            f"{engine!r} is Python code. Allowed values: ['auto', 'tensorflow']. Received: engine={engine!r}"
        )
    return resolve_engine("tensorflow" if engine == "auto" and config.transform == "stft" else engine, config)


def check_dispatcher(address: str) -> None:
    """Asks the dispatcher of a service whether it is there.

    Args:
        address: String, `"grpc://host:port"`.

    Raises:
        ValueError: It is no such address.
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
            # The request is empty, and so are the bytes that stand for it.
            channel.unary_unary("/tensorflow.data.DispatcherService/GetVersion")(b"", timeout=_ANSWER)
        except grpc.RpcError as error:
            raise ConnectionError(
                "A dispatcher of a tf.data service must run at the address: "
                "start tf.data.experimental.service.DispatchServer there. "
                f"Received: service={address!r} ({error.code().name}: {error.details()})"
            ) from error


def remote_sounds(
    examples: Examples,
    config: SonificationConfig,
    *,
    address: str,
    seed: int,
    order: np.ndarray,
    cache: SoundCache | None = None,
) -> tf.data.Dataset:
    """The sounds of examples, made by the workers of a tf.data service.

    Args:
        examples: `Examples` whose items are images. Files are read by the workers, under their absolute paths; other
            images travel in the graph, as PNG.
        config: `SonificationConfig`.
        address: String, `"grpc://host:port"`.
        seed: Integer of at least 0, of the sounds' initial phases.
        order: Integer array `[n]`, the examples' indices in the order in which they are wanted.
        cache: `SoundCache` here, of which sounds are taken, and in which they are kept. Defaults to `None`.

    Returns:
        A `tf.data.Dataset` of `(pcm, label)`: int16 `[samples]` and int32; each example once, in the given order.

    Raises:
        ValueError: `address` is no address, or the images are too many for a graph.
        ConnectionError: There is no dispatcher.
    """
    import tensorflow as tf

    check_dispatcher(address)
    files = examples.file_paths is not None
    encoded = _encoded(examples)[order]
    sound = functools.partial(encoded_to_pcm, config=config, seed=seed, files=files)
    make_here = tf.function(sound, input_signature=[tf.TensorSpec((), tf.string)], autograph=False)
    # Files are decoded by TensorFlow, other images by OpenCV.
    setting = f"2/{config.sound_key()}/service/{'files' if files else 'pixels'}/{seed}".encode()

    def arrivals(first: int) -> _Arrivals:
        data = tf.data.Dataset.from_tensor_slices((np.arange(first, len(order)), encoded[first:])).repeat()
        make_there = tf.autograph.experimental.do_not_convert(lambda place, image: (place, sound(image)))
        data = data.map(make_there, tf.data.AUTOTUNE, deterministic=False)
        policy = tf.data.experimental.service.ShardingPolicy.DYNAMIC
        return _Arrivals(data.apply(tf.data.experimental.service.distribute(policy, address)), address)

    def explain(error: Exception, place: int) -> Exception:
        """An error that names the image, where it is the image's."""
        for later in range(place, min(place + _AHEAD, len(order))):
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
        coming: _Arrivals | None = None
        waiting: dict[int, np.ndarray] = {}
        seen = np.zeros(len(order), bool)  # which have come
        again = 0
        try:
            for place, index in enumerate(order.tolist()):
                key = hashlib.sha256(setting + examples.data(index)).hexdigest() if cache else ""
                pcm = cache.get(key) if cache else None
                if pcm is None:
                    if coming is None:
                        coming = arrivals(place)
                    while not seen[place] and len(waiting) < _AHEAD and again < _AGAIN:
                        try:
                            other, sound = coming.get()
                        except tf.errors.OpError as error:
                            raise explain(error, place) from error
                        again += seen[other]
                        if not seen[other] and other >= place:
                            waiting[other] = sound
                        seen[other] = True
                    pcm = waiting.pop(place, None)
                    if pcm is None:
                        try:
                            pcm = make_here(encoded[place]).numpy()
                        except tf.errors.OpError as error:
                            raise explain(error, place) from error
                    if cache:
                        cache.put(key, pcm)
                waiting.pop(place, None)
                yield pcm, examples.labels[index]
        finally:
            if coming is not None:
                coming.close()

    signature = tf.TensorSpec((config.samples,), tf.int16), tf.TensorSpec((), tf.int32)
    data = tf.data.Dataset.from_generator(generator(generate), output_signature=signature)
    return data.apply(tf.data.experimental.assert_cardinality(len(order)))


class _Arrivals:
    """What comes from a service: drawn by a thread, since TensorFlow waits without end where nobody answers."""

    def __init__(self, data: tf.data.Dataset, address: str) -> None:
        self._address = address
        self._queue: queue.Queue[tuple[int, np.ndarray] | Exception] = queue.Queue(16)
        self._closed = threading.Event()
        threading.Thread(target=self._draw, args=(data,), daemon=True).start()

    def get(self) -> tuple[int, np.ndarray]:
        """The next sound and its place.

        Raises:
            ConnectionError: Nothing comes, and there is no dispatcher.
            tensorflow.errors.OpError: What went wrong on a worker.
            RuntimeError: The program is ending.
        """
        silence = 0
        while True:
            check_going_on()
            try:
                item = self._queue.get(timeout=_LOOK)
            except queue.Empty:
                silence += _LOOK
                if silence % _SILENCE:
                    continue
                check_dispatcher(self._address)
                warnings.warn(
                    f"No sound has come for {_SILENCE} s from the workers of the tf.data service at {self._address}: "
                    "waiting for them.",
                    stacklevel=2,
                )
                continue
            if isinstance(item, Exception):
                raise item
            return item

    def close(self) -> None:
        """Ends the job."""
        self._closed.set()

    def _draw(self, data: tf.data.Dataset) -> None:
        try:
            for place, pcm in data:
                if not self._put((int(place), pcm.numpy())):
                    return
        except Exception as error:  # handed to who waits
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
    """What `sonify` and 16-bit PCM make of an image, of TensorFlow operations alone.

    Args:
        encoded: String scalar, the path of an image's file, or the bytes of one.
        config: `SonificationConfig`.
        seed: Integer. With the pixels it decides the initial phase, where that is random: drawn by
            `tf.random.stateless_uniform`, so it is another one than `sonify` has.
        files: Boolean, whether `encoded` is a path.

    Returns:
        int16 tensor `[samples]`.
    """
    import tensorflow as tf

    gray = decode(encoded, files=files)
    resized = _resized(gray, config.bins, config.frames, config.image_interpolation)
    magnitudes = pixels_to_magnitudes(
        tf.cast(resized, tf.float32),
        frames=config.frames,
        bins=config.bins,
        interpolation="bilinear",  # of what has its size already
        reference=config.reference,
        top_db=config.top_db,
    )
    if config.transform == "mdct":
        factors = mdct.low_crest_signs(config.bins) * mdct.amplitude(config.bins) * np.float32(2**15)
        audio = tf.round(mdct.inverse_mdct(magnitudes * factors)) / 2**15
    else:
        # The power of two below the largest, as `magnitudes_to_audio` has it: the exponent of the float.
        scale = tf.bitcast(tf.bitcast(tf.reduce_max(magnitudes), tf.int32) & np.int32(-(2**23)), tf.float32)
        magnitudes /= scale
        if config.initial_phase == "structured":
            phase = structured_phase(magnitudes, fft_length=config.fft_length)
        else:
            phase = _random_phase(gray, magnitudes.shape, seed)
        audio = scale * _search(config)(magnitudes, phase)
    tf.debugging.assert_less_equal(
        tf.reduce_max(tf.abs(audio)), np.float32(1 + 1 / 32768), "`audio` must lie in -1..1, or it is clipped."
    )
    wide = tf.round(tf.cast(audio, tf.float64) * 2.0**31)  # as `sonikeras.sources.audio.to_pcm16`
    pcm = tf.cast(tf.clip_by_value(tf.floor(wide / 2**16), -32768, 32767), tf.int16)
    return tf.ensure_shape(pcm, (config.samples,))


def decode(encoded: Any, *, files: bool) -> Any:
    """The image at a path, or in bytes, as TensorFlow reads it: uint8 `[height, width]`."""
    import tensorflow as tf

    data = tf.io.read_file(encoded) if files else encoded
    pixels = tf.cast(tf.io.decode_image(data, channels=3, expand_animations=False), tf.int32)
    pixels = tf.ensure_shape(pixels, (None, None, 3))
    return tf.cast(tf.bitwise.right_shift(tf.reduce_sum(pixels * _WEIGHTS, -1) + 2**14, 15), tf.uint8)


def _encoded(examples: Examples) -> np.ndarray:
    """Paths, or where there are no files the images as PNG: an array `[n]` of bytes."""
    import cv2

    if examples.file_paths is not None:
        encoded = [os.fsencode(os.path.abspath(path)) for path in examples.file_paths]
    else:
        encoded = [cv2.imencode(".png", examples.image(i))[1].tobytes() for i in range(len(examples))]
    size = sum(map(len, encoded))
    if size > _GRAPH_BYTES:
        raise ValueError(
            f"With `service`, images that are no files travel in the graph, of at most {_GRAPH_BYTES} bytes: write "
            f"them to files that the workers can read. Received: {size} bytes"
        )
    return np.array(encoded, dtype=object)


def _resized(gray: Any, bins: int, frames: int, interpolation: str) -> Any:
    """What OpenCV makes of an 8-bit image `[height, width]` of any size: float32 `[bins, frames]`, whole numbers."""
    import tensorflow as tf

    pixels = tf.cast(gray, tf.int32)
    if interpolation == "area":
        smaller = tf.minimum(tf.shape(gray), (bins, frames))
        shrunk = tf.raw_ops.ResizeArea(images=tf.cast(gray, tf.float32)[None, ..., None], size=smaller)
        pixels = tf.cast(tf.round(shrunk[0, ..., 0]), tf.int32)
    # In whole numbers, as OpenCV computes it.
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
    """The two pixels that OpenCV interpolates between, and their weights in 1 / 2^11: int32 tensors `[new]`."""
    import tensorflow as tf

    place = tf.range(new, dtype=tf.float64)
    middle = tf.cast((place + 0.5) * (tf.cast(old, tf.float64) / new) - 0.5, tf.float32)
    index = tf.floor(middle)
    share = middle - index
    index = tf.cast(index, tf.int32)
    if columns:  # beyond the ends one pixel has all the weight; of rows each has its share, which is rounded by itself
        share = tf.where((index < 0) | (index >= old - 1), 0.0, share)
    weights = [tf.cast(tf.round(part * 2048), tf.int32) for part in (1 - share, share)]
    first, second = (tf.clip_by_value(i, 0, old - 1) for i in (index, index + 1))
    return (first, weights[0]), (second, weights[1])


def _random_phase(gray: Any, shape: Any, seed: int) -> Any:
    """A phase that the seed and the pixels decide."""
    import tensorflow as tf

    sides = tf.bitcast(tf.cast(tf.shape(gray), tf.int32), tf.uint8)
    content = tf.concat([tf.reshape(sides, (1, -1)), tf.reshape(gray, (1, -1))], axis=1)
    number = tf.bitcast(tf.fingerprint(content)[0], tf.int64)
    seeds = tf.stack([tf.constant(seed, tf.int64), number])
    return 2 * np.pi * tf.random.stateless_uniform(shape, seeds, alg="philox")


def _search(config: SonificationConfig) -> Callable[[Any, Any], Any]:
    import tensorflow as tf

    return tf.function(functools.partial(griffin_lim, **griffin_lim_settings(config)), jit_compile=True)
