"""Planted truth: real activations with a new target, about which their information is known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import rel_entr

from bench.errors import EstimationError
from bench.information.variables import Variable

CELLS = 8
SAMPLES_PER_CELL = 8
COORDINATES = 64
TIE = 1e-6  # largest difference by rounding between projections of equal rows, in standard deviations


def plant(t: Variable, target: Variable, rng: np.random.Generator, bits: float | None = None) -> tuple[Variable, float]:
    """Replace a target by one of the same kind, about which t has a known number of bits.

    Samples are divided into cells Q along a random direction of t, and into cells Q' along a random direction of the
    target. For a label the cells are its classes, with their sizes; otherwise there are 8 cells of equal size. A random
    share of the samples gets targets from its own cell. The other samples get the remaining targets at random, possibly
    also from their own cell, so that

        P(Q' = j | Q = k) = kappa δ_jk + (1 - kappa) p_j,    kappa = kept / (n - 1).

    T - Q - Q' - target is a Markov chain, because all targets of a cell are drawn with the same probability. Q is a
    function of T, and Q' is a function of the target. Hence I(T; target) = I(Q; Q'), a sum over the table of cells.
    Equal rows at the edge of a cell lie on either side at random, and the table counts them as a state of their own.
    Each target is used once, because repeated targets would bias every estimator that reads distances.

    Args:
        t: Activations.
        target: A label or a continuous variable.
        rng: Generator of directions and pairs.
        bits: Information to plant, met as nearly as n allows. None plants 1 bit, or half of the capacity of the cells
            if that is less.

    Returns:
        The new target, and its exact information in bits.

    Raises:
        EstimationError: A side has no spread, or the capacity of the cells is less than the bits.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> t, label = Variable.of(rng.normal(size=(100, 30))), Variable.of(np.repeat([0, 1, 2, 3], 25))
        >>> planted, bits = plant(t, label, rng)
        >>> np.bincount(planted.labels), round(bits, 2)
        (array([25, 25, 25, 25]), 1.0)
    """
    across_target = target_values(target, rng)
    channel = Channel.of(_projection(t, rng), across_target, target, rng)
    wanted = min(1, channel.most / 2) if bits is None else bits
    order, planted_bits = channel.order(wanted, rng)
    if target.labels is None:
        planted = replace(target.reordered(order), groups=t.groups)
    else:
        planted = Variable(t.n, 1, t.groups, labels=target.labels[order])
    return planted, planted_bits


@dataclass(frozen=True)
class Channel:
    """Cells of t and of a target of the same n samples, between which any dose of information can be planted.

    Attributes:
        of_t: (n,) the cell Q of each sample of t.
        of_target: (n,) the cell Q' of each target.
        joint: (states of t, states of the target) their joint probabilities if every target is from its own cell.
    """

    of_t: np.ndarray
    of_target: np.ndarray
    joint: np.ndarray

    @classmethod
    def of(cls, across_t: np.ndarray, across_target: np.ndarray, target: Variable, rng: np.random.Generator) -> Channel:
        """Divide samples by their values.

        Args:
            across_t: (n,) a function of t. Its cells are intervals of ranks.
            across_target: (n,) the values of the target (`target_values`).
            target: A label, whose cells are its classes, or a continuous variable with 8 cells of equal size.
            rng: Generator of the order of equal values.

        Raises:
            EstimationError: The label has one class.
        """
        n = len(across_t)
        if target.labels is None:
            count = min(CELLS, max(2, n // SAMPLES_PER_CELL))
            cells = np.arange(n) * count // n
        else:
            cells = np.sort(across_target)
        if cells[-1] == 0:
            raise EstimationError("got a label with one class, wanted at least 2: nothing can be planted in it")
        of_t, of_target = (_by_rank(across, cells, rng) for across in (across_t, across_target))
        return cls.between((across_t, of_t), (across_target, of_target))

    @classmethod
    def between(cls, *sides: tuple[np.ndarray, np.ndarray]) -> Channel:
        """Make the channel of the values (n,) and the cells (n,) of t, and of those of the target."""
        (_, of_t), (_, of_target) = sides
        states_of_t, states_of_target = (_states(*side) for side in sides)
        return cls(of_t, of_target, states_of_t / np.bincount(of_t) @ states_of_target.T / len(of_t))

    @property
    def most(self) -> float:
        """The capacity of the cells in bits."""
        return channel_bits(self.joint, 1)

    def order(self, bits: float, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """Draw an order of the targets, (n,) row numbers, that plants this information, met as nearly as n allows.

        Returns:
            The order, and its exact information in bits.

        Raises:
            EstimationError: The capacity of the cells is less than the bits.
        """
        n, most = len(self.of_t), self.most
        if not 0 <= bits <= most:
            raise EstimationError(f"got {bits:.4g} bits to plant, wanted 0 to {most:.4g}, what the cells can carry")
        kept = round(brentq(lambda kappa: channel_bits(self.joint, kappa) - bits, 0, 1) * (n - 1))
        own, partners = (np.lexsort((rng.random(n), cell)) for cell in (self.of_t, self.of_target))
        rest = rng.permutation(n)[kept:]
        partners[rest] = partners[rng.permutation(rest)]
        order = np.empty_like(partners)
        order[own] = partners
        return order, channel_bits(self.joint, kept / (n - 1))


def target_values(target: Variable, rng: np.random.Generator) -> np.ndarray:
    """Return a value (n,) of each target: the number of its class, or its projection on a random direction."""
    if target.labels is None:
        return _projection(target, rng)
    return np.unique(target.labels, return_inverse=True)[1]


def channel_bits(joint: np.ndarray, kappa: float) -> float:
    """Compute the information in kappa times a joint distribution plus 1 - kappa times the product of its marginals.

    With joint = diag(p), a cell is kept with probability kappa and otherwise drawn from p.

    Args:
        joint: (k, l) joint probabilities.
        kappa: Share of the joint distribution, 0 to 1.

    Returns:
        Bits.

    Examples:
        >>> channel_bits(np.diag([0.5, 0.5]), 1)
        1.0
        >>> channel_bits(np.diag([0.5, 0.5]), 0)
        0.0
    """
    free = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    return float(rel_entr(kappa * joint + (1 - kappa) * free, free).sum() / np.log(2))


def _projection(side: Variable, rng: np.random.Generator) -> np.ndarray:
    """Project samples on a random direction, (n,). Principal coordinates are a rotation of the columns."""
    columns = side.coordinates(COORDINATES) if side.samples is None else side.samples - side.samples[0]
    values = columns @ rng.normal(size=(columns.shape[1],)).astype(columns.dtype)
    if np.ptp(values) == 0:
        raise EstimationError("got identical rows, wanted rows that differ: nothing can be planted in them")
    return values


def _by_rank(values: np.ndarray, cells: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the cell of each sample from the cells (n,) of the sorted values. Ties are in random order."""
    of = np.empty_like(cells)
    of[np.lexsort((rng.random(len(values)), values))] = cells
    return of


def _states(values: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Count the samples of each state and cell: a cell is a state, and so is a value that occurs in several cells."""
    ties = np.unique(np.round(values / (TIE * np.std(values))), return_inverse=True)[1]
    tie_and_cell = np.unique(np.stack([ties, of], axis=1), axis=0)
    straddles = np.bincount(tie_and_cell[:, 0]) > 1
    state = np.unique(np.where(straddles[ties], of.max() + 1 + ties, of), return_inverse=True)[1]
    counts = np.zeros((state.max() + 1, of.max() + 1))
    np.add.at(counts, (state, of), 1)
    return counts
