"""Computed audio is kept, shared and checked."""

import hashlib
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest

import sonikeras
import sonikeras.signal.engines
from sonikeras.datasets import _loading as loading, cache as caches
from sonikeras.datasets.cache import AudioCache

SMALL = {"split": "test", "images_per_class": 5, "output": "audio"}


@pytest.fixture
def computed(monkeypatch):
    """Counts the computed clips."""
    calls = []
    original = loading.chain.sonify
    monkeypatch.setattr(loading.chain, "sonify", lambda *a, **k: calls.append(1) or original(*a, **k))
    return calls


def read(**arguments):
    return np.concatenate([x for x, _ in sonikeras.dataset("c2", **(SMALL | arguments))])


def entries(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_second_epoch_and_second_run_only_read(tmp_path, computed):
    data = sonikeras.dataset("c2", cache=tmp_path / "c", **SMALL)
    first = np.concatenate([x for x, _ in data])
    assert len(computed) == 2 == len(entries(tmp_path / "c"))
    for again in (np.concatenate([x for x, _ in data]), read(cache=tmp_path / "c")):
        np.testing.assert_array_equal(again, first)
    assert len(computed) == 2


def test_no_cache(tmp_path, computed, monkeypatch):
    monkeypatch.setenv("SONIKERAS_CACHE", str(tmp_path / "unused"))
    np.testing.assert_array_equal(read(cache=False), read(cache=False))
    assert len(computed) == 4 and not (tmp_path / "unused").exists()


def test_key_contains_what_determines_the_audio(tmp_path, computed):
    config = sonikeras.SonificationConfig()
    for changes in ({}, {"seed": 1}, {"config": config.replace(iterations=2)}):
        read(cache=tmp_path, **changes)
    assert len(computed) == 6
    # The colormap has no effect on audio.
    read(cache=tmp_path, config=config.replace(colormap="gray"))
    assert len(computed) == 6


def test_entries_of_an_older_version_are_not_used(tmp_path, computed, monkeypatch):
    """Version 2 decoded some PNG files to other gray values."""
    config = sonikeras.SonificationConfig()
    setting = f"2/{config.audio_key()}/{sonikeras.signal.engines.resolve_engine('auto', config)}/42".encode()
    data = sonikeras.dataset("c2", cache=tmp_path, **SMALL)
    for i in range(2):
        key = hashlib.sha256(setting + data.examples.data(i)).hexdigest()
        AudioCache(tmp_path).put(key, np.ones(config.samples, np.int16))
    first = np.concatenate([x for x, _ in data])
    assert len(computed) == 2 and np.abs(first).max() > 0.01
    monkeypatch.setattr(caches, "_VERSION", caches._VERSION + 1)
    np.testing.assert_array_equal(read(cache=tmp_path), first)
    assert len(computed) == 4


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_damaged_entry_is_computed_again(tmp_path, computed, damage):
    first = read(cache=tmp_path)
    for path in entries(tmp_path):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data if damage is None else damage)
    np.testing.assert_array_equal(read(cache=tmp_path), first)
    assert len(computed) == 4
    read(cache=tmp_path)
    assert len(computed) == 4


def test_cache_that_cannot_be_written_to_still_serves(tmp_path, computed, monkeypatch):
    read(cache=tmp_path)

    def refuse(*args):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("sonikeras.datasets.cache.write_bytes", refuse)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(cache=tmp_path)
    assert len(computed) == 2
    cache = AudioCache(tmp_path)
    with pytest.warns(UserWarning, match="not kept.*Read-only"):
        cache.put("ab" * 32, np.zeros(3, np.int16))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.put("cd" * 32, np.zeros(3, np.int16))  # the warning comes once


def test_cache_folder_that_cannot_be_created(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Allowed values of `cache`: True.*or False. Received: cache="):
        sonikeras.dataset("c2", cache=tmp_path / "file" / "folder", **SMALL)


def test_two_processes_share_a_cache(tmp_path):
    code = (
        "import sys, zlib, sonikeras\n"
        "data = sonikeras.dataset('c2', split='test', images_per_class=25, output='audio', cache=sys.argv[1])\n"
        "print(zlib.crc32(b''.join(x.numpy().tobytes() for x, _ in data)))\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path / "c"], stdout=subprocess.PIPE, env=os.environ)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0] == outputs[1] and outputs[0].strip()
    assert len(entries(tmp_path / "c")) == 10 and not list((tmp_path / "c").rglob(".*"))
