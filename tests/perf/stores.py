"""Helpers to time stores: the calls of a real run, an `mlflow server` with a database, and copies of a run's rows."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import requests
import sqlalchemy as sa
from mlflow import MlflowClient
from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam, SqlRun, SqlTag

sys.path.insert(0, str(Path(__file__).parents[1]))
from running import QUIET, TINY, command, with_store

TABLES = [model.__table__ for model in (SqlRun, SqlMetric, SqlLatestMetric, SqlParam, SqlTag)]
KINDS = {"default": (), "minimal": TINY}  # kinds of runs: overrides of `python -m bench`
PORT = int(os.environ.get("PORT", "5100"))
Call = tuple[str, tuple, dict]


def logged(kind: str) -> list[Call]:
    """Return the client calls of a real run in order: name, arguments without the run id, options; files as bytes."""
    calls: list[Call] = []

    def recorded(name):
        method = getattr(MlflowClient, name)

        def call(client, run_id, *arguments, **options):
            if name == "log_artifact":
                path = Path(arguments[0])
                calls.append((name, (path.name, path.read_bytes(), *arguments[1:]), options))
            else:
                calls.append((name, arguments, options))
            return method(client, run_id, *arguments, **options)

        return patch.object(MlflowClient, name, call)

    with TemporaryDirectory() as folder, recorded("log_batch"), recorded("log_inputs"), recorded("log_artifact"):
        ended = command(with_store(Path(folder)), *QUIET, *KINDS[kind])
    assert ended.code == 0, ended.err
    return calls


def replay(client, run_id: str, calls: list[Call]) -> None:
    for name, arguments, options in calls:
        if name == "log_artifact":
            with TemporaryDirectory() as folder:
                path = Path(folder) / arguments[0]
                path.write_bytes(arguments[1])
                client.log_artifact(run_id, str(path), *arguments[2:], **options)
        else:
            getattr(client, name)(run_id, *arguments, **options)


@contextmanager
def server(database: str, folder: Path, workers: int = 1) -> Iterator[str]:
    """Run an `mlflow server` on localhost with its artifacts in a folder; yield its address."""
    address = f"http://127.0.0.1:{PORT}"
    options = {"--host": "127.0.0.1", "--port": PORT, "--workers": workers, "--backend-store-uri": database,
               "--artifacts-destination": (folder / "artifacts").as_uri()}  # fmt: skip
    started = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", *(str(word) for pair in options.items() for word in pair)],
        env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            assert started.poll() is None, f"mlflow server before {database} ended with {started.returncode}"
            try:
                requests.get(f"{address}/health", timeout=5).raise_for_status()
                break
            except requests.RequestException:
                time.sleep(0.5)
        yield address
    finally:
        started.terminate()
        started.wait()


def multiply(database: str, run_id: str, numbers: range) -> None:
    """Copy the rows of a run for each number, with another id and fingerprint and slightly different metrics."""
    columns = sa.Column("number", sa.BigInteger), sa.Column("name", sa.String(32))
    copies = sa.Table("copies", sa.MetaData(), *columns, prefixes=["TEMPORARY"])
    engine = sa.create_engine(database)
    with engine.begin() as connection:
        copies.create(connection)
        connection.execute(copies.insert(), [{"number": number, "name": f"{number:032x}"} for number in numbers])
        for table in TABLES:
            changed = {"run_uuid": copies.c.name}
            if "step" in table.c:
                changed["value"] = table.c.value + copies.c.number * 1e-6
            elif table is SqlTag.__table__:
                changed["value"] = sa.case((table.c.key == "fingerprint", copies.c.name), else_=table.c.value)
            elif table is SqlRun.__table__:
                changed |= {each: table.c[each] + copies.c.number for each in ("start_time", "end_time")}
            rows = sa.select(*(changed.get(column.name, column) for column in table.c))
            rows = rows.select_from(table.join(copies, sa.true())).where(table.c.run_uuid == run_id)
            connection.execute(table.insert().from_select(table.c.keys(), rows))
    engine.dispose()
