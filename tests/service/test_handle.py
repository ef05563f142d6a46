"""A worker's link as the supervisor holds it."""

import asyncio
import os
from typing import Any

import pytest

from damond.service.handle import WorkerHandle
from damond.service.link import Link

LAST_WORDS = {"kind": "failed", "code": "no_such_process", "message": "there is no process 9", "hint": "give another"}


@pytest.mark.parametrize("sent", ["nothing", "before it ended", "afterwards"])
def test_last_words_are_heard(sent: str) -> None:
    """What a worker said before it ended is heard, also where it has left a request unread, or another one follows."""

    async def end() -> list[dict[str, Any]]:
        heard: list[dict[str, Any]] = []
        ours, theirs = Link.pair()
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        handle = WorkerHandle("one", ours, read_fd, lambda _, each: heard.append(each), lambda _: None, lambda _: None)
        if sent == "before it ended":
            handle.stop()
        theirs.send(LAST_WORDS)
        theirs.close()
        os.close(write_fd)
        if sent == "afterwards":
            handle.stop()
        handle.ended(3)
        assert handle.exited.is_set()
        return heard

    assert asyncio.run(end()) == [LAST_WORDS]
