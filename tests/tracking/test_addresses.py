"""Addresses with passwords and servers with files on this machine are refused before anything is stored."""

import re
from pathlib import Path

import pytest
from running import assert_refused, command, tiny, with_store

import bench
from bench.errors import InputError
from bench.tracking.addresses import has_secret, refuse_secrets, refuse_strange, without_password
from bench.tracking.store import connect

SECRET = "hunter2"


@pytest.mark.parametrize(
    "address",
    [
        f"http://me:{SECRET}@host",
        f"HTTPS://me:{SECRET}@host:5000/mlflow",
        f"http://{SECRET}@host",
        f"http://me@corp.org:{SECRET}@host",
        f"http://me:a%40{SECRET}@host",
        f"http://me:a/{SECRET}@host",
        f"http://me:a?{SECRET}@host",
        f"http://me:a#{SECRET}@host",
        f"http://host?token={SECRET}",
        f"http://host/?a=1&api_key={SECRET}",
        f"http://host/?p%61ssword={SECRET}",
        f"postgresql://me:{SECRET}@host/runs",
        f"postgresql+psycopg2://me:{SECRET}@host/runs",
        f"postgresql://me@host/runs?password={SECRET}",
        f"mysql+pymysql://me:{SECRET}@host/runs",
    ],
)
def test_secrets_in_addresses_are_detected_and_not_printed(address):
    assert has_secret(address)
    assert SECRET not in without_password(address)
    with pytest.raises(InputError, match=r"^tracking\.uri: got an address with a password or a token") as refusal:
        refuse_secrets([f"tracking.uri={address}"])
    assert SECRET not in str(refusal.value)
    advice = {
        "h": "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
        "p": "set PGPASSWORD",
        "m": "environment",
    }
    assert advice[address[0].lower()] in str(refusal.value)
    for read in (lambda: connect(address, "bench"), lambda: bench.load("some", address)):
        with pytest.raises(InputError, match="password or a token"):
            read()


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:5000",
        "http://[::1]:5000/mlflow",
        "http://host/team@home",
        "http://host:5000/team@home",
        "postgresql://bench@127.0.0.1:5432/mlflow",
        "postgresql://mlflow@/mlflow?host=/tmp",
        "sqlite:////home/me@corp:1/mlflow.db",
        "sqlite:///mlflow.db",
    ],
)
def test_addresses_without_secrets_are_accepted(address):
    assert not has_secret(address)
    assert without_password(address) == address
    refuse_secrets([f"tracking.uri={address}"])


def files_with_secret(folder: Path) -> list[str]:
    """Return the files that contain the secret."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    "arguments",
    [
        (f"tracking.uri=http://me:{SECRET}@127.0.0.1:1",),
        (f"tracking.uri='postgresql://me:{SECRET}@127.0.0.1:1/runs'",),
        ("-m", "seed=0,1", f"tracking.uri=http://me:{SECRET}@127.0.0.1:1"),
        ("-m", f"tracking.uri=http://me:{SECRET}@127.0.0.1:1,http://127.0.0.1:2"),
        (f"++tracking.uri=http://me:{SECRET}@127.0.0.1:1",),
        (f"tracking.urii=http://me:{SECRET}@127.0.0.1:1",),
        ("propose", f"retrain.overrides=['tracking.uri=http://me:{SECRET}@127.0.0.1:1']"),
        ("status", "sweep=a", f"tracking.uri=http://me:{SECRET}@127.0.0.1:1"),
        ("resend", f"tracking.uri=http://me:{SECRET}@127.0.0.1:1"),
        (f"hydra.job.name=http://me:{SECRET}@host",),
        (f"http://me:{SECRET}@127.0.0.1:1",),
    ],
)
def test_no_command_stores_a_secret(tmp_path, arguments):
    ended = command(with_store(tmp_path), *arguments)
    assert_refused(ended, "an address with a password or a token")
    assert SECRET not in ended.err
    assert files_with_secret(tmp_path) == []
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db"}


@pytest.mark.parametrize("sweep", [(), ("-m", "seed=0,1")])
def test_no_secret_of_a_file_or_the_environment_is_stored(tmp_path, monkeypatch, sweep):
    (tmp_path / "conf" / "preset").mkdir(parents=True)
    yaml = f"# @package _global_\ntracking:\n  uri: http://me:{SECRET}@127.0.0.1:1\n"
    (tmp_path / "conf" / "preset" / "mine.yaml").write_text(yaml)
    monkeypatch.setenv("WHERE", f"http://me:{SECRET}@127.0.0.1:1")
    for arguments in (["--config-dir", "conf", "+preset=mine"], ["tracking.uri=${oc.env:WHERE}"]):
        flags, rest = [one for one in arguments if "=" not in one], [one for one in arguments if "=" in one]
        ended = command(tmp_path, *flags, *sweep, *rest)
        assert_refused(ended, "tracking.uri: got an address with a password or a token")
        assert SECRET not in ended.err
        assert [path for path in files_with_secret(tmp_path) if "preset" not in path] == []


def test_the_address_of_a_repository_is_stored_without_its_password(tmp_path, monkeypatch):
    from bench.tracking import starting as module

    tag = "mlflow.source.git.repoURL"
    monkeypatch.setattr(module, "resolve_tags", lambda tags: tags | {tag: f"https://me:{SECRET}@host/repo.git"})
    store = connect(f"sqlite:///{with_store(tmp_path)}/mlflow.db", "bench")
    with module.started(store, "a run", {}) as run:
        pass
    assert store.client.get_run(run.id).data.tags[tag] == "https://host/repo.git"


SERVER = "http://127.0.0.1:5000"


@pytest.mark.parametrize(
    "files",
    [
        "file:///etc", "/etc", "./here", "../here", "here", "", "file:here", "file://other/share", "//other/share",
        r"\\other\share", "C:\\here", "dbfs:/here", "runs:/a/b", "models:/a/1", "FILE:///etc", "ftp://host/x",
        "mlflow-artifacts://other/1", "http://other/api/2.0/mlflow-artifacts/artifacts/1", "https://127.0.0.1/x",
        "file://{here}/mlartifacts/../other", "file://{here}/mlartifacts/%2e%2e/other", "{here}/mlartifacts2/1",
        "file://{here}/mlartifacts/link/1", "{here}/other/1",
    ],
)  # fmt: skip
def test_a_server_with_files_in_a_folder_of_this_machine_is_refused(tmp_path, monkeypatch, files):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlartifacts").mkdir()
    (tmp_path / "mlartifacts" / "link").symlink_to(tmp_path)
    with pytest.raises(InputError, match=re.escape(f"tracking.uri: got {SERVER}, whose run has its files in")):
        refuse_strange(SERVER, files.format(here=tmp_path))


def test_a_server_that_serves_its_files_is_accepted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for files in ("mlflow-artifacts:/1/a", f"{SERVER}/api/2.0/mlflow-artifacts/artifacts/1", "s3://bucket/1"):
        refuse_strange(SERVER, files)
    own = (tmp_path / "mlartifacts" / "1" / "a").as_uri()
    refuse_strange(SERVER, own)  # `make ui` serves the store of this folder
    with pytest.raises(InputError, match="whose run has its files in"):
        refuse_strange("http://example.org:5000", own)


def test_a_teacher_is_searched_in_the_store_of_the_run(tmp_path):
    ended = tiny(tmp_path, "train.teacher=nobody")
    assert_refused(ended, "train.teacher: got nobody, wanted a run of sqlite:")
