"""`make server`: MLflow's server on PostgreSQL with a sweep of four processes, a restart, and passwords."""

import os
import signal
import socket
import subprocess
import time
from base64 import b64encode
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pandas as pd
import psutil
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from running import QUIET, TINY, artifact, artifacts, children, parents, process, runs, tiny

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(
        not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")), reason="PostgreSQL, Debian's package, is not here"
    ),
]
START = Path(__file__).parents[2] / "server" / "start.sh"
READY = 180  # time limit in seconds


class Server:
    """The server of `make server`, which keeps its address and data after a restart."""

    def __init__(self, folder: Path, **settings: str):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.folder = folder
        self.settings = {"FOLDER": str(folder), "PORT": str(self.port), **settings}
        self.start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen([START], env=os.environ | self.settings, stdout=log, stderr=log)
        by = time.monotonic() + READY
        while not self.answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < by, (self.folder / "log").read_text()
            time.sleep(0.5)

    def answers(self) -> bool:
        try:
            return urlopen(f"{self.uri}/health", timeout=5).status == 200
        except OSError:
            return False

    def kill(self) -> None:
        """Send SIGKILL to the server and its child processes; the database, which is a daemon, keeps running."""
        family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        for member in reversed(family):
            member.kill()
        self.process.wait()

    def stop(self) -> None:
        """Send SIGTERM, as a cluster does; do nothing if the server has ended."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)


@contextmanager
def serving(**settings: str):
    """Run a server in a folder that the user of PostgreSQL can enter, with a name short enough for a socket."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        server = Server(folder, **settings)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="module")
def server():
    with serving() as server:
        yield server


def runs_at(uri: str, experiment: str) -> tuple[MlflowClient, list[Run]]:
    client = MlflowClient(uri)
    return client, client.search_runs([client.get_experiment_by_name(experiment).experiment_id])


def assert_same(client: MlflowClient, run: Run, local: Path, local_run: Run, scratch: Path) -> None:
    """Assert that a run has the metrics, parameters, files and table of layers of the same run in a local store."""
    assert run.info.status == local_run.info.status == "FINISHED"
    measured = {key for key in local_run.data.metrics if not key.startswith(("cost/latency", "time"))}
    assert {key: run.data.metrics[key] for key in measured} == {key: local_run.data.metrics[key] for key in measured}
    assert set(run.data.metrics) == set(local_run.data.metrics)
    assert set(run.data.params) == set(local_run.data.params)
    assert {found.path for found in client.list_artifacts(run.info.run_id)} == artifacts(local, local_run)
    scratch.mkdir()
    stored = Path(client.download_artifacts(run.info.run_id, "layers.csv", str(scratch)))
    pd.testing.assert_frame_equal(
        without_seconds(stored), without_seconds(artifact(local, local_run, "layers.csv")), check_exact=True
    )


def without_seconds(path: Path) -> pd.DataFrame:
    return pd.read_csv(path).drop(columns="seconds")


def test_a_sweep_of_four_processes_is_complete(server, tmp_path):
    sweep = ("-m", "model.norm=batch,none", "seed=0,1")
    many = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=4")
    arguments = (*QUIET, *TINY, f"tracking.uri={server.uri}", "tracking.experiment=four")
    with process(tmp_path, *sweep, *many, *arguments) as command:
        _, err = command.communicate(timeout=600)
    assert command.returncode == 0, err
    client, found = runs_at(server.uri, "four")
    (parent,) = [run for run in found if run.data.tags.get("sweep") == "parent"]
    assert parent.info.status == "FINISHED"
    assert tiny(tmp_path, *sweep).code == 0
    local_run = {
        run.data.tags["design"] + run.data.params["seed"]: run for run in children(tmp_path, *parents(tmp_path))
    }
    stored = {run.data.tags["design"] + run.data.params["seed"]: run for run in found if run is not parent}
    assert len({run.data.tags["owner"] for run in stored.values()}) == len(found) - 1 == 4, "a process for each"
    assert set(stored) == set(local_run)
    for job, run in stored.items():
        assert_same(client, run, tmp_path, local_run[job], tmp_path / job)


def test_a_run_is_complete_after_its_server_was_killed_and_restarted(server, tmp_path):
    epochs = 60
    arguments = [f"train.epochs={epochs}" if "epochs" in small else small for small in TINY]
    arguments += ["probe.epochs=[0,1]"]
    at_server = (f"tracking.uri={server.uri}", "tracking.experiment=killed")
    with process(tmp_path, *arguments, *at_server, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0") as command:
        by = time.monotonic() + 300
        while not is_training(server.uri):
            assert command.poll() is None, command.communicate()
            assert time.monotonic() < by
        server.kill()
        while not list(tmp_path.glob("outbox/*/*.json")):
            assert command.poll() is None, command.communicate()
            assert time.monotonic() < by
            time.sleep(0.1)
        server.start()
        out, err = command.communicate(timeout=600)
    assert command.returncode == 0, err
    assert "the run continues, and its writes wait in" in out
    assert "sent all waiting writes" in out
    assert not (tmp_path / "outbox").exists()
    client, (run,) = runs_at(server.uri, "killed")
    assert [point.step for point in client.get_metric_history(run.info.run_id, "train/loss")] == [*range(1, epochs + 1)]
    assert tiny(tmp_path, *arguments).code == 0
    assert_same(client, run, tmp_path, *runs(tmp_path), tmp_path / "there")


def is_training(uri: str) -> bool:
    client = MlflowClient(uri)
    known = client.get_experiment_by_name("killed")
    return bool(known) and any("train/loss" in run.data.metrics for run in client.search_runs([known.experiment_id]))


def test_a_second_server_on_a_folder_is_refused_and_the_first_continues(server):
    second = subprocess.run([START], env=os.environ | server.settings, capture_output=True, text=True, timeout=READY)
    assert (second.returncode, len(second.stderr.splitlines())) == (2, 1)
    assert f"got FOLDER={server.folder}, where a server runs already" in second.stderr
    assert MlflowClient(server.uri).search_experiments()


def test_the_exit_code_of_the_server_is_returned_and_a_used_port_is_refused():
    with serving() as server:
        server.stop()
        assert server.process.returncode == 128 + signal.SIGTERM
        assert not (server.folder / "postgres" / "postmaster.pid").exists()
        with socket.create_server(("127.0.0.1", server.port)):
            used = subprocess.run(
                [START], env=os.environ | server.settings, capture_output=True, text=True, timeout=READY
            )
        assert (used.returncode, len(used.stderr.splitlines())) == (2, 1)
        assert f"got PORT={server.port}, on which another process listens" in used.stderr
        assert not (server.folder / "postgres" / "postmaster.pid").exists()


def test_a_new_password_replaces_the_earlier_one_and_files_are_private():
    with serving(AUTH="1", MLFLOW_AUTH_ADMIN_PASSWORD="the first password") as server:
        assert accepted(server, "the first password")
        server.stop()
        server.settings["MLFLOW_AUTH_ADMIN_PASSWORD"] = "the second password"
        server.start()
        assert accepted(server, "the second password")
        assert not accepted(server, "the first password")
        private = {
            name: (server.folder / name).stat().st_mode & 0o777 for name in ("password", "key", "basic_auth.ini")
        }
        assert set(private.values()) == {0o600}, private
        assert (server.folder / "artifacts").stat().st_mode & 0o777 == 0o700
        assert (server.folder / "password").read_text() == "the second password\n"


def accepted(server: Server, password: str) -> bool:
    login = b64encode(f"admin:{password}".encode()).decode()
    request = Request(f"{server.uri}/api/2.0/mlflow/experiments/search?max_results=1")
    request.add_header("Authorization", f"Basic {login}")
    try:
        return urlopen(request, timeout=30).status == 200
    except HTTPError as refused:
        return {401: False}[refused.code]


def test_a_server_with_authentication_requires_the_password(tmp_path):
    with serving(AUTH="1", MLFLOW_AUTH_ADMIN_PASSWORD="a long password") as server:
        arguments = (*QUIET, *TINY, f"tracking.uri={server.uri}")
        wrong, right = "a wrong password", "a long password"
        for password, code in ((wrong, 2), (right, 0)):
            user = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": password}
            with process(tmp_path, *arguments, **user) as command:
                _, err = command.communicate(timeout=300)
            assert command.returncode == code, err
            assert ("requires a valid user and password" in err) == (password is wrong)
