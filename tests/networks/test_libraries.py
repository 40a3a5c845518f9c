"""Networks of segmentation-models-pytorch and MONAI: outputs equal those of the libraries, and taps are correct."""

import pytest
import segmentation_models_pytorch as smp
import torch
from monai.networks import nets
from segmentation_models_pytorch.encoders import get_encoder_names

from bench.layers.hooks import tap_shapes
from bench.training.cost import used_parameters
from models import Monai, Smp
from models.padding import pad
from models.smp import STEPWISE, architectures

SMALL = {
    "UNet": {"channels": (4, 8, 12), "strides": (2, 2), "num_res_units": 1},
    "BasicUNet": {"features": (4, 4, 8, 8, 16, 4)},
    "AttentionUnet": {"channels": (4, 8, 12), "strides": (2, 2)},
    "SegResNet": {"init_filters": 8, "blocks_down": (1, 1, 1), "blocks_up": (1, 1)},
    "UNETR": {"feature_size": 4, "hidden_size": 24, "num_heads": 2, "mlp_dim": 24},
    "SwinUNETR": {"feature_size": 12, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 2, 2)},
}
OTHERS = {
    "dpt": {"encoder_name": "tu-vit_tiny_patch16_224", "encoder_depth": 4, "input_size": (224, 224)},
    "pan": {"input_size": (128, 128)},  # its pyramid halves the output of the encoder three more times
    "segformer": {"encoder_name": "mit_b0"},
}
ENCODERS = ["efficientnet-b0", "mobilenet_v2", "densenet121", "dpn68", "tu-mobilenetv3_small_100"]


def seeded(make, **arguments):
    torch.manual_seed(0)
    return make(**arguments).eval()


def size_for(name, dims):
    """Return a small image size with at least two cells a side at the bottleneck, which instance norm needs."""
    return (32,) * 3 if dims == 3 and name != "SwinUNETR" else (64,) * dims


def monai(name, dims, **arguments):
    size = size_for(name, dims)
    return Monai(name, SMALL[name], 1, 3, dims, size, **arguments).eval(), torch.randn(2, 1, *size)


def smp_network(architecture, **arguments):
    return Smp(architecture, in_channels=1, out_channels=2, **OTHERS.get(architecture, {}) | arguments)


NETWORKS = [*((name, 2) for name in SMALL), ("UNet", 3), ("SegResNet", 3), *architectures(), *ENCODERS]
LARGE = ["dpt", *sorted(set(get_encoder_names()) - set(ENCODERS))]


@pytest.fixture(
    params=[
        *(each for each in NETWORKS if each != "dpt"),
        *(pytest.param(each, marks=pytest.mark.slow) for each in LARGE),
    ]
)
def network(request):
    match request.param:
        case (name, dims):
            return monai(name, dims)
        case name if name in architectures():
            model = smp_network(name).eval()
        case encoder:
            model = smp_network("unet", encoder_name=encoder).eval()
    return model, torch.randn(2, 1, *model.input_size)


@pytest.mark.parametrize(
    ("name", "dims"),
    [*((name, 2) for name in SMALL), *((name, 3) for name in SMALL if name != "SwinUNETR"),
     pytest.param("SwinUNETR", 3, marks=pytest.mark.slow)],
)  # fmt: skip
def test_logits_equal_those_of_monai(name, dims):
    size = size_for(name, dims)
    own = {"img_size": size} if name == "UNETR" else {}
    common = {"in_channels": 1, "out_channels": 3, "spatial_dims": dims}
    theirs = seeded(getattr(nets, name), **common, **SMALL[name], **own)
    ours = seeded(Monai, network=name, arguments=SMALL[name], input_size=size, **common)
    x = torch.randn(2, 1, *size)
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=0)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize("architecture", ["unet", "unetplusplus", "fpn", "deeplabv3plus"])
def test_logits_equal_those_of_smp(architecture):
    theirs = seeded(
        architectures()[architecture], encoder_name="resnet18", encoder_weights=None, in_channels=1, classes=2
    )
    ours = seeded(Smp, architecture=architecture, in_channels=1, out_channels=2)
    x = torch.randn(2, 1, 64, 96)
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=0)


def test_every_tap_runs_once_and_has_the_size_of_its_level(network):
    model, x = network
    taps = model.taps()
    assert [tap.order for tap in taps] == list(range(len(taps)))
    assert len({tap.name for tap in taps}) == len(taps)
    roles = [tap.role for tap in taps]
    assert roles.count("bottleneck") == roles.count("output") == 1
    assert roles[-1] == "output"
    assert {"encoder", "decoder"} <= set(roles)
    for tap, shape in tap_shapes(model, taps, x[:1]).items():
        assert len(shape) == x.dim() - 1, tap.name
        if tap.role != "output":
            wanted = tuple(-(-side // 2 ** (tap.level - 1)) for side in pad(x, model.multiple)[0].shape[2:])
            assert shape[1:] == wanted, tap.name


def test_every_skip_affects_the_output(network):
    model, x = network
    skips = [tap for tap in model.taps() if tap.role == "skip"]
    whole = model(x)
    for skip in skips:
        module = model.get_submodule(skip.module)
        handle = module.register_forward_hook(lambda _module, _inputs, output: torch.zeros_like(output))
        assert not torch.equal(model(x), whole), skip.name
        handle.remove()
    assert torch.equal(model(x), whole)


def outputs(model, x, taps, closed=None):
    """Return the outputs of taps, with one tap set to 0 (`closed`) or none."""
    found, handles = {}, []
    for tap in taps:

        def keep(_module, _inputs, output, tap=tap):
            found[tap.name] = output.clone()
            return torch.zeros_like(output) if tap == closed else None

        handles.append(model.get_submodule(tap.module).register_forward_hook(keep))
    model(x)
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize("name", ["UNet", "BasicUNet", "AttentionUnet", "SegResNet", "SwinUNETR", *STEPWISE])
def test_a_skip_is_merged_by_the_next_block_and_not_before(name):
    model, x = monai(name, 2) if name in SMALL else (smp_network(name).eval(), torch.randn(2, 1, 64, 64))
    taps = [tap for tap in model.taps() if tap.role not in ("encoder", "bottleneck")]
    open_outputs = outputs(model, x, taps)
    for position, skip in enumerate(taps):
        if skip.role == "skip":
            closed_outputs = outputs(model, x, taps, closed=skip)
            assert all(torch.equal(open_outputs[tap.name], closed_outputs[tap.name]) for tap in taps[: position + 1]), (
                skip.name
            )
            assert not torch.equal(open_outputs[taps[position + 1].name], closed_outputs[taps[position + 1].name]), (
                skip.name
            )


@pytest.mark.parametrize(("name", "size"), [("UNet", (13, 30)), ("SegResNet", (9, 14)), ("SwinUNETR", (40, 33))])
def test_monai_networks_accept_sizes_that_are_not_divisible(name, size):
    model = Monai(name, SMALL[name], 1, 1, 2, size).eval()
    assert model(torch.randn(2, 1, *size)).shape == (2, 1, *size)
    model.taps()


def test_smp_networks_accept_sizes_that_are_not_divisible():
    model = smp_network("unet").eval()
    assert model(torch.randn(2, 1, 37, 70)).shape == (2, 2, 37, 70)


def test_stages_beyond_the_depth_are_neither_counted_nor_trained():
    model = Smp("unet", "resnet18", encoder_depth=3, decoder_channels=(64, 32, 16), in_channels=3)
    theirs = smp.Unet("resnet18", encoder_depth=3, decoder_channels=(64, 32, 16), encoder_weights=None)
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert trainable == used_parameters(theirs.eval(), torch.zeros(1, 3, 64, 64))
    assert sum(parameter.numel() for parameter in model.parameters()) > 12 * trainable  # two stages of 10.5 million
    assert [tap.name for tap in model.taps() if tap.role == "encoder"] == ["enc1", "enc2"]
    frozen = {name: p.clone() for name, p in model.named_parameters() if not p.requires_grad}
    assert all(name.startswith(("encoder.layer3", "encoder.layer4")) for name in frozen)
    optimizer = torch.optim.AdamW(model.parameters(), 0.1, weight_decay=0.1)
    model(torch.randn(2, 3, 64, 64)).square().mean().backward()
    optimizer.step()
    assert all(torch.equal(model.get_parameter(name), before) for name, before in frozen.items())


def test_options_are_passed_to_the_architecture():
    attention = Smp("unet", options={"decoder_attention_type": "scse"}).decoder.blocks[0].attention1
    assert type(attention).__name__ == "Attention"
    assert type(attention.attention).__name__ == "SCSEModule"


REFUSED = {
    r"architecture: got 'unett', which smp does not have; the nearest are unet": {"architecture": "unett"},
    r"encoder_name: got 'resnet19', .* the nearest are resnet1": {"encoder_name": "resnet19"},
    r"encoder_name: got 'tu-convnext_tinny', .* tu-convnext_tiny": {"encoder_name": "tu-convnext_tinny"},
    r"smp's unet on resnet18 refuses: ResNetEncoder depth should be in range \[1, 5\], got 6": {"encoder_depth": 6},
    r"smp's unet on resnet18 refuses: Model depth is 5, but you provide": {"decoder_channels": (8, 4)},
    r"decoder_channels: got \[8\], and linknet takes none": {"architecture": "linknet", "decoder_channels": [8]},
    r"options: got 'colour', wanted any of .*decoder_attention_type": {"options": {"colour": 1}},
    r"encoder_weights: got 'imagenet', which must be downloaded; set download=true": {"encoder_weights": "imagenet"},
    r"encoder_weights: got 'mars', and resnet18 has imagenet": {"encoder_weights": "mars", "download": True},
    r"input_size: got \(8, 8, 8\), wanted 2 sides": {"input_size": (8, 8, 8)},
    r"smp's pan on resnet18 refuses: Given input size": {"architecture": "pan"},
}


@pytest.mark.parametrize("message", REFUSED)
def test_bad_arguments_of_smp_networks_are_refused(message):
    with pytest.raises(ValueError, match=message):
        Smp(**REFUSED[message])


def test_bad_arguments_of_monai_networks_are_refused():
    with pytest.raises(ValueError, match=r"network: got 'DynUNet', wanted one of UNet, BasicUNet"):
        Monai("DynUNet")
    with pytest.raises(ValueError, match=r"MONAI's UNet refuses: .*unexpected keyword argument 'widths'"):
        Monai("UNet", {"widths": [8, 16]})
    with pytest.raises(ValueError, match=r"MONAI's SegResNet refuses: .*divisible"):
        Monai("SegResNet", {"init_filters": 12})
    with pytest.raises(ValueError, match=r"input: got shape \(1, 3, 8, 8\), wanted \(N, 1, H, W\)"):
        Monai("UNet", spatial_dims=2)(torch.zeros(1, 3, 8, 8))
