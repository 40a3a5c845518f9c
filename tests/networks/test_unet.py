import pytest
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from torch import nn

from models import Skip, UNet
from models.blocks import ACTIVATIONS, NORMS

SUITE = {"in_channels": 1, "widths": (8, 16, 32, 64, 128), "norm": "batch"}


def parameters(**arguments) -> int:
    return sum(parameter.numel() for parameter in UNet(**arguments).parameters())


def test_classes_that_overlap_have_sigmoids():
    logits = noise(2, 3, 4, 4)
    for multilabel, wanted in ((True, torch.sigmoid(logits)), (False, torch.softmax(logits, dim=1))):
        transform = UNet(1, 3, (4, 8), multilabel=multilabel).taps()[-1].transform
        assert torch.equal(transform(logits), wanted)


def off_at(level: int) -> list[str]:
    return ["off" if number == level else "cat" for number in (1, 2, 3, 4)]


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"widths": (8, 16, 32, 64, 128)}, 486_409),
        ({"widths": (8, 16, 32, 64)}, 121_033),
        ({"widths": (8, 16, 32)}, 29_481),
        ({"widths": (8, 16)}, 6_489),
        ({"widths": (8,) * 5}, 13_521),
        ({"widths": (16,) * 5}, 53_281),
        ({"widths": (4, 8, 16, 32, 64)}, 122_021),
        ({"widths": (2, 4, 8, 16, 32)}, 30_715),
        ({"skips": off_at(1)}, 485_833),
        ({"skips": off_at(2)}, 484_105),
        ({"skips": off_at(3)}, 477_193),
        ({"skips": off_at(4)}, 449_545),
        ({"skips": "none"}, 437_449),
        ({"skips": "add"}, 437_449),  # equal widths are added without a projection
    ],
)
def test_parameters_of_designs(changes, expected):
    assert parameters(**SUITE | changes) == expected


def test_parameters_of_the_published_network():
    assert parameters() == 1_941_105


def test_parameters_of_unequal_widths():
    # decoder 4 and encoder 8, bottleneck 16, one 3x3 convolution per level, 1 channel in and out:
    # enc 9*8+8, bottleneck 9*8*16+16, up 4*16*4+4, dec 9*(4+8)*4+4 by cat, 9*4*4+4 by add, out 4+1
    small = {"in_channels": 1, "widths": (8, 16), "decoder_widths": [4], "convs_per_level": 1}
    assert parameters(**small) == 80 + 1168 + 260 + 436 + 5
    assert parameters(**small, skips="none") == 80 + 1168 + 260 + 148 + 5
    assert parameters(**small, skips="add") == 80 + 1168 + 260 + 148 + 5 + (8 * 4 + 4)  # the projection of the skip


@pytest.mark.parametrize("mode", ["cat", "add", "off"])
def test_logits_equal_the_formula(mode):
    torch.manual_seed(0)
    model = UNet(1, 2, (4, 8), skips=[mode], decoder_widths=[3], convs_per_level=1)
    x, weights = noise(2, 1, 8, 6), model.state_dict()

    def conv(x, name, padding=1):
        return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=padding)

    branch = F.relu(conv(x, "enc1.conv1.0"))
    below = F.relu(conv(F.max_pool2d(branch, 2), "bottleneck.conv1.0"))
    up = F.conv_transpose2d(below, weights["up1.weight"], weights["up1.bias"], stride=2)
    match mode:
        case "cat":
            merged = torch.cat([branch, up], 1)
        case "add":
            merged = conv(branch, "skip1.project", padding=0) + up
        case "off":
            merged = up
    expected = conv(F.relu(conv(merged, "dec1.conv1.0")), "out", padding=0)
    assert torch.allclose(model(x), expected, atol=1e-6)


def test_interpolation_up_equals_interpolate_then_convolve():
    up = UNet(1, 1, (4, 8), up="interpolate").up1
    x = noise(1, 8, 5, 4)
    enlarged = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    assert torch.allclose(up(x), up[0](enlarged), atol=1e-6)


@pytest.mark.parametrize("mode", ["cat", "add", "off"])
def test_only_a_connected_skip_affects_the_output(mode):
    model, x = UNet(1, 1, (4, 8, 8), skips=[mode, "cat"], decoder_widths=[5, 8]), noise(1, 1, 8, 8)
    before, seen = model(x), []

    def set_to_zero(module, inputs, output):
        seen.append(inputs[0])
        return torch.zeros_like(output)

    model.skip1.register_forward_hook(set_to_zero)
    after = model(x)
    assert torch.equal(before, after) == (mode == "off")
    assert len(seen) == (0 if mode == "off" else 1)
    if seen:
        assert torch.equal(seen[0], model.enc1(x))


def test_a_skip_returns_its_input_unless_it_has_a_projection():
    branch = noise(1, 4, 3, 3)
    assert torch.equal(Skip("cat", 4, 8)(branch), branch)
    assert torch.equal(Skip("add", 4, 4)(branch), branch)
    skip = Skip("add", 4, 8)
    assert torch.allclose(skip(branch), F.conv2d(branch, skip.project.weight, skip.project.bias))


def test_the_gradient_at_a_skip_excludes_the_path_through_deeper_levels():
    model, outputs = UNet(1, 1, (4, 8), skips="add"), {}
    for name in ("enc1", "up1", "skip1"):
        model.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: outputs.update({name: output}) or output.retain_grad()
        )
    model(noise(1, 1, 8, 8)).sum().backward()
    # skip and up have the gradient of their sum; the encoder also has the gradient through the pool
    assert torch.equal(outputs["skip1"].grad, outputs["up1"].grad)
    assert not torch.equal(outputs["skip1"].grad, outputs["enc1"].grad)


@pytest.mark.parametrize("size", [(1, 1), (7, 13), (16, 16), (33, 18), (1, 2, 3), (9, 8, 5)])
def test_the_output_has_the_size_of_the_input(size):
    model = UNet(1, 2, (2, 4, 4, 4), spatial_dims=len(size))
    assert model(noise(1, 1, *size)).shape == (1, 2, *size)


@pytest.mark.parametrize("axis", [-1, -2])
def test_zeros_are_padded_on_both_sides(axis):
    model = UNet(1, 1, (2, 4, 4))  # sides must be multiples of 4: 5 becomes 8, with 1 before and 2 after
    x = noise(1, 1, 8, 8).narrow(axis, 0, 5)
    by_hand = F.pad(x, (1, 2, 0, 0) if axis == -1 else (0, 0, 1, 2))
    assert torch.allclose(model(x), model(by_hand).narrow(axis, 1, 5), atol=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activation_is_applied_in_the_tapped_block(activation):
    block = UNet(1, 1, (4, 8), activation=activation).enc1.conv1
    x = noise(1, 1, 6, 6)
    function = getattr(F, activation, None) or getattr(torch, activation)
    assert torch.allclose(block(x), function(block[0](x)))


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("norm", [norm for norm in NORMS if norm != "none"])
def test_norms_standardise(norm, spatial_dims):
    block = UNet(1, 1, (12, 12), norm=norm, spatial_dims=spatial_dims).enc1.conv1
    normed = block[1](block[0](10 * noise(4, 1, *[8] * spatial_dims) + 3))
    # the axes of the mean of each norm; 12 channels give 6 groups, the largest divisor up to 8
    groups = normed.reshape(4, 6, 2, -1) if norm == "group" else normed.reshape(4, 12, 1, -1)
    axes = {"batch": (0, 2, 3), "instance": (2, 3), "group": (2, 3)}[norm]
    assert groups.mean(axes).abs().max() < 1e-4
    assert torch.allclose(groups.std(axes, unbiased=False), torch.ones(()), atol=1e-2)


def test_glorot_statistics():
    model = UNet(1, 1, (32, 64), init="glorot")
    # a uniform U(-a, a) has standard deviation a / sqrt 3, and a = sqrt(6 / (fan_in + fan_out))
    fans = {
        model.enc1.conv2[0]: (32 * 9, 32 * 9),
        model.bottleneck.conv1[0]: (32 * 9, 64 * 9),
        model.up1: (64 * 4, 32 * 4),
    }
    for layer, (fan_in, fan_out) in fans.items():
        assert layer.weight.std().item() == pytest.approx((2 / (fan_in + fan_out)) ** 0.5, rel=0.03)
        assert layer.weight.abs().max().item() <= (6 / (fan_in + fan_out)) ** 0.5
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            assert not module.bias.any()


@pytest.mark.parametrize("init", ["torch", "glorot"])
def test_weights_depend_on_the_seed(init):
    def weights(seed):
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(UNet(1, 1, (4, 8), init=init, norm="batch").parameters())

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_lists_of_omegaconf_are_accepted():
    config = OmegaConf.create("{widths: [4, 8, 8], skips: [cat, off], decoder_widths: [4, 6]}")
    model = UNet(**config)
    assert model.skips == ("cat", "off")  # YAML reads an unquoted off as False
    assert (model.widths, model.decoder_widths) == ((4, 8, 8), (4, 6))
