"""Networks of libraries are built from stored configs with their weights, without files and without the internet."""

import socket

import pytest
import torch
from omegaconf import OmegaConf

from bench.config.build import build_stored
from bench.errors import InputError
from bench.tracking.trust import check_stored, refuse_fetching, without_fetching

TAPS = [{"module": "out/in", "role": "output"}]
DENSENET = {"_target_": "monai.networks.nets.DenseNet121", "spatial_dims": 2, "in_channels": 1, "out_channels": 2}


def config(network: dict) -> dict:
    model = {"_target_": "models.Custom", "network": network, "taps": TAPS}
    return {"dataset": {"_target_": "bench.datasets.phantoms"}, "model": model}


@pytest.fixture
def offline(monkeypatch):
    """Make any attempt to open a connection fail the test."""

    def connect(*_):
        pytest.fail("something asks for a connection")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)


@pytest.mark.parametrize(
    ("network", "harmless"),
    [
        ({"_target_": "timm.create_model", "model_name": "resnet10t", "pretrained": True}, {"pretrained": False}),
        ({"_target_": "timm.models.resnet10t", "pretrained": True}, {"pretrained": False}),
        ({"_target_": "segmentation_models_pytorch.Unet", "encoder_name": "resnet18"}, {"encoder_weights": None}),
        ({"_target_": "segmentation_models_pytorch.create_model", "arch": "unet"}, {"encoder_weights": None}),
        ({"_target_": "monai.networks.nets.EfficientNetBN", "model_name": "efficientnet-b0"}, {"pretrained": False}),
        (DENSENET | {"pretrained": True}, {"pretrained": False}),
        (
            {"_target_": "monai.networks.nets.resnet18", "pretrained": True, "n_input_channels": 1},
            {"pretrained": False},
        ),
        ({"_target_": "monai.networks.nets.HoVerNet", "pretrained_url": "evil.pt"}, {"pretrained_url": None}),
    ],
)
def test_pretrained_weights_are_not_fetched(offline, network, harmless):
    checked = check_stored(config(network), "run")
    assert OmegaConf.to_container(without_fetching(checked.model).network) == network | harmless
    with pytest.raises(InputError, match=rf"trust=\[{network['_target_']}\] permits it for this call"):
        refuse_fetching(checked.model, "run")
    refuse_fetching(checked.model, "run", [network["_target_"]])


@pytest.mark.parametrize(
    "network",
    [
        {"_target_": "timm.create_model", "model_name": "hf-hub:some/one"},
        {"_target_": "timm.create_model", "model_name": "local-dir:/somewhere"},
        {"_target_": "segmentation_models_pytorch.Unet", "encoder_name": "tu-hf-hub:some/one"},
        {"_target_": "segmentation_models_pytorch.Unet", "_args_": ["resnet18", 5, "imagenet"]},
        DENSENET | {"act": {"nested": ["https://evil"]}},
        DENSENET | {"norm": "..\\evil"},
    ],
)
def test_files_and_addresses_as_arguments_are_refused(offline, network):
    with pytest.raises(InputError, match=r"run: got .* wanted"):
        check_stored(config(network), "run")


@pytest.mark.parametrize(
    "model",
    [
        {"_target_": "models.Smp", "encoder_weights": "imagenet", "download": True, "input_size": [32, 32]},
        {
            "_target_": "models.Custom",
            "network": {"_target_": "segmentation_models_pytorch.Unet", "encoder_name": "resnet18"},
            "taps": [{"module": "segmentation_head", "role": "output", "name": "out / 1"}],
        },
        {"_target_": "models.Monai", "spatial_dims": 2, "arguments": {"channels": [2, 4], "strides": [2]}},
        {
            "_target_": "models.Custom",
            "in_channels": 1,
            "network": {
                "_target_": "torch.nn.Sequential",
                "_args_": [{"_target_": "torch.nn.Conv2d", "_args_": [1, 2, 3]}, {"_target_": "torch.nn.ReLU"}],
            },
            "taps": [{"module": "1", "role": "output"}],
        },
    ],
)
def test_networks_of_libraries_are_built_with_their_weights(offline, model):
    stored = check_stored({"dataset": {"_target_": "bench.datasets.phantoms"}, "model": model}, "run")
    twin = build_stored(stored, _weights(stored), "a run")
    assert not twin.training
    assert all(torch.equal(value, twin.state_dict()[name]) for name, value in _weights(stored).items())


def _weights(stored) -> dict[str, torch.Tensor]:
    from bench.config.build import build_network

    return build_network(without_fetching(stored.model), 1).state_dict()


def test_data_are_not_downloaded():
    dataset = {"_target_": "bench.datasets.mnist", "root": "somewhere", "download": True}
    stored = config(DENSENET) | {"dataset": dataset}
    assert check_stored(stored, "run").dataset.download is False
    assert check_stored(stored, "run", ["bench.datasets.mnist"]).dataset.download is True
