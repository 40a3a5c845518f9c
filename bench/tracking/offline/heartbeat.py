"""Heartbeat: detect whether the process of a run is alive, because a killed process can't report its end."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.tracking.remote import reason_of

OWNER, BEAT = "owner", "owner.beat"  # tags: the process of a run, and the time of its last heartbeat
SECONDS = 30  # between two heartbeats
MISSED = 4  # heartbeats after which a process of another host counts as dead
TOLERANCE = 5  # of the start time of a process, in seconds, or in clock ticks of 0.01 s on Linux
LOST = 24 * 3600  # seconds of silence; the clocks of two hosts differ by less

log = logging.getLogger(__name__)


def machine_id() -> str:
    """Return a name for this boot of this machine and its namespace of process ids, or "" if the system has none.

    The host name is not enough, because containers and hosts may share it.
    """
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if not (boot.exists() and namespace.is_symlink()):
        return ""
    return f"{boot.read_text().strip()} {os.readlink(namespace)}"


def since(process: psutil.Process) -> float:
    """Return the start time of a process, which does not change when the clock is set.

    Returns:
        On Linux, clock ticks since boot, because there the seconds since 1970 change with the clock. On other systems,
        seconds since 1970, which stay as they were.
    """
    stat = Path(f"/proc/{process.pid}/stat")
    if not stat.exists():
        return process.create_time()
    return int(stat.read_text().rpartition(")")[2].split()[19])


def owner_tags() -> dict[str, str]:
    """Return the tags of a run that this process executes."""
    me = psutil.Process()
    owner = {"host": socket.gethostname(), "machine": machine_id(), "pid": me.pid, "since": since(me)}
    return {OWNER: json.dumps(owner), BEAT: str(time.time())}


def is_of_this_process(tags: Mapping[str, str]) -> bool:
    """Return whether this process executes the run with these tags.

    Examples:
        >>> is_of_this_process(owner_tags()), is_of_this_process({})
        (True, False)
    """
    return tags.get(OWNER) == owner_tags()[OWNER]


def is_on_this_host(tags: Mapping[str, str]) -> bool:
    """Return whether the owner in a run's tags is a process of this machine, whose state can be read."""
    owner = json.loads(tags[OWNER])
    return owner["host"] == socket.gethostname() and owner.get("machine", machine_id()) == machine_id()


def is_alive(tags: Mapping[str, str]) -> bool:
    """Return whether the owner in a run's tags is alive.

    On this machine, the process itself is checked. On another machine, its last heartbeat decides, which has a time of
    that machine's clock. `Watch` decides without a comparison of clocks.

    Examples:
        >>> is_alive(owner_tags()), is_alive({})
        (True, False)
    """
    if OWNER not in tags:
        return False
    if not is_on_this_host(tags):
        return silence(tags) < MISSED * SECONDS
    owner = json.loads(tags[OWNER])
    try:
        process = psutil.Process(owner["pid"])
        began = since(process) if isinstance(owner["since"], int) else process.create_time()
        return abs(began - owner["since"]) <= TOLERANCE and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError):  # it ends while its state is read
        return False


def silence(tags: Mapping[str, str]) -> float:
    """Return the seconds since the last heartbeat, whose time is by the clock of the owner's machine."""
    return time.time() - float(tags[BEAT])


class Watch:
    """Decide which owners are alive without a comparison of clocks.

    An owner on another machine is alive as long as its heartbeat changes.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, float]] = {}  # owner -> its last heartbeat, and when this process first saw it

    def is_alive(self, tags: Mapping[str, str]) -> bool:
        """Return whether the owner in a run's tags is alive.

        An owner on another machine counts as alive until its heartbeat has not changed for 2 min.
        """
        if OWNER not in tags or is_on_this_host(tags):
            return is_alive(tags)
        if self._seen.get(tags[OWNER], ("", 0))[0] != tags[BEAT]:
            self._seen[tags[OWNER]] = tags[BEAT], time.monotonic()
        return time.monotonic() - self._seen[tags[OWNER]][1] < MISSED * SECONDS


def mark_dead(client, run) -> None:
    """Mark a run as killed if its process ended before it ended the run."""
    if client.get_run(run.info.run_id).info.status == "RUNNING":
        client.set_terminated(run.info.run_id, "KILLED")
        reason = f"{owner_of(run.data.tags)} has ended" if OWNER in run.data.tags else "it has no process"
        log.warning("marked run %s (%s) as killed: %s", run.info.run_id, run.info.run_name, reason)


def mark_all_dead(client, experiment_ids: Sequence[str]) -> None:
    """Mark as killed all runs of these experiments whose process has ended. A read-only store is not changed.

    A run of another machine is marked after a day without a heartbeat, because the clocks of two machines differ.
    """
    query = f"attributes.status = 'RUNNING' and tags.{OWNER} LIKE '%'"
    for run in client.search_runs([*experiment_ids], query, max_results=1000):
        tags = run.data.tags
        if is_alive(tags) if is_on_this_host(tags) else silence(tags) < LOST:
            continue
        try:
            mark_dead(client, run)
        except Exception as error:  # errors of any kind, because the command that connects may only need to read
            values = (run.info.run_id, owner_of(tags), error)
            log.warning("run %s can't be marked as killed, although %s has ended: %s", *values)


def owner_of(tags: Mapping[str, str]) -> str:
    """Describe the owner in a run's tags for messages."""
    owner = json.loads(tags[OWNER])
    return f"process {owner['pid']} on {owner['host']}"


@contextmanager
def keep_heartbeat(set_tag: Callable[[str, str], None]) -> Iterator[None]:
    """Set the tag of the last heartbeat every 30 s within this context, in a thread. Failures are logged."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(SECONDS):
            try:
                set_tag(BEAT, str(time.time()))
            except Exception as error:  # errors of any kind, because the run continues and the next one may succeed
                log.warning("the tracking store missed a heartbeat: %s", reason_of(error))

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()  # do not wait for the thread, because the store may not answer its last request
