"""Labels that overlap: a folder of masks for each class."""

import numpy as np
import pytest
import torch
from dataset_helpers import assert_refused, save, save_series

from bench.datasets import image_folder
from bench.datasets.splits import in_regions
from bench.training.evaluate import evaluate
from bench.training.train import loss_function

SIDE = 24
CLASSES = {"cell": (10, 10, 7), "debris": (16, 18, 4), "nucleus": (11, 11, 3)}  # rows, columns, radius


def circle(name, number):
    rows, columns, radius = CLASSES[name]
    at = np.indices((SIDE, SIDE))
    return (at[0] - rows - number % 3) ** 2 + (at[1] - columns) ** 2 <= radius**2


@pytest.fixture
def root(tmp_path):
    """Write overlapping circles. The debris is absent from the images of even numbers, which have no file for it."""
    for number in range(6):
        save(tmp_path / "images" / f"{number}.png", np.full((SIDE, SIDE), 10 * number, np.uint8))
        for name in CLASSES:
            if name != "debris" or number % 2:
                save(tmp_path / "masks" / name / f"{number}.png", circle(name, number).astype(np.uint8) * 255)
    return tmp_path


def truth_of(split, names):
    """Return the masks of each class: (n, classes, rows, columns)."""
    drawn = [
        [circle(name, int(stem)) & (name != "debris" or int(stem) % 2 == 1) for name in names] for stem in split.names
    ]
    return torch.from_numpy(np.array(drawn))


@pytest.mark.parametrize("cache", ["memory", "disk"])
@pytest.mark.parametrize("patch", [None, 16])
def test_masks_come_back_as_regions(root, patch, cache, tmp_path_factory):
    held = {"cache": cache, "cache_folder": str(tmp_path_factory.mktemp("cache"))}
    data = image_folder(root, size=None, patch=patch, **held)
    assert list(data.regions) == list(CLASSES)
    assert data.outputs == 3
    assert data.classes == ("background", "cell", "debris", "cell and debris", "cell and nucleus")
    assert data.regions == {"cell": (1, 3, 4), "debris": (2, 3), "nucleus": (4,)}
    for name in data.splits:
        whole = data.whole(name)
        found = torch.cat([in_regions(mask[None], data.regions) for mask in whole.targets])
        assert torch.equal(found.bool(), truth_of(whole, CLASSES))
    assert image_folder(root, size=None, patch=patch, **held).fingerprint == data.fingerprint  # read from the cache
    other = image_folder(root, size=None, patch=patch, classes=["ground", "nucleus", "cell", "debris"], **held)
    assert list(other.regions) == ["nucleus", "cell", "debris"]  # other bits of the same files are another entry
    assert other.regions["nucleus"] != other.regions["debris"]


def test_the_order_of_the_option_is_that_of_the_outputs(root):
    names = ["ground", "nucleus", "cell", "debris"]
    data = image_folder(root, size=None, classes=names)
    assert (data.classes[0], *data.regions) == tuple(names)
    assert torch.equal(in_regions(data.train.targets, data.regions).bool(), truth_of(data.train, names[1:]))
    assert image_folder(root, size=None, classes=4).regions == image_folder(root, size=None).regions


def test_scores_and_losses_are_of_the_classes(root):
    data = image_folder(root, size=None)

    class Known(torch.nn.Module):
        def forward(self, images):
            return in_regions(data.test.targets, data.regions) * 40 - 20

    metrics, table = evaluate(Known(), data, "test", seed=0)
    assert metrics["dice.cell"] == metrics["dice.nucleus"] == metrics["dice"] == 1
    assert [name for name in table if name.startswith("dice.")] == [f"dice.{name}" for name in CLASSES]
    assert loss_function("auto", data)(Known()(None), data.test.targets) < 1e-6


def test_one_folder_is_a_binary_mask(root):
    for name in ("debris", "nucleus"):
        for path in (root / "masks" / name).iterdir():
            path.unlink()
        (root / "masks" / name).rmdir()
    data = image_folder(root, size=12)
    assert (data.classes, data.regions, data.outputs) == (("background", "cell"), None, 1)
    assert set(data.train.targets.unique().tolist()) == {0, 1}


def test_a_series_is_a_mask_and_no_class(tmp_path):
    volume = np.zeros((5, 4, 6), np.uint16)
    volume[1:3, 1:3, 1:3] = 1
    for number in range(5):
        for part in ("images", "masks"):
            save_series(tmp_path / part / f"case{number}", volume, np.eye(4))
    assert image_folder(tmp_path, size=None, classes=2).regions is None


def test_bad_input_is_refused(root):
    assert_refused(r"dataset.classes: got \['background', 'cell'\], wanted the background and then the folders of "
                   r".*masks: cell, debris, nucleus", image_folder, root, classes=["background", "cell"])  # fmt: skip
    assert_refused(r"dataset.classes: got 3, wanted", image_folder, root, classes=3)
    save(root / "masks" / "cell" / "9.png", np.zeros((SIDE, SIDE), np.uint8))
    assert_refused(r"cell/9.png: got a mask of cell without image, wanted images/9", image_folder, root)
    (root / "masks" / "cell" / "9.png").unlink()
    save(root / "masks" / "cell" / "1.png", np.zeros((4, 4), np.uint8))
    assert_refused(r"cell/1.png: got a mask of 4x4, but its image has 24x24, wanted one size", image_folder, root)
    save(root / "masks" / "cell" / "1.png", np.zeros((SIDE, SIDE), np.uint8))
    for name in ("cell", "nucleus"):
        (root / "masks" / name / "2.png").unlink()
    assert_refused(r"images/2.png: got an image without mask, wanted masks/CLASS/2.\* for a CLASS of cell, debris, ",
                   image_folder, root)  # fmt: skip
    save(root / "masks" / "cell" / "2.png", np.zeros((SIDE, SIDE), np.uint8))
    for number in (1, 3, 5):
        save(root / "masks" / "debris" / f"{number}.png", np.zeros((SIDE, SIDE), np.uint8))
    assert_refused(r"masks/debris: got no foreground in the masks of all images", image_folder, root)
    for number in range(17):
        save(root / "masks" / f"c{number}" / "1.png", np.zeros((SIDE, SIDE), np.uint8))
    assert_refused(r"masks: got 20 folders of classes, wanted at most 16", image_folder, root)
