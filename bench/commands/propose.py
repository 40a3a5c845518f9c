"""The command `propose`: measure the parts of a trained network, propose leaner designs, retrain and judge them."""

from __future__ import annotations

import sys
from dataclasses import replace
from math import isnan
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from bench.datasets.progress import say
from bench.errors import InputError
from bench.pruning.judging.comparing import describe_undecided
from bench.pruning.judging.failures import describe_failures, describe_missing_classes
from bench.pruning.report.closing import closing
from bench.pruning.report.evidence import Evidence
from bench.pruning.report.export import require_onnx
from bench.pruning.report.outputs import log_chosen, plot_kept_information, write_proposals
from bench.pruning.report.page import log_pages, note
from bench.pruning.retraining.files import training_command
from bench.pruning.retraining.nnunet import training_by_nnunet
from bench.pruning.retraining.protocol import metric_of
from bench.pruning.retraining.screening import require_runs_of_screening
from bench.pruning.retraining.study import Study, open_study
from bench.pruning.rivals.rivals import check_rivals, require_rivals
from bench.pruning.search.counted import Counted
from bench.pruning.search.proposals import Proposal, propose_designs
from bench.pruning.search.questions import expectation, of_search
from bench.pruning.search.tables import answers, ranked
from bench.pruning.search.widths import WidthRule
from bench.pruning.verify import count_trainings, verify
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
            sys.stdout.write(described(table[len(proposals) :]))
            metric = metric_of(base.data.task)
            sys.stdout.write(
                f"{verdict_report(verified, metric)}"
                f"{describe_failures(verified.runs)}{describe_missing_classes(verified.runs)}"
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
        proposals = propose_designs(search, base.design, config.target, rules, config.ask.swaps)
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
        InputError: If no proposal has fewer filters than the base, or none meets the target of cost.
    """
    run = study.base.run
    assert run is not None  # the base of a study is trained
    found, curves = (
        records.table_of(study.tracked.store, run, f"tables/{name}.csv") for name in ("filter_count", "filters")
    )
    counted = Counted(study.base, found, curves, config.ask.by or found["estimator"].iloc[0])
    proposals = counted.proposals(config.ask.around, config.target)
    return proposals, counted.peak, counted.information()


RULES = {"search": by_search, "filter_count": by_filter_count}


def proposal_report(proposals: pd.DataFrame, folder: Path, peak: float) -> str:
    """Format a table of the proposals, the reasons of the one with the lowest rank score, and the command of training.

    Args:
        proposals: Result of `ranked`.
        folder: Folder of the yaml files.
        peak: Information about the label in the most informative layer of the base, in bits.
    """
    first = proposals.sort_values("rank_score").iloc[0]  # without rank scores, the first
    reasons = "".join(f"  - {reason}\n" for reason in first["why"].splitlines())
    return (
        f"{described(proposals)}\n"
        "ratio: cost of the base / cost of the design; ms: latency of a batch of validation images\n"
        "lost: information about the label in what is removed, given what is kept, in bits; the layer of the base with "
        f"the most has {peak:.3f}\n"
        "rank score: bits lost with a penalty for the narrowest layer (95 %); *: no removed part is above the margin\n"
        "predicted: loss of score after retraining (90 %); fails: share of trainings that collapse; "
        "docs/results/prediction.md\n"
        "-: not known from the base, such as for a smaller version of a part\n"
        f"\n{first['design']}, {'the first' if isnan(first['rank_score']) else 'which has the lowest rank score'}:\n"
        f"{reasons}  {training_command(folder, first['design'])}\n"
        "The page of each design, pages/NAME.html of the run, has its reasons\n"
    )


def described(proposals: pd.DataFrame) -> str:
    """Format the costs of each proposal, what it loses by information and by prediction, and its overrides."""
    if proposals.empty:
        return ""
    table = pd.DataFrame({"": proposals["design"], "parameters": proposals["params"].map("{:,}".format)})
    table["ratio"] = proposals["params_ratio"].map("{:.1f}".format)
    table["MFLOPs"] = (proposals["flops"] / 1e6).map("{:,.1f}".format)
    table["ratio "] = proposals["flops_ratio"].map("{:.1f}".format)
    table["ms"] = proposals["latency_ms"].map("{:.1f}".format)
    table["lost"] = proposals["information_loss"].map("{:.3f}".format)
    table["rank score"] = _with_intervals(proposals, "rank_score", "score_low", "score_high")
    table["rank score"] += proposals["within_margin"].map({True: " *", False: "  "})
    table["predicted"] = _with_intervals(proposals, "predicted", "predicted_low", "predicted_high")
    table["fails"] = proposals["failure"].map("{:.0%}".format)
    designs = "".join(f"{row.design}: {row.overrides}\n" for row in proposals.itertuples())
    return f"\n{table.replace(['nan', 'nan%'], '-').to_string(index=False)}\n\n{designs}"


def _with_intervals(table: pd.DataFrame, value: str, low: str, high: str) -> list[str]:
    return ["-" if isnan(x) else f"{x:.3f} ({a:.3f} to {b:.3f})" for x, a, b in table[[value, low, high]].to_numpy()]


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
