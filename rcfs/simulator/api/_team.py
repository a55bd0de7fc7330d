"""Exports of team messaging: a task, the list of tasks, and their datasets."""

from functools import partial
from typing import Any

from rcfs.simulator._backend import HEAVY, MEDIUM, Call, Operation
from rcfs.simulator._params import Query, iso_time, make_page
from rcfs.simulator._tasks import SUCCESS, ExportTask
from rcfs.simulator._wire import Answer, ApiError, Later, bad_parameter, json_answer
from rcfs.simulator.account._plan import DAY_S
from rcfs.simulator.account._team import TeamExport
from rcfs.simulator.api._reports import archive_content, body_query, create_task, optional_body, poll_task

EXPORT_PATH = "/team-messaging/v1/data-export"
TASK_PATH = EXPORT_PATH + "/{task_id}"

MOST_S = 184 * DAY_S
"""Longest period of one export, in seconds: six of the longest months."""
MOST_CONTACTS = 30
MOST_CHATS = 10
"""Most contacts, and most chats, that one export may name (CreateDataExportTaskRequest)."""
PER_PAGE = "30"
"""Tasks per page by default (parameter perPage of listDataExportTasksNew)."""

STATUSES = ("Accepted", "InProgress", "Completed", "Failed", "Expired")
"""Values of the parameter ``status`` (listDataExportTasksNew)."""


def create_export(call: Call) -> Answer:
    """A new task; only for administrators."""
    _check_admin(call)
    backend, now_s = call.backend, call.backend.account_time()
    body = optional_body(call)
    wanted = body_query(body, ("timeFrom", "timeTo", "chatIds"))
    time_to = wanted.moment("timeTo", now_s)
    time_from = wanted.moment("timeFrom", time_to - DAY_S)  # default of CreateDataExportTaskRequest
    if not 0 <= time_to - time_from <= MOST_S:
        raise bad_parameter("timeFrom", wanted.text("timeFrom"))
    chat_ids, contacts = body.get("chatIds") or [], _contacts(body)
    if len(chat_ids) > MOST_CHATS:
        raise bad_parameter("chatIds", str(len(chat_ids)))
    specific: dict[str, Any] = {"timeFrom": iso_time(time_from), "timeTo": iso_time(time_to)}
    specific |= {"chatIds": chat_ids} if chat_ids else {}
    specific |= {"contacts": contacts} if contacts else {}
    people = {value for contact in contacts for value in contact.values()}
    export = TeamExport(backend.account, specific, time_from, time_to, set(chat_ids), people)
    task = create_task(
        call,
        backend.team_exports,
        str(backend.account.account_id),
        specific,
        partial(export.archives, backend.archive_bytes),
    )
    return json_answer(_record(call, task), status=202)


def list_exports(call: Call) -> Answer:
    """A page of the tasks, newest first, without their datasets."""
    _check_admin(call)
    statuses = call.query.choices("status", STATUSES)
    now_s = call.backend.account_time()
    wanted = [
        task
        for task in call.backend.team_exports.newest_first()
        if not statuses or task.state(now_s)[0] in statuses
    ]
    query = call.query
    if not query.text("perPage"):
        query = Query(query.with_values({"perPage": PER_PAGE}))
    page = make_page(wanted, query, call.backend.endpoints.platform_url + EXPORT_PATH, {})
    tasks = [_record(call, task) for task in page.items]
    return json_answer({"tasks": tasks, "paging": page.paging, "navigation": page.navigation})


def read_export(call: Call) -> Answer | Later:
    """The state of a task, with its datasets once it is finished."""
    _check_admin(call)
    task = poll_task(call, call.backend.team_exports)
    record = _record(call, task)
    if record["status"] != SUCCESS:
        return json_answer(record)
    uri = call.backend.endpoints.media_url + TASK_PATH.format(task_id=task.id)

    def answer() -> Answer:
        datasets = [
            {"id": str(number), "uri": f"{uri}/datasets/{number}", "size": archive.listed_bytes}
            for number, archive in enumerate(task.listed_archives(), 1)
        ]
        return json_answer({**record, "datasets": datasets})

    return Later(answer)


def read_dataset(call: Call) -> Later:
    """One dataset of a finished task."""
    _check_admin(call)
    task = call.backend.team_exports.find_completed(call.path["task_id"], call.backend.account_time())
    return Later(partial(archive_content, task, call.path["dataset_id"], 1, "datasetId"))


def _check_admin(call: Call) -> None:
    """Refuse users who are not administrators, although all have the permission for team messaging.

    Raises:
        ApiError: 403 CMN-408.
    """
    if not call.user.is_admin:
        words = "In order to call this API endpoint, user needs to be an administrator"
        raise ApiError(403, "CMN-408", words, permission="Glip")


def _contacts(body: dict[str, Any]) -> list[dict[str, str]]:
    """The contacts to which an export is restricted.

    Raises:
        ApiError: 400, they are not a list of objects with an id or address, or there are too many.
    """
    contacts = body.get("contacts") or []
    if not isinstance(contacts, list) or len(contacts) > MOST_CONTACTS:
        raise bad_parameter("contacts", str(contacts)[:100])
    known: list[dict[str, str]] = []
    for contact in contacts:
        if not isinstance(contact, dict) or not {"id", "email"}.intersection(contact):
            raise bad_parameter("contacts", str(contact)[:100])
        known.append({name: str(contact[name]) for name in ("id", "email") if name in contact})
    return known


def _record(call: Call, task: ExportTask) -> dict[str, Any]:
    status, since_s = task.state(call.backend.account_time())
    creator = next(e for e in call.backend.account.extensions if e.id == task.extension_id)
    first, _, last = creator.name.partition(" ")
    return {
        "uri": call.backend.endpoints.platform_url + TASK_PATH.format(task_id=task.id),
        "id": task.id,
        "creationTime": iso_time(task.created_s),
        "lastModifiedTime": iso_time(since_s),
        "status": status,
        "creator": {"id": str(creator.id), "firstName": first, "lastName": last},
        "specific": task.wanted,
    }


OPERATIONS = (
    Operation("createDataExportTaskNew", "POST", EXPORT_PATH, HEAVY, create_export),
    Operation("listDataExportTasksNew", "GET", EXPORT_PATH, MEDIUM, list_exports),
    Operation("readDataExportTaskNew", "GET", TASK_PATH, MEDIUM, read_export),
    Operation(
        "dataExportDataset",
        "GET",
        TASK_PATH + "/datasets/{dataset_id}",
        MEDIUM,
        read_dataset,
        gives_content=True,
    ),
)
"""Operations of this module; the documentation has the last one, but the description does not."""
