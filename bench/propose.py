"""The verb `propose`: ask a trained network what its parts tell, propose leaner designs, retrain and judge them."""

from __future__ import annotations

import sys

from omegaconf import DictConfig

from bench.asking.asker import way_of
from bench.asking.counted import Counted
from bench.asking.proposals import Proposal, answers, propose_designs, ranked
from bench.asking.search import Search
from bench.checks import check_proposal
from bench.errors import InputError
from bench.report import proposal_report, verdict_report
from bench.retraining.handover import hand_out, hand_over, what_is_kept
from bench.retraining.opening import Opened, opened
from bench.retraining.protocol import metric_of
from bench.retraining.verify import verify
from bench.tracking import records


def propose(config: DictConfig) -> str:
    """Leaner designs of a tracked network, or of a fresh one; returns the id of the run that holds them all."""
    check_proposal(config)
    with opened(config, "propose") as study:
        base, tracked, retraining = study.base, study.tracked, study.retraining
        proposals, told = RULES[config.ask.rule](config, study)
        table = ranked(proposals, base, told)
        tracked.table(table, "tables/proposals.csv")
        hand_out(retraining, proposals)
        sys.stdout.write(proposal_report(table, retraining.folder))
        if config.verify:
            verified = verify(config, proposals, retraining)
            sys.stdout.write(verdict_report(verified, metric_of(base.data.task)))
            hand_over(tracked, base, verified)
            kept = what_is_kept(base, verified, study.estimators, config.ask.samples, config.seed, tracked)
            tracked.figure(kept, "figures/what_is_kept.png")
    sys.stdout.write(f"run {tracked.id} in {tracked.store.uri}\n")
    return tracked.id


def by_search(config: DictConfig, study: Opened) -> tuple[list[Proposal], float]:
    """Designs from asking again after each removal, and what the base's most telling layer tells."""
    base = study.base
    with study.asker() as asker:
        by = way_of(config.ask.by, list(asker.estimators), list(asker.channels))
        search = Search(asker, base.pricing, *by, config.ask.margin)
        proposals = propose_designs(search, base.design, config.target)
        study.tracked.table(answers(asker), "tables/answers.csv")
    if not proposals:
        raise InputError(
            f"ask.margin: got {config.ask.margin}, by which no part may go; raise it, or give target.params or "
            "target.flops"
        )
    return proposals, search.told


def by_filter_count(config: DictConfig, study: Opened) -> tuple[list[Proposal], float]:
    """Designs from the numbers of filters that the base's run recommends, and what its most telling layer tells."""
    found, curves = (
        records.table_of(study.tracked.store, study.base.run, f"tables/{name}.csv")
        for name in ("filter_count", "filters")
    )
    counted = Counted(study.base, found, curves, config.ask.by or found["estimator"].iloc[0])
    proposals = counted.proposals(config.ask.around)
    if not proposals:
        raise InputError("ask.around: got counts as large as the base's everywhere, wanted a smaller factor")
    return proposals, counted.told


RULES = {"search": by_search, "filter_count": by_filter_count}
