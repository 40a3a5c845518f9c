"""Worker processes of joblib for the jobs of a sweep. A process that is killed ends only its own job."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress

from hydra.core.utils import JobReturn, JobStatus
from joblib import register_parallel_backend
from joblib.externals.loky.process_executor import ProcessPoolExecutor, TerminatedWorkerError
from joblib.parallel import ParallelBackendBase

from bench.signals import is_stopped
from bench.sweeps.watching import at_once

GRACE = 15  # seconds in which stopped jobs can log their results

# Pools of one process each. They are reused with the packages that they imported, because a sweeper may launch often.
_idle: list[ProcessPoolExecutor] = []
_started_in: list = []  # what the processes in _idle took over from this process


class Workers(ParallelBackendBase):
    """A backend of joblib in which each process is a pool of its own.

    A pool of several processes ends all of them when one is killed. If the process of a job is killed or stopped and
    this process is not, the job has no result. The parent run has a note that the job began.
    """

    supports_retrieve_callback = True

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        if n_jobs is None:  # a library in this process, such as scikit-learn, asks without a number
            return 1
        return at_once(n_jobs)

    def configure(self, n_jobs: int = 1, parallel=None, **_) -> int:
        """Apply the settings of joblib.Parallel and return the number of parallel jobs.

        If it is 1, joblib runs the jobs in this process, one after the other.
        """
        n_jobs = self.effective_n_jobs(n_jobs)
        self.parallel = parallel
        if (now := inherited()) != _started_in:
            end_idle()
            _started_in[:] = now
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
        """Run a job in an idle or a new process and return its result."""
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
        """Stop the jobs, wait until they have logged their results, and end the processes."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        busy = dict(self._busy)
        for process in busy.values():
            for number in [*process._processes]:
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGTERM)
        wait(busy, GRACE)
        for process in busy.values():
            process.shutdown(wait=False, kill_workers=True)
        end_idle()

    def terminate(self) -> None:
        self._threads.shutdown(wait=False)


def inherited() -> list:
    """Return what a new process takes over: the current folder, the environment and the import path."""
    return [os.getcwd(), dict(os.environ), [*sys.path]]


def end_idle() -> None:
    """End the processes that wait for a job."""
    while _idle:
        _idle.pop().shutdown(wait=False, kill_workers=True)


def register() -> None:
    """Register this backend as `loky`, the name that Hydra's joblib launcher uses."""
    register_parallel_backend("loky", Workers)
