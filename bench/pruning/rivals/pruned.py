"""Pruned rivals: the trained base without its least important channels, which keeps its weights and is fine-tuned."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from importlib import import_module

import numpy as np
import torch

from bench import tracking
from bench.config.build import build_network
from bench.errors import InputError, TrainingError, optional
from bench.layers.selection import named_rng
from bench.pruning.designs import Design
from bench.pruning.designs.baselines import by_magnitude
from bench.pruning.rivals.cmi import remaining_information
from bench.pruning.search.base import Base
from bench.tracking.store import Store
from bench.training.train import loss_function
from models import CNN, Skip, UNet

SAMPLES = 128  # training images for gradients and activations
TOLERANCE = 1e-4  # of the outputs of the pruned network, relative to the largest output
CRITERIA = {"torch_pruning": ("l1", "taylor"), "cmi": ("cmi",)}  # by rival
WORDS = {
    "l1": "pruned by group L1 norms and fine-tuned",
    "taylor": "pruned by Taylor importance and fine-tuned",
    "cmi": "pruned by conditional mutual information and fine-tuned",
}

NORMS = (torch.nn.modules.instancenorm._InstanceNorm, torch.nn.GroupNorm)  # that Torch-Pruning can't prune here

Importances = Mapping[str, np.ndarray]  # of the output channels of a layer, by its module


def require_torch_pruning(section: str) -> None:
    """Check that Torch-Pruning is installed.

    Raises:
        InputError: It is missing. The message starts with this section.
    """
    with optional(section):
        import_module("torch_pruning")


def check_prunable(rivals: Collection[str], base: Base) -> None:
    """Check that the channels of a base can be pruned by these rivals.

    Raises:
        InputError: The network is none of models.UNet and models.CNN, adds its skips, has separable convolutions or a
            normalisation other than batch normalisation; or the rival is `cmi`, and the base does not classify by a
            models.CNN.
    """
    network, section = base.network, f"retrain.rivals: got {', '.join(rivals)}"
    if not isinstance(network, UNet | CNN):
        raise InputError(f"{section} for a base of {type(network).__name__}, wanted one of models.UNet or models.CNN")
    if isinstance(network, UNet) and "add" in network.skips:
        raise InputError(f"{section} for a U-Net that adds its skips, wanted skips that are concatenated or off")
    if isinstance(network, UNet) and network.separable:
        raise InputError(f"{section} for a U-Net with separable convolutions, wanted a base with separable=false")
    if any(isinstance(module, NORMS) for module in network.modules()):
        raise InputError(f"{section} for a base with instance or group normalisation, wanted norm=batch or norm=none")
    if "cmi" in rivals and not (isinstance(network, CNN) and base.data.task == "classification"):
        raise InputError(f"retrain.rivals: got cmi for {base.data.task} by {type(network).__name__}, wanted a CNN")


def pruned_to(
    base: Base, criterion: str, limits: Mapping[str, int], seed: int
) -> tuple[Design, torch.nn.Module] | None:
    """Remove the channels of least importance from the trained base until its costs are within limits.

    All layers of a slot keep equally many channels, so that the pruned network is one of the family. One threshold for
    all slots decides how many. Each layer keeps its own most important channels.

    Args:
        base: The trained base.
        criterion: l1, taylor or cmi.
        limits: Largest costs by kind, params or flops.
        seed: Seed of the draw of images.

    Returns:
        The design, and the pruned network in evaluation mode; None if the limits can't be met without the removal of
        parts.
    """
    importances = importances_of(base, criterion, seed)
    slots = slots_of(importances, base.design)
    sorted_means = {
        slot: np.mean([np.sort(importances[layer])[::-1] for layer in layers], axis=0) for slot, layers in slots.items()
    }
    design = base.pricing.find_widest(limits, by_magnitude(base.design, sorted_means), 1.0)
    if not base.pricing.is_within(design, limits):
        return None
    widths = {slot.name: slot.width for slot in design.slots()}
    keep = {
        layer: np.sort(np.argsort(-importances[layer], kind="stable")[: widths[slot]])
        for slot, layers in slots.items()
        for layer in layers
    }
    return design, _built(base, design, keep)


def importances_of(base: Base, criterion: str, seed: int) -> Importances:
    """Compute the importance of each output channel of each layer, by the name of its module.

    References:
        Groups of dependent layers: Fang et al., CVPR 2023, arXiv 2301.12900. Taylor: Molchanov et al., CVPR 2019.
        Conditional mutual information: see `remaining_information`.
    """
    import torch_pruning

    network = _traceable(base.network)
    split = base.data.train
    rows = named_rng(seed, "pruned", criterion).choice(len(split), min(SAMPLES, len(split)), replace=False)
    drawn = split.take(np.sort(rows)).loaded()
    if criterion == "cmi":
        layers = [layer for slot in base.design.slots() for layer, _ in slot.made_by]
        return remaining_information(network, layers, drawn)
    if criterion == "taylor":
        loss_function(base.config.train.loss, base.data)(network(drawn.images), drawn.targets).backward()
        importance = torch_pruning.importance.GroupTaylorImportance()
    else:
        importance = torch_pruning.importance.GroupMagnitudeImportance(p=1)
    names = {module: name for name, module in network.named_modules()}
    graph = _graph(network, drawn.images[:2])
    groups = graph.get_all_groups(ignored_layers=[network.get_submodule("out")])
    return {names[group[0].dep.target.module]: importance(group).detach().numpy() for group in groups}


def slots_of(layers: Collection[str], design: Design) -> dict[str, list[str]]:
    """Return the layers of each slot by the slot's name. An up-convolution of a U-Net belongs to its decoder."""
    names = {made.split(".")[0]: slot.name for slot in design.slots() for made, _ in slot.made_by}
    found: dict[str, list[str]] = {slot.name: [] for slot in design.slots()}
    for layer in layers:
        block = layer.split(".")[0]
        found[names[f"dec{block[2:]}" if block.startswith("up") else block]].append(layer)
    return found


def _built(base: Base, design: Design, keep: Mapping[str, np.ndarray]) -> torch.nn.Module:
    """Build the network of a design with the weights of the channels that each layer of the base keeps.

    Raises:
        TrainingError: The network does not compute what the pruned base computes.
    """
    pruned = _traceable(base.network)
    images = base.data.val.images[:2]
    graph = _graph(pruned, images)
    for layer, kept in keep.items():
        module = pruned.get_submodule(layer)
        pruner = graph.get_pruner_of_module(module)
        removed = np.setdiff1d(np.arange(pruner.get_out_channels(module)), kept).tolist()
        if removed:
            graph.get_pruning_group(module, pruner.prune_out_channels, removed).prune()
    network = build_network(base.pricing.config(design), base.config.seed).eval()
    network.load_state_dict(pruned.state_dict())
    with torch.no_grad():
        wanted, got = pruned(images), network(images)
    if not (wanted - got).abs().max() <= TOLERANCE * wanted.abs().max():
        raise TrainingError("retrain.rivals: the pruned network and the network of its design have different outputs")
    return network


def _traceable(network: torch.nn.Module) -> torch.nn.Module:
    """Copy a network for Torch-Pruning, which takes the views of skips for changes of the shape."""
    network = copy.deepcopy(network).eval().cpu()
    for module in network.modules():
        if isinstance(module, Skip):
            module.forward = module.project.forward  # type: ignore[method-assign]  # mypy refuses all of these
    return network


def _graph(network: torch.nn.Module, images: torch.Tensor):
    """Trace the dependencies between the channels of layers."""
    import torch_pruning

    return torch_pruning.DependencyGraph().build_dependency(network, example_inputs=images)


def log_pruned(base: Base, design: Design, network: torch.nn.Module, store: Store, criterion: str) -> str:
    """Log a pruned network as a run of its own, from whose weights `train.start` trains; return its id."""
    config = base.config.copy()
    config.model = base.pricing.config(design)
    with tracking.started(store, f"pruned by {criterion} from {base.run}", {"pruned": criterion}) as run:
        run.config(config)
        run.weights(network.state_dict())
    return run.id
