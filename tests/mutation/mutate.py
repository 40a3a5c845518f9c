"""Mutation testing: the share of small faults in the code that the tests find. `make mutate`; results: docs/testing.md.

Each mutant is written into a copy of the checkout and tested in a process forked from one that has imported the large
libraries. A mutant is killed if a test fails or the tests exceed their time limit.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from difflib import unified_diff
from importlib import import_module
from pathlib import Path

import pytest
from mutants import Mutant, sample

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
COPIED = ("bench", "models", "conf", "tests", "pyproject.toml")
LIBRARIES = ("torch", "torchvision", "monai.metrics", "monai.inferers", "sklearn.metrics", "scipy.stats",
             "segmentation_models_pytorch", "pandas", "hydra", "mlflow", "matplotlib.pyplot")  # fmt: skip
MEMORY = 8 * 2**30  # bytes that the tests of a mutant may allocate
IDLE = 20  # wall-clock limit in units of the limit of CPU time, for tests that wait or share the CPU
LEAST_SHARE = 0.9  # minimal share of mutants that are killed or explained
OUTCOMES = ("killed", "timeout", "explained", "survived")


def run_tests(tests: Sequence[str], limit: int) -> tuple[str, float]:
    """Run tests of the working directory; return `survived`, `killed` or `timeout`, and their seconds of CPU time.

    They run in a forked process for at most `limit` seconds of CPU time, which do not depend on other processes.
    """
    child = os.fork()
    if child == 0:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        for stream in (1, 2):
            os.dup2(os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
        os._exit(pytest.main([*tests, "-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=short"]))
    end, ended = time.monotonic() + IDLE * limit, 0
    try:
        while not ended and time.monotonic() < end:
            ended, status, used = os.wait4(child, os.WNOHANG)
            time.sleep(0.02)
    finally:
        if not ended:
            os.killpg(child, signal.SIGKILL)
            _, status, used = os.wait4(child, 0)
    seconds = used.ru_utime + used.ru_stime
    return "timeout" if os.WIFSIGNALED(status) else "killed" if status else "survived", seconds


def run_file(file: str, tests: Sequence[str], count: int, seed: int, explained: set) -> list[tuple[Mutant, str]]:
    """Return the outcome of each sampled mutant of a file; RuntimeError if the tests fail without a mutant."""
    path = Path(file)
    source = path.read_text()
    outcome, seconds = run_tests(tests, 600)
    if outcome != "survived":
        raise RuntimeError(f"{file}: its tests fail without a mutant:\n{Path('output.txt').read_text()[-3000:]}")
    limit = 10 + round(5 * seconds)
    outcomes = []
    for mutant in sample(source, count, f"{seed}:{file}"):
        if (file, mutant.was, mutant.becomes) in explained:
            outcomes.append((mutant, "explained"))
            continue
        path.write_text(mutant.source)
        outcomes.append((mutant, run_tests(tests, limit)[0]))
    path.write_text(source)
    return outcomes


def report(file: str, source: str, outcomes: Sequence[tuple[Mutant, str]]) -> None:
    counts = ", ".join(f"{_count(outcomes, outcome)} {outcome}" for outcome in OUTCOMES)
    print(f"{file}: {len(outcomes)} mutants, {counts}", flush=True)
    for mutant, outcome in outcomes:
        if outcome == "survived":
            lines = (each.splitlines() for each in (source, mutant.source))
            print(*unified_diff(*lines, file, file, n=1, lineterm=""), sep="\n", flush=True)


def _count(outcomes: Sequence[tuple[Mutant, str]], outcome: str) -> int:
    return sum(reached == outcome for _, reached in outcomes)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--room", help="one room of mutants.toml, such as estimators")
    parser.add_argument("--file", help="one file, such as bench/information/estimate.py")
    parser.add_argument("--count", type=int, default=8, help="number of mutants drawn for each file")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the copy is removed and the tests end
    known = tomllib.loads((HERE / "mutants.toml").read_text())
    explained = {(each["file"], each["was"], each["becomes"]) for each in known["explained"]}
    rooms = {
        room: {file: tests for file, tests in files.items() if options.file in (None, file)}
        for room, files in known["rooms"].items()
        if options.room in (None, room)
    }
    if not any(rooms.values()):
        parser.error(f"got room {options.room} and file {options.file}, wanted those of {HERE / 'mutants.toml'}")
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, Path(folder, name))
        os.chdir(folder)
        sys.path[:0] = [folder]
        os.environ["PYTHONPATH"] = folder
        sys.dont_write_bytecode = True  # a cached module could hide a mutant that was written in the same second
        for library in LIBRARIES:
            import_module(library)
        totals, failing = {}, []
        for room, files in rooms.items():
            totals[room] = []
            for file, tests in files.items():
                source = Path(file).read_text()
                try:
                    outcomes = run_file(file, tests, options.count, options.seed, explained)
                except RuntimeError as error:
                    print(error, flush=True)
                    failing.append(file)
                    continue
                report(file, source, outcomes)
                totals[room] += outcomes
        os.chdir(ROOT)
    every = [outcome for outcomes in totals.values() for outcome in outcomes]
    print("\n| room | mutants |", " | ".join(OUTCOMES), "|\n|---|---:|" + "---:|" * len(OUTCOMES))
    for room, outcomes in (totals | {"all": every}).items():
        print(f"| {room} | {len(outcomes)} |", " | ".join(str(_count(outcomes, each)) for each in OUTCOMES), "|")
    return int(bool(failing) or _count(every, "survived") > (1 - LEAST_SHARE) * len(every))


if __name__ == "__main__":
    sys.exit(main())
