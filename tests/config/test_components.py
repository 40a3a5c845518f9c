"""Contract tests of every entry of conf/. They also check a new component, which is one Python file and one yaml."""

import inspect
import json
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import torch
from hydra.utils import get_object
from nnunet_files import plans_content, write_plans
from running import composed, is_drawing, names

from bench.__main__ import CONF
from bench.config.build import build, build_each, build_network, fill_in
from bench.config.prepare import prepare_training
from bench.config.sections import Training
from bench.datasets import phantoms
from bench.datasets.data import SPLITS, Data
from bench.diagnostics import Diagnostic, Findings
from bench.errors import EstimationError, InputError
from bench.estimators import Estimator
from bench.information.tables import COLUMNS, LayerTable, Moment
from bench.layers.probe import Probe
from bench.training.train import loss_function
from models import UNet

LISTS = ("estimator", "diagnostic")  # a config takes several choices of these groups, each under its own name


def checked_target(config, where):
    """Return `_target_` of a yaml; assert that the yaml lists each argument of the target in order."""
    target = get_object(config._target_)
    takes = list(inspect.signature(target).parameters)
    shows = [key for key in config if key != "_target_"]
    assert shows == takes, f"{where}: got the keys {shows}, wanted those of {config._target_}: {takes}"
    return target


def assert_documented(target):
    doc = inspect.getdoc(target) or ""
    assert ">>> " in doc or "Example::" in doc, f"{target.__name__}: wanted a docstring with an example"


def test_every_group_has_a_contract_test():
    groups = {path.name for path in CONF.iterdir() if path.is_dir()}
    known = {"model", "dataset", "estimator", "diagnostic", "experiment", "benchmark", "preset", "train"}
    assert groups == known, "add a test for the new group"


@pytest.mark.parametrize(("group", "name"), [(group, name) for group in LISTS for name in names(group)])
def test_components_have_the_name_of_their_file(group, name):
    keys = list(composed(f"{group}=[{name}]")[group])
    assert keys == [name], f"conf/{group}/{name}.yaml: got the keys {keys}, wanted {name}: with all else below it"


# Estimators


@pytest.mark.parametrize("name", names("estimator"))
def test_estimator(name):
    config = composed(f"estimator=[{name}]").estimator
    where = f"conf/estimator/{name}.yaml"
    target = checked_target(config[name], where)
    assert issubclass(target, Estimator), f"{where}: {target.__name__} is no bench.estimators.Estimator"
    assert_documented(target)
    if "steps" in config[name]:
        config[name].steps = 150  # enough training steps for four clusters
    estimator = build_each(config, "estimator")[name]

    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(4), 16)
    informed = np.eye(4)[label] * 10 + 0.55 + 0.001 * rng.normal(size=(64, 4))  # 2 bits, as the label
    try:
        informative = estimator.estimate(informed, label, rng=np.random.default_rng(1))
    except EstimationError:  # some estimators take only few columns and continuous targets
        informed = label[:, None] + rng.normal(size=(64, 1))
        label = informed + 0.1 * rng.normal(size=(64, 1))
        informative = estimator.estimate(informed, label, rng=np.random.default_rng(1))
    unrelated = estimator.estimate(rng.normal(size=informed.shape), label, rng=np.random.default_rng(1))
    assert informative.significant, (
        f"{name}: {informative.bits:.2f} bits of a label that the samples show, below its null"
    )
    assert informative.excess > 3 * informative.null.spread
    # the bias correction of KSG may exceed the entropy of the label
    slack = 0.05 if name.startswith(("ksg", "latent", "variates")) else 1e-9
    assert informative.bits <= informative.limit + slack
    assert abs(unrelated.excess) < 5 * unrelated.null.spread + 0.05, (
        f"{name}: {unrelated.excess:.2f} bits about an unrelated label"
    )
    again = estimator.estimate(informed, label, rng=np.random.default_rng(1))
    assert again.row() | {"seconds": 0} == informative.row() | {"seconds": 0}, (
        f"{name}: draws from another source than rng"
    )
    assert json.loads(informative.row()["settings"]).keys() <= set(config[name]) | {"kernel"}


# Diagnostics


@pytest.fixture(scope="module")
def measured():
    """Measure an untrained reference, epoch 0 and the best epoch of a small CNN; return table, probe and networks."""
    data = phantoms("classification", n=(32, 32, 16), size=16)
    config = composed("model=cnn", "model.filters=[4,6]", "estimator=[renyi_2,kde]", "estimator.renyi_2.batch_size=8")
    fill_in(config.model, data)
    networks = [build_network(config.model, seed) for seed in range(3)]
    estimators = build_each(config.estimator, "estimator")
    probe = Probe(networks[0], data, estimators, seed=0, loss=loss_function("auto", data))
    moments = [Moment(0, "untrained", 1), Moment(0, "epoch", 0), Moment(1, "best", 0)]
    table = LayerTable()
    for network, moment in zip(networks, moments, strict=True):
        table.extend(probe.measure(network, moment))
    return table, probe, list(zip(networks, moments, strict=True))


FEWER = {  # fewer images and steps, because the protocol does not depend on their number
    "discarding": ("images=1", "epoch_images=1", "solver.refine=2", "solver.draws=32"),
    "discarding_authors2022": ("images=1", "epoch_images=1", "solver.steps=4"),
}


@pytest.mark.parametrize("name", names("diagnostic"))
def test_diagnostic(name, measured, tmp_path):
    fewer = [f"diagnostic.{name}.{setting}" for setting in FEWER.get(name, ())]
    config = composed(f"diagnostic=[{name}]", *fewer).diagnostic
    target = checked_target(config[name], f"conf/diagnostic/{name}.yaml")
    assert issubclass(target, Diagnostic), f"{name}: {target.__name__} is no bench.diagnostics.Diagnostic"
    assert inspect.getdoc(target) != inspect.getdoc(Diagnostic), f"{target.__name__}: wanted a docstring"
    of_layers, probe, networks = measured
    table = LayerTable(of_layers.rows)
    diagnostic = build_each(config, "diagnostic")[name]
    diagnostic.check(probe)
    for network, moment in networks:
        for kind, rows in diagnostic.measure(network, probe, moment).items():
            table.extend(rows, kind)
    before, details = table.frame.copy(), {kind: table.detail(kind) for kind in table.details}
    assert set(before.columns) == set(COLUMNS)
    added = pd.DataFrame(table.rows[len(of_layers.rows) :])
    assert set(added.columns) <= set(COLUMNS), f"{name}: rows with columns that no LayerTable has"
    found = diagnostic(table)
    assert isinstance(found, Findings), f"{name}: got {type(found).__name__}, wanted bench.diagnostics.Findings"
    assert found.metrics or found.tables or found.figures, f"{name}: found nothing in a table of a whole run"
    assert table.frame.equals(before), f"{name}: changed the table that the next diagnostic reads"
    assert all(table.detail(kind).equals(frame) for kind, frame in details.items())
    assert not found.tables.keys() & details.keys(), f"{name}: a finding would overwrite what was measured"
    for key, value in found.metrics.items():
        assert "/" in key, f"{name}: got the metric {key}, wanted section/name, so that the UI gives it a section"
        assert np.isfinite(value)
    assert all("/" in key and np.isfinite(value) and 0 <= step <= 100 for key, value, step in found.curves)
    for rows in found.tables.values():
        assert len(rows)
    for title, figure in found.figures.items():
        figure.savefig(tmp_path / f"{title}.png", dpi=120, bbox_inches="tight")
        assert is_drawing(tmp_path / f"{title}.png"), f"{name}: figure {title} is blank"


# Training


@pytest.mark.parametrize("name", names("train"))
def test_train(name):
    config = composed(f"train={name}").train
    assert list(config) == [field.name for field in fields(Training)], f"conf/train/{name}.yaml: shows all settings"
    data = phantoms(size=16, n=(4, 4, 4))
    fit = prepare_training(config, UNet(1, 1, widths=(2, 4)), data)
    assert fit["epochs"] == config.epochs > 0


# Models


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the arguments without which some networks can't be built."""
    folder = tmp_path_factory.mktemp("file")
    path, of_channels = folder / "network.pt2", {"schemes": ("NoNormalization",) * 2, "use_mask": (False,) * 2}
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3, 2), torch.nn.ReLU(), torch.nn.Conv2d(4, 3, 15)).eval()
    network.append(torch.nn.Flatten())
    batch = {0: torch.export.Dim("batch")}
    torch.export.save(torch.export.export(network, (torch.rand(2, 2, 32, 32),), dynamic_shapes=(batch,)), path)
    target = "monai.networks.nets.EfficientNetBN"
    arguments = "[efficientnet-b0]"
    plans = write_plans(folder, plans_content(**of_channels))
    return {
        "file": [f"model.path={path}"],
        "nnunet": [f"model.plans={plans}", "model.configuration=2d"],
        "custom": [
            f"model.network._target_={target}", f"+model.network._args_={arguments}", "+model.network.in_channels=null",
            "+model.network.num_classes=null", "+model.network.spatial_dims=null", "+model.network.pretrained=false",
        ],
    }  # fmt: skip


@pytest.mark.parametrize("name", names("model"))
def test_model(name, whole):
    config = composed(f"model={name}", *whole.get(name, [])).model
    where = f"conf/model/{name}.yaml"
    assert_documented(checked_target(config, where))
    task = "segmentation" if "out_channels" in config else "classification"
    data = phantoms(task, classes=3, channels=2, size=32, n=(3, 3, 3))
    fill_in(config, data)
    model = build_network(config, seed=0)
    output = model.eval()(data.train.images)
    assert output.shape == ((3, 3, 32, 32) if task == "segmentation" else (3, 3)), f"{where}: got {tuple(output.shape)}"
    assert not torch.equal(output[0], output[1]), f"{where}: gives the same for different images"
    taps = model.taps()
    assert len({tap.name for tap in taps}) == len(taps), f"{where}: taps share a name"
    assert [tap.order for tap in taps] == sorted(tap.order for tap in taps), f"{where}: taps() is not in their order"
    for tap in taps:
        assert tap.module in dict(model.named_modules()), f"{where}: tap {tap.name} names no module: {tap.module}"
    assert taps[-1].role == "output"
    if name == "file":
        return  # it has its weights
    same, other = (build_network(config, seed) for seed in (0, 1))
    first = next(iter(model.state_dict()))
    assert torch.equal(same.state_dict()[first], model.state_dict()[first]), f"{where}: not initialised from the seed"
    assert not torch.equal(other.state_dict()[first], model.state_dict()[first])


# Datasets


@pytest.mark.parametrize("name", names("dataset"))
def test_dataset(name):
    config = composed(f"dataset={name}").dataset
    assert_documented(checked_target(config, f"conf/dataset/{name}.yaml"))
    if "root" in config:
        with pytest.raises(
            InputError,
            match=r"^dataset\.(root: got nothing|flag: got neither).*(give dataset.root=DIR|or dataset.file=NPZ)",
        ):
            build(config, "dataset")
        return
    data = build(config, "dataset")
    assert isinstance(data, Data)
    assert json.loads(json.dumps(data.card()))["fingerprint"] == build(config, "dataset").fingerprint
    sets = [set(data.split(split).names) for split in SPLITS]
    assert len(set.union(*sets)) == sum(map(len, sets)), f"{name}: splits share samples"
