"""Calls, their legs and recordings, as the API's records have them, and how the index stores them.

Any field may be absent in a record. Times are seconds since 1970-01-01 UTC, None when the record has none.
Source: schemas CallLogRecord, CallLogRecordLegInfo, CallLogRecordingInfo of the official description.
"""

from collections.abc import Callable, Mapping

import attrs

from rcfs.model._records import OUTBOUND, Party
from rcfs.model._shelving import Place

_NOBODY = Party()
CALLS_VIEW = "Calls"
"""Directory of the call logs of an owner."""
RECORDINGS_VIEW = "Recordings"
"""Directory of the recordings of an owner."""
LOG_ENDINGS = (".csv", ".jsonl")
"""Endings of the files of a month in `CALLS_VIEW`: its lines, and its records."""
COMPANY = 0
"""Owner of what belongs to the whole company, where the id of an extension stands otherwise."""


def log_paths(month: str) -> frozenset[tuple[str, str]]:
    """The paths of the files of a month below the directory of their owner."""
    return frozenset((CALLS_VIEW, month + ending) for ending in LOG_ENDINGS)


@attrs.frozen
class Recording:
    """The recording of a call or of one leg."""

    id: str
    """Unique within the account."""
    kind: str = ""
    """Automatic, OnDemand, or a new type; empty when absent."""
    uri: str = ""
    """Absolute URI of the content as the payload gave it (``contentUri``); empty when absent."""


@attrs.frozen
class Leg:
    """One leg of a call: the part of it that reached one extension or number."""

    direction: str = ""
    """Inbound or Outbound; empty when absent."""
    sender: Party = _NOBODY
    """``from`` of the leg; an empty party when absent."""
    receiver: Party = _NOBODY
    """``to`` of the leg, likewise."""
    extension_id: int | None = None
    """Internal id of the extension whose leg it is; None when absent."""
    started_s: float | None = None
    """``startTime``."""
    duration_s: int | None = None
    """Length in seconds; None when absent."""
    recording: Recording | None = None
    """Its recording; None without one."""
    message_id: int | None = None
    """Id of the voicemail or fax that belongs to it; None without one."""

    @property
    def is_outbound(self) -> bool:
        """Whether the owner made the call; a leg without a direction counts as inbound."""
        return self.direction == OUTBOUND

    @property
    def other_party(self) -> Party:
        """The party at the other end: the receiver of an outbound leg, else the sender."""
        return self.receiver if self.is_outbound else self.sender


@attrs.frozen
class Call:
    """One record of the call log; the whole call has the fields of a leg as well."""

    id: str
    """Unique within the account."""
    whole: Leg = Leg()
    """The fields of the record itself."""
    session_id: str = ""
    """``sessionId``; empty when absent."""
    type: str = ""
    """Voice, Fax, or a new type; empty when absent."""
    action: str = ""
    """``action``, such as "Phone Call" or "VoIP Call"; empty when absent."""
    result: str = ""
    """``result``, such as "Accepted" or "Missed"; empty when absent."""
    legs: tuple[Leg, ...] = ()
    """The legs in the order of the call, without entries that are no objects."""
    modified_s: float | None = None
    """``lastModifiedTime``."""
    deleted: bool = False
    """Whether the record says that it was deleted, as an incremental sync does."""
    raw: str = "{}"
    """The record itself as compact JSON text, nothing left out."""

    @property
    def extension_ids(self) -> tuple[int, ...]:
        """The extensions whose call was this, each once: that of the record first, then those of the legs."""
        found = (leg.extension_id for leg in (self.whole, *self.legs))
        return tuple(dict.fromkeys(each for each in found if each is not None))

    @property
    def recorded_legs(self) -> tuple[Leg, ...]:
        """The legs that have a recording, in the order of the call; each recording once.

        The record often repeats the recording of a leg. Its own recording comes first if no leg has it. A leg
        without times, direction or extension has those of the record.
        """
        on_legs = {leg.recording.id for leg in self.legs if leg.recording is not None}
        found: dict[str, Leg] = {}
        for leg in (self.whole, *self.legs):
            recording = leg.recording
            if recording is not None and not (leg is self.whole and recording.id in on_legs):
                found.setdefault(recording.id, self._completed(leg))
        return tuple(found.values())

    def _completed(self, leg: Leg) -> Leg:
        whole = self.whole
        return attrs.evolve(
            leg,
            direction=leg.direction or whole.direction,
            sender=whole.sender if leg.sender == _NOBODY else leg.sender,
            receiver=whole.receiver if leg.receiver == _NOBODY else leg.receiver,
            extension_id=whole.extension_id if leg.extension_id is None else leg.extension_id,
            started_s=whole.started_s if leg.started_s is None else leg.started_s,
            duration_s=whole.duration_s if leg.duration_s is None else leg.duration_s,
        )


@attrs.frozen
class ShelvedRecording:
    """A recording as the index stores it."""

    id: str
    """Unique within the account."""
    owner: int
    """Internal id of the extension that shows it; `COMPANY` if the tree does not show its extension."""
    month: str
    """The month that shows it, such as ``2026-11``."""
    name: str
    """Name of its file; unique in the account, because it holds the id."""
    started_s: float | None
    """When the leg began."""
    duration_s: int | None
    """Length in seconds."""
    uri: str
    """Absolute URI of the content; empty when the record has none."""
    links: tuple[Place, ...] = ()
    """The folders that hold a link to it, in the mailbox of its owner; each once."""


@attrs.frozen
class ShelvedCall:
    """A call as the index stores it: its record, its line in the call logs, and its recordings."""

    id: str
    """Unique within the account."""
    month: str
    """The month whose call log has it, such as ``2026-11``."""
    started_s: float | None
    """When it began; the lines of a month are in this order."""
    modified_s: float | None
    """``lastModifiedTime``; of two records of a call, the later one counts."""
    extension_ids: tuple[int, ...]
    """The extensions whose call logs have it; that of the company has it anyway."""
    line: str
    """Its line in the call log as CSV, with the line feed."""
    raw: str
    """The record as JSON text without line feeds: its line in the call log as JSONL, without a line feed."""
    name: str
    """Name under which searches show it; unique in the account, because it holds an id."""
    recordings: tuple[ShelvedRecording, ...] = ()
    """Its recordings, in the order of the call."""
    people: str = ""
    """Text for the full-text index: names and numbers of all parties, and the date."""
    message: tuple[int, int] | None = None
    """(extension id, message id) of the voicemail or fax that belongs to it, so that the line can be written
    again when the message is loaded; None without one."""


@attrs.frozen
class CallContext:
    """The names that lines and places of calls contain besides those of the record; for any thread."""

    directories: Mapping[int, str]
    """The directories of the extensions that the root shows, by id of the extension."""
    numbers: Mapping[int, str]
    """The numbers of these extensions, likewise; empty for one without a number."""
    message_path: Callable[[int, int], str | None]
    """Gives the path of a message below the directory of its extension, by the ids of the extension and of
    the message; None if it is not known."""


@attrs.frozen
class CallMonth:
    """A month of the call log of one owner, as the index has it."""

    loaded: bool
    """Whether it was once loaded whole."""
    synced_s: float
    """The last time when it was complete, in seconds since 1970-01-01 UTC; 0.0 for never."""
    revision: int
    """Number of changes, one for each write that changed something."""
    calls: int
    """Number of calls."""
    recordings: int
    """Number of recordings that the owner shows."""
    csv_bytes: int
    """Exact size of all lines as CSV, without the header line."""
    json_bytes: int
    """Exact size of all lines as JSONL, with their line feeds."""
    modified_s: float | None
    """The newest ``lastModifiedTime`` or start of all calls that it ever had; None if it never had any."""


@attrs.frozen
class RecordingRow:
    """One recording."""

    number: int
    """Number in this index; listings are in its order."""
    id: str
    """Unique within the account."""
    call: int
    """Number of its call in this index."""
    owner: int
    """As `ShelvedRecording.owner`."""
    month: str
    """As `ShelvedRecording.month`."""
    name: str
    """Name of its file."""
    started_s: float | None
    """When the leg began."""
    duration_s: int | None
    """Length in seconds."""
    uri: str
    """Absolute URI of the content; empty when the record has none."""
    gone: bool
    """Whether the platform said that it no longer has it."""
