"""The requests about calls, greetings and prompts, the answers to call log syncs, and the refusals of both.

Source: the operations of the official description and their ``x-throttling-group``; for prompts, which it
lacks, the documentation of the official SDKs.
"""

from collections.abc import Sequence
from urllib.parse import quote

import attrs

from rcfs.errors import PlatformError
from rcfs.model import HEAVY, LIGHT, MEDIUM, Record, is_usable_id, object_field, parse_time, text_field
from rcfs.platform._pages import SYNC_TOKEN_LETTERS, records_of
from rcfs.platform._requests import LIST_PAGE, Request, wire_time

MOST_SYNCED_CALLS = 250
"""Most calls in the answer to a call log sync. Source: schema CallLogSyncResponse."""
CALL_SYNC_REACH_S = 30 * 86_400
"""Greatest age of ``dateFrom`` in a call log sync, in seconds. Source: syncAccountCallLog."""

_ACCOUNT = "/restapi/v1.0/account/~"
_DETAILED = ("view", "Detailed")
_WHOLE_PAGE = ("perPage", str(LIST_PAGE))


def list_calls(extension_id: int | None, since_s: float, until_s: float | None = None) -> Request:
    """The first page of the calls that began in a period, newest first, with their legs.

    Args:
        extension_id: Whose calls; None for those of the whole account.
        since_s: Begin of the period, in seconds since 1970 UTC; without one, the server assumes 24 hours.
        until_s: End of the period, included, likewise; None for the server's present time. The URLs of the
            next pages keep it.
    """
    end = () if until_s is None else (("dateTo", wire_time(until_s)),)
    params = (_DETAILED, ("dateFrom", wire_time(since_s)), *end, _WHOLE_PAGE, ("page", "1"))
    operation = "readCompanyCallLog" if extension_id is None else "readUserCallLog"
    return Request(operation, HEAVY, f"{_owner(extension_id)}/call-log", params)


def sync_calls(extension_id: int | None, *, token: str = "", since_s: float | None = None) -> Request:
    """The changes of a call log since `token`, deletions included; without a token, the newest calls.

    Args:
        extension_id: Whose calls; None for those of the whole account.
        token: Token of an earlier answer for the same log; empty for none.
        since_s: Without a token, the begin of the period, in seconds since 1970 UTC, at most
            `CALL_SYNC_REACH_S` ago; None for no begin.
    """
    if token:
        params: tuple[tuple[str, str], ...] = (
            ("syncType", "ISync"),
            ("syncToken", token),
            ("showDeleted", "true"),
        )
    else:
        begin = () if since_s is None else (("dateFrom", wire_time(since_s)),)
        params = (("syncType", "FSync"), ("recordCount", str(MOST_SYNCED_CALLS)), *begin)
    operation = "syncAccountCallLog" if extension_id is None else "syncUserCallLog"
    return Request(operation, HEAVY, f"{_owner(extension_id)}/call-log-sync", (*params, _DETAILED))


@attrs.frozen
class CallSyncAnswer:
    """The result of a sync of a call log."""

    records: Sequence[Record]
    """Records of calls; those that were deleted have ``deleted``."""
    token: str
    """Token for the next sync; empty if the answer has none."""
    synced_s: float | None
    """The server's time of the sync, in seconds since 1970 UTC; None when absent."""
    is_complete: bool
    """Whether the records are all that were asked for; False if the server may have more, as a full sync
    brings no more than the newest `MOST_SYNCED_CALLS`."""


def call_sync_answer(document: Record) -> CallSyncAnswer:
    """The answer to a sync of a call log.

    Raises:
        ServerError: It has no records.
    """
    info, records = object_field(document, "syncInfo"), records_of(document)
    return CallSyncAnswer(
        records=records,
        token=text_field(info, "syncToken", SYNC_TOKEN_LETTERS),
        synced_s=parse_time(info.get("syncTime")),
        # Instead of a cut answer, an incremental sync is refused.
        is_complete=info.get("syncType") == "ISync" or len(document["records"]) < MOST_SYNCED_CALLS,
    )


def list_answering_rules(extension_id: int | None) -> Request:
    """The first page of an extension's answering rules; None for the company's, without greetings."""
    if extension_id is None:
        return Request("listCompanyAnsweringRules", MEDIUM, f"{_ACCOUNT}/answering-rule", (_WHOLE_PAGE,))
    path = f"{_owner(extension_id)}/answering-rule"
    return Request("listAnsweringRules", MEDIUM, path, (_DETAILED, _WHOLE_PAGE))


def read_company_rule(rule_id: str) -> Request:
    """One answering rule of the company, with its greetings.

    Raises:
        ValueError: No path can have this id.
    """
    return Request("readCompanyAnsweringRule", LIGHT, f"{_ACCOUNT}/answering-rule/{_segment(rule_id)}")


def read_greeting(extension_id: int, greeting_id: str) -> Request:
    """The record of a greeting that an extension has recorded, which has the media type of its content.

    Raises:
        ValueError: No path can have this id.
    """
    path = f"{_owner(extension_id)}/greeting/{_segment(greeting_id)}"
    return Request("readCustomGreeting", MEDIUM, path)


def list_prompts() -> Request:
    """The first page of the company's IVR prompts."""
    return Request("listIVRPrompts", MEDIUM, f"{_ACCOUNT}/ivr-prompts", (_WHOLE_PAGE,))


def list_standard_greetings() -> Request:
    """The first page of the platform's dictionary of greetings."""
    return Request("listStandardGreetings", MEDIUM, "/restapi/v1.0/dictionary/greeting", (_WHOLE_PAGE,))


def is_call_token_invalid(error: PlatformError) -> bool:
    """Whether the server refused an incremental sync of a call log, so that the client must start over.

    Its token is unknown or has expired, the log was reset, or more than `MOST_SYNCED_CALLS` calls have
    changed. Source: the documentation of call-log-sync names CLG-101 to CLG-105. CMN-101, a wrong parameter,
    counts too, since such a sync has no other parameter that could be wrong.
    """
    return error.code in ("CLG-101", "CLG-102", "CLG-103", "CLG-104", "CLG-105", "CMN-101")


def is_no_feature(error: PlatformError) -> bool:
    """Whether the platform has no such thing for an extension of this type (CMN-403)."""
    return error.code == "CMN-403"


def is_missing_scope(error: PlatformError) -> bool:
    """Whether the app of the login lacks a scope, such as ReadCallLog (CMN-401)."""
    return error.code == "CMN-401"


def is_new_call_handling(error: PlatformError) -> bool:
    """Whether the account has new call handling, and so no answering rules of extensions (CMN-468)."""
    return error.code == "CMN-468"


def _owner(extension_id: int | None) -> str:
    return _ACCOUNT if extension_id is None else f"{_ACCOUNT}/extension/{extension_id}"


def _segment(text: str) -> str:
    if not is_usable_id(text):
        raise ValueError("no path can have this id")
    return quote(text, safe="")
