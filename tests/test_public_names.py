"""The names that the documentation promises can be imported, and old ones say where they are now."""

import importlib
import re
from pathlib import Path

import pytest

import sonikeras
from sonikeras.config import _imports

ROOT = Path(__file__).parents[1]
REFERENCE = (ROOT / "docs" / "reference.md").read_text("utf-8")

# What the reference of version 0.1.0 listed under another name.
OLD_NAMES = {
    "sonikeras.augmentation.Augmentation": "sonikeras.datasets.augmentation.Augmentation",
    "sonikeras.beam.prepare": "sonikeras.preparation.beam.prepare",
    "sonikeras.comparison.Comparison": "sonikeras.evaluation.comparison.Comparison",
    "sonikeras.comparison.compare": "sonikeras.evaluation.comparison.compare",
    "sonikeras.engines.engines": "sonikeras.signal.engines.engines",
    "sonikeras.engines.magnitudes_to_audio": "sonikeras.signal.engines.magnitudes_to_audio",
    "sonikeras.experiments.FineTuning": "sonikeras.training.FineTuning",
    "sonikeras.experiments.Recipe": "sonikeras.training.Recipe",
    "sonikeras.experiments.main": "sonikeras.cli.recipes.main",
    "sonikeras.experiments.run": "sonikeras.evaluation.experiment.run",
    "sonikeras.griffin_lim.griffin_lim": "sonikeras.signal.phase_retrieval.griffin_lim",
    "sonikeras.griffin_lim.istft": "sonikeras.signal.phase_retrieval.istft",
    "sonikeras.griffin_lim.structured_phase": "sonikeras.signal.phase_retrieval.structured_phase",
    "sonikeras.mdct.amplitude": "sonikeras.signal.mdct.amplitude",
    "sonikeras.mdct.inverse_mdct": "sonikeras.signal.mdct.inverse_mdct",
    "sonikeras.mdct.low_crest_signs": "sonikeras.signal.mdct.low_crest_signs",
    "sonikeras.mdct.mdct": "sonikeras.signal.mdct.mdct",
    "sonikeras.pages.to_html": "sonikeras.reporting",
    "sonikeras.records.load": "sonikeras.sources.records.load",
    "sonikeras.retention.recognition_retention": "sonikeras.evaluation.retention.recognition_retention",
    "sonikeras.saliency.grad_cam": "sonikeras.models.saliency.grad_cam",
    "sonikeras.spectrograms.filter_bank": "sonikeras.signal.spectrograms.filter_bank",
    "sonikeras.spectrograms.stft": "sonikeras.signal.spectrograms.stft",
    "sonikeras.streaming.SpectrogramStream": "sonikeras.layers.streaming.SpectrogramStream",
    "sonikeras.studies.sweep": "sonikeras.evaluation.sweep.sweep",
}


def listed() -> list[str]:
    """Every name in the reference, the members that it lists by name included."""
    names = []
    for name, options in re.findall(r"^::: (\S+)\n((?:    .*\n)*)", REFERENCE, re.MULTILINE):
        members = re.search(r"members: \[(.*)\]", options)
        names += [f"{name}.{each.strip()}" for each in members[1].split(",")] if members else [name]
    return names


def find(name: str) -> object:
    """What a dotted name stands for, by imports and attributes as a user writes them."""
    parts = name.split(".")
    value = importlib.import_module(parts[0])
    for i, part in enumerate(parts[1:], 2):
        if not hasattr(value, part):
            importlib.import_module(".".join(parts[:i]))
        value = getattr(value, part)
    return value


@pytest.mark.parametrize("name", listed())
def test_names_in_the_reference_are_importable_and_public(name):
    assert not any(part.startswith("_") for part in name.split("."))
    assert find(name).__doc__


def test_names_at_the_top_are_in_the_reference():
    for name in sonikeras.__all__:
        assert re.search(rf"^(::: |    .*heading: )sonikeras\.{name}\b", REFERENCE, re.MULTILINE), name


@pytest.mark.parametrize("name", sonikeras.__all__)
def test_names_at_the_top_are_documented_objects(name):
    assert getattr(sonikeras, name).__doc__
    assert name in dir(sonikeras)


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_names_in_the_documentation_are_importable(page):
    text = (ROOT / page).read_text("utf-8")
    for name in sorted(set(re.findall(r"(?<![\w./:-])sonikeras(?:\.[A-Za-z_]\w*)+", text))):
        if page == "docs/changelog.md" and _is_old(name):
            continue
        find(name)


def _is_old(name: str) -> bool:
    return any(name == old or name.startswith(f"{old}.") for old in _imports._MOVED)


@pytest.mark.parametrize(("old", "new"), OLD_NAMES.items())
def test_old_names_say_the_new_ones(old, new):
    module = old.rpartition(".")[0]
    home = new.rpartition(".")[0]
    with pytest.raises(ModuleNotFoundError, match=re.escape(home)):
        importlib.import_module(module)
    if module != "sonikeras.engines":  # which is a function now
        with pytest.raises(AttributeError, match=re.escape(home)):
            getattr(sonikeras, module.partition(".")[2])
    if new.count(".") > 1:
        assert find(new)


@pytest.mark.parametrize(("old", "new"), _imports._MOVED.items())
def test_moved_modules_name_places_that_exist(old, new):
    with pytest.raises(ModuleNotFoundError, match=re.escape(f"`{old}` has moved")):
        importlib.import_module(old)
    for place in re.findall(r"sonikeras(?:\.\w+)+", new):
        find(place)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sonikeras.nothing


def test_channels_is_a_module_to_import():
    import sonikeras.channels
    from sonikeras.channels import Noise

    assert sonikeras.channels is sonikeras.transmission and Noise is sonikeras.channels.Noise
