"""The verb `propose`: ask a trained network what its parts tell, propose leaner designs, retrain and judge them."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from omegaconf import DictConfig

from bench import tracking
from bench.asking.asker import Asker
from bench.asking.base import Base, build_base
from bench.asking.proposals import answers, propose_designs, ranked
from bench.asking.search import Search
from bench.build import build_each
from bench.checks import check_proposal
from bench.errors import InputError
from bench.prepare import prepare
from bench.report import proposal_report, verdict_report
from bench.retraining.handover import hand_out, hand_over, what_is_kept
from bench.retraining.training import Retraining
from bench.retraining.verify import metric_of, verify
from bench.store import connect

log = logging.getLogger(__name__)


def propose(config: DictConfig) -> str:
    """Leaner designs of a tracked network, or of a fresh one; returns the id of the run that holds them all."""
    check_proposal(config)
    device = prepare(config)
    estimators = build_each(config.estimator, "estimator")
    for estimator in estimators.values():
        estimator.permutations = config.ask.permutations
    store = connect(config.tracking.uri, config.tracking.experiment)
    base = Base.of_run(store, config.run) if config.run else build_base(config)

    name = config.tracking.name or f"propose {config.run or 'from a fresh base'}"
    with tracking.started(store, name, {tracking.SWEEP: "parent"}) as tracked:
        tracked.config(config)
        retraining = Retraining(config.retrain, base, tracked, Path(config.folder) / tracked.id, config.seed)
        if not base.run:
            retraining.train_base()
            base = retraining.base
        base.network.to(device)
        tracked.tag("base", base.run)

        asker = Asker(
            base.network, base.data, base.design, estimators,
            seed=config.seed, views=config.ask.views, samples=config.ask.samples,
        )  # fmt: skip
        try:
            search = Search(asker, base.pricing, *deciding(config, asker), config.ask.margin)
            proposals = propose_designs(search, base.design, config.target)
            tracked.table(answers(asker), "tables/answers.csv")
        finally:
            tracked.table(asker.asked, "asked.csv")
        if not proposals:
            raise InputError(
                f"ask.margin: got {config.ask.margin}, by which no part may go; raise it, or give target.params or "
                "target.flops"
            )
        table = ranked(proposals, base, search.told)
        tracked.table(table, "tables/proposals.csv")
        hand_out(retraining, proposals)
        sys.stdout.write(proposal_report(table, retraining.folder))
        if config.verify:
            verified = verify(config, proposals, retraining)
            sys.stdout.write(verdict_report(verified, metric_of(base)))
            hand_over(tracked, base, verified)
            tracked.figure(what_is_kept(base, verified, estimators, config.seed, tracked), "figures/what_is_kept.png")
    sys.stdout.write(f"run {tracked.id} in {store.uri}\n")
    return tracked.id


def deciding(config: DictConfig, asker: Asker) -> tuple[str, str]:
    """Estimator and view that decide what may go."""
    choices = {f"{estimator}.{view}": (estimator, view) for estimator, view in asker.diagnostics()}
    by = config.ask.by or next(iter(choices))
    if by not in choices:
        raise InputError(f"ask.by: got {by!r}, wanted one of {', '.join(choices)}")
    return choices[by]
