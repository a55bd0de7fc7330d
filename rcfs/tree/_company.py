"""``Company``: the calls, recordings, greetings and prompts of the whole company."""

import attrs

from rcfs.model import CALLS_VIEW, COMPANY, RECORDINGS_VIEW
from rcfs.tree._call_catalogue import CallCatalogue
from rcfs.tree._calls import CallsDirectory, RecordingsDirectory
from rcfs.tree._greetings import PROMPTS_VIEW, GreetingsDirectory, GreetingShelf, PromptsDirectory
from rcfs.tree._nodes import Directory, Entry, Node
from rcfs.tree._shelving import GREETINGS_VIEW
from rcfs.tree._times import Times

_ORDER = (CALLS_VIEW, RECORDINGS_VIEW, GREETINGS_VIEW, PROMPTS_VIEW)
"""Its entries, in the order of the listing."""


@attrs.define(eq=False, kw_only=True)
class CompanyDirectory(Directory):
    """``Company``; one node for the whole life of the tree."""

    _times: Times
    _calls: CallCatalogue | None
    _greetings: GreetingShelf | None

    def times(self) -> Times:
        return self._times

    def find(self, name: str) -> Node | None:
        return self._nodes().get(name)

    def page(self, after: int, limit: int) -> list[Entry]:
        nodes = self._nodes()
        listed = [(at, name) for at, name in enumerate(_ORDER, start=1) if name in nodes and at > after]
        return [Entry(at, name, nodes[name]) for at, name in listed[:limit]]

    def _nodes(self) -> dict[str, Node]:
        nodes: dict[str, Node] = {}
        if self._calls is not None and self._calls.has_calls:
            nodes[CALLS_VIEW] = CallsDirectory(calls=self._calls, owner=COMPANY)
            nodes[RECORDINGS_VIEW] = RecordingsDirectory(calls=self._calls, owner=COMPANY)
        if self._greetings is not None:
            nodes[GREETINGS_VIEW] = GreetingsDirectory(shelf=self._greetings)
            nodes[PROMPTS_VIEW] = PromptsDirectory(shelf=self._greetings)
        return nodes
