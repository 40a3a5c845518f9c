"""`make server`: MLflow's server on PostgreSQL, under a sweep of four processes and through its own death."""

import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

import psutil
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from running import QUIET, TINY, artifacts, layers, process, runs, tiny

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(
        not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")), reason="PostgreSQL, Debian's package, is not here"
    ),
]
START = Path(__file__).parents[1] / "server" / "start.sh"
READY = 180  # seconds at most


class Server:
    """Killed and started again, it keeps its address and what it has."""

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
        """SIGKILL to the server and all that it started; the database, which is a daemon, lives on."""
        family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        for member in reversed(family):
            member.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)


@contextmanager
def serving(**settings: str):
    """In a folder that PostgreSQL's user may enter and whose name is short enough for a socket's."""
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


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What a run of TINY leaves in a store of files."""
    folder = tmp_path_factory.mktemp("local")
    assert tiny(folder).code == 0
    (run,) = runs(folder)
    return folder, run


def runs_at(uri: str, experiment: str) -> tuple[MlflowClient, list[Run]]:
    client = MlflowClient(uri)
    return client, client.search_runs([client.get_experiment_by_name(experiment).experiment_id])


def assert_complete(client: MlflowClient, run: Run, expected, folder: Path) -> None:
    """Every metric and file of a run like this one, layers.csv as long."""
    local, alike = expected
    assert run.info.status == "FINISHED"
    assert set(run.data.metrics) == set(alike.data.metrics)
    assert set(run.data.params) == set(alike.data.params)
    assert {found.path for found in client.list_artifacts(run.info.run_id)} == artifacts(local, alike)
    path = client.download_artifacts(run.info.run_id, "layers.csv", str(folder))
    assert len(Path(path).read_text().splitlines()) == 1 + len(layers(local, alike))


def test_a_sweep_of_four_processes_loses_nothing(server, expected, tmp_path):
    sweep = ("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=4", "model.norm=batch,none", "seed=0,1")
    arguments = (*QUIET, *TINY, f"tracking.uri={server.uri}", "tracking.experiment=four")
    with process(tmp_path, *sweep, *arguments) as command:
        _, err = command.communicate(timeout=600)
    assert command.returncode == 0, err
    client, found = runs_at(server.uri, "four")
    (parent,) = [run for run in found if run.data.tags.get("sweep") == "parent"]
    jobs = [run for run in found if run is not parent]
    assert parent.info.status == "FINISHED"
    assert len(jobs) == 4
    assert len({run.data.tags["owner"] for run in jobs}) == 4, "a process for each"
    for number, run in enumerate(jobs):
        (tmp_path / str(number)).mkdir()
        assert_complete(client, run, expected, tmp_path / str(number))


def test_a_server_killed_and_started_again_during_a_run_has_all_of_it(server, expected, tmp_path):
    epochs = 60
    longer = [f"train.epochs={epochs}" if "epochs" in small else small for small in TINY]
    arguments = (*longer, "probe.epochs=[0,1]", f"tracking.uri={server.uri}", "tracking.experiment=killed")
    with process(tmp_path, *arguments, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0") as command:
        by = time.monotonic() + 300
        while not trains(server.uri):
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
    assert "the run goes on, and what it logs waits in" in out
    assert "sent what had waited" in out
    client, (run,) = runs_at(server.uri, "killed")
    assert_complete(client, run, expected, tmp_path)
    assert [point.step for point in client.get_metric_history(run.info.run_id, "train/loss")] == [*range(1, epochs + 1)]
    assert not (tmp_path / "outbox").exists()


def trains(uri: str) -> bool:
    client = MlflowClient(uri)
    known = client.get_experiment_by_name("killed")
    return bool(known) and any("train/loss" in run.data.metrics for run in client.search_runs([known.experiment_id]))


def test_a_server_that_asks_for_passwords(tmp_path):
    with serving(AUTH="1", MLFLOW_AUTH_ADMIN_PASSWORD="a long password") as server:
        arguments = (*QUIET, *TINY, f"tracking.uri={server.uri}")
        wrong, right = "a wrong password", "a long password"
        for password, code in ((wrong, 2), (right, 0)):
            user = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": password}
            with process(tmp_path, *arguments, **user) as command:
                _, err = command.communicate(timeout=300)
            assert command.returncode == code, err
            assert ("wants a user and a password that it knows" in err) == (password is wrong)
