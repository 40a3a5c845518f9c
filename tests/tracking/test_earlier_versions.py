"""A run that version 0.1.0 tracked, before the modules were reorganised, can still be read."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from running import QUICK_SEARCH, artifact, command, runs, tiny, with_store

import bench
from bench import tracking
from bench.datasets import phantoms
from bench.information.tables import LayerTable

EARLIER = Path(__file__).with_name("run_of_0.1")


@pytest.fixture
def stored(tmp_path):
    """Return the folder of a store with the run, and the id of the run."""
    logged = json.loads((EARLIER / "run.json").read_text())
    folder = with_store(tmp_path)
    store = tracking.connect(f"sqlite:///{folder / 'mlflow.db'}", "bench")
    made = store.client.create_run(store.experiment_id, tags=logged["tags"], run_name=logged["name"])
    for key, value in logged["params"].items():
        store.client.log_param(made.info.run_id, key, value)
    for key, value in logged["metrics"].items():
        store.client.log_metric(made.info.run_id, key, value)
    store.client.log_artifacts(made.info.run_id, str(EARLIER))
    # phantoms have other images in this version, so the card gets the fingerprint that a run on real data would keep
    card = json.loads((EARLIER / "dataset.json").read_text())
    card["fingerprint"] = phantoms(n=(32, 24, 16), size=16).fingerprint
    store.client.log_text(made.info.run_id, json.dumps(card), "dataset.json")
    store.client.set_terminated(made.info.run_id)
    return folder, made.info.run_id


def test_its_network_is_loaded(stored):
    folder, run = stored
    network = bench.load(run, f"sqlite:///{folder / 'mlflow.db'}")
    assert sum(parameter.numel() for parameter in network.parameters()) == 996
    weights = torch.load(EARLIER / "weights.pt", weights_only=True)
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


def test_its_layers_are_read():
    table = LayerTable.from_csv(EARLIER / "layers.csv")
    assert table.estimators == ["kde", "probe"]
    assert table.profile()["tap"].iloc[-1] == "out"
    assert table.frame["relative_depth"].between(0, 100).all()
    assert table.best()["recovered_ok"].notna().any()
    assert len(table.untrained()) > len(table.best()) > 0
    assert bench.plot_u(table).axes


@pytest.mark.processes
def test_it_is_compared_with_a_new_run(stored):
    folder, run = stored
    data = ("dataset.n=[32,24,16]", "estimator=[kde,probe]", "probe.untrained_seeds=1", "model.convs_per_level=1")
    assert tiny(folder, *data, "model.widths=[2,4]", "train.epochs=2").code == 0
    new = next(each.info.run_id for each in runs(folder) if each.info.run_id != run)
    ended = command(folder, "compare", f"runs=[{run},{new}]")
    assert ended.code == 0, ended.err
    assert "996" in ended.out


@pytest.mark.processes
def test_leaner_designs_of_it_are_proposed(stored):
    folder, run = stored
    overrides = ("verify=false", "target.params=0.5", "ask.samples=256", "estimator.probe.steps=10")
    ended = command(folder, "propose", f"run={run}", *QUICK_SEARCH, *overrides)
    assert ended.code == 0, ended.err
    (proposed,) = (each for each in runs(folder, "propose"))
    designs = pd.read_csv(artifact(folder, proposed, "tables/proposals.csv"))
    assert (designs["params"] <= 996 / 2).any()
