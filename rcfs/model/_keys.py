"""What identifies the bytes of a content: one class of keys for each kind of content.

A key knows its path, which is what caches, pins, learned sizes and the record of fetches call it; where the
platform has the bytes; and what a request for them counts for. Nothing else does.

A path begins with the account, so that all of an account can be found and forgotten. Then comes the kind and
its ids; for an attachment the ids alone, as caches have had them from the beginning: its first one is a
number, and no kind is called by one. An id that the platform chose is percent-encoded, so that no path is two
keys, whatever the id.
"""

from typing import ClassVar, Final
from urllib.parse import quote, unquote

import attrs

from rcfs.model._usage import HEAVY, MEDIUM, UsageGroup

_MOST_ID_BYTES: Final = 128
"""Length of an id in a path: the longest that is known, of an export, has about 60; the header of a cached
chunk has room for a path of 440 bytes."""


@attrs.frozen
class ContentKey:
    """Which content of which account; the identity of cached bytes. The base of all kinds."""

    account_id: str
    """Decimal account id as the server gives it."""

    operation: ClassVar[str]
    """What the request for its bytes is called: its operationId, where the official description has it."""
    group: ClassVar[UsageGroup]
    """Usage plan group that such a request counts for, until an answer says otherwise."""

    @property
    def resource(self) -> str:
        """Path on the server where the bytes are by the API's rules, for want of a URI in a record."""
        raise NotImplementedError

    def __str__(self) -> str:
        """The path, such as ``230919004/recording/3421234004``."""
        _account_id, *ids = (getattr(self, field.name) for field in attrs.fields(type(self)))
        return "/".join((self.account_id, _KIND_OF[type(self)], *map(_encoded, ids)))

    @staticmethod
    def parse(text: str) -> "ContentKey":
        """The key whose ``str`` is `text`.

        Raises:
            ValueError: There is no such key.
        """
        account_id, *rest = text.split("/")
        if rest and rest[0] in _KINDS:
            cls = _KINDS[rest[0]]
            fields = attrs.fields(cls)[1:]
            if len(fields) != len(rest) - 1:
                raise ValueError(f"{text!r} is no key of a {rest[0]}")
            ids = [
                int(part) if field.type is int else unquote(part, errors="surrogatepass")
                for field, part in zip(fields, rest[1:], strict=True)
            ]
            key: ContentKey = cls(account_id, *ids)
        else:
            extension, message, attachment = rest
            key = AttachmentKey(account_id, int(extension), int(message), int(attachment))
        if str(key) != text:
            raise ValueError(f"{text!r} is not how a key is written")
        return key


def _encoded(value: str | int) -> str:
    return str(value) if isinstance(value, int) else quote(value, safe="", errors="surrogatepass")


def _check_id(_key: ContentKey, attribute: "attrs.Attribute[str]", value: str) -> None:
    # Dots would be another path on the server.
    if value in ("", ".", "..") or len(_encoded(value)) > _MOST_ID_BYTES:
        raise ValueError(f"{value[:_MOST_ID_BYTES]!r} is no {attribute.name}")


@attrs.frozen
class AttachmentKey(ContentKey):
    """An attachment of a message.

    An attachment id is unique only within its message: very old ones are all 1.
    """

    extension_id: int
    """Internal id of the extension that owns the mailbox (not its number)."""
    message_id: int
    """Id of the message."""
    attachment_id: int
    """Id of the attachment within its message."""

    operation = "readMessageContent"
    group = MEDIUM

    @property
    def resource(self) -> str:
        return (
            f"{_account(self)}/extension/{self.extension_id}"
            f"/message-store/{self.message_id}/content/{self.attachment_id}"
        )

    def __str__(self) -> str:
        """The path as ``account/extension/message/attachment``, all decimal."""
        return f"{self.account_id}/{self.extension_id}/{self.message_id}/{self.attachment_id}"


@attrs.frozen
class RecordingKey(ContentKey):
    """The recording of a call."""

    recording_id: str = attrs.field(validator=_check_id)
    """Id of the recording, unique within the account."""

    operation = "readCallRecordingContent"
    group = HEAVY

    @property
    def resource(self) -> str:
        return f"{_account(self)}/recording/{_encoded(self.recording_id)}/content"


@attrs.frozen
class GreetingKey(ContentKey):
    """A greeting that an extension has recorded."""

    extension_id: int
    """Internal id of the extension."""
    greeting_id: str = attrs.field(validator=_check_id)
    """Id of the greeting."""

    operation = "readGreetingContent"
    group = HEAVY

    @property
    def resource(self) -> str:
        return f"{_account(self)}/extension/{self.extension_id}/greeting/{_encoded(self.greeting_id)}/content"


@attrs.frozen
class CompanyGreetingKey(ContentKey):
    """A greeting of the whole company."""

    greeting_id: str = attrs.field(validator=_check_id)
    """Id of the greeting."""

    operation = "readAccountGreetingContent"
    group = HEAVY

    @property
    def resource(self) -> str:
        return f"{_account(self)}/greeting/{_encoded(self.greeting_id)}/content"


@attrs.frozen
class PromptKey(ContentKey):
    """A prompt of an IVR menu."""

    prompt_id: str = attrs.field(validator=_check_id)
    """Id of the prompt."""

    operation = "readIVRPromptContent"
    group = HEAVY

    @property
    def resource(self) -> str:
        return f"{_account(self)}/ivr-prompts/{_encoded(self.prompt_id)}/content"


@attrs.frozen
class ReportKey(ContentKey):
    """An archive of a message store report."""

    task_id: str = attrs.field(validator=_check_id)
    """Id of the report."""
    archive: int
    """Number of the archive in the report, from 0 on."""

    operation = "messageStoreReportArchiveContent"
    group = HEAVY

    @property
    def resource(self) -> str:
        return f"{_account(self)}/message-store-report/{_encoded(self.task_id)}/archive/{self.archive}"


@attrs.frozen
class DatasetKey(ContentKey):
    """A dataset of an export of team messaging."""

    task_id: str = attrs.field(validator=_check_id)
    """Id of the export."""
    dataset_id: str = attrs.field(validator=_check_id)
    """Id of the dataset in the export."""

    operation = "dataExportDataset"
    group = MEDIUM

    @property
    def resource(self) -> str:
        return f"/team-messaging/v1/data-export/{_encoded(self.task_id)}/datasets/{_encoded(self.dataset_id)}"


def _account(key: ContentKey) -> str:
    return f"/restapi/v1.0/account/{key.account_id}"


_KINDS: Final[dict[str, type[ContentKey]]] = {
    "recording": RecordingKey,
    "greeting": GreetingKey,
    "company-greeting": CompanyGreetingKey,
    "prompt": PromptKey,
    "report": ReportKey,
    "dataset": DatasetKey,
}
"""What each kind is called in a path."""
_KIND_OF: Final = {cls: kind for kind, cls in _KINDS.items()}
