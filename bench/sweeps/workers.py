"""Workers: joblib's processes for the jobs of a sweep, where one that is killed ends its own job alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress

from hydra.core.utils import JobReturn, JobStatus
from joblib import cpu_count, register_parallel_backend
from joblib.externals.loky.process_executor import ProcessPoolExecutor, TerminatedWorkerError
from joblib.parallel import ParallelBackendBase

from bench.signals import is_stopped

GRACE = 15  # seconds in which stopped jobs log what they have

_idle: list[ProcessPoolExecutor] = []  # a process each, with what it has imported; a sweeper may launch many times


class Workers(ParallelBackendBase):
    """A backend of joblib in which each process is a pool of its own.

    A pool of several ends all of its processes when one of them is killed. A job whose process was killed or stopped,
    while this one was not, has no result; the parent run has a note that it began.
    """

    supports_retrieve_callback = True

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        if n_jobs is None:  # a library in this process, such as scikit-learn, asks without a number
            return 1
        return n_jobs if n_jobs > 0 else max(1, cpu_count() + 1 + n_jobs)

    def configure(self, n_jobs: int = 1, parallel=None, **_) -> int:
        """Take settings of joblib.Parallel; returns how many jobs run at once. One job has a process of its own too."""
        n_jobs = self.effective_n_jobs(n_jobs)
        self.parallel = parallel
        self._environment = self._prepare_worker_env(n_jobs)
        self._threads = ThreadPoolExecutor(n_jobs)
        self._busy: dict[Future, ProcessPoolExecutor] = {}
        return n_jobs

    def submit(self, func: Callable, callback: Callable | None = None) -> Future:
        future = self._threads.submit(self._run, func)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Future) -> list[JobReturn]:
        return out.result()

    def _run(self, func: Callable) -> list[JobReturn]:
        try:
            process = _idle.pop()
        except IndexError:
            process = ProcessPoolExecutor(1, env=self._environment)
        job = process.submit(func)
        self._busy[job] = process
        try:
            result = job.result()
        except (TerminatedWorkerError, KeyboardInterrupt):
            if is_stopped():
                raise
            process.shutdown(kill_workers=True)
            return [JobReturn(status=JobStatus.COMPLETED)]
        finally:
            del self._busy[job]
        _idle.append(process)
        return result

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Stop the jobs, wait until they have logged what they have, and end the processes."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        busy = dict(self._busy)
        for process in busy.values():
            for number in [*process._processes]:
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGTERM)
        wait(busy, GRACE)
        for process in [*busy.values(), *_idle]:
            process.shutdown(wait=False, kill_workers=True)
        _idle.clear()

    def terminate(self) -> None:
        self._threads.shutdown(wait=False)


def register() -> None:
    """Have joblib take these for its own, which the launcher of Hydra names."""
    register_parallel_backend("loky", Workers)
