"""Networks whose feature maps are known functions of the image, and data on which to measure them."""

import numpy as np
import torch
from torch import nn

from bench.datasets.data import Data
from bench.datasets.splits import Split
from bench.layers.probe import Probe
from models import Tap
from models.taps import softmax


class KnownMaps(nn.Module):
    """Network whose feature maps are `make` of images (n, 1, H, W), and whose logits are the means of the maps."""

    def __init__(self, make):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.maps, self.out = nn.Identity(), nn.Identity()
        self.make = make

    def forward(self, x):
        return self.out(self.maps(self.make(x) * self.scale).flatten(2).mean(2)[:, :2])

    def taps(self):
        return [Tap("maps", "maps", "feature", 1, 0), Tap("out", "out", "output", 2, 1, softmax)]


def bits_and_labels(label, n=240, size=4, noise=0.05, seed=0):
    """Return data whose images have two random bits, one in each half, and whose label is a function of the bits."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (2, n))
    images = np.repeat(bits.T[:, :, None], size * size // 2, axis=2).reshape(n, 1, size, size)
    images = torch.from_numpy(images + noise * rng.normal(size=images.shape)).float()
    split = Split(images, torch.from_numpy(label(*bits)), np.arange(n), tuple(map(str, range(n))))
    classes = tuple(map(str, range(int(split.targets.max()) + 1)))
    return Data("bits", "classification", classes, split, split, split)


def upper(x):
    return x[:, :, : x.shape[2] // 2]


def lower(x):
    return x[:, :, x.shape[2] // 2 :]


def probe_of(network, data, estimators, **settings):
    return Probe(network, data, estimators, seed=0, **settings)
