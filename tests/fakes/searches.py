"""Searches without an index, for tests of the tree."""

import attrs

from rcfs.model import FoundRow, SearchRow


@attrs.define
class PlainSearches:
    """Returns the same matches for every query."""

    rows: list[FoundRow] = attrs.field(factory=list)
    names: list[str] = attrs.field(factory=lambda: ["invoice"])
    changed_s: float = 0.0
    queries: set[str] = attrs.field(factory=set)

    def kept(self, after: int, limit: int) -> list[SearchRow]:
        rows = [SearchRow(number, name, 9.0) for number, name in enumerate(self.names, start=1)]
        return [row for row in rows if row.number > after][:limit]

    def kept_as(self, name: str) -> SearchRow | None:
        return next((row for row in self.kept(0, 99) if row.name == name), None)

    def matches(self, query: str, after: int, limit: int) -> list[FoundRow]:
        self.queries.add(query)
        return [row for row in self.rows if row.number > after][:limit]

    def matches_with_id(self, query: str, message_id: int) -> list[FoundRow]:
        self.queries.add(query)
        return [row for row in self.rows if row.id == message_id]

    def calls_with_id(self, query: str, call_or_recording: str) -> list[FoundRow]:
        self.queries.add(query)
        return [row for row in self.rows if f" [{call_or_recording}]." in (row.link or row.name)]
