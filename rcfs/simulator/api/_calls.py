"""Call logs of the account and of an extension: lists with their filters, single records, synchronisation."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import trio

from rcfs.simulator._backend import ACCOUNT_PATH, EXTENSION_PATH, HEAVY, Call, Operation
from rcfs.simulator._params import MAX_PER_PAGE, Query, iso_time, make_page
from rcfs.simulator._sync_tokens import seal, unseal
from rcfs.simulator._wire import Answer, ApiError, bad_parameter, json_answer, not_found
from rcfs.simulator.account._call_records import CallWriter
from rcfs.simulator.account._call_values import SimCall
from rcfs.simulator.account._calls import CallBook
from rcfs.simulator.account._message_filter import flag
from rcfs.simulator.account._people import Contact, SimExtension
from rcfs.simulator.account._plan import DAY_S
from rcfs.simulator.api._bulk import ids_in_path, multi_status, outcomes
from rcfs.simulator.api._records_body import RecordsBody
from rcfs.simulator.api._unplayed import refuse_unplayed

SYNC_REACH_S = 30 * DAY_S
"""Greatest age of dateFrom in a synchronisation, in seconds (its description)."""

SYNC_COUNT = 250
"""Most records in a synchronisation (schema CallLogSyncResponse)."""

SETTLED_S = 7200.0
"""Age in seconds at which no planned call changes any more: the longest lasts 90 minutes, and its recording
appears 80 seconds later."""

_SIFTED_AT_ONCE = 50
"""Calls examined between two checkpoints: 1 ms of work where they are made only then."""

MISSED = ("Missed", "Voicemail")
"""Results in the status group Missed (I: the documentation does not list them)."""


@attrs.frozen
class _Filter:
    """Selects the calls in a list."""

    date_from: float
    date_to: float
    directions: frozenset[str]
    types: frozenset[str]
    transports: frozenset[str]
    recording: str
    number: str
    extension_number: str
    session: str
    telephony_session: str

    @classmethod
    def from_query(cls, query: Query, now_s: float) -> "_Filter":
        """The filter of a call log.

        Raises:
            ApiError: 400, a parameter is invalid.
        """
        flag(query, "showBlocked")  # only checked: the simulated account has no blocked calls
        if query.text("phoneNumber") and query.text("extensionNumber"):
            raise bad_parameter("phoneNumber", query.text("phoneNumber"))
        date_to = query.moment("dateTo", now_s)
        return cls(
            date_from=query.moment("dateFrom", date_to - DAY_S),  # default of readUserCallLog
            date_to=date_to,
            directions=query.choices("direction", ("Inbound", "Outbound")),
            types=query.choices("type", ("Voice", "Fax")),
            transports=query.choices("transport", ("PSTN", "VoIP")),
            recording=_recording_type(query),
            number=query.text("phoneNumber").lstrip("+"),
            extension_number=query.text("extensionNumber"),
            session=query.text("sessionId"),
            telephony_session=query.text("telephonySessionId"),
        )

    @property
    def takes_all(self) -> bool:
        """Whether it admits all calls of its period."""
        chosen = self.directions or self.types or self.transports or self.recording
        return not (chosen or self.number or self.extension_number or self.session or self.telephony_session)

    def admits(self, call: SimCall, now_s: float, owner: SimExtension) -> bool:
        """Whether the list of `owner` shows `call`, which is in that log, at `now_s`."""
        return (
            self.date_from <= call.start_s <= self.date_to
            and (not self.directions or call.direction in self.directions)
            and (not self.types or call.type in self.types)
            and (not self.transports or call.transport in self.transports)
            and _has_recording(call, now_s, self.recording)
            and (not self.number or f"+{self.number}" in (owner.phone_number, _number(call.other)))
            and (not self.extension_number or self.extension_number == owner.number)
            and (not self.session or self.session == call.session_id)
            and (not self.telephony_session or self.telephony_session == call.telephony_session_id)
        )


async def list_company_calls(call: Call) -> Answer:
    """A page of the account's calls, newest first; for administrators only."""
    _check_company(call)
    return await _list(call, None, "")


async def list_user_calls(call: Call) -> Answer:
    """A page of an extension's calls, newest first."""
    extension = call.mailbox()
    return await _list(call, extension.id, f"/extension/{extension.id}")


async def read_company_call(call: Call) -> Answer:
    """One call of the account."""
    _check_company(call)
    return await _read(call, None)


async def read_user_call(call: Call) -> Answer:
    """One call of an extension."""
    return await _read(call, call.mailbox().id)


async def sync_company_calls(call: Call) -> Answer:
    """The newest calls of the account (FSync), or what has changed since a token (ISync)."""
    _check_company(call)
    return await _sync(call, None)


async def sync_user_calls(call: Call) -> Answer:
    """The newest calls of an extension (FSync), or what has changed since a token (ISync)."""
    return await _sync(call, call.mailbox().id)


def delete_user_calls(call: Call) -> Answer:
    """Delete the calls of an extension that are as old as the query says."""
    extension, now_s = call.mailbox(), call.backend.account_time()
    call.backend.call_logs.delete(extension.id, call.query.moment("dateTo", now_s), now_s)
    return Answer(204)


def call_writer(call: Call) -> CallWriter:
    """The writer of records of calls and recordings for the answer to `call`."""
    account, endpoints = call.backend.account, call.backend.endpoints
    extensions = {extension.id: extension for extension in account.extensions}
    return CallWriter(account.account_id, endpoints.platform_url, endpoints.media_url, extensions)


def _check_company(call: Call) -> None:
    """Refuse a login that may not read the calls of the whole account.

    Raises:
        ApiError: 404, another account; 403 CMN-408, the user is not an administrator.
    """
    call.check_account()
    if not call.user.is_admin:
        raise ApiError(403, "CMN-408", "In order to call this API endpoint, user needs [FullCompanyCallLog]")


async def _plan(call: Call) -> None:
    """Plan the calls, with checkpoints, unless they are planned already."""
    for _ in call.backend.calls.steps():
        await trio.lowlevel.checkpoint()


async def _those(
    calls: Sequence[SimCall], wanted: Callable[[SimCall], bool], most: int = sys.maxsize
) -> Sequence[SimCall]:
    """The first calls that are `wanted`, at most `most`; `calls` may be made only when they are read."""
    found: list[SimCall] = []
    for number, candidate in enumerate(calls):
        if len(found) >= most:
            break
        if wanted(candidate):
            found.append(candidate)
        if number % _SIFTED_AT_ONCE == 0:
            await trio.lowlevel.checkpoint()
    return found


async def _list(call: Call, extension_id: int | None, place: str) -> Answer:
    refuse_unplayed(call)
    backend, now_s = call.backend, call.backend.account_time()
    wanted, detailed = _Filter.from_query(call.query, now_s), _detailed(call.query)
    show_deleted = flag(call.query, "showDeleted")
    writer = call_writer(call)
    extensions = writer.extensions
    await _plan(call)
    shown = backend.calls.calls(extension_id, now_s, wanted.date_from, wanted.date_to)
    if not (wanted.takes_all and (show_deleted or not backend.call_logs.has_deletions)):
        shown = await _those(
            shown,
            lambda found: (
                (show_deleted or backend.call_logs.deleted_s(found) is None)
                and wanted.admits(found, now_s, extensions[found.extension_id])
            ),
        )
    query = call.query
    if query.text("perPage") == "max":
        query = Query(query.with_values({"perPage": str(MAX_PER_PAGE)}))
    account_uri = f"{backend.endpoints.platform_url}/restapi/v1.0/account/{backend.account.account_id}"
    # The time range must not move between pages, so the URIs contain the defaults.
    date_to = query.text("dateTo") or iso_time(now_s)
    date_from = query.text("dateFrom") or iso_time(query.moment("dateTo", now_s) - DAY_S)
    kept = {"dateFrom": date_from, "dateTo": date_to}
    page = make_page(shown, query, f"{account_uri}{place}/call-log", kept)
    body = RecordsBody({"uri": page.uri})
    for found in page.items:
        await body.add(_record(call, writer, found, now_s, detailed=detailed))
    return body.answer({"paging": page.paging, "navigation": page.navigation})


async def _read(call: Call, extension_id: int | None) -> Answer:
    """The record that the path names, or a 207 with several."""
    now_s, detailed = call.backend.account_time(), _detailed(call.query)
    ids, writer = ids_in_path(call.path["call_record_id"], "callRecordId"), call_writer(call)
    await _plan(call)

    def answer(call_id: str) -> Answer:
        found = call.backend.calls.find(extension_id, call_id, now_s)
        if found is None or call.backend.call_logs.deleted_s(found) is not None:
            raise not_found("callRecordId")
        return json_answer(writer.call(found, now_s, detailed=detailed))

    if len(ids) == 1:
        return answer(ids[0])
    base_url = call.backend.endpoints.platform_url + call.target.partition("?")[0].rpartition("/")[0]
    return multi_status(call, outcomes(ids, answer), base_url)


async def _sync(call: Call, extension_id: int | None) -> Answer:
    backend, query, now_s = call.backend, call.query, call.backend.account_time()
    refuse_unplayed(call)
    show_deleted = flag(query, "showDeleted") and query.text("syncType") == "ISync"
    detailed, writer = _detailed(query), call_writer(call)
    kind, missed = _recording_type(query), query.choices("statusGroup", ("Missed", "All")) == {"Missed"}
    await _plan(call)

    def admits(found: SimCall) -> bool:
        return (
            _has_recording(found, now_s, kind)
            and (not missed or found.result in MISSED)
            and (show_deleted or backend.call_logs.deleted_s(found) is None)
        )

    sync_type = query.text("syncType", "FSync")
    match sync_type:
        case "FSync":
            shown = await _newest(query, extension_id, admits, backend.calls, now_s)
        case "ISync":
            since_s = _token_time(call, extension_id)
            shown = await _changed(call, extension_id, admits, now_s, since_s)
        case _:
            raise bad_parameter("syncType", sync_type)
    return json_answer(
        {
            "uri": backend.endpoints.platform_url + call.target,
            "records": [_record(call, writer, found, now_s, detailed=detailed) for found in shown],
            "syncInfo": {
                "syncType": sync_type,
                "syncToken": seal(backend.sync_key, ["calls", extension_id, now_s]),
                "syncTime": iso_time(now_s),
            },
        }
    )


async def _newest(
    query: Query,
    extension_id: int | None,
    admits: Callable[[SimCall], bool],
    book: CallBook,
    now_s: float,
) -> Sequence[SimCall]:
    """The calls of an FSync.

    Raises:
        ApiError: 400, recordCount is missing or above `SYNC_COUNT`, or dateFrom is too far in the past.
    """
    count = _count(query)
    date_from = query.moment("dateFrom", 0.0)
    if query.text("dateFrom") and date_from < now_s - SYNC_REACH_S:
        raise bad_parameter("dateFrom", query.text("dateFrom"))
    return await _those(book.calls(extension_id, now_s, date_from), admits, count)


async def _changed(
    call: Call, extension_id: int | None, admits: Callable[[SimCall], bool], now_s: float, since_s: float
) -> Sequence[SimCall]:
    """The calls of an ISync: all that have changed, and `recordCount` unchanged older ones.

    Raises:
        ApiError: 400 CLG-104, more calls have changed than an answer may hold; the client must start over.
    """
    older_count = _count(call.query) if call.query.text("recordCount") else 0
    logs, book = call.backend.call_logs, call.backend.calls

    def is_changed(found: SimCall) -> bool:
        return logs.modified_s(found, now_s) > since_s and admits(found)

    # Only a deletion or a test changes a record whose call has long ended.
    settled_s = 0.0 if logs.has_deletions else since_s - SETTLED_S
    changed = {
        found.id: found for found in await _those(book.calls(extension_id, now_s, settled_s), is_changed)
    }
    changed |= {
        found.id: found
        for found in book.changed(extension_id)
        if found.appears_s <= now_s and is_changed(found)
    }
    if len(changed) > SYNC_COUNT:
        raise _bad_token("CLG-104")
    shown = sorted(changed.values(), key=lambda found: found.start_s, reverse=True)
    room = min(older_count, SYNC_COUNT - len(changed))
    older = await _those(
        book.calls(extension_id, now_s), lambda found: found.id not in changed and admits(found), room
    )
    return [*shown, *older]


def _count(query: Query) -> int:
    """Parameter recordCount, 1 to `SYNC_COUNT`.

    Raises:
        ApiError: 400, the parameter is missing or out of range.
    """
    value = query.text("recordCount")
    if not (value.isascii() and value.isdecimal() and 1 <= int(value) <= SYNC_COUNT):
        raise bad_parameter("recordCount", value)
    return int(value)


def _token_time(call: Call, extension_id: int | None) -> float:
    """The time for which the sync token of `call` was issued.

    Raises:
        ApiError: 400 CMN-101, the token is missing; CLG-101, it is foreign; CLG-102, it belongs to another
            log; any other of `TOKEN_ERRORS`, it was invalidated.
    """
    token = call.query.text("syncToken")
    if not token:
        raise bad_parameter("syncToken", token)
    try:
        claims = unseal(call.backend.sync_key, token)
    except ValueError:
        raise _bad_token("CLG-101") from None
    if claims[:2] != ["calls", extension_id]:
        raise _bad_token("CLG-102")
    if claims[2] < call.backend.call_logs.reset_s:
        raise _bad_token(call.backend.call_logs.reset_error)
    return float(claims[2])


def _bad_token(code: str) -> ApiError:
    """The refusal of a sync token; the documentation gives CLG-101 to CLG-105 the same text."""
    words = "Parameter [syncToken] is invalid [Sync token expired, call log was reset]"
    return ApiError(400, code, words, parameter="syncToken")


def _record(
    call: Call, writer: CallWriter, found: SimCall, now_s: float, *, detailed: bool
) -> dict[str, Any]:
    """The record of a call, with a mark if it was deleted."""
    record = writer.call(found, now_s, detailed=detailed)
    deleted_s = call.backend.call_logs.deleted_s(found)
    if deleted_s is None:
        return record
    modified_s = call.backend.call_logs.modified_s(found, now_s)
    return {**record, "deleted": True, "lastModifiedTime": iso_time(modified_s)}


def _detailed(query: Query) -> bool:
    """Whether the view is Detailed; the default is Simple.

    Raises:
        ApiError: 400, the view is unknown.
    """
    return query.choices("view", ("Simple", "Detailed")) == {"Detailed"}


def _recording_type(query: Query) -> str:
    """``Automatic``, ``OnDemand``, ``All``, or empty for calls with and without a recording.

    Raises:
        ApiError: 400, recordingType or withRecording has an unknown value.
    """
    kinds = query.choices("recordingType", ("Automatic", "OnDemand", "All"))
    with_recording = query.choices("withRecording", ("true", "false"))
    return next(iter(kinds), "All" if with_recording == {"true"} else "")


def _has_recording(call: SimCall, now_s: float, kind: str) -> bool:
    """Whether `call` has a recording of this kind at `now_s`; True if the filter is empty."""
    recording = call.recording(now_s)
    return not kind or (recording is not None and kind in ("All", recording.type))


def _number(other: Contact | SimExtension | None) -> str:
    """Phone number of the other party; empty if it is withheld."""
    match other:
        case None:
            return ""
        case SimExtension():
            return other.phone_number
        case Contact():
            return other.number


_LOG, _RECORD, _SYNC = "/call-log", "/call-log/{call_record_id}", "/call-log-sync"

OPERATIONS = (
    Operation("readCompanyCallLog", "GET", ACCOUNT_PATH + _LOG, HEAVY, list_company_calls),
    Operation("readUserCallLog", "GET", EXTENSION_PATH + _LOG, HEAVY, list_user_calls),
    Operation("deleteUserCallLog", "DELETE", EXTENSION_PATH + _LOG, HEAVY, delete_user_calls),
    Operation("readCompanyCallRecord", "GET", ACCOUNT_PATH + _RECORD, HEAVY, read_company_call),
    Operation("readUserCallRecord", "GET", EXTENSION_PATH + _RECORD, HEAVY, read_user_call),
    Operation("syncAccountCallLog", "GET", ACCOUNT_PATH + _SYNC, HEAVY, sync_company_calls),
    Operation("syncUserCallLog", "GET", EXTENSION_PATH + _SYNC, HEAVY, sync_user_calls),
)
"""Operations of this module."""
