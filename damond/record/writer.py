"""Writing a record."""

import contextlib
import socket
import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Final, Self

import msgpack

from damond.core import Mapping, Origin, ProcessMemory, Snapshot, Summary
from damond.errors import RecordFullError
from damond.record import codec, database, deletion
from damond.record.columns import Block
from damond.record.gaps import Last, is_known, mark
from damond.record.lock import WriterLock
from damond.record.model import Gap
from damond.stream import wire

SEAL_AFTER_NS: Final = 60_000_000_000
"""Small batches are packed together once they span this much. Longer ones save 4 % more (120 s), and cost as much again
to whoever wants a minute of them. Nanoseconds."""

SEAL_AFTER_REGIONS: Final = 250_000
"""Or once they have this many regions: 6 MB of columns."""

MAX_WAITING_REGIONS: Final = 2_000_000
"""What is kept for a disk that is full: 50 MB of columns, half an hour of 100 regions at 10 Hz. The oldest goes."""


@dataclass(slots=True)
class _Written:
    """A context in the file.

    Attributes:
        id: Its row.
        last: Its newest snapshot.
        open_since_ns: Begin of what is not sealed yet.
        open_regions: Regions in what is not sealed yet.
        mappings: Target id -> what it had mapped last.
    """

    id: int
    last: Last | None = None
    open_since_ns: int | None = None
    open_regions: int = 0
    mappings: dict[int, tuple[Mapping, ...]] = field(default_factory=dict)

    @property
    def is_due(self) -> bool:
        """Whether what is open is enough to be sealed."""
        if self.open_since_ns is None or self.last is None:
            return False
        # A clock that was set back makes it due too.
        return not 0 <= self.last.end_ns - self.open_since_ns < SEAL_AFTER_NS or self.open_regions >= SEAL_AFTER_REGIONS


class RecordWriter:
    """Appends to a record, or begins one; a context manager.

    :meth:`add` only gathers; :meth:`flush` puts all of it on the disk, in one transaction; :meth:`seal_one` now and
    then makes one large batch of many small ones.

    Args:
        path: Its file.

    Attributes:
        path: Its file.
        nr_snapshots: Written by this writer.
        nr_dropped: Snapshots that could not be written, and were given up.

    Raises:
        RecordBusyError: Another process writes to it.
        RecordError: It can't be written, or is no record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.nr_snapshots = self.nr_dropped = 0
        self._waiting: deque[wire.Message] = deque()
        self._host = socket.gethostname()
        self._lock = WriterLock(path)
        try:
            self._connection = database.open_writable(path)
            with self._failing():
                self._contexts = self._known()
        except BaseException:
            self._lock.release()
            raise

    def _known(self) -> dict[tuple[str, str], _Written]:
        rows = self._connection.execute("SELECT name, host, id, epoch, seq, end_ns FROM context").fetchall()
        known = {
            (name, host): _Written(row_id, None if end_ns is None else Last(epoch, seq, end_ns))
            for name, host, row_id, epoch, seq, end_ns in rows
        }
        for each in known.values():
            open_since = "SELECT min(first_ns) FROM batch WHERE context_id = ? AND NOT sealed"
            (each.open_since_ns,) = self._connection.execute(open_since, (each.id,)).fetchone()
        return known

    def add(self, message: wire.Message) -> None:
        """Take a message of the stream."""
        self._waiting.append(message)

    def last(self, name: str, host: str) -> Last | None:
        """Tell which snapshot of a context was written last; None is none."""
        context = self._contexts.get((name, host))
        return None if context is None else context.last

    def flush(self) -> None:
        """Write what was added.

        Raises:
            RecordFullError: It can't be written at the moment; it is kept for the next time, as far as that goes.
            RecordError: The record is broken.
        """
        if not self._waiting:
            return
        try:
            with self._transaction():
                for key, messages in _by_context(self._waiting, self._host):
                    self._write(key, messages)
        except RecordFullError:
            self._forget_oldest()
            raise
        self.nr_snapshots += sum(isinstance(each, Snapshot) for each in self._waiting)
        self._waiting.clear()

    def _write(self, key: tuple[str, str], messages: Sequence[wire.Message]) -> None:
        if key not in self._contexts:
            row = self._connection.execute("INSERT INTO context(name, host) VALUES (?, ?)", key)
            self._contexts[key] = _Written(int(row.lastrowid or 0))
        context = self._contexts[key]
        snapshots = [each for each in messages if isinstance(each, Snapshot)]
        for _, run in groupby(self._marked(context, snapshots), _kind):
            for number, piece in enumerate(_pieces(run)):
                if number:
                    self._seal_open(context)
                self._insert(context, piece)
        for each in messages:
            if not isinstance(each, Snapshot):
                self._insert_message(context, each)

    def _marked(self, context: _Written, snapshots: Sequence[Snapshot]) -> Iterator[Snapshot]:
        """Tell in each snapshot what was lost before it, and write it down as a gap; one that is there is left out."""
        for each in snapshots:
            if is_known(context.last, each):
                continue
            marked, gap = mark(context.last, each)
            if gap is not None:
                self._insert_gap(context, gap)
            origin = marked.origin or Origin(host="", epoch=0, seq=0)
            context.last = Last(origin.epoch, origin.seq, each.end_ns)
            yield marked

    def _insert(self, context: _Written, snapshots: list[Snapshot]) -> None:
        first_ns, last_ns = min(each.start_ns for each in snapshots), max(each.end_ns for each in snapshots)
        self._connection.execute(
            "INSERT INTO batch(context_id, first_ns, last_ns, nr_snapshots, sealed, body) VALUES (?, ?, ?, ?, 0, ?)",
            (context.id, first_ns, last_ns, len(snapshots), codec.pack(Block.of(snapshots))),
        )
        if context.open_since_ns is None:
            context.open_since_ns = first_ns
        context.open_regions += sum(each.nr_regions for each in snapshots)
        last = context.last or Last(0, -1, last_ns)
        self._connection.execute(
            "UPDATE context SET primitive = ?, epoch = ?, seq = ?, end_ns = ? WHERE id = ?",
            (snapshots[0].primitive, *last, context.id),
        )

    def _insert_gap(self, context: _Written, gap: Gap) -> None:
        self._connection.execute(
            "INSERT INTO gap(context_id, start_ns, end_ns, missed, restarted, reason) VALUES (?, ?, ?, ?, ?, ?)",
            (context.id, gap.start_ns, gap.end_ns, gap.missed, gap.restarted, gap.reason),
        )

    def _insert_message(self, context: _Written, message: wire.Message) -> None:
        origin = message.origin or Origin(host=self._host, epoch=0, seq=0)
        if isinstance(message, Summary):
            for each in message.memory:
                self._insert_memory(context, message.end_ns, each)
            message = replace(message, memory=())
        time_ns = message.time_ns if isinstance(message, wire.Event) else message.end_ns
        body = msgpack.packb(wire.to_map(message, origin.host))
        self._connection.execute(
            "INSERT INTO message(context_id, kind, time_ns, epoch, seq, body) VALUES (?, ?, ?, ?, ?, ?)",
            (context.id, wire.kind_of(message), time_ns, origin.epoch, origin.seq, body),
        )

    def _insert_memory(self, context: _Written, time_ns: int, memory: ProcessMemory) -> None:
        """Keep the figures of each time; mappings, which are many, when they have changed."""
        where = (context.id, memory.target_id, time_ns, memory.pid)
        figures = (memory.vsz_bytes, memory.rss_bytes, memory.pss_bytes, memory.limit_bytes)
        self._connection.execute(
            "INSERT INTO memory(context_id, target_id, time_ns, pid, vsz_bytes, rss_bytes, pss_bytes, limit_bytes)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*where, *figures),
        )
        if memory.mappings and memory.mappings != context.mappings.get(memory.target_id):
            self._connection.execute(
                "INSERT INTO mappings(context_id, target_id, time_ns, pid, body) VALUES (?, ?, ?, ?, ?)",
                (*where, codec.deflate(memory.mappings)),
            )
            context.mappings[memory.target_id] = memory.mappings

    def seal_one(self) -> bool:
        """Pack the small batches of one context together, if there are enough; return whether there were.

        Raises:
            RecordError: The record can't be written.
        """
        due = next((each for each in self._contexts.values() if each.is_due), None)
        if due is not None:
            self._seal(due)
        return due is not None

    def _seal(self, context: _Written) -> None:
        with self._transaction():
            self._seal_open(context)

    def _seal_open(self, context: _Written) -> None:
        rows = self._connection.execute(
            "SELECT id, first_ns, last_ns, body FROM batch WHERE context_id = ? AND NOT sealed ORDER BY id",
            (context.id,),
        ).fetchall()
        context.open_since_ns, context.open_regions = None, 0
        read = [(row, codec.unpack(row[3])) for row in rows]
        for _, run in groupby(read, lambda each: _kind(each[1])):
            self._replace(*zip(*run, strict=True))

    def _replace(self, rows: Sequence[tuple[int, int, int, bytes]], blocks: Sequence[Block]) -> None:
        ids = [row[0] for row in rows]
        joined = Block.join(blocks)
        self._connection.executemany("DELETE FROM batch WHERE id = ?", [(each,) for each in ids[1:]])
        self._connection.execute(
            "UPDATE batch SET first_ns = ?, last_ns = ?, nr_snapshots = ?, sealed = 1, body = ? WHERE id = ?",
            (
                min(row[1] for row in rows),
                max(row[2] for row in rows),
                joined.nr_snapshots,
                codec.pack(joined),
                ids[0],
            ),
        )

    def delete_oldest(self, before_ns: int | None, max_sz_bytes: int | None) -> bool:
        """Delete a little of what is older, or of the oldest if all takes more; return whether there was something.

        Raises:
            RecordError: The record can't be written.
        """
        with self._failing():
            used = deletion.used_bytes(self._connection) + database.WAL_SZ
            too_large = max_sz_bytes is not None and used > max_sz_bytes
            victims = deletion.oldest(self._connection, before_ns, too_large=too_large)
            if not victims:
                return deletion.shrink(self._connection)
        with self._transaction():
            deletion.delete(self._connection, victims)
        return True

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing; after a failure what this writer knows is read again from the file."""
        try:
            with self._failing():
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
        except BaseException:
            with self._failing():
                if self._connection.in_transaction:  # SQLite rolls back by itself after some failures
                    self._connection.execute("ROLLBACK")
                self._contexts = self._known()
            raise

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise database.write_failure(self.path, error) from error

    def _forget_oldest(self) -> None:
        regions = sum(each.nr_regions for each in self._waiting if isinstance(each, Snapshot))
        while regions > MAX_WAITING_REGIONS:
            oldest = self._waiting.popleft()
            if isinstance(oldest, Snapshot):
                regions -= oldest.nr_regions
                self.nr_dropped += 1

    def abandon(self) -> None:
        """End without writing the rest."""
        self._connection.close()
        self._lock.release()

    def close(self) -> None:
        """Write and seal the rest, and leave one plain file.

        Raises:
            RecordError: Not all could be written; what was before is as it was.
        """
        try:
            self.flush()
            for each in self._contexts.values():
                if each.open_since_ns is not None:
                    self._seal(each)
            with self._failing():
                self._connection.execute("PRAGMA incremental_vacuum")
                database.leave_wal(self._connection)
        finally:
            self.abandon()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _kind(each: Snapshot | Block) -> tuple[str, str]:
    """Say what all snapshots of a batch have in common."""
    return each.primitive, each.policy


def _pieces(snapshots: Iterable[Snapshot]) -> Iterator[list[Snapshot]]:
    """Divide what is written at once: whoever reads a moment of it has to unpack a whole piece."""
    piece: list[Snapshot] = []
    nr_regions = 0
    for each in snapshots:
        nr_regions += each.nr_regions
        if piece and (each.end_ns - piece[0].start_ns > SEAL_AFTER_NS or nr_regions > SEAL_AFTER_REGIONS):
            yield piece
            piece, nr_regions = [], each.nr_regions
        piece.append(each)
    if piece:
        yield piece


def _by_context(messages: Sequence[wire.Message], host: str) -> Iterator[tuple[tuple[str, str], list[wire.Message]]]:
    """Sort messages by context, those of each in their order."""
    groups: dict[tuple[str, str], list[wire.Message]] = {}
    for each in messages:
        key = (each.context, each.origin.host if each.origin is not None else host)
        groups.setdefault(key, []).append(each)
    yield from groups.items()
