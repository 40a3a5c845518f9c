"""Folds: groups stay whole, each sample is a test sample once, folds are stratified, and bad input is refused."""

import json
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.datasets.data import SPLITS, Data
from bench.datasets.folds import assign_folds, with_fold
from bench.datasets.phantoms import phantoms
from bench.datasets.splits import Split, Volumes
from bench.errors import InputError


@contextmanager
def assert_refused(part):
    """Assert that the block raises an InputError of one line that contains this part."""
    with pytest.raises(InputError) as caught:
        yield
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def samples(groups, labels, names=None, task="classification"):
    """Return data of 1-pixel images with these groups and classes, in splits of a half and two quarters."""
    n = len(groups)
    images = torch.arange(n, dtype=torch.float32).reshape(n, 1, 1, 1)
    named = tuple(f"s{row:03d}" for row in range(n)) if names is None else tuple(names)
    whole = Split(images, torch.as_tensor(np.asarray(labels), dtype=torch.int64), np.asarray(groups), named)
    parts = np.split(np.arange(n), [n // 2, 3 * n // 4])
    splits = {name: whole.take(rows) for name, rows in zip(SPLITS, parts, strict=True)}
    return Data("made", task, ("a", "b", "c"), **splits)


def by_patient(seed):
    """Return data of 20 to 60 patients with 1 to 6 samples each, and a number of folds from 2 to 8."""
    rng = np.random.default_rng(seed)
    patients = rng.integers(20, 61)
    groups = np.repeat([f"p{number:02d}" for number in range(patients)], rng.integers(1, 7, patients))
    order = rng.permutation(len(groups))
    return samples(groups[order], rng.choice(3, len(groups), p=[0.6, 0.3, 0.1])), int(rng.integers(2, 9))


def names_of(data):
    return {name: split.names for name, split in data.splits.items()}


@pytest.mark.parametrize("seed", range(8))
def test_groups_stay_whole_and_each_sample_is_a_test_sample_once(seed):
    data, folds = by_patient(seed)
    tested = []
    for fold in range(folds):
        split = with_fold(data, folds, fold)
        groups = [set(each.groups) for each in split.splits.values()]
        assert not groups[0] & groups[1]
        assert not groups[0] & groups[2]
        assert not groups[1] & groups[2]
        assert all(groups)
        joined = split.split("all")
        assert sorted(joined.names) == sorted(data.split("all").names)
        assert [f"s{int(image):03d}" for image in joined.images] == list(joined.names)  # rows stay together
        tested += split.test.names
    assert sorted(tested) == sorted(data.split("all").names)


def test_folds_and_validation_are_stratified_by_class():
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    data = samples(np.arange(100), np.random.default_rng(0).permutation(labels))
    for fold in range(5):
        split = with_fold(data, 5, fold)
        assert np.bincount(split.test.targets).tolist() == [12, 6, 2]
        of_val = np.bincount(split.val.targets, minlength=3)  # a third of the other 80
        assert len(split.val) == 27
        assert np.abs(of_val - 27 * np.array([0.6, 0.3, 0.1])).max() <= 1


def test_patients_are_balanced_over_folds():
    data, _ = by_patient(0)
    assigned = assign_folds(data, 5)
    sizes = np.bincount(assigned)
    assert sizes.max() - sizes.min() <= 6  # samples of the largest patient


def test_masks_are_stratified_by_their_classes():
    """A quarter of the masks has the second class; each fold gets its share of them."""
    masks = torch.ones(40, 4, 4, dtype=torch.int64)
    masks[:, 0] = 0
    masks[::4, 1:3, 1:3] = 2
    data = samples(np.arange(40), np.zeros(40))
    whole = replace(data.split("all"), images=torch.zeros(40, 1, 4, 4), targets=masks)
    parts = {name: whole.take(rows) for name, rows in zip(SPLITS, np.split(np.arange(40), [20, 30]), strict=True)}
    data = Data("made", "segmentation", ("background", "a", "b"), **parts)
    for fold in range(5):
        targets = with_fold(data, 5, fold).test.targets
        assert int((targets == 2).flatten(1).any(1).sum()) == 2


def test_folds_do_not_depend_on_the_split_of_the_data_or_on_the_order():
    data, _ = by_patient(1)
    whole = data.split("all")
    order = np.random.default_rng(0).permutation(len(whole))
    mixed = {name: whole.take(rows) for name, rows in zip(SPLITS, np.array_split(order, 3), strict=True)}
    other = Data("made", "classification", data.classes, **mixed)
    for fold in range(3):
        assert names_of(with_fold(data, 3, fold))["test"] == names_of(with_fold(other, 3, fold))["test"]


def test_another_seed_draws_other_folds():
    data, _ = by_patient(2)
    first, again, other = (names_of(with_fold(data, 4, 1, seed)) for seed in (0, 0, 1))
    assert first == again
    assert first["test"] != other["test"]


def test_volumes_follow_their_samples():
    whole = phantoms(n=(6, 3, 3), size=16)
    volumes = {
        name: Volumes(tuple(split.images), tuple(split.targets), split.groups, split.names)
        for name, split in whole.splits.items()
    }
    fold = with_fold(replace(whole, volumes=volumes), 3, 2)
    for name, split in fold.splits.items():
        assert fold.volumes[name].names == split.names
        assert list(fold.volumes[name].groups) == list(split.groups)
        for volume, mask, image, target in zip(
            fold.volumes[name].images, fold.volumes[name].targets, split.images, split.targets, strict=True
        ):
            assert torch.equal(volume, image)
            assert torch.equal(mask, target)


def test_a_column_of_the_index_has_the_folds(tmp_path):
    data = samples(np.repeat(["ann", "bob", "cy", "dan"], 3), np.zeros(12))
    index = tmp_path / "index.csv"
    rows = [f"s{row:03d},{number}" for row, number in enumerate(np.repeat([3, 1, 2, 1], 3))]
    index.write_text("\n".join(["stem,part", *reversed(rows)]))
    assert assign_folds(data, "part", index=index).tolist() == np.repeat([3, 1, 2, 1], 3).tolist()
    assert set(with_fold(data, "part", 1, index=index).test.groups) == {"bob", "dan"}
    with assert_refused("fold: got 0, wanted one of 1, 2, 3 for folds=part; write fold=1, or -m fold=1,2,3"):
        with_fold(data, "part", 0, index=index)
    with assert_refused("got columns stem, part, wanted site"):
        with_fold(data, "site", 0, index=index)
    with assert_refused("folds: got 'part', and this dataset has no index with columns"):
        with_fold(data, "part", 0)
    for value, message in (
        ("two", "got part 'two' of s000, wanted the number of a fold"),
        ("2", "got ann in the folds"),
    ):
        index.write_text("\n".join(["stem,part", f"s000,{value}", *rows[1:]]))
        with assert_refused(message):
            with_fold(data, "part", 1, index=index)
    index.write_text("\n".join(["stem,part", *rows[1:]]))
    with assert_refused("no column has the names of all samples, such as s000"):
        with_fold(data, "part", 1, index=index)


def test_a_file_of_nnunet_has_the_folds(tmp_path):
    """The file names cases, which are the groups of slices."""
    data = samples(np.repeat(["c1", "c2", "c3", "c4"], 3), np.zeros(12))
    path = tmp_path / "splits_final.json"
    parts = (["c2", "c4"], ["c1"], ["c3"])
    content = [{"train": sorted({"c1", "c2", "c3", "c4"} - set(val)), "val": val} for val in parts]

    def fold(number, content):
        path.write_text(json.dumps(content))
        return with_fold(data, str(path), number)

    for number, val in enumerate(parts):
        split = fold(number, content)
        assert sorted(set(split.test.groups)) == val
        assert not set(split.test.groups) & {*split.train.groups, *split.val.groups}
    with assert_refused("fold: got 3, wanted one of 0, 1, 2"):
        fold(3, content)
    with assert_refused("c3 of dataset made is in val of no fold"):
        fold(0, content[:2])
    with assert_refused("c1 is in val of the folds 1 and 3"):
        fold(0, [*content, {"train": [], "val": ["c1"]}])
    with assert_refused("fold 0 has c3 neither in train nor in val"):
        fold(0, [{"train": ["c1"], "val": ["c2", "c4"]}, *content[1:]])
    with assert_refused("wanted a list of folds with train and val"):
        fold(0, {"train": []})
    with assert_refused("missing.json, which is no file"):
        with_fold(data, str(tmp_path / "missing.json"), 0)


@pytest.mark.parametrize(
    ("folds", "fold", "message"),
    [
        (3, 3, "fold: got 3, wanted one of 0, 1, 2 for folds=3; write fold=0, or -m fold=0,1,2 for all of them"),
        (3, -1, "fold: got -1, wanted one of 0, 1, 2"),
        (3, None, "fold: got None, wanted one of 0, 1, 2"),
        (5, 0, "folds: got 5, wanted at most 4: dataset made has 12 samples of 4 patients or other groups"),
    ],
)
def test_a_wrong_fold_is_refused(folds, fold, message):
    data = samples(np.repeat(["ann", "bob", "cy", "dan"], 3), np.zeros(12))
    with assert_refused(message):
        with_fold(data, folds, fold)


def test_samples_that_share_a_name_are_refused():
    data = samples(np.arange(12), np.zeros(12), names=["x", "x", *map(str, range(10))])
    with assert_refused("folds: dataset made has 2 samples with the name x, wanted names that differ"):
        with_fold(data, 3, 0)


def test_two_groups_leave_nothing_to_validate():
    data = samples(np.repeat(["ann", "bob"], 6), np.zeros(12))
    with assert_refused("a fold leaves 1 group for training and validation, wanted 2 or more"):
        with_fold(data, 2, 0)


def test_rare_classes_and_as_many_folds_as_samples():
    data = samples(np.arange(12), np.arange(12) % 3)
    assert sorted(assign_folds(data, 12)) == list(range(12))
