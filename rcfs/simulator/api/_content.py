"""Contents of attachments."""

import re

from rcfs.simulator._backend import MEDIUM, Call, Operation
from rcfs.simulator._wire import Whole, bad_parameter, not_found
from rcfs.simulator.api._messages import STORE_PATH, find_message

CONTENT_OPERATION = "readMessageContent"
"""``operationId`` of an attachment's content."""

_UNSAFE_IN_NAME = re.compile(r"[\x00-\x1f\x7f;]")
"""Characters that an unquoted file name in a header must not contain."""


def read_content(call: Call) -> Whole:
    """The content of an attachment."""
    extension = call.mailbox()
    message = find_message(call, extension.id)
    attachment = call.path["attachment_id"]
    if not (attachment.isascii() and attachment.isdecimal()):
        raise bad_parameter("attachmentId", attachment)
    content = call.backend.account.content(extension.id, message.id, int(attachment))
    if content is None:
        raise not_found("attachmentId")
    return Whole({"Content-Type": content.content_type} | disposition(call, content.file_name), content)


def disposition(call: Call, file_name: str | None) -> dict[str, str]:
    """The Content-Disposition header for the query; the platform does not quote the name.

    Args:
        call: The request.
        file_name: Default name of the content; None for no name.

    Raises:
        ApiError: 400, contentDisposition is neither Inline nor Attachment.
    """
    for kind in call.query.choices("contentDisposition", ("Inline", "Attachment")):
        name = _UNSAFE_IN_NAME.sub("_", call.query.words("contentDispositionFilename", file_name or ""))
        return {"Content-Disposition": f"{kind.lower()};filename={name}" if name else kind.lower()}
    return {}


OPERATIONS = (
    Operation(
        CONTENT_OPERATION,
        "GET",
        STORE_PATH + "/{message_id}/content/{attachment_id}",
        MEDIUM,
        read_content,
        gives_content=True,
    ),
)
"""Operations of this module."""
