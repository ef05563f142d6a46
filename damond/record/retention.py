"""What is kept of a record: no older and no more than wanted."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

from damond.errors import UsageError
from damond.record.writer import RecordWriter

MIN_AGE_US: Final = 60_000_000
"""Snapshots go in batches of about a minute. Microseconds."""

MIN_SZ_BYTES: Final = 16 * 1024 * 1024
"""What is beside the record while it is written takes up to 5 MiB of it. Bytes."""

_LOOK_EVERY_S: Final = 5.0
_NSEC_PER_USEC: Final = 1_000


@dataclass(slots=True)
class Retention:
    """Deletes the oldest in small steps, so that writing goes on between them.

    Attributes:
        max_age_us: How old a snapshot may become; None is any age. Microseconds.
        max_sz_bytes: How large the record may become; None is any size. Bytes.
        wall_ns: Unix time. Nanoseconds.
        monotonic_s: A clock that never steps. Seconds.
    """

    max_age_us: int | None = None
    max_sz_bytes: int | None = None
    wall_ns: Callable[[], int] = time.time_ns
    monotonic_s: Callable[[], float] = time.monotonic
    _due_s: float = field(default=0.0, init=False)

    @classmethod
    def checked(cls, max_age_us: int | None, max_sz_bytes: int | None) -> Self:
        """Make one of what was asked for.

        Raises:
            UsageError: A limit is too small to record anything.
        """
        if max_age_us is not None and max_age_us < MIN_AGE_US:
            raise UsageError("the greatest age of a record is below a minute", hint="give a minute at least, e.g. 7d")
        if max_sz_bytes is not None and max_sz_bytes < MIN_SZ_BYTES:
            raise UsageError("the greatest size of a record is below 16 MiB", hint="give 16MiB at least")
        return cls(max_age_us, max_sz_bytes)

    def step(self, writer: RecordWriter) -> bool:
        """Delete a little, if there is something to delete; return whether there was.

        Raises:
            RecordError: The record can't be written.
        """
        now_s = self.monotonic_s()
        if now_s < self._due_s or (self.max_age_us is None and self.max_sz_bytes is None):
            return False
        before_ns = None if self.max_age_us is None else self.wall_ns() - self.max_age_us * _NSEC_PER_USEC
        deleted = writer.delete_oldest(before_ns, self.max_sz_bytes)
        if not deleted:
            self._due_s = now_s + _LOOK_EVERY_S
        return deleted
