"""Start of the commands that measure and retrain designs: a trained base and the run that holds the results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from bench import tracking
from bench.config.build import build_each
from bench.config.prepare import prepare, prepare_training
from bench.datasets.progress import Progress
from bench.errors import InputError
from bench.estimators import Estimator
from bench.pruning.retraining.limits import require_minutes, require_runs, require_trained_base
from bench.pruning.retraining.nnunet import NnunetRetraining, check_nnunet
from bench.pruning.retraining.training import Retraining
from bench.pruning.search.asker import Asker
from bench.pruning.search.base import Base, build_base
from bench.pruning.search.search import Search
from bench.pruning.search.ways import choose_estimator_and_view, select_views
from bench.tracking.records import find_run
from bench.tracking.store import connect
from bench.tracking.trust import trusted_by


@dataclass(frozen=True)
class Study:
    """A base and the run that holds all results.

    Attributes:
        config: The config of the command.
        base: The trained base, on the run's device.
        estimators: Estimators by name.
        tracked: The run, which is the parent of all retrained designs.
        retraining: Trains designs.
    """

    config: DictConfig
    base: Base
    estimators: Mapping[str, Estimator]
    tracked: tracking.Run
    retraining: Retraining

    @contextmanager
    def asker(self, base: Base | None = None, file: str = "asked.csv") -> Iterator[Asker]:
        """Build the Asker of a network. When the `with` block ends, also by an error, its questions are logged.

        Args:
            base: The network, with its data and design. None takes the base.
            file: The file to which the questions are logged.
        """
        base, ask = base or self.base, self.config.ask
        with Progress("measure parts", "questions") as progress:
            asker = Asker(
                base.network, base.data, base.design, self.estimators,
                seed=self.config.seed, views=ask.views, samples=ask.samples, progress=progress,
            )  # fmt: skip
            try:
                yield asker
            finally:
                self.tracked.table(asker.asked, file)

    def search(self, asker: Asker) -> Search:
        """Build the search by the estimator and view that decide.

        Raises:
            InputError: The settings name no such estimator or view, or it finds no information in any layer.
        """
        ask = self.config.ask
        by = choose_estimator_and_view(ask.by, list(asker.estimators), list(asker.channels))
        return Search(asker, self.base.pricing, *by, ask.margin)


@contextmanager
def open_study(config: DictConfig, command: str) -> Iterator[Study]:
    """Load the base of a tracked run, or train a new base as the first child of the new run.

    Raises:
        InputError: A setting does not fit the base, or the budget is too small for one comparison. These checks come
            before any training. Also if the base did not learn.
    """
    device = prepare(config)
    estimators = build_each(config.estimator, "estimator", Estimator)
    for estimator in estimators.values():
        estimator.permutations = config.ask.permutations
    store = connect(config.tracking.uri, config.tracking.experiment)
    if config.run:
        config.run = find_run(store.client, store.uri, config.run)
        base = Base.of_run(store, config.run, trusted_by(config), config.train)
    else:
        base = build_base(config)
        prepare_training(config.train, base.network, base.data, store.uri, trusted_by(config))

    views = select_views(base.data, config.ask.views)
    if config.ask.get("rule") == "search":
        by, view = choose_estimator_and_view(config.ask.by, list(estimators), views)
        if not estimators[by].conditional:
            raise InputError(f"ask.by: got {by}, which takes no third variable, wanted probe, renyi_2 or ksg")
        config.ask.views = config.ask.views or [view]

    kind = Retraining
    if config.retrain.get("by") == "nnunet":
        kind = NnunetRetraining
        check_nnunet(config.retrain, base)
    of = f" from {config.run[:8]}" if config.run else ""
    name = config.tracking.name or f"{command} on {base.data.name}{of}"
    with tracking.started(store, name, {tracking.SWEEP: "parent"}) as tracked:
        tracked.config(config)
        retraining = kind(config.retrain, base, tracked, Path(config.folder) / tracked.id, config.seed)
        verified = config.get("verify", True)
        if verified:
            require_runs(retraining)
        if not base.run:
            retraining.train_base()
        base = retraining.base
        tracked.tag("base", base.run)
        require_trained_base(base, store)
        if verified and kind is Retraining:
            require_minutes(retraining)
        base.network.to(device)
        yield Study(config, base, estimators, tracked, retraining)
