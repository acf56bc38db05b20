"""The `tf.data` pipeline: examples in, batches for `model.fit` out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from sonikeras import chain, pictures
from sonikeras.cache import SoundCache, resolve_cache
from sonikeras.config import SonificationConfig, as_config, check_choice
from sonikeras.engines import resolve_engine
from sonikeras.images import read_image
from sonikeras.sounds import check_peak, read_audio, to_pcm16
from sonikeras.sources import SPLITS, Examples, load_examples, readable

if TYPE_CHECKING:
    import tensorflow as tf

# What can be made of the files of each stage.
_OUTPUTS = {
    "image": ("picture", "spectrogram", "audio", "image"),
    "audio": ("picture", "spectrogram", "audio"),
    "spectrogram": ("picture",),
}


def dataset(
    name: str | None = None,
    *,
    split: str = "train",
    data_dir: str | os.PathLike | None = None,
    source: str = "builtin",
    classes: Sequence[str] | None = None,
    images_per_class: int | None = None,
    stage: str = "image",
    config: str | SonificationConfig = "study",
    engine: str = "auto",
    output: str = "picture",
    image_size: int | tuple[int, int] | None = (224, 224),
    shorter_side: int | None = None,
    interpolation: str = "bilinear",
    colormap: str | None = None,
    batch_size: int | None = 32,
    shuffle: bool | None = None,
    seed: int = 42,
    cache: bool | str | os.PathLike = True,
    on_error: str = "raise",
    validation_split: float = 0.0,
    fold: tuple[int, int] | None = None,
    group_duplicates: bool = False,
) -> Any:
    """A `tf.data.Dataset` of sonified images, for `model.fit`.

    The same image, config, engine and seed give the same sound, whatever the order, the batch size and the number of
    threads. Sounds pass through 16-bit PCM, as they do in files, and are kept on disk: a second epoch and a second run
    read them.

    Args:
        name: `"c2"`, `"c4"`, `"c10"` or `"c15"`, or with `data_dir` also `None`: all of its classes. `classes` wins.
        split: `"train"`, `"test"`, or `"both"`: then a pair of datasets is returned; with `validation_split` also
            `"validation"`. Defaults to `"train"`.
        data_dir: Folder `data_dir/<class>/*`, of which a hash of each file's name puts a fifth into the test part, or
            `data_dir/{train,test}/<class>/*`. Defaults to `None`: `source` is read.
        source: `"builtin"`, the images that come with the package. Defaults to `"builtin"`.
        classes: Names of the classes to take. Labels index them sorted. Defaults to the data set's own.
        images_per_class: Integer, at most so many images of each class, a fifth of them for testing. Defaults to 280 of
            the built-in images, and to all files of a folder.
        stage: What the files are: `"image"`, `"audio"` (recordings are mixed down, resampled, cut at the end or
            padded with silence to the config's length) or `"spectrogram"` (ready pictures). Defaults to `"image"`.
        config: Preset or `SonificationConfig`. Defaults to `"study"`.
        engine: String, `"auto"` or one of `sonikeras.engines()`. Defaults to `"auto"`.
        output: What the model is fed: `"picture"`, `"spectrogram"` (dB), `"audio"`, or `"image"`: the images
            themselves, in colour and not sonified, the baseline. Defaults to `"picture"`.
        image_size: Integer or `(height, width)` of pictures and images; `None` for the config's `picture_size`.
            Defaults to (224, 224).
        shorter_side: Integer, resize the shorter side to this and cut `image_size` out of the middle, as torchvision's
            `Resize` and `CenterCrop` do. Defaults to `None`: all is squeezed into `image_size`.
        interpolation: Of resizing: `"nearest"`, `"bilinear"` or `"bicubic"`, antialiased. Defaults to `"bilinear"`.
        colormap: String, with `stage="spectrogram"` the matplotlib colormap in which the pictures were drawn, over the
            config's `top_db`: they are turned back into levels and drawn anew in the config's `colormap` and
            `picture_scale`. Defaults to `None`: they are taken as they are.
        batch_size: Integer, or `None` for single examples. Defaults to 32.
        shuffle: Boolean. Defaults to `None`: the training part is shuffled anew each epoch, the test part never.
        seed: Integer of at least 0, of the sounds' initial phases and, together with TensorFlow's global seed
            (`keras.utils.set_random_seed`), of the order. Defaults to 42.
        cache: `True`, the default folder (`$SONIKERAS_CACHE`, else `$XDG_CACHE_HOME/sonikeras`, else
            `~/.cache/sonikeras`); a folder; or `False`. Defaults to `True`.
        on_error: `"raise"`, or `"skip"`: all files are checked first, those that cannot be read are left out, and a
            warning lists them. Defaults to `"raise"`.
        validation_split: Float, share of the training part that is held out as `split="validation"`, by a hash of the
            names. Defaults to 0.
        fold: `(i, k)`, part i of k of the training part, by a hash of the names: `split="test"` is that part and
            `split="train"` the others; the data set's own test part is left alone. Defaults to `None`.
        group_duplicates: Boolean, whether near-duplicates (images whose thumbnails, mirrored or not, correlate above
            0.96) stay on one side of these two divisions. All images are read for it. Defaults to `False`.

    Returns:
        A `tf.data.Dataset` of `(x, label)` with static inner shapes and known cardinality; `label` is int32 `[batch]`,
        `x` float32: `[batch, height, width, 3]` in 0..255 for pictures and images, `[batch, frames, bins]` for
        spectrograms, `[batch, samples]` for audio. Its attributes are `class_names`, `file_paths` (`None` where there
        are no files) `skipped` (paths left out) and
        `examples` (the `sonikeras.sources.Examples` behind it, in their fixed order).

    Raises:
        ValueError: An argument breaks its rule, or a class folder is empty.
        tensorflow.errors.InvalidArgumentError: While iterating: a file cannot be read; the message names it.
        FileNotFoundError: There is no such folder.

    Example:
        >>> import sonikeras
        >>> train = sonikeras.dataset("c2", images_per_class=10, batch_size=4)
        >>> train.class_names, train.cardinality().numpy()
        (['cat', 'dog'], np.int64(4))
    """
    arguments = dict(locals())
    check_choice("split", split, (*SPLITS, "both"))
    if split == "both":
        return tuple(dataset(**(arguments | {"split": part})) for part in ("train", "test"))
    config = as_config(config)
    engine = resolve_engine(engine, config)
    _check_arguments(arguments)
    examples = load_examples(
        name,
        split,
        data_dir=data_dir,
        source=source,
        classes=classes,
        images_per_class=images_per_class,
        stage=stage,
        validation_split=validation_split,
        fold=fold,
        group_duplicates=group_duplicates,
    )
    skipped: list[str] = []
    if on_error == "skip":
        examples, skipped = readable(examples, stage, config)

    resizing: dict[str, Any] = {
        "image_size": config.picture_size if image_size is None else _size(image_size),
        "shorter_side": shorter_side,
        "interpolation": interpolation,
    }
    render: Callable[[Any], Any]
    if output == "image" or stage == "spectrogram":
        load, render = _picture_loader(examples, resizing, config, colormap), _float
        shape, dtype = (*resizing["image_size"], 3), "uint8"
    else:
        if stage == "audio":
            load = _recording_loader(examples, config)
        else:
            load = sound_loader(examples, config, engine=engine, seed=seed, cache=resolve_cache(cache))
        render = _renderer(output, config, resizing)
        shape, dtype = (config.samples,), "int16"
    ordered = split == "test" if shuffle is None else not shuffle
    result = _pipeline(examples.labels, load, shape, dtype, render, batch_size, None if ordered else seed)
    # Attributes are lost by every further transformation, so they come last.
    result.class_names = examples.class_names
    result.file_paths = examples.file_paths
    result.skipped = skipped
    result.examples = examples
    return result


def sound_loader(
    examples: Examples, config: SonificationConfig, *, engine: str, seed: int, cache: SoundCache | None
) -> Callable[[int], np.ndarray]:
    """The function from an example's index to its sound, int16 `[samples]`, computed once and then read."""
    setting = f"1/{config.sound_key()}/{engine}/{seed}".encode()

    def load(index: int) -> np.ndarray:
        item = examples.items[index]
        data = item.read_bytes() if isinstance(item, Path) else repr(item.shape).encode() + item.tobytes()
        key = hashlib.sha256(setting + data).hexdigest()
        pcm = cache.get(key) if cache else None
        if pcm is None:
            image = read_image(data, name=str(item)) if isinstance(item, Path) else item
            pcm = to_pcm16(check_peak(chain.sonify(image, config, seed=seed, engine=engine)))
            if cache:
                cache.put(key, pcm)
        return pcm

    return load


def _recording_loader(examples: Examples, config: SonificationConfig) -> Callable[[int], np.ndarray]:
    def load(index: int) -> np.ndarray:
        audio = read_audio(examples.items[index], config)[0][: config.samples]  # type: ignore[arg-type]
        return to_pcm16(np.pad(audio, (0, config.samples - len(audio))))

    return load


def _picture_loader(
    examples: Examples, resizing: dict[str, Any], config: SonificationConfig, colormap: str | None
) -> Callable[[int], np.ndarray]:
    drawing: dict[str, Any] = {
        "colormap": config.colormap,
        "scale": config.picture_scale,
        "top_db": config.top_db,
    }
    if colormap is not None:
        pictures.colors(config.colormap)  # whose error comes now, and not while the data set is iterated

    def load(index: int) -> np.ndarray:
        item = examples.items[index]
        image = read_image(item, color=True) if isinstance(item, Path) else np.stack([item] * 3, axis=-1)
        if colormap is None:
            return pictures.resize(image, **resizing)
        return pictures.redraw(pictures.levels(image, colormap, config.top_db), **drawing, **resizing)

    return load


def _renderer(output: str, config: SonificationConfig, resizing: dict[str, Any]) -> Callable[[Any], Any]:
    def render(pcm: Any) -> Any:
        audio = _float(pcm) / 32768
        if output == "audio":
            return audio
        db = chain.audio_to_db(audio, config)
        return db if output == "spectrogram" else chain.db_to_picture(db, config, **resizing)

    return render


def _float(x: Any) -> Any:
    return keras.ops.cast(x, "float32")


def _pipeline(
    labels: np.ndarray,
    load: Callable[[int], np.ndarray],
    shape: tuple[int, ...],
    dtype: str,
    render: Callable[[Any], Any],
    batch_size: int | None,
    shuffle_seed: int | None,
) -> tf.data.Dataset:
    """indices -> (shuffled) -> loaded in parallel -> rendered in parallel -> batched -> prefetched."""
    import tensorflow as tf

    @tf.autograph.experimental.do_not_convert  # nothing is to be converted, and each call would be asked about it
    def load_one(index: Any, label: Any) -> tuple[Any, Any]:
        x = tf.numpy_function(lambda i: np.ascontiguousarray(load(int(i))), [index], dtype)
        return tf.ensure_shape(x, shape), label

    # The order is drawn over indices, so it is a uniform one and costs no memory for examples.
    data = tf.data.Dataset.from_tensor_slices((np.arange(len(labels)), labels))
    if shuffle_seed is not None:
        data = data.shuffle(len(labels), seed=shuffle_seed, reshuffle_each_iteration=True)
    # More threads than cores would only wait for each other: Python runs between the array operations.
    data = data.map(load_one, num_parallel_calls=os.cpu_count(), deterministic=True)
    # Rendered before they are batched: what one example takes fits into a core's cache.
    data = data.map(lambda x, y: (render(x), y), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    if batch_size is not None:
        data = data.batch(batch_size)
    return data.prefetch(tf.data.AUTOTUNE)


def _check_arguments(arguments: dict[str, Any]) -> None:
    stage, output = arguments["stage"], arguments["output"]
    check_choice("stage", stage, _OUTPUTS)
    check_choice("output", output, _OUTPUTS[stage])
    check_choice("interpolation", arguments["interpolation"], pictures.INTERPOLATIONS)
    check_choice("on_error", arguments["on_error"], ("raise", "skip"))
    colormap = arguments["colormap"]
    if colormap is not None:
        if not isinstance(colormap, str) or stage != "spectrogram":
            raise ValueError(
                "`colormap` must be None, or with stage='spectrogram' the name of a matplotlib colormap. "
                f"Received: colormap={colormap!r}, stage={stage!r}"
            )
        pictures.inverse(colormap)
    if isinstance(arguments["seed"], bool) or not isinstance(arguments["seed"], int) or arguments["seed"] < 0:
        raise ValueError(f"`seed` must be an integer of at least 0. Received: seed={arguments['seed']!r}")
    for key in ("batch_size", "shorter_side"):
        value = arguments[key]
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ValueError(f"`{key}` must be a positive integer or None. Received: {key}={value!r}")
    if output in ("picture", "spectrogram") and keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "Pictures and spectrograms of a tf.data pipeline need the TensorFlow backend of Keras; output='audio' "
            f"works on all. Received: KERAS_BACKEND={keras.backend.backend()}"
        )


def _size(image_size: Any) -> tuple[int, int]:
    sides = tuple(image_size) if isinstance(image_size, Iterable) else (image_size, image_size)
    if len(sides) != 2 or not all(isinstance(side, int | np.integer) and side > 0 for side in sides):
        raise ValueError(f"`image_size` must be positive integers (height, width). Received: image_size={image_size!r}")
    return int(sides[0]), int(sides[1])
