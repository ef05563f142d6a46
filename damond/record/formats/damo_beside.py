"""What damo keeps beside a record: ``FILE.mem_footprint``, for footprints and holistic, and ``FILE.vmas``."""

import json
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from damond.record.formats.selection import Selection
from damond.record.model import MappingsAt, MemoryAt

_PAGE_SZ: Final = 4096
"""What damo takes a page of statm for (damo_report_footprint.py, 3.4.3), whatever the machine."""

_NSEC_PER_SEC: Final = 1_000_000_000


def write(selection: Selection, path: Path) -> None:
    """Write both beside the file of a context; without processes they have nothing in them.

    Args:
        selection: One context of a record.
        path: The file for damo.
    """
    (context,) = selection.contexts
    bounds = (context, selection.from_ns, selection.to_ns)
    memory = groupby(selection.record.memory(*bounds), lambda each: each.time_ns)
    _dump(path, ".mem_footprint", [_footprints(time_ns, list(rows)) for time_ns, rows in memory])
    mappings = groupby(selection.record.mappings(*bounds), lambda each: each.time_ns)
    _dump(path, ".vmas", [_vmas(time_ns, list(rows)) for time_ns, rows in mappings])


def _dump(path: Path, suffix: str, document: Any) -> None:
    path.with_name(path.name + suffix).write_text(json.dumps(document) + "\n", encoding="ascii")


def _footprints(time_ns: int, rows: list[MemoryAt]) -> dict[str, Any]:
    unknown = dict.fromkeys(("shared", "trs", "lrs", "drs", "dt"), 0)
    sizes = [{"size": each.vsz_bytes // _PAGE_SZ, "resident": each.rss_bytes // _PAGE_SZ, **unknown} for each in rows]
    footprints = [{"pid": row.pid, "footprint": size} for row, size in zip(rows, sizes, strict=True)]
    return {"time": time_ns / _NSEC_PER_SEC, "footprints": footprints}


def _vmas(time_ns: int, rows: list[MappingsAt]) -> dict[str, Any]:
    processes = [{"pid": each.pid, "vmas": [mapping._asdict() for mapping in each.mappings]} for each in rows]
    return {"time": time_ns / _NSEC_PER_SEC, "procvmas": processes}
