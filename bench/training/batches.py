"""Batches: the training samples of each epoch, shuffled or balanced, and augmented in worker processes."""

from __future__ import annotations

import ctypes
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from bench.datasets.data import Data
from bench.datasets.splits import Split, Volumes
from bench.errors import InputError, TrainingError
from bench.training.sampling import Draw, Draws, balanced_weights

PARENT_DEATH_SIGNAL = 1  # option of Linux' prctl
Batch = tuple[torch.Tensor, torch.Tensor]


class Batches:
    """Mini-batches of the training split, drawn and augmented anew in each epoch.

    By default every sample is in one batch. The last batch may be smaller. If the split has volumes, a sample is a
    patch of a volume, and each volume gives `patches` of them. The augmentation of a sample depends only on the seed,
    the epoch and the sample. The batches therefore do not depend on the number of workers, and a training that
    continues gets the same ones.

    Args:
        data: The dataset.
        size: Number of samples in a batch.
        seed: Seed of order and augmentation.
        sampler: `shuffle`, or `balanced` by `balanced_weights`.
        patches: Number of patches of a volume in an epoch.
        workers: Number of processes that read and augment samples. With 0 it is done in this process.
        pinned: Whether the batches are in page-locked memory, from which copies to a GPU do not block.

    Raises:
        InputError: As `check_batches`.

    Examples:
        >>> from bench.datasets import phantoms
        >>> with Batches(phantoms(n=(5, 2, 2), size=16), 2, seed=0) as batches:
        ...     [tuple(images.shape) for images, targets in batches]
        [(2, 1, 16, 16), (2, 1, 16, 16), (1, 1, 16, 16)]
    """

    def __init__(
        self,
        data: Data,
        size: int,
        seed: int,
        *,
        sampler: str = "shuffle",
        patches: int = 1,
        workers: int = 0,
        pinned: bool = False,
    ):
        check_batches(data, sampler, patches, workers)
        self.seed = seed
        weights = balanced_weights(data) if sampler == "balanced" else None
        self._draws = Draws(len(data.whole("train")), patches, size, seed, weights)
        self._loader = DataLoader(
            _Samples(data, seed),
            batch_sampler=self._draws,
            num_workers=workers,
            collate_fn=_unchanged,
            pin_memory=pinned,
            worker_init_fn=_end_with_parent,
            # A process that is forked shares the samples, and has the imported packages. Workers do not use the GPU.
            multiprocessing_context="fork" if workers else None,
            persistent_workers=workers > 0,
            generator=torch.Generator(),  # else each epoch would draw from the global generator
        )
        self._running: Iterator[Any] | None = None

    def __iter__(self) -> Iterator[Batch]:
        """Begin the next epoch."""
        try:
            self._running = iter(self._loader)
            for batch in self._running:
                if isinstance(batch, InputError):  # raised in a worker
                    raise batch
                yield batch
        except RuntimeError as error:
            if ended := re.search(r"DataLoader worker \(pid.*", str(error)):
                raise TrainingError(
                    f"train.workers: a process ended ({ended[0]}); lower train.workers or train.batch_size, or set "
                    "train.workers=0"
                ) from error
            raise

    def state_dict(self) -> dict[str, Any]:
        """Return the state between two epochs."""
        return {"epoch": self._draws.epoch, "order": self._draws.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state of `state_dict`."""
        self._draws.epoch = state["epoch"]
        self._draws.generator.set_state(state["order"])

    def close(self) -> None:
        """End the workers."""
        if self._loader.num_workers and self._running is not None:
            self._running._shutdown_workers()  # type: ignore[attr-defined]  # has no public name
        self._running = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def check_batches(data: Data, sampler: str, patches: int, workers: int) -> None:
    """Raise InputError if a setting does not fit the data, or if the augmentation can't be seeded in the workers."""
    if patches > 1 and not data.volumes:
        raise InputError(
            f"train.patches: got {patches}, but dataset {data.name} trains on whole images, wanted 1; leave it out, or "
            "set dataset.patch if the dataset has it"
        )
    if sampler == "balanced" and data.task == "reconstruction":
        raise InputError("train.sampler: got balanced for a reconstruction, which has no classes, wanted shuffle")
    if workers and data.augment is not None and not hasattr(data.augment, "set_random_state"):
        raise InputError(
            f"train.workers: got {workers}, but the augmentation of dataset {data.name} has no set_random_state, so "
            "that the samples would depend on the workers; set train.workers=0"
        )


class _Samples(Dataset):
    """Reads and augments the samples of a batch."""

    def __init__(self, data: Data, seed: int):
        self.train: Split | Volumes = data.whole("train")
        self.augment = data.augment
        self.masks = data.task == "segmentation"
        self.seed = seed

    def __getitems__(self, draws: Sequence[Draw]) -> Batch | InputError:
        try:
            return self._read(draws)
        except InputError as error:
            if get_worker_info() is None:
                raise
            return error  # the loader would add the traceback of the worker to its message

    def _read(self, draws: Sequence[Draw]) -> Batch:
        if self.augment is None:
            assert isinstance(self.train, Split)  # the patches of volumes are drawn by `augment`
            rows = torch.tensor([draw.row for draw in draws])
            return self.train.images[rows], self.train.targets[rows]
        samples = [self._augmented(draw) for draw in draws]
        return torch.stack([image for image, _ in samples]), torch.stack([target for _, target in samples])

    def _augmented(self, draw: Draw) -> Batch:
        """Augment a sample with random numbers that only the seed and the draw decide."""
        assert self.augment is not None
        if hasattr(self.augment, "set_random_state"):
            state = np.random.SeedSequence((self.seed, *draw)).generate_state(1)
            self.augment.set_random_state(int(state[0]))
        image, target = self.train.images[draw.row], self.train.targets[draw.row]
        if not self.masks:
            return self.augment({"image": image})["image"], target
        pair = self.augment({"image": image, "mask": target[None]})
        return pair["image"], pair["mask"][0].long()


def _unchanged(batch: Any) -> Any:
    return batch


def _end_with_parent(_: int) -> None:
    """Prepare a worker: signals that stop a run reach the parent alone, and the worker is killed when it dies."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    if sys.platform == "linux":  # elsewhere, a worker looks every 5 seconds whether its parent lives
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
