"""An account of the simulator whose attachments cost nearly nothing to make: a number, and then zeros."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import attrs

from rcfs.simulator.account._drafts import Draft, Part
from rcfs.simulator.account._plan import ID_STEP, SimMessage
from rcfs.simulator.account._writer import Writer
from rcfs.simulator.media._content import MediaBases


@attrs.frozen
class PlainMedia:
    """The recipe of such an attachment."""

    number: int
    """Makes its bytes differ from those of all others."""
    size_bytes: int
    content_type: str = "audio/x-wav"

    def render(self, _bases: MediaBases) -> bytes:
        """The bytes."""
        return plain_bytes(self.number, self.size_bytes)


def plain_bytes(number: int, size_bytes: int) -> bytes:
    """The bytes of the attachment of a message."""
    return number.to_bytes(8) + bytes(size_bytes - 8)


@contextmanager
def plain_mail(size_bytes: int, every: int = 4) -> Iterator[None]:
    """Until its end, one message in `every` has one attachment, of that size, and the others have none.

    The strange messages of each mailbox have none either.
    """
    draft = Writer.draft

    def plain(self: Writer, message: SimMessage) -> Draft:
        fields = draft(self, message).fields
        if message.fixture is not None or message.id // ID_STEP % every:
            return Draft(fields)
        return Draft(fields, (Part(message.id, "AudioRecording", PlainMedia(message.id, size_bytes)),))

    with patch.object(Writer, "draft", plain):
        yield
