"""A tf.data service of real processes: each example arrives exactly once, even if a worker dies."""

import json
import os
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf

import sonikeras
from sonikeras.datasets import _service as service
from sonikeras.sources.audio import to_pcm16
from sonikeras.sources.images import to_gray

CONFIG = sonikeras.SonificationConfig(
    frames=20, fft_length=256, frame_length=256, frame_step=128, iterations=4, initial_phase="structured",
    analysis_fft_length=256, analysis_frame_length=256, analysis_frame_step=128,
)  # fmt: skip
SMALL = {"images_per_class": 5, "output": "audio", "batch_size": None, "config": CONFIG, "cache": False}
# TensorFlow is imported once. The dispatcher and each worker are processes of their own, which end with the tests.
SERVERS = """
import json, os, signal, sys, time
import tensorflow as tf
service = tf.data.experimental.service

def process(start):
    here, there = os.pipe()
    pid = os.fork()
    if pid == 0:
        server = start()
        os.write(there, getattr(server, "target", "worker").encode())
        server.join()
    return pid, os.read(here, 100).decode()

def worker():
    return process(lambda: service.WorkerServer(service.WorkerConfig(address, heartbeat_interval_ms=500)))[0]

dispatcher, target = process(lambda: service.DispatchServer(service.DispatcherConfig(port=0)))
address = target.split("://")[1]
pids = [dispatcher]
print(json.dumps(target), flush=True)
for line in sys.stdin:
    pids.append(worker())
    print(pids[-1], flush=True)
for pid in pids:
    os.kill(pid, signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def servers():
    with subprocess.Popen(
        [sys.executable, "-c", SERVERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        address = json.loads(process.stdout.readline())

        def start_worker():
            process.stdin.write("worker\n")
            return int(process.stdout.readline())

        yield address, [start_worker(), start_worker()], start_worker
        process.stdin.close()


def test_a_killed_worker_loses_nothing(servers):
    address, workers, start_worker = servers
    arguments = {**SMALL, "images_per_class": 100}
    near = sonikeras.dataset("c2", shuffle=False, engine="tensorflow", **arguments)
    far = sonikeras.dataset("c2", shuffle=False, service=address, **arguments)
    assert far.cardinality() == near.cardinality() == 160
    clips = []
    for audio, label in far:
        clips.append((audio.numpy(), int(label)))
        if len(clips) == 10:
            os.kill(workers[0], signal.SIGKILL)
    for (a, label_a), (b, label_b) in zip(clips, near, strict=True):
        assert label_a == label_b
        np.testing.assert_allclose(a, b, atol=0.01)
    workers[0] = start_worker()  # the next epoch does not wait for it
    assert [int(label) for _, label in far] == [label for _, label in clips]


def test_seed_determines_the_order_of_each_epoch(servers):
    def epochs():
        data = sonikeras.dataset("c2", service=servers[0], **SMALL)
        return [[audio.numpy().tobytes() for audio, _ in data] for _ in range(2)]

    first, second = epochs()
    assert first != second and sorted(first) == sorted(second) and [first, second] == epochs()


def test_files_of_any_size_and_pictures(servers, image_folder):
    root = image_folder(count=6)
    cv2.imwrite(str(root / "ant" / "large.jpg"), np.full((200, 300, 3), 90, np.uint8))
    arguments = {"data_dir": root, "config": "lossless", "shuffle": False, "batch_size": 4}
    near, far = (sonikeras.dataset(**arguments, **place) for place in ({}, {"service": servers[0]}))
    assert near.element_spec == far.element_spec and far.file_paths == near.file_paths
    for (a, label_a), (b, label_b) in zip(near, far, strict=True):
        np.testing.assert_array_equal(label_a, label_b)
        assert np.abs(a - b).max() <= 3  # the gray values of the decoders differ by 1


def test_augmentation(servers):
    augment = sonikeras.datasets.Augment(gain=6)
    far = sonikeras.dataset("c2", service=servers[0], augment=augment, shuffle=False, **SMALL)
    plain = sonikeras.dataset("c2", engine="tensorflow", shuffle=False, **SMALL)
    gains = [np.linalg.norm(a) / np.linalg.norm(b) for (a, _), (b, _) in zip(far, plain, strict=True)]
    assert len({round(gain, 2) for gain in gains}) >= 5 and min(gains) >= 0.49 and max(gains) <= 2.01


def test_audio_is_cached_here(servers, tmp_path):
    arguments = {**SMALL, "cache": tmp_path / "audio", "shuffle": False}
    data = sonikeras.dataset("c2", service=servers[0], **arguments)
    first = [audio.numpy() for audio, _ in data.take(3)]
    files = list((tmp_path / "audio").rglob("*/*"))
    assert 3 <= len(files) <= 8
    for (audio, _), expected in zip(list(data), first, strict=False):
        np.testing.assert_array_equal(audio, expected)
    assert len(list((tmp_path / "audio").rglob("*/*"))) == 8


def test_an_image_that_cannot_be_read_is_named(servers, image_folder):
    root = image_folder(count=8)
    (root / "bee" / "picture3.png").write_bytes(b"no image")
    data = sonikeras.dataset(data_dir=root, config=CONFIG, output="audio", cache=False, service=servers[0])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"cannot be read.*picture3\.png"):
        list(data)
    skipping = {"data_dir": root, "config": CONFIG, "output": "audio", "cache": False, "on_error": "skip"}
    with pytest.warns(UserWarning, match="files are left out"):
        data = sonikeras.dataset(**skipping, service=servers[0], batch_size=None)
    assert len(list(data)) == data.cardinality() and data.skipped[0].endswith("picture3.png")


@pytest.mark.parametrize("interpolation", ["bilinear", "area"])
@pytest.mark.parametrize("preset", ["lossless", "study"])
def test_graph_equals_the_chain(photo, interpolation, preset):
    config = sonikeras.SonificationConfig.preset(preset)
    config = config.replace(image_interpolation=interpolation, initial_phase="structured", iterations=3)
    for image in (photo, photo[:28, :28], photo[::2, :100], photo[:1, :5]):
        png = cv2.imencode(".png", to_gray(image))[1].tobytes()
        pcm = service.encoded_to_pcm(tf.constant(png), config=config, seed=0, files=False).numpy().astype(float)
        local = to_pcm16(sonikeras.sonify(image, config, engine="tensorflow" if preset == "study" else "auto"))
        assert np.linalg.norm(pcm - local) <= 0.005 * np.linalg.norm(local.astype(float))


@pytest.mark.parametrize(
    "fields",
    [
        {"color": "ycbcr"},
        {"color": "rgb"},
        {"color": "ycbcr", "min_freq": 200, "max_freq": 8000, "frequency_scale": "log", "rows": 200},
        {"min_freq": 500, "max_freq": 4000},
    ],
)
def test_graph_equals_the_chain_with_colors_and_a_band(photo, fields):
    config = sonikeras.SonificationConfig.preset("lossless").replace(**fields)
    for image in (photo, photo[:28, :28], photo[::2, :100]):
        png = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
        pcm = service.encoded_to_pcm(tf.constant(png), config=config, seed=0, files=False).numpy().astype(float)
        local = to_pcm16(sonikeras.sonify(image, config))
        assert np.linalg.norm(pcm - local) <= 0.005 * np.linalg.norm(local.astype(float))


def test_a_fixed_phase_depends_on_the_seed_alone():
    config = CONFIG.replace(initial_phase="fixed", iterations=1)

    def audio(image, seed):
        png = cv2.imencode(".png", image)[1].tobytes()
        return service.encoded_to_pcm(tf.constant(png), config=config, seed=seed, files=False).numpy().astype(float)

    image = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
    changed = image.copy()
    changed[20, 20] ^= 1
    assert np.corrcoef(audio(image, 0), audio(changed, 0))[0, 1] > 0.999
    assert abs(np.corrcoef(audio(image, 0), audio(image, 1))[0, 1]) < 0.3


def test_seed_and_pixels_determine_the_random_phase():
    def audio(image, seed):
        png = cv2.imencode(".png", image)[1].tobytes()
        config = CONFIG.replace(initial_phase="random")
        return service.encoded_to_pcm(tf.constant(png), config=config, seed=seed, files=False).numpy().tobytes()

    black, white = (np.full((9, 9), value, np.uint8) for value in (0, 255))
    assert audio(black, 1) == audio(black, 1)
    assert len({audio(black, 1), audio(black, 2), audio(white, 1), audio(white[:3], 1)}) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"engine": "numba"}, r"'numba' is Python code. Allowed values: \['auto', 'tensorflow'\]. Received: engine="),
        ({"engine": "librosa"}, "'librosa' is Python code"),
        ({"output": "image"}, "`service` sonifies images.*Received: service="),
        ({"service": "localhost:5000"}, "'grpc://host:port', or None. Received: service='localhost:5000'"),
        ({"service": 5000}, "'grpc://host:port', or None. Received: service=5000"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        sonikeras.dataset("c2", **{**SMALL, "service": "grpc://localhost:1"} | arguments)


def test_no_dispatcher(servers, tmp_path):
    import socket

    with pytest.raises(ConnectionError, match="A dispatcher of a tf.data service must run.*Received: service="):
        sonikeras.dataset("c2", service="grpc://localhost:1", **SMALL)
    with socket.create_server(("localhost", 0)) as other:  # accepts connections and never answers
        address = f"grpc://localhost:{other.getsockname()[1]}"
        with pytest.raises(ConnectionError, match=f"Received: service='{address}'"):
            sonikeras.dataset("c2", service=address, **SMALL)
