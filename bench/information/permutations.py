"""Permutations of samples for nulls. Samples of one group, such as the images of a patient, stay together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def permuted_groups(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a permutation of groups, and pair the rows of each group with those of its donor one to one.

    Row i gets the partner of row order[i]. Of a larger donor, the first rows are used. If a donor is smaller, the rows
    that remain have no partner: order is -1 there (`Statistic.permuted`). If each sample is a group, this is a uniform
    permutation.

    Args:
        groups: (n,) the group of each sample.
        rng: Generator of the donors.

    Returns:
        order: (n,) row numbers, each used at most once, or -1.

    Examples:
        >>> permuted_groups(np.array(["a", "a", "a", "b", "b"]), np.random.default_rng(3))
        array([ 3,  4, -1,  0,  1])
    """
    order = np.full(len(groups), -1)
    for own, donor in _with_donors(groups, rng):
        paired = min(len(own), len(donor))
        order[own[:paired]] = donor[:paired]
    return order


def donor_rows(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a permutation of groups. Row i gets the label of row order[i], which is a row of the donor of its group.

    As in `permuted_groups`, a larger donor gives its first rows. A smaller one repeats its rows, so that every row has
    a label. If all samples of a group have the same label, they have one again.

    Args:
        groups: (n,) the group of each sample.
        rng: Generator of the donors.

    Returns:
        order: (n,) row numbers.

    Examples:
        >>> donor_rows(np.array(["a", "a", "a", "b", "b"]), np.random.default_rng(3))
        array([3, 4, 3, 0, 1])
    """
    order = np.empty(len(groups), dtype=np.int64)
    for own, donor in _with_donors(groups, rng):
        order[own] = np.resize(donor, len(own))
    return order


def _with_donors(groups: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the rows of each group, and those of the group that a random permutation gives it."""
    names, group = np.unique(groups, return_inverse=True)
    members = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
    for own, donor in zip(members, rng.permutation(len(names)), strict=True):
        yield own, members[donor]
