"""Events in words."""

from typing import Any

import pytest

from damond.stream.in_words import event_in_words

CAME = {"added": [{"id": 5, "pid": 5}], "removed": [{"id": 7, "pid": None}], "targets": [5]}
CHANGED = {"changed": {"sample_interval": [5000, 10_000], "max_nr_regions": [1000, 500]}, "attrs": {}}


@pytest.mark.parametrize(
    ("event", "reason", "details", "words"),
    [
        ("started", "", {}, "started"),
        ("paused", "requested", {}, "paused (requested)"),
        ("targets_changed", "selected", CAME, "targets_changed: 5 came, 7 gone (selected)"),
        (
            "attrs_changed",
            "tuned",
            CHANGED,
            "attrs_changed: sample_interval 5 ms -> 10 ms, max_nr_regions 1000 -> 500 (tuned)",
        ),
    ],
)
def test_words(event: str, reason: str, details: dict[str, Any], words: str) -> None:
    """What happened, what has changed by it with its unit, and why."""
    assert event_in_words(event, reason, details) == words
