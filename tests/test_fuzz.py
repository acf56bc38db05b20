"""Damaged files: every reader gives a right result or an error that names the file, in bounded time and memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz_readers import READERS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="its processes are forked and limited as Linux does it"),
]


@pytest.fixture(scope="module")
def damaged(request):
    """A function of a reader's name to what became of its inputs."""
    # In a process of its own, which has no threads that a fork would leave behind.
    command = [sys.executable, str(Path(__file__).parent / "fuzzing.py"), "--serve"]
    command += ["--inputs", str(request.config.getoption("--fuzz"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def damaged(name):
            print(name, file=process.stdin, flush=True)
            return json.loads(process.stdout.readline())

        yield damaged
        process.stdin.close()


@pytest.mark.parametrize("reader", READERS)
def test_damaged_files(reader, damaged):
    counts = damaged(reader)
    print(counts)
    assert counts.get("faults", 0) == 0, json.dumps(counts["kinds"], indent=2)
    assert counts.get("read", 0) + counts.get("refused", 0) == counts["inputs"]


_WRONG_READERS = """
import os, json, sys
sys.path.insert(0, {tests!r})
import fuzzing
from fuzzing import Reader, fuzz
fuzzing.SECONDS = 2

def at(act):
    def read(path):
        if (value := path.read_bytes()) != b"whole":
            act(path)
    return read

def forever(path):
    while True: pass

def swallow(path):
    try: bytearray(2**40)
    except MemoryError as error: raise ValueError(str(path)) from error

def wrong(path): assert False
def unnamed(path): raise ValueError("no")
def other(path): raise KeyError(str(path))
def hog(path): path.kept = bytes(b"1" * (fuzzing.MEMORY + 2**27))
def named(path): raise OSError(2, "no such", str(path))

for act in (forever, swallow, wrong, unnamed, other, hog, named, lambda path: os.abort(), lambda path: os._exit(3)):
    reader = Reader("file", lambda folder: [b"whole"], at(act))
    result = fuzz(reader, "x", 2, 0)
    print(json.dumps([result.get("faults", 0), sorted(result["kinds"])]))
"""


def test_the_harness_sees_what_must_not_be():
    program = _WRONG_READERS.format(tests=str(Path(__file__).parent))
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    kinds = [kind for _, kind in map(json.loads, result.stdout.splitlines())]
    assert kinds == [
        ["time "],
        ["memory ?"],
        ["AssertionError ?"],
        ["ValueError without the file's name ?"],
        ["KeyError ?"],
        ["memory "],
        [],
        ["crash "],
        ["exit "],
    ]
    assert all(faults in (0, 2) for faults, _ in map(json.loads, result.stdout.splitlines()))
