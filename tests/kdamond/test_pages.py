"""Raw trace pages: recorded from two kernels, and generated."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond_kdamond.formats import EventFormat, parse_format
from damond_kdamond.pages import ROW, PageDecoder
from tests.kdamond.recording import KERNELS, PageWriter, decode, formats, packed, recording, rows_of

TIMES = st.lists(st.sampled_from([0, 1, 999, (1 << 27) - 1, 1 << 27, 1 << 40]), min_size=0, max_size=300)


@pytest.mark.parametrize("kernel", KERNELS)
def test_recorded_pages_say_what_the_kernel_printed(kernel: str) -> None:
    """Every event of a recording decodes to what the same kernel printed of it, to the microsecond of its time."""
    recorded = recording(kernel)
    rows, decoded = decode(recorded.pages, recorded.decoder())
    assert len(rows) == len(recorded.printed) > 200
    assert [tuple(row)[1:] for row in rows.tolist()] == [line[1:] for line in recorded.printed]
    printed_ns = np.array([line[0] for line in recorded.printed], np.int64) * 1000
    assert np.abs(rows["time_ns"].astype(np.int64) - printed_ns).max() <= 500
    assert not decoded.gaps


@given(steps=TIMES, begin_ns=st.integers(0, 1 << 58))
def test_round_trip(steps: list[int], begin_ns: int) -> None:
    """Whatever time passes from event to event, and over however many pages: what was written is decoded."""
    rows = rows_of([4096] * len(steps), 0, nr_accesses=3, age=5)
    rows["time_ns"] = begin_ns + np.cumsum(np.array(steps, np.uint64), dtype=np.uint64)
    found, _ = decode(packed(rows))
    np.testing.assert_array_equal(found, rows)


@pytest.mark.parametrize("missed", [False, True], ids=["nothing lost", "events overwritten"])
def test_missed_events_are_told(missed: bool) -> None:
    """The flag beside the size of a page says that events before it were lost, and is no part of the size."""
    rows, decoded = decode(packed(rows_of([4096] * 5, 1000), missed=missed))
    assert decoded.gaps == ([1000] if missed else [])
    assert len(rows) == 5


def body(target_id: int = 0, nr_accesses: int = 0) -> bytes:
    return struct.pack("<HBBiQIxxxxQQII", formats()[0].id, 0, 0, 1, target_id, 1, 0, 4096, nr_accesses, 2)


def test_other_events_between_are_passed_over() -> None:
    """Padding, absolute times, events of other kinds and large ones leave those of DAMON as they are."""
    writer = PageWriter()
    writer.data(1_000, body(nr_accesses=1))
    writer.padding(24)
    writer.data(2_000, struct.pack("<HBBiQ", 9, 0, 0, 1, 0))
    writer.data(3_000, body(nr_accesses=2))
    writer.stamp(1 << 50)
    writer.data((1 << 50) + 5, body(nr_accesses=3))
    writer.data((1 << 50) + 6, struct.pack("<HBBi", 9, 0, 0, 1) + bytes(200), big=True)
    writer.data((1 << 50) + 7, body(nr_accesses=4))
    rows, _ = decode(writer.finish())
    assert rows["nr_accesses"].tolist() == [1, 2, 3, 4]
    assert rows["time_ns"].tolist() == [1_000, 3_000, (1 << 50) + 5, (1 << 50) + 7]


def test_events_of_another_length_are_taken_one_by_one() -> None:
    """A kernel that pads events differently, or writes their length apart, is understood too."""
    writer = PageWriter()
    writer.data(1, body(7) + bytes(8))
    writer.data(2, body(8), big=True)
    rows, _ = decode(writer.finish())
    assert rows["target_id"].tolist() == [7, 8]
    assert rows["age"].tolist() == [2, 2]


def test_tuned_intervals_are_told_with_their_time() -> None:
    """Events about tuned intervals come beside the rows."""
    writer = PageWriter()
    writer.data(5_000, struct.pack("<HBBiQ", formats()[1].id, 0, 0, 1, 20_000))
    writer.data(6_000, body())
    rows, decoded = decode(writer.finish())
    assert decoded.tuned == [(5_000, 20_000)]
    assert len(rows) == 1


def test_without_age() -> None:
    """Before Linux 5.17 there is no age: it reads as 0."""
    event, _, header_page = formats()
    ageless = replace(event, fields={name: at for name, at in event.fields.items() if name != "age"})
    rows, _ = decode(packed(rows_of([4096], 10, age=3)), PageDecoder(ageless, header_page))
    assert rows["age"].tolist() == [0]
    assert rows["end"].tolist() == [0x10000 + 4096]


def test_rows_of_two_cpus_are_sorted_by_time() -> None:
    """The thread may move from CPU to CPU: rows come in the order of their times."""
    event, _, header_page = formats()
    decoder = PageDecoder(event, header_page)
    early, late = rows_of([4096] * 3, 1_000, age=1), rows_of([4096] * 3, 50_000, age=2)
    decoded = decode(packed(late), decoder)[1]
    decoder.decode(packed(early), decoded)
    assert decoder.rows(decoded)["age"].tolist() == [1, 1, 1, 2, 2, 2]


def test_nothing_read() -> None:
    """No pages are no rows."""
    rows, _ = decode([])
    assert len(rows) == 0
    assert rows.dtype == ROW


def test_format() -> None:
    """The format of an event says its id and where its fields are; its size is that of the C structure."""
    event = parse_format(recording("linux-7.2").format)
    assert event.fields["nr_accesses"] == (40, 4)
    assert event.size == 48
    assert EventFormat(1, {"a": (0, 4), "b": (8, 8), "c": (16, 4)}).size == 24


@pytest.mark.parametrize("text", ["", "name: x\nID: 3\nformat:\n"], ids=["empty", "no fields"])
def test_no_format(text: str) -> None:
    """What is no format is refused."""
    with pytest.raises(ValueError, match="no description of an event"):
        parse_format(text)
