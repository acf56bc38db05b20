"""Audio to spectrograms."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from sonikeras.config import WINDOWS
from sonikeras.config._checks import check_choice, check_frame, check_integer, check_number, plain
from sonikeras.layers._signal_layer import SignalLayer
from sonikeras.signal import spectrograms
from sonikeras.signal._backend import constant

SCALES = ("db", "amplitude", "power")
MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")
FREQUENCY_SCALES = ("linear", "mel", "log")
_C1 = 32.703


@keras.saving.register_keras_serializable(package="sonikeras")
class Spectrogram(SignalLayer):
    """Spectrogram of raw audio, equal to librosa's: a replacement for `keras.layers.STFTSpectrogram`.

    The default is `20 * log10(|STFT|)` with a periodic window and frames centered as in librosa (zeros beyond the
    ends). Decibels are relative to the loudest bin of each example, whatever else is in the batch. The layer computes a
    fast Fourier transform, `tf.signal.stft` on TensorFlow. Windows and bands are constants, so it has no weights. It
    computes in float32, also under mixed precision, or in double precision with `dtype="float64"`.

    Args:
        frame_length: Integer, length of the window in samples. Defaults to 2048.
        frame_step: Integer, samples from one frame to the next, or `None` for half of `frame_length`. Defaults to 512.
        fft_length: Integer of at least `frame_length`, size of the transform. Defaults to `frame_length`.
        window: A window that `scipy.signal.get_window` knows: its name, such as `"hann"`, `"hamming"` or
            `"blackman"`, or a tuple of its name and parameters, such as `("kaiser", 14.0)`. `None` means all ones.
            Defaults to `"hann"`.
        center: Boolean, whether frames are centered at their time, with zeros beyond the ends. Defaults to `True`.
        scale: `"db"`, `"amplitude"` (magnitude) or `"power"` (squared). Defaults to `"db"`.
        reference: `"max"`, the example's loudest bin is 0 dB, or a float, the amplitude of 0 dB. Defaults to `"max"`.
        top_db: Float, range in dB below the example's loudest bin, or `None` for no limit. Defaults to 80.
        mode: `None` or an output of `keras.layers.STFTSpectrogram`, which replaces `scale`. `"magnitude"`; `"log"`, the
            natural logarithm of the magnitude, of at least `sqrt(keras.config.epsilon())`; `"psd"`, the power of both
            sides of an even transform: twice that of all bins except the first and the last; `"real"`, `"imag"`,
            `"angle"` in radians; or `"stft"`, the real parts of all bins before the imaginary parts. Defaults to
            `None`.
        scaling: What the window is divided by: `"density"`, the square root of its sum of squares; `"spectrum"`, its
            sum; or `None`. Defaults to `None`.
        periodic: Boolean, whether the window is periodic, for spectral analysis, or symmetric. Defaults to `True`.
        padding: `None`, or `"valid"` or `"same"` for the frames of `keras.layers.STFTSpectrogram`, which replace
            `center`: frames begin at their time, either within the audio or `ceil(samples / frame_step)` of them.
            Defaults to `None`.
        expand_dims: Boolean, whether channels have an axis of their own. If `False`, the bins of all channels are
            concatenated. Defaults to `True`.
        data_format: `"channels_last"` or `"channels_first"`, for inputs with channels. Defaults to
            `keras.config.image_data_format()`.
        frequency_scale: `"linear"`: the bins of the transform. `"mel"`: the bands of `librosa.filters.mel`, whose sums
            are those of `librosa.feature.melspectrogram`. `"log"`: bands evenly spaced in pitch. Defaults to
            `"linear"`.
        num_bins: Integer, number of bands. Defaults to 128.
        sampling_rate: Float, samples per second, used by bands only. Defaults to 22050.
        min_freq: Float, the lowest frequency of the bands in Hz. Defaults to 0 with `"mel"` and to 32.703, the note C1,
            with `"log"`.
        max_freq: Float, the highest frequency of the bands in Hz. Defaults to half of `sampling_rate`.
        **kwargs: Arguments of `keras.layers.Layer`. `trainable` defaults to `False`.

    Input shape:
        Tensor of any real type: `[batch, samples]` or `[batch, samples, channels]`, or with `"channels_first"`
        `[batch, channels, samples]`. The channels of an example share its reference. Integers are not scaled. In a
        graph with dynamic samples, audio shorter than a frame has no frames.

    Output shape:
        `[batch, frames, bins]`, `[batch, frames, bins, channels]` or `[batch, channels, frames, bins]`. With
        `expand_dims=False`, `[batch, frames, channels * bins]` or `[batch, channels * bins, frames]`. `bins` is
        `fft_length // 2 + 1`, twice that with `mode="stft"`, or the number of bands. With centered frames and an even
        transform, `frames` is `1 + samples // frame_step`. Half precision saturates at its largest number, 65504 in
        float16, which the power of loud audio exceeds.

    Raises:
        ValueError: An argument breaks its rule, or the input has a rank other than 2 or 3, is shorter than a frame, or
            is not real or not dense.

    References:
        The [short-time Fourier transform](https://librosa.org/doc/latest/generated/librosa.stft.html) of librosa,
        [`keras.layers.STFTSpectrogram`](https://keras.io/api/layers/preprocessing_layers/audio_preprocessing/), and the
        bands of `sonikeras.signal.spectrograms.filter_bank`.

    Example:
        >>> import numpy as np, sonikeras
        >>> audio = np.random.default_rng(0).normal(size=(1, 22050)).astype("float32")
        >>> sonikeras.layers.Spectrogram()(audio).shape[1:]
        TensorShape([44, 1025])
        >>> sonikeras.layers.Spectrogram(frequency_scale="mel", num_bins=80)(audio).shape[1:]
        TensorShape([44, 80])
    """

    ARGUMENTS = (
        "frame_length", "frame_step", "fft_length", "window", "center", "scale", "reference", "top_db", "mode",
        "scaling", "periodic", "padding", "expand_dims", "data_format", "frequency_scale", "num_bins",
        "sampling_rate", "min_freq", "max_freq",
    )  # fmt: skip

    def __init__(
        self,
        frame_length: int = 2048,
        frame_step: int | None = 512,
        fft_length: int | None = None,
        window: spectrograms.Window = "hann",
        center: bool = True,
        scale: str = "db",
        *,
        reference: str | float = "max",
        top_db: float | None = 80,
        mode: str | None = None,
        scaling: str | None = None,
        periodic: bool = True,
        padding: str | None = None,
        expand_dims: bool = True,
        data_format: str | None = None,
        frequency_scale: str = "linear",
        num_bins: int | None = None,
        sampling_rate: float = 22050,
        min_freq: float | None = None,
        max_freq: float | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("trainable", False)
        super().__init__(**kwargs)
        frame_length = check_integer("frame_length", frame_length, minimum=1)
        self._frame_step = max(frame_length // 2, 1) if frame_step is None else plain(frame_step)
        check_frame(frame_length, self._frame_step, fft_length)
        check_choice("scale", scale, SCALES)
        check_choice("mode", mode, (None, *MODES))
        check_choice("scaling", scaling, (None, "density", "spectrum"))
        check_choice("padding", padding, (None, "valid", "same"))
        check_choice("data_format", data_format, (None, "channels_last", "channels_first"))
        check_choice("frequency_scale", frequency_scale, FREQUENCY_SCALES)
        for name, value in (("center", center), ("periodic", periodic), ("expand_dims", expand_dims)):
            check_choice(name, value, (True, False))
        if plain(reference) != "max":
            check_number("reference", reference, '"max" or a finite number above 0', lambda x: x > 0)
        if top_db is not None:
            check_number("top_db", top_db, "None or a finite number above 0", lambda x: x > 0)
        self.frame_length = frame_length
        self.frame_step = plain(frame_step)
        self.fft_length = plain(fft_length)
        self.window = _checked_window(plain(window), frame_length)
        self.center = plain(center)
        self.scale = plain(scale)
        self.reference = plain(reference)
        self.top_db = plain(top_db)
        self.mode = plain(mode)
        self.scaling = plain(scaling)
        self.periodic = plain(periodic)
        self.padding = plain(padding)
        self.expand_dims = plain(expand_dims)
        self.data_format = plain(data_format) or keras.config.image_data_format()
        self.frequency_scale = plain(frequency_scale)
        self.num_bins = plain(num_bins)
        self.sampling_rate = plain(sampling_rate)
        self.min_freq = plain(min_freq)
        self.max_freq = plain(max_freq)
        self._check_bands()

    def call(self, inputs: Any) -> Any:
        self.compute_output_shape(tuple(inputs.shape))
        audio = ops.cast(inputs, "float64" if self.compute_dtype == "float64" else "float32")
        if len(inputs.shape) == 3 and self.data_format == "channels_last":
            audio = ops.swapaxes(audio, 1, 2)
        spectrogram = self._values(
            *spectrograms.stft(
                audio,
                frame_length=self.frame_length,
                frame_step=self._frame_step,
                fft_length=self._fft_length,
                window=self.window,
                center=self.center,
                padding=self.padding,
                periodic=self.periodic,
                scaling=self.scaling,
            )
        )
        if len(inputs.shape) == 3:
            spectrogram = self._arranged(spectrogram)
        cast = ops.saturate_cast if self.compute_dtype == "float16" else ops.cast
        return cast(spectrogram, self.compute_dtype)

    def _arranged(self, spectrogram: Any) -> Any:
        """Rearranges `[batch, channels, frames, bins]` as `data_format` and `expand_dims` demand."""
        last = self.data_format == "channels_last"
        if self.expand_dims:
            return ops.transpose(spectrogram, (0, 2, 3, 1)) if last else spectrogram
        batch, channels, frames, bins = ops.shape(spectrogram)
        if last:
            return ops.reshape(ops.transpose(spectrogram, (0, 2, 1, 3)), (batch, frames, channels * bins))
        return ops.reshape(ops.transpose(spectrogram, (0, 1, 3, 2)), (batch, channels * bins, frames))

    def _values(self, real: Any, imaginary: Any) -> Any:
        """The requested output for a transform `[batch, ..., frames, bins]`."""
        kind = self.mode or self.scale
        if kind == "real":
            return real
        if kind == "imag":
            return imaginary
        if kind == "angle":
            return spectrograms.phase(real, imaginary)
        if kind == "stft":
            return ops.concatenate([real, imaginary], axis=-1)
        power = ops.square(real) + ops.square(imaginary)
        if self.frequency_scale != "linear":
            bank = spectrograms.filter_bank(
                self.frequency_scale, fft_length=self._fft_length, sampling_rate=self.sampling_rate, **self._bands
            )
            power = ops.matmul(power, constant(bank.astype(keras.backend.standardize_dtype(power.dtype)), power))
        if kind == "db":
            example = tuple(range(1, len(power.shape)))
            return spectrograms.power_to_db(power, axis=example, reference=self.reference, top_db=self.top_db)
        if kind == "log":
            return 0.5 * ops.log(spectrograms.floor(power, keras.config.epsilon()))
        if kind == "psd":
            sides = np.full(power.shape[-1], 2.0)
            sides[[0, -1]] = 1
            return power * constant(sides.astype(keras.backend.standardize_dtype(power.dtype)), power)
        return power if kind == "power" else spectrograms.power_to_amplitude(power)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        if len(input_shape) not in (2, 3):
            raise ValueError(
                "The input of `Spectrogram` must have the shape [batch, samples] or [batch, samples, channels], or "
                "[batch, channels, samples] with data_format='channels_first'. "
                f"Received: shape={input_shape}"
            )
        first = self.data_format == "channels_first" and len(input_shape) == 3
        batch, samples = input_shape[0], input_shape[-1 if first else 1]
        frames = None if samples is None else self._frames(samples)
        if self.frequency_scale == "linear":
            bins = (self._fft_length // 2 + 1) * (2 if self.mode == "stft" else 1)
        else:
            bins = self._bands["num_bins"]
        if len(input_shape) == 2:
            return (batch, frames, bins)
        channels = input_shape[1 if first else 2]
        if self.expand_dims:
            return (batch, channels, frames, bins) if first else (batch, frames, bins, channels)
        together = None if channels is None else channels * bins
        return (batch, together, frames) if first else (batch, frames, together)

    def _frames(self, samples: int) -> int:
        needed = self._fft_length if self.padding is None else self.frame_length
        padded = samples + (self._fft_length // 2 * 2 if self.padding is None and self.center else 0)
        frames = 1 + (padded - needed) // self._frame_step
        if self.padding == "same":
            frames = -(-samples // self._frame_step)
        if frames < 1 or samples < 1:
            raise ValueError(
                f"The input of `Spectrogram` must have at least one frame of {needed} samples, or one sample where "
                f"frames are centered or padding='same'. Received: {samples} samples"
            )
        return frames

    @property
    def _fft_length(self) -> int:
        return self.fft_length or self.frame_length

    @property
    def _bands(self) -> dict[str, Any]:
        """The number of bands, and their lowest and highest frequency."""
        lowest = 0.0 if self.frequency_scale == "mel" else _C1
        return {
            "num_bins": 128 if self.num_bins is None else self.num_bins,
            "min_freq": lowest if self.min_freq is None else self.min_freq,
            "max_freq": self.sampling_rate / 2 if self.max_freq is None else self.max_freq,
        }

    def _check_bands(self) -> None:
        check_number("sampling_rate", self.sampling_rate, "a finite number above 0", lambda x: x > 0)
        if self.frequency_scale == "linear":
            for name in ("num_bins", "min_freq", "max_freq"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"`{name}` must be None with frequency_scale='linear'. Received: {name}={getattr(self, name)!r}"
                    )
            return
        if self.mode not in (None, "log", "magnitude"):
            raise ValueError(
                "`mode` must be None, 'log' or 'magnitude' where `frequency_scale` is not 'linear', because bands have "
                f"no phase. Received: mode={self.mode!r}, frequency_scale={self.frequency_scale!r}"
            )
        check_integer("num_bins", self._bands["num_bins"], minimum=1)
        low, high = self._bands["min_freq"], self._bands["max_freq"]
        check_number("min_freq", low, "a finite number", lambda x: True)
        check_number("max_freq", high, "a finite number", lambda x: True)
        if not 0 <= low < high <= self.sampling_rate / 2 or (low == 0 and self.frequency_scale == "log"):
            raise ValueError(
                "0 <= `min_freq` < `max_freq` <= `sampling_rate` / 2 must hold, and with frequency_scale='log' "
                f"0 < `min_freq`. Received: min_freq={low}, max_freq={high}, sampling_rate={self.sampling_rate}"
            )


def _checked_window(window: Any, length: int) -> spectrograms.Window:
    """A window in the form that `scipy.signal.get_window` takes. Saved models store tuples as lists."""
    window = "boxcar" if window is None else _tuples(window)
    if isinstance(window, str) and window in WINDOWS:  # without SciPy, which is slow to import
        return window
    from scipy.signal import get_window

    try:
        if window and isinstance(window, str | tuple):
            get_window(window, length)
            return window
        reason = "not a name"
    except (ValueError, TypeError) as error:
        reason = str(error)
    raise ValueError(
        f"Unknown `window`. Allowed values: {list(WINDOWS)}, any other window of scipy.signal.get_window as a name or "
        f"a tuple of a name and parameters, or None. Received: window={window!r} ({reason})"
    )


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
