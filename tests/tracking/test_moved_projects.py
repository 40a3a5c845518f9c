"""Projects that were moved, copied or are read-only: their SQLite store and its files."""

import os
import shutil
from pathlib import Path
from unittest.mock import patch

import mlflow
import pytest
from mlflow import MlflowClient
from projects import ALONE, logged, read_by_mlflow
from running import artifact, assert_refused, command, runs, tiny, uri, with_store

from bench.errors import InputError
from bench.tracking.store import client_of, connect


@pytest.fixture
def project(tmp_path):
    """Create a folder with a store, a run, and a file of the run, as a command does."""
    folder = tmp_path / "before"
    folder.mkdir()
    logged(folder, "kept.txt")
    return folder


def test_a_moved_project_has_its_old_files_and_new_ones_in_the_same_folder(project, tmp_path):
    old = runs(project)[0].info.run_id
    after = project.rename(tmp_path / "o'brien [2]*")
    new = logged(after, "new.txt")
    assert not project.exists()
    assert {path.name for path in (after / "mlartifacts").iterdir()} == {old, new}
    for run_id, name in ((old, "kept.txt"), (new, "new.txt")):
        assert read_by_mlflow(after, run_id, name) == name


def test_a_copied_project_does_not_change_the_original(project, tmp_path):
    copy = Path(shutil.copytree(project, tmp_path / "copy"))
    before = sorted(project.rglob("*"))
    new = logged(copy, "new.txt")
    assert sorted(project.rglob("*")) == before
    assert (copy / "mlartifacts" / new).is_dir()
    assert "before" in runs(project)[0].info.artifact_uri


def test_files_of_a_moved_project_are_read_from_its_new_folder(project, tmp_path):
    run_id = runs(project)[0].info.run_id
    after = project.rename(tmp_path / "after")
    local = client_of(uri(after)).download_artifacts(run_id, "kept.txt", str(tmp_path))
    assert Path(local).read_text() == "kept.txt"


def test_a_folder_with_a_second_path_has_not_moved(project, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(project)
    before = runs(project)[0].info.artifact_uri
    logged(link, "new.txt")
    assert runs(project)[0].info.artifact_uri == before


def test_a_database_that_was_moved_without_its_artifacts_finds_them(project, tmp_path):
    run_id = runs(project)[0].info.run_id
    (tmp_path / "after").mkdir()
    (project / "mlflow.db").rename(tmp_path / "after" / "mlflow.db")
    assert read_by_mlflow(tmp_path / "after", run_id, "kept.txt") == "kept.txt"
    logged(tmp_path / "after", "new.txt")
    assert read_by_mlflow(tmp_path / "after", run_id, "kept.txt") == "kept.txt"


def test_artifacts_in_another_folder_stay_there(project, tmp_path):
    chosen = tmp_path / "elsewhere"
    experiment = MlflowClient(uri(project)).create_experiment("own", chosen.as_uri())
    after = project.rename(tmp_path / "after")
    logged(after, "new.txt")
    assert mlflow.MlflowClient(uri(after)).get_experiment(experiment).artifact_location == chosen.as_uri()


@pytest.fixture
def read_only_project(project):
    """Make the project read-only. Root can write anywhere, so that the answer of the system is replaced."""
    allowed = os.access

    def access(path, mode):
        return allowed(path, mode) and not (mode & os.W_OK and Path(path).is_relative_to(project))

    with patch("os.access", access):
        yield project


def test_a_run_in_a_read_only_project_is_refused(read_only_project):
    ended = command(read_only_project, *ALONE, "hydra.output_subdir=null", "hydra/job_logging=disabled")
    assert_refused(ended, "tracking.uri: got", f", and {read_only_project / 'mlflow.db'} is not writable")
    assert len(runs(read_only_project)) == 1


def test_artifacts_that_cannot_be_written_are_reported_before_training(tmp_path):
    with_store(tmp_path)
    (tmp_path / "mlartifacts").write_text("a file")
    ended = tiny(tmp_path, *ALONE)
    assert_refused(ended, "tracking.uri: got", "mlartifacts is not a folder")


def test_a_moved_read_only_project_can_be_read(project, tmp_path):
    run_id = runs(project)[0].info.run_id
    after = project.rename(tmp_path / "after")
    before = (after / "mlflow.db").read_bytes()
    with patch("bench.tracking.sqlite.fault", return_value="it is not writable"):
        store = connect(uri(after), "bench", read_only=True)
        assert Path(store.client.download_artifacts(run_id, "kept.txt", str(tmp_path))).read_text() == "kept.txt"
    assert (after / "mlflow.db").read_bytes() == before


def test_a_database_copied_without_its_artifacts_does_not_write_into_the_original(project, tmp_path):
    (tmp_path / "copy").mkdir()
    shutil.copy(project / "mlflow.db", tmp_path / "copy")
    before = sorted(project.rglob("*"))
    with pytest.raises(InputError, match=r"without the artifacts of its 1 runs in .*before/mlartifacts; copy them to"):
        logged(tmp_path / "copy", "new.txt")
    (tmp_path / "copy" / "mlartifacts").mkdir()
    logged(tmp_path / "copy", "new.txt")
    assert sorted(project.rglob("*")) == before


def test_another_folder_named_mlartifacts_is_kept(project, tmp_path):
    chosen = tmp_path / "disk" / "mlartifacts"
    chosen.mkdir(parents=True)
    experiment = MlflowClient(uri(project)).create_experiment("own", chosen.as_uri())
    logged(project, "new.txt")
    assert MlflowClient(uri(project)).get_experiment(experiment).artifact_location == chosen.as_uri()


def test_commands_that_read_create_no_files_in_a_folder_without_a_store(tmp_path):
    for arguments in (
        *(("status",), ("status", "sweep=none"), ("compare",), ("compare", "tracking.experiment=bench")),
        *(("propose", "run=abcd"), ("validity", "run=abcd")),
    ):
        ended = command(tmp_path, *arguments)
        at = f"tracking.uri: there is no store at {uri(tmp_path)}; start in the folder of your runs, or set"
        assert_refused(ended, at)
    assert_refused(command(tmp_path, "resend"), f"folder: got {tmp_path}/outbox, which has no writes")
    ended = command(tmp_path, "taps")
    assert ended.code == 0, ended.err
    assert list(tmp_path.iterdir()) == []


def test_status_and_compare_work_in_a_read_only_folder(tmp_path):
    ended = tiny(tmp_path, "-m", "model.widths=[4,8],[4,4]", *ALONE, "tracking.name=read")
    assert ended.code == 0, ended.err
    before = sorted(tmp_path.rglob("*"))
    allowed = os.access
    with patch("os.access", lambda path, mode: allowed(path, mode) and not mode & os.W_OK):
        status, compared = command(tmp_path, "status", "sweep=read"), command(tmp_path, "compare", "sweep=read")
    assert (status.code, compared.code) == (0, 0), status.err + compared.err
    assert "2 finished" in status.out
    assert "model.widths=[4,4]" in compared.out
    assert "nothing was logged" in compared.out
    assert sorted(tmp_path.rglob("*")) == before
    assert len(runs(tmp_path)) == 3
    assert artifact(tmp_path, runs(tmp_path)[1], "config.yaml").is_file()
