"""Base: the network from which leaner designs are made, with its data and config."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from omegaconf import DictConfig, OmegaConf

from bench.config.build import build_data, build_network, build_stored, check_output, fill_in
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
    """A network, its data, its config and its design.

    Attributes:
        run: Id of the run that trained it; None if it is not trained yet.
        config: The config of its training.
        data: The data of its training.
        network: The network.
        design: The design of the network.
        pricing: Counts the costs of designs.
        trust: Names that the user permits in stored configs, for this call.
    """

    run: str | None
    config: DictConfig
    data: Data
    network: torch.nn.Module
    design: Design
    pricing: Pricing
    trust: Sequence[str] = ()

    def latency_ms(self, design: Design) -> float:
        """Measure the forward pass of a design on the CPU, in ms, with at most 16 validation images.

        Other processes on the machine disturb the measurement.
        """
        network = build_network(self.pricing.config(design), self.config.seed).eval()
        return latency_ms(network, self.data.val.images[:LATENCY_BATCH])

    @classmethod
    def of(
        cls, run: str | None, config: DictConfig, data: Data, network: torch.nn.Module, trust: Sequence[str] = ()
    ) -> Base:
        """Build a base from a network.

        Raises:
            InputError: The parts of the network can't be chosen.
        """
        pricing = Pricing(config.model, tuple(data.train.images.shape[1:]))
        return cls(run, config, data, network, design_of(network), pricing, trust)

    @classmethod
    def of_run(cls, store: Store, run: str, trust: Sequence[str] = (), train: DictConfig | None = None) -> Base:
        """Load the network of a tracked run as a base.

        Args:
            store: The tracking store.
            run: Id of the run.
            trust: Names that the user permits in stored configs, for this call.
            train: How designs are trained if the run measured a network and did not train it.

        Raises:
            InputError: The run did not finish, its weights or data are missing, or its config has names that are not
                permitted. Also if the network started from pretrained weights, because retraining would download them.
        """
        card = records.card_of(store, run)
        config, weights = records.saved_network(run, store.uri, trust)
        if train is not None and "train" not in config:
            config = cast(DictConfig, OmegaConf.merge(config, {"train": train}))
        refuse_fetching(config.model, f"run: config.yaml of {run}", trust)
        root = config.dataset.get("root") or config.dataset.get("file") or card["name"]
        try:
            data = build_data(config)
        except InputError as error:
            raise InputError(f"run: the data that {run} was trained on, {root}, can't be read: {error}") from error
        if data.fingerprint != card["fingerprint"]:
            raise InputError(
                f"run: {run} was trained on data with fingerprint {card['fingerprint']}, and {root} now holds "
                f"{data.fingerprint}; restore the data or train a new base"
            )
        return cls.of(run, config, data, build_stored(config, weights, run, trust), trust)


def build_base(config: DictConfig) -> Base:
    """Build a base that is not trained yet, and set the fields of the model's config that depend on the data."""
    data = build_data(config)
    fill_in(config.model, data)
    network = build_network(config.model, config.seed)
    check_output(network, data)
    return Base.of(None, config, data, network, trusted_by(config))
