"""The command `propose`: measure the parts of a trained network, propose leaner designs, retrain and judge them."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from bench.datasets.progress import say
from bench.errors import InputError
from bench.pruning.retraining.closing import closing
from bench.pruning.retraining.export import require_onnx
from bench.pruning.retraining.nnunet import training_by_nnunet
from bench.pruning.retraining.outputs import log_chosen, plot_kept_information, write_proposals
from bench.pruning.retraining.protocol import metric_of
from bench.pruning.retraining.rivals import check_rivals, require_rivals
from bench.pruning.retraining.study import Study, open_study
from bench.pruning.retraining.verify import count_trainings, verify
from bench.pruning.search.asker import choose_estimator_and_view
from bench.pruning.search.counted import Counted
from bench.pruning.search.proposals import Proposal, answers, propose_designs, ranked
from bench.pruning.search.questions import expectation, of_search
from bench.pruning.search.search import Search
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
        proposals, peak_bits = RULES[config.ask.rule](config, study)
        table = ranked(proposals, base)
        tracked.table(table, "tables/proposals.csv")
        write_proposals(retraining, proposals)
        sys.stdout.write(proposal_report(table, retraining.folder, peak_bits))
        if isinstance(base.network, NnUnet):
            sys.stdout.write(training_by_nnunet(base, table["design"], retraining.folder / "plans"))
        if config.verify:
            say(retraining.plan(count_trainings(config, proposals, len(retraining.seeds))))
            verified = verify(config, proposals, retraining)
            metric = metric_of(base.data.task)
            sys.stdout.write(
                f"{verdict_report(verified, metric)}\n{closing(verified, metric)}\n{retraining.report()}\n"
            )
            log_chosen(tracked, base, verified)
            kept = plot_kept_information(base, verified, study.estimators, config.ask.samples, config.seed, tracked)
            tracked.figure(kept, "figures/kept_information.png")
    sys.stdout.write(f"run {tracked.id} in {tracked.store.uri}\n")
    return tracked.id


def by_search(config: DictConfig, study: Study) -> tuple[list[Proposal], float]:
    """Propose designs by a search that measures the remaining parts again after each removal.

    Returns:
        The proposals, and the information about the label in the most informative layer of the base, in bits.

    Raises:
        InputError: If the margin allows no removal.
    """
    base = study.base
    with study.asker() as asker:
        by = choose_estimator_and_view(config.ask.by, list(asker.estimators), list(asker.channels))
        search = Search(asker, base.pricing, *by, config.ask.margin)
        say(expectation(asker, of_search(asker)))
        proposals = propose_designs(search, base.design, config.target)
        study.tracked.table(answers(asker), "tables/answers.csv")
    if not proposals:
        raise InputError(
            f"ask.margin: got {config.ask.margin}, which allows no part to be removed; raise it, or set target.params "
            "or target.flops"
        )
    return proposals, search.peak


def by_filter_count(config: DictConfig, study: Study) -> tuple[list[Proposal], float]:
    """Propose designs from the numbers of filters that the run of the base recommends.

    Returns:
        The proposals, and the information about the label in the most informative layer of the base, in bits.

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
    return proposals, counted.peak


RULES = {"search": by_search, "filter_count": by_filter_count}


def proposal_report(proposals: pd.DataFrame, folder: Path, peak: float) -> str:
    """Format the proposals in their order, each with its cost, its reasons and the command that trains it.

    Args:
        proposals: Result of `ranked`.
        folder: Folder of the yaml files.
        peak: Information about the label in the most informative layer of the base, in bits.
    """
    lines = []
    for row in proposals.itertuples():
        lines.append(
            f"\n{row.design}: {row.params:,} parameters (ratio {row.params_ratio:.1f}), "
            f"{row.flops / 1e6:,.1f} MFLOPs an image (ratio {row.flops_ratio:.1f}), {row.latency_ms:.1f} ms\n"
            f"{_rank(row)}\n"
            f"  python -m bench --config-dir {shlex.quote(str(folder))} +experiment=retrain model={row.design}\n"
            f"  {row.overrides}\n"
        )
        lines += [f"  - {reason}\n" for reason in row.why.splitlines()]
    lines.append(
        "\nratio: cost of the base / cost of the design\n"
        f"bits: information about the label; the layer of the base with the most has {peak:.3f}\n"
    )
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
    verdicts = verified.comparisons.drop(columns="proposal").set_index("baseline").rename_axis(None).round(4)
    return (
        f"\n{scores.rename_axis(None).to_string()}\n{metric} on test data with 95 % intervals over other seeds and "
        f"images, or over images alone\n\n{verdicts.to_string()}\n"
        f"gain of {verified.chosen.name}, chosen by validation, over each of these designs\n"
        f"ratio: cost of this design / cost of {verified.chosen.name}\n"
    )
