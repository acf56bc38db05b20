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
