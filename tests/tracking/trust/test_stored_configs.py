"""Configs of tracked runs that name other code: no reader runs it from any section."""

import pickle
import random
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from omegaconf import OmegaConf
from reading import READERS, assert_readers_refuse
from running import QUIET, assert_refused, command, composed, names, stored_file, tiny, uri

import bench
from bench.__main__ import CONF
from bench.errors import InputError
from bench.tracking.trust import check_stored

LR = "torch.optim.lr_scheduler"
CUSTOM = {"_target_": "models.Custom", "in_channels": 1, "input_size": [16, 16], "taps": None}


class TouchesFile:
    """Object that creates a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def payloads(folder: Path) -> dict[str, dict]:
    """Return parts of a config, by name, that create the file `canary` in a folder when they are built."""
    canary, evil = folder / "canary", folder / "evil.pkl"
    evil.write_bytes(pickle.dumps(TouchesFile(canary)))
    torch.save(TouchesFile(canary), folder / "evil.pt")
    (folder / "hubconf.py").write_text(f"open({str(canary)!r}, 'w')\ndef evil(): pass\n")
    shell = f"touch {canary}"
    parts = {
        "pandas.read_pickle": {"filepath_or_buffer": str(evil)},
        "torch.load": {"f": str(folder / "evil.pt"), "weights_only": False},
        "torch.serialization.load": {"f": str(folder / "evil.pt"), "weights_only": False},
        "joblib.load": {"filename": str(evil)},
        "numpy.load": {"file": str(evil), "allow_pickle": True},
        "torch.hub.load": {"repo_or_dir": str(folder), "model": "evil", "source": "local"},
        "shutil.copyfile": {"src": str(evil), "dst": str(canary)},
        "builtins.eval": {"_args_": [f"open({str(canary)!r}, 'w')"]},
        "builtins.exec": {"_args_": [f"open({str(canary)!r}, 'w')"]},
        "os.system": {"command": shell},
        "subprocess.Popen": {"args": shell, "shell": True},
        "subprocess.run": {"args": shell, "shell": True},
        "torch.nn.functional.os.system": {"command": shell},
        "torch.nn.modules.module.os.system": {"command": shell},
        "torch.optim.optimizer.functools.partial": {"_args_": [shell]},
        "bench.datasets.medmnist.pd.read_pickle": {"filepath_or_buffer": str(evil)},
        "bench.datasets.files.read_image": {"path": str(evil)},
        "bench.config.build.instantiate": {"config": {"_target_": "os.system", "command": shell}},
        "bench.tracking.stored.weights": {"path": str(evil)},
        "hydra.utils.call": {"config": {"_target_": "os.system", "command": shell}},
        "hydra.utils.get_method": {"path": "os.system"},
        "monai.bundle.run": {"config_file": str(evil)},
        "monai.apps.download_url": {"url": f"file://{evil}", "filepath": str(canary)},
        "monai.networks.utils.convert_to_onnx": {"model": None, "filename": str(canary)},
        "monai.losses.PerceptualLoss": {"spatial_dims": 2},
        "timm.models.load_checkpoint": {"model": None, "checkpoint_path": str(evil)},
        "segmentation_models_pytorch.from_pretrained": {"pretrained_model_name_or_path": str(folder)},
        "segmentation_models_pytorch.Unet.from_pretrained": {"pretrained_model_name_or_path": str(folder)},
        "torch.nn.Module.load_state_dict": {},
        "torch.nn.modules": {},
        "models.unet._hidden": {},
        "models.weights.hf_hub_download": {"repo_id": "a/b", "filename": "c"},
    }
    return {target: {"_target_": target, **arguments} for target, arguments in parts.items()}


# positions of a part in a config
POSITIONS = {
    "model": lambda part: {"model": part},
    "its network": lambda part: {"model": CUSTOM | {"network": part}},
    "a network in _args_": lambda part: {
        "model": CUSTOM | {"network": {"_target_": "torch.nn.Sequential", "_args_": [part]}}
    },
    "a list": lambda part: {"model": {"_target_": "models.UNet", "widths": [[part]]}},
    "a dictionary": lambda part: {"model": {"_target_": "models.Monai", "arguments": {"act": {"a": part}}}},
    "dataset": lambda part: {"dataset": part},
    "in a dataset": lambda part: {"dataset": {"_target_": "bench.datasets.phantoms", "augment": [part]}},
    "optimizer": lambda part: {"train": {"optimizer": part | {"_partial_": True}}},
    "schedule": lambda part: {
        "train": {"schedule": {"_target_": "torch.optim.lr_scheduler.LambdaLR", "lr_lambda": part}}
    },
    "estimator": lambda part: {"estimator": {"kde": part}},
    "diagnostic": lambda part: {
        "diagnostic": {"d": {"_target_": "bench.diagnostics.InformationDiscarding", "solver": part}}
    },
    "elsewhere": lambda part: {"probe": {"views": part}},
    "at the top": lambda part: part,
    "not recursive": lambda part: {"model": CUSTOM | {"_recursive_": False, "network": part}},
}


def test_the_payloads_work_without_protection(tmp_path):
    for name in ("evil.pkl", "evil.pt"):
        payloads(tmp_path)
        (pd.read_pickle if name == "evil.pkl" else lambda path: torch.load(path, weights_only=False))(tmp_path / name)
        assert (tmp_path / "canary").exists()
        (tmp_path / "canary").unlink()


def test_unknown_parts_are_refused_at_every_position(tmp_path, trained):
    _, run = trained
    config = yaml.safe_load(stored_file(run, "config.yaml").read_text())
    for part in payloads(tmp_path).values():
        for position, sections in POSITIONS.items():
            with pytest.raises(InputError):
                check_stored(config | sections(part), "run")
            assert not (tmp_path / "canary").exists(), (part, position)


def test_only_known_parts_are_built(tmp_path, trained, stored):
    parts = payloads(tmp_path)
    for target in random.Random(0).sample(sorted(parts), 10):
        stored(model=CUSTOM | {"network": parts[target]})
        assert_readers_refuse(trained, target, readers=READERS[:1])
        assert not (tmp_path / "canary").exists(), target


@pytest.mark.parametrize("target", ["pandas.read_pickle", "shutil.copyfile", "builtins.eval", "os.system"])
def test_no_reader_builds_an_unknown_part(tmp_path, trained, stored, target):
    for sections in ("model", "its network", "dataset", "optimizer"):
        stored(**POSITIONS[sections](payloads(tmp_path)[target]))
        assert_readers_refuse(trained, target)
        assert not (tmp_path / "canary").exists()


def test_commands_refuse_unknown_parts_and_name_the_option_trust(tmp_path, trained, stored):
    folder, run = trained
    stored(model=payloads(tmp_path)["pandas.read_pickle"])
    message = (
        "'pandas.read_pickle' as model, wanted a network of models, torch.nn",
        "trust=[pandas.read_pickle] permits",
    )
    for name in ("propose", "validity"):
        assert_refused(
            command(folder, name, *QUIET, f"run={run.info.run_id}", "device=cpu"), "run: config.yaml", *message
        )
    assert_refused(tiny(folder, f"train.teacher={run.info.run_id}"), "train.teacher: config.yaml", *message)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    "text", ["${oc.env:SECRET}", "a ${model.widths}", "${..seed}", r"\${oc.env:SECRET}", "${now:%Y}", "${", "???"]
)
def test_interpolations_are_not_resolved(trained, stored, text, monkeypatch):
    monkeypatch.setenv("SECRET", "hunter2")
    for sections in (
        {"dataset": {"_target_": "bench.datasets.phantoms", "task": text}},
        {"model": {"_target_": "models.UNet", "skips": [[text]]}},
        {"train": {"loss": {"nested": {text: 1}}}},
        {"other": text},
    ):
        stored(**sections)
        for message in assert_readers_refuse(trained):
            assert "wanted only values" in message or "is not YAML" in message  # "${" cannot be parsed
            assert "hunter2" not in message


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"model": [1]}, "no model that can be built"),
        ({"model": {}}, "no model that can be built"),
        ({"model": {"_target_": 3}}, "model._target_=3, wanted a str"),
        ({"model": {"_target_": "models.UNet", "_partial_": True}}, "no model that can be built"),
        ({"model": {"_target_": "models.UNet", "_recursive_": "no"}}, "model._recursive_='no', wanted a bool"),
        ({"model": {"_target_": "models.UNet", "widths": [0]}}, "can't be built: model: widths: got [0]"),
        ({"model": {"_target_": "models.UNet", "nonsense": 1}}, "can't be built"),
        (
            {"model": {"_target_": "models.UNet", "in_channels": 1, "out_channels": 1, "widths": [4, 9]}},
            "does not fit the network",
        ),
        ({"dataset": None}, "no dataset that can be built"),
        ({"dataset": {"_target_": "bench.datasets.phantoms", "defaults": ["x"]}}, "dataset.defaults"),
    ],
)
def test_a_malformed_config_is_refused_with_one_line(trained, stored, sections, message):
    stored(**sections)
    folder, run = trained
    with pytest.raises(InputError) as refusal:
        bench.load(run.info.run_id, uri(folder))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_every_choice_of_conf_is_accepted():
    config = OmegaConf.to_container(composed())
    for group in ("model", "dataset", "estimator", "diagnostic", "task"):
        for name in names(group):
            part = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{name}.yaml"), resolve=True)
            if name == "custom":
                part["network"]["_target_"] = "monai.networks.nets.DenseNet121"
            if name != "file":
                assert check_stored(config | {group: part}, "run")[group] == part


def test_a_network_that_reads_a_file_needs_trust():
    config = OmegaConf.to_container(composed()) | {"model": {"_target_": "models.File", "path": "network.pt2"}}
    with pytest.raises(InputError, match=r"got 'models.File' as model, .*trust=\[models.File\] permits it"):
        check_stored(config, "run")
    assert check_stored(config, "run", ["models.File"]).model.path == "network.pt2"
