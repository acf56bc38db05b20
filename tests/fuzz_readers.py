"""Every reader of files that may come from elsewhere, with whole files of its kind."""

from __future__ import annotations

import io
import json
import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fuzzing
import numpy as np
from fuzzing import Reader

# Tests that make weights and CIFAR batches.
sys.path += [str(Path(__file__).parent / name) for name in ("models", "sources")]

RNG = np.random.default_rng(0)
PIXELS = np.kron(RNG.integers(0, 256, (4, 5, 3), np.uint8), np.ones((6, 6, 1), np.uint8))


# Images ------------------------------------------------------------------------------------------------------


def _images(extension: str, *kinds: tuple[str, dict[str, Any]]) -> Reader:
    def seeds(folder: Path) -> list[bytes]:
        from PIL import Image

        import sonikeras  # noqa: F401 - so that it is there before there are processes

        contents = []
        for mode, options in kinds:
            file = io.BytesIO()
            image = Image.fromarray(PIXELS)
            if mode == "I;16":
                image = Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257)
            elif mode != "RGB":
                image = image.convert(mode)
            exif = Image.Exif()
            exif[0x0112] = 6
            chosen = {key: exif if value == "exif" else value for key, value in options.items()}
            if chosen.pop("frames", False):
                chosen |= {"save_all": True, "append_images": [image.rotate(90), image.rotate(180)]}
            image.save(file, Image.registered_extensions()[extension], **chosen)
            contents.append(file.getvalue())
        return contents

    def read(path: Path) -> Any:
        import cv2

        from sonikeras import read_image

        cv2.setNumThreads(0)
        for color in (False, True):
            pixels = read_image(path, color=color)
            assert pixels.dtype == np.uint8 and pixels.size and pixels.ndim == 2 + color
        return pixels.shape

    return Reader(f"damaged{extension}", seeds, read, (fuzzing.png,) * (extension == ".png"))


# Audio -------------------------------------------------------------------------------------------------------

SAMPLES = (np.sin(np.arange(3000) * 0.1) * 0.3).astype(np.float32)


def _encoded(kind: str, subtype: str, *, rate: int = 22050, channels: int = 1, comment: str = "") -> bytes:
    import soundfile

    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate, channels, subtype, format=kind) as written:
        if comment:
            written.comment = comment
        written.write(np.stack([SAMPLES] * channels, axis=1))
    return file.getvalue()


def _read_audio(path: Path) -> Any:
    from sonikeras import read_audio

    audio, _ = read_audio(path)
    assert audio.dtype == np.float32 and audio.ndim == 1 and audio.size and np.isfinite(audio).all()
    return audio.shape


def _audio(kind: str, *subtypes: tuple[str, dict[str, Any]], extension: str = "") -> Reader:
    def seeds(folder: Path) -> list[bytes]:
        import librosa  # noqa: F401
        import soxr

        import sonikeras

        soxr.resample(SAMPLES, 8000, 22050)
        sonikeras.SonificationConfig.preset("study")
        return [_encoded(kind, subtype, **options) for subtype, options in subtypes]

    return Reader(
        f"damaged.{extension or kind.lower()}", seeds, _read_audio, (fuzzing.riff,) * (kind in ("WAV", "AIFF"))
    )


def _comments() -> Reader:
    """Configs in the comments of files: JSON is damaged, and the file around it is whole."""

    def seeds(folder: Path) -> list[bytes]:
        from sonikeras import SonificationConfig

        return [json.dumps(SonificationConfig.preset(name).to_dict()).encode() for name in ("study", "lossless")]

    def read(path: Path) -> Any:
        comment = "sonikeras:" + path.read_bytes().decode("utf-8", "replace")
        path.write_bytes(_encoded("WAV", "PCM_16", comment=comment.replace("\0", " ")))
        return _read_audio(path)

    return Reader("comment.wav", seeds, read, (fuzzing.tree, fuzzing.tree))


# Weights and CIFAR -------------------------------------------------------------------------------------------


def _weights(make: str) -> Reader:
    def seeds(folder: Path) -> list[bytes]:
        import test_weights as t

        wide = t.state(
            a=t.tensor(), b=t.tensor((4, 3), (1, 4)), c=t.tensor(key="0", shape=(2,), strides=(5,), offset=3)
        )
        if make == "legacy":
            return [t.legacy(), t.legacy(wide)]
        return [t.zipped(t.members()), t.zipped(t.members(**{"data.pkl": wide}))]

    def read(path: Path) -> Any:
        from sonikeras.models import weights

        result = weights.read_state_dict(path)
        assert all(isinstance(name, str) and value.dtype.kind in "fiu" for name, value in result.items())
        assert sum(value.nbytes for value in result.values()) <= 16 * path.stat().st_size
        return list(result)

    return Reader(
        "damaged.pth", seeds, read, (fuzzing.zipped,) if make == "zip" else (fuzzing.pickled, fuzzing.pickled)
    )


def _cifar() -> Reader:
    def seeds(folder: Path) -> list[bytes]:
        import test_sources as t

        from sonikeras.sources._cifar import ARCHIVES

        t._write_batch(folder / "batch", ARCHIVES["cifar10"].classes[:2], b"labels")
        return [(folder / "batch").read_bytes()]

    def read(path: Path) -> Any:
        from sonikeras.sources._cifar import ARCHIVES, _read_batch

        labels, names, images = _read_batch(path, ARCHIVES["cifar10"])
        assert len(labels) == len(names) == len(images) and images.shape[1:] == (32, 32, 3)
        return len(names)

    return Reader("damaged_batch", seeds, read, (fuzzing.pickled,))


# Records -----------------------------------------------------------------------------------------------------


def _varint(value: int) -> bytes:
    low, high = value & 127, value >> 7
    return bytes([low | 128]) + _varint(high) if high else bytes([low])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _serialized(features: dict[str, bytes | int | float]) -> bytes:
    entries = []
    for key, value in features.items():
        if isinstance(value, bytes):
            feature = _field(1, _field(1, value))
        elif isinstance(value, float):
            feature = _field(2, _field(1, struct.pack("<f", value)))
        else:
            feature = _field(3, _field(1, _varint(value)))
        entries.append(_field(1, _field(1, key.encode()) + _field(2, feature)))
    return _field(1, b"".join(entries))


def _records(torn: bool) -> Reader:
    def seeds(folder: Path) -> list[bytes]:
        digest = b"0" * 64
        payloads = [
            _serialized(
                {"sound": bytes(50), "sound_sha256": digest, "class": b"cat", "name": b"cat-%d" % i, "label": i}
                | {"image_sha256": digest, "spectral_convergence": 0.5, "picture": bytes(30), "picture_sha256": digest}
            )
            for i in range(3)
        ]
        return [fuzzing.tfrecord_file(payloads)]

    def read(path: Path) -> Any:
        from sonikeras.sources import records

        entries = list(records.index([path], torn=torn))
        for entry in entries:
            assert 0 <= entry.sound[0] <= entry.sound[0] + entry.sound[1] <= path.stat().st_size
        return len(entries)

    return Reader("train-00000-of-00001.tfrecord", seeds, read, (fuzzing.tfrecord,))


def _scan() -> Reader:
    def seeds(folder: Path) -> list[bytes]:
        return [fuzzing.tfrecord_file([_serialized({"image": bytes(40), "label": i}) for i in range(4)])]

    def read(path: Path) -> Any:
        from sonikeras.sources._tfrecords import scan

        return [len(values) for values in scan(path, ["image", "label"])]

    return Reader("data.tfrecord", seeds, read, (fuzzing.tfrecord,))


# A prepared data set -----------------------------------------------------------------------------------------


def _rows() -> list[Any]:
    from sonikeras.preparation._manifests import Row

    digest = "0" * 64
    return [
        Row("train", "cat", f"cat-{i}", digest, f"train/cat/cat-{i}.flac", 0, 100, digest, "", 0, 0, "", "0.5")
        for i in range(4)
    ]


def _manifest() -> Reader:
    def seeds(folder: Path) -> list[bytes]:
        from sonikeras.preparation._manifests import writing_manifest

        with writing_manifest(folder / "manifest.csv", folder) as writer:
            for row in _rows():
                writer.writerow(row)
        return [(folder / "manifest.csv").read_bytes()]

    def read(path: Path) -> Any:
        from sonikeras.preparation._manifests import COLUMNS, Row, read_manifest

        rows = list(read_manifest(path))
        assert all(isinstance(row, Row) and (row in _rows() or "checksum" not in COLUMNS) for row in rows)
        return len(rows)

    return Reader("manifest.csv", seeds, read, (fuzzing.lines,))


def _journal() -> Reader:
    def seeds(folder: Path) -> list[bytes]:
        from sonikeras.preparation._manifests import Journal

        (folder / ".prepare").mkdir()
        journal = Journal(folder / ".prepare", ())
        for row in _rows():
            journal.add(row)
        journal.close()
        return [(folder / ".prepare" / "journal").read_bytes()]

    def read(path: Path) -> Any:
        from sonikeras.preparation._manifests import COLUMNS, Journal, Row, known_rows

        rows = list(known_rows(path.parent.parent, None))
        assert all(isinstance(row, Row) and (row in _rows() or "checksum" not in COLUMNS) for row in rows)
        journal = Journal(path.parent, rows)
        journal.add(_rows()[0])
        journal.close()
        return len(rows)

    return Reader(".prepare/journal", seeds, read, (fuzzing.lines,))


def _noted(file: str) -> Reader:
    """`prepare.json` and `run.json`, as what is about to be recreated is compared with them."""
    plan = {"classes": ["a", "b"], "config": {"sample_rate": 22050, "reference": "max"}, "seed": 0}

    def seeds(folder: Path) -> list[bytes]:
        from sonikeras.config._claims import claim

        claim(folder / file, plan, {"class_names": ["a", "b"]})
        return [(folder / file).read_bytes()]

    def read(path: Path) -> Any:
        from sonikeras.config._claims import claim

        claim(path, plan)
        return "the same"

    return Reader(file, seeds, read, (fuzzing.tree,))


def _class_names() -> Reader:
    def read(path: Path) -> Any:
        from sonikeras.sources.records import class_names

        names = class_names(path.parent)
        assert isinstance(names, list) and all(isinstance(name, str) for name in names)
        return names

    return Reader("prepare.json", _noted("prepare.json").seeds, read, (fuzzing.tree,))


def _cache() -> Reader:
    audio = np.arange(500, dtype=np.int16)

    def seeds(folder: Path) -> list[bytes]:
        from sonikeras.datasets.cache import AudioCache

        AudioCache(folder).put("abcdef", audio)
        return [(folder / "ab" / "abcdef").read_bytes()]

    def read(path: Path) -> Any:
        from sonikeras.datasets.cache import AudioCache

        found = AudioCache(path.parent.parent).get("abcdef")
        assert found is None or np.array_equal(found, audio)
        return found is None

    return Reader("ab/abcdef", seeds, read)


# Runs --------------------------------------------------------------------------------------------------------


def _report(file: str) -> Reader:
    def seeds(folder: Path) -> list[bytes]:
        from sonikeras.evaluation import Report

        names = ("ant", 'b"e,e', "cat\u00e9")
        probabilities = RNG.dirichlet(np.ones(3), 12).astype(np.float32)
        report = Report(
            names,
            np.arange(12) % 3,
            probabilities.argmax(axis=1),
            probabilities,
            loss=1.0,
            batch_mean_accuracy=0.5,
            history={"loss": [1.0, 0.5], "val_loss": [1.0, float("nan")], "seconds": [1.0, 2.0]},
            seconds=1.5,
            names=tuple(f"x/{i}" for i in range(12)),
        )
        report.save(folder)
        return [(folder / file).read_bytes()]

    def read(path: Path) -> Any:
        from sonikeras.evaluation import Report

        report = Report.load(path.parent)
        assert len(report.labels) == len(report.predictions) == len(report.probabilities)
        return report.accuracy

    return Reader(file, seeds, read, (fuzzing.tree,) if file.endswith(".json") else (fuzzing.lines,))


def _run() -> Reader:
    def seeds(folder: Path) -> list[bytes]:
        import sonikeras.reporting.study  # noqa: F401

        return [json.dumps({"network": "x", "data": {"train": "0" * 64}, "seed": 0}, indent=2).encode()]

    def read(path: Path) -> Any:
        from sonikeras.reporting.study import StudyResults

        run = SimpleNamespace(name=path.parent.name)
        noted = StudyResults.noted(SimpleNamespace(directory=path.parent.parent), run)  # type: ignore[arg-type]
        assert isinstance(noted, dict)
        return noted

    return Reader("run.json", seeds, read, (fuzzing.tree,))


class _Variable:
    """What `Checkpoint` needs of a Keras variable, without TensorFlow in many processes."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.value, self.dtype, self.path = shape, np.zeros(shape, np.float32), "float32", "x"

    def assign(self, value: Any) -> None:
        if np.shape(value) != self.shape:
            raise ValueError(
                f"The shape of the target variable and the shape of the target value must match: {self.shape}"
            )
        self.value = np.asarray(value, np.float32)

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        return self.value


def _checkpoint(file: str) -> Reader:
    def seeds(folder: Path) -> list[bytes]:
        import sonikeras.training  # noqa: F401

        np.savez(folder / "checkpoint-0002.npz", *[np.ones((3, 4), np.float32), np.ones(4, np.float32), np.float32(2)])
        (folder / "history.csv").write_text("epoch,loss,val_loss,seconds\n1,0.5,0.6,1.0\n2,0.4,0.5,2.0\n")
        return [(folder / file).read_bytes()]

    def read(path: Path) -> Any:
        from sonikeras.training._checkpoints import _Checkpoint

        variables = [_Variable((3, 4)), _Variable((4,)), _Variable(())]
        model = SimpleNamespace(variables=variables[:2], optimizer=SimpleNamespace(variables=variables[2:]))
        checkpoint = _Checkpoint(path.parent, 0.0, monitor="val_loss", patience=None)
        done = checkpoint.restore(model)  # type: ignore[arg-type]
        assert all(len(values) == done for values in checkpoint.history.values())
        return done

    return Reader(file, seeds, read, (fuzzing.zipped,) if file.endswith(".npz") else (fuzzing.lines,))


def _features() -> Reader:
    features, labels = np.ones((8, 5), np.float32), np.zeros(8, np.int32)

    class Dataset:
        """Four batches of two pictures."""

        def __init__(self, start: int = 0) -> None:
            self.start = start

        def cardinality(self) -> int:
            return 4

        def skip(self, count: int) -> Dataset:
            return Dataset(count)

        def __iter__(self) -> Any:
            return iter([(np.ones((2, 5), np.float32), np.zeros(2, np.int32))] * (4 - self.start))

    def seeds(folder: Path) -> list[bytes]:
        import sonikeras.models
        import sonikeras.training  # noqa: F401

        sonikeras.models.predict_batch = lambda backbone, pictures: np.asarray(pictures)  # type: ignore[assignment]
        np.savez(folder / "000000.npz", features=features, labels=labels)
        return [(folder / "000000.npz").read_bytes()]

    def read(path: Path) -> Any:
        from sonikeras.training import extract_features

        found, of = extract_features(None, Dataset(), path.parent)  # type: ignore[arg-type]
        assert len(found) == len(of) == 8 and found.dtype == np.float32
        return found.shape

    return Reader("000000.npz", seeds, read, (fuzzing.zipped,))


TALK = {"comment": "a comment"}

READERS: dict[str, Reader] = {
    "png": _images(".png", ("L", {}), ("RGB", {"exif": "exif"}), ("RGBA", {}), ("P", {}), ("I;16", {}), ("1", {})),
    "jpeg": _images(".jpg", ("L", {}), ("RGB", {"exif": "exif"}), ("RGB", {"progressive": True}), ("CMYK", {})),
    "gif": _images(".gif", ("P", {}), ("P", {"frames": True}), ("RGB", {"transparency": 3})),
    "bmp": _images(".bmp", ("L", {}), ("RGB", {}), ("P", {}), ("1", {})),
    "webp": _images(".webp", ("RGB", {"exif": "exif"}), ("RGBA", {"lossless": True}), ("RGB", {"frames": True})),
    "tiff": _images(".tif", ("RGB", {}), ("L", {"compression": "tiff_lzw"}), ("I;16", {})),
    "ppm": _images(".ppm", ("RGB", {}), ("L", {}), ("1", {})),
    "jpeg2000": _images(".jp2", ("RGB", {}), ("L", {})),
    "avif": _images(".avif", ("RGB", {}), ("RGBA", {})),
    "wav": _audio("WAV", ("PCM_16", TALK), ("FLOAT", {}), ("PCM_24", {"channels": 2}), ("ULAW", {"rate": 8000})),
    "wav_gsm": _audio("WAV", ("GSM610", {"rate": 8000}), ("MS_ADPCM", {}), ("IMA_ADPCM", {}), extension="wav"),
    "flac": _audio("FLAC", ("PCM_16", TALK), ("PCM_24", {"channels": 2, "rate": 44100})),
    "ogg": _audio("OGG", ("VORBIS", TALK), ("OPUS", {"rate": 48000})),
    "mp3": _audio("MP3", ("MPEG_LAYER_III", TALK), ("MPEG_LAYER_III", {"rate": 44100, "channels": 2})),
    "aiff": _audio("AIFF", ("PCM_16", TALK), ("FLOAT", {})),
    "comment": _comments(),
    "pth_legacy": _weights("legacy"),
    "pth_zip": _weights("zip"),
    "cifar": _cifar(),
    "records": _records(torn=False),
    "records_torn": _records(torn=True),
    "tfrecord_scan": _scan(),
    "manifest": _manifest(),
    "journal": _journal(),
    "prepare_json": _noted("prepare.json"),
    "class_names": _class_names(),
    "cache": _cache(),
    "report_json": _report("report.json"),
    "predictions_csv": _report("predictions.csv"),
    "run_json": _run(),
    "history_csv": _checkpoint("history.csv"),
    "checkpoint": _checkpoint("checkpoint-0002.npz"),
    "features": _features(),
}
