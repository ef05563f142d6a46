import datetime as dt
import time
from collections.abc import Iterator

import pytest

from damond.cli.report.axis import axis_lines, ticks
from damond.cli.report.times import from_ns, parse_moment, span_words, to_ns
from damond.errors import UsageError


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A zone with summer time, whatever this machine has."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def ns(text: str) -> int:
    return to_ns(dt.datetime.fromisoformat(text))


END = "2026-03-10T09:30:00"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("-2h", "2026-03-10T07:30:00", id="before the end"),
        pytest.param("-90min", "2026-03-10T08:00:00", id="in another unit"),
        pytest.param("02:00", "2026-03-10T02:00:00", id="this morning"),
        pytest.param("22:15", "2026-03-09T22:15:00", id="not yet today, so yesterday"),
        pytest.param("22:15:30", "2026-03-09T22:15:30", id="with seconds"),
        pytest.param("2026-03-01T12:00", "2026-03-01T12:00:00", id="ISO, local"),
        pytest.param("2026-03-01T12:00+00:00", "2026-03-01T13:00:00", id="ISO, with its zone"),
        pytest.param("2026-03-01", "2026-03-01T00:00:00", id="a day begins at midnight"),
    ],
)
def test_moments(text: str, expected: str) -> None:
    """What people write, beside a record that ends in the morning."""
    assert parse_moment(text, ns(END)) == ns(expected)


def test_an_end_follows_its_begin() -> None:
    """From 22:00 to 04:00 is one night."""
    begin = parse_moment("22:00", ns(END))
    assert parse_moment("04:00", ns(END), after_ns=begin) == ns("2026-03-10T04:00:00")


def test_yesterday_across_the_change_to_summer_time() -> None:
    """A day of 23 hours: 22:00 is 22:00 all the same."""
    assert parse_moment("22:00", ns("2026-03-29T09:00:00")) == ns("2026-03-28T22:00:00")


@pytest.mark.parametrize("text", ["noon", "25:00", "-2", "-2parsecs", "2026-13-01", ""])
def test_what_is_no_moment(text: str) -> None:
    """Nonsense is refused, and the hint shows how moments are written."""
    with pytest.raises(UsageError) as caught:
        parse_moment(text, ns(END))
    assert "02:00" in caught.value.hint


def test_times_survive_the_way_back() -> None:
    """Unix time to local time and back, to the microsecond."""
    moment = ns(END) + 123_456_000
    assert to_ns(from_ns(moment)) == moment


def test_a_span_names_its_day_once() -> None:
    """Within a day the date is there once; across midnight twice; the zone always."""
    assert span_words(ns("2026-03-10T02:00:00"), ns(END)) == "2026-03-10 02:00:00 to 09:30:00 CET"
    assert span_words(ns("2026-03-09T23:00:00"), ns(END)) == "2026-03-09 23:00:00 to 2026-03-10 09:30:00 CET"


def test_marks_are_at_round_times() -> None:
    """Two hours in 66 characters: every half hour, and the labels stand below their marks."""
    marks, labels = axis_lines(ns("2026-03-10T01:50:00"), ns("2026-03-10T03:50:00"), 66)
    assert len(marks) == 66
    assert labels.split() == ["02:00", "02:30", "03:00", "03:30"]
    assert all(marks[labels.index(label)] == "+" for label in labels.split())


def test_midnight_is_told_as_a_day() -> None:
    """Where days change, the label is the day."""
    found = [label for _, label in ticks(ns("2026-03-08T20:00:00"), ns("2026-03-10T09:00:00"), 8)]
    assert "Mar 9" in found
    assert "Mar 10" in found


def test_a_moment_is_measured_from_its_begin() -> None:
    """Below some seconds the time of day says nothing."""
    assert [label for _, label in ticks(ns(END), ns(END) + 2_000_000_000, 5)] == ["0 s", "0.5 s", "1 s", "1.5 s", "2 s"]
