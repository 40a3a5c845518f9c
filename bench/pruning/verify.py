"""Verify: retrain base, proposals and baseline designs alike, choose by validation data and judge by test data."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from omegaconf import DictConfig

from bench import plots, tracking
from bench.datasets.progress import say
from bench.layers.selection import named_rng
from bench.pruning.designs import Design
from bench.pruning.designs.baselines import Baseline, baseline_designs
from bench.pruning.designs.costs import EQUAL
from bench.pruning.judging import judge
from bench.pruning.judging.comparing import comparisons
from bench.pruning.judging.results import Retrained
from bench.pruning.retraining.limits import SEEDS, require_compared, require_learned
from bench.pruning.retraining.planning import seeds_for_margin
from bench.pruning.retraining.protocol import (
    FINALISTS,
    first_by_information,
    metric_of,
    protocol,
    rank_by_validation,
)
from bench.pruning.retraining.screening import Screening, brief_epochs, count_brief, count_whole, is_screened
from bench.pruning.retraining.study import Study
from bench.pruning.retraining.training import Retraining
from bench.pruning.rivals.rivals import (
    Rival,
    count_rivals,
    equal_trainings,
    find_rivals,
    protocol_of_rivals,
    train_baselines,
)
from bench.pruning.search.proposals import Proposal
from bench.tracking import records

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verified:
    """Results of retraining.

    Attributes:
        chosen: The chosen proposal.
        proposals: All proposals, together with those of retrained designs that were asked again.
        designs: Table with a row per design.
        comparisons: Table of the chosen proposal against the base and the baseline designs.
        runs: Table with a row per design and seed.
        baselines: The baseline designs of the chosen proposal, and the rivals.
    """

    chosen: Proposal
    proposals: Sequence[Proposal]
    designs: pd.DataFrame
    comparisons: pd.DataFrame
    runs: pd.DataFrame
    baselines: Sequence[Baseline | Rival]


def verify(study: Study, proposals: Sequence[Proposal]) -> Verified:
    """Retrain and choose proposals by validation data, judge the chosen one by test data, and log the results."""
    config, base, tracked, retraining = study.config, study.base, study.tracked, study.retraining
    tracked.text(protocol(config, retraining) + protocol_of_rivals(config, retraining), "protocol.txt")
    screening = Screening(study, proposals)
    finalists = screening.finalists()
    first = {"base": base.design} | {proposal.name: proposal.design for proposal in screening.proposals}
    trained = ["base", *(proposal.name for proposal in finalists)]
    if config.retrain.by == "bench":  # nnU-Net has no validation images beside those that judge
        require_learned(retraining.read(first, test=False).runs, screening.proposals, base, retraining.epochs)
        say(seeds_for_margin(config, {name: first[name] for name in trained}, retraining))
    missing = screening.missing + retraining({name: first[name] for name in trained}, "retrain base and proposals")
    results = retraining.read(trained, test=False)
    require_compared(results, retraining)
    chosen = choose(config, finalists, results)

    baselines, not_run = find_baselines(study, screening, chosen, first)
    known: list[tuple[str, tuple[Design, str | None]]] = [(name, (first[name], None)) for name in trained]
    known += [(each.name, (each.design, each.start)) for each in baselines]
    trained_as = {of: name for name, of in reversed(known)}  # designs of equal start are trained once
    new = [each for each in baselines if trained_as[each.design, each.start] == each.name]
    missing += not_run + train_baselines(retraining, new)
    tracked.text("\n".join(missing), "not_run.txt")

    results = retraining.read([*first, *(each.name for each in new)], test=True)
    kinds = {name: "proposal" for name in first} | {"base": "base", chosen.name: "chosen"}
    kinds |= {each.name: each.kind for each in new}
    latencies = {name: base.latency_ms(design) for name, design in first.items()}
    latencies |= {each.name: base.latency_ms(each.design) for each in new}
    designs = designs_table(results, kinds, latencies)
    references = {"base": "base"} | {each.name: trained_as[each.design, each.start] for each in baselines}
    compared = comparisons(results, chosen, references, config)
    verified = Verified(chosen, screening.proposals, designs, compared, results.runs, baselines)
    log_results(study, verified, list(kinds))
    return verified


def find_baselines(
    study: Study, screening: Screening, chosen: Proposal, first: Mapping[str, Design]
) -> tuple[list[Baseline | Rival], list[str]]:
    """Return the baseline designs of the chosen proposal and the rivals. Searches train their designs here.

    Args:
        study: The study.
        screening: Has trained the proposals.
        chosen: The chosen proposal.
        first: The base and the proposals, by name.

    Returns:
        The designs, and descriptions of the trainings of searches that were not run.
    """
    config, base, retraining = study.config, study.base, study.retraining
    rng, kinds = named_rng(config.seed, "random designs"), config.retrain.baselines
    equal_cost = baseline_designs(chosen.design, base.design, base.network, base.pricing, kinds, rng)
    trainings = equal_trainings([each.name for each in screening.proposals], retraining, screening.brief)
    rivals, not_run = find_rivals(config, chosen, first, trainings, retraining)
    return [*equal_cost, *rivals], not_run


def log_results(study: Study, verified: Verified, names: Sequence[str]) -> None:
    """Log the tables, the gains, the ratios of costs and the figures of these designs."""
    base, tracked, runs = study.base, study.tracked, verified.runs
    tracked.table(runs, "tables/runs.csv")
    tracked.table(verified.designs, "tables/designs.csv")
    tracked.table(verified.comparisons, "tables/comparisons.csv")
    tracked.metrics({f"summary/gain.{row.baseline}": row.gain for row in verified.comparisons.itertuples()})
    whole, lean = base.pricing(base.design), verified.chosen.costs
    tracked.metrics({f"summary/{kind}_ratio": whole[kind] / lean[kind] for kind in EQUAL})
    title = f"{base.data.name} · {len(verified.designs)} designs, {len(study.retraining.seeds)} seeds, 95 % intervals"
    tracked.figure(plots.pareto(verified.designs, metric_of(base.data.task), title), "figures/pareto.png")
    points = pd.concat(curves(tracked, runs[runs["design"] == name]) for name in names)
    tracked.figure(plots.training_curves(points, f"{base.data.name} · retrained designs"), "figures/training.png")


def choose(config: DictConfig, finalists: Sequence[Proposal], results: Retrained) -> Proposal:
    """Return the first proposal by the rule of choice. Log a warning if none meets `target.loss`."""
    if config.retrain.by == "nnunet":
        return first_by_information(finalists)
    chosen, lost = rank_by_validation(config, finalists, results)[0]
    if config.target.loss is not None and lost > config.target.loss:
        message = "target.loss: got %s, which no proposal meets; the nearest, %s, loses %.4f on validation data"
        log.warning(message, config.target.loss, chosen.name, lost)
    return chosen


def count_trainings(config: DictConfig, proposals: Sequence[Proposal], retraining: Retraining) -> int:
    """Return the largest number of trainings to verify these proposals. Equal designs are trained once."""
    seeds, count, rivals = len(retraining.seeds), len(proposals), config.retrain.rivals
    others = (1 + len(EQUAL) * len(config.retrain.baselines)) * seeds  # the base and the baseline designs
    if config.retrain.by == "nnunet":
        return seeds + others
    if not is_screened(config, proposals):
        return count * seeds + others + count_rivals(rivals, count * seeds, seeds)
    whole = count_whole(config, count) + FINALISTS * max(0, seeds - SEEDS)  # screening has trained the first
    brief = count_brief(count, retraining.epochs)
    long = whole + round(brief * brief_epochs(retraining.epochs) / retraining.epochs)
    return brief + whole + others + count_rivals(rivals, long, seeds)


def designs_table(results: Retrained, kinds: Mapping[str, str], latencies: Mapping[str, float]) -> pd.DataFrame:
    """Build a table with a row per design: mean scores with intervals, costs, Pareto fronts.

    `over` says whether the interval of the score holds for other seeds and images, or for other images alone.
    `collapsed` is the number of seeds that have taught the network nothing. They remain in the means.
    """
    rows = []
    for name, kind in kinds.items():
        runs = results.runs[results.runs["design"] == name]
        if runs["seed"].nunique() < 2:
            continue
        test, over = judge.spread(results.images, name)
        row = {"design": name, "kind": kind, "seeds": runs["seed"].nunique(), "score": test.mean}
        row["collapsed"] = int(runs["collapsed"].sum())
        means = runs[["val_score", "params", "flops"]].mean()
        rows.append(row | {"low": test.low, "high": test.high, "over": over, **means, "latency_ms": latencies[name]})
    table = pd.DataFrame(rows)
    for cost in plots.COSTS:
        table[f"front.{cost}"] = judge.pareto(table, cost) & table["design"].map(judge.learned(results.runs))
    return table


def curves(tracked: tracking.Run, runs: pd.DataFrame) -> pd.DataFrame:
    """Read the validation score of each run by epoch."""
    points = [
        {"design": row.design, "seed": row.seed, "epoch": epoch, "score": score}
        for row in runs.itertuples()
        for epoch, score in records.curve(tracked.store, row.run, "val/score")
    ]
    return pd.DataFrame(points)
