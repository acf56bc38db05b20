"""Damages files in every way it knows, has them read in processes with limits, and says what no reader may do.

A reader gives a right result, or raises a `ValueError` or an `OSError` that names the file. It needs at most 1 GiB and
5 seconds of processor time. Each input follows from the seed, the reader and a number, so that it can be made again:

    python tests/fuzzing.py                            # names of readers
    python tests/fuzzing.py png --inputs 20000         # one line of JSON
    python tests/fuzzing.py png --only 1234            # the traceback of input 1234, and where its file is
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import pickle
import pickletools
import random
import re
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

MEMORY = 2**30  # bytes
SECONDS = 5
_BATCH = 250  # inputs of one process
_ADDRESSES = 4 * 2**30  # bytes of address space: beyond it there is a MemoryError
_WALL = 180  # seconds, for what waits and does not compute; also on a machine that has much else to do
_TOO_LARGE = 77  # exit status


class Reader(NamedTuple):
    """Something that reads files.

    Attributes:
        file: Name of the file that is damaged, in a folder which has the others.
        seeds: Function of a folder, which it fills with a whole example, to whole contents of that file.
        read: Function of the path of the file. It raises an `AssertionError` for a wrong result.
        mutate: Functions of contents and a random generator to other contents, which know the format.
    """

    file: str
    seeds: Callable[[Path], list[bytes]]
    read: Callable[[Path], Any]
    mutate: tuple[Callable[[bytes, random.Random], bytes], ...] = ()


# Mutations ---------------------------------------------------------------------------------------------------

EXTREMES = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    2**15 - 1,
    2**15,
    2**16 - 1,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**36,
    2**63 - 1,
)
EXTREMES += (2**63, 2**64 - 1, -1)
TOKENS = [b"0", b"-1", b"-0.0", b"1e999", b"-1e999", b"NaN", b"Infinity", b"1" * 5000, b"2147483647", b"4294967295"]
TOKENS += [
    b"9223372036854775808",
    b"1e308",
    b"1e-320",
    b"0.5",
    b"null",
    b"true",
    b'""',
    b"[]",
    b"{}",
    b"\xff\xfe",
    b"\x00",
]
TOKENS += [b"\r\n", b"\n", b",", b'"', b"\\ud800", b"../../up", b"/etc/passwd", "\u202e\U0001f600".encode()]


def _place(data: bytes | bytearray, chance: random.Random) -> int:
    """Often near the beginning, where headers are."""
    size = len(data) + 1
    return chance.randrange(min(size, 64)) if chance.random() < 0.4 else chance.randrange(size)


def _flip_bits(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8)) if data else 0):
        changed[_place(data[1:], chance)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _set_number(data: bytes, chance: random.Random) -> bytes:
    size, start = chance.choice((1, 2, 4, 4, 8)), _place(data, chance)
    number = chance.choice((chance.choice(EXTREMES), len(data) + chance.randint(-2, 2), chance.getrandbits(32)))
    order = chance.choice(("little", "big"))
    return data[:start] + (number % 256**size).to_bytes(size, order) + data[start + size :]  # type: ignore[arg-type]


def _truncate(data: bytes, chance: random.Random) -> bytes:
    return data[: _place(data, chance)] if chance.random() < 0.8 else data[_place(data, chance) :]


def _block(data: bytes, chance: random.Random) -> bytes:
    start = _place(data, chance)
    return data[start : start + chance.choice((1, 4, 16, 64, 1024))]


def _insert(data: bytes, chance: random.Random) -> bytes:
    start = _place(data, chance)
    what = chance.choice((_block(data, chance), chance.randbytes(chance.choice((1, 4, 64))), chance.choice(TOKENS)))
    return data[:start] + what * chance.choice((1, 1, 1, 2, 100)) + data[start:]


def _remove(data: bytes, chance: random.Random) -> bytes:
    start = _place(data, chance)
    return data[:start] + data[start + chance.choice((1, 2, 4, 16, 256)) :]


def _overwrite(data: bytes, chance: random.Random) -> bytes:
    start = _place(data, chance)
    what = chance.choice((_block(data, chance), chance.randbytes(16), bytes(16), b"\xff" * 16))
    return data[:start] + what + data[start + len(what) :]


_NUMBER = re.compile(rb"-?\d+(\.\d+)?([eE][-+]?\d+)?")


def _set_text_number(data: bytes, chance: random.Random) -> bytes:
    found = list(_NUMBER.finditer(data[: 2**16]))
    if not found:
        return _set_number(data, chance)
    match = chance.choice(found)
    return data[: match.start()] + chance.choice(TOKENS) + data[match.end() :]


def _nest(data: bytes, chance: random.Random) -> bytes:
    start, opening = _place(data, chance), chance.choice((b"[", b'{"a":', b"(", b"<"))
    return data[:start] + opening * chance.choice((10, 2_000, 100_000)) + data[start:]


_PLAIN = (_flip_bits, _flip_bits, _set_number, _set_number, _truncate, _insert, _remove, _overwrite, _set_text_number)


def mutated(reader: Reader, seeds: list[bytes], chance: random.Random) -> bytes:
    """One damaged file."""
    data = chance.choice(seeds)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 5))):
        what = chance.random()
        if reader.mutate and what < 0.5:
            data = chance.choice(reader.mutate)(data, chance)
        elif what < 0.53:
            data = data[: _place(data, chance)] + (other := chance.choice(seeds))[_place(other, chance) :]
        elif what < 0.55:
            data = _nest(data, chance)
        else:
            data = chance.choice(_PLAIN)(data, chance)
    return data


def _safely(mutate: Callable[[bytes, random.Random], bytes]) -> Callable[[bytes, random.Random], bytes]:
    """What is already damaged too much for a mutation that knows the format gets a plain one."""

    def mutation(data: bytes, chance: random.Random) -> bytes:
        try:
            return mutate(data, chance)
        except Exception:
            return chance.choice(_PLAIN)(data, chance)

    return mutation


@_safely
def png(data: bytes, chance: random.Random) -> bytes:
    """Changes a chunk, and keeps the checksums right."""
    chunks, position = [], 8
    while position < len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        chunks.append((data[position + 4 : position + 8], data[position + 8 : position + 8 + size]))
        position += size + 12
    place = chance.randrange(len(chunks))
    kind, content = chunks[place]
    if kind == b"IHDR" and chance.random() < 0.5:
        size = struct.pack(">II", *(abs(chance.choice(EXTREMES)) % 2**32 for _ in range(2)))
        content = size + content[8:] if chance.random() < 0.5 else content[:8] + chance.randbytes(5)
    elif chance.random() < 0.3:
        names = (
            b"eXIf",
            b"iCCP",
            b"zTXt",
            b"iTXt",
            b"tEXt",
            b"PLTE",
            b"tRNS",
            b"acTL",
            b"fcTL",
            b"fdAT",
            b"gAMA",
            b"IDAT",
        )
        added = zlib.compress(bytes(chance.choice((10, 10**6)))) if chance.random() < 0.5 else chance.randbytes(30)
        chunks.insert(place, (chance.choice(names), chance.choice((b"", b"key\0\0")) + added))
    elif chance.random() < 0.2:
        chunks.insert(chance.randrange(len(chunks)), chunks[place])
    elif kind == b"IDAT" and chance.random() < 0.5:
        content = zlib.compress(chance.choice(_PLAIN)(zlib.decompress(content), chance))
    else:
        content = chance.choice(_PLAIN)(content, chance)
    if chunks[place][0] == kind:
        chunks[place] = kind, content
    parts = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks]
    return data[:8] + b"".join(parts)


@_safely
def riff(data: bytes, chance: random.Random) -> bytes:
    """Changes a chunk of a RIFF or AIFF file, its size or its place."""
    order = ">I" if data.startswith(b"FORM") else "<I"
    chunks, position = [], 12
    while position + 8 <= len(data):
        (size,) = struct.unpack_from(order, data, position + 4)
        chunks.append([data[position : position + 4], size, data[position + 8 : position + 8 + size + size % 2]])
        position += 8 + size + size % 2
    place = chance.randrange(len(chunks))
    what = chance.random()
    if what < 0.3:
        chunks[place][1] = chance.choice(
            (abs(chance.choice(EXTREMES)) % 2**32, chunks[place][1] + chance.randint(-3, 3))
        )
    elif what < 0.7:
        content = chunks[place][2]
        start = chance.randrange(min(len(content), 24) + 1)
        value = struct.pack(order, chance.choice((1, 8, 50, 2**31 - 1, 2**32 - 1, 0, 192_000, 2**20)))
        chunks[place][2] = content[:start] + value[: chance.choice((2, 4))] + content[start + 4 :]
    elif what < 0.8:
        chunks.insert(chance.randrange(len(chunks)), list(chunks[place]))
    elif what < 0.9:
        del chunks[place]
    else:
        chance.shuffle(chunks)
    body = b"".join(kind + struct.pack(order, max(0, size) % 2**32) + content for kind, size, content in chunks)
    whole = chance.choice((len(body) + 4, len(body) + 4, chance.choice(EXTREMES) % 2**32))
    return data[:4] + struct.pack(order, whole) + data[8:12] + body


VALUES: list[Any] = [
    0,
    -1,
    1,
    2**31,
    2**63,
    10**400,
    1e308,
    1e-320,
    float("inf"),
    float("nan"),
    None,
    True,
    "",
    "study",
]
VALUES += ["\0", "\ud800", "x" * 10_000, [], {}, [[]], [1, "a"], {"a": {"a": 1}}, 10**9, 2**28, 22050.5, "../up", -0.0]


@_safely
def tree(data: bytes, chance: random.Random) -> bytes:
    """Changes a value somewhere in JSON."""
    value = json.loads(data)
    holders, stack = [], [value]
    while stack:
        holder = stack.pop()
        if isinstance(holder, dict | list) and holder:
            holders.append(holder)
            stack.extend(holder.values() if isinstance(holder, dict) else holder[:20])
    if not holders or chance.random() < 0.05:
        return json.dumps(chance.choice(VALUES)).encode()
    holder = chance.choice(holders)
    key = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    what = chance.random()
    if what < 0.7:
        holder[key] = chance.choice(VALUES)
    elif what < 0.85:
        del holder[key]
    elif isinstance(holder, dict):
        holder[chance.choice(("format", "x", ""))] = holder[key]
    else:
        holder.extend(holder[:100])
    return json.dumps(value).encode()


@_safely
def lines(data: bytes, chance: random.Random) -> bytes:
    """Changes fields or lines of JSON lines or CSV."""
    rows = data.split(b"\n")
    place = chance.randrange(len(rows))
    what = chance.random()
    if what < 0.2:
        rows.insert(chance.randrange(len(rows)), rows[place])
    elif what < 0.4:
        del rows[place]
    elif what < 0.5:
        rows[place] = tree(rows[place], chance)
    else:
        fields = rows[place].split(b",")
        field = chance.randrange(len(fields))
        fields[field] = chance.choice((*TOKENS, fields[chance.randrange(len(fields))]))
        rows[place] = b",".join(fields if chance.random() < 0.8 else fields[:field])
    return b"\n".join(rows)


OPERATIONS = [
    b"}",
    b"]",
    b")",
    b"(",
    b"t",
    b"\x85",
    b"\x86",
    b"a",
    b"u",
    b"s",
    b"R",
    b"b",
    b"Q",
    b"\x94",
    b"N",
    b"\x93",
    b"2",
]
OPERATIONS += [
    b"h\x00",
    b"q\x00",
    b"j\xff\xff\xff\x7f",
    b"r\xff\xff\xff\x7f",
    b"\x8a\xff",
    b"\x8b\xff\xff\xff\x7f",
    b"c__main__\na\n",
]
OPERATIONS += [
    b"J\xff\xff\xff\xff",
    b"J\xff\xff\xff\x7f",
    b"X\xff\xff\xff\xff",
    b"G\x7f\xf0" + bytes(6),
    b"K\x01",
    b"N\x85q\x00h\x00\x86" * 30,
]
OPERATIONS += [
    b")" + b"\x85" * 5000,
    b"(" * 5000,
    b"ccollections\nOrderedDict\n)R",
    b"\x8c\x01a",
    b"T\xff\xff\xff\x7f",
    b"\x95" + b"\xff" * 8,
]


@_safely
def pickled(data: bytes, chance: random.Random) -> bytes:
    """Changes, moves, repeats or adds operations of one of the pickles that lie one behind the other."""
    places, start = [], 0
    while data[start : start + 1] == b"\x80" and start < len(data):
        found = [position for _, _, position in pickletools.genops(data[start:])]
        places.append([start + position for position in found] + [start + found[-1] + 1])
        start = places[-1][-1]
    chosen = max(places, key=len) if chance.random() < 0.7 else chance.choice(places)
    operations = [data[a:b] for a, b in zip(chosen, chosen[1:], strict=False)]
    for _ in range(chance.choice((1, 1, 2, 5))):
        place = chance.randrange(len(operations))
        what = chance.random()
        if what < 0.3:
            operations.insert(place, chance.choice(OPERATIONS))
        elif what < 0.45:
            operations[place] = chance.choice(OPERATIONS)
        elif what < 0.6:
            operations[place] = operations[place][:1] + _set_number(operations[place][1:], chance)
        elif what < 0.7:
            operations[place], other = chance.choice(operations), operations[place]
            operations.insert(chance.randrange(len(operations)), other)
        elif what < 0.8:
            end = place + chance.choice((1, 5, 40))
            operations[place:place] = operations[place:end] * chance.choice((1, 2, 50))
        elif what < 0.9:
            del operations[place : place + chance.choice((1, 3, 20))]
        else:
            operations[place] = operations[place].replace(b"torch", chance.choice((b"os", b"torch.nn", b"numpy")))
    return data[: chosen[0]] + b"".join(operations) + data[chosen[-1] :]


@_safely
def zipped(data: bytes, chance: random.Random) -> bytes:
    """Changes a member of a zip file, or what its directory says, with checksums that are right."""
    import io
    import zipfile

    if chance.random() < 0.4:
        signature = chance.choice((b"PK\x01\x02", b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"))
        places = [match.start() for match in re.finditer(re.escape(signature), data)]
        start = chance.choice(places) + chance.choice(range(4, 46, 2))
        value = chance.choice((chance.choice(EXTREMES) % 2**32, chance.choice(places), chance.randrange(len(data))))
        value = struct.pack("<I", value)[: chance.choice((2, 4))]
        return data[:start] + value + data[start + len(value) :]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    place = chance.randrange(len(members))
    name, content = members[place]
    what = chance.random()
    if what < 0.7:
        content = pickled(content, chance) if name.endswith(".pkl") else chance.choice(_PLAIN)(content, chance)
        members[place] = name, content
    elif what < 0.8:
        del members[place]
    elif what < 0.9:
        members.append((chance.choice((name, f"{name}.bak", "a/data.pkl", "../x", "x" * 5000)), content))
    else:
        members[place] = members[chance.randrange(len(members))][0], content
    file, method = io.BytesIO(), zipfile.ZIP_DEFLATED if chance.random() < 0.1 else zipfile.ZIP_STORED
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(file, "w", method) as archive:
            for name, content in members:
                archive.writestr(name, content)
    return file.getvalue()


_CRC = [0]
for _index in range(1, 256):
    _value = _index
    for _ in range(8):
        _value = (_value >> 1) ^ (0x82F63B78 if _value & 1 else 0)
    _CRC.append(_value)


def masked_crc(data: bytes) -> bytes:
    """The checksum of TFRecord files."""
    value = 0xFFFFFFFF
    for byte in data:
        value = _CRC[(value ^ byte) & 0xFF] ^ (value >> 8)
    value ^= 0xFFFFFFFF
    return struct.pack("<I", ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def tfrecord_file(payloads: list[bytes]) -> bytes:
    sizes = [struct.pack("<Q", len(payload)) for payload in payloads]
    return b"".join(s + masked_crc(s) + p + masked_crc(p) for s, p in zip(sizes, payloads, strict=True))


@_safely
def tfrecord(data: bytes, chance: random.Random) -> bytes:
    """Changes a record, and keeps the checksums right."""
    payloads, position = [], 0
    while position < len(data):
        size = int.from_bytes(data[position : position + 8], "little")
        payloads.append(data[position + 12 : position + 12 + size])
        position += size + 16
    place = chance.randrange(len(payloads))
    what = chance.random()
    if what < 0.8:
        payloads[place] = chance.choice(_PLAIN)(payloads[place], chance)
    elif what < 0.9:
        payloads.insert(place, payloads[chance.randrange(len(payloads))])
    else:
        payloads[place] = b"\xff" * chance.choice((10, 1000, 50_000))
    return tfrecord_file(payloads)


# Processes ---------------------------------------------------------------------------------------------------


class Fault(NamedTuple):
    """What a reader must not do: its kind, where it happened, and what it said."""

    kind: str
    where: str
    message: str


def _place_of(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "sonikeras" in frame.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"


def judged(reader: Reader, path: Path) -> str | Fault:
    """`"read"` or `"refused"`, or what is wrong."""
    start = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader.read(path)
        outcome: str | Fault = "read"
    except Exception as error:
        outcome, cause, message = "refused", error, str(error)[:500]
        while cause is not None:
            if isinstance(cause, MemoryError):
                outcome = Fault("memory", _place_of(error), message)
            cause = cause.__cause__ or cause.__context__
        if not isinstance(error, ValueError | OSError):
            outcome = Fault(type(error).__name__, _place_of(error), message)
        elif str(path.parent) not in (shown := f"{error} {getattr(error, 'filename', '')}") and path.name not in shown:
            outcome = Fault(f"{type(error).__name__} without the file's name", _place_of(error), message)
        elif len(str(error)) > 20_000:
            outcome = Fault("message of 20,000 characters", _place_of(error), message)
    if (spent := time.process_time() - start) > SECONDS:
        outcome = Fault("time", "", f"{spent:.1f} s, {outcome}")
    return outcome


def _work(
    reader: Reader, name: str, seeds: list[bytes], folder: Path, seed: int, numbers: range, state: mmap.mmap
) -> list:
    """Runs in a process of its own: the outcomes of some inputs; `state` holds the number of the present one."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    path = folder / reader.file
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = []
    for number in numbers:
        struct.pack_into("<q", state, 0, number)
        path.write_bytes(mutated(reader, seeds, random.Random(f"{seed}/{name}/{number}")))
        signal.setitimer(signal.ITIMER_PROF, 2 * SECONDS)
        signal.setitimer(signal.ITIMER_REAL, _WALL)
        outcomes.append(judged(reader, path))
        if (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 > MEMORY:
            os._exit(_TOO_LARGE)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.setitimer(signal.ITIMER_PROF, 0)
    return outcomes


def _in_a_process(function: Callable[..., list], *arguments: Any) -> list | int:
    """What a function returns in a child process, or that process' status where it died."""
    receiver, sender = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            os.close(receiver)
            result = pickle.dumps(function(*arguments))
            with os.fdopen(sender, "wb") as file:
                file.write(result)
            status = 0
        finally:
            os._exit(status)
    os.close(sender)
    with os.fdopen(receiver, "rb") as file:
        data = file.read()
    _, status = os.waitpid(child, 0)
    return pickle.loads(data) if status == 0 else status


def _died(status: int) -> Fault:
    if os.WIFEXITED(status):
        too_large = os.WEXITSTATUS(status) == _TOO_LARGE
        return Fault("memory", "", "over 1 GiB") if too_large else Fault("exit", "", f"status {os.WEXITSTATUS(status)}")
    name = signal.Signals(os.WTERMSIG(status)).name
    return Fault("time" if name in ("SIGPROF", "SIGALRM") else "crash", "", name)


def _example(reader: Reader, name: str) -> tuple[Path, list[bytes]]:
    """A folder with a whole example, and whole contents of the file."""
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-", dir=shared))
    return folder, reader.seeds(folder)


def fuzz(reader: Reader, name: str, inputs: int, seed: int) -> dict[str, Any]:
    """Reads so many damaged files: the counts, and for each kind of fault its message and the numbers of inputs."""
    started = time.monotonic()
    folder, seeds = _example(reader, name)
    state = mmap.mmap(-1, 8)
    counts: Counter[str] = Counter()
    faults: dict[str, dict[str, Any]] = {}

    def note(number: int, outcome: str | Fault) -> None:
        counts[outcome if isinstance(outcome, str) else "faults"] += 1
        if isinstance(outcome, Fault):
            fault = faults.setdefault(f"{outcome.kind} {outcome.where}", {"message": outcome.message, "inputs": []})
            fault["inputs"].append(number)

    try:
        for place, whole in enumerate(seeds):
            (folder / reader.file).write_bytes(whole)
            if (outcome := judged(reader, folder / reader.file)) != "read":
                note(-1 - place, Fault("a whole file is not read", "", str(outcome)))
        number = 0
        while number < inputs:
            numbers = range(number, min(inputs, number + _BATCH))
            outcomes = _in_a_process(_work, reader, name, seeds, folder, seed, numbers, state)
            if isinstance(outcomes, list):
                for each, outcome in zip(numbers, outcomes, strict=True):
                    note(each, outcome)
                number = numbers.stop
                continue
            # The outcomes before the input that ended the process are lost with it: they are made again.
            (last,) = struct.unpack_from("<q", state, 0)
            again = _in_a_process(_work, reader, name, seeds, folder, seed, range(number, last), state)
            for each, outcome in zip(range(number, last), again if isinstance(again, list) else [], strict=False):
                note(each, outcome)
            note(last, _died(outcomes))
            number = last + 1
    finally:
        shutil.rmtree(folder)
    seconds = time.monotonic() - started
    return {"reader": name, "seed": seed, "inputs": inputs, **counts, "seconds": round(seconds, 1), "kinds": faults}


def main() -> None:
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    from fuzz_readers import READERS

    parser = argparse.ArgumentParser(description="Damages files and has them read.")
    parser.add_argument("reader", nargs="?", choices=list(READERS))
    parser.add_argument("--inputs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--serve", action="store_true", help="take names of readers from the standard input")
    parser.add_argument("--only", type=int, help="the number of one input, which is read here")
    options = parser.parse_args()
    if options.serve:
        for line in sys.stdin:
            name = line.strip()
            print(json.dumps(fuzz(READERS[name], name, options.inputs, options.seed)), flush=True)
    elif options.reader is None:
        print(*READERS, sep="\n")
    elif options.only is None:
        print(json.dumps(fuzz(READERS[options.reader], options.reader, options.inputs, options.seed)))
    else:
        reader = READERS[options.reader]
        folder, seeds = _example(reader, options.reader)
        path = folder / reader.file
        path.write_bytes(mutated(reader, seeds, random.Random(f"{options.seed}/{options.reader}/{options.only}")))
        print(path, path.stat().st_size, "bytes", flush=True)
        print(reader.read(path))


if __name__ == "__main__":
    sys.exit(main())
