"""The command `propose`: measure the parts of a trained network, propose leaner designs, retrain and judge them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from bench.datasets.progress import say
from bench.errors import InputError
from bench.pruning.retraining.closing import closing
from bench.pruning.retraining.comparing import describe_undecided
from bench.pruning.retraining.evidence import Evidence
from bench.pruning.retraining.export import require_onnx
from bench.pruning.retraining.failures import describe_failures
from bench.pruning.retraining.files import training_command
from bench.pruning.retraining.nnunet import training_by_nnunet
from bench.pruning.retraining.outputs import log_chosen, plot_kept_information, write_proposals
from bench.pruning.retraining.page import log_pages, note
from bench.pruning.retraining.protocol import metric_of
from bench.pruning.retraining.rivals import check_rivals, require_rivals
from bench.pruning.retraining.screening import require_runs_of_screening
from bench.pruning.retraining.study import Study, open_study
from bench.pruning.retraining.verify import count_trainings, verify
from bench.pruning.search.counted import Counted
from bench.pruning.search.proposals import Proposal, answers, propose_designs, ranked
from bench.pruning.search.questions import expectation, of_search
from bench.pruning.search.widths import WidthRule
from bench.tracking import records
from models import NnUnet


def propose(config: DictConfig) -> str:
    """Propose leaner designs of a tracked network, or of a network that is trained for this purpose.

    Returns:
        The id of the run that holds all proposals.
    """
    if config.verify:
        require_onnx("verify=true")  # checked here, because retraining takes hours
        require_rivals(config.retrain.rivals)
    with open_study(config, "propose") as study:
        base, tracked, retraining = study.base, study.tracked, study.retraining
        check_rivals(config.retrain, base)
        proposals, peak_bits, parts = RULES[config.ask.rule](config, study)
        table = ranked(proposals, base)
        tracked.table(table, "tables/proposals.csv")
        write_proposals(retraining, proposals)
        evidence = Evidence(
            base, table, parts, peak_bits, retraining.folder, base.latency_ms(base.design), config.retrain.margin
        )
        log_pages(tracked, proposals, evidence)
        tracked.note(note(evidence))
        sys.stdout.write(proposal_report(table, retraining.folder, peak_bits))
        if isinstance(base.network, NnUnet):
            sys.stdout.write(training_by_nnunet(base, table["design"], retraining.folder / "plans"))
        if config.verify:
            require_runs_of_screening(config, proposals, retraining)
            say(retraining.plan(count_trainings(config, proposals, retraining)))
            verified = verify(study, proposals)
            moved = verified.proposals[len(proposals) :]
            table = ranked(verified.proposals, base)
            tracked.table(table, "tables/proposals.csv")
            write_proposals(retraining, moved)
            sys.stdout.write(described(table[len(proposals) :], retraining.folder))
            metric = metric_of(base.data.task)
            sys.stdout.write(
                f"{verdict_report(verified, metric)}{describe_failures(verified.runs)}"
                f"{describe_undecided(verified.comparisons, len(retraining.seeds))}\n"
                f"{closing(verified, metric)}\n{retraining.report()}\n"
            )
            log_chosen(tracked, base, verified)
            kept, layers = plot_kept_information(
                base, verified, study.estimators, config.ask.samples, config.seed, tracked
            )
            tracked.figure(kept, "figures/kept_information.png")
            evidence = replace(evidence, table=table, verified=verified, layers=layers)
            log_pages(tracked, verified.proposals, evidence)
            tracked.note(note(evidence))
    sys.stdout.write(f"run {tracked.id} in {tracked.store.uri}\n")
    return tracked.id


def by_search(config: DictConfig, study: Study) -> tuple[list[Proposal], float, pd.DataFrame]:
    """Propose designs by a search that measures the remaining parts again after each removal.

    Returns:
        The proposals; the information about the label in the most informative layer of the base, in bits; and the
            information in each of its parts, by the estimator and view that decide.

    Raises:
        InputError: If the margin allows no removal.
    """
    base = study.base
    with study.asker() as asker:
        search = study.search(asker)
        say(expectation(asker, of_search(asker)))
        rules = [WidthRule(name) for name in config.ask.widths]
        proposals = propose_designs(search, base.design, config.target, rules)
        parts = answers(asker)
        study.tracked.table(parts, "tables/answers.csv")
    if not proposals:
        raise InputError(
            f"ask.margin: got {config.ask.margin}, which allows no part to be removed; raise it, or set target.params "
            "or target.flops"
        )
    estimator, view = search.by
    return proposals, search.peak, parts[parts["estimator"].eq(estimator) & parts["view"].eq(view)]


def by_filter_count(config: DictConfig, study: Study) -> tuple[list[Proposal], float, pd.DataFrame]:
    """Propose designs from the numbers of filters that the run of the base recommends.

    Returns:
        The proposals; the information about the label in the most informative layer of the base, in bits; and the
            information in each of its parts, by the estimator and view that decide.

    Raises:
        InputError: If no proposal has fewer filters than the base.
    """
    run = study.base.run
    assert run is not None  # the base of a study is trained
    found, curves = (
        records.table_of(study.tracked.store, run, f"tables/{name}.csv") for name in ("filter_count", "filters")
    )
    counted = Counted(study.base, found, curves, config.ask.by or found["estimator"].iloc[0])
    proposals = counted.proposals(config.ask.around)
    if not proposals:
        raise InputError("ask.around: got counts that are nowhere below the base's, wanted a smaller factor")
    return proposals, counted.peak, counted.information()


RULES = {"search": by_search, "filter_count": by_filter_count}


def proposal_report(proposals: pd.DataFrame, folder: Path, peak: float) -> str:
    """Format the proposals in their order, each with its cost, its reasons and the command that trains it.

    Args:
        proposals: Result of `ranked`.
        folder: Folder of the yaml files.
        peak: Information about the label in the most informative layer of the base, in bits.
    """
    return (
        f"{described(proposals, folder)}\nratio: cost of the base / cost of the design\n"
        f"bits: information about the label; the layer of the base with the most has {peak:.3f}\n"
    )


def described(proposals: pd.DataFrame, folder: Path) -> str:
    """Format each proposal with its cost, its reasons and the command that trains it."""
    lines = []
    for row in proposals.itertuples():
        lines.append(
            f"\n{row.design}: {row.params:,} parameters (ratio {row.params_ratio:.1f}), "
            f"{row.flops / 1e6:,.1f} MFLOPs an image (ratio {row.flops_ratio:.1f}), {row.latency_ms:.1f} ms\n"
            f"{_rank(row)}\n{_predicted(row)}"
            f"  {training_command(folder, row.design)}\n"
            f"  {row.overrides}\n"
        )
        lines += [f"  - {reason}\n" for reason in row.why.splitlines()]
    return "".join(lines)


def _rank(row) -> str:
    """Format the rank score of a proposal."""
    if pd.isna(row.rank_score):
        return "no rank score"
    return (
        f"rank score {row.rank_score:.3f} ({row.score_low:.3f} to {row.score_high:.3f}): loses "
        f"{row.information_loss:.3f} bits{'' if row.within_margin else ', more than the margin allows'}"
        f"{'' if row.rank_score == row.information_loss else '; the rest is a penalty for its narrowest layer'}"
    )


def _predicted(row) -> str:
    """Format the predicted loss of score of a proposal in a line; an empty text if there is none."""
    if pd.isna(row.predicted):
        return ""
    return (
        f"predicted loss of score {row.predicted:.3f} ({row.predicted_low:.3f} to {row.predicted_high:.3f} with 90 %), "
        f"trainings that fail {row.failure:.0%}: docs/results/prediction.md\n"
    )


def verdict_report(verified, metric: str) -> str:
    """Format the score of every retrained design, and the verdicts on the chosen one.

    Args:
        verified: Result of `verify`.
        metric: Name of the score.
    """
    scores = verified.designs.set_index("design")[
        ["score", "low", "high", "over", "val_score", "params", "flops", "seeds", "collapsed"]
    ].round(4)
    scores["params"] = scores["params"].map("{:,.0f}".format)
    scores["flops"] = (scores["flops"] / 1e6).map("{:,.1f} M".format)
    verdicts = verified.comparisons.drop(columns=["proposal", "p_margin", "failed_p"]).set_index("baseline")
    verdicts = verdicts.rename_axis(None).round(4)
    return (
        f"\n{scores.rename_axis(None).to_string()}\n{metric} on test data with 95 % intervals over other seeds and "
        f"images, or over images alone\n\n{verdicts.to_string()}\n"
        f"gain of {verified.chosen.name}, chosen by validation, over each of these designs\n"
        "p_value: of a difference; those of the baseline designs, and all verdicts on them, are corrected by Holm\n"
        f"ratio: cost of this design / cost of {verified.chosen.name}\n"
    )
