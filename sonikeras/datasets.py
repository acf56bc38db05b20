"""The `tf.data` pipeline: examples in, batches for `model.fit` out."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from sonikeras import chain, pictures
from sonikeras.augmentation import Augment
from sonikeras.cache import SoundCache, resolve_cache
from sonikeras.calls import numpy_function
from sonikeras.channels import Channel, as_channel, transmit_pcm16
from sonikeras.config import SonificationConfig, as_config, check_choice
from sonikeras.engines import resolve_engine
from sonikeras.operations import check_tensorflow, operations
from sonikeras.sounds import check_peak, to_pcm16
from sonikeras.sources import SPLITS, Examples, check_shard, load_examples, readable

if TYPE_CHECKING:
    import tensorflow as tf

# What can be made of the files of each stage.
_OUTPUTS = {
    "image": ("picture", "spectrogram", "audio", "image"),
    "audio": ("picture", "spectrogram", "audio"),
    "spectrogram": ("picture",),
}
# Examples among which the next is drawn where the order cannot be drawn as a whole: images of a `tf.data.Dataset`, and
# sounds that come from a service.
_IMAGES, _SOUNDS = 1024, 256


def dataset(
    name: str | None = None,
    *,
    split: str = "train",
    data_dir: str | os.PathLike | None = None,
    source: Any = "builtin",
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
    augment: Augment | Callable[[Any], Any] | None = None,
    shard: tuple[int, int] | None = None,
    service: str | None = None,
    channel: str | Channel | None = None,
) -> Any:
    """A `tf.data.Dataset` of sonified images, for `model.fit`.

    The same image, config, engine and seed give the same sound, whatever the order, the batch size and the number of
    threads. Sounds pass through 16-bit PCM, as they do in files, and are kept on disk: a second epoch and a second run
    read them.

    Args:
        name: `"c2"`, `"c4"`, `"c10"` or `"c15"`, or `None`: all classes of the source. `classes` wins.
        split: `"train"`, `"test"`, or `"both"`: then a pair of datasets is returned; with `validation_split`, or of a
            folder that has a validation part, also `"validation"`. Defaults to `"train"`.
        data_dir: Folder `data_dir/<class>/*`, of which a hash of each file's name puts a fifth into the test part, or
            `data_dir/{train,test}/<class>/*`, or record files that `sonikeras.prepare` wrote. Defaults to `None`:
            `source` is read.
        source: `"builtin"`, the images that come with the package; `"keras:cifar10"` or `"keras:cifar100"`;
            `"tfds:NAME"`, a data set of TensorFlow Datasets; a pair of arrays `(images, labels)`; or a
            `tf.data.Dataset` of single examples `(image, label)`, uint8 `[height, width]`, `[height, width, 1]` or
            `[height, width, 3]` and an integer, which is one part already: `split="train"` shuffles it, among 1024
            examples at a time, `"test"` keeps its order. Defaults to `"builtin"`.
        classes: Names of the classes to take. Labels index them sorted. Of a `tf.data.Dataset` the names of all labels,
            in their order. Defaults to the data set's own.
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
        augment: Random changes of the training part, other ones in each epoch: a `sonikeras.Augment`, or a function or
            Keras layer of what the dataset yields. With `split="both"` the test part stays as it is. Defaults to
            `None`.
        shard: `(index, count)`: every `count`-th example from `index` on. Defaults to `None`: all.
        service: String, `"grpc://host:port"`: the workers of the tf.data service whose dispatcher is there make the
            sounds, with the engine `"tensorflow"`; each example arrives exactly once. Defaults to `None`: they are made
            here.
        channel: What each sound passes through before it is analysed: a text such as `"noise(snr=20)"` or
            `"telephone"`, or a `sonikeras.channels.Channel`. What is random in it follows from `seed` and the sound.
            The cache keeps the clean sound. Defaults to `None`.

    Returns:
        A `tf.data.Dataset` of `(x, label)` with static inner shapes and known cardinality; `label` is int32 `[batch]`,
        `x` float32: `[batch, height, width, 3]` in 0..255 for pictures and images, `[batch, frames, bins]` for
        spectrograms, `[batch, samples]` for audio. Its attributes are `class_names`, `file_paths` (`None` where there
        are no files), `skipped` (paths left out),
        `examples` (the `sonikeras.sources.Examples` behind it, in their fixed order; `None` of a `tf.data.Dataset`) and
        `example_names` (a name for each example, such as `cat/cat-0012`, in the order in which they come; `None` where
        they are shuffled).

    Raises:
        ValueError: An argument breaks its rule, or a class folder is empty.
        tensorflow.errors.InvalidArgumentError: While iterating: a file cannot be read; the message names it.
        OSError: There is no such folder, or the data of a source are not there and cannot be fetched.
        ImportError: TensorFlow is not installed, or TensorFlow Datasets where they are the source.
        ConnectionError: There is no dispatcher at `service`.

    Example:
        >>> import sonikeras
        >>> train = sonikeras.dataset("c2", images_per_class=10, batch_size=4)
        >>> train.class_names, train.cardinality().numpy()
        (['cat', 'dog'], np.int64(4))
    """
    arguments = dict(locals())
    check_tensorflow("`sonikeras.dataset`")
    check_choice("split", split, (*SPLITS, "both"))
    streamed = _is_dataset(source)
    if streamed:
        _check_streamed(arguments)
    _check_augment(augment, split, stage, output)
    if split == "both":
        test = dataset(**(arguments | {"split": "test", "augment": None}))
        return dataset(**(arguments | {"split": "train"})), test
    config = as_config(config)
    if service is None:
        engine = resolve_engine(engine, config)
    else:
        from sonikeras.service import remote_sounds, service_engine

        engine = service_engine(engine, config)
    _check_arguments(arguments)
    passed = None if channel is None else as_channel(channel)
    examples: Examples | None = None
    skipped: list[str] = []
    if not streamed:
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
        if shard is not None:
            examples = _shard(examples, shard)
        if on_error == "skip":
            examples, skipped = readable(examples, stage, config)

    resizing: dict[str, Any] = {
        "image_size": config.picture_size if image_size is None else _size(image_size),
        "shorter_side": shorter_side,
        "interpolation": interpolation,
    }
    heard = output != "image" and stage != "spectrogram"
    loader: Callable[[Examples], Callable[[int], np.ndarray]]
    if not heard:
        loader = functools.partial(_picture_loader, resizing=resizing, config=config, colormap=colormap)
    elif stage == "audio":
        loader = functools.partial(_recording_loader, config=config)
    else:
        kept = resolve_cache(cache)
        loader = functools.partial(sound_loader, config=config, engine=engine, seed=seed, cache=kept)
    if passed is not None:
        # Its errors come now, and not while the data set is iterated.
        transmit_pcm16(np.zeros(config.samples, np.int16), config.sample_rate, passed, seed)
        loader = functools.partial(_received, loader, channel=passed, sample_rate=config.sample_rate, seed=seed)
    shape, dtype = ((config.samples,), "int16") if heard else ((*resizing["image_size"], 3), "uint8")

    ordered = split == "test" if shuffle is None else not shuffle
    shuffle_seed = None if ordered else seed
    if examples is None:
        class_names = list(classes or ())
        data = _streamed(source, class_names, loader, shape, dtype, shuffle_seed)
    elif service is not None:
        count = len(examples)
        order = np.arange(count) if ordered else np.random.default_rng(seed).permutation(count)
        data = remote_sounds(examples, config, address=service, seed=seed, order=order, cache=kept)
        if not ordered:
            data = data.shuffle(min(count, _SOUNDS), seed=seed, reshuffle_each_iteration=True)
    else:
        data = _indexed(examples.labels, loader(examples), shape, dtype, shuffle_seed)
    result = _finished(data, _renderer(output, config, resizing, heard, augment), augment, batch_size, seed)
    # Attributes are lost by every further transformation, so they come last.
    result.class_names = class_names if examples is None else examples.class_names
    result.file_paths = None if examples is None else examples.file_paths
    result.skipped = skipped
    result.examples = examples
    result.example_names = None if examples is None or not ordered else examples.full_names
    return result


def sound_loader(
    examples: Examples, config: SonificationConfig, *, engine: str, seed: int, cache: SoundCache | None
) -> Callable[[int], np.ndarray]:
    """The function from an example's index to its sound, int16 `[samples]`, computed once and then read."""

    def make(index: int) -> np.ndarray:
        return to_pcm16(check_peak(chain.sonify(examples.image(index), config, seed=seed, engine=engine)))

    if cache is None:
        return make
    setting = f"2/{config.sound_key()}/{engine}/{seed}".encode()

    def load(index: int) -> np.ndarray:
        key = hashlib.sha256(setting + examples.data(index)).hexdigest()
        pcm = cache.get(key)
        if pcm is None:
            pcm = make(index)
            cache.put(key, pcm)
        return pcm

    return load


def _recording_loader(examples: Examples, *, config: SonificationConfig) -> Callable[[int], np.ndarray]:
    def load(index: int) -> np.ndarray:
        audio = examples.sound(index, config, samples=config.samples)
        return to_pcm16(np.pad(audio, (0, config.samples - len(audio))))

    return load


def _received(
    loader: Callable[[Examples], Callable[[int], np.ndarray]],
    examples: Examples,
    *,
    channel: Channel,
    sample_rate: int,
    seed: int,
) -> Callable[[int], np.ndarray]:
    load = loader(examples)
    return lambda index: transmit_pcm16(load(index), sample_rate, channel, seed)


def _picture_loader(
    examples: Examples, *, resizing: dict[str, Any], config: SonificationConfig, colormap: str | None
) -> Callable[[int], np.ndarray]:
    drawing: dict[str, Any] = {
        "colormap": config.colormap,
        "scale": config.picture_scale,
        "top_db": config.top_db,
    }
    if colormap is not None:
        pictures.colors(config.colormap)  # whose error comes now, and not while the data set is iterated

    def load(index: int) -> np.ndarray:
        image = examples.image(index, color=True)
        if colormap is None:
            return pictures.resize(image, **resizing)
        return pictures.redraw(pictures.levels(image, colormap, config.top_db), **drawing, **resizing)

    return load


def _renderer(
    output: str, config: SonificationConfig, resizing: dict[str, Any], heard: bool, augment: Any
) -> Callable[[Any, Any], Any]:
    """What makes of a sound, or of a picture that was read, what is fed; a number decides how it is changed."""
    changes = augment if isinstance(augment, Augment) else Augment()

    def render(x: Any, number: Any) -> Any:
        x = operations(x).cast(x, "float32")
        if heard:
            x = x / 32768
            if changes.changes_sound:
                x = changes.change_sound(x, number)
            if output != "audio":
                x = chain.audio_to_db(x, config)
            if output == "picture":
                x = chain.db_to_picture(x, config, **resizing)
        return changes.change_picture(x, number) if changes.changes_picture else x

    return render


def _indexed(
    labels: np.ndarray,
    load: Callable[[int], np.ndarray],
    shape: tuple[int, ...],
    dtype: str,
    shuffle_seed: int | None,
) -> tf.data.Dataset:
    """indices -> (shuffled) -> loaded in parallel: `(sound or picture, label)`."""
    import tensorflow as tf

    @tf.autograph.experimental.do_not_convert  # nothing is to be converted, and each call would be asked about it
    def load_one(index: Any, label: Any) -> tuple[Any, Any]:
        x = numpy_function(lambda i: load(int(i)), [index], dtype)
        return tf.ensure_shape(x, shape), label

    # The order is drawn over indices, so it is a uniform one and costs no memory for examples.
    data = tf.data.Dataset.from_tensor_slices((np.arange(len(labels)), labels))
    if shuffle_seed is not None:
        data = data.shuffle(len(labels), seed=shuffle_seed, reshuffle_each_iteration=True)
    # More threads than cores would only wait for each other: Python runs between the array operations.
    return data.map(load_one, num_parallel_calls=os.cpu_count(), deterministic=True)


def _streamed(
    source: tf.data.Dataset,
    class_names: list[str],
    loader: Callable[[Examples], Callable[[int], np.ndarray]],
    shape: tuple[int, ...],
    dtype: str,
    shuffle_seed: int | None,
) -> tf.data.Dataset:
    """The same of a dataset of `(image, label)`."""
    import tensorflow as tf

    def load(image: np.ndarray) -> np.ndarray:
        image = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
        one = Examples(class_names, np.zeros(1, np.int32), ["image"], [image])
        return loader(one)(0)

    @tf.autograph.experimental.do_not_convert
    def load_one(image: Any, label: Any) -> tuple[Any, Any]:
        rule = f"A label must be an index into the {len(class_names)} `classes`."
        with tf.control_dependencies(
            [tf.debugging.Assert((label >= 0) & (label < len(class_names)), [rule, "Received: label =", label])]
        ):
            x = numpy_function(load, [image], dtype)
        return tf.ensure_shape(x, shape), tf.cast(label, tf.int32)

    if shuffle_seed is not None:
        count = int(source.cardinality())
        buffer = min(count, _IMAGES) if count > 0 else _IMAGES
        source = source.shuffle(buffer, seed=shuffle_seed, reshuffle_each_iteration=True)
    return source.map(load_one, num_parallel_calls=os.cpu_count(), deterministic=True)


def _finished(
    data: tf.data.Dataset, render: Callable[[Any, Any], Any], augment: Any, batch_size: int | None, seed: int
) -> tf.data.Dataset:
    """`(sound or picture, label)` -> rendered in parallel -> batched -> (changed by a function) -> prefetched."""
    import tensorflow as tf

    # Rendered before they are batched: what one example takes fits into a core's cache.
    options: dict[str, Any] = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}
    as_it_is = tf.autograph.experimental.do_not_convert  # converting would take seconds, and change nothing
    if isinstance(augment, Augment):
        numbers = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)
        data = tf.data.Dataset.zip(data, numbers)
        data = data.map(as_it_is(lambda xy, number: (render(xy[0], number), xy[1])), **options)
    else:
        data = data.map(as_it_is(lambda x, y: (render(x, None), y)), **options)
    if batch_size is not None:
        data = data.batch(batch_size)
    if augment is not None and not isinstance(augment, Augment):
        # One batch after the other: a layer draws from a state.
        data = data.map(lambda x, y: (_call(augment, x), y))
    return data.prefetch(tf.data.AUTOTUNE)


def _call(augment: Callable[..., Any], x: Any) -> Any:
    return augment(x, training=True) if isinstance(augment, keras.Layer) else augment(x)


def _is_dataset(source: Any) -> bool:
    if isinstance(source, str | tuple | list):
        return False
    import tensorflow as tf

    return isinstance(source, tf.data.Dataset)


def _shard(examples: Examples, shard: Any) -> Examples:
    part = examples.shard(*check_shard(shard))
    if not len(part):
        raise ValueError(
            f"`shard` must leave at least one example: there are {len(examples)}. Received: shard={shard!r}"
        )
    return part


def _check_streamed(arguments: dict[str, Any]) -> None:
    """Checks what a source that is a `tf.data.Dataset` yields, and that nothing is asked that needs a list of it."""
    import tensorflow as tf

    source, classes, split = (arguments[key] for key in ("source", "classes", "split"))
    if isinstance(classes, str) or not isinstance(classes, Sequence) or len(set(classes)) < max(2, len(classes)):
        raise ValueError(
            "With a tf.data.Dataset as `source`, `classes` must be the names of all labels in their order, at least 2 "
            f"different ones. Received: classes={classes!r}"
        )
    if split not in ("train", "test"):
        raise ValueError(
            "A tf.data.Dataset as `source` is one part already: `split` must be 'train' or 'test'. "
            f"Received: split={split!r}"
        )
    plain = {
        "name": None,
        "data_dir": None,
        "images_per_class": None,
        "stage": "image",
        "on_error": "raise",
        "validation_split": 0.0,
        "fold": None,
        "group_duplicates": False,
        "shard": None,
        "service": None,
    }
    for key, value in plain.items():
        if arguments[key] != value:
            raise ValueError(
                f"With a tf.data.Dataset as `source`, which has no list of examples, `{key}` must be {value!r}. "
                f"Received: {key}={arguments[key]!r}"
            )
    spec = source.element_spec
    pair = isinstance(spec, tuple) and len(spec) == 2 and all(isinstance(part, tf.TensorSpec) for part in spec)
    if pair:
        image, label = spec
        rank = image.shape.rank
        fits = image.dtype == tf.uint8 and (rank == 2 or (rank == 3 and image.shape[-1] in (1, 3)))
    if not pair or not fits or not label.dtype.is_integer or label.shape.rank != 0:
        raise ValueError(
            "A tf.data.Dataset as `source` must yield single examples (image, label), not batched: uint8 of shape "
            "[height, width], [height, width, 1] or [height, width, 3], and an integer. "
            f"Received: element_spec={spec}"
        )


def _check_augment(augment: Any, split: str, stage: str, output: str) -> None:
    if augment is None:
        return
    if split not in ("train", "both"):
        raise ValueError(
            "`augment` changes the training part: `split` must be 'train', or 'both', whose test part stays as it is. "
            f"Received: split={split!r}, augment={augment!r}"
        )
    if not isinstance(augment, Augment) and not callable(augment):
        raise ValueError(
            f"`augment` must be a sonikeras.Augment, a function of pictures, or None. Received: augment={augment!r}"
        )
    sound, picture = (augment.changes_sound, augment.changes_picture) if isinstance(augment, Augment) else (False, True)
    if sound and (output == "image" or stage == "spectrogram"):
        raise ValueError(
            "`augment` must not change the sound where there is none: leave `roll`, `noise` and `gain` out. "
            f"Received: augment={augment!r}, stage={stage!r}, output={output!r}"
        )
    if picture and output not in ("picture", "image"):
        raise ValueError(
            "`augment` must not change the picture where there is none: `output` must be 'picture' or 'image'. "
            f"Received: augment={augment!r}, output={output!r}"
        )


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
    if arguments["service"] is not None and (stage != "image" or output == "image"):
        raise ValueError(
            "`service` makes sounds of images: `stage` must be 'image' and `output` another than 'image'. "
            f"Received: service={arguments['service']!r}, stage={stage!r}, output={output!r}"
        )
    if arguments["channel"] is not None:
        if output == "image" or stage == "spectrogram":
            raise ValueError(
                "`channel` needs a sound: `stage` must be 'image' or 'audio' and `output` another than 'image'. "
                f"Received: channel={str(arguments['channel'])!r}, stage={stage!r}, output={output!r}"
            )
        if arguments["service"] is not None:
            raise ValueError(
                "`channel` is not for sounds of a `service`: one of them must be None. "
                f"Received: channel={str(arguments['channel'])!r}, service={arguments['service']!r}"
            )


def _size(image_size: Any) -> tuple[int, int]:
    sides = tuple(image_size) if isinstance(image_size, Iterable) else (image_size, image_size)
    if len(sides) != 2 or not all(isinstance(side, int | np.integer) and side > 0 for side in sides):
        raise ValueError(f"`image_size` must be positive integers (height, width). Received: image_size={image_size!r}")
    return int(sides[0]), int(sides[1])
