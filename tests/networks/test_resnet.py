"""The ResNet of timm: weights, taps and numbers of channels, for several stems, widths and depths."""

from itertools import pairwise

import pytest
import timm
import torch
from omegaconf import OmegaConf
from test_presets import build
from torch import nn

from bench.layers.capture import tap_shapes
from models import ResNet
from models.taps import sigmoid, softmax

SMALL = {"in_channels": 1, "num_classes": 2, "filters": (4, 8), "blocks_per_stage": 1, "stem": "small"}
OF_THE_DATA = {"in_channels": 3, "num_classes": 7, "multilabel": False, "spatial_dims": 2}


def parameters(model) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def shapes(model, *size: int) -> dict[str, tuple[int, ...]]:
    """Return the output shape of each tap for one image, by the name of the tap."""
    found = tap_shapes(model, model.taps(), torch.rand(1, model.in_channels, *size))
    return {tap.name: shape for tap, shape in found.items()}


def with_random_gains(model):
    """Set gains, means and variances that differ between channels, as after training."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval()


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("resnet18", {}),
        ("resnet34", {"blocks_per_stage": [3, 4, 6, 3]}),
        ("resnet50", {"blocks_per_stage": [3, 4, 6, 3], "block": "bottleneck"}),
    ],
)
def test_weights_of_timm_give_the_logits_of_timm(name, changes):
    timms = with_random_gains(timm.create_model(name, pretrained=False, in_chans=3, num_classes=7))
    ours = build("resnet", **OF_THE_DATA | changes).eval()
    ours.load_state_dict(timms.state_dict())
    assert parameters(ours) == parameters(timms)
    images = torch.rand(2, 3, 70, 64)
    with torch.no_grad():
        assert torch.equal(ours(images), timms(images))


def test_parameters_of_resnet18():
    # He et al. (2016) and torchvision, 1000 classes
    assert parameters(ResNet()) == 11_689_512


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"block": "bottleneck", "blocks_per_stage": [1, 2, 1, 1], "width": 0.25},
        {"filters": [8, 16], "blocks_per_stage": 1},
        {"output_stride": 8, "width": 0.25},
        {"stem": "small", "width": 0.25},
        {"stem": "small", "filters": [8, 16, 24], "output_stride": 2},
    ],
)
def test_features_have_the_sizes_that_timm_states(changes):
    model = build("resnet", **OF_THE_DATA | changes)
    found, side = shapes(model, 64, 64), 64
    for info in model.feature_info:
        assert found[info["module"]] == (info["num_chs"], *[side // info["reduction"]] * 2)
    assert list(found) == [info["module"] for info in model.feature_info] + ["global_pool", "fc"]
    assert (found["global_pool"], found["fc"]) == ((model.num_features,), (7,))


@pytest.mark.parametrize(
    ("changes", "reductions"),
    [
        ({}, [2, 4, 8, 16, 32]),
        ({"output_stride": 16}, [2, 4, 8, 16, 16]),
        ({"output_stride": 8}, [2, 4, 8, 8, 8]),
        ({"stem": "small"}, [1, 1, 2, 4, 8]),
        ({"stem": "small", "output_stride": 4}, [1, 1, 2, 4, 4]),
        ({"stem": "small", "output_stride": 2}, [1, 1, 2, 2, 2]),
    ],
)
def test_the_output_stride_limits_the_reduction(changes, reductions):
    assert [info["reduction"] for info in ResNet(width=0.1, **changes).feature_info] == reductions


@pytest.mark.parametrize(("stem", "levels"), [("imagenet", [2, 3, 4, 5, 6, 7, 8]), ("small", [1, 1, 2, 3, 4, 5, 6])])
def test_levels_count_halvings_and_continue_in_the_classifier(stem, levels):
    taps = ResNet(width=0.1, stem=stem).taps()
    assert [tap.level for tap in taps] == levels
    assert [tap.role for tap in taps] == ["feature"] * 5 + ["classifier", "output"]
    assert [tap.order for tap in taps] == list(range(7))


def test_feature_taps_are_after_the_activation():
    model = with_random_gains(ResNet(width=0.1))
    outputs = {}
    for tap in model.taps():
        model.get_submodule(tap.module).register_forward_hook(
            lambda module, inputs, output, name=tap.name: outputs.update({name: output.clone()})
        )
    images = torch.rand(4, 3, 64, 64)
    logits = model(images)
    assert list(outputs) == [tap.name for tap in model.taps()]
    assert all(outputs[tap.name].min() == 0 < outputs[tap.name].max() for tap in model.taps() if tap.role == "feature")
    assert torch.allclose(outputs["global_pool"], outputs["layer4"].mean((2, 3)), atol=1e-6)
    assert torch.equal(outputs["fc"], logits)


@pytest.mark.parametrize(("multilabel", "transform"), [(True, sigmoid), (False, softmax)])
def test_the_output_tap_converts_logits_to_probabilities(multilabel, transform):
    *others, output = ResNet(**SMALL, multilabel=multilabel).taps()
    assert output.transform is transform
    assert not any(tap.transform for tap in others)


def test_the_small_preset_has_the_expected_shapes_and_parameters():
    model = build("resnet_small", **OF_THE_DATA | {"in_channels": 1, "num_classes": 2})
    assert shapes(model, 28, 28) == {
        "act1": (16, 28, 28),
        "layer1": (16, 28, 28),
        "layer2": (32, 14, 14),
        "layer3": (64, 7, 7),
        "global_pool": (64,),
        "fc": (2,),
    }
    # 3x3 convolutions without bias, 2 per channel for each normalisation, 1x1 shortcuts if the width changes, 64*2+2
    stem, stage1 = 9 * 16 + 32, 2 * (9 * 16 * 16 + 32)
    stages = [9 * a * b + 9 * b * b + a * b + 3 * 2 * b for a, b in pairwise((16, 32, 64))]
    assert parameters(model) == stem + stage1 + sum(stages) + 64 * 2 + 2


@pytest.mark.parametrize(
    ("width", "filters", "stem"),
    [(1.0, (64, 128, 256, 512), 64), (0.5, (32, 64, 128, 256), 32), (1.5, (96, 192, 384, 768), 96)],
)
def test_width_multiplies_every_number_of_channels(width, filters, stem):
    model = ResNet(width=width)
    assert (model.filters, model.stem_filters) == (filters, stem)
    assert [info["num_chs"] for info in model.feature_info] == [stem, *filters]
    assert model.conv1.out_channels == stem
    assert parameters(model) == parameters(ResNet(filters=filters, stem_filters=stem))


def test_the_narrowest_network_runs():
    model = ResNet(width=1e-6)
    assert (model.filters, model.stem_filters) == ((1, 1, 1, 1), 2)
    assert model(torch.rand(2, 3, 33, 40)).shape == (2, 1000)


@pytest.mark.parametrize("stages", [1, 2, 3, 4])
def test_there_are_as_many_stages_as_filters(stages):
    model = ResNet(filters=(4, 6, 8, 10)[:stages])
    assert [tap.name for tap in model.taps()][1:-2] == [f"layer{number}" for number in range(1, stages + 1)]
    assert model.fc.in_features == (4, 6, 8, 10)[stages - 1]
    assert not any(name.startswith(f"layer{stages + 1}") for name in model.state_dict())


@pytest.mark.parametrize("changes", [{}, {"block": "bottleneck"}, {"stem": "imagenet"}, {"init": "glorot"}])
def test_every_parameter_has_a_gradient(changes):
    model = ResNet(**SMALL | changes)
    with_random_gains(model).train()(torch.rand(4, 1, 20, 20)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_saved_weights_are_loaded(tmp_path):
    model = with_random_gains(ResNet(**SMALL))
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    torch.manual_seed(1)
    again, images = ResNet(**SMALL).eval(), torch.rand(2, 1, 9, 11)
    assert not torch.equal(again(images), model(images))
    again.load_state_dict(torch.load(tmp_path / "weights.pt"))
    assert torch.equal(again(images), model(images))


def test_initialisation_has_the_expected_spread():
    kept, glorot = ResNet(), ResNet(init="glorot")
    weight = "layer3.1.conv2.weight"  # 256 to 256 channels, 3x3
    assert kept.get_parameter(weight).std().item() == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.01)
    assert glorot.get_parameter(weight).std().item() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)
    stem = "conv1.weight"
    assert kept.get_parameter(stem).std().item() == pytest.approx((2 / (64 * 49)) ** 0.5, rel=0.05)
    assert kept.get_parameter("layer3.1.bn2.weight").eq(1).all()


def test_lists_of_omegaconf_are_accepted():
    model = ResNet(**OmegaConf.create({"filters": [4, 8], "blocks_per_stage": [1, 2]}))
    assert (model.filters, len(model.layer2)) == ((4, 8), 2)


@pytest.mark.parametrize(("changes", "smallest"), [({}, 17), ({"output_stride": 8}, 5), ({"stem": "small"}, 5)])
def test_the_smallest_image_is_accepted_and_a_smaller_one_is_refused(changes, smallest):
    model = ResNet(width=0.1, **changes)
    heights = [shape[1] for shape in shapes(model, smallest, 30).values() if len(shape) == 3]
    assert {1, 2} <= set(heights)
    assert heights[-1] == 1
    with pytest.raises(ValueError, match=rf"input: got size \(30, {smallest - 1}\), wanted {smallest} or more a side"):
        model(torch.zeros(1, 3, 30, smallest - 1))


def test_untrained_blocks_differ_from_their_shortcuts():
    # timm initialises the last gain of each block to 0, so that an untrained reference would have no blocks
    model = ResNet(**SMALL | {"filters": (4, 4), "stem_filters": 4}).eval()
    outputs = {}
    for name in ("act1", "layer1"):
        model.get_submodule(name).register_forward_hook(
            lambda _m, _i, out, name=name: outputs.update({name: out.clone()})
        )
    with torch.no_grad():
        model(torch.rand(1, 1, 16, 16))
    assert not torch.allclose(outputs["act1"], outputs["layer1"])
