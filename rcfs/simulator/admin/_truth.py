"""The expected contents of recordings, greetings and prompts, for tests to compare with.

They are separate from those of attachments, because their checksums take 4 ms for each megabyte.
"""

import hashlib
from collections.abc import Collection, Iterator

import attrs

from rcfs.simulator._wire import Readable
from rcfs.simulator.account._account import SimAccount
from rcfs.simulator.account._calls import CallBook
from rcfs.simulator.account._greetings import PRESET_PATH, GreetingBook
from rcfs.simulator.account._prompts import PromptBook
from rcfs.simulator.account._records import account_uri

MEDIA_KINDS = ("Recording", "Greeting", "CompanyGreeting", "StandardGreeting", "IvrPrompt")
"""Kinds of media."""

_PIECE_BYTES = 1 << 20
"""Bytes that are generated at once for a checksum."""


@attrs.frozen
class MediaRow:
    """The expected content of a recording, greeting or prompt."""

    kind: str
    """One of `MEDIA_KINDS`."""
    id: int
    """Unique within its kind."""
    extension_id: int | None
    """The owner; None for the company and for presets of the platform."""
    path: str
    """Path of the content, on either origin."""
    content_type: str
    """Media type that it is served with."""
    size_bytes: int
    """Exact size."""
    sha256: str
    """Checksum of the content, hexadecimal."""


def media_truth(
    account: SimAccount,
    calls: CallBook,
    greetings: GreetingBook,
    prompts: PromptBook,
    now_s: float,
    kinds: Collection[str] = MEDIA_KINDS,
) -> Iterator[MediaRow]:
    """Every recording available at `now_s`, newest first, every greeting, and every prompt, of `kinds`."""
    base = account_uri("", account.account_id)
    for recording in calls.recordings(now_s) if "Recording" in kinds else ():
        audio, path = recording.audio, f"{base}/recording/{recording.id}/content"
        yield _row("Recording", recording.id, recording.extension_id, path, audio.content_type, audio)
    for greeting in greetings.customs():
        content, owner = greetings.content(greeting), greeting.extension_id
        kind, place = ("CompanyGreeting", "") if owner is None else ("Greeting", f"/extension/{owner}")
        if content is not None and kind in kinds:
            path = f"{base}{place}/greeting/{greeting.id}/content"
            yield _row(kind, greeting.id, owner, path, content.content_type, content)
    for preset in greetings.presets if "StandardGreeting" in kinds else ():
        content = greetings.content(preset)
        if content is not None:
            path = PRESET_PATH.format(greeting_id=preset.id)
            yield _row("StandardGreeting", preset.id, None, path, content.content_type, content)
    for prompt in prompts.prompts if "IvrPrompt" in kinds else ():
        content, path = prompts.content(prompt), f"{base}/ivr-prompts/{prompt.id}/content"
        yield _row("IvrPrompt", prompt.id, None, path, content.content_type, content)


def _row(
    kind: str, id_: int, extension_id: int | None, path: str, content_type: str, source: Readable
) -> MediaRow:
    digest, size = hashlib.sha256(), source.size_bytes
    for start in range(0, size, _PIECE_BYTES):
        digest.update(source.read(start, min(start + _PIECE_BYTES, size)))
    return MediaRow(kind, id_, extension_id, path, content_type, size, digest.hexdigest())
