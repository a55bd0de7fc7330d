"""A simulator for tests: as a separate process (`start`), or in the test's event loop (`in_process`)."""

import json
import selectors
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import IO, Any, Self

import httpx
import trio

from rcfs.simulator import Endpoints, Simulator, SimulatorConfig
from tests.fakes.fork_server import ForkedProcess, start_forked

START_S = 120.0
"""Longest wait for the simulator's first line, in seconds; it takes 0.5 s on an idle machine."""

STOP_S = 60.0
"""Longest wait for its end, in seconds."""

ADMIN_S = 120.0
"""Longest wait for an answer of the admin interface, in seconds: `truth` makes every content."""

PRESENT = "2026-11-20T12:00:00Z"
"""Start of the account's clock, so that what tests expect does not depend on the day of the run."""

Fields = Mapping[str, Any]
"""Fields of a JSON record."""

Process = subprocess.Popen[str] | ForkedProcess


class Simulated:
    """A simulator in a process; use `start`, which also stops it."""

    def __init__(self, process: Process, endpoints: Endpoints) -> None:
        self.process = process
        self.platform_url = endpoints.platform_url
        self.media_url = endpoints.media_url
        self.client_id = endpoints.client_id
        self.client_secret = endpoints.client_secret
        self.jwt = endpoints.jwt
        self._token = ""
        # Without checks of certificates: to load these takes 20 ms, and the addresses begin with http.
        self._admin = httpx.Client(
            base_url=f"{endpoints.platform_url}/simulator/", timeout=ADMIN_S, verify=False
        )

    def journal(self, **filters: Any) -> list[dict[str, Any]]:
        """The recorded requests, oldest first; `filters` are since, operation, group."""
        entries: list[dict[str, Any]] = self._json("GET", "journal", params=filters)
        return entries

    def summary(self) -> dict[str, Any]:
        """Counts of requests and violations."""
        summary: dict[str, Any] = self._json("GET", "journal/summary")
        return summary

    def violations(self) -> list[str]:
        """A line for each request that breaks a rule for clients, such as an equal send; oldest first."""
        lines: list[str] = self._json("GET", "journal/violations")
        return lines

    def sends(self) -> list[dict[str, Any]]:
        """Every message and upload that was sent, oldest first, see `rcfs.simulator._conduct.Sent`."""
        sent: list[dict[str, Any]] = self._json("GET", "sends")
        return sent

    def reset_journal(self) -> None:
        """Forget all recorded requests."""
        self._request("DELETE", "journal")

    def truth(self) -> list[dict[str, Any]]:
        """Every attachment with its size and SHA-256."""
        return [json.loads(line) for line in self._request("GET", "truth").text.splitlines()]

    def media_truth(self, *kinds: str) -> list[dict[str, Any]]:
        """Every recording, greeting and prompt with its path, size and SHA-256, or those of `kinds` only.

        See `rcfs.simulator.admin._truth.MediaRow`; a kind is one of `MEDIA_KINDS` there.
        """
        answer = self._request("GET", "truth/media", params={"kind": kinds} if kinds else None)
        return [json.loads(line) for line in answer.text.splitlines()]

    def fault(self, kind: str, **options: Any) -> None:
        """Add a fault; see `rcfs.simulator.faults._faults.fault_from_json`."""
        self._request("POST", "faults", json={"kind": kind, **options})

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._request("DELETE", "faults")

    def plans(self, **plans: Mapping[str, float]) -> dict[str, Any]:
        """Change the limits of `plans`: group={"limit": …, "window_s": …, "penalty_s": …}; returns all."""
        changed: dict[str, Any] = self._json("PUT", "plans", json=plans)
        return changed

    def expire_tokens(self) -> None:
        """Expire all access tokens."""
        self._request("POST", "expire-tokens")

    def arrive(self, extension_id: int, kind: str) -> int:
        """Add an incoming message; returns its id."""
        told = self._json("POST", "arrive", json={"extension_id": extension_id, "type": kind})
        return int(told["id"])

    def call(self, extension_id: int | None = None, **wish: Any) -> dict[str, Any]:
        """Let a call of an extension end now; returns its id, session_id, … and recording_ids.

        `wish` as in `rcfs.simulator.admin._calls.CallAdmin.call`; a call with transfers has ``legs``
        instead of an extension.
        """
        owner = {} if extension_id is None else {"extension_id": extension_id}
        made: dict[str, Any] = self._json("POST", "call", json=owner | wish)
        return made

    def rewrite_call(
        self, call_id: str, fields: Fields | None = None, leg_fields: Fields | None = None
    ) -> None:
        """Change the record of a call and each of its legs: merge patches, in which None removes a field."""
        wish = {"call_id": call_id, "fields": fields or {}, "leg_fields": leg_fields or {}}
        self._request("POST", "call/rewrite", json=wish)

    def record(self, call_id: str, leg: int = 0, duration_s: int = 60) -> int:
        """Let the recording of a leg appear now; returns its id."""
        wish = {"call_id": call_id, "leg": leg, "duration_s": duration_s}
        return int(self._json("POST", "recording", json=wish)["id"])

    def delete_recording(self, recording_id: int, *, still_named: bool = False) -> None:
        """Delete a recording; with `still_named`, the call log does not notice."""
        wish = {"recording_id": recording_id, "still_named": still_named}
        self._request("POST", "recording/delete", json=wish)

    def reset_call_logs(self, code: str = "CLG-101") -> None:
        """Invalidate all sync tokens of call logs; the refusal has `code`, CLG-101 to CLG-105."""
        self._request("POST", "reset-call-logs", json={"code": code})

    def advance(self, seconds: float) -> None:
        """Move the account's clock forward."""
        self._request("POST", "clock", json={"advance_s": seconds})

    def day(self, speed: float) -> int:
        """Play a scripted day; returns its number of messages. `speed` as in `Backend.play_day`."""
        return int(self._json("POST", "day", json={"speed": speed})["messages"])

    def expire_sync_tokens(self) -> None:
        """Expire all sync tokens."""
        self._request("POST", "expire-sync-tokens")

    def api(self, method: str, path: str, **options: Any) -> Any:
        """The API's answer to a user at another device; `path` is relative to the account."""
        answer = self._answer(method, f"/restapi/v1.0/account/~/{path}", **options)
        return answer.json() if answer.content else None

    def download(self, path: str) -> bytes:
        """The content at `path` of the platform, as another device gets it."""
        return self._answer("GET", path).content

    def _answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        with httpx.Client(base_url=self.platform_url, timeout=ADMIN_S, verify=False) as http:
            if not self._token:
                grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
                login = http.post(
                    "/restapi/oauth/token",
                    data={"grant_type": grant, "assertion": self.jwt},
                    auth=(self.client_id, self.client_secret),
                )
                self._token = login.json()["access_token"]
            headers = {"Authorization": f"Bearer {self._token}"}
            answer = http.request(method, path, headers=headers, **options)
        if answer.is_error:
            raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer

    def environment(self) -> dict[str, str]:
        """The variables with which a program logs in here."""
        return {
            "RC_SERVER_URL": self.platform_url,
            "RC_APP_CLIENT_ID": self.client_id,
            "RC_APP_CLIENT_SECRET": self.client_secret,
            "RC_USER_JWT": self.jwt,
        }

    def stop(self) -> int:
        """End it with SIGTERM; returns its exit code."""
        self.process.terminate()
        return self._wait()

    def kill(self) -> int:
        """End it with SIGKILL, so that the server is gone at once; returns its exit code."""
        self.process.kill()
        return self._wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._admin.close()
        if self.process.poll() is None:
            self.kill()
        _close(self.process.stdin, self.process.stdout)

    def _wait(self) -> int:
        return self.process.wait(STOP_S)

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        response = self._admin.request(method, path, **options)
        if response.is_error:
            raise AssertionError(f"{method} {path}: {response.status_code} {response.text}")
        return response

    def _json(self, method: str, path: str, **options: Any) -> Any:
        return self._request(method, path, **options).json()


@contextmanager
def start(*arguments: str, forked: bool = True) -> Iterator[Simulated]:
    """A running simulator; it ends with the context, and with this process however that dies.

    The account's clock starts at `PRESENT`, whatever the time of this machine.

    Args:
        arguments: Options of ``rcfs simulator``, such as ``--messages=200`` or ``--limit=medium=5/2/2``.
        forked: Whether it is a copy of a process that has loaded it, which takes a fifth of the time; else it
            loads everything itself.
    """
    words = ("simulator", "--json", "--until-eof", f"--present={PRESENT}", *arguments)
    process = start_forked(*words) if forked else _start_afresh(*words)
    try:
        endpoints = Endpoints(**json.loads(_first_line(process)))
    except BaseException:
        process.kill()
        process.wait(STOP_S)
        _close(process.stdin, process.stdout)
        raise
    with Simulated(process, endpoints) as simulated:
        yield simulated


@asynccontextmanager
async def in_process(config: SimulatorConfig) -> AsyncIterator[tuple[Simulator, Endpoints]]:
    """A simulator in the event loop of the test, and its addresses."""
    simulator = Simulator(config)
    async with trio.open_nursery() as nursery:
        endpoints = await nursery.start(simulator.serve)
        yield simulator, endpoints
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def logged_in(
    endpoints: Endpoints, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """An httpx client that has logged in with the JWT; relative URLs are the platform's.

    Clients without TLS need no certificates, whose reading takes 20 ms for each.
    """
    base_url = endpoints.platform_url
    async with httpx.AsyncClient(
        base_url=base_url, timeout=START_S, transport=transport, verify=False
    ) as http:
        answer = await http.post(
            "/restapi/oauth/token",
            data={"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": endpoints.jwt},
            auth=(endpoints.client_id, endpoints.client_secret),
        )
        http.headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"
        yield http


def _start_afresh(*words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "rcfs", *words]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _first_line(process: Process) -> str:
    """The first line of the process's output.

    Raises:
        AssertionError: It has ended, or printed nothing in time.
    """
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        ready = selector.select(START_S)
    line = process.stdout.readline() if ready else ""
    assert line, f"the simulator said nothing, its exit code is {process.poll()}"
    return line


def _close(*pipes: IO[str] | None) -> None:
    for pipe in pipes:
        if pipe is not None:
            pipe.close()
