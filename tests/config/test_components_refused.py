"""Refusals with a one-line message: components with a bad config, and optimisers and schedules that fail."""

import math

import pytest
import torch
from omegaconf import OmegaConf

from bench.config.build import build, build_each, build_network
from bench.config.objectives import check_objectives, metrics_of_test
from bench.config.rehearsal import rehearse
from bench.datasets import phantoms
from bench.datasets.data import Data
from bench.diagnostics import Diagnostic
from bench.errors import InputError
from bench.estimators import Estimator

KDE = {"_target_": "bench.estimators.KDE"}
ADAM = {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.001}


def schedule(name, **arguments):
    return {"_target_": f"torch.optim.lr_scheduler.{name}", "_partial_": True, **arguments}


def refusal(make, *arguments):
    with pytest.raises(InputError) as refused:
        make(*arguments)
    return str(refused.value)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (3, "estimator.kde: got 3, wanted a component: a mapping with _target_"),
        ({"_target_": ""}, "estimator.kde._target_: got '', wanted the path of a class"),
        ({"_target_": 3}, "estimator.kde._target_: got 3, wanted the path of a class"),
        ({"_target_": "nowhere.KDE"}, "estimator.kde._target_: got 'nowhere.KDE', which can't be imported"),
        ({"_target_": "math.pi"}, "estimator.kde._target_: got 'math.pi', which is not a class or function"),
        ({"_target_": "bench.diagnostics.UPlot"}, "got an object of UPlot, wanted an object of Estimator"),
        (KDE | {"_partial_": True}, ", wanted an object of Estimator; correct its config"),
        (KDE | {"nope": 1}, "estimator.kde: KDE.__init__() got an unexpected keyword argument 'nope'"),
        (KDE | {"relative": 2}, "estimator.kde.relative: got 2, wanted true or false"),
        (KDE | {"relative": {}}, "estimator.kde.relative: got {}, wanted true or false"),
        (KDE | {"relative": None}, "estimator.kde.relative: got None, wanted true or false"),
        (KDE | {"permutations": True}, "estimator.kde.permutations: got True, wanted a whole number"),
        (KDE | {"permutations": 16.5}, "estimator.kde.permutations: got 16.5, wanted a whole number"),
        (KDE | {"permutations": 10**9}, "permutations: got 1000000000, wanted an integer of at least 2 and at most"),
        (KDE | {"permutations": 2**63}, "estimator.kde.permutations: got 9223372036854775808, wanted at most"),
        (KDE | {"noise_variance": math.nan}, "estimator.kde.noise_variance: got nan, wanted a finite number"),
        (KDE | {"noise_variance": "wide"}, "estimator.kde.noise_variance: got 'wide', wanted a number"),
        ({"_target_": "bench.estimators.KSG", "variant": True}, "variant: got True, wanted a whole number or a text"),
    ],
)
def test_bad_estimators_are_refused(config, message):
    assert message in refusal(build_each, OmegaConf.create({"kde": config}), "estimator", Estimator)


def test_bad_components_of_other_groups_are_refused():
    uplot = OmegaConf.create({"u_plot": KDE})
    assert "got an object of KDE, wanted an object of Diagnostic" in refusal(
        build_each, uplot, "diagnostic", Diagnostic
    )
    assert "dataset: got an object of dict, wanted an object of Data" in refusal(
        build, OmegaConf.create({"_target_": "builtins.dict"}), "dataset", Data
    )
    identity = OmegaConf.create({"_target_": "torch.nn.Identity"})
    assert "model: got Identity, which has no taps(); wanted a network of models, or model=custom" in refusal(
        build_network, identity, 0
    )
    inside = {"_target_": "bench.diagnostics.InformationDiscarding", "solver": {"_target_": "nowhere.Solver"}}
    assert "diagnostic.solver._target_: got 'nowhere.Solver'" in refusal(
        build, OmegaConf.create(inside), "diagnostic", Diagnostic
    )


def rehearse_training(optimizer=ADAM, schedule=None, epochs=10):
    rehearse(OmegaConf.create({"epochs": epochs, "optimizer": optimizer, "schedule": schedule, "warmup": 0}))


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ({}, "train.optimizer._target_: got None"),
        (None, "train.optimizer: got None, wanted a component"),
        ("adam", "train.optimizer: got 'adam', wanted a class; write train.optimizer._target_="),
        (ADAM | {"_partial_": False}, "train.optimizer: Adam.__init__() missing 1 required positional argument"),
        (ADAM | {"_target_": "builtins.dict", "_partial_": False}, "wanted a partial function: _partial_: true"),
        ({"_target_": "torch.nn.Identity", "_partial_": True}, "got an object of Identity, wanted an object of Optimi"),
        (ADAM | {"nope": 1}, "unexpected keyword argument 'nope'"),
        *((ADAM | {"lr": rate}, "train.optimizer") for rate in (-1, math.nan, math.inf, "fast", True, [], None)),
        *((ADAM | {"weight_decay": rate}, "train.optimizer") for rate in (-1, math.nan, math.inf, "x")),
        *((ADAM | {"betas": betas}, "train.optimizer") for betas in (3, [0.9], [0.9, 1], [0.9, math.nan], "x")),
        ({"_target_": "torch.optim.SGD", "_partial_": True, "momentum": 1}, "momentum: got 1, wanted 0 or more, below"),
        ({"_target_": "torch.optim.LBFGS", "_partial_": True}, "train.optimizer: LBFGS fails at step 1"),
    ],
)
def test_bad_optimisers_are_refused(optimizer, message):
    assert message in refusal(rehearse_training, optimizer)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "train.schedule._target_: got None"),
        ("cosine", "train.schedule: got 'cosine', wanted a class; write train.schedule._target_="),
        (ADAM, "train.schedule: "),
        *((schedule("StepLR", step_size=size), "train.schedule") for size in (0, -1, math.nan, "x", None, [])),
        *((schedule("StepLR", step_size=3, gamma=by), "train.schedule") for by in (-1, 0, math.nan, math.inf, "x")),
        *((schedule("CosineAnnealingLR", T_max=most), "train.schedule") for most in (0, -1, math.nan, "x")),
        *((schedule("MultiStepLR", milestones=at), "train.schedule.milestones") for at in ([], None, "x", {}, [0])),
        (schedule("ReduceLROnPlateau"), "train.schedule: ReduceLROnPlateau fails at step 1"),
        (schedule("OneCycleLR", max_lr=0.1, total_steps=5), "train.schedule: OneCycleLR fails at step 6"),
        (schedule("PolynomialLR", total_iters=-1), "train.schedule.total_iters: got -1"),
        (schedule("ExponentialLR", gamma=1000), "train.schedule: got a learning rate of inf after epoch 104"),
    ],
)
def test_bad_schedules_are_refused(config, message):
    assert refusal(rehearse_training, ADAM, config, 200).startswith(message)


def test_rehearsal_accepts_valid_schedules_and_draws_no_random_number():
    before = torch.random.get_rng_state()
    for config in (
        None,
        schedule("StepLR", step_size=3),
        schedule("CosineAnnealingLR", T_max=10),
        schedule("OneCycleLR", max_lr=0.1, total_steps=11),
        schedule("MultiStepLR", milestones=[2, 5]),
    ):
        rehearse_training(ADAM, config)
    rehearse_training(ADAM | {"lr": 0})
    assert torch.equal(torch.random.get_rng_state(), before)


# Objectives


@pytest.mark.parametrize(
    ("options", "some"),
    [
        ({"task": "segmentation"}, {"test/dice", "test/dice_low", "test/hd95_high", "test/hd95_undefined"}),
        ({"task": "segmentation", "classes": 3}, {"test/dice", "test/iou", "test/hd95"}),
        ({"task": "classification"}, {"test/accuracy", "test/auroc", "test/balanced_accuracy"}),
    ],
)
def test_names_of_test_metrics_are_known_before_training(options, some):
    assert some <= set(metrics_of_test(phantoms(n=(2, 2, 2), size=16, **options)))


def test_objectives_that_a_run_does_not_log_are_refused():
    data = phantoms(n=(2, 2, 2), size=16)
    network = build_network(
        OmegaConf.create({"_target_": "models.UNet", "in_channels": 1, "out_channels": 1, "widths": [2, 2]}), 0
    )
    for known in ("test/dice", "cost/flops", "summary/val_score", "train/loss", "val/score", "filters/enc1"):
        check_objectives([known], network, data, ("filters/*",), 1)
    for unknown in ("nope", "test/accuracy", "summary/nope", "cost/dice", "filters"):
        message = refusal(check_objectives, ["test/dice", unknown], network, data, ("filters/*",), 1)
        assert message.startswith(f"objectives: got {unknown!r}, wanted metrics of the run, any of cost/flops, ")
    assert "got 'train/loss'" in refusal(check_objectives, ["train/loss"], network, data, (), 0)
