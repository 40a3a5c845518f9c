"""Files: a network exported with torch.export is measured as the network itself; other files are refused."""

from copy import deepcopy

import pytest
import torch
from torch import nn

import bench
from models import File

DYNAMIC = ({0: torch.export.Dim("batch")},)


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(6, 1, 1),
    ).eval()  # fmt: skip


@pytest.fixture
def path(tmp_path):
    program = torch.export.export(network(), (torch.rand(2, 1, 16, 16),), dynamic_shapes=DYNAMIC)
    torch.export.save(program, tmp_path / "network.pt2")
    return str(tmp_path / "network.pt2")


def test_an_exported_network_has_the_numbers_of_the_network(path):
    exported = File(path, in_channels=1, input_size=(16, 16))
    images = torch.rand(20, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(exported(images), network()(images), atol=1e-6)
    tables = [
        bench.measure(each, images, images[:, 0] > 0.5, estimators="gaussian", untrained=0, locations=80).frame
        for each in (exported, network())
    ]
    assert tables[0]["tap"].tolist() == tables[1]["tap"].tolist()
    assert tables[0]["role"].tolist() == tables[1]["role"].tolist()
    assert tables[0]["bits"].tolist() == pytest.approx(tables[1]["bits"].tolist(), abs=1e-5, nan_ok=True)


def test_a_copy_has_weights_of_its_own(path):
    exported = File(path, in_channels=1, input_size=(16, 16))
    copy = deepcopy(exported)
    with torch.no_grad():
        next(copy.parameters()).zero_()
    assert not torch.equal(next(copy.parameters()), next(exported.parameters()))
    assert [tap.name for tap in copy.taps()] == [tap.name for tap in exported.taps()]


def test_a_fixed_batch_is_refused(tmp_path):
    torch.export.save(torch.export.export(network(), (torch.rand(2, 1, 16, 16),)), tmp_path / "fixed.pt2")
    with pytest.raises(
        ValueError, match=r"takes batches of exactly 2, wanted any size of batch; export it again: torch"
    ):
        File(str(tmp_path / "fixed.pt2"), in_channels=1, input_size=(16, 16))


def test_torchscript_and_other_files_are_refused_with_the_way_out(tmp_path):
    torch.jit.trace(network(), torch.rand(2, 1, 16, 16)).save(str(tmp_path / "script.pt"))
    with pytest.raises(ValueError, match=r"is a TorchScript archive, .* model.network._target_=my.Net, and weights="):
        File(str(tmp_path / "script.pt"))
    torch.save(network().state_dict(), tmp_path / "weights.pt")
    with pytest.raises(ValueError, match=r"weights.pt is no program of torch.export"):
        File(str(tmp_path / "weights.pt"))
    with pytest.raises(ValueError, match="which is no file; give a"):
        File("missing.pt2")


def test_images_of_another_size_are_refused_in_one_line(path):
    with pytest.raises(ValueError, match="the network, given an image of") as refused:
        File(path, in_channels=3, input_size=(16, 16))
    assert "\n" not in str(refused.value)
