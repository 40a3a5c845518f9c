"""SQLite stores in folders whose names have special characters of URIs, of Hydra or of the shell."""

import os
from contextlib import chdir

import pytest
from hydra import compose, initialize_config_dir
from projects import ALONE, logged, read_by_mlflow
from running import CONF, assert_refused, runs, tiny

from bench.config.composing import quoted
from bench.config.settings import register
from bench.errors import InputError
from bench.tracking import sqlite
from bench.tracking.store import connect

ODD = (
    "o'brien",
    'a "quoted" one',
    "100%20",
    "100% of it",
    "a [1]* b",
    "why?",
    "100%?#\n",
    "a..b",
    "a#b",
    "${oc.env:HOME}",
    "a;b=c, [d] {e}",
    "größe",
    "$x$",
    "back\\slash\\",
)
ALL_ODD = [*ODD[:3], *(pytest.param(name, marks=pytest.mark.processes) for name in ODD[3:])]


@pytest.mark.parametrize("text", [*ODD, "'", "\\'", "\\", "\\\\", "a\nb", "\\${x}"])
def test_hydra_parses_quoted_text_to_the_same_text(text):
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", [f"tracking.uri={quoted(text)}", f"tracking.experiment={quoted(text)}"])
    assert config.tracking.uri == config.tracking.experiment == text


@pytest.mark.parametrize("name", ALL_ODD)
def test_a_store_works_in_a_folder_of_any_name(name, tmp_path):
    folder = tmp_path / name
    folder.mkdir()
    run_id = logged(folder, "file.txt")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (folder / "mlartifacts" / run_id / "artifacts" / "file.txt").is_file()
    assert read_by_mlflow(folder, run_id, "file.txt") == "file.txt"


@pytest.mark.parametrize("name", ["o'brien", "why? 100%20"])
def test_a_sweep_runs_in_a_folder_with_special_characters(name, tmp_path):
    folder = tmp_path / name
    folder.mkdir()
    ended = tiny(folder, "-m", "seed=0,1", *ALONE)
    assert ended.code == 0, ended.err
    assert [run.info.status for run in runs(folder)] == ["FINISHED"] * 3


def test_a_folder_name_with_an_interpolation_of_hydra_is_refused(tmp_path):
    folder = tmp_path / "a ${x} b"
    folder.mkdir()
    assert_refused(tiny(folder, "-m", "seed=0,1", *ALONE), "working directory: got", "which Hydra reads as an interp")
    assert [path.name for path in folder.iterdir()] == ["mlflow.db"]


def test_an_address_with_more_than_a_path_is_refused(tmp_path):
    for uri_given, words in (
        (f"sqlite:///{tmp_path}/why?/mlflow.db", "write %3F and %25"),
        ("sqlite://", "wanted a database in a file"),
        ("sqlite:///:memory:", "wanted a database in a file"),
        (f"sqlite:///{tmp_path}/{'long/' * 120}mlflow.db", "wanted at most 500, which SQLite can open"),
    ):
        with pytest.raises(InputError, match=f"tracking.uri: got .*{words}"):
            connect(uri_given, "bench")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_name_that_is_not_utf_8_is_refused(tmp_path):
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    with chdir(folder), pytest.raises(InputError, match="wanted a path in UTF-8; rename the folder"):
        connect(None, "bench")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ALL_ODD)
def test_the_address_of_a_path_is_parsed_to_the_same_path(name, tmp_path):
    (tmp_path / name).mkdir()
    database = tmp_path / name / "mlflow.db"
    assert sqlite.database_of(sqlite.address(database)) == database
