"""Which hosts may see a token, and which URLs rcfs will follow at all.

Payloads mix hosts, and redirects may lead anywhere, so every URL is checked before it is used. Source:
"Media" of the API documentation; RFC 6750, 5.3 (a bearer token goes to no one but its audience).
"""

from urllib.parse import SplitResult, urlsplit

import attrs

from rcfs.model import is_loopback, server_origin

_RINGCENTRAL_DOMAINS = ("ringcentral.com", "ringcentral.biz")
"""RingCentral's own domains; payloads of its platform name hosts below them."""


def spoken_host(url: str) -> str:
    """The host of `url` for a message, in quotes; of a URL that cannot be understood, that it cannot be."""
    try:
        return repr(urlsplit(url).hostname)
    except ValueError:
        return "no host at all"


def _is_ringcentral(host: str) -> bool:
    return any(host == domain or host.endswith("." + domain) for domain in _RINGCENTRAL_DOMAINS)


@attrs.frozen
class AllowedHosts:
    """Decides which URLs may be requested, and which of them with the token."""

    server_url: str = attrs.field(converter=server_origin)
    """Base of the API: scheme, host and optional port."""
    media_url: str | None = attrs.field(default=None, converter=attrs.converters.optional(server_origin))
    """Base of the media host when it is not under the server's domain; None when it is."""

    def may_follow(self, url: str) -> bool:
        """Whether `url` may be requested at all: https, or http on loopback from a loopback server."""
        try:
            parts = urlsplit(url)
            host, _port = parts.hostname or "", parts.port  # a port that is none is told only here
        except ValueError:
            return False
        if not host or parts.username is not None:
            return False
        loopback_server = is_loopback(urlsplit(self.server_url).hostname or "")
        return parts.scheme == "https" or (parts.scheme == "http" and loopback_server and is_loopback(host))

    def may_see_token(self, url: str) -> bool:
        """Whether a request to `url` may carry the token.

        True for the server, the media host, and RingCentral's own domains when the server is one of
        them. A server on loopback shares its address, on any port, because that is where its media
        origin is.
        """
        if not self.may_follow(url):
            return False
        parts = urlsplit(url)
        host = parts.hostname or ""
        for base in (self.server_url, self.media_url):
            if base is None:
                continue
            known = urlsplit(base)
            if host != known.hostname or parts.scheme != known.scheme:
                continue
            if _port_of(parts) == _port_of(known) or is_loopback(host):
                return True
        server_host = urlsplit(self.server_url).hostname or ""
        return parts.scheme == "https" and _is_ringcentral(server_host) and _is_ringcentral(host)

    def may_open_socket(self, url: str) -> bool:
        """Whether a WebSocket may be opened at `url`, which holds a token.

        As for any other request with one: ``wss`` is to ``https`` what ``ws`` is to ``http``.
        """
        scheme, separator, rest = url.partition("://")
        plain = {"wss": "https", "ws": "http"}.get(scheme.lower())
        return plain is not None and self.may_see_token(f"{plain}{separator}{rest}")


def _port_of(parts: SplitResult) -> int:
    return parts.port if parts.port is not None else (443 if parts.scheme == "https" else 80)
