"""The part of the admin interface that plans exports, and lists those that clients asked for."""

from typing import Any

import trio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rcfs.simulator._backend import Backend
from rcfs.simulator._params import iso_time
from rcfs.simulator._quirks import Quirk, quirks_of
from rcfs.simulator._tasks import SUCCESS, ExportTask

_SECONDS = ("takes_s", "kept_s", "archives_kept_s")
_FIELDS = frozenset({"kind", "outcome", "states", "quirks", *_SECONDS})


class ExportAdmin:
    """The handlers of requests about exports."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._books = {"report": backend.reports, "team": backend.team_exports}

    def routes(self) -> list[Route]:
        """The routes to the handlers."""
        return [
            Route("/simulator/exports", self.plan, methods=["POST"]),
            Route("/simulator/exports", self.show, methods=["GET"]),
            Route("/simulator/exports/quirks", self.quirks, methods=["GET"]),
        ]

    async def plan(self, request: Request) -> Response:
        """Plan the next task of a kind, as the body says; answers how many plans of each kind wait."""
        try:
            self._plan(await request.json())
        except ValueError as exc:
            return JSONResponse({"error": str(exc)}, status_code=400)
        return JSONResponse({kind: book.planned for kind, book in self._books.items()})

    async def show(self, _request: Request) -> Response:
        """The tasks of all kinds, newest first, with the sizes and checksums of archives that were made."""
        now_s = self._backend.account_time()
        tasks = [(kind, task) for kind, book in self._books.items() for task in book.newest_first()]
        rows = [await trio.to_thread.run_sync(_row, kind, task, now_s) for kind, task in tasks]
        return JSONResponse(rows)

    async def quirks(self, _request: Request) -> Response:
        """Every quirk with its effect."""
        return JSONResponse([{"quirk": quirk.value, "help": quirk.help} for quirk in Quirk])

    def _plan(self, wish: Any) -> None:
        """Plan the task that `wish` describes.

        Raises:
            ValueError: A field is unknown, of the wrong type or out of bounds.
        """
        if not isinstance(wish, dict) or wish.get("kind") not in list(self._books):
            raise ValueError(f"wanted is an object with kind ({' or '.join(self._books)})")
        unknown = wish.keys() - _FIELDS
        if unknown:
            raise ValueError(f"an export has no {min(unknown)!r}")
        seconds = {name: wish[name] for name in _SECONDS if name in wish}
        for name, value in seconds.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"{name} must be a number of seconds")
        outcome = wish.get("outcome", SUCCESS)
        if not isinstance(outcome, str):
            raise ValueError("outcome must be a text")
        changes: dict[str, Any] = dict(seconds)
        if "quirks" in wish:
            changes["quirks"] = quirks_of(_texts(wish, "quirks"))
        self._books[wish["kind"]].plan(outcome, _texts(wish, "states"), **changes)


def _row(kind: str, task: ExportTask, now_s: float) -> dict[str, Any]:
    status, since_s = task.state(now_s)
    archives = [
        {"size_bytes": archive.size_bytes, "sha256": archive.sha256()} for archive in task.made_archives()
    ]
    return {
        "kind": kind,
        "id": task.id,
        "status": status,
        "since": iso_time(since_s),
        "wanted": task.wanted,
        "quirks": sorted(quirk.value for quirk in task.plan.quirks),
        "archives": archives,
    }


def _texts(wish: dict[str, Any], name: str) -> list[str]:
    """The list of texts `name` of `wish`; empty if it is missing.

    Raises:
        ValueError: It is something else.
    """
    value = wish.get(name, [])
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError(f"{name} must be a list of texts")
    return value
