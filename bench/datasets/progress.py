"""Progress of long steps: bars on a terminal, and a line at least every half minute elsewhere."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from shutil import get_terminal_size
from typing import Self, TypeVar

from tqdm import tqdm

SECONDS = 30  # between two lines
PAUSE = 5  # seconds; steps that follow each other faster count as one wait
OWNER = "BENCH_PROGRESS"  # environment variable: id of the process that shows progress, its child processes do not
BAR = "{desc} {percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt} {unit}, {elapsed}{postfix}"

Item = TypeVar("Item")


class Progress:
    """Progress of one long step: its name, the number of finished units, and the remaining time.

    On a terminal it is a bar. Elsewhere a thread writes a line to the standard error, with all steps that are open, the
    outermost first. Steps of a process whose parent shows the progress are not shown.

    Args:
        what: Name of the step.
        unit: What is counted, in the plural.
        total: Number of units, or None if it is not known yet.
        done: Number of units that are done at the start.
        seconds: Expected duration of a unit, until two are done.

    Examples:
        >>> with Progress("retrain", "trainings", total=4, seconds=30) as step:
        ...     print(step)
        retrain 0/4 trainings in 0 s, about 2 min left
    """

    def __init__(self, what: str, unit: str, total: int | None = None, done: int = 0, seconds: float | None = None):
        self.what = what
        self.unit = unit
        self.total = total
        self.done = self.first = done  # first: done before the units whose duration is known
        self.seconds = seconds
        self.started = self.updated = self.since = time.monotonic()  # since: the end of these first units
        self.updates = 0
        self.bar: tqdm | None = None

    def __enter__(self) -> Self:
        if os.environ.get(OWNER, str(os.getpid())) == str(os.getpid()):
            if sys.stderr.isatty():
                columns, rows = get_terminal_size()  # of 80 by 24 if the terminal does not know its size
                self.bar = tqdm(
                    total=self.total, desc=self.what, unit=self.unit, initial=self.done, leave=False, miniters=1,
                    bar_format=BAR, ncols=columns, nrows=rows,
                )  # fmt: skip
            else:
                lines.open(self)
        return self

    def __exit__(self, *_) -> None:
        if self.bar is not None:
            self.bar.close()
        lines.close(self)

    def update(self, count: int = 1) -> None:
        """Add units that are done."""
        if not count:
            return
        self.done, self.updated, self.updates = self.done + count, time.monotonic(), self.updates + 1
        if self.updates == 1:  # the first units take longer, because processes and caches begin
            self.seconds = self.seconds or (self.updated - self.since) / count
            self.first, self.since = self.done, self.updated
        else:
            self.seconds = (self.updated - self.since) / (self.done - self.first)
        if self.total is not None:
            self.total = max(self.total, self.done)
        if self.bar is not None:
            self.bar.total = self.total
            self.bar.set_postfix_str(self._left_in_words(), refresh=False)
            self.bar.update(count)

    def refresh(self) -> None:
        """Draw the bar again, so that its times are correct although nothing was done."""
        if self.bar is not None:
            self.bar.set_postfix_str(self._left_in_words())

    def left(self) -> float | None:
        """Return the expected seconds until the end, or None if nothing is known about them."""
        if self.total is None or self.seconds is None:
            return None
        spent = min(self.seconds, time.monotonic() - self.updated)  # at most one unit, which may take longer
        return max(0.0, self.seconds * (self.total - self.done) - spent)

    def _left_in_words(self) -> str:
        left = self.left()
        return "" if left is None else f"about {duration(left)} left"

    def __str__(self) -> str:
        of = "" if self.total is None else f"/{self.total}"
        spent = f"{self.what} {self.done}{of} {self.unit} in {duration(time.monotonic() - self.started)}"
        return ", ".join(filter(None, (spent, self._left_in_words())))


def progress(items: Iterable[Item], what: str, unit: str, total: int, done: int = 0) -> Iterator[Item]:
    """Yield items and show how many are done.

    Use it in a loop, not in a comprehension: an error there leaves the step open as long as its traceback lives.

    Args:
        items: The items.
        what: Name of the step.
        unit: What the items are, in the plural.
        total: Number of items, including those that are done.
        done: Number of items that were done before.
    """
    with Progress(what, unit, total, done) as step:
        for item in items:
            yield item
            step.update()


def duration(seconds: float) -> str:
    """Return a duration in words.

    Examples:
        >>> duration(42.3), duration(400), duration(7200)
        ('42 s', '7 min', '2.0 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def say(text: str) -> None:
    """Write a line to the standard output at once, above the bars that are open."""
    tqdm.write(text, file=sys.stdout)
    sys.stdout.flush()


class _Lines:
    """Writes a line about the open steps at least every half minute, in a thread."""

    def __init__(self) -> None:
        self.steps: list[Progress] = []
        self.written = self.closed = 0.0
        self.lock = threading.Lock()
        self.thread: threading.Thread | None = None

    def open(self, step: Progress) -> None:
        with self.lock:
            if not self.steps and time.monotonic() - self.closed > PAUSE:
                self.written = time.monotonic()
            self.steps.append(step)
            if self.thread is None:
                self.thread = threading.Thread(target=self._write, daemon=True)
                self.thread.start()

    def close(self, step: Progress) -> None:
        with self.lock:
            if step in self.steps:
                self.steps.remove(step)
                self.closed = time.monotonic()

    def _write(self) -> None:
        """Write a line whenever half a minute has passed; end when no step is open."""
        while True:
            with self.lock:
                wait = self.written + SECONDS - time.monotonic()
                if not self.steps and time.monotonic() - self.closed > PAUSE:
                    self.thread = None
                    return
                if self.steps and wait <= 0:
                    self.written = time.monotonic()
                    sys.stderr.write(f"progress: {'; '.join(map(str, self.steps))}\n")
                    sys.stderr.flush()
            time.sleep(min(1, max(0.1, wait)))


lines = _Lines()
