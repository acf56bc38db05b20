"""Prepared files equal what `dataset` computes, and interruptions do not change their bytes."""

import csv
import dataclasses
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile

import sonikeras
from sonikeras import sources
from sonikeras.config import _files as files
from sonikeras.config._claims import claim
from sonikeras.preparation import _manifests as manifests, _rendering as rendering, _run as runs, _writer as writer
from sonikeras.preparation._plan import AUDIO_FORMATS, FORMATS, Plan, check_names
from sonikeras.signal.magnitudes import image_to_magnitudes
from sonikeras.sources import images, records

QUICK = {"config": "lossless", "cache": False}


def contents(root) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def times(root) -> dict[str, tuple]:
    """Properties of files that change when they are rewritten."""
    written = [path for path in root.rglob("*") if path.suffix in (".wav", ".flac", ".png", ".tfrecord")]
    return {str(path.relative_to(root)): (path.stat().st_mtime_ns, path.stat().st_ino) for path in written}


def rows(root, name="manifest.csv") -> list[dict[str, str]]:
    with open(root / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def prepared(path, **arguments):
    sonikeras.prepare(arguments.pop("name", "c2"), path, **({"images_per_class": 10} | QUICK | arguments))
    return path


def assert_pictures_equal(a, b):
    """Up to values between two shades, which NumPy and TensorFlow may round differently."""
    assert a.shape == b.shape
    assert (a != b).mean() < 1e-4 and np.abs(a.astype(int) - b).max() < 8


# What is written ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("audio_format", AUDIO_FORMATS)
def test_manifest_describes_the_files(tmp_path, format, audio_format):
    out = prepared(tmp_path / "out", config="matched", format=format, audio_format=audio_format, shard_size=3)
    config = sonikeras.SonificationConfig.preset("matched")
    plan = json.loads((out / "prepare.json").read_text())
    assert sonikeras.SonificationConfig.from_dict(plan["config"]) == config
    listed = rows(out)
    assert list(listed[0]) == manifests.COLUMNS and [row["split"] for row in listed] == ["train"] * 16 + ["test"] * 4
    image = {}
    for split in ("train", "test"):
        examples = sources.load_examples("c2", split, images_per_class=10)
        image |= {name: (examples.image(i), examples.data(i)) for i, name in enumerate(examples.names)}
    for row in listed:
        for part in ("sound", "picture"):
            data = (out / row[part]).read_bytes()
            offset, length = int(row[part + "_offset"]), int(row[part + "_bytes"])
            assert format == "tfrecord" or (offset, length) == (0, len(data))
            assert hashlib.sha256(data[offset : offset + length]).hexdigest() == row[part + "_sha256"]
            if part == "sound":
                audio, rate = soundfile.read(io.BytesIO(data[offset : offset + length]), dtype="float32")
            else:
                picture = images.read_image(data[offset : offset + length], color=True)
        pixels, content = image[row["name"]]
        assert rate == config.sample_rate and row["image_sha256"] == hashlib.sha256(content).hexdigest()
        assert_pictures_equal(picture, sonikeras.picture(audio, config))
        wanted = image_to_magnitudes(pixels, config=config)
        found = np.abs(librosa.stft(audio, n_fft=1024, hop_length=512, pad_mode="constant"))
        convergence = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
        assert abs(float(row["spectral_convergence"]) - convergence) < 1e-4 * convergence
    named = {row[part] for row in listed for part in ("sound", "picture")}
    assert set(contents(out)) == named | {"prepare.json", "manifest.csv"}


@pytest.mark.parametrize("audio_format", AUDIO_FORMATS)
@pytest.mark.parametrize("config", ["study", "matched"])
def test_files_equal_the_data_set(tmp_path, audio_format, config):
    out = prepared(tmp_path / "out", audio_format=audio_format, config=config, images_per_class=5, seed=3)
    whole = {"batch_size": None, "shuffle": False, "config": config, "image_size": None}
    direct = sonikeras.dataset("c2", images_per_class=5, seed=3, **whole)
    audio = sonikeras.dataset("c2", data_dir=out, stage="audio", **whole)
    drawn = sonikeras.dataset("c2", data_dir=out, stage="spectrogram", **whole)
    examples = direct.examples
    stems = [f"{label}/{name}" for label, name in zip(examples.labels, examples.names, strict=True)]
    order = np.argsort(stems)
    made = list(direct)
    assert len(made) == len(list(audio)) == 8
    for index, (b, label_b), (c, label_c) in zip(order, audio, drawn, strict=True):
        a, label = made[index]
        assert label == label_b == label_c
        np.testing.assert_array_equal(a, b)
        assert_pictures_equal(np.rint(a), c.numpy())


def test_records_hold_what_files_hold(tmp_path):
    import tensorflow as tf

    loose = prepared(tmp_path / "files", audio_format="flac")
    packed = prepared(tmp_path / "records", format="tfrecord", shard_size=6)
    assert [len(list(packed.glob(f"{split}-*.tfrecord"))) for split in ("train", "test")] == [3, 1]
    kinds = {"sound": tf.string, "picture": tf.string, "label": tf.int64, "class": tf.string, "name": tf.string}
    schema = {name: tf.io.FixedLenFeature([], kind) for name, kind in kinds.items()}
    for split in ("train", "test"):
        data = tf.data.TFRecordDataset(sorted(str(path) for path in packed.glob(f"{split}-*.tfrecord")))
        parsed = [tf.io.parse_single_example(record, schema) for record in data]
        class_names, labels, names, clips = records.load(packed, split, "audio")
        _, _, _, pictures = records.load(packed, split, "spectrogram")
        assert class_names == ["cat", "dog"] and len(parsed) == len(names) == len(clips)
        for example, label, name, clip, picture in zip(parsed, labels, names, clips, pictures, strict=True):
            stem = f"{split}/{class_names[label]}/{name}"
            assert (example["label"], example["class"], example["name"]) == (label, class_names[label], name)
            for feature, place, suffix in (("sound", clip, "flac"), ("picture", picture, "png")):
                expected = (loose / f"{stem}.{suffix}").read_bytes()
                assert place.read() == expected == example[feature].numpy()


def test_pictures_can_be_left_out(tmp_path):
    out = prepared(tmp_path / "out", pictures=False)
    assert not list(out.rglob("*.png")) and {row["picture"] for row in rows(out)} == {""}
    packed = prepared(tmp_path / "records", pictures=False, format="tfrecord")
    assert len(records.load(packed, "test", "audio")[3]) == 4
    with pytest.raises(ValueError, match="`stage='spectrogram'` needs records with pictures"):
        records.load(packed, "test", "spectrogram")


@pytest.mark.parametrize(
    "changes",
    [{}, {"colormap": "viridis"}, {"drawing": "resize"}, {"drawing": "resize", "colormap": "gray"}, {"frames": 33}],
)
def test_png_decodes_to_the_picture(photo_audio, changes):
    config = sonikeras.SonificationConfig().replace(**changes)
    audio = photo_audio[: config.samples]
    data = rendering.encode_picture(audio, config)
    assert data == rendering.encode_picture(audio, config)
    assert_pictures_equal(images.read_image(data, color=True), sonikeras.picture(audio, config))


def test_names_in_any_script(tmp_path, image_folder):
    root = image_folder(classes=("Käse mit Brot", "犬"), count=12)
    for path in list(root.rglob("*.png")):
        end = b"\n" if path.name.endswith("1.png") else b"\r"
        path.rename(path.with_name(os.fsdecode(b'a,"b"\xff ' + end + path.name.encode())))
    out = prepared(tmp_path / "out", name=None, data_dir=root, images_per_class=None)
    before = times(out)
    prepared(out, name=None, data_dir=root, images_per_class=None)
    assert times(out) == before and len(before) == 48
    assert {row.class_name for row in manifests.read_manifest(out / "manifest.csv")} == {"Käse mit Brot", "犬"}
    (root / "犬").rename(root / os.fsdecode(b"\xff"))
    packed = prepared(tmp_path / "records", name=None, data_dir=root, images_per_class=None, format="tfrecord")
    found = {name for split in ("train", "test") for name in records.load(packed, split, "audio")[2]}
    assert found == {path.stem for path in root.rglob("*.png")}


# Interruption ---------------------------------------------------------------------------------------------------------

# Imports once, then starts process after process and kills each as soon as it has written some bytes.
KILLER = """
import os, pathlib, signal, sys, time
import sonikeras
out, step, arguments = pathlib.Path(sys.argv[1]), int(sys.argv[2]), eval(sys.argv[3])

def files():
    found = {}
    for folder, _, names in os.walk(out):
        for name in names:
            try:
                status = os.stat(os.path.join(folder, name))
            except FileNotFoundError:
                continue
            found[os.path.join(folder, name)] = (status.st_size, status.st_mtime_ns, status.st_ino)
    return found

def whole():
    return {path: status for path, status in files().items() if "/.prepare" not in path and "/manifest" not in path}

kills, done = 0, 0
while not done:
    before, kept = sum(size for size, _, _ in files().values()), whole()
    process = os.fork()
    if not process:
        sonikeras.prepare("c2", out, **arguments)
        os._exit(0)
    while not done:
        time.sleep(0.001)
        done, status = os.waitpid(process, os.WNOHANG)
        if not done and sum(size for size, _, _ in files().values()) - before > step * (1 + kills % 2):
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            kills += 1
            break
    now = whole()
    assert all(now.get(path) == status for path, status in kept.items()), "a finished file was recreated"
    assert not [path for path in now if pathlib.Path(path).name.startswith(".")], now
assert status == 0, status
print("kills", kills)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
@pytest.mark.parametrize(("format", "pictures"), [("files", True), ("tfrecord", False)])
def test_killed_at_any_moment(tmp_path, format, pictures):
    arguments = QUICK | {"images_per_class": 30, "format": format, "shard_size": 15, "pictures": pictures}
    expected = contents(prepared(tmp_path / "undisturbed", **arguments))
    step = sum(map(len, expected.values())) // 8
    command = [sys.executable, "-c", KILLER, str(tmp_path / "out"), str(step), repr(arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout.split("kills ")[1]) >= 3
    assert contents(tmp_path / "out") == expected


def test_files_without_a_row_are_recreated(tmp_path, image_folder):
    root = image_folder(count=8)
    arguments = {"name": None, "data_dir": root, "images_per_class": None}
    out = prepared(tmp_path / "out", **arguments)
    image = root / "bee" / "picture3.png"
    image.write_bytes(b"broken")
    with pytest.warns(UserWarning, match="1 of 16 images are left out"):
        prepared(out, on_error="skip", **arguments)
    before = times(out)
    shutil.copy(root / "ant" / "picture1.png", image)
    prepared(out, **arguments)
    assert len([name for name, time in times(out).items() if time != before[name]]) == 2
    assert contents(out) == contents(prepared(tmp_path / "new", **arguments))


def test_torn_line_of_the_journal(tmp_path):
    expected = contents(prepared(tmp_path / "out"))
    out = tmp_path / "out"
    lines = [json.dumps(row) for row in manifests.read_manifest(out / "manifest.csv")]
    (out / "manifest.csv").unlink()
    (out / ".prepare").mkdir()
    (out / ".prepare" / "journal").write_text("\n".join(lines)[:-40])
    before = times(out)
    (out / ".prepare" / ".0.part.wav").write_bytes(b"half")
    prepared(out)
    last = manifests.Row._make(json.loads(lines[-1]))
    assert contents(out) == expected
    assert {name for name, time in times(out).items() if time != before[name]} == {last.sound, last.picture}


FILE_SIZE_LIMIT = """
import resource, sys
import sonikeras
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    sonikeras.prepare("c2", sys.argv[1], **eval(sys.argv[3]))
except OSError as error:
    print(error)
    sys.exit(3)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="files are limited as POSIX does")
@pytest.mark.parametrize("format", FORMATS)
def test_file_that_cannot_be_written(tmp_path, format):
    """A limit on the size of files simulates a full disk."""
    arguments = QUICK | {"images_per_class": 10, "format": format, "audio_format": "flac"}
    expected = contents(prepared(tmp_path / "whole", **arguments))
    out = tmp_path / "out"
    if format == "files":
        limit = max(int(row["sound_bytes"]) for row in rows(tmp_path / "whole")) - 1
    else:
        limit = len(expected["train-00000-of-00001.tfrecord"]) // 2
    command = [sys.executable, "-c", FILE_SIZE_LIMIT, str(out), str(limit), repr(arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 3, result.stderr
    assert "finished files are kept; free space, then repeat the call to resume" in result.stdout
    before = times(out)
    assert before and not list(out.glob("manifest*")) and not list(out.rglob(".*.part*"))
    prepared(out, **arguments)
    assert contents(out) == expected
    if format == "files":
        assert {name: time for name, time in times(out).items() if name in before} == before


DAMAGES = {
    "a bit": lambda data, rng: _changed(data, rng.integers(len(data)), lambda byte: byte ^ 1 << rng.integers(8)),
    "a byte": lambda data, rng: _changed(data, rng.integers(len(data)), lambda byte: byte + rng.integers(1, 256) & 255),
    "cut off": lambda data, rng: data[: rng.integers(len(data))],
    "cut out": lambda data, rng: _between(data, rng, lambda before, cut, after: before + after),
    "twice": lambda data, rng: _between(data, rng, lambda before, part, after: before + part + part + after),
    "zeros": lambda data, rng: _between(data, rng, lambda before, part, after: before + bytes(len(part)) + after),
    "a line less": lambda data, rng: b"".join(np.delete(data.splitlines(True), rng.integers(data.count(b"\n")))),
    "lines in another order": lambda data, rng: b"".join(_swapped(data.splitlines(True), rng)),
}


def _changed(data, place, change):
    return data[:place] + bytes([change(data[place])]) + data[place + 1 :]


def _between(data, rng, join):
    start, end = sorted(rng.choice(len(data), 2, replace=False))
    return join(data[:start], data[start:end], data[end:])


def _swapped(lines, rng):
    a, b = rng.choice(len(lines), 2, replace=False)
    lines[a], lines[b] = lines[b], lines[a]
    return lines


@pytest.fixture(scope="module", params=FORMATS)
def finished(request, tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("finished") / "out", format=request.param, images_per_class=5)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_of_a_manifest_is_found(tmp_path, finished, damage):
    path, rng = tmp_path / "manifest.csv", np.random.default_rng(0)
    whole, expected = (finished / "manifest.csv").read_bytes(), list(manifests.read_manifest(finished / "manifest.csv"))
    for _ in range(100):
        data = DAMAGES[damage](whole, rng)
        path.write_bytes(data)
        if data != whole:
            with pytest.raises(ValueError, match=r"delete it, and it is recreated. Received: .*manifest\.csv"):
                list(manifests.read_manifest(path))
    path.write_bytes(whole)
    assert list(manifests.read_manifest(path)) == expected


def test_manifests_without_checksum_and_joined_ones_are_read(tmp_path, finished):
    path, lines = tmp_path / "manifest.csv", (finished / "manifest.csv").read_bytes().splitlines(True)
    expected = list(manifests.read_manifest(finished / "manifest.csv"))
    path.write_bytes(b"".join(line.rpartition(b",")[0] + b"\n" for line in lines))  # of version 0.1.0
    assert list(manifests.read_manifest(path)) == expected
    path.write_bytes(b"".join(lines + lines[1:]))  # as `awk 'FNR > 1 || NR == 1'` does
    assert list(manifests.read_manifest(path)) == 2 * expected
    with manifests.writing_manifest(path, tmp_path):
        pass
    assert list(manifests.read_manifest(path)) == []
    path.write_bytes(lines[0])
    with pytest.raises(ValueError, match="the rows after it are missing"):
        list(manifests.read_manifest(path))


@pytest.mark.parametrize(
    "changes",
    [
        {"sound": "../../x.wav"},
        {"sound": "/etc/passwd"},
        {"sound": "C:\\x.wav"},
        {"sound": "train/cat/..\\x.wav"},
        {"sound": ""},
        {"picture": "test/cat/../../../x.png"},
        {"split": "..", "sound": "../cat/{name}.wav", "picture": "../cat/{name}.png"},
        {"class_name": "..", "sound": "{split}/../{name}.wav", "picture": ""},
        {"class_name": "a\\b", "sound": "{split}/a\\b/{name}.wav", "picture": ""},
        {"name": "../../../x", "sound": "{split}/{class_name}/../../../x.wav", "picture": ""},
        {"name": "a//x", "sound": "{split}/{class_name}/a//x.wav", "picture": ""},
        {"name": "/x", "sound": "{split}/{class_name}//x.wav", "picture": ""},
        {"name": "a\0", "sound": "{split}/{class_name}/a\0.wav", "picture": ""},
        {"sound": "other-00000-of-00001.tfrecord"},
        {"sound_offset": -1},
        {"sound_bytes": 2**63},
    ],
)
def test_rows_of_files_that_are_not_the_example_s_are_refused(tmp_path, finished, changes):
    row = next(manifests.read_manifest(finished / "manifest.csv"))
    values = row._asdict()
    changes = {key: value.format(**values) if isinstance(value, str) else value for key, value in changes.items()}
    with manifests.writing_manifest(tmp_path / "manifest.csv", tmp_path) as writer:
        writer.writerow(row._replace(**changes))
    with pytest.raises(ValueError, match="A manifest must have.*line 2"):
        list(manifests.read_manifest(tmp_path / "manifest.csv"))


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe",
        b"[1e999]",
        b"[" * 10**5,
        b"{}",
        b"null",
        b'["train"]',
        b"[NaN, Infinity]",
        b"[" + b"9" * 5000 + b"]",
    ],
)
def test_damaged_journal(tmp_path, finished, line):
    """Files of damaged lines are recreated, with one warning."""
    if finished.joinpath("train").exists():
        out = tmp_path / "out"
        shutil.copytree(finished, out)
        expected, noted = contents(out), list(manifests.read_manifest(out / "manifest.csv"))
        (out / "manifest.csv").unlink()
        (out / ".prepare").mkdir()
        journal = manifests.Journal(out / ".prepare", [])
        for row in noted:
            journal.add(row)
        journal.close()
        path = out / ".prepare" / "journal"
        lines = path.read_bytes().splitlines()
        flipped = lines[1].replace(b'"' + noted[1].class_name.encode() + b'"', b'"bat"')
        of_sizes = json.loads(lines[2])
        of_sizes[5] = 1e300
        path.write_bytes(b"\n".join([line, flipped, json.dumps(of_sizes).encode(), *lines[3:], lines[4][:50]]))
        before = times(out)
        with pytest.warns(
            UserWarning, match=f"3 lines of {path} are damaged: the files of their examples are recreated."
        ):
            prepared(out, images_per_class=5)
        assert contents(out) == expected
        changed = {name for name, time in times(out).items() if time != before[name]}
        assert changed == {name for row in noted[:3] for name in (row.sound, row.picture)}


@pytest.mark.parametrize("lost", range(14))
def test_a_line_of_the_journal_that_lost_a_field_is_damaged(tmp_path, lost):
    row = manifests.Row("train", "a", "b", "0" * 64, "train/a/b.wav", 0, 9, "0" * 64, "", 0, 0, "", "0.5")
    journal = manifests.Journal(tmp_path, [])
    journal.add(row)
    journal.close()
    fields = json.loads((tmp_path / "journal").read_bytes())
    assert manifests._journal_row(json.dumps(fields).encode()) == row
    if lost == 13:  # as version 0.1.0 wrote it
        assert manifests._journal_row(json.dumps(fields[:-1]).encode()) == row
        return
    del fields[lost]
    for last in (fields[-1], fields[-1][:-1] + "x"):
        with pytest.raises(ValueError):
            manifests._journal_row(json.dumps([*fields[:-1], last]).encode())


def test_a_line_of_the_journal_that_lost_its_checksum_is_damaged_beside_one_that_has_it(tmp_path):
    rows = [
        manifests.Row("train", "a", name, "0" * 64, f"train/a/{name}.wav", 0, 9, "0" * 64, "", 0, 0, "", "0.5")
        for name in "bcd"
    ]
    journal = manifests.Journal(tmp_path, [])
    for row in rows:
        journal.add(row)
    journal.close()
    lines = [json.loads(line) for line in (tmp_path / "journal").read_bytes().splitlines()]
    for lost, expected in (([0, 1, 2], rows), ([0, 1], rows[2:]), ([1], [rows[0], rows[2]]), ([2], rows[:2])):
        texts = [json.dumps(line[:-1] if i in lost else line) + "\n" for i, line in enumerate(lines)]
        (tmp_path / "journal").write_text("".join(texts))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert list(manifests._read_journal(tmp_path / "journal")) == expected
        assert len(caught) == (expected != rows)


def test_errors_of_damaged_manifests_are_short(tmp_path):
    path = tmp_path / "manifest.csv"
    path.write_text("[" * 100_000 + ",a\n")
    with pytest.raises(ValueError, match="Received: .*manifest.csv, line 1 ") as caught:
        list(manifests.read_manifest(path))
    assert len(str(caught.value)) < 2000


# Links ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "link", [".prepare", ".prepare.lock", "train", "train/cat", ".prepare-00000-of-00002/journal", "manifest.csv"]
)
def test_links_are_not_followed(tmp_path, link):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_bytes(b"mine")
    (out / link).parent.mkdir(parents=True)
    is_file = link.endswith(("lock", "journal", "csv"))
    (out / link).symlink_to(elsewhere / "file" if is_file else elsewhere)
    with pytest.raises(ValueError, match=rf"links are not followed. Remove the link. Received: .*{link}"):
        prepared(out, images_per_class=5)
    assert contents(elsewhere) == {"file": b"mine"}
    (out / link).unlink()
    prepared(out, images_per_class=5)
    assert contents(out) == contents(prepared(tmp_path / "new", images_per_class=5))


@pytest.mark.parametrize("format", FORMATS)
def test_links_in_place_of_files_are_replaced(tmp_path, format):
    out = prepared(tmp_path / "out", images_per_class=5, format=format)
    expected = contents(out)
    (out / ".prepare").mkdir()
    first = next(name for name in times(out))
    for place in (
        first,
        ".prepare/journal",
        ".prepare/train-00000-of-00001.tfrecord",
        ".prepare/train-00000-of-00001.torn",
    ):
        (out / place).unlink(missing_ok=True)
        (tmp_path / "elsewhere").write_bytes(b"mine")
        (out / place).symlink_to(tmp_path / "elsewhere")
    prepared(out, images_per_class=5, format=format)
    assert (tmp_path / "elsewhere").read_bytes() == b"mine"
    assert contents(out) == expected and not (out / first).is_symlink()


# A folder that cannot be written to -----------------------------------------------------------------------------------


def test_finished_read_only_folder_is_confirmed(tmp_path, finished, monkeypatch):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    arguments = {"format": "files" if (out / "train").exists() else "tfrecord", "images_per_class": 5}

    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "access", lambda path, mode, **_: not mode & os.W_OK)  # the tests may run as root
    monkeypatch.setattr(runs, "locked", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    before = contents(out)
    for verify in (False, True):
        assert sonikeras.prepare("c2", out, verify=verify, **(QUICK | arguments)) == []
    assert contents(out) == before
    name = sorted(times(out))[0]
    data = bytearray(before[name])
    data[len(data) // 2] ^= 1
    (out / name).write_bytes(data)
    prepared(out, **arguments)  # sizes alone do not show the damage
    with pytest.raises(PermissionError, match="cannot be written to must be finished, and .* is missing or damaged"):
        prepared(out, verify=True, **arguments)
    (out / name).unlink()
    with pytest.raises(PermissionError, match="is missing or damaged"):
        prepared(out, **arguments)


@pytest.mark.parametrize("format", FORMATS)
def test_bad_image(tmp_path, image_folder, format):
    root = image_folder(count=8)
    arguments = {"name": None, "data_dir": root, "images_per_class": None, "format": format}
    expected = contents(prepared(tmp_path / "whole", **arguments))
    good = (root / "bee" / "picture3.png").read_bytes()
    (root / "bee" / "picture3.png").write_bytes(good[:100])
    out = tmp_path / "out"
    with pytest.raises(ValueError, match=r"must be a whole PNG.*picture3\.png"):
        prepared(out, **arguments)
    assert list(out.rglob("*")) and not list(out.glob("manifest*"))
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"1 of 16 images are left out:\n.*picture3\.png"):
            skipped = sonikeras.prepare(**(QUICK | arguments), directory=out, on_error="skip")
        assert skipped == [str(root / "bee" / "picture3.png")]
        assert len(rows(out)) == 15
        before = times(out)
    (root / "bee" / "picture3.png").write_bytes(good)
    assert sonikeras.prepare(**(QUICK | arguments), directory=out, on_error="skip") == []
    assert contents(out) == expected
    assert format == "tfrecord" or before.items() <= times(out).items()


# A second run ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
def test_finished_folder_is_verified(tmp_path, format):
    out = prepared(tmp_path / "out", format=format, shard_size=4)
    expected, before = contents(out), times(out)
    prepared(out, format=format, shard_size=4, verify=True)
    assert contents(out) == expected and times(out) == before
    missing, cut, flipped = sorted(before)[:: len(before) // 3][:3]
    (out / missing).unlink()
    (out / cut).write_bytes(expected[cut][:-9])
    damaged = bytearray(expected[flipped])
    damaged[len(damaged) // 2] ^= 1
    (out / flipped).write_bytes(damaged)
    prepared(out, format=format, shard_size=4)
    assert {name for name, data in contents(out).items() if data != expected[name]} <= {flipped}
    prepared(out, format=format, shard_size=4, verify=True)
    assert contents(out) == expected
    changed = {Path(name).stem for name, time in times(out).items() if time != before[name]}
    assert changed == {Path(name).stem for name in (missing, cut, flipped)}


@pytest.mark.parametrize("format", FORMATS)
def test_files_of_a_changed_image_are_recreated(tmp_path, image_folder, format):
    root = image_folder(count=8)
    arguments = {"name": None, "data_dir": root, "images_per_class": None, "format": format, "shard_size": 4}
    out = prepared(tmp_path / "out", **arguments)
    before = times(out)
    shutil.copy(root / "ant" / "picture1.png", root / "bee" / "picture1.png")
    prepared(out, **arguments)
    assert len([name for name, time in times(out).items() if time != before[name]]) == (2 if format == "files" else 1)
    assert contents(out) == contents(prepared(tmp_path / "new", **arguments))


def test_data_set_that_grows_and_shrinks(tmp_path):
    out = prepared(tmp_path / "out", images_per_class=5)
    before = times(out)
    prepared(out, images_per_class=10)
    assert before.items() <= times(out).items()
    assert contents(out) == contents(prepared(tmp_path / "new", images_per_class=10))
    with pytest.warns(UserWarning, match="has files of 10 examples that are not, or no longer, in the data set"):
        prepared(out, images_per_class=5)
    assert len(rows(out)) == 10 and len(times(out)) == 40
    packed = prepared(tmp_path / "records", images_per_class=5, format="tfrecord")
    with pytest.raises(ValueError, match=r"made in the same way.*'examples.train': \(8, 16\)"):
        prepared(packed, images_per_class=10, format="tfrecord")


def test_manifest_that_is_invalid(tmp_path):
    out = prepared(tmp_path / "out")
    expected = contents(out)
    unclosed = expected["manifest.csv"] + b'"' + b"x" * csv.field_size_limit()
    (out / "manifest-clean.csv").write_text("a table of someone else")
    for damage in (b"", b"split,class\ntrain,cat\n", expected["manifest.csv"] + b"train,cat\n", unclosed):
        (out / "manifest.csv").write_bytes(damage)
        with pytest.raises(ValueError, match=r"A manifest must have the columns .*manifest\.csv"):
            prepared(out)
    (out / "manifest.csv").unlink()
    prepared(out)
    assert contents(out) == expected | {"manifest-clean.csv": b"a table of someone else"}


# Many processes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
def test_concurrent_shards(tmp_path, format):
    arguments = {"images_per_class": 20, "format": format, "shard_size": 5}
    expected = contents(prepared(tmp_path / "whole", **arguments))
    out = tmp_path / "out"
    errors = []

    def make(index):
        try:
            prepared(out, shard=(index, 3), **arguments)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=make, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    shards = [f"manifest-{index:05d}-of-00003.csv" for index in range(3)]
    assert sorted(path.name for path in out.glob("manifest*")) == shards
    joined = sum((rows(out, shard) for shard in shards), [])
    whole = rows(tmp_path / "whole")
    for row in (*joined, *whole):
        del row["checksum"]
    assert sorted(map(str, joined)) == sorted(map(str, whole))
    before = times(out)
    prepared(out, **arguments)
    assert contents(out) == expected and times(out) == before


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is locked")
def test_concurrent_writers_of_the_same_files(tmp_path):
    out = prepared(tmp_path / "out", shard=(0, 2))
    with files.locked(out / ".prepare-00000-of-00002.lock"):
        with pytest.raises(BlockingIOError, match=r"must not write the same files.*00000-of-00002\.lock"):
            prepared(out, shard=(0, 2))
        prepared(out, shard=(1, 2))
    with files.locked(out / ".prepare.lock", shared=True), pytest.raises(BlockingIOError):
        prepared(out)
    with files.locked(out / ".prepare.lock"), pytest.raises(BlockingIOError):
        prepared(out, shard=(1, 2))
    (out / ".prepare-00000-of-00002.lock").touch()  # left by a killed process
    assert contents(prepared(out)) == contents(prepared(tmp_path / "whole"))


def test_joined_manifest_contains_only_the_shards(tmp_path, image_folder):
    root = image_folder(count=8)
    arguments = {"name": None, "data_dir": root, "images_per_class": None}
    out = prepared(tmp_path / "out", **arguments)
    (root / "bee" / "picture3.png").write_bytes(b"broken")
    for index in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            prepared(out, shard=(index, 2), on_error="skip", **arguments)
    plan = Plan.of(
        **(QUICK | arguments),
        directory=out,
        **{"classes": None, "engine": "auto", "seed": 42, "on_error": "skip", "format": "files", "audio_format": None},
        **{"source": "builtin", "pictures": True, "shard_size": 1024, "verify": False},
    )
    assert runs.join(plan, plan.examples(), 2) == [str(root / "bee" / "picture3.png")]
    assert len(rows(out)) == 15 and not list(out.glob("manifest-*")) and not list(out.glob(".*"))


def test_concurrent_claims(tmp_path):
    for index in range(10):
        with ThreadPoolExecutor(4) as pool:
            claims = [pool.submit(claim, tmp_path / f"{index}.json", {"n": n}, shared=True) for n in range(4)]
        assert sum(claim.exception() is None for claim in claims) == 1
    assert not list(tmp_path.glob(".*"))


def test_memory_does_not_grow_with_the_number_of_examples():
    taken = []

    def items():
        for index in range(1000):
            taken.append(index)
            yield index

    results = writer.in_order(lambda index: 2 * index, items(), threads=2)
    assert [next(results) for _ in range(10)] == list(range(0, 20, 2))
    assert len(taken) < 50
    results.close()
    assert list(writer.in_order(str, range(100), threads=3)) == list(map(str, range(100)))


# Errors ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "zip"}, r"Unknown `format`. Allowed values: \['files', 'tfrecord'\]. Received: format='zip'"),
        ({"audio_format": "mp3"}, r"Unknown `audio_format`. Allowed values: \['wav', 'flac', None\]. Received"),
        ({"on_error": "ignore"}, r"Unknown `on_error`. Allowed values: \['raise', 'skip'\]. Received"),
        (
            {"shard": (4, 4)},
            r"`shard` must be \(index, count\) with 0 <= index < count, or None. Received: shard=\(4, 4",
        ),
        ({"shard": 3}, r"`shard` must be \(index, count\)"),
        ({"seed": -1, "on_error": "skip"}, "`seed` must be an integer of at least 0. Received: seed=-1"),
        (
            {"config": sonikeras.SonificationConfig(colormap="none"), "on_error": "skip"},
            "Unknown `colormap`. Allowed values: .* Received: colormap='none'",
        ),
        ({"shard_size": 0}, "`shard_size` must be an integer of at least 1. Received: shard_size=0"),
    ],
)
def test_arguments(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        prepared(tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "labels",
    [
        ["a", "../../evil"],
        ["a", ""],
        ["a", ".b"],
        ["a", "b\0c"],
        ["a", "b\\c"],
        ["a", "b" * 256],
        ["STRASSE", "straße"],
    ],
)
def test_class_names_that_cannot_be_folders(tmp_path, labels):
    arrays = np.random.default_rng(0).integers(0, 256, (20, 8, 8), np.uint8), labels * 10
    arguments = {"name": None, "source": arrays, "images_per_class": None}
    with pytest.raises(ValueError, match=r"a class name must not be empty.*takes any name\. Received: the class name"):
        prepared(tmp_path / "out", **arguments)
    assert not list(tmp_path.iterdir())
    prepared(tmp_path / "out", format="tfrecord", pictures=False, **arguments)


@pytest.mark.parametrize("name", ["../b", "a//b", "/a", ".a", "a/.b", "a\0", "", "a\\b", "..", "a/../b", "x" * 252])
def test_names_that_cannot_be_files(name):
    examples = sources.load_examples("c2", "test", images_per_class=5)
    check_names(examples, 4)
    with pytest.raises(
        ValueError, match="no component of an example's name, as separated by '/', must be empty.*takes any name"
    ):
        check_names(dataclasses.replace(examples, names=[name, *examples.names[1:]]), 4)


def test_folder_with_another_format(tmp_path):
    out = prepared(tmp_path / "out")
    with pytest.raises(ValueError, match=r"made in the same way.*'format': \('files', 'tfrecord'\)"):
        prepared(out, format="tfrecord")


def test_incomplete_records(tmp_path):
    out = prepared(tmp_path / "out", format="tfrecord", shard_size=4)
    assert records.holds_records(out) and not records.holds_records(tmp_path)
    with pytest.raises(FileNotFoundError, match="must have record files of the split.*Received: none in"):
        records.load(tmp_path, "train", "audio")
    with pytest.raises(ValueError, match="Unknown `stage`"):
        records.load(out, "train", "image")
    path = out / "train-00001-of-00004.tfrecord"
    data = path.read_bytes()
    for damage, message in (
        (data[:-1], "must be whole"),
        (data + b"1234", "must be whole"),
        (b"\0" * 99, "must fit its checksum"),
    ):
        path.write_bytes(damage)
        with pytest.raises(ValueError, match=f"{message}.*{path.name}"):
            records.load(out, "train", "audio")
    path.unlink()
    with pytest.raises(ValueError, match=r"All record files of a split must be there.*00001-of-00004"):
        records.load(out, "train", "audio")


def test_damaged_records_are_never_read(tmp_path):
    """No damaged label, name or audio is read: the error names the file."""
    out = prepared(tmp_path / "out", format="tfrecord", images_per_class=5)
    path = out / "train-00000-of-00001.tfrecord"
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    entries = list(records.index([path]))

    def read():
        _, labels, names, parts = records.load(out, "train", "audio")
        return list(zip(labels, names, [part.read() for part in parts], strict=True))

    expected = read()
    assert [row[2] for row in expected] == [
        whole[start : start + length] for start, length in (e.sound for e in entries)
    ]
    for place in (*range(12), *entries[0].place, *rng.integers(len(whole), size=200)):
        path.write_bytes(_changed(whole, place, lambda byte: byte ^ 1 << rng.integers(8)))
        with pytest.raises(ValueError, match=str(path)):
            read()


def test_damaged_label_is_repaired(tmp_path):
    import tensorflow as tf

    out = prepared(tmp_path / "out", format="tfrecord", images_per_class=5)
    path, expected = out / "train-00000-of-00001.tfrecord", contents(out)
    whole = path.read_bytes()
    place = whole.index(b"label") + 11  # after the lengths and tags of a feature with one integer
    assert whole[place] == 0
    path.write_bytes(_changed(whole, place, lambda byte: byte ^ 1))
    assert [entry.label for entry in records.index([path])][0] == 1
    with pytest.raises(ValueError, match=r"must be the place of its class.*prepare it|Prepare it again.*train-00000"):
        sonikeras.dataset(data_dir=out, stage="audio", config="lossless")
    prepared(out, format="tfrecord", images_per_class=5)
    assert contents(out) == expected
    place = whole.index(b"spectral_convergence") + 30
    path.write_bytes(_changed(whole, place, lambda byte: byte ^ 1))
    prepared(out, format="tfrecord", images_per_class=5)
    assert path.read_bytes() != whole
    data = sonikeras.dataset(data_dir=out, stage="audio", config="lossless", shuffle=False)
    with pytest.raises(tf.errors.OpError, match=f"must fit their checksum.*{path}"):
        list(data)
    with pytest.warns(UserWarning, match="1 of 8 files are left out:\n.*must fit their checksum"):
        data = sonikeras.dataset(data_dir=out, stage="audio", config="lossless", shuffle=False, on_error="skip")
    assert sum(len(labels) for _, labels in data) == 7
    prepared(out, format="tfrecord", images_per_class=5, verify=True)
    assert contents(out) == expected


def test_no_warnings(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepared(prepared(tmp_path / "out"))
