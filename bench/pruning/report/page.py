"""Page: a proposal as one HTML file: its network, what was removed and why, its costs and scores, how to train it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import jinja2
import pandas as pd

from bench import plots, tracking
from bench.pruning.designs.costs import EQUAL
from bench.pruning.judging.results import best_run
from bench.pruning.report.closing import closing, describe_ratio
from bench.pruning.report.drawing import information_of_slots, slots_table
from bench.pruning.report.evidence import (
    Evidence,
    compare_chosen,
    compare_designs,
    describe_layers,
    describe_losses,
    list_costs,
    named_comparisons,
)
from bench.pruning.retraining.files import training_command
from bench.pruning.retraining.nnunet import training_by_nnunet
from bench.pruning.search.base import LATENCY_BATCH
from bench.pruning.search.proposals import Proposal
from models import NnUnet

TEMPLATE = Path(__file__).with_name("page.html")
UNIT = "information about the label above the null [bits]"
SIZES = (
    "The size of a box grows with the square root of its channels. Dashed: removed. Hatched: not reliable. Only layers "
    "whose number of channels can be chosen are drawn."
)
TERMS = {
    "bits": "Information about the label in the activations of a layer, above the null: the estimate for permuted "
    "labels. Bits are not a score; they rank designs.",
    "interval": "It contains the true value with 95 % confidence, unless another level stands beside it.",
    "information loss": "Information about the label in what is removed, given what is kept, estimated in the trained "
    "base. The rank score adds a charge for the narrowest layer, because layers of few channels train badly.",
    "latency": f"Median time of a forward pass of {LATENCY_BATCH} images on the CPU. Other processes on the machine "
    "disturb the measurement.",
    "gain": "Score of the chosen design minus that of another design, paired by seed and test image.",
    "better, no worse, worse": "The gain is above 0; above minus the margin; below 0. Against the base, the interval "
    "decides. Against the baseline designs, Holm's correction makes one or more false verdicts 5 % probable at most. "
    "All other differences are undecided, which does not mean equal.",
    "failed trainings": "Trainings that have taught the network nothing. They remain in the means.",
}


def log_pages(tracked: tracking.Run, proposals: Sequence[Proposal], evidence: Evidence) -> None:
    """Log the page of each proposal as `pages/NAME.html`. A later call replaces the pages of an earlier one."""
    for proposal in proposals:
        tracked.text(page(proposal, evidence), f"pages/{proposal.name}.html")


def page(proposal: Proposal, evidence: Evidence) -> str:
    """Render the page of a proposal as HTML that needs no script and no other file. All text is escaped."""
    base, name, verified = evidence.base, proposal.name, evidence.verified
    drawn, caption = networks_of(proposal, evidence)
    gain = evidence.gain(name)
    shown = {}
    if verified is not None:
        shown["compared"] = compare_designs(name, evidence) if gain is None else compare_chosen(evidence)
        shown["pareto"] = plots.svg(plots.pareto(verified.designs, evidence.metric))
    if gain is not None:
        shown["gains"] = plots.svg(plots.gains(named_comparisons(evidence), evidence.metric, evidence.margin))
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        dict.fromkeys(("compared", "pareto", "gains")) | shown,
        title=f"{name}: {savings(proposal, evidence)}",
        origin=f"A leaner design of the network of run {base.run} on {base.data.name}",
        summary=summary(name, evidence),
        tiles=list_costs(name, evidence),
        network=plots.svg(plots.networks(drawn, UNIT)),
        caption=caption,
        layers=describe_layers(drawn),
        reasons=proposal.reasons().splitlines(),
        peak=f"The most informative layer of the base has {evidence.peak:.3f} bits.",
        predictions=describe_losses(name, evidence),
        margin=f"{evidence.margin:g}",
        uses=uses(name, evidence),
        terms=TERMS,
    )


def savings(proposal: Proposal, evidence: Evidence) -> str:
    """Describe the ratios of costs, such as `91 times fewer parameters and 3.4 times fewer FLOPs`."""
    whole = evidence.base.pricing(evidence.base.design)
    return " and ".join(describe_ratio(whole[kind] / proposal.costs[kind], words) for kind, words in EQUAL.items())


def summary(name: str, evidence: Evidence) -> str:
    """Describe what retraining has shown of a proposal."""
    verified, metric = evidence.verified, evidence.metric
    if verified is None:
        return f"{name} has not been retrained: its {metric} is unknown. All information is that of the trained base."
    if name == verified.chosen.name:
        return f"{name} was chosen by validation data. {closing(verified, metric)}"
    score, base = evidence.retrained(name), evidence.retrained("base")
    if score is None or base is None:
        return f"{name} was not retrained from 2 seeds or more. The chosen design is {verified.chosen.name}."
    return (
        f"{name} was retrained from {score['seeds']:.0f} seeds and not chosen. Its {metric} on test data is "
        f"{score['score']:.3f}; the base has {base['score']:.3f}. Only the chosen design, {verified.chosen.name}, has "
        "verdicts."
    )


def networks_of(proposal: Proposal, evidence: Evidence) -> tuple[dict[str, pd.DataFrame], str]:
    """Return the tables of slots of the base and of a proposal, and the caption of their drawing.

    If both networks were measured after retraining, the information is theirs. Otherwise it is that of the trained base
    alone, as the search found it.
    """
    base, name = evidence.base, proposal.name
    if {"base", name} <= set(evidence.layers):
        rows = evidence.layers["base"]
        before = information_of_slots(rows, base.design)
        after = information_of_slots(evidence.layers[name], proposal.design)
        whose = "Both networks are retrained, each the best of its seeds by validation data."
    else:
        rows = evidence.parts
        before = rows.set_index("part")
        after = before.iloc[:0]
        whose = f"The layers of {name} were not measured: its boxes show channels alone."
    measured = f"Measured by {rows['estimator'].iloc[0]} in the {rows['view'].iloc[0]} view. {whose}"
    drawn = {
        "base": slots_table(base.design, base, before),
        name: slots_table(proposal.design, base, after),
    }
    return drawn, f"{measured} {SIZES}"


def uses(name: str, evidence: Evidence) -> list[dict[str, str]]:
    """Return code that trains or loads a proposal, each with a sentence about it."""
    base, verified = evidence.base, evidence.verified
    found = [
        {"words": "Train it as the base was trained:", "code": training_command(evidence.folder, name)},
        {"words": "Or give its choices to a command of your own:", "code": evidence.proposed(name)["overrides"]},
    ]
    if isinstance(base.network, NnUnet):
        code = training_by_nnunet(base, [name], evidence.folder / "plans").strip()
        found.append({"words": "Train it by nnU-Net:", "code": code})
    if verified is not None and name in set(verified.runs["design"]):
        code = f'import bench\n\nnetwork = bench.load("{best_run(verified.runs, name)}")'
        found.append({"words": "Load the best retrained network in Python:", "code": code})
    return found


def note(evidence: Evidence) -> str:
    """Describe the run of the command in Markdown, for the top of its page in MLflow."""
    base, verified = evidence.base, evidence.verified
    lines = [f"**Leaner designs of {base.run}** on {base.data.name}."]
    if verified is None:
        lines.append("They were not retrained.")
    else:
        chosen = verified.chosen.name
        lines.append(closing(verified, evidence.metric))
        lines.append(f"The best network of {chosen} is run {best_run(verified.runs, chosen)}.")
        lines.append(
            "*tables/comparisons.csv* compares it with the base and with baseline designs of equal cost, on test data. "
            "*figures/pareto.png* shows all scores and costs, and *figures/kept_information.png* the information that "
            "is kept."
        )
    head = ["| design | parameters | ratio | ratio of FLOPs | page |", "|---|--:|--:|--:|---|"]
    rows = [
        f"| {row.design} | {row.params:,} | {row.params_ratio:.1f} | {row.flops_ratio:.1f} | pages/{row.design}.html |"
        for row in evidence.table.itertuples()
    ]
    return "\n\n".join([*lines, "\n".join([*head, *rows]), "ratio: cost of the base / cost of the design"])
