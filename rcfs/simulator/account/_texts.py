"""The texts of messages, voicemails and faxes in the simulated account.

A line of a dialogue starts with ``<`` (the other party) or ``>`` (the owner of the mailbox). :func:`facts_of`
gives the values for the placeholders in braces, the same for all lines of one thread.
"""

from collections.abc import Sequence

from rcfs.simulator._dice import Dice

SMS_DIALOGUES: Sequence[Sequence[str]] = (
    (
        "<Hi, this is {first}. Is my order {order} ready?",
        ">Hello {first}, it leaves the warehouse on {day}.",
        "<Great, thank you!",
        ">You are welcome. Tracking: 1Z{order}{code}",
    ),
    (
        ">Reminder: your appointment is on {day} at {hour}. Reply C to confirm.",
        "<C",
        ">Confirmed. See you on {day}!",
    ),
    (
        "<Are you open on {day}?",
        ">Yes, from 9:00 to {hour}.",
        "<👍",
    ),
    (
        "<Running 10 minutes late, sorry 🚗💨",
        ">No problem, take your time 🙂",
        "<Parking now. Which floor?",
        ">{floor}th floor, ask for {colleague}.",
        "<ok",
    ),
    (
        "<Did you get the invoice {order} over ${amount}?",
        ">Yes, it is with accounting. Payment on {day}.",
        "<Perfect. Please use the reference {code}.",
        ">Will do.",
        "<Thanks {colleague}, have a good weekend!",
        ">You too 🌞",
    ),
    ("<Please call me back when you have a minute. {first}",),
    (">Your verification code is {pin}. It expires in 10 minutes.",),
    (
        "<Can we move {day} to {hour}?",
        ">Let me check…",
        ">{hour} works. Same room.",
        "<Excellent",
    ),
    (
        ">Shopping list for {day}:\n- 2 boxes of paper (A4)\n- toner {code}\n- coffee\n\nAnything else?",
        "<- sticky notes\n- batteries AAA",
        ">Got it.",
    ),
    (
        "<The door code does not work.",
        ">Please try {pin}#",
        "<Works, thanks!!",
    ),
    (
        "<Bonjour, le colis {order} est arrivé abîmé. Que faire ?",
        ">Désolé ! Envoyez-nous une photo, nous le remplaçons dès {hour}.",
        "<Voilà. Merci d'avance — {first}",
    ),
    (
        "<Grüße aus München! Können wir am {day} telefonieren?",
        ">Gern, um {hour}. Ich rufe an.",
    ),
    (
        ">We are hiring! Know anybody who would like to join us in {city}? 🎉",
        "<My cousin might. How does one apply?",
        ">Send a CV to jobs@example.com, reference {code}",
    ),
    (
        "<Quote for the roof at {floor}2 Elm Street, please.",
        ">We can come on {day} at {hour} for a look.",
        "<Do I have to be at home?",
        ">Not necessarily, if the gate is open.",
        "<It is. Beware of the dog 🐕 (he is friendly)",
        ">Noted! The quote will be around ${amount}.",
        "<Ok",
        ">👷",
    ),
)
"""Text conversations with people outside."""

PAGER_DIALOGUES: Sequence[Sequence[str]] = (
    (">Stand-up moved to {hour}.", "<ok"),
    ("<Who has the keys of room {floor}?", ">I do, coming down.", "<thx"),
    ("<Customer {order} is on line 2, can you take it?", ">Taking it."),
    (">Lunch on {day}? 🍜",),
    ("<The printer on floor {floor} is out of toner again.", ">Ticket {code} is open."),
)
"""Messages between extensions."""

VOICEMAILS: Sequence[str] = (
    "Hi, this is {first} calling about order {order}. Please call me back before {hour}. Thank you.",
    "Hello, I have a question about the invoice over {amount} dollars. You can reach me until {hour}.",
    "Good morning, this is the front desk in {city}. A parcel for {colleague} has arrived.",
    "Hey, it's {first}. Just wanted to say that {day} at {hour} works for me. Bye.",
    "This is an automated reminder of your appointment on {day} at {hour}. Press one to confirm.",
    "Hi {colleague}, sorry I missed you. The reference number is {code}, I repeat, {code}.",
)
"""Transcripts of voicemails."""

FAX_TITLES: Sequence[str] = (
    "Invoice {order}",
    "Purchase order {order}",
    "Quotation {order}",
    "Agreement {code}",
)
"""Subject lines of letters; only WinAnsi characters, as everywhere in a letter."""

FAX_PARAGRAPHS: Sequence[str] = (
    "Thank you for your order. Below you find the items as agreed on {day}.",
    "Payment is due within 30 days. Please state the reference {code}.",
    "Should you have questions, {colleague} will gladly answer them until {hour}.",
    "The goods remain our property until they are paid in full.",
    "Please sign and return this page by fax.",
)
"""Sentences of letters."""

FAX_ITEMS: Sequence[str] = (
    "Copy paper A4, 80 g", "Toner cartridge black", "Desk lamp", "Maintenance, hours", "Network cable 5 m",
    "Filing cabinet", "Consulting, days", "Headset", "Whiteboard markers", "Shipping and handling",
)  # fmt: skip
"""Lines of invoices."""

FIRST_NAMES: Sequence[str] = (
    "Ada", "Bruno", "Chloé", "Dmitri", "Elena", "Farid", "Grace", "Hiro", "Inés", "Jonas", "Kemal", "Lucía",
    "Mei", "Noah", "Olga", "Priya", "Quinn", "Rosa", "Søren", "Tara", "Uma", "Viktor", "Wanda", "Yusuf",
)  # fmt: skip
"""First names of contacts and colleagues."""

LAST_NAMES: Sequence[str] = (
    "Almeida", "Baker", "Chen", "Dubois", "Eriksen", "Fischer", "García", "Haddad", "Ivanova", "Johnson",
    "Kowalski", "Lindqvist", "Moreau", "Nakamura", "O'Neil", "Patel", "Quispe", "Rossi", "Singh", "Thompson",
)  # fmt: skip
"""Last names of contacts and colleagues."""

COMPANIES: Sequence[str] = (
    "Acme Supplies", "Bluebird Travel", "Cedar & Sons", "Delta Dental", "Evergreen Roofing", "Foxglove Print",
)  # fmt: skip
"""Letterheads, and caller names of companies."""

PLACES: Sequence[tuple[str, str]] = (
    ("212", "New York, NY"), ("415", "San Francisco, CA"), ("312", "Chicago, IL"), ("206", "Seattle, WA"),
    ("512", "Austin, TX"), ("617", "Boston, MA"), ("303", "Denver, CO"), ("504", "New Orleans, LA"),
)  # fmt: skip
"""Area codes, and the platform's names for their locations."""

HANDSET_FILE_NAMES: Sequence[str] = (
    "IMG_{pin}.jpg", "photo.jpg", "Screenshot_20261103-{pin}.png", "image000000.jpg", "Urlaub am See.jpeg",
    "received_{code}.jpeg", "写真.jpg", "",
)  # fmt: skip
"""File names that handsets give to pictures; empty for no name."""

LOREM: str = (
    "This message is long because its author did not want to write two. It goes on about the weather, "
    "the traffic and the price of tea, then comes back to the point — which was, if memory serves, "
    "nothing in particular. "
)
"""A sentence for very long messages."""

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")


def facts_of(dice: Dice, first: str) -> dict[str, str]:
    """Values for the placeholders of a thread; `first` is the first name of the other party."""
    return {
        "first": first,
        "colleague": dice.pick(FIRST_NAMES),
        "day": dice.pick(_DAYS),
        "hour": f"{dice.between(8, 18)}:{dice.pick(('00', '15', '30', '45'))}",
        "order": str(dice.between(10_000, 99_999)),
        "code": f"{dice.pick('ABCDEFGH')}{dice.between(100, 999)}-{dice.between(10, 99)}",
        "pin": f"{dice.below(10_000):04}",
        "amount": f"{dice.between(20, 4000)}.{dice.below(100):02}",
        "floor": str(dice.between(4, 9)),
        "city": dice.pick(PLACES)[1].partition(",")[0],
    }
