"""The `tf.data` pipeline: examples in, batches for `model.fit` out."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sonikeras.config import SonificationConfig, as_config
from sonikeras.config._checks import check_choice
from sonikeras.datasets.augmentation import Augment
from sonikeras.datasets.cache import resolve_cache
from sonikeras.signal._backend import check_tensorflow
from sonikeras.signal.engines import resolve_engine
from sonikeras.sources import SPLITS, Examples, check_shard, load_examples, readable
from sonikeras.transmission import Channel, as_channel, transmit_pcm16

if TYPE_CHECKING:
    pass
from sonikeras.datasets._arguments import _check_arguments, _check_augment, _check_streamed, _is_dataset, _size
from sonikeras.datasets._batches import _SOUNDS, _finished, _indexed, _renderer, _streamed
from sonikeras.datasets._loading import _picture_loader, _received, _recording_loader, sound_loader


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
            themselves, in color and not sonified, the baseline. Defaults to `"picture"`.
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
        channel: What each sound passes through before it is analyzed: a text such as `"noise(snr=20)"` or
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
        from sonikeras.datasets._service import remote_sounds, service_engine

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


def _shard(examples: Examples, shard: Any) -> Examples:
    part = examples.shard(*check_shard(shard))
    if not len(part):
        raise ValueError(
            f"`shard` must leave at least one example: there are {len(examples)}. Received: shard={shard!r}"
        )
    return part
