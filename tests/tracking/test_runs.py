import math
from types import SimpleNamespace

import pytest
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.tracking import sqlalchemy_store
from omegaconf import OmegaConf
from running import uri, with_store

import bench
from bench import tracking
from bench.datasets import phantoms
from bench.errors import InputError, TrackingError
from bench.tracking.offline.outbox import Outbox
from bench.tracking.records import find_run
from bench.tracking.store import connect


@pytest.fixture
def run(store):
    with tracking.started(store, "a run", {}, None) as run:
        yield run


def logged(run):
    return run.store.client.get_run(run.id)


def test_a_store_is_created_in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = connect(None, "tests")
    assert (tmp_path / "mlflow.db").is_file()
    assert connect(None, "tests").experiment_id == first.experiment_id
    assert [e.name for e in MlflowClient(first.uri).search_experiments()].count("tests") == 1


def test_an_experiment_is_created_once_and_opens_in_the_training_view(store):
    known = store.client.get_experiment(store.experiment_id)
    assert known.tags["mlflow.experimentKind"] == "custom_model_development"
    again = connect(store.uri, "tests")
    assert again.experiment_id == store.experiment_id
    assert connect(store.uri, "others").experiment_id != store.experiment_id


def test_artifacts_are_in_the_folder_of_the_database(tmp_path, monkeypatch):
    folder = with_store(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store = connect(uri(folder), "tests")
    with tracking.started(store, None, {}, None) as run:
        run.text("hello", "note.txt")
    (note,) = (folder / "mlartifacts").rglob("note.txt")
    assert note.read_text() == "hello"
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_deleted_experiment_is_refused(store):
    store.client.delete_experiment(store.experiment_id)
    with pytest.raises(InputError, match="got 'tests', which was deleted; restore it or take another name"):
        connect(store.uri, "tests")


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"wanted a folder that exists; create .*nowhere"):
        connect(f"sqlite:///{tmp_path}/nowhere/mlflow.db", "tests")


def test_only_finite_metrics_are_logged(run):
    run.metrics({"one": 1.0, "nan": math.nan, "inf": math.inf, "minus": -math.inf, "zero": 0.0}, step=3)
    assert logged(run).data.metrics == {"one": 1.0, "zero": 0.0}
    assert [(m.step, m.value) for m in run.store.client.get_metric_history(run.id, "one")] == [(3, 1.0)]


def test_metrics_of_several_requests_are_all_logged(run):
    values = {f"section/m{i}": float(i) for i in range(250)}
    run.metrics(values)
    assert logged(run).data.metrics == values


def test_parameters_of_several_requests_are_all_logged(run):
    config = OmegaConf.create({"a": {f"p{i}": i for i in range(150)}, "b": [1, 2], "c": None, "d": "${a.p7}", "e": {}})
    run.config(config)
    expected = {f"a.p{i}": str(i) for i in range(150)} | {"b": "[1, 2]", "c": "None", "d": "7", "e": "{}"}
    assert logged(run).data.params == expected


def test_a_dataset_that_another_job_logs_simultaneously_is_logged_at_the_second_attempt(run, monkeypatch):
    log_inputs, errors = MlflowClient.log_inputs, [MlflowException("UNIQUE constraint failed: datasets")]

    def refused(*arguments, **options):
        if errors:
            raise errors.pop()
        return log_inputs(*arguments, **options)

    monkeypatch.setattr(MlflowClient, "log_inputs", refused)
    data = phantoms(n=(2, 2, 2), size=16)
    run.dataset(data)
    (logged_input,) = run.store.client.get_run(run.id).inputs.dataset_inputs
    assert logged_input.dataset.digest == data.fingerprint
    assert {tag.key: tag.value for tag in logged_input.tags} == {"mlflow.data.context": "train, val, test"}


def test_a_refused_dataset_waits_and_is_reported_as_missing(store, monkeypatch, tmp_path):
    def refused(*_, **__):
        raise MlflowException("UNIQUE constraint failed: datasets")

    monkeypatch.chdir(tmp_path)
    data = phantoms(n=(2, 2, 2), size=16)
    with monkeypatch.context() as broken:
        broken.setattr(MlflowClient, "log_inputs", refused)
        with (
            pytest.raises(TrackingError, match="is missing these 2 writes: its data, how it ended"),
            tracking.started(store, "a run", {}) as run,
        ):
            run.dataset(data)
    assert logged(run).info.status == "FAILED"
    assert logged(run).data.tags["incomplete"].startswith("its data, how it ended in ")
    Outbox(store.client, run.id).wait(0)
    assert logged(run).info.status == "FINISHED"
    assert "incomplete" not in logged(run).data.tags
    assert logged(run).inputs.dataset_inputs[0].dataset.digest == data.fingerprint


def test_loading_a_missing_run_or_a_run_without_weights_is_refused(store):
    with pytest.raises(InputError, match="run: got nobody, wanted a run of sqlite:"):
        bench.load("nobody", store.uri)
    with tracking.started(store, "no weights", {}, None) as run:
        run.config(OmegaConf.create({"seed": 0}))
    with pytest.raises(InputError, match=f"run: got {run.id}, wanted a finished run"):
        bench.load(run.id, store.uri)


def test_a_run_is_found_in_every_experiment_by_the_beginning_of_its_id(store, monkeypatch):
    ids = ["abcd0" + 27 * "7", "abcd1" + 27 * "7", "0e12" + 28 * "7"]
    numbers = iter(SimpleNamespace(hex=each) for each in ids)
    monkeypatch.setattr(sqlalchemy_store, "uuid", SimpleNamespace(uuid4=lambda: next(numbers)))
    for name in ("tests", "others", "more"):
        with tracking.started(connect(store.uri, name), f"of {name}", {}):
            pass

    def found(text):
        return find_run(store.client, store.uri, text)

    assert [found(ids[0]), found("abcd1"), found("0e12")] == ids
    for text, words in (
        ("abcd", r"several ids begin so: .*abcd\d7{7} \(of (tests|others)\); give more"),
        ("ffff", "in which no run has an id that begins so"),
        ("abc", "its id, or 4 characters or more of the beginning of its id"),
        ("120000.0", "quote an id that reads as a number"),
    ):
        with pytest.raises(InputError, match=f"^run: got {text}, wanted a run of sqlite:.*({words})"):
            found(text)


def test_a_parameter_that_changes_is_refused_and_the_rest_is_logged(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = []

    def log():
        with tracking.started(store, "a run", {}) as run:
            runs.append(run.id)
            for value in ("1", "1", "2"):
                run.param("seed", value)
            run.metrics({"loss": 1.0}, 1)

    with pytest.raises(
        TrackingError, match=r"Changing param values is not allowed.* is missing these [0-9]+ writes: the con"
    ):
        log()
    stored = store.client.get_run(runs[0])
    assert (stored.data.params, stored.data.metrics) == ({"seed": "1"}, {"loss": 1.0})


def test_values_that_are_too_long_are_truncated(store):
    with tracking.started(store, "a run", {}) as run:
        run.tag("long", "x" * 9000)
        run.param("long", "x" * 9000)
    stored = store.client.get_run(run.id)
    assert stored.info.status == "FINISHED"
    assert set(stored.data.tags["long"]) == set(stored.data.params["long"]) == {"x"}


def test_a_dollar_sign_in_a_title_is_not_a_formula():
    figure = Figure()
    figure.subplots().set_title(r"$\frac{$, 5$ and 6$")
    assert tracking.png(figure).startswith(b"\x89PNG")


def test_a_missing_or_deleted_parent_is_refused(store, run):
    with pytest.raises(InputError, match=r"tracking.parent: got abc, which sqlite:.* does not have"):
        connect(store.uri, "tests", parent="abc")
    store.client.delete_run(run.id)
    with pytest.raises(InputError, match=f"tracking.parent: got {run.id}, which was deleted"):
        connect(store.uri, "tests", parent=run.id)
    store.client.restore_run(run.id)
    assert connect(store.uri, "tests", parent=run.id).experiment_id == store.experiment_id
