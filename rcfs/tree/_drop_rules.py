"""The rules for what people drop into ``Outbox``, and where greetings are."""

from typing import Final

import attrs

from rcfs.model import MOST_FAX_BYTES, MOST_GREETING_BYTES
from rcfs.tree._dropping import DROP_DIRECTORIES


@attrs.frozen
class DropRules:
    """The rules for what people drop."""

    where: str
    """The directory, in words."""
    most_file_bytes: int
    """Largest file: the platform takes no larger one."""
    directories: frozenset[str] | None
    """The directories that take files; None if only existing ones are named."""
    advice: str
    """How a file has to be put there, as part of a sentence."""


OUTBOX_RULES: Final = DropRules(
    "Outbox",
    MOST_FAX_BYTES,
    frozenset(DROP_DIRECTORIES),
    "put the file into Outbox as SMS/+12125557464.txt, SMS/+12125557464/photo.jpg,"
    " Fax/+12125557464/contract.pdf or Page/102.txt",
)
GREETING_RULES: Final = DropRules(
    "Greetings", MOST_GREETING_BYTES, None, "put a WAV or MP3 file into the directory of a rule"
)
