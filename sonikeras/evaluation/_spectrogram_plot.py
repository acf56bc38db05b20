"""The spectrogram of audio as a figure with axes, on a linear, a logarithmic or the mel scale of frequencies."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from sonikeras.config import SonificationConfig, as_config
from sonikeras.config._checks import check_audio, check_choice, check_number
from sonikeras.config._raster import SCALES
from sonikeras.evaluation._drawing import MARK, drawable, new_figure, save_figure
from sonikeras.signal import spectrograms

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROWS = 1200  # of the drawn image, which is about twice as many as its pixels

_LOWEST = 20.0  # Hz, where a logarithmic axis starts: the lowest frequency that is heard

_TICKS = 8  # about as many on the frequency axis

_NEAREST_TICKS = 0.04  # fraction of the axis


def spectrogram(
    audio: np.ndarray,
    path: str | os.PathLike[str],
    config: str | SonificationConfig = "study",
    *,
    frequency_scale: str | None = None,
    min_freq: float | None = None,
    max_freq: float | None = None,
    colormap: str = "magma",
    title: str | None = None,
) -> None:
    """Draws the spectrogram of audio with axes: time in s, frequency in Hz and kHz, and a color bar in dB.

    The spectrogram is a short-time Fourier transform with the analysis sizes of the config. 0 dB is its loudest bin.
    Where several bins share a row of the figure, the loudest is drawn. If the image fills a band, dashed lines are its
    limits. Stereo audio has two panels.

    Args:
        audio: float array `[samples]` or `[samples, 2]` at `config.sample_rate`.
        path: Image file to write, atomically. Its suffix sets the format.
        config: Preset, `SonificationConfig`, or path to one. Its sample rate, band, analysis sizes and `top_db`, the
            range of the colors, are used. Defaults to `"study"`.
        frequency_scale: `"linear"`, `"log"` or `"mel"` (Slaney's, as in librosa). Defaults to `None`: the config's.
        min_freq: Number, the lowest frequency of the axis in Hz. Defaults to `None`: 0, or with `"log"` 20 Hz or the
            lower limit of the config's band if that is lower.
        max_freq: Number, the highest frequency of the axis in Hz. Defaults to `None`: half the sample rate.
        colormap: Name of a matplotlib colormap. Defaults to `"magma"`.
        title: Text above the figure. Defaults to `None`.

    Raises:
        ValueError: `audio` is not such an array or not finite, a name is unknown, or a frequency is not in the range of
            the audio.

    Example:

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "spectrogram.png")
    >>> tone = np.sin(2 * np.pi * 440 / 22050 * np.arange(22050)).astype("float32")
    >>> spectrogram(tone, path, frequency_scale="log", title="A4")
    >>> os.path.exists(path)
    True
    """
    config = as_config(config)
    audio = check_audio(audio, stereo=True)
    frequency_scale = check_choice("frequency_scale", frequency_scale or config.frequency_scale, SCALES)
    low, high = _band(config, frequency_scale, min_freq, max_freq)
    channels = audio.T if audio.ndim == 2 else audio[None]
    db = _decibels(channels, config)

    figure = new_figure(12, 4.5 * len(channels))
    panels = figure.subplots(len(channels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, values, name in zip(panels, db, ("left", "right"), strict=False):
        drawn = _draw(axes, values, channels.shape[1], config, (low, high), frequency_scale, colormap)
        axes.set_ylabel("frequency", fontsize=12)
        if len(channels) == 2:
            axes.set_title(name, fontsize=12)
    panels[-1].set_xlabel("time (s)", fontsize=12)
    figure.colorbar(drawn, ax=list(panels), pad=0.02).set_label("dB relative to the loudest bin", fontsize=12)
    if title is not None:
        (text,), families = drawable([title], longest=100)
        figure.suptitle(text, fontsize=15, fontfamily=families, parse_math=False)
    save_figure(figure, path)


def _band(
    config: SonificationConfig, frequency_scale: str, min_freq: float | None, max_freq: float | None
) -> tuple[float, float]:
    """The lowest and the highest frequency of the axis in Hz."""
    highest = config.sample_rate / 2
    if max_freq is not None:
        rule = f"a number of Hz above 0 and at most {highest:g}, half the sample rate"
        highest = check_number("max_freq", max_freq, rule, lambda x: 0 < x <= highest)
    if min_freq is None:
        return (min(config.min_freq or _LOWEST, _LOWEST, highest / 2) if frequency_scale == "log" else 0.0), highest
    rule = f"a number of Hz of at least 0 and below {highest:g}"
    rule = rule.replace("of at least 0", "above 0") if frequency_scale == "log" else rule
    return check_number(
        "min_freq", min_freq, rule, lambda x: 0 <= x < highest and (x > 0 or frequency_scale != "log")
    ), highest


def _decibels(channels: np.ndarray, config: SonificationConfig) -> np.ndarray:
    """Decibels `[channels, frames, bins]` relative to the loudest bin of all channels."""
    _, fft_length, frame_length, frame_step = config.analysis
    power = spectrograms.stft_power(
        channels, frame_length=frame_length, frame_step=frame_step, fft_length=fft_length, window=config.window
    )
    if not power.any():  # silence, of which each bin is the loudest
        return np.full(power.shape, -config.top_db, np.float32)
    return spectrograms.power_to_db(power, axis=(-3, -2, -1), top_db=config.top_db)


def _draw(
    axes: Axes,
    db: np.ndarray,
    samples: int,
    config: SonificationConfig,
    band: tuple[float, float],
    frequency_scale: str,
    colormap: str,
) -> Any:
    """Draws decibels `[frames, bins]` of audio `[samples]`. The vertical coordinate is the position on the scale."""
    _, fft_length, _, frame_step = config.analysis
    forward, inverse = SCALES[frequency_scale]
    bottom, top = (float(forward(frequency)) for frequency in band)
    edges = np.asarray(inverse(np.linspace(bottom, top, _ROWS + 1))) * fft_length / config.sample_rate
    # Bin k reaches from k - 0.5 to k + 0.5. A row has all bins that begin in it, or else the one that it lies in.
    first = np.clip(np.floor(edges + 0.5).astype(int), 0, db.shape[1] - 1)
    rows = np.maximum.reduceat(db[:, : first[-1] + 1], first[:-1], axis=1).T
    end, half = (len(db) - 0.5) * frame_step / config.sample_rate, 0.5 * frame_step / config.sample_rate
    drawn = axes.imshow(
        rows,
        extent=(-half, end, bottom, top),
        origin="lower",
        aspect="auto",
        interpolation="antialiased",
        cmap=colormap,
        vmin=-config.top_db,
        vmax=0,
    )
    axes.set_xlim(0, min(end, samples / config.sample_rate))
    for limit in (config.min_freq, config.max_freq):
        if limit and band[0] <= limit <= band[1]:
            axes.axhline(float(forward(limit)), color=MARK, ls="--", lw=1.5)
    ticks = _ticks(band, frequency_scale)
    axes.set_yticks([float(forward(frequency)) for frequency in ticks], [_label(frequency) for frequency in ticks])
    return drawn


def _ticks(band: tuple[float, float], frequency_scale: str) -> list[float]:
    """Round frequencies on the axis, from the roundest on, none close to another one."""
    low, high = band
    forward, _ = SCALES[frequency_scale]
    if frequency_scale == "linear":
        return _evenly_spaced(low, high)
    near = _NEAREST_TICKS * (float(forward(high)) - float(forward(low)))
    decades = [10.0**n for n in range(-1, 7)]
    found = [0.0] if low == 0 else []
    for factors in ((1,), (2, 5), (3, 7)):
        for frequency in (factor * decade for decade in decades for factor in factors):
            place = float(forward(frequency))
            if low <= frequency <= high and all(abs(place - float(forward(other))) >= near for other in found):
                found.append(frequency)
        if len(found) >= _TICKS:
            break
    return sorted(found) if len(found) > 3 else _evenly_spaced(low, high)


def _evenly_spaced(low: float, high: float) -> list[float]:
    from matplotlib.ticker import MaxNLocator

    values = MaxNLocator(_TICKS, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(value) for value in values if low <= value <= high]


def _label(frequency: float) -> str:
    return f"{frequency / 1000:g} kHz" if frequency >= 1000 else f"{frequency:g} Hz"
