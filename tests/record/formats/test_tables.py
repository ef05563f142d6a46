"""Records as tables: what was recorded, a row per region, for other programs."""

import csv
import io
import json
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from damond.core import BudgetUse, Snapshot
from damond.record import Record, RecordWriter
from damond.record.formats import tables
from damond.record.formats.selection import Selection
from tests.record.make import AGGR_NS, START_NS, make_snapshot, make_target


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Two contexts, 30 snapshots each, one of two processes."""
    path = tmp_path / "a.damond"
    with RecordWriter(path) as writer:
        for number in range(30):
            rows = [(4096, 8192, number % 21, number, 20), (2**63, 4096, 0, 2**32 - 1, 900)]
            targets = make_target(rows, 7, pid=7), make_target([(0, 4096, 1, 1)], 8, pid=8)
            known = {"budget": BudgetUse(max_cpu=0.01, stretched=1.5), "policy": "budget", "sampled_bytes": 8192}
            writer.add(make_snapshot(number, *targets, **known))
            writer.add(make_snapshot(number, context="ram", partial=number == 29))
            if number % 10 == 9:
                writer.flush()
    return Record.open(path)


EXPECTED = {
    "context": "web",
    "host": "box",
    "start_ns": START_NS,
    "end_ns": START_NS + AGGR_NS,
    "target_id": 7,
    "pid": 7,
    "start": 2**63,
    "size": 4096,
    "nr_accesses": 0,
    "max_nr_accesses": 20,
    "age": 2**32 - 1,
    "nr_samples": 900,
    "sample_us": 5_000,
    "aggr_us": 100_000,
    "partial": False,
    "missed": 0,
    "restarted": False,
    "policy": "budget",
    "sampled_bytes": 8192,
    "granularity": 4096,
    "budget_max_cpu": 0.01,
    "budget_max_checks_per_s": None,
    "budget_stretched": 1.5,
}


def test_parquet(record: Record, tmp_path: Path) -> None:
    """All numbers in types that hold them; pid is null where the target is no process."""
    tables.write_parquet(Selection(record, record.contexts()), tmp_path / "a.parquet")
    rows = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert len(rows) == 30 * 3 + 30 * 2
    assert rows[61] == EXPECTED
    assert {row["pid"] for row in rows if row["context"] == "ram"} == {None}
    assert [row["partial"] for row in rows if row["context"] == "ram"][-2:] == [True, True]


def test_csv(record: Record) -> None:
    """The same columns with a headline; nothing where there is no pid."""
    file = BytesIO()
    tables.write_csv(Selection(record, record.contexts()), file)
    rows = list(csv.DictReader(io.StringIO(file.getvalue().decode())))
    assert len(rows) == 150
    assert rows[61] == {
        name: str(int(value)) if isinstance(value, bool) else "" if value is None else str(value)
        for name, value in EXPECTED.items()
    }
    assert rows[0]["pid"] == ""


def test_json(record: Record) -> None:
    """A snapshot per line, with the keys of the stream, as 'damond monitor --json' prints them."""
    file = BytesIO()
    tables.write_json(Selection(record, record.contexts()[1:]), file)
    rows = [json.loads(line) for line in file.getvalue().splitlines()]
    assert len(rows) == 30
    assert set(rows[0]) == set(Snapshot.__dataclass_fields__) - {"origin"} | {"schema", "host"}
    assert rows[0]["targets"][0]["start"] == [4096, 2**63]


def test_a_span(record: Record) -> None:
    """Only what lies in the span is written."""
    file = BytesIO()
    (ram, _) = record.contexts()
    tables.write_csv(Selection(record, [ram], START_NS + 10 * AGGR_NS, START_NS + 12 * AGGR_NS), file)
    rows = list(csv.DictReader(io.StringIO(file.getvalue().decode())))
    assert {int(row["start_ns"]) for row in rows} == {START_NS + 10 * AGGR_NS, START_NS + 11 * AGGR_NS}
