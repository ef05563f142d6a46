"""Deleting the oldest of a record, a little at a time."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

_BATCHES: Final = 16
"""Batches that one step deletes: about 1 MB, a few milliseconds."""

_ROWS: Final = 500
"""Other rows that one step deletes, of each table and context."""

_PAGES: Final = 64
"""Free pages that one step gives back to the disk, once there are that many and an eighth of all."""

_FREE_SHARE: Final = 8

_SELECT: Final = {
    "message": "SELECT id FROM message WHERE context_id = :context AND time_ns < :before LIMIT :rows",
    "gap": "SELECT id FROM gap WHERE context_id = :context AND start_ns < :before AND end_ns < :before LIMIT :rows",
    "memory": "SELECT id FROM memory WHERE context_id = :context AND time_ns < :before LIMIT :rows",
    # What was mapped last before that time still holds after it.
    "mappings": "SELECT id FROM mappings AS this WHERE context_id = :context AND time_ns < :before AND EXISTS"
    " (SELECT 1 FROM mappings AS later WHERE later.context_id = :context AND later.target_id = this.target_id"
    " AND later.time_ns <= :before AND later.id > this.id) LIMIT :rows",
}
_DELETE: Final = {table: f"DELETE FROM {table} WHERE id = ?" for table in ("batch", *_SELECT)}  # noqa: S608 - names of ours

Victims = Mapping[str, Sequence[int]]
"""Table -> ids of rows."""


def used_bytes(connection: sqlite3.Connection) -> int:
    """Count what a record holds, free pages not counted. Bytes."""
    pages, free, size = (_pragma(connection, name) for name in ("page_count", "freelist_count", "page_size"))
    return (pages - free) * size


def oldest(connection: sqlite3.Connection, before_ns: int | None, *, too_large: bool) -> Victims:
    """Choose what to delete next.

    Args:
        connection: The record.
        before_ns: What ended before may go. Unix time. Nanoseconds.
        too_large: Whether the oldest is to go, however old it is.

    Returns:
        Nothing, if all of it is to stay.
    """
    contexts = [row[0] for row in connection.execute("SELECT id FROM context")]
    batches: list[int] = []
    horizons: dict[int, int] = {}
    if before_ns is not None:
        horizons = dict.fromkeys(contexts, before_ns)
        for context in contexts:
            batches += _ids(
                connection,
                "SELECT id FROM batch WHERE context_id = :context AND first_ns < :before AND last_ns <= :before"
                " ORDER BY first_ns LIMIT :rows",
                {"context": context, "before": before_ns, "rows": _BATCHES},
            )
    if too_large and not batches:
        for row_id, context, last_ns in connection.execute(
            "SELECT id, context_id, last_ns FROM batch ORDER BY id LIMIT ?", (_BATCHES,)
        ):
            batches.append(row_id)
            horizons[context] = max(horizons.get(context, last_ns), last_ns)
    rows: dict[str, list[int]] = {"batch": batches}
    for table, select in _SELECT.items():
        rows[table] = [
            row_id
            for context, before in horizons.items()
            for row_id in _ids(connection, select, {"context": context, "before": before, "rows": _ROWS})
        ]
    return {table: ids for table, ids in rows.items() if ids}


def delete(connection: sqlite3.Connection, victims: Victims) -> None:
    """Delete rows, within a transaction."""
    for table, ids in victims.items():
        connection.executemany(_DELETE[table], [(each,) for each in ids])


def shrink(connection: sqlite3.Connection) -> bool:
    """Give some free pages back to the disk, if there are many; return whether there were."""
    free = _pragma(connection, "freelist_count")
    if free < max(_PAGES, _pragma(connection, "page_count") // _FREE_SHARE):
        return False
    connection.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()
    return True


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _ids(connection: sqlite3.Connection, select: str, values: Mapping[str, int]) -> list[int]:
    return [row[0] for row in connection.execute(select, values)]
