import pytest
import torch

from bench.datasets.augment import augmentation
from bench.errors import InputError


def pair(dims):
    image = torch.rand(2, *[16] * dims)
    return {"image": image, "mask": (image[:1] > 0.5).long()}


@pytest.mark.parametrize("dims", [2, 3])
def test_keeps_shapes_dtypes_and_classes(dims):
    sample = pair(dims)
    out = augmentation(["flips", "rotations", "intensity"], dims)(sample)
    assert type(out["image"]) is torch.Tensor
    assert type(out["mask"]) is torch.Tensor
    assert out["image"].shape == sample["image"].shape
    assert (out["image"].dtype, out["mask"].dtype) == (torch.float32, torch.int64)
    assert set(out["mask"].unique().tolist()) <= {0, 1}


def test_flips_move_image_and_mask_together():
    transform = augmentation("flips", 2)
    transform.set_random_state(0)
    for _ in range(8):
        out = transform(pair(2))
        assert torch.equal(out["mask"], (out["image"][:1] > 0.5).long())


def test_seed_repeats_and_mask_may_be_absent():
    transform = augmentation(["rotations", "intensity"], 2)
    image = pair(2)["image"]
    outs = []
    for seed in (1, 1, 2):
        transform.set_random_state(seed)
        outs.append(torch.stack([transform({"image": image})["image"] for _ in range(4)]))
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])


def test_none_and_unknown():
    assert augmentation(None, 2) is None
    assert augmentation([], 2) is None
    with pytest.raises(InputError, match=r"dataset.augment: got 'flip', wanted any of \['flips', 'rotations'"):
        augmentation("flip", 2)
