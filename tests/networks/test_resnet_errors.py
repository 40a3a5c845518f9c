"""Bad arguments and images of a ResNet are refused with one line."""

import pytest
import torch

from models import ResNet


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": None}, r"in_channels: got None, wanted a positive integer"),
        ({"num_classes": None}, r"num_classes: got None, wanted a positive integer"),
        ({"num_classes": 1}, r"num_classes: got 1, wanted 2 or more .*; set multilabel=true"),
        ({"filters": []}, r"filters: got \[\], wanted at least 1 positive integer; give one per stage"),
        ({"filters": [8, 0]}, r"filters: got \[8, 0\], wanted at least 1 positive integer"),
        ({"filters": 64}, r"filters: got 64, wanted at least 1 positive integer"),
        ({"filters": [8] * 6}, r"filters: got \(8, .*\), wanted 4 stages at most, as timm builds; remove 2"),
        ({"blocks_per_stage": [2, 2]}, r"blocks_per_stage: got \[2, 2\], wanted one entry per stage, 4 in all; add 2"),
        ({"blocks_per_stage": 0}, r"blocks_per_stage: got \(0, 0, 0, 0\), wanted at least 1 positive integer"),
        ({"blocks_per_stage": None}, r"blocks_per_stage: got \(None, "),
        (
            {"filters": [8], "blocks_per_stage": [1]},
            r"blocks_per_stage: got 1 block in all, wanted 2 or more, as timm builds; add a block or a stage",
        ),
        ({"block": "dense"}, r"block: got 'dense', wanted one of basic, bottleneck"),
        ({"width": 0}, r"width: got 0, wanted a positive number; give a factor such as 0.5"),
        ({"width": -1.0}, r"width: got -1.0, wanted a positive number"),
        ({"width": float("nan")}, r"width: got nan, wanted a positive number"),
        ({"width": float("inf")}, r"width: got inf, wanted a positive number"),
        ({"width": True}, r"width: got True, wanted a positive number"),
        ({"width": "0.5"}, r"width: got '0.5', wanted a positive number"),
        ({"stem": "deep"}, r"stem: got 'deep', wanted one of imagenet, small"),
        ({"stem_filters": 15}, r"stem_filters: got 15, wanted an even number, as timm builds; give 16"),
        ({"stem_filters": 0}, r"stem_filters: got 0, wanted a positive integer"),
        ({"output_stride": 4}, r"output_stride: got 4, wanted one of 8, 16, 32"),
        ({"output_stride": 1, "stem": "small"}, r"output_stride: got 1, wanted one of 2, 4, 8, 16, 32"),
        ({"multilabel": None}, r"multilabel: got None, wanted one of True, False"),
        ({"spatial_dims": 3}, r"spatial_dims: got 3, wanted 2; for volumes choose another network"),
        ({"init": "he"}, r"init: got 'he', wanted one of torch, glorot"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        ResNet(**arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(1, 1, 64, 64), (3, 64, 64), (1, 3, 64, 64, 64)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"input: got shape .*, wanted \(N, 3, H, W\); set in_channels"):
        ResNet(width=0.1)(torch.zeros(shape))
