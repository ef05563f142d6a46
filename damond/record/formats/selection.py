"""What is exported: some contexts of a record, over a span of time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from damond.record.columns import Block
from damond.record.model import RecordedContext
from damond.record.reader import Record


@dataclass(frozen=True, slots=True)
class Selection:
    """A part of a record.

    Attributes:
        record: The record.
        contexts: Those that are wanted.
        from_ns: Begin, Unix time; None is open. Nanoseconds.
        to_ns: End, Unix time; None is open. Nanoseconds.
    """

    record: Record
    contexts: Sequence[RecordedContext]
    from_ns: int | None = None
    to_ns: int | None = None

    def blocks(self, context: RecordedContext) -> Iterator[Block]:
        """Yield the snapshots of one of the contexts."""
        return self.record.blocks(context, self.from_ns, self.to_ns)
