"""Checks the URL of a platform.

This is not in the platform room, because the command line must find a wrong URL without loading an HTTP
library. No error repeats the text of a URL, which may hold a password.
"""

import ipaddress
import re
from urllib.parse import urlsplit

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.ASCII)


def is_loopback(host: str) -> bool:
    """Whether `host` (a name or address, in lower case) is this machine's loopback."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def server_origin(text: str) -> str:
    """`text` as the origin (scheme, host, optional port) of a platform.

    Raises:
        ValueError: It is neither https nor http on loopback, or has more parts than these.
    """
    if any(character.isspace() or not character.isprintable() for character in text):
        raise ValueError("the URL must not hold spaces or control characters")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("this is not a URL; write https://HOST") from None
    if "@" in parts.netloc:
        raise ValueError("the URL must not hold a user name or password")
    if parts.scheme not in ("http", "https") or not (_HOST.fullmatch(host) or ":" in host):
        raise ValueError("the URL must look like https://platform.ringcentral.com")
    if parts.path.strip("/") or "?" in text or "#" in text:
        raise ValueError("the URL must end after the host and port")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("the URL must begin with https://; http is accepted for loopback only")
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" + (f":{port}" if port is not None else "")
