"""If an optional package is not installed, the error says in one line which extra to install."""

import sys

import pytest
from nnunet_files import write_plans
from running import assert_refused, command, tiny

import models
from bench.config.arguments import target_of
from bench.datasets.nifti import nifti_header
from bench.errors import InputError, missing_extra, optional
from bench.tracking.trust.kinds import KINDS, found

FIX = "which is not installed; pip install 'infoflow-bench[{}]'"


class Absent:
    """Module finder that behaves as if one package were not installed."""

    def __init__(self, package: str):
        self.package = package

    def find_spec(self, name: str, *_) -> None:
        if name == self.package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.fixture
def hide(monkeypatch):
    """Return a function that makes a package unimportable; models.resnet, which needs timm, is imported again."""

    def hide_package(package: str) -> None:
        for name in [*sys.modules]:
            if name.split(".")[0] == package or name == "models.resnet":
                monkeypatch.delitem(sys.modules, name)
        monkeypatch.delitem(vars(models), "ResNet", raising=False)
        monkeypatch.setattr(sys, "meta_path", [Absent(package), *sys.meta_path])

    return hide_package


@pytest.mark.parametrize(
    ("package", "overrides", "line"),
    [
        ("segmentation_models_pytorch", "model=smp", f"model: needs segmentation-models-pytorch, {FIX.format('smp')}"),
        ("timm", "model=smp", f"model: needs timm, {FIX.format('timm')}"),
        ("timm", "model=resnet dataset.task=classification", f"model: needs timm, {FIX.format('timm')}"),
        (
            "dynamic_network_architectures",
            "model=nnunet model.plans=nnUNetPlans.json model.configuration=2d",
            f"model: needs dynamic-network-architectures, {FIX.format('nnunet')}",
        ),
        (
            "medmnist",
            "dataset=medmnist dataset.file=a.npz",
            f"dataset=medmnist: needs medmnist, {FIX.format('medmnist')}",
        ),
    ],
)
def test_a_choice_that_needs_an_extra(tmp_path, hide, package, overrides, line):
    hide(package)
    write_plans(tmp_path)
    assert_refused(tiny(tmp_path, *overrides.split()), line)


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_propose_checks_onnx_before_it_starts(tmp_path, hide, package):
    hide(package)
    assert_refused(command(tmp_path, "propose"), f"verify=true: needs {package}, {FIX.format('onnx')}")
    assert not (tmp_path / "mlflow.db").exists()


def test_a_nifti_file_needs_nibabel(tmp_path, hide):
    hide("nibabel")
    with pytest.raises(InputError, match=r"a.nii: needs nibabel, .*infoflow-bench\[nifti\]"):
        nifti_header(tmp_path / "a.nii")


def test_a_class_of_a_library_needs_its_extra(hide):
    hide("segmentation_models_pytorch")
    with pytest.raises(InputError, match=r"model.network: needs segmentation-models-pytorch, .*infoflow-bench\[smp\]"):
        target_of({"_target_": "segmentation_models_pytorch.Unet"}, "model.network")


def test_a_network_of_a_stored_config_needs_its_extra(hide):
    hide("timm")
    with pytest.raises(InputError, match=r"models.ResNet: needs timm, .*infoflow-bench\[timm\]"):
        found("models.ResNet", KINDS["model"])
    assert found("models.Smp", KINDS["model"]).__name__ == "Smp"
    assert found("monai.networks.nets.resnet18", KINDS["model"]).__name__ == "resnet18"


def test_errors_of_other_modules_are_not_changed():
    assert missing_extra(ModuleNotFoundError(name="mine"), "model") is None
    with pytest.raises(ModuleNotFoundError, match="mine"), optional("model"):
        import mine  # noqa: F401
