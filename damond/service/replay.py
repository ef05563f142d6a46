"""The snapshots that went through lately: for who comes back after a while, and wants what was published meanwhile."""

import sys
from collections import deque
from typing import Final

from damond.stream import wire

LIMIT_SZ: Final = 32 * 1024 * 1024
"""Bytes of memory, the interpreter's own share included: 6 min of one context of 1000 regions at 10 Hz, or so."""

Frames = list[bytes]


class Replay:
    """Keeps snapshots of all contexts in the order in which they came; the oldest go first.

    One thread adds; any may look.

    Attributes:
        held_sz: Memory that is held. Bytes.
    """

    def __init__(self, limit_sz: int = LIMIT_SZ) -> None:
        self.held_sz = 0
        self._limit_sz = limit_sz
        self._kept: deque[Frames] = deque()

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, frames: Frames) -> None:
        """Keep a snapshot."""
        self._kept.append(frames)
        self.held_sz += _size(frames)
        while self.held_sz > self._limit_sz:
            self.held_sz -= _size(self._kept.popleft())

    def find(self, context: str, epoch: int, from_seq: int) -> list[Frames]:
        """List the snapshots of one worker that are still kept, from a seq on, oldest first."""
        wanted = wire.topic(context, "snapshot")
        rows = [frames for frames in self._kept.copy() if frames[0] == wanted]
        numbered = [(wire.parse_header(frames[1]), frames) for frames in rows]
        return [frames for (its_epoch, seq), frames in numbered if its_epoch == epoch and seq >= from_seq]

    def describe(self) -> dict[str, int]:
        """Tell how much is kept, for ``status``."""
        return {"snapshots": len(self), "bytes": self.held_sz, "limit_bytes": self._limit_sz}


def _size(frames: Frames) -> int:
    return sys.getsizeof(frames) + sum(map(sys.getsizeof, frames))
