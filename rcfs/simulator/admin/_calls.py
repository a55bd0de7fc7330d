"""The part of the admin interface that makes calls, and changes their records and recordings."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rcfs.simulator._backend import Backend
from rcfs.simulator.account._call_values import APPEARS_S, RECORDING_APPEARS_S
from rcfs.simulator.account._calls import NewLeg
from rcfs.simulator.account._people import Contact

CALLER = "+12125557464"
"""Number of the other party of a call by default: that of Bob Ray of the documentation."""

DURATION_S = 60
"""Length of a leg by default, in seconds: long enough to be recorded."""


class CallAdmin:
    """The handlers of requests about calls."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def routes(self) -> list[Route]:
        """The routes to the handlers."""
        return [
            Route("/simulator/call", self.call, methods=["POST"]),
            Route("/simulator/call/rewrite", self.rewrite, methods=["POST"]),
            Route("/simulator/recording", self.record, methods=["POST"]),
            Route("/simulator/recording/delete", self.delete_recording, methods=["POST"]),
        ]

    async def call(self, request: Request) -> Response:
        """Let a call end now.

        The body has ``extension_id`` or, for a call with transfers, ``legs``: a list of objects with
        ``extension_id`` and ``duration_s``. Optional are ``duration_s``, ``direction``, ``number`` (empty for
        a withheld one), ``name``, ``log_after_s`` (until the record appears), and ``recording_after_s`` (from
        then to the recordings; null for none). A call of 30 s or less has no recording (``shortRecording``).
        """
        try:
            wish = _Wish(await request.json())
            wish.check({"extension_id", "legs", "duration_s", "direction", "number", "name"} | _DELAYS)
            recording_after_s = (
                None
                if wish.value("recording_after_s", 0) is None
                else wish.seconds("recording_after_s", RECORDING_APPEARS_S)
            )
            legs = [self._leg(leg) for leg in wish.legs()]
            direction = wish.text("direction", "Inbound")
            if direction not in ("Inbound", "Outbound"):
                raise ValueError("direction must be Inbound or Outbound")
            number = wish.text("number", CALLER)
            log_after_s = wish.seconds("log_after_s", APPEARS_S)
            other = Contact(wish.text("name", ""), number, "New York, NY") if number else None
            made = self._backend.calls.add(
                legs,
                self._backend.account_time(),
                direction=direction,
                other=other,
                log_after_s=log_after_s,
                recording_after_s=recording_after_s,
            )
        except ValueError as exc:
            return _complaint(exc)
        self._backend.notify_of_call(made)
        return JSONResponse(
            {
                "id": made.id,
                "session_id": made.session_id,
                "telephony_session_id": made.telephony_session_id,
                "recording_ids": [recording.id for recording in made.recordings],
            }
        )

    async def rewrite(self, request: Request) -> Response:
        """Change the record of a call; the fields of an earlier change return."""
        try:
            wish = _Wish(await request.json())
            wish.check({"call_id", "fields", "leg_fields"})
            fields, leg_fields = wish.fields("fields"), wish.fields("leg_fields")
            now_s = self._backend.account_time()
            self._backend.calls.rewrite(wish.text("call_id", None), fields, leg_fields, now_s)
        except ValueError as exc:
            return _complaint(exc)
        return Response(status_code=204)

    async def record(self, request: Request) -> Response:
        """Let a recording appear now, and report its id."""
        try:
            wish = _Wish(await request.json())
            wish.check({"call_id", "leg", "duration_s"})
            leg, duration_s = wish.whole("leg", 0, least=0), wish.whole("duration_s", DURATION_S, least=1)
            now_s = self._backend.account_time()
            made = self._backend.calls.record(wish.text("call_id", None), leg, duration_s, now_s)
        except ValueError as exc:
            return _complaint(exc)
        return JSONResponse({"id": made.id})

    async def delete_recording(self, request: Request) -> Response:
        """Delete a recording now; with ``still_named``, the call log does not notice."""
        try:
            wish = _Wish(await request.json())
            wish.check({"recording_id", "still_named"})
            recording_id, still_named = wish.whole("recording_id", None), wish.flag("still_named")
            now_s = self._backend.account_time()
            self._backend.calls.delete_recording(recording_id, now_s, still_named=still_named)
        except ValueError as exc:
            return _complaint(exc)
        return Response(status_code=204)

    def _leg(self, wish: "_Wish") -> NewLeg:
        extension_id = wish.whole("extension_id", None)
        if extension_id not in {extension.id for extension in self._backend.account.extensions}:
            raise ValueError(f"there is no extension {extension_id}")
        return NewLeg(extension_id, wish.whole("duration_s", DURATION_S, least=1))


_DELAYS = {"log_after_s", "recording_after_s"}


class _Wish:
    """A JSON object whose fields are checked as they are read; every method raises ValueError."""

    def __init__(self, value: Any) -> None:
        if not isinstance(value, dict):
            raise ValueError("the body must be an object")
        self._value: Mapping[str, Any] = value

    def check(self, known: set[str]) -> None:
        """Refuse fields other than `known`."""
        unknown = sorted(set(self._value) - known)
        if unknown:
            raise ValueError(f"there is no field {unknown[0]}")

    def value(self, name: str, default: Any) -> Any:
        """The field, or `default`."""
        return self._value.get(name, default)

    def flag(self, name: str) -> bool:
        """True or false; false if it is absent."""
        value = self._value.get(name, False)
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be true or false")
        return value

    def text(self, name: str, default: str | None) -> str:
        """A text; required if `default` is None."""
        value = self._value.get(name, default)
        if not isinstance(value, str):
            raise ValueError(f"{name} must be a text")
        return value

    def whole(self, name: str, default: int | None, *, least: int | None = None) -> int:
        """A whole number; required if `default` is None."""
        value = self._value.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or (least is not None and value < least):
            raise ValueError(f"{name} must be a whole number" + ("" if least is None else f" from {least}"))
        return value

    def seconds(self, name: str, default: float) -> float:
        """A number of seconds, at least 0."""
        value = self._value.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise ValueError(f"{name} must be a number of seconds")
        return value

    def fields(self, name: str) -> Mapping[str, Any]:
        """An object, by default empty."""
        value = self._value.get(name, {})
        if not isinstance(value, dict):
            raise ValueError(f"{name} must be an object")
        return value

    def legs(self) -> "list[_Wish]":
        """The legs of a call: those in ``legs``, or the call itself."""
        if "legs" not in self._value:
            return [self]
        value = self._value["legs"]
        if not isinstance(value, list) or not value:
            raise ValueError("legs must be a list of objects")
        return [_Wish(leg) for leg in value]


def _complaint(exc: Exception) -> Response:
    return JSONResponse({"error": str(exc)}, status_code=400)
