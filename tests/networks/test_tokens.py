"""Channels-last maps and sequences of tokens become maps, and each place of a map is that of its patch of the image."""

import pytest
import torch
from monai.networks import nets
from torch import nn
from torchvision.models import VisionTransformer

from bench.layers.hooks import tap_hooks
from models import Custom
from models.layouts import readers

SIZE, PATCH = (32, 48), 8  # a grid of 4 × 6 patches
PLACES = torch.arange(24.0).reshape(4, 6)


class Tokens(nn.Module):
    """Gives the mean of each patch to a token; the layers of tokens change nothing."""

    def __init__(self, added=0, last=True, fixed=True, channels=5, mix=None):
        super().__init__()
        self.patches = nn.Conv2d(1, channels, PATCH, PATCH)
        nn.init.constant_(self.patches.weight, 1 / PATCH**2)
        nn.init.zeros_(self.patches.bias)
        self.cls_token = nn.Parameter(torch.zeros(1, added, channels)) if added else None
        self.layer, self.head = mix or nn.Identity(), nn.Linear(channels, 2)
        self.last, self.fixed = last, fixed

    def forward(self, x):
        if self.fixed and x.shape[2:] != SIZE:
            raise ValueError("images of another size")
        tokens = self.patches(x).flatten(2).mT
        if self.cls_token is not None:
            tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), tokens], dim=1)
        tokens = self.layer(tokens if self.last else tokens.mT)
        return self.head(tokens.mean(dim=1 if self.last else 2))


def read(network, module, **given):
    """Return what a tap reads of an image whose patches have the values of PLACES."""
    taps = [{"module": module, "role": "feature"} | given, {"module": "head", "role": "output"}]
    custom = Custom(network.eval(), taps, in_channels=1, input_size=SIZE)
    image = PLACES.repeat_interleave(PATCH, 0).repeat_interleave(PATCH, 1)[None, None]
    kept = {}
    with torch.no_grad(), tap_hooks(custom, custom.taps(), lambda tap, x: kept.setdefault(tap.name, x.clone())):
        custom(torch.cat([image, 2 * image]))
    return kept[module]


@pytest.mark.parametrize("added", [0, 1, 5])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("fixed", [True, False])
def test_tokens_lie_at_the_places_of_their_patches(added, last, fixed):
    found = read(Tokens(added, last, fixed), "layer")
    assert found.shape == (2, 5, 4, 6)
    assert torch.allclose(found[0], PLACES.expand(5, -1, -1))
    assert torch.allclose(found[1], 2 * PLACES.expand(5, -1, -1))


class Pooled(nn.Module):
    """Keeps some tokens, as many for each size of the image."""

    def forward(self, tokens):
        return tokens[:, :24]


def test_a_sequence_whose_length_does_not_depend_on_the_image_stays_a_sequence():
    network = Tokens(fixed=False, mix=Pooled())
    image = torch.zeros(1, 1, 64, 48)  # 48 patches; 24 remain, as in half of the image
    assert readers(network, image, ["layer"], {"layer": "last"})["layer"](torch.zeros(1, 24, 5)).shape == (1, 5, 24)


class TwoGrids(Tokens):
    """Also has maps of 3 × 8, so that the tokens can be those of either."""

    def __init__(self):
        super().__init__()
        self.other = nn.Conv2d(1, 1, (10, 6), (10, 6))

    def forward(self, x):
        return super().forward(x) + self.other(x).mean()


def test_tokens_of_two_grids_are_refused_by_name_and_can_be_set():
    with pytest.raises(
        ValueError, match=r"taps: got 'layer' with 24 tokens .* can be the places of \(3, 8\) or \(4, 6\)"
    ):
        read(TwoGrids(), "layer")
    assert torch.allclose(read(TwoGrids(), "layer", grid=[4, 6])[0, 0], PLACES)
    with pytest.raises(ValueError, match="grid: got 4, wanted at least 1 positive integer"):
        read(TwoGrids(), "layer", grid=4)


def test_a_sequence_whose_batch_is_not_first_is_refused_by_name():
    class Swapped(nn.Module):
        def forward(self, tokens):
            return tokens.transpose(0, 1)

    class Network(Tokens):
        def forward(self, x):
            return self.head(self.layer(self.patches(x).flatten(2).mT).mean(dim=0))

    with pytest.raises(
        Exception, match=r"tap layer: its module network.layer gives the shape \(24, 2, 5\) for a batch"
    ):
        read(Network(mix=Swapped()), "layer")


# Networks of libraries: each layer of maps is at the places of the image, because attention is turned off


def places_of(network, size, module):
    """Return where each place of a layer reads the image: the position with the largest gradient, as shares."""
    custom = Custom(network.eval(), None, in_channels=3, input_size=size)
    tap = next(tap for tap in custom.taps() if tap.name == module)
    image, found = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)), []
    image.requires_grad_()
    handle = custom.get_submodule(tap.module).register_forward_hook(
        lambda _m, _i, output: found.append(output if tap.transform is None else tap.transform(output))
    )
    custom(image)
    handle.remove()
    maps = found[0][0]
    for row in range(maps.shape[1]):
        for column in range(maps.shape[2]):
            (gradient,) = torch.autograd.grad(maps[:, row, column].square().sum(), image, retain_graph=True)
            strength = gradient.abs().sum(dim=(0, 1))
            at = torch.stack(torch.meshgrid(*(torch.arange(side) for side in size), indexing="ij")).float() + 0.5
            centre = (at * strength).sum(dim=(1, 2)) / strength.sum()
            wanted = [(row + 0.5) * size[0] / maps.shape[1], (column + 0.5) * size[1] / maps.shape[2]]
            yield centre.tolist(), wanted


def without_attention(network):
    """Set what attention adds to zero, so that each place of a layer depends on its own patch alone."""
    for name, parameter in network.named_parameters():
        if any(part in name for part in ("attn.proj", "out_proj", "attn.out")):
            nn.init.zeros_(parameter)
    return network


NETWORKS = {
    "torchvision": (lambda: VisionTransformer(32, 8, 2, 4, 32, 64, num_classes=2), (32, 32), "encoder.ln"),
    "vit": (
        lambda timm: timm.create_model("vit_tiny_patch16_224", img_size=(32, 48), depth=2, num_classes=2),
        (32, 48),
        "blocks.0",
    ),
    "swin": (
        lambda timm: timm.create_model(
            "swin_tiny_patch4_window7_224", img_size=56, embed_dim=24, depths=(1, 1, 1, 1), num_classes=2
        ),
        (56, 56),
        "layers.1.blocks.0",
    ),
    "convnext": (
        lambda timm: timm.create_model("convnext_atto", dims=(8, 16, 24, 32), depths=(1, 2, 1, 1), num_classes=2),
        (64, 96),
        "stages.1.blocks.0",
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_of_libraries_are_at_the_places_of_the_image(name):
    make, size, module = NETWORKS[name]
    torch.manual_seed(0)
    network = make() if name == "torchvision" else make(pytest.importorskip("timm"))
    side = size[0] / 7 if name == "swin" else 8
    for found, wanted in places_of(without_attention(network), size, module):
        assert found == pytest.approx(wanted, abs=side)


@pytest.mark.parametrize("name", ["UNETR", "SwinUNETR"])
def test_monai_transformers_are_read_as_their_own_taps(name):
    torch.manual_seed(0)
    arguments = (
        {"feature_size": 12} if name == "SwinUNETR" else {"img_size": (64, 64), "hidden_size": 48, "num_heads": 4}
    )
    network = getattr(nets, name)(in_channels=1, out_channels=2, spatial_dims=2, **arguments).eval()
    custom = Custom(network, None, in_channels=1, input_size=(64, 64))
    block = "vit.blocks.3" if name == "UNETR" else "swinViT.layers2.0.downsample"
    tap = next(tap for tap in custom.taps() if tap.name == block)
    kept = []
    handle = custom.get_submodule(tap.module).register_forward_hook(lambda _m, _i, output: kept.append(output))
    x = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        custom(x)
        # MONAI itself arranges the hidden states in maps for its decoder
        wanted = network.proj_feat(kept[0]) if name == "UNETR" else network.swinViT(x, False)[2]
    handle.remove()
    assert tap.transform is not None or wanted.shape == kept[0].shape
    assert torch.equal(kept[0] if tap.transform is None else tap.transform(kept[0]), wanted)


def test_windows_of_attention_are_not_read():
    timm = pytest.importorskip("timm")
    network = timm.create_model("swin_tiny_patch4_window7_224", img_size=56, embed_dim=24, depths=(1, 1), num_classes=2)
    names = [tap.name for tap in Custom(network, None, in_channels=3, input_size=(56, 56)).taps()]
    assert not [name for name in names if ".attn" in name]
    assert {"layers.0.blocks.0", "layers.1.downsample"} <= set(names)
