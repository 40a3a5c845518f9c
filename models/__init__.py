"""Networks that name the places where their activations can be tapped."""

from models.cnn import CNN
from models.custom import Custom
from models.decoder import Decoder
from models.monai import Monai
from models.resnet import ResNet
from models.smp import Smp
from models.taps import Tap
from models.unet import Skip, UNet

__all__ = ["CNN", "Custom", "Decoder", "Monai", "ResNet", "Skip", "Smp", "Tap", "UNet"]
