"""The command line: help, the composed config, tab completion, and one line that shows the right form of a mistake."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from running import assert_refused, command, composed, names

from bench.config import COMMANDS
from bench.config.chosen import keys_in
from bench.config.command_line import add_folds, read_line
from bench.config.completion import SCRIPT
from bench.config.described import describe
from bench.config.help import EXAMPLES

# Help


def test_help_names_commands_choices_and_settings_with_comments(tmp_path):
    ended = command(tmp_path, "--help")
    assert ended.code == 0
    shown = " ".join(ended.out.split())
    assert all(f" {name} {describe(name).text[:40]}" in shown for name in COMMANDS)
    for group in ("dataset", "diagnostic", "estimator", "experiment", "model"):
        assert ", ".join(names(group)) in shown
    assert "probe.untrained_seeds=0 number of untrained networks" in shown
    assert "device=auto auto | cpu | cuda" in shown
    assert max(map(len, ended.out.splitlines())) <= 110
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_has_each_of_its_settings(tmp_path, name):
    ended = command(tmp_path, name, "--help")
    assert ended.code == 0
    assert all(f"\n  {each.key}" in ended.out for each in describe(name).settings)
    for example in EXAMPLES[name]:
        keys = {word.lstrip("+").partition("=")[0] for word in example.split() if "=" in word}
        assert keys <= {*keys_in(name, example.split()), "experiment"}


def test_help_of_a_choice(tmp_path):
    shown = " ".join(command(tmp_path, "dataset=image_folder", "-h").out.split())
    assert "dataset.size=128 one side, or [h, w]; null = the size of the images" in shown
    assert "Choices of dataset: class_folders Your images in a folder" in shown


@pytest.mark.parametrize("words", [(), ("run",)])
def test_cfg_job_shows_the_composed_config(tmp_path, words):
    ended = command(tmp_path, *words, "--cfg", "job", "estimator=[renyi,binning]", "estimator.renyi.alpha=2", "seed=5")
    shown = yaml.safe_load(ended.out)
    assert ended.code == 0
    assert list(shown["estimator"]) == ["renyi", "binning"]
    assert shown["estimator"]["renyi"]["alpha"] == 2
    assert shown["seed"] == 5
    assert list(tmp_path.iterdir()) == []


# Mistakes


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model.widths=[8,", "16]"], "a shell splits at spaces; write 'model.widths=[8,16]'"),
        (["seed", "=", "3"], "got spaces around =, wanted none; write seed=3"),
        (["dataset.root=my", "data"], "got 'data', wanted one command and overrides such as name=value"),
        (["--epochs", "2"], "--epochs: settings have no dashes; write train.epochs=2"),
        (["--train.epochs=2"], "--train.epochs=2: settings have no dashes; write train.epochs=2"),
        (["--hlep"], "--hlep: no such flag; did you mean --help?"),
        (["-m", "--cfg", "job"], "got several of -m, --cfg and --info"),
        (["propos"], "did you mean propose?"),
        (["epochs=2"], "did you mean train.epochs or probe.epochs or"),
        (["lr=0.1"], "did you mean train.optimizer.lr?"),
        (["modle=unet"], "modle: no setting of run has this name; did you mean model?"),
        (["~diagnostics"], "did you mean diagnostic?"),
        (["dataset=phantom"], "did you mean phantoms?"),
        (["model=unett"], "did you mean unet?"),
        (["-m", "estimator=[kdee],[kde]"], "did you mean kde?"),
        (["+experiment=lee2022"], "did you mean lee2021?"),
        (["experiment=lee2021"], "write +experiment=lee2021"),
        (["hydra/launcher=joblb"], "did you mean joblib?"),
        (["propose", "retrain.seed=2"], "did you mean retrain.seeds?"),
        (["compare", "dataset=mnist"], "dataset: no setting of compare has this name, wanted one of runs, sweep"),
        (["dataset.root=x"], "dataset.root: not a setting of dataset=phantoms, wanted one of dataset=class_folders"),
        (["train.optimizer.momentum=0.9"], "add it as +train.optimizer.momentum=0.9"),
        (
            ["model.widths=8,16"],
            "wanted a list: model.widths=[8,16], or a sweep over several values: python -m bench -m",
        ),
        (["train.loss==ce"], "got the override 'train.loss==ce', which can't be read"),
        (["+experiment=pareto"], "which is a sweep over many runs; write python -m bench -m +experiment=pareto"),
        (["train.optimizer=sgd"], "got 'sgd', wanted a class; write train.optimizer._target_=torch.optim.SGD"),
    ],
)
def test_a_mistake_shows_the_right_form(tmp_path, words, message):
    assert_refused(command(tmp_path, *words), message)


@pytest.mark.parametrize(
    "words",
    [
        ["--cfg", "job", "model=cnn", "seed=3"],
        ["model=cnn", "--cfg", "job", "seed=3"],
        ["model=cnn", "seed=3", "run", "--cfg", "job"],
    ],
)
def test_flags_overrides_and_the_command_stand_in_any_order(tmp_path, words):
    shown = yaml.safe_load(command(tmp_path, *words).out)
    assert (shown["model"]["_target_"], shown["seed"]) == ("models.CNN", 3)


def test_one_member_of_a_list_needs_no_brackets():
    assert list(composed("estimator=probe").estimator) == ["probe"]


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("dataset.root=~/data", "root", "{home}/data"),
        ("dataset.root='~/data'", "root", "{home}/data"),
        ("dataset.root=~", "root", "{home}"),
        ("dataset.root=data~/x", None, None),
    ],
)
def test_the_home_folder(tmp_path, monkeypatch, override, key, value):
    home = tmp_path / "my home"
    monkeypatch.setenv("HOME", str(home))
    ended = command(tmp_path, "dataset=image_folder", override, "--cfg", "job", "-p", "dataset")
    if key is None:
        assert_refused(ended, "can't be read")
    else:
        assert yaml.safe_load(ended.out)[key] == value.format(home=home)


def test_the_home_folder_in_an_address(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    ended = command(tmp_path, "tracking.uri=sqlite:///~/x.db", "--cfg", "job", "-p", "tracking")
    assert yaml.safe_load(ended.out)["uri"] == f"sqlite:///{tmp_path}/x.db"


# A file of overrides


def test_overrides_of_a_file_lie_beneath_those_of_the_line(tmp_path, monkeypatch):
    file = tmp_path / "small.txt"
    file.write_text("# small\nseed=4\nmodel.widths=[4,8]  # two levels\ntrain.epochs=1\nbits=[0]\n")
    monkeypatch.setenv("BENCH_OVERRIDES", str(file))
    ended = command(tmp_path, "--cfg", "job", "seed=9", "+experiment=lee2021")
    shown = yaml.safe_load(ended.out)
    assert (shown["seed"], shown["model"]["widths"], shown["train"]["epochs"]) == (9, [4, 8], 1)
    assert ended.err == "bench: BENCH_OVERRIDES adds model.widths=[4,8] train.epochs=1\n"
    assert "bits" not in shown
    assert yaml.safe_load(command(tmp_path, "--cfg", "job", "model=cnn").out)["seed"] == 4


@pytest.mark.parametrize("text", ["trian.epochs=1", "seed", None])
def test_a_wrong_file_of_overrides(tmp_path, monkeypatch, text):
    file = tmp_path / "small.txt"
    if text:
        file.write_text(text)
    monkeypatch.setenv("BENCH_OVERRIDES", str(file))
    assert_refused(command(tmp_path, "--cfg", "job"), "BENCH_OVERRIDES: got", text or "can't be read")


# Tab completion


@pytest.mark.parametrize(
    ("line", "choices"),
    [
        ("bench model=", [f"model={name}" for name in names("model")]),
        ("bench model=unet_", ["model=unet_lee2021"]),
        ("bench run dataset=", [f"dataset={name}" for name in names("dataset")]),
        ("bench train.b", ["train.batch_size="]),
        ("python -m bench prop", ["propose"]),
        ("python -m bench propose retrain.ep", ["retrain.epochs="]),
        ("python -m bench train.opt", ["train.optimizer."]),
        ("bench -m estimator=[kde,ksg_", ["estimator=[kde,ksg_mixture"]),
        ("bench dataset=image_folder dataset.r", ["dataset.root="]),
        ("bench +experiment=l", ["+experiment=lee2021"]),
        ("bench device=", ["device=auto", "device=cpu", "device=cuda"]),
        ("bench train.loss=dice", ["train.loss=dice", "train.loss=dice_ce", "train.loss=dice_focal"]),
        ("bench --h", ["--help"]),
        ("bench nothing", []),
    ],
)
def test_tab_completion(tmp_path, monkeypatch, line, choices):
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    ended = command(tmp_path, "-sc", "query=bash")
    assert ended.code == 0, ended.err
    assert ended.out.split() == choices


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("line", "replies"),
    [("propose retrain.see", "retrain.seeds="), ("model=unet_", "unet_lee2021"), ("prop", "propose ")],
)
def test_tab_completion_in_bash(tmp_path, line, replies):
    line = f"{sys.executable} -m bench {line}"
    (tmp_path / "script").write_text(f"{SCRIPT} python\n_bench_completion\nprintf '%s|' \"${{COMPREPLY[@]}}\"\n")
    shown = subprocess.run(
        ["bash", "script"],
        cwd=tmp_path,
        env={"COMP_LINE": line, "COMP_POINT": str(len(line)), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == f"{replies}|", shown.stderr


def test_installing_completion_prints_a_script_for_bash(tmp_path):
    assert command(tmp_path, "-sc", "install=bash").out.endswith("_bench_completion bench\n")


# Folds


@pytest.mark.parametrize(
    ("words", "added"),
    [
        (["folds=3"], "-m fold=0,1,2"),
        (["-m", "folds=2", "seed=0,1"], "fold=0,1"),
        (["folds=3", "fold=1"], ""),
        (["-m", "folds=3", "fold=0,2"], ""),
        (["folds=part"], ""),  # the number of folds is in the csv
        (["--cfg", "job", "folds=3"], ""),
        (["measure", "folds=3"], ""),
    ],
)
def test_a_number_of_folds_without_a_fold_is_a_sweep_over_all_folds(words, added, capsys):
    before = read_line(words)
    line = add_folds(before)
    assert " ".join([*line.flags[len(before.flags) :], *line.overrides[len(before.overrides) :]]) == added
    folds = next(word for word in words if word.startswith("folds="))
    assert capsys.readouterr().err == (f"bench: {folds} without fold adds {added}\n" if added else "")
