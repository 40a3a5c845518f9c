"""Pixel and patch views: a sample is the vector at a location of a layer, with the label there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch

from bench.datasets.data import Data
from bench.datasets.splits import Loaded, Split
from bench.errors import EstimationError, InputError
from bench.information.permutations import donor_rows
from bench.information.variables import Variable, require_finite
from bench.layers.capture import Captured, run_batches
from bench.layers.hooks import Shapes, tap_shapes
from models import Tap
from models.tracing import device_of

REACH = {"pixel": 0, "patch": 1}  # view -> radius of its neighbourhood, in cells of the tap


@dataclass(frozen=True)
class Locations:
    """Locations in every image, the same number in each. The rows of a pixel view are ordered by image.

    Attributes:
        positions: (images, k, axes), in pixels of the label map.
        size: Size of the label map.
    """

    positions: np.ndarray
    size: tuple[int, ...]

    @property
    def images(self) -> np.ndarray:
        """Return the image of each row, (n,)."""
        return np.repeat(np.arange(len(self.positions)), self.positions.shape[1])

    @classmethod
    def draw(cls, data: Data, samples: Split, pixels: int, rng: np.random.Generator) -> Locations:
        """Draw about `pixels` locations: one in each of the equal cells into which each image is divided.

        Args:
            data: The dataset.
            samples: The images.
            pixels: Number of locations over all images, at most. It determines the number of cells.
            rng: Generator of the locations.

        Raises:
            InputError: The task has no label maps, or `pixels` is less than the number of images or exceeds the number
                of pixels that they have.
        """
        if data.task != "segmentation":
            raise InputError(f"probe.views: got pixel or patch for {data.task}, which has no label map; wanted [image]")
        if pixels < len(samples):
            raise InputError(f"probe.pixels: got {pixels}, wanted at least one per image: {len(samples)}")
        size = np.array(data.image_size)
        if pixels > (most := len(samples) * int(size.prod())):
            raise InputError(f"probe.pixels: got {pixels}, wanted at most {most}, all pixels of {len(samples)} images")
        per_axis = int((pixels / len(samples)) ** (1 / len(size)) + 1e-9)
        cells = np.array(list(product(range(per_axis), repeat=len(size))))  # (k, axes)
        inside = rng.random((len(samples), *cells.shape))
        return cls(np.minimum((cells + inside) / per_axis * size, size - 1).astype(np.int64), tuple(size))

    def flat(self, tap_size: Sequence[int], level: int, reach: int = 0) -> torch.Tensor:
        """Return indices into a flattened tap, (images, k, neighbours).

        A cell of a tap at level l covers 2^(l-1) pixels per side. If the tap covers more than the image, the image was
        padded on both sides and lies in the middle of the tap. If it covers less, it is stretched over the image.
        Neighbours beyond the edge are replaced by the cells at the edge.

        Args:
            tap_size: Spatial size of the tap.
            level: Level of the tap.
            reach: Radius of the neighbourhood, in cells of the tap.
        """
        cells = []
        for axis, (side, got) in enumerate(zip(self.size, tap_size, strict=True)):
            factor = 2 ** (level - 1)
            margin = (got * factor - side) // 2
            position = self.positions[:, :, axis]
            cells.append((position + margin) // factor if margin >= 0 else position * got // side)
        neighbours = []
        for step in product(range(-reach, reach + 1), repeat=len(cells)):
            moved = [np.clip(cell + by, 0, got - 1) for cell, by, got in zip(cells, step, tap_size, strict=True)]
            neighbours.append(np.ravel_multi_index(moved, tuple(tap_size)))
        return torch.from_numpy(np.stack(neighbours, axis=-1))


@dataclass(frozen=True, kw_only=True)
class PixelLabels(Variable):
    """The class at each location. The null moves whole label maps between images, never single pixels.

    Attributes:
        label_maps: (n, images) the class at the location of each row, in every image.
        images: (n,) the image of each row.
        patients: (images,) the group of each image.
    """

    label_maps: np.ndarray
    images: np.ndarray
    patients: np.ndarray

    def shuffled(self, rng, discrete):
        order = donor_rows(self.patients, rng)
        return self.label_maps[np.arange(self.n), order[self.images]]

    @classmethod
    def at(cls, samples: Loaded, locations: Locations) -> PixelLabels:
        """Read the classes of the samples at the locations."""
        images, axes = locations.images, locations.positions.shape[2]
        positions = locations.positions.reshape(-1, axes).T  # (axes, n)
        maps = samples.targets.numpy()[:, *positions].T
        labels = maps[np.arange(len(images)), images]
        patients = samples.groups
        return cls(
            len(images), 1, patients[images], labels=labels, label_maps=np.ascontiguousarray(maps), images=images,
            patients=patients,
        )  # fmt: skip


def capture_at(
    model: torch.nn.Module,
    split: Split,
    taps: Sequence[Tap],
    locations: Locations,
    view: str,
    *,
    budget_gb: float = 1.0,
    batch_size: int = 32,
) -> Iterator[Captured]:
    """Yield the Variable of each tap with one sample per location, or a reason for a tap without spatial axes.

    The network runs once for each set of taps that fits into the budget.

    Args:
        model: The network.
        split: The images.
        taps: The taps to read.
        locations: The locations in every image.
        view: `pixel`: (n, channels); or `patch`: (n, channels × 3^axes).
        budget_gb: Samples of taps that are held at once, in 1e9 bytes.
        batch_size: Number of images in a batch.
    """
    device = device_of(model)
    shapes = tap_shapes(model, list(taps), split.images[:1].to(device))
    where = {
        tap: locations.flat(shape[1:], tap.level, REACH[view])
        for tap, shape in shapes.items()
        if len(shape) == len(locations.size) + 1
    }
    for part in _split_taps(where, shapes, budget_gb):
        rows = _read_rows(model, split, part, where, shapes, batch_size)
        for tap in part:
            yield _to_captured(tap, shapes[tap], rows.pop(tap), split.groups[locations.images])
    for tap in taps:
        if tap not in where:
            yield Captured(tap, shapes[tap][0], None, f"got a layer of shape {shapes[tap]}, wanted one with places")


def _read_rows(
    model, split: Split, part: list[Tap], where: dict[Tap, torch.Tensor], shapes: Shapes, batch_size: int
) -> dict:
    """Return (n, channels × neighbours) float64 for each tap of the part."""
    gathered: dict[Tap, list[np.ndarray]] = {tap: [] for tap in part}

    def receive(tap: Tap, rows: slice, activation: torch.Tensor) -> None:
        index = where[tap][rows].to(activation.device)
        gathered[tap].append(_gather(activation, index).cpu().double().numpy())

    run_batches(model, split, part, receive, shapes, batch_size=batch_size)
    return {tap: np.concatenate(batches) for tap, batches in gathered.items()}


def image_at(split: Loaded, locations: Locations, view: str) -> Variable:
    """Return the Variable of the image itself, in a pixel or patch view."""
    index = locations.flat(locations.size, 1, REACH[view])
    return Variable.of(_gather(split.images, index).double().numpy(), split.groups[locations.images])


def _gather(activation: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Read (images, channels, *spatial) at (images, k, neighbours): (images * k, channels * neighbours)."""
    images, channels = activation.shape[:2]
    flat = activation.flatten(2)
    chosen = index.flatten(1)[:, None].expand(-1, channels, -1)  # (images, channels, k * neighbours)
    vectors = flat.gather(2, chosen).unflatten(2, index.shape[1:])  # (images, channels, k, neighbours)
    return vectors.movedim(1, 2).reshape(images * index.shape[1], -1)


def _to_captured(tap: Tap, shape: tuple[int, ...], rows: np.ndarray, groups: np.ndarray) -> Captured:
    try:
        require_finite(rows)
    except EstimationError as error:
        return Captured(tap, shape[0], None, str(error))
    return Captured(tap, shape[0], Variable(len(rows), rows.shape[1], groups, samples=rows, deterministic=True))


def _split_taps(
    where: dict[Tap, torch.Tensor], shapes: dict[Tap, tuple[int, ...]], budget_gb: float
) -> Iterator[list[Tap]]:
    """Yield the taps, in order, in parts that fit into the budget."""
    part: list[Tap] = []
    held = 0.0
    for tap, index in where.items():
        needed = 8e-9 * index.numel() * shapes[tap][0]
        if part and held + needed > budget_gb:
            yield part
            part, held = [], 0.0
        part.append(tap)
        held += needed
    if part:
        yield part
