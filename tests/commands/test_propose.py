"""`python -m bench propose` from end to end, on very small networks and images."""

import re
import shutil

import onnx
import pandas as pd
import pytest
import torch
from parsing import Page
from proposing import MASKS, SMALL, assert_verdicts, parent_of, propose
from running import artifact, artifacts, assert_refused, command, is_drawing, runs, store, uri

import bench

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def verified(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verified")
    ended = propose(folder, *MASKS, "target.params=0.5", "retrain.seeds=2")
    assert ended.code == 0, ended.err
    return folder, ended, parent_of(folder)


def test_designs_costs_and_reasons_are_printed(verified):
    folder, ended, parent = verified
    table = pd.read_csv(artifact(folder, parent, "tables/proposals.csv"))
    narrowed = table[table["design"].str.startswith("lean")]
    assert (narrowed["params"].diff().dropna() <= 0).all()
    assert (table["params_ratio"] >= 2).any()
    for row in table.itertuples():
        assert re.search(rf"^ *{row.design} +{row.params:,} +{row.params_ratio:.1f} ", ended.out, re.M)
        assert f"{row.design}: {row.overrides}\n" in ended.out
    lowest = narrowed.sort_values("rank_score").iloc[0]
    reasons = "".join(f"  - {reason}\n" for reason in lowest["why"].splitlines())
    assert f"\n{lowest['design']}, which has the lowest rank score:\n{reasons}" in ended.out


def test_every_conditional_estimate_is_logged(verified):
    folder, _, parent = verified
    asked = pd.read_csv(artifact(folder, parent, "asked.csv"))
    assert {"pixel"} == set(asked["view"])
    assert asked["bits"].notna().all()
    assert (asked["low"] <= asked["high"]).all()
    answers = pd.read_csv(artifact(folder, parent, "tables/answers.csv"))
    assert {"skip 1", "level 2", "encoder 1", "encoder 2", "decoder 1"} == set(answers["part"])


def test_baselines_are_matched_in_cost_and_every_comparison_has_a_verdict(verified):
    folder, ended, parent = verified
    compared = pd.read_csv(artifact(folder, parent, "tables/comparisons.csv")).set_index("baseline")
    kinds = ("uniform", "flat", "magnitude", "random")
    assert set(compared.index) == {"base", *(f"{kind}_at_{cost}" for kind in kinds for cost in ("params", "flops"))}
    assert_verdicts(compared)
    assert ((compared["low"] <= compared["gain"]) & (compared["gain"] <= compared["high"])).all()
    assert "chosen by validation" in ended.out
    designs = pd.read_csv(artifact(folder, parent, "tables/designs.csv"))
    (chosen,) = designs.loc[designs["kind"] == "chosen", "design"]
    assert re.search(
        rf"^{chosen} has .* compared with the base; its Dice is .* Against the best baseline design, ", ended.out, re.M
    )


def test_expected_and_spent_time_are_printed(verified):
    folder, ended, parent = verified
    most = int(re.search(r"measuring: at most (\d+) questions, about ", ended.out)[1])
    assert 0 < len(pd.read_csv(artifact(folder, parent, "asked.csv"))) <= most
    trainings = len(pd.read_csv(artifact(folder, parent, "tables/runs.csv")))
    planned = int(re.search(r"retraining: at most (\d+) trainings, one at a time: ", ended.out)[1])
    assert trainings <= planned + 1  # the base from its first seed is trained before
    assert re.search(rf"retraining took \d+\.\d minutes and {trainings} runs \({trainings} finished\)", ended.out)


def test_retraining_is_one_sweep_of_equal_runs(verified):
    folder, _, parent = verified
    children = [run for run in runs(folder, "propose") if run.data.tags.get("sweep") == parent.info.run_id]
    table = pd.read_csv(artifact(folder, parent, "tables/runs.csv"))
    assert set(table["run"]) == {run.info.run_id for run in children}
    assert {run.data.params["train.epochs"] for run in children} == {"1"}
    seeds = table.groupby("design")["seed"].apply(frozenset)
    judged = pd.read_csv(artifact(folder, parent, "tables/designs.csv"))
    assert set(seeds[judged["design"]]) == {frozenset({0, 1})}
    assert set(seeds.drop(judged["design"])) <= {frozenset({0})}  # screened by the first seed


def test_figures_protocol_and_tables_are_logged(verified):
    folder, _, parent = verified
    for name in ("pareto", "training", "kept_information"):
        assert is_drawing(artifact(folder, parent, f"figures/{name}.png"))
    assert "No worse: above -0.01" in artifact(folder, parent, "protocol.txt").read_text()
    assert "one family" in artifact(folder, parent, "protocol.txt").read_text()
    assert {"asked.csv", "proposals", "tables", "layers", "proposal.onnx"} <= artifacts(folder, parent)


def test_each_proposal_has_a_page_and_the_run_a_description(verified):
    folder, ended, parent = verified
    table = pd.read_csv(artifact(folder, parent, "tables/proposals.csv"))
    pages = {}
    for name in table["design"]:
        parsed = Page(artifact(folder, parent, f"pages/{name}.html").read_text(encoding="utf-8"))
        assert parsed.open == parsed.loaded == []
        pages[name] = " ".join(" ".join(parsed.text).split())
        assert f"+experiment=retrain model={name}" in pages[name]
    chosen = [name for name, text in pages.items() if f"{name} was chosen by validation data." in text]
    sentence = re.search(r"^lean_\d has .* compared with the base; its Dice is .*$", ended.out, re.M)[0]
    assert [name for name, text in pages.items() if sentence in text] == chosen == [sentence.split()[0]]
    assert "Both networks are retrained" in pages[chosen[0]]
    note = parent.data.tags["mlflow.note.content"]
    assert sentence in note
    assert all(f"pages/{name}.html" in note for name in pages)


def test_the_chosen_network_is_exported_as_onnx(verified):
    folder, _, parent = verified
    network = bench.load(parent.data.tags["proposal"], uri(folder))
    images = torch.randn(3, 1, 16, 16)
    session = onnx.reference.ReferenceEvaluator(onnx.load(artifact(folder, parent, "proposal.onnx")))
    assert torch.allclose(torch.tensor(session.run(None, {"images": images.numpy()})[0]), network(images), atol=1e-5)


def test_a_proposal_can_be_chosen_as_model(verified):
    folder, ended, _ = verified
    line = re.search(r"python -m bench (--config-dir \S+ \+experiment=retrain model=lean_\d+)", ended.out)[1]
    composed = command(folder, *line.split(), "--cfg", "job")
    assert composed.code == 0, composed.err
    assert "_target_: models.UNet" in composed.out


def test_a_tracked_run_as_the_base(verified, tmp_path):
    folder, _, parent = verified
    ended = command(folder, "propose", *SMALL, f"run={parent.data.tags['base']}", "target.params=0.5", "verify=false")
    assert ended.code == 0, ended.err
    newest = runs(folder, "propose")[-1]
    assert newest.data.tags["base"] == parent.data.tags["base"]


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["run=0123"], ["run: got 0123, wanted a run of sqlite"]),
        (["target.params=2"], ["target.params: got 2.0, wanted a share"]),
        (["target.flops=0"], ["target.flops: got 0.0, wanted a share"]),
        (["target.loss=null"], ["target: got none, wanted at least one"]),
        (["retrain.seeds=1"], ["retrain.seeds: got 1, wanted 2 or more", "no verdict", "verify=false"]),
        (["ask.by=kde.pixel"], ["ask.by: got 'kde.pixel', wanted one of probe.pixel, probe.patch"]),
        (["ask.views=[image]", "target.params=0.5"], ["ask.views"]),
        (["dataset.n=[8,8,8]"], ["got 16 images to train and validate on, wanted at least 32"]),
        (
            ["target.params=0.0001", "verify=false"],
            ["target.params: got 0.0001, wanted at least", "'convs_per_level': 1", "loses an unknown part of"],
        ),
        (
            ["target.params=0.0001", "verify=false", "ask.swaps=[]"],
            ["target.params: got 0.0001, wanted at least", "'convs_per_level': 2", "and loses "],
        ),
        (["retrain.minutes=0.0001"], ["retrain.minutes: got 0.0001", "base and one proposal", "wanted at least"]),
    ],
)
def test_bad_input_is_one_line(verified, overrides, parts, tmp_path):
    folder = shutil.copytree(verified[0], tmp_path / "copy")
    assert_refused(propose(folder, *MASKS, *overrides)._replace(out=""), *parts)


def test_a_base_that_did_not_finish_is_refused(verified, tmp_path):
    folder = shutil.copytree(verified[0], tmp_path / "copy")
    parent = parent_of(folder)
    client, base = store(folder), parent.data.tags["base"]
    assert_refused(
        command(folder, "propose", *SMALL, f"run={parent.info.run_id}"), "wanted a run that trained a network"
    )
    client.set_terminated(base, "KILLED")
    assert_refused(command(folder, "propose", *SMALL, f"run={base}"), f"run: got {base}, which is KILLED")
