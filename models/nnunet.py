"""Networks of nnU-Net v2, built from its plans, with taps and with skips as modules."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models import checks
from models.nnunet_checkpoint import check_file
from models.nnunet_lean import lean
from models.nnunet_plans import Plans, read_plans
from models.taps import Tap
from models.tracing import device_of, make_tap, traced_taps, wrap_errors
from models.unet import Skip

CLASSES = (
    nn.Conv2d, nn.Conv3d, nn.InstanceNorm2d, nn.InstanceNorm3d, nn.BatchNorm2d, nn.BatchNorm3d, nn.Dropout2d,
    nn.Dropout3d, nn.LeakyReLU, nn.ReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU,
)  # fmt: skip
ALLOWED = {kind.__name__: kind for kind in CLASSES}  # the classes that plans may name


class NnUnet(nn.Module):
    """A network of nnU-Net: images (N, in_channels, *spatial) to logits (N, out_channels, *spatial).

    The names of parameters are those of nnU-Net, so that its `network_weights` fit. Only the output at full resolution
    is computed. The heads of deep supervision exist, but are frozen, as nothing uses them.

    For a binary mask, nnU-Net has two outputs, background and foreground. With out_channels=1 the output is their
    difference: the sigmoid of the difference is the softmax of the foreground.

    Args:
        plans: The plans.json of nnU-Net, or one configuration of it as read by `read_plans`.
        configuration: Name of the configuration in the plans: 2d, 3d_fullres or 3d_lowres.
        features_per_stage: Channels of each stage in place of those in the plans. With fewer entries, the network lacks
            the deepest stages. None takes those of the plans.
        n_conv_per_stage: Convolutions of the encoder's stages, blocks in a residual encoder, in place of the plans'.
        n_conv_per_stage_decoder: Convolutions of the decoder's stages, the deepest first, in place of the plans'.
        convs: Whether to tap each convolution (or residual block) of a stage, instead of each stage.
        in_channels: Channels of the images.
        out_channels: Channels of the logits.
        multilabel: Whether each output is the probability of a region by itself, so that regions may overlap.
        input_size: Size of the images that determine the levels of the taps. None takes the patch of the plans.

    Raises:
        ValueError: The plans are no plans of nnU-Net v2, name a class that is not known, or do not fit the channels.

    Example::

        network = NnUnet("nnUNetPlans.json", "2d", in_channels=1, out_channels=3)
        [tap.name for tap in network.taps()]  # encoder.stages.0, encoder.stages.1, …, decoder.transpconvs.0, …, out
    """

    encoder: nn.Module
    decoder: Any  # of dynamic_network_architectures, which is optional

    def __init__(
        self,
        plans: str | Path | Plans | None,
        configuration: str | None = None,
        features_per_stage: Sequence[int] | None = None,
        n_conv_per_stage: int | Sequence[int] | None = None,
        n_conv_per_stage_decoder: int | Sequence[int] | None = None,
        convs: bool = False,
        in_channels: int = 1,
        out_channels: int = 2,
        multilabel: bool = False,
        input_size: Sequence[int] | None = None,
    ):
        super().__init__()
        whole = plans if isinstance(plans, Plans) else read_plans(plans, configuration)
        self.plans = lean(whole, features_per_stage, n_conv_per_stage, n_conv_per_stage_decoder)
        self.convs = convs
        self.in_channels = checks.count("in_channels", in_channels)
        self.out_channels = checks.count("out_channels", out_channels)
        self.multilabel = multilabel
        self.input_size = checks.counts("input_size", self.plans.patch_size if input_size is None else input_size)
        channels = len(self.plans.normalization_schemes)
        if in_channels != channels:
            raise ValueError(
                f"in_channels: got {in_channels}, and configuration {self.plans.configuration} of {self.plans.path} is "
                f"for images of {channels} channels; choose the plans of this dataset"
            )
        if len(self.input_size) != self.plans.dims:
            axes = len(self.input_size)
            raise ValueError(
                f"configuration: got {self.plans.configuration} of {self.plans.path}, whose network takes "
                f"{self.plans.dims} axes, and images of {axes}; choose a configuration of {axes} axes"
            )
        network: Any = _build(self.plans, in_channels, out_channels if multilabel else max(2, out_channels))
        self.encoder, self.decoder = network.encoder, network.decoder
        for head in self.decoder.seg_layers[:-1]:
            head.requires_grad_(False)
        widths = self.plans.features_per_stage[:-1]
        self.skips = nn.ModuleList(Skip("cat", width, width) for width in widths)  # the last stage has none
        self.out = nn.Identity()
        self.multiples = tuple(prod(sides) for sides in zip(*self.plans.strides, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        checks.images(x, self.in_channels, self.plans.dims)
        if any(side % multiple for side, multiple in zip(x.shape[2:], self.multiples, strict=True)):
            raise ValueError(
                f"input: got sides of {tuple(x.shape[2:])}, wanted multiples of {self.multiples}, the strides of the "
                f"plans; give patches of {self.plans.patch_size}"
            )
        features = self.encoder(x)
        branches = [skip(feature) for skip, feature in zip(self.skips, features, strict=False)]
        logits = self.decoder([*branches, features[-1]])
        if logits.shape[1] != self.out_channels:  # background and foreground
            logits = logits[:, 1:] - logits[:, :1]
        return self.out(logits)

    def check_weights(self, path: str | Path) -> None:
        """Check that a checkpoint of nnU-Net has the plans and the numbers of channels of this network.

        A file with weights alone is not checked.

        Raises:
            ValueError: The file can't be read, or is of another configuration, of other plans or of other data.
        """
        check_file(path, self.plans, self.in_channels, self.decoder.num_classes)

    def taps(self) -> list[Tap]:
        """Return the taps: encoder stages, bottleneck, up-convolutions, skips, decoder stages and the output.

        Their names are the names of the modules in nnU-Net. `skips.0` is the branch of `encoder.stages.0`.
        """
        last = self.plans.n_stages - 1
        points = [make_tap("encoder.stem", "encoder.stem", "encoder")] if hasattr(self.encoder, "stem") else []
        for stage in range(last + 1):
            points += self._stage("encoder", stage, "encoder" if stage < last else "bottleneck")
        for stage in range(last):
            skip = last - 1 - stage
            points.append(make_tap(f"decoder.transpconvs.{stage}", f"decoder.transpconvs.{stage}", "up"))
            points.append(make_tap(f"skips.{skip}", f"skips.{skip}", "skip"))
            points += self._stage("decoder", stage, "decoder")
        image = torch.zeros(1, self.in_channels, *self.input_size, device=device_of(self))
        return traced_taps(self, image, [*points, make_tap("out", "out", "output")], self.multilabel)

    def _stage(self, part: str, stage: int, role: Any) -> list[Tap]:
        """Make the tap of a stage, or those of its convolutions or residual blocks."""
        path = f"{part}.stages.{stage}"
        if not self.convs:
            return [make_tap(path, path, role)]
        inner = self.get_submodule(path)
        if isinstance(inner, nn.Sequential):  # of a plain encoder
            path, inner = f"{path}.0", inner[0]
        kind = "blocks" if hasattr(inner, "blocks") else "convs"
        parts = getattr(inner, kind)
        return [make_tap(f"{part}.stages.{stage}.{kind}.{i}", f"{path}.{kind}.{i}", role) for i in range(len(parts))]


def _build(plans: Plans, channels: int, outputs: int) -> nn.Module:
    """Build the network of dynamic-network-architectures, initialised as nnU-Net does."""
    from dynamic_network_architectures.architectures import unet  # optional package

    arguments = dict(plans.arguments)
    for key in plans.imported:
        arguments[key] = _allowed(key, arguments.get(key), plans)
    arguments["deep_supervision"] = False
    with wrap_errors(f"{plans.network}, built from {plans.path},"):
        network = getattr(unet, plans.network)(input_channels=channels, num_classes=outputs, **arguments)
        network.apply(network.initialize)
        return network.to(torch.get_default_device())


def _allowed(key: str, name: Any, plans: Plans) -> type[nn.Module] | None:
    """Return the class of torch.nn that plans name, if it is known and fits the number of axes."""
    if name is None:
        return None
    package, _, short = str(name).rpartition(".")
    other = "3d" if plans.dims == 2 else "2d"
    if short not in ALLOWED or not f"{package}.".startswith("torch.nn.") or short.endswith(other):
        known = ", ".join(short for short in ALLOWED if not short.endswith(other))
        raise ValueError(f"plans: {plans.path}: got {key} {name!r}, wanted one of {known} of torch.nn; correct it")
    return ALLOWED[short]
