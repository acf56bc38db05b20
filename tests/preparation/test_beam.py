"""The Beam pipeline writes the same bytes as `prepare`."""

import shutil
import sys
from pathlib import Path

import pytest

import sonikeras
import sonikeras.preparation.beam

QUICK = {"config": "lossless", "cache": False, "images_per_class": 20}


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("format", "config"),
    [
        ("files", "lossless"),
        ("tfrecord", "lossless"),
        ("tfrecord", sonikeras.SonificationConfig.preset("lossless").replace(color="rgb", frames=30, max_freq=8000)),
    ],
)
def test_same_bytes_as_prepare(tmp_path, format, config):
    pytest.importorskip("apache_beam")
    arguments = QUICK | {"format": format, "shard_size": 6, "config": config}
    assert sonikeras.prepare("c2", tmp_path / "here", **arguments) == []
    assert sonikeras.preparation.beam.prepare("c2", tmp_path / "there", num_shards=3, **arguments) == []
    expected = contents(tmp_path / "here")
    assert contents(tmp_path / "there") == expected
    # A restarted pipeline writes what is missing.
    (tmp_path / "there" / "manifest.csv").unlink()
    lost = sorted(name for name in expected if name.startswith("train"))[0]
    (tmp_path / "there" / lost).unlink()
    sonikeras.preparation.beam.prepare("c2", tmp_path / "there", **arguments)
    assert contents(tmp_path / "there") == expected


def test_processes_that_share_only_files(tmp_path):
    pytest.importorskip("apache_beam")
    from apache_beam.options.pipeline_options import PipelineOptions

    options = PipelineOptions(runner="DirectRunner", direct_num_workers=2, direct_running_mode="multi_processing")
    sonikeras.prepare("c2", tmp_path / "here", **QUICK)
    sonikeras.preparation.beam.prepare("c2", tmp_path / "there", num_shards=4, pipeline_options=options, **QUICK)
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


def test_bad_image(tmp_path, image_folder):
    pytest.importorskip("apache_beam")
    root = image_folder(count=8)
    (root / "ant" / "picture1.png").write_bytes(b"no image")
    arguments = {"data_dir": root, "config": "lossless", "num_shards": 2}
    with pytest.raises(Exception, match="must be a whole PNG"):
        sonikeras.preparation.beam.prepare(None, tmp_path / "out", **arguments)
    skipped = sonikeras.preparation.beam.prepare(None, tmp_path / "out", on_error="skip", **arguments)
    assert skipped == [str(root / "ant" / "picture1.png")]
    assert len((tmp_path / "out" / "manifest.csv").read_text().splitlines()) == 16


def test_error_without_beam(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(ImportError, match=r"pip install 'sonikeras\[beam\]'"):
        sonikeras.preparation.beam.prepare("c2", tmp_path / "out", **QUICK)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="`num_shards` must be an integer of at least 1"):
        shutil.rmtree(tmp_path)
        monkeypatch.undo()
        pytest.importorskip("apache_beam")
        sonikeras.preparation.beam.prepare("c2", tmp_path / "out", num_shards=0, **QUICK)


@pytest.mark.parametrize("argument", ["shard", "iterations"])
def test_unknown_arguments(tmp_path, argument):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{argument}'"):
        sonikeras.preparation.beam.prepare("c2", tmp_path / "out", **{argument: None})
