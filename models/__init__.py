"""Networks that publish their taps, the layers at which activations are read.

Networks of other libraries (MONAI, segmentation-models-pytorch, timm) load when they are used.
"""

from typing import TYPE_CHECKING

import lazy_loader

from models.cnn import CNN
from models.custom import Custom
from models.decoder import Decoder
from models.taps import Tap
from models.unet import Skip, UNet

if TYPE_CHECKING:
    from models.files import File
    from models.monai import Monai
    from models.nnunet import NnUnet
    from models.resnet import ResNet
    from models.smp import Smp

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "files": ["File"],
        "monai": ["Monai"],
        "nnunet": ["NnUnet"],
        "resnet": ["ResNet"],
        "smp": ["Smp"],
    },
)
__all__ = ["CNN", "Custom", "Decoder", "File", "Monai", "NnUnet", "ResNet", "Skip", "Smp", "Tap", "UNet"]
