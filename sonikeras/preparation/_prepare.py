"""`sonikeras.prepare`: writes a data set to files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from sonikeras.config import SonificationConfig
from sonikeras.datasets._rendering import Rendering
from sonikeras.preparation._plan import Plan
from sonikeras.preparation._run import run
from sonikeras.sources import Selection, check_shard


def prepare(
    name: str | None,
    directory: str | os.PathLike,
    *,
    data_dir: str | os.PathLike | None = Selection.data_dir,
    source: Any = Selection.source,
    classes: Sequence[str] | None = Selection.classes,
    images_per_class: int | None = Selection.images_per_class,
    config: str | os.PathLike | SonificationConfig = Rendering.config,
    engine: str = Rendering.engine,
    seed: int = Rendering.seed,
    cache: bool | str | os.PathLike = Rendering.cache,
    on_error: str = "raise",
    format: str = "files",
    audio_format: str | None = None,
    pictures: bool = True,
    shard: tuple[int, int] | None = None,
    shard_size: int = 1024,
    verify: bool = False,
) -> list[str]:
    """Writes the audio and the spectrogram picture of every image of a data set.

    With `format="files"` they are in `directory/{train,test}/<class>/<name>.wav` and `.png`, and in
    `directory/validation/` if the images have such a split. With `format="tfrecord"` they are in record files such as
    `directory/train-00000-of-00012.tfrecord`, whose schema is in `sonikeras.sources.records`. In both cases
    `directory/manifest.csv` has a row for each example: its files, their sizes and SHA-256, the SHA-256 of the image,
    and the spectral convergence of the audio. `sonikeras.dataset(data_dir=directory, stage="audio")` or
    `stage="spectrogram"` reads them.

    If a call is interrupted, even by a kill, repeat it to resume. The files are byte for byte those of an uninterrupted
    call. Files that agree with the manifest and with their image are kept, all others are recreated.

    Args:
        name: As in `sonikeras.dataset`, like all arguments that are not described here.
        directory: Folder to write to. It is created if necessary.
        cache: As in `sonikeras.dataset`. `False` avoids a second copy of the audio on disk.
        on_error: `"raise"` stops at an unreadable image and keeps what is finished. `"skip"` continues, lists such
            images in one warning, and returns their names. Defaults to `"raise"`.
        format: `"files"` or `"tfrecord"`. Defaults to `"files"`.
        audio_format: `"wav"` or `"flac"`, both lossless. Defaults to `None`: WAV files, FLAC in records.
        pictures: Boolean, whether to write pictures. Defaults to `True`.
        shard: `(index, count)` to write every `count`-th example, or every `count`-th record file, starting at `index`.
            Other processes write the other shards. Each shard has its own manifest. A later call without `shard` checks
            everything and writes the manifest of the whole data set. Defaults to `None`: all examples.
        shard_size: Integer, examples in a record file. Defaults to 1024.
        verify: Boolean, whether to compare existing files with their checksums instead of their sizes. Defaults to
            `False`.

    Returns:
        List of names of the images left out with `on_error="skip"`: paths if they are files.

    Raises:
        ValueError: An argument is not allowed; an image cannot be read; a name cannot be that of a file; the folder
            holds files that were prepared differently, as its `prepare.json` says; its manifest is damaged; or a folder
            in it is a link.
        PermissionError: The folder cannot be written to and is not finished.
        FileNotFoundError: The folder of the images does not exist.
        BlockingIOError: Another process writes the same shard, or one of the two writes the whole data set.
        OSError: The disk is full. Finished files are kept.

    Example:
        >>> import sonikeras
        >>> sonikeras.prepare("c2", "prepared", images_per_class=5, config="lossless")  # doctest: +ELLIPSIS
        Audio and pictures in prepared/train
        ...
        []
        >>> clips = sonikeras.dataset("c2", data_dir="prepared", stage="audio", config="lossless")
    """
    arguments = {key: value for key, value in locals().items() if key != "shard"}
    if shard is not None:
        check_shard(shard)
    plan = Plan.of(**arguments)
    examples = plan.examples()
    plan.claim(examples)
    return run(plan, examples, shard)
