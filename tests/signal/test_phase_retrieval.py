"""The engines agree with librosa and with each other, and the algorithms do what their papers say."""

import importlib.util
import inspect
import os
import subprocess
import sys

import keras
import librosa
import numpy as np
import pytest
import tensorflow as tf

import sonikeras
from sonikeras.config import ALGORITHMS
from sonikeras.layers import GriffinLim
from sonikeras.signal.engines import magnitudes_to_audio, resolve_engine
from sonikeras.signal.magnitudes import image_to_magnitudes, magnitudes_to_image
from sonikeras.signal.phase_retrieval import griffin_lim, istft
from sonikeras.signal.spectrograms import stft

STUDY = sonikeras.SonificationConfig.preset("study")
# Even and odd numbers of frames, steps of a half and a quarter of the window, windows shorter than the transform.
SETTINGS = [
    {},
    {"frames": 37, "frame_step": 256},
    {"frames": 129, "fft_length": 512, "frame_length": 400, "frame_step": 128},
    {"frames": 70, "fft_length": 2048, "frame_length": 2048},
    {"frames": 2},
    {"frames": 9, "fft_length": 16, "frame_length": 16, "frame_step": 8, "window": "hamming"},
    {"frames": 21, "fft_length": 512, "frame_length": 512, "frame_step": 512, "window": "boxcar"},
    {"frames": 50, "fft_length": 600, "frame_length": 600, "frame_step": 200},
    {"frames": 20, "fft_length": 1000, "frame_length": 999, "frame_step": 300},
]


def names(config):
    return {name: getattr(config, name) for name in ("frame_length", "frame_step", "fft_length", "window")}


def magnitudes_of(photo, config):
    return image_to_magnitudes(photo, config=config)


def librosas(magnitudes, config, seed):
    name = "rng" if "rng" in inspect.signature(librosa.griffinlim).parameters else "random_state"
    return librosa.griffinlim(
        magnitudes,
        n_iter=config.iterations,
        n_fft=config.fft_length,
        hop_length=config.frame_step,
        win_length=config.frame_length,
        window=config.window,
        momentum=config.momentum,
        **{name: np.random.default_rng(seed)},
    )


def convergence(audio, magnitudes, config):
    """Spectral convergence in dB, by librosa's transform."""
    arguments = {"n_fft": config.fft_length, "hop_length": config.frame_step, "win_length": config.frame_length}
    achieved = np.abs(librosa.stft(np.asarray(audio), **arguments))
    return 20 * np.log10(np.linalg.norm(achieved - magnitudes) / np.linalg.norm(magnitudes))


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("engine", ["numba", "tensorflow"])
def test_parity_with_librosa(photo, settings, engine):
    config = STUDY.replace(**settings)
    if engine == "numba" and config.fft_length & (config.fft_length - 1):
        engine = "auto"  # which is then another, of the same result
    magnitudes = magnitudes_of(photo, config)
    # The compiled engine rounds each product, so that results do not depend on the process: 1.13e-6 with 2048 samples.
    once = 1.2e-6 if engine == "numba" and config.fft_length == 2048 else 1e-6
    for iterations, tolerance in ((1, once), (4, 3e-6), (32, 3e-4)):
        config = config.replace(iterations=iterations)
        reference = librosas(magnitudes, config, seed=5)
        audio = magnitudes_to_audio(magnitudes, config, rng=np.random.default_rng(5), engine=engine)
        assert audio.shape == reference.shape == (config.samples,) and audio.dtype == np.float32
        assert np.linalg.norm(audio - reference) < tolerance * np.linalg.norm(reference)


@pytest.mark.parametrize("momentum", [0, 0.3, 1])
def test_parity_at_other_momenta(photo, momentum):
    config = STUDY.replace(iterations=5, momentum=momentum)
    magnitudes = magnitudes_of(photo, config)
    reference = librosas(magnitudes, config, seed=1)
    for engine in ("numba", "tensorflow"):
        audio = magnitudes_to_audio(magnitudes, config, rng=np.random.default_rng(1), engine=engine)
        assert np.linalg.norm(audio - reference) < 1e-5 * np.linalg.norm(reference)


def test_parity_of_an_odd_transform(photo):
    config = STUDY.replace(frames=20, iterations=4)
    magnitudes = magnitudes_of(photo, config)[:257]
    rng = np.random.default_rng(3)
    phase = 2 * np.pi * rng.random(magnitudes.shape)
    name = "rng" if "rng" in inspect.signature(librosa.griffinlim).parameters else "random_state"
    randomness = {name: np.random.default_rng(3)}
    reference = librosa.griffinlim(magnitudes, n_iter=4, n_fft=513, hop_length=200, **randomness)
    frame = {"frame_length": 513, "frame_step": 200, "fft_length": 513}
    audio = griffin_lim(magnitudes.T, phase.T, **frame, iterations=4)
    np.testing.assert_allclose(audio, reference, atol=1e-5 * np.abs(reference).max())
    assert GriffinLim(513, 200).compute_output_shape((1, 20, 257)) == (1, len(reference))


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name != "admm"])
@pytest.mark.parametrize(
    ("initial_phase", "settings"), [*(("random", s) for s in SETTINGS[:7]), ("structured", SETTINGS[0])]
)
def test_engines_agree(photo, settings, algorithm, initial_phase):
    config = STUDY.replace(**settings, algorithm=algorithm, initial_phase=initial_phase, iterations=4)
    magnitudes = magnitudes_of(photo, config)
    one, other = (
        magnitudes_to_audio(magnitudes, config, rng=np.random.default_rng(0), engine=engine)
        for engine in ("numba", "tensorflow")
    )
    # A structured start is symmetric: where a bin is zero by that, rounding decides its phase.
    tolerance = 1e-4 if initial_phase == "random" else 2e-2
    assert np.linalg.norm(one - other) < tolerance * np.linalg.norm(one)


@pytest.mark.parametrize("settings", SETTINGS)
def test_istft_inverts_stft(settings):
    config = STUDY.replace(**settings)
    audio = np.random.default_rng(0).normal(size=(2, 3, config.samples)).astype(np.float32)
    again = istft(*stft(audio, **names(config)), **names(config))
    np.testing.assert_allclose(again, audio, atol=1e-4)


# Bounds in dB for each algorithm after 16 and 32 iterations, with a margin, from the worst to the best.
REACHED = {
    "griffin_lim": (-22, -25),
    "fast_griffin_lim": (-25, -28),
    "admm": (-27.5, -31),
    "lbfgs": (-29, -33),
    "accelerated_griffin_lim": (-29.5, -32),
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_algorithms_converge(photo, algorithm):
    for iterations, reached in zip((16, 32), REACHED[algorithm], strict=True):
        config = STUDY.replace(algorithm=algorithm, iterations=iterations)
        magnitudes = magnitudes_of(photo, config)
        audio = magnitudes_to_audio(magnitudes, config, rng=np.random.default_rng(0))
        assert convergence(audio, magnitudes, config) < reached


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_algorithms_do_not_diverge(photo, algorithm):
    noise = np.random.default_rng(1).random((513, 128))
    for magnitudes in (magnitudes_of(photo, STUDY), noise):
        values = []
        for iterations in (20, 200):
            config = STUDY.replace(algorithm=algorithm, iterations=iterations)
            audio = magnitudes_to_audio(magnitudes, config, rng=np.random.default_rng(0))
            values.append(convergence(audio, magnitudes, config))
        assert values[1] < values[0] - 0.5


def test_momentum_0_is_griffin_lim(photo):
    magnitudes = magnitudes_of(photo, STUDY)
    for engine in sonikeras.engines():
        plain, same = (
            magnitudes_to_audio(
                magnitudes, STUDY.replace(iterations=3, **changes), rng=np.random.default_rng(0), engine=engine
            )
            for changes in ({"algorithm": "griffin_lim"}, {"momentum": 0})
        )
        np.testing.assert_array_equal(same, plain)


def test_structured_phase_needs_fewer_iterations_and_peaks_higher(photo):
    magnitudes = magnitudes_of(photo, STUDY)
    structured = STUDY.replace(initial_phase="structured", algorithm="lbfgs", iterations=8)
    pulses = magnitudes_to_audio(magnitudes, structured)  # nothing is random
    noise = magnitudes_to_audio(magnitudes, STUDY, rng=np.random.default_rng(0))
    assert convergence(pulses, magnitudes, STUDY) < convergence(noise, magnitudes, STUDY)
    crest = [np.abs(audio).max() / audio.std() for audio in (pulses, noise)]
    assert crest[0] > 1.5 * crest[1]


def test_iterations_start_from_a_given_phase(photo_audio):
    """From the true phase of audio, the first iteration finds it."""
    transform = librosa.stft(photo_audio, n_fft=1024, hop_length=512)
    for engine in ("numba", "tensorflow"):
        audio = magnitudes_to_audio(
            np.abs(transform), STUDY.replace(iterations=1), initial_phase=np.angle(transform), engine=engine
        )
        np.testing.assert_allclose(audio, photo_audio, atol=1e-5)


def test_sonify_takes_a_phase(photo):
    zero = np.zeros((513, 128))
    np.testing.assert_array_equal(
        sonikeras.sonify(photo, initial_phase=zero, seed=1), sonikeras.sonify(photo, initial_phase=zero, seed=2)
    )


def test_auto_is_the_fastest_that_can():
    def auto(**changes):
        return resolve_engine("auto", STUDY.replace(**changes))

    assert sonikeras.engines() == ["numba", "tensorflow", "librosa"]
    assert auto() == "numba"
    assert auto(algorithm="admm") == auto(fft_length=1200) == "tensorflow"
    assert auto(transform="mdct") == resolve_engine("librosa", STUDY.replace(transform="mdct")) == "mdct"


@pytest.mark.parametrize("engine", ["numba", "tensorflow"])
def test_matched_is_as_good_as_librosa(photo, engine):
    config = sonikeras.SonificationConfig.preset("matched")
    magnitudes = image_to_magnitudes(photo, config=config)
    audio = magnitudes_to_audio(magnitudes, config, rng=np.random.default_rng(0), engine=engine)
    reference = librosas(magnitudes, STUDY, seed=0)
    assert convergence(audio, magnitudes, config) < convergence(reference, magnitudes, STUDY)


# Lossless ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extension", ["wav", "flac"])
@pytest.mark.parametrize("kind", ["photo", "noise", "black", "white", "black and white"])
def test_lossless_returns_every_bit_through_a_file(tmp_path, photo, kind, extension):
    rng = np.random.default_rng(0)
    image = {
        "photo": photo[..., 1],
        "noise": rng.integers(0, 256, (512, 128), dtype=np.uint8),
        "black": np.zeros((512, 128), np.uint8),
        "white": np.full((512, 128), 255, np.uint8),
        "black and white": rng.integers(0, 2, (512, 128), dtype=np.uint8) * np.uint8(255),
    }[kind]
    audio = sonikeras.sonify(image, "lossless")
    path = tmp_path / f"image.{extension}"
    sonikeras.write_audio(path, audio, "lossless")
    from_file, config = sonikeras.read_audio(path)
    np.testing.assert_array_equal(from_file, audio)
    reconstruction = sonikeras.desonify(from_file, config)
    np.testing.assert_array_equal(reconstruction, magnitudes_to_image(image_to_magnitudes(image, config=config)))
    if image.shape == (512, 128):
        np.testing.assert_array_equal(reconstruction, image)


def test_lossless_shows_the_image(photo):
    image = np.random.default_rng(0).integers(0, 256, (512, 128), dtype=np.uint8)
    config = sonikeras.SonificationConfig.preset("lossless")
    db = sonikeras.spectrogram(sonikeras.sonify(image, config), config)
    np.testing.assert_allclose(10 ** (db / 20) * 255, image[::-1], atol=0.5)
    picture = sonikeras.picture(sonikeras.sonify(photo, config), config)
    assert picture.shape == (512, 512, 3)
    data = sonikeras.dataset("c2", config="lossless", images_per_class=5, batch_size=2, output="spectrogram")
    assert next(iter(data))[0].shape == (2, 128, 512)


# The layer -----------------------------------------------------------------------------------------------------------

SMALL = {"frame_length": 64, "frame_step": 32, "iterations": 3}
MAGNITUDES = np.random.default_rng(6).random((3, 12, 33)).astype(np.float32)


def test_any_leading_shape():
    together = np.asarray(GriffinLim(**SMALL)(np.stack([MAGNITUDES, 2 * MAGNITUDES], axis=1)))
    assert together.shape == (3, 2, 352)
    np.testing.assert_allclose(together[:, 1], 2 * together[:, 0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(together[:, 0], GriffinLim(**SMALL)(MAGNITUDES), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_dynamic_frames(algorithm, jit_compile):
    layer = GriffinLim(**SMALL, algorithm=algorithm)
    signature = None if jit_compile else [tf.TensorSpec((None, None, 33))]
    graph = tf.function(layer, input_signature=signature, jit_compile=jit_compile)
    for frames in (2, 7, 12):
        eager = np.asarray(layer(MAGNITUDES[:, :frames]))
        assert eager.shape == (3, (frames - 1) * 32)
        np.testing.assert_allclose(graph(tf.constant(MAGNITUDES[:, :frames])), eager, atol=1e-4)


def test_seeded_and_deterministic():
    first = np.asarray(GriffinLim(**SMALL)(MAGNITUDES))
    np.testing.assert_array_equal(GriffinLim(**SMALL)(MAGNITUDES), first)
    np.testing.assert_allclose(GriffinLim(**SMALL, seed=0)(MAGNITUDES[:1])[0], first[0], atol=1e-6)
    assert not np.allclose(GriffinLim(**SMALL, seed=1)(MAGNITUDES), first)


def test_layer_with_a_given_phase_is_the_function():
    phase = np.random.default_rng(0).uniform(0, 6, MAGNITUDES.shape).astype(np.float32)
    expected = griffin_lim(tf.constant(MAGNITUDES), tf.constant(phase), fft_length=64, momentum=0.5, **SMALL)
    np.testing.assert_array_equal(GriffinLim(**SMALL, momentum=0.5)(MAGNITUDES, initial_phase=phase), expected)


@pytest.mark.parametrize(
    ("algorithm", "initial_phase"), [*((name, "random") for name in ALGORITHMS), ("fast_griffin_lim", "structured")]
)
def test_gradient_against_finite_differences(algorithm, initial_phase):
    # Few iterations: each makes the function less linear where a bin is nearly 0, in single precision.
    layer = GriffinLim(64, 32, iterations=2, algorithm=algorithm, initial_phase=initial_phase)
    x = tf.constant(MAGNITUDES[:1] + 0.1)
    rng = np.random.default_rng(1)
    direction = tf.constant(rng.normal(size=x.shape).astype(np.float32))
    weight = tf.constant(rng.normal(size=layer(x).shape).astype(np.float32))
    slopes = {}
    for jit_compile in (False, True):

        @tf.function(jit_compile=jit_compile)
        def slope(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = tf.reduce_sum(layer(x) * weight)
            return tf.reduce_sum(tape.gradient(y, x) * direction)

        slopes[jit_compile] = float(slope(x))
    step = 1e-3
    values = [float(tf.reduce_sum(layer(x + sign * step * direction) * weight)) for sign in (1, -1)]
    assert abs(slopes[False]) > 0.1
    assert slopes[False] == pytest.approx((values[0] - values[1]) / (2 * step), rel=3e-2, abs=0.05)
    assert slopes[True] == pytest.approx(slopes[False], rel=1e-2, abs=1e-2)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_silence_gives_silence_and_no_gradient(algorithm):
    layer, x = GriffinLim(**SMALL, algorithm=algorithm), tf.zeros((1, 5, 33))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        total = tf.reduce_sum(y**2)
    assert not np.any(y) and np.isfinite(tape.gradient(total, x)).all()


def test_exported_with_another_batch_size(tmp_path):
    model = keras.Sequential([keras.Input((None, 33)), GriffinLim(**SMALL)])
    model.export(tmp_path / "saved", verbose=False)
    served = tf.saved_model.load(tmp_path / "saved").serve
    for count, frames in ((1, 12), (3, 5)):
        x = MAGNITUDES[:count, :frames]
        np.testing.assert_allclose(served(x), model.predict(x, verbose=0), atol=1e-4)


def test_on_a_tf_data_service_worker():
    """No Python function is in the graph, so it runs where there is no Python."""
    data = tf.data.Dataset.from_tensor_slices(MAGNITUDES).batch(2).map(GriffinLim(**SMALL))
    graph = data._functions()[0].function.graph
    assert "PyFunc" not in str(graph.as_graph_def())
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer()
    worker = service.WorkerServer(service.WorkerConfig(dispatcher.target.split("://")[1]))
    remote = data.apply(service.distribute(processing_mode=service.ShardingPolicy.OFF, service=dispatcher.target))
    np.testing.assert_allclose(np.concatenate(list(remote)), GriffinLim(**SMALL)(MAGNITUDES), atol=1e-4)
    del worker


@pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="torch is not installed")
def test_on_torch():
    """The same audio and gradients on another backend."""
    script = (
        "import numpy as np, torch, sonikeras\n"
        "for a in ('griffin_lim', 'accelerated_griffin_lim', 'admm', 'lbfgs'):\n"
        "    for p in ('random', 'structured'):\n"
        "        x = torch.ones((1, 9, 33), requires_grad=True)\n"
        "        y = sonikeras.layers.GriffinLim(64, 32, iterations=4, algorithm=a, initial_phase=p)(x)\n"
        "        (y**2).sum().backward()\n"
        "        assert x.grad.isfinite().all()\n"
        "        print(*y.detach().numpy().ravel()[:50])\n"
    )
    environment = os.environ | {"KERAS_BACKEND": "torch"}
    result = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    lines = [np.array(line.split(), float) for line in result.stdout.strip().splitlines()]
    settings = [(a, p) for a in ALGORITHMS if a != "fast_griffin_lim" for p in ("random", "structured")]
    for (algorithm, phase), line in zip(settings, lines, strict=True):
        layer = GriffinLim(64, 32, iterations=4, algorithm=algorithm, initial_phase=phase)
        expected = np.asarray(layer(np.ones((1, 9, 33), np.float32))).ravel()[:50]
        np.testing.assert_allclose(line, expected, atol=1e-3)


# In a pipeline -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["numba", "tensorflow"])
def test_pipeline_gives_what_sonify_gives(engine):
    data = sonikeras.dataset(
        "c2", split="test", images_per_class=40, engine=engine, output="audio", cache=False, shuffle=False
    )
    clips = np.concatenate([x for x, _ in data])
    for image, clip in zip(data.examples.items, clips, strict=True):
        expected = sonikeras.sonify(np.asarray(image), engine=engine, seed=42)
        np.testing.assert_allclose(clip, expected, atol=1.1 / 32768)


def test_compiled_code_works_without_a_folder_to_keep_it_in(monkeypatch):
    from sonikeras.signal import _kernels as kernels

    njit = kernels.numba.njit

    def refuse(cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(kernels.numba, "njit", refuse)
    with pytest.warns(UserWarning, match=r"Compiled code is not kept.*\$NUMBA_CACHE_DIR"):
        retrieve = kernels._compile.__wrapped__(4)
    rows = np.ones((3, 2), np.float32)
    weights = kernels._weights(2, 4, 2, 4, "hann")
    window = np.float32([0, 0.5, 1, 0.5])
    assert np.isfinite(retrieve(rows, rows, 0 * rows, window, *weights, 2, 1, False, 0.0, 0.0, 1.0)).all()


def test_compiled_code_is_kept_on_disk_and_announced_on_a_terminal(tmp_path):
    script = """
import io, pathlib, sys, zlib
import numpy as np

class Terminal(io.StringIO):
    def isatty(self):
        return True

if sys.argv[1] == "terminal":
    sys.stderr = Terminal()
from sonikeras.signal import _compilation as compilation, _kernels as kernels
compilation._INSTALLED = pathlib.Path(sys.argv[2])
rng = np.random.default_rng(0)
magnitudes, phase = rng.rayleigh(size=(513, 80)).astype("float32"), rng.normal(size=(513, 80)).astype("float32")
frame = dict(frame_length=1024, frame_step=512, fft_length=1024, window="hann")
for algorithm in ("fast_griffin_lim", "lbfgs"):
    audio = kernels.griffin_lim(magnitudes, phase, **frame, algorithm=algorithm, iterations=8, momentum=0.99)
    print(zlib.crc32(audio.tobytes()))
print(sum(kernels._compiled(1024).stats.cache_hits.values()))
print(sys.stderr.getvalue() if sys.argv[1] == "terminal" else "")
"""

    def run(folder, stderr, installed=tmp_path / "none"):
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / folder)}
        command = [sys.executable, "-c", script, stderr, str(installed)]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert not result.stderr
        *audio, hits, message = result.stdout.split("\n", 3)
        return audio, hits, message.strip()

    audio, hits, message = run("one", "terminal")
    assert hits == "0"
    assert message == "sonikeras: compiling phase retrieval for fft_length=1024, which takes about ten seconds"
    assert run("one", "terminal") == (audio, "1", "")
    # A folder of the installation that this user cannot write to.
    (installed,) = (tmp_path / "one").iterdir()
    assert run("two", "file", installed) == (audio, "1", "")
    assert not list((tmp_path / "two").glob("*/*"))
