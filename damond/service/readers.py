"""Keeps an eye on those who are connected: how many they are, and who does not keep up.

libzmq drops what a slow subscriber can't take, and tells nobody (PUB); and it ends this process when there is no
descriptor left for another connection (4.3.5, ipc_listener_t::accept: EMFILE). Both are seen from outside of it.
"""

import itertools
import logging
import os
import resource
import select
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from damond.service.connections import Connection, count_descriptors, cut, describe, descriptors, listening, queued
from damond.service.privileges import user_name

_log = logging.getLogger(__name__)

STREAM: Final = "stream"
REMOTE_STREAM: Final = "remote_stream"

MAX_READERS: Final = 2048
"""Connections of readers, on this machine and elsewhere. Beyond, those who hold the most are cut."""
_GUARD_EVERY_S: Final = 0.1
"""Time between two counts while somebody connects: libzmq accepts 6,000 to 20,000 per second (two cores)."""
_HURRY_S: Final = 0.01
"""The same after some were cut."""
_LOOK_EVERY_S: Final = 1.0
"""Time between two looks; and to the next count, while nobody comes or goes. Ten counts a second took .25 % of a CPU,
a quarter of the budget by default."""
_LOOK_SHARE: Final = 50
"""A look, which takes about 10 us per connection, is followed by at least this many times the CPU time that it took."""
_LOOK_AT_LEAST_EVERY_S: Final = 15.0
"""However long it took, and though nobody seems to have come: as many may have come as have gone."""
_LOG_EVERY_S: Final = 5.0


class Readers:
    """Those who are connected, seen by a thread.

    Args:
        doors: Path of a local socket, or TCP port -> name. ``stream`` and ``remote_stream`` are those whose readers
            may fall behind.
        limit: Connections that are allowed at the same time.

    Attributes:
        cut: Connections that were cut, since there were too many.
    """

    def __init__(self, doors: Mapping[str | int, str], limit: int = MAX_READERS) -> None:
        self.cut = 0
        self._doors = dict(doors)
        self._limit = limit
        self._known: dict[int, Connection | None] = {}
        self._seen: list[Connection] = []
        self._full: dict[int, tuple[float, int]] = {}
        self._behind_s = dict.fromkeys((STREAM, REMOTE_STREAM), 0.0)
        self._told_s: dict[str, float] = {}
        self._ending = os.eventfd(0, os.EFD_CLOEXEC)
        self._arrivals = select.epoll()
        for fd in (self._ending, *listening(self._doors)):
            self._arrivals.register(fd, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name="damond-readers", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        os.eventfd_write(self._ending, 1)
        self._thread.join()
        self._arrivals.close()
        os.close(self._ending)

    def _run(self) -> None:
        looked_s = time.monotonic()
        moved_s, due_s, pause_s = looked_s, looked_s + _LOOK_EVERY_S, _GUARD_EVERY_S
        count, has_moved = 0, True
        while True:
            at_rest = time.monotonic() - moved_s > _LOOK_EVERY_S
            seen_waiting = self._wait_for_somebody() if at_rest else self._wait(pause_s)
            if seen_waiting is None:
                return
            now_s, before, pause_s = time.monotonic(), count, _GUARD_EVERY_S
            try:
                count = count_descriptors()
                if seen_waiting or count != before:
                    moved_s, has_moved = now_s, True
                if count > self._allowed() and self._guard():
                    pause_s, moved_s = _HURRY_S, now_s
                if now_s >= due_s and (self._seen or has_moved or now_s - looked_s >= _LOOK_AT_LEAST_EVERY_S):
                    began_s = time.thread_time()
                    self._look(now_s - looked_s)
                    took_s, looked_s, has_moved = time.thread_time() - began_s, now_s, False
                    due_s = now_s + max(_LOOK_EVERY_S, min(_LOOK_SHARE * took_s, _LOOK_AT_LEAST_EVERY_S))
            except OSError as error:  # no descriptor left to look with
                moved_s = now_s
                if self._is_time_to_tell("error"):
                    _log.error("connections can't be looked at: %s", error)

    def _wait(self, span_s: float) -> bool | None:
        """Wait for a while; return None if the end has come."""
        ending = select.poll()
        ending.register(self._ending, select.POLLIN)
        return None if ending.poll(span_s * 1000) else False

    def _wait_for_somebody(self) -> bool | None:
        """Wait until somebody waits to be accepted, or a second; return which, or None if the end has come.

        Who is accepted at once may not be seen, but in the next count.
        """
        waiting = {fd for fd, _ in self._arrivals.poll(_LOOK_EVERY_S)}
        return None if self._ending in waiting else bool(waiting)

    def _is_time_to_tell(self, what: str) -> bool:
        """Say whether this was told long enough ago, and take note that it is told now."""
        now_s = time.monotonic()
        if now_s - self._told_s.get(what, -_LOG_EVERY_S) < _LOG_EVERY_S:
            return False
        self._told_s[what] = now_s
        return True

    def _allowed(self) -> int:
        """Half of the descriptors are for readers at most: workers need theirs."""
        return min(self._limit, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)

    def _guard(self) -> bool:
        """Cut what is too much, of those who hold the most; return whether there was any."""
        open_now = descriptors()
        # What is new alone is looked at closely: there may be thousands, and more to come.
        inodes = set(open_now.values())
        self._known = {inode: each for inode, each in self._known.items() if inode in inodes}
        for fd, inode in open_now.items():
            if inode not in self._known:
                self._known[inode] = describe(fd, inode, self._doors)
        held = [each for each in self._known.values() if each is not None]
        chosen = _greediest(held, len(held) - self._allowed())
        self._cut(chosen, len(held))
        return bool(chosen)

    def _cut(self, chosen: list[Connection], count: int) -> None:
        for each in chosen:
            self.cut += cut(each)
            self._known[each.inode] = None  # libzmq closes it as soon as it comes to it
        if chosen and self._is_time_to_tell("cut"):
            whose = ", ".join(sorted({_whose(each) for each in chosen})[:3])
            _log.warning("%d connections of readers are too many: %d of %s are cut", count, len(chosen), whose)

    def _connections(self) -> list[Connection]:
        found = (describe(fd, inode, self._doors) for fd, inode in descriptors().items())
        return [each for each in found if each is not None]

    def _look(self, since_s: float) -> None:
        """See who does not keep up: whose socket is full now, and was at the look before."""
        now_s, before, seen = time.monotonic(), self._full, self._connections()
        self._full = {}
        for each in seen:
            size, room = queued(each) if each.door in self._behind_s else (0, 0)
            if size > room // 2:
                self._full[each.inode] = (before[each.inode][0] if each.inode in before else now_s, size)
        for door in {each.door for each in seen if each.inode in self._full and each.inode in before}:
            self._behind_s[door] += since_s
        self._seen = seen

    def cut_all(self, door: str) -> None:
        """End all connections that came in by a door; who may still come in connects again."""
        for each in self._connections():
            if each.door == door:
                cut(each)

    def describe(self) -> dict[str, Any]:
        """Tell who is connected and who does not keep up, as plain values, as of the last look."""
        return {"cut": self.cut, "limit": self._allowed(), **{door: self._describe(door) for door in self._behind_s}}

    def _describe(self, door: str) -> dict[str, Any]:
        seen, full = [each for each in self._seen if each.door == door], self._full
        return {
            "connected": len(seen),
            "behind": [_row(each, *full[each.inode]) for each in seen if each.inode in full],
            "behind_s": round(self._behind_s[door], 1),
        }


def _row(connection: Connection, since_s: float, size: int) -> dict[str, Any]:
    local = connection.pid is not None
    return {
        "pid": connection.pid,
        "user": user_name(int(connection.owner)) if local else None,
        "address": None if local else connection.owner,
        "queued_bytes": size,
        "for_s": round(time.monotonic() - since_s, 1),
    }


def _whose(connection: Connection) -> str:
    if connection.pid is None:
        return str(connection.owner)
    return f"process {connection.pid} ({user_name(int(connection.owner))})"


def _greediest(found: Iterable[Connection], count: int) -> list[Connection]:
    """Choose connections to be cut: of the owner who has the most, of its process that has the most, the newest."""
    left = list(found)
    chosen: list[Connection] = []
    while left and len(chosen) < count:
        owner = Counter(each.owner for each in left).most_common(1)[0][0]
        pid = Counter(each.pid for each in left if each.owner == owner).most_common(1)[0][0]
        theirs = sorted((each for each in left if (each.owner, each.pid) == (owner, pid)), key=_age)
        chosen += itertools.islice(theirs, count - len(chosen))
        left = [each for each in left if (each.owner, each.pid) != (owner, pid)]
    return chosen


def _age(connection: Connection) -> int:
    """Order by age, newest first: inodes of sockets are given out in order, within one CPU (get_next_ino)."""
    return -connection.inode
