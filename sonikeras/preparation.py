"""A data set written out: sounds and pictures in class folders, as the study's own data are laid out."""

from __future__ import annotations

import concurrent.futures
import os
from collections.abc import Sequence
from pathlib import Path

from sonikeras import chain
from sonikeras.cache import SoundCache, resolve_cache
from sonikeras.config import SonificationConfig, as_config
from sonikeras.datasets import sound_loader
from sonikeras.engines import resolve_engine
from sonikeras.files import claim
from sonikeras.images import write_image
from sonikeras.progress import Progress
from sonikeras.sounds import from_pcm16, write_audio
from sonikeras.sources import Examples, load_examples, readable


def prepare(
    name: str | None,
    directory: str | os.PathLike,
    *,
    data_dir: str | os.PathLike | None = None,
    source: str = "builtin",
    classes: Sequence[str] | None = None,
    images_per_class: int | None = None,
    config: str | SonificationConfig = "study",
    engine: str = "auto",
    seed: int = 42,
    cache: bool | str | os.PathLike = True,
    on_error: str = "raise",
) -> list[str]:
    """Writes the sound and the spectrogram picture of every image of a data set.

    `directory/{train,test}/<class>/<name>.wav` and `.png`; the WAV files carry the config. Files are written whole or
    not at all, and those that are there already are kept, so a second start goes on where the first stopped.

    Args:
        name: As of `sonikeras.dataset`, like all arguments that are not said here.
        directory: Folder to write to.

    Returns:
        List of paths of images that were left out, with `on_error="skip"`.

    Raises:
        ValueError: An argument breaks its rule, an image cannot be read, or the folder holds files made in another way,
            of which `prepare.json` in it tells.
        FileNotFoundError: There is no such folder.

    Example:
        >>> import sonikeras
        >>> sonikeras.prepare("c2", "sounds", images_per_class=5)  # doctest: +SKIP
        []
    """
    config = as_config(config)
    engine, sounds = resolve_engine(engine, config), resolve_cache(cache)
    directory = Path(directory)
    skipped: list[str] = []
    parts: dict[str, Examples] = {}
    for split in ("train", "test"):
        examples = load_examples(
            name,
            split,
            data_dir=data_dir,
            source=source,
            classes=classes,
            images_per_class=images_per_class,
        )
        if on_error == "skip":
            examples, bad = readable(examples, "image")
            skipped += bad
        parts[split] = examples
    origin = source if data_dir is None else str(Path(data_dir).resolve())
    claim(directory / "prepare.json", {"source": origin, "config": config.to_dict(), "engine": engine, "seed": seed})
    for split, examples in parts.items():
        _write(examples, directory / split, config, engine, seed, sounds)
    return skipped


def _write(
    examples: Examples, root: Path, config: SonificationConfig, engine: str, seed: int, cache: SoundCache | None
) -> None:
    load = sound_loader(examples, config, engine=engine, seed=seed, cache=cache)

    def write(index: int) -> None:
        stem = root / examples.class_names[examples.labels[index]] / examples.names[index]
        sound, image = Path(f"{stem}.wav"), Path(f"{stem}.png")
        if not (sound.exists() and image.exists()):
            audio = from_pcm16(load(index))
            write_audio(sound, audio, config)
            write_image(image, chain.picture(audio, config))

    progress = Progress(f"Sounds and pictures in {root}", len(examples))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for done, _ in enumerate(pool.map(write, range(len(examples))), start=1):
                progress.update(done)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
