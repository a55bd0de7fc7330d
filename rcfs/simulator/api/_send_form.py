"""The parts of a request that sends or uploads something, in JSON or multipart, and their checks."""

import json
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from rcfs.simulator._backend import Call
from rcfs.simulator._multipart import Piece, parse
from rcfs.simulator._params import Query
from rcfs.simulator._wire import bad_parameter
from rcfs.simulator.api._bulk import json_object

MAX_MMS_FILES, MAX_MMS_BYTES = 10, 1_500_000
"""Most files of an MMS, and most bytes of them together (description of createSMSMessage)."""

MAX_FAX_BYTES = 50_000_000
"""Most bytes of the files of a fax together (description of createFaxMessage)."""

MAX_COVER_TEXT, COVERS = 1024, 13
"""Longest text of a cover page, and the highest number of one (schema of createFaxMessage)."""

RESOLUTIONS = ("High", "Low")
"""Values of faxResolution."""

MMS_TYPES = frozenset(
    {"image/jpeg", "image/png", "image/bmp", "image/gif", "image/tiff", "image/svg+xml"}
    | {"video/3gpp", "video/mp4", "video/mpeg", "video/msvideo", "audio/mpeg", "audio/amr", "audio/mp4"}
    | {"text/vcard", "application/zip", "application/gzip", "application/rtf"}
)
"""Types of the files of an MMS ("Sending MMS" and "Uploading media content" of the documentation)."""

FAX_TYPES = frozenset(
    {"application/pdf", "application/rtf", "application/msword", "application/vnd.ms-excel"}
    | {"application/vnd.ms-powerpoint", "text/plain", "text/html", "text/csv", "text/rtf", "image/tiff"}
    | {"image/jpeg", "image/png", "image/gif", "image/bmp"}
)
"""Types of the files of a fax, and those that begin with `OFFICE_TYPE`. U: the documentation has no list."""

OFFICE_TYPE = "application/vnd.openxmlformats-officedocument."
"""Beginning of the types of Office documents in XML."""

FAX_SUFFIXES = frozenset(
    {".pdf", ".rtf", ".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx", ".txt", ".htm", ".html", ".csv"}
    | {".tif", ".tiff", ".jpg", ".jpeg", ".png", ".gif", ".bmp"}
)
"""Ends of the names of files that may be faxed whatever their type, as many clients do not know it."""

FORBIDDEN_IN_NAMES = frozenset("&@#$%^*")
"""Characters that the name of a faxed file must not contain."""

FILE_FIELDS = ("attachment", "attachments", "binary")
"""Names of form fields that are files, even if they have no file name."""

Form = dict[str, Any]
"""Fields of a request, from its JSON and its form."""


def read_form(call: Call) -> tuple[Form, list[Piece]]:
    """The fields and the files of a request, in JSON or multipart.

    A part in JSON contains fields, as the official SDKs send them. A part with a file name, without a field
    name, or with one of `FILE_FIELDS`, is a file. Any other part is a field; ``to`` may occur several times.

    Raises:
        ApiError: 400, the body has another form.
    """
    pieces = parse(call.headers.get("content-type", ""), call.body)
    if pieces is None:
        return json_object(call), []
    form: Form = {}
    files = []
    for piece in pieces:
        if piece.content_type == "application/json":
            form |= _object(piece.data)
        elif piece.file_name or not piece.name or piece.name in FILE_FIELDS:
            files.append(piece)
        elif piece.name in ("to", "from"):
            party = {"phoneNumber": piece.data.decode(errors="replace")}
            form[piece.name] = [*form.get("to", []), party] if piece.name == "to" else party
        else:
            form[piece.name] = piece.data.decode(errors="replace")
    return form, files


def _object(data: bytes) -> Form:
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise bad_parameter("body", "")
    return value


def text_of(form: Form, most_units: int) -> str:
    """The text, which may be absent.

    Raises:
        ApiError: 400, it is not a string, or longer than `most_units` units of UTF-16.
    """
    text = form.get("text", "")
    if not isinstance(text, str) or len(text.encode("utf-16-le", "surrogatepass")) > 2 * most_units:
        raise bad_parameter("text", "")
    return text


def entries_of(form: Form, name: str, *, needed: bool) -> list[Any]:
    """The list `name`.

    Raises:
        ApiError: 400, it is not a list, or is empty although `needed`.
    """
    value = form.get(name, [])
    if not isinstance(value, list) or (needed and not value):
        raise bad_parameter(name, "")
    return value


def phone_number(party: Any, name: str) -> str:
    """The number of a party, in E.164.

    Raises:
        ApiError: 400, the party has no number.
    """
    number = party.get("phoneNumber") if isinstance(party, dict) else None
    if not isinstance(number, str) or not (number.isascii() and number.removeprefix("+").isdecimal()):
        raise bad_parameter(name, "")
    return f"+{number.removeprefix('+')}"


def fax_recipient(entry: Any) -> dict[str, str]:
    """A recipient of a fax; the schema has objects, the documentation's examples also have numbers."""
    party = {"phoneNumber": entry} if isinstance(entry, str) else entry
    number = {"phoneNumber": phone_number(party, "to")}
    return number | ({"name": str(party["name"])} if party.get("name") else {})


def fax_options(form: Form) -> dict[str, object]:
    """The fields of a fax request besides recipients and files, as the record shows them.

    Raises:
        ApiError: 400, a value is invalid.
    """
    options: dict[str, object] = {}
    resolution = form.get("faxResolution", "High")
    if resolution not in RESOLUTIONS:
        raise bad_parameter("faxResolution", str(resolution))
    options["faxResolution"] = resolution
    if "coverIndex" in form:
        index = str(form["coverIndex"])
        if not (index.isascii() and index.isdecimal() and int(index) <= COVERS):
            raise bad_parameter("coverIndex", index)
        options["coverIndex"] = int(index)
    if "coverPageText" in form:
        cover = str(form["coverPageText"])
        if len(cover) > MAX_COVER_TEXT:
            raise bad_parameter("coverPageText", "")
        options["coverPageText"] = cover
    if not re.fullmatch("[A-Z]{2}", str(form.get("isoCode", "US"))):
        raise bad_parameter("isoCode", str(form["isoCode"]))
    return options


def send_time(form: Form, now_s: float) -> float:
    """The time at which a fax is to go out, seconds since 1970 UTC; `now_s` for at once.

    Raises:
        ApiError: 400, it is not a time.
    """
    query = Query.of({"sendTime": [str(form.get("sendTime") or "")]})
    return max(now_s, query.moment("sendTime", now_s))


def check_mms_files(files: Sequence[Piece]) -> None:
    """Check the files of an MMS; none is fine.

    Raises:
        ApiError: 400, there are too many, they are too large, or one has another type.
    """
    if len(files) > MAX_MMS_FILES or sum(len(piece.data) for piece in files) > MAX_MMS_BYTES:
        raise bad_parameter("attachments", "")
    for piece in files:
        if piece.content_type not in MMS_TYPES:
            raise bad_parameter("attachments", piece.content_type)


def check_fax_files(files: Sequence[Piece]) -> None:
    """Check the uploaded files of a fax; none is fine.

    Raises:
        ApiError: 400, they are too large, or one has another type or a forbidden character in its name.
    """
    if sum(len(piece.data) for piece in files) > MAX_FAX_BYTES:
        raise bad_parameter("attachment", "")
    for piece in files:
        kind, name = piece.content_type, piece.file_name
        is_known = kind in FAX_TYPES or kind.startswith(OFFICE_TYPE)
        if not is_known and PurePosixPath(name.lower()).suffix not in FAX_SUFFIXES:
            raise bad_parameter("attachment", kind)
        if not FORBIDDEN_IN_NAMES.isdisjoint(name):
            raise bad_parameter("attachment", name)
