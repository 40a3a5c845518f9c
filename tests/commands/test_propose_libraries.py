"""`python -m bench propose` with networks of segmentation-models-pytorch, MONAI and nnU-Net."""

import re

import pandas as pd
import pytest
from nnunet_files import write_plans
from proposing import parent_of, propose
from running import QUIET, artifact, command, runs

pytestmark = pytest.mark.processes

SMP = ("model=smp", "model.encoder_name=resnet18", "dataset.size=32")
LIBRARIES = {
    "smp's unet": (*SMP, "model.encoder_depth=3", "model.decoder_channels=[4,4,4]"),
    "smp's manet": (*SMP, "model.architecture=manet", "model.encoder_depth=3", "target.params=0.6"),
    "UNet": ("model=monai", "+model.arguments.channels=[4,6,8]", "+model.arguments.strides=[2,2]"),
    "AttentionUnet": (
        "model=monai",
        "model.network=AttentionUnet",
        "+model.arguments.channels=[4,6,8]",
        "+model.arguments.strides=[2,2]",
    ),
    "BasicUNet": (
        "model=monai",
        "model.network=BasicUNet",
        "+model.arguments.features=[4,4,6,8,8,4]",
        "dataset.size=32",
    ),
    "nnU-Net": ("model=nnunet", "model.plans=nnUNetPlans.json", "model.configuration=2d"),
}
QUICK = ("smp's unet", "UNet", "nnU-Net")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in LIBRARIES]
)
def test_leaner_designs_of_library_networks_are_proposed_and_can_be_trained(tmp_path, name):
    write_plans(tmp_path)
    data = ("dataset.n=[24,16,8]", "dataset.size=16", "estimator.probe.steps=100")
    ended = propose(tmp_path, *data, "target.params=0.5", *LIBRARIES[name], "verify=false")
    assert ended.code == 0, ended.err
    parent = parent_of(tmp_path)
    asked = pd.read_csv(artifact(tmp_path, parent, "asked.csv"))
    assert asked["bits"].notna().all()
    of_a_level = asked["what"].str.startswith("level") & asked["given"].notna()
    assert of_a_level.any() == (name != "BasicUNet")  # its five levels are fixed
    proposals = pd.read_csv(artifact(tmp_path, parent, "tables/proposals.csv"))
    assert len(proposals) >= 1
    line = re.search(r"python -m bench (--config-dir \S+ \+experiment=retrain model=lean_\d+)", ended.out)[1]
    trained = command(tmp_path, *line.split(), *QUIET, "train.epochs=1", "tracking.experiment=again")
    assert trained.code == 0, trained.err
    (run,) = runs(tmp_path, "again")
    assert run.data.metrics["cost/params"] == proposals.set_index("design").loc[line.rpartition("=")[2], "params"]
