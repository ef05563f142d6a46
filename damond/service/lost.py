"""What readers say they have lost."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

STREAMS: Final = ("local", "remote")


class Lost:
    """Messages that readers missed, as they tell by the verb ``lost``: libzmq drops without a word.

    It is told by readers that use our client library (or send the verb themselves), at most every few seconds and once
    more when they end; what one has lost that never tells is not in it. Gaps between worker and hub are.
    """

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {each: Counter() for each in STREAMS}
        self._reports = dict.fromkeys(STREAMS, 0)

    def add(self, stream: str, lost: Mapping[str, int]) -> None:
        """Take what a reader says."""
        self._counts[stream].update(lost)
        self._reports[stream] += 1

    def forget(self, context: str) -> None:
        """Drop what is kept of a context."""
        for counts in self._counts.values():
            counts.pop(context, None)

    def describe(self) -> dict[str, Any]:
        """Tell it, as plain values: per stream the messages by context, and how many reports they come from."""
        return {each: {"messages": dict(self._counts[each]), "reports": self._reports[each]} for each in STREAMS}
