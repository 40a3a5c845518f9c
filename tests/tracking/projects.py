"""Helpers for tests: log a run with a file to the SQLite store of a folder, and read it."""

from contextlib import chdir
from pathlib import Path

from mlflow import MlflowClient
from running import uri

from bench.tracking.store import connect

ALONE = ("estimator=[]", "diagnostic=[]")  # train and evaluate without measuring layers


def logged(folder: Path, name: str) -> str:
    """Log a file of this name to a new run and return the id of the run."""
    with chdir(folder):
        store = connect(None, "bench")
    run = store.client.create_run(store.experiment_id)
    (folder / name).write_text(name)
    store.client.log_artifact(run.info.run_id, str(folder / name))
    return run.info.run_id


def read_by_mlflow(folder: Path, run_id: str, name: str) -> str:
    """Read a file of a run with MLflow's own client, as its UI does."""
    client = MlflowClient(uri(folder))
    return Path(client.download_artifacts(run_id, name, str(folder.parent))).read_text()
