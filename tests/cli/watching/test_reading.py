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

    async def ask() -> None:
        begin_s = time.monotonic()
        service.send(signal.SIGSTOP)
        waking = asyncio.get_running_loop().call_later(LATE_S, service.send, signal.SIGCONT)
        try:
            with Reading(service.run_dir) as reading:
                assert await reading.ask(None) == ASK_EVERY_S
                assert time.monotonic() - begin_s >= LATE_S
                assert "one" in reading.contexts.rows
        finally:
            waking.cancel()
            service.send(signal.SIGCONT)

    asyncio.run(ask())
