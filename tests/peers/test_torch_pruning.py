"""Pruning by Torch-Pruning: the network of the pruned design computes what the pruned base computes, within limits."""

import copy
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from proposing import CLASSES, MASKS, assert_verdicts, parent_of, propose
from running import artifact

from bench.datasets import phantoms
from bench.errors import InputError
from bench.pruning.designs import design_of, widths_of
from bench.pruning.designs.costs import Pricing
from bench.pruning.rivals.pruned import pruned_to
from bench.pruning.rivals.rivals import require_rivals
from bench.pruning.search.base import Base
from models import CNN, UNet

pytestmark = pytest.mark.peers
pytest.importorskip("torch_pruning")

NETWORKS = {
    "unet": UNet(1, 1, (4, 8, 16), norm="batch"),
    "interpolating": UNet(1, 1, (4, 8, 16), skips=("cat", "off"), up="interpolate", decoder_widths=(6, 5)),
    "cnn": CNN(1, 2, (6, 8), hidden=(12,), input_size=(16, 16)),
    "deep_cnn": CNN(1, 2, (4, 8), 3, "same", 2, norm="batch", hidden=(), input_size=(16, 16)),
}


def base_of(name):
    torch.manual_seed(0)
    network = copy.deepcopy(NETWORKS[name])
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for values in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                torch.nn.init.uniform_(values, 0.5, 1.5)
    arguments = {"in_channels": 1, "norm": "batch" if name in ("unet", "deep_cnn") else "none"}
    if isinstance(network, UNet):
        arguments |= {"_target_": "models.UNet", "out_channels": 1}
        arguments["up"] = "interpolate" if name == "interpolating" else "transpose"
    else:
        arguments |= {"_target_": "models.CNN", "num_classes": 2, "input_size": [16, 16]}
        if name == "deep_cnn":
            arguments |= {"kernel_size": 3, "padding": "same", "convs_per_stage": 2}
    config = OmegaConf.create({"seed": 0, "model": arguments, "train": {"loss": "auto"}})
    task = "segmentation" if isinstance(network, UNet) else "classification"
    data = phantoms(n=(32, 8, 8), size=16, task=task)
    design = design_of(network)
    return Base("0123", config, data, network.eval(), design, Pricing(config.model, (1, 16, 16)))


CASES = [(name, criterion) for name in NETWORKS for criterion in ("l1", "taylor")]


@pytest.mark.parametrize(("name", "criterion"), [*CASES, ("cnn", "cmi"), ("deep_cnn", "cmi")])
def test_a_pruned_network_is_one_of_the_family_within_the_limits(name, criterion):
    """`pruned_to` compares the outputs of the pruned base with those of the network of the design."""
    base = base_of(name)
    whole = base.pricing(base.design)
    limits = {"params": whole.params // 2, "flops": whole.flops // 2}
    design, network = pruned_to(base, criterion, limits, seed=0)
    assert design_of(network) == design
    costs = base.pricing(design)
    assert costs.params <= limits["params"]
    assert costs.flops <= limits["flops"]
    assert (widths_of(design) <= widths_of(base.design)).all()
    again, same = pruned_to(base, criterion, limits, seed=0)
    assert again == design
    assert all(torch.equal(one, other) for one, other in zip(network.parameters(), same.parameters(), strict=True))


@pytest.mark.parametrize("name", NETWORKS)
def test_channels_without_weights_are_pruned_first_and_change_no_output(name):
    """Half of the channels of each layer have neither filters nor bias. Pruning to their number keeps the function."""
    base = base_of(name)
    network, kept = base.network, {}
    for slot in base.design.slots():
        kept[slot.name] = slot.width - slot.width // 2
        for layer, norm in slot.made_by:
            for module in filter(None, (layer, norm)):
                for parameter in network.get_submodule(module).parameters():
                    parameter.data[kept[slot.name] :] = 0
            if norm and not isinstance(network.get_submodule(norm), torch.nn.Identity):
                network.get_submodule(norm).running_mean.zero_()
    wanted = base.design.with_widths([kept[slot.name] for slot in base.design.slots()])
    if isinstance(network, UNet):
        for level in network.levels:
            up = network.get_submodule(f"up{level}")
            up = up if isinstance(up, torch.nn.ConvTranspose2d) else up[0]
            first = kept[f"decoder {level}"]
            rows = up.weight.data if isinstance(up, torch.nn.Conv2d) else up.weight.data.transpose(0, 1)
            rows[first:] = 0
            up.bias.data[first:] = 0
    design, lean = pruned_to(base, "l1", {"params": base.pricing(wanted).params}, seed=0)
    assert design == wanted
    images = base.data.val.images[:4]
    with torch.no_grad():
        assert torch.allclose(lean(images), network(images), atol=1e-5)


def test_taylor_importance_needs_data_and_l1_does_not():
    base = base_of("cnn")
    other = replace(base, data=phantoms(n=(32, 8, 8), size=16, task="classification", seed=5))
    limits = {"params": base.pricing(base.design).params // 2}
    weights = {}
    for criterion in ("l1", "taylor"):
        pairs = [pruned_to(each, criterion, limits, seed=0) for each in (base, other)]
        weights[criterion] = [np.concatenate([p.detach().ravel() for p in net.parameters()]) for _, net in pairs]
    assert np.array_equal(*weights["l1"])
    assert not np.array_equal(*weights["taylor"])


def test_a_target_that_needs_fewer_levels_is_not_met():
    base = base_of("unet")
    narrowest = base.pricing(base.design.with_widths([1] * 5)).params
    assert pruned_to(base, "l1", {"params": narrowest - 1}, seed=0) is None


def test_without_torch_pruning_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    for rival in ("torch_pruning", "cmi"):
        with pytest.raises(InputError, match=r"retrain.rivals: needs torch-pruning, .*infoflow-bench\[pruning\]"):
            require_rivals([rival])


@pytest.mark.parametrize(
    ("task", "rivals", "names"),
    [(MASKS, "[torch_pruning]", {"l1", "taylor"}), (CLASSES, "[torch_pruning,cmi]", {"l1", "taylor", "cmi"})],
)
def test_pruned_rivals_are_fine_tuned_and_judged(tmp_path, task, rivals, names):
    asked = (*task, "target.flops=0.6", "retrain.seeds=2", "retrain.baselines=[flat]", f"retrain.rivals={rivals}")
    ended = propose(tmp_path, *asked)
    assert ended.code == 0, ended.err
    parent = parent_of(tmp_path)
    tables = ("designs", "comparisons")
    designs, compared = (pd.read_csv(artifact(tmp_path, parent, f"tables/{name}.csv")) for name in tables)
    assert_verdicts(compared)
    wanted = {f"pruned_by_{name}" for name in names}
    assert wanted <= set(compared["baseline"])
    own = designs[designs["kind"] == "rival"]
    assert set(own["design"]) == wanted
    assert (own["flops"] <= 0.6 * designs.set_index("design")["flops"]["base"]).all()
