"""How the kernel describes its trace events: ``events/header_page`` and each event's ``format``."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from damond.core.regions import align_up

_FIELD: Final = re.compile(r"field:[^;]*?(\w+)(?:\[\w*\])?;\s*offset:(\d+);\s*size:(\d+);")
_ID: Final = re.compile(r"^ID: (\d+)$", re.MULTILINE)

HEAD_SZ: Final = 4
"""Bytes before each event: its type (5 bits) and the time since the one before it (27 bits); header_event."""


@dataclass(frozen=True, slots=True)
class EventFormat:
    """Where the fields of an event are.

    Attributes:
        id: What the event's ``common_type`` says.
        fields: Name -> offset in the event, size. Bytes.
    """

    id: int
    fields: Mapping[str, tuple[int, int]]

    @property
    def size(self) -> int:
        """Bytes of the event: of a C structure with these fields."""
        end = max(offset + size for offset, size in self.fields.values())
        return align_up(end, max(size for _, size in self.fields.values()))

    def dtype(self) -> "np.dtype[np.void]":
        """Describe the event with its head, as a row of an array."""
        return np.dtype(
            {
                "names": ["head", *self.fields],
                "formats": [f"u{HEAD_SZ}", *(f"u{size}" for _, size in self.fields.values())],
                "offsets": [0, *(HEAD_SZ + offset for offset, _ in self.fields.values())],
                "itemsize": HEAD_SZ + self.size,
            }
        )


def parse_fields(text: str) -> dict[str, tuple[int, int]]:
    """Read the fields of a description: name -> offset, size. Bytes."""
    return {name: (int(offset), int(size)) for name, offset, size in _FIELD.findall(text)}


def parse_format(text: str) -> EventFormat:
    """Read the file ``format`` of an event.

    Raises:
        ValueError: It is none.
    """
    match, fields = _ID.search(text), parse_fields(text)
    if match is None or "common_type" not in fields:
        raise ValueError("this is no description of an event: it has no ID or no common_type")
    return EventFormat(int(match[1]), fields)
