"""Content keys: the identity of the bytes of a content, with one class for each kind of content.

A key knows three things: its path, which is its name in caches, pins, learned sizes and the record of
fetches; where the platform has the bytes; and what a request for them counts for.

A path begins with the account, so that everything of an account can be found and deleted. The kind and its
ids follow. Attachments have the ids alone, as the paths of the first caches do; their first id is a number,
and no kind is. Ids that the platform chose are percent-encoded, so that no two keys have the same path.
"""

from typing import ClassVar, Final
from urllib.parse import quote, unquote

import attrs

from rcfs.model._usage import HEAVY, MEDIUM, UsageGroup

_MOST_ID_BYTES: Final = 128
"""Longest id in a path. The longest known id, of an export, has about 60 bytes; the header of a cached chunk
has room for a path of 440."""


@attrs.frozen
class ContentKey:
    """The identity of a content of one account. The base of all kinds."""

    account_id: str
    """Decimal account id as the server gives it."""

    kind: ClassVar[str] = ""
    """Name of the kind in paths; empty for attachments."""
    operation: ClassVar[str]
    """Name of the request for its bytes: its operationId, if the official description has the operation."""
    group: ClassVar[UsageGroup]
    """Usage plan group that such a request counts for, until an answer names another."""
    _resource: ClassVar[str]
    """Path of the bytes on the server, with the fields of the key in braces."""

    @property
    def resource(self) -> str:
        """Path of the bytes on the server by the API's rules, for records without a URI."""
        return self._resource.format_map(
            {name: _encoded(value) for name, value in attrs.asdict(self).items()}
        )

    def __str__(self) -> str:
        """The path, such as ``230919004/recording/3421234004``."""
        account_id, *ids = map(_encoded, attrs.astuple(self))
        return "/".join((account_id, *filter(None, (self.kind,)), *ids))

    @staticmethod
    def parse(text: str) -> "ContentKey":
        """The key whose ``str`` is `text`.

        Raises:
            ValueError: `text` is not the path of a key.
        """
        account_id, *parts = text.split("/")
        cls = _KINDS.get(parts[0], AttachmentKey) if parts else AttachmentKey
        parts = parts[1:] if cls.kind else parts
        fields = attrs.fields(cls)[1:]
        if len(fields) != len(parts):
            raise ValueError(f"{text!r} is not the path of a content")
        ids = [
            int(part) if field.type is int else unquote(part, errors="surrogatepass")
            for field, part in zip(fields, parts, strict=True)
        ]
        key: ContentKey = cls(account_id, *ids)
        if str(key) != text:
            raise ValueError(f"{text!r} is not the path of a content")
        return key


def _encoded(value: str | int) -> str:
    if isinstance(value, int) or (value.isascii() and value.isalnum()):
        return str(value)
    return quote(value, safe="", errors="surrogatepass")


def is_usable_id(value: str) -> bool:
    """Whether a path can have this id.

    It is not empty, and at most 128 bytes long when percent-encoded. Dots alone would lead to another path on
    the server.
    """
    if value.isascii() and value.isalnum():
        return len(value) <= _MOST_ID_BYTES  # Nearly all ids; a month of calls has a million.
    return value not in ("", ".", "..") and len(_encoded(value[: _MOST_ID_BYTES + 1])) <= _MOST_ID_BYTES


def _check_id(_key: ContentKey, attribute: "attrs.Attribute[str]", value: str) -> None:
    if not is_usable_id(value):
        raise ValueError(f"{value[:_MOST_ID_BYTES]!r} is no {attribute.name}")


_ACCOUNT: Final = "/restapi/v1.0/account/{account_id}"


@attrs.frozen
class AttachmentKey(ContentKey):
    """An attachment of a message."""

    extension_id: int
    """Internal id of the extension that owns the mailbox (not its number)."""
    message_id: int
    """Id of the message."""
    attachment_id: int
    """Id of the attachment, unique only within its message: very old ones are all 1."""

    operation = "readMessageContent"
    group = MEDIUM
    _resource = _ACCOUNT + "/extension/{extension_id}/message-store/{message_id}/content/{attachment_id}"

    def __str__(self) -> str:
        # As of any key, in a fifth of the time: an open asks for it a dozen times, a walk once for each file.
        return f"{_encoded(self.account_id)}/{self.extension_id}/{self.message_id}/{self.attachment_id}"


@attrs.frozen
class RecordingKey(ContentKey):
    """The recording of a call."""

    recording_id: str = attrs.field(validator=_check_id)
    """Id of the recording, unique within the account."""

    kind = "recording"
    operation = "readCallRecordingContent"
    group = HEAVY
    _resource = _ACCOUNT + "/recording/{recording_id}/content"


@attrs.frozen
class GreetingKey(ContentKey):
    """A greeting that an extension has recorded."""

    extension_id: int
    """Internal id of the extension."""
    greeting_id: str = attrs.field(validator=_check_id)
    """Id of the greeting."""

    kind = "greeting"
    operation = "readGreetingContent"
    group = HEAVY
    _resource = _ACCOUNT + "/extension/{extension_id}/greeting/{greeting_id}/content"


@attrs.frozen
class CompanyGreetingKey(ContentKey):
    """A greeting of the whole company."""

    greeting_id: str = attrs.field(validator=_check_id)
    """Id of the greeting."""

    kind = "company-greeting"
    operation = "readAccountGreetingContent"
    group = HEAVY
    _resource = _ACCOUNT + "/greeting/{greeting_id}/content"


@attrs.frozen
class StandardGreetingKey(ContentKey):
    """A preset greeting of the platform's dictionary, the same for all accounts."""

    greeting_id: str = attrs.field(validator=_check_id)
    """Id of the greeting in the dictionary."""

    kind = "standard-greeting"
    operation = "readStandardGreetingContent"
    group = MEDIUM
    _resource = "/mobile/media/greeting/{greeting_id}"


@attrs.frozen
class PromptKey(ContentKey):
    """A prompt of an IVR menu."""

    prompt_id: str = attrs.field(validator=_check_id)
    """Id of the prompt."""

    kind = "prompt"
    operation = "readIVRPromptContent"
    group = HEAVY
    _resource = _ACCOUNT + "/ivr-prompts/{prompt_id}/content"


@attrs.frozen
class ReportKey(ContentKey):
    """An archive of a message store report."""

    task_id: str = attrs.field(validator=_check_id)
    """Id of the report."""
    archive: int
    """Number of the archive in the report, counted from 0."""

    kind = "report"
    operation = "messageStoreReportArchiveContent"
    group = HEAVY
    _resource = _ACCOUNT + "/message-store-report/{task_id}/archive/{archive}"


@attrs.frozen
class DatasetKey(ContentKey):
    """A dataset of an export of team messaging."""

    task_id: str = attrs.field(validator=_check_id)
    """Id of the export."""
    dataset_id: str = attrs.field(validator=_check_id)
    """Id of the dataset in the export."""

    kind = "dataset"
    operation = "dataExportDataset"
    group = MEDIUM
    _resource = "/team-messaging/v1/data-export/{task_id}/datasets/{dataset_id}"


_KINDS: Final[dict[str, type[ContentKey]]] = {
    cls.kind: cls
    for cls in (
        *(RecordingKey, GreetingKey, CompanyGreetingKey, StandardGreetingKey, PromptKey),
        *(ReportKey, DatasetKey),
    )
}
"""The class of each kind that a path names."""

CONTENT_OPERATIONS: Final = frozenset((AttachmentKey.operation, *(cls.operation for cls in _KINDS.values())))
"""The requests for contents."""
