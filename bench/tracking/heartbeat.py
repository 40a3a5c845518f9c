"""Heartbeat: whether the process that does a run is still there, for a process that was killed can't say so itself."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import psutil

from bench.tracking.remote import reason_of

OWNER, BEAT = "owner", "owner.beat"  # tags: the process, and when it was last heard of
SECONDS = 30
MISSED = 4  # beats after which a process of another host is taken for dead

log = logging.getLogger(__name__)


def owner_tags() -> dict[str, str]:
    """Of a run that this process does."""
    me = psutil.Process()
    owner = {"host": socket.gethostname(), "pid": me.pid, "since": me.create_time()}
    return {OWNER: json.dumps(owner), BEAT: str(time.time())}


def is_alive(tags: Mapping[str, str]) -> bool:
    """Whether the owner in a run's tags still runs: on this host by its process, on another by its last beat.

    >>> is_alive(owner_tags()), is_alive({})
    (True, False)
    """
    if OWNER not in tags:
        return False
    owner = json.loads(tags[OWNER])
    if owner["host"] != socket.gethostname():
        return time.time() - float(tags[BEAT]) < MISSED * SECONDS
    try:
        process = psutil.Process(owner["pid"])
        return process.create_time() == owner["since"] and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


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
            except Exception as error:  # of whatever kind: the run goes on, and the next beat may arrive
                log.warning("the tracking store missed a heartbeat: %s", reason_of(error))

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()  # and no waiting for a beat that a store leaves without an answer
