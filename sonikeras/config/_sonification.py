"""`SonificationConfig`: all settings of the signal chain, with their defaults and presets."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sonikeras.config import _choices as choices, limits
from sonikeras.config._checks import check_choice, check_integer, check_number, check_overlap, plain, shown
from sonikeras.config._files import parse_fields, write_json
from sonikeras.config._fitting import fitting
from sonikeras.config._presets import PRESETS, presets
from sonikeras.config._raster import (
    check_band,
    check_color,
    check_frequencies,
    check_oscillators,
    raster_of,
)
from sonikeras.config._sizes import check_sizes
from sonikeras.config._transforms import TransformSettings, check_transform, number_of_bins

# The version of `to_dict`. Version 1 (sonikeras 0.1.0) had no `version` entry, and no `None` in `analysis_*`: fields
# that are missing there are those of the study.
_VERSION = 2


_ANALYSIS = ("analysis_transform", "analysis_fft_length", "analysis_frame_length", "analysis_frame_step")


# Positive integers, with their limits.
_INTEGERS = {
    "sample_rate": "audio_rate",
    "frames": "config_frames",
    "fft_length": "config_transform",
    "frame_length": "config_transform",
    "frame_step": "config_transform",
    "iterations": "config_iterations",
    "analysis_fft_length": "config_transform",
    "analysis_frame_length": "config_transform",
    "analysis_frame_step": "config_transform",
}


_LONGEST_NAME = 128  # characters: libsndfile does not read a WAV comment that is much longer than a config


# Reads the config in an audio file. The room of configs knows no audio formats, so it finds the reader by name.
_AUDIO_READER = "sonikeras.sources.audio:read_config"


def _audio_field(default: Any) -> Any:
    """A field that determines the audio. The other fields determine how audio is analyzed and drawn."""
    return dataclasses.field(default=default, metadata={"audio": True})


def _later_field(default: Any) -> Any:
    """An audio field of a later release. At its default, it is not stored: files and digests stay what they were."""
    return dataclasses.field(default=default, metadata={"audio": True, "later": True})


@dataclasses.dataclass(frozen=True, kw_only=True)
class SonificationConfig:
    """The settings of the signal chain: image to magnitudes to audio to spectrogram to picture.

    A config is frozen, validated and hashable. Two configs are equal if all fields are equal. The presets are:

    - `preset("study")` is the chain of the published study. It analyzes with a window twice as long as the synthesis
      window.
    - `preset("matched")` analyzes with the synthesis window and draws amplitudes, so that the picture shows the image.
    - `preset("lossless")` writes the image into an MDCT, which gives it back exactly.
    - `preset("scan")` plays 64 rows as sinusoids from 500 to 5,000 Hz, in one second, as The vOICe does (Meijer, "An
      experimental system for auditory image representations", IEEE Transactions on Biomedical Engineering 39(2), 1992).
    - `preset("photo")` carries a photograph in color, in the duration of the others, and keeps clear of the highest
      frequencies, which resampling removes.
    - `preset("photo_lossless")` writes the same planes into an MDCT.

    `SonificationConfig()` synthesizes and draws like the study but analyzes with the synthesis window.

    Args:
        sample_rate: Integer, the sample rate in Hz. Defaults to 22050.
        frames: Integer of at least 2, the number of time frames: the image is resized to this width. Defaults to 128.
        transform: `"stft"`: the image is the magnitude of an STFT, and phase retrieval finds the audio; `"mdct"`: the
            image is the magnitude of an MDCT, whose inverse is the audio; or `"oscillators"`: the audio is the sum of
            one sinusoid a row. Defaults to `"stft"`.
        fft_length: Even integer, the size of the synthesis transform. It has `fft_length // 2 + 1` frequency bins, with
            `transform="mdct"` `fft_length // 2`: the image is resized to this height. Oscillators use it only where
            `rows` is `None`. Defaults to 1024.
        frame_length: Integer, the length of the synthesis window in samples. Oscillators have none: it is that of their
            analysis. Defaults to 1024.
        frame_step: Integer, the distance between frames in samples. Defaults to 512.
        window: The periodic window of synthesis and analysis: `"hann"`, `"hamming"`, `"blackman"`, `"bartlett"`,
            `"cosine"` or `"boxcar"`. The MDCT always has the sine window. Defaults to `"hann"`.
        image_interpolation: How the image is resized: `"bilinear"` (OpenCV's default, without antialiasing) or
            `"area"` (a dimension is averaged where it shrinks, interpolated where it grows). Defaults to `"bilinear"`.
        reference: `"max"`: magnitudes are relative to the brightest pixel of the image, and dB values to the loudest
            bin of the audio; `"absolute"`: white is a magnitude of 1, or 0 dB, in every image. Defaults to `"max"`.
        top_db: Positive float, the dynamic range of magnitudes and of spectrograms in dB. Lower values are raised to
            its lower end. Defaults to 80.
        algorithm: The phase retrieval algorithm: `"griffin_lim"` (1984), `"fast_griffin_lim"` (2013),
            `"accelerated_griffin_lim"` (2023), `"admm"` (2019) or `"lbfgs"`. `sonikeras.signal.phase_retrieval`
            describes them. Defaults to `"fast_griffin_lim"`.
        iterations: Integer, the iterations of the algorithm. Defaults to 32.
        momentum: Float in 0..1, the momentum of fast Griffin-Lim. 0 is the algorithm of 1984. Defaults to 0.99.
        rho: Positive float, the penalty parameter of ADMM. Defaults to 0.2.
        initial_phase: `"random"`; `"structured"`, a pulse in the middle of each frame, which needs a third of the
            iterations and sounds like a buzz; or `"fixed"`, a random phase that depends on the seed alone and not on
            the pixels, so that similar images have similar waveforms. Defaults to `"random"`.
        color: `"gray"`: the image's brightness; `"ycbcr"`: luma and, at half the height, the two chroma planes of
            full-range BT.601 (JPEG); or `"rgb"`: three planes one after the other. Defaults to `"gray"`.
        chroma_fraction: Float between 0 and 1, the fraction of the frames that carry chroma with `color="ycbcr"`.
            Defaults to 0.2.
        min_freq: Float, the lowest frequency in Hz of the band that the image fills. Outside the band there is silence.
            Defaults to `None`: 0.
        max_freq: Float, the highest frequency of the band in Hz. Defaults to `None`: half the sample rate.
        frequency_scale: `"linear"`, `"log"` (which needs `min_freq`) or `"mel"` (Slaney's): the scale on which the
            image's rows are evenly spaced. Defaults to `"linear"`.
        rows: Integer, the rows of the raster: the image is resized to this height. Defaults to `None`: as many as the
            band has bins. Oscillators may have any number.
        frequencies: Increasing floats, the frequencies of oscillators in Hz, lowest first, such as the notes of a
            scale. They take the place of `min_freq`, `max_freq` and `rows`. Defaults to `None`: evenly spaced on the
            scale, from `min_freq` for the lowest row to `max_freq` for the highest.
        panning: Boolean, whether the audio is stereo that moves from left to right as the time frames do, by level and
            time, as `sonikeras.signal.panning.pan` describes. Defaults to `False`.
        analysis_transform: `"stft"` or `"mdct"`, the transform of the spectrogram. Defaults to `None`: `transform`. The
            spectrogram of oscillators has the amplitudes at their frequencies, as
            `sonikeras.signal.oscillators.row_power` finds them.
        analysis_fft_length: Even integer, its size. Defaults to `None`: `fft_length`.
        analysis_frame_length: Integer, the length of its window in samples. Defaults to `None`: `frame_length`.
        analysis_frame_step: Integer, the distance between its frames in samples. Defaults to `None`: `frame_step`.
        picture_scale: `"db"` or `"amplitude"`: what the colors of the picture are proportional to. Defaults to `"db"`.
        picture_size: `(height, width)` of the picture in pixels. Defaults to (600, 1200).
        drawing: `"specshow"`, as matplotlib draws `librosa.display.specshow` (nearest neighbor; colors span the range
            from the lowest to the highest value), `"resize"` (bilinear with antialiasing; colors span a fixed range) or
            `"bicubic"` (the same with bicubic interpolation). Defaults to `"specshow"`.
        colormap: Name of a matplotlib colormap. Defaults to `"magma"`.

    Raises:
        ValueError: A field has a value that is not allowed.

    Example:
        >>> from sonikeras import SonificationConfig
        >>> config = SonificationConfig.preset("matched")
        >>> config.bins, config.frames, config.samples
        (513, 128, 65024)
        >>> config.replace(fft_length=512, frame_length=512, frame_step=256).analysis
        TransformSettings(transform='stft', fft_length=512, frame_length=512, frame_step=256)
    """

    sample_rate: int = _audio_field(22050)
    frames: int = _audio_field(128)
    transform: choices.Transform = _audio_field("stft")
    fft_length: int = _audio_field(1024)
    frame_length: int = _audio_field(1024)
    frame_step: int = _audio_field(512)
    window: choices.Window = _audio_field("hann")
    image_interpolation: choices.ImageInterpolation = _audio_field("bilinear")
    reference: choices.Reference = _audio_field("max")
    top_db: float = _audio_field(80.0)
    algorithm: choices.Algorithm = _audio_field("fast_griffin_lim")
    iterations: int = _audio_field(32)
    momentum: float = _audio_field(0.99)
    rho: float = _audio_field(0.2)
    initial_phase: choices.InitialPhase = _audio_field("random")
    color: choices.Color = _later_field("gray")
    chroma_fraction: float = _later_field(0.2)
    min_freq: float | None = _later_field(None)
    max_freq: float | None = _later_field(None)
    frequency_scale: choices.FrequencyScale = _later_field("linear")
    rows: int | None = _later_field(None)
    frequencies: tuple[float, ...] | None = _later_field(None)
    panning: bool = _later_field(False)
    analysis_transform: choices.Transform | None = None
    analysis_fft_length: int | None = None
    analysis_frame_length: int | None = None
    analysis_frame_step: int | None = None
    picture_scale: choices.PictureScale = "db"
    picture_size: tuple[int, int] = (600, 1200)
    drawing: choices.Drawing = "specshow"
    colormap: str = "magma"

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # JSON has no NumPy scalars
            object.__setattr__(self, field.name, plain(getattr(self, field.name)))
        for name, limit in _INTEGERS.items():
            value = getattr(self, name)
            if value is not None or name not in _ANALYSIS:
                check_integer(name, value, minimum=2 if name == "frames" else 1)
                limits.check(limit, value, f"`{name}`")
        check_transform(self.synthesis, "")
        if self.rows is not None:
            limits.check("config_transform", check_integer("rows", self.rows, minimum=1), "`rows`")
        if any(getattr(self, name) is not None for name in _ANALYSIS):
            check_transform(self.analysis, "analysis_")
            check_choice("window", self.window, choices.WINDOWS)
        check_overlap(self.window, self.frame_length, self.frame_step)
        check_choice("image_interpolation", self.image_interpolation, choices.IMAGE_INTERPOLATIONS)
        check_choice("reference", self.reference, choices.REFERENCES)
        check_choice("algorithm", self.algorithm, choices.ALGORITHMS)
        check_choice("initial_phase", self.initial_phase, choices.INITIAL_PHASES)
        check_choice("picture_scale", self.picture_scale, choices.PICTURE_SCALES)
        check_choice("drawing", self.drawing, choices.DRAWINGS)
        check_choice("color", self.color, choices.COLORS)
        check_choice("frequency_scale", self.frequency_scale, choices.FREQUENCY_SCALES)
        check_number("top_db", self.top_db, "a finite number above 0", lambda x: x > 0)
        check_number("momentum", self.momentum, "a number in 0..1", lambda x: 0 <= x <= 1)
        check_number("rho", self.rho, "a finite number above 0", lambda x: x > 0)
        check_number("chroma_fraction", self.chroma_fraction, "a number between 0 and 1", lambda x: 0 < x < 1)
        if self.frequencies is not None:
            object.__setattr__(self, "frequencies", check_frequencies(self.frequencies, self.sample_rate))
            limits.check("config_transform", len(self.frequencies), "The number of `frequencies`")
        check_choice("panning", self.panning, (False, True))
        object.__setattr__(self, "panning", bool(self.panning))
        check_band(self)
        check_oscillators(self)
        check_color(self)
        # Equal numbers must have equal digests: 80 and 80.0 are the same config.
        for name in ("top_db", "momentum", "rho", "chroma_fraction", "min_freq", "max_freq"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, float(getattr(self, name)))
        size = self.picture_size
        if not isinstance(size, tuple | list) or len(size) != 2:
            raise ValueError(f"`picture_size` must be a pair (height, width). Received: picture_size={shown(size)}")
        for value in size:
            check_integer("picture_size", value, minimum=1)
        object.__setattr__(self, "picture_size", tuple(size))
        if not isinstance(self.colormap, str) or not 0 < len(self.colormap) <= _LONGEST_NAME:
            raise ValueError(
                f"`colormap` must be a matplotlib colormap's name, of at most {_LONGEST_NAME} characters. "
                f"Received: colormap={shown(self.colormap)}"
            )
        check_sizes(self)

    @classmethod
    def preset(cls, name: str) -> SonificationConfig:
        """The preset of a name: one of `sonikeras.presets()`.

        Raises:
            ValueError: There is no such preset.
        """
        check_choice("preset", name, presets())
        return cls(**PRESETS[name])

    @classmethod
    def for_image(
        cls,
        image: np.ndarray | tuple[int, int],
        preset: str | SonificationConfig = "matched",
        duration: float | None = None,
        sample_rate: int | None = None,
        **changes: Any,
    ) -> SonificationConfig:
        """The config of a preset whose raster fits the shape of an image, and a duration.

        With a duration, the transform is the one whose raster comes nearest to the image's proportions: with
        `transform="stft"` among powers of two, which all engines support. The last frame may end up to half a step
        before or after the duration.

        Without a duration, nothing is lost in resizing: the raster has a row for each row of the image, each with at
        least one bin of its own, and a frame for each of its columns in each plane. Chroma has half the image's height
        and half its width. With `preset="lossless"` and `color="gray"` or `"rgb"`, an image of up to 2294 rows then
        comes back bit for bit; `seconds` of the config says how long its audio is.

        Args:
            image: Array `[height, width]` or `[height, width, 3]`, or `(height, width)`.
            preset: Name of a preset, or a config, which all other fields come from. Defaults to `"matched"`.
            duration: Float, the length of the audio in seconds. Defaults to `None`: as long as it takes.
            sample_rate: Integer, the sample rate in Hz. Defaults to `None`: that of the preset.
            **changes: Other values of fields. The sizes of the transform and `frames` are what this method finds.

        Raises:
            ValueError: An argument breaks its rule, the duration is too short for a raster, or the raster is beyond
                `sonikeras.limits`.

        Example:
            >>> from sonikeras import SonificationConfig
            >>> poster = {"sample_rate": 44100, "min_freq": 200, "max_freq": 12_000, "frequency_scale": "log"}
            >>> config = SonificationConfig.for_image((1200, 1600), duration=10, **poster)
            >>> config.image_shape, config.seconds
            ((548, 432), 10.00780045351474)
            >>> SonificationConfig.for_image((1200, 1600), "lossless", color="rgb").seconds
            261.27891156462584
        """
        if sample_rate is not None:
            changes["sample_rate"] = sample_rate
        _check_known(changes)
        rows = changes.pop("rows", None)
        base = (preset if isinstance(preset, SonificationConfig) else cls.preset(preset)).replace(**changes)
        return base.replace(**fitting(image, base, duration, rows=rows, changed=changes))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SonificationConfig:
        """The config of a dictionary that `to_dict` returned, in this version or an older one.

        Missing fields have their defaults. A dictionary without `version` is one of sonikeras 0.1.0, whose defaults
        were those of `preset("study")`.

        Raises:
            ValueError: `values` is not a mapping, is of a newer version, or has a field that is unknown or not allowed.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"A config must be a mapping of its fields to values. Received: {shown(values)}")
        values = dict(values)
        version = check_integer("version", values.pop("version", 1), minimum=1)
        if version > _VERSION:
            raise ValueError(
                f"A config must have a format version of at most {_VERSION}: update sonikeras to read a newer one. "
                f"Received: version={shown(version)}"
            )
        _check_known(values)
        return cls(**_upgraded(values) if version == 1 else values)

    @classmethod
    def from_json(cls, text: bytes) -> SonificationConfig:
        """The config of a dictionary that `to_dict` returned, as JSON.

        Raises:
            ValueError: The text is longer than `sonikeras.limits` allows, not UTF-8 or not JSON, has a field twice, or
                is not a valid config: see `from_dict`.
        """
        limits.check("config_bytes", len(text), "The JSON of a config")
        return cls.from_dict(parse_fields(text, "A config"))

    def to_dict(self) -> dict[str, Any]:
        """The fields, as values that JSON has, and the `version` of this format.

        `color`, `chroma_fraction`, `min_freq`, `max_freq`, `frequency_scale`, `rows`, `frequencies` and `panning` are
        left out where they have their defaults.
        """
        fields = {field.name: getattr(self, field.name) for field in _stored(self)}
        lists = {name: list(value) for name, value in fields.items() if isinstance(value, tuple)}
        return fields | lists | {"version": _VERSION}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the config to a JSON file. `load`, every `config` argument and `--config` take its path.

        Args:
            path: Path of the file. An existing file is replaced.

        Example:
            >>> from sonikeras import SonificationConfig
            >>> SonificationConfig.preset("matched").replace(sample_rate=16000).save("my.json")
            >>> SonificationConfig.load("my.json").sample_rate
            16000
        """
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SonificationConfig:
        """Reads a config from a JSON file, or from an audio file that carries one.

        Args:
            path: Path of a file that `save` or `sonikeras.write_audio` wrote.

        Raises:
            FileNotFoundError: The file does not exist.
            ValueError: The file is neither JSON nor audio, carries no config, or one that is not valid: see
                `from_dict`. The message names the file.
        """
        name = os.fspath(path)
        if not os.path.isfile(path):
            raise FileNotFoundError(f"A config file must exist. Received: {name}")
        with open(path, "rb") as file:
            start = file.read(64).lstrip()
        if Path(path).suffix.lower() != ".json" and not start.startswith((b"{", b"[")):
            return pkgutil.resolve_name(_AUDIO_READER)(path)
        try:
            limits.check("config_bytes", os.path.getsize(path), "A config file")
            return cls.from_json(Path(path).read_bytes())
        except ValueError as error:
            raise ValueError(
                f"A config file must contain a valid config as JSON. Received: {name} ({error})"
            ) from error

    def replace(self, **changes: Any) -> SonificationConfig:
        """A copy with other values of some fields, validated.

        `frequencies` takes the place of `rows`, `min_freq` and `max_freq`, which become `None` unless they are given.

        Raises:
            ValueError: A field is unknown or has a value that is not allowed.
        """
        _check_known(changes)
        if changes.get("frequencies") is not None:
            changes = {"rows": None, "min_freq": None, "max_freq": None} | changes
        return dataclasses.replace(self, **changes)

    @property
    def synthesis(self) -> TransformSettings:
        """The transform of the synthesis."""
        return TransformSettings(self.transform, self.fft_length, self.frame_length, self.frame_step)

    @property
    def analysis(self) -> TransformSettings:
        """The transform of the spectrogram: the `analysis_*` fields, or the synthesis where they are `None`."""
        own = (getattr(self, name) for name in _ANALYSIS)
        chosen: list[Any] = [theirs if mine is None else mine for mine, theirs in zip(own, self.synthesis, strict=True)]
        return TransformSettings(*chosen)

    def resolved(self) -> SonificationConfig:
        """The same chain with no `analysis_*` field left at `None`. Equal chains have equal resolved configs."""
        explicit: dict[str, Any] = dict(zip(_ANALYSIS, self.analysis, strict=True))
        return dataclasses.replace(self, **explicit)

    @property
    def bins(self) -> int:
        """The number of frequency bins of the synthesis, of which the image fills those in the band; or oscillators."""
        if self.transform == "oscillators":
            return raster_of(self).rows
        return number_of_bins(self.transform, self.fft_length)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of the image in the audio, which `desonify` returns: `(height, width)`, with `color` and 3."""
        return raster_of(self).planes[0].size + (() if self.color == "gray" else (3,))

    @property
    def samples(self) -> int:
        """The length of the audio in samples."""
        return (self.frames + {"stft": -1, "mdct": 1, "oscillators": 0}[self.transform]) * self.frame_step

    @property
    def seconds(self) -> float:
        """The length of the audio in seconds."""
        return self.samples / self.sample_rate

    def __getattr__(self, name: str) -> Any:
        renamed = "has a new name: use `audio_key`" if name == "sound_key" else "does not exist"
        raise AttributeError(f"`{type(self).__name__}.{name}` {renamed}.")

    def audio_key(self) -> str:
        """Hexadecimal digest of the fields that determine the audio. Analysis and drawing do not change it."""
        return _audio_key(self)


def _check_known(values: Mapping[str, Any]) -> None:
    known = [field.name for field in dataclasses.fields(SonificationConfig)]
    if unknown := [name for name in values if name not in known]:
        raise ValueError(f"Unknown config fields. Allowed values: {known}. Received: {shown(unknown)}")


def _upgraded(values: dict[str, Any]) -> dict[str, Any]:
    """The fields of a config of version 1, so that the presets of then equal those of now."""
    values = PRESETS["study"] | values
    same = all(
        values[name] == values.get(own := name.removeprefix("analysis_"), getattr(SonificationConfig, own))
        for name in _ANALYSIS
    )
    return values | dict.fromkeys(_ANALYSIS) if same else values


def _stored(config: SonificationConfig) -> list[dataclasses.Field]:
    """The fields that are stored: later ones only where they are not at their defaults."""
    fields = dataclasses.fields(config)
    return [f for f in fields if "later" not in f.metadata or getattr(config, f.name) != f.default]


@functools.lru_cache(maxsize=8)
def _audio_key(config: SonificationConfig) -> str:
    names = [field.name for field in _stored(config) if field.metadata.get("audio")]
    text = json.dumps({name: getattr(config, name) for name in names}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
