"""Segmentation networks of segmentation-models-pytorch with taps: any architecture with any encoder."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from inspect import signature
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from models import checks, weights
from models.padding import pad
from models.taps import Tap
from models.tracing import NEAREST, Call, calls, device_of, make_tap, traced_taps, wrap_errors
from models.unet import Skip

if TYPE_CHECKING:
    from segmentation_models_pytorch.base import SegmentationModel

STEPWISE = ("unet", "manet", "linknet")  # each decoder block takes one skip, the deepest first


def architectures() -> dict[str, type[SegmentationModel]]:
    """Return the networks of segmentation-models-pytorch by name."""
    import segmentation_models_pytorch as smp  # optional package

    return smp.MODEL_ARCHITECTURES_MAPPING


class Smp(nn.Module):
    """A network of segmentation-models-pytorch: images (N, in_channels, H, W) to logits (N, out_channels, H, W).

    Images whose sides the encoder can't divide are padded as in `UNet`. Parameters that do not affect the output are
    frozen, so they are neither trained nor counted. The stages beyond encoder_depth have such parameters.

    Args:
        architecture: A key of `architectures()`, such as unet, fpn or deeplabv3plus.
        encoder_name: An encoder of smp, such as resnet18 or efficientnet-b0, or one of timm with the prefix `tu-`.
        encoder_depth: Number of stages of the encoder. None takes the architecture's default in smp.
        decoder_channels: Channels of each block, the deepest first, or one number for an architecture without blocks.
            None takes smp's defaults, for a U-Net those of the same resolution.
        encoder_weights: Pretrained weights, such as imagenet. They need download=true. smp's revision is downloaded and
            checked by SHA-256. The untrained references of such a network have these weights too.
        download: Whether weights may be downloaded.
        in_channels: Channels of the images.
        out_channels: Channels of the logits.
        options: Further arguments of the architecture, by smp's names.
        input_size: Size of the images that determine the levels of the taps.

    Raises:
        ValueError: smp or timm lacks an argument's value, and the message lists the nearest names; or they refuse an
            argument.

    Examples:
        >>> network = Smp("linknet", "resnet18", encoder_depth=3, in_channels=1)
        >>> [tap.name for tap in network.taps()]  # doctest: +NORMALIZE_WHITESPACE
        ['enc1', 'enc2', 'bottleneck', 'skip2', 'decoder.blocks.0', 'skip1', 'decoder.blocks.1', 'decoder.blocks.2',
         'out']
    """

    def __init__(
        self,
        architecture: str = "unet",
        encoder_name: str = "resnet18",
        encoder_depth: int | None = None,
        decoder_channels: int | Sequence[int] | None = None,
        encoder_weights: str | None = None,
        download: bool = False,
        in_channels: int = 3,
        out_channels: int = 1,
        options: Mapping | None = None,
        input_size: Sequence[int] = (64, 64),
    ):
        super().__init__()
        if len(input_size) != 2:
            raise ValueError(f"input_size: got {tuple(input_size)}, wanted 2 sides; for volumes choose model=monai")
        self.architecture = _check_known("architecture", architecture, architectures())
        self.encoder_name = _check_encoder(encoder_name)
        make = architectures()[architecture]
        takes = signature(make).parameters
        self.encoder_depth = checks.count("encoder_depth", encoder_depth or takes["encoder_depth"].default)
        self.in_channels = checks.count("in_channels", in_channels)
        self.out_channels = checks.count("out_channels", out_channels)
        self.input_size = tuple(input_size)
        if decoder_channels is not None and "decoder_channels" not in takes:
            raise ValueError(f"decoder_channels: got {decoder_channels}, and {architecture} takes none; set null")
        if decoder_channels is None and "decoder_channels" in takes:
            own = takes["decoder_channels"].default
            decoder_channels = own if isinstance(own, int) else own[-self.encoder_depth :]  # of the same resolution
        self.decoder_channels = decoder_channels
        chosen = {} if decoder_channels is None else {"decoder_channels": decoder_channels}
        unknown = set(options or ()) - set(takes)
        if unknown and not encoder_name.startswith("tu-"):  # timm's encoders take further options
            raise ValueError(f"options: got {min(unknown)!r}, wanted any of {', '.join(takes)}; correct the spelling")
        weights.check(encoder_name, encoder_weights, download)
        with wrap_errors(f"smp's {architecture} on {encoder_name}"):
            network = make(
                encoder_name, encoder_depth=self.encoder_depth, encoder_weights=encoder_weights,
                in_channels=in_channels, classes=out_channels, **chosen, **(options or {}),
            )  # fmt: skip
            network.to(torch.get_default_device())  # smp puts some weights on the CPU
            self.encoder, self.decoder = network.encoder, network.decoder
            self.segmentation_head, self.out = network.segmentation_head, nn.Identity()
            self.multiple = self.encoder.output_stride if network.requires_divisible_input_shape else 1
            self._name_stages()

    def forward(self, x: Tensor) -> Tensor:
        checks.images(x, self.in_channels, 2)
        x, inside = pad(x, self.multiple)
        features, *tokens = self._encoded(x)
        features = [self.stages[f"{i}"](f) if f"{i}" in self.stages else f for i, f in enumerate(features)]
        return self.out(self.segmentation_head(self.decoder(features, *tokens))[:, :, *inside])

    def _encoded(self, x: Tensor) -> tuple:
        """Return the features, finest first, and any further input of the decoder."""
        encoded = self.encoder(x)
        return encoded if isinstance(encoded, tuple) else (encoded,)

    def _name_stages(self) -> None:
        """Make a module for each feature that the decoder may take, and freeze parameters that nothing uses."""
        image = self._zeros()
        with torch.no_grad():
            features, *_ = self.eval()._encoded(image)
        # the first features of some encoders are the image itself or have no channels
        deep = [i for i, f in enumerate(features) if f.shape[1] and not (i == 0 and f.shape[1] == self.in_channels)]
        self.stages = nn.ModuleDict({f"{i}": Skip("cat", features[i].shape[1], features[i].shape[1]) for i in deep})
        outputs: dict[str, Tensor] = {}
        handles = [
            stage.register_forward_hook(lambda _module, _inputs, output, i=i: outputs.__setitem__(i, output))
            for i, stage in self.stages.items()
        ]
        parameters = list(self.parameters())
        with torch.enable_grad():
            score = self(image).sum()
        gradients = torch.autograd.grad(score, [*parameters, *outputs.values()], allow_unused=True)
        for handle in handles:
            handle.remove()
        for parameter, gradient in zip(parameters, gradients, strict=False):
            parameter.requires_grad_(gradient is not None)
        self.read = [
            i for i, gradient in zip(outputs, gradients[len(parameters) :], strict=True) if gradient is not None
        ]
        self.train()

    def _zeros(self) -> Tensor:
        """Make an image of zeros of a size that the encoder can divide."""
        image = torch.zeros(1, self.in_channels, *self.input_size, device=device_of(self))
        return pad(image, self.multiple)[0]

    def taps(self) -> list[Tap]:
        """Return the taps: encoder stages, decoder blocks, features that the decoder takes, and the output.

        The deepest feature that the decoder takes is the bottleneck. The features above it are the skips. The blocks at
        which skips end are known for U-Net, MA-Net and LinkNet. For other architectures a skip counts as ending at the
        output, the latest possible place.
        """
        seen = calls(self, self._zeros())
        *above, deepest = self.read
        before = [i for i in self.stages if int(i) < int(deepest)]
        skips = [make_tap(f"skip{i}", f"stages.{i}", "skip") for i in reversed(above)]
        blocks = [make_tap(path, path, "decoder") for path in _blocks(seen)]
        points = [make_tap(f"enc{i}", f"stages.{i}", "encoder") for i in before]
        points.append(make_tap("bottleneck", f"stages.{deepest}", "bottleneck"))
        if self.architecture in STEPWISE:
            for block in blocks:
                points += [skips.pop(0), block] if skips and block.name.startswith("decoder.blocks.") else [block]
        else:
            points += [*blocks, *skips]
        return traced_taps(self, self._zeros(), [*points, make_tap("out", "out", "output")])


def _blocks(seen: Mapping[str, Call]) -> list[str]:
    """Find the decoder's parts that have parts of their own, run once and give maps, in the order in which they run."""
    once = [path for path, call in seen.items() if path.startswith("decoder.") and call.times == 1]
    maps = [path for path in once if len(seen[path].shape or ()) == 3 and _has_parts(path, seen)]
    return [path for path in maps if not any(path.startswith(f"{other}.") for other in maps)]


def _has_parts(path: str, seen: Mapping[str, Call]) -> bool:
    """Whether other modules that ran lie inside a module."""
    return any(other.startswith(f"{path}.") for other in seen)


def _check_known(name: str, got: str, options: Collection[str]) -> str:
    """Check that a name is one of the options; the message of the ValueError lists the nearest names."""
    if got not in options:
        near = ", ".join(get_close_matches(str(got), list(options), NEAREST, cutoff=0))
        raise ValueError(f"{name}: got {got!r}, which smp does not have; the nearest are {near}; correct the spelling")
    return got


def _check_encoder(got: str) -> str:
    """Check that smp or timm has an encoder."""
    import timm
    from segmentation_models_pytorch.encoders import get_encoder_names

    if str(got).startswith("tu-"):
        if not timm.is_model(got.removeprefix("tu-")):
            _check_known("encoder_name", got, [f"tu-{name}" for name in timm.list_models()])
        return got
    return _check_known("encoder_name", got, get_encoder_names())
