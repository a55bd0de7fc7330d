"""Keeps foreign web pages away from the admin interface, the start page and the WebSockets.

These need no login, because only programs of this machine reach them. But a browser on this machine sends
requests on behalf of any page. A request passes only if its ``Host`` is this machine's loopback, so that no
foreign name can point here (DNS rebinding), and if the headers that name the sending page (``Origin``,
``Sec-Fetch-Site``) name this very origin. Programs other than browsers do not send these headers.
"""

from collections.abc import Collection, Sequence
from urllib.parse import urlsplit

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketClose

from rcfs.model import is_loopback

_OWN_SITES = ("same-origin", "none")
"""``Sec-Fetch-Site`` of a page of this origin, and of an address that the user typed. A page from another
port of this machine is "same-site" and may not pass. Source: "Fetch Metadata Request Headers" of the W3C."""


def stranger(scope: Scope, pages: Collection[str]) -> str:
    """The reason why a request or WebSocket may not pass, in a few words; empty if it may.

    Args:
        scope: Its ASGI scope.
        pages: Paths that other sites may link to, because opening one changes nothing.
    """
    hosts = _values(scope, b"host")
    if len(hosts) != 1 or not _is_here(hosts[0]):
        return "the Host is not this machine's loopback"
    own = {f"http://{hosts[0]}", f"ws://{hosts[0]}"}
    if not own.issuperset(_values(scope, b"origin")):
        return "it comes from a page of another origin"
    sites = _values(scope, b"sec-fetch-site")
    followed = scope.get("method") == "GET" and _values(scope, b"sec-fetch-mode") == ["navigate"]
    if all(site in _OWN_SITES for site in sites) or (followed and scope["path"] in pages):
        return ""
    return "it comes from a page of another origin"


async def turn_away(why: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with 403, or refuse a WebSocket."""
    if scope["type"] == "websocket":
        await WebSocketClose()(scope, receive, send)
    else:
        await JSONResponse({"error": f"refused: {why}"}, status_code=403)(scope, receive, send)


def _values(scope: Scope, wanted: bytes) -> Sequence[str]:
    return [value.decode("latin-1").strip().lower() for name, value in scope["headers"] if name == wanted]


def _is_here(host: str) -> bool:
    try:
        parts = urlsplit(f"//{host}")
        _port = parts.port  # raises ValueError for an invalid port
    except ValueError:
        return False
    return parts.netloc == host and parts.username is None and is_loopback(parts.hostname or "")
