"""Networks that name the places where their activations can be tapped."""

from models.cnn import CNN
from models.decoder import Decoder
from models.resnet import ResNet
from models.taps import Tap
from models.unet import Skip, UNet

__all__ = ["CNN", "Decoder", "ResNet", "Skip", "Tap", "UNet"]
