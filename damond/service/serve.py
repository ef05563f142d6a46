"""``damond serve``: supervisor, control, signals and the service manager in one asyncio loop."""

import asyncio
import contextlib
import logging
import os
import resource
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from damond.errors import ConfigError, DamondError, NotRunningError, WorkerFailedError
from damond.plugin import Registry
from damond.service import config as configuration
from damond.service import reload
from damond.service.authorized import Authorized
from damond.service.config import Config, state_directory
from damond.service.control import ControlServer
from damond.service.journal import Journal
from damond.service.notify import notify, notify_reloading, watchdog_interval_s
from damond.service.privileges import Identity
from damond.service.readers import REMOTE_STREAM, STREAM, Readers
from damond.service.recording import Recording, RecordSettings
from damond.service.remote import RemoteQuery, RemoteStream, load_pair
from damond.service.runtime_dir import RuntimeDir
from damond.service.shares import Sharing
from damond.service.spec import ContextSpec
from damond.service.state_dir import hand_over
from damond.service.supervisor import Supervisor
from damond.service.vitals import Vitals, vital

_log = logging.getLogger(__name__)

_SOON_S: Final = 0.5
_END_WITHIN_S: Final = 10
"""For the end after a failure; SIGALRM ends the process then, without memory, and the launcher ends the workers."""


class Service:
    """The service from its start to its end.

    Args:
        path: The configuration file, read again on reload.
        config: As it was read.
        registry: The primitives that it allows.
        directory: The runtime directory.
    """

    def __init__(self, path: Path, config: Config, registry: Registry, directory: Path) -> None:
        self._path = path
        self._config = config
        self._registry = registry
        self._directory = directory
        self._tasks: list[asyncio.Task[None]] = []
        self._authorized: Authorized | None = None
        self._recording: Recording | None = None
        self._reloading = asyncio.Lock()
        self._reload_task: asyncio.Task[dict[str, Any]] | None = None
        self._started_with = config

    async def run(self, on_ready: Callable[[str], None]) -> None:
        """Serve until SIGTERM, SIGINT or the verb ``shutdown``.

        Args:
            on_ready: Called with the stream's endpoint once requests are answered and contexts have been started.

        Raises:
            ConfigError: Keys, users or addresses of the configuration can't be used.
            RuntimeDirError: The runtime directory can't be used.
            AlreadyServedError: Another supervisor serves on it.
            WorkerFailedError: The launcher has died.
            ServiceFailedError: Memory is out, or a part of this process has failed.
        """
        service = self._config.service
        identity = None
        if service.user is not None and os.geteuid() == 0:
            identity = Identity.of(service.user, service.group or service.user)
        with (
            Journal.in_place_of_stderr() as journal,
            RuntimeDir(self._directory, identity) as runtime,
            contextlib.ExitStack() as remote,
        ):
            remote.callback(signal.alarm, 0)
            self._vitals = Vitals()
            remote.callback(self._vitals.close)
            # Keys are for root's eyes: read before this process becomes somebody else.
            pair = load_pair(self._config.remote.key) if self._config.remote.key else None
            record = self._record_settings(self._config)
            if identity is not None:
                _hand_over_state(identity, record)
            async with Supervisor(
                runtime,
                self._registry,
                self._config.specs(),
                on_stderr=journal.put,
                lost_lines=lambda: journal.lost,
                plugins=service.plugins,
                identity=identity,
                replay_sz=service.replay,
                sharing=Sharing(
                    None if isinstance(service.max_cpu, str) else service.max_cpu, service.max_checks_per_s
                ),
            ) as self._supervisor:
                _take_all_descriptors()
                self._control = ControlServer(self._supervisor, self.reload)
                remote.callback(self._control.close)
                self._bind(runtime)
                self._open_remote(pair, runtime, remote)
                self._readers = Readers(self._doors(runtime))
                remote.callback(self._readers.close)
                self._control.add_status("readers", self._readers.describe)
                self._handle_signals()
                self._control.add_status("record", lambda: self._recording and self._recording.describe())
                self._supervisor.helpers = lambda: () if self._recording is None else self._recording.pids
                self._record(record)
                try:
                    if await self._start_all():
                        on_ready(runtime.endpoints.stream)
                        notify("READY=1", f"STATUS={self._supervisor.nr_running} contexts run")
                    await self._until_the_end()
                except BaseException:
                    # Given up from within: something is gone, and who waits for it waits for ever.
                    signal.alarm(_END_WITHIN_S)
                    raise
                finally:
                    await self._end_recording()

    def _bind(self, runtime: RuntimeDir) -> None:
        with runtime.binding("query", shared=True):
            query = self._control.bind(runtime.endpoints.query, may_steer=False)
        with runtime.binding("control", shared=False):
            control = self._control.bind(runtime.endpoints.control, may_steer=True)
        self._spawn(self._control.serve(query, may_steer=False))
        self._spawn(self._control.serve(control, may_steer=True))

    def _open_remote(self, pair: tuple[bytes, bytes] | None, runtime: RuntimeDir, stack: contextlib.ExitStack) -> None:
        remote = self._config.remote
        if pair is None or remote.authorized is None:
            return
        self._authorized = authorized = Authorized(remote.authorized)
        addresses = {"stream": remote.stream, "query": remote.query}
        self._control.add_status("remote", lambda: {**addresses, **authorized.describe()})
        if remote.stream:
            local, welcome = runtime.endpoints.stream, self._supervisor.welcome
            stream = RemoteStream(local, remote.stream, pair, authorized, welcome)
            stack.callback(stream.close)
        if remote.query:
            query = RemoteQuery(remote.query, pair, authorized)
            stack.callback(query.close)
            self._spawn(self._control.serve(query.socket, may_steer=False))

    def _doors(self, runtime: RuntimeDir) -> dict[str | int, str]:
        """Name the sockets that readers come in by: paths, and ports of the network."""
        doors: dict[str | int, str] = {str(runtime.endpoints.path(name)): name for name in ("query", STREAM)}
        for name, address in (("remote_query", self._config.remote.query), (REMOTE_STREAM, self._config.remote.stream)):
            if address:
                doors[int(address.rpartition(":")[2])] = name
        return doors

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(vital(coroutine))

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._control.shutdown.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._spawn(self._reload_quietly()))
        if watchdog_interval_s() is not None:
            self._spawn(self._feed_watchdog())

    async def _until_the_end(self) -> None:
        lost = self._supervisor.launcher.lost
        ends = (self._control.shutdown, lost, self._vitals.lost)
        waiting = [asyncio.create_task(each.wait()) for each in ends]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        notify("STOPPING=1")
        for task in [*waiting, *self._tasks]:
            task.cancel()
        await asyncio.gather(*waiting, *self._tasks, return_exceptions=True)
        self._vitals.check()
        if lost.is_set():
            raise WorkerFailedError("the launcher of the workers has died", hint="start the supervisor again")

    async def _start_all(self) -> bool:
        """Start the contexts of the configuration; return False if the end is wanted before all of them run."""
        specs = self._config.specs(autostart_only=True)
        self._supervisor.sharing.expected = len(specs)
        starting = asyncio.gather(*map(self._start, specs))
        starting.add_done_callback(lambda _: setattr(self._supervisor.sharing, "expected", 0))
        ending = asyncio.create_task(self._control.shutdown.wait())
        waiting: list[asyncio.Future[Any]] = [starting, ending]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            ending.cancel()
            starting.result()
            return True
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return False

    async def _start(self, spec: ContextSpec) -> None:
        """Start one context of the configuration; one that fails is reported, and the others go on."""
        try:
            await self._supervisor.start([spec])
        except DamondError as error:
            _log.error("%s: not started: %s", spec.name, error)

    @staticmethod
    def _record_settings(config: Config) -> RecordSettings | None:
        return None if config.record is None else config.record.settings()

    def _record(self, settings: RecordSettings | None) -> None:
        self._recording = None if settings is None else Recording(self._directory, settings)
        if self._recording is not None:
            self._recording.start()

    async def _end_recording(self) -> None:
        """Let the recorder see the end of every context, and write the rest."""
        if self._reload_task is not None:
            self._reload_task.cancel()
        async with self._reloading:
            recording, self._recording = self._recording, None
        if recording is None:
            return
        with contextlib.suppress(NotRunningError, WorkerFailedError):  # told by the supervisor, which stops them too
            await self._supervisor.stop([each.spec.name for each in self._supervisor.contexts])
        await recording.close()

    async def reload(self) -> dict[str, Any]:
        """Read the configuration again, and go over to it; one after the other.

        Raises:
            ConfigError: It is faulty: nothing has changed.
        """
        async with self._reloading:
            # A task of its own: an end does not wait until all is started that was asked for.
            self._reload_task = asyncio.create_task(self._reload())
            try:
                return await self._reload_task
            except asyncio.CancelledError:
                caller = asyncio.current_task()
                if (caller is not None and caller.cancelling()) or not self._control.shutdown.is_set():
                    raise
                raise _ending() from None
            finally:
                self._reload_task = None

    async def _reload(self) -> dict[str, Any]:
        if self._control.shutdown.is_set():
            raise _ending()
        new = configuration.load(self._path, self._registry)
        if self._authorized is not None and new.remote.authorized is not None:
            revoked = self._authorized.read(new.remote.authorized)
            if revoked:  # keys are asked for when a connection begins
                self._readers.cut_all("remote_query")
                self._readers.cut_all(REMOTE_STREAM)
        record, recorded = self._record_settings(new), []
        if record != (None if self._recording is None else self._recording.settings):
            if self._recording is not None:
                await self._recording.close()
            self._record(record)
            recorded = ["off" if record is None else f"into {record.path}"]
        done = await reload.apply(self._supervisor, self._config, new)
        kept = _needs_restart(self._started_with, new)
        if kept:
            _log.warning("%s of the configuration is another than at the start: it takes a restart", " and ".join(kept))
        self._config = new
        return {**done, "recording": recorded, "after a restart only": kept}

    async def _reload_quietly(self) -> None:
        """Reload on SIGHUP: a faulty file is reported, and changes nothing."""
        notify_reloading()
        try:
            await self.reload()
        except DamondError as error:
            _log.error("configuration not read again, all stays as it was: %s", error)
        except Exception:  # noqa: BLE001 - logged; a defect of ours must be seen, and must not leave the service manager waiting
            _log.exception("the configuration was not gone over to as a whole")
        notify("READY=1", f"STATUS={self._supervisor.nr_running} contexts run")

    async def _feed_watchdog(self) -> None:
        """Tell the service manager that all is well, as long as it is: every running context is fresh."""
        interval_s = watchdog_interval_s() or 1.0
        while True:
            fresh = self._supervisor.is_fresh()
            if fresh:
                notify("WATCHDOG=1")
            # What is late now is ended within seconds: to come back only after the whole interval could miss two.
            await asyncio.sleep(interval_s if fresh else min(interval_s, _SOON_S))


def _needs_restart(old: Config, new: Config) -> list[str]:
    """List the tables that are read only when the service starts, and are not what they were then."""
    remote = new.remote.model_copy(update={"authorized": old.remote.authorized})  # clients' keys are read on a reload
    pairs = {"[service]": (old.service, new.service), "[remote]": (old.remote, remote)}
    return [name for name, (before, after) in pairs.items() if before != after]


def _ending() -> NotRunningError:
    return NotRunningError("the service is ending", hint="start it again: it reads its configuration then")


def _hand_over_state(identity: Identity, record: RecordSettings | None) -> None:
    """Give the directory for the state of the service away; a record may be asked for later, when it is too late.

    Raises:
        ConfigError: There is to be a record in it, and it can't be given away.
    """
    own = state_directory()
    if not own:
        return
    try:
        hand_over(Path(own), identity)
    except (OSError, ValueError) as error:
        words = f"{own} can't be given to uid {identity.uid}: {error}"
        if record is not None and str(record.path.parent) == own:
            hint = "it must be a directory, not a link; or name another path in [record]"
            raise ConfigError(words, hint=hint) from error
        _log.warning("%s; no record can be kept there", words)


def _take_all_descriptors() -> None:
    """Raise the limit of this process alone as far as it may: each reader takes a descriptor, see readers.py."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
