"""The file of a record: an SQLite database in WAL mode, so that it can be read while it is written."""

import os
import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

from damond.errors import RecordError, RecordFullError

APPLICATION_ID: Final = 0x44414D4E
"""``DAMN`` in the header of the file."""

VERSION: Final = 1
"""Of the tables and of the packed bodies (``user_version``)."""

TABLES: Final = """
CREATE TABLE context(
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, host TEXT NOT NULL, primitive TEXT NOT NULL DEFAULT '',
    epoch INTEGER NOT NULL DEFAULT 0, seq INTEGER NOT NULL DEFAULT -1, end_ns INTEGER, UNIQUE(name, host));
CREATE TABLE batch(
    id INTEGER PRIMARY KEY, context_id INTEGER NOT NULL, first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL,
    nr_snapshots INTEGER NOT NULL, sealed INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX batch_time ON batch(context_id, first_ns, last_ns, nr_snapshots, sealed);
CREATE TABLE message(
    id INTEGER PRIMARY KEY, context_id INTEGER NOT NULL, kind TEXT NOT NULL, time_ns INTEGER NOT NULL,
    epoch INTEGER NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX message_time ON message(context_id, kind, time_ns);
CREATE TABLE gap(
    id INTEGER PRIMARY KEY, context_id INTEGER NOT NULL, start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL,
    missed INTEGER NOT NULL, restarted INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE INDEX gap_time ON gap(context_id, start_ns);
CREATE TABLE mappings(
    id INTEGER PRIMARY KEY, context_id INTEGER NOT NULL, target_id INTEGER NOT NULL, time_ns INTEGER NOT NULL,
    pid INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX mappings_time ON mappings(context_id, target_id, time_ns);
CREATE TABLE memory(
    id INTEGER PRIMARY KEY, context_id INTEGER NOT NULL, target_id INTEGER NOT NULL, time_ns INTEGER NOT NULL,
    pid INTEGER NOT NULL, vsz_bytes INTEGER NOT NULL, rss_bytes INTEGER NOT NULL, pss_bytes INTEGER,
    limit_bytes INTEGER);
CREATE INDEX memory_time ON memory(context_id, time_ns);
"""
"""batch: some snapshots of one context, packed (:mod:`damond.record.codec`); ids are in the order in which they came.
What comes is written twice a second as a small batch; small ones are later replaced by one that is sealed, under the
id of the first. message: bodies as on the wire. A context's epoch, seq and end_ns are those of its last snapshot."""

WAL_SZ: Final = 5 * 1024 * 1024
"""Bytes that the -wal file may take: 1000 pages (SQLite's own measure) and what one commit adds. While somebody reads
for long it becomes larger."""

_HINT_FOREIGN: Final = "records are made by 'damond record'; 'damond import' reads those of damo"
_HINT_DAMAGED: Final = "what can be saved: sqlite3 FILE .recover | sqlite3 NEW"


def open_readonly(path: Path) -> sqlite3.Connection:
    """Open a record to read it, while it is being written or not.

    Raises:
        RecordError: There is none, it is something else, of a newer version, or damaged.
    """
    _check_file(path)
    try:
        connection = _connect(path, "mode=ro")
        try:
            check_header(connection, path)
        except sqlite3.OperationalError as error:
            # In WAL mode an ended record without its -wal can't be opened where nothing can be created beside it.
            if error.sqlite_errorcode != sqlite3.SQLITE_CANTOPEN:
                raise
            connection.close()
            connection = _connect(path, "mode=ro&immutable=1")
            check_header(connection, path)
    except sqlite3.Error as error:
        raise failure(path, error) from error
    return connection


def _check_file(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise missing(path, error) from error
    if path.is_dir():
        raise RecordError(f"{path} is a directory", hint="name the file of a record")
    if size == 0:
        raise RecordError(f"{path} is empty", hint=_HINT_FOREIGN)
    if not os.access(path, os.R_OK):
        raise _without_permission(path)


def missing(path: Path, error: OSError) -> RecordError:
    """Say that a file can't be looked at."""
    missing_error = RecordError(f"{path}: {error.strerror}", hint="make one: damond record -o FILE NAME")
    missing_error.exit_code = os.EX_NOINPUT
    return missing_error


def _without_permission(path: Path) -> RecordError:
    error = RecordError(f"{path}: permission denied", hint="records of the service are for members of its group")
    error.exit_code = os.EX_NOPERM
    return error


def _connect(path: Path, how: str) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?{how}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10.0, check_same_thread=False)


def check_header(connection: sqlite3.Connection, path: Path) -> None:
    """See that a database is a record that can be read.

    Raises:
        RecordError: It is something else, of a newer version, or cut.
        sqlite3.Error: It can't be read at all.
    """
    application_id, version, pages, page_size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "user_version", "page_count", "page_size")
    )
    if application_id != APPLICATION_ID:
        raise RecordError(f"{path} is a database of another program", hint=_HINT_FOREIGN)
    if version > VERSION:
        raise RecordError(
            f"{path} is a record of version {version}; this damond reads version {VERSION}",
            hint="update damond",
        )
    size = path.stat().st_size
    if not path.with_name(f"{path.name}-wal").exists() and size < pages * page_size:
        raise RecordError(f"{path} is cut: {size} bytes of {pages * page_size}", hint=_HINT_DAMAGED)


def open_writable(path: Path) -> sqlite3.Connection:
    """Open a record to append to it; make it if there is none.

    Raises:
        RecordError: It is something else, of another version, damaged, or can't be written.
    """
    try:
        if not path.exists() or path.stat().st_size == 0:
            _make(path)
        open_readonly(path).close()
        connection = _connect(path, "mode=rw")
        # What a commit has written stays, though the power fails: in WAL mode NORMAL would give up the last ones.
        connection.executescript(
            f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = {WAL_SZ};"
        )
    except OSError as error:
        raise RecordError(f"{path} can't be written: {error.strerror}", hint="choose another with -o") from error
    except sqlite3.Error as error:
        raise write_failure(path, error) from error
    return connection


def _make(path: Path) -> None:
    """Make an empty record; it appears as a whole, so that nobody reads half of its tables."""
    new = path.with_name(f"{path.name}-new")
    new.unlink(missing_ok=True)
    os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640))
    connection = _connect(new, "mode=rw")
    try:
        header = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};"
        connection.executescript(f"PRAGMA auto_vacuum = INCREMENTAL; BEGIN; {TABLES} {header} COMMIT;")
    finally:
        connection.close()
    new.replace(path)


def leave_wal(connection: sqlite3.Connection) -> None:
    """Put all into the one file, so that it can be read from anywhere; not while somebody reads."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    try:
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise


def write_failure(path: Path, error: sqlite3.Error) -> RecordError:
    """Put an error of SQLite while writing into words."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return RecordFullError(f"{path} can't be written: {error}", hint="make room on its disk; it is tried again")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return RecordError(f"{path} can't be written: {error}", hint="choose another with -o")
    return failure(path, error)


def failure(path: Path, error: sqlite3.Error) -> RecordError:
    """Put an error of SQLite into words."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB:
        return RecordError(f"{path} is no record", hint=_HINT_FOREIGN)
    if code == sqlite3.SQLITE_CORRUPT:
        return RecordError(f"{path} is damaged: {error}", hint=_HINT_DAMAGED)
    return RecordError(f"{path} can't be read: {error}", hint="is the disk in order, and may you read the file?")
