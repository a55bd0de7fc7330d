"""Which files and directories of the tree a filter takes. Pure, apart from reading records."""

import json

from rcfs.model import CALL_LOG, GREETINGS, MAILBOX, PROMPTS, RECORDING, Filter, Leg, call_from, kind_of
from rcfs.tree import (
    CallLogFile,
    CallsDirectory,
    Directory,
    ExportArchiveFile,
    ExtensionDirectory,
    GreetingFile,
    Node,
    RecordingFile,
    RecordingMonthDirectory,
    RecordingsDirectory,
)


def fits(wanted: Filter, node: Node) -> bool:
    """Whether `wanted` takes a file; it may read records.

    A call log is one file a month, so it is taken whole if it has a call that fits.
    """
    if wanted.is_everything:
        return True
    match node:
        case RecordingFile():
            return wanted.fits_recording(_leg_of(wanted, node))
        case GreetingFile():
            return wanted.fits_greetings
        case CallLogFile():
            return _fits_log(wanted, node)
        case ExportArchiveFile():
            return False  # It holds what the filter takes, and all the rest.
        case _:
            return wanted.fits(node.message())


def can_hold(wanted: Filter, name: str, directory: Directory) -> bool:
    """Whether anything that `wanted` takes can be in the directory `name`; reads nothing."""
    if wanted.is_everything or isinstance(directory, ExtensionDirectory):
        return True
    match directory:
        case RecordingsDirectory():
            return RECORDING in wanted.kinds
        case RecordingMonthDirectory():
            return RECORDING in wanted.kinds and wanted.fits_month(name)
        case CallsDirectory():
            return CALL_LOG in wanted.kinds
    kind = None if directory.collection_id is None else kind_of(directory.collection_id)
    if kind in (GREETINGS, PROMPTS):
        return wanted.fits_greetings
    return kind != MAILBOX or wanted.takes_messages


def is_in_mailbox(directory: Directory) -> bool:
    """Whether a directory is part of a mailbox, below the directory of its extension."""
    collection_id = directory.collection_id
    if collection_id is None or isinstance(directory, ExtensionDirectory):
        return False
    return kind_of(collection_id) == MAILBOX


def _leg_of(wanted: Filter, node: RecordingFile) -> Leg:
    if wanted.direction or wanted.party:
        return node.leg()  # It reads the record, which the times of the row need not.
    return Leg(started_s=node.row.started_s, duration_s=node.row.duration_s)


def _fits_log(wanted: Filter, node: CallLogFile) -> bool:
    if CALL_LOG not in wanted.kinds or not wanted.fits_month(node.month):
        return False
    if wanted.fits_whole_months:
        return True
    calls = (call_from(json.loads(record)) for record in node.records()) if node.is_known else ()
    return any(call is not None and wanted.fits_call(call) for call in calls)
