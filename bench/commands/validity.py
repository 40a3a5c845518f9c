"""The command `validity`: compare the ranking of designs by each diagnostic with their ranking by retraining."""

from __future__ import annotations

import sys
from math import log2

import pandas as pd
from omegaconf import DictConfig

from bench import plots
from bench.datasets.progress import say
from bench.errors import InputError
from bench.pruning.designs import widths_of
from bench.pruning.designs.costs import Pricing
from bench.pruning.designs.study import study_set
from bench.pruning.judging.ranking import ceiling, rank_correlation
from bench.pruning.judging.results import Retrained, cell_of
from bench.pruning.retraining.limits import require_runs
from bench.pruning.retraining.study import open_study
from bench.pruning.search.asker import READINGS, Asker
from bench.pruning.search.predictor import features_of
from bench.pruning.search.questions import of_designs


def validity(config: DictConfig) -> str:
    """Retrain a fixed set of designs, score each design by every diagnostic, and rank the diagnostics.

    Returns:
        The id of the run.
    """
    with open_study(config, "validity") as study:
        base, tracked, retraining = study.base, study.tracked, study.retraining
        designs = study_set(base.design, config.seed)
        require_runs(retraining, len(designs), f"{len(designs)} designs")
        say(retraining.plan(len(designs) * len(retraining.seeds)))
        tracked.text("\n".join(retraining(designs, "retrain designs")), "not_run.txt")
        results = retraining.read(designs, test=True)
        losses = losses_of(results, config.judged_on)
        tracked.table(losses.reset_index(), "tables/losses.csv")

        with study.asker() as asker:
            retrained = {name: design for name, design in designs.items() if name in losses.index}
            asker.progress.total = of_designs(asker, retrained.values())
            scored = pd.DataFrame([*scores(asker, retrained), *baseline_scores(base.pricing, retrained)])
            found = features(asker, base.pricing, retrained)
        found = found.merge(outcomes(results, losses), on="design").assign(judged_on=config.judged_on)
        tracked.table(found, "tables/features.csv")
        board = leaderboard(scored, losses, config.seed)
        tracked.table(scored.assign(loss=scored["design"].map(losses.mean(axis=1))), "tables/scores.csv")
        tracked.table(board, "tables/validity.csv")
        tracked.metrics({f"summary/validity.{row.diagnostic}": row.spearman for row in board.itertuples()})
        tracked.metrics({"summary/validity_ceiling": board["ceiling"].iloc[0]})
        title = f"{base.data.name} · {len(losses)} designs, {losses.shape[1]} seeds, judged on {config.judged_on} data"
        tracked.figure(figure(scored, losses, board, title), "figures/validity.png")
        sys.stdout.write(
            f"{validity_report(board, config.judged_on, base.data.name)}{retraining.report()}\n"
            f"run {tracked.id} in {tracked.store.uri}\n"
        )
    return tracked.id


def losses_of(results: Retrained, judged_on: str) -> pd.DataFrame:
    """Compute the loss of score of each design, compared with the base of the same seed.

    Returns:
        One row for each design, one column for each seed.

    Raises:
        InputError: If fewer than 2 seeds have every design.
    """
    if judged_on == "test":
        images = results.test_images
        weighted = images.assign(score=images["score"] * images["weight"])
        scores = weighted.pivot_table("score", "design", "seed", "sum")
    else:
        trained = results.runs.pivot_table("val_score", "design", cell_of(results.runs)).dropna(axis="columns")
        scores = trained.T.groupby(level="seed").mean().T
    scores = scores.dropna(axis="columns")  # keeps seeds for which every design was trained
    if scores.shape[1] < 2:
        raise InputError(
            f"retrain.seeds: got {scores.shape[1]} as the number of seeds from which every design was trained, wanted "
            "2 or more: without spread there is no noise ceiling; raise it, or retrain.minutes or retrain.runs"
        )
    return scores.loc["base"] - scores


def scores(asker: Asker, designs: dict) -> list[dict]:
    """Score every design by each diagnostic: the information that the design loses, in bits."""
    return [
        {
            "diagnostic": f"{estimator}.{view}.{reading}",
            "estimator": estimator,
            "view": view,
            "reading": reading,
            "design": name,
            **vars(asker.loss(design, estimator, view, reading)),
        }
        for estimator, view in asker.diagnostics()
        for reading in (READINGS if asker.pairs else READINGS[:2])
        for name, design in designs.items()
    ]


def features(asker: Asker, pricing: Pricing, designs: dict) -> pd.DataFrame:
    """Build the table of what is known of each design before it is trained, by each estimator and view."""
    return pd.DataFrame(
        {"estimator": estimator, "view": view, "design": name, "arguments": str(design.arguments())}
        | features_of(design, asker.base, pricing, asker, estimator, view)
        for estimator, view in asker.diagnostics()
        for name, design in designs.items()
    )


def outcomes(results: Retrained, losses: pd.DataFrame) -> pd.DataFrame:
    """Build the table of results: mean loss of score, its standard error, number of seeds, share that collapsed."""
    runs = results.runs[results.runs["seed"].isin(losses.columns)]
    return pd.DataFrame(
        {
            "loss": losses.mean(axis=1),
            "standard_error": losses.sem(axis=1),
            "seeds": losses.shape[1],
            "collapsed": runs.groupby("design")["collapsed"].mean(),
        }
    ).reset_index(names="design")


def baseline_scores(pricing: Pricing, designs: dict) -> list[dict]:
    """Score every design without data: by its number of parameters, FLOPs, or channels of its narrowest layer."""
    sizes = {
        "params": lambda design: pricing(design).params,
        "flops": lambda design: pricing(design).flops,
        "narrowest": lambda design: int(widths_of(design).min()),
    }
    return [
        {"diagnostic": f"baseline.{kind}", "estimator": "baseline", "view": "none", "reading": kind, "design": name}
        | dict.fromkeys(("bits", "low", "high"), -log2(size_of(design)))
        | {"reliable": True}
        for kind, size_of in sizes.items()
        for name, design in designs.items()
    ]


def leaderboard(scored: pd.DataFrame, losses: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Rank diagnostics by their Spearman correlation with the measured loss of score.

    A diagnostic can refuse some designs. Its correlation is computed over the designs that have a number.

    Args:
        scored: Rows with diagnostic, estimator, view, reading, design, bits and reliable.
        losses: Loss of score, one row for each design and one column for each seed.
        seed: Seed of all random draws.

    Returns:
        One row for each diagnostic: the correlation with its 95 % interval, the noise ceiling with its interval, and
        the number of designs that have a number.
    """
    mean = losses.mean(axis=1)
    highest = ceiling(losses.to_numpy(), seed)
    rows = []
    for diagnostic, rows_of in scored.groupby("diagnostic", sort=False):
        first, answered = rows_of.iloc[0], rows_of.dropna(subset="bits")
        found = rank_correlation(answered["bits"].to_numpy(), mean[answered["design"]].to_numpy(), seed)
        rows.append(
            {
                "diagnostic": diagnostic,
                **first[["estimator", "view", "reading"]],
                "spearman": found.mean,
                "low": found.low,
                "high": found.high,
                "ceiling": highest.mean,
                "ceiling_low": highest.low,
                "ceiling_high": highest.high,
                "designs": len(answered),
                "seeds": losses.shape[1],
                "reliable": rows_of["reliable"].mean(),
            }
        )
    return pd.DataFrame(rows).sort_values("spearman", ascending=False, kind="stable", ignore_index=True)


def figure(scored: pd.DataFrame, losses: pd.DataFrame, board: pd.DataFrame, title: str):
    """Draw the measured loss of score against the bits by each diagnostic."""
    titles = {
        row.diagnostic: f"{row.diagnostic}\nρ = {row.spearman:.2f} ({row.low:.2f} to {row.high:.2f})"
        for row in board.itertuples()
    }
    return plots.predicted_loss(scored.assign(loss=scored["design"].map(losses.mean(axis=1))), titles, title)


def validity_report(board: pd.DataFrame, judged_on: str, dataset: str) -> str:
    """Format the leaderboard of diagnostics."""
    columns = ["spearman", "low", "high", "designs", "reliable"]
    first = board.iloc[0]
    return (
        f"\n{board.set_index('diagnostic')[columns].rename_axis(None).round(3).to_string()}\n"
        f"Spearman correlation with the loss on {judged_on} data of {dataset}, {first['seeds']} seeds, "
        f"95 % intervals over the designs for which a diagnostic has a number\n"
        f"{_ceiling(first)}\n"
    )


def _ceiling(row) -> str:
    """Format the noise ceiling."""
    if pd.isna(row["ceiling"]):
        return "noise between seeds explains all differences between the losses; no diagnostic can be judged"
    return (
        f"a perfect diagnostic would reach {row['ceiling']:.2f} ({row['ceiling_low']:.2f} to "
        f"{row['ceiling_high']:.2f}), because of the noise between seeds"
    )
