"""Runs per minute that a store accepts: 1, 2 and 4 processes at once repeat the calls of one run.

python tests/perf/tracking.py [DATABASE [WORKERS]]

The script writes to a new SQLite file, as sweeps on one machine do. It times DATABASE, such as
postgresql://bench@127.0.0.1/mlflow, through an `mlflow server` with this number of WORKERS.
"""

import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from stores import KINDS, logged, replay, server

from bench import tracking
from bench.sweeps import claims, jobs
from bench.tracking.store import connect

RUNS = 16


def log_runs(uri: str, calls: list, parent: str, names: range, ready, go, processor) -> None:
    """Repeat the requests of jobs of a sweep to the store, in a separate process."""
    store = connect(uri, "perf", parent)
    ready.release()
    go.wait()
    before = time.process_time()
    for number in names:
        fingerprint = f"{parent} {number}"
        assert claims.claim(store, fingerprint) is None
        tags = {tracking.FINGERPRINT: fingerprint, tracking.DESIGN: f"seed={number}"}
        with tracking.started(store, f"job {number}", tags, parent) as run:
            replay(store.client, run.id, calls)
        jobs.note_success(store, parent, [fingerprint])
    with processor:
        processor.value += time.process_time() - before


def log_by(processes: int, uri: str, calls: list) -> tuple[float, float]:
    """Return the seconds of RUNS runs by several processes, after all of them are ready, and their processor time."""
    context = multiprocessing.get_context("spawn")
    ready, go, processor = context.Semaphore(0), context.Event(), context.Value("d", 0.0)
    with tracking.started(connect(uri, "perf"), "sweep", {tracking.SWEEP: "parent"}) as parent:
        shares = [range(first, RUNS, processes) for first in range(processes)]
        shared = (ready, go, processor)
        workers = [context.Process(target=log_runs, args=(uri, calls, parent.id, part, *shared)) for part in shares]
        for worker in workers:
            worker.start()
        for _ in workers:
            ready.acquire()
        started = time.perf_counter()
        go.set()
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0
        taken = time.perf_counter() - started
        assert len(jobs.of_sweep(parent.store, parent.id)) == RUNS
    return taken, processor.value


def describe(kind: str, calls: list) -> str:
    kinds = Counter(name for name, *_ in calls)
    files = [arguments[1] for name, arguments, _ in calls if name == "log_artifact"]
    batches = [options for name, _, options in calls if name == "log_batch"]
    metrics, params = (sum(len(options.get(key, ())) for options in batches) for key in ("metrics", "params"))
    return (
        f"{kind} run: {metrics} points of metrics and {params} parameters in {kinds['log_batch']} requests, "
        f"{len(files)} files of {sum(map(len, files)) / 1e6:.2f} MB"
    )


def print_times(uri: str, calls: list, servers: Callable[[], float] = lambda: 0.0) -> None:
    alone = None
    for processes in (1, 2, 4):
        before = servers()
        taken, processor = log_by(processes, uri, calls)
        alone = alone or taken
        print(
            f"  {processes} processes: {60 * RUNS / taken:.0f} runs a minute, {alone / taken:.2f} of 1; a run takes "
            f"{processor / RUNS:.2f} s of processor here, {(servers() - before) / RUNS:.2f} s in the server",
            flush=True,
        )


def main(database: str | None = None, workers: str = "1") -> None:
    kinds = {kind: logged(kind) for kind in KINDS}
    for kind, calls in kinds.items():
        print(describe(kind, calls), flush=True)
    with TemporaryDirectory() as folder:
        print("the default run, to SQLite")
        print_times(f"sqlite:///{folder}/mlflow.db", kinds["default"])
        if database:
            with server(database, Path(folder), int(workers)) as address:
                print(f"the default run, to a server of {workers} workers before {database.partition(':')[0]}")
                print_times(address, kinds["default"], processor_of_children)


def processor_of_children() -> float:
    """Return the seconds of processor time of all running child processes."""
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return sum(spent.user + spent.system for spent in times)


if __name__ == "__main__":
    main(*sys.argv[1:])
