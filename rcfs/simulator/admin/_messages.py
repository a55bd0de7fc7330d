"""The part of the admin interface that changes the account: clock, messages, and sync tokens."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rcfs.simulator._backend import Backend
from rcfs.simulator._params import iso_time
from rcfs.simulator.account._message_filter import MESSAGE_TYPES
from rcfs.simulator.account._message_store import new_message


class MessageAdmin:
    """The handlers of requests about the account."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def routes(self) -> list[Route]:
        """The routes to the handlers."""
        return [
            Route("/simulator/clock", self.clock, methods=["GET", "POST"]),
            Route("/simulator/day", self.day, methods=["POST"]),
            Route("/simulator/arrive", self.arrive, methods=["POST"]),
            Route("/simulator/expire-sync-tokens", self.expire_sync_tokens, methods=["POST"]),
            Route("/simulator/reset-call-logs", self.reset_call_logs, methods=["POST"]),
        ]

    async def clock(self, request: Request) -> Response:
        """Report the account's time; a POST moves it first."""
        if request.method == "POST":
            try:
                self._backend.account_clock.advance(_number(await request.json(), "advance_s"))
            except ValueError as exc:
                return _complaint(exc)
        clock = self._backend.account_clock
        return JSONResponse({"time": iso_time(clock.now()), "speed": clock.speed})

    async def day(self, request: Request) -> Response:
        """Play a scripted day from now on; report its number of messages."""
        try:
            messages = self._backend.play_day(_number(await request.json(), "speed"))
        except ValueError as exc:
            return _complaint(exc)
        return JSONResponse({"messages": messages})

    async def arrive(self, request: Request) -> Response:
        """Add an incoming message from outside or from a colleague; report its id."""
        backend = self._backend
        try:
            value = await request.json()
            extension_id, kind = int(_number(value, "extension_id")), value.get("type")
            if kind not in MESSAGE_TYPES:
                raise ValueError(f"type must be one of {', '.join(MESSAGE_TYPES)}")
            if extension_id not in {extension.id for extension in backend.account.extensions}:
                raise ValueError(f"there is no extension {extension_id}")
        except ValueError as exc:
            return _complaint(exc)
        now_s = backend.account_time()
        backend.messages.settle(extension_id, now_s)
        message = new_message(backend.account, extension_id, kind, "Inbound", now_s)
        backend.messages.arrive(message)
        return JSONResponse({"id": message.id})

    async def expire_sync_tokens(self, _request: Request) -> Response:
        """Expire all sync tokens of messages."""
        self._backend.store_rules.sync_tokens_since_s = self._backend.account_time()
        return Response(status_code=204)

    async def reset_call_logs(self, request: Request) -> Response:
        """Invalidate all sync tokens of call logs."""
        try:
            match await request.json():
                case {"code": str(code)}:
                    self._backend.call_logs.reset(self._backend.account_time(), code)
                case _:
                    raise ValueError("code must be a text")
        except ValueError as exc:
            return _complaint(exc)
        return Response(status_code=204)


def _number(value: Any, name: str) -> float:
    """The number `name` of a JSON object.

    Raises:
        ValueError: `value` is not an object, or `name` in it is not a number.
    """
    number = value.get(name) if isinstance(value, dict) else None
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError(f"{name} must be a number")
    return number


def _complaint(exc: Exception) -> Response:
    return JSONResponse({"error": str(exc)}, status_code=400)
