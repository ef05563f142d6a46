"""The service learns that a part of it has failed without which it is deaf or blind."""

import asyncio
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from damond.errors import ServiceFailedError
from damond.service.vitals import Vitals, reported, vital


async def _fail(error: BaseException | None) -> None:
    if error is not None:
        raise error


def _in_task(error: BaseException | None) -> object:
    return vital(_fail(error))


def _in_request(error: BaseException | None) -> object:
    return reported(_fail(error))


def _in_callback(error: BaseException | None) -> object:
    return asyncio.get_running_loop().call_soon(_raise, error)


def _in_thread(error: BaseException | None) -> object:
    thread = threading.Thread(target=_raise, args=(error,), name="listener")
    thread.start()
    return thread


def _raise(error: BaseException | None) -> None:
    if error is not None:
        raise error


@pytest.mark.parametrize(
    ("where", "error", "why"),
    [
        (_in_task, KeyError("k"), "_fail has failed: KeyError 'k'"),
        (_in_task, MemoryError(), "_fail has failed: MemoryError"),
        (_in_task, None, None),
        (_in_request, KeyError("k"), None),
        (_in_request, MemoryError(), "_fail has failed: MemoryError"),
        (_in_callback, MemoryError("out"), "Exception in callback .*: MemoryError out"),
        (_in_callback, KeyError("k"), None),
        (_in_thread, KeyError("k"), "thread 'listener' has failed: KeyError 'k'"),
        (_in_thread, None, None),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_is_vital(
    where: Callable[[BaseException | None], object], error: BaseException | None, why: str | None
) -> None:
    """Vital tasks, threads, and memory that is out in the loop itself; a callback that fails by itself is logged."""
    assert re.fullmatch("" if why is None else f"the service can't go on: {why}", asyncio.run(_lost_by(where, error)))


async def _lost_by(where: Callable[[BaseException | None], object], error: BaseException | None) -> str:
    vitals = Vitals()
    made = where(error)
    if isinstance(made, threading.Thread):
        made.join()
    await _turns()
    vitals.close()
    if not vitals.lost.is_set():
        vitals.check()
        return ""
    with pytest.raises(ServiceFailedError) as caught:
        vitals.check()
    return caught.value.message


async def _turns() -> None:
    """Let the loop turn: for a task, its callback, and what waits."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_vital_task_may_be_cancelled() -> None:
    """That is how it ends."""

    async def cancel() -> bool:
        vitals = Vitals()
        task = vital(_for_ever())
        await _turns()
        task.cancel()
        await _turns()
        vitals.close()
        return task.cancelled() and not vitals.lost.is_set()

    assert asyncio.run(cancel())


async def _for_ever() -> None:
    await asyncio.Event().wait()


def test_the_first_reason_is_told() -> None:
    """What fails because something else has failed explains nothing; and all is given back in the end."""
    before = threading.excepthook

    async def fail_twice() -> None:
        vitals = Vitals()
        assert threading.excepthook != before
        for text in ("first", "second"):
            vital(_fail(RuntimeError(text)))
        await _turns()
        with pytest.raises(ServiceFailedError, match="RuntimeError first"):
            vitals.check()
        vitals.close()
        assert asyncio.get_running_loop().get_exception_handler() is None

    asyncio.run(fail_twice())
    assert threading.excepthook == before


HANGING = """
import asyncio, logging, sys
from pathlib import Path
import zmq
from damond.plugin import Registry
from damond.service import config, logs, serve

def fail(stream):
    global held
    held = zmq.Context.shadow(service._control._context.underlying).socket(zmq.PUSH)
    raise RuntimeError("given up")

logs.configure(logging.INFO)
serve._END_WITHIN_S = 1
path = Path(sys.argv[1])
service = serve.Service(path, config.load(path), Registry(), Path(sys.argv[2]))
asyncio.run(service.run(fail))
"""


def test_an_end_that_hangs_is_cut_short(tmp_path: Path) -> None:
    """After a failure somebody waits for a socket that nobody closes: SIGALRM ends it; no worker is left."""
    config = tmp_path / "damond.toml"
    config.write_text('[context.one]\nprimitive = "synthetic"\n')
    line = [sys.executable, "-c", HANGING, config, tmp_path / "run"]
    done = subprocess.run(line, timeout=60, capture_output=True, check=False)
    assert done.returncode == -signal.SIGALRM
    assert b"one: stopped (requested)" in done.stderr
