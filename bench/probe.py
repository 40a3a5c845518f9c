"""Probe: asks every estimator what each tap tells of the input and of the label, and answers with LayerTable rows."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch

import numpy as np
import torch
from tqdm import tqdm

from bench.capture import Captured, capture, columns_in_budget
from bench.errors import EstimationError, InputError
from bench.estimators import Estimator
from bench.labels import VIEWS, label_view
from bench.tables import I_TY, I_XT
from bench.types import SPLITS, Data, Split
from bench.variables import Variable
from models import Tap

MIN_SAMPLES = 16


class Probe:
    """Measures a network on a fixed set of samples.

    n: how many samples, drawn once from the split and kept in its order; None takes all. taps: names or patterns
    (`enc*`), None for all but the skips, which repeat the encoder's last activation. labels: label views, the first is
    the primary one. The same samples, permutations and subsamples serve every epoch, so that rows compare.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        data: Data,
        estimators: Mapping[str, Estimator],
        *,
        seed: int,
        split: str = "val",
        n: int | None = None,
        taps: Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
        budget_gb: float = 1.0,
        batch_size: int = 32,
    ):
        self.seed = seed
        self.split_name = split
        self.samples = choose_samples(data, split, n, seed)
        self.taps = choose_taps(model.taps(), taps)
        self.estimators = estimators
        self.budget_gb = budget_gb
        self.batch_size = batch_size
        self.reductions = tuple(dict.fromkeys(r for estimator in estimators.values() for r in estimator.reads))
        columns_in_budget(budget_gb, len(self.samples))
        pixels = self.samples.images.flatten(1).numpy()
        try:
            self.input = Variable.of(pixels, self.samples.groups)
            for reduction in self.reductions:
                self.input.read(reduction)
        except EstimationError as error:
            raise InputError(f"dataset {data.name}: the images of probe.split={split}: {error}") from error
        self.labels = {
            name: label_view(name, data, self.samples, seed) for name in labels or list(VIEWS[data.task])[:1]
        }

    def measure(self, model: torch.nn.Module, *, epoch: int, weights: str, seed: int | None = None) -> Iterator[dict]:
        """LayerTable rows of a network with these weights; seed: the initialisation of an untrained control."""
        here = {"epoch": epoch, "weights": weights, "seed": self.seed if seed is None else seed}
        image = Tap("input", "", "input", 1, -1)
        channels = self.samples.images.shape[1]
        yield from ({**here, **row} for row in self._answers(Captured(image, channels, self.input)))
        stream = capture(
            model, self.samples, self.taps, self.reductions, budget_gb=self.budget_gb, batch_size=self.batch_size
        )
        for captured in tqdm(
            stream, f"measure {weights} {epoch}", len(self.taps), unit="tap", leave=False, disable=None
        ):
            yield from ({**here, **row} for row in self._answers(captured))

    def _answers(self, captured: Captured) -> Iterator[dict]:
        tap = captured.tap
        questions = [(I_XT, None, self.input), *((I_TY, view, label) for view, label in self.labels.items())]
        for name, estimator in self.estimators.items():
            for quantity, view, target in questions:
                row = {
                    "tap": tap.name,
                    "order": tap.order,
                    "place": place(tap, self.taps),
                    "role": tap.role,
                    "level": tap.level,
                    "channels": captured.channels,
                    "quantity": quantity,
                    "view": "image",
                    "label_view": view,
                    "split": self.split_name,
                    "estimator": name,
                    "reason": captured.reason,
                }
                if captured.reason is None:
                    try:
                        rng = named_rng(self.seed, tap.name, name, quantity, view)
                        row |= estimator.estimate(captured.variable, target, rng=rng).row()
                    except EstimationError as error:
                        row["reason"] = str(error)
                yield row


def named_rng(seed: int, *names) -> np.random.Generator:
    """A generator of its own for each question, whatever else is asked beside it."""
    return np.random.default_rng([seed, zlib.crc32("/".join(map(str, names)).encode())])


def choose_samples(data: Data, split: str, n: int | None, seed: int) -> Split:
    if split not in (*SPLITS, "all"):
        raise InputError(f"probe.split: got {split!r}, wanted one of {', '.join(SPLITS)}, all")
    samples = data.split(split)
    wanted = len(samples) if n is None else n
    if wanted > len(samples):
        raise InputError(
            f"probe.n: got {wanted}, wanted at most {len(samples)}, the size of probe.split={split}; "
            "lower it or take probe.split=all"
        )
    if wanted < MIN_SAMPLES:
        raise InputError(f"probe.n: got {wanted} samples (probe.split={split}), wanted at least {MIN_SAMPLES}")
    rows = named_rng(seed, "probe samples").choice(len(samples), wanted, replace=False)
    return samples.take(np.sort(rows))


def choose_taps(taps: list[Tap], patterns: Sequence[str] | None) -> list[Tap]:
    """Taps whose names match a pattern, in the order of the data's way; InputError lists the choices."""
    if patterns is None:
        return [tap for tap in taps if tap.role != "skip"]
    for pattern in patterns:
        if not any(fnmatch(tap.name, pattern) for tap in taps):
            names = ", ".join(tap.name for tap in taps)
            raise InputError(f"probe.taps: got {pattern!r}, which is no tap of the model; wanted any of {names}")
    return [tap for tap in taps if any(fnmatch(tap.name, pattern) for pattern in patterns)]


def place(tap: Tap, taps: list[Tap]) -> int:
    """Where a tap lies along the data's way, 0 to 100; with a bottleneck among the taps, its last one at 50.

    >>> taps = [Tap(f"conv{i}", f"conv{i}", "feature", i, i) for i in range(5)]
    >>> [place(tap, taps) for tap in taps]
    [0, 25, 50, 75, 100]
    """
    orders = sorted(each.order for each in taps)
    position = sum(order < tap.order for order in orders)
    last = max(len(orders) - 1, 1)
    bottleneck = max((each.order for each in taps if each.role == "bottleneck"), default=None)
    if bottleneck is None:
        return round(100 * position / last)
    middle = orders.index(bottleneck)
    if position <= middle:
        return round(50 * position / max(middle, 1))
    return round(50 + 50 * (position - middle) / (last - middle))
