import numpy as np
import pytest
from dataset_helpers import assert_refused, save, write_index
from PIL import Image

from bench.datasets import image_folder

STEMS = [f"a{i}" for i in range(10)]
LAST_FOUR_TEST = ["train"] * 6 + ["test"] * 4


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"stem": "zz"}, {}, r"index.csv: stems without an image: zz"),
        ({"stem": "a1"}, {}, r"index.csv: stems listed twice: a1"),
        (None, {}, r"index.csv: stems missing: a0, wanted each image once"),
        ({"split": "dev"}, {}, r"index.csv: got split 'dev', wanted one of \['train', 'val', 'valid'"),
        ({}, {"group": "person"}, r"index.csv: got columns stem, split, patient, wanted person"),
        ({}, {"split": "fold"}, r"index.csv: got columns stem, split, patient, wanted fold"),
        ({"patient": ""}, {"group": "patient"}, r"index.csv: got no patient for stem a0"),
        ({"patient": "a9"}, {"group": "patient"}, r"index.csv: got patient a9 in 2 splits, wanted each in one"),
        ({}, {"index": "other.csv"}, r"other.csv: no such file; set dataset.index"),
        ({}, {"index": None, "group": "patient"}, r"dataset.group: got patient without an index"),
    ],
)
def test_bad_index(folder, change, options, message):
    rows = [{"stem": s, "split": p, "patient": s} for s, p in zip(STEMS, LAST_FOUR_TEST, strict=True)]
    rows = rows[1:] if change is None else [{**rows[0], **change}, *rows[1:]]
    write_index(folder, rows)
    assert_refused(message, image_folder, folder, **options)


def test_index_without_stem_or_content(folder):
    write_index(folder, [{"file": "a0", "split": "train"}])
    assert_refused(r"index.csv: got columns file, split, wanted stem", image_folder, folder)
    (folder / "index.csv").write_text("")
    assert_refused(r"index.csv: unreadable", image_folder, folder)


def test_empty_split(folder):
    write_index(folder, [{"stem": stem, "split": "train"} for stem in STEMS])
    assert_refused(r"the test split is empty \(10 images in all\), wanted at least one", image_folder, folder)
    assert_refused(r"the val split is empty", image_folder, folder, index=None, val_share=0)
    assert_refused(r"a held-out share: got 1.5, wanted 0 <= share < 1", image_folder, folder, val_share=1.5, index=None)


def test_missing_root(tmp_path):
    assert_refused(
        r"dataset.root: got nothing, wanted the folder of the data; give dataset.root=DIR", image_folder, None
    )
    assert_refused(r"dataset.root: got .*nowhere, which is not a folder", image_folder, tmp_path / "nowhere")
    assert_refused(r"images: no such folder, wanted images/ and masks/ in dataset.root", image_folder, tmp_path)
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    assert_refused(r"images: got no image, wanted files of .nii.gz, .nii, .png", image_folder, tmp_path)


def test_stems_without_partner(folder):
    (folder / "masks" / "a4.png").unlink()
    assert_refused(r"a4.png: got an image without mask, wanted masks/a4", image_folder, folder)
    (folder / "images" / "a4.png").unlink()
    (folder / "images" / "a6.png").unlink()
    assert_refused(r"a6.png: got a mask without image, wanted images/a6", image_folder, folder)


def test_sizes_that_differ(folder):
    save(folder / "images" / "a4.png", np.zeros((9, 8), np.uint8))
    assert_refused(r"images/a4.png: got 9x8 and a mask of 8x8, wanted one size", image_folder, folder)
    save(folder / "masks" / "a4.png", np.zeros((9, 8), np.uint8))
    assert_refused(
        r"images/a4.png: got 9x8, but a0 has 8x8, wanted images of one size; set dataset.size",
        image_folder,
        folder,
        size=None,
    )
    assert image_folder(folder, size=8).image_size == (8, 8)


def test_truncated_file(folder):
    path = folder / "images" / "a4.png"
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:1500])
    assert_refused(r"images/a4.png: unreadable", image_folder, folder)


@pytest.mark.parametrize(
    ("values", "classes", "message"),
    [
        ((0, 128, 255), None, r"a4.png: got mask values 0, 128, 255 .* wanted all of 0, 1, 2, or 0 and 255; renumber"),
        ((0, 1), None, r"a0.png: got mask values 0, 255 \(0, 1, 255 in all masks\)"),
        ((0, 255), 3, r"a0.png: got mask values 0, 255 .* wanted all of 0, 1, 2"),
        ((0, 7), 2, r"a4.png: got mask values 0, 7 \(0, 7, 255 in all masks\)"),
        ((0, 255), 1, r"dataset.classes: got 1, wanted two or more"),
    ],
)
def test_mask_values_that_are_not_classes(folder, values, classes, message):
    mask = np.resize(np.array(values, np.uint8), (8, 8))
    save(folder / "masks" / "a4.png", mask)
    assert_refused(message, image_folder, folder, classes=classes)


def test_masks_without_foreground_or_with_fractions_are_refused(folder):
    for stem in STEMS:
        save(folder / "masks" / f"{stem}.png", np.zeros((8, 8), np.uint8))
    assert_refused(r"a0.png: got mask values 0 \(0 in all masks\), wanted all of 0, 1", image_folder, folder)
    (folder / "masks" / "a0.png").unlink()
    Image.fromarray(np.full((8, 8), 0.5, np.float32)).save(folder / "masks" / "a0.tif")
    assert_refused(r"a0.tif: got mask values 0.5 \(0.0, 0.5 in all masks\)", image_folder, folder)


def test_bad_options(folder):
    assert_refused(
        r"dataset.intensity: got 'max', wanted one of \['unit', 'minmax', 'zscore'\]",
        image_folder,
        folder,
        intensity="max",
    )
    assert_refused(r"dataset.size: got 0, wanted a positive integer", image_folder, folder, size=0)
    assert_refused(r"dataset.augment: got 'mirror'", image_folder, folder, augment="mirror")
    Image.fromarray(np.full((8, 8), np.nan, np.float32)).save(folder / "images" / "a0.tif")
    (folder / "images" / "a0.png").unlink()
    assert_refused(r"a0.tif: got NaN or infinite pixels", image_folder, folder)
