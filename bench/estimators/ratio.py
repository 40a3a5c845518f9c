"""The critic of neural bounds: a log density ratio that a distance of embeddings makes sharp."""

from __future__ import annotations

import numpy as np
import torch

FASTER = 100  # factor of the learning rate of a critic's sharpness
START = -4.0  # logarithm of the initial sharpness, at which the critic is almost constant


class Ratio:
    """Log density ratios f(t, y) of many sets at once. Each set has its own networks, with the same initial weights.

    Args:
        x: (n, d) the columns of t.
        y: (sets, n, k) the columns of the target and of its permutations.
        groups: (n,) integers.
        shares: (k,) of the classes where y is one-hot, else None.
        hidden: Units in each hidden layer.
        embedding: Columns of the embeddings.
        generator: Of the initial weights.
    """

    def __init__(self, x, y, groups, shares, hidden: int, embedding: int, generator: torch.Generator):
        self.x, self.y, self.groups = torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(groups)
        self.shares = None if shares is None else torch.from_numpy(shares)

        def drawn(rows, columns, scale=1.0):
            drawn = torch.randn(rows, columns, generator=generator, dtype=torch.float64) * scale / rows**0.5
            return drawn.repeat(len(y), 1, 1)

        self.weights = [torch.full((len(y), 1, 1), START / FASTER, dtype=torch.float64)]
        for columns in (x.shape[1], y.shape[2]):
            self.weights += [
                drawn(columns, hidden, 2**0.5),
                self.x.new_zeros(len(y), 1, hidden),
                drawn(hidden, hidden, 2**0.5),
                self.x.new_zeros(len(y), 1, hidden),
                drawn(hidden, embedding + 1, 0.1),
                drawn(columns, embedding),
            ]

    def of(self, rows: np.ndarray, others: np.ndarray, by_row: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Compute f at pairs and at products.

        Args:
            rows: (m,) samples.
            others: (k,) samples that make products with them.
            by_row: Whether the weights of the products of each row sum to 1, with its own pair among them. If not, the
                weights of all products sum to 1, and no pair is among them.

        Returns:
            f at the pairs (sets, m), f at the products (sets, m, k), and the logarithms of their weights (m, k).
        """
        x, y = self.x[rows], self.y[:, rows]
        if self.shares is not None and not by_row:
            scores = self._scores(x, torch.eye(len(self.shares), dtype=torch.float64).expand(len(y), -1, -1))
            return (scores * y).sum(dim=2), scores, (self.shares / len(rows)).log().expand(len(rows), -1)
        scores = self._scores(x, self.y[:, others])
        own = torch.from_numpy(rows[:, None] == others)
        among = self.among(rows, others)
        pairs = scores[:, own].view(len(y), -1)
        if by_row:
            return pairs, scores, (among / among.sum(dim=1, keepdim=True)).log()
        among[own] = 0
        return pairs, scores, (among / among.sum()).log()

    def among(self, rows: np.ndarray, others: np.ndarray) -> torch.Tensor:
        """Return (m, k) 1 where a row and another are the same or of different groups, else 0."""
        different = self.groups[rows][:, None] != self.groups[others]
        return (different | torch.from_numpy(rows[:, None] == others)).double()

    def _scores(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        sharpness = (FASTER * self.weights[0]).exp()
        (a, u), (b, v) = self._embedded(x, self.weights[1:7]), self._embedded(y, self.weights[7:])
        a, b = (bias - sharpness * side.square().sum(dim=2, keepdim=True) for bias, side in ((a, u), (b, v)))
        return a + b.mT + 2 * sharpness * u @ v.mT

    def _embedded(self, side: torch.Tensor, weights: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        first, first_bias, second, second_bias, last, direct = weights
        out = ((side @ first + first_bias).relu() @ second + second_bias).relu() @ last
        return out[..., :1], out[..., 1:] + side @ direct
