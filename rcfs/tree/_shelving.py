"""Shelving: the folders that show a message, and their names.

A message has one home, the folder that holds its directory. Folders of other views hold links to it:

    SMS/2026-11/            home      messages of a type and month
    Trash/                  home      deleted messages
    Purged/                 home      messages that the platform has purged, if the user keeps them
    Conversations/<who>/    links     SMS and Pager threads
    By-Contact/<who>/       links     messages exchanged with one number or person
    Unread/                 links     unread inbound messages
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from rcfs.model import (
    CALLS_VIEW,
    CONVERSATIONS_VIEW,
    RECORDINGS_VIEW,
    TEXTUAL_TYPES,
    TRASH_VIEW,
    Availability,
    FolderNames,
    Message,
    Party,
    Place,
    ShelvedMessage,
    valid,
)
from rcfs.tree._facts import UNKNOWN
from rcfs.tree._message import attachment_names, message_name
from rcfs.tree._names import clean, cut, fit, folded, shown_id
from rcfs.tree._speech import spoken_lines
from rcfs.tree._times import month_name, sane

TYPE_VIEWS: Mapping[str, str] = MappingProxyType(
    {"SMS": "SMS", "VoiceMail": "Voicemail", "Fax": "Fax", "Pager": "Pager"}
)
"""Views by message type, for the types that every mailbox can hold. Source: ``messageType`` of
listMessages."""

SHELVING_EDITION = "3"
"""Version of the rules of `shelve`, `shelve_call` and `name_folder`: a new one makes the index shelve all
messages and calls again."""

CONVERSATIONS = CONVERSATIONS_VIEW
BY_CONTACT = "By-Contact"
UNREAD = "Unread"
TRASH = TRASH_VIEW
PURGED = "Purged"
"""The other views."""

LINK_VIEWS = frozenset({CONVERSATIONS, BY_CONTACT, UNREAD})
"""Views whose folders hold links."""

FLAT_VIEWS = frozenset({UNREAD, TRASH, PURGED})
"""Views that hold messages and no folders."""

RECORD_NAME = "extension.json"
"""File of an extension directory that holds the record of the extension."""

GREETINGS_VIEW = "Greetings"
"""Directory of the greetings of an extension, or of the company."""

_RESERVED = {
    folded(name)
    for name in (*LINK_VIEWS, *FLAT_VIEWS, RECORD_NAME, CALLS_VIEW, RECORDINGS_VIEW, GREETINGS_VIEW)
}
"""Names that no view of a message type has."""

_NAMED_PARTIES = 3
"""Most parties in the name of a folder, so that it stays readable in a terminal; the others are counted."""

_SUFFIX_DIGITS = range(7, 11)
"""Numbers of last digits by which a search finds a phone number: the local number, and the number without
country code. These are 7 and 10 digits in North America, others elsewhere."""


def shelve(message: Message, *, keep_purged: bool = False) -> ShelvedMessage | None:
    """`message` with its folders, its name and its searchable text; None if the tree does not show it.

    Args:
        message: Any message.
        keep_purged: Whether the view `PURGED` shows messages that the platform has purged.
    """
    links: list[Place] = []
    if message.availability == Availability.PURGED:
        if not keep_purged:
            return None
        home = Place(PURGED)
    elif message.availability == Availability.DELETED:
        home = Place(TRASH)
    else:
        home = alive_home(message)
        links += _links(message)
    return ShelvedMessage(
        id=message.id,
        name=message_name(message),
        created_s=sane(message.created_s),
        modified_s=sane(message.modified_s),
        raw=message.raw,
        home=home,
        links=tuple(links),
        spoken_bytes=len(spoken_lines(message)) if _converses(message) else 0,
        own=_own_identity(message),
        said=valid(message.subject or ""),
        people=" ".join(searchable(party) for party in _everybody(message)),
        files=" ".join(name for name, _attachment in attachment_names(message)),
    )


def alive_home(message: Message) -> Place:
    """The home of a message while it is neither in the trash nor purged."""
    return Place(_view_of(message.type), month_name(message.created_s))


def name_folder(place: Place, parties: Mapping[str, str], owners: frozenset[str]) -> FolderNames:
    """The name of the folder at `place`; an implementation of `rcfs.model.NameFolder`.

    The key of a month is its name. Folders of conversations and contacts are called ``<number> <name>`` after
    at most three of their parties, and a count of the others.

    Args:
        place: The folder.
        parties: Names of its parties by their identities; empty for a folder of a month.
        owners: Identities of the owner of the mailbox, who is not named.
    """
    if not parties:
        return FolderNames(place.key, place.key, folded(place.key))
    others = {identity: name for identity, name in parties.items() if identity not in owners} or parties
    known = sorted(
        clean(identity if name in ("", identity) else f"{identity} {name}")
        for identity, name in others.items()
        if clean(identity)
    )
    label = ", ".join(known[:_NAMED_PARTIES]) or UNKNOWN
    more = f" +{len(known) - _NAMED_PARTIES}" if len(known) > _NAMED_PARTIES else ""
    plain, qualified = fit(label, more), fit(label, f"{more} [{shown_id(place.key)}]")
    # A party may choose the qualified name of another folder: only qualified names may end with a bracket.
    return FolderNames(qualified if plain.endswith("]") else plain, qualified, folded(plain))


def _view_of(kind: str) -> str:
    """The view of a message type; a new type gives its name, in one spelling for any upper or lower case."""
    if kind in TYPE_VIEWS:
        return TYPE_VIEWS[kind]
    # Clean again: a capital letter may combine with its accent although the small one does not, and a cut can
    # leave a space at the end.
    name = clean(cut(folded(clean(kind)).capitalize(), 200)) or "Other"
    taken = folded(name) in _RESERVED or any(folded(name) == folded(view) for view in TYPE_VIEWS.values())
    return f"{name} messages" if taken else fit(name)


def _links(message: Message) -> Iterator[Place]:
    if _converses(message):
        parties = tuple(dict.fromkeys((identity_of(p), valid(p.name)) for p in _everybody(message)))
        key = message.conversation_id or " ".join(sorted({identity for identity, _name in parties}))
        yield Place(CONVERSATIONS, key or UNKNOWN, parties or (("", ""),))
    for identity, name in {identity_of(p): valid(p.name) for p in _others(message)}.items():
        yield Place(BY_CONTACT, identity or UNKNOWN, ((identity or UNKNOWN, name),))
    if message.read_status == "Unread" and not message.is_outbound:
        yield Place(UNREAD)


def _converses(message: Message) -> bool:
    return message.type in TEXTUAL_TYPES and message.availability not in (
        Availability.DELETED,
        Availability.PURGED,
    )


def _everybody(message: Message) -> tuple[Party, ...]:
    return (message.sender, *message.recipients)


def _others(message: Message) -> tuple[Party, ...]:
    """The parties of a message other than the owner: the recipients if it is outbound, else the sender."""
    return message.counterparts or (Party(),)


def identity_of(party: Party) -> str:
    """The number or name by which records of one party are equal; empty if the party withholds both."""
    return valid(party.number or party.name)


def _own_identity(message: Message) -> str:
    """An identity of the owner: the sender of an outbound message, or the only recipient of an inbound one.

    An extension record does not hold its phone numbers, and a group message lists its owner among the
    recipients.
    """
    if message.is_outbound:
        return identity_of(message.sender)
    return identity_of(message.recipients[0]) if len(message.recipients) == 1 else ""


def searchable(party: Party) -> str:
    """The name and numbers of a party for the full-text index, and the ends of its phone number."""
    digits = "".join(filter(str.isdigit, party.phone_number))
    ends = (digits[-length:] for length in _SUFFIX_DIGITS if len(digits) > length)
    return valid(" ".join(filter(None, (party.name, party.phone_number, *ends, party.extension_number))))
