"""Answering rules of the simulated account, and the greetings that callers hear.

There are three kinds of greetings: presets, which every account has, recorded greetings of users, and those
of the company. No operation lists the recorded ones: only the rules refer to them.
"""

from collections.abc import Iterator

import attrs

from rcfs.simulator._dice import Dice
from rcfs.simulator.account._account import SimAccount
from rcfs.simulator.account._people import SimExtension
from rcfs.simulator.media._audio import SAMPLE_RATE, Mp3Media, WavMedia
from rcfs.simulator.media._content import Media, MediaBases, SimContent

RULE_IDS = {"BusinessHours": "business-hours-rule", "AfterHours": "after-hours-rule"}
"""Ids of the rules that every extension has; custom ones have decimal ids."""

PRESET_PATH = "/mobile/media/greeting/{greeting_id}"
"""Path of the contents of presets: outside ``/restapi``, as in real payloads, and not part of the API."""

_FIRST_ID = 7_000_004
"""Smallest id of a greeting or custom rule."""
_FIRST_UPLOADED_ID = 8_000_004
"""Smallest id of an uploaded greeting."""
_STEP = 1000
"""Distance between the ids of two extensions' greetings; the company's come first."""

_USER_USAGE = "UserExtensionAnsweringRule"
_QUEUE_USAGE = "DepartmentExtensionAnsweringRule"
_COMPANY_USAGE = "CompanyAnsweringRule"


@attrs.frozen
class Preset:
    """A preset greeting of the platform's dictionary."""

    id: int
    """Id within the dictionary."""
    name: str
    """Display name."""
    type: str
    """The occasion for which it is played (schema GreetingTypeEnum)."""
    usage: str
    """The kind of rule that it is for (``usageType``)."""
    category: str = "Message"
    """``Music``, ``Message``, ``RingTones``, or ``None``: silence, which has no content."""
    text: str = ""
    """The spoken text; empty for music."""


@attrs.frozen
class CustomGreeting:
    """A recorded greeting, of a user or of the company."""

    id: int
    """Unique within the account."""
    extension_id: int | None
    """The owner; None for the company."""
    rule_id: str
    """The rule that plays it; empty for none."""
    type: str
    """The occasion for which it is played."""
    media: Media
    """Its content."""


@attrs.frozen
class SimRule:
    """An answering rule of an extension, or of the company."""

    id: str
    """Unique within its extension."""
    extension_id: int | None
    """The owner; None for the company."""
    type: str
    """``BusinessHours``, ``AfterHours`` or ``Custom``."""
    name: str
    """Display name."""
    enabled: bool
    """Whether it is active."""
    greetings: tuple[Preset | CustomGreeting, ...]
    """Greetings that callers hear, in order."""
    called_number: str = ""
    """For custom rules: the number whose callers it applies to."""


class GreetingBook:
    """All rules and greetings of `account`, made at once because they are few. Clients may upload others."""

    def __init__(self, account: SimAccount) -> None:
        self._seed = account.spec.seed
        self._bases = MediaBases()
        self.presets = tuple(_presets())
        """The platform's dictionary, in order."""
        self.rules = tuple(
            rule
            for owner in (None, *account.extensions)
            if owner is None or owner.status == "Enabled"
            for rule in self._rules(owner)
        )
        """All rules: the company's first, then those of the extensions in their order."""
        self._unapplied: list[CustomGreeting] = []
        self._uploaded = 0

    def customs(self) -> Iterator[CustomGreeting]:
        """All recorded greetings: those of the rules in their order, then those that no rule plays."""
        for rule in self.rules:
            yield from (found for found in rule.greetings if isinstance(found, CustomGreeting))
        yield from self._unapplied

    def record(
        self, extension_id: int | None, kind: str, media: Media, rule: SimRule | None
    ) -> CustomGreeting:
        """A new greeting of an extension, or of the company for None.

        It takes the place of the greeting of the same `kind` in `rule`; with None no rule plays it.
        """
        new_id = _FIRST_UPLOADED_ID + _STEP * self._uploaded
        self._uploaded += 1
        made = CustomGreeting(new_id, extension_id, "" if rule is None else rule.id, kind, media)
        if rule is None:
            self._unapplied.append(made)
            return made
        greetings = (*(found for found in rule.greetings if found.type != kind), made)
        changed = attrs.evolve(rule, greetings=greetings)
        self.rules = tuple(changed if each is rule else each for each in self.rules)
        return made

    def content(self, greeting: Preset | CustomGreeting) -> SimContent | None:
        """The audio of a greeting; None for the preset of silence."""
        if isinstance(greeting, CustomGreeting):
            return SimContent(greeting.media, self._bases)
        if greeting.category == "None":
            return None
        # Independent of the seed, because the dictionary is the platform's.
        return SimContent(Mp3Media(f"preset {greeting.id} {greeting.name}", 2), self._bases)

    def _rules(self, owner: SimExtension | None) -> Iterator[SimRule]:
        usage = _COMPANY_USAGE if owner is None else _USER_USAGE if owner.type == "User" else _QUEUE_USAGE
        slot = -1 if owner is None else owner.slot
        dice = Dice(self._seed, "rules", slot)
        first_id = _FIRST_ID + (slot + 1) * _STEP
        presets: dict[str, Preset] = {}
        for preset in self.presets:
            if preset.usage == usage:
                presets.setdefault(preset.type, preset)
        names = {"BusinessHours": "Business Hours", "AfterHours": "After Hours"}
        if owner is None or dice.chance(0.6):
            names["Custom"] = "Holidays"
        for place, (kind, name) in enumerate(names.items()):
            rule_id = RULE_IDS.get(kind, str(first_id + 900))
            greetings: list[Preset | CustomGreeting] = list(presets.values())
            # The first extension has recorded its own greeting; some of the others have, too.
            if place == 0 or dice.chance(0.5):
                own = "Company" if owner is None else "Voicemail"
                media = self._recorded(first_id + place, dice)
                custom = CustomGreeting(first_id + place, owner.id if owner else None, rule_id, own, media)
                greetings = [found for found in greetings if found.type != own] + [custom]
            yield SimRule(
                id=rule_id,
                extension_id=owner.id if owner else None,
                type=kind,
                name=name,
                enabled=kind != "Custom" or dice.chance(0.5),
                greetings=tuple(greetings),
                called_number=owner.phone_number if owner and kind == "Custom" else "",
            )

    def _recorded(self, greeting_id: int, dice: Dice) -> Media:
        key = f"greeting {self._seed} {greeting_id}"
        if dice.chance(0.5):
            return Mp3Media(key, dice.between(2, 6))
        return WavMedia(key, dice.between(4, 20) * SAMPLE_RATE, 1, "audio/wav")


def _presets() -> Iterator[Preset]:
    """The dictionary: one preset of each type that a rule needs, further music, and silence."""
    sounds = {
        "Introductory": ("Default", "Message", "Thank you for calling."),
        "ConnectingMessage": ("Default", "Message", "Please hold while I try to connect you."),
        "ConnectingAudio": ("Acoustic", "Music", ""),
        "HoldMusic": ("Beautiful", "Music", ""),
        "Voicemail": ("Default", "Message", "Please leave a message after the tone."),
        "Unavailable": ("Default", "Message", "The person you are calling is not available."),
    }
    number = 65_536
    for usage in (_USER_USAGE, _QUEUE_USAGE):
        for kind, (name, category, text) in sounds.items():
            yield Preset(number, name, kind, usage, category, text)
            yield Preset(number + 1, "None", kind, usage, "None")
            number += 2
    yield Preset(number, "Default", "Company", _COMPANY_USAGE, "Message", "Thank you for calling.")
    yield Preset(number + 1, "Ring Tones", "ConnectingAudio", _USER_USAGE, "RingTones")
