"""Time that a store takes to answer requests of MLflow's UI and of a sweep, with 100 and with 5,000 runs.

python tests/perf/queries.py [DATABASE]

The script times a new SQLite file and, if given, DATABASE: an empty one, such as postgresql://bench@127.0.0.1/mlflow.
The runs are copies, by SQL, of the rows of one default run; all of them share its artifacts. The requests of a sweep go
to the database. For DATABASE they go also to its server.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import requests
import sqlalchemy as sa
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from stores import logged, multiply, replay, server

from bench import tracking
from bench.sweeps import claims, jobs
from bench.sweeps.summary import summarise
from bench.tracking.store import Store, connect

FEW, MANY = 100, 5000
REPEATS, ENOUGH = 5, 20  # seconds
SCORE, PROFILE = "metrics.`summary/val_score`", "profile/I_TY.ksg_mixture.pixel"


def size(database: str) -> int:
    """Return the size of a database in bytes."""
    engine = sa.create_engine(database)
    sqlite = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    query = sqlite if engine.dialect.name == "sqlite" else "SELECT pg_database_size(current_database())"
    with engine.connect() as connection:
        return connection.execute(sa.text(query)).scalar()


def requests_of(address: str, store: Store, parent: str) -> dict[str, Callable]:
    """Return the requests of MLflow's UI to its server, and those of a sweep to the store."""

    def search(**parameters):
        parameters = {"order_by": ["attributes.start_time DESC"]} | parameters
        body = {"experiment_ids": [store.experiment_id], "run_view_type": "ACTIVE_ONLY", "max_results": 100}
        answer = requests.post(f"{address}/ajax-api/2.0/mlflow/runs/search", json=body | parameters, timeout=600)
        answer.raise_for_status()
        found = answer.json()["runs"]
        assert len(found) == 100
        return [run["info"]["run_id"] for run in found]

    def end() -> None:
        summarise(store, tracking.Run(store, parent))
        jobs.collapsed(store, parent)

    ten = search()[:10]

    def profiles():
        parameters = {"run_ids": ten, "metric_key": PROFILE, "max_results": 320}
        answer = requests.get(
            f"{address}/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval", params=parameters, timeout=600
        )
        answer.raise_for_status()
        assert len({point["run_id"] for point in answer.json()["metrics"]}) == 10

    return {
        "UI: page of 100 runs, newest first": search,
        "UI: the same, with a filter on a metric": lambda: search(filter=f"{SCORE} > 0"),
        "UI: the same, with a filter on a parameter": lambda: search(filter="params.`model.skips` = 'all'"),
        "UI: the same, sorted by a metric": lambda: search(order_by=[f"{SCORE} DESC"]),
        "UI: a profile of 10 runs, overlaid": profiles,
        "sweep: is this job done? (each job)": lambda: claims.claim(store, "new"),
        "sweep: which are done? (once, at the end)": lambda: jobs.of_sweep(store, parent),
        "status of the sweep": lambda: jobs.table(store, store.client.get_run(parent)),
        "end of the sweep, with its figure": end,
    }


def seconds(ask: Callable) -> float:
    """Return the median of several times, or of fewer if they are long."""
    taken: list[float] = []
    while len(taken) < REPEATS and sum(taken) < ENOUGH:
        started = time.perf_counter()
        ask()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def print_times(database: str, calls: list, folder: Path) -> None:
    """Fill a store and print its times."""
    kind = database.partition(":")[0]
    with server(database, folder) as address:
        print_times_of(kind, database, database, address, calls, 0)
        if kind != "sqlite":
            print_times_of("server", address, database, address, calls, MANY)


def print_times_of(through: str, uri: str, database: str, address: str, calls: list, first: int) -> None:
    """Print the times of an experiment of its own, whose runs have the numbers from `first`."""
    store = connect(uri, f"queries {through}")
    with tracking.started(store, "sweep", {tracking.SWEEP: "parent"}) as parent:
        tags = {tracking.FINGERPRINT: "one", tracking.DESIGN: "seed=0"}
        with tracking.started(store, "job", tags, parent.id) as run:
            replay(store.client, run.id, calls)
    multiply(database, run.id, range(first + 1, first + FEW))  # no run is open whose heartbeats would have to wait
    before = size(database)
    few = {name: seconds(ask) for name, ask in requests_of(address, store, parent.id).items()}
    multiply(database, run.id, range(first + FEW, first + MANY))
    print(f"{through}: {(size(database) - before) / (MANY - FEW) / 1000:.1f} kB of the database a run", flush=True)
    for name, ask in requests_of(address, store, parent.id).items():
        many = seconds(ask)
        of = f"{few[name]:7.3f} s of {FEW} runs, {many:7.3f} s of {MANY}"
        print(f"  {name:45} {of}; ratio {many / few[name]:.1f}", flush=True)


def main(*databases: str) -> None:
    calls = logged("default")
    with TemporaryDirectory() as folder:
        new = f"sqlite:///{folder}/mlflow.db"
        SqlAlchemyStore(new, (Path(folder) / "artifacts").as_uri()).engine.dispose()
        for database in (new, *databases):
            print_times(database, calls, Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
