r"""The lines of a call log as CSV (RFC 4180, but with line feeds alone), safe for spreadsheets and for grep.

A line is one call. Line ends and other control characters in a cell become spaces, so that no cell spans
lines and ``grep`` shows whole calls; ``.jsonl`` has the records as they are. A cell that a spreadsheet would
run as a formula gets a leading apostrophe. Numbers with a sign, such as ``+12125557464``, stay as they are.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable

from rcfs.model import RECORDINGS_VIEW, Call, CallContext, Leg, ShelvedRecording, iso_time, one_line
from rcfs.tree._extension_names import COMPANY_DIRECTORY
from rcfs.tree._times import sane

COLUMNS = (
    "time",
    "direction",
    "from_number",
    "from_name",
    "to_number",
    "to_name",
    "extension",
    "result",
    "seconds",
    "type",
    "session_id",
    "recording",
    "message",
)
"""The columns of a call log, by the names in its first line."""

_BETWEEN = " | "
"""Separates the paths of several recordings; no name in the tree holds a ``|``."""

_NUMBER = re.compile(r"[+-][0-9]+(\.[0-9]+)?", re.ASCII)
"""A number with a sign, which a spreadsheet shows and does not run."""


def header_line() -> str:
    """The first line of a call log, with its line feed."""
    return csv_line(COLUMNS)


def call_line(call: Call, whole: Leg, recordings: Iterable[ShelvedRecording], context: CallContext) -> str:
    """The line of `call`, with its line feed.

    Times are in UTC and durations in seconds. ``extension`` is the number of the first extension that the
    record names. Paths are below the root of the mount. A cell is empty if the record does not have the fact.

    Args:
        call: The call.
        whole: Its `whole_of`.
        recordings: Its recordings.
        context: The extensions and messages that the root shows.
    """
    started_s = sane(whole.started_s)
    cells = (
        "" if started_s is None else iso_time(started_s),
        whole.direction,
        whole.sender.number,
        whole.sender.name,
        whole.receiver.number,
        whole.receiver.name,
        "" if whole.extension_id is None else context.numbers.get(whole.extension_id, ""),
        call.result,
        "" if whole.duration_s is None else str(whole.duration_s),
        call.type,
        call.session_id,
        _BETWEEN.join(_recording_path(recording, context) for recording in recordings),
        _message_path(message_of(call, whole), context),
    )
    return csv_line(cells)


def message_of(call: Call, whole: Leg) -> tuple[int, int] | None:
    """(extension id, message id) of the voicemail or fax of a call; None if the record names none.

    `whole` is the `whole_of` of the call.
    """
    for leg in (call.whole, *call.legs):
        owner = whole.extension_id if leg.extension_id is None else leg.extension_id
        if leg.message_id is not None and owner is not None:
            return owner, leg.message_id
    return None


def csv_line(cells: Iterable[str]) -> str:
    """The line of these cells, each made harmless, with its line feed."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(map(harmless, cells))
    return line.getvalue()


def harmless(cell: str) -> str:
    """`cell` without control characters and outer spaces, and so that no spreadsheet runs it as a formula.

    Source: "CSV Injection" of OWASP, which names the first characters ``=``, ``+``, ``-``, ``@``, tab and
    carriage return, and the full-width forms of the first four.
    """
    shown = one_line(cell).strip()
    runs = unicodedata.normalize("NFKC", shown[:1]).startswith(("=", "+", "-", "@"))
    return f"'{shown}" if runs and not _NUMBER.fullmatch(shown) else shown


def _recording_path(recording: ShelvedRecording, context: CallContext) -> str:
    directory = context.directories.get(recording.owner, COMPANY_DIRECTORY)
    return "/".join((directory, RECORDINGS_VIEW, recording.month, recording.name))


def _message_path(found: tuple[int, int] | None, context: CallContext) -> str:
    if found is None:
        return ""
    directory, path = context.directories.get(found[0]), context.message_path(*found)
    return f"{directory}/{path}" if directory and path else ""
