"""`python -m bench [verb] [overrides]`: takes the verb, hands the rest to Hydra."""

from __future__ import annotations

import errno
import importlib
import logging
import os
import signal
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

CONF = Path(__file__).parents[1] / "conf"
VERBS = {"run": "config"}  # verb, which is also its module and function -> its config

log = logging.getLogger("bench")


def main() -> None:
    """Run a verb; a known fault is one line and exit code 2 (bad input), 1 (failed) or 130 (Ctrl-C).

    HYDRA_FULL_ERROR=1 shows the traceback as well.
    """
    arguments = sys.argv[1:]
    verb = arguments.pop(0) if arguments and arguments[0].isidentifier() else "run"
    if verb not in VERBS:
        end(2, f"verb: got {verb!r}, wanted one of {', '.join(VERBS)}; overrides look like name=value")
    sys.argv = [sys.argv[0], *arguments]
    show_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing and exiting
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cluster's stop is a Ctrl-C

    def job(config: DictConfig):
        try:
            return getattr(importlib.import_module(f"bench.{verb}"), verb)(config)
        except Exception as error:
            known = explain(error)
            if known is None or show_traceback:
                raise
            if HydraConfig.get().mode == RunMode.RUN:
                end(*known)
            log.error("job %s failed: %s", HydraConfig.get().job.override_dirname, known[1])
            raise

    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=VERBS[verb])(job)()
    except (Exception, KeyboardInterrupt) as error:
        close_sweep()
        known = explain(error)
        if known is None or show_traceback:
            raise
        end(*known)


def explain(error: BaseException) -> tuple[int, str] | None:
    """Exit code and one line for a known fault, None for a defect."""
    from torch import OutOfMemoryError

    from bench.train import TrainingError
    from bench.types import InputError

    kept = "the run is marked and what was measured is kept"
    if isinstance(error, MissingConfigException):
        return 2, missing_choice(error)
    if isinstance(error, InputError | HydraException | OmegaConfBaseException):
        return 2, str(error)
    if isinstance(error, TrainingError):
        return 1, f"{error}; {kept}"
    if isinstance(error, KeyboardInterrupt):
        return 130, f"stopped; {kept}"
    if isinstance(error, MemoryError | OutOfMemoryError) or "can't allocate memory" in str(error):
        return 1, f"out of memory: lower train.batch_size, probe.batch_size or probe.budget_gb; {kept}"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return (
            1,
            f"disk full: {error.filename or 'no space left'}; make room where tracking.uri keeps artifacts; {kept}",
        )
    return None


def missing_choice(error: MissingConfigException) -> str:
    """Name the group, what was asked and the choices, also where Hydra does not (inside a list)."""
    asked = str(error.missing_cfg_file or "")
    group, _, choice = asked.rpartition("/")
    if not (CONF / group).is_dir() or not group:
        return str(error)
    choices = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    return f"{group}: got {choice!r}, wanted one of {', '.join(choices)}"


def close_sweep() -> None:
    """Hydra leaves a sweep at its first failed job without calling back."""
    sweep = sys.modules.get("bench.sweep")
    if sweep and sweep.SweepParent.open:
        sweep.SweepParent.open.close(failed=True)


def end(code: int, line: str) -> None:
    sys.stderr.write(f"bench: {' '.join(line.split())}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
