"""Networks that name the places where their activations can be tapped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.cnn import CNN
from models.custom import Custom
from models.decoder import Decoder
from models.monai import Monai
from models.smp import Smp
from models.taps import Tap
from models.unet import Skip, UNet

if TYPE_CHECKING:
    from models.resnet import ResNet

__all__ = ["CNN", "Custom", "Decoder", "Monai", "ResNet", "Skip", "Smp", "Tap", "UNet"]


def __getattr__(name: str):
    """Import `ResNet` when it is first used: it is a subclass of timm's, and timm is optional."""
    if name == "ResNet":
        from models.resnet import ResNet

        return ResNet
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
