"""The output of a network must fit its data, and its parameters must fit into memory."""

from dataclasses import replace

import pytest
from omegaconf import OmegaConf
from torch import nn

from bench.config.build import build_data, build_network, check_output
from bench.datasets import phantoms
from bench.errors import InputError
from models import Custom, UNet


@pytest.mark.parametrize(
    ("network", "classes", "got", "fix"),
    [
        (nn.Conv2d(1, 1, 2, stride=2), 2, r"\(1, 8, 8\), wanted \(1, 16, 16\)", "make the output as large as the mask"),
        (nn.Conv2d(1, 1, 1), 3, r"\(1, 16, 16\), wanted \(3, 16, 16\)", "leave its number of outputs null, or set 3"),
        (nn.Conv2d(1, 4, 1), 3, r"\(4, 16, 16\), wanted \(3, 16, 16\)", "the classes are"),
        (nn.Sequential(nn.Flatten(), nn.Linear(256, 2)), 2, r"\(2,\)", "choose a network for segmentation"),
    ],
)
def test_output_that_does_not_fit_the_masks_is_refused(network, classes, got, fix):
    with pytest.raises(InputError, match=f"model: got an output of shape {got}") as refused:
        check_output(network, phantoms(n=(4, 4, 4), size=16, classes=classes))
    assert fix in str(refused.value)


def test_output_that_fits_is_accepted():
    assert check_output(nn.Conv2d(1, 3, 3, padding=1), phantoms(n=(4, 4, 4), size=16, classes=3)) is None


def test_a_softmax_over_regions_that_overlap_is_refused():
    data = replace(phantoms(n=(4, 4, 4), size=16, classes=3), regions={"both": (1, 2), "second": (2,)})
    with pytest.raises(InputError, match=r"outputs exclude each other, and the regions both, second .* model=nnunet"):
        check_output(UNet(1, 2, widths=(2, 4)), data)
    network = nn.Sequential(nn.Conv2d(1, 2, 1))
    taps = [{"module": "0", "role": "output"}]
    assert check_output(Custom(network, taps, 1, (16, 16), multilabel=True), data) is None


@pytest.mark.parametrize(
    "widths",
    [
        "[10_000_000,8]",
        "[4_000_000_000,8]",
        "[200_000,200_000]",
        f"[{','.join(['2'] * 3_000)}]",
    ],
)
def test_networks_larger_than_memory_are_refused_before_memory_is_used(widths):
    config = OmegaConf.create({"_target_": "models.UNet", "widths": [int(width) for width in widths[1:-1].split(",")]})
    with pytest.raises(InputError, match=r"model: (got parameters of|does not fit|got more than)") as refused:
        build_network(config, 0)
    assert "\n" not in str(refused.value)


def test_folds_do_not_depend_on_the_seed_of_the_run():
    dataset = {"_target_": "bench.datasets.phantoms", "n": [8, 4, 4], "size": 16}
    first, second = (
        build_data(OmegaConf.create({"seed": seed, "folds": 4, "fold": 1, "dataset": dataset})) for seed in (0, 7)
    )
    assert first.fingerprint == second.fingerprint
    assert [len(split) for split in first.splits.values()] == [8, 4, 4]
