"""Reading a record, while it is being written or later."""

import contextlib
import itertools
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

import numpy as np

from damond.core import Mapping, Snapshot, Summary
from damond.errors import RecordError, UnknownNameError
from damond.record import codec, database
from damond.record.columns import Block
from damond.record.model import Gap, MappingsAt, MemoryAt, RecordedContext
from damond.stream import wire
from damond.stream.wire import Event

_EARLIEST: Final = -(2**63)
_LATEST: Final = 2**63 - 1

Which = RecordedContext | str


class Record:
    """A record, read-only; a context manager.

    Times are Unix nanoseconds; a range ``from_ns`` to ``to_ns`` takes what overlaps it, and None is open. Things come
    in the order in which they were recorded: that of time, unless Unix time was set back (see :meth:`gaps`). A context
    is named by its :class:`RecordedContext`, its name, or ``name@host`` where two hosts have the same.

    Each iteration reads the record as it was when it began; several may be under way, in several threads.

    Attributes:
        path: Its file.
        damaged: Stretches that could not be read, as iterations came across them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged: list[Gap] = []
        self._newest: tuple[bytes, Block] | None = None
        database.open_readonly(path).close()

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a record.

        Raises:
            RecordError: There is none, it is something else, of a newer version, or damaged.
        """
        return cls(Path(path))

    def contexts(self) -> tuple[RecordedContext, ...]:
        """List the contexts of which there are snapshots, by name and host."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT name, host, primitive, min(first_ns), max(last_ns), sum(nr_snapshots)"
                " FROM batch JOIN context ON context.id = context_id GROUP BY context_id ORDER BY name, host"
            )
            return tuple(RecordedContext(*row) for row in rows)

    def context(self, which: Which) -> RecordedContext:
        """Look a context up.

        Raises:
            UnknownNameError: There is none of that name.
            RecordError: There are two, of two hosts.
        """
        known = self.contexts()
        named = [each for each in known if which in (each.name, str(each)) or which == each]
        if len(named) == 1:
            return named[0]
        if named:
            names = " and ".join(map(str, named))
            raise RecordError(f"{which} was recorded on {len(named)} hosts", hint=f"name one of them: {names}")
        raise UnknownNameError("context", str(which), [each.name for each in known])

    def spanning(self, context: Which, from_ns: int | None = None, to_ns: int | None = None) -> RecordedContext:
        """Look a context up of which something lies in a range of time.

        Raises:
            UnknownNameError: There is none of that name.
            RecordError: There are two, of two hosts; or the range is outside of what was recorded, or empty.
        """
        found = self.context(context)
        least, most = _bounds(from_ns, to_ns)
        if least < found.last_ns and most > found.first_ns and least < most:
            return found
        raise RecordError(
            f"nothing of {found} was recorded in that time",
            hint=f"it was from {_utc(found.first_ns)} to {_utc(found.last_ns)}",
        )

    def snapshots(self, context: Which, from_ns: int | None = None, to_ns: int | None = None) -> Iterator[Snapshot]:
        """Yield the snapshots of a context, with their origin."""
        chosen = self.context(context)
        for block in self.blocks(chosen, from_ns, to_ns):
            for row in range(block.nr_snapshots):
                yield block.snapshot(row, chosen.name, chosen.host)

    def blocks(self, context: Which, from_ns: int | None = None, to_ns: int | None = None) -> Iterator[Block]:
        """Yield the same as columns, about a minute each: 100 times as fast."""
        least, most = _bounds(from_ns, to_ns)
        with self._reading() as connection:
            context_id = self._id(connection, context)
            rows = connection.execute(
                "SELECT id FROM batch WHERE context_id = ? AND first_ns < ? AND last_ns > ?",
                (context_id, most, least),
            ).fetchall()
            for (batch_id,) in sorted(rows):
                block = self._block(connection, batch_id)
                if block is not None:
                    yield from _within(block, least, most)

    def _block(self, connection: sqlite3.Connection, batch_id: int) -> Block | None:
        first_ns, last_ns, nr_snapshots, body = connection.execute(
            "SELECT first_ns, last_ns, nr_snapshots, body FROM batch WHERE id = ?", (batch_id,)
        ).fetchone()
        # Many short looks, one after the other, are often at the same batch.
        if self._newest is not None and self._newest[0] == body:
            return self._newest[1]
        try:
            block = codec.unpack(body)
        except RecordError:
            gap = Gap(start_ns=first_ns, end_ns=last_ns, missed=nr_snapshots, restarted=False, reason="damaged")
            self.damaged.append(gap)
            return None
        self._newest = body, block
        return block

    def summaries(self, context: Which, from_ns: int | None = None, to_ns: int | None = None) -> Iterator[Summary]:
        """Yield the summaries of a context, with their origin."""
        for message in self._messages("summary", context, from_ns, to_ns):
            if isinstance(message, Summary):
                yield message

    def events(self, context: Which, from_ns: int | None = None, to_ns: int | None = None) -> Iterator[Event]:
        """Yield the events of a context, with their origin."""
        for message in self._messages("event", context, from_ns, to_ns):
            if isinstance(message, Event):
                yield message

    def _messages(self, kind: str, context: Which, from_ns: int | None, to_ns: int | None) -> Iterator[wire.Message]:
        with self._reading() as connection:
            chosen = self.context(context)
            topic = wire.topic(chosen.name, kind)
            for epoch, seq, body in connection.execute(
                "SELECT epoch, seq, body FROM message WHERE context_id = ? AND kind = ? AND time_ns BETWEEN ? AND ?"
                " ORDER BY id",
                (self._id(connection, chosen), kind, *_bounds(from_ns, to_ns)),
            ):
                yield wire.decode([topic, wire.header(epoch, seq), body])

    def gaps(self, context: Which, from_ns: int | None = None, to_ns: int | None = None) -> Iterator[Gap]:
        """Yield what is known to be missing, and restarts of the worker."""
        least, most = _bounds(from_ns, to_ns)
        with self._reading() as connection:
            for start_ns, end_ns, missed, restarted, reason in connection.execute(
                "SELECT start_ns, end_ns, missed, restarted, reason FROM gap"
                " WHERE context_id = ? AND start_ns <= ? AND max(start_ns, end_ns) >= ? ORDER BY id",
                (self._id(connection, context), most, least),
            ):
                yield Gap(start_ns=start_ns, end_ns=end_ns, missed=missed, restarted=bool(restarted), reason=reason)

    def mappings(self, context: Which, from_ns: int | None = None, to_ns: int | None = None) -> Iterator[MappingsAt]:
        """Yield what the processes had mapped: of each target first what held at ``from_ns``, then what changed."""
        least, most = _bounds(from_ns, to_ns)
        with self._reading() as connection:
            for time_ns, pid, target_id, body in connection.execute(
                "SELECT time_ns, pid, target_id, body FROM mappings AS this WHERE context_id = ? AND time_ns <= ?"
                " AND time_ns >= coalesce((SELECT max(time_ns) FROM mappings AS other WHERE time_ns <= ?"
                " AND other.context_id = this.context_id AND other.target_id = this.target_id), ?) ORDER BY id",
                (self._id(connection, context), most, least, least),
            ):
                mappings = tuple(Mapping(*row) for row in codec.inflate(body))
                yield MappingsAt(time_ns, pid, target_id, mappings)

    def memory(self, context: Which, from_ns: int | None = None, to_ns: int | None = None) -> Iterator[MemoryAt]:
        """Yield how much memory the processes had, every 5 s at most."""
        names = tuple(MemoryAt.__dataclass_fields__)
        with self._reading() as connection:
            for row in connection.execute(
                f"SELECT {', '.join(names)} FROM memory WHERE context_id = ? AND time_ns BETWEEN ? AND ? ORDER BY id",  # noqa: S608 - names of ours
                (self._id(connection, context), *_bounds(from_ns, to_ns)),
            ):
                yield MemoryAt(**dict(zip(names, row, strict=True)))

    def _id(self, connection: sqlite3.Connection, context: Which) -> int:
        chosen = context if isinstance(context, RecordedContext) else self.context(context)
        row = connection.execute("SELECT id FROM context WHERE name = ? AND host = ?", (chosen.name, chosen.host))
        return int(row.fetchone()[0])

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Look at the record as it is now, for as long as it takes."""
        connection = database.open_readonly(self.path)
        try:
            connection.execute("BEGIN")
            yield connection
        except sqlite3.Error as error:
            raise database.failure(self.path, error) from error
        finally:
            connection.close()

    def close(self) -> None:
        """End; iterations that are under way go on."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _bounds(from_ns: int | None, to_ns: int | None) -> tuple[int, int]:
    return (_EARLIEST if from_ns is None else from_ns, _LATEST if to_ns is None else to_ns)


def _utc(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _within(block: Block, least: int, most: int) -> Iterator[Block]:
    """Yield what of a block is in a range of time: all of it, mostly."""
    wanted = (block.column("start_ns") < most) & (block.column("end_ns") > least)
    if wanted.all():
        yield block
        return
    edges = [0, *(np.flatnonzero(np.diff(wanted)) + 1).tolist(), len(wanted)]
    for first, behind in itertools.pairwise(edges):
        if wanted[first]:
            yield block.rows(first, behind)
