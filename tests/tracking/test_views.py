"""The view of an experiment in MLflow's UI: it is created once, keeps changes of users, and its address is printed."""

import json

from running import children, parents, runs, tiny, uri, with_store

from bench.tracking import DESIGN, started, views
from bench.tracking.store import connect

TAG = "mlflow.sharedViewState.designs"


def tags(store):
    return store.client.get_experiment(store.experiment_id).tags


def test_a_new_experiment_has_the_view_and_a_description(tmp_path):
    shown = json.loads(tags(connect(uri(with_store(tmp_path)), "new"))[TAG])
    assert shown["name"] == "Designs"
    assert {card["type"] for card in json.loads(shown["state"])["compareRunCharts"]} == {"PARALLEL"}
    assert json.loads(shown["state"])["searchFilter"] == "tags.kind != 'comparison'"
    assert "*Designs*" in tags(connect(uri(tmp_path), "new"))["mlflow.note.content"]


def test_a_description_of_a_run_states_its_cost_and_its_verdict():
    note = views.note_of_run("nuclei · unet · test dice 0.870", {"params": 1677.0, "flops": 2.5e6}, "It is clear.")
    first, verdict, reading = note.split("\n\n")
    assert first == "**nuclei · unet · test dice 0.870** · 1,677 parameters, 2.5 MFLOPs an image"
    assert (verdict, reading) == ("It is clear.", views.PROFILES)


def test_the_filters_of_the_views_keep_comparisons_apart(tmp_path):
    store = connect(uri(with_store(tmp_path)), "apart")
    for name, own in (("trained", {}), ("compared", {views.KIND: views.COMPARISON})):
        with started(store, name, own):
            pass
    found = {
        key: [run.info.run_name for run in store.client.search_runs([store.experiment_id], only)]
        for key, (_, only) in views.VIEWS.items()
    }
    assert found == {"designs": ["trained"], "comparisons": ["compared"]}


def test_an_older_experiment_receives_the_view_and_keeps_changes_of_users(tmp_path):
    store = connect(uri(with_store(tmp_path)), "old")
    store.client.delete_experiment_tag(store.experiment_id, TAG)
    store.client.set_experiment_tag(store.experiment_id, "mlflow.note.content", "mine")
    again = tags(connect(store.uri, "old"))
    assert again[TAG] == views.experiment_tags()[TAG]
    assert again["mlflow.note.content"] == "mine"
    store.client.set_experiment_tag(store.experiment_id, TAG, "changed")
    assert tags(connect(store.uri, "old"))[TAG] == "changed"


def test_runs_and_sweeps_print_the_address_of_the_view(tmp_path):
    ended, printed = tiny(tmp_path, "-m", "seed=0,1", "estimator=[]", "diagnostic=[]"), tiny(tmp_path).out
    (parent,) = parents(tmp_path)
    address = "http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=designs"
    for out in (ended.out, printed):
        assert out.count(f"\ndesigns and U-plots: {address}\n") == 1  # jobs of the sweep do not print it
    assert f"\nsweep {parent.info.run_name} (run {parent.info.run_id}) in {uri(tmp_path)}\n" in ended.out
    assert {job.data.params[DESIGN] for job in children(tmp_path, parent)} == {"unet"}


def test_everything_that_the_view_shows_is_logged(tmp_path):
    assert tiny(tmp_path, "diagnostic=[bottleneck]").code == 0
    (run,) = runs(tmp_path)
    (card,) = (card for card in views.state("")["compareRunCharts"] if "test/dice" in card["selectedMetrics"])
    assert set(card["selectedMetrics"]) <= run.data.metrics.keys()
    assert set(card["selectedParams"]) <= run.data.params.keys()
    shown = {column.split("`")[1] for column in views.COLUMNS}
    assert shown - {"test/accuracy"} <= run.data.metrics.keys() | run.data.params.keys()


def test_the_address_of_the_view_at_a_server():
    assert views.link("https://tracking.example/", "7").startswith("https://tracking.example/#/experiments/7/runs?")
