"""Bodies of several parts: ``multipart/mixed`` and ``multipart/form-data``, as they come and as they go."""

import uuid
from collections.abc import Iterable
from email.parser import BytesParser
from email.policy import HTTP

import attrs


@attrs.frozen
class Piece:
    """One part of a multipart body."""

    content_type: str
    """Media type without parameters, in lower case."""
    data: bytes
    """Its bytes."""
    name: str = ""
    """Name of the form field; empty when it has none."""
    file_name: str = ""
    """File name as the client gave it; empty when it gave none."""


def parse(content_type: str, body: bytes) -> list[Piece] | None:
    """The parts of `body`; None when `content_type` is no multipart type, or the body is not well-formed.

    Source: RFC 2046, 5.1; RFC 7578.
    """
    head = b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n"
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    if not message.is_multipart() or message.defects:
        return None
    return [
        Piece(
            content_type=part.get_content_type(),
            data=_bytes(part.get_payload(decode=True)),
            name=str(part.get_param("name", "", "content-disposition")),
            file_name=part.get_filename("") or "",
        )
        for part in message.iter_parts()
    ]


def mixed(parts: Iterable[bytes]) -> tuple[str, bytes]:
    """The content type and the body of a ``multipart/mixed`` with `parts`, each of them JSON or empty."""
    boundary = f"Boundary_{uuid.uuid4().hex}"
    head = f"--{boundary}\r\nContent-Type: application/json\r\n\r\n".encode()
    body = b"".join(head + part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()
    return f"multipart/mixed; boundary={boundary}", body


def _bytes(payload: object) -> bytes:
    return payload if isinstance(payload, bytes) else b""
