"""Questions to a supervisor, and requests; one at a time."""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, Self

import msgpack
import zmq

from damond.client.remote import Remote, check_reachable
from damond.errors import ProtocolError, UnreachableError, UsageError, from_code
from damond.stream import wire
from damond.stream.endpoints import Endpoints, serving_runtime_dir

VERSION: Final = 1
MAX_REQUEST_SZ: Final = 256 * 1024
"""Bytes of the largest request that a supervisor reads."""
STEERING: Final = frozenset({"start", "stop", "tune", "pause", "resume", "shutdown", "reload"})
"""Requests that change something: they go to the socket ``control``, all others to ``query``."""
TIMEOUT_S: Final = 15.0
"""For a reply, on a machine that is out of breath, too; starting and stopping may take longer, see ``Client.start``."""
_START_TIMEOUT_S: Final = 60.0


class Client:
    """A connection to a supervisor's control socket. Blocking; one request at a time.

    Args:
        runtime_dir: Of the supervisor; None is the default one.
        remote: Ask over the network instead.

    Raises:
        UnreachableError: No supervisor is there.
        NotPermittedError: It is there, and does not let us in.
    """

    def __init__(self, runtime_dir: Path | str | None = None, *, remote: Remote | None = None) -> None:
        self.endpoints = Endpoints(Path(runtime_dir) if runtime_dir is not None else serving_runtime_dir())
        self._remote = remote
        self._ids = itertools.count(1)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self._sockets: dict[str, zmq.Socket[bytes]] = {}
        try:
            self._socket("query")
        except BaseException:
            self.close()
            raise

    def _socket(self, name: str) -> "zmq.Socket[bytes]":
        """Connect to one of the supervisor's sockets, once."""
        if name not in self._sockets:
            if self._remote is None:
                check_reachable(self.endpoints.path(name))
            dealer = self._context.socket(zmq.DEALER)
            dealer.setsockopt(zmq.LINGER, 0)
            dealer.setsockopt(zmq.SNDHWM, 16)
            dealer.setsockopt(zmq.RCVHWM, 16)
            if self._remote is None:
                dealer.connect(f"ipc://{self.endpoints.path(name)}")
            else:
                self._remote.connect(dealer, self._remote.query)
            self._sockets[name] = dealer
        return self._sockets[name]

    def request(self, verb: str, args: Mapping[str, Any] | None = None, *, timeout_s: float = TIMEOUT_S) -> Any:
        """Send one request and return its result.

        Raises:
            UnreachableError: No reply came in time.
            DamondError: What the supervisor answered: the class belongs to its code.
            ProtocolError: The request is larger than what is read, or the reply can't be understood.
        """
        request_id = next(self._ids)
        try:
            raw = msgpack.packb({"v": VERSION, "id": request_id, "verb": verb, "args": dict(args or {})})
        except OverflowError as error:
            raise UsageError(f"{verb}: a number is beyond 64 bits", hint="give a smaller one") from error
        if len(raw) > MAX_REQUEST_SZ:  # far larger ones are dropped by libzmq, and nobody would answer
            raise ProtocolError(f"a request of {len(raw)} bytes", hint=f"at most {MAX_REQUEST_SZ} bytes are read")
        dealer = self._socket("control" if verb in STEERING and self._remote is None else "query")
        if not dealer.poll(int(timeout_s * 1000), zmq.POLLOUT):  # the connection was lost: send would wait for ever
            raise UnreachableError(
                f"the supervisor could not be asked for '{verb}' within {timeout_s:g} s",
                hint="it is gone, does not read, or has taken our key off its file",
            )
        dealer.send(raw)
        while True:
            if not dealer.poll(int(timeout_s * 1000)):
                raise UnreachableError(
                    f"the supervisor did not answer '{verb}' within {timeout_s:g} s",
                    hint="is it overloaded or stopped?",
                )
            try:
                reply = msgpack.unpackb(dealer.recv())
            except (ValueError, msgpack.UnpackException) as error:
                raise ProtocolError(
                    f"a reply that is not msgpack: {error}", hint="is it a supervisor of damond that answers there?"
                ) from error
            if reply["id"] in (request_id, None):
                break
        if reply["ok"]:
            return reply["result"]
        refusal = reply["error"]
        raise from_code(refusal["code"], refusal["message"], refusal["hint"])

    def hello(self) -> dict[str, Any]:
        """Ask for versions and endpoints."""
        return dict(self.request("hello"))

    def contexts(self) -> list[dict[str, str]]:
        """Ask for names and states of all contexts."""
        return [dict(each) for each in self.request("list")]

    def status(self) -> dict[str, Any]:
        """Ask for all that is known of the supervisor, its workers and contexts."""
        return dict(self.request("status"))

    def start(
        self, *names: str, contexts: Mapping[str, Mapping[str, Any]] | None = None, exclusive: bool = False
    ) -> list[str]:
        """Start contexts of the configuration by name, or others by their tables; all or none."""
        args = {"names": list(names), "contexts": dict(contexts or {}), "exclusive": exclusive}
        return [str(each) for each in self.request("start", args, timeout_s=_START_TIMEOUT_S)]

    def stop(self, *names: str) -> list[str]:
        """Stop contexts; return when their workers have ended."""
        return [str(each) for each in self.request("stop", {"names": list(names)}, timeout_s=_START_TIMEOUT_S)]

    def snapshot(self, context: str, kind: wire.Kind = "snapshot") -> wire.Message | None:
        """Ask for the newest message of a context; None if there is none yet.

        Of a context that is not running any more it is the last one, and ``origin.stale``.
        """
        answer = self.request("snapshot", {"context": context, "kind": kind})
        if not answer["frames"]:
            return None
        message = wire.decode(answer["frames"])
        origin = message.origin
        return message if origin is None else replace(message, origin=replace(origin, stale=answer["stale"]))

    def newest(self, context: str, kind: str) -> list[bytes] | None:
        """Ask for the newest message as frames, as they were on the stream."""
        frames: list[bytes] | None = self.request("snapshot", {"context": context, "kind": kind})["frames"]
        return frames

    def tune(
        self,
        context: str,
        attrs: Mapping[str, str | int] | None = None,
        *,
        add_targets: Iterable[int] = (),
        remove_targets: Iterable[int] = (),
        goal: Mapping[str, str | int] | Literal["off"] | None = None,
        max_cpu: str | None = None,
    ) -> None:
        """Change a running context; its results stay.

        Args:
            context: Its name.
            attrs: As the configuration has them. Intervals that are given stay as they are, unless there is a goal.
            add_targets: Ids.
            remove_targets: Ids.
            goal: ``intervals_goal`` as in the configuration; None leaves it as it is.
            max_cpu: As in the configuration, ``"1%"`` or ``"off"``; None leaves it as it is.
        """
        args = {"attrs": dict(attrs or {}), "add_targets": list(add_targets), "remove_targets": list(remove_targets)}
        more = {"goal": None if goal is None else goal if isinstance(goal, str) else dict(goal), "max_cpu": max_cpu}
        self.request("tune", {"context": context, **args, **more}, timeout_s=_START_TIMEOUT_S)

    def pause(self, context: str) -> None:
        """Let sampling rest; the worker stays."""
        self.request("pause", {"context": context}, timeout_s=_START_TIMEOUT_S)

    def resume(self, context: str) -> None:
        """Let sampling go on."""
        self.request("resume", {"context": context}, timeout_s=_START_TIMEOUT_S)

    def replay(self, context: str, epoch: int, from_seq: int = 0) -> Iterator[wire.Message]:
        """Fetch the snapshots of one worker that the supervisor still keeps, from a seq on."""
        while True:
            answer = self.request("replay", {"context": context, "epoch": epoch, "from_seq": from_seq})
            for frames in answer["frames"]:
                yield wire.decode(frames)
                from_seq = wire.parse_header(frames[1])[1] + 1
            if answer["end"]:
                return

    def catch_up(
        self,
        last: Callable[[str, str], tuple[int, int] | None],
        contexts: Collection[str] = (),
        *,
        from_start: bool = False,
    ) -> Iterator[wire.Message]:
        """Fetch what a reader that begins now would miss of what runs: summaries, and snapshots since those it has.

        The newest summary has the mappings of the processes, and the next one may be 5 s away.

        Args:
            last: Takes name and host of a context; tells epoch and seq of the newest snapshot that is known, or None.
            contexts: Names; none means all.
            from_start: Fetch those of a worker of which nothing is known from its first on, as far as they are kept.
        """
        for each in self.contexts():
            name = each["name"]
            if each["state"] != "running" or (contexts and name not in contexts):
                continue
            summary, newest = self.snapshot(name, "summary"), self.snapshot(name)
            if summary is not None:
                yield summary
            if newest is not None and newest.origin is not None:
                known, epoch = last(name, newest.origin.host), newest.origin.epoch
                if known is not None and known[0] == epoch:
                    yield from self.replay(name, epoch, known[1] + 1)
                elif from_start:
                    yield from self.replay(name, epoch, 0)

    def plugins(self) -> list[dict[str, Any]]:
        """Ask which plugins the supervisor has found."""
        return [dict(each) for each in self.request("plugins")]

    def reload(self) -> dict[str, Any]:
        """Have the supervisor read its configuration again; return what was done."""
        return dict(self.request("reload", timeout_s=_START_TIMEOUT_S))

    def shutdown(self) -> None:
        """Ask the supervisor to stop everything and end."""
        self.request("shutdown")

    def close(self) -> None:
        """Close the connection."""
        self._context.destroy(linger=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
