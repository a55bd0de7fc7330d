"""A client for the admin interface of a running simulator."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import click

from rcfs.cli._output import say
from rcfs.errors import ConfigError, ServerError, TransportError
from rcfs.model import is_loopback, server_origin

TIMEOUT_S = 60.0
"""Longest wait for the simulator, in seconds: a journal of 200,000 requests takes it a few."""


class SimulatorAdmin:
    """The admin interface of a simulator.

    Args:
        url: The origin of its platform, or of its foreign host.
        name: The name of that URL on the command line, for errors.

    Raises:
        ConfigError: `url` is not a URL of this machine.
    """

    def __init__(self, url: str, *, name: str) -> None:
        try:
            self._origin = server_origin(url)
        except ValueError as exc:
            raise ConfigError(f"{name}: {exc}") from exc
        if not is_loopback(urlsplit(self._origin).hostname or ""):
            raise ConfigError(
                f"{name}: a simulator listens only on loopback, not on {self._origin}; write http://127.0.0.1:PORT"
            )

    def ask(self, path: str, *, method: str = "GET", body: object = None) -> Any:
        """The JSON that the simulator answers.

        Args:
            path: The path below ``/simulator/``.
            method: HTTP method.
            body: The body of the request, sent as JSON; None for no body.

        Raises:
            ConfigError: The simulator refuses `body`.
            TransportError: No program listens there.
            ServerError: The program that answers is not a simulator.
        """
        url = f"{self._origin}/simulator/{path}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method)  # noqa: S310 - http or https, see above
        # Without the proxies of the environment, which cannot reach the loopback of this machine.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(request, timeout=TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as exc:
            with exc:
                complaint = _complaint(exc.read()) if exc.code == 400 else ""
            if complaint:
                raise ConfigError(complaint) from exc
            raise ServerError(f"the program at {url} is not a simulator: {exc}") from exc
        except ValueError as exc:
            raise ServerError(f"the program at {url} is not a simulator: {exc}") from exc
        except OSError as exc:
            raise TransportError(
                f"no simulator answers at {url}: {exc}; start one with `rcfs simulator`"
            ) from exc


def admin_of(url: str | None) -> SimulatorAdmin:
    """The admin interface of the simulator at the argument URL of a command.

    Raises:
        UsageError: The argument is missing.
        ConfigError: It is not a URL of this machine.
    """
    if url is None:
        raise click.UsageError("give the URL that the simulator printed, such as http://127.0.0.1:PORT")
    return SimulatorAdmin(url, name="URL")


def say_each(records: Sequence[Any], text_of: Callable[[Any], str], *, as_json: bool) -> None:
    """Prints `records` as JSON, or the text of each."""
    if as_json:
        say(json.dumps(records))
        return
    for record in records:
        say(text_of(record))


def _complaint(body: bytes) -> str:
    """The error in the answer of a simulator; empty if the answer is not from a simulator."""
    try:
        value = json.loads(body)
    except ValueError:
        return ""
    return str(value["error"]) if isinstance(value, dict) and "error" in value else ""
