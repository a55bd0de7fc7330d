"""Message store reports: a task, its state, the list of its archives, and the archives."""

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import urlencode

from rcfs.simulator._backend import ACCOUNT_PATH, HEAVY, Call, Operation
from rcfs.simulator._params import Query, iso_time
from rcfs.simulator._tasks import FINAL, MOST_AT_ONCE, ExportTask, Make, TaskBook
from rcfs.simulator._wire import Answer, ApiError, Later, Whole, bad_parameter, json_answer, not_found
from rcfs.simulator.account._plan import DAY_S
from rcfs.simulator.account._records import account_uri
from rcfs.simulator.account._reports import Report
from rcfs.simulator.api._bulk import json_object

REPORT_PATH = ACCOUNT_PATH + "/message-store-report"
TASK_PATH = REPORT_PATH + "/{task_id}"

MESSAGE_TYPES = ("Fax", "SMS", "VoiceMail", "Pager")


def create_report(call: Call) -> Answer:
    """A new task, which reports on the present state of the store."""
    call.check_account()
    backend, now_s = call.backend, call.backend.account_time()
    wanted = body_query(optional_body(call), ("dateFrom", "dateTo", "messageTypes"))
    date_to = wanted.moment("dateTo", now_s)
    date_from = wanted.moment("dateFrom", date_to - DAY_S)  # default of CreateMessageStoreReportRequest
    if date_from > date_to:
        raise bad_parameter("dateFrom", wanted.text("dateFrom"))
    types = wanted.choices("messageTypes", MESSAGE_TYPES)
    for extension in backend.account.extensions:
        backend.messages.settle(extension.id, now_s)
    urls = (backend.endpoints.platform_url, backend.endpoints.media_url)
    report = Report.of(backend.account, urls, date_from, date_to, types)
    task = create_task(
        call,
        backend.reports,
        f"{backend.account.account_id}-{call.user.id}",
        {"dateFrom": iso_time(date_from), "dateTo": iso_time(date_to)}
        | ({"messageTypes": sorted(types)} if types else {}),
        partial(report.archives, backend.archive_bytes),
    )
    return json_answer(_record(call, task), status=202)


def read_report(call: Call) -> Answer:
    """The state of a task."""
    call.check_account()
    return json_answer(_record(call, poll_task(call, call.backend.reports)))


def list_archives(call: Call) -> Later:
    """The archives of a finished task, with their sizes."""
    task = _completed(call)
    uri = f"{_uri(call, task)}/archive"

    def answer() -> Answer:
        sizes = [archive.listed_bytes for archive in task.listed_archives()]
        return json_answer(
            {"records": [{"size": size, "uri": f"{uri}/{number}"} for number, size in enumerate(sizes)]}
        )

    return Later(answer)


def read_archive(call: Call) -> Later:
    """One archive of a finished task."""
    task, number = _completed(call), call.path["archive_id"]
    return Later(partial(archive_content, task, number, 0, "archiveId"))


def create_task(call: Call, book: TaskBook, prefix: str, wanted: Mapping[str, Any], make: Make) -> ExportTask:
    """A new task in `book`, see `TaskBook.create`; the journal notes that there were too many.

    Raises:
        ApiError: 400, too many tasks are unfinished.
    """
    try:
        return book.create(prefix, call.user.id, call.backend.account_time(), wanted, make)
    except ApiError:
        call.violation = f"more than {MOST_AT_ONCE} tasks"
        raise


def poll_task(call: Call, book: TaskBook) -> ExportTask:
    """The task that the path names, whose state `call` asks for.

    Raises:
        ApiError: 404, no such task exists.
    """
    now_s = call.backend.account_time()
    task = book.find(call.path["task_id"], now_s)
    call.violation = task.note_poll(call.backend.clock(), now_s)
    return task


def archive_content(task: ExportTask, number: str, first: int, parameter: str) -> Whole:
    """The archive of `task` with the given `number`; `first` is the number of the first one.

    Raises:
        ApiError: 404, no such archive exists; the refusal names `parameter`.
    """
    archives = task.archives()
    for place, archive in enumerate(archives, first):
        if str(place) == number:
            return Whole({"Content-Type": "application/zip"}, archive)
    raise not_found(parameter)


def optional_body(call: Call) -> dict[str, Any]:
    """The object in the body of `call`; an empty body is an empty object.

    Raises:
        ApiError: 400 CMN-101, the body is not empty and not a JSON object.
    """
    return json_object(call) if call.body else {}


def body_query(body: dict[str, Any], names: tuple[str, ...]) -> Query:
    """The fields `names` of a body, strings and lists of strings, in the form of a query.

    Raises:
        ApiError: 400, a field has another type.
    """
    fields: dict[str, list[str]] = {}
    for name in names:
        value = body.get(name)
        values = value if isinstance(value, list) else [] if value is None else [value]
        if not all(isinstance(text, str) for text in values):
            raise bad_parameter(name, str(value))
        fields[name] = values
    return Query(urlencode(fields, doseq=True))


def _completed(call: Call) -> ExportTask:
    """The completed task that the path names.

    Raises:
        ApiError: 404, no such task exists, or it has no archives.
    """
    call.check_account()
    return call.backend.reports.find_completed(call.path["task_id"], call.backend.account_time())


def _uri(call: Call, task: ExportTask) -> str:
    base = account_uri(call.backend.endpoints.platform_url, call.backend.account.account_id)
    return f"{base}/message-store-report/{task.id}"


def _record(call: Call, task: ExportTask) -> dict[str, Any]:
    status, since_s = task.state(call.backend.account_time())
    record = {
        "uri": _uri(call, task),
        "id": task.id,
        "status": status,
        "accountId": str(call.backend.account.account_id),
        "extensionId": str(task.extension_id),
        "startTime": iso_time(task.created_s),
        **task.wanted,
    }
    return record | ({"finishTime": iso_time(since_s)} if status in FINAL else {})


OPERATIONS = (
    Operation("createMessageStoreReport", "POST", REPORT_PATH, HEAVY, create_report),
    Operation("readMessageStoreReportTask", "GET", TASK_PATH, HEAVY, read_report),
    Operation("readMessageStoreReportArchive", "GET", TASK_PATH + "/archive", HEAVY, list_archives),
    Operation(
        "messageStoreReportArchiveContent",
        "GET",
        TASK_PATH + "/archive/{archive_id}",
        HEAVY,
        read_archive,
        gives_content=True,
    ),
)
"""Operations of this module; the documentation has the last one, but the description does not."""
