"""Damaged files: every reader gives a right result or an error that names the file, in bounded time and memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz_readers import READERS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.skipif(sys.platform != "linux", reason="its processes are forked and limited as Linux does it")
def test_damaged_files(reader, request):
    # In a process of its own, which has no threads that a fork would leave behind.
    command = [sys.executable, str(Path(__file__).parent / "fuzzing.py"), reader]
    command += ["--inputs", str(request.config.getoption("--fuzz"))]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    counts = json.loads(result.stdout.splitlines()[-1])
    print(counts)
    assert counts.get("faults", 0) == 0, json.dumps(counts["kinds"], indent=2)
    assert counts.get("read", 0) + counts.get("refused", 0) == counts["inputs"]
