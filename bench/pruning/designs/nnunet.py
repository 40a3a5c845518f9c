"""Designs of nnU-Net in the terms of its plans: stages, features per stage and convolutions per stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bench.pruning.designs.base import Slot, Swap, SwapKind, convolutions
from bench.pruning.designs.levels import Levels
from models import NnUnet
from models.nnunet_lean import LEAST_STAGES, decoder_convs, encoder_convs


@dataclass(frozen=True)
class NnUnetDesign(Levels):
    """Design of a network of nnU-Net.

    One number decides the width of a stage in the encoder, and of the decoder's stage at the same resolution. Its tap
    reads the encoder. The skips can't be switched off. Level 1 is stage 0 of the plans.

    Attributes:
        features_per_stage: Channels of each stage, full resolution first.
        n_conv_per_stage: Convolutions, or residual blocks, of each stage of the encoder.
        n_conv_per_stage_decoder: Convolutions of each stage of the decoder, the deepest first.
        taps: The last tap of each encoder stage in the trained network.
        made_by: Paths of the convolutions of each encoder stage in the trained network that make its channels.

    Examples:
        >>> stages = ("encoder.stages.0", "encoder.stages.1", "encoder.stages.2")
        >>> design = NnUnetDesign((32, 64, 128), (2, 2, 2), (2, 1), stages, ((), (), ()))
        >>> pair = design.pairs()[-1]
        >>> str(pair.part), pair.asked, pair.given
        ('level 3', 'decoder.transpconvs.0', 'encoder.stages.1')
        >>> design.without_bottom().arguments()
        {'features_per_stage': [32, 64], 'n_conv_per_stage': [2, 2], 'n_conv_per_stage_decoder': [1]}
        >>> [str(swap) for swap in design.swaps()]
        ['1 convolution per stage']
    """

    features_per_stage: tuple[int, ...]
    n_conv_per_stage: tuple[int, ...]
    n_conv_per_stage_decoder: tuple[int, ...]
    taps: tuple[str, ...] = field(compare=False)
    made_by: tuple[tuple[str, ...], ...] = field(compare=False)

    @classmethod
    def of(cls, network: NnUnet) -> NnUnetDesign:
        plans = network.plans
        stages = [f"encoder.stages.{stage}" for stage in range(plans.n_stages)]
        names = [tap.name for tap in network.taps()]
        taps = [[name for name in names if f"{name}.".startswith(f"{stage}.")][-1] for stage in stages]
        made_by = [convolutions(network, *stage) for stage in zip(stages, plans.features_per_stage, strict=True)]
        return cls(plans.features_per_stage, encoder_convs(plans), decoder_convs(plans), tuple(taps), tuple(made_by))

    def arguments(self) -> dict:
        return {
            "features_per_stage": list(self.features_per_stage),
            "n_conv_per_stage": list(self.n_conv_per_stage),
            "n_conv_per_stage_decoder": list(self.n_conv_per_stage_decoder),
        }

    @property
    def levels(self) -> int:
        return len(self.features_per_stage)

    @property
    def fewest(self) -> int:
        return LEAST_STAGES

    @property
    def stages(self) -> dict[int, str]:
        return {level: self.taps[level - 1] for level in range(1, self.levels)}

    def slots(self) -> list[Slot]:
        return [
            Slot(f"features_per_stage[{stage}]", self.taps[stage], width, tuple((path, None) for path in paths))
            for stage, (width, paths) in enumerate(zip(self.features_per_stage, self.made_by, strict=False))
        ]

    def with_widths(self, widths: Sequence[int]) -> NnUnetDesign:
        return replace(self, features_per_stage=tuple(widths))

    def from_below(self, level: int) -> str:
        return f"decoder.transpconvs.{len(self.taps) - level}"

    def without_bottom(self) -> NnUnetDesign:
        return replace(
            self,
            features_per_stage=self.features_per_stage[:-1],
            n_conv_per_stage=self.n_conv_per_stage[:-1],
            n_conv_per_stage_decoder=self.n_conv_per_stage_decoder[1:],
        )

    def swaps(self) -> dict[Swap, NnUnetDesign]:
        once = (1,) * self.levels
        one = replace(self, n_conv_per_stage=once, n_conv_per_stage_decoder=once[1:])
        return {} if one == self else {Swap(SwapKind.ONE_CONVOLUTION, "1 convolution per stage"): one}
