"""Every yaml of conf/model lists all arguments of its network, and the presets of papers are the defaults."""

import inspect
from pathlib import Path

import pytest
import torch
from hydra.utils import get_class
from omegaconf import OmegaConf

from models import CNN, ResNet, UNet

PRESETS = {path.stem: path for path in sorted((Path(__file__).parents[2] / "conf/model").glob("*.yaml"))}
OF_THE_DATA = {"in_channels", "out_channels", "num_classes", "input_size", "multilabel", "spatial_dims"}
OURS = ["cnn", "lenet5", "resnet", "resnet_small", "unet", "unet_lee2021", "vgg_small"]


def preset(name: str) -> dict:
    return OmegaConf.to_container(OmegaConf.load(PRESETS[name]))


def build(name: str, **of_the_data):
    config = preset(name) | of_the_data
    return get_class(config.pop("_target_"))(**config)


@pytest.mark.parametrize("name", OURS)
def test_every_argument_is_listed_and_those_of_the_data_are_null(name):
    config = preset(name)
    arguments = inspect.signature(get_class(config.pop("_target_"))).parameters
    assert list(config) == list(arguments)
    assert {key for key, value in config.items() if value is None} - {"decoder_widths"} == OF_THE_DATA & set(arguments)


@pytest.mark.parametrize(("name", "network"), [("unet_lee2021", UNet), ("lenet5", CNN), ("resnet", ResNet)])
def test_the_preset_of_a_paper_is_the_default_of_the_class(name, network):
    defaults = {key: argument.default for key, argument in inspect.signature(network).parameters.items()}
    given = {key: value for key, value in preset(name).items() if value is not None and key != "_target_"}
    assert {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()} == {
        key: defaults[key] for key in given
    }


def test_the_default_unet_has_486409_parameters():
    model = build("unet", in_channels=1, out_channels=1, multilabel=False, spatial_dims=2)
    assert sum(parameter.numel() for parameter in model.parameters()) == 486_409


@pytest.mark.parametrize(("name", "steps"), [("cnn", 15), ("vgg_small", 15), ("resnet_small", 30)])
def test_classifiers_learn_which_half_of_the_image_is_bright(name, steps):
    size = {"in_channels": 1, "num_classes": 2, "input_size": [16, 16], "multilabel": False, "spatial_dims": 2}
    model = build(name, **{key: value for key, value in size.items() if key in preset(name)})
    labels = torch.arange(32) % 2
    images = torch.rand(32, 1, 16, 16)
    images[labels == 1, :, :8] += 1
    images[labels == 0, :, 8:] += 1
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimiser.step()
    assert (model(images).argmax(1) == labels).all()
