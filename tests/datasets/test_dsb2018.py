import numpy as np
import torch
from dataset_helpers import assert_refused, save

from bench.datasets import dsb2018


def write_case(folder, name, nuclei=2):
    pixels = np.full((8, 8, 4), 255, np.uint8)
    pixels[..., 0] = 51
    save(folder / name / "images" / f"{name}.png", pixels)
    for number in range(nuclei):
        mask = np.zeros((8, 8), np.uint8)
        mask[:, number] = 255
        save(folder / name / "masks" / f"{number}.png", mask)


def test_masks_of_nuclei_are_joined(tmp_path):
    for i in range(10):
        write_case(tmp_path, f"case{i}", nuclei=1 + i % 3)
    data = dsb2018(tmp_path, size=None)
    assert [len(split) for split in data.splits.values()] == [6, 2, 2]
    assert data.classes == ("background", "nucleus")
    assert torch.allclose(data.train.images[0, :, 0, 0], torch.tensor([0.2, 1, 1]))
    whole = data.split("all")
    assert whole.targets[whole.names.index("case5")][0].tolist() == [1, 1, 1, 0, 0, 0, 0, 0]
    assert data.card()["licence"] == "CC0-1.0"


def test_labelled_stage1_test_is_the_test_split(tmp_path):
    for i in range(5):
        write_case(tmp_path / "stage1_train", f"case{i}")
    save(tmp_path / "stage1_test" / "new" / "images" / "new.png", np.zeros((8, 8), np.uint8))
    assert len(dsb2018(tmp_path).test) == 1
    assert "new" not in dsb2018(tmp_path).split("all").names
    write_case(tmp_path / "stage1_test", "new")
    data = dsb2018(tmp_path)
    assert data.test.names == ("new",)
    assert (len(data.train), len(data.val)) == (4, 1)


def test_bad_folders(tmp_path):
    assert_refused(r"dataset.root: got nothing", dsb2018, None)
    assert_refused(r"got no ID/images/ID.png, wanted the unpacked Kaggle folder", dsb2018, tmp_path)
    write_case(tmp_path, "full")
    write_case(tmp_path, "bare", nuclei=0)
    (tmp_path / "bare" / "masks").mkdir()
    assert_refused(r"bare: got 1 images and 0 masks, wanted one image and its masks", dsb2018, tmp_path)
