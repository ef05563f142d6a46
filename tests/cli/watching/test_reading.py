"""What the view reads of a service: how often it asks."""

import asyncio
import signal
import time
from collections.abc import Callable
from typing import Any

from damond.cli.watching.asking import ASK_EVERY_S, ask_after_s
from damond.cli.watching.reading import Reading

LATE_S = 0.5


def test_many_contexts_are_asked_for_less_often() -> None:
    """Up to a hundred they are asked for every two seconds, then at a rate that keeps the service's cost."""
    assert [ask_after_s(count) for count in (0, 1, 100, 1000)] == [2, 2, 2, 20]


def test_a_late_answer_is_no_reason_to_wait(serve: Callable[..., Any]) -> None:
    """A service that answers late, as while it is restarted, is asked again as soon as any other."""
    service = serve()

    async def ask() -> tuple[float, float]:
        begin_s = time.monotonic()
        service.send(signal.SIGSTOP)
        asyncio.get_running_loop().call_later(LATE_S, service.send, signal.SIGCONT)
        with Reading(service.run_dir) as reading:
            return await reading.ask(None), time.monotonic() - begin_s

    again_s, took_s = asyncio.run(ask())
    assert took_s >= LATE_S
    assert again_s == ASK_EVERY_S
