"""Every command and every Python block of README.md and docs/ runs.

The blocks of a page run in order, in one scratch folder, with small settings that lie beneath those of the command
(BENCH_OVERRIDES). A command that can't run stands in SKIPPED with the reason. What a page may use:

- A file: a fenced block that names its path, such as ```yaml title="conf/model/net.yaml", is written to this path.
- Data: where `dataset.root` or `dataset.file` names a path that does not exist, small random data are written to it in
  the format of the dataset. So a page can name any path, such as data/nuclei, or a placeholder such as DIR.
- Plans and a checkpoint of nnU-Net: where `model.plans` or, for them, `weights` names a path that does not exist, small
  ones are written to it.
- RUN_ID stands for the id of the newest finished training run of the page that did not collapse, NAME or SLUG for the
  id of its newest sweep, and ID for the newest subfolder of the folder before it (proposals/ID). If the page has no
  such run or sweep yet, a small one runs first. <run id>, <sweep> and <id> mean the same.
- SEED stands for 0, and … at the end of a command for further overrides.
- Python code has the names of `prepared`: network, images, masks, loader, t, y and RUN_ID.

The configs of the commands of COMPOSED, which take long, are composed and checked, and not run.
"""

import fnmatch
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from pages import ROOT, blocks, pages
from placeholders import filled_in, prepared, write_missing_data, write_missing_plans
from running import CONF, QUIET, artifact, command, layers, runs, with_store

from bench.config import COMMANDS
from bench.config.checks import CHECKS as CHECKED
from bench.config.chosen import choices_in
from bench.config.command_line import read_line
from bench.config.settings import register
from bench.errors import InputError
from bench.sweeps.planned import samples

pytestmark = pytest.mark.processes

SMALL = """
device=cpu
train.epochs=1
dataset.n=[24,16,16]
model.widths=[4,8]
probe.untrained_seeds=0
probe.pixels=256
probe.epochs=[]
estimator.probe.steps=20
ask.samples=64
ask.permutations=2
ask.margin=100
retrain.seeds=2
retrain.epochs=1
retrain.overrides=[]
diagnostic.discarding.images=1
diagnostic.discarding.epoch_images=1
diagnostic.discarding.reconstruction.epochs=1
diagnostic.discarding.reconstruction.images=16
hydra.sweeper.n_trials=2
hydra.sweeper.n_jobs=1
hydra.sweeper.sampler.population_size=2
n=[64]
benchmark=[gaussian]
"""
# page, command, reason
COMPOSED = [
    (
        "docs/results/*",
        r"(?!.*\{\w+,)python",
        "takes minutes to hours; test_experiments.py runs the experiments",
    ),
    ("*", r".*(validity|propose)(?!.*verify=false)", "retrains designs; each command has its own tests"),
    ("docs/how-to/folds.md", r".*folds=5", "many jobs; tests/sweeps/test_folds_sweep.py runs a sweep over folds"),
    (
        "docs/how-to/*",
        r"(?!.* measure ).*(\+experiment=pareto|dataset=decathlon|dataset\.patch|train\.teacher|model=smp)",
        "other tests run them",
    ),
]
SKIPPED = [
    ("*", r"make \S+", "installs into .venv; each target is in the Makefile"),
    ("*", r"(python3 -m venv|pip|export|mlflow) ", "installs packages, or starts a server"),
    ("*", r".*submitit_slurm", "needs Slurm"),
    ("*", r".*hydra/launcher=ray", "needs the extra ray; tests/sweeps/test_ray.py"),
    ("*", r".*--config-dir proposals/<id>", "the designs depend on a search"),
    ("docs/results/calibration.md", r".*\{\w+,", "needs the braces of a shell"),
]
CHECKS = {}  # by page: called with its folder after its blocks ran


def check(page):
    """Register a check of what a page leaves in its folder."""
    return lambda function: CHECKS.setdefault(page, function)


@check("docs/how-to/add-a-component.md")
def check_components(folder):
    network, dataset, estimator, diagnostic = runs(folder)
    assert {"features", "pooled", "out"} <= set(layers(folder, network)["tap"])
    assert '"rings"' in artifact(folder, dataset, "dataset.json").read_text()
    assert layers(folder, estimator).query("estimator == 'median'")["excess"].notna().any()
    assert diagnostic.data.metrics["summary/steepest.gain"] > 0


def entry(table: list, page: str, text: str) -> tuple | None:
    """Return the entry of SKIPPED or COMPOSED for a command, or None."""
    return next((row for row in table if fnmatch.fnmatch(page, row[0]) and re.match(row[1], text)), None)


def is_of_bench(text: str) -> bool:
    return (
        re.match(r"([A-Z_]+=\S+ )*(\S*python3? -m bench|bench)( |$)|eval \"\$\(\S*(python -m )?bench ", text)
        is not None
    )


BLOCKS = [(page, block) for page in pages() for block in blocks(page)]
COMMANDS_OF = [(page, block) for page, block in BLOCKS if block.kind == "shell"]


def test_every_command_runs_or_is_skipped_with_a_reason():
    assert [
        (page, block)
        for page, block in COMMANDS_OF
        if not (is_of_bench(block.text) or entry(SKIPPED, page, block.text))
    ] == []


def test_every_entry_of_the_tables_has_a_command():
    used = {entry(table, page, block.text) for page, block in BLOCKS for table in (SKIPPED, COMPOSED)}
    assert [row for row in SKIPPED + COMPOSED if row not in used] == []


def test_targets_of_make_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert {block.text.split()[1] for _, block in COMMANDS_OF if block.text.startswith("make ")} <= targets


def test_every_check_has_a_page():
    assert set(CHECKS) <= set(pages())


@pytest.mark.parametrize("page", [page for page in pages() if blocks(page)])
def test_page(tmp_path, monkeypatch, page):
    monkeypatch.syspath_prepend(str(tmp_path))  # as `python -m` adds the current folder
    monkeypatch.chdir(tmp_path)
    for module in [name for name in sys.modules if name == "mine" or name.startswith("mine.")]:
        monkeypatch.delitem(sys.modules, module)
    with_store(tmp_path)
    names, faults = {}, []
    for block in blocks(page):
        if block.kind == "file":
            (tmp_path / block.path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / block.path).write_text(block.text, encoding="utf-8")
        elif entry(SKIPPED, page, block.text):
            continue
        elif block.kind == "python":
            names = names or prepared(tmp_path)
            exec(compile(block.text, f"{page}:{block.line}", "exec"), names)
        else:
            is_composed = entry(COMPOSED, page, block.text)
            fault = check_config(block.text) if is_composed else run_command(tmp_path, monkeypatch, block.text)
            faults += [f"{page}:{block.line}: {block.text}\n{fault}"] if fault else []
    assert not faults, "\n".join(faults)
    if page in CHECKS:
        CHECKS[page](tmp_path)


def run_command(folder, monkeypatch, text) -> str | None:
    """Run a command in this process, or in a shell if it is more than one program; return its error, if any."""
    text = filled_in(folder, text)
    if re.search(r"[|;<>&`]|\$\(", text):
        paths = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
        shell = subprocess.run(["bash", "-ec", text], cwd=folder, env=paths, capture_output=True, text=True)
        return shell.stderr if shell.returncode else None
    words = words_of(text)
    with monkeypatch.context() as patched:
        while re.fullmatch(r"[A-Z_]+=.*", words[0]):
            patched.setenv(*words.pop(0).split("=", 1))
        arguments = words[1:] if words[0] == "bench" else words[3:]
        line = read_line(arguments)
        write_missing_data(folder, line)
        write_missing_plans(folder, line)
        is_medmnist = "medmnist" in choices_in(line.command, line.overrides).get("dataset", [])
        small = folder / "small.txt"
        small.write_text(SMALL + ("" if is_medmnist else "dataset.size=32\n"))
        patched.setenv("BENCH_OVERRIDES", str(small))
        ended = command(folder, *arguments, *(QUIET if line.overrides else ()))
    return ended.err if ended.code else None


def check_config(text) -> str | None:
    """Compose and check the config of a command, of a sweep for each of its values; return the error, if any."""
    register()
    try:
        line = read_line(words_of(re.sub(r"<[\w ]+>", "0123abcd", text))[3:])
        overrides = OverridesParser.create().parse_overrides(list(line.overrides))
        for job in samples(overrides) if overrides else [[]]:
            with initialize_config_dir(str(CONF), version_base="1.3"):
                CHECKED[line.command](compose(COMMANDS[line.command], job))
    except (InputError, HydraException) as error:
        return str(error)
    return None


def words_of(text: str) -> list[str]:
    text = re.sub(r"\bSEED\b", "0", text)
    return [word for word in shlex.split(text, comments=True) if word != "…"]
