"""The requests about exports, and their answers: message store reports, and exports of team messaging.

Source: the operations and schemas of the official description; "Message Store Exports" and "Team Messaging
Compliance Exports" of the API's documentation. No request cancels an export, and none lists reports.
"""

from collections.abc import Callable, Iterator, Sequence
from types import MappingProxyType
from urllib.parse import quote

import attrs

from rcfs.errors import BadRequestError, PlatformError, ServerError
from rcfs.model import (
    HEAVY,
    MEDIUM,
    DatasetKey,
    ExportArchive,
    ExportKind,
    ExportQuery,
    ExportState,
    Record,
    ReportKey,
    id_field,
    object_field,
    objects,
    parse_time,
    size_field,
    text_field,
    uri_field,
)
from rcfs.platform._pages import records_of
from rcfs.platform._requests import Request, json_body, wire_time

_MOST_ARCHIVES = 10_000
"""Archives of one export that rcfs keeps, at most: ten terabytes of messages."""

_REPORTS = "/restapi/v1.0/account/~/message-store-report"
_TEAM = "/team-messaging/v1/data-export"
_TASKS_PER_PAGE = "250"
"""Largest page of the list of team messaging exports."""
_STATES = MappingProxyType(
    {
        state.value.lower(): state
        for state in ExportState
        if state not in (ExportState.WAITING, ExportState.ASKED)
    }
    | {"canceled": ExportState.CANCELLED}
)
_WRONG_PARAMETER = frozenset({"CMN-101", "CMN-102", "CMN-103", "CMN-104", "CMN-106"})
"""Codes that blame a parameter of the request. Source: "Error handling" of the API's documentation."""
_SAME_TIME_S = 1.0
"""Difference up to which two times are the same, in seconds: an answer may lack the milliseconds."""


@attrs.frozen
class ExportAnswer:
    """A task as the platform shows it."""

    task_id: str
    """Its id; empty if it has none that a path can have."""
    state: ExportState | None
    """Its state; None for a word that rcfs does not know."""
    word: str
    """The platform's word for the state."""
    begun_s: float | None
    """When it was created, in seconds since 1970 UTC; None if the answer does not tell."""
    changed_s: float | None
    """When it ended or changed last, likewise."""
    document: Record = attrs.field(repr=False)
    """The answer."""


def create_export(query: ExportQuery, until_s: float) -> Request:
    """Asks for an export; `until_s` (seconds since 1970 UTC) is the end of its period, included.

    The answer is an `ExportAnswer`. The platform starts another task whenever it is sent again.
    """
    begin, end = wire_time(query.from_s), wire_time(until_s)
    if query.kind is ExportKind.MESSAGES:
        types = {"messageTypes": list(query.types)} if query.types else {}
        body = json_body({"dateFrom": begin, "dateTo": end, **types})
        return Request("createMessageStoreReport", HEAVY, _REPORTS, method="POST", body=body)
    contacts = [{"email" if "@" in each else "id": each} for each in query.contacts]
    wanted = {"contacts": contacts, "chatIds": list(query.chats)}
    body = json_body(
        {"timeFrom": begin, "timeTo": end, **{name: each for name, each in wanted.items() if each}}
    )
    return Request("createDataExportTaskNew", HEAVY, _TEAM, method="POST", body=body)


def read_export(kind: ExportKind, task_id: str) -> Request:
    """The task with this id, as an `ExportAnswer`; that of a team messaging export has its datasets."""
    if kind is ExportKind.MESSAGES:
        return Request("readMessageStoreReportTask", HEAVY, f"{_REPORTS}/{quote(task_id, safe='')}")
    return Request("readDataExportTaskNew", MEDIUM, f"{_TEAM}/{quote(task_id, safe='')}")


def list_report_archives(task_id: str) -> Request:
    """The archives of a completed report, for `report_archives`."""
    return Request("readMessageStoreReportArchive", HEAVY, f"{_REPORTS}/{quote(task_id, safe='')}/archive")


def list_team_exports() -> Request:
    """The first page of the team messaging exports of the account, for `team_exports`."""
    return Request("listDataExportTasksNew", MEDIUM, _TEAM, (("perPage", _TASKS_PER_PAGE), ("page", "1")))


def export_answer(document: Record) -> ExportAnswer:
    """The task in an answer; any field may be missing or odd."""
    word = text_field(document, "status", 100)
    begun_s = parse_time(document.get("startTime", document.get("creationTime")))
    changed_s = parse_time(document.get("finishTime", document.get("lastModifiedTime")))
    return ExportAnswer(
        id_field(document), _STATES.get(word.strip().lower()), word, begun_s, changed_s, document
    )


def new_export(document: Record) -> ExportAnswer:
    """The task in the answer to `create_export`.

    Raises:
        ServerError: It has no usable id, so nothing can be asked about it.
    """
    answer = export_answer(document)
    if not answer.task_id:
        raise ServerError("the platform's answer to the request for an export has no usable id")
    return answer


def team_exports(document: Record) -> Sequence[ExportAnswer]:
    """The tasks in a page of the list of team messaging exports.

    Raises:
        ServerError: The page has no such list.
    """
    if not isinstance(document.get("tasks"), list):
        raise ServerError("the platform's list of exports has no tasks")
    return [export_answer(task) for task in objects(document["tasks"])]


def is_for(answer: ExportAnswer, query: ExportQuery, until_s: float) -> bool:
    """Whether a team messaging export holds what `create_export` with the same arguments asks for."""
    wanted = object_field(answer.document, "specific")
    contacts = [
        text_field(each, "email") or text_field(each, "id") for each in objects(wanted.get("contacts"))
    ]
    chats = wanted.get("chatIds")
    return (
        _is_same_time(wanted.get("timeFrom"), query.from_s)
        and _is_same_time(wanted.get("timeTo"), until_s)
        and sorted(contacts) == list(query.contacts)
        and sorted(map(str, chats if isinstance(chats, list) else ())) == list(query.chats)
    )


def _is_same_time(text: object, moment_s: float) -> bool:
    told_s = parse_time(text)
    return told_s is not None and abs(told_s - moment_s) <= _SAME_TIME_S


def report_archives(
    document: Record, account_id: str, task_id: str, may_see_token: Callable[[str], bool]
) -> tuple[ExportArchive, ...]:
    """The archives in the answer to `list_report_archives`, without records that name none.

    A URI counts only if its host `may_see_token`; the number of an archive is the end of its URI, else its
    place in the list.

    Raises:
        ServerError: The answer has no list.
    """

    def found() -> Iterator[tuple[int, Record]]:
        for place, record in enumerate(records_of(document)):
            last = uri_field(record).partition("?")[0].rstrip("/").rpartition("/")[2]
            is_number = last.isascii() and last.isdecimal() and len(last) <= len(str(_MOST_ARCHIVES))
            yield int(last) if is_number else place, record

    archives: dict[int, ExportArchive] = {}
    for number, record in found():
        key = ReportKey(account_id, task_id, number)
        archives.setdefault(number, _archive(number, key, record, may_see_token))
    return tuple(archives[number] for number in sorted(archives)[:_MOST_ARCHIVES])


def team_archives(
    answer: ExportAnswer, account_id: str, task_id: str, may_see_token: Callable[[str], bool]
) -> tuple[ExportArchive, ...]:
    """The datasets of a completed export of team messaging, numbered in their order, each id once.

    Datasets without a usable id are left out; for URIs see `report_archives`.
    """
    datasets: dict[str, Record] = {}
    for record in objects(answer.document.get("datasets")):
        dataset_id = id_field(record)
        if dataset_id:
            datasets.setdefault(dataset_id, record)
    return tuple(
        _archive(number, DatasetKey(account_id, task_id, dataset_id), record, may_see_token)
        for number, (dataset_id, record) in enumerate(datasets.items())
        if number < _MOST_ARCHIVES
    )


def is_wrong_request(error: PlatformError) -> bool:
    """Whether the platform refused an export for good, and not because too many others are unfinished.

    The code for too many is not documented, so each refusal with 400 that blames no parameter counts as that.
    """
    return not isinstance(error, BadRequestError) or error.code in _WRONG_PARAMETER


def _archive(
    number: int, key: ReportKey | DatasetKey, record: Record, may_see_token: Callable[[str], bool]
) -> ExportArchive:
    uri = uri_field(record)
    return ExportArchive(number, key, size_field(record.get("size")), uri if may_see_token(uri) else "")
