"""How many runs a minute a store takes: what one run logs, logged again by 1, 2 and 4 processes at once.

python tests/perf/tracking.py [DATABASE [WORKERS]]

A new SQLite file is written to as sweeps on one machine do; DATABASE, such as postgresql://bench@127.0.0.1/mlflow, is
timed behind an `mlflow server` of so many WORKERS.
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
    """What jobs of a sweep ask of the store, in a process of its own."""
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
    """Seconds of RUNS runs by so many processes, from when all of them are ready, and of processor time in them."""
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


def tell(uri: str, calls: list, servers: Callable[[], float] = lambda: 0.0) -> None:
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
        tell(f"sqlite:///{folder}/mlflow.db", kinds["default"])
        if database:
            with server(database, Path(folder), int(workers)) as address:
                print(f"the default run, to a server of {workers} workers before {database.partition(':')[0]}")
                tell(address, kinds["default"], processor_of_children)


def processor_of_children() -> float:
    """Seconds of processor time in all that this process started and that still runs."""
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return sum(spent.user + spent.system for spent in times)


if __name__ == "__main__":
    main(*sys.argv[1:])
