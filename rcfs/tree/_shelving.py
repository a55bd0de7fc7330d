"""Where a message is shown, and what the folders are called that show it.

A message has one home, the folder that holds its directory, and is a link in the folders of other views:

    SMS/2026-11/            home      by type and month
    Trash/                  home      of what is deleted
    Purged/                 home      of what the platform has purged, where that is kept
    Conversations/<who>/    links     SMS and Pager threads
    By-Contact/<who>/       links     everything with one number or person
    Unread/                 links     what came in and was not read
"""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from types import MappingProxyType

from rcfs.model import TEXTUAL_TYPES, Availability, FolderNames, Message, Party, Place, ShelvedMessage, valid
from rcfs.tree._facts import UNKNOWN, is_outbound, number_of
from rcfs.tree._message import attachment_names, message_name
from rcfs.tree._names import clean, cut, fit, folded
from rcfs.tree._speech import spoken_lines
from rcfs.tree._times import month_name, sane

TYPE_VIEWS: Mapping[str, str] = MappingProxyType(
    {"SMS": "SMS", "VoiceMail": "Voicemail", "Fax": "Fax", "Pager": "Pager"}
)
"""The views of the types that every mailbox can hold. Source: ``messageType`` of listMessages."""

SHELVING_EDITION = "2"
"""Another one whenever `shelve` or `name_folder` decide otherwise: then the index is brought up to date."""

CONVERSATIONS = "Conversations"
BY_CONTACT = "By-Contact"
UNREAD = "Unread"
TRASH = "Trash"
PURGED = "Purged"
"""The other views."""

LINK_VIEWS = frozenset({CONVERSATIONS, BY_CONTACT, UNREAD})
"""Views whose folders hold links."""

FLAT_VIEWS = frozenset({UNREAD, TRASH, PURGED})
"""Views that hold messages themselves, and no folders."""

RECORD_NAME = "extension.json"
"""The file of an extension directory that holds the extension's record."""

_RESERVED = {folded(name) for name in (*LINK_VIEWS, *FLAT_VIEWS, RECORD_NAME)}

_NAMED_PARTIES = 3
"""So many parties of a group are named, the others are counted: names stay readable in a terminal."""

_LONGEST_ID = 20
"""Digits of an id of the platform: an int64 has at most 19, the unsigned ones 20."""

_SUFFIX_DIGITS = range(7, 11)
"""Lengths of the ends of a number that a search finds it by: as neighbours dial it, and without the country's
code; 7 and 10 digits in North America, others elsewhere."""


def shelve(message: Message, *, keep_purged: bool = False) -> ShelvedMessage | None:
    """All that is decided about how `message` is shown; None when it is not.

    Args:
        message: Any message.
        keep_purged: Whether what the platform has purged is shown in a view of its own, or not at all.
    """
    links: list[Place] = []
    if message.availability == Availability.PURGED:
        if not keep_purged:
            return None
        home = Place(PURGED)
    elif message.availability == Availability.DELETED:
        home = Place(TRASH)
    else:
        home = Place(_view_of(message.type), month_name(message.created_s))
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
        people=" ".join(_searchable(party) for party in _everybody(message)),
        files=" ".join(name for name, _attachment in attachment_names(message)),
    )


def name_folder(place: Place, parties: Mapping[str, str], owners: frozenset[str]) -> FolderNames:
    """What the folder at `place` is called; the names of its parties by their identities.

    Months are named by their keys; a conversation, and a contact, by who they are with: ``<number> <name>``,
    at most three and how many more. See `rcfs.model.NameFolder`.
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
    plain, qualified = fit(label, more), fit(label, f"{more} [{_shown_key(place.key)}]")
    # A party may call itself what another folder's qualified name is: the bracket is ours alone.
    return FolderNames(qualified if plain.endswith("]") else plain, qualified, folded(plain))


def _view_of(kind: str) -> str:
    """The view of a message type. One that is new has its name, in one spelling whatever its case."""
    if kind in TYPE_VIEWS:
        return TYPE_VIEWS[kind]
    # Cleaned once more: a capital letter can take its accent in where the small one could not, and a cut
    # can bring a space to the end.
    name = clean(cut(folded(clean(kind)).capitalize(), 200)) or "Other"
    taken = folded(name) in _RESERVED or any(folded(name) == folded(view) for view in TYPE_VIEWS.values())
    return f"{name} messages" if taken else fit(name)


def _links(message: Message) -> Iterator[Place]:
    if _converses(message):
        parties = tuple(dict.fromkeys((_identity(p), valid(p.name)) for p in _everybody(message)))
        key = message.conversation_id or " ".join(sorted({identity for identity, _name in parties}))
        yield Place(CONVERSATIONS, key or UNKNOWN, parties or (("", ""),))
    for identity, name in {_identity(p): valid(p.name) for p in _others(message)}.items():
        yield Place(BY_CONTACT, identity or UNKNOWN, ((identity or UNKNOWN, name),))
    if message.read_status == "Unread" and not is_outbound(message):
        yield Place(UNREAD)


def _converses(message: Message) -> bool:
    return message.type in TEXTUAL_TYPES and message.availability not in (
        Availability.DELETED,
        Availability.PURGED,
    )


def _everybody(message: Message) -> tuple[Party, ...]:
    return (message.sender, *message.recipients)


def _others(message: Message) -> tuple[Party, ...]:
    """Those whom the owner of the mailbox had to do with: recipients of what went out, else the sender."""
    return (message.recipients or (Party(),)) if is_outbound(message) else (message.sender,)


def _identity(party: Party) -> str:
    """What two records of the same party have in common; empty for one who hides all."""
    return valid(number_of(party) or party.name)


def _own_identity(message: Message) -> str:
    """An identity of the mailbox's owner: who sends what is outbound, or alone gets what is inbound.

    An extension record does not hold its phone numbers, and a group message lists its owner among the
    recipients.
    """
    if is_outbound(message):
        return _identity(message.sender)
    return _identity(message.recipients[0]) if len(message.recipients) == 1 else ""


def _shown_key(key: str) -> str:
    """The key, if it is an id of the platform; else a digest, because a stranger may have made it."""
    if key.isascii() and key.isdecimal() and len(key) <= _LONGEST_ID:
        return key
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=5).hexdigest()


def _searchable(party: Party) -> str:
    digits = "".join(filter(str.isdigit, party.phone_number))
    ends = (digits[-length:] for length in _SUFFIX_DIGITS if len(digits) > length)
    return valid(" ".join(filter(None, (party.name, party.phone_number, *ends, party.extension_number))))
