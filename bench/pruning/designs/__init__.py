"""Designs: the free choices of an architecture. Each family of networks has one file."""

from torch import nn

from bench.errors import InputError
from bench.pruning.designs.base import Cut, Design, Pair, Place, flat, random_design, scaled, taps_of, widths_of
from bench.pruning.designs.cnn import CNNDesign
from bench.pruning.designs.monai import MonaiDesign
from bench.pruning.designs.smp import SmpDesign
from bench.pruning.designs.unet import UNetDesign
from models import CNN, Monai, Smp, UNet

__all__ = [
    "CNNDesign",
    "Cut",
    "Design",
    "MonaiDesign",
    "Pair",
    "Place",
    "SmpDesign",
    "UNetDesign",
    "design_of",
    "flat",
    "random_design",
    "scaled",
    "taps_of",
    "widths_of",
]

FAMILIES = {UNet: UNetDesign, CNN: CNNDesign, Smp: SmpDesign, Monai: MonaiDesign}


def design_of(network: nn.Module) -> Design:
    """Return the design of a network.

    Raises:
        InputError: The network belongs to no family with designs. The message lists the families.
    """
    for kind, family in FAMILIES.items():
        if isinstance(network, kind):
            return family.of(network)
    known = ", ".join(f"models.{kind.__name__}" for kind in FAMILIES)
    raise InputError(
        f"model: got {type(network).__module__}.{type(network).__name__}, whose parts can't be switched; "
        f"wanted one of {known}"
    )
