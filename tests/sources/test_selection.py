"""The selection of examples: one object, checked when it is created, with the same meaning everywhere."""

import dataclasses
import inspect

import numpy as np
import pytest

import sonikeras
from sonikeras.sources import SPLITS, Selection, load_examples


def test_methods_and_functions_agree():
    selection = Selection("c4", images_per_class=10)
    assert selection.class_names() == sonikeras.class_names("c4")
    assert selection.near_duplicates() == sonikeras.near_duplicates("c4", images_per_class=10)
    for split in selection.splits():
        assert selection.examples(split).full_names == load_examples("c4", split, images_per_class=10).full_names


def test_validation_split_and_folds_partition_the_training_split():
    whole = Selection("c2", images_per_class=50)
    train = set(whole.examples("train").full_names)
    held_out = dataclasses.replace(whole, validation_split=0.3)
    parts = [held_out.examples(split).full_names for split in ("train", "validation")]
    assert sorted(sum(parts, [])) == sorted(train)
    folds = [dataclasses.replace(whole, fold=[i, 3]).examples("test").full_names for i in range(3)]
    assert sorted(sum(folds, [])) == sorted(train)


def test_shards_hold_each_example_once():
    selection = Selection("c2", images_per_class=20)
    shards = [dataclasses.replace(selection, shard=(i, 3)).examples("train").full_names for i in range(3)]
    assert sorted(sum(shards, [])) == sorted(selection.examples("train").full_names)
    with pytest.raises(ValueError, match="`shard` must leave at least one example: there are 2"):
        dataclasses.replace(selection, images_per_class=5, shard=(8, 9)).examples("test")


def test_a_selection_is_immutable_and_comparable():
    selection = Selection("c2", classes=["dog", "cat"], fold=[0, 2], shard=[1, 2])
    assert selection == Selection("c2", classes=("dog", "cat"), fold=(0, 2), shard=(1, 2))
    assert len({selection, Selection("c2")}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        selection.name = "c4"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "c3"),
        ("stage", "sound"),
        ("images_per_class", 4),
        ("validation_split", 1),
        ("validation_split", np.nan),
        ("fold", (2, 2)),
        ("fold", 3),
        ("shard", (2, 2)),
        ("classes", "cat"),
        ("classes", 3),
    ],
)
def test_a_field_with_a_bad_value_is_refused_when_the_selection_is_created(field, value):
    with pytest.raises(ValueError, match=f"Received: {field}="):
        Selection(**{field: value})


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match=f"Unknown `split`. Allowed values: .*{SPLITS[1]}.* Received: split='both'"):
        Selection("c2").examples("both")


def test_dataset_takes_the_fields_of_a_selection():
    arguments = inspect.signature(sonikeras.dataset).parameters
    for field in dataclasses.fields(Selection):
        assert arguments[field.name].default == field.default
