"""A csv of paths and labels: classes, several labels, splits, groups, and refused input."""

import csv

import numpy as np
import pytest
from dataset_helpers import assert_refused, save

from bench.datasets import table

ROWS = 10


@pytest.fixture
def root(tmp_path):
    """Write ten 8x8 images of the constant grey level 10 * i and a csv about them."""
    for i in range(ROWS):
        save(tmp_path / "files" / f"{i}.png", np.full((8, 8), 10 * i, np.uint8))
    write(tmp_path)
    return tmp_path


def write(root, **changes):
    """Write index.csv with some columns replaced, or removed if they are None."""
    columns = {
        "path": [f"files/{i}.png" for i in range(ROWS)],
        "label": ["10", "9"] * 5,
        "part": ["train"] * 6 + ["valid"] * 2 + ["test"] * 2,
        "patient": [f"p{i // 2}" for i in range(ROWS)],
        "effusion": [0, 1] * 5,
        "nodule": [1, 1, 0, 0, 0] * 2,
        "age": [20.5 + i for i in range(ROWS)],
        "visit": list(range(100, 100 + ROWS)),
    } | changes
    columns = {name: values for name, values in columns.items() if values is not None}
    with open(root / "index.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))


def test_classes_are_sorted_as_numbers(root):
    data = table(root, size=None, split="part")
    assert (data.task, data.classes) == ("classification", ("9", "10"))
    assert [len(split) for split in data.splits.values()] == [6, 2, 2]
    for split in data.splits.values():
        for image, target, name in zip(split.images, split.targets, split.names, strict=True):
            number = int(name.removeprefix("files/").removesuffix(".png"))
            assert (image * 255).round().unique().item() == 10 * number
            assert target == 1 - number % 2  # even numbers have the label 10, which is class 1


def test_classes_have_the_order_of_the_option(root):
    write(root, label=["benign", "malign"] * 5)
    assert table(root, size=None).classes == ("benign", "malign")
    data = table(root, size=None, split="part", classes=["malign", "benign", "unsure"])
    assert data.classes == ("malign", "benign", "unsure")
    assert data.test.targets.tolist() == [1, 0]


def test_several_labels(root):
    data = table(root, size=4, label=["effusion", "nodule"], split="part", n=[4, 2, 2])
    assert (data.task, data.classes, data.outputs) == ("multilabel", ("effusion", "nodule"), 2)
    assert data.train.images.shape == (4, 1, 4, 4)
    assert data.val.targets.tolist() == [[0, 1], [1, 0]]
    assert data.test.targets.tolist() == [[0, 0], [1, 0]]
    write(root, effusion=["0", "1.0"] * 5)
    assert table(root, size=4, label=["effusion", "nodule"], split="part").test.targets.tolist() == [[0, 0], [1, 0]]


def test_groups_and_splits(root):
    data = table(root, size=None, group="patient")
    groups = [set(split.groups) for split in data.splits.values()]
    assert [len(group) for group in groups] == [3, 1, 1]
    write(root, split=["train"] * 5 + ["test"] * 5)
    assert len(table(root, size=None).test) == 5  # auto takes the column split
    assert len(table(root, size=None, split=None).test) == 2
    message = r"index.csv: got patient p2 in 2 splits, wanted each in one; correct the split column, or set"
    assert_refused(message, table, root, group="patient")


def test_absolute_paths_and_another_csv(root, tmp_path):
    write(root, path=[str(root / "files" / f"{i}.png") for i in range(ROWS)])
    (root / "sub").mkdir()
    (root / "index.csv").rename(root / "sub" / "labels.csv")
    assert len(table(root / "sub", index="labels.csv", size=None, split="part").train) == 6


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({}, {"label": "age"}, r"got age 20.5, wanted classes, because regression is not available; join the values"),
        ({}, {"label": "visit"}, r"got 10 different numbers in 10 rows, wanted classes, because regression"),
        ({"label": ["a"] * 10}, {}, r"got the single label a, wanted two classes or more"),
        ({"label": ["a"] * 9 + [" "]}, {}, r"got no label in 1 rows, wanted one in each; fill them"),
        ({}, {"classes": ["9", "11"]}, r"got label 10, wanted one of 9, 11; correct the csv or dataset.classes"),
        (
            {},
            {"label": "grade"},
            r"got columns path, label, .*, wanted grade; rename one, or change dataset.path, data",
        ),
        ({}, {"label": ["effusion"]}, r"dataset.label: got \['effusion'\], wanted two columns or more"),
        ({}, {"label": ["effusion", "visit"]}, r"got visit '100' in row 1, wanted 0 or 1 in columns of labels"),
        ({"nodule": [1] * 9 + [""]}, {"label": ["effusion", "nodule"]}, r"got nodule '' in row 10, wanted 0 or 1"),
        (
            {},
            {"label": ["effusion", "nodule"], "classes": ["a", "b"]},
            r"dataset.classes: got names, but dataset.label",
        ),
        ({"path": ["files/0.png"] * 10}, {}, r"got files/0.png, .* twice, wanted each image once"),
        ({"path": [f"{i}.png" for i in range(10)]}, {}, r"got images that do not exist: .*0.png, .*wanted paths rel"),
        ({}, {"split": "fold"}, r"wanted fold; rename one"),
        ({"part": ["train"] * 10}, {"split": "part"}, r"the test split is empty \(10 images in all\)"),
        ({}, {"index": "labels.csv"}, r"labels.csv: no such file; set dataset.index to a csv in dataset.root"),
        ({}, {"n": [9, None, None], "split": "part"}, r"dataset.n: got 9 for train, wanted 1 to 6"),
    ],
)
def test_bad_input_is_refused(root, changes, options, message):
    write(root, **changes)
    assert_refused(message, table, root, **options)


def test_a_csv_without_rows_is_refused(root):
    (root / "index.csv").write_text("path,label\n")
    assert_refused(r"index.csv: got no rows, wanted one for each image", table, root)
