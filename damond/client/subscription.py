"""What a supervisor publishes, for ``for`` and for ``async for``."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from pathlib import Path
from typing import Any

import zmq

from damond.client.asking import Client
from damond.client.remote import Remote, check_reachable
from damond.stream.endpoints import Endpoints, serving_runtime_dir
from damond.stream.losses import LossReporter
from damond.stream.mailbox import Mailbox
from damond.stream.subscriber import AsyncSubscriber, Connect, Subscriber
from damond.stream.welcome import Welcome


class Subscription:
    """What a supervisor publishes, for ``for`` and for ``async for``. Survives restarts of workers and supervisor.

    Each message tells in ``origin`` how many of its topic were ``missed`` (lost on the way) or ``skipped`` (passed
    over, with ``latest``) just before it, and whether its worker has been ``restarted``.

    Attributes:
        welcome: Who publishes: None until the last iteration that began is connected; another ``started_ns`` later
            means that the supervisor has been started anew.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        contexts: Iterable[str],
        kinds: Iterable[str],
        *,
        latest: bool,
        newest_first: bool = False,
        remote: Remote | None = None,
    ) -> None:
        self._endpoints = endpoints
        self._remote = remote
        self._contexts = tuple(contexts)
        self._kinds = tuple(kinds)
        self._latest = latest
        self._newest_first = newest_first
        self._reader: Subscriber | AsyncSubscriber | None = None

    @property
    def welcome(self) -> Welcome | None:  # noqa: D102 - described by the class
        return None if self._reader is None else self._reader.welcome

    def open(self) -> Subscriber:
        """Connect, for those who want to wait with a limit: :meth:`Subscriber.receive`, and ``wait_connected``.

        Raises:
            UnreachableError: No supervisor is there.
        """
        return Subscriber(self._endpoint(), self._contexts, self._kinds, **self._options())

    def mailbox(self) -> Mailbox:
        """Connect to all contexts, for those who look now and then and never wait: :class:`Mailbox`.

        Raises:
            UnreachableError: No supervisor is there.
        """
        options = self._options()
        return Mailbox(self._endpoint(), options["connect"], losses=options["losses"])

    def _endpoint(self) -> str:
        if self._remote is not None:
            return self._remote.stream
        check_reachable(self._endpoints.path("stream"))
        return self._endpoints.stream

    def _options(self) -> dict[str, Any]:
        connect: Connect | None = None if self._remote is None else self._remote.connect
        losses = LossReporter("local" if self._remote is None else "remote", self._connect_query)
        return {"latest": self._latest, "connect": connect, "losses": losses}

    def _connect_query(self, dealer: "zmq.Socket[bytes]") -> None:
        """Connect to where questions are answered, without waiting."""
        if self._remote is None:
            dealer.connect(self._endpoints.query)
        elif self._remote.query:
            self._remote.set_keys(dealer)
            dealer.connect(self._remote.query)

    def __iter__(self) -> Iterator[Any]:
        with self.open() as subscriber:
            self._reader = subscriber
            yield from map(subscriber.prime, self._newest())
            yield from subscriber

    def _newest(self) -> list[list[bytes]]:
        """Fetch the newest message of every topic, for a reader that wants to begin with them."""
        if not self._newest_first:
            return []
        with Client(self._endpoints.directory, remote=self._remote) as client:
            names = self._contexts or tuple(each["name"] for each in client.contexts())
            found = (client.newest(name, kind) for name in names for kind in self._kinds)
            return [frames for frames in found if frames]

    async def __aiter__(self) -> AsyncGenerator[Any, None]:
        async with AsyncSubscriber(self._endpoint(), self._contexts, self._kinds, **self._options()) as subscriber:
            self._reader = subscriber
            for frames in await asyncio.to_thread(self._newest):
                yield subscriber.prime(frames)
            async for message in subscriber:
                yield message


def subscribe(
    *contexts: str,
    kinds: Iterable[str] = ("snapshot",),
    latest: bool = False,
    newest_first: bool = False,
    runtime_dir: Path | str | None = None,
    remote: Remote | None = None,
) -> Subscription:
    """Subscribe to contexts of a running supervisor.

    Args:
        contexts: Names; none means all.
        kinds: ``snapshot``, ``summary``, ``event``.
        latest: When falling behind, skip to the newest message of each topic (events are never skipped).
        newest_first: Begin with the newest message of every topic that is there already, so that a reader that joins
            late need not wait for a slow context.
        runtime_dir: Of the supervisor; None is the default one.
        remote: Subscribe over the network instead.

    Returns:
        Something to iterate over, with ``for`` or ``async for``: :class:`damond.core.Snapshot`,
        :class:`damond.core.Summary` and :class:`Event`.

    Raises:
        UnreachableError: When the iteration begins and no supervisor is there.
        NotPermittedError: When it begins, and the supervisor does not let us in.
        InvalidNameError: A name can't be a context's.
    """
    directory = Path(runtime_dir) if runtime_dir is not None else serving_runtime_dir()
    return Subscription(Endpoints(directory), contexts, kinds, latest=latest, newest_first=newest_first, remote=remote)
