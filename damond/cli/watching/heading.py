"""The first line: the service as a whole, or what the reader has to know at once."""

from collections import Counter
from collections.abc import Iterator

from rich.text import Text

from damond.cli.watching.contexts import DELIVERING
from damond.cli.watching.pace import Pace
from damond.cli.watching.panel import TITLE, WARNING, Panel
from damond.cli.watching.view import View
from damond.cli.words import clock, per_second, share_of
from damond.units import NSEC_PER_USEC

GONE = "the service is gone; waiting for it to come back"


class Heading(Panel):
    """What holds for all contexts.

    Attributes:
        notice: Shown instead, as long as it is there.
    """

    def __init__(self, view: View, pace: Pace) -> None:
        super().__init__(view)
        self.notice = ""
        self._pace = pace

    def lines(self, width: int, height: int) -> Iterator[Text]:  # noqa: ARG002 - one line
        """Make the line; called by the panel."""
        yield self._line(width)

    def _line(self, width: int) -> Text:
        if self.notice:
            return Text(self.notice, WARNING)
        text = Text()
        if self.view.contexts.gone:
            text.append(f"{GONE} | ", WARNING)
        if self.view.frozen is not None:
            text.append(f"PICTURE PAUSED at {clock(self.view.frozen.end_ns)}: space goes on | ", WARNING)
        facts = list(self._facts())
        while len(facts) > 1 and text.cell_len + len(" | ".join(facts)) > width:
            facts.pop()
        return text.append(" | ".join(facts), TITLE)

    def _facts(self) -> Iterator[str]:
        """List what is said of all contexts, the most important first."""
        contexts = self.view.contexts
        rows = list(contexts.rows.values())
        states = Counter(contexts.condition(each) for each in rows)
        others = "".join(f", {number} {word}" for word, number in sorted(states.items()) if word != "running")
        yield f"{contexts.host}: {len(rows)} contexts, {states['running']} running{others}"
        yield f"missed {sum(each.missed for each in rows):,}, skipped {sum(each.skipped for each in rows):,}"
        found = [each.newest for each in rows if each.newest and contexts.condition(each) in DELIVERING]
        rate = sum(per_second(each.checks, each.end_ns - each.start_ns) for each in found)
        cpu = sum(share_of(each.cpu_us * NSEC_PER_USEC, each.end_ns - each.start_ns) for each in found)
        yield f"{rate:,.0f} checks/s taking {100 * cpu:.1f} % of a CPU"
        yield f"this view {100 * self._pace.cpu_share:.0f} % of a CPU"
