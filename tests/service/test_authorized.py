"""Keys of clients: a file that holds none shuts out nobody else, and is told."""

from pathlib import Path

import pytest
import zmq

from damond.client import Client, Remote
from damond.errors import ConfigError, NotPermittedError
from damond.service.authorized import Authorized
from damond.service.remote import make_keys
from tests.chaos.rig import Served, free_port, synthetic


def put_key(directory: Path, name: str) -> bytes:
    """Make a pair; put its public half on file."""
    make_keys(directory.parent / "made", name)
    public = (directory.parent / "made" / f"{name}.key").read_text()
    (directory / f"{name}.key").write_text(public)
    return public.split('public-key = "')[1].split('"')[0].encode()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "authorized"
    made.mkdir()
    return made


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(b"", "no public key in it", id="empty"),
        pytest.param(b"\xff\xfe\x00garbage", "no public key in it", id="garbage"),
        pytest.param(b'    public-key = "short"\n', "a key of 4 bytes", id="short key"),
        pytest.param(b'    public-key = "' + b"\xc3" * 40 + b'"\n', "no public key in it", id="no Z85"),
        pytest.param(None, "No such file", id="dangling link"),
    ],
)
def test_unusable(directory: Path, raw: bytes | None, reason: str) -> None:
    """A file that can't be used is left out, with the reason; the others are in force."""
    friend = put_key(directory, "friend")
    if raw is None:
        (directory / "bad.key").symlink_to("nowhere")
    else:
        (directory / "bad.key").write_bytes(raw)
    (directory / "README").write_text("no key, and not meant to be one")
    found = Authorized(directory)
    assert found.callback("damond", friend)
    stranger, _ = zmq.curve_keypair()
    assert not found.callback("damond", stranger)
    assert found.describe()["keys"] == 1
    assert found.describe()["refused"] == 1
    assert list(found.unusable) == ["bad.key"]
    assert reason in found.unusable["bad.key"]


def test_read_again(directory: Path) -> None:
    """What comes is in force, what goes is so no more, and a directory that can't be read changes nothing."""
    first = put_key(directory, "first")
    found = Authorized(directory)
    second = put_key(directory, "second")
    assert not found.read(directory)
    assert found.callback("damond", second)
    (directory / "first.key").unlink()
    assert found.read(directory)
    assert not found.callback("damond", first)
    with pytest.raises(ConfigError, match="No such file"):
        found.read(directory / "nowhere")
    assert found.callback("damond", second)
    with pytest.raises(ConfigError):
        Authorized(directory / "nowhere")


def test_of_the_service(tmp_path: Path, directory: Path) -> None:
    """Beside an unusable file a client with a key comes in; log and status name the file, and a reload mends it."""
    make_keys(tmp_path / "keys", "server")
    put_key(directory, "friend")
    put_key(directory, "late")
    good = (directory / "late.key").read_text()
    (directory / "late.key").write_text("scrambled")
    query = f"tcp://127.0.0.1:{free_port()}"
    keys = f'key = "{tmp_path}/keys/server.key_secret"\nauthorized = "{directory}"'
    served = Served(tmp_path, f'[remote]\nquery = "{query}"\n{keys}\n{synthetic("one")}')
    friend, late = (
        Remote(query, "", tmp_path / "keys" / "server.key", tmp_path / "made" / f"{name}.key_secret")
        for name in ("friend", "late")
    )
    try:
        with Client(remote=friend) as client:
            remote = client.status()["remote"]
        assert (remote["query"], remote["keys"]) == (query, 1)
        assert "no public key in it" in remote["unusable"]["late.key"]
        assert f"{directory}/late.key is left out of the authorised keys" in served.log.read_text()
        with pytest.raises(NotPermittedError):
            Client(remote=late)
        (directory / "late.key").write_text(good)
        with served.client() as client:
            client.reload()
            assert client.status()["remote"]["unusable"] == {}
            assert client.status()["remote"]["refused"] >= 1
        with Client(remote=late) as client:
            assert client.hello()["wire"] == 1
        served.end()
    finally:
        served.abandon()
