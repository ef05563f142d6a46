"""A report for programs: the attributes of the measured values as keys, which name their units."""

import math
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Final

import numpy as np

SCHEMA: Final = 1


def document(kind: str, measured: Any, notes: list[str]) -> dict[str, Any]:
    """Make the JSON document of a report; what is not known is null.

    Args:
        kind: Type of the report.
        measured: What was measured, a dataclass.
        notes: What the reader has to know.
    """
    return {"schema": SCHEMA, "report": kind, **plain(measured), "notes": notes}


def plain(value: Any) -> Any:
    """Turn a value into what JSON has."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value
