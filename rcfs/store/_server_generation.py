"""The history of a book on a server: which of two states of it has seen more.

A *generation* is a part of the history in which each version follows from the one before. The first client
that notices that the server has restarted, or has forgotten a version, begins a new generation, and names the
version that it begins with: its *stem*.
"""

import secrets
from enum import Enum

import attrs

_NOTHING = "?"
"""Stem of a generation that began without a book, though there was one."""


class Newer(Enum):
    """Which of two states has seen more."""

    THEIRS = "the server's, or both are the same"
    MINE = "the client's"
    UNKNOWN = "nobody can tell: the server has lost more than one generation"


@attrs.frozen
class State:
    """A version of the book in one generation."""

    token: str = ""
    """Names the generation; empty for no book."""
    version: int = 0
    """Number of the version, at least 1 if there is a book."""
    run: str = ""
    """Names the process of the server in which the generation began."""
    stem: str = ""
    """Token of the generation that it came from; empty for none."""
    stem_version: int = 0
    """The version that it began with."""

    @classmethod
    def read(cls, generation: str, version: int) -> "State":
        """The state with a version of `generation`, as it is stored.

        Raises:
            ValueError: It is not a generation.
        """
        if not version:
            return cls()
        token, run, stem, stem_version = generation.split(" ")
        return cls(token, version, run, stem, int(stem_version))

    @property
    def generation(self) -> str:
        """The generation as it is stored."""
        return f"{self.token} {self.run} {self.stem} {self.stem_version}"

    def renewed(self, run: str, *, is_whole: bool) -> "State":
        """The state in a new generation that comes from this one.

        Args:
            run: Names the process of the server.
            is_whole: Whether all that this generation was to bring is in it; if not, its stem remains.
        """
        stem = (self.token, self.version) if is_whole else (self.stem, self.stem_version)
        return State(_token(), self.version, run, *stem)

    def newer(self, theirs: "State") -> Newer:
        """Which has seen more, this state of a client or that of the server."""
        if not self.token:
            return Newer.THEIRS
        if theirs.token == self.token:
            known, held = self.version, theirs.version
        elif theirs.stem == self.token:
            known, held = self.version, theirs.stem_version
        elif theirs.stem == self.stem != "":
            known, held = self.stem_version, theirs.stem_version
        elif theirs.stem == _NOTHING or not theirs.token:
            return Newer.MINE
        else:
            return Newer.UNKNOWN
        return Newer.THEIRS if held >= known else Newer.MINE


def begun(run: str, *, was_lost: bool) -> State:
    """The state before the first version of a new history."""
    return State(_token(), 0, run, _NOTHING if was_lost else "", 0)


def _token() -> str:
    return secrets.token_hex(8)
