"""The texts of a call in one compressed value: its record, its name, its words for searches, its line.

A record has some 1,600 bytes, most of them the same in every record, and the other texts repeat parts of it.
With a dictionary made from a typical record all of it takes about 290 bytes (measured 2026-11).
"""

import zlib

import attrs

from rcfs.model import ShelvedCall, valid
from rcfs.store._checksum import DamagedRowError

MOST_BYTES = 64 << 20
"""Largest size of the texts of a call. An answer of the platform has 16 MiB at most, and all texts are made
from a record of it."""
_WINDOW_BITS = -15
"""Deflate without a header: the row has a checksum of its own."""
_LEG = (
    '{"startTime":"2026-11-03T17:27:05.000Z","duration":151,"durationMs":151000,"type":"Voice","internalType":'
    '"Local","direction":"Inbound","action":"Phone Call","result":"Accepted","to":{"name":"Jane Smith",'
    '"phoneNumber":"+12125550100","extensionNumber":"101","extensionId":"400132004","location":"New York, NY"'
    '},"from":{"name":"Bob Ray","phoneNumber":"+12125557464","location":"New York, NY"},"transport":"PSTN",'
    '"extension":{"uri":"https://platform.ringcentral.com/restapi/v1.0/account/400131004/extension/400132004",'
    '"id":400132004},"recording":{"uri":"https://platform.ringcentral.com/restapi/v1.0/account/400131004'
    '/recording/3421234004","id":"3421234004","type":"Automatic","contentUri":"https://media.ringcentral.com'
    '/restapi/v1.0/account/400131004/recording/3421234004/content"}'
)
_DICTIONARY = (
    "OutboundMissedVoicemailCall connectedHang UpNo AnswerBusyRejectedStopped OnDemandFaxVoIP CallTransfer"
    'Incoming FaxOutgoing FaxReceivedSent"reason":"No Answer","reasonDescription":"SipToPstnUnmetered"'
    '"message":{"id":"1234567004","type":"VoiceMail","uri":"https://platform.ringcentral.com/restapi/v1.0'
    '/account/400131004/extension/400132004/message-store/1234567004"},"shortRecording":true,'
    '{"uri":"https://platform.ringcentral.com/restapi/v1.0/account/400131004/extension/400132004/call-log'
    '/JbLfGXMN0hm2zUA?view=Detailed","id":"JbLfGXMN0hm2zUA","sessionId":"263931652899004",'
    '"telephonySessionId":"s-a0d1b2c3d4e5fz1893f2a4c2bz2ba5e50000","partyId":"p-a0d1b2c3d4e5f-1",'
    f'{_LEG[1:]},"lastModifiedTime":"2026-11-03T17:31:44.000Z","billing":{{"costIncluded":0,"costPurchased"'
    f':0}},"legs":[{_LEG},"legType":"PstnToSip","master":true}}]}}\n'
    "2026-11-03T17.27.05Z from +12125557464 Bob Ray 2m31s [3421234004].mp3\n"
    "Bob Ray +12125557464 5557464 2125557464 Jane Smith +12125550100 101 2026-11-03\n"
    "2026-11-03T17:27:05Z,Inbound,+12125557464,Bob Ray,+12125550100,Jane Smith,101 Jane Smith,Accepted,151,"
    "Voice,263931652899004,101 Jane Smith/Recordings/2026-11/2026-11-03T17.27.05Z from +12125557464 Bob Ray"
    " 2m31s [3421234004].mp3,101 Jane Smith/Voicemail/2026-11/\n"
).encode()
"""A part of the format of the database: it never changes, or no row could be read."""


@attrs.frozen
class CallTexts:
    """The texts of a call, all of which UTF-8 can encode."""

    raw: str
    """The record, without line feeds."""
    name: str
    """`ShelvedCall.name`, without line feeds."""
    people: str
    """`ShelvedCall.people`, without line feeds."""
    line: str
    """The line of the call log, with its line feed, and with those within its cells."""

    @classmethod
    def of(cls, call: ShelvedCall) -> "CallTexts":
        """The texts of `call`."""
        raw, name, people = (_one_line(text) for text in (call.raw, call.name, call.people))
        return cls(raw, name, people, valid(call.line))

    @property
    def json_bytes(self) -> int:
        """Size of the line of the call log as JSONL, with its line feed."""
        return len(self.raw.encode()) + 1

    @property
    def csv_bytes(self) -> int:
        """Size of the line of the call log as CSV."""
        return len(self.line.encode())

    def packed(self) -> bytes | None:
        """The value for the database; None if it is larger than `MOST_BYTES`."""
        data = "\n".join((self.raw, self.name, self.people, self.line)).encode()
        if len(data) > MOST_BYTES:
            return None
        compressor = zlib.compressobj(wbits=_WINDOW_BITS, zdict=_DICTIONARY)
        return compressor.compress(data) + compressor.flush()


def unpacked(packed: bytes) -> CallTexts:
    """The texts of a value of the database.

    Raises:
        DamagedRowError: It is not such a value, or its texts are larger than `MOST_BYTES`.
    """
    decompressor = zlib.decompressobj(wbits=_WINDOW_BITS, zdict=_DICTIONARY)
    try:
        text = decompressor.decompress(packed, MOST_BYTES).decode()
        raw, name, people, line = text.split("\n", 3)
    except (zlib.error, TypeError, ValueError) as exc:
        raise DamagedRowError("the texts of a call cannot be read") from exc
    if not decompressor.eof:
        raise DamagedRowError("the texts of a call are cut short, or too large")
    return CallTexts(raw, name, people, line)


def _one_line(text: str) -> str:
    return valid(text).replace("\n", " ")
