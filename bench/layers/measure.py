"""Measure: the Python functions for the information in layers of any network and between two variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from bench.config.named import Chosen, estimator_of, estimators_of
from bench.datasets.data import Data
from bench.errors import InputError
from bench.estimators import Estimator
from bench.information.estimate import Estimate
from bench.information.tables import LayerTable, Moment, Weights
from bench.information.variables import Variable
from bench.layers.pixels import REACH
from bench.layers.probe import Probe
from bench.layers.samples import data_of
from bench.layers.selection import MIN_SAMPLES, named_rng, taps_of
from models import Custom
from models.tracing import device_of

ESTIMATORS = ("probe", "ksg_mixture")
LOCATIONS = 1000


def measure(
    network: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    layers: str | Sequence[str] | None = None,
    estimators: Chosen | Sequence[Chosen] | Mapping[str, Estimator] = ESTIMATORS,
    view: str | None = None,
    groups: Any = None,
    untrained: int | Sequence[nn.Module] = 1,
    locations: int | None = None,
    batch_size: int = 32,
    seed: int = 0,
    output: str | int | None = None,
) -> LayerTable:
    """Measure the information about the label, and about the image, in each layer of a network.

    The network stays on its device. Its parameters, its gradients and the modes of its modules do not change. A run
    (`python -m bench`) measures with the same `Probe`, so its numbers are equal.

    Args:
        network: Any `torch.nn.Module` of images (n, channels, *spatial).
        images: A tensor, an array, or an iterable of batches, such as a DataLoader.
        labels: (n,) classes, (n, *spatial) class masks, or (n, labels) of 0 and 1. None if `images` yields pairs.
        layers: Names or patterns of layers. If the network has the method `taps()`, they are names of its taps, else
            paths of modules. None takes the taps without the skips; in a network without taps, each block
            (`models.finding`).
        estimators: Names of conf/estimator, or `Estimator` objects.
        view: `image` (a sample is an image), `pixel` or `patch` (a sample is a location). None takes `pixel` for masks
            and `image` for classes.
        groups: (n,) the group of each image, such as a patient. Permutations and folds never separate a group.
        untrained: Untrained references: networks of the same architecture; or the number of copies to initialise again
            by the `reset_parameters` of their modules, 0 for none.
        locations: Number of locations of the views `pixel` and `patch`, over all images. None takes 1000, or one for
            each image if there are more images.
        batch_size: Number of images in a batch.
        seed: Seed of every random choice.
        output: The logits of a network without taps that returns several tensors: a key of a dictionary, an index of a
            list or a field of a named tuple, such as `out`, 0 or `out.0`.

    Returns:
        A LayerTable, in bits. `table.frame` is a DataFrame with a row for each layer, quantity and estimator. Rows of
        the network have weights `best`, and rows of references have weights `untrained`.

    Raises:
        InputError: Shapes, labels, layers, estimators or the view do not fit. The message says what is allowed.

    Examples:
        >>> network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 1))
        >>> images = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        >>> table = measure(network, images, images[:, 0] > 0.5, estimators="gaussian", untrained=0, locations=64)
        >>> table.frame["tap"].tolist()
        ['input', '1', '2']
    """
    if not isinstance(network, nn.Module):
        raise InputError(f"network: got {type(network).__name__}, wanted a torch.nn.Module")
    data = data_of(images, labels, groups)
    samples = data.test.loaded()
    count, pixels = len(samples), samples.images[:, 0].numel()
    if count < MIN_SAMPLES:
        raise InputError(f"images: got {count}, wanted at least {MIN_SAMPLES}")
    names = [layers] if isinstance(layers, str) else layers
    tapped = with_taps(network, samples.images, names, data.task == "multilabel", output)
    probe = Probe(
        tapped,
        data,
        estimators_of(estimators),
        seed=seed,
        split="test",
        taps=names,
        views=[view_for(view, data)],
        pixels=min(max(LOCATIONS, count), pixels) if locations is None else locations,
        batch_size=batch_size,
    )
    table = LayerTable(probe.measure(tapped, Moment(0, Weights.BEST, seed)))
    for number, reference in enumerate(references(network, untrained, seed), 1):
        other = with_taps(reference, samples.images, names, data.task == "multilabel", output)
        table.extend(probe.measure(other, Moment(0, Weights.UNTRAINED, seed + number)))
    return table


def estimate(
    t: ArrayLike, y: ArrayLike, estimator: Chosen = "ksg", *, given: Any = None, groups: Any = None, seed: int = 0
) -> Estimate:
    """Estimate the mutual information I(t; y), or I(t; y | given), in bits.

    Args:
        t: (n, ...) samples of a representation, floats.
        y: (n, ...) samples of another variable: floats, or integers for labels.
        estimator: A name of conf/estimator, or an `Estimator`.
        given: (n, ...) samples of a third variable. Only some estimators take one.
        groups: (n,) the group of each sample, such as a patient. Permutations and folds never separate a group.
        seed: Seed of permutations, subsamples, folds and initialisations.

    Returns:
        An Estimate: `bits`, `interval` (95 %), `null` (of permuted pairs), `excess` over the null, `ceiling`,
        `significant` and `reliable`.

    Raises:
        InputError: Lengths do not fit, or there is no such estimator.
        EstimationError: These samples do not allow an estimate. The message says why.

    Examples:
        >>> t, noise = np.random.default_rng(0).normal(size=(2, 1000, 1))
        >>> found = estimate(t, t + noise, "ksg")  # truth: 0.5 bits
        >>> round(found.bits, 1), found.reliable
        (0.5, True)
    """
    sides = {"t": t, "y": y, "given": given, "groups": groups}
    lengths = {name: len(values) for name, values in sides.items() if values is not None}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{count} samples of {name}" for name, count in lengths.items())
        raise InputError(f"estimate: got {found}, wanted the same number of each")
    variable = Variable.of(np.asarray(t), groups)
    return estimator_of(estimator).estimate(variable, np.asarray(y), given=given, rng=named_rng(seed, "estimate"))


def view_for(view: str | None, data: Data) -> str:
    """Return the view, by default `pixel` for masks and `image` for classes.

    Raises:
        InputError: The view has locations, and the labels are not masks.
    """
    if view in REACH and data.task != "segmentation":
        raise InputError(f"view: got {view!r} for labels of whole images, wanted 'image'; {view} needs class masks")
    return view or ("pixel" if data.task == "segmentation" else "image")


def with_taps(
    network: nn.Module,
    images: torch.Tensor,
    layers: Sequence[str] | None,
    multilabel: bool = False,
    output: str | int | None = None,
) -> nn.Module:
    """Return the network itself if it has taps, else wrap it in `models.Custom` with the given layers.

    Raises:
        InputError: The network can't be run on an image, or there is no such layer.
    """
    if hasattr(network, "taps"):
        names = [tap.name for tap in taps_of(network)]
        for pattern in layers or ():
            if not any(fnmatchcase(name, pattern) for name in names):
                raise InputError(f"layers: got {pattern!r}, wanted a name or a pattern of: {', '.join(names)}")
        return network
    image = images[:1].to(device_of(network))
    try:
        return Custom(network, layers, image.shape[1], image.shape[2:], multilabel, output)
    except ValueError as error:
        raise InputError(str(error)) from error


def references(network: nn.Module, untrained: int | Sequence[nn.Module], seed: int) -> Iterator[nn.Module]:
    """Yield untrained references: the given networks, or copies that are initialised again, each with its own seed.

    Raises:
        InputError: A module has parameters of its own and no `reset_parameters`.
    """
    if not isinstance(untrained, int):
        yield from untrained
        return
    for number in range(1, untrained + 1):
        copy = deepcopy(network)
        with torch.random.fork_rng():
            torch.manual_seed(seed + number)
            for path, module in copy.named_modules():
                if callable(reset := getattr(module, "reset_parameters", None)):
                    reset()
                elif next(module.parameters(recurse=False), None) is not None:
                    raise InputError(
                        f"untrained: {path or 'the network'} ({type(module).__name__}) has parameters and no "
                        "reset_parameters(), so it can't be initialised again; give untrained=[NEW_NETWORK, ...] or 0"
                    )
        yield copy
