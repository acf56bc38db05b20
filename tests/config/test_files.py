"""Names of files are safe whatever they are made of, and what is read of files is whole or an error that names them."""

import errno
import json
import os
import unicodedata
import zipfile

import numpy as np
import pytest

import sonikeras
from sonikeras.config import _files as files
from sonikeras.config._claims import claim

HOSTILE = [
    *(
        "",
        ".",
        "..",
        "../up",
        "/a/abbey",
        "a/../../b",
        "\\\\server\\share",
        "C:",
        "c:x",
        "C:\\x",
        "a\0b",
        "\0",
        "a\nb",
        "\x7f",
    ),
    *("CON", "con", "nul.txt", "COM1", "com¹.wav", "LPT9.a.b", "aux ", "CONIN$", "prn . x", "CON.", "a.", "a ", "a..."),
    *(
        " a",
        "-rf",
        "--",
        "~",
        "~root",
        "a*b",
        "a?",
        "<a>",
        'a"b',
        "a|b",
        "\udcff",
        "\ud800x",
        "‮gpj.exe",
        "\ufeffa",
        "\u2028",
    ),
    *("x" * 256, "é" * 200, "犬" * 90, "x" * 199 + "é", "." * 300, "-" * 255, "a" * 200 + ".", "x~0123456789"),
    *(
        "Ant",
        "ant",
        "ANT",
        "STRASSE",
        "straße",
        unicodedata.normalize("NFC", "Käse"),
        unicodedata.normalize("NFD", "Käse"),
    ),
]


def test_names_are_safe_and_different():
    names = list(dict.fromkeys(HOSTILE))
    safe = files.safe_names(names)
    assert len({files.folded(name) for name in safe}) == len(names)
    for name in safe:
        assert files._is_safe(name) or files._MARKED.search(name)
        assert 0 < len(name.encode()) <= 211 and name[0] not in ".-~ " and name[-1] not in ". "
        assert not set(name) & set('/\\:*?"<>|\0\n')
    assert files.safe_names(names[::-1]) == safe[::-1]


def test_safe_names_stay():
    names = [
        "cat",
        "cat-0012",
        "Käse mit Brot",
        "犬",
        "a.b.c",
        "console",
        "nullable",
        "com",
        "a~b",
        "x" * 200,
        "a#b$c%(d)",
    ]
    assert files.safe_names(names) == names


def test_safe_names_can_be_made(tmp_path):
    for name in files.safe_names(list(dict.fromkeys(HOSTILE))):
        (tmp_path / f"{name}.wav").write_bytes(b"")
    assert len(list(tmp_path.iterdir())) == len(set(HOSTILE))


def test_links_are_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    root = tmp_path / "root"
    root.mkdir()
    (root / "cat").symlink_to(tmp_path / "elsewhere")
    (root / "dangling").symlink_to(tmp_path / "nowhere")
    files.check_no_link(root / "dog" / "a.wav", root)
    for path in (root / "cat", root / "cat" / "a.wav", root / "dangling"):
        with pytest.raises(ValueError, match="links are not followed. Remove the link. Received: .*root/(cat|dang)"):
            files.check_no_link(path, root)
    with pytest.raises(ValueError, match="links are not followed.*dangling"), files.locked(root / "dangling"):
        pass
    assert not list((tmp_path / "elsewhere").iterdir()) and not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
        OSError(
            "Can't close file (file write failed: errno = 28, error message = 'No space left on device')"
        ),  # HDF5's
    ],
)
def test_full_disk_is_named(tmp_path, error):
    message = r"make room, then try again. Received: file: '.*a\.png'"
    with pytest.raises(files.FullDiskError, match=message) as caught, files.replacing(tmp_path / "a.png") as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert caught.value.errno in (errno.ENOSPC, errno.EDQUOT) and not list(tmp_path.iterdir())
    with pytest.raises(OSError, match="^another$"), files.replacing(tmp_path / "a.png"):
        raise OSError("another")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full")
def test_write_to_a_full_device():
    with (
        pytest.raises(files.FullDiskError, match="No space left.*'/dev/full'"),
        files.explaining_full_disk("/dev/full"),
        open("/dev/full", "wb", buffering=0) as file,
    ):
        file.write(b"x")


def test_archives_that_are_damaged_are_named(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, features=np.arange(1000, dtype="float32"), labels=np.arange(1000))
    whole = path.read_bytes()
    assert files.read_npz(path)["labels"].tolist() == list(range(1000))
    rng = np.random.default_rng(0)
    flipped = []
    for _ in range(200):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        flipped.append(bytes(damaged))
    np.save(tmp_path / "single.npy", np.arange(3))
    single = (tmp_path / "single.npy").read_bytes()
    found = 0
    for data in (b"", whole[: len(whole) // 2], whole[:-1], b"PK", single, *flipped):
        path.write_bytes(data)
        try:
            read = files.read_npz(path)
        except ValueError as error:
            assert f"Received: {path}" in str(error)
            found += 1
        else:  # a date, or another thing that is no content
            same = [read[name].tolist() for name in read]
            assert same == [list(range(1000))] * 2
    assert found > 190
    with pytest.raises(FileNotFoundError):
        files.read_npz(tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("member", "content"),
    [
        ("labels", b"no array"),  # NumPy gives it as bytes
        ("labels.npy", b"\x93NUMPY\x01\x00\x08\x00{'a': ((" + bytes(9)),
        ("labels.npy", b"\x93NUMPY\x01\x00\x09\x00{'a':\n ((\n" + bytes(9)),
        ("labels.npy", b'\x93NUMPY\x01\x00\x08\x00"""bcde\n' + bytes(9)),
    ],
)
def test_members_of_an_archive_that_are_no_arrays_are_refused(tmp_path, member, content):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr(member, content)
    with pytest.raises(ValueError, match=r"this one is damaged.* Received: .*a\.npz"):
        files.read_npz(tmp_path / "a.npz")


def test_plans_that_differ_much_are_cut_in_the_error(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"classes": ["x" * 100_000]}))
    with pytest.raises(ValueError, match="made in the same way") as caught:
        claim(tmp_path / "run.json", {"classes": ["a"]})
    assert len(str(caught.value)) < 5000


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with a name")
@pytest.mark.parametrize("read", ["read_image", "read_audio"])
def test_pipes_and_devices_are_refused_at_once(tmp_path, read):
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", "/dev/zero"):
        with pytest.raises(ValueError, match=f"no pipe and no device. Received: {path}"):
            getattr(sonikeras, read)(path)
    with pytest.raises(OSError, match=str(tmp_path)):
        getattr(sonikeras, read)(tmp_path)
