"""Bad arguments and images of a U-Net are refused."""

import pytest
import torch

from models import UNet


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widths": []}, r"widths: got \[\], wanted at least 2 positive integers; give one per level"),
        ({"widths": [8]}, r"widths: got \[8\]"),
        ({"widths": 8}, r"widths: got 8,"),
        ({"widths": [8, 0]}, r"widths: got \[8, 0\]"),
        ({"widths": [8, -16]}, r"widths: got \[8, -16\]"),
        ({"widths": [8, 16.0]}, r"widths: got \[8, 16.0\]"),
        ({"widths": [True, 16]}, r"widths: got \[True, 16\]"),
        ({"widths": ["8", 16]}, r"widths: got \['8', 16\]"),
        ({"widths": "8,16"}, r"widths: got '8,16'"),
        ({"decoder_widths": [8, 16]}, r"decoder_widths: got \(8, 16\), wanted one entry per level .*, 4 in all; add 2"),
        ({"decoder_widths": []}, r"decoder_widths: got \[\]"),
        ({"skips": "cat"}, r"skips: got 'cat', wanted all, none, add or a list"),
        ({"skips": None}, r"skips: got None, wanted all, none, add or a list"),
        ({"skips": {1: "cat"}}, r"skips: got {1: 'cat'}, wanted all, none, add or a list"),
        ({"skips": ["cat"] * 3}, r"skips: got \['cat', 'cat', 'cat'\], wanted one entry per level, 4 in all; add 1"),
        ({"skips": ["cat"] * 5}, r"skips: .*, 4 in all; remove 1"),
        ({"skips": ["cat", "cat", "cat", "sum"]}, r"skips: got 'sum', wanted one of cat, add, off"),
        ({"norm": "layer"}, r"norm: got 'layer', wanted one of none, batch, instance, group"),
        ({"norm": None}, r"norm: got None, wanted one of none"),
        ({"activation": "rleu"}, r"activation: got 'rleu', wanted one of relu, "),
        ({"up": "nearest"}, r"up: got 'nearest', wanted one of transpose, interpolate"),
        ({"init": "he"}, r"init: got 'he', wanted one of torch, glorot"),
        ({"spatial_dims": 1}, r"spatial_dims: got 1, wanted one of 2, 3"),
        ({"in_channels": None}, r"in_channels: got None, wanted a positive integer"),
        ({"out_channels": 0}, r"out_channels: got 0, wanted a positive integer"),
        ({"convs_per_level": 0}, r"convs_per_level: got 0, wanted a positive integer"),
        ({"separable": "yes"}, r"separable: got 'yes', wanted one of True, False"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        UNet(**arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(1, 1, 16, 16), (3, 16, 16), (1, 3, 16, 16, 16)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"input: got shape .*, wanted \(N, 3, H, W\)"):
        UNet()(torch.zeros(shape))
