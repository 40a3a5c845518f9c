"""Each yaml of conf/dataset names a function of bench.datasets and lists every argument with its default."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.utils import get_method, instantiate
from omegaconf import OmegaConf

import bench.datasets

CONF = Path(__file__).parents[2] / "conf" / "dataset"


@pytest.mark.parametrize("name", bench.datasets.__all__)
def test_yaml_equals_the_signature(name):
    config = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"), resolve=True)
    function = get_method(config.pop("_target_"))
    assert function is getattr(bench.datasets, name)
    parameters = inspect.signature(function).parameters
    assert list(config) == list(parameters), f"write every argument of {name} into conf/dataset/{name}.yaml, in order"
    for option, parameter in parameters.items():
        default = None if parameter.default is parameter.empty else parameter.default
        assert config[option] == (list(default) if isinstance(default, tuple) else default), option


def test_lists_of_hydra_are_accepted(folder):
    config = OmegaConf.load(CONF / "image_folder.yaml")
    config.update(root=str(folder), size=[4, 6], classes=["ground", "cell"], augment=["flips"])
    data = instantiate(config)
    assert data.image_size == (4, 6)
    assert data.classes == ("ground", "cell")


def test_import_is_cheap():
    code = "import sys, bench.datasets; print([m for m in ('monai', 'torchvision', 'medmnist') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
