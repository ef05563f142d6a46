"""How far a report is: on standard error, in a terminal, once it takes longer than a second."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from damond.cli import output
from damond.record import Block
from damond.report.subject import Subject

_AFTER_S: Final = 1.0
"""What is done sooner needs no progress. Seconds."""


@contextmanager
def shown(*subjects: Subject, now: Callable[[], float] = time.monotonic) -> Iterator[tuple[Subject, ...]]:
    """Show how far the reading of some subjects is; nothing where nobody looks."""
    console = output.console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        yield subjects
        return
    columns = TextColumn("reading {task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %")
    progress = Progress(*columns, TimeRemainingColumn(), console=console, transient=True)
    begin_s = now()

    def watched(subject: Subject) -> Subject:
        task = progress.add_task(subject.context, total=None)  # as long as only some places are looked at

        def read(from_ns: int, to_ns: int) -> Iterator[Block]:
            whole = to_ns - from_ns > subject.span_ns // 2  # and no short look at some place
            for block in subject.read(from_ns, to_ns):
                if whole:
                    done_ns = int(block.column("end_ns")[-1]) - subject.from_ns
                    progress.update(task, total=subject.span_ns, completed=done_ns)
                if now() - begin_s > _AFTER_S and not progress.live.is_started:
                    progress.start()
                yield block

        return replace(subject, read=read)

    try:
        yield tuple(watched(each) for each in subjects)
    finally:
        progress.stop()
