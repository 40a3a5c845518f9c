"""The protocol of retraining: its rules in words, written down before, and the order in which proposals are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isnan

from omegaconf import DictConfig

from bench.errors import InputError
from bench.pruning.retraining.results import Retrained
from bench.pruning.retraining.training import Retraining
from bench.pruning.search.proposals import Proposal

PROTOCOL = """\
Written before any design was retrained.
Asking, choosing among designs and among proposals: training and validation data alone.
Retrained alike: the base, the proposals and, at the chosen proposal's parameters and FLOPs, the controls;
seeds {seeds}; {epochs} epochs each, the best checkpoint by validation.
Of more than {finalists} proposals for a target of cost, the first {finalists} by this rule after {screening} seeds are
trained from all.
Chosen: {rule}.
Judged once, on the test data: {metric}, paired by seed and test image, 95 % intervals over seeds and images or
patients.
Better: the interval of the gain lies above 0. No worse: above -{margin}. Worse: below 0. Else undecided.
Same design: a control that came out as what is judged.
"""
SCREENING = 2  # seeds
FINALISTS = 2  # proposals


def protocol(config: DictConfig, retraining: Retraining) -> str:
    """The rules of this run, in words."""
    loss = "any" if config.target.loss is None else f"at most {config.target.loss}"
    first = "leanest" if not by_cost(config) else "of the target's cost with the lowest rank score"
    rule = f"the proposal {first} whose mean validation score is {loss} below the base's, else the best there"
    return PROTOCOL.format(
        seeds=", ".join(map(str, retraining.seeds)),
        epochs=retraining.epochs,
        rule=rule,
        finalists=FINALISTS,
        screening=SCREENING,
        metric=metric_of(retraining.base.data.task),
        margin=config.retrain.margin,
    )


def metric_of(task: str) -> str:
    """What designs are judged by on the test data; a run logs it under this name, `test/balanced_accuracy` say."""
    return {"segmentation": "Dice", "classification": "balanced accuracy", "multilabel": "accuracy"}[task]


def in_order(config: DictConfig, proposals: Sequence[Proposal], results: Retrained) -> list[tuple[Proposal, float]]:
    """The proposals as they are to be chosen, by validation alone, each with what it lost there against the base.

    Validation rules out, and what was asked decides: first those within target.loss, by rank score where there is a
    target of cost, or else by their parameters; then the others by their loss.
    """
    runs = results.runs[results.runs["seed"].isin(results.seeds)]
    means = runs.groupby("design")["val_score"].mean()
    proposals = [proposal for proposal in proposals if proposal.name in means.index]
    if len(results.seeds) < 2 or "base" not in means.index or not proposals:
        raise InputError(
            f"retrain: got {len(results.seeds)} seeds for which base and proposals were all trained, wanted 2 or more; "
            "raise retrain.minutes or retrain.runs, or see the failed runs"
        )
    lost = {proposal.name: float(means["base"] - means[proposal.name]) for proposal in proposals}
    most = inf if config.target.loss is None else config.target.loss

    def key(proposal: Proposal) -> tuple[bool, float]:
        if lost[proposal.name] > most:
            return True, lost[proposal.name]
        rank = proposal.score.bits if by_cost(config) else proposal.costs.params
        return False, inf if isnan(rank) else rank

    return [(proposal, lost[proposal.name]) for proposal in sorted(proposals, key=key)]


def by_cost(config: DictConfig) -> bool:
    """Whether a target of cost is given, which all proposals then meet."""
    return config.target.params is not None or config.target.flops is not None
