"""Parts of a data set: complete, disjoint, decided by names alone, near-duplicates together."""

import numpy as np
import pytest

import sonikeras
from sonikeras.sources import _splits as splits
from sonikeras.sources._splits import alike, hash_fraction, in_fraction, near_duplicate_groups


def parts_of(count, salt="fold", names=None, groups=None):
    names = names or [f"img{i}" for i in range(1000)]
    return np.stack([in_fraction(names, i / count, (i + 1) / count, salt=salt, groups=groups) for i in range(count)])


def test_folds_are_disjoint_and_complete():
    parts = parts_of(5)
    assert (parts.sum(axis=0) == 1).all() and (abs(parts.sum(axis=1) - 200) < 50).all()


def test_a_part_does_not_depend_on_what_else_there_is():
    names = [f"img{i}" for i in range(1000)]
    np.testing.assert_array_equal(parts_of(5)[:, ::3], parts_of(5, names=names[::3]))


def test_other_salts_divide_independently():
    both = parts_of(5)[0] & parts_of(5, salt="validation")[0]
    assert 15 < both.sum() < 75


def test_groups_stay_together_and_parts_keep_their_size():
    groups = np.repeat(np.arange(0, 1000, 10), 10)
    parts = parts_of(5, groups=groups)
    assert (parts.reshape(5, 100, 10).any(axis=2) == parts.reshape(5, 100, 10).all(axis=2)).all()
    assert (parts.sum(axis=0) == 1).all() and (abs(parts.sum(axis=1) - 200) < 140).all()


def test_names_in_either_normal_form_are_the_same():
    assert hash_fraction("caf\u00e9") == hash_fraction("cafe\u0301")


def test_images_of_one_color_resemble_nothing():
    images = np.zeros((3, 4, 4), np.uint8)
    assert near_duplicate_groups(images, threshold=0.9).tolist() == [0, 1, 2]


def test_alike_pairs_are_those_of_the_whole_matrix_of_correlations(monkeypatch):
    rng = np.random.default_rng(0)
    images, others = rng.integers(0, 256, (23, 4, 5)).astype(np.uint8), rng.integers(0, 256, (17, 4, 5))
    monkeypatch.setattr(splits, "_BLOCK", 5)
    found = {}
    for rows, columns, correlations in alike(images, others, threshold=0.2):
        found |= dict(zip(zip(rows.tolist(), columns.tolist(), strict=True), correlations, strict=True))
    for i, image in enumerate(images):
        for j, other in enumerate(others):
            expected = max(np.corrcoef(image.ravel(), turned.ravel())[0, 1] for turned in (other, other[:, ::-1]))
            assert ((i, j) in found) == (expected > 0.2)
            assert (i, j) not in found or abs(found[i, j] - expected) < 1e-9


def names(dataset):
    examples = dataset.examples
    return {
        f"{examples.class_names[label]}/{name}" for label, name in zip(examples.labels, examples.names, strict=True)
    }


def test_folds_and_validation_of_a_dataset():
    def part(split, **options):
        return names(sonikeras.dataset("c2", split=split, images_per_class=50, output="image", **options))

    train, test = part("train"), part("test")
    folds = [part("test", fold=(i, 4)) for i in range(4)]
    assert set.union(*folds) == train and sum(map(len, folds)) == len(train) and not train & test
    rest = part("train", fold=(1, 4))
    assert rest == train - folds[1]
    kept, held = (part(split, fold=(1, 4), validation_split=0.2) for split in ("train", "validation"))
    assert kept | held == rest and not kept & held and held
    assert part("test", fold=(1, 4), validation_split=0.2) == folds[1]
    assert part("test", validation_split=0.2) == test


def test_near_duplicates_stay_on_one_side(image_folder):
    import cv2

    root = image_folder(count=30)
    for path in sorted(root.glob("*/*.png")):  # each gets a mirrored and slightly darker twin
        cv2.imwrite(str(path.with_name(f"twin-{path.name}")), (cv2.imread(str(path))[:, ::-1] * 0.95).astype("uint8"))
    for i in range(3):
        options = {"data_dir": root, "output": "image", "fold": (i, 3), "group_duplicates": True}
        part = names(sonikeras.dataset(split="test", **options)) | names(sonikeras.dataset(split="train", **options))
        test = names(sonikeras.dataset(split="test", **options))
        for name in part:
            twin = name.replace("/", "/twin-") if "twin-" not in name else name.replace("twin-", "")
            assert twin not in part or (twin in test) == (name in test)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fold": (5, 5)}, r"`fold` must be \(i, k\).*Received: fold=\(5, 5\)"),
        ({"fold": (0, 1)}, "`fold` must be"),
        ({"fold": 3}, "`fold` must be"),
        ({"validation_split": 1.0}, "`validation_split` must be.*Received: validation_split=1.0"),
        ({"split": "validation"}, "needs `validation_split` above 0"),
        ({"fold": (0, 50), "split": "test", "images_per_class": 10}, "Received: none of"),
        ({"split": "dev"}, "Unknown `split`.*Received: split='dev'"),
    ],
)
def test_bad_divisions(options, message):
    with pytest.raises(ValueError, match=message):
        sonikeras.dataset("c2", **options)
