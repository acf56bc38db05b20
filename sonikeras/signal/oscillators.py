"""Additive synthesis: one sinusoid for each row of an image, as loud as its pixels are bright, and its inverse.

A scan hears an image column by column, from left to right. The rows can have any frequencies. Nothing is random and the
audio is linear in the pixels: it changes as little as they do, which suits live images.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from sonikeras.config import FREQUENCY_SCALES, limits
from sonikeras.config._checks import check_choice, check_integer, check_number
from sonikeras.config._raster import evenly_spaced
from sonikeras.signal import _oscillator_bank as banks, _oscillator_equations as equations
from sonikeras.signal._backend import check_real, constant, operations
from sonikeras.signal._oscillator_bank import low_crest_phases
from sonikeras.signal.spectrograms import analysis_window

__all__ = [
    "amplitude",
    "audio_to_magnitudes",
    "low_crest_phases",
    "magnitudes_to_audio",
    "row_frequencies",
    "row_power",
]

# The inverse weighs contrast, the mean square of the difference of neighboring pixels in 0..1, against noise, its power
# relative to that of a white row. It begins with the contrast of photos. The lowest values keep the equations solvable.
_CONTRAST = 0.01


_LEAST_CONTRAST = 1e-6


_LEAST = 1e-11


def row_frequencies(rows: int, *, min_freq: float, max_freq: float, scale: str = "log") -> np.ndarray:
    """The frequencies of rows, evenly spaced on an axis.

    Args:
        rows: Positive integer, the number of rows.
        min_freq: Float, the frequency of the lowest row in Hz.
        max_freq: Float, the frequency of the highest row in Hz.
        scale: `"linear"`, `"log"` (evenly spaced in pitch) or `"mel"` (Slaney's scale, as in librosa). Defaults to
            `"log"`.

    Returns:
        float64 array `[rows]`, lowest first.

    Raises:
        ValueError: The band is empty, reversed or reaches 0 Hz, or another argument is not allowed.

    Example:
        >>> from sonikeras.signal.oscillators import row_frequencies
        >>> row_frequencies(3, min_freq=500, max_freq=2000)
        array([ 500., 1000., 2000.])
    """
    check_integer("rows", rows, minimum=1)
    check_number("min_freq", min_freq, "a frequency above 0 Hz", lambda x: x > 0)
    check_number("max_freq", max_freq, "a finite frequency above `min_freq`", lambda x: x > min_freq)
    check_choice("scale", scale, FREQUENCY_SCALES)
    return evenly_spaced(rows, min_freq, max_freq, scale)


def amplitude(frequencies: Sequence[float], *, sample_rate: int, frames: int, frame_step: int) -> float:
    """The amplitude of a white row: the largest at which the audio of no image clips.

    In the worst image, at the worst sample, all rows are white where their sinusoids have one sign, and black
    elsewhere. For 64 rows this is about 1/32, and 6 dB more than if all sinusoids could peak together.

    Args:
        frequencies: Sequence of the rows' frequencies in Hz, increasing, above 0 and below half the sample rate.
        sample_rate: Integer, samples per second.
        frames: Integer, columns of the image.
        frame_step: Integer, samples from one column to the next.

    Returns:
        Float in `1 / rows..1`.

    Raises:
        ValueError: An argument is not allowed.

    Example:
        >>> from sonikeras.signal.oscillators import amplitude
        >>> amplitude([440], sample_rate=22050, frames=8, frame_step=512) >= 1
        True
    """
    bank = banks.as_bank(frequencies, sample_rate=sample_rate, frames=frames, frame_step=frame_step)
    return 1 / banks.highest_peak(bank)


def magnitudes_to_audio(magnitudes: Any, *, frequencies: Sequence[float], sample_rate: int, frame_step: int) -> Any:
    r"""The sum of one sinusoid for each row, whose amplitude follows the row.

    $$x[n] = A \sum_k a_k[n] \cos(2 \pi f_k n / f_s + \varphi_k)$$

    The amplitudes `a` are those of the pixels at the centers of columns, and straight lines between them. They are 0 at
    both ends of the audio, which therefore begins and ends without a click. `A` is `amplitude`, and the phases are
    `low_crest_phases`: they continue from column to column and are the same for every image.

    An array is computed with single precision by compiled code, and its error is below `2e-6 * A * sqrt(rows)`. It is
    that small for long audio too, because the phases of each column are computed with double precision. A tensor is
    computed by two matrix products of its backend, and has a gradient.

    Args:
        magnitudes: float array or tensor `[..., frames, rows]` in 0..1, lowest frequency first, whose last two
            dimensions are static.
        frequencies: Sequence of the rows' frequencies in Hz, increasing, above 0 and below half the sample rate.
        sample_rate: Integer, samples per second.
        frame_step: Integer, samples from one column to the next.

    Returns:
        float32 array or tensor `[..., frames * frame_step]` in -1..1.

    Raises:
        ValueError: An argument is not allowed, or `magnitudes` are not real or have another number of rows.

    References:
        Meijer, "An experimental system for auditory image representations", IEEE Transactions on Biomedical
        Engineering 39(2), 1992: The vOICe, with 64 x 64 pixels a second and 500 to 5,000 Hz.

    Example:
        >>> import numpy as np
        >>> from sonikeras.signal.oscillators import magnitudes_to_audio, row_frequencies
        >>> frequencies = row_frequencies(64, min_freq=500, max_freq=5000)
        >>> magnitudes_to_audio(
        ...     np.ones((64, 64), "float32"), frequencies=frequencies, sample_rate=22050, frame_step=344
        ... ).shape
        (22016,)
    """
    check_real("`magnitudes`", magnitudes)
    *leading, frames, rows = magnitudes.shape
    bank = banks.as_bank(frequencies, sample_rate=sample_rate, frames=frames, frame_step=frame_step)
    if rows != len(bank.frequencies):
        raise ValueError(
            f"`frequencies` must be as many as `magnitudes` has rows. "
            f"Received: {len(bank.frequencies)} frequencies, magnitudes of shape={tuple(magnitudes.shape)}"
        )
    if not isinstance(magnitudes, np.ndarray):
        return sum_sinusoids(magnitudes, bank) / banks.highest_peak(bank)
    from sonikeras.signal import _oscillator_kernels as kernels

    anchors, tables = banks.tables(bank, kernels.TILE)
    clips = magnitudes.reshape(-1, frames, rows)
    audio = np.empty((len(clips), frames * frame_step), np.float32)
    for clip, waveform in zip(clips, audio, strict=True):
        waveform[:] = kernels.synthesize(clip, anchors, tables, frame_step=frame_step)
    audio *= np.float32(1 / banks.highest_peak(bank))
    return audio.reshape(*leading, frames * frame_step)


def sum_sinusoids(magnitudes: Any, bank: banks.Bank) -> Any:
    """`magnitudes_to_audio` as matrix products, before scaling. `_oscillator_kernels.synthesize` has the formula."""
    ops = operations(magnitudes)
    magnitudes = ops.cast(magnitudes, "float32")
    step = bank.frame_step
    half = (step + 1) // 2
    # Beyond the ends lie columns of the opposite sign, so that the amplitude is 0 at the first and the last sample.
    columns = ops.concatenate([-magnitudes[..., :1, :], magnitudes, -magnitudes[..., -1:, :]], axis=-2)
    before, after = columns[..., :-1, :], columns[..., 1:, :]
    mean, slope = (before + after) / 2, (after - before) / step
    tables = banks.tables(bank, 1)
    (cosine, sine), (of_cosine, of_sine) = ([constant(x, magnitudes) for x in pair] for pair in tables)
    q = constant(np.arange(half, dtype=np.float32) + np.float32(0.5), magnitudes)
    even = ops.matmul(mean * cosine, of_cosine) - q * ops.matmul(slope * sine, of_sine)
    odd = ops.matmul(mean * sine, of_sine) - q * ops.matmul(slope * cosine, of_cosine)
    first = (even - odd)[..., :-1, :]  # of each column
    second = ops.flip((even + odd)[..., 1:, : step // 2], axis=-1)
    return ops.reshape(ops.concatenate([first, second], axis=-1), (*ops.shape(magnitudes)[:-2], bank.frames * step))


def audio_to_magnitudes(
    audio: np.ndarray, *, frequencies: Sequence[float], sample_rate: int, frames: int, frame_step: int
) -> np.ndarray:
    """The magnitudes of audio from `magnitudes_to_audio`, by regularized least squares: its inverse.

    The sinusoids and their phases are known, so the audio is linear in the magnitudes. Among magnitudes that explain
    the audio equally well, the smoothest ones are found: the contrast of neighboring pixels is weighed against the
    noise in the audio, which shows in what no magnitudes explain. Negative values are then set to 0. A constant offset
    of the audio has no effect.

    A row and a column are resolved where the distance of the rows in Hz times the duration of a column is at least 1/2.
    Below that, neighboring rows blur as soon as there is noise. At the setting of The vOICe these are the rows below
    900 Hz. Audio of 16 bits resolves even them: photos come back with a PSNR of 53 to 58 dB, with 30 dB of noise 32 dB.

    The time grows with `frames * rows**3`: 64 x 64 takes 20 ms, 513 rows and 128 columns take a minute or two.

    The audio must begin with the first sample of the scan: a delay of one sample turns the phase of 5 kHz by a quarter
    of a cycle at 22,050 Hz.

    Args:
        audio: float array `[samples]`. It is cropped to `frames * frame_step` samples, or filled up with zeros.
        frequencies: Sequence of the rows' frequencies in Hz, as in the synthesis.
        sample_rate: Integer, as in the synthesis.
        frames: Integer, columns of the image.
        frame_step: Integer, as in the synthesis.

    Returns:
        float32 array `[frames, rows]`, not negative, lowest frequency first.

    Raises:
        ValueError: An argument is not allowed, or the equations exceed the limit `oscillator_cells`: they take
            `32 * frames * rows**2` bytes.

    References:
        Golub and Van Loan, "Matrix computations", 2013, section 4.3, banded systems.
        Hansen, "Rank-deficient and discrete ill-posed problems", 1998, on general-form Tikhonov regularization.

    Example:
        >>> import numpy as np
        >>> from sonikeras.signal.oscillators import audio_to_magnitudes, magnitudes_to_audio, row_frequencies
        >>> settings = {
        ...     "frequencies": row_frequencies(16, min_freq=500, max_freq=5000, scale="linear"),
        ...     "sample_rate": 22050,
        ...     "frame_step": 400,
        ... }
        >>> image = np.random.default_rng(0).random((20, 16))
        >>> again = audio_to_magnitudes(magnitudes_to_audio(image, **settings), frames=20, **settings)
        >>> bool(np.abs(again - image).max() < 1e-3)
        True
    """
    from scipy.linalg import cho_solve_banded, cholesky_banded

    bank = banks.as_bank(frequencies, sample_rate=sample_rate, frames=frames, frame_step=frame_step)
    rows, samples = len(bank.frequencies), frames * frame_step
    limits.check("oscillator_cells", 2 * frames * rows**2, "The inverse of oscillators, 2 times `frames` times rows^2,")
    audio = np.asarray(audio, np.float64)[:samples] * banks.highest_peak(bank)
    audio = np.pad(audio, (0, samples - len(audio)))
    projected = np.stack([equations.project(x, bank).reshape(-1) for x in (audio, np.ones(samples))], axis=1)
    normal = equations.normal_matrix(bank)
    white = float(normal[0].mean())  # the energy of a white pixel
    noise, contrast = _LEAST, _CONTRAST
    for _ in range(3):  # with the noise that the first result leaves, then with the contrast of the second
        weight = noise / contrast * white
        matrix = equations.smoothed(normal, weight, frames=frames, ridge=_LEAST * white)
        factor = cholesky_banded(matrix, overwrite_ab=True, lower=True, check_finite=False)
        of_audio, of_offset = cho_solve_banded((factor, True), projected, check_finite=False).T
        # A constant is one more unknown of the least squares: files are rounded down, and microphones have an offset.
        offset = (audio.sum() - projected[:, 1] @ of_audio) / (samples - projected[:, 1] @ of_offset)
        found = of_audio - offset * of_offset
        if noise > _LEAST:
            contrast = max(equations.roughness(np.maximum(found, 0), rows) / (2 * frames * rows), _LEAST_CONTRAST)
        unexplained = audio @ audio - found @ projected[:, 0] - offset * audio.sum()
        unexplained -= weight * equations.roughness(found, rows)
        noise = max(unexplained / max(samples - frames * rows, samples / 8) / white, _LEAST)
    return np.maximum(found, 0).reshape(frames, rows).astype(np.float32)


def row_power(
    audio: Any,
    *,
    frequencies: Sequence[float],
    sample_rate: int,
    frame_step: int,
    frame_length: int,
    window: str = "hann",
) -> Any:
    """The squared amplitudes of sinusoids in audio, at the frequencies of rows and whatever their phases are.

    It is the squared magnitude of a Fourier transform at these frequencies, in windows that are centered on columns. A
    long window separates neighboring rows, a short one neighboring columns. Where neither is possible, neighbors blur:
    `audio_to_magnitudes` knows the phases and separates more, but needs audio that is aligned to the sample.

    Args:
        audio: float array or tensor `[..., samples]`, whose number of samples is static and at least `frame_step`.
        frequencies: Sequence of the rows' frequencies in Hz, increasing, above 0 and below half the sample rate.
        sample_rate: Integer, samples per second.
        frame_step: Integer, samples from one column to the next.
        frame_length: Integer of at least `frame_step`, length of the window in samples.
        window: A window that `scipy.signal.get_window` knows. Defaults to `"hann"`.

    Returns:
        float32 array or tensor `[..., frames, rows]`, lowest frequency first, where `frames = samples // frame_step`.
        It is 1 where the amplitude of a sinusoid is 1, and in the columns at the ends where it rises from 0 and falls
        to 0 there as it does in `magnitudes_to_audio`.

    Raises:
        ValueError: An argument is not allowed, or `audio` is not real or shorter than a column.

    Example:
        >>> import numpy as np
        >>> from sonikeras.signal.oscillators import row_power
        >>> tone = np.sin(2 * np.pi * 1000 / 22050 * np.arange(22050))
        >>> power = row_power(
        ...     tone, frequencies=[500, 1000, 2000], sample_rate=22050, frame_step=512, frame_length=2048
        ... )
        >>> power.shape, power[20].round(3).tolist()
        ((43, 3), [0.0, 1.0, 0.0])
    """
    check_real("`audio`", audio)
    check_integer("frame_length", frame_length, minimum=frame_step)
    samples = audio.shape[-1]
    if samples < frame_step:
        raise ValueError(
            f"`audio` must have at least `frame_step` samples. Received: {samples} samples, frame_step={frame_step}"
        )
    bank = banks.as_bank(frequencies, sample_rate=sample_rate, frames=samples // frame_step, frame_step=frame_step)
    ops = operations(audio)
    index, matrix, scale = (constant(x, audio) for x in _analysis(bank, frame_length, window))
    audio = ops.cast(audio[..., : bank.frames * frame_step], "float32")
    padded = ops.pad(audio, [(0, 0)] * (len(audio.shape) - 1) + [(frame_length, frame_length)])
    spectrum = ops.matmul(ops.take(padded, index, axis=-1), matrix) * scale
    real, imaginary = ops.split(spectrum, 2, axis=-1)
    return ops.square(real) + ops.square(imaginary)


@functools.lru_cache(maxsize=8)
def _analysis(bank: banks.Bank, frame_length: int, window: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `row_power` computes with.

    Returns:
        `(index, matrix, scale)`: the samples `[frames, frame_length]` of each window, with `frame_length` zeros in
        front; the transform `[frame_length, 2 * rows]`, real and imaginary part; and the factor `[frames, 1]`.
    """
    step, samples = bank.frame_step, bank.frames * bank.frame_step
    position = np.arange(frame_length)
    index = np.arange(bank.frames)[:, None] * step + (step - frame_length) // 2 + position
    weights = analysis_window(window, frame_length)
    angles = 2 * np.pi / bank.sample_rate * np.outer(position - (frame_length - 1) / 2, bank.frequencies)
    matrix = weights[:, None] * np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    rise = np.clip(np.minimum(index + 0.5, samples - index - 0.5) / (step / 2), 0, 1)
    scale = 2 / (rise @ weights)[:, None]
    return (index + frame_length).astype(np.int32), matrix.astype(np.float32), scale.astype(np.float32)
