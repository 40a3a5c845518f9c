"""Datasets of nnU-Net: raw format, folds, preprocessing as in nnU-Net, slices and patches, and refused input."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_helpers import assert_refused
from nnunet_files import ball, changed, nrrd_bytes, plans_content, write_array, write_plans, write_raw
from PIL import Image
from skimage.transform import resize

from bench.datasets import nnunet
from bench.datasets.data import in_regions
from bench.datasets.nnunet_files import Case, read_case
from bench.datasets.nnunet_preprocessing import Recipe, _zoom, preprocess
from bench.datasets.nnunet_raw import held_out_cases
from bench.datasets.nrrd import read_nrrd
from models.nnunet_plans import plans_of

# results of DefaultPreprocessor.run_case_npy of nnU-Net 2.8.1 for the volumes of `odd`: shape, values in the middle,
# standard deviations of the channels, maximum, voxels of each label, and the sum of labels times position modulo 97
RECORDED = {
    "masked": (
        {"spacing": (1.3, 0.8, 1.1), "use_mask": (True,), "transpose": (1, 0, 2)}, "3d_fullres", (1.0, 1.2, 0.9),
        (1, 14, 15, 13), [2.68487], [0.934503], 3.66954, {0: 2443, 1: 81, 2: 206}, 13433,
    ),
    "slices one by one": (
        {"spacing": (3.0, 0.7, 0.9), "schemes": ("CTNormalization", "ZScoreNormalization"), "use_mask": (False, False)},
        "3d_fullres", (4.0, 1.0, 1.1),
        (2, 16, 21, 20), [1.68298, 2.94877], [0.70202, 0.956172], 3.67411, {0: 5996, 1: 203, 2: 521}, 34091,
    ),
    "2d": (
        {"spacing": (3.0, 0.7, 0.9), "schemes": ("RescaleTo01Normalization",)}, "2d", (2.0, 1.0, 1.1),
        (1, 12, 21, 20), [0.782127], [0.200706], 1.0, {0: 4497, 1: 148, 2: 395}, 25822,
    ),
}  # fmt: skip
FOLDS = [["00", "07"], ["03", "09"], ["04", "06"], ["01", "08"], ["02", "05"]]  # of nnU-Net 2.8.1 for 10 cases


def odd(name: str, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a seeded volume with a border of zeros, and for `masked` a hole of zeros."""
    image, mask = ball(np.random.default_rng(7), channels=channels)
    image[:, :2], image[:, :, -3:] = 0, 0
    image = np.round(image)
    if name == "masked":
        image[0, 5, 3:6, 4] = 0
    return image, mask


@pytest.mark.parametrize("name", RECORDED)
def test_preprocessing_gives_the_values_of_nnunet(name):
    given, configuration, spacing, shape, middle, spread, most, labels, position = RECORDED[name]
    content = plans_content(**given)
    recipe = Recipe.of(plans_of(content, configuration, "plans.json"))
    image, mask = preprocess(*odd(name, len(given.get("schemes", (0,)))), spacing, recipe)
    assert (image.shape, image.dtype) == (shape, np.float32)
    assert image[:, *(side // 2 for side in shape[1:])] == pytest.approx(middle, abs=1e-4)
    assert image.reshape(len(image), -1).astype(float).std(axis=1) == pytest.approx(spread, abs=1e-4)
    assert image.max() == pytest.approx(most, abs=1e-4)
    assert dict(zip(*np.unique(mask, return_counts=True), strict=True)) == labels
    assert (mask * np.arange(mask.size).reshape(mask.shape) % 97).sum() == position


@pytest.mark.parametrize("order", [0, 1, 3])
def test_resampling_equals_that_of_scikit_image(order):
    array = np.random.default_rng(0).normal(size=(9, 8, 7))
    for shape in ((12, 8, 5), (5, 11, 7), (18, 16, 14)):
        wanted = resize(array, shape, order, mode="edge", clip=True, anti_aliasing=False)
        assert np.array_equal(_zoom(array, shape, order), wanted)


def test_labels_never_take_a_value_between_two_labels():
    mask = np.zeros((1, 6, 6), np.uint8)
    mask[:, :, 3:] = 2
    recipe = Recipe((0, 1, 2), (1.0, 0.3, 0.3), ("NoNormalization",), (False,))
    _, finer = preprocess(np.ones((1, 1, 6, 6), np.float32), mask, (1.0, 1.0, 1.0), recipe)
    assert finer.shape == (1, 20, 20)
    assert np.array_equal(finer, np.repeat(2 * (np.arange(20) >= 10), 20).reshape(20, 20).T[None])


def test_normalisations_follow_their_formulas():
    image = np.array([0, 0, 1, 2, 3, 4], np.float32).reshape(1, 1, 1, 6)
    mask = np.zeros((1, 1, 6))

    def after(scheme, use_mask=False, **known):
        recipe = Recipe((0, 1, 2), None, (scheme,), (use_mask,), (known,))
        return preprocess(image.copy(), mask, (1, 1, 1), recipe)[0].flatten()  # the zeros are cropped

    assert after("NoNormalization").tolist() == [1, 2, 3, 4]
    assert after("ZScoreNormalization") == pytest.approx((np.arange(1, 5) - 2.5) / np.sqrt(1.25))
    assert after("RescaleTo01Normalization") == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert after("RGBTo01Normalization") == pytest.approx(np.arange(1, 5) / 255)
    known = {"percentile_00_5": 1.5, "percentile_99_5": 3.5, "mean": 2.0, "std": 0.5}
    assert after("CTNormalization", **known) == pytest.approx([-1, 0, 2, 3])


def test_nonzero_voxels_alone_are_normalised_and_background_outside_is_marked():
    image = np.zeros((1, 1, 4, 4), np.float32)
    image[0, 0, 0], image[0, 0, :, 0] = [1, 2, 3, 4], [1, 5, 5, 5]
    mask = np.zeros((1, 4, 4))
    mask[0, 3, 3] = 1  # a label outside the nonzero region is kept
    scaled, found = preprocess(image, mask, (1, 1, 1), Recipe((0, 1, 2), None, ("ZScoreNormalization",), (True,)))
    inside = np.array([1, 2, 3, 4, 5, 5, 5, 0])  # the voxel with the label counts as inside
    assert scaled[0, 0, 0] == pytest.approx((np.arange(1, 5) - inside.mean()) / inside.std(), abs=1e-6)
    assert found[0].tolist() == [[0, 0, 0, 0], [0, -1, -1, -1], [0, -1, -1, -1], [0, -1, -1, 1]]
    assert (scaled[0, 0, 1:3, 1:3] == 0).all()


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


@pytest.mark.parametrize("ending", [".nrrd", ".tif"])
def test_other_formats_hold_the_same_volumes(root, tmp_path, ending):
    other = write_raw(tmp_path / "Dataset902_Other", ending=ending)
    nifti, data = nnunet(str(root), n=[4, 2, 2]), nnunet(str(other), n=[4, 2, 2])
    assert torch.equal(nifti.test.targets, data.test.targets)
    tolerance = 1e-6 if ending == ".nrrd" else 0.1  # the TIFFs are rounded to bytes
    assert (nifti.test.images - data.test.images).abs().max() < tolerance


def test_colour_pictures_have_three_channels_in_one_file(tmp_path):
    folder, rng = tmp_path / "Dataset903_Colours", np.random.default_rng(0)
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for number in range(10):
        mask = np.zeros((20, 24), np.uint8)
        mask[5:12, 6:14] = 1
        write_array(folder / "imagesTr" / f"c{number}_0000.png", rng.integers(0, 256, (20, 24, 3)).astype(np.uint8))
        write_array(folder / "labelsTr" / f"c{number}.png", mask)
    content = {"channel_names": dict(zip("012", "RGB", strict=True)), "labels": {"background": 0, "cell": 1}}
    (folder / "dataset.json").write_text(json.dumps(content | {"file_ending": ".png"}))
    data = nnunet(str(folder))
    assert data.train.images.shape == (6, 3, 20, 24)
    assert data.outputs == 1
    content["channel_names"] = {"0": "grey"}
    (folder / "dataset.json").write_text(json.dumps(content | {"file_ending": ".png"}))
    assert_refused(r"c\d_0000.png: got 3 channels, wanted 1 \(grey in dataset.json\)", nnunet, str(folder))


def test_the_spacing_of_a_tiff_is_in_the_json_beside_it(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    paths = tmp_path / "a_0000.tif", tmp_path / "a.tif"
    for path in paths:
        write_array(path, array)
    image, mask, spacing = read_case(Case("a", paths[:1], paths[1]))
    assert np.array_equal(image[0], array)
    assert np.array_equal(mask, array)
    assert spacing == (1, 1, 1)
    (tmp_path / "a.json").write_text(json.dumps({"spacing": [3, 1, 0.5]}))
    assert read_case(Case("a", paths[:1], paths[1]))[2] == (3, 1, 0.5)
    Image.fromarray(array[0]).save(paths[0])
    assert_refused("a.tif: got 2x3x4, but a_0000.tif has 1x3x4", read_case, Case("a", paths[:1], paths[1]))


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_nrrd_files_hold_array_and_spacing(tmp_path, encoding):
    array = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    path = tmp_path / "a.nrrd"
    path.write_bytes(nrrd_bytes(array, (3.0, 1.0, 0.5), encoding))
    found, spacing = read_nrrd(path)
    assert np.array_equal(found, array)
    assert spacing == (3.0, 1.0, 0.5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"encoding": "hex"}, "got encoding 'hex', wanted one of raw, gzip"),
        ({"type": "block"}, "got type 'block', wanted one of signed char"),
        ({"data_file": "a.raw"}, "got data in another file, wanted them in this one"),
        ({"sizes": "4 3 9"}, r"unreadable \(24 values for a size of 9x3x4"),
        ({"kinds": "vector domain domain"}, "of the kinds vector domain domain, wanted 2 or 3 spatial axes"),
        ({"space_directions": "(1,0,0) (0,nan,0) (0,0,1)"}, r"unreadable \(spacings of 1.0, nan, 1.0\)"),
        ({"sizes": ""}, r"unreadable \('sizes'\)"),
    ],
)
def test_nrrd_files_that_can_not_be_read_are_refused(tmp_path, fields, message):
    path = tmp_path / "a.nrrd"
    path.write_bytes(nrrd_bytes(np.zeros((2, 3, 4), np.uint8), (1, 1, 1), **{"encoding": "raw"} | fields))
    assert_refused(message, read_nrrd, path)


def test_damaged_nrrd_files_are_refused(tmp_path):
    path = tmp_path / "a.nrrd"
    whole = nrrd_bytes(np.ones((4, 4, 4), np.float32), (1, 1, 1))
    for damaged in (b"", b"PK", whole[:40], whole[:-10]):
        path.write_bytes(damaged)
        assert_refused(r"a.nrrd: unreadable", read_nrrd, path)


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
