"""What the stream has told, kept: a file that is written while it is read, and survives whatever ends its writer."""

from damond.core import Mapping
from damond.record.columns import NO_PID, Block
from damond.record.model import Gap, MappingsAt, MemoryAt, RecordedContext
from damond.record.reader import Record
from damond.record.recorder import Recorder, RecorderState
from damond.record.retention import Retention
from damond.record.writer import RecordWriter

__all__ = [
    "NO_PID",
    "Block",
    "Gap",
    "Mapping",
    "MappingsAt",
    "MemoryAt",
    "Record",
    "RecordWriter",
    "RecordedContext",
    "Recorder",
    "RecorderState",
    "Retention",
]
