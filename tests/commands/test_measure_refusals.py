"""`python -m bench measure` refuses weights, networks and runs that it cannot measure, in one line."""

import pytest
import torch
from measuring import refused, save
from monai.networks import nets
from running import QUIET, assert_refused, command, with_store
from torch import nn

pytestmark = pytest.mark.processes


def test_bad_input_is_one_line(tmp_path):
    torch.manual_seed(1)
    save(nets.UNet(2, 3, 4, (4, 8, 16), (2, 2)), tmp_path / "colour.pt")
    torch.save(nn.Conv2d(1, 1, 1), tmp_path / "object.pt")
    network = ("model=monai", "+model.arguments.channels=[4,8,16]")
    assert "weights: got none, wanted weights=FILE, run=RUN_ID, or model=file" in refused(tmp_path)
    assert "weights: got missing.pt, which is no file" in refused(tmp_path, "weights=missing.pt")
    assert "holds pickled objects (torch.nn.modules.conv.Conv2d)" in refused(tmp_path, "weights=object.pt")
    shapes = refused(tmp_path, *network, "weights=colour.pt")
    assert (
        "have another shape in the file than in the network: model.0.conv.weight (4, 3, 3, 3) for (4, 1, 3, 3)"
        in shapes
    )
    assert "it was built for dataset phantoms with channels: 1, outputs: 1" in shapes
    channels = refused(tmp_path, *network, "model.in_channels=3", "model.out_channels=4", "weights=colour.pt")
    assert "refuses images of shape (1, 32, 32)" in channels
    classes = refused(tmp_path, *network, "dataset.channels=3", "model.out_channels=4", "weights=colour.pt")
    assert "got an output of shape (4, 32, 32), wanted (1, 32, 32)" in classes
    names = refused(tmp_path, "weights=colour.pt")
    assert "missing: enc1.conv1.0.weight, " in names
    assert "unexpected: model.0." in names
    assert "weights: got both run and weights" in refused(tmp_path, "run=abcd", "weights=colour.pt")
    assert "prefix: got 'net.' without weights" in refused(tmp_path, "prefix=net.")
    assert "model.network._target_: got nothing, wanted a value" in refused(tmp_path, "model=custom")


def test_the_pixel_view_needs_a_layer_with_places(tmp_path, monkeypatch):
    (tmp_path / "flat.py").write_text(
        "from torch import nn\n\n\ndef net():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(1024, 1024), nn.Unflatten(1, (1, 32, 32)))\n"
    )
    network = ("model=custom", "model.network._target_=flat.net", "weights=model")
    monkeypatch.syspath_prepend(str(tmp_path))
    message = refused(tmp_path, *network, "probe.taps=['1']")
    assert "probe.views: got pixel, and no layer has places for it (1 (1024,)), wanted a layer of shape" in message


def test_a_run_that_does_not_exist_or_has_a_model_of_its_own(tmp_path):
    with_store(tmp_path)
    assert_refused(command(tmp_path, "measure", *QUIET, "run=0123abcd"), "in which no run has an id that begins so")
    ended = command(tmp_path, "measure", *QUIET, "run=0123abcd", "model=smp")
    assert_refused(ended, "model: got both run and model, wanted one of them")
