"""Heartbeat: whether the process that does a run still lives, because a process that was killed can't say so itself."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.tracking.remote import reason_of

OWNER, BEAT = "owner", "owner.beat"  # tags: the process, and when it was last heard of
SECONDS = 30
MISSED = 4  # beats after which a process of another host is taken for dead
TOLERANCE = 5  # of when a process began, in seconds, or in ticks of 0.01 s where it is counted in those
LOST = 24 * 3600  # seconds; the clocks of two hosts differ by less

log = logging.getLogger(__name__)


def machine() -> str:
    """This boot of this machine, and the namespace that its process numbers are of; empty where it has no such name.

    Containers and hosts may have one host name between them.
    """
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if not (boot.exists() and namespace.is_symlink()):
        return ""
    return f"{boot.read_text().strip()} {os.readlink(namespace)}"


def since(process: psutil.Process) -> float:
    """When a process began: in clock ticks since boot on Linux, where seconds since 1970 change as the clock is set.

    Elsewhere in seconds since 1970, which the system keeps as they were.
    """
    stat = Path(f"/proc/{process.pid}/stat")
    if not stat.exists():
        return process.create_time()
    return int(stat.read_text().rpartition(")")[2].split()[19])


def owner_tags() -> dict[str, str]:
    """Of a run that this process does."""
    me = psutil.Process()
    owner = {"host": socket.gethostname(), "machine": machine(), "pid": me.pid, "since": since(me)}
    return {OWNER: json.dumps(owner), BEAT: str(time.time())}


def is_mine(tags: Mapping[str, str]) -> bool:
    """Whether this process does the run that has these tags.

    >>> is_mine(owner_tags()), is_mine({})
    (True, False)
    """
    return tags.get(OWNER) == owner_tags()[OWNER]


def is_here(tags: Mapping[str, str]) -> bool:
    """Whether the owner in a run's tags is a process of this machine, which can be looked up."""
    owner = json.loads(tags[OWNER])
    return owner["host"] == socket.gethostname() and owner.get("machine", machine()) == machine()


def is_alive(tags: Mapping[str, str]) -> bool:
    """Whether the owner in a run's tags still runs: on this machine by its process, on another by its last beat.

    The beat is a time of the other machine's clock; `Watch` tells without comparing clocks.

    >>> is_alive(owner_tags()), is_alive({})
    (True, False)
    """
    if OWNER not in tags:
        return False
    if not is_here(tags):
        return silence(tags) < MISSED * SECONDS
    owner = json.loads(tags[OWNER])
    try:
        process = psutil.Process(owner["pid"])
        began = since(process) if isinstance(owner["since"], int) else process.create_time()
        return abs(began - owner["since"]) <= TOLERANCE and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def silence(tags: Mapping[str, str]) -> float:
    """Seconds since a run's owner was last heard of, by its clock and by this one."""
    return time.time() - float(tags[BEAT])


class Watch:
    """Tells which owners live, without comparing clocks: one of another machine lives while its beats change."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, float]] = {}  # owner -> its last beat, and when this process first saw it

    def is_alive(self, tags: Mapping[str, str]) -> bool:
        """Whether the owner in a run's tags lives; at the first looks, one of another machine may."""
        if OWNER not in tags or is_here(tags):
            return is_alive(tags)
        if self._seen.get(tags[OWNER], ("", 0))[0] != tags[BEAT]:
            self._seen[tags[OWNER]] = tags[BEAT], time.monotonic()
        return time.monotonic() - self._seen[tags[OWNER]][1] < MISSED * SECONDS


def mark_dead(client, run) -> None:
    """Mark a run as killed whose process has ended, unless it has ended the run before."""
    if client.get_run(run.info.run_id).info.status == "RUNNING":
        client.set_terminated(run.info.run_id, "KILLED")
        gone = f"{owner_of(run.data.tags)} is gone" if OWNER in run.data.tags else "no process does it"
        log.warning("marked run %s (%s) as killed: %s", run.info.run_id, run.info.run_name, gone)


def mark_all_dead(client, experiment_id: str) -> None:
    """Mark as killed every run of an experiment whose process is gone; a store that may only be read stays as it is.

    Of another machine are only those that were silent for a day, because the clocks of two machines differ.
    """
    query = f"attributes.status = 'RUNNING' and tags.{OWNER} LIKE '%'"
    for run in client.search_runs([experiment_id], query, max_results=1000):
        tags = run.data.tags
        if is_alive(tags) if is_here(tags) else silence(tags) < LOST:
            continue
        try:
            mark_dead(client, run)
        except Exception as error:  # of whatever kind: the command that connects may need nothing but to read
            gone = (run.info.run_id, owner_of(tags), error)
            log.warning("run %s can't be marked as killed, although %s is gone: %s", *gone)


def owner_of(tags: Mapping[str, str]) -> str:
    """The owner in words."""
    owner = json.loads(tags[OWNER])
    return f"process {owner['pid']} on {owner['host']}"


@contextmanager
def beating(set_tag: Callable[[str, str], None]) -> Iterator[None]:
    """Within: a thread sets the tag of the last beat every 30 s; a store that misses one is told about in the log."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(SECONDS):
            try:
                set_tag(BEAT, str(time.time()))
            except Exception as error:  # of any kind: the run continues, and the next beat may arrive
                log.warning("the tracking store missed a heartbeat: %s", reason_of(error))

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()  # and no waiting for a beat that a store leaves without an answer
