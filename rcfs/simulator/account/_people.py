"""The people of the simulated account, and their contacts outside."""

import attrs

from rcfs.simulator._dice import Dice, stable_int
from rcfs.simulator.account import _texts

COMPANY = "Larkspur & Partners"
"""Name of the account's company."""
MAIN_NUMBER = "+16505550100"
"""Main number of the company, from the range reserved for fiction (555-01XX)."""

EXTENSION_TYPES = (
    *("User", "Department", "Announcement", "Voicemail", "DigitalUser", "VirtualUser", "FaxUser"),
    *("PagingOnly", "SharedLinesGroup", "DelegatedLinesGroup", "GroupCallPickup", "IvrMenu"),
    *("ApplicationExtension", "ProxyAdmin", "RoomConnector", "ParkLocation", "Limited", "Bot", "Site"),
    *("Room", "FlexibleUser", "TieLine", "Unknown"),
)
"""Values of ``type`` (schema AllExtensionTypesEnum)."""


WITHOUT_MAILBOX = frozenset(
    {"ApplicationExtension", "Bot", "DelegatedLinesGroup", "GroupCallPickup", "IvrMenu", "PagingOnly"}
    | {"ParkLocation", "ProxyAdmin", "Room", "RoomConnector", "Site", "TieLine"}
)
"""Types of extensions without a mailbox. That of IVR menus was observed; the others, for which callers cannot
leave a message, are inferred."""


@attrs.frozen
class SimExtension:
    """One extension of the account."""

    id: int
    """Internal id; it differs from the extension number."""
    slot: int
    """Position in the account's list, from 0."""
    number: str
    """Extension number; may be empty."""
    name: str
    """Display name; not unique, and with arbitrary characters."""
    type: str = "User"
    """``User``, ``Department`` or ``IvrMenu``."""
    status: str = "Enabled"
    """``Enabled`` or ``Unassigned``."""
    is_admin: bool = False
    """Whether this user may read the mailboxes of others."""
    mailbox_refused: bool = False
    """Whether nobody may read the mailbox, not even the administrator (CMN-419)."""
    share: int = 1
    """Share of the account's messages, relative to that of the others."""

    @property
    def phone_number(self) -> str:
        """Direct number."""
        return f"+1650555{8300 + self.slot:04}"

    @property
    def email(self) -> str:
        """Contact address, in a domain that is reserved for examples (RFC 2606)."""
        return f"ext{self.number or self.slot}@example.com"


@attrs.frozen
class Contact:
    """A person outside the account."""

    name: str
    """Name that the platform knows; usually empty."""
    number: str
    """Number in E.164."""
    location: str
    """City and state of the number."""

    @property
    def first(self) -> str:
        """First name, as used in text messages."""
        return self.name.partition(" ")[0] or "Sam"


def extensions_of(first_id: int, count: int, menus: int = 0) -> tuple[SimExtension, ...]:
    """The first `count` extensions of the cast, or more with plain users, followed by IVR menus.

    Args:
        first_id: Id below all ids of the extensions.
        count: Number of extensions, at least 1; the cast is complete with 6.
        menus: Number of IVR menus.
    """
    cast = (
        SimExtension(0, 0, "101", "Jane Smith", is_admin=True, share=40),
        SimExtension(0, 0, "102", "Sales/Ops: Zoë “Zed” O'Neil <R&D>", share=28),
        SimExtension(0, 0, "103", "Alex Kim", share=17),
        SimExtension(0, 0, "104", "Alex Kim", mailbox_refused=True, share=5),
        SimExtension(0, 0, "200", "Support Queue", type="Department", share=7),
        SimExtension(0, 0, "", "Spare Desk", status="Unassigned", share=3),
    )
    people = []
    for slot in range(count + menus):
        if slot >= count:
            number = slot - count
            person = SimExtension(0, 0, str(900 + number), f"Main Menu {number + 1}", type="IvrMenu", share=0)
        elif slot < len(cast):
            person = cast[slot]
        else:
            dice = Dice("extension", slot)
            name = f"{dice.pick(_texts.FIRST_NAMES)} {dice.pick(_texts.LAST_NAMES)}"
            person = SimExtension(0, 0, str(1000 + slot), name, share=dice.between(1, 10))
        people.append(attrs.evolve(person, id=first_id + 1000 * (slot + 1), slot=slot))
    return tuple(people)


def contact(seed: int, slot: int, index: int) -> Contact:
    """Contact `index` of the extension at `slot`; equal arguments give the same person.

    The most frequent contact of the first extension is Bob Ray of the documentation.
    """
    if (slot, index) == (0, 0):
        return Contact("Bob Ray", "+12125557464", "New York, NY")
    dice = Dice(seed, "contact", slot, index)
    code, location = _texts.PLACES[index % len(_texts.PLACES)]
    # Line numbers of an area code advance in steps prime to 10,000, so no two are equal.
    line = (stable_int(32, seed, "line", slot, code) + index // len(_texts.PLACES) * 7919) % 10_000
    name = f"{dice.pick(_texts.FIRST_NAMES)} {dice.pick(_texts.LAST_NAMES)}" if dice.chance(0.45) else ""
    if name and dice.chance(0.2):
        name = dice.pick(_texts.COMPANIES)
    return Contact(name, f"+1{code}555{line:04}", location)
