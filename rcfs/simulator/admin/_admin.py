"""The admin interface below ``/simulator/``, with which tests and people control and inspect the simulator.

    GET    /simulator/journal           entries; ?since=SEQ&operation=ID&group=NAME&last=N
    DELETE /simulator/journal           forget the entries
    GET    /simulator/journal/summary   counts, see `JournalSummary`
    GET    /simulator/journal/violations  a line for each request that breaks a rule for clients
    GET    /simulator/sends             every message and upload that was sent, see `Sent`
    GET    /simulator/truth             every attachment with its SHA-256, as JSON lines
    GET    /simulator/truth/media       every recording, greeting and prompt, as JSON lines, see `MediaRow`;
                                        ?kind=NAME, repeatable, for some kinds only
    GET    /simulator/plans             the rate limits
    PUT    /simulator/plans             change rate limits: {group: {limit, window_s, penalty_s}}
    GET    /simulator/quota             the use of each budget, see `Meter`
    GET    /simulator/faults            faults, and how often each was applied
    POST   /simulator/faults            add a fault, see `fault_from_json`
    DELETE /simulator/faults            remove all faults
    GET    /simulator/faults/kinds      every kind of fault with its options, see `Kind`
    POST   /simulator/expire-tokens     expire all access tokens
    GET    /simulator/clock             the account's time, and its speed
    POST   /simulator/clock             move it forward: {advance_s}
    POST   /simulator/day               play a scripted day: {speed}, account seconds per real second
    POST   /simulator/arrive            add an incoming message: {extension_id, type}
    POST   /simulator/expire-sync-tokens  expire all sync tokens of messages
    POST   /simulator/reset-call-logs   invalidate all sync tokens of call logs: {code}, CLG-101 to 105
    POST   /simulator/call              let a call end now, see `CallAdmin.call`
    POST   /simulator/call/rewrite      change its record: {call_id, fields, leg_fields}, merge patches
    POST   /simulator/recording         let a recording appear now: {call_id, leg, duration_s}
    POST   /simulator/recording/delete  delete a recording: {recording_id, still_named}
    POST   /simulator/notify            notify subscribers of changes: {extension_id, changes}, see `_events`
    GET    /simulator/exports           exports with their states, sizes and checksums
    POST   /simulator/exports           plan the next one: {kind, outcome, states, takes_s, kept_s,
                                        archives_kept_s, quirks}, see `TaskBook.plan`
    GET    /simulator/exports/quirks    every quirk of archives, see `Quirk`

The answer to an invalid request is 400 with ``{"error": …}``, to one of a foreign web page 403 (`_guard`).
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
from rcfs.simulator.admin._calls import CallAdmin
from rcfs.simulator.admin._exports import ExportAdmin
from rcfs.simulator.admin._messages import MessageAdmin
from rcfs.simulator.admin._truth import MEDIA_KINDS, media_truth
from rcfs.simulator.faults._faults import FaultList, all_kinds, fault_from_json

TRUTH_BATCH = 32
"""Attachments whose checksums are computed at once: about 0.1 s of work in a thread."""


class _Admin:
    """The handlers of requests."""

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
        # In a thread, because the start page requests this every second.
        summary = await trio.to_thread.run_sync(self._backend.journal.summary, self._content_operations)
        return JSONResponse(as_json(summary))

    async def violations(self, _request: Request) -> Response:
        return JSONResponse(self._backend.journal.violations())

    async def sends(self, _request: Request) -> Response:
        return JSONResponse([attrs.asdict(sent) for sent in self._backend.sends.all()])

    async def truth(self, _request: Request) -> Response:
        account = self._backend.account
        for extension in account.extensions:
            # Plan the mailbox and bring it up to date here, so that the thread only reads.
            self._backend.messages.settle(extension.id, self._backend.account_time())
        rows = (json.dumps(attrs.asdict(row)) + "\n" for row in account.truth())
        return StreamingResponse(_batches(rows), media_type="application/jsonl")

    async def media_truth(self, request: Request) -> Response:
        backend = self._backend
        kinds = request.query_params.getlist("kind") or MEDIA_KINDS
        unknown = sorted(set(kinds) - set(MEDIA_KINDS))
        if unknown:
            return _complaint(ValueError(f"{unknown[0]} is not one of {', '.join(MEDIA_KINDS)}"))
        books = backend.calls, backend.greetings, backend.prompts
        found = media_truth(backend.account, *books, backend.account_time(), kinds)
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
        faults: The faults to apply.
        content_operations: ``operationId`` of the operations with a content, for the summary.
    """
    admin = _Admin(backend, faults, content_operations)
    return Router(
        [
            Route("/simulator/journal", admin.journal, methods=["GET", "DELETE"]),
            Route("/simulator/journal/summary", admin.summary, methods=["GET"]),
            Route("/simulator/journal/violations", admin.violations, methods=["GET"]),
            Route("/simulator/sends", admin.sends, methods=["GET"]),
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
            *CallAdmin(backend).routes(),
        ]
    )


def _complaint(exc: Exception) -> Response:
    return JSONResponse({"error": str(exc)}, status_code=400)


def _plans(value: Any) -> dict[UsageGroup, Plan]:
    """The plans of a JSON object.

    Raises:
        ValueError: `value` is not an object, or a number is out of bounds.
        TypeError: A plan has an unknown or missing field, or a value that is not a number.
    """
    if not isinstance(value, dict):
        raise ValueError("plans must be an object")
    return {UsageGroup(group): Plan(**plan) for group, plan in value.items()}


def _batches(rows: Iterator[str]) -> Iterator[str]:
    """`rows` joined into batches of `TRUTH_BATCH`; starlette iterates over them in threads."""
    while batch := "".join(islice(rows, TRUTH_BATCH)):
        yield batch
