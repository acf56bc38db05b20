"""`SonificationConfig`: all settings of the signal chain, with their defaults and presets."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import os
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from sonikeras.config import limits
from sonikeras.config._checks import check_choice, check_integer, check_number, check_overlap, plain, shown
from sonikeras.config._files import write_json
from sonikeras.config._presets import PRESETS, presets

Window = Literal["hann", "hamming", "blackman", "bartlett", "cosine", "boxcar"]
ImageInterpolation = Literal["bilinear", "area"]
Reference = Literal["max", "absolute"]
PictureScale = Literal["db", "amplitude"]
Drawing = Literal["specshow", "resize"]
Transform = Literal["stft", "mdct"]
Algorithm = Literal["griffin_lim", "fast_griffin_lim", "accelerated_griffin_lim", "admm", "lbfgs"]
InitialPhase = Literal["random", "structured"]

WINDOWS: tuple[str, ...] = get_args(Window)
IMAGE_INTERPOLATIONS: tuple[str, ...] = get_args(ImageInterpolation)
REFERENCES: tuple[str, ...] = get_args(Reference)
PICTURE_SCALES: tuple[str, ...] = get_args(PictureScale)
DRAWINGS: tuple[str, ...] = get_args(Drawing)
TRANSFORMS: tuple[str, ...] = get_args(Transform)
ALGORITHMS: tuple[str, ...] = get_args(Algorithm)
INITIAL_PHASES: tuple[str, ...] = get_args(InitialPhase)


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


class TransformSettings(NamedTuple):
    """A transform and its sizes in samples.

    Attributes:
        transform: `"stft"` or `"mdct"`.
        fft_length: Integer, the size of the transform.
        frame_length: Integer, the length of the window.
        frame_step: Integer, the distance between frames.
    """

    transform: str
    fft_length: int
    frame_length: int
    frame_step: int


def _audio_field(default: Any) -> Any:
    """A field that determines the audio. The other fields determine how audio is analyzed and drawn."""
    return dataclasses.field(default=default, metadata={"audio": True})


@dataclasses.dataclass(frozen=True, kw_only=True)
class SonificationConfig:
    """The settings of the signal chain: image to magnitudes to audio to spectrogram to picture.

    A config is frozen, validated and hashable. Two configs are equal if all fields are equal. There are three presets:

    - `preset("study")` is the chain of the published study. It analyzes with a window twice as long as the synthesis
      window.
    - `preset("matched")` analyzes with the synthesis window and draws amplitudes, so that the picture shows the image.
    - `preset("lossless")` writes the image into an MDCT, which gives it back exactly.

    `SonificationConfig()` synthesizes and draws like the study but analyzes with the synthesis window.

    Args:
        sample_rate: Integer, the sample rate in Hz. Defaults to 22050.
        frames: Integer of at least 2, the number of time frames: the image is resized to this width. Defaults to 128.
        transform: `"stft"`: the image is the magnitude of an STFT, and phase retrieval finds the audio; or `"mdct"`:
            the image is the magnitude of an MDCT, whose inverse is the audio. Defaults to `"stft"`.
        fft_length: Even integer, the size of the synthesis transform. It has `fft_length // 2 + 1` frequency bins, with
            `transform="mdct"` `fft_length // 2`: the image is resized to this height. Defaults to 1024.
        frame_length: Integer, the length of the synthesis window in samples. Defaults to 1024.
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
        initial_phase: `"random"`, or `"structured"`: a pulse in the middle of each frame. The latter needs a third of
            the iterations and sounds like a buzz. Defaults to `"random"`.
        analysis_transform: `"stft"` or `"mdct"`, the transform of the spectrogram. Defaults to `None`: `transform`.
        analysis_fft_length: Even integer, its size. Defaults to `None`: `fft_length`.
        analysis_frame_length: Integer, the length of its window in samples. Defaults to `None`: `frame_length`.
        analysis_frame_step: Integer, the distance between its frames in samples. Defaults to `None`: `frame_step`.
        picture_scale: `"db"` or `"amplitude"`: what the colors of the picture are proportional to. Defaults to `"db"`.
        picture_size: `(height, width)` of the picture in pixels. Defaults to (600, 1200).
        drawing: `"specshow"`, as matplotlib draws `librosa.display.specshow` (nearest neighbor; colors span the range
            from the lowest to the highest value), or `"resize"` (antialiased; colors span a fixed range). Defaults to
            `"specshow"`.
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
    transform: Transform = _audio_field("stft")
    fft_length: int = _audio_field(1024)
    frame_length: int = _audio_field(1024)
    frame_step: int = _audio_field(512)
    window: Window = _audio_field("hann")
    image_interpolation: ImageInterpolation = _audio_field("bilinear")
    reference: Reference = _audio_field("max")
    top_db: float = _audio_field(80.0)
    algorithm: Algorithm = _audio_field("fast_griffin_lim")
    iterations: int = _audio_field(32)
    momentum: float = _audio_field(0.99)
    rho: float = _audio_field(0.2)
    initial_phase: InitialPhase = _audio_field("random")
    analysis_transform: Transform | None = None
    analysis_fft_length: int | None = None
    analysis_frame_length: int | None = None
    analysis_frame_step: int | None = None
    picture_scale: PictureScale = "db"
    picture_size: tuple[int, int] = (600, 1200)
    drawing: Drawing = "specshow"
    colormap: str = "magma"

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # JSON has no NumPy scalars
            object.__setattr__(self, field.name, plain(getattr(self, field.name)))
        for name, limit in _INTEGERS.items():
            value = getattr(self, name)
            if value is not None or name not in _ANALYSIS:
                check_integer(name, value, minimum=2 if name == "frames" else 1)
                limits.check(limit, value, f"`{name}`")
        _check_transform(self.synthesis, "")
        if any(getattr(self, name) is not None for name in _ANALYSIS):
            _check_transform(self.analysis, "analysis_")
        check_choice("window", self.window, WINDOWS)
        check_overlap(self.window, self.frame_length, self.frame_step)
        check_choice("image_interpolation", self.image_interpolation, IMAGE_INTERPOLATIONS)
        check_choice("reference", self.reference, REFERENCES)
        check_choice("algorithm", self.algorithm, ALGORITHMS)
        check_choice("initial_phase", self.initial_phase, INITIAL_PHASES)
        check_choice("picture_scale", self.picture_scale, PICTURE_SCALES)
        check_choice("drawing", self.drawing, DRAWINGS)
        check_number("top_db", self.top_db, "a finite number above 0", lambda x: x > 0)
        check_number("momentum", self.momentum, "a number in 0..1", lambda x: 0 <= x <= 1)
        check_number("rho", self.rho, "a finite number above 0", lambda x: x > 0)
        # Equal numbers must have equal digests: 80 and 80.0 are the same config.
        for name in ("top_db", "momentum", "rho"):
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
        self._check_sizes()

    def _check_sizes(self) -> None:
        """Limits the memory and time that the chain takes, whoever wrote the config."""
        limits.check("config_cells", self.bins * self.frames, "The magnitudes, `fft_length` // 2 times `frames`,")
        columns, bins = self.samples // self.analysis.frame_step + 1, self.analysis.fft_length // 2 + 1
        limits.check(
            "config_cells", columns * bins, "The spectrogram, by `analysis_fft_length` and `analysis_frame_step`,"
        )
        limits.check("picture_pixels", math.prod(self.picture_size), "`picture_size`")

    @classmethod
    def preset(cls, name: str) -> SonificationConfig:
        """The preset of a name: `"study"`, `"matched"` or `"lossless"`.

        Raises:
            ValueError: There is no such preset.
        """
        check_choice("preset", name, presets())
        return cls(**PRESETS[name])

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
        try:
            values = json.loads(text.decode("utf-8"), object_pairs_hook=_unique_fields)
        except RecursionError:  # whose traceback would be as deep
            raise ValueError(
                "A config must be a mapping of its fields to values. Received: deeply nested JSON"
            ) from None
        return cls.from_dict(values)

    def to_dict(self) -> dict[str, Any]:
        """All fields, as values that JSON has, and the `version` of this format."""
        return dataclasses.asdict(self) | {"picture_size": list(self.picture_size), "version": _VERSION}

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

        Raises:
            ValueError: A field is unknown or has a value that is not allowed.
        """
        _check_known(changes)
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
        """The number of frequency bins of the synthesis: the image is resized to this height."""
        return self.fft_length // 2 + (self.transform == "stft")

    @property
    def samples(self) -> int:
        """The length of the audio in samples."""
        return (self.frames + (1 if self.transform == "mdct" else -1)) * self.frame_step

    @property
    def seconds(self) -> float:
        """The length of the audio in seconds."""
        return self.samples / self.sample_rate

    def audio_key(self) -> str:
        """Hexadecimal digest of the fields that determine the audio. Analysis and drawing do not change it."""
        return _audio_key(self)


def _check_transform(settings: TransformSettings, prefix: str) -> None:
    transform, fft, frame, step = settings
    if fft % 2:
        raise ValueError(f"`{prefix}fft_length` must be even. Received: {prefix}fft_length={fft}")
    received = f"{prefix}frame_step={step}, {prefix}frame_length={frame}, {prefix}fft_length={fft}"
    if not step <= frame <= fft:
        raise ValueError(
            f"`{prefix}frame_step` <= `{prefix}frame_length` <= `{prefix}fft_length` must hold. Received: {received}"
        )
    check_choice(f"{prefix}transform", transform, TRANSFORMS)
    if transform == "mdct" and not (2 * step == frame == fft and step % 2 == 0):
        raise ValueError(
            f"With `{prefix}transform='mdct'`, `{prefix}frame_length` and `{prefix}fft_length` must be twice "
            f"`{prefix}frame_step`, which must be even. Received: {received}"
        )


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


def _unique_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError(f"A config must have each field once. Received: {shown([name for name, _ in pairs])}")
    return fields


@functools.lru_cache(maxsize=8)
def _audio_key(config: SonificationConfig) -> str:
    names = [f.name for f in dataclasses.fields(config) if f.metadata.get("audio")]
    text = json.dumps({name: getattr(config, name) for name in names}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def as_config(config: str | os.PathLike[str] | SonificationConfig) -> SonificationConfig:
    """The config that a `config` argument means.

    Args:
        config: Preset, `SonificationConfig`, or path to a JSON or audio file: see `SonificationConfig.load`.

    Raises:
        FileNotFoundError: It is a path, and the file does not exist.
        ValueError: It is none of these, or the file carries no valid config.
    """
    if isinstance(config, SonificationConfig):
        return config
    if isinstance(config, str) and config in PRESETS:
        return SonificationConfig.preset(config)
    if isinstance(config, os.PathLike) or (isinstance(config, str) and _is_path(config)):
        return SonificationConfig.load(config)
    raise ValueError(
        "`config` must be a preset, a SonificationConfig, or a path to a JSON or audio file that carries a config. "
        f"Allowed presets: {presets()}. Received: config={shown(config)}"
    )


def _is_path(text: str) -> bool:
    """Whether a string that is not a preset means a file: it has a separator or an extension, or is one's name."""
    separators = (os.sep, os.altsep or os.sep)
    return any(c in text for c in separators) or bool(os.path.splitext(text)[1]) or os.path.isfile(text)
