"""The format of a shared content: the name of its object, its header, and its claim. Pure.

An object is a header and then the bytes of one content. The header names the content by a digest, so that an
object that was copied or renamed is not taken for another one, and has a checksum for each MiB of the
content, so that any range can be checked alone. The last part of the header is a checksum of the header
itself, and with it of the whole content.

Until the content is there, its object may be a *claim*: a small text that says that a machine fetches it.

Names are digests of the server, the account and the key. They tell nobody whose contents they are, and
logins of one account use the same names. Contents of one message stand below one prefix.
"""

import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import attrs

from rcfs.errors import StoreError
from rcfs.model import CHUNK_BYTES, AttachmentKey, ContentKey

_CONTENT: Final = b"rcfs content 1\n"
_CLAIM: Final = b"rcfs claim 1\n"
_LENGTH_BYTES: Final = 4
_DIGEST_BYTES: Final = 16
"""Length of a checksum: by accident no two are equal."""
MOST_CONTENT_BYTES: Final = 4 << 30
"""Size of the largest content that is shared, in bytes; its checksums take 64 KiB."""
_MOST_FACTS_BYTES: Final = 4096
_MOST_HEADER_BYTES: Final = (
    len(_CONTENT)
    + _LENGTH_BYTES
    + _MOST_FACTS_BYTES
    + _DIGEST_BYTES * (MOST_CONTENT_BYTES // CHUNK_BYTES + 1)
)
FIRST_BYTES: Final = CHUNK_BYTES + _MOST_HEADER_BYTES
"""Bytes of an object that a look reads: any header, and the whole of nearly every voicemail, fax or MMS."""


class WrongObjectError(StoreError):
    """An object is not the content that its name says, or is damaged."""


@attrs.frozen
class ContentHeader:
    """The header of a content's object."""

    size_bytes: int
    """Size of the content."""
    content_type: str
    """Media type of the content; empty if unknown."""
    digests: tuple[bytes, ...]
    """The checksum of each MiB; the last one may be shorter."""
    length_bytes: int
    """Length of the header: the content begins behind it."""


@attrs.frozen
class ObjectNames:
    """The names of the objects of one account."""

    server_url: str
    """Origin of the platform, so that a simulated account never meets a real one."""

    def account(self, account_id: str) -> str:
        """The prefix of all objects of an account, with a slash at its end."""
        return f"{_name(self.server_url, account_id)}/"

    def message(self, account_id: str, extension_id: int, message_id: int) -> str:
        """The prefix of the contents of one message, with a slash at its end."""
        return f"{self.account(account_id)}{_name(self.server_url, account_id, extension_id, message_id)}/"

    def content(self, key: ContentKey) -> str:
        """The name of a content's object."""
        name = self.identity(key).hex()
        if isinstance(key, AttachmentKey):
            return self.message(key.account_id, key.extension_id, key.message_id) + name
        return f"{self.account(key.account_id)}{name[:2]}/{name}"

    def identity(self, key: ContentKey) -> bytes:
        """The digest that names a content in its header."""
        return _digest(f"{self.server_url} {key}".encode())


def _digest(data: bytes | bytearray | memoryview) -> bytes:
    return blake2b(data, digest_size=_DIGEST_BYTES).digest()


def _name(*parts: str | int) -> str:
    return _digest(" ".join(map(str, parts)).encode()).hex()


def chunk_digest(data: bytes | bytearray | memoryview) -> bytes:
    """The checksum of a MiB of a content."""
    return _digest(data)


def write_header(identity: bytes, size_bytes: int, content_type: str, digests: Sequence[bytes]) -> bytes:
    """The header of a content: `identity` is as in `ObjectNames`, and `digests` has one for each MiB."""
    facts = {"content": identity.hex(), "size": size_bytes, "type": content_type[:200]}
    text = json.dumps(facts).encode()
    header = _CONTENT + len(text).to_bytes(_LENGTH_BYTES) + text + b"".join(digests)
    return header + _digest(header)


def read_header(data: bytes, identity: bytes, object_bytes: int) -> ContentHeader:
    """The header at the beginning of an object.

    Args:
        data: The first bytes of the object, FIRST_BYTES if it has as many.
        identity: The content that it should be.
        object_bytes: Size of the whole object.

    Raises:
        WrongObjectError: It is no content, another one, or damaged.
    """
    at = len(_CONTENT) + _LENGTH_BYTES
    if not data.startswith(_CONTENT) or len(data) < at:
        raise WrongObjectError("it is no content of rcfs")
    facts_end = at + int.from_bytes(data[len(_CONTENT) : at])
    try:
        facts = json.loads(data[at:facts_end])
        content, size_bytes, content_type = facts["content"], facts["size"], facts["type"]
    except (ValueError, TypeError, KeyError, RecursionError) as exc:
        raise WrongObjectError("its header is damaged") from exc
    if type(size_bytes) is not int or not 0 < size_bytes <= MOST_CONTENT_BYTES:
        raise WrongObjectError("its header is damaged")
    digests_end = facts_end + _DIGEST_BYTES * -(-size_bytes // CHUNK_BYTES)
    length_bytes = digests_end + _DIGEST_BYTES
    if len(data) < length_bytes or _digest(data[:digests_end]) != data[digests_end:length_bytes]:
        raise WrongObjectError("its header is damaged")
    if content != identity.hex() or not isinstance(content_type, str):
        raise WrongObjectError("it is another content")
    if object_bytes != length_bytes + size_bytes:
        raise WrongObjectError("it is cut or too long")
    digests = tuple(
        data[start : start + _DIGEST_BYTES] for start in range(facts_end, digests_end, _DIGEST_BYTES)
    )
    return ContentHeader(size_bytes, content_type, digests, length_bytes)


def write_claim(holder: str, turn: int) -> bytes:
    """A claim of the process `holder`; each renewal has another `turn`, so that stores see a change."""
    return _CLAIM + json.dumps({"holder": holder, "turn": turn}).encode()


def is_claim(data: bytes) -> bool:
    """Whether an object with this beginning is a claim."""
    return data.startswith(_CLAIM)


def claim_is_of(data: bytes, holder: str) -> bool:
    """Whether an object is a claim of the process `holder`."""
    return is_claim(data) and json.dumps(holder).encode() in data
