"""A client of a running simulator's admin interface."""

import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from rcfs.errors import ConfigError, ServerError, TransportError
from rcfs.model import is_loopback, server_origin

TIMEOUT_S = 60.0
"""Longest silence of the simulator, in seconds: two hundred thousand entries take it a few."""


class SimulatorAdmin:
    """What a simulator can be asked and told.

    Args:
        url: The origin of its platform, or of its foreign host.
        name: What the command line calls that URL, for errors.

    Raises:
        ConfigError: `url` is no URL of this machine.
    """

    def __init__(self, url: str, *, name: str) -> None:
        try:
            self._origin = server_origin(url)
        except ValueError as exc:
            raise ConfigError(f"{name}: {exc}") from exc
        if not is_loopback(urlsplit(self._origin).hostname or ""):
            raise ConfigError(f"{name}: a simulator listens on loopback only, not on {self._origin}")

    def ask(self, path: str, *, method: str = "GET", body: object = None) -> Any:
        """The JSON that the simulator answers.

        Args:
            path: What stands behind ``/simulator/``.
            method: HTTP method.
            body: Sent as JSON; None for nothing.

        Raises:
            ConfigError: The simulator says that `body` makes no sense.
            TransportError: Nobody answers there.
            ServerError: What answers is no simulator.
        """
        url = f"{self._origin}/simulator/{path}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method)  # noqa: S310 - http or https, see above
        # No proxy can reach this machine's loopback, whatever the environment says.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(request, timeout=TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as exc:
            with exc:
                complaint = _complaint(exc.read()) if exc.code == 400 else ""
            if complaint:
                raise ConfigError(complaint) from exc
            raise ServerError(f"what answers at {url} is no simulator: {exc}") from exc
        except ValueError as exc:
            raise ServerError(f"what answers at {url} is no simulator: {exc}") from exc
        except OSError as exc:
            raise TransportError(f"no simulator answers at {url}: {exc}") from exc


def _complaint(body: bytes) -> str:
    """What a simulator finds wrong with a request; empty when this is no such answer."""
    try:
        value = json.loads(body)
    except ValueError:
        return ""
    return str(value["error"]) if isinstance(value, dict) and "error" in value else ""
