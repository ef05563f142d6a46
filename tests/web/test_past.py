"""Back in time: what the page shows of a record is what was recorded."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from damond.core import Origin
from damond.record.writer import RecordWriter
from damond.web import past, view
from tests.web.conftest import MIB, SECOND_NS, Window


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory, window: Window) -> Path:
    """A minute of 64 MiB of which MiB 10 is hot in the first half and MiB 50 in the second; ten seconds are missing."""
    path = tmp_path_factory.mktemp("past") / "record"
    writer = RecordWriter(path)
    for seq in range(600):
        if not 200 <= seq < 300:
            each = window(1000 + (seq + 1) / 10, hot_mib=10 if seq < 300 else 50)
            writer.add(replace(each, origin=Origin(host="box", epoch=1, seq=seq)))
    writer.close()
    return path


def test_recorded(record: Path) -> None:
    """The page knows from when to when there is something."""
    assert past.recorded(record) == {"c": {"first_ms": 1_000_000.0, "last_ms": 1_060_000.0}}


def test_past_view(record: Path) -> None:
    """The two hot MiB are where and when they were, and what was not recorded is blank; all is JSON."""
    made = json.loads(json.dumps(past.past_view(record, "c", (1_000_000, 1_060_000), target_id=None, everything=True)))
    drawn = made["heatmap"]
    cells = np.frombuffer(base64.b64decode(drawn["cells"]), np.uint8).reshape(drawn["nr_times"], drawn["nr_addrs"])
    per_mib = drawn["nr_addrs"] // 64
    assert (cells[0:79, 10 * per_mib] == view.FULL).all()
    assert (cells[121:, 50 * per_mib] == view.FULL).all()
    assert (cells[82:118] == view.NOTHING_KNOWN).all()
    assert made["newest"]["accessed_bytes"] == MIB
    assert made["newest"]["touched_bytes"] == 2 * MIB
    assert made["newest"]["nr_gaps"] == 1
    assert sum(each["bytes"] for each in made["idle"]) == 64 * MIB
    assert {int(each["start"], 16) - (1 << 46) for each in made["regions"] if each["share"] > 0.1} == {
        10 * MIB,
        50 * MIB,
    }


@pytest.mark.parametrize(
    ("name", "span_s", "why"),
    [("nobody", (1000, 1060), "unknown context"), ("c", (2000, 3000), "nothing of"), ("c", (1060, 1000), "nothing of")],
)
def test_nothing_there(record: Path, name: str, span_s: tuple[int, int], why: str) -> None:
    """What can't be drawn says why, and what there is."""
    made = past.past_view(record, name, (span_s[0] * 1000, span_s[1] * 1000), target_id=None, everything=True)
    assert made["newest"] is None
    assert why in made["why"]


def test_no_record(tmp_path: Path) -> None:
    """A record that is gone is told, not raised."""
    assert past.past_view(tmp_path / "none", "c", (0, SECOND_NS), target_id=None, everything=True)["why"]
