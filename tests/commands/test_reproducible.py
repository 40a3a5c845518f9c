import pytest
import torch
from monai.utils import set_determinism
from pandas.testing import assert_frame_equal
from running import TINY, artifact, layers, process, runs, tiny, with_store

PROBE = ("dataset.augment=[flips,rotations,intensity]", "estimator=[kde,renyi]", "train.epochs=2", "train.batch_size=4")
FEW = ("estimator.renyi.permutations=4", "estimator.renyi.subsamples=4")


def measured(folder, *overrides):
    """Run the command; return the layer table without times, and the weights."""
    ended = tiny(folder, *PROBE, *(FEW if "estimator=[kde]" not in overrides else ()), *overrides)
    assert ended.code == 0, ended.err
    return results(folder, runs(folder)[-1])


def results(folder, run):
    weights = torch.load(artifact(folder, run, "weights.pt"), weights_only=True)
    return layers(folder, run).drop(columns="seconds"), weights


def equal(one: dict, other: dict) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("reproducible")


@pytest.fixture(scope="module")
def first(folder):
    return measured(folder, "seed=0")


def test_same_command_gives_the_same_bits(folder, first):
    set_determinism(99)  # changes the global generators of Python, NumPy and torch; no run may depend on their state
    table, weights = measured(folder, "seed=0")
    set_determinism(None)
    assert len(runs(folder)) == 2  # the second command did run
    assert_frame_equal(table, first[0], check_exact=True)
    assert equal(weights, first[1])


def test_another_process_gives_the_same_bits(tmp_path, first):
    given = [small for small in TINY if not small.startswith(("estimator", "train.epochs"))]
    ended = process(with_store(tmp_path), *given, *PROBE, *FEW, "seed=0", PYTHONHASHSEED="7")
    _, err = ended.communicate(timeout=200)
    assert ended.returncode == 0, err
    table, weights = results(tmp_path, *runs(tmp_path))
    assert_frame_equal(table, first[0], check_exact=True)
    assert equal(weights, first[1])


def test_the_default_seed_is_zero_and_another_seed_gives_other_results(folder, first):
    table, weights = measured(folder)
    assert_frame_equal(table, first[0], check_exact=True)
    other, other_weights = measured(folder, "seed=1")
    assert not equal(weights, other_weights)
    inner = first[0]["tap"] != "input"
    assert (other["bits"] != first[0]["bits"])[inner].mean() > 0.9
    drawn = ~inner & (first[0]["estimator"] == "renyi")  # the same images, but other subsamples and permutations
    assert (other["low"] != first[0]["low"])[drawn].all()


def test_an_estimate_does_not_depend_on_the_other_estimators_and_label_views(folder, first):
    table, _ = measured(folder, "seed=0", "estimator=[binning,renyi]", "probe.labels=[fractions,mask]")
    rows = "estimator == 'renyi' and label_view != 'mask'"
    alone, beside = (frame.query(rows).reset_index(drop=True) for frame in (first[0], table))
    assert_frame_equal(beside, alone, check_exact=True)


def test_measuring_does_not_disturb_training(folder, first):
    table, weights = measured(folder, "seed=0", "probe.epochs=[]", "probe.untrained_seeds=2", "estimator=[kde]")
    assert equal(weights, first[1])
    best = "weights == 'best' and estimator == 'kde'"
    one, other = (frame.query(best).reset_index(drop=True) for frame in (first[0], table))
    assert_frame_equal(other, one, check_exact=True)
