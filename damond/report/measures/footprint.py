"""What a program holds beside what it uses: address space, resident memory, working set."""

from dataclasses import dataclass, field

from damond.report.coverage import Coverage, gather
from damond.report.measures.wss import bytes_per_window
from damond.report.memory import Amount, Memory, memory_of
from damond.report.subject import Subject
from damond.report.timeline import PerWindow
from damond.report.windows import Windows


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Footprint:
    """Memory held and memory used.

    Attributes:
        coverage: What this is based on.
        memory: What the processes held.
        monitored: What was looked at; None if there is no window.
        wss: Regions with any access in one window, whole: the working set; None if there is no window.
    """

    coverage: Coverage
    memory: Memory
    monitored: Amount | None
    wss: Amount | None


def measure(subject: Subject) -> Footprint:
    """Put side by side what is held and what is used."""
    counter = _Counter()
    coverage = gather(subject, counter)
    return Footprint(
        coverage=coverage,
        memory=memory_of(subject),
        monitored=_amount(counter.monitored, subject),
        wss=_amount(counter.wss, subject),
    )


@dataclass(slots=True, eq=False)
class _Counter:
    monitored: PerWindow = field(default_factory=PerWindow)
    wss: PerWindow = field(default_factory=PerWindow)

    def add(self, windows: Windows) -> None:
        """Take some windows."""
        self.monitored.add(windows, bytes_per_window(windows, None))
        self.wss.add(windows, bytes_per_window(windows, 0.0))


def _amount(values: PerWindow, subject: Subject) -> Amount | None:
    if not len(values):
        return None
    least, median, greatest = values.percentiles((0, 50, 100))
    series = values.series(subject.from_ns, subject.to_ns)
    return Amount(least, median, greatest, int(values.values[-1]), series)
