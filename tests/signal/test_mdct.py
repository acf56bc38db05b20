"""The MDCT is invertible and orthonormal, equals SciPy's and TensorFlow's, and any image survives it in 16 bits."""

import numpy as np
import pytest
import scipy.fft
import tensorflow as tf
from conftest import STUDY_PICTURES

import sonikeras
from sonikeras.signal.magnitudes import image_to_magnitudes
from sonikeras.signal.mdct import amplitude, inverse_mdct, low_crest_signs, mdct
from sonikeras.sources import _builtin as builtin

BINS = 512
RNG = np.random.default_rng(0)


def random(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def image_to_audio(image):
    """The audio of a uint8 image `[bins, frames]`."""
    magnitudes = np.flipud(image).T.astype(np.float32) / 255
    return inverse_mdct(magnitudes * low_crest_signs(len(image))) * amplitude(len(image))


def crest(audio):
    return 20 * np.log10(np.abs(audio).max() / np.sqrt(np.mean(audio**2)))


@pytest.mark.parametrize("bins", [2, 6, 64, 100, 512, 2048])
@pytest.mark.parametrize("convert", [np.asarray, tf.constant], ids=["array", "tensor"])
def test_each_inverts_the_other_and_keeps_energy(bins, convert):
    coefficients = random(9, bins)
    audio = inverse_mdct(convert(coefficients))
    assert type(audio) is type(convert(coefficients)) and audio.dtype == np.float32 and audio.shape == (10 * bins,)
    np.testing.assert_allclose(mdct(audio, frame_step=bins), coefficients, rtol=0, atol=1e-5)
    assert np.square(audio).sum() == pytest.approx(np.square(coefficients).sum(), rel=1e-5)
    # Only the first and the last step, which belong to one frame, may change.
    audio = convert(random(10 * bins))
    again = inverse_mdct(mdct(audio, frame_step=bins))
    np.testing.assert_allclose(again[bins:-bins], audio[bins:-bins], rtol=0, atol=1e-5)


@pytest.mark.parametrize("bins", [2, 6, 512])
def test_is_the_formula(bins):
    audio = random(4 * bins)
    n, k = np.arange(2 * bins)[:, None], np.arange(bins)
    window = np.sin(np.pi / (2 * bins) * (n + 0.5))
    basis = np.sqrt(2 / bins) * window * np.cos(np.pi / bins * (n + 0.5 + bins / 2) * (k + 0.5))
    expected = np.stack([audio[t * bins : (t + 2) * bins] @ basis for t in range(3)])
    for given in (audio, tf.constant(audio)):
        np.testing.assert_allclose(mdct(given, frame_step=bins), expected, rtol=0, atol=1e-5)


def test_is_scipys_dct_iv_of_folded_frames():
    frame = random(2 * BINS)
    a, b, c, d = np.split(frame * np.sin(np.pi / (2 * BINS) * (np.arange(2 * BINS) + 0.5)), 4)
    expected = scipy.fft.dct(np.concatenate([-c[::-1] - d, a - b[::-1]]), type=4, norm="ortho")
    np.testing.assert_allclose(mdct(tf.constant(frame), frame_step=BINS)[0], expected, rtol=0, atol=1e-5)


def test_is_tensorflows():
    def sine(length, dtype):
        return tf.sin(np.pi / tf.cast(length, dtype) * (tf.range(length, dtype=dtype) + 0.5))

    audio = random(3, 5 * BINS)
    expected = tf.signal.mdct(audio, 2 * BINS, window_fn=sine, norm="ortho")
    np.testing.assert_allclose(mdct(audio, frame_step=BINS), expected, rtol=0, atol=1e-5)
    expected = tf.signal.inverse_mdct(expected, window_fn=sine, norm="ortho")
    np.testing.assert_allclose(inverse_mdct(mdct(audio, frame_step=BINS)), expected, rtol=0, atol=1e-5)


def test_any_leading_shape_any_length_and_type():
    audio = random(2, 3, 70)
    together = mdct(audio, frame_step=16)
    assert together.shape == (2, 3, 3, 16)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_allclose(mdct(audio[i, j, :64], frame_step=16), together[i, j], rtol=0, atol=1e-6)
        np.testing.assert_allclose(inverse_mdct(together)[i, j], inverse_mdct(together[i, j]), rtol=0, atol=1e-6)
    for dtype in ("float16", "float64", "int16"):
        for given in ((100 * audio).astype(dtype), tf.constant(100 * audio, "float32")):
            assert mdct(given, frame_step=16).dtype == np.float32


@pytest.mark.parametrize("jit_compile", [False, True])
def test_dynamic_shapes_in_a_graph_and_under_xla(jit_compile):
    def round_trip(audio):
        coefficients = mdct(audio, frame_step=32)
        return coefficients, inverse_mdct(coefficients)

    compiled = tf.function(round_trip, jit_compile=jit_compile, input_signature=[tf.TensorSpec((None, None, None))])
    for shape in ((2, 1, 64), (1, 3, 200), (1, 1, 40)):  # the last has no frame
        audio = random(*shape)
        coefficients, again = compiled(audio)
        assert coefficients.shape == (*shape[:2], shape[2] // 32 - 1, 32)
        if shape[2] >= 64:
            np.testing.assert_allclose(coefficients, mdct(audio, frame_step=32), rtol=0, atol=1e-5)
            np.testing.assert_allclose(again, inverse_mdct(mdct(audio, frame_step=32)), rtol=0, atol=1e-5)


def test_gradient_is_the_transpose():
    audio, weights = tf.constant(random(2, 128)), random(2, 7, 16)
    with tf.GradientTape() as tape:
        tape.watch(audio)
        y = tf.reduce_sum(mdct(audio, frame_step=16) * weights)
    np.testing.assert_allclose(tape.gradient(y, audio), inverse_mdct(weights), rtol=0, atol=1e-5)
    coefficients = tf.constant(weights)
    with tf.GradientTape() as tape:
        tape.watch(coefficients)
        y = tf.reduce_sum(inverse_mdct(coefficients) * audio)
    np.testing.assert_allclose(tape.gradient(y, coefficients), mdct(audio, frame_step=16), rtol=0, atol=1e-5)


@pytest.mark.parametrize("bins", [2, 64, 128, 256, 512, 528, 882, 1024, 2048])
def test_no_image_clips(bins):
    # The transform of an impulse says how much each coefficient of two frames adds to that sample.
    impulses = np.concatenate([np.zeros((bins, bins)), np.eye(bins), np.zeros((bins, bins))], axis=1)
    contributions = mdct(impulses, frame_step=bins) * low_crest_signs(bins) * amplitude(bins)
    assert np.log2(amplitude(bins)) % 1 == 0
    for sign in (1, -1):
        bounds = np.maximum(sign * contributions, 0).sum(axis=(1, 2))
        worst_image = np.flipud((sign * contributions > 0)[bounds.argmax()].T) * np.uint8(255)
        peak = (sign * image_to_audio(worst_image)).max()
        assert peak == pytest.approx(bounds.max(), rel=1e-4)
        assert 0.2 < peak < 32767 / 32768


def test_8_bit_images_are_bit_identical_after_16_bit_audio(photo):
    natural = np.rint(255 * image_to_magnitudes(photo, config="lossless").T)[:, ::-1].T.astype(np.uint8)
    noise = RNG.integers(0, 256, natural.shape, dtype=np.uint8)
    extremes = [np.full_like(natural, value) for value in (0, 1, 254, 255)]
    checks = np.indices(natural.shape).sum(axis=0).astype(np.uint8) % 2 * 255
    for image in (natural, noise, *extremes, checks):
        pcm = np.rint(image_to_audio(image) * 32768)
        assert np.abs(pcm).max() <= 32767
        magnitudes = np.abs(mdct(pcm / 32768, frame_step=BINS)) / amplitude(BINS)
        np.testing.assert_array_equal(np.flipud(np.rint(255 * magnitudes).T).astype(np.uint8), image)


def test_peaks_are_low(photo):
    images = [photo]
    if STUDY_PICTURES.is_dir():
        images += [sonikeras.read_image(path) for path in sorted(STUDY_PICTURES.glob("train/*/Image_1*.png"))[::8]]
    for image in images:
        magnitudes = image_to_magnitudes(image, config="lossless").T
        low = crest(inverse_mdct(magnitudes * low_crest_signs(BINS)))
        assert low < 12
        assert low < crest(inverse_mdct(magnitudes * RNG.choice(np.float32([-1, 1]), BINS))) - 2
        assert low < crest(inverse_mdct(magnitudes)) - 10
    assert crest(image_to_audio(np.full((BINS, 128), 255, np.uint8))) < 7.5
    # Drawings on black are silent most of the time, which counts as peaks too.
    drawings = builtin.load(["cat", "zebra"], "test", 20)[0]
    crests = [
        crest(inverse_mdct(image_to_magnitudes(x, config="lossless").T * low_crest_signs(BINS))) for x in drawings
    ]
    assert np.median(crests) < 15


def test_signs_are_shared_and_therefore_read_only():
    signs = low_crest_signs(BINS)
    assert signs.dtype == np.float32 and set(signs) == {-1, 1}
    with pytest.raises(ValueError, match="read-only"):
        signs[0] = 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mdct(random(99), frame_step=7), "`frame_step` must be an even integer of at least 2. Received.*=7"),
        (lambda: mdct(random(99), frame_step=0), "`frame_step` must be an even integer of at least 2. Received.*=0"),
        (lambda: mdct(random(99), frame_step=8.0), "`frame_step` must be an even integer.*Received: frame_step=8.0"),
        (
            lambda: mdct(random(15), frame_step=8),
            "at least one frame of `2 [*] frame_step` samples.*Received: 15 samples",
        ),
        (lambda: mdct(tf.zeros((2, 15)), frame_step=8), "at least one frame.*Received: 15 samples, frame_step=8"),
        (lambda: inverse_mdct(random(4, 5)), "`bins` must be an even integer of at least 2. Received: bins=5"),
        (lambda: low_crest_signs(3), "`bins` must be an even integer of at least 2. Received: bins=3"),
        (lambda: amplitude(True), "`bins` must be an even integer of at least 2. Received: bins=True"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()
