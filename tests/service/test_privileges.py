"""The supervisor gives up root: from then on it needs nothing that only root could read."""

import os
import signal
import sys
from pathlib import Path

import pytest

from damond.client import Client, Remote, subscribe
from damond.errors import ConfigError, DamondError, NoSuchProcessError
from damond.service.privileges import describe
from damond.service.remote import make_keys
from tests.chaos.rig import Served, free_port, synthetic, wait

BLIND = """
import sys
from damond.cli import main
from damond.service.privileges import Identity
assume = Identity.assume
def then_import_nothing(self):
    assume(self)
    sys.meta_path.clear()
Identity.assume = then_import_nothing
sys.argv[0] = "damond"
main()
"""
"""Serves, and can't import anything any more once it is not root: as below a directory that only root may enter."""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else: run as root")
def test_needs_nothing_more(public_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that can be asked of a service works without another import, over the network too."""
    monkeypatch.setattr("tests.chaos.rig.SERVE", (sys.executable, "-c", BLIND, "serve"))
    for name in ("server", "friend"):
        make_keys(public_path / "keys", name)
    (public_path / "authorized").mkdir()
    (public_path / "keys" / "friend.key").rename(public_path / "authorized" / "friend.key")
    query, stream = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    remote = f'[remote]\nquery = "{query}"\nstream = "{stream}"\nkey = "{public_path}/keys/server.key_secret"\n'
    remote += f'authorized = "{public_path}/authorized"\n'
    processes = 'primitive = "vaddr"\noptions = {source = "referenced"}\n'
    contexts = synthetic("one") + f'[context.sel]\n{processes}select = {{exe = "*/nothing"}}\n'
    contexts += f'[context.cmd]\n{processes}command = ["sleep", "1000"]\n'
    service = '[service]\nuser = "nobody"\ngroup = "nogroup"\n'
    served = Served(public_path, service + remote + contexts)
    try:
        assert served.status()["processes"]["supervisor"]["user"] == "nobody"
        config = public_path / "damond.toml"
        with served.client() as client:
            use(client, served)
            config.write_text(config.read_text() + synthetic("new"))
            assert client.reload()["started"] == ["new"]
            config.write_text(config.read_text() + "[bad]\n[context.x]\nprimitive = 'sinthetic'\n")
            with pytest.raises(ConfigError, match="2 problems"):
                client.reload()
        os.kill(served.row("one")["pid"], signal.SIGKILL)
        wait(lambda: (row := served.row("one"))["restarts"] == 1 and row["state"] == "running", served.log.read_text)
        friend = Remote(query, stream, public_path / "keys" / "server.key", public_path / "keys" / "friend.key_secret")
        assert next(iter(subscribe("one", remote=friend))).context == "one"
        with Client(remote=friend) as client:
            assert client.status()["control"]["internal"] == 0
        served.end()
        assert "Traceback" not in served.log.read_text()
    finally:
        served.abandon()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else: run as root")
@pytest.mark.parametrize("has_state", [False, True])
def test_gives_away_the_state_alone(public_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_state: bool) -> None:
    """The directory of its state becomes the user's, for a record that is asked for later; where it began does not."""
    here, state = public_path / "here", public_path / "state"
    for each in (here, state):
        each.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("STATE_DIRECTORY", str(state) if has_state else "")
    served = Served(public_path, '[service]\nuser = "nobody"\ngroup = "nogroup"\n' + synthetic("one"))
    try:
        assert served.status()["processes"]["supervisor"]["user"] == "nobody"
        served.end()
    finally:
        served.abandon()
    assert here.stat().st_uid == 0
    assert (state.stat().st_uid != 0) == has_state


def use(client: Client, served: Served) -> None:
    """Ask everything once."""
    for ask in (client.hello, client.contexts, client.status, client.plugins):
        assert ask()
    client.tune("one", {"aggr_interval": "50ms"})
    client.pause("one")
    client.resume("one")
    newest = next(iter(subscribe("one", runtime_dir=served.run)))
    assert list(client.replay("one", newest.origin.epoch))
    client.start(contexts={"more": {"primitive": "synthetic"}})
    client.stop("more")
    with pytest.raises(NoSuchProcessError):
        client.start(contexts={"none": {"primitive": "vaddr", "pid": 2**22 - 1, "options": {"source": "referenced"}}})
    with pytest.raises(DamondError):
        client.request("nothing", {"x": 1})


def test_describe() -> None:
    """A process is told with its user, state and capabilities; one that has ended with nothing."""
    mine = describe(os.getpid())
    assert (mine["uid"], mine["state"]) == (os.geteuid(), "running")
    assert describe(2**22 + 5) == {}
