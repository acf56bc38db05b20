"""`sonikeras.dataset`: examples are selected, rendered and batched."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from sonikeras.config import SonificationConfig
from sonikeras.config._checks import check_choice
from sonikeras.datasets._batches import batches, load
from sonikeras.datasets._rendering import IMAGE_OUTPUTS, Rendering, check_positive
from sonikeras.datasets._streams import check_stream, is_stream, load_stream
from sonikeras.datasets.augmentation import Augment
from sonikeras.signal._backend import check_tensorflow
from sonikeras.sources import SPLITS, Examples, Selection, readable
from sonikeras.transmission import Channel


def dataset(
    name: str | None = Selection.name,
    *,
    split: str = "train",
    data_dir: str | os.PathLike | None = Selection.data_dir,
    source: Any = Selection.source,
    classes: Sequence[str] | None = Selection.classes,
    images_per_class: int | None = Selection.images_per_class,
    stage: str = Selection.stage,
    config: str | os.PathLike | SonificationConfig = Rendering.config,
    engine: str = Rendering.engine,
    output: str = Rendering.output,
    image_size: int | tuple[int, int] | None = Rendering.image_size,
    shorter_side: int | None = Rendering.shorter_side,
    interpolation: str = Rendering.interpolation,
    colormap: str | None = Rendering.colormap,
    batch_size: int | None = 32,
    shuffle: bool | None = None,
    seed: int = Rendering.seed,
    cache: bool | str | os.PathLike = Rendering.cache,
    on_error: str = "raise",
    validation_split: float = Selection.validation_split,
    fold: tuple[int, int] | None = Selection.fold,
    group_duplicates: bool = Selection.group_duplicates,
    augment: Augment | Callable[[Any], Any] | None = None,
    shard: tuple[int, int] | None = Selection.shard,
    service: str | None = Rendering.service,
    channel: str | Channel | None = Rendering.channel,
) -> Any:
    """A `tf.data.Dataset` of sonified images, for `model.fit`.

    The same image, config, engine and seed give the same audio, whatever the order, the batch size and the number of
    threads. Audio is rounded to 16-bit PCM, as in files, and cached on disk. Later epochs and runs read it from
    there.

    Args:
        name: `"c2"`, `"c4"`, `"c10"` or `"c15"`: 2, 4, 10 or 15 classes, which depend on the source. Defaults to
            `None`: all classes of the source. `classes` takes precedence.
        split: `"train"`, `"test"`, or `"both"` for a pair of data sets; also `"validation"` with `validation_split`, or
            in a folder that has such a split. Defaults to `"train"`.
        data_dir: Folder to read, in one of three layouts: `data_dir/<class>/`; pre-split, `data_dir/train/<class>/` and
            `data_dir/test/<class>/`; or the record files of `sonikeras.prepare`. Without pre-split folders, a hash of
            each file's name assigns a fifth of the files to the test split. Defaults to `None`: `source` is read.
        source: `"builtin"`, the images in this package; `"keras:cifar10"` or `"keras:cifar100"`; `"tfds:NAME"`, a data
            set of TensorFlow Datasets; a pair of arrays `(images, labels)`; or a `tf.data.Dataset` of single examples
            `(image, label)`: uint8 `[height, width]`, `[height, width, 1]` or `[height, width, 3]`, and an integer.
            Such a data set is a single split: `split="train"` shuffles it, among 1024 examples at a time, and
            `"test"` keeps its order. `data_dir` takes precedence. Defaults to `"builtin"`.
        classes: Names of the classes to select. Labels are indices into the sorted names. A `tf.data.Dataset` needs the
            names of all labels, in their order. Defaults to `None`: the classes that `name` stands for.
        images_per_class: Integer of at least 5, the largest number of examples of a class. A fifth of them are in the
            test split. Defaults to `None`: 280 of the built-in images, all examples of other sources.
        stage: What the files contain: `"image"`; `"audio"`, recordings, which are mixed down to mono, resampled, and
            truncated or zero-padded to the length of the config; or `"spectrogram"`, spectrogram pictures. Defaults to
            `"image"`.
        config: Name of a preset, `SonificationConfig`, or path of a file that contains one. Defaults to `"study"`.
        engine: `"auto"` or one of `sonikeras.engines()`. Defaults to `"auto"`.
        output: Input of the model: `"picture"`, `"spectrogram"` (dB), `"audio"`; or as a baseline the images
            themselves, `"image"` in color or `"image_gray"` in three equal channels. Defaults to `"picture"`.
        image_size: Integer or `(height, width)` of pictures and images, or `None` for the config's `picture_size`.
            Defaults to (224, 224).
        shorter_side: Integer, the length to which the shorter side of a picture is resized before its center is cropped
            to `image_size`, as by torchvision's `Resize` and `CenterCrop`. Defaults to `None`: the whole picture is
            resized to `image_size`.
        interpolation: `"nearest"`, `"bilinear"` or `"bicubic"`, antialiased. Defaults to `"bilinear"`.
        colormap: With `stage="spectrogram"`, the matplotlib colormap of the pictures, which cover the config's
            `top_db`. They are converted to dB values and redrawn in the config's `colormap` and `picture_scale`.
            Defaults to `None`: they stay as they are.
        batch_size: Integer, or `None` for single examples. Defaults to 32.
        shuffle: Boolean, whether to shuffle in each epoch. Defaults to `None`: all splits but `"test"` are shuffled.
        seed: Integer of at least 0, the seed of the initial phases. Together with TensorFlow's global seed
            (`keras.utils.set_random_seed`) it also determines the order. Defaults to 42.
        cache: `True` for the default folder (`$SONIKERAS_CACHE`, else `$XDG_CACHE_HOME/sonikeras`, else
            `~/.cache/sonikeras`), another folder, or `False`. Defaults to `True`.
        on_error: `"raise"`, or `"skip"`: all files are checked first, unreadable files are left out, and a warning
            lists them. Defaults to `"raise"`.
        validation_split: Float in `0 <= validation_split < 1`, the fraction of the training split to hold out as
            `"validation"`. A hash of the names decides. Defaults to 0.
        fold: `(i, k)` for fold `i` (from 0) of a `k`-fold cross-validation within the training split: `"test"` is then
            that fold, and `"train"` the others. The test split of the source is not used. A hash of the names decides.
            Defaults to `None`.
        group_duplicates: Boolean, whether `validation_split` and `fold` keep near-duplicates together: images whose
            thumbnails, or mirrored thumbnails, have a correlation above 0.96. Reads all images. Defaults to `False`.
        augment: Random changes of the training split, different in each epoch: a `sonikeras.Augment`, or a function or
            Keras layer, which is applied to batches. With `split="both"` the test split stays unchanged. Defaults to
            `None`.
        shard: `(index, count)` to select every `count`-th example, starting at `index`. Defaults to `None`: all.
        service: `"grpc://host:port"`, the dispatcher of a tf.data service. Its workers compute the audio, with the
            engine `"tensorflow"`. Each example arrives exactly once. Defaults to `None`: the audio is computed here.
        channel: Channel that transmits the audio before it is analyzed: a specification string such as
            `"noise(snr=20)"` or `"telephone"`, or a `sonikeras.channels.Channel`. Its noise depends on `seed` and the
            audio. The cache keeps the audio before transmission. Defaults to `None`.

    Returns:
        A `tf.data.Dataset` of `(x, label)` with static inner shapes and known cardinality. `label` is int32 `[batch]`.
        `x` is float32: `[batch, height, width, 3]` in 0..255 for pictures and images, `[batch, frames, bins]` for
        spectrograms, `[batch, samples]` for audio. It has further attributes:

        - `class_names`: names of the classes, in the order of their labels
        - `file_paths`: paths of the files, or `None` if there are no files
        - `skipped`: paths of the files left out
        - `examples`: the `sonikeras.sources.Examples` in their fixed order, or `None` for a `tf.data.Dataset`
        - `example_names`: a name for each example, such as `cat/cat-0012`, in the order of iteration, or `None` if the
          examples are shuffled

    Raises:
        ValueError: An argument is not allowed, or a class folder is empty.
        tensorflow.errors.InvalidArgumentError: During iteration, a file cannot be read. The message names it.
        OSError: The folder does not exist, or the data are missing and cannot be downloaded.
        ImportError: TensorFlow is not installed, or TensorFlow Datasets if it is the source.
        ConnectionError: No dispatcher answers at `service`.

    Example:
        >>> import sonikeras
        >>> train = sonikeras.dataset("c2", images_per_class=10, batch_size=4)
        >>> train.class_names, train.cardinality().numpy()
        (['cat', 'dog'], np.int64(4))
    """
    arguments = dict(locals())
    check_tensorflow("`sonikeras.dataset`")
    check_choice("split", split, (*SPLITS, "both"))
    check_choice("on_error", on_error, ("raise", "skip"))
    check_positive("batch_size", batch_size)
    streamed = is_stream(source)
    if streamed:
        check_stream(arguments)
    _check_augment(augment, split, stage, output)
    if split == "both":
        test = dataset(**(arguments | {"split": "test", "augment": None}))
        return dataset(**(arguments | {"split": "train"})), test
    rendering = Rendering(
        stage=stage,
        config=config,
        engine=engine,
        output=output,
        image_size=image_size,
        shorter_side=shorter_side,
        interpolation=interpolation,
        colormap=colormap,
        seed=seed,
        cache=cache,
        channel=channel,
        service=service,
    )
    _check_roll(augment, rendering)
    shuffle = split != "test" if shuffle is None else bool(shuffle)
    examples: Examples | None = None
    skipped: list[str] = []
    if streamed:
        data = load_stream(source, list(classes or ()), rendering, shuffle=shuffle)
    else:
        selection = Selection(
            name,
            data_dir=data_dir,
            source=source,
            classes=classes,
            images_per_class=images_per_class,
            stage=stage,
            validation_split=validation_split,
            fold=fold,
            group_duplicates=group_duplicates,
            shard=shard,
        )
        examples = selection.examples(split)
        if on_error == "skip":
            examples, skipped = readable(examples, stage, rendering.config)
        if service is None:
            data = load(examples, rendering, shuffle=shuffle)
        else:
            from sonikeras.datasets._service import load_remotely

            data = load_remotely(examples, rendering, shuffle=shuffle)
    result = batches(data, rendering, batch_size=batch_size, augment=augment)
    # Further transformations would lose the attributes, so they are set last.
    result.class_names = list(classes or ()) if examples is None else examples.class_names
    result.file_paths = None if examples is None else examples.file_paths
    result.skipped = skipped
    result.examples = examples
    result.example_names = None if examples is None or shuffle else examples.full_names
    return result


def _check_augment(augment: Any, split: str, stage: str, output: str) -> None:
    if augment is None:
        return
    if split not in ("train", "both"):
        raise ValueError(
            "`augment` changes the training split: `split` must be 'train', or 'both', whose test split stays "
            f"unchanged. Received: split={split!r}, augment={augment!r}"
        )
    if not isinstance(augment, Augment) and not callable(augment):
        raise ValueError(
            f"`augment` must be a sonikeras.Augment, a function of pictures, or None. Received: augment={augment!r}"
        )
    audio, picture = (augment.changes_audio, augment.changes_picture) if isinstance(augment, Augment) else (False, True)
    if audio and (output in IMAGE_OUTPUTS or stage == "spectrogram"):
        raise ValueError(
            "`augment` must not change audio where there is none: leave out `roll`, `noise` and `gain`. "
            f"Received: augment={augment!r}, stage={stage!r}, output={output!r}"
        )
    if picture and output not in ("picture", *IMAGE_OUTPUTS):
        raise ValueError(
            "`augment` must not change a picture where there is none: `output` must be one of "
            f"{('picture', *IMAGE_OUTPUTS)}. "
            f"Received: augment={augment!r}, output={output!r}"
        )


def _check_roll(augment: Any, rendering: Rendering) -> None:
    color = rendering.config.color
    if isinstance(augment, Augment) and augment.roll and color != "gray" and rendering.output == "picture":
        raise ValueError(
            "`roll` of `augment` must be 0 where the audio carries colors: it moves their planes out of their places, "
            f"and the picture gets false colors. `shift` moves the picture. Received: augment={augment!r}, "
            f"color={color!r}"
        )
