"""Fixtures, messages written by hand instead of generated: the documentation's examples, and hostile records.

A hostile record contains what a stranger's handset, an old backend or a bug may put there: names that leave
the directory, fields that are missing or have another type, unknown kinds.
"""

from collections.abc import Mapping

import attrs

from rcfs.simulator.account import _texts

_HOUR_S = 3600.0
_DAY_S = 24 * _HOUR_S
_EVER_S = 1e12
"""An age beyond any account: such a message comes at the very start of its account."""
_NOTHING: Mapping[str, object] = {}


@attrs.frozen
class File:
    """One attachment of a fixture."""

    media: str = "text"
    """Kind of its bytes: ``text`` (the subject), ``jpeg``, ``vcard``, ``wav``, ``pdf`` or ``large-pdf``."""
    id: int | None = None
    """Attachment id; None derives it from the message's."""
    duration_s: int = 0
    """Length of a ``wav`` in seconds."""
    pages: int = 1
    """Number of pages of a PDF."""
    fields: Mapping[str, object] = _NOTHING
    """Fields of the attachment's record that replace or extend the usual ones."""
    absent: frozenset[str] = frozenset()
    """Names of the fields that the attachment's record lacks."""


@attrs.frozen
class Fixture:
    """A message written by hand."""

    type: str
    """``type`` of the record."""
    direction: str = "Inbound"
    """``direction`` of the record."""
    age_s: float = _DAY_S
    """Seconds before the account's end, limited to the account's start."""
    id: int | None = None
    """Message id; None numbers it like the generated messages."""
    read_status: str = "Read"
    """``readStatus`` of the record."""
    fields: Mapping[str, object] = _NOTHING
    """Fields of the record that replace or extend those of its type."""
    absent: frozenset[str] = frozenset()
    """Names of the fields that the record lacks."""
    files: tuple[File, ...] = ()
    """Its attachments."""


_TEXT = (File(),)


def documented() -> tuple[Fixture, ...]:
    """The examples of the API's documentation, and old messages whose attachments all have id 1."""
    ancient = File(id=1)
    return (
        Fixture(
            "SMS",
            id=6424569004,
            # 2026-11-03T17:27:05Z with the default end of the account.
            age_s=16 * _DAY_S + 18.5 * _HOUR_S + 175,
            read_status="Unread",
            fields={
                "subject": "Test SMS using a RingCentral Developer account - Hello World",
                "from": {"phoneNumber": "+12125557464", "location": "New York, NY"},
            },
            files=_TEXT,
        ),
        Fixture(
            "Fax",
            id=5209304004,
            age_s=43 * _DAY_S + 2 * _HOUR_S + 1953,
            read_status="Unread",
            fields={"from": {"phoneNumber": "+12125557464"}, "subject": "+12125559976"},
            files=(File("pdf"),),
        ),
        Fixture(
            "VoiceMail",
            id=402406984008,
            age_s=63 * _DAY_S + 2 * _HOUR_S + 2157,
            read_status="Unread",
            fields={
                "from": {"phoneNumber": "+18445558517", "name": "RingCentral"},
                "to": [{"name": "Jane Smith"}],
                "vmTranscriptionStatus": "NotAvailable",
            },
            files=(File("wav", duration_s=25),),
        ),
        Fixture("SMS", age_s=_EVER_S, fields={"subject": "The first message of all"}, files=(ancient,)),
        Fixture("SMS", age_s=_EVER_S, fields={"subject": "And its answer"}, files=(ancient,)),
        Fixture("Fax", age_s=_EVER_S, files=(File("pdf", id=1),)),
        Fixture("VoiceMail", age_s=_EVER_S, files=(File("wav", id=1, duration_s=12),)),
    )


def large_fax() -> Fixture:
    """A fax of photographs of about 12 MB, large enough that a client must stream it."""
    return Fixture("Fax", age_s=9 * _DAY_S, fields={"faxPageCount": 24}, files=(File("large-pdf", pages=24),))


def hostile() -> tuple[Fixture, ...]:
    """Records that each violate another assumption of clients."""
    traversal = (
        "../../etc/passwd", ".bashrc", "a/b.jpg", "CON", "😀" * 75, "photo\u202egpj.exe",
        "IMG_0001.jpg", "IMG_0001.jpg", "img_0001.JPG", "README",
    )  # fmt: skip
    control = (
        "line\nbreak\x07.jpg", "-rf", "..", ".", "", " ", "a" * 300 + ".jpg", "message.json", "text.txt",
        "nul\x00byte.jpg",
    )  # fmt: skip
    shapes = (
        # Texts that are hard to show or to measure.
        Fixture("SMS", fields={"subject": ""}, files=_TEXT),
        Fixture("SMS", fields={"subject": "first\nsecond\r\n\n\tfifth, indented\n"}, files=_TEXT),
        Fixture(
            "SMS",
            fields={"subject": "👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301 ﷽ \U0001f469\U0001f3fd\u200d\U0001f680"},
            files=_TEXT,
        ),
        Fixture("SMS", fields={"subject": "שלום, מה שלומך? מחיר: 12.50 ₪ \u202eeurt\u202c"}, files=_TEXT),
        Fixture("SMS", fields={"subject": _texts.LOREM * 60}, files=_TEXT),
        # Missing fields: the schema requires none.
        Fixture("SMS", fields={"subject": "no from"}, absent=frozenset({"from"}), files=_TEXT),
        Fixture("SMS", fields={"subject": "no to"}, absent=frozenset({"to"}), files=_TEXT),
        Fixture(
            "SMS", fields={"subject": "no creationTime"}, absent=frozenset({"creationTime"}), files=_TEXT
        ),
        Fixture("SMS", fields={"subject": "no attachments"}, absent=frozenset({"attachments"})),
        Fixture("SMS", fields={"subject": "no type"}, absent=frozenset({"type"}), files=_TEXT),
        Fixture("Fax", fields={"attachments": [], "faxPageCount": 0}),
        Fixture("VoiceMail", fields={"from": {}}, files=(File("wav", duration_s=3),)),
        Fixture(
            "SMS", absent=frozenset({"subject"}), files=(File("jpeg", absent=frozenset({"contentType"})),)
        ),
        Fixture("SMS", absent=frozenset({"subject"}), files=(File("jpeg", absent=frozenset({"id"})),)),
        Fixture("SMS", absent=frozenset({"subject"}), files=(File("vcard", absent=frozenset({"size"})),)),
        # Fields of another type, and unknown kinds.
        Fixture("SMS", fields={"subject": "attachments null", "attachments": None}),
        Fixture("SMS", fields={"subject": "no objects", "attachments": ["not an object", None, 7]}),
        Fixture("SMS", fields={"subject": "from a string", "from": "+12125557464"}, files=_TEXT),
        Fixture("SMS", fields={"subject": 42, "to": {"phoneNumber": "+12125557464"}}),
        Fixture("SMS", fields={"subject": "size a string"}, files=(File("vcard", fields={"size": "12"}),)),
        Fixture("Telegram", fields={"subject": "type unknown"}, files=_TEXT),
        Fixture("SMS", fields={"subject": "kind unknown"}, files=(File(fields={"type": "Hologram"}),)),
        # A sender's name that looks like a path.
        Fixture(
            "SMS",
            fields={"subject": "evil name", "from": {"name": "../..\u202e/\x00\n", "phoneNumber": "-rf /*"}},
            files=_TEXT,
        ),
    )
    return tuple(
        attrs.evolve(fixture, age_s=(2 + 7 * place) * _HOUR_S)
        for place, fixture in enumerate((_named(traversal), _named(control), *shapes))
    )


def _named(file_names: tuple[str, ...]) -> Fixture:
    """An MMS with a picture for each of `file_names`."""
    files = tuple(File("jpeg", fields={"fileName": name}) for name in file_names)
    return Fixture("SMS", absent=frozenset({"subject"}), files=files)
