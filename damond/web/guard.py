"""Who may see the page: every request is looked at before anything answers it."""

import hmac
import http.cookies
import ipaddress
import secrets
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE: Final = "damond_token"
LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")

_HEADERS: Final = {
    # Nothing is loaded from elsewhere, and nobody else may frame or read it: there are no CORS headers at all.
    "content-security-policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}
_POLICY_VIOLATION: Final = 1008
"""Close code of a WebSocket that is not let in (RFC 6455, 7.4.1)."""


def new_token() -> str:
    """Draw a token that can't be guessed."""
    return secrets.token_urlsafe(24)


def is_loopback(address: str) -> bool:
    """Say whether only this machine reaches a listener on an address."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


@dataclass(frozen=True, slots=True)
class Access:
    """Who is let in.

    Attributes:
        names: Host names (without port) by which the page may be asked for: a name that somebody else's DNS points
            here (DNS rebinding) is none of them.
        token: What a browser must show once, as ``?token=``; None asks for nothing (loopback only).
    """

    names: frozenset[str] = field(default_factory=lambda: frozenset(LOOPBACK_NAMES))
    token: str | None = None

    def knows_host(self, host: str) -> bool:
        """Say whether a Host header names this page."""
        return (_host_name(host) or "") in self.names

    def is_own_origin(self, origin: str, host: str) -> bool:
        """Say whether an Origin header is of this very page: same host and port."""
        return urlsplit(origin).netloc.lower() == host.lower()

    def takes(self, token: str | None) -> bool:
        """Compare a token, in a time that does not depend on where it differs."""
        return self.token is None or (token is not None and hmac.compare_digest(token.encode(), self.token.encode()))


def _host_name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


class Guard:
    """Refuses what is not asked for by the page itself; adds the headers that keep others out.

    Args:
        app: What answers the rest.
        access: Who is let in.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at one request or WebSocket; called by the server."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(headers, scope["type"])
        if refusal is not None:
            await _refuse(scope, receive, send, *refusal)
            return
        if scope["type"] == "http" and await self._took_token(scope, receive, send):
            return
        if not self._access.takes(_cookie(headers)):
            await _refuse(scope, receive, send, 401, "open the address with ?token=... that 'damond web' printed")
            return
        await self._app(scope, receive, _with_headers(send))

    def _refusal(self, headers: Headers, kind: str) -> tuple[int, str] | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._access.knows_host(host):
            return 421, f"this page is not {host!r}; name it with --host if it is"
        # Browsers send Origin with every WebSocket; a page of somebody else's must not read ours through one.
        if origin is not None and not self._access.is_own_origin(origin, host):
            return 403, "asked for by another page"
        if origin is None and kind == "websocket" and self._access.token is None:
            return 403, "a WebSocket without Origin"
        return None

    async def _took_token(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Turn ``?token=`` into a cookie, so that it stays neither in the address bar nor in the history."""
        query = parse_qs(scope["query_string"].decode("latin-1"))
        given = query.pop("token", [None])[0]
        if self._access.token is None or given is None or not self._access.takes(given):
            return False
        rest = urlencode(query, doseq=True)
        response = RedirectResponse(f"{scope['path']}{'?' + rest if rest else ''}", 303)
        response.set_cookie(COOKIE, given, httponly=True, samesite="strict")
        await response(scope, receive, _with_headers(send))
        return True


def _cookie(headers: Headers) -> str | None:
    jar: http.cookies.SimpleCookie = http.cookies.SimpleCookie()
    try:
        jar.load(headers.get("cookie", ""))
    except http.cookies.CookieError:
        return None
    return jar[COOKIE].value if COOKIE in jar else None


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, why: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": why})
        return
    await PlainTextResponse(f"damond: {why}\n", status)(scope, receive, _with_headers(send))


def _with_headers(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return with_headers
