"""What one part of the benchmark found: rows for programs, and how people read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table that people see.

    Attributes:
        key: Key of the rows.
        heading: Its headline, with the unit.
        form: How a number is written, a format of Python; empty for text.
    """

    key: str
    heading: str
    form: str = ""

    def text(self, row: Mapping[str, Any]) -> str:
        """Write the cell of a row; what is not known is a dash."""
        value = row.get(self.key)
        return "-" if value is None else format(value, self.form)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One table.

    Attributes:
        part: What was measured: ``telescope`` and so on.
        title: What the table shows.
        columns: What people see of the rows.
        rows: All of it, as plain data.
        figures: What the rows come down to, name -> number.
        remarks: What to know for judging the table, a sentence each.
    """

    part: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    figures: Mapping[str, float | None] = field(default_factory=dict)
    remarks: Sequence[str] = ()

    def document(self) -> dict[str, Any]:
        """Make plain data of it, for programs."""
        return {
            "part": self.part,
            "title": self.title,
            "rows": [dict(row) for row in self.rows],
            "figures": dict(self.figures),
            "remarks": list(self.remarks),
        }
