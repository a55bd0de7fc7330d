"""The proxies in the environment, and the hosts that each is for. Pure.

rcfs reads the variables as curl and Python's urllib do: ``https_proxy``, else ``all_proxy``. A name in lower
case wins over the same in capitals, and an empty value means no proxy. A server on plain http is always on
loopback, where no proxy is used, so rcfs ignores ``http_proxy``.
"""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import unquote, urlsplit

import attrs

from rcfs.errors import ConfigError

_VARIABLES = ("https_proxy", "all_proxy")
_EXCEPTIONS = "no_proxy"
_SCHEMES = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
"""The protocols for proxies, and their usual ports."""
_LONGEST_LOGIN = 255
"""Most bytes of a user or a password. Source: RFC 1929, 2."""
_ALIASES = {"socks": "socks5h"}
"""Further names of protocols: GNOME writes ``socks://`` into ALL_PROXY."""


@attrs.frozen
class Proxy:
    """A proxy, which also resolves the names of the hosts behind it."""

    scheme: str
    """The protocol for the proxy: ``http``, ``https``, ``socks5`` or ``socks5h``."""
    host: str
    """Its name or address, without brackets."""
    port: int
    """Its port."""
    variable: str
    """The variable that named it."""
    login: tuple[str, str] | None = attrs.field(default=None, repr=False)
    """User and password; None without a login."""

    @property
    def is_socks(self) -> bool:
        """Whether its protocol is SOCKS 5, and not HTTP."""
        return self.scheme.startswith("socks")

    @property
    def address(self) -> str:
        """Host and port, as in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        """Its URL without the password, and the variable."""
        login = f"{self.login[0]}:…@" if self.login is not None else ""
        printable = "".join(letter for letter in login if letter.isprintable())
        return f"{self.scheme}://{printable}{self.address} ({self.variable})"


@attrs.frozen
class Proxies:
    """The proxy that the environment names, and the hosts that are reached without it."""

    proxy: Proxy | None = None
    """The proxy for all other hosts; None without a proxy."""
    exceptions: tuple[str, ...] = ()
    """Entries of ``no_proxy``: names, addresses, networks, each perhaps with a port; ``*`` for all."""
    oddities: tuple[str, ...] = ()
    """Warnings about entries of ``no_proxy`` that mean nothing, one line each."""

    def proxy_for(self, url: str) -> Proxy | None:
        """The proxy for `url` (https, wss, http or ws); None for a direct connection."""
        parts = urlsplit(url)
        if self.proxy is None or parts.scheme in ("http", "ws"):
            return None
        host, port = (parts.hostname or "").rstrip("."), parts.port or 443
        return None if any(_covers(entry, host, port) for entry in self.exceptions) else self.proxy


def proxies_from(environ: Mapping[str, str]) -> Proxies:
    """The proxies that `environ` names.

    Raises:
        ConfigError: The URL of a proxy is invalid; the text names the variable and shows no password.
    """
    proxy = None
    for name in _VARIABLES:
        variable = _set_in(environ, name)
        text = environ.get(variable, "").strip()
        if text:
            proxy = _proxy(text, variable)
            break
    variable = _set_in(environ, _EXCEPTIONS)
    entries = environ[variable].replace(",", " ").split() if variable else []
    odd = [entry for entry in entries if not _is_exception(entry)]
    return Proxies(
        proxy,
        tuple(entry for entry in entries if entry not in odd),
        tuple(f"{variable}: {entry!r} is neither a name, an address nor a network" for entry in odd),
    )


def _set_in(environ: Mapping[str, str], name: str) -> str:
    """The variable that is set: `name` in lower case, or in capitals; empty if neither is."""
    return next((variable for variable in (name, name.upper()) if variable in environ), "")


def _proxy(text: str, variable: str) -> Proxy:
    def wrong(reason: str) -> ConfigError:
        return ConfigError(
            f"{variable}: {reason}; write http://HOST:PORT or socks5h://HOST:PORT, with USER:PASSWORD@ before"
            " the host where the proxy wants it"
        )

    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise wrong("this is not the URL of a proxy") from None  # the error may quote the password
    scheme = _ALIASES.get(parts.scheme, parts.scheme)
    if scheme not in _SCHEMES:
        # The part before the colon of an odd URL may be a user's name or a password.
        named = f" {parts.scheme!r}" if parts.scheme.isalnum() and len(parts.scheme) < 12 else ""
        raise wrong(f"rcfs does not support this proxy protocol{named}")
    if not _is_host(host) or port == 0:
        raise wrong("this is not the URL of a proxy")
    if "@" in parts.path + parts.query + parts.fragment:
        raise wrong("in a user or password, write %2F for a slash, %3F for a question mark, %23 for a hash")
    login = None
    if parts.username is not None:
        login = unquote(parts.username), unquote(parts.password or "")
    if login is not None and max(len(part.encode()) for part in login) > _LONGEST_LOGIN:
        raise wrong(f"a user or password is longer than {_LONGEST_LOGIN} bytes")
    return Proxy(scheme, host, port or _SCHEMES[scheme], variable, login)


def _is_host(host: str) -> bool:
    """Whether `host` may be the name or address of a host."""
    # RFC 952 has no underscore, but people use it nevertheless; the percent sign is for IPv6 zones.
    return bool(host) and all(letter.isalnum() or letter in "-._:%" for letter in host)


def _is_exception(entry: str) -> bool:
    if entry == "*" or _network(entry) is not None:
        return True
    host, _port = _parted(entry)
    return "/" not in entry.rpartition("://")[2].rstrip("/") and _is_host(host)


def _parted(entry: str) -> tuple[str, int | None]:
    """Host and port of an entry; a scheme before them is ignored."""
    try:
        parts = urlsplit("//" + entry.rpartition("://")[2])
        return (parts.hostname or "").lstrip("*").strip("."), parts.port
    except ValueError:
        return "", None


def _network(entry: str) -> IPv4Network | IPv6Network | None:
    """The network or single address in `entry`; None for a name."""
    try:
        return ip_network(entry.strip("[]") if entry.endswith("]") else entry, strict=False)
    except ValueError:
        return None


def _covers(entry: str, host: str, port: int) -> bool:
    """Whether `entry` excepts the host from the proxy."""
    if entry == "*":
        return True
    network = _network(entry)
    wanted_port = None
    if network is None:
        name, wanted_port = _parted(entry)
        if wanted_port not in (None, port):
            return False
        network = _network(name)
        if network is None:
            return host == name or host.endswith("." + name)
    try:
        return ip_address(host) in network
    except ValueError:
        return False
