"""Reading tables of the configuration so that every problem is found, and not the first one only."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from damond.errors import DamondError, nearest
from damond.plugin import parse_options
from damond.units import PAGE_SIZE, parse_size


def parse_address(text: str | int) -> int:
    """Read an address: a number, ``"0x..."``, or a size such as ``"4GiB"``.

    Raises:
        ValueError: It is none.
    """
    value = int(text, 16) if isinstance(text, str) and text.lower().startswith("0x") else parse_size(text)
    if value < 0:
        raise ValueError("must not be negative")
    return value


def parse_pages(text: str | int) -> int:
    """Read an address or a size that is a multiple of the page size.

    Raises:
        ValueError: It is none.
    """
    value = parse_address(text)
    if value % PAGE_SIZE:
        raise ValueError(f"must be a multiple of the page size, {PAGE_SIZE}")
    return value


def read_table(label: str, table: Any, schema: type, problems: list[str]) -> Any:
    """Make an instance of ``schema``, all of whose fields have defaults; or add to the problems and return None."""
    if not isinstance(table, Mapping):
        problems.append(f"{label}: must be a table")
        return None
    known = [field.name for field in fields(schema)]
    before = len(problems)
    for key, value in table.items():
        if key not in known:
            problems.append(f"{label}: unknown key {key!r}: {nearest(str(key), known)}")
            continue
        try:
            parse_options(label, schema, {key: value})
        except DamondError as error:
            problems.append(str(error))
    return parse_options(label, schema, table) if len(problems) == before else None
