"""Read files in several processes. The results and their order do not depend on the number of processes."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch

from bench.datasets.progress import Progress

Item = TypeVar("Item")
Result = TypeVar("Result")
ALONE = 0.3  # seconds in which this process reads before others help
WORTH = 0.5  # seconds; less work is not worth other processes
CHUNK = 0.1  # seconds of work that a process takes at once
MOST = 16  # processes


def map_in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], what: str, unit: str, processes: int | None = None
) -> Iterator[Result]:
    """Yield the results of a function, in the order of the items, and show how many are done.

    The first items are done in this process. If the others take longer than half a second, forked processes do them.
    Each of them uses one thread, so that sums over pixels are the same everywhere.

    Args:
        function: Called for each item. Its errors are raised here.
        items: The items.
        what: Name of the step, for the progress bar.
        unit: What the items are, in the plural.
        processes: Number of processes. None takes one for each CPU that this process may use, at most 16.
    """
    processes = _processes() if processes is None else processes
    threads = torch.get_num_threads()
    started, done = time.perf_counter(), 0
    with Progress(what, unit, len(items)) as step:
        torch.set_num_threads(1)
        try:
            for item in items:
                spent = time.perf_counter() - started
                if processes > 1 and done and spent > ALONE and spent / done * (len(items) - done) > WORTH:
                    break
                yield function(item)
                done += 1
                step.update()
        finally:
            torch.set_num_threads(threads)
        if done == len(items):
            return
        size = max(1, min(256, int(CHUNK * done / (time.perf_counter() - started))))
        chunks = [items[first : first + size] for first in range(done, len(items), size)]
        for results in _loader(_Chunks(function, chunks), processes):
            for result in results:
                if isinstance(result, _Failed):
                    raise result.error
                yield result
                step.update()


@dataclass(frozen=True)
class _Failed:
    error: BaseException


@dataclass(frozen=True)
class _Chunks(Generic[Item, Result]):
    """The items in chunks, as a dataset of PyTorch whose samples are the results of a chunk."""

    function: Callable[[Item], Result]
    chunks: Sequence[Sequence[Item]]

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, index: int) -> list[Result | _Failed]:
        results: list[Result | _Failed] = []
        for item in self.chunks[index]:
            try:
                results.append(self.function(item))
            except Exception as error:  # raised again in the process that reads the results
                results.append(_Failed(_sendable(error)))
                break
        return results


def _loader(chunks: _Chunks, processes: int) -> Any:
    return torch.utils.data.DataLoader(
        chunks,  # type: ignore[arg-type]  # has the methods of a Dataset
        batch_size=None,
        num_workers=min(processes, len(chunks)),
        multiprocessing_context="fork",  # the others import PyTorch again, which takes seconds
        collate_fn=_same,
        generator=torch.Generator(),  # else it would draw from the global one
    )


def _sendable(error: Exception) -> Exception:
    """Return the error, or one with its message if it can't be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # an error of a library can have a constructor with other arguments
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _same(results: list) -> list:
    return results


def _processes() -> int:
    """Return the number of processes: one where processes can't be forked safely, or can't have children."""
    if sys.platform != "linux" or multiprocessing.current_process().daemon:
        return 1
    return min(MOST, len(os.sched_getaffinity(0)))
