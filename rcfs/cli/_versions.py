"""The versions of rcfs and of what it uses, for bug reports: nothing of them is private."""

import platform
import sqlite3
import ssl
import sys
from importlib.metadata import PackageNotFoundError, version

from rcfs import __version__
from rcfs.config import keyring_backend

_PACKAGES = ("pyfuse3", "trio", "httpx", "diskcache", "click", "attrs", "msgspec", "jeepney", "keyring")


def versions() -> list[tuple[str, str]]:
    """(name, version) of each; the first is rcfs."""
    return [
        ("rcfs", __version__),
        ("Python", f"{platform.python_version()} ({sys.implementation.name})"),
        *((name, _version_of(name)) for name in _PACKAGES),
        ("faster pyfuse3", _keeps_listings()),
        ("libfuse", _libfuse()),
        ("kernel", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("system", _system()),
        ("OpenSSL", ssl.OPENSSL_VERSION),
        ("SQLite", sqlite3.sqlite_version),
        ("keyring backend", keyring_backend()),
    ]


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _libfuse() -> str:
    try:
        from rcfs.fuse import libfuse_version

        return libfuse_version()
    except (ImportError, OSError, AttributeError) as exc:  # a bug report may be about just that
        return f"cannot be loaded ({type(exc).__name__})"


def _keeps_listings() -> str:
    try:
        from rcfs.fuse import can_keep_listings
    except (ImportError, OSError) as exc:
        return f"cannot be loaded ({type(exc).__name__})"
    return "yes" if can_keep_listings() else "no"


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "unknown"
