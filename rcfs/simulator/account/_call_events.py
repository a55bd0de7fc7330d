"""Events about telephony sessions: the states of a call while it happens.

The simulator sends them for the calls that tests add; planned calls are silent. A call ends when it is
added, so all its states come at once, in order.

Source: "Account Telephony Sessions Event" and "Extension Telephony Sessions Event" of RingCentral's API
    documentation. I: ``recordings`` of a party, which the filter ``withRecordings`` implies.
"""

from collections.abc import Iterator

import attrs

from rcfs.simulator._params import iso_time
from rcfs.simulator.account._call_records import CallWriter
from rcfs.simulator.account._call_values import SimCall
from rcfs.simulator.account._events import SESSIONS, EventFilter
from rcfs.simulator.account._records import Json

STATES = ("Setup", "Proceeding", "Answered", "Disconnected")
"""States of a party, in the order of the call."""


@attrs.frozen
class SessionEvent:
    """A party of a call has reached a state."""

    call: SimCall
    """The call."""
    extension_id: int
    """The extension of the party."""
    party: int
    """Number of the party in the call, from 1."""
    code: str
    """One of `STATES`."""
    sequence: int
    """Number of the event in its session, from 1."""
    time_s: float
    """Time of the event, in the account's time."""
    writer: CallWriter
    """Makes the records of calls."""

    def body(self, wanted: EventFilter) -> Json | None:
        """The body of the notification for the filter `wanted`; None if the filter does not match."""
        call, recorded = self.call, bool(self.call.recordings)
        if (
            wanted.resource != SESSIONS
            or wanted.extension_id not in (None, self.extension_id)
            or call.direction not in wanted.directions
            or (wanted.codes and self.code not in wanted.codes)
            or (wanted.recorded_only and not recorded)
        ):
            return None
        record = self.writer.call(call, self.time_s, detailed=False)
        account_id = str(self.writer.account_id)
        party: Json = {
            "accountId": account_id,
            "extensionId": str(self.extension_id),
            "id": f"p-a{call.number:x}z-{self.party}",
            "direction": call.direction,
            "to": record["to"],
            "from": record["from"],
            "status": {"code": self.code},
            "missedCall": False,
            "standAlone": False,
            "muted": False,
        }
        if recorded and self.code == STATES[-1]:
            party["recordings"] = [
                {"id": str(recording.id), "active": False}
                for recording in call.recordings
                if recording.extension_id == self.extension_id
            ]
        body: Json = {
            "sequence": self.sequence,
            "sessionId": call.session_id,
            "telephonySessionId": call.telephony_session_id,
            "serverId": "10.0.0.1.TAM",
            "eventTime": iso_time(self.time_s),
            "accountId": account_id,
            "parties": [party],
            "origin": {"type": "Call"},
        }
        return body if wanted.extension_id is None else body | {"extensionId": str(self.extension_id)}


def events_of(call: SimCall, now_s: float, writer: CallWriter) -> Iterator[SessionEvent]:
    """The events of `call`, which ends at `now_s`: of each party all states, a party for each leg."""
    sequence = 0
    legs = [recording.extension_id for recording in call.recordings] or [call.extension_id]
    for party, extension_id in enumerate(legs, 1):
        for code in STATES:
            sequence += 1
            yield SessionEvent(call, extension_id, party, code, sequence, now_s, writer)
