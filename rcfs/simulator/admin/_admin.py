"""The admin interface below ``/simulator/``: what tests and people ask of the simulator itself.

    GET    /simulator/journal           entries; ?since=SEQ&operation=ID&group=NAME&last=N
    DELETE /simulator/journal           count anew
    GET    /simulator/journal/summary   counts, see `JournalSummary`
    GET    /simulator/truth             every attachment with its SHA-256, as JSON lines
    GET    /simulator/truth/media       every recording and greeting in the same way, see `MediaRow`
    GET    /simulator/plans             the limits
    PUT    /simulator/plans             change limits: {group: {limit, window_s, penalty_s}}
    GET    /simulator/quota             how much of each budget is used, see `Meter`
    GET    /simulator/faults            faults, and how often each has fired
    POST   /simulator/faults            add a fault, see `fault_from_json`
    DELETE /simulator/faults            no faults any more
    GET    /simulator/faults/kinds      every kind of fault with its options, see `Kind`
    POST   /simulator/expire-tokens     let every access token be expired
    GET    /simulator/clock             the account's time, and its speed
    POST   /simulator/clock             move it on: {advance_s}
    POST   /simulator/day               play a scripted day: {speed}, account seconds in a real one
    POST   /simulator/arrive            let a message come in: {extension_id, type}
    POST   /simulator/expire-sync-tokens  let every sync token of messages be expired
    POST   /simulator/reset-call-logs   let every sync token of call logs be expired: {code}, CLG-101 to 105
    POST   /simulator/notify            tell subscribers of changes: {extension_id, changes}, see `_events`
    POST   /simulator/exports           what the next export comes to: {kind, outcome}, see `_tasks`

A request that makes no sense is answered 400 with ``{"error": …}``, one of a foreign web page 403 (`_guard`).
"""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import attrs
import trio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, Router

from rcfs.model import Plan, UsageGroup
from rcfs.simulator._backend import Backend
from rcfs.simulator._journal import as_json
from rcfs.simulator.admin._exports import ExportAdmin
from rcfs.simulator.admin._messages import MessageAdmin
from rcfs.simulator.admin._truth import media_truth
from rcfs.simulator.faults._faults import FaultList, all_kinds, fault_from_json

TRUTH_BATCH = 32
"""Attachments that are made and summed up in one go: about 0.1 s of work in a thread."""


class _Admin:
    """The handlers; each takes a request and gives a response."""

    def __init__(self, backend: Backend, faults: FaultList, content_operations: Sequence[str]) -> None:
        self._backend = backend
        self._faults = faults
        self._content_operations = content_operations

    async def journal(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._backend.journal.clear()
            return Response(status_code=204)
        try:
            since = int(request.query_params.get("since", "0"))
            last = int(request.query_params.get("last", "0"))
        except ValueError as exc:
            return _complaint(exc)
        entries = self._backend.journal.entries(
            since=since,
            operation=request.query_params.get("operation", ""),
            group=request.query_params.get("group", ""),
        )
        rows = [as_json(entry) for entry in entries[-max(last, 0) :]]
        return Response(await trio.to_thread.run_sync(json.dumps, rows), media_type="application/json")

    async def summary(self, _request: Request) -> Response:
        # In a thread, because the start page asks every second.
        summary = await trio.to_thread.run_sync(self._backend.journal.summary, self._content_operations)
        return JSONResponse(as_json(summary))

    async def truth(self, _request: Request) -> Response:
        account = self._backend.account
        for extension in account.extensions:
            # The mailbox is planned and brought up to date here, so that the thread only reads.
            self._backend.messages.settle(extension.id, self._backend.account_time())
        rows = (json.dumps(attrs.asdict(row)) + "\n" for row in account.truth())
        return StreamingResponse(_batches(rows), media_type="application/jsonl")

    async def media_truth(self, _request: Request) -> Response:
        backend = self._backend
        found = media_truth(backend.account, backend.calls, backend.greetings, backend.account_time())
        rows = (json.dumps(attrs.asdict(row)) + "\n" for row in found)
        return StreamingResponse(rows, media_type="application/jsonl")

    async def plans(self, request: Request) -> Response:
        if request.method == "PUT":
            try:
                self._backend.police.change_plans(_plans(await request.json()))
            except (ValueError, TypeError) as exc:
                return _complaint(exc)
        return JSONResponse({group: attrs.asdict(p) for group, p in self._backend.police.plans.items()})

    async def quota(self, _request: Request) -> Response:
        return JSONResponse([attrs.asdict(m) for m in self._backend.police.meters(self._backend.clock())])

    async def notify(self, request: Request) -> Response:
        try:
            match await request.json():
                case {"extension_id": int(extension_id), "changes": [*changes]} if all(
                    isinstance(change, dict) for change in changes
                ):
                    self._backend.notify(extension_id, changes)
                case _:
                    raise ValueError("wanted are extension_id and changes, a list of objects")
        except ValueError as exc:
            return _complaint(exc)
        return Response(status_code=204)

    async def faults(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._faults.clear()
        if request.method == "POST":
            try:
                self._faults.add(fault_from_json(await request.json()))
            except ValueError as exc:
                return _complaint(exc)
        return JSONResponse(self._faults.as_json())

    async def fault_kinds(self, _request: Request) -> Response:
        return JSONResponse([attrs.asdict(kind) for kind in all_kinds()])

    async def expire_tokens(self, _request: Request) -> Response:
        self._backend.auth.expire_all()
        return Response(status_code=204)


def admin_router(backend: Backend, faults: FaultList, content_operations: Sequence[str]) -> Router:
    """The ASGI application of the admin interface.

    Args:
        backend: The state of the simulator.
        faults: What goes wrong on purpose.
        content_operations: ``operationId`` of what answers with a content, for the summary.
    """
    admin = _Admin(backend, faults, content_operations)
    return Router(
        [
            Route("/simulator/journal", admin.journal, methods=["GET", "DELETE"]),
            Route("/simulator/journal/summary", admin.summary, methods=["GET"]),
            Route("/simulator/truth", admin.truth, methods=["GET"]),
            Route("/simulator/truth/media", admin.media_truth, methods=["GET"]),
            Route("/simulator/plans", admin.plans, methods=["GET", "PUT"]),
            Route("/simulator/quota", admin.quota, methods=["GET"]),
            Route("/simulator/notify", admin.notify, methods=["POST"]),
            Route("/simulator/faults", admin.faults, methods=["GET", "POST", "DELETE"]),
            Route("/simulator/faults/kinds", admin.fault_kinds, methods=["GET"]),
            Route("/simulator/expire-tokens", admin.expire_tokens, methods=["POST"]),
            *MessageAdmin(backend).routes(),
            *ExportAdmin(backend).routes(),
        ]
    )


def _complaint(exc: Exception) -> Response:
    return JSONResponse({"error": str(exc)}, status_code=400)


def _plans(value: Any) -> dict[UsageGroup, Plan]:
    """The plans of a JSON object.

    Raises:
        ValueError: `value` is no object, or a number is out of bounds.
        TypeError: A plan has an unknown or missing field, or one that is no number.
    """
    if not isinstance(value, dict):
        raise ValueError("plans must be an object")
    return {UsageGroup(group): Plan(**plan) for group, plan in value.items()}


def _batches(rows: Iterator[str]) -> Iterator[str]:
    """`rows` joined into batches of `TRUTH_BATCH`; starlette walks through it in threads."""
    while batch := "".join(islice(rows, TRUTH_BATCH)):
        yield batch
