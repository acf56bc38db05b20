"""A data set written out: `sonikeras.prepare`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from sonikeras.config import SonificationConfig
from sonikeras.preparation._job import SHARD_SIZE, Job
from sonikeras.sources import check_shard


def prepare(
    name: str | None,
    directory: str | os.PathLike,
    *,
    data_dir: str | os.PathLike | None = None,
    source: Any = "builtin",
    classes: Sequence[str] | None = None,
    images_per_class: int | None = None,
    config: str | SonificationConfig = "study",
    engine: str = "auto",
    seed: int = 42,
    cache: bool | str | os.PathLike = True,
    on_error: str = "raise",
    format: str = "files",
    audio_format: str | None = None,
    pictures: bool = True,
    shard: tuple[int, int] | None = None,
    shard_size: int = SHARD_SIZE,
    verify: bool = False,
) -> list[str]:
    """Writes the sound and the spectrogram picture of every image of a data set.

    Either `directory/{train,test}/<class>/<name>.wav` and `.png` (and `validation` where the images come in a folder
    with such a part; without `test` where it has none), or record files such as
    `directory/train-00000-of-00012.tfrecord`, whose schema is in `sonikeras.sources.records`; and
    `directory/manifest.csv` with
    a row for each example: its files, their sizes and SHA-256, that of its image, and the spectral convergence of its
    sound.
    `sonikeras.dataset(data_dir=directory, stage="audio")` or `"spectrogram"` reads either.

    The same call goes on where one was stopped, also by force, and ends with the same bytes as one that was not. What
    is there is kept as long as it fits the manifest and the image it was made of; the rest is made anew.

    Args:
        name: As of `sonikeras.dataset`, like all arguments that are not said here.
        directory: Folder to write to.
        cache: As of `sonikeras.dataset`; `False` saves the room of a second copy of each sound.
        on_error: `"raise"`: stops at an image that cannot be read, and keeps what was made; or `"skip"`: goes on, and
            lists such images in one warning and in what is returned. Defaults to `"raise"`.
        format: `"files"` or `"tfrecord"`. Defaults to `"files"`.
        audio_format: `"wav"` or `"flac"`, both without loss. Defaults to `None`: WAV files, FLAC in records.
        pictures: Boolean, whether to draw and write the pictures too. Defaults to `True`.
        shard: `(index, count)`: make every `count`-th example (of record files: every `count`-th file) from `index` on,
            with a manifest of its own, while other processes make the others. A call without it then finds all made
            and writes the whole manifest. Defaults to `None`: all examples.
        shard_size: Integer, examples in a record file. Defaults to 1024.
        verify: Boolean, whether to read all that is there and compare it with its checksums, instead of its size.
            Defaults to `False`.

    Returns:
        List of names of images that were left out, with `on_error="skip"`: paths where they are files.

    Raises:
        ValueError: An argument breaks its rule, an image cannot be read, a name cannot be that of a file, the folder
            holds files made in another way, of which `prepare.json` in it tells, its manifest is damaged, or a folder
            in it is a link.
        PermissionError: The folder cannot be written to, and is not finished.
        FileNotFoundError: There is no such folder.
        BlockingIOError: Another process makes the same shard, or one of the two makes the whole.
        OSError: The disk is full; what was made is kept.

    Example:
        >>> import sonikeras
        >>> sonikeras.prepare("c2", "heard", images_per_class=5, config="lossless")  # doctest: +ELLIPSIS
        Sounds and pictures in heard/train
        ...
        []
        >>> sounds = sonikeras.dataset("c2", data_dir="heard", stage="audio", config="lossless")
    """
    arguments = {key: value for key, value in locals().items() if key != "shard"}
    if shard is not None:
        check_shard(shard)
    job = Job.of(**arguments)
    parts = job.parts()
    job.claim(parts)
    return job.run(parts, shard)
