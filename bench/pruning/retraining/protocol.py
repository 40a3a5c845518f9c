"""The protocol of retraining: its rules in words, logged before the first training, and the order of the proposals."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

from omegaconf import DictConfig

from bench.errors import InputError
from bench.pruning.judging.results import Retrained
from bench.pruning.retraining.training import Retraining
from bench.pruning.search.proposals import Proposal

PROTOCOL = """\
These rules were written before any design was retrained.
Information is estimated, and designs and proposals are chosen, with training and validation data alone.
Base, proposals and baseline designs are retrained alike: seeds {seeds}{folds}; {epochs} epochs each; the best
checkpoint by validation is kept. The baseline designs have the parameters or the FLOPs of the chosen proposal.
{taught}{screened}The chosen proposal is {rule}.
It is judged once, on the test data: {metric}, paired by seed and test image, with 95 % intervals over seeds and images
or patients.
{families}"""
SCREENED = """\
If there are more than {finalists} proposals, validation scores screen them. All are trained for a third of the epochs
from the first seed, and the best {whole} of these for all epochs. The best network is then measured again, and {moves}
designs with channels moved by {importance} are trained like it. If one of these is better than all before, it is
measured in turn; {rounds} networks are measured at most. The best {twice} of all are trained from two seeds, and the
best {finalists} from all seeds.
"""
TAUGHT = """\
All but the base learn the probabilities of the base in place of the labels.
"""
POOLED = """\
The test images of all folds are pooled: each image of the data is a test image once for each seed. An image that tests
the designs in one fold trains or validates them in others, so that the choice is not independent of the test data.
"""
FAMILIES = """\
Better: the gain is above 0. No worse: above -{margin}. Worse: below 0. Undecided: all other cases.
Same design: the baseline design is equal to the chosen proposal.
The comparison with the base, which the proposal is to replace, is the primary one. It is judged alone, by the 95 %
interval of the gain. The comparisons with all baseline designs are one family, because any of them could seem better or
worse by chance. By Holm's correction, the probability of one or more false verdicts among them is at most 5 %. Equal
designs count once. Intervals are not corrected.
"""
PROTOCOL_OF_NNUNET = """\
These rules were written before any design was retrained.
Information is estimated with training and validation data alone, which are the training cases of the fold in nnU-Net.
The chosen proposal is that with the lowest rank score. No score of a retrained design takes part in the choice.
Base, chosen proposal and baseline designs are retrained by {trainer} of nnU-Net, {seeds} times each; the last
checkpoint is judged. The baseline designs have the parameters or the FLOPs of the chosen proposal.
It is judged once, on the validation cases of the fold, which nnU-Net does not train on: {metric} of summary.json,
paired by repetition and case, with 95 % intervals over repetitions and cases.
{families}"""
WHOLE = 6  # proposals that are trained for all epochs, from the first seed
MOVES = 2  # designs of each round that asks again
TWICE = 3  # proposals that are trained from two seeds
FINALISTS = 2  # proposals that are trained from all seeds


def protocol(config: DictConfig, retraining: Retraining) -> str:
    """Describe the rules of this run in words."""
    metric, families = metric_of(retraining.base.data.task), FAMILIES.format(margin=config.retrain.margin)
    if config.retrain.by == "nnunet":
        return PROTOCOL_OF_NNUNET.format(
            trainer=config.retrain.trainer, seeds=len(retraining.seeds), metric=metric, families=families
        )
    rule = "the proposal with the best mean validation score"
    if not by_cost(config):
        most = f"whose mean validation score is at most {config.target.loss} below the base's"
        rule = f"the proposal with the fewest parameters {most}, else {rule}"
    counts = {"whole": WHOLE, "moves": MOVES, "twice": TWICE, "finalists": FINALISTS}
    screened = SCREENED.format(**counts, rounds=rounds_of(config), importance=config.ask.importance)
    folds = ", ".join(map(str, retraining.folds))
    return PROTOCOL.format(
        folds=f", each with the folds {folds} of folds={config.retrain.folds}" if folds else "",
        seeds=", ".join(map(str, retraining.seeds)),
        epochs=retraining.epochs,
        rule=rule,
        taught=TAUGHT if config.retrain.get("teacher") else "",
        screened=screened if by_cost(config) else "",
        metric=metric,
        families=families,
    ) + (POOLED if retraining.folds else "")


def metric_of(task: str) -> str:
    """Return the name of the metric by which designs are judged on the test data, such as `balanced accuracy`.

    A run logs it as `test/balanced_accuracy`.
    """
    return {"segmentation": "Dice", "classification": "balanced accuracy", "multilabel": "accuracy"}[task]


def first_by_information(proposals: Sequence[Proposal]) -> Proposal:
    """Return the proposal with the lowest rank score.

    Raises:
        InputError: No proposal has a rank score.
    """
    known = [proposal for proposal in proposals if not isnan(proposal.score.bits)]
    if not known:
        raise InputError(
            "retrain.by: got nnunet, and no proposal has a rank score; change target, or set retrain.by=bench"
        )
    return min(known, key=lambda proposal: proposal.score.bits)


def rank_by_validation(
    config: DictConfig, proposals: Sequence[Proposal], results: Retrained
) -> list[tuple[Proposal, float]]:
    """Order the proposals by the rule of choice, with validation data alone.

    With a target of cost, all proposals meet it, and their validation loss orders them. Else proposals within
    target.loss come first, ordered by their number of parameters. The others follow by their validation loss.

    Returns:
        Each proposal with its loss of validation score against the base.

    Raises:
        InputError: Fewer than 2 seeds have results for the base and all proposals.
    """
    means = results.complete.groupby("design")["val_score"].mean()
    proposals = [proposal for proposal in proposals if proposal.name in means.index]
    if len(results.seeds) < 2 or "base" not in means.index or not proposals:
        raise InputError(
            f"retrain: got {len(results.seeds)} as the number of seeds from which base and proposals were all trained, "
            "wanted 2 or more; raise retrain.minutes or retrain.runs, or check the failed runs"
        )
    lost = {proposal.name: float(means["base"] - means[proposal.name]) for proposal in proposals}

    def key(proposal: Proposal) -> tuple[bool, float]:
        if by_cost(config) or lost[proposal.name] > config.target.loss:
            return True, lost[proposal.name]
        return False, proposal.costs.params

    return [(proposal, lost[proposal.name]) for proposal in sorted(proposals, key=key)]


def by_cost(config: DictConfig) -> bool:
    """Whether there is a target of cost. All proposals then meet it."""
    return config.target.params is not None or config.target.flops is not None


def rounds_of(config: DictConfig) -> int:
    """Return the number of rounds that ask retrained designs again."""
    return config.ask.rounds if config.ask.rule == "search" else 0
