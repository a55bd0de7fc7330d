"""The values of a call and of its recordings, and the delays and limits of the platform."""

import math
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import attrs

from rcfs.simulator.account._people import Contact, SimExtension
from rcfs.simulator.account._plan import DAY_S, SimMessage
from rcfs.simulator.media._call import CallAudio

RECORDING_KEPT_S = 90 * DAY_S
"""Seconds that a recording is kept (documentation of recordings: 90 days or 100,000 per account)."""
HIPAA_RECORDING_KEPT_S = 30 * DAY_S
"""The same on an account with HIPAA settings (documentation of recordings)."""
RECORDING_LIMIT = 100_000
"""Most recordings that an account keeps (documentation of recordings)."""
RECORDED_FROM_S = 30
"""Shorter calls leave no recording, in seconds."""
APPEARS_S = 20.0
"""Seconds from the end of a call to its record; 15 to 30 are documented."""
RECORDING_APPEARS_S = 60.0
"""Seconds from a call's record to its recording, when the record is rewritten."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@attrs.frozen
class SimRecording:
    """A recording of a call, or of one leg of it."""

    id: int
    """Unique within the account."""
    extension_id: int
    """The owner of its leg: that of the call, or the one to whom the call was transferred."""
    type: str
    """``Automatic`` or ``OnDemand``."""
    appears_s: float
    """Time from which it is available, seconds since 1970 UTC."""
    ends_s: float
    """Time at which it is deleted, seconds since 1970 UTC."""
    audio: CallAudio
    """Its content."""
    lost_s: float = math.inf
    """Time from which the platform no longer has it, although the call log names it until `ends_s`."""

    def is_named(self, now_s: float) -> bool:
        """Whether the call log names it at `now_s`."""
        return self.appears_s <= now_s < self.ends_s

    def is_there(self, now_s: float) -> bool:
        """Whether it is available at `now_s`."""
        return self.is_named(now_s) and now_s < self.lost_s


@attrs.frozen
class SimCall:
    """One call, as in the log of one extension."""

    id: str
    """Opaque id, unique within the account."""
    number: int
    """Number of the session, about sixteen digits like the platform's ids."""
    extension_id: int
    """The owner of the log."""
    type: str
    """``Voice`` or ``Fax``."""
    direction: str
    """``Inbound`` or ``Outbound``."""
    result: str
    """How it ended (schema CallResultEnum)."""
    start_s: float
    """Seconds since 1970 UTC."""
    duration_s: int
    """Length in seconds."""
    other: Contact | SimExtension | None
    """The other party; None if the number is withheld."""
    message: SimMessage | None = None
    """The voicemail or fax that resulted from it."""
    recordings: tuple[SimRecording, ...] = ()
    """One for the call, and one for the leg after a transfer."""
    is_short: bool = False
    """Whether it was recorded, but too short for the recording to be kept."""
    log_after_s: float = APPEARS_S
    """Seconds from its end to its record."""
    changed_s: float = 0.0
    """Time at which a test last changed its record; 0 if none did."""
    fields: Mapping[str, Any] = _NOTHING
    """Changes to its record, a merge patch (RFC 7396): None removes a field."""
    leg_fields: Mapping[str, Any] = _NOTHING
    """Changes to each of its legs, in the same form."""

    @property
    def session_id(self) -> str:
        """``sessionId`` of its record."""
        return str(self.number)

    @property
    def telephony_session_id(self) -> str:
        """``telephonySessionId`` of its record."""
        return f"s-a{self.number:x}z"

    @property
    def transport(self) -> str:
        """``transport`` of its record."""
        return "PSTN" if isinstance(self.other, Contact) else "VoIP"

    def recording(self, now_s: float) -> SimRecording | None:
        """The recording of its master leg; None if its record names none at `now_s`."""
        first = next(iter(self.recordings), None)
        return first if first is not None and first.is_named(now_s) else None

    @property
    def owners(self) -> Collection[int]:
        """Ids of the extensions in whose logs it is: the owner, and those to whom it was transferred."""
        return {self.extension_id, *(recording.extension_id for recording in self.recordings)}

    @property
    def appears_s(self) -> float:
        """Time at which its record appears, seconds since 1970 UTC."""
        return self.start_s + self.duration_s + self.log_after_s

    def modified_s(self, now_s: float) -> float:
        """Time of the last change to its record, as seen at `now_s`."""
        written = [recording.appears_s for recording in self.recordings if recording.appears_s <= now_s]
        return max([self.appears_s, self.changed_s, *written])
