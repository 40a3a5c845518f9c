"""Designs: the free choices of an architecture. Each family of networks has one file.

Networks of other libraries take seconds to load, so a family loads when it is first used.
"""

import lazy_loader
from torch import nn

from bench.errors import InputError
from bench.pruning.designs.base import (
    Cut,
    Design,
    Pair,
    Part,
    PartKind,
    Slot,
    Swap,
    SwapKind,
    flat,
    random_design,
    scaled,
    search_taps,
    widths_of,
)

FAMILIES = {  # by class of models
    "UNet": "UNetDesign",
    "CNN": "CNNDesign",
    "Smp": "SmpDesign",
    "Monai": "MonaiDesign",
    "NnUnet": "NnUnetDesign",
}

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "cnn": ["CNNDesign"],
        "monai": ["MonaiDesign"],
        "nnunet": ["NnUnetDesign"],
        "smp": ["SmpDesign"],
        "unet": ["UNetDesign"],
    },
)
__all__ = [
    "CNNDesign",
    "Cut",
    "Design",
    "MonaiDesign",
    "NnUnetDesign",
    "Pair",
    "Part",
    "PartKind",
    "Slot",
    "SmpDesign",
    "Swap",
    "SwapKind",
    "UNetDesign",
    "design_of",
    "flat",
    "random_design",
    "scaled",
    "search_taps",
    "widths_of",
]


def design_of(network: nn.Module) -> Design:
    """Return the design of a network.

    Raises:
        InputError: The network belongs to no family with designs. The message lists the families.
    """
    for kind in type(network).__mro__:
        if kind.__module__.startswith("models.") and kind.__name__ in FAMILIES:
            return __getattr__(FAMILIES[kind.__name__]).of(network)
    known = ", ".join(f"models.{name}" for name in FAMILIES)
    raise InputError(
        f"model: got {type(network).__module__}.{type(network).__name__}, whose parts can't be switched; "
        f"wanted one of {known}"
    )
