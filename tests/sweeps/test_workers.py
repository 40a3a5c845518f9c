"""Worker processes of joblib: when a process is used again."""

import os
import sys

import pytest
from joblib import Parallel, delayed

from bench.sweeps import workers


@pytest.fixture(autouse=True)
def _registered():
    workers.register()
    yield
    workers.end_idle()


def in_worker(expression: str):
    """Evaluate an expression in a worker process, as a sweep with a single job would."""
    return Parallel(n_jobs=2, backend="loky")([delayed(eval)(expression, {"os": os, "sys": sys})])[0]


def test_a_worker_is_used_again():
    process = in_worker("os.getpid()")
    assert process != os.getpid()
    assert in_worker("os.getpid()") == process


def test_a_sweep_in_another_folder_runs_there(tmp_path, monkeypatch):
    process = in_worker("os.getpid()")
    monkeypatch.chdir(tmp_path)
    assert in_worker("os.getcwd()") == str(tmp_path)
    assert in_worker("os.getpid()") != process


def test_a_sweep_has_the_environment_of_its_command(monkeypatch):
    assert in_worker("os.environ.get('BENCH_FOR_TEST')") is None
    monkeypatch.setenv("BENCH_FOR_TEST", "here")
    assert in_worker("os.environ.get('BENCH_FOR_TEST')") == "here"
    monkeypatch.delenv("BENCH_FOR_TEST")
    assert in_worker("os.environ.get('BENCH_FOR_TEST')") is None


def test_a_sweep_imports_from_the_path_of_its_command(tmp_path, monkeypatch):
    assert str(tmp_path) not in in_worker("sys.path")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert str(tmp_path) in in_worker("sys.path")
