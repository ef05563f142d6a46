"""The control socket: requests and replies, one msgpack map each way.

``{v: 1, id, verb, args}`` -> ``{v: 1, id, ok: true, result}`` or
``{v: 1, id, ok: false, error: {code, message, hint}}``. Anything malformed gets a typed error and changes nothing.
Verbs that only read are answered on ``query`` too, whose socket the service's group may connect to; those that change
something on ``control`` alone.

==========  =======================================  ==========================================================
verb        args                                     result
==========  =======================================  ==========================================================
hello       -                                        version, wire, pid, host, stream
list        -                                        list of {name, state}
status      -                                        all that is known of supervisor, workers and contexts
start       names and/or contexts (name -> table     names that run now; all or none
            as in the configuration), exclusive
stop        names                                    names
tune        context, attrs (intervals as texts with  nothing; the context goes on, its results are converted.
            their unit, or numbers: microseconds),   Given intervals stay as they are, unless a goal (a table as in
            goal, max_cpu, add_targets,              the configuration, or "off") is given as well
            remove_targets
pause       context                                  nothing; sampling rests, what was counted is delivered
resume      context                                  nothing
snapshot    context, kind                            frames of the newest message (topic, header, body) or nil;
                                                     stale: whether its context is not running any more
replay      context, epoch, from_seq                 frames of the snapshots that are still kept, oldest first
lost        stream (local, remote), lost (context    nothing; counted in status, as told by readers
            -> messages)
plugins     -                                        what was found
reload      -                                        what was started, stopped, tuned, restarted
shutdown    -                                        nothing; the supervisor ends
==========  =======================================  ==========================================================
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import zmq
import zmq.asyncio

from damond.errors import BusyError, DamondError, ProtocolError
from damond.service import protocol
from damond.service.supervisor import Supervisor
from damond.service.verbs import Verbs
from damond.service.vitals import reported

_log = logging.getLogger(__name__)

_MAX_FRAME_SZ: Final = 4 * 1024 * 1024
"""Bytes beyond which libzmq drops the connection."""
_MAX_PENDING: Final = 64
"""Requests that may be under way at once."""
_MAX_RATE: Final = 2000
"""Requests per second that are taken from one socket; what is more waits at its sender."""
TIME_LIMIT_S: Final = 50.0
"""For a request; below what our client waits for the slowest of them (60 s)."""
_BURST: Final = 200
"""Requests that may come at once."""


def limit(router: zmq.asyncio.Socket) -> None:
    """Set the limits of a socket for requests, before it is bound."""
    router.setsockopt(zmq.LINGER, 200)
    router.setsockopt(zmq.SNDHWM, 16)
    router.setsockopt(zmq.RCVHWM, _MAX_PENDING)
    router.setsockopt(zmq.MAXMSGSIZE, _MAX_FRAME_SZ)
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)  # a reply that can't be delivered is told, else it is dropped silently


class ControlServer:
    """Answers requests on behalf of a supervisor: all verbs on one socket, those that only read on the others too.

    Args:
        supervisor: Whom the requests are for.
        reload: Called to read the configuration again; returns what was done.

    Attributes:
        counts: Requests, those that were refused (malformed ones and our own defects apart), and replies whose
            client did not read them or was gone.
        shutdown: Set once somebody asked for the end.
    """

    def __init__(self, supervisor: Supervisor, reload: Callable[[], Awaitable[dict[str, Any]]] | None = None) -> None:
        self.counts = dict.fromkeys(("requests", "refused", "malformed", "internal", "replies_lost"), 0)
        self._verbs = Verbs(supervisor, reload)
        self.add_status("control", lambda: dict(self.counts))
        self.shutdown = self._verbs.shutdown
        self._tasks: set[asyncio.Task[Any]] = set()
        self._context = zmq.asyncio.Context(io_threads=2)

    def add_status(self, name: str, describe: Callable[[], Any]) -> None:
        """Have ``status`` tell something more."""
        self._verbs.more_status[name] = describe

    def bind(self, endpoint: str, *, may_steer: bool) -> zmq.asyncio.Socket:
        """Make a socket for requests; pass it to :meth:`serve`. Those who steer have an I/O thread of their own."""
        router = self._context.socket(zmq.ROUTER)
        limit(router)
        router.setsockopt(zmq.AFFINITY, 0b01 if may_steer else 0b10)
        router.bind(endpoint)
        return router

    async def serve(self, router: zmq.asyncio.Socket, *, may_steer: bool) -> None:
        """Answer what comes over a socket, until cancelled."""
        budget, counted_s = float(_BURST), time.monotonic()
        slots = asyncio.Semaphore(_MAX_PENDING)  # of this socket: readers can't keep those who steer waiting
        while True:
            frames = await router.recv_multipart()
            now_s = time.monotonic()
            budget, counted_s = min(_BURST, budget + (now_s - counted_s) * _MAX_RATE) - 1, now_s
            if budget < 0:
                await asyncio.sleep(-budget / _MAX_RATE)
            await slots.acquire()
            task = reported(self._answer(router, frames, may_steer=may_steer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _: slots.release())

    async def _answer(self, router: zmq.asyncio.Socket, frames: list[bytes], *, may_steer: bool) -> None:
        request_id: Any = None
        failure: Exception | None = None
        self.counts["requests"] += 1
        try:
            request = protocol.parse(frames[1:])
            request_id = request["id"]
            reply = protocol.reply(request_id, ok=True, result=await self._done(request, may_steer=may_steer))
        except DamondError as error:
            self.counts["malformed" if isinstance(error, ProtocolError) else "refused"] += 1
            told = {"code": error.code, "message": error.message, "hint": error.hint}
            reply = protocol.reply(request_id, ok=False, error=told)
        except Exception as error:  # noqa: BLE001 - told, and logged with its traceback
            # The edge of a request: a defect of ours must not leave the client waiting, nor end the service.
            self.counts["internal"] += 1
            failure = error
            told = {"code": "internal", "message": f"{type(error).__name__}: {error}", "hint": "see the service's log"}
            reply = protocol.reply(request_id, ok=False, error=told)
        try:
            await router.send_multipart([frames[0], reply], zmq.DONTWAIT)
        except zmq.ZMQError as error:
            self.counts["replies_lost"] += 1  # EAGAIN: its client does not read; EHOSTUNREACH: it has gone
            expected = error.errno in (zmq.EAGAIN, zmq.EHOSTUNREACH)
            _log.log(logging.DEBUG if expected else logging.ERROR, "a reply is lost: %s", error)
        if failure is not None:  # after the reply: where memory is out, a traceback takes more of it
            _log.error("a request could not be answered", exc_info=failure)

    async def _done(self, request: dict[str, Any], *, may_steer: bool) -> Any:
        """Do what was asked, within a limit; beyond, it goes on, but nobody waits for it any more.

        Raises:
            BusyError: It is not done yet.
            DamondError: It was refused.
        """
        verb = request["verb"]
        doing = asyncio.create_task(self._verbs.dispatch(verb, request["args"], may_steer=may_steer))
        self._tasks.add(doing)
        doing.add_done_callback(self._forget)
        done, _ = await asyncio.wait({doing}, timeout=TIME_LIMIT_S)
        if not done:
            raise BusyError(f"{verb!r} is not done after {TIME_LIMIT_S:g} s, and goes on", hint="see 'damond status'")
        return doing.result()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # read by who waited for it, if somebody still did

    def close(self) -> None:
        """Close the socket, after the last replies have gone."""
        for task in self._tasks:
            task.cancel()
        self._context.destroy(linger=200)
