"""Time of the parts of a minimal run, and runs per minute of sweeps with two launchers.

python tests/perf/sweeps.py
"""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from matplotlib.figure import Figure
from mlflow import MlflowClient

sys.path.insert(0, str(Path(__file__).parents[1]))
from running import QUIET, TINY, children, command, parents, process, with_store

SEEDS = 8
LAUNCHERS = {"basic": (), "joblib, two at once": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")}


@contextmanager
def in_client() -> Iterator[Counter]:
    """Yield the seconds in methods of MLflow's client and in drawing, by name; nested calls are not counted again."""
    spent, inside = Counter(), []

    def timed(name, method):
        def call(*arguments, **options):
            started, outer = time.perf_counter(), not inside
            inside.append(name)
            try:
                return method(*arguments, **options)
            finally:
                inside.pop()
                if outer:
                    spent[name] += time.perf_counter() - started

        return call

    with ExitStack() as stack:
        stack.enter_context(patch.object(Figure, "savefig", timed("savefig", Figure.savefig)))
        for name, method in vars(MlflowClient).items():
            if callable(method) and not name.startswith("_"):
                stack.enter_context(patch.object(MlflowClient, name, timed(name, method)))
        yield spent


def one_run(folder: Path) -> None:
    with_store(folder)
    started = time.perf_counter()
    assert process(folder, *TINY).wait() == 0
    alone = time.perf_counter() - started
    command(folder, *QUIET, *TINY)
    with in_client() as spent:
        started = time.perf_counter()
        assert command(folder, *QUIET, *TINY, "seed=1").code == 0
        warm = time.perf_counter() - started
    figures = spent.pop("savefig")
    print(f"one run in a new process: {alone:.1f} s; in a process that has run before: {warm:.2f} s, of which")
    print(f"  the client of the store {sum(spent.values()):.2f} s, figures {figures:.2f} s, all else "
          f"{warm - figures - sum(spent.values()):.2f} s", flush=True)  # fmt: skip


def sweep(folder: Path, name: str, *launcher: str) -> None:
    with_store(folder)
    started = time.perf_counter()
    seeds = ",".join(map(str, range(SEEDS)))
    assert process(folder, "-m", *launcher, *TINY, f"seed={seeds}").wait() == 0
    whole = time.perf_counter() - started
    jobs = [run.info for run in children(folder, *parents(folder))]
    assert [job.status for job in jobs] == ["FINISHED"] * SEEDS
    running = (max(job.end_time for job in jobs) - min(job.start_time for job in jobs)) / 1000
    print(f"sweep of {SEEDS} by {name}: {whole:.1f} s, of which the jobs {running:.1f} s: "
          f"{60 * SEEDS / running:.0f} runs a minute", flush=True)  # fmt: skip


def main() -> None:
    with TemporaryDirectory() as folder:
        for part in ("run", *LAUNCHERS):
            (Path(folder) / part).mkdir()
        one_run(Path(folder) / "run")
        for name, launcher in LAUNCHERS.items():
            sweep(Path(folder) / name, name, *launcher)


if __name__ == "__main__":
    main()
