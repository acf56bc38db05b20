"""Every default of the signal chain, in one frozen and validated place."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from sonikeras.config import limits
from sonikeras.config._checks import check_choice, check_integer, check_number, check_overlap, plain, shown

WINDOWS = ("hann", "hamming", "blackman", "bartlett", "cosine", "boxcar")


IMAGE_INTERPOLATIONS = ("bilinear", "area")


REFERENCES = ("max", "absolute")


PICTURE_SCALES = ("db", "amplitude")


DRAWINGS = ("specshow", "resize")


TRANSFORMS = ("stft", "mdct")


ALGORITHMS = ("griffin_lim", "fast_griffin_lim", "accelerated_griffin_lim", "admm", "lbfgs")


INITIAL_PHASES = ("random", "structured")


# What each preset changes of the defaults, which are the study's.
_PRESETS: dict[str, dict[str, Any]] = {
    "study": {},
    "matched": {
        "image_interpolation": "area",
        "reference": "absolute",
        "algorithm": "accelerated_griffin_lim",
        "iterations": 14,
        "analysis_fft_length": 1024,
        "analysis_frame_length": 1024,
        "analysis_frame_step": 512,
        "picture_scale": "amplitude",
        "picture_size": (512, 512),
        "drawing": "resize",
        "colormap": "gray",
    },
    "lossless": {
        "transform": "mdct",
        "image_interpolation": "area",
        "reference": "absolute",
        "analysis_transform": "mdct",
        "analysis_fft_length": 1024,
        "analysis_frame_length": 1024,
        "analysis_frame_step": 512,
        "picture_scale": "amplitude",
        "picture_size": (512, 512),
        "drawing": "resize",
        "colormap": "gray",
    },
}


# Integers from 1 on, with their limits.
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


_LONGEST_NAME = 128  # characters: libsndfile reads no comment of a WAV file that is much longer than a config


def _sound(default: Any) -> Any:
    """A field that decides what a sound is, as opposed to how it is analyzed and drawn."""
    return dataclasses.field(default=default, metadata={"sound": True})


@dataclasses.dataclass(frozen=True, kw_only=True)
class SonificationConfig:
    """The signal chain: image to magnitudes to audio to spectrogram to picture.

    Frozen, validated and hashable. Two configs are equal when all fields are. `SonificationConfig()` is the preset
    `"study"`; `preset("matched")` analyses with the synthesis window and draws amplitudes, so that the picture shows
    the image as it was; `preset("lossless")` writes the image into an MDCT, from which it comes back bit for bit.

    Args:
        sample_rate: Integer, samples a second of the sound. Defaults to 22050.
        frames: Integer of at least 2, columns that the image is resized to: time steps. Defaults to 128.
        transform: What the image is the magnitudes of: `"stft"`, for which a sound must be searched, or `"mdct"`, which
            has one for every image. Defaults to `"stft"`.
        fft_length: Even integer, size of the synthesis transform. The image is resized to `fft_length // 2 + 1` rows:
            frequency bins; with `transform="mdct"` to `fft_length // 2`. Defaults to 1024.
        frame_length: Integer, length of the synthesis window in samples. Defaults to 1024.
        frame_step: Integer, samples from one frame to the next. Defaults to 512.
        window: String, the window of synthesis and analysis, periodic: one of `"hann"`, `"hamming"`, `"blackman"`,
            `"bartlett"`, `"cosine"`, `"boxcar"`. The MDCT has the sine window, whatever this is. Defaults to `"hann"`.
        image_interpolation: `"bilinear"` (OpenCV's default, no antialiasing) or `"area"`: a side that shrinks is
            averaged, so that each pixel counts, and one that grows interpolated. Defaults to `"bilinear"`.
        reference: `"max"`: magnitudes are relative to the image's brightest pixel and levels to the sound's loudest
            bin; `"absolute"`: white is 1, or 0 dB, in every image. Defaults to `"max"`.
        top_db: Positive float, range of magnitudes and levels in dB; what is lower is raised to it. Defaults to 80.
        algorithm: How the sound is searched for: `"griffin_lim"` (1984), `"fast_griffin_lim"` (2013),
            `"accelerated_griffin_lim"` (2023), `"admm"` (2019) or `"lbfgs"`, which are described in
            `sonikeras.signal.phase_retrieval`. Defaults to `"fast_griffin_lim"`.
        iterations: Integer, its iterations. Defaults to 32.
        momentum: Float in 0..1, of fast Griffin-Lim. 0 is the algorithm of 1984. Defaults to 0.99.
        rho: Positive float, of ADMM: how much each iteration is pulled to magnitudes that a sound has. Defaults to 0.2.
        initial_phase: `"random"`, or `"structured"`: a pulse in the middle of each frame, which needs a third of the
            iterations and sounds like a buzz. Defaults to `"random"`.
        analysis_transform: `"stft"` or `"mdct"`: what the spectrogram is made with. Defaults to `"stft"`.
        analysis_fft_length: Even integer, size of the transform that the spectrogram is made with. Defaults to 2048.
        analysis_frame_length: Integer, its window's length in samples. Defaults to 2048.
        analysis_frame_step: Integer, its step in samples. Defaults to 512.
        picture_scale: `"db"` or `"amplitude"`: what the colors of the picture are proportional to. Defaults to `"db"`.
        picture_size: `(height, width)` of the picture in pixels. Defaults to (600, 1200).
        drawing: `"specshow"` (as matplotlib draws `librosa.display.specshow`: the nearest cell, colors stretched from
            the lowest level to the highest) or `"resize"` (antialiased, fixed range). Defaults to `"specshow"`.
        colormap: String, name of a matplotlib colormap. Defaults to `"magma"`.

    Raises:
        ValueError: A field breaks its rule; the message gives the rule, the allowed values and what was received.

    Example:
        >>> from sonikeras import SonificationConfig
        >>> config = SonificationConfig.preset("study")
        >>> config.bins, config.frames, config.samples
        (513, 128, 65024)
        >>> config.replace(iterations=64).iterations
        64
    """

    sample_rate: int = _sound(22050)
    frames: int = _sound(128)
    transform: str = _sound("stft")
    fft_length: int = _sound(1024)
    frame_length: int = _sound(1024)
    frame_step: int = _sound(512)
    window: str = _sound("hann")
    image_interpolation: str = _sound("bilinear")
    reference: str = _sound("max")
    top_db: float = _sound(80.0)
    algorithm: str = _sound("fast_griffin_lim")
    iterations: int = _sound(32)
    momentum: float = _sound(0.99)
    rho: float = _sound(0.2)
    initial_phase: str = _sound("random")
    analysis_transform: str = "stft"
    analysis_fft_length: int = 2048
    analysis_frame_length: int = 2048
    analysis_frame_step: int = 512
    picture_scale: str = "db"
    picture_size: tuple[int, int] = (600, 1200)
    drawing: str = "specshow"
    colormap: str = "magma"

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # JSON has no NumPy scalars
            object.__setattr__(self, field.name, plain(getattr(self, field.name)))
        for name in _INTEGERS:
            check_integer(name, getattr(self, name), minimum=2 if name == "frames" else 1)
        for name, limit in _INTEGERS.items():
            limits.check(limit, getattr(self, name), f"`{name}`")
        for prefix in ("", "analysis_"):
            fft, frame, step = (getattr(self, prefix + n) for n in ("fft_length", "frame_length", "frame_step"))
            if fft % 2:
                raise ValueError(f"`{prefix}fft_length` must be even. Received: {prefix}fft_length={fft}")
            if not step <= frame <= fft:
                raise ValueError(
                    f"`{prefix}frame_step` <= `{prefix}frame_length` <= `{prefix}fft_length` must hold. "
                    f"Received: {prefix}frame_step={step}, {prefix}frame_length={frame}, {prefix}fft_length={fft}"
                )
            transform = getattr(self, prefix + "transform")
            check_choice(f"{prefix}transform", transform, TRANSFORMS)
            if transform == "mdct" and not (2 * step == frame == fft and step % 2 == 0):
                raise ValueError(
                    f"With `{prefix}transform='mdct'`, `{prefix}frame_length` and `{prefix}fft_length` must be twice "
                    f"`{prefix}frame_step`, which must be even. Received: {prefix}frame_step={step}, "
                    f"{prefix}frame_length={frame}, {prefix}fft_length={fft}"
                )
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
        # Numbers that are equal must hash equally: 80 and 80.0 are the same config.
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
        """What the chain would take in memory and time is limited, whoever wrote the config."""
        limits.check("config_cells", self.bins * self.frames, "The magnitudes, `fft_length` // 2 times `frames`,")
        columns, bins = self.samples // self.analysis_frame_step + 1, self.analysis_fft_length // 2 + 1
        limits.check(
            "config_cells", columns * bins, "The spectrogram, by `analysis_fft_length` and `analysis_frame_step`,"
        )
        limits.check("picture_pixels", math.prod(self.picture_size), "`picture_size`")

    @classmethod
    def preset(cls, name: str) -> SonificationConfig:
        """The config of that name: `"study"` (the published chain), `"matched"` or `"lossless"`.

        Raises:
            ValueError: There is no such preset.
        """
        check_choice("preset", name, presets())
        return cls(**_PRESETS[name])

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SonificationConfig:
        """The config that `to_dict` gave. Fields that are left out take their defaults.

        Raises:
            ValueError: `values` is no mapping, or a field is unknown or breaks its rule.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"A config must be a mapping of its fields to values. Received: {shown(values)}")
        known = [field.name for field in dataclasses.fields(cls)]
        unknown = [name for name in values if name not in known]
        if unknown:
            raise ValueError(f"Unknown config fields. Allowed values: {known}. Received: {shown(unknown)}")
        return cls(**values)

    @classmethod
    def from_json(cls, text: bytes) -> SonificationConfig:
        """The config that `to_dict` gave, written as JSON, as a file carries it.

        Raises:
            ValueError: It is longer than `sonikeras.limits` allows, not UTF-8 or not JSON, has a field twice, or one
                that is unknown or breaks its rule.
        """
        limits.check("config_bytes", len(text), "A config's text")
        try:
            values = json.loads(text.decode("utf-8"), object_pairs_hook=_fields)
        except RecursionError:  # whose traceback would be as deep
            raise ValueError(
                "A config must be a mapping of its fields to values. Received: deeply nested JSON"
            ) from None
        return cls.from_dict(values)

    def to_dict(self) -> dict[str, Any]:
        """All fields, as values that JSON has."""
        return dataclasses.asdict(self) | {"picture_size": list(self.picture_size)}

    def replace(self, **changes: Any) -> SonificationConfig:
        """A copy with some fields changed, validated again."""
        return self.from_dict(self.to_dict() | changes)

    @property
    def bins(self) -> int:
        """Frequency bins of the synthesis: rows that the image is resized to."""
        return self.fft_length // 2 + (self.transform == "stft")

    @property
    def samples(self) -> int:
        """Length of the sound in samples."""
        return (self.frames + (1 if self.transform == "mdct" else -1)) * self.frame_step

    @property
    def seconds(self) -> float:
        """Length of the sound in seconds."""
        return self.samples / self.sample_rate

    def sound_key(self) -> str:
        """Hexadecimal digest of the fields that decide the sound: configs that only draw differently share it."""
        return _sound_key(self)


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError(f"A config must have each field once. Received: {shown([name for name, _ in pairs])}")
    return fields


@functools.lru_cache(maxsize=8)
def _sound_key(config: SonificationConfig) -> str:
    sound = [f.name for f in dataclasses.fields(config) if f.metadata.get("sound")]
    text = json.dumps({name: getattr(config, name) for name in sound}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def presets() -> list[str]:
    """Names that `SonificationConfig.preset` and every `config` argument take."""
    return list(_PRESETS)


def as_config(config: str | SonificationConfig) -> SonificationConfig:
    """A preset's name or a config, as a config."""
    if isinstance(config, SonificationConfig):
        return config
    if isinstance(config, str):
        return SonificationConfig.preset(config)
    raise ValueError(
        f"`config` must be a SonificationConfig or the name of a preset: {presets()}. Received: config={config!r}"
    )
