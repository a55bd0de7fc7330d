"""Team messaging of the simulated account, as exports show it: chats, their members, and their posts.

Source: "Team Messaging Compliance Exports" of the API's documentation, and its schemas of chats and posts.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import attrs

from rcfs.simulator._archives import Archive, SizedFile
from rcfs.simulator._dice import Dice
from rcfs.simulator._params import iso_time
from rcfs.simulator._quirks import Quirk, archives_with_quirks
from rcfs.simulator.account import _texts
from rcfs.simulator.account._account import SimAccount
from rcfs.simulator.account._hours import office_moment
from rcfs.simulator.account._people import SimExtension
from rcfs.simulator.account._plan import DAY_S, dialogue

RECORDS_PER_FILE = 10_000
"""Most records in a file of an export (documentation of exports)."""

_REACH_S = 300 * DAY_S
"""Age of the oldest posts: more than the half year that one export may cover."""
_FIRST_ID = 20_000_006
_THREADS = 30
"""Threads in each chat."""

Json = dict[str, Any]


@attrs.frozen
class Chat:
    """One chat."""

    id: int
    """Unique within the account."""
    type: str
    """``Everyone``, ``Team`` or ``Direct``."""
    name: str
    """Title; empty for a direct chat."""
    members: tuple[SimExtension, ...]
    """Its members."""


@attrs.frozen
class TeamExport:
    """An export: the posts of a period, restricted to some chats and authors."""

    account: SimAccount
    request: Json
    """The request, which the export repeats."""
    time_from: float
    """Earliest time of a post, seconds since 1970 UTC."""
    time_to: float
    """Latest time of a post."""
    chat_ids: Collection[str]
    """Ids of the exported chats; empty for all."""
    contacts: Collection[str]
    """Ids and addresses of people, whose posts and direct chats are exported; empty for all. Source:
    CreateDataExportTaskRequest."""

    def archives(self, most_bytes: int, quirks: Collection[Quirk]) -> Iterator[Archive]:
        """The datasets, each of at most `most_bytes`."""
        return archives_with_quirks(self.files(), most_bytes, quirks)

    def files(self) -> Iterator[SizedFile]:
        """The files of the dataset, each of at most `RECORDS_PER_FILE` records."""
        yield SizedFile.of("request_info.json", self.time_to, json.dumps(self.request).encode())
        chats = [c for c in chats_of(self.account) if not self.chat_ids or str(c.id) in self.chat_ids]
        members = {member.id: member for chat in chats for member in chat.members}
        posts = [post for chat in chats for post in self._posts(chat)]
        folders: Mapping[str, Sequence[Json]] = {
            "chats": [_chat_record(chat, self.account.spec.end_s - _REACH_S) for chat in chats],
            "members": [_member_record(member) for member in members.values()],
            "guests": [],
            "posts": sorted(posts, key=lambda post: (post["creationTime"], post["id"])),
            "events": [],
            "tasks": [],
            "notes": [],
            "files": [],
        }
        for folder, records in folders.items():
            # An empty folder has one file, too, so that a client finds every kind of file.
            for number, start in enumerate(range(0, max(1, len(records)), RECORDS_PER_FILE), 1):
                part = records[start : start + RECORDS_PER_FILE]
                text = json.dumps({"records": part}, ensure_ascii=False)
                yield SizedFile.of(f"{folder}/{folder}_{number}.json", self.time_to, text.encode())

    def _posts(self, chat: Chat) -> Iterator[Json]:
        for post in posts_of(self.account, chat):
            people = [
                member
                for member in chat.members
                if chat.type == "Direct" or str(member.id) == post["creatorId"]
            ]
            known = {name for member in people for name in (str(member.id), member.email)}
            if iso_time(self.time_from) <= post["creationTime"] <= iso_time(self.time_to) and (
                not self.contacts or known.intersection(self.contacts)
            ):
                yield post


def chats_of(account: SimAccount) -> tuple[Chat, ...]:
    """All chats: one with everybody, a team of the first few, and direct ones with the first extension."""
    people = tuple(e for e in account.extensions if e.type == "User" and e.status == "Enabled")
    chats = [Chat(_FIRST_ID, "Everyone", account.name, people)]
    if len(people) > 2:
        chats.append(Chat(_FIRST_ID + 1, "Team", "Front desk", people[:3]))
    for place, other in enumerate(people[1:], 2):
        chats.append(Chat(_FIRST_ID + place, "Direct", "", (people[0], other)))
    return tuple(chats)


def posts_of(account: SimAccount, chat: Chat) -> Iterator[Json]:
    """All posts of `chat`, in any order."""
    seed, end_s = account.spec.seed, account.spec.end_s
    for thread in range(_THREADS):
        dice = Dice(seed, "team", chat.id, thread)
        moment = office_moment(dice, end_s - _REACH_S, end_s - DAY_S)
        authors = dice.pick(chat.members), dice.pick(chat.members)
        facts = _texts.facts_of(dice, authors[0].name)
        for turn, line in enumerate(dialogue(seed, chat.id, "Pager", thread)):
            author = authors[0] if line[0] == ">" else authors[1]
            yield {
                "id": str((chat.id * _THREADS + thread) * 100 + turn),
                "groupId": str(chat.id),
                "type": "TextMessage",
                "text": line[1:].format_map(facts),
                "creatorId": str(author.id),
                "creationTime": iso_time(moment + 40 * turn),
                "lastModifiedTime": iso_time(moment + 40 * turn),
                "attachments": [],
                "mentions": [],
            }


def _chat_record(chat: Chat, created_s: float) -> Json:
    record: Json = {
        "id": str(chat.id),
        "type": chat.type,
        "status": "Active",
        "members": [{"id": str(member.id)} for member in chat.members],
        "creationTime": iso_time(created_s),
        "lastModifiedTime": iso_time(created_s),
    }
    return record | ({"name": chat.name} if chat.name else {})


def _member_record(member: SimExtension) -> Json:
    first, _, last = member.name.partition(" ")
    return {"id": str(member.id), "firstName": first, "lastName": last, "email": member.email}
