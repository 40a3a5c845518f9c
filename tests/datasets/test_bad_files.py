"""Bad files of a dataset are refused with one line and exit code 2."""

import gzip

import numpy as np
import pytest
from PIL import Image
from running import assert_refused, runs, tiny


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.resize(np.array(values, np.uint8), (16, 16))).save(path)


def image_without_mask(root):
    (root / "masks" / "a4.png").unlink()
    return "a4.png: got an image without mask, wanted masks/a4"


def mask_without_image(root):
    (root / "images" / "a4.png").unlink()
    return "a4.png: got a mask without image, wanted images/a4"


def wrong_mask_values(root):
    save(root / "masks" / "a4.png", [0, 7, 255])
    return "a4.png: got mask values 0, 7, 255"


def sizes_that_differ(root):
    Image.new("L", (16, 17)).save(root / "images" / "a4.png")
    return "a4.png: got 17x16 and a mask of 16x16, wanted one size"


def truncated_image(root):
    path = root / "images" / "a4.png"
    path.write_bytes(path.read_bytes()[:60])
    return "a4.png: unreadable"


def empty_split(root):
    (root / "index.csv").write_text("stem,split\n" + "".join(f"a{i},train\n" for i in range(10)))
    return "the test split is empty"


@pytest.mark.parametrize(
    "damage",
    [image_without_mask, mask_without_image, wrong_mask_values, sizes_that_differ, truncated_image, empty_split],
)
def test_bad_folder(tmp_path, damage):
    root = tmp_path / "data"
    for i in range(10):
        save(root / "images" / f"a{i}.png", range(i, 256))
        save(root / "masks" / f"a{i}.png", [0, 255])
    message = damage(root)
    assert_refused(tiny(tmp_path, "dataset=image_folder", f"dataset.root={root}", "dataset.size=16"), message)
    assert runs(tmp_path) == []


def npz(**changes):
    arrays = {}
    for split in ("train", "val", "test"):
        arrays[f"{split}_images"] = np.zeros((20, 28, 28), np.uint8)
        arrays[f"{split}_labels"] = np.arange(20)[:, None] % 2
    return {key: value for key, value in (arrays | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"val_labels": None}, "val_labels"),
        ({"val_labels": np.array([[{"class": 0}]] * 20)}, "pickle"),
        ({"val_labels": np.full((20, 1), 5)}, "got labels 5, wanted 0 to 1"),
    ],
)
def test_bad_npz(tmp_path, changes, message):
    path = tmp_path / "pneumoniamnist.npz"
    np.savez(path, **npz(**changes))
    assert_refused(
        tiny(tmp_path, "dataset=medmnist", f"dataset.file={path}", "model=cnn"), "pneumoniamnist.npz", message
    )
    assert runs(tmp_path) == []


def test_truncated_idx(tmp_path):
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / f"{name}-ubyte.gz").write_bytes(gzip.compress(b"\0\0\x08\x03")[:15])
    assert_refused(tiny(tmp_path, "dataset=mnist", f"dataset.root={tmp_path}", "model=lenet5"), "ubyte.gz")
    assert runs(tmp_path) == []
