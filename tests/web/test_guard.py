"""Who is let in: by Host, by Origin, and elsewhere than on loopback by a token."""

import contextlib
import http.client
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from damond.web.guard import Access, is_loopback, new_token
from tests.web.conftest import LIMIT_S, page

TOKEN = new_token()


@pytest.fixture(scope="module")
def guarded(runtime_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page that asks for a token."""
    file = tmp_path_factory.mktemp("token") / "token"
    file.write_text(f"{TOKEN}\n")
    program = page(runtime_dir, "--token-file", str(file))
    yield program.start().split()[1]
    program.end()


def get(address: str, path: str = "/", **headers: str) -> http.client.HTTPResponse:
    with contextlib.closing(http.client.HTTPConnection(urlsplit(address).netloc, timeout=LIMIT_S)) as connection:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        response.read()
    return response


def test_index(address: str) -> None:
    """The page comes with headers that keep everybody else out, and lets no other page read it."""
    response = get(address)
    assert response.status == 200
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert response.headers["access-control-allow-origin"] is None


@pytest.mark.parametrize("path", ["/static/../guard.py", "/static/%2e%2e/guard.py", "/etc/passwd", "/live"])
def test_nothing_else(address: str, path: str) -> None:
    """Only the page's own files are served."""
    assert get(address, path).status == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8228", "", "[::", "10.0.0.1"])
def test_foreign_host(address: str, host: str) -> None:
    """A name that somebody else's DNS points here is refused (DNS rebinding)."""
    assert get(address, Host=host).status == 421


def test_foreign_origin(address: str) -> None:
    """Another page is refused, also one on another port of this machine, also one without a name."""
    for origin in ("http://evil.example", "http://127.0.0.1:1", "null"):
        assert get(address, Origin=origin).status == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:1", "null", None])
def test_foreign_websocket(address: str, origin: str | None) -> None:
    """No other page can read the stream through a WebSocket, and none without saying who it is."""
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{address.replace('http', 'ws')}live", origin=origin)  # type: ignore[arg-type]
    assert refused.value.response.status_code == 403


def test_own_websocket(address: str) -> None:
    """The page itself is let in, and gets the table of contexts first."""
    origin = address.rstrip("/")
    with connect(f"{address.replace('http', 'ws')}live", origin=origin) as websocket:  # type: ignore[arg-type]
        assert '"kind":"overview"' in str(websocket.recv(timeout=LIMIT_S))


@pytest.mark.parametrize("text", ["", "[", "[]", "3", '{"context": 3}', '{"context": "a b"}', '{"context": "nobody"}'])
def test_odd_wishes(address: str, text: str) -> None:
    """What a page can't mean changes nothing; the connection lives on."""
    with connect(f"{address.replace('http', 'ws')}live", origin=address.rstrip("/")) as websocket:  # type: ignore[arg-type]
        websocket.send(text)
        websocket.send('{"context": "still"}')
        while '"view","context":"still"' not in str(websocket.recv(timeout=LIMIT_S)):
            pass


def test_token(guarded: str) -> None:
    """Without the token nothing is shown; with it, a cookie takes its place and the address is clean again."""
    assert get(guarded).status == 401
    assert get(guarded, "/?token=wrong").status == 401
    assert get(guarded, Cookie="damond_token=wrong").status == 401
    entered = get(guarded, f"/?token={TOKEN}")
    assert entered.status == 303
    assert entered.headers["location"] == "/"
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert get(guarded, Cookie=cookie.split(";")[0]).status == 200


def test_token_websocket(guarded: str) -> None:
    """The stream asks for the token too."""
    origin = guarded.rstrip("/")
    with pytest.raises(InvalidStatus):
        connect(f"{guarded.replace('http', 'ws')}live", origin=origin)  # type: ignore[arg-type]
    headers = {"Cookie": f"damond_token={TOKEN}"}
    with connect(f"{guarded.replace('http', 'ws')}live", origin=origin, additional_headers=headers) as websocket:  # type: ignore[arg-type]
        assert websocket.recv(timeout=LIMIT_S)


@pytest.mark.parametrize(
    ("address", "local"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("10.0.0.1", False), ("::", False)],
)
def test_is_loopback(address: str, local: bool) -> None:
    """Whatever others can reach is not loopback."""
    assert is_loopback(address) is local


def test_own_names() -> None:
    """Names are compared whole and without their port; letters of either case."""
    access = Access(frozenset({"box", "::1"}))
    assert access.knows_host("BOX:8228")
    assert access.knows_host("[::1]:8228")
    assert not access.knows_host("box.evil.example")
