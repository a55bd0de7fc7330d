"""Which proxy leads to which host, by the environment: pure.

Read as curl and Python's urllib do: ``https_proxy``, else ``all_proxy``; a name in lower case wins over the
same in capitals, an empty value means no proxy. A server on plain http is always on loopback, where no proxy
is used, so ``http_proxy`` says nothing to rcfs.
"""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, unquote, urlsplit

import attrs

from rcfs.errors import ConfigError

_VARIABLES = ("https_proxy", "all_proxy")
_EXCEPTIONS = "no_proxy"
_SCHEMES = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
"""What can be spoken to a proxy, and the usual ports."""
_LONGEST_LOGIN = 255
"""Bytes of a user or a password. Source: RFC 1929, 2."""
_ALIASES = {"socks": "socks5h"}
"""GNOME writes ``socks://`` into ALL_PROXY."""


@attrs.frozen
class Proxy:
    """A proxy; the name of a host behind it is resolved there."""

    scheme: str
    """``http``, ``https``, ``socks5`` or ``socks5h``: how rcfs speaks to it."""
    host: str
    """Its name or address, without brackets."""
    port: int
    """Its port."""
    variable: str
    """The variable that named it."""
    login: tuple[str, str] | None = attrs.field(default=None, repr=False)
    """User and password; None when it wants none."""

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS 5, and not HTTP."""
        return self.scheme.startswith("socks")

    @property
    def address(self) -> str:
        """Host and port, as in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        """Its URL, without the password, and the variable."""
        login = f"{self.login[0]}:…@" if self.login is not None else ""
        printable = "".join(letter for letter in login if letter.isprintable())
        return f"{self.scheme}://{printable}{self.address} ({self.variable})"


@attrs.frozen
class Proxies:
    """The proxy that the environment names, and the hosts that are reached without it."""

    proxy: Proxy | None = None
    """Where all other hosts are reached through; None without a proxy."""
    exceptions: tuple[str, ...] = ()
    """Entries of ``no_proxy``: names, addresses, networks, each perhaps with a port; ``*`` for all."""
    oddities: tuple[str, ...] = ()
    """What stands in ``no_proxy`` and means nothing, each as a line for a person."""

    def proxy_for(self, url: str) -> Proxy | None:
        """What `url` (https, wss, http or ws) is to be reached through; None for no proxy."""
        parts = urlsplit(url)
        if self.proxy is None or parts.scheme in ("http", "ws"):
            return None
        host, port = (parts.hostname or "").rstrip("."), parts.port or 443
        return None if any(_covers(entry, host, port) for entry in self.exceptions) else self.proxy


def proxies_from(environ: Mapping[str, str]) -> Proxies:
    """The proxies that `environ` names.

    Raises:
        ConfigError: A proxy cannot be understood; the text names the variable and shows no password.
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
    """The variable that holds `name`, in lower case or in capitals; empty when there is none."""
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
        raise wrong("this is no URL of a proxy") from None  # the error may quote the password
    scheme = _ALIASES.get(parts.scheme, parts.scheme)
    if scheme not in _SCHEMES:
        # What stands before the colon of an odd URL may be a user's name or a password.
        named = f" of the kind {parts.scheme!r}" if parts.scheme.isalnum() and len(parts.scheme) < 12 else ""
        raise wrong(f"rcfs speaks no protocol{named} to a proxy")
    if not _is_host(host) or port == 0:
        raise wrong("this is no URL of a proxy")
    if "@" in parts.path + parts.query + parts.fragment:
        raise wrong("in a user or password, write %2F for a slash, %3F for a question mark, %23 for a hash")
    login = _login(parts)
    if login is not None and max(len(part.encode()) for part in login) > _LONGEST_LOGIN:
        raise wrong(f"a user or password is longer than {_LONGEST_LOGIN} bytes")
    return Proxy(scheme, host, port or _SCHEMES[scheme], variable, login)


def _login(parts: SplitResult) -> tuple[str, str] | None:
    if parts.username is None:
        return None
    return unquote(parts.username), unquote(parts.password or "")


def _is_host(host: str) -> bool:
    """Whether `host` may be the name or address of a host."""
    # RFC 952 knows no underscore, and people use it all the same; the percent sign is of an IPv6 zone.
    return bool(host) and all(letter.isalnum() or letter in "-._:%" for letter in host)


def _is_exception(entry: str) -> bool:
    if entry == "*" or _network(entry) is not None:
        return True
    host, _port = _parted(entry)
    return "/" not in entry.rpartition("://")[2].rstrip("/") and _is_host(host)


def _parted(entry: str) -> tuple[str, int | None]:
    """Host and port of an entry; the scheme that some write before it says nothing."""
    try:
        parts = urlsplit("//" + entry.rpartition("://")[2])
        return (parts.hostname or "").lstrip("*").strip("."), parts.port
    except ValueError:
        return "", None


def _network(entry: str) -> IPv4Network | IPv6Network | None:
    """The addresses that `entry` means: a network, or one address; None when it is a name."""
    try:
        return ip_network(entry.strip("[]") if entry.endswith("]") else entry, strict=False)
    except ValueError:
        return None


def _covers(entry: str, host: str, port: int) -> bool:
    """Whether a host is reached without the proxy, because of `entry`."""
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
