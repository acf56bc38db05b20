"""How an example becomes the input of a model: loaded as a NumPy array, then drawn as a tensor."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np

from sonikeras.config import SonificationConfig, as_config
from sonikeras.config._checks import check_choice
from sonikeras.config._seeds import check_seed
from sonikeras.datasets._loading import Loader, audio_loader, picture_loader, received_loader, recording_loader
from sonikeras.datasets.cache import resolve_cache
from sonikeras.signal import chain, pictures
from sonikeras.signal._backend import operations
from sonikeras.signal.engines import resolve_engine
from sonikeras.signal.panning import pan
from sonikeras.sources import Examples, Selection
from sonikeras.transmission import as_channel, transmit_pcm16

#: The outputs that are the images themselves: in color, and in gray.
IMAGE_OUTPUTS = ("image", "image_gray")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rendering:
    """The steps from an example to the input of a model. The fields are arguments of `sonikeras.dataset`.

    `loader` gives 16-bit audio or 8-bit pixels. `draw` turns these into the output. Neither needs `tf.data`. Creating
    a rendering checks its fields and resolves `config`, `engine`, `image_size` and `channel`.

    Example:
        >>> import numpy as np
        >>> from sonikeras.datasets import Rendering
        >>> from sonikeras.sources import Selection
        >>> examples = Selection("c2", images_per_class=10).examples("test")
        >>> rendering = Rendering(config="matched", output="spectrogram", cache=False)
        >>> pcm = rendering.loader(examples)(0)
        >>> pcm.shape, np.asarray(rendering.draw(pcm)).shape
        ((65024,), (128, 513))
    """

    stage: str = Selection.stage
    config: Any = "study"  # str | os.PathLike | SonificationConfig
    engine: str = "auto"
    output: str = "picture"
    image_size: Any = (224, 224)  # int | tuple[int, int] | None
    shorter_side: int | None = None
    interpolation: str = "bilinear"
    colormap: str | None = None
    seed: int = 42
    cache: bool | str | os.PathLike = True
    channel: Any = None  # str | Channel | None
    service: str | None = None

    # The outputs of each stage.
    OUTPUTS: ClassVar[dict[str, tuple[str, ...]]] = {
        "image": ("picture", "spectrogram", "audio", *IMAGE_OUTPUTS),
        "audio": ("picture", "spectrogram", "audio"),
        "spectrogram": ("picture",),
    }

    def __post_init__(self) -> None:
        check_choice("stage", self.stage, self.OUTPUTS)
        check_choice("output", self.output, self.OUTPUTS[self.stage])
        check_choice("interpolation", self.interpolation, pictures.INTERPOLATIONS)
        check_positive("shorter_side", self.shorter_side)
        self._check_colormap()
        self._check_service()
        self._check_channel()
        config = as_config(self.config)
        resolved = {
            "config": config,
            "engine": _resolve_engine(self.engine, config, self.service),
            "image_size": config.picture_size if self.image_size is None else _as_size(self.image_size),
            "seed": check_seed(self.seed),
            "channel": None if self.channel is None else as_channel(self.channel),
        }
        for name, value in resolved.items():
            object.__setattr__(self, name, value)
        if self.colormap is not None and self.config.color != "gray":
            raise ValueError(
                "With a config in color, whose pictures have the image's colors, `colormap` must be None. "
                f"Received: colormap={self.colormap!r}, color={self.config.color!r}"
            )

    @property
    def has_audio(self) -> bool:
        """Whether the output is audio or made from audio, and not an image or a ready picture."""
        return self.output not in IMAGE_OUTPUTS and self.stage != "spectrogram"

    @property
    def loaded_shape(self) -> tuple[int, ...]:
        """The shape of what `loader` gives."""
        return (self.config.samples,) if self.has_audio else (*self.image_size, 3)

    @property
    def loaded_dtype(self) -> str:
        """The type of what `loader` gives."""
        return "int16" if self.has_audio else "uint8"

    @functools.cached_property
    def loader(self) -> Callable[[Examples], Loader]:
        """The function from examples to their loader, which takes an index.

        Raises:
            OSError: The folder of the cache cannot be created.
            ValueError: The channel does not fit the sample rate.
        """
        if not self.has_audio:
            return functools.partial(
                picture_loader,
                config=self.config,
                resizing=self._resizing,
                colormap=self.colormap,
                gray=self.output == "image_gray",
            )
        load: Callable[[Examples], Loader]
        if self.stage == "audio":
            load = functools.partial(recording_loader, config=self.config)
        else:
            cache = resolve_cache(self.cache)
            load = functools.partial(audio_loader, config=self.config, engine=self.engine, seed=self.seed, cache=cache)
        if self.channel is None:
            return load
        # Raises the errors of the channel here instead of during iteration.
        silence = np.zeros(self.config.samples, np.int16)
        transmit_pcm16(silence, self.config.sample_rate, self.channel, self.seed)
        return lambda examples: received_loader(
            load(examples), self.channel, sample_rate=self.config.sample_rate, seed=self.seed
        )

    def draw(
        self,
        x: Any,
        *,
        change_audio: Callable[[Any], Any] | None = None,
        change_picture: Callable[[Any], Any] | None = None,
    ) -> Any:
        """The output for one loaded example.

        Args:
            x: Array or tensor that `loader` gives.
            change_audio: Augmentation of the audio, float32 `[samples]`. Defaults to `None`.
            change_picture: Augmentation of the picture or image, float32 `[height, width, 3]`. Defaults to `None`.

        Returns:
            float32 tensor: `[height, width, 3]` in 0..255, `[frames, bins]` in dB, or `[samples]`, if the config has
            `panning` `[samples, 2]`.
        """
        x = operations(x).cast(x, "float32")
        if self.has_audio:
            x = x / 32768
            if change_audio is not None:
                x = change_audio(x)
            if self.output != "audio":
                x = chain.audio_to_db(x, self.config)
            elif self.config.panning:
                x = pan(x, sample_rate=self.config.sample_rate)
            if self.output == "picture":
                x = chain.db_to_picture(x, self.config, **self._resizing)
        return x if change_picture is None else change_picture(x)

    @property
    def _resizing(self) -> dict[str, Any]:
        return {
            "image_size": self.image_size,
            "shorter_side": self.shorter_side,
            "interpolation": self.interpolation,
        }

    def _check_colormap(self) -> None:
        if self.colormap is None:
            return
        if not isinstance(self.colormap, str) or self.stage != "spectrogram":
            raise ValueError(
                "`colormap` must be None, or with stage='spectrogram' the name of a matplotlib colormap. "
                f"Received: colormap={self.colormap!r}, stage={self.stage!r}"
            )
        pictures.inverse(self.colormap)

    def _check_service(self) -> None:
        if self.service is not None and (self.stage != "image" or self.output in IMAGE_OUTPUTS):
            raise ValueError(
                f"`service` sonifies images: `stage` must be 'image', and `output` none of {IMAGE_OUTPUTS}. "
                f"Received: service={self.service!r}, stage={self.stage!r}, output={self.output!r}"
            )

    def _check_channel(self) -> None:
        if self.channel is None:
            return
        if not self.has_audio:
            raise ValueError(
                f"`channel` needs audio: `stage` must be 'image' or 'audio', and `output` none of {IMAGE_OUTPUTS}. "
                f"Received: channel={str(self.channel)!r}, stage={self.stage!r}, output={self.output!r}"
            )
        if self.service is not None:
            raise ValueError(
                "`channel` and `service` cannot be combined: one of them must be None. "
                f"Received: channel={str(self.channel)!r}, service={self.service!r}"
            )


def check_positive(name: str, value: Any) -> None:
    """Raises a `ValueError` unless `value` is a positive integer or `None`."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"`{name}` must be a positive integer or None. Received: {name}={value!r}")


def _resolve_engine(engine: str, config: SonificationConfig, service: str | None) -> str:
    """The engine that an argument stands for. Only TensorFlow operations can run on the workers of a service."""
    if service is None:
        return resolve_engine(engine, config)
    if engine in ("numba", "librosa"):
        raise ValueError(
            f"With `service`, `engine` must consist of TensorFlow operations, which can run on the workers; "
            f"{engine!r} is Python code. Allowed values: ['auto', 'tensorflow']. Received: engine={engine!r}"
        )
    return resolve_engine("tensorflow" if engine == "auto" and config.transform == "stft" else engine, config)


def _as_size(image_size: Any) -> tuple[int, int]:
    lengths = tuple(image_size) if isinstance(image_size, Iterable) else (image_size, image_size)
    if len(lengths) != 2 or not all(isinstance(length, int | np.integer) and length > 0 for length in lengths):
        raise ValueError(f"`image_size` must be positive integers (height, width). Received: image_size={image_size!r}")
    return int(lengths[0]), int(lengths[1])
