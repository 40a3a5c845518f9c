"""Datasets of nnU-Net: raw format, folds, preprocessing as in nnU-Net, slices and patches, and refused input."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_helpers import assert_refused
from nnunet_files import changed, plans_content, write_plans, write_raw
from omegaconf import OmegaConf

from bench.config.build import build_data
from bench.datasets import nnunet
from bench.datasets.nnunet_files import Case, read_case
from bench.datasets.nnunet_raw import held_out_cases, read_raw
from bench.datasets.splits import in_regions
from bench.errors import InputError

FOLDS = [["00", "07"], ["03", "09"], ["04", "06"], ["01", "08"], ["02", "05"]]  # of nnU-Net 2.8.1 for 10 cases


@pytest.fixture
def root(tmp_path):
    return write_raw(tmp_path / "Dataset901_Test")


@pytest.fixture
def plans(tmp_path):
    return str(write_plans(tmp_path / "pre"))


def test_the_folds_are_those_that_nnunet_draws():
    names = [f"case{number:02d}" for number in range(10)]
    for fold, held in enumerate(FOLDS):
        train, val = held_out_cases(None, fold, names)
        assert [name[-2:] for name in val] == held
        assert sorted([*train, *val]) == names


def test_test_cases_are_the_val_of_the_fold_and_val_is_a_share_of_its_training_cases(root, plans):
    data = nnunet(str(root), plans, "3d_fullres", fold=1, val_share=0.25)
    assert sorted(data.test.groups) == ["case03", "case09"]
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 6, "val": 2, "test": 2}
    assert len({group for split in data.splits.values() for group in split.groups}) == 10
    assert data.classes == ("background", "inner", "outer")


def test_labelled_cases_of_images_ts_are_the_test_split(root, plans):
    write_raw(root, 3, part="Ts", seed=1)
    data = nnunet(str(root), plans, "3d_fullres", fold=0)
    assert list(data.test.groups) == ["test00", "test01", "test02"]
    assert sorted(data.val.groups) == ["case00", "case07"]
    assert len(data.train) == 8


def test_splits_final_beside_the_plans_decides_the_folds(root, plans):
    names = [f"case{number:02d}" for number in range(10)]
    folds = [{"train": names[2:], "val": names[:2]}, {"train": names[:5], "val": names[5:9]}]
    (Path(plans).parent / "splits_final.json").write_text(json.dumps(folds))
    data = nnunet(str(root), plans, "2d", fold=1)
    assert sorted(set(data.test.groups)) == names[5:9]
    assert set(data.train.groups) | set(data.val.groups) == set(names[:5])  # case09 is in neither
    given = root / "own.json"
    given.write_text(json.dumps(folds[:1]))
    assert set(nnunet(str(root), plans, "2d", splits=str(given)).test.groups) == set(names[:2])
    assert_refused(r"dataset.fold: got 1, wanted a number from 0 to 0", nnunet, str(root), plans, "2d", 1, str(given))


def test_volumes_are_padded_to_the_patch_and_larger_ones_stay_whole(root, plans):
    data = nnunet(str(root), plans, "3d_fullres")
    assert data.image_size == (16, 16, 16)
    assert {tuple(mask.shape) for mask in data.volumes["train"].targets} == {(16, 18, 16)}  # of (14, 18, 16)
    image, mask = read_case_of(root, data.train.names[0])
    whole = data.volumes["train"]
    normalised = (image - image.mean()) / image.std()
    assert np.allclose(whole.images[0][0, 1:-1], normalised[0], atol=1e-5)
    assert (whole.images[0][:, [0, -1]] == 0).all()
    assert np.array_equal(whole.targets[0][1:-1], mask)
    padded = nnunet(str(root), plans, "3d_fullres", patch=[16, 20, 16])
    assert padded.volumes is None
    assert padded.image_size == (16, 20, 16)


def read_case_of(root: Path, name: str):
    image, mask, _ = read_case(
        Case(name, (root / "imagesTr" / f"{name}_0000.nii.gz",), root / "labelsTr" / f"{name}.nii.gz")
    )
    return image, mask


def test_slices_are_along_the_first_axis_of_the_plans(root, tmp_path):
    path = write_plans(tmp_path / "turned", plans_content(transpose=(2, 0, 1), patch=(16, 16, 20)))
    data = nnunet(str(root), str(path), "2d")
    assert len(data.test) == 2 * 16  # slices of two cases along the last axis of the file
    assert data.image_size == (16, 20)
    _, mask = read_case_of(root, "case00")
    rows = [row for row, group in enumerate(data.test.groups) if group == "case00"]
    assert np.array_equal(data.test.targets[rows][:, 1:-1, 1:-1], mask.transpose(2, 0, 1))
    assert data.test.names[rows[3]] == "case00_003"


def test_some_slices_are_evenly_spaced_among_those_with_labels(root, plans):
    data = nnunet(str(root), plans, "2d", slices=3)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 18, "val": 6, "test": 6}
    assert (data.test.targets > 0).flatten(1).any(dim=1).all()
    assert len(set(data.test.names)) == 6


def test_without_plans_each_channel_is_a_z_score_at_the_spacing_of_the_file(root):
    data = nnunet(str(root))
    assert data.image_size == (14, 18, 16)
    assert data.volumes is None
    assert data.train.images.mean(dim=(1, 2, 3, 4)).abs().max() < 1e-5
    assert data.train.images.std(dim=(1, 2, 3, 4), correction=0) == pytest.approx(np.ones(6), abs=1e-5)
    assert nnunet(str(root), configuration="2d").image_size == (18, 16)


def test_the_name_of_a_dataset_is_looked_up_in_nnunet_raw(root, monkeypatch):
    monkeypatch.delenv("nnUNet_raw", raising=False)
    message = r"dataset.root: got Dataset901_Test, which is not a folder, and nnUNet_raw is not set; set"
    assert_refused(message, nnunet, "Dataset901_Test")
    monkeypatch.setenv("nnUNet_raw", str(root.parent))
    assert nnunet("Dataset901_Test").name == "Dataset901_Test"
    assert_refused(r"got Dataset9, which is not in nnUNet_raw=", nnunet, "Dataset9")
    assert_refused(r"dataset.root: got .*/missing, which is not a folder", nnunet, str(root / "missing"))
    assert_refused(r"which has no dataset.json; set dataset.root to a folder of the raw", nnunet, str(root.parent))


def test_labels_of_several_numbers_are_regions_that_overlap(root):
    content = json.loads((root / "dataset.json").read_text())
    content["labels"] = {"background": 0, "whole": [1, 2], "shell": [2]}
    (root / "dataset.json").write_text(json.dumps(content | {"regions_class_order": [1, 2]}))
    data = nnunet(str(root))
    assert (data.regions, data.outputs) == ({"whole": (1, 2), "shell": (2,)}, 2)
    assert data.classes == ("background", "label 1", "label 2")
    targets = in_regions(data.test.targets, data.regions)
    assert torch.equal(targets[:, 0], (data.test.targets > 0).float())
    assert torch.equal(targets[:, 1], (data.test.targets == 2).float())
    assert data.card()["regions"] == data.regions
    assert data.fingerprint != replace(data, regions=None).fingerprint


def test_numbers_in_the_same_regions_are_one_class(root):
    content = json.loads((root / "dataset.json").read_text())
    content["labels"] = {"background": 0, "whole": [1, 2]}
    (root / "dataset.json").write_text(json.dumps(content))
    data = nnunet(str(root))
    assert (data.classes, data.regions, data.outputs) == (("background", "label 1 2"), {"whole": (1,)}, 1)
    assert data.test.targets.unique().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"channel_names": None, "modality": {"0": "MRI"}},
            "got no channel_names or no file_ending, as in the formats",
        ),
        ({"file_ending": ".jpg"}, "got file_ending '.jpg', wanted one of .nii.gz, .nii, .nrrd, .png"),
        ({"file_ending": ".nrrd"}, "got no case, wanted files such as case_0000.nrrd; check file_ending"),
        ({"labels": {"background": 0, "a": 2}}, "got labels 0, 2, wanted 0, 1 and so on, with background 0"),
        ({"labels": {"background": 0, "a": 1}}, r"got mask values 0, 1, 2, wanted all of 0, 1; correct the mask"),
        (
            {"labels": {"background": 0, "a": 1, "b": 2, "ignore": 3}},
            "got the label 'ignore', wanted masks in which all",
        ),
        ({"channel_names": {"0": "a", "1": "b"}}, r"got 1 channels, wanted 2 \(a, b in dataset.json\)"),
        ({"overwrite_image_reader_writer": "NibabelIOWithReorient"}, "got the reader NibabelIOWithReorient"),
        ({"labels": {"background": 0, "a": 1, "b": 1}}, "got two labels of one number"),
        ({"labels": {"background": 0, "a": "one"}}, "wanted a number, or a list of numbers, for each label"),
        ({"labels": [0, 1]}, "got no labels, wanted channel_names, labels and file_ending"),
    ],
)
def test_bad_descriptions_are_refused(root, changes, message):
    content = json.loads((root / "dataset.json").read_text()) | changes
    (root / "dataset.json").write_text(json.dumps({k: v for k, v in content.items() if v is not None}))
    assert_refused(message, nnunet, str(root))


def test_missing_files_are_refused(root):
    (root / "labelsTr" / "case03.nii.gz").rename(root / "kept.nii.gz")
    assert_refused(r"case03.nii.gz: no such file, wanted the mask of case03_0000.nii.gz", nnunet, str(root))
    (root / "kept.nii.gz").rename(root / "labelsTr" / "case03.nii.gz")
    (root / "imagesTr" / "case03_0000.nii.gz").rename(root / "imagesTr" / "case03_0001.nii.gz")
    assert_refused(r"case03: got the channels 1, wanted 0 and so on", nnunet, str(root))


def test_folds_that_do_not_fit_are_refused(root, plans):
    file = Path(plans).parent / "splits_final.json"
    for content, message in [
        ([{"train": ["case00"], "val": ["other"]}], "fold 0 lists other, which has no file in imagesTr"),
        ([{"train": ["case00"], "val": ["case00"]}], "fold 0 has case00 in train and in val"),
        ([{"train": ["case00"]}], r"unreadable \('val'\), wanted a list of folds with train and val"),
        ([], "dataset.fold: got 0, wanted a number from 0 to -1"),
    ]:
        file.write_text(json.dumps(content))
        assert_refused(message, nnunet, str(root), plans, "2d")
    assert_refused(r"dataset.splits: got no.json, which is no file", nnunet, str(root), plans, "2d", splits="no.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            plans_content(schemes=("ZScoreNormalization",) * 2, use_mask=(False,) * 2),
            "is for 2 channels, and .* channel 0",
        ),
        (plans_content(schemes=("MyNormalization",)), "got the normalisation MyNormalization, wanted one of ZScore"),
        (changed(plans_content(), "2d", preprocessor_name="Mine"), "got the preprocessor Mine, wanted Default"),
        (
            changed(plans_content(), "2d", resampling_fn_data="resample_torch_fornnunet"),
            "got resampling_fn_data resample_torch_fornnunet with order_z 0, wanted resample_data_or_seg_to_shape",
        ),
        (plans_content() | {"image_reader_writer": "NibabelIOWithReorient"}, "got the reader NibabelIOWithReorient"),
        (
            plans_content(schemes=("CTNormalization",)) | {"foreground_intensity_properties_per_channel": {}},
            "CTNormalization without foreground_intensity_properties_per_channel",
        ),
    ],
)
def test_plans_that_do_not_fit_the_data_are_refused(root, tmp_path, content, message):
    assert_refused(message, nnunet, str(root), str(write_plans(tmp_path / "bad", content)), "2d")


def test_wrong_settings_are_refused(root, plans):
    assert_refused(
        r"dataset.slices: got 0, wanted a positive integer or null", nnunet, str(root), plans, "2d", slices=0
    )
    assert_refused(r"dataset.configuration: got 3d without plans, wanted 2d, 3d_full", nnunet, str(root), None, "3d")
    assert_refused(r"dataset.val_share: got 0.0, which takes none of 8 cases", nnunet, str(root), val_share=0.0)
    with pytest.raises(ValueError, match=r"configuration: got '3d', wanted one of 2d, 3d_fullres"):
        nnunet(str(root), plans, "3d")


def test_folds_replace_the_fold_of_nnunet_with_whole_cases(root):
    dataset = {"_target_": "bench.datasets.nnunet", "root": str(root), "configuration": "2d", "slices": 2, "fold": 0}
    tested = []
    for fold in range(3):
        data = build_data(OmegaConf.create({"folds": 3, "fold": fold, "dataset": dataset}))
        tested += sorted(set(data.test.groups))
    assert sorted(tested) == sorted(read_raw(str(root)).cases)
    with pytest.raises(InputError, match=r"^dataset\.fold: got 2 and folds=3, wanted one of them; leave"):
        build_data(OmegaConf.create({"folds": 3, "fold": 0, "dataset": dataset | {"fold": 2}}))
