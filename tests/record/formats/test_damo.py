"""Records for damo and of damo, by what their format says."""

import json
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import Snapshot
from damond.errors import RecordError
from damond.record import Record, RecordWriter
from damond.record.formats import damo
from damond.record.formats.importing import import_damo
from damond.record.formats.selection import Selection
from tests.record.make import START_NS, assert_same, make_snapshot, make_target


def _record(path: Path, snapshots: Sequence[Snapshot]) -> Path:
    with RecordWriter(path) as writer:
        for each in snapshots:
            writer.add(each)
    return path


def _exported(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    with Record.open(path) as record:
        file = BytesIO()
        remarks = damo.write(Selection(record, record.contexts()), file)
    return json.loads(zlib.decompress(file.getvalue())), remarks


def test_what_damo_gets(tmp_path: Path) -> None:
    """One record per target, with every key that damo 3.4.3 needs (and the others that it writes itself)."""
    one, two = make_target([(4096, 8192, 20, 3)], 7, pid=7), make_target([(0, 4096, 0, 0)], 8, pid=8)
    records, remarks = _exported(_record(tmp_path / "a", [make_snapshot(0, one, two)]))
    assert remarks == ["'damo report wss' leaves the first 20 snapshots out, all of these: --exclude_samples 0"]
    assert [each["target_id"] for each in records] == [7, 8]
    assert records[0]["intervals"]["aggr_us"] == 100_000
    assert records[0]["snapshots"] == [
        {
            "start_time": START_NS,
            "end_time": START_NS + 100_000_000,
            "regions": [
                {
                    "start": 4096,
                    "end": 12288,
                    "nr_accesses": {"samples": 20, "percent": 100},
                    "age": {"usec": 300_000, "aggr_intervals": 3},
                    "probe_hits": [],
                    "sz_filter_passed": 0,
                }
            ],
            "total_bytes": 8192,
            "damos_stats": None,
            "sample_interval_us": None,
        }
    ]


def test_what_damo_does_not_know(tmp_path: Path) -> None:
    """Windows that were not full are left out; where intervals have changed, rates and ages stay what they were."""
    rows = [(4096, 8192, 5, 6)]
    other = make_snapshot(3, make_target(rows), sample_us=20_000, aggr_us=200_000, max_nr_accesses=10)
    snapshots = [make_snapshot(0), make_snapshot(1), make_snapshot(2, partial=True), other]
    (record,), remarks = _exported(_record(tmp_path / "a", snapshots))
    assert record["intervals"]["sample_us"] == 5_000
    assert len(record["snapshots"]) == 3
    (region,) = record["snapshots"][-1]["regions"]
    assert region["nr_accesses"] == {"samples": 10, "percent": 50}
    assert region["age"] == {"usec": 1_200_000, "aggr_intervals": 12}
    assert "most windows, 5 ms / 100 ms" in remarks[0]


def test_damo_leaves_out_what_it_takes_for_warming_up(tmp_path: Path) -> None:
    """Of more than 20 windows its working set is of the rest, as it should be: nothing is to be said."""
    for nr_windows, nr_remarks in ((20, 1), (21, 0)):
        path = _record(tmp_path / str(nr_windows), [make_snapshot(number) for number in range(nr_windows)])
        assert len(_exported(path)[1]) == nr_remarks


def test_damo_can_not_tell_contexts_apart(tmp_path: Path) -> None:
    """So it gets one; and nothing without regions, which it could not read."""
    path = _record(tmp_path / "a", [make_snapshot(0), make_snapshot(0, context="db")])
    with pytest.raises(RecordError, match="2 contexts") as caught:
        _exported(path)
    assert "--context: db@box, web@box" in caught.value.hint
    with pytest.raises(RecordError, match="no region"):
        _exported(_record(tmp_path / "b", [make_snapshot(0, make_target([]))]))


@st.composite
def snapshots(draw: st.DrawFn) -> list[Snapshot]:
    """Windows of one or two targets, one after the other."""
    nr_targets = draw(st.integers(1, 2))
    found = []
    for number in range(draw(st.integers(1, 5))):
        targets = []
        for target_id in range(nr_targets):
            bounds = sorted(draw(st.lists(st.integers(0, 2**52 - 1), min_size=2, max_size=8, unique=True)))
            pairs = zip(bounds[::2], bounds[1::2], strict=False)
            ages = st.integers(0, 2**32 // 20 - 2)
            rows = [
                (start * 4096, (end - start) * 4096, draw(st.integers(0, 20)), age := draw(ages), 20 * (age + 1))
                for start, end in pairs
            ]
            targets.append(make_target(rows, target_id))
        found.append(make_snapshot(number, *targets))
    return found


@given(run=snapshots(), packed=st.booleans())
def test_there_and_back(run: list[Snapshot], packed: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What goes to damo's format comes back the same, as far as the format has it; packed or plain.

    Samples behind regions are not in it: of each, as many are taken as its age has windows.
    """
    directory = tmp_path_factory.mktemp("damo")
    records, _ = _exported(_record(directory / "a", run))
    text = json.dumps(records).encode()
    (directory / "damon.data").write_bytes(zlib.compress(text) if packed else text)
    imported = import_damo(directory / "damon.data", directory / "b", "web", {})
    assert (imported.contexts, imported.nr_snapshots, imported.remarks) == (("web",), len(run), ())
    unknown = {"primitive": "synthetic", "checks": 40, "cpu_us": 130}
    with Record.open(directory / "b") as record:
        for before, after in zip(run, record.snapshots("web"), strict=True):
            again = {name: getattr(after, name) for name in Snapshot.__dataclass_fields__}
            assert after.origin is not None
            assert after.origin.seq == (before.origin.seq if before.origin else None)
            assert_same(Snapshot(**{**again, **unknown, "origin": before.origin}), before)


def _region(**changes: Any) -> dict[str, Any]:
    base = {"start": 4096, "end": 8192, "nr_accesses": {"samples": 20}, "age": {"usec": None, "aggr_intervals": 5}}
    return {name: value for name, value in {**base, **changes}.items() if value is not ...}


def _document(*regions: dict[str, Any], **changes: Any) -> list[dict[str, Any]]:
    windows = [
        {"start_time": number * 10**8, "end_time": (number + 1) * 10**8, "regions": list(regions)}
        for number in range(3)
    ]
    base = {"target_id": 0, "intervals": {"sample_us": 5000, "aggr_us": 100000, "ops_update_us": 1000000}}
    return [{name: value for name, value in {**base, "snapshots": windows, **changes}.items() if value is not ...}]


def _imported(tmp_path: Path, document: Any, **given: int) -> tuple[list[Snapshot], tuple[str, ...]]:
    (tmp_path / "damon.data").write_text(json.dumps(document))
    imported = import_damo(tmp_path / "damon.data", tmp_path / "b", "web", given)
    with Record.open(tmp_path / "b") as record:
        return list(record.snapshots("web")), imported.remarks


def test_numbers_for_people(tmp_path: Path) -> None:
    """As damo writes them without --raw: commas, sizes, several units in a row."""
    region = _region(
        start="139,637,976,727,552",
        end="127.500 TiB",
        nr_accesses={"samples": "12", "percent": "60 %"},
        age={"usec": "500 ms", "aggr_intervals": "1,005"},
    )
    intervals = {"sample_us": "5 ms", "aggr_us": "100 ms", "ops_update_us": "1 s"}
    document = _document(region, intervals=intervals)
    document[0]["snapshots"][0]["end_time"] = "99 ms 999 us 7 ns"
    (first, *_), remarks = _imported(tmp_path, document)
    assert remarks == ()
    assert (first.sample_us, first.aggr_us, first.update_us, first.max_nr_accesses) == (5_000, 100_000, 1_000_000, 20)
    assert first.end_ns == 99_999_007
    (target,) = first.targets
    assert target.start.tolist() == [139637976727552]
    assert (target.start + target.size).tolist() == [255 * 2**39]
    assert (target.nr_accesses.tolist(), target.age.tolist()) == ([12], [1005])


PARTIAL = {
    "a null age": (_document(_region(age={"usec": None, "aggr_intervals": None})), {}, "ages are not known"),
    "no age at all": (_document(_region(age=...)), {}, "ages are not known"),
    "no intervals": (_document(_region(), intervals=...), {}, "no aggregation interval"),
    "null intervals": (_document(_region(), intervals=None), {}, "no sampling interval"),
    "more accesses than samples": (_document(_region(nr_accesses={"samples": 24})), {}, "up to 24 accesses"),
    "a pointer as target": (_document(_region(), target_id=18446623435582458880), {}, "counted from 0"),
    "a word as target": (_document(_region(), target_id="web"), {}, "counted from 0"),
}


@pytest.mark.parametrize("case", PARTIAL)
def test_what_is_missing_is_said(tmp_path: Path, case: str) -> None:
    """What can be read is read, with a word on what it lacks."""
    document, given_, words = PARTIAL[case]
    found, remarks = _imported(tmp_path, document, **given_)
    assert len(found) == 3
    assert found[0].aggr_us == 100_000
    assert found[0].max_nr_accesses >= found[0].targets[0].nr_accesses.max()
    assert any(words in each for each in remarks), remarks


def test_percent_will_do(tmp_path: Path) -> None:
    """A share of the samples is as good as their number."""
    (first, *_), remarks = _imported(tmp_path, _document(_region(nr_accesses={"samples": None, "percent": 45})))
    assert first.targets[0].nr_accesses.tolist() == [9]
    assert remarks == ()


def test_given_intervals_count(tmp_path: Path) -> None:
    """What the user knows better is taken, and nothing is guessed."""
    (first, *_), remarks = _imported(tmp_path, _document(_region(), intervals=...), sample_us=1_000, aggr_us=50_000)
    assert (first.sample_us, first.aggr_us, first.max_nr_accesses) == (1_000, 50_000, 50)
    assert remarks == ()


def test_targets_of_a_context_come_together(tmp_path: Path) -> None:
    """Windows of the same time are one snapshot; contexts stay apart."""
    document = [
        *_document(_region(), target_id=1, context_idx=0),
        *_document(_region(start=8192, end=16384), target_id=2, context_idx=0),
        *_document(_region(), target_id=1, context_idx=1),
    ]
    (tmp_path / "damon.data").write_text(json.dumps(document))
    imported = import_damo(tmp_path / "damon.data", tmp_path / "b", "web", {})
    assert imported.contexts == ("web", "web-1")
    with Record.open(tmp_path / "b") as record:
        assert [[target.id for target in each.targets] for each in record.snapshots("web")] == [[1, 2]] * 3
        assert [[target.id for target in each.targets] for each in record.snapshots("web-1")] == [[1]] * 3


def test_regions_are_put_in_order(tmp_path: Path) -> None:
    """Sorted by address; empty ones are none."""
    regions = [_region(start=16384, end=20480), _region(start=0, end=0), _region()]
    (first, *_), _ = _imported(tmp_path, _document(*regions))
    assert first.targets[0].start.tolist() == [4096, 16384]


BROKEN = {
    "no regions anywhere": (_document(), "no snapshot in it has a region"),
    "no snapshots": (_document(_region(), snapshots=[]), "no snapshot in it"),
    "an empty list": ([], "no snapshot in it"),
    "no target": (_document(_region(), target_id=...), "record 0 has no 'target_id'"),
    "no list of snapshots": (_document(_region(), snapshots=...), "record 0 has no 'snapshots'"),
    "a region without start": (_document(_region(), _region(start=...)), "snapshot 0, region 1 has no 'start'"),
    "a region without accesses": (_document(_region(nr_accesses=...)), "region 0 has no 'nr_accesses'"),
    "accesses without a number": (_document(_region(nr_accesses={})), "neither nr_accesses.samples nor .percent"),
    "a word for a number": (_document(_region(end="many")), '"many" is no number'),
    "an unknown unit": (_document(_region(end="4 parsec")), "no number with a unit"),
    "a range upside down": (_document(_region(end=0)), "no address range"),
    "overlapping regions": (_document(_region(), _region(end=12288)), "snapshot 0: regions overlap"),
    "a map": ({"damo_record_ver": 1}, "no list of records"),
    "a list of numbers": ([5], "record 0 is no map"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_can_not_be_read_is_refused(tmp_path: Path, case: str) -> None:
    """It is said what is wrong, and where; no half a record is left."""
    document, words = BROKEN[case]
    with pytest.raises(RecordError) as caught:
        _imported(tmp_path, document)
    assert words in caught.value.message
    assert str(tmp_path / "damon.data") in caught.value.message or "snapshot 0" in caught.value.message
    assert caught.value.hint
    assert not (tmp_path / "b").exists()


FOREIGN = {
    "perf data": (b"PERFILE2" + bytes(100), "can't be read as it is", "perf script"),
    "gzip": (b"\x1f\x8b" + bytes(100), "can't be read as it is", "gunzip"),
    "a record of ours": (b"SQLite format 3\0" + bytes(100), "no file of damo", "damond report"),
    "cut": (zlib.compress(json.dumps(_document(_region())).encode())[:-9], "is cut", "copy it again"),
    "changed": (zlib.compress(bytes(1000))[:5] + b"\xff" * 20, "no JSON of damo", "damo"),
    "bytes": (bytes(range(128, 256)), "neither JSON nor text", "damo"),
    "another text": (b"hello\n", "no line of the tracepoint", "perf script"),
    "nothing": (b"", "no line of the tracepoint", "perf script"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_foreign_files_are_refused(tmp_path: Path, case: str) -> None:
    """With what would turn them into what can be read."""
    raw, words, hint = FOREIGN[case]
    (tmp_path / "x").write_bytes(raw)
    with pytest.raises(RecordError) as caught:
        import_damo(tmp_path / "x", tmp_path / "b", "web", {})
    assert words in caught.value.message
    assert hint in caught.value.hint
    with pytest.raises(RecordError, match="No such file"):
        import_damo(tmp_path / "y", tmp_path / "b", "web", {})


TRACE = """\
kdamond.0  4242 [000] 1000.100000: damon:damon_aggregated: target_id=0 nr_regions=2 4096-8192: 20 3
kdamond.0  4242 [000] 1000.100001: damon:damon_aggregated: target_id=0 nr_regions=2 8192-16384: 0 7
kdamond.0  4242 [000] 1000.100002: damon:damon_aggregated: target_id=1 nr_regions=1 0-4096: 1 1
kdamond.0  4242 [000] 1000.150000: sched:sched_switch: something else
kdamond.0  4242 [000] 1000.200000: damon:damon_aggregated: target_id=0 nr_regions=1 4096-16384: 10 1
kdamond.0  4242 [000] 1000.200002: damon:damon_aggregated: target_id=1 nr_regions=1 0-4096: 1 2
          <idle>-0     [001]  1000.300000: damon_aggregated:     target_id=0 nr_regions=1 4096-16384: 9 2
kdamond.0  4242 [000] 1000.300002: damon:damon_aggregated: target_id=1 nr_regions=1 0-4096: 1 3
"""


def test_perf_script(tmp_path: Path) -> None:
    """A line per region; the first window is as long as the others; two targets at a time are one snapshot."""
    (tmp_path / "x").write_text(TRACE)
    imported = import_damo(tmp_path / "x", tmp_path / "b", "web", {})
    assert len(imported.remarks) == 2
    with Record.open(tmp_path / "b") as record:
        found = list(record.snapshots("web"))
    assert [(each.start_ns // 10**6, each.end_ns // 10**6, each.aggr_us) for each in found] == [
        (1_000_000, 1_000_100, 100_000),
        (1_000_100, 1_000_200, 100_000),
        (1_000_200, 1_000_300, 100_000),
    ]
    rows = [[(t.id, t.start.tolist(), t.nr_accesses.tolist(), t.age.tolist()) for t in each.targets] for each in found]
    assert rows[0] == [(0, [4096, 8192], [20, 0], [3, 7]), (1, [0], [1], [1])]
    assert rows[2] == [(0, [4096], [9], [2]), (1, [0], [1], [3])]


def test_perf_script_of_old_kernels(tmp_path: Path) -> None:
    """Without ages (5.15); with the window that damo adds to a trace of a single one."""
    lines = [line.rsplit(" ", 1)[0] for line in TRACE.splitlines()[:2]]
    fake = "kdamond.0  4242 [000] 1000.200000: damon:damon_aggregated: target_id=0 nr_regions=1 0-0: -1 -1"
    (tmp_path / "x").write_text("\n".join([*lines, fake]))
    imported = import_damo(tmp_path / "x", tmp_path / "b", "web", {"aggr_us": 100_000, "sample_us": 5_000})
    assert imported.nr_snapshots == 1
    assert "ages are not known" in imported.remarks[0]
    with Record.open(tmp_path / "b") as record:
        (only,) = record.snapshots("web")
    assert only.end_ns - only.start_ns == 100_000_000


def test_perf_script_out_of_order(tmp_path: Path) -> None:
    """It says how to sort it."""
    (tmp_path / "x").write_text("\n".join(reversed(TRACE.splitlines())))
    with pytest.raises(RecordError, match="order of time") as caught:
        import_damo(tmp_path / "x", tmp_path / "b", "web", {})
    assert "sort" in caught.value.hint
