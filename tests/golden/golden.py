"""Golden outputs: whether another version of the code gives the same numbers, to the last digit.

    python tests/golden/golden.py record CHECKOUT OUT      runs commands.toml with the code of CHECKOUT
    python tests/golden/golden.py compare OLD NEW          exit code 1 if two recordings differ
    python tests/golden/golden.py against COMMIT           records a commit and the working tree, and compares them

The comparison covers every table, metric, parameter and printed line. It leaves out values that differ between two runs
of the same code, such as times. renamed.toml lists names that were changed on purpose. `make golden BASE=COMMIT` calls
`against`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient

HERE = Path(__file__).parent
COMMANDS = tomllib.loads((HERE / "commands.toml").read_text())
VOLATILE = re.compile(r"seconds|minutes|latency|memory|_ms|git|version|host|owner|fingerprint")
TIMES = re.compile(r"seconds|minutes|latency\w*|ms")  # headers of printed columns
MASKED = (
    (r"\[\d{4}-\d\d-\d\d [\d:,]+\]", "[WHEN]"),
    (r"\b[0-9a-f]{32}\b", "RUN"),
    (r"\b[\d.,]+ (ms|s|min|h|minutes)\b", "TIME"),
    (r"(/[\w.-]+){2,}", "PATH"),
    (r"(sqlite|http|file)://\S+", "URI"),
    (r"latency_ms +\S+", "latency_ms"),
)


def record(checkout: Path, out: Path, only: list[str]) -> None:
    """Run the commands with the code of a checkout, and write their outputs; SystemExit if one of them fails."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    for name, group in COMMANDS.items():
        if only and name not in only:
            continue
        folder = out / name
        folder.mkdir(parents=True)
        for number, line in enumerate(group["run"]):
            words = shlex.split(line.replace("RUN", _first_run(folder)) if "RUN" in line else line)
            command = [sys.executable, "-m", "bench", *words]
            ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            (folder / f"{number}.out.txt").write_text(f"exit code {ended.returncode}\n{masked(ended.stdout)}")
            (folder / f"{number}.err.txt").write_text(ended.stderr)
            if ended.returncode:
                sys.exit(f"golden: {name}: `python -m bench {line}` failed: {ended.stderr[-300:]}")
        for number, run in enumerate(_runs(folder)):
            _write_run(run, folder, number)
        print(f"recorded {name}", flush=True)


def masked(text: str) -> str:
    """Replace what differs between two runs of the same code.

    >>> masked("run 0123456789abcdef0123456789abcdef took 1.5 s")
    'run RUN took TIME'
    """
    for pattern, word in MASKED:
        text = re.sub(pattern, word, text)
    return _without_times(text)


def _without_times(text: str) -> str:
    r"""Remove the columns of printed tables that hold times. A value ends below the end of its header.

    >>> _without_times("    ms rmse seconds\nksg  3  0.2     0.1\n\nend")
    ' rmse\nksg  0.2\n\nend'
    """
    lines, ends = [], []
    for line in text.split("\n"):
        cells = list(re.finditer(r"\s*\S+", line))
        times = [cell.end() for cell in cells if TIMES.fullmatch(cell[0].strip())]
        ends = (times or ends) if cells else []
        lines.append("".join(cell[0] for cell in cells if cell.end() not in ends))
    return "\n".join(lines)


def _client(folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")


def _runs(folder: Path) -> list:
    if not (folder / "mlflow.db").exists():
        return []
    client = _client(folder)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments, max_results=1000, order_by=["attributes.start_time ASC"]))


def _first_run(folder: Path) -> str:
    return _runs(folder)[0].info.run_id


def _write_run(run, folder: Path, number: int) -> None:
    client, out = _client(folder), folder / "runs" / str(number)
    out.mkdir(parents=True)
    history = {
        key: [[point.step, repr(point.value)] for point in client.get_metric_history(run.info.run_id, key)]
        for key in sorted(run.data.metrics)
        if not VOLATILE.search(key)
    }
    params = {key: masked(value) for key, value in sorted(run.data.params.items()) if not VOLATILE.search(key)}
    description = {"name": run.info.run_name, "status": run.info.status, "metrics": history, "params": params}
    (out / "run.json").write_text(json.dumps(description, indent=1))
    artifacts = Path(client.download_artifacts(run.info.run_id, ""))
    for path in sorted(artifacts.rglob("*.csv")):
        target = out / path.relative_to(artifacts)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(masked(_lasting(path)))
    figures = sorted(str(path.relative_to(artifacts)) for path in artifacts.rglob("*.png"))
    (out / "figures.txt").write_text("\n".join(figures))


def _lasting(path: Path) -> str:
    """Return a csv file without the columns that differ between two runs of the same code."""
    if not path.read_text().strip():
        return ""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return table[[column for column in table if not VOLATILE.search(column)]].to_csv(index=False)


def differences(old: Path, new: Path, renamed: dict[str, str]) -> Iterator[str]:
    """Yield the first difference of each file of two recordings."""
    names = [{path.relative_to(root) for path in root.rglob("*") if _compared(path, root)} for root in (old, new)]
    wanted = {Path(_renamed(str(path), renamed)): path for path in names[0]}
    for path in sorted(wanted.keys() ^ names[1]):
        yield f"{path}: only in {'the new' if path in names[1] else 'the old'} recording"
    for path in sorted(wanted.keys() & names[1]):
        before = _lines(path, _renamed((old / wanted[path]).read_text(), renamed))
        after = _lines(path, (new / path).read_text())
        if len(before) != len(after):
            yield f"{path}: {len(before)} lines became {len(after)}"
        for number, (one, other) in enumerate(zip(before, after, strict=False), 1):
            is_printed = path.name.endswith(".out.txt")  # the padding of columns may differ
            if one.split() != other.split() if is_printed else one != other:
                yield f"{path}:{number}\n  - {one[:300]}\n  + {other[:300]}"
                break


def _compared(path: Path, root: Path) -> bool:
    inside = path.relative_to(root).parts
    return path.is_file() and (path.name.endswith(".out.txt") or "runs" in inside)


def _lines(path: Path, text: str) -> list[str]:
    """Return the lines of a file. Rows of a table and keys of a run are sorted, because their order is no result."""
    if path.suffix == ".json":
        text = json.dumps(json.loads(text), indent=1, sort_keys=True)
    lines = text.splitlines()
    return lines[:1] + sorted(lines[1:]) if path.suffix == ".csv" else lines


def _renamed(text: str, renamed: dict[str, str]) -> str:
    for was, becomes in renamed.items():
        text = re.sub(was, becomes, text)
    return text


def compare(old: Path, new: Path) -> int:
    """Print the differences of two recordings; return the exit code, 1 if there are any."""
    found = list(differences(old, new, tomllib.loads((HERE / "renamed.toml").read_text())))
    print("\n".join(found) or "the recordings are equal")
    return int(bool(found))


def against(commit: str, only: list[str]) -> int:
    """Record a commit and the working tree in a temporary folder, which is kept, and compare them."""
    folder = Path(tempfile.mkdtemp(prefix="golden-"))
    checkout = folder / "checkout"
    subprocess.run(["git", "worktree", "add", "--quiet", "--detach", checkout, commit], cwd=HERE, check=True)
    try:
        record(checkout, folder / "old", only)
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", checkout], cwd=HERE, check=True)
    record(HERE.parents[1], folder / "new", only)
    print(f"recordings: {folder / 'old'} and {folder / 'new'}")
    return compare(folder / "old", folder / "new")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record")
    recording.add_argument("checkout", type=Path)
    recording.add_argument("out", type=Path)
    comparing = commands.add_parser("compare")
    comparing.add_argument("old", type=Path)
    comparing.add_argument("new", type=Path)
    committed = commands.add_parser("against")
    committed.add_argument("commit")
    for records in (recording, committed):
        records.add_argument("only", nargs="*", help=f"of {', '.join(COMMANDS)}; all if none is given")
    chosen = parser.parse_args()
    if unknown := set(getattr(chosen, "only", ())) - set(COMMANDS):
        parser.error(f"got {min(unknown)!r}, wanted names of commands.toml: {', '.join(COMMANDS)}")
    if chosen.command == "record":
        record(chosen.checkout.resolve(), chosen.out.resolve(), chosen.only)
        return 0
    if chosen.command == "against":
        return against(chosen.commit, chosen.only)
    return compare(chosen.old, chosen.new)


if __name__ == "__main__":
    sys.exit(main())
