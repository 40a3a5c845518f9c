"""Memory of a dataset of ten times the memory that it may take: peak memory, time and results, on disk and in memory.

It draws images of discs, and trains and measures a small U-Net on them with `python -m bench`:

- a twentieth of the images, for the base: the most private memory (VmData) that the command itself needs;
- all images on disk, under a hard limit (RLIMIT_DATA) of the base and a tenth of the bytes of all samples;
- the same again, which finds the cache;
- all images in memory, without a limit.

The samples in memory are float32 images and int64 masks. `layers.csv`, `test.csv` and the metrics of the run on disk
must equal those of the run in memory. The script ends with an error if they do not, or if the limit is exceeded.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from PIL import Image

SIDE = 128
SAMPLE = SIDE**2 * (4 + 8)  # bytes of a sample in memory
TENTH = 10
SETTINGS = (
    "dataset.size=null", "dataset.n=null", "model.widths=[4,8]", "train.epochs=2", "train.batch_size=16",
    "probe.split=train", "probe.n=48", "probe.untrained_seeds=1", "estimator=[probe]", "diagnostic=[]", "resume=false",
)  # fmt: skip


def draw(root: Path, count: int) -> None:
    """Draw discs and their masks."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    for number in range(count):
        row, column = rng.uniform(0.3 * SIDE, 0.7 * SIDE, 2)
        disc = (y - row) ** 2 + (x - column) ** 2 < rng.uniform(0.1 * SIDE, 0.25 * SIDE) ** 2
        image = (60 + 100 * disc + rng.normal(0, 20, disc.shape)).clip(0, 255)
        Image.fromarray(image.astype(np.uint8)).save(root / "images" / f"{number:05d}.png")
        Image.fromarray((255 * disc).astype(np.uint8)).save(root / "masks" / f"{number:05d}.png")


def run(folder: Path, root: Path, cache: str, limit: int | None = None) -> dict:
    """Run the command, and return its seconds, its peaks in bytes and its results."""
    command = [sys.executable, "-m", "bench", "dataset=image_folder", f"dataset.root={root}", f"dataset.cache={cache}"]
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, *SETTINGS, f"tracking.experiment={folder.name}"], cwd=folder, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=None if limit is None else lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)),
    )  # fmt: skip
    data = rss = 0
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines())
        if "VmData" in fields:
            data = max(data, 1024 * int(fields["VmData"].split()[0]))
            rss = max(rss, 1024 * int(fields["VmHWM"].split()[0]))
        time.sleep(0.05)
    assert process.stdout is not None
    output = process.stdout.read()
    if process.returncode:
        sys.exit(f"{cache}: exit code {process.returncode}\n{output[-2000:]}")
    return {"seconds": time.perf_counter() - started, "data": data, "rss": rss, "results": results(folder)}


def results(folder: Path) -> dict:
    """Return the tables and the metrics of the newest run, without times."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name(folder.name)
    assert experiment is not None
    newest = client.search_runs([experiment.experiment_id])[0]
    tables = {}
    for name in ("layers.csv", "test.csv"):
        path = client.download_artifacts(newest.info.run_id, name)
        tables[name] = pd.read_csv(path, dtype=str).drop(columns="seconds", errors="ignore").to_csv()
    times = ("cost/latency", "system/")
    return tables | {key: value for key, value in newest.data.metrics.items() if not key.startswith(times)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=400, help="of the samples in memory")
    count = parser.parse_args().megabytes * 10**6 // SAMPLE
    whole, allowed = count * SAMPLE, count * SAMPLE // TENTH
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "memory"
        folder.mkdir()
        draw(Path(scratch) / "all", count)
        draw(Path(scratch) / "few", count // (2 * TENTH))
        base = run(folder, Path(scratch) / "few", "disk")
        limit = base["data"] + allowed
        print(f"{count} images of {SIDE}x{SIDE}, {whole / 1e6:.0f} MB in memory; limit: {base['data'] / 1e6:.0f} MB of")
        print(f"the command on {count // (2 * TENTH)} images, and {allowed / 1e6:.0f} MB (RLIMIT_DATA)\n")
        runs = {
            "on disk, under the limit": run(folder, Path(scratch) / "all", "disk", limit),
            "again, with the cache": run(folder, Path(scratch) / "all", "disk", limit),
            "in memory, without limit": run(folder, Path(scratch) / "all", "memory"),
        }
        assert list(folder.glob("cache/all-*")), "the samples were not on disk"
        print(f"{'run':26}{'seconds':>8}{'peak RSS':>12}{'peak data':>12}")
        for name, found in {"base": base, **runs}.items():
            print(f"{name:26}{found['seconds']:8.1f}{found['rss'] / 1e6:9.0f} MB{found['data'] / 1e6:9.0f} MB")
        first, again, in_memory = runs.values()
        assert first["results"] == again["results"] == in_memory["results"], "the results differ"
        assert first["rss"] < limit, "the peak exceeds the limit"
        print(f"\nresults are equal; time on disk / in memory {first['seconds'] / in_memory['seconds']:.2f}")


if __name__ == "__main__":
    main()
