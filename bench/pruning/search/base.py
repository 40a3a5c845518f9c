"""Base: the network that designs are made leaner from, with its data and config."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from omegaconf import DictConfig

from bench.config.build import build, build_network, build_stored, check_output, fill_in
from bench.datasets.data import Data
from bench.errors import InputError
from bench.pruning.designs import Design, design_of
from bench.pruning.designs.costs import Pricing
from bench.tracking import records
from bench.tracking.store import Store
from bench.tracking.trust import refuse_fetching, trusted_by
from bench.training.cost import latency_ms

LATENCY_BATCH = 16


@dataclass(frozen=True)
class Base:
    """run: the id of the run that trained it, None where it is still to be trained. config: what trains it.

    trust: what the user permits stored configs to name, for this call.
    """

    run: str | None
    config: DictConfig
    data: Data
    network: torch.nn.Module
    design: Design
    pricing: Pricing
    trust: Sequence[str] = ()

    def latency_ms(self, design: Design) -> float:
        """Of a design's forward pass over at most 16 validation images, on the CPU; nothing else should run."""
        network = build_network(self.pricing.config(design), self.config.seed).eval()
        return latency_ms(network, self.data.val.images[:LATENCY_BATCH])

    @classmethod
    def of(
        cls, run: str | None, config: DictConfig, data: Data, network: torch.nn.Module, trust: Sequence[str] = ()
    ) -> Base:
        """Raises InputError for a network whose parts can't be chosen."""
        pricing = Pricing(config.model, tuple(data.train.images.shape[1:]))
        return cls(run, config, data, network, design_of(network), pricing, trust)

    @classmethod
    def of_run(cls, store: Store, run: str, trust: Sequence[str] = ()) -> Base:
        """A tracked run as a base.

        Raises InputError where it did not finish, its weights or its data are gone, its config names parts that are
        not permitted, or it began from pretrained weights, which retraining would fetch.
        """
        card = records.card_of(store, run)
        config, weights = records.saved_network(run, store.uri, trust)
        refuse_fetching(config.model, f"run: config.yaml of {run}", trust)
        root = config.dataset.get("root") or config.dataset.get("file")
        try:
            data = build(config.dataset, "dataset", Data)
        except InputError as error:
            raise InputError(f"run: the data that {run} was trained on, {root}, can't be read: {error}") from error
        if data.fingerprint != card["fingerprint"]:
            raise InputError(
                f"run: {run} was trained on data with fingerprint {card['fingerprint']}, and {root} now holds "
                f"{data.fingerprint}; bring the data back or train a new base"
            )
        return cls.of(run, config, data, build_stored(config, weights, run, trust), trust)


def build_base(config: DictConfig) -> Base:
    """A base that is still to be trained; sets what the data determines of the model's config."""
    data = build(config.dataset, "dataset", Data)
    fill_in(config.model, data)
    network = build_network(config.model, config.seed)
    check_output(network, data)
    return Base.of(None, config, data, network, trusted_by(config))
