"""Decides which hosts may see a token, and which URLs rcfs follows at all.

Payloads mix hosts, and redirects may lead anywhere, so rcfs checks every URL before using it. Source:
"Media" of the API documentation; RFC 6750, 5.3 (a bearer token goes to no one but its audience).
"""

from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

import attrs

from rcfs.model import is_loopback, server_origin

_RINGCENTRAL_DOMAINS = ("ringcentral.com", "ringcentral.biz")
"""RingCentral's own domains; payloads of its platform name hosts below them."""


def spoken_host(url: str) -> str:
    """The host of `url` in quotes, for a message; "an unknown host" for a URL without a valid one."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    return repr(host) if host else "an unknown host"


def _is_ringcentral(host: str) -> bool:
    return any(host == domain or host.endswith("." + domain) for domain in _RINGCENTRAL_DOMAINS)


@attrs.frozen
class AllowedHosts:
    """The hosts of a platform, and which URLs rcfs may request, with or without the token."""

    server_url: str = attrs.field(converter=server_origin)
    """Base of the API: scheme, host and optional port."""
    media_url: str | None = attrs.field(default=None, converter=attrs.converters.optional(server_origin))
    """Base of the media host if it is not under the server's domain; else None."""

    def may_follow(self, url: str) -> bool:
        """Whether `url` may be requested at all: https, or http on loopback from a loopback server."""
        return self._verdict(url)[0]

    def may_see_token(self, url: str) -> bool:
        """Whether a request to `url` may carry the token.

        True for the server, the media host, and RingCentral's own domains if the server is in one of them.
        For a server on loopback, True for all ports of its address, as its media origin is on another port.
        """
        return self._verdict(url)[1]

    def may_open_socket(self, url: str) -> bool:
        """Whether a WebSocket may be opened at `url`, which contains a token.

        The rules are those of `may_see_token`, with ``wss`` for ``https`` and ``ws`` for ``http``.
        """
        scheme, separator, rest = url.partition("://")
        plain = {"wss": "https", "ws": "http"}.get(scheme.lower())
        return plain is not None and self.may_see_token(f"{plain}{separator}{rest}")

    def _verdict(self, url: str) -> tuple[bool, bool]:
        """Whether rcfs may follow `url`, and whether a request to it may carry the token."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return False, False
        return _verdict(self, parts.scheme, parts.netloc)


@lru_cache(maxsize=64)
def _verdict(hosts: AllowedHosts, scheme: str, netloc: str) -> tuple[bool, bool]:
    """As `AllowedHosts._verdict`; remembered, because each request asks nine times about the same hosts."""
    parts = SplitResult(scheme, netloc, "", "", "")
    try:
        host, port = parts.hostname or "", _port_of(parts)
    except ValueError:  # The port is invalid.
        return False, False
    server = urlsplit(hosts.server_url)
    server_host = server.hostname or ""
    is_local = is_loopback(host)
    plain = scheme == "http" and is_local and is_loopback(server_host)
    if not host or parts.username is not None or not (scheme == "https" or plain):
        return False, False
    for known in (server, *map(urlsplit, filter(None, (hosts.media_url,)))):
        if (host, scheme) == (known.hostname, known.scheme) and (port == _port_of(known) or is_local):
            return True, True
    return True, scheme == "https" and _is_ringcentral(server_host) and _is_ringcentral(host)


def _port_of(parts: SplitResult) -> int:
    return parts.port if parts.port is not None else (443 if parts.scheme == "https" else 80)
