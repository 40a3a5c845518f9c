"""Layers are estimated in threads: tables do not depend on their number, and few layers are held at once."""

import threading

import pandas as pd
import pytest
import torch
from running import composed

from bench.config.build import build
from bench.estimators import KDE, KSG, Renyi, VInformation
from bench.information.tables import LayerTable, Moment, Weights
from bench.layers.probe import Probe, map_in_threads
from models.unet import UNet


@pytest.fixture(autouse=True)
def one_thread_of_torch():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("view", ["image", "pixel"])
def test_tables_do_not_depend_on_the_number_of_workers(view):
    torch.manual_seed(0)
    data = build(composed("dataset.size=16", "dataset.n=[16,24,8]").dataset, "dataset")
    network = UNet(1, data.outputs, widths=[2, 4])
    estimators = {
        "kde": KDE(),
        "ksg_mixture": KSG(variant="mixture", permutations=3),
        "probe": VInformation(permutations=3, steps=20),
        "renyi": Renyi(permutations=3),
    }
    frames = []
    for workers in (1, 2, 5):
        probe = Probe(network, data, estimators, seed=0, views=[view], pixels=64, workers=workers)
        table = LayerTable(probe.measure(network, Moment(0, Weights.BEST, 0), calibrate=True))
        frames.append(table.frame.drop(columns="seconds"))
    assert frames[0]["bits"].notna().sum() > len(estimators)
    for frame in frames[1:]:
        pd.testing.assert_frame_equal(frame, frames[0], check_exact=True)


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_the_items(workers):
    last = threading.Event()  # the first item ends after the second

    def square(number):
        if number == 1:
            last.set()
        assert workers == 1 or number > 0 or last.wait(60)
        return number**2

    assert list(map_in_threads(square, range(20), workers)) == [number**2 for number in range(20)]


def test_at_most_twice_as_many_results_as_workers_are_held():
    taken = []

    def items():
        for number in range(20):
            taken.append(number)
            yield number

    results = map_in_threads(lambda number: number, items(), 2)
    for count in range(1, 17):
        next(results)
        assert len(taken) == count + 3
    assert list(results) == [16, 17, 18, 19]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_ends_the_measurement(workers):
    begun = []

    def fail(number):
        begun.append(number)
        raise MemoryError(number)

    with pytest.raises(MemoryError, match="0"):
        list(map_in_threads(fail, range(100), workers))
    assert len(begun) < 10


@pytest.mark.parametrize(("of_torch", "sequential"), [(1, False), (2, True)])
def test_several_threads_of_torch_leave_no_room_for_workers(of_torch, sequential):
    torch.set_num_threads(of_torch)
    threads = list(map_in_threads(lambda _: threading.current_thread(), range(4), 2))
    assert (set(threads) == {threading.main_thread()}) is sequential
